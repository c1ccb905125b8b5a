//! Every invariant of a [`Graph`], checked node by node: run on each graph in debug builds, before it is scheduled.
//!
//! Inputs come before their users; leaves are external buffers, constants and iotas; shapes, types and axes obey the rule of
//! the operation; outputs and updates name nodes that exist. It reads the graph and nothing else.

use crate::dtype::DType;
use crate::graph::{Graph, Node};
use crate::kernel::ConvKind;
use crate::op::{INDEX, Op};
use crate::shape::MAX_RANK;
use crate::view::window_count;

/// Checks a graph.
///
/// # Errors
/// The first node that breaks an invariant, and which, in words.
pub fn verify(graph: &Graph) -> Result<(), String> {
    for (number, node) in graph.nodes.iter().enumerate() {
        let fail = |message: String| Err(format!("node {number} ({}): {message}", node.op.name()));
        if let Some(input) = node.inputs.iter().find(|&&i| i >= number) {
            return fail(format!("input {input} does not come before it"));
        }
        if node.shape.len() > MAX_RANK {
            return fail(format!("{:?} has more than {MAX_RANK} axes", node.shape));
        }
        if let Op::Input(k) = node.op
            && k >= graph.externals
        {
            return fail(format!("external buffer {k} of {}", graph.externals));
        }
        let inputs: Vec<&Node> = node.inputs.iter().map(|&i| &graph.nodes[i]).collect();
        if let Err(message) = arity(&node.op, inputs.len()).and_then(|()| rule(node, &inputs)) {
            return fail(message);
        }
    }
    let count = graph.nodes.len();
    if let Some(output) = graph.outputs.iter().find(|&&i| i >= count) {
        return Err(format!("output {output} is not one of the {count} nodes"));
    }
    for &(external, value) in &graph.updates {
        if external >= graph.externals || value >= count {
            let of = graph.externals;
            return Err(format!("update of external {external} of {of} by node {value} of {count}"));
        }
    }
    Ok(())
}

fn arity(op: &Op, found: usize) -> Result<(), String> {
    let expected = match op {
        Op::Input(_) | Op::Constant(_) | Op::Iota => 0,
        Op::Argument(_) | Op::State(_) | Op::Detach | Op::Rule(_) => {
            return Err("is replaced or dropped when a graph is listed and must not be in one".into());
        }
        Op::Concat if found > 0 => found,
        Op::Concat | Op::Random { .. } | Op::Unary(_) | Op::Cast | Op::Bitcast | Op::Reshape | Op::Permute(_) => 1,
        Op::Expand | Op::Slice(_) | Op::Pad { .. } | Op::Flip(_) | Op::Windows { .. } | Op::Reduce(..) => 1,
        Op::ArgReduce(..) | Op::CumulativeSum(_) | Op::Argsort { .. } => 1,
        Op::Binary(_) | Op::Gather(_) | Op::ScatterAdd(_) | Op::Matmul | Op::Conv(..) => 2,
        Op::Select => 3,
        Op::Attention(kind, geometry) => geometry.operands(*kind).len(),
    };
    check(found == expected, || format!("{found} inputs, not {expected}"))
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    check(found == expected, || format!("{what} {found:?}, not {expected:?}"))
}

/// Rising, different, smaller than `rank`.
fn rising(axes: &[usize], rank: usize) -> Result<(), String> {
    let fits = axes.iter().all(|&a| a < rank) && axes.windows(2).all(|pair| pair[0] < pair[1]);
    check(fits, || format!("axes {axes:?} are not rising numbers below {rank}"))
}

/// `shape` without `axes`.
fn without(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect()
}

/// The shape and type that the operation gives for these inputs.
fn rule(node: &Node, inputs: &[&Node]) -> Result<(), String> {
    let shape = |k: usize| inputs[k].shape.clone();
    let dtype = |k: usize| inputs[k].dtype;
    let axis_of = |axis: usize, k: usize| rising(&[axis], inputs[k].shape.len());
    let mut expected = node.shape.clone();
    let mut expected_dtype = inputs.first().map_or(node.dtype, |x| x.dtype);
    match &node.op {
        Op::Input(_) | Op::Argument(_) | Op::State(_) | Op::Detach | Op::Rule(_) => {}
        Op::Constant(value) => {
            let fits = value.0.is_nan() || node.dtype.round(value.0) == value.0;
            check(fits, || format!("{} cannot be held by {}", value.0, node.dtype))?;
        }
        Op::Iota => check(node.dtype.is_int(), || format!("{} is no integer", node.dtype))?,
        Op::Random { .. } => {
            same("state", (shape(0), dtype(0)), (vec![4], DType::U32))?;
            expected_dtype = DType::U32;
        }
        Op::Unary(op) => {
            check(op.takes(dtype(0)), || format!("does not take {}", dtype(0)))?;
            (expected, expected_dtype) = (shape(0), op.result(dtype(0)));
        }
        Op::Binary(op) => {
            check(op.takes(dtype(0)), || format!("does not take {}", dtype(0)))?;
            same("right side", (shape(1), dtype(1)), (shape(0), dtype(0)))?;
            (expected, expected_dtype) = (shape(0), op.result(dtype(0)));
        }
        Op::Select => {
            same("condition", (shape(0), dtype(0)), (shape(1), DType::Bool))?;
            same("otherwise", (shape(2), dtype(2)), (shape(1), dtype(1)))?;
            (expected, expected_dtype) = (shape(1), dtype(1));
        }
        Op::Cast => (expected, expected_dtype) = (shape(0), node.dtype),
        Op::Bitcast => {
            let fits = |t| matches!(t, DType::F32 | DType::I32 | DType::U32);
            check(fits(dtype(0)) && fits(node.dtype), || format!("{} to {}", dtype(0), node.dtype))?;
            (expected, expected_dtype) = (shape(0), node.dtype);
        }
        Op::Reshape => same("elements", node.len(), inputs[0].len())?,
        Op::Permute(axes) => {
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            same("axes", sorted, (0..inputs[0].shape.len()).collect())?;
            expected = axes.iter().map(|&a| shape(0)[a]).collect();
        }
        Op::Expand => {
            let fits =
                node.shape.len() == shape(0).len() && node.shape.iter().zip(shape(0)).all(|(&n, x)| x == n || x == 1);
            check(fits, || format!("{:?} cannot be repeated to {:?}", shape(0), node.shape))?;
        }
        Op::Slice(ranges) => {
            same("ranges", ranges.len(), shape(0).len())?;
            let fits = ranges.iter().zip(shape(0)).all(|(r, size)| r.0 <= r.1 && r.1 <= size);
            check(fits, || format!("{ranges:?} does not fit {:?}", shape(0)))?;
            expected = ranges.iter().map(|r| r.1 - r.0).collect();
        }
        Op::Pad { padding, .. } => {
            same("paddings", padding.len(), shape(0).len())?;
            expected = shape(0).iter().zip(padding).map(|(size, p)| size + p.0 + p.1).collect();
        }
        Op::Flip(axes) => {
            rising(axes, shape(0).len())?;
            expected = shape(0);
        }
        Op::Windows { axis, size, stride, dilation } => {
            axis_of(*axis, 0)?;
            check(*size > 0 && *stride > 0 && *dilation > 0, || "size, stride and dilation must be positive".into())?;
            expected = shape(0);
            expected[*axis] = window_count(expected[*axis], *size, *stride, *dilation);
            expected.push(*size);
        }
        Op::Concat => {
            check(!shape(0).is_empty(), || "there is no axis 0".into())?;
            for part in inputs {
                same("part", (&part.shape[1..], part.dtype), (&shape(0)[1..], dtype(0)))?;
            }
            expected = shape(0);
            expected[0] = inputs.iter().map(|part| part.shape[0]).sum();
        }
        Op::Reduce(_, axes) => {
            rising(axes, shape(0).len())?;
            check(dtype(0) != DType::Bool, || "does not take bool".into())?;
            expected = without(&shape(0), axes);
        }
        Op::ArgReduce(_, axis) => {
            axis_of(*axis, 0)?;
            check(shape(0)[*axis] > 0, || format!("axis {axis} of {:?} is empty", shape(0)))?;
            (expected, expected_dtype) = (without(&shape(0), &[*axis]), INDEX);
        }
        Op::CumulativeSum(axis) => {
            axis_of(*axis, 0)?;
            expected = shape(0);
        }
        Op::Gather(axis) => {
            axis_of(*axis, 0)?;
            check(dtype(1).is_int(), || format!("indices are {}", dtype(1)))?;
            expected = shape(1);
            same("indices", without(&shape(1), &[*axis]), without(&shape(0), &[*axis]))?;
            same("rank", shape(1).len(), shape(0).len())?;
        }
        Op::ScatterAdd(axis) => {
            axis_of(*axis, 1)?;
            check(dtype(0).is_int(), || format!("indices are {}", dtype(0)))?;
            same("indices", shape(0), shape(1))?;
            same("rank", node.shape.len(), shape(1).len())?;
            expected = shape(1);
            expected[*axis] = node.shape[*axis];
            expected_dtype = dtype(1);
        }
        Op::Argsort { .. } => {
            check(!shape(0).is_empty(), || "there is no axis to sort".into())?;
            (expected, expected_dtype) = (shape(0), INDEX);
        }
        Op::Matmul => {
            let (a, b, rank) = (shape(0), shape(1), inputs[0].shape.len());
            check(rank >= 2 && b.len() == rank && dtype(0).is_float(), || format!("{a:?} x {b:?} of {}", dtype(0)))?;
            same("right side", (&b[..rank - 2], b[rank - 2], dtype(1)), (&a[..rank - 2], a[rank - 1], dtype(0)))?;
            expected = a;
            expected[rank - 1] = b[rank - 1];
        }
        Op::Conv(kind, g) => {
            let (first, second) = match kind {
                ConvKind::Forward => (g.x_shape(), g.w_shape()),
                ConvKind::InputGradient => (g.y_shape(), g.w_shape()),
                ConvKind::WeightGradient => (g.x_shape(), g.y_shape()),
            };
            let divides = g.groups > 0 && g.c_in % g.groups == 0 && g.c_out % g.groups == 0;
            check(divides && dtype(0).is_float(), || format!("{} groups, {}", g.groups, dtype(0)))?;
            same("first", (shape(0), dtype(0)), (first, dtype(0)))?;
            same("second", (shape(1), dtype(1)), (second, dtype(0)))?;
            expected = g.result(*kind);
        }
        Op::Attention(kind, g) => {
            let batch = &node.shape[..node.shape.len().saturating_sub(1)];
            check(matches!(dtype(0), DType::F32 | DType::F64), || format!("does not take {}", dtype(0)))?;
            check(g.keys > 0, || "there is no key".into())?;
            for (k, size) in g.operands(*kind).into_iter().enumerate() {
                same("operand", (shape(k), dtype(k)), ([batch, &size[..]].concat(), dtype(0)))?;
            }
            expected = [batch, &[g.length(*kind)]].concat();
        }
    }
    same("shape", &node.shape, &expected)?;
    same("type", node.dtype, expected_dtype)
}
