//! Every operation, layer and loss of the goldens on the CPU and on the GPU, values and gradients, in f32.

#![cfg(feature = "cpu")]

#[path = "../core/tests/goldens/harness.rs"]
mod harness;
#[path = "../core/tests/goldens/layers.rs"]
mod layers;
#[path = "../core/tests/goldens/losses.rs"]
mod losses;
#[path = "../core/tests/goldens/ops.rs"]
mod ops;

use anygrad::prelude::*;
use harness::Setup;

/// Relative to the largest number of a golden: f32 rounding (6e-8) over sums of some dozen products, twice in gradients.
const TOLERANCE: f64 = 2e-5;

fn check(device: &Device, f: impl Fn(&Setup)) {
    let run = |training: bool, build: &dyn Fn() -> Vec<Tensor>| {
        let tensors = if training {
            Program::training(device, |()| build()).run(()).expect("the program runs")
        } else {
            let tensors = build();
            Tensor::realize_all(&tensors).expect("the tensors can be computed");
            tensors
        };
        tensors.iter().map(|t| t.to_f64().expect("the tensor can be read")).collect()
    };
    f(&Setup { device, float: DType::F32, tolerance: TOLERANCE, run: &run });
}

/// The GPU; without one the test is skipped, unless `ANYGRAD_REQUIRE_GPU` is set.
fn gpu() -> Option<Device> {
    match Device::gpu() {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("ANYGRAD_REQUIRE_GPU").is_none() => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("ANYGRAD_REQUIRE_GPU is set, and {error}"),
    }
}

#[test]
fn operations_equal_pytorch_on_the_cpu() {
    check(&Device::cpu(), |setup| harness::check_ops("ops", ops::OPS, setup));
}

#[test]
fn layers_equal_pytorch_on_the_cpu() {
    check(&Device::cpu(), |setup| harness::check_layers("layers", layers::LAYERS, setup));
}

#[test]
fn losses_equal_pytorch_on_the_cpu() {
    check(&Device::cpu(), |setup| harness::check_ops("losses", losses::LOSSES, setup));
}

#[test]
fn everything_equals_pytorch_on_the_gpu() {
    let Some(device) = gpu() else { return };
    check(&device, |setup| harness::check_ops("ops", ops::OPS, setup));
    check(&device, |setup| harness::check_layers("layers", layers::LAYERS, setup));
    check(&device, |setup| harness::check_ops("losses", losses::LOSSES, setup));
}
