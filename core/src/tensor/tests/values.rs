//! Values of compositions: against std's functions, and against plain loops or small examples that can be checked by eye.

use std::f64::consts::PI;

use crate::dtype::DType;
use crate::tensor::Tensor;
use crate::tensor::conv::{ConvOptions, TransposeOptions};
use crate::tensor::pool::PoolOptions;
use crate::tensor::tests::{assert_close, device, indices, numbers, values};

pub(crate) type Map = (&'static str, fn(&Tensor) -> Tensor, fn(f64) -> f64, &'static [f64]);

const WIDE: &[f64] = &[-300.0, -20.0, -1.7, -0.3, 1e-9, 0.2, 0.9, 4.0, 25.0, 300.0];
const INSIDE: &[f64] = &[-0.999, -0.8, -1e-9, 0.3, 0.5, 0.999];
const POSITIVE: &[f64] = &[1e-9, 0.3, 1.0, 2.0, 700.0, 1e12];

/// Functions of one number, std's meaning, and points where both value and slope are compared.
pub(crate) const MAPS: &[Map] = &[
    ("exp2", Tensor::exp2, f64::exp2, &[-30.0, -0.5, 0.0, 1.0, 10.0]),
    ("log2", Tensor::log2, f64::log2, POSITIVE),
    ("log10", Tensor::log10, f64::log10, POSITIVE),
    ("log", |x| x.log(3.0), |x| x.log(3.0), POSITIVE),
    ("rsqrt", Tensor::rsqrt, |x| 1.0 / x.sqrt(), &[0.3, 1.0, 2.0, 700.0]),
    ("cbrt", Tensor::cbrt, f64::cbrt, &[-27.0, -0.1, 0.3, 8.0]),
    ("tan", Tensor::tan, f64::tan, &[-1.5, -0.3, 0.0, 1.2, 3.0]),
    ("asin", Tensor::asin, f64::asin, INSIDE),
    ("acos", Tensor::acos, f64::acos, INSIDE),
    ("sinh", Tensor::sinh, f64::sinh, &[-30.0, -1.0, -1e-9, 0.0, 2.0, 30.0]),
    ("cosh", Tensor::cosh, f64::cosh, &[-30.0, -1.0, 0.0, 2.0, 30.0]),
    ("asinh", Tensor::asinh, f64::asinh, &[-1e12, -300.0, -0.3, -1e-9, 0.0, 1e-9, 2.0, 1e8, 1e12]),
    ("acosh", Tensor::acosh, f64::acosh, &[1.001, 1.5, 30.0, 1e12]),
    ("atanh", Tensor::atanh, f64::atanh, INSIDE),
    ("fract", Tensor::fract, f64::fract, &[-1.7, -0.2, 0.3, 2.5]),
    ("powf 3", |x| x.powf(3.0), |x| x.powf(3.0), &[-2.0, 0.5, 3.0]),
    ("powf 2.5", |x| x.powf(2.5), |x| x.powf(2.5), &[0.5, 3.0]),
    ("powi 7", |x| x.powi(7), |x| x.powi(7), &[-2.0, 0.5, 3.0]),
    ("powi -3", |x| x.powi(-3), |x| x.powi(-3), &[-2.0, 0.5, 3.0]),
    ("to_degrees", Tensor::to_degrees, f64::to_degrees, WIDE),
    ("to_radians", Tensor::to_radians, f64::to_radians, WIDE),
    ("rem_euclid", |x| x.rem_euclid(0.7), |x| x.rem_euclid(0.7), &[-2.0, -0.1, 0.3, 5.0]),
    ("clamp", |x| x.clamp(-1.0, 2.0), |x| x.clamp(-1.0, 2.0), WIDE),
    ("hypot", |x| x.hypot(3.0), |x| x.hypot(3.0), &[-1e200, -4.0, 0.1, 4.0, 1e200]),
    ("copysign", |x| x.copysign(-1.0), |x| x.copysign(-1.0), WIDE),
    ("atan2 y", |x| x.atan2(-0.5), |x| x.atan2(-0.5), &[-300.0, -0.6, -0.4, -1e-3, 1e-3, 0.4, 0.6, 300.0]),
    ("atan2 x", |x| (x * 0.0 + 0.5).atan2(x), |x| 0.5f64.atan2(x), &[-300.0, -0.6, -0.4, 0.0, 0.4, 0.6, 300.0]),
    ("relu", Tensor::relu, |x| x.max(0.0), WIDE),
    ("relu6", Tensor::relu6, |x| x.clamp(0.0, 6.0), WIDE),
    ("leaky_relu", |x| x.leaky_relu(0.1), |x| if x > 0.0 { x } else { 0.1 * x }, WIDE),
    ("elu", |x| x.elu(1.5), |x| if x > 0.0 { x } else { 1.5 * x.exp_m1() }, WIDE),
    ("sigmoid", Tensor::sigmoid, |x| if x < -700.0 { 0.0 } else { 1.0 / (1.0 + (-x).exp()) }, WIDE),
    ("log_sigmoid", Tensor::log_sigmoid, |x| x.min(0.0) - (-x.abs()).exp().ln_1p(), WIDE),
    ("softplus", Tensor::softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), WIDE),
    ("silu", Tensor::silu, |x| x / (1.0 + (-x).exp()), WIDE),
    ("mish", Tensor::mish, |x| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(), WIDE),
    ("gelu", Tensor::gelu, |x| 0.5 * x * (1.0 + crate::scalar::erf(x / 2f64.sqrt())), &[-4.0, -0.3, 0.0, 0.7, 4.0]),
    ("gelu_tanh", Tensor::gelu_tanh, gelu_tanh, &[-4.0, -0.3, 0.0, 0.7, 4.0]),
];

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

#[test]
fn maps_equal_std() {
    for (name, map, meaning, points) in MAPS {
        let found = values(&map(&numbers(points, &[points.len()])));
        for (&x, &y) in points.iter().zip(&found) {
            let expected = meaning(x);
            let close = (y - expected).abs() <= 1e-11 * (1e-3 + expected.abs());
            assert!(close || y == expected, "{name}({x}) is {y} instead of {expected}");
        }
    }
}

#[test]
fn angles_of_special_points() {
    let y = numbers(&[0.0, 0.0, 1.0, -1.0, 1.0, -1.0, 0.0, f64::INFINITY], &[8]);
    let x = numbers(&[0.0, 2.0, 0.0, 0.0, -1.0, -1.0, -3.0, 1.0], &[8]);
    let expected = [0.0, 0.0, PI / 2.0, -PI / 2.0, 0.75 * PI, -0.75 * PI, PI, PI / 2.0];
    assert_close(&values(&y.atan2(&x)), &expected);
    assert_close(&values(&numbers(&[-1.0, 1.0, 2.0], &[3]).acos()), &[PI, 0.0, f64::NAN]);
    assert_close(&values(&numbers(&[-1.0, 1.0, 2.0], &[3]).asin()), &[-PI / 2.0, PI / 2.0, f64::NAN]);
}

#[test]
fn nan_and_infinities_pass_as_in_pytorch() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let x = numbers(&[nan, inf, -inf, 1.0], &[4]);
    assert_close(&values(&x.relu()), &[nan, inf, 0.0, 1.0]);
    assert_close(&values(&x.clamp(-2.0, 2.0)), &[nan, 2.0, -2.0, 1.0]);
    assert_close(&values(&x.elu(1.0)), &[nan, inf, -1.0, 1.0]);
    assert_close(&values(&x.sigmoid()), &[nan, 1.0, 0.0, 1.0 / (1.0 + (-1.0f64).exp())]);
    assert_close(&values(&x.is_finite()), &[0.0, 0.0, 0.0, 1.0]);
    assert_close(&values(&x.is_infinite()), &[0.0, 1.0, 1.0, 0.0]);
    assert_close(&values(&x.is_nan()), &[1.0, 0.0, 0.0, 0.0]);
    assert_close(&values(&x.ne(&x)), &[1.0, 0.0, 0.0, 0.0]);
    assert_close(&values(&x.hypot(1.0)), &[nan, inf, inf, 2f64.sqrt()]);
}

#[test]
fn integers_divide_like_rust() {
    let x = indices(&[-7, -6, 0, 5, 7], &[5]);
    assert_close(&values(&(&x / 3)), &[-2.0, -2.0, 0.0, 1.0, 2.0]);
    assert_close(&values(&(&x % 3)), &[-1.0, 0.0, 0.0, 2.0, 1.0]);
    assert_close(&values(&x.rem_euclid(3)), &[2.0, 0.0, 0.0, 2.0, 1.0]);
    assert_close(&values(&x.div_euclid(3)), &[-3.0, -2.0, 0.0, 1.0, 2.0]);
    assert_close(&values(&x.div_euclid(-3)), &[3.0, 2.0, 0.0, -1.0, -2.0]);
    assert_close(&values(&x.powi(2)), &[49.0, 36.0, 0.0, 25.0, 49.0]);
}

#[test]
fn softmax_and_logsumexp_stay_in_range() {
    let inf = f64::INFINITY;
    let x = numbers(&[1000.0, 1000.0, -inf, -inf, -1000.0, -1001.0], &[3, 2]);
    let q = 1.0 / (1.0 + (-1.0f64).exp());
    assert_close(&values(&x.softmax(-1)), &[0.5, 0.5, f64::NAN, f64::NAN, q, 1.0 - q]);
    let (log_2, low) = (2f64.ln(), -1000.0 + (-1.0f64).exp().ln_1p());
    assert_close(&values(&x.logsumexp(1)), &[1000.0 + log_2, -inf, low]);
    assert_close(&values(&x.slice(0, ..1).log_softmax(1)), &[-log_2, -log_2]);
    assert_close(&values(&numbers(&[inf, 1.0], &[2]).logsumexp(())), &[inf]);
}

#[test]
fn reductions() {
    let x = numbers(&[1.0, 5.0, 3.0, 5.0, -2.0, 0.0], &[2, 3]);
    assert_close(&values(&x.mean(1)), &[3.0, 1.0]);
    assert_close(&values(&x.var(1, 1)), &[4.0, 13.0]);
    assert_close(&values(&x.var((), 0)), &[(64.0 - 24.0) / 6.0]);
    assert_close(&values(&x.std(1, 0)), &[(8.0f64 / 3.0).sqrt(), (26.0f64 / 3.0).sqrt()]);
    assert_close(&values(&numbers(&[4.0], &[1]).var(0, 1)), &[f64::NAN]);
    assert_close(&values(&x.norm(())), &[8.0]);
    assert_close(&values(&x.prod(0)), &[5.0, -10.0, 0.0]);
    assert_close(&values(&x.argmax(1)), &[1.0, 0.0]);
    assert_close(&values(&x.median(1)), &[3.0, 0.0]);
    assert_close(&values(&x.median(0)), &[1.0, -2.0, 0.0]);
    assert_close(&values(&x.count_nonzero(())), &[5.0]);
    assert_close(&values(&x.any(0)), &[1.0, 1.0, 1.0]);
    assert_close(&values(&x.all(0)), &[1.0, 1.0, 0.0]);
    let none = numbers(&[], &[0, 2]);
    assert_close(&values(&none.any(0)), &[0.0, 0.0]);
    assert_close(&values(&none.all(0)), &[1.0, 1.0]);
    assert_close(&values(&none.sum(0)), &[0.0, 0.0]);
}

#[test]
fn movement() {
    let x = numbers(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[2, 3]);
    assert_close(&values(&x.t()), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_close(&values(&x.roll(1, 1)), &[2.0, 0.0, 1.0, 5.0, 3.0, 4.0]);
    assert_close(&values(&x.roll(-1, 0)), &[3.0, 4.0, 5.0, 0.0, 1.0, 2.0]);
    assert_close(&values(&x.diagonal()), &[0.0, 4.0]);
    assert_close(&values(&x.t().diagonal()), &[0.0, 4.0]);
    assert_close(&values(&x.trace()), &[4.0]);
    assert_close(&values(&x.tril(0)), &[0.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
    assert_close(&values(&x.triu(1)), &[0.0, 1.0, 2.0, 0.0, 0.0, 5.0]);
    assert_close(&values(&x.tril(-1)), &[0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    let y = numbers(&[1.0, 2.0], &[2]);
    assert_close(&values(&y.repeat(&[2])), &[1.0, 2.0, 1.0, 2.0]);
    assert_close(&values(&y.repeat_interleave(2, 0)), &[1.0, 1.0, 2.0, 2.0]);
    assert_close(&values(&y.repeat(&[2, 1])), &[1.0, 2.0, 1.0, 2.0]);
    assert_close(&values(&y.pad(&[(1, 2)], 9.0)), &[9.0, 1.0, 2.0, 9.0, 9.0, 9.0][..5]);
    assert_close(&values(&Tensor::cat(&[&x, &x], 1)), &[0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.]);
    assert_close(&values(&Tensor::stack(&[&y, &y], 1)), &[1.0, 1.0, 2.0, 2.0]);
    assert_close(&values(&y.pad(&[(1, 1)], 0.0).windows(0, 2, 1, 1)), &[0.0, 1.0, 1.0, 2.0, 2.0, 0.0]);
}

#[test]
fn lookups_and_sorting() {
    let x = numbers(&[3.0, 1.0, 2.0, 4.0, 6.0, 5.0], &[2, 3]);
    assert_close(&values(&x.index_select(1, &indices(&[2, 0], &[2]))), &[2.0, 3.0, 5.0, 4.0]);
    assert_close(&values(&x.embedding(&indices(&[1, 1], &[1, 2]))), &[4.0, 6.0, 5.0, 4.0, 6.0, 5.0]);
    let (sorted, order) = x.sort(1, false);
    assert_close(&values(&sorted), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_close(&values(&order), &[1.0, 2.0, 0.0, 0.0, 2.0, 1.0]);
    assert_close(&values(&x.sort(0, true).0), &[4.0, 6.0, 5.0, 3.0, 1.0, 2.0]);
    let (top, places) = x.topk(2, 1);
    assert_close(&values(&top), &[3.0, 2.0, 6.0, 5.0]);
    assert_close(&values(&places), &[0.0, 2.0, 1.0, 2.0]);
    assert_close(&values(&indices(&[1, 5, 0], &[3]).one_hot(2)), &[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn einsum_equals_its_definition() {
    let data: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11) - 4.0).collect();
    let (a, b) = (numbers(&data[..12], &[2, 2, 3]), numbers(&data[12..], &[2, 3, 2]));
    let m = numbers(&data[..6], &[2, 3]);
    let n = numbers(&data[6..12], &[3, 2]);
    let e = |equation: &str, operands: &[&Tensor]| values(&Tensor::einsum(equation, operands));
    assert_close(&e("bij,bjk->bik", &[&a, &b]), &values(&a.matmul(&b)));
    assert_close(&e("ij , jk", &[&m, &n]), &values(&m.matmul(&n)));
    assert_close(&e("ij,jk->ki", &[&m, &n]), &values(&m.matmul(&n).t()));
    assert_close(&e("ij->", &[&m]), &values(&m.sum(())));
    assert_close(&e("ji", &[&m]), &values(&m.t()));
    assert_close(&e("ij,ij->i", &[&m, &m]), &values(&m.square().sum(1)));
    assert_close(&e("ij,ij->ij", &[&m, &m]), &values(&m.square()));
    assert_close(&e("i,j->ij", &[&m.index_axis(0, 0), &n.index_axis(1, 0)]), &{
        values(&m.index_axis(0, 0).outer(&n.index_axis(1, 0)))
    });
    assert_close(&e("ij,jk,kl->il", &[&m, &n, &m]), &values(&m.matmul(&n).matmul(&m)));
    assert_close(&e("ii->i", &[&m.matmul(&n)]), &values(&m.matmul(&n).diagonal()));
    assert_close(&e("ii", &[&m.matmul(&n)]), &values(&m.matmul(&n).trace()));
    assert_close(&e("...ij,jk->...ik", &[&a, &n]), &values(&a.matmul(&n)));
    assert_close(&e("...j,...j", &[&a, &m]), &values(&(&a * &m).sum(-1)));
    assert_close(&e("bij,bkl->b", &[&a, &b]), &values(&(a.sum([1, 2]) * b.sum([1, 2]))));
    assert_close(&e("bij,bij,bij->ji", &[&a, &a, &a]), &values(&a.powi(3).sum(0).t()));
}

#[test]
fn products_equal_loops() {
    let a = numbers(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
    let v = numbers(&[1.0, -1.0], &[2]);
    assert_close(&values(&a.matmul(&v)), &[-1.0, -1.0]);
    assert_close(&values(&v.matmul(&a)), &[-2.0, -2.0]);
    assert_close(&values(&v.dot(&v)), &[2.0]);
    let batch = Tensor::stack(&[&a, &a.t()], 0);
    assert_close(&values(&batch.matmul(&a)), &[7.0, 10.0, 15.0, 22.0, 10.0, 14.0, 14.0, 20.0]);
    assert_close(&values(&a.matmul(&batch)), &[7.0, 10.0, 15.0, 22.0, 5.0, 11.0, 11.0, 25.0]);
    assert_close(&values(&v.matmul(&batch)), &[-2.0, -2.0, -1.0, -1.0]);
}

#[test]
fn convolutions_and_their_transposes() {
    let (x, w) = (numbers(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 4]), numbers(&[1.0, 10.0], &[1, 1, 2]));
    let uneven = ConvOptions { stride: [2], padding: [(1, 0)], ..Default::default() };
    assert_close(&values(&x.conv1d(&w, &uneven)), &[10.0, 32.0]);
    let far = ConvOptions { dilation: [3], ..Default::default() };
    assert_close(&values(&x.conv1d(&w, &far)), &[41.0]);
    let (pair, scales) = (x.reshape([1, 2, 2]), numbers(&[2.0, 3.0], &[2, 1, 1]));
    let apart = ConvOptions { groups: 2, ..Default::default() };
    assert_close(&values(&pair.conv1d(&scales, &apart)), &[2.0, 4.0, 9.0, 12.0]);
    // Before the cut: 1 10 2 20 3 30 4 40 and one more 0.
    let options = TransposeOptions { stride: [2], padding: [(1, 2)], output_padding: [1], ..Default::default() };
    assert_close(&values(&x.conv_transpose1d(&w, &options)), &[10.0, 2.0, 20.0, 3.0, 30.0, 4.0]);
    let wide = numbers(&[1.0, 2.0, 3.0, 4.0], &[2, 2, 1]);
    assert_close(&values(&pair.conv_transpose1d(&wide, &TransposeOptions::default())), &[10.0, 14.0, 14.0, 20.0]);
}

#[test]
fn pools_and_interpolation() {
    let x = numbers(&[1.0, 5.0, 2.0, 4.0, 3.0], &[1, 1, 5]);
    assert_close(&values(&x.max_pool1d(2)), &[5.0, 4.0]);
    let ceil = PoolOptions { ceil_mode: true, ..PoolOptions::new([2]) };
    assert_close(&values(&x.max_pool(&ceil)), &[5.0, 4.0, 3.0]);
    assert_close(&values(&x.avg_pool(&ceil)), &[3.0, 3.0, 3.0]);
    let padded = PoolOptions { padding: [(1, 1)], stride: [2], ..PoolOptions::new([3]) };
    assert_close(&values(&x.avg_pool(&padded)), &[2.0, 11.0 / 3.0, 7.0 / 3.0]);
    let inside = PoolOptions { count_include_pad: false, ..padded };
    assert_close(&values(&(x.avg_pool(&inside) * 1e6).round()), &[3e6, 3_666_667.0, 3.5e6]);
    assert_close(&values(&(-&x).max_pool(&padded)), &[-1.0, -2.0, -3.0]);
    // torch.nn.functional.adaptive_avg_pool1d: stretches 0..2, 1..4, 3..5.
    assert_close(&values(&(x.adaptive_avg_pool1d(3) * 1e6).round()), &[3e6, 3_666_667.0, 3.5e6]);
    let y = numbers(&[0.0, 1.0, 2.0, 3.0], &[2, 2]);
    let twice = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 3.0, 3.0];
    assert_close(&values(&y.interpolate_nearest([4, 4])), &twice);
    let five = numbers(&[0.0, 1.0, 2.0, 3.0, 4.0], &[1, 5]);
    assert_close(&values(&five.interpolate_nearest([1, 3])), &[0.0, 1.0, 3.0]);
    assert_close(&values(&five.interpolate_nearest([1, 7])), &[0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
    let thirds = (five.interpolate_bilinear([1, 3], false) * 3e6).round();
    assert_close(&values(&thirds), &[1e6, 6e6, 11e6]);
    assert_close(&values(&y.interpolate_bilinear([2, 3], true)), &[0.0, 0.5, 1.0, 2.0, 2.5, 3.0]);
    assert_close(&values(&y.interpolate_bilinear([2, 4], false)), &[0.0, 0.25, 0.75, 1.0, 2.0, 2.25, 2.75, 3.0]);
}

#[test]
fn attention_sees_what_it_may() {
    let q = numbers(&[1.0, 0.0, 0.0, 1.0], &[2, 2]);
    let v = numbers(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
    let w = 1.0 / (1.0 + (-1.0 / 2f64.sqrt()).exp());
    let mixed =
        [1.0 * w + 3.0 * (1.0 - w), 2.0 * w + 4.0 * (1.0 - w), 1.0 * (1.0 - w) + 3.0 * w, 2.0 * (1.0 - w) + 4.0 * w];
    assert_close(&values(&q.scaled_dot_product_attention(&q, &v, None, false)), &mixed);
    let causal = [1.0, 2.0, mixed[2], mixed[3]];
    assert_close(&values(&q.scaled_dot_product_attention(&q, &v, None, true)), &causal);
    let mask = q.eq(1.0);
    assert_close(&values(&q.scaled_dot_product_attention(&q, &v, Some(&mask), false)), &[1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn sequences() {
    let d = device();
    assert_close(&values(&Tensor::arange(1.0, 2.0, 0.25, &d)), &[1.0, 1.25, 1.5, 1.75]);
    assert_close(&values(&Tensor::arange(2.0, 0.0, -1.0, &d)), &[2.0, 1.0]);
    assert_close(&values(&Tensor::linspace(-1.0, 1.0, 5, &d)), &[-1.0, -0.5, 0.0, 0.5, 1.0]);
    assert_close(&values(&Tensor::linspace(3.0, 4.0, 1, &d)), &[3.0]);
    assert_close(&values(&Tensor::eye(2, &d)), &[1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn random_numbers_have_their_moments() {
    let (d, n) = (device(), 20_000);
    let moments = |x: &Tensor| {
        let x = values(x);
        let mean = x.iter().sum::<f64>() / n as f64;
        (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
    };
    // Five standard errors of the mean, and twice that for the variance.
    let near = |found: (f64, f64), mean: f64, variance: f64| {
        let error = 5.0 * (variance / n as f64).sqrt();
        assert!((found.0 - mean).abs() < error, "{found:?}");
        assert!((found.1 - variance).abs() < 10.0 * variance / (n as f64).sqrt(), "{found:?}");
    };
    near(moments(&Tensor::rand(&[n], &d)), 0.5, 1.0 / 12.0);
    near(moments(&Tensor::randn(&[n], &d)), 0.0, 1.0);
    near(moments(&Tensor::bernoulli(&[n], 0.3, &d)), 0.3, 0.21);
    near(moments(&Tensor::randint(&[n], -2, 3, &d)), 0.0, 2.0);
    near(moments(&Tensor::ones(&[n], &d).dropout(0.2)), 1.0, 0.25);
    let mut order = values(&Tensor::permutation(50, &d));
    order.sort_by(f64::total_cmp);
    assert_close(&order, &(0..50).map(f64::from).collect::<Vec<_>>());
    assert_eq!(Tensor::permutation(5, &d).dtype(), DType::I32);
}

#[test]
fn equal_numbers_are_there_without_a_kernel() {
    let device = crate::testing::device();
    for (value, len) in [(0.0, 100_000), (-0.0, 5), (2.5, 7), (2.5, 100_000), (f64::NEG_INFINITY, 1), (3.0, 0)] {
        let x = Tensor::full(&[len], value, DType::F32, &device)
            .realize()
            .expect("realized")
            .to_vec::<f32>()
            .expect("read");
        assert_eq!(x.len(), len);
        assert!(x.iter().all(|x| x.to_bits() == (value as f32).to_bits()), "{value} x {len}");
    }
    let truths = Tensor::full(&[5], 1.0, DType::Bool, &device).realize().expect("realized").to_vec::<bool>();
    assert_eq!(truths.expect("read"), [true; 5]);
    let whole = Tensor::full(&[3], -7.0, DType::I32, &device).realize().expect("realized").to_vec::<i32>();
    assert_eq!(whole.expect("read"), [-7; 3]);
}
