//! The gradient of every primitive: a node and its incoming gradient give the gradients of its inputs, as new nodes.
//!
//! Speed depends on what is built here, so constants are folded on the way (a loss's gradient begins as a constant 1),
//! and a matrix that was repeated over a batch gets its sum from one larger product.

use crate::dtype::DType;
use crate::hash::Set;
use crate::kernel::{ConvKind, Extremum, Reduction};
use crate::op::Op;
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;

use super::maps::{self, constant};

type Ranges = Vec<(usize, usize)>;

/// Inputs of `node` (or an input's input) with what `dy` contributes to their gradients. `targets` must not be skipped.
#[track_caller]
pub(super) fn inputs(node: &Tensor, dy: &Tensor, wants: &[bool], targets: &Set<u64>) -> Vec<(Tensor, Tensor)> {
    let input = |k: usize| &node.0.inputs[k];
    let one = |gradient: Tensor| vec![(input(0).clone(), gradient)];
    let both = |gradients: [Option<Tensor>; 2]| {
        let kept = gradients.into_iter().enumerate().filter(|(k, _)| wants[*k]);
        kept.filter_map(|(k, g)| g.map(|g| (input(k).clone(), g))).collect()
    };
    match &node.0.op {
        // Leaves, and operations whose result or input is no float: `passes` keeps them away.
        Op::Input(_) | Op::Argument(_) | Op::State(_) | Op::Constant(_) | Op::Iota | Op::Random { .. } => Vec::new(),
        Op::ArgReduce(..) | Op::Argsort { .. } | Op::Detach => Vec::new(),
        Op::Rule(rule) => {
            let gradients = (rule.gradient)(dy, node);
            node.0.inputs[1..]
                .iter()
                .cloned()
                .zip(gradients)
                .zip(&wants[1..])
                .filter(|(_, w)| **w)
                .map(|(g, _)| g)
                .collect()
        }
        Op::Unary(op) => one(maps::unary(*op, input(0), node, dy)),
        Op::Binary(op) => both(maps::binary(*op, [input(0), input(1), node, dy], wants)),
        Op::Select => {
            let zero = dy.full_like(0.0);
            let mut gradients = Vec::new();
            if wants[1] {
                gradients.push((input(1).clone(), input(0).choose(dy, &zero)));
            }
            if wants[2] {
                gradients.push((input(2).clone(), input(0).choose(&zero, dy)));
            }
            gradients
        }
        Op::Cast => one(dy.cast(input(0).dtype())),
        Op::Bitcast => one(dy.clone()),
        Op::Reshape => one(reshape(dy, input(0).shape())),
        Op::Permute(axes) => one(permute(dy, &inverse(axes))),
        Op::Expand => {
            let shape = input(0).shape();
            let axes: Vec<usize> = (0..shape.len()).filter(|&a| shape[a] != node.shape()[a]).collect();
            one(reshape(&sum(dy, &axes), shape))
        }
        Op::Slice(ranges) => one(unslice(input(0).shape(), ranges, dy)),
        Op::Pad { padding, .. } => {
            let size = input(0).shape();
            let ranges: Ranges = padding.iter().zip(size).map(|(p, s)| (p.0, p.0 + s)).collect();
            one(dy.slice_to(&ranges))
        }
        Op::Flip(axes) => one(flip(dy, axes)),
        Op::Windows { axis, size, stride, dilation } => one(fold(dy, input(0), *axis, *size, *stride, *dilation)),
        Op::Concat => {
            let (mut start, mut gradients) = (0, Vec::new());
            for (k, part) in node.0.inputs.iter().enumerate() {
                let mut ranges: Ranges = node.shape().iter().map(|&s| (0, s)).collect();
                ranges[0] = (start, start + part.shape()[0]);
                start = ranges[0].1;
                if wants[k] {
                    gradients.push((part.clone(), dy.slice_to(&ranges)));
                }
            }
            gradients
        }
        Op::Reduce(op, axes) => one(reduction(*op, axes, input(0), node, dy)),
        Op::CumulativeSum(axis) => {
            let total = flip(dy, &[*axis]).cumsum(*axis as isize);
            one(flip(&total, &[*axis]))
        }
        // One index per row: the gradient is where the number is the index, which fuses, instead of a scatter.
        Op::Gather(axis) if input(1).shape()[*axis] == 1 => {
            let mut along = vec![1; node.rank()];
            along[*axis] = input(0).shape()[*axis];
            let numbers = Tensor::iota(&along, dy.device());
            let picked = numbers.binary(Binary::Equal, &input(1).cast(DType::I32));
            one(picked.choose(dy, &dy.full_like(0.0)))
        }
        Op::Gather(axis) => one(dy.scatter_sum(*axis as isize, input(1), input(0).shape()[*axis])),
        Op::ScatterAdd(axis) => {
            // An update outside of the axis was dropped, so its gradient is 0; as u32, negative numbers are outside too.
            let index = if input(0).dtype() == DType::I32 { input(0).bitcast(DType::U32) } else { input(0).clone() };
            let inside = index.binary(Binary::Less, &index.full_like(node.shape()[*axis] as f64));
            let gathered = dy.gather(*axis as isize, input(0));
            vec![(input(1).clone(), inside.choose(&gathered, &gathered.full_like(0.0)))]
        }
        Op::Matmul => matmul(input(0), input(1), dy, wants, targets),
        Op::Conv(kind, geometry) => {
            use ConvKind::{Forward, InputGradient, WeightGradient};
            let (a, b) = (input(0), input(1));
            let (mut da, mut db) = (None, None);
            if wants[0] {
                da = Some(match kind {
                    Forward => dy.convolve(b, InputGradient, (**geometry).clone()),
                    InputGradient => dy.convolve(b, Forward, (**geometry).clone()),
                    WeightGradient => b.convolve(dy, InputGradient, (**geometry).clone()),
                });
            }
            if wants[1] {
                db = Some(match kind {
                    Forward => a.convolve(dy, WeightGradient, (**geometry).clone()),
                    InputGradient => dy.convolve(a, WeightGradient, (**geometry).clone()),
                    WeightGradient => a.convolve(dy, Forward, (**geometry).clone()),
                });
            }
            both([da, db])
        }
        Op::Attention(kind, geometry) => {
            let gradients = Tensor::attention_gradients(node, *kind, geometry, dy);
            let all = node.0.inputs.iter().cloned().zip(gradients).zip(wants);
            all.filter(|(_, wanted)| **wanted).map(|(pair, _)| pair).collect()
        }
    }
}

/// `a * b`, seeing constants.
#[track_caller]
pub(super) fn mul(a: &Tensor, b: &Tensor) -> Tensor {
    match (constant(a), constant(b)) {
        (Some(1.0), _) => b.clone(),
        (_, Some(1.0)) => a.clone(),
        (Some(x), Some(y)) => a.full_like(x * y),
        _ => a.binary(Binary::Mul, b),
    }
}

/// `-a`, seeing constants and double negation.
#[track_caller]
pub(super) fn neg(a: &Tensor) -> Tensor {
    match (constant(a), &a.0.op) {
        (Some(x), _) => a.full_like(-x),
        (None, Op::Unary(Unary::Neg)) => a.0.inputs[0].clone(),
        _ => a.unary(Unary::Neg),
    }
}

/// `a + b`, seeing zeros.
#[track_caller]
pub(super) fn add(a: &Tensor, b: &Tensor) -> Tensor {
    match (constant(a), constant(b)) {
        (Some(0.0), _) => b.clone(),
        (_, Some(0.0)) => a.clone(),
        _ => a.binary(Binary::Add, b),
    }
}

#[track_caller]
fn reshape(t: &Tensor, shape: &[usize]) -> Tensor {
    match (constant(t), &t.0.op) {
        (Some(value), _) => Tensor::full(shape, value, t.dtype(), t.device()),
        (None, Op::Reshape) => t.0.inputs[0].reshape_to(shape),
        _ => t.reshape_to(shape),
    }
}

fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (i, &axis) in axes.iter().enumerate() {
        inverse[axis] = i;
    }
    inverse
}

#[track_caller]
fn permute(t: &Tensor, axes: &[usize]) -> Tensor {
    let Some(value) = constant(t) else { return t.permute_to(axes) };
    let shape: Vec<usize> = axes.iter().map(|&a| t.shape()[a]).collect();
    Tensor::full(&shape, value, t.dtype(), t.device())
}

#[track_caller]
fn flip(t: &Tensor, axes: &[usize]) -> Tensor {
    let axes: Vec<isize> = axes.iter().map(|&a| a as isize).collect();
    if constant(t).is_some() { t.clone() } else { t.flip(&axes) }
}

/// The sum over axes, which vanish.
#[track_caller]
fn sum(t: &Tensor, axes: &[usize]) -> Tensor {
    let Some(value) = constant(t) else { return t.reduce(Reduction::Sum, axes) };
    let kept: Vec<usize> = (0..t.rank()).filter(|a| !axes.contains(a)).map(|a| t.shape()[a]).collect();
    let count: usize = axes.iter().map(|&a| t.shape()[a]).product();
    Tensor::full(&kept, value * count as f64, t.dtype(), t.device())
}

/// `t`, whose `axes` vanished, repeated along them again.
#[track_caller]
fn spread(t: &Tensor, axes: &[usize], shape: &[usize]) -> Tensor {
    if let Some(value) = constant(t) {
        return Tensor::full(shape, value, t.dtype(), t.device());
    }
    let kept: Vec<usize> = (0..shape.len()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect();
    reshape(t, &kept).broadcast_to(shape)
}

/// A slice with the ranges of every axis and what it was taken from.
pub(super) fn as_slice(node: &Tensor) -> Option<(Ranges, &Tensor)> {
    if let Op::Slice(ranges) = &node.0.op { Some((ranges.clone(), &node.0.inputs[0])) } else { None }
}

/// The gradient of a tensor of `shape` of which only `ranges` was used.
#[track_caller]
pub(super) fn unslice(shape: &[usize], ranges: &[(usize, usize)], part: &Tensor) -> Tensor {
    let padding: Ranges = shape.iter().zip(ranges).map(|(&size, r)| (r.0, size - r.1)).collect();
    part.pad_to(&padding, 0.0)
}

/// The gradient of a tensor of `shape` that was used in several slices along one axis, if they do not overlap.
#[track_caller]
pub(super) fn join(shape: &[usize], slices: &mut [(Ranges, Tensor)]) -> Option<Tensor> {
    if slices.len() < 2 {
        return None;
    }
    let cut = |ranges: &Ranges| -> Vec<usize> { (0..shape.len()).filter(|&a| ranges[a] != (0, shape[a])).collect() };
    let &[axis] = cut(&slices[0].0).as_slice() else { return None };
    if slices.iter().any(|(ranges, _)| cut(ranges) != [axis]) {
        return None;
    }
    slices.sort_by_key(|(ranges, _)| ranges[axis]);
    if slices.windows(2).any(|pair| pair[0].0[axis].1 > pair[1].0[axis].0) {
        return None;
    }
    // The cut axis first; the others keep their order, so that rows of them can still be read as one axis.
    let (mut order, mut back): (Vec<usize>, Vec<usize>) = (0..shape.len()).map(|a| (a, a)).unzip();
    order[..=axis].rotate_right(1);
    back[..=axis].rotate_left(1);
    let mut front: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let (dtype, device) = (slices[0].1.dtype(), slices[0].1.device().clone());
    let (mut parts, mut reached) = (Vec::new(), 0);
    let end = (shape[axis], shape[axis]);
    for (range, part) in slices.iter().map(|(r, part)| (r[axis], Some(part))).chain([(end, None)]) {
        if range.0 > reached {
            front[0] = range.0 - reached;
            parts.push(Tensor::full(&front, 0.0, dtype, &device));
        }
        if let Some(part) = part {
            parts.push(permute(part, &order));
        }
        reached = range.1;
    }
    Some(permute(&Tensor::concat(&parts), &back))
}

#[track_caller]
fn reduction(op: Reduction, axes: &[usize], x: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
    let shape = x.shape();
    if x.is_empty() {
        return x.full_like(0.0);
    }
    if op == Reduction::Sum || axes.iter().all(|&a| shape[a] == 1) {
        return spread(dy, axes, shape);
    }
    let zero = x.full_like(0.0);
    match (op, axes) {
        (Reduction::Max | Reduction::Min, &[axis]) => {
            let extremum = if op == Reduction::Max { Extremum::Max } else { Extremum::Min };
            let first = spread(&x.arg_reduce(extremum, axis), axes, shape);
            let mut line = vec![1; shape.len()];
            line[axis] = shape[axis];
            let here = Tensor::iota(&line, x.device()).broadcast_to(shape);
            here.binary(Binary::Equal, &first).choose(&spread(dy, axes, shape), &zero)
        }
        (Reduction::Max | Reduction::Min, _) => {
            let ties = x.binary(Binary::Equal, &spread(y, axes, shape)).cast(x.dtype());
            let share = dy.binary(Binary::Div, &ties.reduce(Reduction::Sum, axes));
            ties.binary(Binary::Mul, &spread(&share, axes, shape))
        }
        (Reduction::Prod | Reduction::Sum, _) => {
            // The product of the others: all / x without zeros; with one zero only that element has a gradient.
            let is_zero = x.binary(Binary::Equal, &zero);
            let zeros = is_zero.cast(x.dtype()).reduce(Reduction::Sum, axes);
            let others = is_zero.choose(&x.full_like(1.0), x).reduce(Reduction::Prod, axes);
            let flow = dy.binary(Binary::Mul, &others);
            let none = flow.full_like(0.0);
            let without = zeros.binary(Binary::Equal, &none).choose(&flow, &none);
            let single = zeros.binary(Binary::Equal, &flow.full_like(1.0)).choose(&flow, &none);
            let quotient = spread(&without, axes, shape).binary(Binary::Div, x);
            is_zero.choose(&spread(&single, axes, shape), &quotient)
        }
    }
}

/// The gradient of `x` from that of its windows: every element gets the sum over the windows it is in.
#[track_caller]
fn fold(dy: &Tensor, x: &Tensor, axis: usize, size: usize, stride: usize, dilation: usize) -> Tensor {
    let (count, length) = (dy.shape()[axis], x.shape()[axis]);
    if count == 0 || x.is_empty() {
        return x.full_like(0.0);
    }
    // Taps next to their axis: [.., windows, taps, ..].
    let mut order: Vec<usize> = (0..x.rank()).collect();
    order.insert(axis + 1, x.rank());
    let taps = permute(dy, &order);
    if stride >= size && dilation == 1 {
        return lay(&taps, axis, stride, 0, length);
    }
    let mut total: Option<Tensor> = None;
    for tap in 0..size {
        let mut ranges: Ranges = taps.shape().iter().map(|&s| (0, s)).collect();
        ranges[axis + 1] = (tap, tap + 1);
        let placed = lay(&taps.slice_to(&ranges), axis, stride, tap * dilation, length);
        total = Some(match total {
            Some(sum) => sum.binary(Binary::Add, &placed),
            None => placed,
        });
    }
    total.unwrap_or_else(|| x.full_like(0.0))
}

/// `[.., windows, taps, ..]` with `taps <= stride` put at `start + window * stride + tap` of an axis of `length` zeros.
#[track_caller]
fn lay(taps: &Tensor, axis: usize, stride: usize, start: usize, length: usize) -> Tensor {
    let (count, size) = (taps.shape()[axis], taps.shape()[axis + 1]);
    let mut padding = vec![(0, 0); taps.rank()];
    padding[axis + 1] = (0, stride - size);
    let apart = taps.pad_to(&padding, 0.0);
    let mut shape = apart.shape().to_vec();
    shape[axis] *= stride;
    shape.remove(axis + 1);
    let line = reshape(&apart, &shape);
    let used = ((count - 1) * stride + size).min(length - start);
    let mut ranges: Ranges = shape.iter().map(|&s| (0, s)).collect();
    ranges[axis] = (0, used);
    let mut padding = vec![(0, 0); shape.len()];
    padding[axis] = (start, length - start - used);
    line.slice_to(&ranges).pad_to(&padding, 0.0)
}

/// The matrices of `t` transposed.
#[track_caller]
fn transpose(t: &Tensor) -> Tensor {
    let mut axes: Vec<usize> = (0..t.rank()).collect();
    axes.swap(t.rank() - 2, t.rank() - 1);
    permute(t, &axes)
}

#[track_caller]
fn matmul(a: &Tensor, b: &Tensor, dy: &Tensor, wants: &[bool], targets: &Set<u64>) -> Vec<(Tensor, Tensor)> {
    let rank = a.rank();
    let mut gradients = Vec::new();
    if wants[0] {
        gradients.push((a.clone(), dy.product(&transpose(b))));
    }
    if wants[1] {
        // One matrix for the whole batch: its gradient is a single product with all rows of the batch.
        let shared = b.0.op == Op::Expand && b.0.inputs[0].shape()[..rank - 2].iter().all(|&s| s == 1);
        let same = shared && b.0.inputs[0].shape()[rank - 2..] == b.shape()[rank - 2..];
        if same && !targets.contains(&b.0.id) {
            let mut matrix = &b.0.inputs[0];
            while matrix.0.op == Op::Reshape && matrix.0.inputs[0].rank() == 2 && !targets.contains(&matrix.0.id) {
                matrix = &matrix.0.inputs[0];
            }
            let rows: usize = a.shape()[..rank - 1].iter().product();
            let a = reshape(a, &[rows, a.shape()[rank - 1]]);
            let dy = reshape(dy, &[rows, dy.shape()[rank - 1]]);
            let gradient = transpose(&a).product(&dy);
            gradients.push((matrix.clone(), reshape(&gradient, matrix.shape())));
        } else {
            gradients.push((b.clone(), transpose(a).product(dy)));
        }
    }
    gradients
}
