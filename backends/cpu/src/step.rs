//! One prepared kernel: a heavy core, a fused body, and where the core's values go in between.
//!
//! The core writes straight into an output where that output takes one value per point in row-major order; else into the
//! shared workspace. The body then runs over ranges of points that the core has just finished, while they are in cache.

use anygrad_core::DType;
use anygrad_core::kernel::{Core, Inst, Kernel};

use crate::crew::{Crew, Shared};
use crate::heavy::{self, Heavy};
use crate::tile::{Io, Program, prepare};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Step {
    inputs: usize,
    outputs: usize,
    heavy: Option<Heavy>,
    /// `None` where the core's values are the output.
    body: Option<Program>,
    /// The output that holds the core's values.
    target: Option<usize>,
    /// Bytes of the workspace that hold the core's values, where no output does.
    core_bytes: usize,
}

impl Step {
    /// Prepares a verified kernel.
    pub(crate) fn new(kernel: &Kernel, threads: usize) -> Step {
        let heavy = (kernel.core != Core::Map).then(|| Heavy::new(kernel, threads));
        // What is reduced row by row stays in each thread's own memory.
        let in_rows = !kernel.inner.is_empty();
        let target = heavy.as_ref().filter(|_| !in_rows).and_then(|_| target(kernel));
        let trivial = target.is_some_and(|o| kernel.outputs.len() == 1 && is_core(kernel, kernel.outputs[o].value));
        let body = (!trivial).then(|| prepare(kernel, heavy.is_none()));
        let core_bytes = if heavy.is_some() && target.is_none() && !in_rows {
            (kernel.outer_len() * kernel.core_dtype().size()).next_multiple_of(64)
        } else {
            0
        };
        Step { inputs: kernel.inputs.len(), outputs: kernel.outputs.len(), heavy, body, target, core_bytes }
    }

    /// Number of bindings.
    pub(crate) fn bindings(&self) -> usize {
        self.inputs + self.outputs
    }

    /// Bytes of scratch that each thread needs.
    pub(crate) fn scratch(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.scratch.next_multiple_of(64));
        body + self.heavy.as_ref().map_or(0, Heavy::scratch)
    }

    /// Bytes of shared workspace.
    pub(crate) fn shared(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.shared);
        body.max(self.core_bytes + self.heavy.as_ref().map_or(0, Heavy::shared))
    }

    /// Runs the kernel on buffers given by their first bytes. False if a task panicked.
    pub(crate) fn run(&self, crew: &mut Crew, places: &[Shared<u8>]) -> bool {
        let (inputs, outputs) = places.split_at(self.inputs);
        let core = self.target.map_or(crew.shared(), |output| outputs[output]);
        let io = Io { inputs, outputs, core };
        match (&self.heavy, &self.body) {
            (None, None) => true,
            (None, Some(body)) => body.run(crew, &io),
            (Some(heavy), body) => {
                let extra = Shared(crew.shared().get().wrapping_add(self.core_bytes));
                let room = body.as_ref().map_or(0, |body| body.scratch.next_multiple_of(64));
                heavy.run(crew, &heavy::Job { io: &io, extra, room, body: body.as_ref() })
            }
        }
    }

    /// In words, what was chosen.
    pub(crate) fn explain(&self) -> String {
        let heavy = self.heavy.as_ref().map_or_else(|| "map".to_string(), Heavy::explain);
        let body = self.body.as_ref().map_or_else(|| "no body".to_string(), Program::explain);
        format!("{heavy}; {body}")
    }
}

fn is_core(kernel: &Kernel, value: usize) -> bool {
    kernel.body[value] == Inst::Core
}

/// The output that can hold the core's values until the body replaces them point by point.
fn target(kernel: &Kernel) -> Option<usize> {
    let dtype = kernel.core_dtype();
    let inner = kernel.is_inner();
    let holds = |o: &anygrad_core::kernel::Output| {
        o.slice.dtype == dtype && o.aliases.is_none() && o.view.is_contiguous() && !inner[o.value]
    };
    let wide_enough = dtype != DType::F16;
    (0..kernel.outputs.len()).find(|&o| holds(&kernel.outputs[o]) && wide_enough)
}
