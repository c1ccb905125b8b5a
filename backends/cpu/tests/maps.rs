//! Every instruction of a fused body against its meaning.

mod held;

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::Inst;
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use held::{check, dense, map, numbers, output, slice};

const TYPES: [DType; 6] = [DType::F32, DType::F16, DType::F64, DType::I32, DType::U32, DType::Bool];

/// Values with all edges that a type has.
fn edges(dtype: DType, n: usize, seed: u32) -> Vec<f64> {
    let special: &[f64] = match dtype {
        DType::F32 | DType::F16 | DType::F64 => &[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1.5,
            2.5,
            -2.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            300.0,
            -300.0,
            1e-6,
        ],
        DType::I32 => &[0.0, 1.0, -1.0, 2_147_483_647.0, -2_147_483_648.0, 31.0, 33.0, -7.0],
        DType::U32 => &[0.0, 1.0, 4_294_967_295.0, 31.0, 33.0, 2_147_483_648.0],
        DType::Bool => &[0.0, 1.0],
    };
    let mixed = numbers(n, seed).into_iter().enumerate().map(|(i, x)| {
        if i % 3 == 0 { special[(i / 3 + seed as usize * 5) % special.len()] } else { dtype.round(x * 9.0) }
    });
    mixed.map(|x| if dtype == DType::U32 || dtype == DType::Bool { dtype.round(x.abs()) } else { x }).collect()
}

#[test]
fn unary_maps() {
    for n in [0, 1, 17, 1025, 5000] {
        for dtype in TYPES {
            for op in Unary::ALL.into_iter().filter(|op| op.takes(dtype)) {
                let to = op.result(dtype);
                let body = vec![dense(0, &[n]), Inst::Unary(op, 0)];
                let kernel = map(&[n], &[], vec![slice(dtype, n)], body, vec![output(1, to, &[n])]);
                // Four units in the last place, or one of f16.
                check(&kernel, &[edges(dtype, n, 1)], 4.0 * to.epsilon());
            }
        }
    }
}

#[test]
fn binary_maps() {
    for n in [1, 300, 1025] {
        for dtype in TYPES {
            for op in Binary::ALL.into_iter().filter(|op| op.takes(dtype)) {
                let to = op.result(dtype);
                let body = vec![dense(0, &[n]), dense(1, &[n]), Inst::Binary(op, 0, 1)];
                let inputs = vec![slice(dtype, n), slice(dtype, n)];
                let kernel = map(&[n], &[], inputs, body, vec![output(2, to, &[n])]);
                check(&kernel, &[edges(dtype, n, 1), edges(dtype, n, 2)], 4.0 * to.epsilon());
            }
        }
    }
}

#[test]
fn more_values_at_once_than_a_processor_has_registers() {
    // x * 1, x * 2, .., x * 40, of which the first and the last are stored, added up from the last on.
    for n in [1, 8, 1029] {
        let mut body = vec![dense(0, &[n])];
        let products: Vec<usize> = (1..=40)
            .map(|i| {
                body.push(Inst::Constant { value: Scalar(f64::from(i)), dtype: DType::F32 });
                body.push(Inst::Binary(Binary::Mul, 0, body.len() - 1));
                body.len() - 1
            })
            .collect();
        let mut sum = products[39];
        for &product in products[..39].iter().rev() {
            body.push(Inst::Binary(Binary::Add, sum, product));
            sum = body.len() - 1;
        }
        let outputs = [products[0], products[39], sum].map(|value| output(value, DType::F32, &[n])).to_vec();
        let kernel = map(&[n], &[], vec![slice(DType::F32, n)], body, outputs);
        check(&kernel, &[numbers(n, 3)], 40.0 * DType::F32.epsilon());
    }
}

#[test]
fn casts_select_and_constants() {
    let n = 777;
    for from in TYPES {
        for to in TYPES {
            let body = vec![dense(0, &[n]), Inst::Cast(0, to)];
            let kernel = map(&[n], &[], vec![slice(from, n)], body, vec![output(1, to, &[n])]);
            let slack = if from == DType::F64 || from == DType::F32 { to.epsilon() } else { 2.0 * to.epsilon() };
            check(&kernel, &[edges(from, n, 3)], slack);
        }
        let body = vec![
            dense(0, &[n]),
            dense(1, &[n]),
            Inst::Constant { value: Scalar(1.0), dtype: from },
            Inst::Select(0, 1, 2),
        ];
        let inputs = vec![slice(DType::Bool, n), slice(from, n)];
        let kernel = map(&[n], &[], inputs, body, vec![output(3, from, &[n])]);
        check(&kernel, &[edges(DType::Bool, n, 4), edges(from, n, 5)], 0.0);
    }
    let body = vec![dense(0, &[n]), Inst::Bitcast(0, DType::I32), Inst::Bitcast(1, DType::F32)];
    let outputs = vec![output(1, DType::I32, &[n]), output(2, DType::F32, &[n])];
    check(&map(&[n], &[], vec![slice(DType::F32, n)], body, outputs), &[numbers(n, 6)], 0.0);
}

#[test]
fn views_masks_and_chains() {
    let base = View::contiguous(&[6, 10]);
    let views = [
        base.permute(&[1, 0]),
        base.flip(&[0, 1]),
        base.slice(&[(1, 5), (3, 9)]),
        base.pad(&[(2, 1), (0, 3)]),
        base.pad(&[(1, 1), (2, 2)]).flip(&[1]).permute(&[1, 0]),
        View::contiguous(&[6, 1]).expand(&[6, 40]),
        View::contiguous(&[1, 10]).expand(&[200, 10]),
        View::contiguous(&[1]).expand(&[3000]),
        base.windows(1, 3, 2, 1).expect("unmasked"),
    ];
    let mut layouts: Vec<Layout> = views.into_iter().map(Layout::of).collect();
    layouts.push(Layout::contiguous(&[60]).then(&Layout::of(base.permute(&[1, 0]))));
    layouts.push(Layout::contiguous(&[13, 8]).then(&Layout::of(base.pad(&[(1, 1), (2, 1)]).permute(&[1, 0]))));
    for layout in layouts {
        let shape = layout.shape().to_vec();
        for dtype in TYPES {
            let body = vec![Inst::Load { input: 0, layout: layout.clone() }];
            let kernel = map(&shape, &[], vec![slice(dtype, 60)], body, vec![output(0, dtype, &shape)]);
            check(&kernel, &[edges(dtype, 60, 7)], 0.0);
        }
        let body = vec![
            Inst::Iota { layout: layout.clone(), dtype: DType::I32 },
            Inst::Inside { layout: layout.clone() },
            Inst::Random { state: 0, stream: 3, layout },
        ];
        let outputs = [DType::I32, DType::Bool, DType::U32];
        let outputs = outputs.iter().enumerate().map(|(i, &t)| output(i, t, &shape)).collect();
        check(&map(&shape, &[], vec![slice(DType::U32, 4)], body, outputs), &[vec![1.0, 2.0, 3.0, 4.0]], 0.0);
    }
}

#[test]
fn gathers() {
    let (n, width) = (500, 7);
    for dtype in TYPES {
        for index_type in [DType::I32, DType::U32] {
            let body = vec![
                Inst::Load { input: 1, layout: Layout::of(View::contiguous(&[n, 1]).expand(&[n, width])) },
                Inst::Gather {
                    input: 0,
                    view: View { shape: vec![n, width], strides: vec![0, 1], offset: 0, mask: None },
                    index: 0,
                    stride: width as isize,
                    size: 11,
                },
            ];
            let inputs = vec![slice(dtype, 11 * width), slice(index_type, n)];
            let kernel = map(&[n, width], &[], inputs, body, vec![output(1, dtype, &[n, width])]);
            let index = (0..n).map(|i| ((i * 7) % 14) as f64 - if index_type == DType::I32 { 2.0 } else { 0.0 });
            check(&kernel, &[edges(dtype, 11 * width, 8), index.collect()], 0.0);
        }
    }
}

#[test]
fn updates_in_place_and_strided_outputs() {
    let n = 2500;
    let body = vec![dense(0, &[n]), dense(1, &[n]), Inst::Binary(Binary::Add, 0, 1), Inst::Binary(Binary::Mul, 0, 2)];
    let mut outputs = vec![output(2, DType::F32, &[n]), output(3, DType::F32, &[n]), output(0, DType::F32, &[n])];
    outputs[0].aliases = Some(0);
    outputs[1].aliases = Some(1);
    let kernel = map(&[n], &[], vec![slice(DType::F32, n), slice(DType::F32, n)], body, outputs);
    check(&kernel, &[numbers(n, 9), numbers(n, 10)], 1e-6);
    let body = vec![dense(0, &[5, 6]), Inst::Unary(Unary::Neg, 0)];
    let mut out = output(1, DType::F16, &[5, 6]);
    out.slice.len = 100;
    out.view = View { shape: vec![5, 6], strides: vec![-3, 16], offset: 13, mask: None };
    check(&map(&[5, 6], &[], vec![slice(DType::F16, 30)], body, vec![out]), &[numbers(30, 11)], 0.0);
}

#[test]
fn transposed_maps_run_in_blocks() {
    for (batch, rows, columns) in [(1, 32, 64), (3, 48, 16), (2, 40, 24), (2, 33, 64)] {
        let shape = [batch, rows, columns];
        let view = View::contiguous(&[batch, columns, rows]).permute(&[0, 2, 1]);
        let body =
            vec![Inst::Load { input: 0, layout: Layout::of(view) }, dense(1, &shape), Inst::Binary(Binary::Sub, 0, 1)];
        let n = batch * rows * columns;
        let mut out = output(2, DType::F32, &shape);
        out.aliases = Some(1);
        let kernel = map(&shape, &[], vec![slice(DType::F32, n), slice(DType::F32, n)], body, vec![out]);
        check(&kernel, &[numbers(n, 1), numbers(n, 2)], 1e-6);
    }
}
