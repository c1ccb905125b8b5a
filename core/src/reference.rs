//! The meaning of every primitive: an interpreter of graphs in f64, slow and obvious, against which everything else is held.
//!
//! Integers and bools are exact, with the wrap-around of their type. Floats are f64 throughout: a cast between floats
//! changes nothing here, so that the distance of a backend's result is the rounding of that backend alone. Devices are only
//! touched to read leaves that hold numbers already ([`values`]).

mod heavy;
mod index;
mod movement;

pub(crate) use heavy::attention;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::{External, Graph, Node, linearize};
use crate::kernel::Reduction;
use crate::op::Op;
use crate::scalar::{Binary, philox};
use crate::tensor::Tensor;

/// What a graph gives: its outputs, and for each update the external buffer's number and its new numbers.
pub type Evaluated = (Vec<Vec<f64>>, Vec<(usize, Vec<f64>)>);

/// The values of a graph's outputs and updates for the given external buffers (row-major, one per `graph.externals`).
///
/// # Panics
/// If the graph breaks an invariant ([`crate::verify::verify`]) or an external buffer has the wrong length.
#[must_use]
pub fn evaluate(graph: &Graph, externals: &[Vec<f64>]) -> Evaluated {
    let mut values: Vec<Vec<f64>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<(&Node, &[f64])> = node.inputs.iter().map(|&i| (&graph.nodes[i], &values[i][..])).collect();
        let value = if let Op::Input(k) = node.op { externals[k].clone() } else { primitive(node, &inputs) };
        assert_eq!(value.len(), node.len(), "{}: wrong number of elements", node.op.name());
        values.push(value);
    }
    let outputs = graph.outputs.iter().map(|&i| values[i].clone()).collect();
    (outputs, graph.updates.iter().map(|&(external, i)| (external, values[i].clone())).collect())
}

/// The values of tensors, computed here and not on their device; leaves that hold numbers are read from it.
///
/// # Errors
/// If a leaf cannot be read, or is an argument of a program that is being traced.
pub fn values(tensors: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    values_with(tensors, &[])
}

/// As [`values`], with other numbers in some leaves: exact f64, for central differences.
///
/// # Errors
/// As [`values`].
pub fn values_with(tensors: &[Tensor], leaves: &[(Tensor, Vec<f64>)]) -> Result<Vec<Vec<f64>>> {
    let linear = linearize(tensors, &[], None);
    let mut externals = Vec::with_capacity(linear.externals.len());
    for external in &linear.externals {
        externals.push(match external {
            External::Data(tensor) => match leaves.iter().find(|(leaf, _)| leaf.0.id == tensor.0.id) {
                Some((_, numbers)) => numbers.clone(),
                None => read(tensor)?,
            },
            External::State(storage) => {
                let mut bytes = vec![0; (storage.len() * storage.dtype().size()).next_multiple_of(4)];
                storage.device().backend().read(&storage.buffer(), 0, &mut bytes)?;
                widen(storage.dtype(), &bytes, storage.len())
            }
            External::Argument(k) => {
                return Err(Error::Program(format!("argument {k} has no numbers while the program is traced")));
            }
        });
    }
    Ok(evaluate(&linear.graph, &externals).0)
}

/// The numbers that a tensor already holds.
fn read(tensor: &Tensor) -> Result<Vec<f64>> {
    let mut bytes = vec![0; (tensor.len() * tensor.dtype().size()).next_multiple_of(4)];
    if let Some(buffer) = tensor.0.data.get()
        && !tensor.is_empty()
    {
        tensor.device().backend().read(buffer, 0, &mut bytes)?;
    }
    Ok(widen(tensor.dtype(), &bytes, tensor.len()))
}

/// Stored bytes as f64.
fn widen(dtype: DType, bytes: &[u8], len: usize) -> Vec<f64> {
    fn wide<T: Element>(bytes: &[u8]) -> Vec<f64> {
        T::load(bytes).into_iter().map(T::to_f64).collect()
    }
    let bytes = &bytes[..len * dtype.size()];
    match dtype {
        DType::F32 => wide::<f32>(bytes),
        DType::F16 => wide::<half::f16>(bytes),
        DType::F64 => wide::<f64>(bytes),
        DType::I32 => wide::<i32>(bytes),
        DType::U32 => wide::<u32>(bytes),
        DType::Bool => wide::<bool>(bytes),
    }
}

/// One operation.
fn primitive(node: &Node, inputs: &[(&Node, &[f64])]) -> Vec<f64> {
    let shape = |k: usize| inputs[k].0.shape.as_slice();
    let x = |k: usize| inputs[k].1;
    let dtype = || inputs[0].0.dtype;
    match &node.op {
        Op::Input(_) | Op::Argument(_) | Op::State(_) => unreachable!("leaves have no meaning of their own"),
        Op::Constant(value) => vec![value.0; node.len()],
        Op::Iota => (0..node.len()).map(|i| i as f64).collect(),
        Op::Random { stream } => random(x(0), *stream, node.len()),
        Op::Unary(op) => x(0).iter().map(|&v| op.apply(dtype(), v)).collect(),
        Op::Binary(op) => x(0).iter().zip(x(1)).map(|(&a, &b)| op.apply(dtype(), a, b)).collect(),
        Op::Select => {
            let pick = |i: usize| if x(0)[i] != 0.0 { x(1)[i] } else { x(2)[i] };
            (0..node.len()).map(pick).collect()
        }
        Op::Cast => x(0).iter().map(|&v| if node.dtype.is_float() { v } else { dtype().cast(node.dtype, v) }).collect(),
        Op::Bitcast => x(0).iter().map(|&v| from_bits(node.dtype, to_bits(dtype(), v))).collect(),
        Op::Reshape | Op::Detach | Op::Rule(_) => x(0).to_vec(),
        Op::Permute(axes) => movement::permute(x(0), shape(0), axes),
        Op::Expand => movement::expand(x(0), shape(0), &node.shape),
        Op::Slice(ranges) => movement::slice(x(0), shape(0), ranges),
        Op::Pad { padding, value } => movement::pad(x(0), shape(0), padding, value.0),
        Op::Flip(axes) => movement::flip(x(0), shape(0), axes),
        Op::Windows { axis, stride, dilation, .. } => {
            movement::windows(x(0), shape(0), &node.shape, *axis, *stride, *dilation)
        }
        Op::Concat => inputs.iter().flat_map(|(_, x)| x.iter().copied()).collect(),
        Op::Reduce(op, axes) => reduce(*op, x(0), shape(0), axes, dtype()),
        Op::ArgReduce(op, axis) => index::arg_reduce(*op, x(0), shape(0), *axis),
        Op::CumulativeSum(axis) => index::cumulative_sum(x(0), shape(0), *axis, dtype()),
        Op::Gather(axis) => index::gather(x(0), shape(0), x(1), shape(1), *axis, node.dtype),
        Op::ScatterAdd(axis) => index::scatter_add(x(0), x(1), shape(0), *axis, node),
        Op::Argsort { descending } => index::argsort(x(0), shape(0), *descending),
        Op::Matmul => heavy::matmul(x(0), shape(0), x(1), shape(1)),
        Op::Conv(kind, geometry) => heavy::conv(*kind, geometry, x(0), x(1)),
        Op::Attention(kind, geometry) => {
            let batch = node.shape[..node.shape.len() - 1].iter().product();
            let mut out = Vec::with_capacity(node.len());
            for z in 0..batch {
                let matrices: Vec<&[f64]> =
                    inputs.iter().map(|(_, x)| &x[z * (x.len() / batch)..][..x.len() / batch]).collect();
                attention(*kind, geometry, &matrices, &mut out);
            }
            out
        }
    }
}

/// See [`crate::kernel::Inst::Random`].
fn random(state: &[f64], stream: u32, len: usize) -> Vec<f64> {
    let word = |k: usize| state[k] as u32;
    let draw = |e: usize| philox([(e / 4) as u32, stream, word(2), word(3)], [word(0), word(1)])[e % 4];
    (0..len).map(|e| f64::from(draw(e))).collect()
}

fn to_bits(dtype: DType, x: f64) -> u32 {
    match dtype {
        DType::I32 => x as i32 as u32,
        DType::U32 => x as u32,
        _ => (x as f32).to_bits(),
    }
}

fn from_bits(dtype: DType, bits: u32) -> f64 {
    match dtype {
        DType::I32 => f64::from(bits as i32),
        DType::U32 => f64::from(bits),
        _ => f64::from(f32::from_bits(bits)),
    }
}

/// The value of a reduction of nothing.
fn neutral(op: Reduction, dtype: DType) -> f64 {
    match op {
        Reduction::Sum => 0.0,
        Reduction::Prod => 1.0,
        Reduction::Max if dtype.is_float() => f64::NEG_INFINITY,
        Reduction::Min if dtype.is_float() => f64::INFINITY,
        Reduction::Max => dtype.round(f64::NEG_INFINITY),
        Reduction::Min => dtype.round(f64::INFINITY),
    }
}

fn reduce(op: Reduction, x: &[f64], shape: &[usize], axes: &[usize], dtype: DType) -> Vec<f64> {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let kept_shape: Vec<usize> = kept.iter().map(|&a| shape[a]).collect();
    let mut out = vec![neutral(op, dtype); kept_shape.iter().product()];
    let join = match op {
        Reduction::Sum => Binary::Add,
        Reduction::Prod => Binary::Mul,
        Reduction::Max => Binary::Max,
        Reduction::Min => Binary::Min,
    };
    for (value, point) in x.iter().zip(movement::points(shape)) {
        let target: Vec<usize> = kept.iter().map(|&a| point[a]).collect();
        let slot = &mut out[movement::number(&kept_shape, &target)];
        *slot = join.apply(dtype, *slot, *value);
    }
    out
}
