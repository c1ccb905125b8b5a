//! Rows of matrix products, convolutions and pooling, with every attribute.

use super::{Case, Input};
use crate::tensor::Tensor;
use crate::tensor::conv::{ConvOptions, TransposeOptions};
use crate::tensor::pool::PoolOptions;

pub(super) fn cases() -> Vec<Case> {
    [products(), convolutions(), transposed(), pools()].into_iter().flatten().collect()
}

fn products() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 18] = [
        (&[3, 4], &[4, 2]),
        (&[1, 1], &[1, 1]),
        (&[0, 4], &[4, 2]),
        (&[3, 0], &[0, 2]),
        (&[17, 33], &[33, 9]),
        (&[65, 64], &[64, 65]),
        (&[129, 65], &[65, 33]),
        (&[4], &[4, 3]),
        (&[3, 4], &[4]),
        (&[4], &[4]),
        (&[2, 3, 4], &[2, 4, 5]),
        (&[2, 3, 4], &[4, 5]),
        (&[3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[3, 4, 2]),
        (&[2, 3, 1, 4], &[2, 3, 4, 1]),
        (&[1, 257], &[257, 1]),
        (&[1, 8], &[8, 300]),
        (&[3, 1], &[1, 5]),
    ];
    let mut all = Vec::new();
    for (a, b) in shapes {
        let terms = a.last().copied().unwrap_or(1);
        let inputs = || [Input::floats(a, -1.0, 1.0), Input::floats(b, -1.0, 1.0)];
        all.push(Case::new(format!("matmul {a:?} {b:?}"), inputs(), |x| x[0].matmul(&x[1])).sum_of(terms));
    }
    let pair = |a: &[usize], b: &[usize]| [Input::floats(a, -1.0, 1.0), Input::floats(b, -1.0, 1.0)];
    let third = Input::floats(&[7], -1.0, 1.0);
    let linear = [Input::floats(&[5, 6], -1.0, 1.0), Input::floats(&[7, 6], -1.0, 1.0), third];
    all.extend([
        Case::new("matmul by transposed", pair(&[3, 4], &[5, 4]), |x| x[0].matmul(&x[1].t())).sum_of(4),
        Case::new("matmul of transposed", pair(&[4, 3], &[4, 5]), |x| x[0].t().matmul(&x[1])).sum_of(4),
        Case::new("transposed matmul", pair(&[3, 4], &[4, 5]), |x| x[0].matmul(&x[1]).t()).sum_of(4),
        Case::new("matmul of sliced", pair(&[6, 9], &[9, 5]), |x| x[0].slice(1, 2..7).matmul(&x[1].slice(0, 1..6)))
            .sum_of(5),
        Case::new("matmul by itself", [Input::floats(&[5, 5], -1.0, 1.0)], |x| x[0].matmul(&x[0])).sum_of(5),
        Case::new("matmul, bias and relu", linear, |x| (x[0].matmul(&x[1].t()) + &x[2]).gelu()).sum_of(6),
        Case::new("matmul after a map", pair(&[5, 6], &[6, 4]), |x| x[0].tanh().matmul(&x[1].exp())).sum_of(6),
        Case::new("attention by hand", [Input::floats(&[2, 5, 4], -1.0, 1.0)], |x| {
            (x[0].matmul(&x[0].transpose(1, 2)) * 0.5).softmax(-1).matmul(&x[0])
        })
        .sum_of(20),
        Case::new("softmax of a product", pair(&[70, 5], &[5, 7]), |x| x[0].matmul(&x[1]).softmax(-1)).sum_of(12),
        Case::new("largest of a product and a row", pair(&[70, 5], &[5, 7]), |x| {
            let product = x[0].matmul(&x[1]);
            (&product + &x[1].slice(0, 0..1)).max(-1) + product.sum(-1)
        })
        .sum_of(40)
        // In half precision another number may be the largest.
        .values_only(),
        Case::new("product, sums of its rows, and both in another order", pair(&[2, 40, 5], &[2, 5, 6]), |x| {
            let y = x[0].matmul(&x[1]);
            let sums = y.sum(-1);
            Tensor::cat(
                &[y.permute([1, 0, 2]), sums.t().unsqueeze(2) * 1.0, (&y - &sums.unsqueeze(2)).permute([1, 0, 2])],
                2,
            )
        })
        .sum_of(30),
        Case::new("standardised product", pair(&[2, 35, 5], &[2, 5, 6]), |x| {
            let y = x[0].matmul(&x[1]).gelu();
            (&y - &y.mean_keep(-1)) * (y.var_keep(-1, 0) + 0.1).rsqrt()
        })
        .sum_of(30),
        Case::new("bmm", pair(&[3, 2, 4], &[3, 4, 5]), |x| x[0].bmm(&x[1])).sum_of(4),
        Case::new("dot", pair(&[9], &[9]), |x| x[0].dot(&x[1])).sum_of(9),
        Case::new("outer", pair(&[4], &[5]), |x| x[0].outer(&x[1])),
        Case::new("trace", [Input::floats(&[4, 4], -1.0, 1.0)], |x| x[0].trace()).sum_of(4),
    ]);
    all
}

fn convolutions() -> Vec<Case> {
    let mut all = Vec::new();
    let ones = ConvOptions::<1>::default();
    let one: [(&str, ConvOptions<1>, &[usize], &[usize]); 7] = [
        ("plain", ones, &[2, 3, 9], &[4, 3, 3]),
        ("stride 2", ConvOptions { stride: [2], ..ones }, &[2, 3, 9], &[4, 3, 3]),
        ("padding", ConvOptions { padding: [(1, 1)], ..ones }, &[1, 2, 5], &[3, 2, 3]),
        ("uneven padding", ConvOptions { padding: [(2, 0)], ..ones }, &[1, 2, 5], &[3, 2, 3]),
        ("dilation", ConvOptions { dilation: [2], ..ones }, &[2, 2, 9], &[3, 2, 3]),
        ("depthwise", ConvOptions { groups: 4, ..ones }, &[2, 4, 7], &[4, 1, 3]),
        ("unused end", ConvOptions { stride: [3], padding: [(1, 0)], ..ones }, &[1, 1, 10], &[2, 1, 2]),
    ];
    for (name, options, x, w) in one {
        let inputs = [Input::floats(x, -1.0, 1.0), Input::floats(w, -1.0, 1.0)];
        let terms = w[1..].iter().product();
        all.push(Case::new(format!("conv1d {name}"), inputs, move |x| x[0].conv1d(&x[1], &options)).sum_of(terms));
    }
    let twos = ConvOptions::<2>::default();
    let two: [(&str, ConvOptions<2>, &[usize], &[usize]); 11] = [
        ("plain", twos, &[2, 3, 6, 5], &[4, 3, 3, 3]),
        ("1 x 1", twos, &[2, 3, 4, 4], &[5, 3, 1, 1]),
        ("one tap in, one out", twos, &[1, 1, 1, 1], &[1, 1, 1, 1]),
        ("whole image", twos, &[2, 2, 4, 3], &[3, 2, 4, 3]),
        ("stride", ConvOptions { stride: [2, 1], ..twos }, &[1, 2, 7, 5], &[2, 2, 3, 2]),
        ("same", ConvOptions { padding: [(1, 1), (1, 1)], ..twos }, &[2, 2, 5, 5], &[3, 2, 3, 3]),
        ("uneven padding", ConvOptions { padding: [(0, 1), (2, 0)], ..twos }, &[1, 2, 4, 4], &[2, 2, 2, 3]),
        ("dilation", ConvOptions { dilation: [2, 3], ..twos }, &[1, 2, 7, 8], &[2, 2, 3, 2]),
        ("groups", ConvOptions { groups: 2, padding: [(1, 1), (0, 0)], ..twos }, &[2, 4, 4, 4], &[6, 2, 3, 2]),
        ("depthwise", ConvOptions { groups: 3, stride: [2, 2], ..twos }, &[1, 3, 5, 5], &[6, 1, 2, 2]),
        (
            "all at once",
            ConvOptions { stride: [2, 3], padding: [(2, 1), (1, 2)], dilation: [2, 1], groups: 2 },
            &[2, 4, 8, 7],
            &[4, 2, 2, 3],
        ),
    ];
    for (name, options, x, w) in two {
        let inputs = [Input::floats(x, -1.0, 1.0), Input::floats(w, -1.0, 1.0)];
        let terms = w[1..].iter().product();
        all.push(Case::new(format!("conv2d {name}"), inputs, move |x| x[0].conv2d(&x[1], &options)).sum_of(terms));
    }
    let options = ConvOptions::<3> { stride: [1, 2, 1], padding: [(1, 1), (0, 0), (1, 0)], ..ConvOptions::default() };
    let inputs = [Input::floats(&[1, 2, 3, 4, 3], -1.0, 1.0), Input::floats(&[2, 2, 2, 2, 2], -1.0, 1.0)];
    all.push(Case::new("conv3d", inputs, move |x| x[0].conv3d(&x[1], &options)).sum_of(16));
    let inputs = [
        Input::floats(&[2, 3, 5, 5], -1.0, 1.0),
        Input::floats(&[4, 3, 3, 3], -1.0, 1.0),
        Input::floats(&[4, 1, 1], -1.0, 1.0),
    ];
    let fused = move |x: &[Tensor]| (x[0].conv2d(&x[1], &ConvOptions::default()) + &x[2]).silu();
    all.push(Case::new("conv2d, bias and silu", inputs, fused).sum_of(27));
    all
}

fn transposed() -> Vec<Case> {
    let mut all = Vec::new();
    let twos = TransposeOptions::<2>::default();
    let two: [(&str, TransposeOptions<2>, &[usize], &[usize]); 5] = [
        ("plain", twos, &[2, 3, 3, 2], &[3, 4, 2, 3]),
        ("stride 2", TransposeOptions { stride: [2, 2], ..twos }, &[1, 2, 3, 3], &[2, 3, 3, 3]),
        (
            "stride 2 and padding",
            TransposeOptions { stride: [2, 2], padding: [(1, 1), (1, 1)], output_padding: [1, 1], ..twos },
            &[1, 2, 3, 3],
            &[2, 3, 3, 3],
        ),
        ("groups", TransposeOptions { groups: 2, ..twos }, &[1, 4, 3, 3], &[4, 2, 2, 2]),
        ("dilation", TransposeOptions { dilation: [2, 1], ..twos }, &[1, 2, 3, 3], &[2, 2, 2, 2]),
    ];
    for (name, options, x, w) in two {
        let inputs = [Input::floats(x, -1.0, 1.0), Input::floats(w, -1.0, 1.0)];
        let terms = w[0] * w[2] * w[3];
        let f = move |x: &[Tensor]| x[0].conv_transpose2d(&x[1], &options);
        all.push(Case::new(format!("conv_transpose2d {name}"), inputs, f).sum_of(terms));
    }
    let options = TransposeOptions::<1> { stride: [3], padding: [(1, 0)], ..TransposeOptions::default() };
    let inputs = [Input::floats(&[2, 3, 4], -1.0, 1.0), Input::floats(&[3, 2, 4], -1.0, 1.0)];
    all.push(Case::new("conv_transpose1d", inputs, move |x| x[0].conv_transpose1d(&x[1], &options)).sum_of(12));
    let options = TransposeOptions::<3> { stride: [1, 2, 1], ..TransposeOptions::default() };
    let inputs = [Input::floats(&[1, 2, 2, 2, 2], -1.0, 1.0), Input::floats(&[2, 2, 2, 1, 2], -1.0, 1.0)];
    all.push(Case::new("conv_transpose3d", inputs, move |x| x[0].conv_transpose3d(&x[1], &options)).sum_of(8));
    all
}

fn pools() -> Vec<Case> {
    let side = PoolOptions::new([2, 2]);
    let options: [(&str, PoolOptions<2>); 7] = [
        ("side by side", side),
        ("overlapping", PoolOptions { size: [3, 3], stride: [2, 2], ..side }),
        ("stride 1", PoolOptions { stride: [1, 1], ..side }),
        ("with gaps", PoolOptions { stride: [3, 3], ..side }),
        ("padding", PoolOptions { size: [3, 3], stride: [2, 2], padding: [(1, 1), (1, 1)], ..side }),
        ("ceil_mode", PoolOptions { size: [3, 2], stride: [2, 2], ceil_mode: true, ..side }),
        ("dilation", PoolOptions { stride: [1, 1], dilation: [2, 3], ..side }),
    ];
    let mut all = Vec::new();
    let image = || [Input::floats(&[2, 2, 7, 6], -1.0, 1.0)];
    for (name, options) in options {
        let terms = options.size.iter().product();
        all.push(Case::new(format!("max_pool {name}"), image(), move |x| x[0].max_pool(&options)).sum_of(terms));
        all.push(Case::new(format!("avg_pool {name}"), image(), move |x| x[0].avg_pool(&options)).sum_of(terms));
    }
    let excluding =
        PoolOptions { size: [3, 3], stride: [2, 2], padding: [(1, 1), (1, 1)], count_include_pad: false, ..side };
    all.push(Case::new("avg_pool without padding", image(), move |x| x[0].avg_pool(&excluding)).sum_of(9));
    all.push(Case::new("adaptive_avg_pool2d", image(), |x| x[0].adaptive_avg_pool2d([3, 4])).sum_of(9));
    let line = || [Input::floats(&[2, 3, 9], -1.0, 1.0)];
    all.push(Case::new("max_pool1d", line(), |x| x[0].max_pool1d(2)).sum_of(2));
    all.push(Case::new("avg_pool1d", line(), |x| x[0].avg_pool1d(3)).sum_of(3));
    all.push(Case::new("adaptive_avg_pool1d", line(), |x| x[0].adaptive_avg_pool1d(4)).sum_of(3));
    let cube = || [Input::floats(&[1, 2, 4, 4, 2], -1.0, 1.0)];
    all.push(Case::new("max_pool3d", cube(), |x| x[0].max_pool3d(2)).sum_of(8));
    all.push(Case::new("avg_pool3d", cube(), |x| x[0].avg_pool3d(2)).sum_of(8));
    all
}
