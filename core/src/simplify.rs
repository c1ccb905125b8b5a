//! Simplification while a graph is built: equal operations are merged, constants folded, identities dropped.
//!
//! Invariant: every rule keeps each value bit for bit but for the sign of zero, also for NaN and infinities; so
//! `x * 0` stays. Rules look at one node and its inputs only, so building stays linear.

use std::panic::Location;

use crate::dtype::Scalar;
use crate::graph::Node;
use crate::hash::{Map, hash};
use crate::op::Op;
use crate::scalar::{Binary, Unary};
use crate::view::{Layout, View};

/// A list of nodes that merges what is equal.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    nodes: Vec<Node>,
    places: Vec<Option<&'static Location<'static>>>,
    /// Numbers of nodes by their hash. Of two with one hash the first is known: the other is only not merged with its equals.
    known: Map<u64, usize>,
}

impl Builder {
    /// The number of a node with this meaning, new or known.
    pub(crate) fn push(&mut self, mut node: Node, place: Option<&'static Location<'static>>) -> usize {
        if let Some(same) = self.same_as_input(&node) {
            return same;
        }
        if let Some(value) = self.folded(&node) {
            node.op = Op::Constant(Scalar(node.dtype.round(value)));
            node.inputs.clear();
        }
        if let Op::Reduce(_, axes) = &node.op
            && axes.iter().all(|&axis| self.nodes[node.inputs[0]].shape[axis] == 1)
        {
            node.op = Op::Reshape;
            return self.push(node, place);
        }
        if matches!(node.op, Op::Reshape)
            && let inner = &self.nodes[node.inputs[0]]
            && inner.op == Op::Reshape
        {
            node.inputs = inner.inputs.clone();
            return self.push(node, place);
        }
        if let Op::Permute(axes) = &node.op {
            let inner = &self.nodes[node.inputs[0]];
            match &inner.op {
                Op::Permute(first) => {
                    node.op = Op::Permute(axes.iter().map(|&a| first[a]).collect());
                    node.inputs = inner.inputs.clone();
                    return self.push(node, place);
                }
                Op::Matmul if swaps_matrix(axes) => return self.transposed_matmul(node, place),
                _ => {}
            }
        }
        if node.op == Op::Concat
            && let Some((whole, sorted, axes)) = self.joined(&node)
        {
            let dtype = node.dtype;
            let shape = axes.iter().map(|&a| sorted[a]).collect();
            let whole = self.push(Node { op: Op::Reshape, inputs: vec![whole], shape: sorted, dtype }, place);
            let moved = self.push(Node { op: Op::Permute(axes), inputs: vec![whole], shape, dtype }, place);
            return self.push(Node { op: Op::Reshape, inputs: vec![moved], ..node }, place);
        }
        let number = self.nodes.len();
        let known = *self.known.entry(hash(&node)).or_insert(number);
        if known < number && self.nodes[known] == node {
            return known;
        }
        self.nodes.push(node);
        self.places.push(place);
        number
    }

    /// `(a b)^T = b^T a^T`: the operands' strides are swapped instead of the product being copied.
    fn transposed_matmul(&mut self, node: Node, place: Option<&'static Location<'static>>) -> usize {
        let Op::Permute(axes) = node.op else { return node.inputs[0] };
        let swapped = |builder: &mut Builder, input: usize| {
            let x = &builder.nodes[input];
            let shape = axes.iter().map(|&a| x.shape[a]).collect();
            let swap = Node { op: Op::Permute(axes.clone()), inputs: vec![input], shape, dtype: x.dtype };
            builder.push(swap, place)
        };
        let [a, b] = self.nodes[node.inputs[0]].inputs[..] else { return node.inputs[0] };
        let inputs = vec![swapped(self, b), swapped(self, a)];
        self.push(Node { op: Op::Matmul, inputs, shape: node.shape, dtype: node.dtype }, place)
    }

    /// What a concatenation is if its parts are one value's, evenly apart and all of it (gradients of attention, by heads): that value
    /// in this shape, with these axes. Nothing is copied then.
    fn joined(&self, node: &Node) -> Option<(usize, Vec<usize>, Vec<usize>)> {
        let (whole, first) = self.part_of(node.inputs[0])?;
        let mut step = None;
        for (k, &part) in node.inputs.iter().enumerate().skip(1) {
            let (of, view) = self.part_of(part)?;
            let apart = view.offset.checked_sub(first.offset)?;
            let step = *step.get_or_insert(apart);
            if of != whole || view.shape != first.shape || view.strides != first.strides || apart != k as isize * step {
                return None;
            }
        }
        let shape = [&[node.inputs.len()], &first.shape[..]].concat();
        let strides = [&[step?], &first.strides[..]].concat();
        let mut sorted: Vec<usize> = (0..shape.len()).collect();
        sorted.sort_by_key(|&a| std::cmp::Reverse(strides[a]));
        let mut axes = vec![0; shape.len()];
        sorted.iter().enumerate().for_each(|(place, &axis)| axes[axis] = place);
        let view = View { shape, strides, offset: first.offset, mask: None }.permute(&sorted);
        (view.is_contiguous() && view.len() == self.nodes[whole].len()).then_some((whole, view.shape, axes))
    }

    /// The value that a node is a part of, in another order of axes perhaps, and where in it.
    fn part_of(&self, node: usize) -> Option<(usize, View)> {
        let mut at = node;
        let mut layout = Layout::contiguous(&self.nodes[node].shape);
        loop {
            let x = &self.nodes[at];
            let input = || View::contiguous(&self.nodes[x.inputs[0]].shape);
            layout = match &x.op {
                Op::Reshape => layout,
                Op::Permute(axes) => layout.then_view(&input().permute(axes)),
                Op::Slice(ranges) => layout.then_view(&input().slice(ranges)),
                _ => return Some((at, layout.split()?)).filter(|(_, view)| view.mask.is_none()),
            };
            at = x.inputs[0];
        }
    }

    /// Number of nodes so far.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes and where they came from.
    pub(crate) fn finish(self) -> (Vec<Node>, Vec<Option<&'static Location<'static>>>) {
        (self.nodes, self.places)
    }

    fn constant(&self, number: usize) -> Option<f64> {
        if let Op::Constant(Scalar(value)) = self.nodes[number].op { Some(value) } else { None }
    }

    /// The input that the node equals, if it does nothing.
    fn same_as_input(&self, node: &Node) -> Option<usize> {
        let input = *node.inputs.first()?;
        let x = &self.nodes[input];
        let equal_shape = x.shape == node.shape && x.dtype == node.dtype;
        match &node.op {
            Op::Detach | Op::Rule(_) => Some(input),
            Op::Reshape | Op::Expand | Op::Cast | Op::Bitcast | Op::Slice(_) if equal_shape => Some(input),
            Op::Permute(axes) if axes.iter().enumerate().all(|(i, &a)| i == a) => Some(input),
            Op::Concat if node.inputs.len() == 1 => Some(input),
            Op::Unary(Unary::Neg | Unary::Not) if x.op == node.op => Some(x.inputs[0]),
            Op::Binary(op) => {
                let (left, right) = (self.constant(node.inputs[0]), self.constant(node.inputs[1]));
                match (op, left, right) {
                    (Binary::Mul | Binary::Div, _, Some(1.0)) | (Binary::Add | Binary::Sub, _, Some(0.0)) => {
                        Some(input)
                    }
                    (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => Some(node.inputs[1]),
                    _ => None,
                }
            }
            Op::Select => match self.constant(input) {
                Some(condition) => Some(node.inputs[if condition != 0.0 { 1 } else { 2 }]),
                None if node.inputs[1] == node.inputs[2] => Some(node.inputs[1]),
                None => None,
            },
            _ => None,
        }
    }

    /// The number that the node has everywhere, if its inputs are constants.
    fn folded(&self, node: &Node) -> Option<f64> {
        let x = self.constant(*node.inputs.first()?)?;
        let dtype = self.nodes[node.inputs[0]].dtype;
        match &node.op {
            op if op.is_movement() => Some(x),
            Op::Pad { value, .. } if value.0 == x => Some(x),
            Op::Cast => Some(dtype.cast(node.dtype, x)),
            Op::Unary(op) => Some(op.apply(dtype, x)),
            Op::Binary(op) => Some(op.apply(dtype, x, self.constant(node.inputs[1])?)),
            _ => None,
        }
    }
}

/// Whether a permutation only exchanges the last two axes.
fn swaps_matrix(axes: &[usize]) -> bool {
    let rank = axes.len();
    rank >= 2 && axes[rank - 2] == rank - 1 && axes[..rank - 2].iter().enumerate().all(|(i, &a)| i == a)
}
