//! Kernels that would see a longer stretch of a buffer than the device can bind, cut in two along an outer axis until
//! every part sees no more than it may. Tensors over 128 MiB (on some drivers; 2 GiB on all) are computed so.
//!
//! What has no such cut (a gather from a table that is too long, a sort of one) is left as it is, and the device says so.

use std::borrow::Cow;

use crate::graph::{Graph, Node, Places};
use crate::kernel::{Conv, ConvKind, Core, Inst, Kernel, Reduction};
use crate::op::Op;
use crate::scalar::Binary;
use crate::view::View;

/// The graph with every reduction along the first axis of a tensor longer than `longest` bytes taken in slices of that axis,
/// each by a kernel of its own, for no cut of the result would make what one kernel reads shorter.
pub(crate) fn shortened<'a>(graph: &'a Graph, places: &'a Places, longest: u64) -> (Cow<'a, Graph>, Cow<'a, Places>) {
    if graph.nodes.iter().all(|node| slices_of(graph, node, longest).is_none()) {
        return (Cow::Borrowed(graph), Cow::Borrowed(places));
    }
    let mut new = Graph { externals: graph.externals, ..Graph::default() };
    let (mut moved, mut lines): (Vec<usize>, Vec<_>) = (Vec::new(), Vec::new());
    for (number, old) in graph.nodes.iter().enumerate() {
        let mut node = old.clone();
        node.inputs.iter_mut().for_each(|input| *input = moved[*input]);
        let mut push = |node: Node, stage: u32| {
            new.nodes.push(node);
            new.stages.push(stage);
            lines.push(places.get(number).copied().flatten());
            new.nodes.len() - 1
        };
        let (Some((axis, count)), Op::Reduce(reduction, _)) = (slices_of(graph, old, longest), &node.op) else {
            moved.push(push(node, graph.stage(number)));
            continue;
        };
        let joined = match reduction {
            Reduction::Sum => Binary::Add,
            Reduction::Prod => Binary::Mul,
            Reduction::Max => Binary::Max,
            Reduction::Min => Binary::Min,
        };
        let input = &graph.nodes[old.inputs[0]];
        let size = input.shape[axis];
        let mut total = None;
        for part in 0..count {
            let mut ranges: Vec<(usize, usize)> = input.shape.iter().map(|&size| (0, size)).collect();
            ranges[axis] = (part * size / count, (part + 1) * size / count);
            let shape = ranges.iter().map(|r| r.1 - r.0).collect();
            let slice = Node { op: Op::Slice(ranges), inputs: node.inputs.clone(), shape, dtype: input.dtype };
            // A stage of its own, so that no kernel reads two slices.
            let reduced = Node { inputs: vec![push(slice, 0)], ..node.clone() };
            let reduced = push(reduced, SLICES + part as u32);
            total = Some(match total {
                None => reduced,
                Some(sum) => push(Node { op: Op::Binary(joined), inputs: vec![sum, reduced], ..node.clone() }, 0),
            });
        }
        moved.extend(total);
    }
    new.outputs = graph.outputs.iter().map(|&n| moved[n]).collect();
    new.updates = graph.updates.iter().map(|&(external, n)| (external, moved[n])).collect();
    (Cow::Owned(new), Cow::Owned(lines))
}

/// The axis and the number of slices that a node needs, if it does.
fn slices_of(graph: &Graph, node: &Node, longest: u64) -> Option<(usize, usize)> {
    let Op::Reduce(_, axes) = &node.op else { return None };
    let input = &graph.nodes[node.inputs[0]];
    let bytes = (input.len() * input.dtype.size()) as u64;
    if bytes <= longest {
        return None;
    }
    let axis = input.shape.iter().position(|&size| size > 1).filter(|axis| axes.contains(axis))?;
    // Twice as many as it takes: they are not all of one length, and begin where the device can bind.
    Some((axis, ((2 * bytes).div_ceil(longest.max(1)) as usize).min(input.shape[axis])))
}

/// Stages of slices; recomputation counts from 1.
const SLICES: u32 = 1 << 16;

/// A kernel, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kernel: Kernel,
    /// By how many elements each input begins later than the whole kernel's.
    pub(crate) shifts: Vec<usize>,
}

impl Part {
    /// All of a kernel.
    pub(crate) fn whole(kernel: Kernel) -> Part {
        Part { shifts: vec![0; kernel.inputs.len()], kernel }
    }

    /// Both halves along an outer axis; `None` if the second would begin where the device cannot bind.
    pub(crate) fn halves(&self, axis: usize, alignment: usize) -> Option<[Part; 2]> {
        let size = self.kernel.outer[axis];
        let inputs = 0..self.kernel.inputs.len();
        let each: Vec<usize> = inputs.map(|input| per_example(&self.kernel, input)).collect();
        let fits = |middle: &usize| {
            each.iter()
                .zip(&self.kernel.inputs)
                .all(|(&n, input)| (middle * n * input.dtype.size()).is_multiple_of(alignment))
        };
        let middle = (1..=size / 2).rev().take(TRIES).find(fits)?;
        let half = |start: usize, end: usize| {
            let mut part = Part { kernel: part(&self.kernel, axis, start, end), shifts: self.shifts.clone() };
            for (input, &n) in each.iter().enumerate().filter(|(_, n)| **n > 0) {
                part.shifts[input] += start * n;
                part.kernel.inputs[input].len = (end - start) * n;
            }
            part
        };
        Some([half(0, middle), half(middle, size)])
    }
}

/// So many places near the middle are tried: alignments are at most 256 bytes, 64 numbers.
const TRIES: usize = 64;

/// The axes along which a kernel can be cut, longest first.
pub(crate) fn axes(kernel: &Kernel) -> Vec<usize> {
    let rank = kernel.outer.len();
    let possible = match &kernel.core {
        Core::Map | Core::Matmul(_) => 0..rank,
        Core::Attention(p) => 0..p.batch.len(),
        // Examples of a batch are apart; the weights' gradient sums over them.
        Core::Conv(Conv { kind: ConvKind::Forward | ConvKind::InputGradient, .. }) => 0..1,
        Core::Conv(_) | Core::Scatter(_) | Core::Argsort { .. } | Core::CumulativeSum { .. } => 0..0,
    };
    let mut axes: Vec<usize> = possible.filter(|&axis| kernel.outer[axis] > 1).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(kernel.outer[axis]));
    axes
}

/// The kernel at coordinates `start..end` of an outer axis.
fn part(kernel: &Kernel, axis: usize, start: usize, end: usize) -> Kernel {
    let mut part = kernel.clone();
    part.outer[axis] = end - start;
    let cut = |view: &View| {
        let mut ranges: Vec<(usize, usize)> = view.shape.iter().map(|&size| (0, size)).collect();
        ranges[axis] = (start, end);
        view.slice(&ranges)
    };
    for inst in &mut part.body {
        match inst {
            Inst::Load { layout, .. }
            | Inst::Iota { layout, .. }
            | Inst::Inside { layout }
            | Inst::Random { layout, .. } => *layout = layout.with_first(cut(&layout.views()[0])),
            Inst::Gather { view, .. } => *view = cut(view),
            _ => {}
        }
    }
    for output in &mut part.outputs {
        output.view = cut(&output.view);
    }
    match &mut part.core {
        Core::Matmul(p) => {
            let batch = p.batch.len();
            if axis < batch {
                p.batch[axis] = end - start;
                p.a.offset += start * p.a.batch_strides[axis];
                p.b.offset += start * p.b.batch_strides[axis];
            } else if axis == batch {
                p.m = end - start;
                p.a.offset += start * p.a.row_stride;
            } else {
                p.n = end - start;
                p.b.offset += start * p.b.column_stride;
            }
        }
        Core::Attention(p) => {
            p.batch[axis] = end - start;
            p.operands.iter_mut().for_each(|operand| operand.offset += start * operand.batch_strides[axis]);
        }
        Core::Conv(p) => p.geometry.batch = end - start,
        Core::Map | Core::Scatter(_) | Core::Argsort { .. } | Core::CumulativeSum { .. } => {}
    }
    part
}

/// Elements of each input per example of the batch, for a convolution's first operand; 0 for others, whose views say where
/// they begin.
fn per_example(kernel: &Kernel, input: usize) -> usize {
    match &kernel.core {
        Core::Conv(Conv { kind, a, geometry, .. }) if *a == input => {
            let (channels, sizes) = match kind {
                ConvKind::InputGradient => (geometry.c_out, &geometry.output),
                _ => (geometry.c_in, &geometry.input),
            };
            channels * sizes.iter().product::<usize>()
        }
        _ => 0,
    }
}
