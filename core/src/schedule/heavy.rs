//! Cores: heavy operations with their operands found as strided views, so that transposes and slices are free.

use crate::graph::Graph;
use crate::kernel::{Attention, Conv, Core, Matmul, Operand, Scatter};
use crate::op::Op;
use crate::schedule::emit::{Emitter, NeedsBuffer};
use crate::view::View;

/// The outer axes of the kernel that computes a node of this shape.
pub(crate) fn outer(op: &Op, shape: &[usize]) -> Vec<usize> {
    match *op {
        Op::ScatterAdd(axis) | Op::CumulativeSum(axis) => around(shape, axis),
        Op::Argsort { .. } => {
            let n = shape[shape.len() - 1];
            vec![shape[..shape.len() - 1].iter().product(), n]
        }
        _ => shape.to_vec(),
    }
}

/// `[before, size, after]` of an axis.
fn around(shape: &[usize], axis: usize) -> Vec<usize> {
    vec![shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// The core of a heavy node.
pub(crate) fn core(emitter: &mut Emitter<'_>, node: usize) -> Result<Core, NeedsBuffer> {
    let graph = emitter.from.graph;
    let n = &graph.nodes[node];
    Ok(match &n.op {
        Op::Matmul => {
            let a = operand(emitter, graph, n.inputs[0])?;
            let b = operand(emitter, graph, n.inputs[1])?;
            let rank = n.shape.len();
            let k = graph.nodes[n.inputs[0]].shape[rank - 1];
            let batch = n.shape[..rank - 2].to_vec();
            Core::Matmul(Matmul { batch, m: n.shape[rank - 2], n: n.shape[rank - 1], k, a, b })
        }
        Op::Conv(kind, geometry) => {
            let (a, b) = (emitter.dense(n.inputs[0])?, emitter.dense(n.inputs[1])?);
            Core::Conv(Conv { kind: *kind, a, b, geometry: (**geometry).clone() })
        }
        Op::Attention(kind, geometry) => {
            let operands = n.inputs.iter().map(|&input| operand(emitter, graph, input)).collect::<Result<_, _>>()?;
            let batch = n.shape[..n.shape.len() - 1].to_vec();
            Core::Attention(Attention { kind: *kind, geometry: (**geometry).clone(), batch, operands })
        }
        Op::ScatterAdd(axis) => {
            let space = around(&graph.nodes[n.inputs[0]].shape, *axis);
            let index = emitter.strided(n.inputs[0], &space)?;
            let updates = emitter.strided(n.inputs[1], &space)?;
            Core::Scatter(Scatter { index, updates })
        }
        Op::Argsort { descending } => Core::Argsort { input: emitter.dense(n.inputs[0])?, descending: *descending },
        Op::CumulativeSum(_) => Core::CumulativeSum { input: emitter.dense(n.inputs[0])? },
        _ => return Err(NeedsBuffer(node)),
    })
}

fn operand(emitter: &mut Emitter<'_>, graph: &Graph, node: usize) -> Result<Operand, NeedsBuffer> {
    let (input, View { strides, offset, .. }) = emitter.strided(node, &graph.nodes[node].shape)?;
    let strides: Vec<usize> = strides.into_iter().map(|s| s as usize).collect();
    let rank = strides.len();
    Ok(Operand {
        input,
        offset: offset as usize,
        batch_strides: strides[..rank - 2].to_vec(),
        row_stride: strides[rank - 2],
        column_stride: strides[rank - 1],
    })
}
