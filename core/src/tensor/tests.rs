//! What tensors say about mistakes, which shapes methods give, and values of compositions against std and plain loops.
//! Values come from the reference, so no backend is needed.

mod gradients;
mod panics;
mod shapes;
mod values;

use std::sync::OnceLock;

use crate::device::Device;
use crate::reference;
use crate::tensor::Tensor;
use crate::testing;

/// One device that only stores, for all tests here.
fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(testing::device).clone()
}

/// f64 numbers on a device that only stores.
fn numbers(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, &device())
}

fn indices(values: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, &device())
}

/// f32 zeros of a shape, for what only asks for shapes.
fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, &device())
}

fn values(tensor: &Tensor) -> Vec<f64> {
    match reference::values(std::slice::from_ref(tensor)) {
        Ok(mut values) => values.remove(0),
        Err(error) => panic!("{error}"),
    }
}

/// Equal up to a relative distance, also NaN to NaN and inf to inf.
#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let equal = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        assert!(equal, "element {i}: {a} instead of {b}\n{found:?}\n{expected:?}");
    }
}
