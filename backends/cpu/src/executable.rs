//! A compiled plan: prepared steps, scratch buffers, and where each binding's first byte lies.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anygrad_core::backend::{Binding, Buffer, Executable, Plan, Slot};
use anygrad_core::{Error, Result};

use crate::Device;
use crate::carry::{self, CARRIED};
use crate::crew::Shared;
use crate::memory::{ALIGNMENT, Bytes};
use crate::step::Step;

/// See [`Executable`].
#[derive(Debug)]
pub(crate) struct CpuExecutable {
    device: Arc<Device>,
    plan: Arc<Plan>,
    steps: Vec<Step>,
    /// All steps' bindings, one after the other, and where each step's begin.
    bindings: Vec<Binding>,
    firsts: Vec<usize>,
    slabs: Vec<Bytes>,
    /// Least length of each external buffer.
    external_bytes: Vec<usize>,
    /// Whether some kernel writes to each external buffer.
    written: Vec<bool>,
    /// First bytes of all bindings and of all externals; refilled at each run, kept to save the allocation.
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    bindings: Vec<Shared<u8>>,
    externals: Vec<Shared<u8>>,
}

impl CpuExecutable {
    /// Verifies and prepares every kernel and allocates the scratch memory.
    pub(crate) fn new(device: Arc<Device>, plan: Arc<Plan>) -> Result<CpuExecutable> {
        let mut external_bytes = vec![0; plan.externals];
        let mut written = vec![false; plan.externals];
        let (mut steps, mut bindings) = (Vec::with_capacity(plan.steps.len()), Vec::new());
        let mut firsts = Vec::with_capacity(plan.steps.len());
        let mut crew = device.turn();
        for step in &plan.steps {
            let wrong = |message: String| Error::Backend {
                device: "cpu".to_string(),
                what: format!("compiling a kernel of '{}'", step.label),
                message,
            };
            step.kernel.verify().map_err(wrong)?;
            check_bindings(&step.kernel, &step.bindings, &plan.slabs, plan.externals).map_err(wrong)?;
            for (number, binding) in step.bindings.iter().enumerate() {
                if let Slot::External(external) = binding.slot {
                    external_bytes[external] = external_bytes[external].max(binding.offset + binding.bytes);
                    written[external] |= number >= step.kernel.inputs.len();
                }
            }
            steps.push(Step::new(&step.kernel, crew.threads()));
            firsts.push(bindings.len());
            bindings.extend_from_slice(&step.bindings);
        }
        carry::choose(&plan, &mut steps)?;
        let most = |bytes: fn(&Step) -> usize| steps.iter().map(bytes).max().unwrap_or(0);
        crew.reserve(most(Step::scratch), most(Step::shared))?;
        drop(crew);
        let slabs = plan.slabs.iter().map(|&bytes| Bytes::new(bytes, "a program")).collect::<Result<_>>()?;
        let places = Mutex::new(Places {
            bindings: Vec::with_capacity(bindings.len()),
            externals: Vec::with_capacity(plan.externals),
        });
        Ok(CpuExecutable { device, plan, steps, bindings, firsts, slabs, external_bytes, written, places })
    }

    fn locate(&self, external: &[Buffer], places: &mut Places) -> Result<()> {
        if external.len() != self.external_bytes.len() {
            let (given, asked) = (external.len(), self.external_bytes.len());
            return Err(Error::Program(format!("{given} buffers were given and {asked} are needed")));
        }
        places.externals.clear();
        for (i, (buffer, &bytes)) in external.iter().zip(&self.external_bytes).enumerate() {
            let (start, len) = self.device.locate(buffer)?;
            if len < bytes {
                return Err(Error::Program(format!("buffer {i} has {len} bytes and {bytes} are needed")));
            }
            let twice = places
                .externals
                .iter()
                .zip(&self.written)
                .any(|(place, &written)| place.get() == start && (written || self.written[i]));
            if twice {
                return Err(Error::Program(format!("buffer {i} is written and given a second time")));
            }
            places.externals.push(Shared(start));
        }
        places.bindings.clear();
        for binding in &self.bindings {
            let start = match binding.slot {
                Slot::External(i) => places.externals[i].get(),
                Slot::Slab(i) => self.slabs[i].start(),
            };
            places.bindings.push(Shared(start.wrapping_add(binding.offset)));
        }
        Ok(())
    }
}

impl Executable for CpuExecutable {
    fn run(&self, external: &[Buffer]) -> Result<()> {
        self.run_and_tell(external, || ())
    }

    fn timed(&self, external: &[Buffer]) -> Result<Vec<Duration>> {
        let (mut times, mut begin) = (Vec::with_capacity(self.steps.len()), Instant::now());
        self.run_and_tell(external, || {
            let now = Instant::now();
            times.push(now - begin);
            begin = now;
        })?;
        Ok(times)
    }

    fn explain(&self, kernel: usize) -> String {
        self.steps.get(kernel).map_or_else(String::new, Step::explain)
    }
}

impl CpuExecutable {
    /// Runs all kernels in order and calls `done` after each.
    fn run_and_tell(&self, external: &[Buffer], mut done: impl FnMut()) -> Result<()> {
        let mut crew = self.device.turn();
        let mut places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.locate(external, &mut places)?;
        for (number, step) in self.steps.iter().enumerate() {
            let of = |number: usize| &places.bindings[self.firsts[number]..][..self.steps[number].bindings()];
            let carried: [_; CARRIED] =
                std::array::from_fn(|k| step.carries.get(k).and_then(|&other| self.steps[other].carried(of(other))));
            if !step.run(&mut crew, of(number), &carried) {
                return Err(Error::Backend {
                    device: "cpu".to_string(),
                    what: format!("running a kernel of '{}'", self.plan.steps[number].label),
                    message: "a thread of the pool panicked".to_string(),
                });
            }
            done();
        }
        Ok(())
    }
}

/// Bindings must hold their slices, be aligned, and not overlap what the kernel writes (but for updates in place).
fn check_bindings(
    kernel: &anygrad_core::kernel::Kernel,
    bindings: &[Binding],
    slabs: &[usize],
    externals: usize,
) -> std::result::Result<(), String> {
    let slices: Vec<_> = kernel.inputs.iter().copied().chain(kernel.outputs.iter().map(|o| o.slice)).collect();
    if slices.len() != bindings.len() {
        return Err(format!("{} bindings for {} slices", bindings.len(), slices.len()));
    }
    for (binding, slice) in bindings.iter().zip(&slices) {
        let needed = slice.len * slice.dtype.size();
        let end = binding.offset + needed;
        let fits = match binding.slot {
            Slot::External(i) => i < externals,
            Slot::Slab(i) => slabs.get(i).is_some_and(|&bytes| end <= bytes),
        };
        if !fits || binding.bytes < needed {
            return Err(format!("{binding:?} does not hold {slice:?}"));
        }
        if binding.offset % ALIGNMENT != 0 {
            return Err(format!("{binding:?} is not aligned to {ALIGNMENT} bytes"));
        }
    }
    for (o, output) in kernel.outputs.iter().enumerate() {
        let number = kernel.inputs.len() + o;
        for (other, binding) in bindings.iter().enumerate().filter(|&(other, _)| other != number) {
            let (a, b) = (bindings[number], *binding);
            let bytes = |i: usize| slices[i].len * slices[i].dtype.size();
            let overlap = a.slot == b.slot && a.offset < b.offset + bytes(other) && b.offset < a.offset + bytes(number);
            if overlap && output.aliases != Some(other) {
                return Err(format!("output {o} overlaps binding {other}"));
            }
        }
        if let Some(alias) = output.aliases
            && (bindings[alias].slot, bindings[alias].offset) != (bindings[number].slot, bindings[number].offset)
        {
            return Err(format!("output {o} is not bound where the input it aliases is"));
        }
    }
    Ok(())
}
