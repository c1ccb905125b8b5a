//! Sums over rows (gradients of biases and of norms) that the product which computes the rows takes on: its tasks sum up parts of
//! rows while they are in cache, and the step that asked for the sums only joins the parts.
//!
//! Parts are those of a step that runs alone, so results are the same bits. What is summed up is read earlier than the plan says:
//! nobody writes there between the two steps. Results are written when the plan says.

use anygrad_core::backend::{Binding, Plan};
use anygrad_core::{DType, Result};

use crate::crew::Shared;
use crate::step::Step;
use crate::tile::{Io, Program};

/// Most sums that one step takes on.
pub(crate) const CARRIED: usize = 3;

/// Sums of another step, which this one takes on.
#[derive(Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) sums: &'a Program,
    /// The buffers of that step.
    pub(crate) io: Io<'a>,
    /// Where its parts go.
    pub(crate) memory: Shared<u8>,
}

/// Decides which steps take on sums of later ones.
pub(crate) fn choose(plan: &Plan, steps: &mut [Step]) -> Result<()> {
    for number in 1..steps.len() {
        if let Some(writer) = writer(plan, steps, number) {
            let (before, rest) = steps.split_at_mut(number);
            before[writer].carry(&mut rest[0], number)?;
        }
    }
    Ok(())
}

/// The last step that writes what step `number` sums up, if that writes its rows as they are read.
fn writer(plan: &Plan, steps: &[Step], number: usize) -> Option<usize> {
    let sums = steps[number].sums()?;
    let inputs = &plan.steps[number].bindings[..plan.steps[number].kernel.inputs.len()];
    let outputs = |step: usize| &plan.steps[step].bindings[plan.steps[step].kernel.inputs.len()..];
    let writes = |step: usize, input: &Binding| outputs(step).iter().any(|output| overlap(input, output));
    let writer = (0..number).rev().find(|&step| inputs.iter().any(|input| writes(step, input)))?;
    let [rows, columns] = sums.table();
    // The table itself, or nothing of what the writer writes.
    let fits = |(which, input): (usize, &Binding)| {
        let whole = |(output, binding): (&anygrad_core::kernel::Output, &Binding)| {
            let slice = plan.steps[number].kernel.inputs[which];
            let same = (binding.slot, binding.offset) == (input.slot, input.offset) && output.slice == slice;
            same && slice.dtype == DType::F32 && slice.len == rows * columns && output.view.is_contiguous()
        };
        let written = plan.steps[writer].kernel.outputs.iter().zip(outputs(writer)).find(|(_, b)| overlap(input, b));
        written.is_none_or(|written| whole(written) && sums.reads_rows(which))
    };
    inputs.iter().enumerate().all(fits).then_some(writer)
}

fn overlap(a: &Binding, b: &Binding) -> bool {
    a.slot == b.slot && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
}
