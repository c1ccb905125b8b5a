//! Products and convolutions of many sizes.

use anygrad::prelude::*;
use anygrad::tensor::conv::ConvOptions;

use crate::bench::Bench;

/// Random tensors of these shapes.
fn random(shapes: &[&[usize]], device: &Device) -> Vec<Tensor> {
    shapes.iter().map(|shape| Tensor::randn(shape, device)).collect()
}

pub(crate) fn products(bench: &mut Bench) -> Result<()> {
    for n in [64, 128, 256, 512, 1024, 2048] {
        let inputs = |device: &Device| random(&[&[n, n], &[n, n]], device);
        bench.operation("product", &format!("{n} x {n} x {n}"), inputs, |t| vec![t[0].matmul(&t[1])])?;
    }
    // Rows, columns, terms: those of the workloads, and what is thin or long.
    for (m, n, k) in
        [(256, 512, 784), (1024, 128, 128), (1024, 512, 128), (64, 128, 3136), (256, 10, 256), (1, 1024, 1024)]
    {
        let name = format!("{m} x {n} x {k}");
        let inputs = |device: &Device| random(&[&[m, k], &[k, n]], device);
        bench.operation("product", &name, inputs, |t| vec![t[0].matmul(&t[1])])?;
        let inputs = |device: &Device| random(&[&[k, m], &[k, n]], device);
        bench.operation("product", &format!("{name}, aT b"), inputs, |t| vec![t[0].t().matmul(&t[1])])?;
        let inputs = |device: &Device| random(&[&[m, k], &[n, k]], device);
        bench.operation("product", &format!("{name}, a bT"), inputs, |t| vec![t[0].matmul(&t[1].t())])?;
    }
    let inputs = |device: &Device| random(&[&[64, 128, 64], &[64, 64, 128]], device);
    bench.operation("product", "64 of 128 x 128 x 64", inputs, |t| vec![t[0].matmul(&t[1])])
}

pub(crate) fn convolutions(bench: &mut Bench) -> Result<()> {
    // Images, channels in and out, size, taps, stride.
    for (images, from, to, size, taps, stride) in [
        (64, 1, 32, 28, 3, 1),
        (64, 32, 64, 14, 3, 1),
        (16, 64, 64, 56, 3, 1),
        (64, 64, 64, 32, 3, 1),
        (64, 128, 128, 16, 3, 1),
        (64, 256, 256, 8, 3, 1),
        (64, 512, 512, 4, 3, 1),
        (64, 64, 128, 32, 3, 2),
        (64, 64, 128, 32, 1, 2),
        (64, 3, 64, 32, 5, 1),
    ] {
        let pad = taps / 2;
        let options = ConvOptions { padding: [(pad, pad); 2], stride: [stride; 2], ..ConvOptions::default() };
        let name = format!("{taps}x{taps} / {stride}, {from} -> {to}, {size}x{size}, batch {images}");
        let both = |device: &Device| random(&[&[images, from, size, size], &[to, from, taps, taps]], device);
        bench.operation("convolution", &name, both, |t| vec![t[0].conv2d(&t[1], &options)])?;
        let gradient = |t: &[Tensor], of: usize| {
            let y = t[0].conv2d(&t[1], &options);
            y.gradients_with(&y.full_like(0.5), &[&t[of]])
        };
        bench.operation("convolution", &format!("{name}, dx"), both, |t| gradient(t, 0))?;
        bench.operation("convolution", &format!("{name}, dw"), both, |t| gradient(t, 1))?;
    }
    Ok(())
}
