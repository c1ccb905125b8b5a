//! Reductions in every shape that a fused kernel can run in, against their meaning.

mod held;

use anygrad_core::DType;
use anygrad_core::kernel::{Extremum, Inst, Kernel, Reduction};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use held::{check, dense, map, numbers, output, slice};

const SHAPES: [(usize, usize); 22] = [
    (0, 5),
    (5, 0),
    (1, 1),
    (1, 7),
    (3, 17),
    (40, 4),
    (1000, 3),
    (300, 15),
    (33, 64),
    (2, 1025),
    (5, 4096),
    (3, 4097),
    (1, 20_000),
    (1, 150_000),
    (2, 70_001),
    (64, 500),
    (33, 33),
    (1025, 9),
    (100, 1),
    (1, 0),
    (257, 300),
    (4, 2_000),
];

fn reductions(outer: usize, inner: usize, dtype: DType, transposed: bool) -> Kernel {
    let (o, i) = ([outer], [inner]);
    let view = View::contiguous(&[inner, outer]).permute(&[1, 0]);
    let layout = if transposed { Layout::of(view) } else { Layout::contiguous(&[outer, inner]) };
    let mut body = vec![Inst::Load { input: 0, layout }];
    let mut outputs = Vec::new();
    let hows = [Reduction::Max, Reduction::Min, Reduction::Sum, Reduction::Prod];
    for how in hows.into_iter().take(if dtype == DType::Bool { 2 } else { 4 }) {
        outputs.push(output(body.len(), dtype, &o));
        body.push(Inst::Reduce(how, 0));
    }
    for which in [Extremum::Max, Extremum::Min] {
        outputs.push(output(body.len(), DType::I32, &o));
        body.push(Inst::ArgReduce(which, 0));
    }
    map(&o, &i, vec![slice(dtype, outer * inner)], body, outputs)
}

#[test]
fn every_reduction_in_every_shape() {
    for (outer, inner) in SHAPES {
        for transposed in [false, true] {
            for dtype in [DType::F32, DType::F64, DType::I32, DType::U32, DType::Bool] {
                let kernel = reductions(outer, inner, dtype, transposed);
                // Products of many numbers overflow either way; keep them near 1.
                let x = numbers(outer * inner, 1).into_iter().map(|x| match dtype {
                    DType::F32 | DType::F64 => 1.0 + x / 100.0,
                    DType::Bool => f64::from(u8::from(x > 1.9)),
                    DType::U32 => (x.abs() * 50.0).floor(),
                    _ => (x * 50.0).floor(),
                });
                let length = (inner as f64).sqrt().max(4.0);
                check(&kernel, &[x.collect()], 4.0 * dtype.epsilon() * length);
            }
        }
    }
}

#[test]
fn nan_and_infinity_go_through() {
    for (outer, inner) in [(40, 4), (3, 100), (2, 5000), (1, 100_000), (64, 200)] {
        for transposed in [false, true] {
            let mut kernel = reductions(outer, inner, DType::F32, transposed);
            kernel.outputs.retain(|o| !matches!(kernel.body[o.value], Inst::Reduce(Reduction::Prod, _)));
            let mut x = numbers(outer * inner, 2);
            x[outer * inner / 2] = f64::NAN;
            x[outer * inner / 3] = f64::INFINITY;
            x[outer * inner / 5] = f64::NEG_INFINITY;
            // Rows of nothing else.
            if outer > 10 {
                let at = |row: usize, i: usize| if transposed { i * outer + row } else { row * inner + i };
                (0..inner).for_each(|i| (x[at(1, i)], x[at(2, i)]) = (f64::INFINITY, f64::NEG_INFINITY));
            }
            check(&kernel, &[x], 1e-5);
        }
    }
}

fn softmax_and_norm(outer: usize, inner: usize, dtype: DType) -> Kernel {
    let (o, full) = ([outer], [outer, inner]);
    let body = vec![
        dense(0, &full),
        Inst::Reduce(Reduction::Max, 0),
        Inst::Binary(Binary::Sub, 0, 1),
        Inst::Unary(Unary::Exp, 2),
        Inst::Reduce(Reduction::Sum, 3),
        Inst::Binary(Binary::Div, 3, 4),
        Inst::Binary(Binary::Mul, 5, 5),
        Inst::Reduce(Reduction::Sum, 6),
        Inst::Unary(Unary::Sqrt, 7),
        Inst::Binary(Binary::Add, 5, 8),
        Inst::ArgReduce(Extremum::Max, 9),
        dense(1, &o),
        Inst::Binary(Binary::Add, 11, 8),
    ];
    let outputs = vec![
        output(5, dtype, &full),
        output(9, dtype, &full),
        output(10, DType::I32, &o),
        output(12, dtype, &o),
        output(4, dtype, &o),
    ];
    map(&o, &[inner], vec![slice(dtype, outer * inner), slice(dtype, outer)], body, outputs)
}

#[test]
fn chains_over_a_row() {
    for (outer, inner) in SHAPES {
        for dtype in [DType::F32, DType::F64] {
            let x = (0..outer * inner).map(|i| ((i * 7919) % 10_007) as f64 / 2000.0).collect();
            // Products of the same kernel: max, exp and two sums of one row.
            let mut kernel = softmax_and_norm(outer, inner, dtype);
            if inner > 1000 {
                // Ties of rounded values may fall either way.
                kernel.outputs.remove(2);
            }
            check(&kernel, &[x, numbers(outer, 4)], 8.0 * dtype.epsilon() * (inner as f64).sqrt().max(4.0));
        }
    }
}

#[test]
fn softmax_in_place_over_two_axes() {
    for (a, b, c) in [(3, 5, 7), (2, 3, 700), (1, 200, 300)] {
        let mut kernel = softmax_and_norm(a, b * c, DType::F32);
        kernel.outer = vec![a];
        kernel.inner = vec![b, c];
        let full = View::contiguous(&[a, b, c]);
        kernel.body[0] = Inst::Load { input: 0, layout: Layout::of(full.clone()) };
        kernel.outputs[0].view = full.clone();
        kernel.outputs[0].aliases = Some(0);
        kernel.outputs[1].view = full;
        kernel.outputs.remove(2);
        check(&kernel, &[numbers(a * b * c, 5), numbers(a, 6)], 1e-4);
    }
}

#[test]
fn pooling_windows_with_padding() {
    for (h, w) in [(8, 8), (29, 13)] {
        let view = View::contiguous(&[4, h, w]).pad(&[(0, 0), (1, 1), (1, 1)]);
        let padded = vec![4, h + 2, w + 2];
        let windows =
            View::contiguous(&padded).windows(1, 3, 2, 1).and_then(|v| v.windows(2, 3, 2, 1)).expect("no mask");
        let layout = Layout::of(windows).then(&Layout::of(view));
        let shape = layout.shape().to_vec();
        let body = vec![
            Inst::Load { input: 0, layout },
            Inst::Reduce(Reduction::Max, 0),
            Inst::Reduce(Reduction::Sum, 0),
            Inst::ArgReduce(Extremum::Max, 0),
        ];
        let outer = &shape[..3];
        let outputs = vec![output(1, DType::F32, outer), output(2, DType::F32, outer), output(3, DType::I32, outer)];
        let kernel = map(outer, &shape[3..], vec![slice(DType::F32, 4 * h * w)], body, outputs);
        check(&kernel, &[numbers(4 * h * w, 7)], 1e-6);
    }
}

#[test]
fn long_sums_are_accurate() {
    // All terms 0.1: a plain f32 sum of a million of them is off by 1 %.
    let n = 1 << 20;
    let body = vec![dense(0, &[1, n]), Inst::Reduce(Reduction::Sum, 0)];
    let kernel = map(&[1], &[n], vec![slice(DType::F32, n)], body, vec![output(1, DType::F32, &[1])]);
    check(&kernel, &[vec![0.1; n]], 4.0 * f64::from(f32::EPSILON));
}

#[test]
fn columns_that_are_only_added_up() {
    // One tile, several, a part of one, chunks of `inner` for several threads; ends that do not fill a block of 32 steps.
    for (outer, inner) in [(64, 500), (64, 70_001), (1025, 33), (33, 33), (40, 4), (9, 1), (4000, 65)] {
        let mut kernel = reductions(outer, inner, DType::F32, true);
        kernel.outputs.retain(|o| matches!(kernel.body[o.value], Inst::Reduce(Reduction::Sum, _)));
        let x = numbers(outer * inner, 3);
        check(&kernel, std::slice::from_ref(&x), 4.0 * DType::F32.epsilon() * (inner as f64).sqrt().max(4.0));
        // Over two axes that lie apart: every second of the rows.
        let view = View {
            shape: vec![outer, inner / 2, 1],
            strides: vec![1, 2 * outer as isize, 1],
            offset: outer.min(outer * (inner - 1)) as isize,
            mask: None,
        };
        let body = vec![Inst::Load { input: 0, layout: Layout::of(view) }, Inst::Reduce(Reduction::Sum, 0)];
        let outputs = vec![output(1, DType::F32, &[outer])];
        let kernel = map(&[outer], &[inner / 2, 1], vec![slice(DType::F32, outer * inner)], body, outputs);
        check(&kernel, &[x], 4.0 * DType::F32.epsilon() * (inner as f64).sqrt().max(4.0));
    }
}

#[test]
fn columns_of_several_inputs_that_are_only_added_up() {
    for (outer, inner) in [(64, 500), (256, 5_000), (33, 33)] {
        let view = || Layout::of(View::contiguous(&[inner, outer]).permute(&[1, 0]));
        let mut body: Vec<Inst> = (0..3).map(|input| Inst::Load { input, layout: view() }).collect();
        body.extend((0..3).map(|x| Inst::Reduce(Reduction::Sum, x)));
        let outputs = (3..6).map(|value| output(value, DType::F32, &[outer])).collect();
        let kernel = map(&[outer], &[inner], vec![slice(DType::F32, outer * inner); 3], body, outputs);
        let inputs: Vec<_> = (1..4).map(|seed| numbers(outer * inner, seed)).collect();
        check(&kernel, &inputs, 4.0 * f64::from(f32::EPSILON) * (inner as f64).sqrt());
    }
}
