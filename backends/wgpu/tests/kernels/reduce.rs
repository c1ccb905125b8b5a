//! Reductions: rows, columns, whole, chains over the same row, argument reductions, updates in place.

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{Extremum, Inst, Kernel, Output, Reduction, Slice};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};

use crate::bench::*;

const ALL: [Reduction; 4] = [Reduction::Sum, Reduction::Prod, Reduction::Max, Reduction::Min];

/// Rounding of a sum of `n` numbers of size up to 1.
fn of_length(n: usize) -> Tolerance {
    within(8.0 * f64::from(f32::EPSILON), (n as f64).sqrt() * 4.0 * f64::from(f32::EPSILON) + 1e-6)
}

#[test]
fn row_column_and_whole_reductions() {
    for (outer, inner) in [(1, 1), (3, 5), (5, 0), (1, 257), (70, 33), (2, 1000), (33, 64), (300, 7)] {
        let x: Vec<f64> = noise(outer * inner, 4).iter().map(|x| 1.0 + 0.02 * x).collect();
        for how in ALL {
            for columns in [false, true] {
                let (outer_step, inner_step) = if columns { (1, outer) } else { (inner, 1) };
                let view = View {
                    shape: vec![outer, inner],
                    strides: vec![outer_step as isize, inner_step as isize],
                    offset: 0,
                    mask: None,
                };
                let body = vec![Inst::Load { input: 0, layout: Layout::of(view) }, Inst::Reduce(how, 0)];
                println!("{how:?} {outer} x {inner} columns {columns}");
                let tolerance = within(2e-6 * (inner as f64).sqrt().max(1.0), 0.0);
                let kernel = rows(&[outer], &[inner], vec![f32s(outer * inner)], body, DType::F32);
                check_all(&kernel, std::slice::from_ref(&x), tolerance);
            }
        }
    }
}

#[test]
fn long_reductions_are_split() {
    for (outer, inner) in [(vec![], vec![40_001]), (vec![2], vec![16_384]), (vec![3, 2], vec![70, 301])] {
        let (rows_, columns) = (outer.iter().product::<usize>(), inner.iter().product::<usize>());
        let shape = [&outer[..], &inner[..]].concat();
        let x = noise(rows_ * columns, 5);
        let mut kernel = rows(
            &outer,
            &inner,
            vec![f32s(rows_ * columns)],
            vec![
                load(0, &shape),
                Inst::Unary(Unary::Exp, 0),
                Inst::Reduce(Reduction::Sum, 1),
                Inst::Reduce(Reduction::Max, 0),
                Inst::Binary(Binary::Mul, 2, 3),
            ],
            DType::F32,
        );
        let slice = Slice { dtype: DType::F32, len: rows_ };
        kernel.outputs.push(Output { value: 3, slice, view: View::contiguous(&outer), aliases: None });
        check_all(&kernel, &[x], within(2e-6, 0.0));
    }
}

#[test]
fn integers_reduce_exactly() {
    for dtype in [DType::I32, DType::U32] {
        let x: Vec<f64> = (0..3 * 100)
            .map(|i| f64::from((i * 7919) % 1000) - if dtype == DType::I32 { 500.0 } else { 0.0 })
            .collect();
        for how in [Reduction::Sum, Reduction::Max, Reduction::Min] {
            let body = vec![load(0, &[3, 100]), Inst::Reduce(how, 0)];
            check_all(
                &rows(&[3], &[100], vec![Slice { dtype, len: 300 }], body, dtype),
                std::slice::from_ref(&x),
                EXACT,
            );
        }
    }
    let x: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i % 20 == 3 || i > 19))).collect();
    for how in [Reduction::Max, Reduction::Min] {
        let body = vec![load(0, &[2, 20]), Inst::Reduce(how, 0)];
        let kernel = rows(&[2], &[20], vec![Slice { dtype: DType::Bool, len: 40 }], body, DType::Bool);
        check_all(&kernel, std::slice::from_ref(&x), EXACT);
    }
}

#[test]
fn max_and_arguments_know_nan_and_ties() {
    let n = 37;
    let mut x = noise(4 * n, 6);
    x[5] = f64::NAN;
    x[n..2 * n].fill(-0.0);
    x[n + 3] = 0.0;
    x[2 * n + 30] = f64::INFINITY;
    x[2 * n + 31] = f64::INFINITY;
    x[3 * n + 8] = f64::NEG_INFINITY;
    let body = vec![
        load(0, &[4, n]),
        Inst::Reduce(Reduction::Max, 0),
        Inst::Reduce(Reduction::Min, 0),
        Inst::Binary(Binary::Sub, 1, 2),
    ];
    let kernel = rows(&[4], &[n], vec![f32s(4 * n)], body, DType::F32);
    check_all(&kernel, std::slice::from_ref(&x), CLOSE);
    for which in [Extremum::Max, Extremum::Min] {
        let body = vec![load(0, &[4, n]), Inst::ArgReduce(which, 0)];
        check_all(&rows(&[4], &[n], vec![f32s(4 * n)], body, DType::I32), std::slice::from_ref(&x), EXACT);
    }
    let ties: Vec<f64> = (0..600).map(|i| f64::from(i % 5)).collect();
    for which in [Extremum::Max, Extremum::Min] {
        let body = vec![load(0, &[2, 300]), Inst::ArgReduce(which, 0)];
        let kernel = rows(&[2], &[300], vec![Slice { dtype: DType::I32, len: 600 }], body, DType::I32);
        check_all(&kernel, std::slice::from_ref(&ties), EXACT);
    }
}

/// Softmax over the last axis: max, exp, sum, division, in one kernel.
fn softmax(outer: usize, inner: usize) -> Kernel {
    let body = vec![
        load(0, &[outer, inner]),
        Inst::Reduce(Reduction::Max, 0),
        Inst::Binary(Binary::Sub, 0, 1),
        Inst::Unary(Unary::Exp, 2),
        Inst::Reduce(Reduction::Sum, 3),
        Inst::Binary(Binary::Div, 3, 4),
    ];
    rows(&[outer], &[inner], vec![f32s(outer * inner)], body, DType::F32)
}

#[test]
fn softmax_in_one_kernel() {
    for (outer, inner) in [(1, 1), (7, 10), (65, 33), (3, 300), (2, 5000)] {
        let x: Vec<f64> = noise(outer * inner, 7).iter().map(|x| 20.0 * x).collect();
        check_all(&softmax(outer, inner), &[x], within(4e-6, 1e-12));
    }
}

#[test]
fn layer_norm_in_one_kernel_updates_in_place() {
    for (outer, inner) in [(5, 48), (130, 20)] {
        let n = outer * inner;
        let along = |strides: [isize; 2]| {
            Layout::of(View { shape: vec![outer, inner], strides: strides.to_vec(), offset: 0, mask: None })
        };
        let scale = f64::from(1.0 / inner as f32);
        let constant = |value: f64| Inst::Constant { value: Scalar(value), dtype: DType::F32 };
        let body = vec![
            load(0, &[outer, inner]),
            Inst::Reduce(Reduction::Sum, 0),
            constant(scale),
            Inst::Binary(Binary::Mul, 1, 2),
            Inst::Binary(Binary::Sub, 0, 3),
            Inst::Binary(Binary::Mul, 4, 4),
            Inst::Reduce(Reduction::Sum, 5),
            Inst::Binary(Binary::Mul, 6, 2),
            constant(f64::from(1e-5f32)),
            Inst::Binary(Binary::Add, 7, 8),
            Inst::Unary(Unary::Sqrt, 9),
            Inst::Binary(Binary::Div, 4, 10),
            Inst::Load { input: 1, layout: along([0, 1]) },
            Inst::Binary(Binary::Mul, 11, 12),
        ];
        let mut kernel = rows(&[outer], &[inner], vec![f32s(n), f32s(inner)], body, DType::F32);
        let slice = Slice { dtype: DType::F32, len: outer };
        kernel.outputs.push(Output { value: 3, slice, view: View::contiguous(&[outer]), aliases: None });
        let inputs = [noise(n, 8), noise(inner, 9)];
        check_all(&kernel, &inputs, of_length(inner));
        kernel.outputs[0].aliases = Some(0);
        check_all(&kernel, &inputs, of_length(inner));
    }
}

#[test]
fn masked_and_windowed_rows() {
    // Average pooling: windows of a padded signal.
    let windows = View::contiguous(&[3, 22]).windows(1, 3, 2, 1).unwrap();
    let (outer, inner) = (windows.shape[..2].to_vec(), windows.shape[2..].to_vec());
    let padded = View::contiguous(&[3, 20]).pad(&[(0, 0), (1, 1)]);
    let layout = Layout::of(windows).then(&Layout::of(padded));
    assert!(layout.single().is_none());
    let body = vec![
        Inst::Load { input: 0, layout: layout.clone() },
        Inst::Inside { layout },
        Inst::Cast(1, DType::F32),
        Inst::Reduce(Reduction::Sum, 0),
        Inst::Reduce(Reduction::Sum, 2),
        Inst::Binary(Binary::Div, 3, 4),
    ];
    check_all(&rows(&outer, &inner, vec![f32s(60)], body, DType::F32), &[noise(60, 10)], CLOSE);
}
