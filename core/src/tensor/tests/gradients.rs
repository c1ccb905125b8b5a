//! Slopes of compositions by central differences, and at kinks PyTorch's choices (read off PyTorch 2.15).

use crate::tensor::Tensor;
use crate::tensor::tests::values::MAPS;
use crate::tensor::tests::{assert_close, numbers, values};

fn slopes(f: impl Fn(&Tensor) -> Tensor, points: &[f64]) -> Vec<f64> {
    let x = numbers(points, &[points.len()]);
    values(&f(&x).sum(()).gradients(&[&x])[0])
}

#[test]
fn slopes_of_maps() {
    for (name, map, meaning, points) in MAPS {
        for (&x, found) in points.iter().zip(slopes(map, points)) {
            let h = if x == 0.0 { 1e-8 } else { 1e-8 * x.abs() };
            let (low, high) = (x - h, x + h);
            let expected = (meaning(high) - meaning(low)) / (high - low);
            let noise = f64::EPSILON * meaning(x).abs() / h;
            let close = (found - expected).abs() <= 1e-5 * (1.0 + expected.abs()) + 4.0 * noise;
            assert!(close, "slope of {name} at {x} is {found} instead of {expected}");
        }
    }
}

#[test]
fn kinks() {
    let at = |f: fn(&Tensor) -> Tensor, x: f64| slopes(f, &[x])[0];
    assert_eq!(at(Tensor::relu, 0.0), 0.0);
    assert_eq!(at(Tensor::abs, 0.0), 0.0);
    assert_eq!(at(|x| x.clamp(-1.0, 1.0), 1.0), 0.0);
    assert_eq!(at(|x| x.clamp(-1.0, 1.0), -1.0), 0.0);
    assert_eq!(at(|x| x.hardtanh(-1.0, 1.0), 1.0), 0.0);
    assert_eq!(at(|x| x.hardtanh(-1.0, 1.0), -1.0), 0.0);
    assert_eq!(at(Tensor::relu6, 6.0), 0.0);
    assert_eq!(at(|x| x.leaky_relu(0.1), 0.0), 0.1);
    assert_eq!(at(|x| x.elu(1.5), 0.0), 1.5);
    assert_eq!(at(|x| x.maximum(0.0), 0.0), 0.5);
    assert_eq!(at(Tensor::sigmoid, 0.0), 0.25);
    assert_eq!(at(Tensor::softplus, 0.0), 0.5);
    assert_eq!(at(Tensor::log_sigmoid, 0.0), 0.5);
    assert_eq!(at(Tensor::asin, 1.0), f64::INFINITY);
    assert_eq!(at(Tensor::acos, 1.0), f64::NEG_INFINITY);
    assert_eq!(at(|x| x.norm(()), 0.0), 0.0);
    assert_eq!(at(|x| Tensor::cat(&[x, x], 0).std((), 0), 3.0), 0.0);
    assert_eq!(at(|x| x.atan2(1.0), 1.0), 0.5);
}

#[test]
fn ties_of_reductions() {
    let x = [1.0, 3.0, 3.0];
    assert_close(&slopes(|x| x.max(0), &x), &[0.0, 1.0, 0.0]);
    assert_close(&slopes(|x| x.reshape([1, 3]).max([0, 1]), &x), &[0.0, 0.5, 0.5]);
    assert_close(&slopes(|x| x.reshape([1, 1, 1, 3]).pad(&[(0, 1), (0, 1)], 3.0).max_pool2d(2), &x), &[0.0, 1.0, 1.0]);
}

#[test]
fn softmax_family() {
    let x = [0.3, -1.0, 2.0];
    let p = values(&numbers(&x, &[3]).softmax(0));
    assert_close(&slopes(|x| x.logsumexp(0), &x), &p);
    assert_close(&slopes(|x| x.softmax(0).index_axis(0, 1), &x), &[-p[1] * p[0], p[1] * (1.0 - p[1]), -p[1] * p[2]]);
    assert_close(&slopes(|x| x.log_softmax(0).index_axis(0, 1), &x), &[-p[0], 1.0 - p[1], -p[2]]);
}
