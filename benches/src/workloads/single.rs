//! Single heavy operations: products of square matrices, and a convolution with both of its gradients.

use anygrad::prelude::*;
use anygrad::tensor::conv::ConvOptions;

use super::{Built, Workload};

/// A row of the table for a product of `n x n` matrices.
pub(super) const fn product(name: &'static str, n: usize, build: fn(&Device) -> Result<Built>) -> Workload {
    let about = "a product of square float32 matrices";
    Workload { name, about, operations: Some(2.0 * (n * n * n) as f64), build }
}

/// Forward and both gradients, each `2 * 16 * 56 * 56 * 64 * 64 * 9` operations.
pub(super) const CONVOLUTION: Workload = Workload {
    name: "c",
    about: "convolution 3x3, 64 -> 64, 56x56, batch 16: forward and both gradients",
    operations: Some(3.0 * 2.0 * (16 * 56 * 56 * 64 * 64 * 9) as f64),
    build: convolution,
};

/// `A B`.
pub(super) fn matmul<const N: usize>(device: &Device) -> Result<Built> {
    repeated(device, [N, N], [N, N], |a, b| vec![a.matmul(b)])
}

/// `A^T B`.
pub(super) fn left_transposed<const N: usize>(device: &Device) -> Result<Built> {
    repeated(device, [N, N], [N, N], |a, b| vec![a.t().matmul(b)])
}

/// `A B^T`.
pub(super) fn right_transposed<const N: usize>(device: &Device) -> Result<Built> {
    repeated(device, [N, N], [N, N], |a, b| vec![a.matmul(&b.t())])
}

/// `A B` of f16, accumulated in f32.
pub(super) fn half<const N: usize>(device: &Device) -> Result<Built> {
    if !device.supports(DType::F16) {
        return Err(Error::Unsupported {
            what: "f16".into(),
            device: device.to_string(),
            instead: "leave this workload out".into(),
        });
    }
    let random = || Tensor::randn(&[N, N], device).cast(DType::F16).realize().cloned();
    operation(device, random()?, random()?, |a, b| vec![a.matmul(b)])
}

fn convolution(device: &Device) -> Result<Built> {
    let options = ConvOptions { padding: [(1, 1); 2], ..Default::default() };
    repeated(device, [16, 64, 56, 56], [64, 64, 3, 3], move |x, w| {
        let y = x.conv2d(w, &options);
        let mut all = y.gradients_with(&x.detach(), &[x, w]);
        all.push(y);
        all
    })
}

fn repeated<const N: usize>(
    device: &Device,
    a: [usize; N],
    b: [usize; N],
    run: impl Fn(&Tensor, &Tensor) -> Vec<Tensor> + 'static,
) -> Result<Built> {
    operation(device, Tensor::randn(&a, device).realize()?.clone(), Tensor::randn(&b, device).realize()?.clone(), run)
}

/// A program of one operation; its first result is what a step returns.
fn operation(
    device: &Device,
    a: Tensor,
    b: Tensor,
    run: impl Fn(&Tensor, &Tensor) -> Vec<Tensor> + 'static,
) -> Result<Built> {
    let program = Program::inference(device, move |(a, b): (Tensor, Tensor)| run(&a, &b));
    super::shared(program, (a, b), Vec::new(), |all| all.into_iter().next())
}
