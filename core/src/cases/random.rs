//! Random graphs: from 3 to 25 primitives over random shapes of rank 0 to 5, for comparing a device with the reference.
//!
//! The same seed gives the same graph. Values stay of order one: what grows is bent back by `tanh` or `sin`, divisors
//! and roots are kept away from 0; so the tolerance of sums holds for the whole graph. No step is chosen that would be
//! wrong for the present shapes: that is what makes every seed a valid case.

use super::{Case, Input};
use crate::dtype::DType;
use crate::kernel::{ConvGeometry, ConvKind, Reduction};
use crate::scalar::{Binary, Unary, philox};
use crate::tensor::Tensor;

/// Most elements of a tensor in a random graph.
const LARGEST: usize = 600;

/// A stream of random numbers.
#[derive(Clone)]
struct Draw {
    seed: u32,
    count: u32,
}

impl Draw {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.count += 1;
        philox([self.count, 0, 0, 0], [self.seed, 7])[0] as usize % n.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The case of this seed: one to three inputs, 3 to 25 steps, and the last few values as results.
#[must_use]
pub fn random_graph(seed: u32) -> Case {
    let mut draw = Draw { seed, count: 0 };
    let mut inputs = Vec::new();
    for _ in 0..1 + draw.below(3) {
        let rank = draw.below(6);
        let mut shape: Vec<usize> = (0..rank).map(|_| [1, 2, 3, 4, 5][draw.below(5)]).collect();
        while shape.iter().product::<usize>() > LARGEST {
            shape.pop();
        }
        let mut input = Input::floats(&shape, -1.5, 1.5);
        let len = input.values.len();
        input.values.rotate_left(draw.below(len));
        inputs.push(input);
    }
    let steps = 3 + draw.below(23);
    let build = move |x: &[Tensor]| {
        let mut draw = draw.clone();
        let mut pool = x.to_vec();
        for _ in 0..steps {
            let next = step(&pool, &mut draw);
            pool.push(next);
        }
        // Most recent first; everything else is reached through these.
        pool.iter().rev().filter(|t| t.dtype().is_float()).take(2).cloned().collect()
    };
    Case::several(format!("random graph {seed}"), inputs, build).sum_of(LARGEST).values_only()
}

/// One more tensor from those there are.
fn step(pool: &[Tensor], draw: &mut Draw) -> Tensor {
    // Recent values more often, so that graphs are deep.
    let recent = pool.len().min(4);
    let x = if draw.coin() { &pool[pool.len() - 1 - draw.below(recent)] } else { &pool[draw.below(pool.len())] };
    let rank = x.rank();
    let axis = draw.below(rank);
    let full: Vec<(usize, usize)> = x.shape().iter().map(|&s| (0, s)).collect();
    let small = x.len() <= LARGEST / 3;
    match draw.below(22) {
        0..=2 => map(x, draw),
        3..=5 => join(pool, x, draw),
        6 if rank > 0 => x.permute_to(&rotated(rank, draw.below(rank))),
        7 if rank > 0 && x.shape()[axis] > 1 => {
            let mut ranges = full;
            ranges[axis].0 = draw.below(x.shape()[axis]);
            x.slice_to(&ranges)
        }
        8 if rank > 0 && small => {
            let mut padding = vec![(0, 0); rank];
            padding[axis] = (draw.below(2), 1);
            x.pad_to(&padding, draw.below(3) as f64 - 1.0)
        }
        9 if rank > 0 => x.flip(&[axis as isize]),
        10 if (1..5).contains(&rank) && x.shape()[axis] > 1 && small => {
            let size = 1 + draw.below(x.shape()[axis].min(3));
            x.windows(axis as isize, size, 1 + draw.below(3), 1)
        }
        11 => x.reshape_to(&[x.len()]),
        12 if rank > 1 => {
            let merged = x.shape()[axis.min(rank - 2)] * x.shape()[axis.min(rank - 2) + 1];
            let at = axis.min(rank - 2);
            x.reshape_to(&[&x.shape()[..at], &[merged], &x.shape()[at + 2..]].concat())
        }
        13 if rank < 5 && small => x.reshape_to(&[&[1], x.shape()].concat()).broadcast_to(&[&[3], x.shape()].concat()),
        14 if rank > 0 => {
            let op = [Reduction::Sum, Reduction::Max, Reduction::Min][draw.below(3)];
            let axes: Vec<usize> = (0..rank).filter(|&a| a == axis || draw.below(4) == 0).collect();
            tame(&x.reduce(op, &axes))
        }
        15 if rank > 0 => {
            let shape: Vec<usize> = (0..rank).map(|a| if a == axis { 1 } else { x.shape()[a] }).collect();
            let centred = x.binary(Binary::Sub, &x.reduce(Reduction::Max, &[axis]).reshape_to(&shape));
            let exp = centred.unary(Unary::Exp);
            exp.binary(Binary::Div, &exp.reduce(Reduction::Sum, &[axis]).reshape_to(&shape))
        }
        16 if rank > 0 => tame(&x.cumsum(axis as isize)),
        17 if rank > 0 && small => {
            let part = x.flip(&[0]);
            Tensor::concat(&[x.clone(), part])
        }
        18 if rank > 0 && !x.is_empty() => {
            let places = (0..x.len()).map(|i| ((i * 5 + 1) % x.shape()[axis]) as i32).collect::<Vec<i32>>();
            let index = Tensor::from_vec(places, x.shape(), x.device());
            if draw.coin() { x.gather(axis as isize, &index) } else { tame(&x.scatter_sum(axis as isize, &index, 4)) }
        }
        19 if rank >= 2 && small => {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(rank - 1, rank - 2);
            tame(&x.product(&map(x, draw).permute_to(&axes)))
        }
        20 if small && x.len() > 1 => convolution(x),
        21 if rank > 0 && x.shape()[rank - 1] > 0 => {
            let order = x.detach().argsort_last(draw.coin());
            x.gather(rank as isize - 1, &order)
        }
        _ => map(x, draw),
    }
}

/// Numbers of order one, whatever they were.
fn tame(x: &Tensor) -> Tensor {
    x.binary(Binary::Mul, &x.full_like(0.5)).unary(Unary::Tanh)
}

fn rotated(rank: usize, by: usize) -> Vec<usize> {
    (0..rank).map(|axis| (axis + by) % rank).collect()
}

fn map(x: &Tensor, draw: &mut Draw) -> Tensor {
    let positive = || x.binary(Binary::Mul, x).binary(Binary::Add, &x.full_like(0.5));
    match draw.below(10) {
        0 => x.unary(Unary::Sin),
        1 => x.unary(Unary::Tanh),
        2 => x.unary(Unary::Neg),
        3 => x.unary(Unary::Abs),
        4 => x.unary(Unary::Erf),
        5 => tame(x).unary(Unary::Exp),
        6 => positive().unary(Unary::Sqrt),
        7 => positive().unary(Unary::Recip),
        8 => positive().unary(Unary::Ln),
        _ => {
            let zero = x.full_like(0.0);
            x.binary(Binary::LessEqual, &zero).choose(&zero, x)
        }
    }
}

/// Two tensors in one map, if their shapes broadcast and the result is not too large.
fn join(pool: &[Tensor], x: &Tensor, draw: &mut Draw) -> Tensor {
    let fits = |y: &&Tensor| {
        let pairs = || x.shape().iter().rev().zip(y.shape().iter().rev());
        let larger = if x.rank() > y.rank() { x } else { y };
        let rest: usize = larger.shape()[..larger.rank() - x.rank().min(y.rank())].iter().product();
        pairs().all(|(a, b)| a == b || *a == 1 || *b == 1)
            && rest * pairs().map(|(&a, &b)| if a == 1 { b } else { a }).product::<usize>() <= LARGEST
    };
    let fitting: Vec<&Tensor> = pool.iter().filter(fits).collect();
    let y = fitting.get(draw.below(fitting.len())).copied().unwrap_or(x);
    let op = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Max, Binary::Min][draw.below(5)];
    tame(&x.binary(op, y))
}

/// The elements as one line with one channel, convolved with its own beginning.
fn convolution(x: &Tensor) -> Tensor {
    let (length, taps) = (x.len(), x.len().min(3));
    let line = x.reshape_to(&[length]);
    let weight = line.slice_to(&[(0, taps)]).reshape_to(&[1, 1, taps]);
    let geometry = ConvGeometry {
        batch: 1,
        c_in: 1,
        c_out: 1,
        groups: 1,
        input: vec![length],
        taps: vec![taps],
        output: vec![(length + 2 - taps) / 2 + 1],
        stride: vec![2],
        padding: vec![1],
        dilation: vec![1],
    };
    debug_assert_eq!(x.dtype(), DType::F32);
    tame(&line.reshape_to(&[1, 1, length]).convolve(&weight, ConvKind::Forward, geometry))
}
