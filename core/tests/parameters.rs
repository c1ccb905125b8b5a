//! Gradients of every layer's parameters, and of its input, against central differences in f64 through the reference.
//!
//! Layers are traced as in training: batch norm uses the batch's moments, and dropout's zeros stay the same, for the
//! generator's state is a variable that nothing moves here. Differences use four points, as in the table of cases: at
//! `h = 2e-4` truncation and rounding are below 1e-11 of the loss, so 1e-7 leaves room for steep functions. The loss is
//! `sum(w sin(0.7 y))`, so that a dropped or misplaced incoming gradient shows.

use anygrad_core::nn::*;
use anygrad_core::reference::values;
use anygrad_core::tensor::conv::{ConvOptions, TransposeOptions};
use anygrad_core::{DType, Device, Tensor, Var, testing};

/// Different numbers in `low..high`, in no order.
fn spread(len: usize, low: f64, high: f64, salt: usize) -> Vec<f64> {
    let golden = 0.618_033_988_749_894_9;
    (0..len).map(|i| low + (high - low) * ((i + 1 + salt * 17) as f64 * golden).fract()).collect()
}

fn store(var: &Var, numbers: &[f64]) {
    var.assign(&Tensor::from_vec(numbers.to_vec(), var.shape(), &var.device()));
}

/// Checks a layer on an input of this shape.
fn check<M: Module>(name: &str, shape: &[usize], layer: M, forward: impl Fn(&M, &Tensor) -> Tensor) {
    let device = layer.parameters().first().map_or_else(testing::device, Var::device);
    let x = Var::new("x", &Tensor::from_vec(spread(shape.iter().product(), -1.5, 1.5, 3), shape, &device));
    check_at(name, &device, Some(x.clone()), layer, |layer| forward(layer, &x.get()));
}

/// Checks a function of a layer's parameters and a variable.
fn check_at<M: Module>(name: &str, device: &Device, x: Option<Var>, layer: M, forward: impl Fn(&M) -> Tensor) {
    layer.convert(DType::F64).expect("host memory can be had");
    let mut targets = layer.parameters();
    // Scales that are 1 and shifts that are 0 hide mistakes.
    for (k, var) in targets.iter().enumerate() {
        let weight = var.name().ends_with("weight") && var.shape().len() == 1;
        let (low, high) = if weight { (0.5, 1.5) } else { (-0.6, 0.6) };
        store(var, &spread(var.len(), low, high, k));
    }
    targets.extend(x);
    let (loss, gradients) = testing::training(device, || {
        let y = forward(&layer);
        let w = Tensor::from_vec(spread(y.len(), -1.0, 1.0, 5), y.shape(), device);
        let loss = ((y * 0.7).sin() * w).sum(..);
        let gradients = loss.gradients(&targets);
        (loss, gradients)
    });
    let found = values(&gradients).expect("numbers are there");
    let at_present = || values(std::slice::from_ref(&loss)).expect("numbers are there")[0][0];
    for (var, gradient) in targets.iter().zip(&found) {
        let start = var.get().to_f64().expect("numbers are there");
        let compare = |what: String, direction: &[f64]| {
            let moved = |step: f64| {
                store(var, &start.iter().zip(direction).map(|(x, d)| x + d * step).collect::<Vec<_>>());
                at_present()
            };
            let h = 2e-4;
            let (near, far) = (moved(h) - moved(-h), moved(2.0 * h) - moved(-2.0 * h));
            let expected = (8.0 * near - far) / (12.0 * h);
            let product: f64 = gradient.iter().zip(direction).map(|(g, d)| g * d).sum();
            let close = (product - expected).abs() <= 1e-7 * (1.0 + expected.abs());
            assert!(close, "{name}: gradient of {} {what} is {product}, differences say {expected}", var.name());
        };
        compare("along a direction".into(), &spread(var.len(), -1.0, 1.0, 7));
        for i in (0..var.len()).step_by(var.len().div_ceil(6)) {
            let mut direction = vec![0.0; var.len()];
            direction[i] = 1.0;
            compare(format!("at element {i}"), &direction);
        }
        store(var, &start);
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}: the gradient of {} is 0", var.name());
    }
}

#[test]
fn linear_and_embedding() {
    let d = &testing::device();
    check("Linear", &[5, 6], Linear::new(6, 4, d), Linear::forward);
    check("Linear on a sequence", &[2, 3, 6], Linear::new(6, 4, d), Linear::forward);
    let index = Tensor::from_vec(vec![0i32, 3, 3, 1, 4, 0], &[2, 3], d);
    check_at("Embedding", d, None, Embedding::new(5, 4, d), |layer| layer.forward(&index));
}

#[test]
fn convolutions() {
    let d = &testing::device();
    check("Conv1d", &[2, 3, 8], Conv1d::new(3, 4, 3, d).stride(2).padding(1), Conv1d::forward);
    check("Conv2d", &[2, 3, 5, 4], Conv2d::new(3, 4, 3, d).padding(1), Conv2d::forward);
    let options = ConvOptions { groups: 2, dilation: [2, 1], stride: [1, 2], ..ConvOptions::default() };
    check("Conv2d, groups", &[2, 4, 6, 5], Conv2d::with_options(4, 6, [2, 3], options, d), Conv2d::forward);
    check("Conv3d", &[1, 2, 4, 3, 4], Conv3d::new(2, 3, 2, d), Conv3d::forward);
    check("ConvTranspose1d", &[2, 3, 4], ConvTranspose1d::new(3, 2, 3, d), ConvTranspose1d::forward);
    let options = TransposeOptions { stride: [2, 2], padding: [(1, 1), (1, 1)], ..TransposeOptions::default() };
    let layer = ConvTranspose2d::with_options(2, 3, [3, 3], options, d);
    check("ConvTranspose2d", &[2, 2, 3, 3], layer, ConvTranspose2d::forward);
    check("ConvTranspose3d", &[1, 2, 2, 3, 2], ConvTranspose3d::new(2, 2, 2, d), ConvTranspose3d::forward);
}

#[test]
fn normalizations() {
    let d = &testing::device();
    check("BatchNorm1d", &[5, 3], BatchNorm1d::new(3, d), BatchNorm1d::forward);
    check("BatchNorm2d", &[3, 2, 2, 3], BatchNorm2d::new(2, d), BatchNorm2d::forward);
    check("LayerNorm", &[3, 6], LayerNorm::new(6, d), LayerNorm::forward);
    check("GroupNorm", &[2, 4, 3], GroupNorm::new(2, 4, d), GroupNorm::forward);
    check("RmsNorm", &[3, 6], RmsNorm::new(6, d), RmsNorm::forward);
}

#[test]
fn attention_and_transformers() {
    let d = &testing::device();
    let attend = |layer: &MultiHeadAttention, x: &Tensor| layer.forward(x, &Masks::causal());
    check("MultiHeadAttention", &[2, 5, 8], MultiHeadAttention::new(8, 2, d), attend);
    // Long enough to be one operation.
    check("MultiHeadAttention, long", &[1, 46, 4], MultiHeadAttention::new(4, 1, d), attend);
    let options = TransformerOptions { hidden: 12, dropout: 0.0, ..TransformerOptions::default() };
    for norm_first in [false, true] {
        let layer = TransformerEncoderLayer::new(8, 2, &TransformerOptions { norm_first, ..options }, d);
        check("TransformerEncoderLayer", &[2, 4, 8], layer, |layer, x| layer.forward(x, &Masks::default()));
    }
}

#[test]
fn recurrent_layers() {
    let d = &testing::device();
    let plain = RecurrentOptions::default();
    check("Rnn", &[2, 4, 3], Rnn::new(3, 5, plain, d), |layer, x| layer.forward(x, None).0);
    check("Gru", &[2, 4, 3], Gru::new(3, 5, plain, d), |layer, x| layer.forward(x, None).0);
    check("Lstm", &[2, 4, 3], Lstm::new(3, 5, plain, d), |layer, x| layer.forward(x, None).0);
    let both = RecurrentOptions { layers: 2, bidirectional: true, dropout: 0.3, ..plain };
    check("Lstm, two layers, both ways", &[2, 3, 3], Lstm::new(3, 3, both, d), |layer, x| layer.forward(x, None).0);
    check("Gru, two layers, both ways", &[2, 3, 3], Gru::new(3, 3, both, d), |layer, x| layer.forward(x, None).0);
}

#[test]
fn layers_without_parameters() {
    check("Dropout", &[6, 7], Dropout::new(0.4), Dropout::forward);
    check("Dropout of channels", &[3, 4, 5], Dropout::channels(0.4), Dropout::forward);
    check("MaxPool2d", &[2, 2, 6, 4], MaxPool2d::new(2), MaxPool2d::forward);
    check("AvgPool2d", &[2, 2, 6, 4], AvgPool2d::new(2), AvgPool2d::forward);
    check("MaxPool1d", &[2, 2, 6], MaxPool1d::new(3), MaxPool1d::forward);
    check("AvgPool3d", &[1, 2, 4, 4, 2], AvgPool3d::new(2), AvgPool3d::forward);
    check("AdaptiveAvgPool2d", &[2, 2, 5, 7], AdaptiveAvgPool([2, 3]), AdaptiveAvgPool2d::forward);
}

#[test]
fn layers_of_layers() {
    let d = &testing::device();
    let body = Sequential::new().add(Linear::new(6, 5, d)).add(Activation::Tanh).add(Linear::new(5, 6, d));
    check("Residual of Sequential", &[4, 6], Residual::new(body), |layer, x| layer.forward(x));
}
