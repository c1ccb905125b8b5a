//! Scatter, argsort and cumulative sums.

use anygrad_core::DType;
use anygrad_core::kernel::{Core, Inst, Kernel, Output, Scatter, Slice};
use anygrad_core::scalar::Binary;
use anygrad_core::view::View;

use crate::bench::*;

fn core_kernel(core: Core, outer: &[usize], inputs: Vec<Slice>) -> Kernel {
    let mut kernel =
        Kernel { core, outer: outer.to_vec(), inner: vec![], inputs, body: vec![Inst::Core], outputs: vec![] };
    let slice = Slice { dtype: kernel.core_dtype(), len: outer.iter().product() };
    kernel.outputs = vec![Output { value: 0, slice, view: View::contiguous(outer), aliases: None }];
    kernel
}

#[test]
fn scatter_adds_in_a_fixed_order() {
    for [before, size, after, count] in [[3, 4, 1, 1], [1, 10, 8, 100], [2, 7, 3, 65], [1, 300, 4, 1000], [2, 5, 2, 0]]
    {
        for spread in [true, false] {
            let len = before * count * after;
            let shape = [before, count, after];
            let index_view = if spread {
                View { shape: shape.to_vec(), strides: vec![count as isize, 1, 0], offset: 0, mask: None }
            } else {
                View::contiguous(&shape)
            };
            let index_len = if spread { before * count } else { len };
            // Some are out of range and count for nothing.
            let index: Vec<f64> =
                noise(index_len, 1).iter().map(|x| (x.abs() * (size as f64 + 1.0) - 1.0).floor()).collect();
            let inputs = vec![Slice { dtype: DType::I32, len: index_len }, f32s(len), f32s(before * size * after)];
            let scatter = Scatter { index: (0, index_view), updates: (1, View::contiguous(&shape)) };
            let outer = [before, size, after];
            let mut kernel = core_kernel(Core::Scatter(scatter), &outer, inputs);
            let values = [index, noise(len, 2), noise(before * size * after, 3)];
            check_all(&kernel, &values, within(1e-5, 1e-5));
            // On top of a base, in place.
            kernel.body = vec![Inst::Core, load(2, &outer), Inst::Binary(Binary::Add, 1, 0)];
            kernel.outputs[0].value = 2;
            kernel.outputs[0].aliases = Some(2);
            check_all(&kernel, &values, within(1e-5, 1e-5));
        }
    }
}

#[test]
fn argsort_is_stable_and_puts_nan_last() {
    for [rows, n] in [[1, 1], [3, 10], [2, 64], [2, 65], [1, 257], [2, 1025], [5, 300]] {
        for descending in [false, true] {
            let mut x: Vec<f64> = noise(rows * n, 4).iter().map(|x| (x * 20.0).round()).collect();
            x[0] = f64::NAN;
            if n > 5 {
                x[3] = f64::NEG_INFINITY;
                x[4] = f64::NAN;
                x[5] = -0.0;
            }
            let kernel = core_kernel(Core::Argsort { input: 0, descending }, &[rows, n], vec![f32s(rows * n)]);
            check_all(&kernel, std::slice::from_ref(&x), EXACT);
            let inputs = vec![Slice { dtype: DType::I32, len: rows * n }];
            check_all(&core_kernel(Core::Argsort { input: 0, descending }, &[rows, n], inputs), &[x], EXACT);
        }
    }
}

#[test]
fn cumulative_sums() {
    for outer in [[1, 1, 1], [2, 5, 3], [1, 64, 1], [1, 1000, 1], [3, 257, 2], [1, 20_000, 1], [2, 0, 3]] {
        let n = outer.iter().product();
        for dtype in [DType::F32, DType::I32] {
            let x: Vec<f64> =
                noise(n, 5).iter().map(|x| if dtype == DType::I32 { (x * 9.0).round() } else { *x }).collect();
            let kernel = core_kernel(Core::CumulativeSum { input: 0 }, &outer, vec![Slice { dtype, len: n }]);
            check_all(&kernel, &[x], if dtype == DType::I32 { EXACT } else { within(1e-5, 1e-4) });
        }
    }
}
