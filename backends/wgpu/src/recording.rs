//! A plan bound to buffers: for each dispatch its pipeline, bind group and size. Making bind groups costs more than
//! recording the dispatches, so recordings are kept for the buffers that come again.

use std::sync::Arc;
use std::time::Duration;

use anygrad_core::backend::Slot;
use anygrad_core::{Error, Result};

use crate::errors::lock;
use crate::executable::{Compiled, Pass, Source};
use crate::gpu::Shared;
use crate::memory::Raw;

/// So many sets of external buffers are remembered: the batches of a loader come in turn, two or three at a time.
const REMEMBERED: usize = 4;

/// One plan with one set of external buffers.
#[derive(Debug)]
pub(crate) struct Recording {
    serials: Vec<u64>,
    pub(crate) dispatches: Vec<Dispatch>,
}

#[derive(Debug)]
pub(crate) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
    /// Number of the plan's step that it belongs to.
    step: usize,
}

/// The latest recordings, newest last.
#[derive(Debug, Default)]
pub(crate) struct Recordings(Vec<Arc<Recording>>);

impl Recordings {
    pub(crate) fn find(&mut self, serials: &[u64]) -> Option<Arc<Recording>> {
        let at = self.0.iter().position(|r| r.serials == serials)?;
        let found = self.0.remove(at);
        self.0.push(found.clone());
        Some(found)
    }

    pub(crate) fn latest(&self) -> Option<Arc<Recording>> {
        self.0.last().cloned()
    }

    pub(crate) fn insert(&mut self, recording: Arc<Recording>) {
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(recording);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Recording {
    /// Binds a plan; bind groups whose buffers are those of `old` are taken from there.
    pub(crate) fn new(plan: &Compiled, raws: &[Raw], serials: Vec<u64>, old: Option<&Recording>) -> Result<Recording> {
        let mut all = Vec::new();
        for step in 0..plan.plan.steps.len() {
            let sharing = plan.sharing(step, |slot| match slot {
                Slot::External(e) => (0, serials[e]),
                Slot::Slab(s) => (1, s as u64),
            });
            all.push(plan.passes(step, sharing)?);
        }
        // The same dispatches, if no step changed its variant; else nothing can be taken over.
        let count: usize = all.iter().map(|p| p.passes.len()).sum();
        let old = old.filter(|old| old.dispatches.len() == count);
        let scratch = lock(&plan.scratch);
        let made = plan.shared.guard.scoped("binding buffers", 0, || {
            let mut dispatches = Vec::with_capacity(count);
            let each = all.iter().enumerate().flat_map(|(step, p)| p.passes.iter().map(move |pass| (step, pass)));
            for (step, pass) in each {
                let before = old.map(|old| (&old.dispatches[dispatches.len()], old));
                let externals = externals(pass);
                let kept = before.filter(|(dispatch, old)| {
                    dispatch.pipeline == pass.pipeline.pipeline
                        && externals.iter().all(|&e| old.serials[e] == serials[e])
                });
                let group = match kept {
                    Some((dispatch, _)) => dispatch.group.clone(),
                    None => bind(plan, pass, raws, &scratch),
                };
                let pipeline = pass.pipeline.pipeline.clone();
                dispatches.push(Dispatch { pipeline, group, workgroups: pass.workgroups, step });
            }
            dispatches
        })?;
        Ok(Recording { serials, dispatches: made })
    }

    /// All dispatches, in order.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            pass.set_pipeline(&dispatch.pipeline);
            pass.set_bind_group(0, &dispatch.group, &[]);
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

impl Recording {
    /// Everything once, each dispatch in a pass of its own between two time stamps; the time of each of `steps` steps.
    pub(crate) fn timed(&self, shared: &Shared, steps: usize) -> Result<Vec<Duration>> {
        if !shared.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Unsupported {
                what: "measuring single kernels".into(),
                device: shared.name.clone(),
                instead: "its driver has no time stamps; measure whole runs, or on another device".into(),
            });
        }
        shared.runs.flush()?;
        let mut times = vec![Duration::ZERO; steps];
        for dispatches in self.dispatches.chunks(wgpu::QUERY_SET_MAX_QUERIES as usize / 2) {
            let ticks = shared.guard.scoped("timing a program", 0, || stamps(shared, dispatches))?;
            let mut bytes = vec![0; dispatches.len() * 16];
            shared.read_raw(&ticks, 0, &mut bytes)?;
            let (stamps, _) = bytes.as_chunks::<8>();
            let stamps: Vec<u64> = stamps.iter().map(|&stamp| u64::from_le_bytes(stamp)).collect();
            for (dispatch, pair) in dispatches.iter().zip(stamps.chunks(2)) {
                let nanos = pair[1].saturating_sub(pair[0]) as f64 * f64::from(shared.queue.get_timestamp_period());
                times[dispatch.step] += Duration::from_nanos(nanos as u64);
            }
        }
        Ok(times)
    }
}

/// Submits dispatches with time stamps around each, and returns the buffer that will hold them.
fn stamps(shared: &Shared, dispatches: &[Dispatch]) -> Raw {
    let count = 2 * dispatches.len() as u32;
    let set = shared.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: None,
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
    let ticks = Raw::new(&shared.device, "time stamps", u64::from(count) * 8, usage);
    let mut encoder = shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for (number, dispatch) in (0u32..).zip(dispatches) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(2 * number),
                end_of_pass_write_index: Some(2 * number + 1),
            }),
        });
        pass.set_pipeline(&dispatch.pipeline);
        pass.set_bind_group(0, &dispatch.group, &[]);
        let [x, y, z] = dispatch.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
    encoder.resolve_query_set(&set, 0..count, &ticks.buffer, 0);
    shared.queue.submit([encoder.finish()]);
    shared.submitted();
    ticks
}

/// Which external buffers a pass binds.
fn externals(pass: &Pass) -> Vec<usize> {
    pass.sources
        .iter()
        .filter_map(|source| match source {
            Source::Stretch(binding) => match binding.slot {
                Slot::External(e) => Some(e),
                Slot::Slab(_) => None,
            },
            Source::Scratch(_) => None,
        })
        .collect()
}

fn bind(plan: &Compiled, pass: &Pass, raws: &[Raw], scratch: &[Raw]) -> wgpu::BindGroup {
    let entries: Vec<wgpu::BindGroupEntry<'_>> = pass
        .sources
        .iter()
        .enumerate()
        .map(|(number, source)| {
            let (raw, offset, bytes) = match *source {
                Source::Scratch(s) => (&scratch[s], 0, scratch[s].buffer.size()),
                Source::Stretch(binding) => {
                    let raw = match binding.slot {
                        Slot::External(e) => &raws[e],
                        Slot::Slab(s) => &plan.slabs[s],
                    };
                    // Whole vectors of four; buffers are padded to 256 bytes, stretches are aligned to 16.
                    (raw, binding.offset as u64, (binding.bytes as u64).next_multiple_of(16).max(16))
                }
            };
            let size = std::num::NonZeroU64::new(bytes.min(raw.buffer.size().saturating_sub(offset)));
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &raw.buffer, offset, size });
            wgpu::BindGroupEntry { binding: number as u32, resource }
        })
        .collect();
    plan.shared.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pass.pipeline.layout,
        entries: &entries,
    })
}
