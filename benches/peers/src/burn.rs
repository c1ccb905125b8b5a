//! burn on its flex backend (CPU; `gemm` with AVX-512) or on a GPU (`Device::wgpu`: WGSL, SPIR-V with feature `burn-vulkan`),
//! its own layers throughout.

use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::nn::{Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::activation::{gelu, relu, tanh};
use burn::tensor::{Distribution, Int};

use crate::{RATE, Step, labels};

/// The device of a peer.
fn device(peer: &str) -> Device {
    match peer {
        #[cfg(feature = "burn-wgpu")]
        "burn-vulkan" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        _ => Device::flex(),
    }
}

/// A workload on the peer's device.
pub fn build(peer: &str, workload: &str) -> Result<Step, String> {
    let plain = device(peer);
    let device = plain.clone().autodiff();
    match workload {
        "w1" => Ok(w1(&device)),
        "w2" => Ok(w2(&device)),
        "w3" => Ok(w3(&device)),
        "w4" => Ok(w4(&device)),
        "w5" => Ok(w5(&device)),
        "w6" => Ok(w6(&device)),
        "c" => Ok(c(&device)),
        other => match other.strip_prefix('m').map(|size| size.split_once('-').unwrap_or((size, ""))) {
            Some((size, form @ ("" | "at" | "bt"))) if size.parse::<usize>().is_ok() => {
                Ok(product(size.parse().unwrap_or(1), form, &plain))
            }
            _ => Err(format!("no workload {other}")),
        },
    }
}

/// A product of square matrices; one number is read.
fn product(n: usize, form: &str, device: &Device) -> Step {
    let (a, b) = (normal([n, n], device), normal([n, n], device));
    let a = if form == "at" { a.transpose() } else { a };
    let b = if form == "bt" { b.transpose() } else { b };
    Box::new(move |read| {
        let y = a.clone().matmul(b.clone());
        if read { Ok(y.slice([0..1, 0..1]).into_scalar::<f32>()) } else { Ok(0.0) }
    })
}

/// The convolution with both gradients (of the sum of its values).
fn c(device: &Device) -> Step {
    let (x, w) = (normal([16, 64, 56, 56], device), normal([64, 64, 3, 3], device));
    Box::new(move |read| {
        let (x, w) = (x.clone().require_grad(), w.clone().require_grad());
        let options = burn::tensor::ops::ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let y = burn::tensor::module::conv2d(x.clone(), w.clone(), None, options);
        let gradients = y.backward();
        let (_, dw) = (x.grad(&gradients).ok_or("no gradient")?, w.grad(&gradients).ok_or("no gradient")?);
        if read { Ok(dw.slice([0..1, 0..1, 0..1, 0..1]).into_scalar::<f32>()) } else { Ok(0.0) }
    })
}

fn step<M: Module + 'static>(model: M, loss: impl Fn(&M) -> Tensor<1> + 'static) -> Step {
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let mut model = Some(model);
    Box::new(move |read| {
        let current = model.take().ok_or("the model is gone")?;
        let loss = loss(&current);
        let gradients = GradientsParams::from_grads(loss.backward(), &current);
        model = Some(adam.step(RATE, current, gradients));
        if read { Ok(loss.into_scalar::<f32>()) } else { Ok(0.0) }
    })
}

fn classes(count: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(labels(count, classes), [count]), device)
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

fn mlp(sizes: &[usize], device: &Device) -> Mlp {
    Mlp { layers: sizes.windows(2).map(|w| LinearConfig::new(w[0], w[1]).init(device)).collect() }
}

fn w1(device: &Device) -> Step {
    let (x, y) = (normal([256, 784], device), classes(256, 10, device));
    let criterion = CrossEntropyLossConfig::new().init(device);
    step(mlp(&[784, 512, 256, 10], device), move |Mlp { layers: l }| {
        let h = relu(l[1].forward(relu(l[0].forward(x.clone()))));
        criterion.forward(l[2].forward(h), y.clone())
    })
}

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    hidden: Linear,
    head: Linear,
}

fn w2(device: &Device) -> Step {
    let conv = |from, to| {
        Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
    };
    let net = Cnn {
        conv1: conv(1, 32),
        conv2: conv(32, 64),
        pool: MaxPool2dConfig::new([2, 2]).init(),
        hidden: LinearConfig::new(64 * 7 * 7, 128).init(device),
        head: LinearConfig::new(128, 10).init(device),
    };
    let (x, y) = (normal([64, 1, 28, 28], device), classes(64, 10, device));
    let criterion = CrossEntropyLossConfig::new().init(device);
    step(net, move |net: &Cnn| {
        let x = net.pool.forward(relu(net.conv1.forward(x.clone())));
        let x = net.pool.forward(relu(net.conv2.forward(x)));
        let h: Tensor<2> = x.flatten(1, 3);
        criterion.forward(net.head.forward(relu(net.hidden.forward(h))), y.clone())
    })
}

#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attention: MultiHeadAttention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

#[derive(Module, Debug)]
struct Transformer {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

fn w3(device: &Device) -> Step {
    let (batch, time, vocabulary, width) = (16, 64, 96, 128);
    let block = |_| Block {
        norm1: LayerNormConfig::new(width).init(device),
        attention: MultiHeadAttentionConfig::new(width, 4).with_dropout(0.0).init(device),
        norm2: LayerNormConfig::new(width).init(device),
        up: LinearConfig::new(width, 4 * width).init(device),
        down: LinearConfig::new(4 * width, width).init(device),
    };
    let net = Transformer {
        tokens: EmbeddingConfig::new(vocabulary, width).init(device),
        positions: EmbeddingConfig::new(time, width).init(device),
        blocks: (0..4).map(block).collect(),
        norm: LayerNormConfig::new(width).init(device),
        head: LinearConfig::new(width, vocabulary).init(device),
    };
    let x = classes(batch * time, vocabulary, device).reshape([batch, time]);
    let y = classes(batch * time + 1, vocabulary, device).slice([1..batch * time + 1]);
    let mask = generate_autoregressive_mask(batch, time, device);
    let criterion = CrossEntropyLossConfig::new().init(device);
    step(net, move |net: &Transformer| {
        let mut x = net.tokens.forward(x.clone()) + net.positions.weight.val().unsqueeze();
        for block in &net.blocks {
            let input = MhaInput::self_attn(block.norm1.forward(x.clone())).mask_attn(mask.clone());
            x = x + block.attention.forward(input).context;
            x = x.clone() + block.down.forward(gelu(block.up.forward(block.norm2.forward(x))));
        }
        let scores = net.head.forward(net.norm.forward(x));
        criterion.forward(scores.reshape([batch * time, vocabulary]), y.clone())
    })
}

fn w4(device: &Device) -> Step {
    let (x, y) = (normal([64, 4], device), normal([64, 2], device));
    step(mlp(&[4, 64, 64, 2], device), move |Mlp { layers: l }| {
        let h = tanh(l[1].forward(tanh(l[0].forward(x.clone()))));
        MseLoss::new().forward(l[2].forward(h), y.clone(), Reduction::Mean)
    })
}

#[derive(Module, Debug)]
struct Residual {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    shortcut: Option<Conv2d>,
    shortcut_norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct ResNet {
    stem: Conv2d,
    norm: BatchNorm,
    blocks: Vec<Residual>,
    head: Linear,
}

fn w5(device: &Device) -> Step {
    let conv = |from, to, taps: usize, stride| {
        let pad = taps / 2;
        Conv2dConfig::new([from, to], [taps, taps])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(false)
            .init(device)
    };
    let norm = |channels| BatchNormConfig::new(channels).init(device);
    let mut blocks = Vec::new();
    let mut from = 64;
    for (to, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
        let projects = stride != 1 || from != to;
        blocks.push(Residual {
            conv1: conv(from, to, 3, stride),
            norm1: norm(to),
            conv2: conv(to, to, 3, 1),
            norm2: norm(to),
            shortcut: projects.then(|| conv(from, to, 1, stride)),
            shortcut_norm: projects.then(|| norm(to)),
        });
        from = to;
    }
    let net = ResNet { stem: conv(3, 64, 3, 1), norm: norm(64), blocks, head: LinearConfig::new(512, 10).init(device) };
    let (x, y) = (normal([64, 3, 32, 32], device), classes(64, 10, device));
    let criterion = CrossEntropyLossConfig::new().init(device);
    step(net, move |net: &ResNet| {
        let mut x = relu(net.norm.forward(net.stem.forward(x.clone())));
        for block in &net.blocks {
            let y = relu(block.norm1.forward(block.conv1.forward(x.clone())));
            let y = block.norm2.forward(block.conv2.forward(y));
            let beside = match (&block.shortcut, &block.shortcut_norm) {
                (Some(conv), Some(norm)) => norm.forward(conv.forward(x)),
                _ => x,
            };
            x = relu(y + beside);
        }
        let h: Tensor<2> = x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        criterion.forward(net.head.forward(h), y.clone())
    })
}

#[derive(Module, Debug)]
struct Recurrent {
    lstm: Lstm,
    head: Linear,
}

fn w6(device: &Device) -> Step {
    let net = Recurrent {
        lstm: LstmConfig::new(14, 100, true).init(device),
        head: LinearConfig::new(100, 1).init(device),
    };
    let (x, y) = (normal([64, 30, 14], device), normal([64, 1], device));
    step(net, move |net: &Recurrent| {
        let (_, state) = net.lstm.forward(x.clone(), None);
        MseLoss::new().forward(net.head.forward(state.hidden), y.clone(), Reduction::Mean)
    })
}
