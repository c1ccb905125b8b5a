//! Matrix products and convolutions in every variant.

use anygrad_core::DType;
use anygrad_core::backend::Backend;
use anygrad_core::kernel::{Conv, ConvGeometry, ConvKind, Core, Inst, Kernel, Matmul, Operand, Output, Slice};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::View;

use crate::bench::*;

/// A kernel of a core alone, or with a bias and tanh behind it, in place of the bias' own buffer if `alias`.
pub(crate) fn with_epilogue(
    core: Core,
    outer: &[usize],
    mut inputs: Vec<Slice>,
    epilogue: bool,
    alias: bool,
) -> Kernel {
    let len = outer.iter().product();
    let mut body = vec![Inst::Core];
    if epilogue {
        inputs.push(f32s(len));
        let input = inputs.len() - 1;
        body.push(load(input, outer));
        body.push(Inst::Binary(Binary::Add, 0, 1));
        body.push(Inst::Unary(Unary::Tanh, 2));
    }
    let aliases = alias.then_some(inputs.len() - 1);
    let mut kernel = Kernel { core, outer: outer.to_vec(), inner: vec![], inputs, body, outputs: vec![] };
    let dtype = kernel.core_dtype();
    let value = kernel.body.len() - 1;
    kernel.outputs = vec![Output { value, slice: Slice { dtype, len }, view: View::contiguous(outer), aliases }];
    kernel
}

fn of_depth(k: usize) -> Tolerance {
    within(1e-5, 1e-6 * (k as f64).sqrt() + 1e-6)
}

/// A product with operands that are stored transposed or not.
fn matmul(
    batch: &[usize],
    m: usize,
    n: usize,
    k: usize,
    ta: bool,
    tb: bool,
    offset: usize,
) -> (Core, Vec<usize>, [usize; 2]) {
    let operand = |input: usize, rows: usize, columns: usize, transposed: bool| {
        let (row_stride, column_stride) = if transposed { (1, rows) } else { (columns, 1) };
        let mut below = rows * columns;
        let mut batch_strides = vec![0; batch.len()];
        for axis in (0..batch.len()).rev() {
            // The right side is shared along the first batch axis.
            batch_strides[axis] = if input == 1 && axis == 0 && batch.len() > 1 { 0 } else { below };
            below *= batch[axis];
        }
        Operand { input, offset, batch_strides, row_stride, column_stride }
    };
    let core =
        Core::Matmul(Matmul { batch: batch.to_vec(), m, n, k, a: operand(0, m, k, ta), b: operand(1, k, n, tb) });
    let count: usize = batch.iter().product();
    (core, [batch, &[m, n]].concat(), [count * m * k + offset, count * k * n + offset])
}

fn check_matmul(batch: &[usize], [m, n, k]: [usize; 3], ta: bool, tb: bool, offset: usize, dtype: DType) {
    let (core, outer, lens) = matmul(batch, m, n, k, ta, tb, offset);
    println!("{batch:?} {m}x{n}x{k} transposed {ta} {tb} offset {offset} {dtype}");
    let inputs: Vec<Slice> = lens.iter().map(|&len| Slice { dtype, len }).collect();
    let mut values: Vec<Vec<f64>> = vec![noise(lens[0], 1), noise(lens[1], 2)];
    // With an epilogue, in place for some; the plain product is its special case.
    values.push(noise(outer.iter().product(), 3));
    check_all(&with_epilogue(core, &outer, inputs, true, m % 2 == 0), &values, of_depth(k));
}

#[test]
fn products_of_all_shapes_and_strides() {
    for shape in [[4, 4, 4], [33, 17, 5], [65, 70, 19], [64, 64, 32], [9, 300, 33], [5, 6, 0], [18, 33, 0]] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            check_matmul(&[], shape, ta, tb, 0, DType::F32);
        }
    }
    check_matmul(&[], [12, 12, 12], false, false, 3, DType::F32);
    check_matmul(&[3], [8, 12, 16], false, true, 4, DType::F32);
    check_matmul(&[2, 3], [7, 9, 6], true, false, 0, DType::F32);
}

#[test]
fn thin_products() {
    for shape in [[1, 50, 70], [50, 1, 70], [1, 1, 500], [3, 40, 9], [2, 3, 4]] {
        check_matmul(&[], shape, false, false, 0, DType::F32);
        check_matmul(&[2], shape, false, true, 0, DType::F32);
    }
}

#[test]
fn large_tiles() {
    let Some(gpu) = gpu() else { return };
    for [m, n, k] in [[130, 129, 20], [128, 256, 16]] {
        // Many products, so that the large tile is chosen.
        let (core, outer, lens) = matmul(&[64], m, n, k, false, false, 0);
        let kernel = with_epilogue(core, &outer, lens.iter().map(|&len| f32s(len)).collect(), false, false);
        let (results, text) = run(gpu, &hardware(gpu), &kernel, &[noise(lens[0], 1), noise(lens[1], 2)]);
        assert!(text.contains("product_tiled_large"), "{text}");
        let (a, b) = (noise(lens[0], 1), noise(lens[1], 2));
        for z in [0, 63] {
            for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, 3), (5, n / 2 + 1), (127, 127)] {
                let want: f64 = (0..k).map(|p| a[z * m * k + i * k + p] * b[z * k * n + p * n + j]).sum();
                let got = results[0][(z * m + i) * n + j];
                assert!((want - got).abs() < 1e-5, "{z} {i} {j}: {got}, expected {want}");
            }
        }
    }
}

#[test]
fn long_sums_are_cut_into_parts() {
    check_matmul(&[], [12, 10, 2100], false, false, 0, DType::F32);
    check_matmul(&[], [12, 10, 2051], true, true, 0, DType::F32);
}

#[test]
fn halves_accumulate_in_single_precision() {
    let Some(gpu) = gpu() else { return };
    if gpu.target().f16 {
        for (ta, tb) in [(false, false), (true, true), (false, true)] {
            check_matmul(&[], [20, 24, 40], ta, tb, 0, DType::F16);
            check_matmul(&[], [17, 9, 21], ta, tb, 1, DType::F16);
        }
    }
}

#[test]
fn hardware_matrix_tiles() {
    let Some(gpu) = gpu() else { return };
    if gpu.target().cooperative.is_empty() {
        eprintln!("skipped: {} has no cooperative matrices", gpu.info().name);
        return;
    }
    for shape in [[64, 64, 64], [33, 70, 41], [17, 20, 2100]] {
        for (ta, tb) in [(false, false), (true, true)] {
            let (core, outer, lens) = matmul(&[], shape[0], shape[1], shape[2], ta, tb, 0);
            let inputs: Vec<Slice> = lens.iter().map(|&len| Slice { dtype: DType::F16, len }).collect();
            let kernel = with_epilogue(core, &outer, inputs, true, false);
            let values = [noise(lens[0], 1), noise(lens[1], 2), noise(outer.iter().product(), 3)];
            check_for(gpu, &hardware(gpu), &kernel, &values, of_depth(shape[2]));
            let (_, text) = run(gpu, &hardware(gpu), &kernel, &values);
            assert!(text.contains("coopMultiplyAdd"), "{text}");
        }
    }
}

fn conv(kind: ConvKind, g: &ConvGeometry, dtype: DType) -> (Core, Vec<usize>, Vec<Slice>) {
    let x = [&[g.batch, g.c_in], &g.input[..]].concat();
    let w = [&[g.c_out, g.c_in / g.groups], &g.taps[..]].concat();
    let y = [&[g.batch, g.c_out], &g.output[..]].concat();
    let slice = |shape: &Vec<usize>| Slice { dtype, len: shape.iter().product() };
    let (outer, inputs) = match kind {
        ConvKind::Forward => (y, vec![slice(&x), slice(&w)]),
        ConvKind::InputGradient => (x, vec![slice(&y), slice(&w)]),
        ConvKind::WeightGradient => (w, vec![slice(&x), slice(&y)]),
    };
    (Core::Conv(Conv { kind, a: 0, b: 1, geometry: g.clone() }), outer, inputs)
}

struct Shape<'a> {
    batch: usize,
    channels: [usize; 2],
    groups: usize,
    input: &'a [usize],
    taps: &'a [usize],
    stride: usize,
    padding: usize,
    dilation: usize,
}

fn geometry(s: &Shape<'_>) -> ConvGeometry {
    let rank = s.input.len();
    let output =
        (0..rank).map(|a| (s.input[a] + 2 * s.padding - s.dilation * (s.taps[a] - 1) - 1) / s.stride + 1).collect();
    ConvGeometry {
        batch: s.batch,
        c_in: s.channels[0],
        c_out: s.channels[1],
        groups: s.groups,
        input: s.input.to_vec(),
        taps: s.taps.to_vec(),
        output,
        stride: vec![s.stride; rank],
        padding: vec![s.padding; rank],
        dilation: vec![s.dilation; rank],
    }
}

#[test]
fn convolutions_and_their_gradients() {
    let shape = |batch, channels, groups, input, taps, stride, padding, dilation| Shape {
        batch,
        channels,
        groups,
        input,
        taps,
        stride,
        padding,
        dilation,
    };
    let shapes = [
        shape(1, [1, 1], 1, &[5][..], &[3][..], 1, 0, 1),
        shape(2, [3, 5], 1, &[17], &[4], 2, 1, 1),
        shape(2, [4, 8], 1, &[8, 8], &[3, 3], 1, 1, 1),
        shape(2, [5, 6], 1, &[9, 7], &[3, 2], 2, 1, 1),
        shape(1, [4, 6], 2, &[8, 9], &[3, 3], 1, 2, 2),
        shape(2, [8, 8], 8, &[7, 6], &[3, 3], 1, 1, 1),
        shape(1, [2, 4], 1, &[5, 4, 6], &[2, 3, 2], 1, 1, 1),
        shape(3, [16, 24], 1, &[6, 6], &[1, 1], 1, 0, 1),
        shape(9, [4, 4], 1, &[16, 16], &[3, 3], 1, 1, 1),
    ];
    for s in &shapes {
        let g = geometry(s);
        for kind in [ConvKind::Forward, ConvKind::InputGradient, ConvKind::WeightGradient] {
            let (core, outer, inputs) = conv(kind, &g, DType::F32);
            println!("{kind:?} {g:?}");
            let depth = g.batch * g.output.iter().product::<usize>() + g.c_out * g.taps.iter().product::<usize>();
            let mut values: Vec<Vec<f64>> = inputs.iter().enumerate().map(|(i, s)| noise(s.len, i as u32)).collect();
            values.push(noise(outer.iter().product(), 9));
            check_all(&with_epilogue(core, &outer, inputs, true, false), &values, of_depth(depth));
        }
    }
}

#[test]
fn a_product_whose_rows_are_reduced_is_refused() {
    let Some(gpu) = gpu() else { return };
    let (core, _, lens) = matmul(&[], 6, 7, 8, false, false, 0);
    let outputs = vec![Output { value: 1, slice: f32s(6), view: View::contiguous(&[6]), aliases: None }];
    let body = vec![Inst::Core, Inst::Reduce(anygrad_core::kernel::Reduction::Sum, 0)];
    let inputs = lens.iter().map(|&len| f32s(len)).collect();
    let kernel = Kernel { core, outer: vec![6], inner: vec![7], inputs, body, outputs };
    kernel.verify().unwrap();
    assert_eq!(gpu.limits().product_row, 0);
    assert!(anygrad_kernels::generate(&kernel, gpu.target()).is_err());
}
