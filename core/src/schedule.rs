//! The schedule: from a graph to a plan of kernels, in four steps, one file each.
//!
//! 1. `materialize`: which values get a buffer at all (results, operands of heavy operations, what is used twice and dear);
//!    all others live inside of the kernels that use them.
//! 2. `group`: values that share an iteration space and need no other kernel in between are computed by one kernel:
//!    epilogues of products, chains over a row (softmax, layer norm), several outputs over the same inputs.
//! 3. `emit`: each group becomes a [`crate::kernel::Kernel`], movement operations become index arithmetic, equal work is done once.
//! 4. `memory`: kernels are put in order, values get slabs by their lifetimes, updates happen in place where that is safe.
//!
//! Invariant: the plan's values are those of the graph node by node; fusion never changes the order of a reduction.

pub(crate) mod collapse;
mod dependence;
pub(crate) mod draft;
pub(crate) mod emit;
pub(crate) mod group;
pub(crate) mod heavy;
pub(crate) mod materialize;
pub(crate) mod memory;
mod merge;
mod pack;
pub(crate) mod place;
pub(crate) mod recompute;
pub(crate) mod slices;

use crate::backend::{Limits, Plan};
use crate::graph::{Graph, Places};
use crate::schedule::draft::Context;
use crate::schedule::emit::{Emitted, NeedsBuffer};

/// A plan and what the program must know about it.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Externals are the graph's, then one buffer per output.
    pub(crate) plan: Plan,
    /// Bytes of each output's buffer.
    pub(crate) output_bytes: Vec<usize>,
    /// External buffers that are overwritten.
    pub(crate) written: Vec<usize>,
}

/// Plans a graph for a device. `fuse: false` gives every operation its own kernel, to check fusion against.
pub(crate) fn schedule(graph: &Graph, places: &Places, limits: &Limits, fuse: bool) -> Schedule {
    let (graph, places) = &slices::shortened(graph, places, limits.binding_bytes);
    let mut forced = vec![false; graph.nodes.len()];
    loop {
        let stored = materialize::choose(graph, &forced, fuse);
        let mut groups = group::form(graph, stored, limits, fuse);
        let from = Context { graph, stored: &groups.stored, limits };
        let kernels: Result<Vec<Emitted>, NeedsBuffer> =
            groups.list.iter_mut().map(|group| group.kernel(&from)).collect();
        match kernels.and_then(|kernels| memory::plan(graph, places, &groups, kernels, limits)) {
            Ok(schedule) => return schedule,
            // Index arithmetic or the number of bindings cannot express it: give that value a buffer and plan again. What it is a
            // reshape of has the same numbers, and others may read it, too.
            Err(NeedsBuffer(node)) => {
                let source = materialize::unreshaped(graph, &groups.stored, node);
                let node = if groups.stored[source] { node } else { source };
                assert!(
                    !forced[node],
                    "schedule: node {node} has a buffer and still cannot be read: a defect of anygrad"
                );
                forced[node] = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
