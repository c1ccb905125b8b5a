//! Random kernels against their meaning: any mix of levels, views, reductions and outputs.

mod held;

use anygrad_core::DType;
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{Core, Extremum, Inst, Kernel, Matmul, Operand, Output, Reduction};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use held::{check, map, numbers, slice};
use proptest::prelude::*;

/// A view of `shape` over a buffer of 4,096 elements, by choice number.
fn view(shape: &[usize], choice: usize) -> View {
    let contiguous = View::contiguous(shape);
    match choice % 6 {
        0 | 1 => contiguous,
        2 => {
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            View::contiguous(&reversed).permute(&(0..shape.len()).rev().collect::<Vec<_>>())
        }
        3 => contiguous.flip(&(0..shape.len()).collect::<Vec<_>>()),
        4 => {
            let ones: Vec<usize> =
                shape.iter().enumerate().map(|(a, &n)| if a % 2 == choice / 6 % 2 { 1 } else { n }).collect();
            View::contiguous(&ones).expand(shape)
        }
        _ => {
            let padding: Vec<(usize, usize)> =
                shape.iter().map(|&n| (usize::from(n > 2), usize::from(n > 1))).collect();
            let small: Vec<usize> = shape.iter().zip(&padding).map(|(&n, p)| n - p.0 - p.1).collect();
            View::contiguous(&small).pad(&padding)
        }
    }
}

/// Its first value is a load, or a core's.
fn kernel(core: Core, outer: Vec<usize>, inner: Vec<usize>, choices: &[(usize, usize, usize)]) -> Kernel {
    let full = [&outer[..], &inner].concat();
    let load = Inst::Load { input: 0, layout: Layout::of(view(&full, choices[0].0)) };
    let mut body = vec![
        if core == Core::Map { load } else { Inst::Core },
        Inst::Load { input: 1, layout: Layout::of(view(&outer, choices[0].1)) },
        Inst::Constant { value: Scalar(0.75), dtype: DType::F32 },
    ];
    let mut values = vec![0, 1, 2];
    for &(kind, a, b) in choices {
        let (x, y) = (values[a % values.len()], values[b % values.len()]);
        body.push(match kind % 14 {
            0 => Inst::Load { input: a % 2, layout: Layout::of(view(&full, b)) },
            1 => Inst::Load { input: a % 2, layout: Layout::of(view(&outer, b)) },
            2 => Inst::Unary(Unary::Tanh, x),
            3 => Inst::Unary(Unary::Sin, x),
            4 | 5 => Inst::Binary(Binary::Add, x, y),
            6 => Inst::Binary(Binary::Mul, x, y),
            7 => Inst::Binary(Binary::Max, x, y),
            8 => Inst::Reduce(Reduction::Max, x),
            9 => Inst::Reduce(Reduction::Min, x),
            10 => Inst::Reduce(Reduction::Sum, x),
            11 => Inst::Cast(x, DType::F16),
            12 => Inst::ArgReduce(Extremum::Max, 0),
            _ => Inst::Unary(Unary::Tanh, y),
        });
        let last = body.len() - 1;
        match body[last] {
            // Sums are brought back to a size that keeps errors small; halves and numbers are made f32 again.
            Inst::Reduce(Reduction::Sum, _) => body.push(Inst::Unary(Unary::Tanh, last)),
            Inst::Cast(..) | Inst::ArgReduce(..) => body.push(Inst::Cast(last, DType::F32)),
            Inst::Binary(Binary::Mul, ..) => body.push(Inst::Unary(Unary::Atan, last)),
            _ => {}
        }
        values.push(body.len() - 1);
    }
    let inputs = vec![slice(DType::F32, 4096), slice(DType::F32, 4096)];
    let mut kernel = Kernel { core, ..map(&outer, &inner, inputs, body, vec![]) };
    let level = kernel.is_inner();
    for &value in values.iter().rev().take(3) {
        let shape = if level[value] { &full } else { &outer };
        let len = shape.iter().product();
        kernel.outputs.push(Output {
            value,
            slice: slice(DType::F32, len),
            view: View::contiguous(shape),
            aliases: None,
        });
    }
    kernel
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_kernels(
        outer in prop::collection::vec(1_usize..9, 0..3),
        inner in prop::collection::vec(1_usize..8, 0..3),
        choices in prop::collection::vec((0_usize..1000, 0_usize..1000, 0_usize..1000), 1..14),
    ) {
        let kernel = kernel(Core::Map, outer, inner, &choices);
        // A cast to f16 can fall to either side of a rounding boundary: half a unit of f16, amplified a little.
        check(&kernel, &[numbers(4096, 1), numbers(4096, 2)], 1e-2);
    }

    #[test]
    fn random_kernels_over_rows_of_a_product(
        (batch, m, n, k) in (1_usize..3, 1_usize..40, 1_usize..40, 1_usize..9),
        choices in prop::collection::vec((0_usize..1000, 0_usize..1000, 0_usize..1000), 1..14),
    ) {
        let side = |input, rows, columns| Operand {
            input,
            offset: 0,
            batch_strides: vec![rows * columns],
            row_stride: columns,
            column_stride: 1,
        };
        let core = Core::Matmul(Matmul { batch: vec![batch], m, n, k, a: side(0, m, k), b: side(1, k, n) });
        let kernel = kernel(core, vec![batch, m], vec![n], &choices);
        check(&kernel, &[numbers(4096, 1), numbers(4096, 2)], 1e-2);
    }
}
