//! Every operation, layer and loss of the goldens in f64 on the reference, values and gradients.

#[path = "goldens/harness.rs"]
mod harness;
#[path = "goldens/layers.rs"]
mod layers;
#[path = "goldens/losses.rs"]
mod losses;
#[path = "goldens/ops.rs"]
mod ops;

use anygrad_core::{DType, Tensor, reference, testing};
use harness::Setup;

/// f64 rounding over the longest chains here (two layers of recurrence and their gradients).
const TOLERANCE: f64 = 1e-10;

fn check(f: impl Fn(&Setup)) {
    let device = testing::device();
    let run = |training: bool, build: &dyn Fn() -> Vec<Tensor>| {
        let tensors = if training { testing::training(&device, build) } else { build() };
        reference::values(&tensors).expect("all leaves have numbers")
    };
    f(&Setup { device: &device, float: DType::F64, tolerance: TOLERANCE, run: &run });
}

#[test]
fn operations_equal_pytorch() {
    check(|setup| harness::check_ops("ops", ops::OPS, setup));
}

#[test]
fn layers_equal_pytorch() {
    check(|setup| harness::check_layers("layers", layers::LAYERS, setup));
}

#[test]
fn losses_equal_pytorch() {
    check(|setup| harness::check_ops("losses", losses::LOSSES, setup));
}
