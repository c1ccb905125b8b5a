//! A compiled plan: its shaders and scratch memory, and the recordings that bind them to external buffers.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anygrad_core::backend::{Binding, Buffer, Executable, Plan, Slot, Step};
use anygrad_core::{Error, Result};
use anygrad_kernels::{Lowered, Place, Refusal, Target, generate_shared};

use crate::errors::lock;
use crate::gpu::Shared;
use crate::memory::Raw;
use crate::pipelines::Pipeline;
use crate::recording::{Recording, Recordings};

/// One dispatch of a plan, without its buffers.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) pipeline: Arc<Pipeline>,
    /// What is bound, by binding number: a stretch of a slot, or one of the plan's scratch buffers.
    pub(crate) sources: Vec<Source>,
    pub(crate) workgroups: [u32; 3],
}

/// One bound buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Stretch(Binding),
    Scratch(usize),
}

/// The dispatches of one step, for one set of inputs that share a buffer with an output.
#[derive(Debug)]
pub(crate) struct Passes {
    pub(crate) passes: Vec<Pass>,
    texts: Vec<String>,
}

/// Dispatches by step and by the inputs that share a buffer with an output.
type Variants = HashMap<(usize, Vec<usize>), Arc<Passes>>;

/// A compiled plan.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) shared: Arc<Shared>,
    target: Target,
    pub(crate) plan: Arc<Plan>,
    pub(crate) slabs: Vec<Raw>,
    /// Scratch of single steps; steps run one after the other and use the same.
    pub(crate) scratch: Mutex<Vec<Raw>>,
    /// Per step, by the inputs that share a buffer with an output.
    variants: Mutex<Variants>,
    recordings: Mutex<Recordings>,
}

impl Compiled {
    /// Compiles all steps.
    pub(crate) fn new(shared: Arc<Shared>, plan: Arc<Plan>, target: &Target) -> Result<Compiled> {
        let most = shared.limits.max_storage_buffer_binding_size;
        for step in &plan.steps {
            let longest = step.bindings.iter().map(|b| b.bytes as u64).max().unwrap_or(0);
            if longest > most {
                return Err(Error::Memory {
                    what: step.label.clone(),
                    needed: longest,
                    available: most,
                    limit: format!("the largest stretch that a kernel of {} can see", shared.name),
                });
            }
        }
        let mut slabs = Vec::new();
        for &bytes in &plan.slabs {
            slabs.push(shared.raw("a program's scratch memory", bytes)?);
        }
        let compiled = Compiled {
            shared,
            target: target.clone(),
            plan,
            slabs,
            scratch: Mutex::default(),
            variants: Mutex::default(),
            recordings: Mutex::default(),
        };
        compiled.compile_all()?;
        Ok(compiled)
    }

    /// Compiles the shaders of all steps, on as many threads as there are processors.
    fn compile_all(&self) -> Result<()> {
        let (next, steps) = (AtomicUsize::new(0), self.plan.steps.len());
        let compile = || -> Result<()> {
            loop {
                let step = next.fetch_add(1, Ordering::Relaxed);
                if step >= steps {
                    return Ok(());
                }
                let same_slot = self.sharing(step, |slot| match slot {
                    Slot::External(e) => (0, e as u64),
                    Slot::Slab(s) => (1, s as u64),
                });
                self.passes(step, same_slot)?;
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(steps / 2);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(compile)).collect();
            let mine = compile();
            let join = |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            others.into_iter().map(join).fold(mine, Result::and)
        })
    }

    /// The inputs of a step whose buffer is also written by it; `identity` tells buffers apart.
    pub(crate) fn sharing(&self, step: usize, identity: impl Fn(Slot) -> (u8, u64)) -> Vec<usize> {
        let Step { kernel, bindings, .. } = &self.plan.steps[step];
        let inputs = kernel.inputs.len();
        let written: Vec<_> = bindings[inputs..].iter().map(|b| identity(b.slot)).collect();
        (0..inputs).filter(|&i| written.contains(&identity(bindings[i].slot))).collect()
    }

    /// The dispatches of a step when the inputs `sharing` lie in buffers that it also writes.
    pub(crate) fn passes(&self, step: usize, sharing: Vec<usize>) -> Result<Arc<Passes>> {
        let key = (step, sharing);
        if let Some(passes) = lock(&self.variants).get(&key) {
            return Ok(passes.clone());
        }
        let Step { kernel, bindings, label } = &self.plan.steps[step];
        let lowered = generate_shared(kernel, &self.target, &key.1).map_err(|r| self.refused(label, r))?;
        self.make_scratch(&lowered)?;
        let mut passes = Vec::new();
        for shader in &lowered.passes {
            let sources = shader
                .bindings
                .iter()
                .map(|bound| match bound.place {
                    Place::Input(i) => Source::Stretch(bindings[i]),
                    Place::Output(o) => Source::Stretch(bindings[kernel.inputs.len() + o]),
                    Place::Scratch(s) => Source::Scratch(s),
                })
                .collect();
            let pipeline = self.shared.pipelines.get(&self.shared.device, &self.shared.guard, shader)?;
            passes.push(Pass { pipeline, sources, workgroups: shader.workgroups });
        }
        let texts = lowered.passes.into_iter().map(|s| format!("// {}\n{}", s.variant, s.text)).collect();
        let passes = Arc::new(Passes { passes, texts });
        lock(&self.variants).insert(key, passes.clone());
        Ok(passes)
    }

    fn refused(&self, label: &str, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Unsupported(what, instead) => {
                Error::Unsupported { what: format!("{label}: {what}"), device: self.shared.name.clone(), instead }
            }
            Refusal::TooLarge(what) => self.shared.guard.failure(label, &what),
        }
    }

    /// Makes the plan's scratch buffers at least as many and as large as a step needs.
    fn make_scratch(&self, lowered: &Lowered) -> Result<()> {
        let mut scratch = lock(&self.scratch);
        for (i, &bytes) in lowered.scratch.iter().enumerate() {
            if scratch.get(i).is_some_and(|raw| raw.buffer.size() >= bytes as u64) {
                continue;
            }
            let raw = self.shared.raw("a kernel's scratch memory", bytes)?;
            if i < scratch.len() {
                let old = std::mem::replace(&mut scratch[i], raw);
                self.shared.pool.keep(old);
                // Recordings bind the old one.
                lock(&self.recordings).clear();
            } else {
                scratch.push(raw);
            }
        }
        Ok(())
    }
}

impl Executable for Compiled {
    fn run(&self, external: &[Buffer]) -> Result<()> {
        self.run_times(external, 1)
    }

    fn run_times(&self, external: &[Buffer], times: usize) -> Result<()> {
        self.shared.runs.run(self.recording(external)?, times)
    }

    fn timed(&self, external: &[Buffer]) -> Result<Vec<Duration>> {
        self.recording(external)?.timed(&self.shared, self.plan.steps.len())
    }

    fn explain(&self, kernel: usize) -> String {
        let variants = lock(&self.variants);
        let mut found: Vec<_> = variants.iter().filter(|((step, _), _)| *step == kernel).collect();
        found.sort_by_key(|((_, sharing), _)| sharing.len());
        found.first().map_or(String::new(), |(_, passes)| passes.texts.join("\n"))
    }
}

impl Compiled {
    /// The plan bound to these buffers.
    fn recording(&self, external: &[Buffer]) -> Result<Arc<Recording>> {
        if external.len() != self.plan.externals {
            let message = format!("{} buffers were given and the plan has {}", external.len(), self.plan.externals);
            return Err(Error::Program(message));
        }
        let mut serials = Vec::with_capacity(external.len());
        for buffer in external {
            serials.push(self.shared.memory(buffer)?.raw.serial);
        }
        let found = lock(&self.recordings).find(&serials);
        match found {
            Some(recording) => Ok(recording),
            None => {
                let raws = external.iter().map(|buffer| Ok(self.shared.memory(buffer)?.raw.clone()));
                let raws: Vec<Raw> = raws.collect::<Result<_>>()?;
                let old = lock(&self.recordings).latest();
                let made = Arc::new(Recording::new(self, &raws, serials, old.as_deref())?);
                lock(&self.recordings).insert(made.clone());
                Ok(made)
            }
        }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        for raw in self.slabs.drain(..).chain(lock(&self.scratch).drain(..)) {
            self.shared.pool.keep(raw);
        }
    }
}
