//! One prepared kernel: a heavy core, a fused body, and where the core's values go in between.
//!
//! The core writes straight into an output where that output takes one value per point in row-major order; else into the
//! shared workspace. The body then runs over ranges of points that the core has just finished, while they are in cache.

use anygrad_core::kernel::{Core, Inst, Kernel};
use anygrad_core::{DType, Result};

use crate::carry::{CARRIED, Carried};
use crate::crew::{Crew, Shared};
use crate::heavy::{self, Heavy};
use crate::memory::Bytes;
use crate::tile::{Io, Program, prepare};

/// Partial sums that one step keeps at most while another takes them on.
const MOST_BYTES: usize = 1 << 20;

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
    /// Steps whose sums this one takes on, the rows of their parts, and bytes of scratch that they need.
    pub(crate) carries: Vec<usize>,
    part: Option<usize>,
    carried_scratch: usize,
    /// Where an earlier step leaves this one's sums, part by part, if it takes them on.
    partials: Option<Bytes>,
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
        let (inputs, outputs) = (kernel.inputs.len(), kernel.outputs.len());
        Step {
            inputs,
            outputs,
            heavy,
            body,
            target,
            core_bytes,
            carries: Vec::new(),
            part: None,
            carried_scratch: 0,
            partials: None,
        }
    }

    /// What this step sums up, if an earlier one could do that.
    pub(crate) fn sums(&self) -> Option<&Program> {
        self.body.as_ref().filter(|body| self.heavy.is_none() && body.parts().is_some())
    }

    /// Lets this step take on the sums of step `other`, of that number, if its tasks compute whole parts of rows.
    pub(crate) fn carry(&mut self, other: &mut Step, number: usize) -> Result<()> {
        let Some(sums) = other.sums() else { return Ok(()) };
        let part = sums.parts().unwrap_or(1);
        // One size of parts, so that all are taken up together.
        let alike = self.part.is_none_or(|known| known == part);
        let room = self.carries.len() < CARRIED && alike && sums.shared <= MOST_BYTES;
        if room && self.heavy.as_mut().is_some_and(|heavy| heavy.align(sums.table(), part)) {
            self.part = Some(part);
            self.carries.push(number);
            self.carried_scratch = self.carried_scratch.max(sums.scratch);
            other.partials = Some(Bytes::new(sums.shared, "sums over rows")?);
        }
        Ok(())
    }

    /// Number of bindings.
    pub(crate) fn bindings(&self) -> usize {
        self.inputs + self.outputs
    }

    /// Bytes of scratch that each thread needs.
    pub(crate) fn scratch(&self) -> usize {
        self.room() + self.heavy.as_ref().map_or(0, Heavy::scratch)
    }

    /// Those for the body and for carried sums.
    fn room(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.scratch).max(self.carried_scratch).next_multiple_of(64)
    }

    /// What another step takes on of this one, whose bindings begin at `places[0]`.
    pub(crate) fn carried<'a>(&'a self, places: &'a [Shared<u8>]) -> Option<Carried<'a>> {
        let memory = Shared(self.partials.as_ref()?.start());
        let sums = self.body.as_ref()?;
        let (inputs, outputs) = places[..self.bindings()].split_at(self.inputs);
        Some(Carried { sums, io: Io { inputs, outputs, core: memory }, memory })
    }

    /// Bytes of shared workspace.
    pub(crate) fn shared(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.shared);
        body.max(self.core_bytes + self.heavy.as_ref().map_or(0, Heavy::shared))
    }

    /// Runs the kernel on buffers given by their first bytes. False if a task panicked.
    pub(crate) fn run(&self, crew: &mut Crew, places: &[Shared<u8>], carried: &[Option<Carried<'_>>]) -> bool {
        if let Some(own) = self.carried(places) {
            return own.sums.join_parts(crew, &own.io, own.memory);
        }
        let (inputs, outputs) = places.split_at(self.inputs);
        let core = self.target.map_or(crew.shared(), |output| outputs[output]);
        let io = Io { inputs, outputs, core };
        match (&self.heavy, &self.body) {
            (None, None) => true,
            (None, Some(body)) => body.run(crew, &io),
            (Some(heavy), body) => {
                let extra = Shared(crew.shared().get().wrapping_add(self.core_bytes));
                heavy.run(crew, &heavy::Job { io: &io, extra, room: self.room(), body: body.as_ref(), carried })
            }
        }
    }

    /// In words, what was chosen.
    pub(crate) fn explain(&self) -> String {
        let heavy = self.heavy.as_ref().map_or_else(|| "map".to_string(), Heavy::explain);
        let body = self.body.as_ref().map_or_else(|| "no body".to_string(), Program::explain);
        let carries = self.carries.iter().map(|step| format!("; takes on the sums of {step}")).collect::<String>();
        format!("{heavy}; {body}{carries}")
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
