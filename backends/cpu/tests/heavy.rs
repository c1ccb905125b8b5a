//! The heavy cores against their meaning, with bodies and without.

mod held;

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{
    Attention, AttentionGeometry, AttentionKind, Conv, ConvGeometry, ConvKind, Core, Extremum, Inst, Kernel, Matmul,
    Operand, Reduction, Scatter,
};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use held::{check, numbers, output, slice};

/// Bare, or with a bias over the last axis, a map and a residual in another layout.
fn finish(core: Core, outer: &[usize], mut inputs: Vec<anygrad_core::kernel::Slice>, body: bool) -> Kernel {
    let probe = Kernel {
        core: core.clone(),
        outer: outer.to_vec(),
        inner: vec![],
        inputs: inputs.clone(),
        body: vec![Inst::Core],
        outputs: vec![],
    };
    let dtype = probe.core_dtype();
    let n = outer.last().copied().unwrap_or(1);
    let mut insts = vec![Inst::Core];
    let mut outputs = vec![output(0, dtype, outer)];
    if body {
        let mut shape = vec![1; outer.len()];
        shape[outer.len() - 1] = n;
        let bias = View::contiguous(&shape).expand(outer);
        insts.push(Inst::Load { input: inputs.len(), layout: Layout::of(bias) });
        inputs.push(slice(dtype, n));
        insts.push(Inst::Binary(Binary::Add, 0, 1));
        insts.push(if dtype.is_float() { Inst::Unary(Unary::Tanh, 2) } else { Inst::Unary(Unary::Neg, 2) });
        outputs = vec![output(3, dtype, outer), output(0, dtype, outer)];
    }
    Kernel { core, outer: outer.to_vec(), inner: vec![], inputs, body: insts, outputs }
}

fn fill(kernel: &Kernel) -> Vec<Vec<f64>> {
    (1..).zip(&kernel.inputs).map(|(seed, s)| numbers(s.len, seed)).collect()
}

fn matmul(batch: &[usize], m: usize, n: usize, k: usize, dtype: DType, swap: [bool; 2], body: bool) -> Kernel {
    let batches: usize = batch.iter().product();
    let side = |input: usize, rows: usize, columns: usize, swapped: bool| {
        let strides = anygrad_core::view::contiguous_strides(batch);
        Operand {
            input,
            offset: 0,
            // The right side of a batch is shared by all.
            batch_strides: strides.iter().map(|&s| if input == 1 { 0 } else { s as usize * rows * columns }).collect(),
            row_stride: if swapped { 1 } else { columns },
            column_stride: if swapped { rows } else { 1 },
        }
    };
    let core =
        Core::Matmul(Matmul { batch: batch.to_vec(), m, n, k, a: side(0, m, k, swap[0]), b: side(1, k, n, swap[1]) });
    let outer = [batch, &[m, n]].concat();
    finish(core, &outer, vec![slice(dtype, batches * m * k), slice(dtype, k * n)], body)
}

#[test]
fn products() {
    let sizes = [
        (1, 1, 1),
        (5, 7, 3),
        (64, 64, 4),
        (64, 2, 64),
        (1, 300, 200),
        (300, 1, 200),
        (33, 17, 0),
        (0, 4, 4),
        (4, 0, 4),
        (129, 65, 257),
        (16, 16, 5000),
        (256, 10, 256),
        (200, 300, 100),
    ];
    for (m, n, k) in sizes {
        for swap in [[false, false], [true, false], [false, true], [true, true]] {
            for dtype in [DType::F32, DType::F64, DType::F16] {
                for body in [false, true] {
                    let kernel = matmul(&[], m, n, k, dtype, swap, body);
                    let epsilon = kernel.core_dtype().epsilon();
                    // Partial sums are about sqrt(k) large and are rounded k times: sqrt(k) sqrt(k) eps.
                    check(&kernel, &fill(&kernel), 2.0 * epsilon * (k as f64).max(16.0));
                }
            }
        }
    }
    for batch in [vec![3], vec![2, 5], vec![0], vec![70]] {
        let kernel = matmul(&batch, 20, 30, 40, DType::F32, [false, true], true);
        check(&kernel, &fill(&kernel), 1e-5);
    }
}

#[test]
fn products_whose_rows_are_reduced() {
    for (batch, m, n, k) in
        [(1, 1, 1, 1), (1, 700, 10, 33), (1, 900, 64, 32), (3, 70, 128, 20), (2, 9, 17, 0), (1, 0, 4, 4)]
    {
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let Kernel { core, inputs, .. } = matmul(&[batch], m, n, k, dtype, [false, true], false);
            let (outer, full) = ([batch, m], [batch, m, n]);
            let mut kernel =
                Kernel { core, outer: outer.to_vec(), inner: vec![n], inputs, body: vec![], outputs: vec![] };
            let dtype = kernel.core_dtype();
            // The number of the greatest, and the distances to it.
            kernel.body = vec![
                Inst::Core,
                Inst::ArgReduce(Extremum::Max, 0),
                Inst::Reduce(Reduction::Max, 0),
                Inst::Unary(Unary::Neg, 2),
                Inst::Binary(Binary::Add, 0, 3),
                Inst::Reduce(Reduction::Sum, 4),
            ];
            kernel.outputs = vec![
                output(1, DType::I32, &outer),
                output(4, dtype, &full),
                output(5, dtype, &outer),
                output(0, dtype, &full),
            ];
            check(&kernel, &fill(&kernel), 2.0 * dtype.epsilon() * ((k * n) as f64).max(16.0));
        }
    }
}

#[test]
fn numbers_of_extrema_of_products() {
    // Scores are whole numbers, exact in any order, and often equal; then some that are not numbers, and infinite ones.
    // The first is large enough for several tasks.
    let sizes = [
        (500, 64, 32),
        (1, 6, 1),
        (50, 10, 7),
        (33, 13, 40),
        (9, 9, 4),
        (17, 128, 8),
        (5, 9, 300),
        (5, 3, 8),
        (0, 9, 3),
    ];
    for (m, n, k) in sizes {
        for (which, added) in [(Extremum::Min, 0), (Extremum::Max, 1), (Extremum::Min, 2)] {
            let Kernel { core, mut inputs, .. } = matmul(&[], m, n, k, DType::F32, [false, true], false);
            let mut body = vec![Inst::Core];
            let mut values: Vec<Vec<f64>> =
                [(m * k, 1), (n * k, 2), (n, 3)].map(|(len, seed)| numbers(len, seed)).into();
            values.iter_mut().flatten().for_each(|x| *x = (*x * 2.0).round());
            if added > 0 {
                body.push(Inst::Load { input: 2, layout: Layout::of(View::contiguous(&[1, n]).expand(&[m, n])) });
                body.push(if added == 1 { Inst::Binary(Binary::Add, 0, 1) } else { Inst::Binary(Binary::Add, 1, 0) });
                inputs.push(slice(DType::F32, n));
            } else {
                values.pop();
            }
            if m == n {
                // A number per row beside those per column, which changes nothing: another kernel, of the same sizes.
                body.push(Inst::Load { input: inputs.len(), layout: Layout::of(View::contiguous(&[m])) });
                body.push(Inst::Binary(Binary::Add, body.len() - 2, body.len() - 1));
                inputs.push(slice(DType::F32, m));
                values.push((0..m).map(|row| 100.0 * row as f64).collect());
            }
            body.push(Inst::ArgReduce(which, body.len() - 1));
            let outputs = vec![output(body.len() - 1, DType::I32, &[m])];
            let kernel = Kernel { core, outer: vec![m], inner: vec![n], inputs, body, outputs };
            check(&kernel, &values, 0.0);
            if (1..500).contains(&m) {
                for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let mut values = values.clone();
                    values[0][m / 2 * k] = odd;
                    values[1][n / 2 * k] = odd;
                    check(&kernel, &values, 0.0);
                }
            }
        }
    }
}

#[test]
fn products_of_a_matrix_with_itself() {
    for (n, k) in [(1, 1), (5, 3), (37, 12), (150, 40), (130, 5000), (300, 400)] {
        for swap in [[false, true], [true, false]] {
            for dtype in [DType::F32, DType::F64, DType::F16] {
                let mut kernel = matmul(&[], n, n, k, dtype, swap, true);
                let Core::Matmul(product) = &mut kernel.core else { unreachable!("it is a product") };
                product.b.input = 0;
                let epsilon = kernel.core_dtype().epsilon();
                check(&kernel, &fill(&kernel), 2.0 * epsilon * (k as f64).max(16.0));
            }
        }
    }
}

#[test]
fn convolutions_and_their_gradients() {
    // (batch, c_in, c_out, groups, input, taps, stride, padding, padding after, dilation)
    type Case = (usize, usize, usize, usize, Vec<usize>, Vec<usize>, usize, usize, usize, usize);
    let cases: Vec<Case> = vec![
        (2, 3, 4, 1, vec![9], vec![3], 1, 1, 1, 1),
        (1, 1, 1, 1, vec![5, 6], vec![1, 1], 1, 0, 0, 1),
        (3, 4, 6, 2, vec![8, 7], vec![3, 2], 2, 1, 0, 1),
        (2, 6, 6, 6, vec![10, 9], vec![3, 3], 1, 1, 1, 1),
        (2, 2, 4, 1, vec![12, 11], vec![3, 3], 2, 2, 1, 2),
        (9, 8, 8, 1, vec![14, 14], vec![3, 3], 1, 1, 1, 1),
        (2, 2, 3, 1, vec![5, 6, 4], vec![2, 3, 2], 1, 1, 1, 1),
        (2, 2, 3, 1, vec![9, 11], vec![5, 3], 1, 2, 0, 1),
        (2, 3, 4, 1, vec![6, 7], vec![3, 3], 1, 2, 2, 2),
        (3, 2, 2, 1, vec![30, 5], vec![1, 5], 1, 2, 2, 1),
        (5, 16, 8, 1, vec![7, 7], vec![1, 1], 1, 0, 0, 1),
        (2, 3, 2, 1, vec![4, 4], vec![3, 3], 1, 4, 4, 1),
        (0, 3, 2, 1, vec![4, 4], vec![3, 3], 1, 1, 1, 1),
        (2, 4, 4, 1, vec![8, 8], vec![1, 1], 2, 0, 0, 1),
        (17, 5, 13, 1, vec![4, 4], vec![3, 3], 1, 1, 1, 1),
        (3, 8, 16, 2, vec![9, 16], vec![3, 3], 1, 1, 1, 1),
        (2, 7, 9, 1, vec![11, 13], vec![3, 3], 2, 1, 1, 1),
        (1, 64, 9, 1, vec![44, 48], vec![3, 3], 1, 1, 1, 1),
        (1, 3, 8, 1, vec![70, 30], vec![5, 1], 1, 0, 0, 1),
        // Winograd's: channels that do not fill their lanes, odd sizes, bands of one image, small images, uneven padding.
        (3, 40, 33, 1, vec![9, 7], vec![3, 3], 1, 1, 1, 1),
        (1, 32, 32, 1, vec![34, 30], vec![3, 3], 1, 0, 0, 1),
        (5, 64, 24, 1, vec![4, 4], vec![3, 3], 1, 1, 1, 1),
        (2, 32, 48, 1, vec![6, 10], vec![3, 3], 1, 2, 0, 1),
    ];
    for (batch, c_in, c_out, groups, input, taps, stride, before, after, dilation) in cases {
        let rank = input.len();
        let reach: Vec<usize> = taps.iter().map(|t| dilation * (t - 1) + 1).collect();
        let out: Vec<usize> = (0..rank).map(|a| (input[a] + before + after - reach[a]) / stride + 1).collect();
        let geometry = ConvGeometry {
            batch,
            c_in,
            c_out,
            groups,
            input: input.clone(),
            taps: taps.clone(),
            output: out.clone(),
            stride: vec![stride; rank],
            padding: vec![before; rank],
            dilation: vec![dilation; rank],
        };
        let x = [&[batch, c_in][..], &input].concat();
        let w = [&[c_out, c_in / groups][..], &taps].concat();
        let y = [&[batch, c_out][..], &out].concat();
        for (kind, a, b, outer) in [
            (ConvKind::Forward, &x, &w, &y),
            (ConvKind::InputGradient, &y, &w, &x),
            (ConvKind::WeightGradient, &x, &y, &w),
        ] {
            for dtype in [DType::F32, DType::F64, DType::F16] {
                for body in [false, true] {
                    let core = Core::Conv(Conv { kind, a: 0, b: 1, geometry: geometry.clone() });
                    let sizes = [a, b].map(|s| slice(dtype, s.iter().product()));
                    let kernel = finish(core, outer, sizes.to_vec(), body);
                    let terms = [a, b].map(|s| s.iter().product::<usize>()).into_iter().max().unwrap_or(0);
                    check(&kernel, &fill(&kernel), 2.0 * kernel.core_dtype().epsilon() * (terms as f64).max(16.0));
                }
            }
        }
    }
}

#[test]
fn scatters() {
    for (before, count, size, after) in [
        (1, 50, 7, 1),
        (3, 20, 5, 4),
        (1, 300, 40, 128),
        (2, 0, 3, 3),
        (1, 10, 0, 2),
        (20, 9, 4, 33),
        (1, 2500, 9, 1),
        (1, 4100, 5, 21),
    ] {
        for dtype in [DType::F32, DType::F16, DType::F64, DType::I32, DType::U32] {
            for shared in [false, true] {
                let full = View::contiguous(&[before, count, after]);
                let index =
                    if shared { View::contiguous(&[before, count, 1]).expand(&full.shape) } else { full.clone() };
                let indices = if shared { before * count } else { full.len() };
                let core = Core::Scatter(Scatter { index: (0, index), updates: (1, full.clone()) });
                let inputs = vec![slice(DType::I32, indices), slice(dtype, full.len())];
                let kernel = finish(core, &[before, size, after], inputs, true);
                let mut values = fill(&kernel);
                values[0].iter_mut().enumerate().for_each(|(i, s)| *s = ((i * 5) % (size + 3)) as f64 - 1.0);
                if dtype == DType::U32 {
                    values[1].iter_mut().for_each(|x| *x = x.abs().floor());
                }
                // As for products: partial sums are about sqrt(n) large and are rounded n times.
                let terms = count.div_ceil(size + 3).max(10);
                check(&kernel, &values, 2.0 * dtype.epsilon() * terms as f64);
            }
        }
    }
}

#[test]
fn sorts_and_scans() {
    for (rows, n) in [(1, 1), (3, 0), (5, 17), (2, 1000)] {
        for dtype in [DType::F32, DType::F16, DType::F64, DType::I32, DType::U32, DType::Bool] {
            for descending in [false, true] {
                let core = Core::Argsort { input: 0, descending };
                let kernel = finish(core, &[rows, n], vec![slice(dtype, rows * n)], false);
                let mut x: Vec<f64> = numbers(rows * n, 1).into_iter().map(|x| (x * 20.0).round()).collect();
                if dtype.is_float() {
                    x.iter_mut().step_by(11).for_each(|x| *x = f64::NAN);
                    x.iter_mut().step_by(13).for_each(|x| *x = -0.0);
                } else if dtype != DType::I32 {
                    x.iter_mut().for_each(|x| *x = x.abs() % if dtype == DType::Bool { 2.0 } else { 100.0 });
                }
                check(&kernel, &[x], 0.0);
            }
        }
    }
    for (before, n, after) in [(1, 1, 1), (2, 300, 1), (3, 50, 70), (0, 3, 3), (2, 0, 3), (1, 100_000, 1)] {
        for dtype in [DType::F32, DType::F16, DType::F64, DType::I32, DType::U32] {
            let len = before * n * after;
            let kernel = finish(Core::CumulativeSum { input: 0 }, &[before, n, after], vec![slice(dtype, len)], true);
            let mut values = fill(&kernel);
            if dtype == DType::U32 {
                values[0].iter_mut().for_each(|x| *x = x.abs().floor());
            }
            check(&kernel, &values, 64.0 * kernel.core_dtype().epsilon());
        }
    }
}

/// q, k, v (and what the gradient takes besides) of one buffer each; `turned`: columns lie apart and rows side by side.
fn attention(batch: &[usize], geometry: AttentionGeometry, kind: AttentionKind, dtype: DType, turned: bool) -> Kernel {
    let batches: usize = batch.iter().product();
    let sizes = geometry.operands(kind);
    let operand = |(input, &[rows, columns]): (usize, &[usize; 2])| Operand {
        input,
        offset: 0,
        // Keys and values are shared by the whole batch.
        batch_strides: anygrad_core::view::contiguous_strides(batch)
            .iter()
            .map(|&s| if input == 1 || input == 2 { 0 } else { s as usize * rows * columns })
            .collect(),
        row_stride: if turned { 1 } else { columns },
        column_stride: if turned { rows } else { 1 },
    };
    let operands = sizes.iter().enumerate().map(operand).collect();
    let outer = [batch, &[geometry.length(kind)]].concat();
    let inputs = sizes.iter().map(|s| slice(dtype, batches * s[0] * s[1])).collect();
    finish(Core::Attention(Attention { kind, geometry, batch: batch.to_vec(), operands }), &outer, inputs, turned)
}

#[test]
fn attentions_and_their_gradients() {
    // (queries, keys, width, out): around panels of 16 and chunks of 128.
    let sizes = [
        (1, 1, 1, 1),
        (5, 9, 3, 4),
        (16, 16, 16, 16),
        (17, 33, 32, 20),
        (65, 130, 8, 9),
        (70, 5, 4, 33),
        (130, 260, 6, 5),
    ];
    for (queries, keys, width, out) in sizes {
        for causal in [false, true] {
            for kind in [AttentionKind::Forward, AttentionKind::Gradient] {
                for (dtype, batch) in [(DType::F32, vec![]), (DType::F32, vec![2, 3]), (DType::F64, vec![1])] {
                    let scale = Scalar(0.25);
                    let geometry = AttentionGeometry { queries, keys, width, out, causal, scale };
                    for turned in [false, true] {
                        let kernel = attention(&batch, geometry.clone(), kind, dtype, turned);
                        let mut values = fill(&kernel);
                        if kind == AttentionKind::Gradient {
                            // Logarithms of sums of as many terms as there are keys.
                            values[4].iter_mut().for_each(|l| *l = l.abs() + (keys as f64).ln() + 1.0);
                        }
                        let terms = (queries * keys).max(64) as f64;
                        check(&kernel, &values, 16.0 * kernel.core_dtype().epsilon() * terms.sqrt());
                    }
                }
            }
        }
    }
}
