//! Which values get a buffer: results, operands and results of heavy operations, reductions, and values that several
//! others use and that cost more to compute again than to read back.
//!
//! Costs are in units of one addition; they come from rates of the CPU backend (an addition in a tile about 0.1 ns, a
//! polynomial such as exp about 1 ns, one more stream through memory about 0.4 ns per element).

use crate::graph::Graph;
use crate::op::Op;
use crate::scalar::{Binary, Unary};

/// A value that costs more than this and is used more than once is kept.
const DEAR: u32 = 6;
/// A value that reads more buffers than this and is used more than once is kept.
const MANY_LOADS: u32 = 3;
/// A value with more loads than this is cut: kernels see a bounded number of buffers.
const TOO_MANY_LOADS: u32 = 7;
/// An expression dearer than this is cut, so that kernels and the compiler's recursion stay bounded.
const TOO_LONG: u32 = 200;

/// Whether a node's value is computed by a core, not by instructions.
pub(crate) fn is_heavy(op: &Op) -> bool {
    let product = matches!(op, Op::Matmul | Op::Conv(..) | Op::Attention(..));
    product || matches!(op, Op::ScatterAdd(_) | Op::Argsort { .. } | Op::CumulativeSum(_))
}

/// Whether a node's value is a reduction of its input.
pub(crate) fn is_reduction(op: &Op) -> bool {
    matches!(op, Op::Reduce(..) | Op::ArgReduce(..))
}

/// Whether a node has no inputs and is generated where it is used.
pub(crate) fn is_generated(op: &Op) -> bool {
    matches!(op, Op::Constant(_) | Op::Iota)
}

/// The node that a chain of movement operations starts from.
pub(crate) fn base(graph: &Graph, mut node: usize) -> usize {
    while graph.nodes[node].op.is_movement() {
        node = graph.nodes[node].inputs[0];
    }
    node
}

fn cost(op: &Op) -> u32 {
    match op {
        Op::Unary(Unary::Recip | Unary::Sqrt) | Op::Binary(Binary::Div) => 3,
        Op::Unary(Unary::Neg | Unary::Abs | Unary::Not | Unary::IsNan | Unary::Sign) => 1,
        Op::Unary(Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc) => 1,
        Op::Unary(_) => 8,
        Op::Binary(Binary::Pow | Binary::Rem) => 16,
        Op::Random { .. } => 12,
        Op::Gather(_) => 8,
        _ => 1,
    }
}

/// For every node, whether it gets a buffer (or is one: external inputs are `true`).
pub(crate) fn choose(graph: &Graph, forced: &[bool], fuse: bool) -> Vec<bool> {
    let count = graph.nodes.len();
    let live = live(graph);
    let mut uses = vec![0u32; count];
    let mut repeated = vec![false; count];
    let mut stored = forced.to_vec();
    for &node in graph.outputs.iter().chain(graph.updates.iter().map(|(_, node)| node)) {
        stored[node] = true;
    }
    for (number, node) in graph.nodes.iter().enumerate().rev() {
        if !live[number] {
            continue;
        }
        if matches!(node.op, Op::Input(_)) || is_heavy(&node.op) || is_reduction(&node.op) || node.op == Op::Concat {
            stored[number] = true;
        }
        // A movement passes its uses on; one that repeats elements makes its source dear.
        let passes = node.op.is_movement() && !stored[number];
        let repeats = match node.op {
            Op::Expand => node.len() > graph.nodes[node.inputs[0]].len(),
            Op::Windows { size, stride, .. } => size > stride,
            _ => false,
        };
        for &input in &node.inputs {
            uses[input] += if passes { uses[number] } else { 1 };
            repeated[input] |= repeats || (passes && repeated[number]);
        }
        if node.op == Op::Concat {
            // Computed parts are written where they belong, by the kernels of what they are computed from.
            for &input in &node.inputs {
                let part = unreshaped(graph, &stored, input);
                let op = &graph.nodes[part].op;
                stored[part] |= !op.is_movement() && !is_generated(op);
            }
        }
        if is_heavy(&node.op) {
            for &input in &node.inputs {
                let source = base(graph, input);
                if is_generated(&graph.nodes[source].op) {
                    stored[input] = true;
                } else {
                    stored[source] = true;
                }
            }
        }
    }
    // Costs need inputs first, decisions of users were made above.
    let mut weight = vec![0u32; count];
    let mut loads = vec![0u32; count];
    // How many of them are intermediate values, which could be dropped if this one were kept instead.
    let mut between = vec![0u32; count];
    for (number, node) in graph.nodes.iter().enumerate() {
        if !live[number] {
            continue;
        }
        let own = if node.op.is_movement() || is_generated(&node.op) { 0 } else { cost(&node.op) };
        let (mut w, mut l, mut b) = (own, 0, 0);
        for &input in &node.inputs {
            // Also where some core needs it in a buffer.
            if matches!(graph.nodes[input].op, Op::Constant(_)) {
                continue;
            }
            let leaf = matches!(graph.nodes[input].op, Op::Input(_));
            w += if stored[input] { 0 } else { weight[input] };
            l += if stored[input] { 1 } else { loads[input] };
            b += if stored[input] { u32::from(!leaf) } else { between[input] };
        }
        (weight[number], loads[number], between[number]) = (w, l, b);
        if stored[number] || node.op.is_movement() || is_generated(&node.op) {
            continue;
        }
        let shared = uses[number] > 1 && (w > DEAR || l > MANY_LOADS || b > 1);
        let multiplied = repeated[number] && w >= 3;
        stored[number] = shared || multiplied || l > TOO_MANY_LOADS || w > TOO_LONG || !fuse;
    }
    (0..count).for_each(|n| stored[n] &= live[n]);
    stored
}

/// For every node, whether a result needs it.
fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for &node in graph.outputs.iter().chain(graph.updates.iter().map(|(_, node)| node)) {
        live[node] = true;
    }
    for number in (0..graph.nodes.len()).rev() {
        if live[number] {
            graph.nodes[number].inputs.iter().for_each(|&input| live[input] = true);
        }
    }
    live
}

/// The stored or computed node of which this one is a reshape.
pub(crate) fn unreshaped(graph: &Graph, stored: &[bool], mut node: usize) -> usize {
    while !stored[node] && graph.nodes[node].op == Op::Reshape {
        node = graph.nodes[node].inputs[0];
    }
    node
}
