//! W5 and W6: a residual network with batch norm, a recurrent one.

use anygrad::prelude::*;

use super::{Built, labels, train};

#[derive(Module)]
struct Residual {
    conv1: Conv2d,
    norm1: BatchNorm2d,
    conv2: Conv2d,
    norm2: BatchNorm2d,
    shortcut: Option<(Conv2d, BatchNorm2d)>,
}

fn conv(from: usize, to: usize, taps: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2d::new(from, to, taps, device).stride(stride).padding(taps / 2).without_bias()
}

impl Residual {
    fn new(from: usize, to: usize, stride: usize, device: &Device) -> Residual {
        let projects = stride != 1 || from != to;
        Residual {
            conv1: conv(from, to, 3, stride, device),
            norm1: BatchNorm2d::new(to, device),
            conv2: conv(to, to, 3, 1, device),
            norm2: BatchNorm2d::new(to, device),
            shortcut: projects.then(|| (conv(from, to, 1, stride, device), BatchNorm2d::new(to, device))),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.norm1.forward(&self.conv1.forward(x)).relu();
        let y = self.norm2.forward(&self.conv2.forward(&y));
        match &self.shortcut {
            Some((conv, norm)) => (y + norm.forward(&conv.forward(x))).relu(),
            None => (y + x).relu(),
        }
    }
}

#[derive(Module)]
struct ResNet {
    stem: Conv2d,
    norm: BatchNorm2d,
    blocks: Vec<Residual>,
    head: Linear,
}

/// ResNet-18 in its form for small images: a 3x3 stem, no first pooling.
/// Source: He and others, "Deep residual learning for image recognition" (2016), table 1 and section 4.2.
pub(super) fn resnet(device: &Device) -> Result<Built> {
    let mut blocks = Vec::new();
    let mut from = 64;
    for (to, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
        blocks.push(Residual::new(from, to, stride, device));
        from = to;
    }
    let net = ResNet {
        stem: conv(3, 64, 3, 1, device),
        norm: BatchNorm2d::new(64, device),
        blocks,
        head: Linear::new(512, 10, device),
    };
    let (x, y) = (Tensor::randn(&[64, 3, 32, 32], device), labels(64, 10, device));
    let forward = |net: &ResNet, x: &Tensor| {
        let mut x = net.norm.forward(&net.stem.forward(x)).relu();
        for block in &net.blocks {
            x = block.forward(&x);
        }
        net.head.forward(&x.mean([2, 3]))
    };
    train(device, net, x, y, forward, Tensor::cross_entropy)
}

#[derive(Module)]
struct Recurrent {
    lstm: Lstm,
    head: Linear,
}

pub(super) fn lstm(device: &Device) -> Result<Built> {
    let net =
        Recurrent { lstm: Lstm::new(14, 100, RecurrentOptions::default(), device), head: Linear::new(100, 1, device) };
    let (x, y) = (Tensor::randn(&[64, 30, 14], device), Tensor::randn(&[64, 1], device));
    let forward = |net: &Recurrent, x: &Tensor| {
        let (_, (h, _)) = net.lstm.forward(x, None);
        net.head.forward(&h.reshape([64, 100]))
    };
    train(device, net, x, y, forward, Tensor::mse_loss)
}
