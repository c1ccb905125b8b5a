//! How each row of `make.py`'s operations is computed here.

use anygrad_core::Tensor;
use anygrad_core::tensor::conv::{ConvOptions, TransposeOptions};
use anygrad_core::tensor::pool::PoolOptions;

use crate::harness::OpRow;

fn counting(x: &Tensor) -> Tensor {
    Tensor::from_vec((0..12).collect::<Vec<i32>>(), &[3, 4], x.device()).cast(x.dtype())
}

/// Operations, in `make.py`'s order.
pub(crate) const OPS: &[OpRow] = &[
    ("add_broadcast", |x| vec![&x[0] + &x[1]]),
    ("sub_scalar_left", |x| vec![1.5 - &x[0]]),
    ("mul", |x| vec![&x[0] * &x[1]]),
    ("div", |x| vec![&x[0] / &x[1]]),
    ("rem", |x| vec![&x[0] % &x[1]]),
    ("neg", |x| vec![-&x[0]]),
    ("exp", |x| vec![x[0].exp()]),
    ("exp2", |x| vec![x[0].exp2()]),
    ("exp_m1", |x| vec![x[0].exp_m1()]),
    ("ln", |x| vec![x[0].ln()]),
    ("ln_1p", |x| vec![x[0].ln_1p()]),
    ("log2", |x| vec![x[0].log2()]),
    ("log10", |x| vec![x[0].log10()]),
    ("sqrt", |x| vec![x[0].sqrt()]),
    ("rsqrt", |x| vec![x[0].rsqrt()]),
    ("sin", |x| vec![x[0].sin()]),
    ("cos", |x| vec![x[0].cos()]),
    ("tan", |x| vec![x[0].tan()]),
    ("asin", |x| vec![x[0].asin()]),
    ("acos", |x| vec![x[0].acos()]),
    ("atan", |x| vec![x[0].atan()]),
    ("atan2", |x| vec![x[0].atan2(&x[1])]),
    ("sinh", |x| vec![x[0].sinh()]),
    ("cosh", |x| vec![x[0].cosh()]),
    ("tanh", |x| vec![x[0].tanh()]),
    ("asinh", |x| vec![x[0].asinh()]),
    ("acosh", |x| vec![x[0].acosh()]),
    ("atanh", |x| vec![x[0].atanh()]),
    ("erf", |x| vec![x[0].erf()]),
    ("abs", |x| vec![x[0].abs()]),
    ("abs_at_zero", |x| vec![x[0].abs()]),
    ("sign", |x| vec![x[0].sign()]),
    ("floor", |x| vec![x[0].floor()]),
    ("ceil", |x| vec![x[0].ceil()]),
    ("round_half_even", |x| vec![x[0].round()]),
    ("trunc", |x| vec![x[0].trunc()]),
    ("recip", |x| vec![x[0].recip()]),
    ("square", |x| vec![x[0].square()]),
    ("powf", |x| vec![x[0].powf(2.5)]),
    ("powi_3", |x| vec![x[0].powi(3)]),
    ("pow_tensor", |x| vec![x[0].pow(&x[1])]),
    ("clamp", |x| vec![x[0].clamp(-1.0, 0.5)]),
    ("clamp_at_edges", |x| vec![x[0].clamp(-1.0, 1.0)]),
    ("maximum", |x| vec![x[0].maximum(&x[1])]),
    ("maximum_tie", |x| vec![x[0].maximum(&x[1])]),
    ("minimum", |x| vec![x[0].minimum(&x[1])]),
    ("hypot", |x| vec![x[0].hypot(&x[1])]),
    ("fract", |x| vec![x[0].fract()]),
    ("rem_euclid", |x| vec![x[0].rem_euclid(1.7)]),
    ("copysign", |x| vec![x[0].copysign(&x[1])]),
    ("trace", |x| vec![x[0].trace()]),
    ("comparisons", |x| {
        let (x, y) = (&x[0], &x[1]);
        vec![x.lt(y), x.le(y), x.eq(y), x.ge(y), x.gt(y), x.ne(y)]
    }),
    ("hardtanh", |x| vec![x[0].hardtanh(-0.5, 0.7)]),
    ("relu", |x| vec![x[0].relu()]),
    ("relu_at_zero", |x| vec![x[0].relu()]),
    ("relu6", |x| vec![x[0].relu6()]),
    ("leaky_relu", |x| vec![x[0].leaky_relu(0.2)]),
    ("elu", |x| vec![x[0].elu(1.3)]),
    ("selu", |x| vec![x[0].selu()]),
    ("sigmoid", |x| vec![x[0].sigmoid()]),
    ("log_sigmoid", |x| vec![x[0].log_sigmoid()]),
    ("softplus", |x| vec![x[0].softplus()]),
    ("silu", |x| vec![x[0].silu()]),
    ("mish", |x| vec![x[0].mish()]),
    ("gelu", |x| vec![x[0].gelu()]),
    ("gelu_tanh", |x| vec![x[0].gelu_tanh()]),
    ("softmax_last", |x| vec![x[0].softmax(-1)]),
    ("softmax_first", |x| vec![x[0].softmax(0)]),
    ("softmax_large", |x| vec![x[0].softmax(1)]),
    ("log_softmax", |x| vec![x[0].log_softmax(-1)]),
    ("sum_axis", |x| vec![x[0].sum(1)]),
    ("sum_all", |x| vec![x[0].sum(())]),
    ("mean_keep", |x| vec![x[0].mean_keep([0, 2])]),
    ("var_unbiased", |x| vec![x[0].var(1, 1)]),
    ("var_biased", |x| vec![x[0].var([0, 1], 0)]),
    ("std", |x| vec![x[0].std(-1, 1)]),
    ("prod", |x| vec![x[0].prod(1)]),
    ("prod_with_zero", |x| vec![x[0].prod(1)]),
    ("max_axis", |x| vec![x[0].max(1)]),
    ("max_ties", |x| vec![x[0].max(0)]),
    ("max_ties_two_axes", |x| vec![x[0].max([0, 1])]),
    ("min_axis", |x| vec![x[0].min(0)]),
    ("argmax", |x| vec![x[0].argmax(1)]),
    ("argmin", |x| vec![x[0].argmin(0)]),
    ("logsumexp", |x| vec![x[0].logsumexp(1)]),
    ("norm", |x| vec![x[0].norm(1)]),
    ("cumsum", |x| vec![x[0].cumsum(1)]),
    ("median", |x| vec![x[0].median(1)]),
    ("reshape", |x| vec![x[0].reshape([4, -1])]),
    ("permute", |x| vec![x[0].permute([2, 0, 1])]),
    ("expand_reduce", |x| vec![x[0].expand([3, 4]) * counting(&x[0])]),
    ("flip", |x| vec![x[0].flip(&[0, 2])]),
    ("cat", |x| vec![Tensor::cat(x, 1)]),
    ("stack", |x| vec![Tensor::stack(x, 1)]),
    ("slice", |x| vec![x[0].slice(1, 1..3)]),
    ("tril", |x| vec![x[0].tril(-1)]),
    ("triu", |x| vec![x[0].triu(1)]),
    ("roll", |x| vec![x[0].roll(2, 1)]),
    ("pad", |x| vec![x[0].pad(&[(0, 1), (1, 2)], 0.5)]),
    ("repeat", |x| vec![x[0].repeat(&[2, 3])]),
    ("repeat_interleave", |x| vec![x[0].repeat_interleave(3, 1)]),
    ("diagonal", |x| vec![x[0].diagonal()]),
    ("unfold", |x| vec![x[0].windows(1, 3, 2, 1)]),
    ("gather", |x| vec![x[0].gather(1, &x[1])]),
    ("index_select", |x| vec![x[0].index_select(0, &x[1])]),
    ("embedding", |x| vec![x[0].embedding(&x[1])]),
    ("scatter_sum", |x| vec![x[0].scatter_sum(1, &x[1], 6)]),
    ("one_hot", |x| vec![x[0].one_hot(4)]),
    ("sort", |x| <[Tensor; 2]>::from(x[0].sort(1, false)).to_vec()),
    ("topk", |x| <[Tensor; 2]>::from(x[0].topk(2, 1)).to_vec()),
    ("where", |x| vec![x[0].select(&x[1], &x[2])]),
    ("masked_fill", |x| vec![x[0].masked_fill(&x[1], -3.0)]),
    ("matmul", |x| vec![x[0].matmul(&x[1])]),
    ("matmul_batched", |x| vec![x[0].matmul(&x[1])]),
    ("matmul_vector", |x| vec![x[0].matmul(&x[1])]),
    ("outer", |x| vec![x[0].outer(&x[1])]),
    ("conv1d", |x| vec![x[0].conv1d(&x[1], &ConvOptions { stride: [2], padding: [(1, 1)], ..ConvOptions::default() })]),
    ("conv2d", |x| vec![x[0].conv2d(&x[1], &ConvOptions::default())]),
    ("conv2d_strided_dilated_groups", |x| {
        let options = ConvOptions { stride: [2, 1], padding: [(2, 2), (1, 1)], dilation: [2, 1], groups: 2 };
        vec![x[0].conv2d(&x[1], &options)]
    }),
    ("conv3d", |x| vec![x[0].conv3d(&x[1], &ConvOptions { padding: [(1, 1); 3], ..ConvOptions::default() })]),
    ("conv_transpose1d", |x| {
        let options = TransposeOptions { stride: [2], padding: [(1, 1)], ..TransposeOptions::default() };
        vec![x[0].conv_transpose1d(&x[1], &options)]
    }),
    ("conv_transpose2d", |x| {
        let (stride, padding, output_padding) = ([2; 2], [(1, 1); 2], [1; 2]);
        let options = TransposeOptions { stride, padding, output_padding, groups: 2, ..TransposeOptions::default() };
        vec![x[0].conv_transpose2d(&x[1], &options)]
    }),
    ("max_pool2d", |x| vec![x[0].max_pool2d(2)]),
    ("max_pool2d_padded", |x| {
        vec![x[0].max_pool(&PoolOptions { stride: [2; 2], padding: [(1, 1); 2], ..PoolOptions::new([3; 2]) })]
    }),
    ("max_pool1d_ceil", |x| vec![x[0].max_pool(&PoolOptions { ceil_mode: true, ..PoolOptions::new([2]) })]),
    ("avg_pool2d", |x| vec![x[0].avg_pool2d(2)]),
    ("avg_pool2d_padded", |x| {
        vec![x[0].avg_pool(&PoolOptions { stride: [2; 2], padding: [(1, 1); 2], ..PoolOptions::new([3; 2]) })]
    }),
    ("avg_pool2d_exclude_pad", |x| {
        let options = PoolOptions { stride: [2; 2], padding: [(1, 1); 2], ..PoolOptions::new([3; 2]) };
        vec![x[0].avg_pool(&PoolOptions { count_include_pad: false, ..options })]
    }),
    ("adaptive_avg_pool1d", |x| vec![x[0].adaptive_avg_pool1d(3)]),
    ("adaptive_avg_pool2d", |x| vec![x[0].adaptive_avg_pool2d([2, 3])]),
    ("einsum", |x| vec![Tensor::einsum("bik,bjk->bij", &[&x[0], &x[1]])]),
    ("sdpa", |x| vec![x[0].scaled_dot_product_attention(&x[1], &x[2], None, false)]),
    ("sdpa_causal", |x| vec![x[0].scaled_dot_product_attention(&x[1], &x[2], None, true)]),
    ("sdpa_mask", |x| vec![x[0].scaled_dot_product_attention(&x[1], &x[2], Some(&x[3]), false)]),
    ("interpolate_nearest", |x| vec![x[0].interpolate_nearest([5, 4])]),
    ("interpolate_bilinear", |x| vec![x[0].interpolate_bilinear([5, 3], false)]),
    ("interpolate_corners", |x| vec![x[0].interpolate_bilinear([5, 7], true)]),
];
