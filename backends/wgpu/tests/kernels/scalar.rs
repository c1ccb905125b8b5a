//! Scalar maps, casts, masks, random numbers.

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{Inst, Slice};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};

use crate::bench::*;

const SPECIAL: [f64; 26] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    7.3,
    -7.3,
    30.0,
    -30.0,
    88.0,
    -88.0,
    300.0,
    -300.0,
    1e-6,
    -1e-6,
    1e-20,
    1e20,
    0.49,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Special values and a sweep.
fn sweep() -> Vec<f64> {
    let mut values = SPECIAL.to_vec();
    values.extend((0..2001).map(|i| (f64::from(i) - 1000.0) / 97.0));
    values.extend((0..500).map(|i| 10f64.powf(f64::from(i) / 25.0 - 10.0)));
    values
}

fn integers(dtype: DType) -> Vec<f64> {
    match dtype {
        DType::I32 => vec![0.0, 1.0, -1.0, 7.0, -7.0, 31.0, 33.0, 65536.0, f64::from(i32::MAX), f64::from(i32::MIN)],
        DType::U32 => vec![0.0, 1.0, 7.0, 31.0, 33.0, 65535.0, 65536.0, 2147483648.0, f64::from(u32::MAX)],
        _ => vec![0.0, 1.0],
    }
}

fn values(dtype: DType) -> Vec<f64> {
    if dtype.is_float() { sweep() } else { integers(dtype) }
}

fn unary_tolerance(op: Unary) -> Tolerance {
    match op {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc => EXACT,
        // Absolute near the zeros away from 0.
        Unary::Sin | Unary::Cos => within(4.0 * f64::from(f32::EPSILON), 1e-7),
        _ => CLOSE,
    }
}

#[test]
fn unary_maps_equal_the_reference() {
    for op in Unary::ALL {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            if !op.takes(dtype) {
                continue;
            }
            let mut x = values(dtype);
            if matches!(op, Unary::Sin | Unary::Cos) {
                x.retain(|x| !(x.abs() > 1e4 && x.is_finite()));
            }
            // Below the normal range drivers may flush to zero.
            if op == Unary::Recip {
                x.retain(|x| !(x.abs() > 1e38 && x.is_finite()));
            }
            println!("{op:?} {dtype}");
            let kernel = map(x.len(), &[dtype], vec![load(0, &[x.len()]), Inst::Unary(op, 0)], op.result(dtype));
            check(&kernel, &[x], unary_tolerance(op));
        }
    }
}

#[test]
fn binary_maps_equal_the_reference() {
    for op in Binary::ALL {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            if !op.takes(dtype) {
                continue;
            }
            let base: Vec<f64> = if dtype.is_float() { SPECIAL.to_vec() } else { integers(dtype) };
            let mut pairs: Vec<(f64, f64)> = base.iter().flat_map(|&x| base.iter().map(move |&y| (x, y))).collect();
            let tolerance = match op {
                Binary::Pow => {
                    pairs.extend((0..400).map(|i| (f64::from(i) * 0.05, f64::from(i % 41) * 0.25 - 5.0)));
                    // Rounding y ln m costs a relative |y ln m| epsilon; the mantissa m is within sqrt(2) of 1.
                    within(16.0 * f64::from(f32::EPSILON), 1e-37)
                }
                Binary::Rem => {
                    pairs.retain(|(x, y)| !x.is_finite() || !y.is_finite() || (x / y).abs() < 1e6);
                    within(1e-6, 1e-5)
                }
                Binary::Div => CLOSE,
                _ => EXACT,
            };
            println!("{op:?} {dtype}");
            let keep = |&(x, y): &(f64, f64)| {
                let (x, y) = (dtype.round(x), dtype.round(y));
                let z = op.apply(dtype, x, y);
                // Results below the normal range may be flushed.
                let tiny = dtype.is_float() && z != 0.0 && z.abs() < 1.2e-38;
                // The sum of two large f64 values overflows in f32 only.
                let huge = dtype.is_float() && z.is_finite() && z.abs() > 3.4e38;
                !tiny && !huge
            };
            pairs.retain(keep);
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let n = x.len();
            let body = vec![load(0, &[n]), load(1, &[n]), Inst::Binary(op, 0, 1)];
            let rounds = |v: f64| dtype.round(v);
            let exact = matches!(op, Binary::Add | Binary::Sub | Binary::Mul);
            let tolerance = if exact && dtype.is_float() { CLOSE } else { tolerance };
            let _ = rounds;
            check(&map(n, &[dtype, dtype], body, op.result(dtype)), &[x, y], tolerance);
        }
    }
}

#[test]
fn casts_equal_the_reference() {
    for from in [DType::F32, DType::I32, DType::U32, DType::Bool] {
        for to in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            let mut x = values(from);
            if from == DType::F32 {
                x.extend([
                    2147483520.0,
                    2147483648.0,
                    -2147483648.0,
                    -2147483904.0,
                    4294967040.0,
                    4294967296.0,
                    1e30,
                    -1e30,
                ]);
            }
            println!("{from} to {to}");
            let kernel = map(x.len(), &[from], vec![load(0, &[x.len()]), Inst::Cast(0, to)], to);
            check(&kernel, &[x], EXACT);
        }
    }
    for (from, to) in [(DType::F32, DType::U32), (DType::U32, DType::I32), (DType::I32, DType::U32)] {
        let x = if from == DType::F32 { vec![1.0, -2.5, 1e10] } else { integers(from) };
        check(&map(x.len(), &[from], vec![load(0, &[x.len()]), Inst::Bitcast(0, to)], to), &[x], EXACT);
    }
}

#[test]
fn halves_are_rounded_to_even_when_cast_and_stored() {
    let Some(gpu) = gpu() else { return };
    let x: Vec<f64> = [
        1.0,
        1.0 + 2f64.powi(-11),
        1.0 + 3.0 * 2f64.powi(-11),
        65519.0,
        65520.0,
        1e9,
        -1e9,
        1e-8,
        5.97e-8,
        6e-5,
        3.1e-5,
    ]
    .into_iter()
    .chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0])
    .chain(noise(100, 1))
    .collect();
    let n = x.len();
    // Through a register only: works everywhere.
    let body = vec![load(0, &[n]), Inst::Cast(0, DType::F16), Inst::Cast(1, DType::F32)];
    check(&map(n, &[DType::F32], body, DType::F32), std::slice::from_ref(&x), EXACT);
    if gpu.target().f16 {
        for n in [n, n - 1] {
            let store = map(n, &[DType::F32], vec![load(0, &[n]), Inst::Cast(0, DType::F16)], DType::F16);
            check(&store, std::slice::from_ref(&x), EXACT);
            let back = map(n, &[DType::F16], vec![load(0, &[n]), Inst::Cast(0, DType::F32)], DType::F32);
            check(&back, std::slice::from_ref(&x), EXACT);
        }
    }
}

#[test]
fn sizes_from_one_to_beyond_a_workgroup() {
    for n in [0, 1, 2, 3, 63, 64, 65, 255, 257, 1025, 100_001] {
        let body = vec![load(0, &[n]), load(1, &[n]), Inst::Binary(Binary::Add, 0, 1), Inst::Binary(Binary::Mul, 2, 0)];
        check(&map(n, &[DType::F32, DType::F32], body, DType::F32), &[noise(n, 1), noise(n, 2)], CLOSE);
    }
}

#[test]
fn constants_of_every_kind() {
    let bits = [
        0.0,
        -0.0,
        1.0,
        f64::from(0.1f32),
        f64::from(-3.25e-30f32),
        f64::from(1e30f32),
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        16777216.0,
    ];
    for value in bits {
        let body = vec![
            load(0, &[3]),
            Inst::Constant { value: Scalar(value), dtype: DType::F32 },
            Inst::Binary(Binary::Mul, 0, 1),
        ];
        check(&map(3, &[DType::F32], body, DType::F32), &[vec![1.0, 2.0, -1.0]], CLOSE);
    }
    for (dtype, value) in
        [(DType::I32, f64::from(i32::MIN)), (DType::I32, -5.0), (DType::U32, f64::from(u32::MAX)), (DType::Bool, 1.0)]
    {
        let body =
            vec![load(0, &[3]), Inst::Constant { value: Scalar(value), dtype }, Inst::Binary(Binary::Equal, 0, 1)];
        check(&map(3, &[dtype], body, DType::Bool), &[vec![0.0, value, 1.0]], EXACT);
    }
}

#[test]
fn views_masks_and_chains() {
    let x = noise(24, 3);
    // Transposed, flipped, broadcast, padded, sliced.
    let base = View::contiguous(&[4, 6]);
    let views = [
        base.permute(&[1, 0]),
        base.flip(&[0, 1]),
        base.pad(&[(1, 2), (0, 3)]),
        base.slice(&[(1, 3), (2, 5)]),
        base.slice(&[(1, 3), (2, 5)]).pad(&[(2, 2), (1, 1)]).flip(&[1]),
        View { shape: vec![5, 4, 6], strides: vec![0, 6, 1], offset: 0, mask: None },
    ];
    for view in views {
        let shape = view.shape.clone();
        let body = vec![
            Inst::Load { input: 0, layout: Layout::of(view.clone()) },
            Inst::Inside { layout: Layout::of(view.clone()) },
            Inst::Cast(1, DType::F32),
            Inst::Iota { layout: Layout::of(view), dtype: DType::I32 },
            Inst::Cast(3, DType::F32),
            Inst::Binary(Binary::Add, 0, 2),
            Inst::Binary(Binary::Add, 5, 4),
        ];
        check(&rows(&shape, &[], vec![f32s(24)], body, DType::F32), std::slice::from_ref(&x), CLOSE);
    }
    // A reshape of a transposed padded view needs a chain.
    let padded = base.pad(&[(1, 0), (1, 1)]).permute(&[1, 0]);
    let chain = Layout::contiguous(&[4, 10]).then(&Layout::of(padded));
    assert!(chain.single().is_none());
    let shape = chain.shape().to_vec();
    let body = vec![Inst::Load { input: 0, layout: chain }];
    check(&rows(&shape, &[], vec![f32s(24)], body, DType::F32), std::slice::from_ref(&x), EXACT);
}

#[test]
fn random_words_equal_philox() {
    let state = vec![1.0, 4294967295.0, 77.0, 123456789.0];
    let n = 1001;
    let inputs = vec![Slice { dtype: DType::U32, len: 4 }];
    let body = vec![Inst::Random { state: 0, stream: 5, layout: Layout::contiguous(&[n]) }];
    check(&rows(&[n], &[], inputs, body, DType::U32), &[state], EXACT);
}

#[test]
fn gather_gives_nan_outside() {
    let (n, size) = (9, 5);
    let index = vec![0.0, 4.0, 5.0, -1.0, 3.0, 2.0, 1.0, 100.0, -2147483648.0];
    let view = View { shape: vec![n, 3], strides: vec![0, 1], offset: 0, mask: None };
    for dtype in [DType::F32, DType::I32] {
        let body = vec![
            Inst::Load {
                input: 1,
                layout: Layout::of(View { shape: vec![n, 3], strides: vec![1, 0], offset: 0, mask: None }),
            },
            Inst::Gather { input: 0, view: view.clone(), index: 0, stride: 3, size },
        ];
        let inputs = vec![Slice { dtype, len: 15 }, Slice { dtype: DType::I32, len: n }];
        let table: Vec<f64> = (0..15).map(f64::from).collect();
        check(&rows(&[n, 3], &[], inputs, body, dtype), &[table, index.clone()], EXACT);
    }
}

#[test]
fn bools_and_selects() {
    let n = 6;
    let body = vec![
        load(0, &[n]),
        load(1, &[n]),
        Inst::Binary(Binary::Less, 0, 1),
        Inst::Unary(Unary::IsNan, 0),
        Inst::Binary(Binary::Or, 2, 3),
        Inst::Unary(Unary::Not, 4),
        Inst::Select(5, 0, 1),
    ];
    let x = vec![1.0, 2.0, f64::NAN, 4.0, 5.0, f64::INFINITY];
    check(&map(n, &[DType::F32, DType::F32], body, DType::F32), &[x, vec![2.0, 1.0, 0.0, 4.0, f64::NAN, 0.0]], EXACT);
}
