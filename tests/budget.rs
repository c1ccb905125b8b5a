//! How many kernels a training step may have: what is fused is told by the plan, so this needs no clock.

use anygrad::prelude::*;

/// The CPU, and the GPU if there is one (with ANYGRAD_REQUIRE_GPU=1 there must be).
fn devices() -> Vec<Device> {
    #[cfg(feature = "cpu")]
    let cpu = Some(Device::cpu());
    #[cfg(not(feature = "cpu"))]
    let cpu = None;
    let gpu = match cfg!(feature = "wgpu").then(Device::gpu) {
        Some(Err(error)) if std::env::var("ANYGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Some(Ok(gpu)) => Some(gpu),
        _ => None,
    };
    cpu.into_iter().chain(gpu).collect()
}

#[track_caller]
fn at_most(device: &Device, limit: usize, kernels: &[String]) {
    let list = kernels.join("\n");
    assert!(kernels.len() <= limit, "{} kernels on {device}, {limit} allowed:\n{list}", kernels.len());
}

/// A GPU may need several dispatches for one kernel; each has its own shader in the explanation.
#[track_caller]
fn dispatches_at_most(device: &Device, limit: usize, explanation: &str) {
    let count = explanation.matches("@compute").count();
    assert!(count <= limit && (count > 0 || device.name().starts_with("cpu")), "{count} dispatches on {device}");
}

#[derive(Module)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

#[test]
fn a_convolutional_step_has_at_most_30_kernels() -> Result<()> {
    for device in devices() {
        let net = Cnn {
            conv1: Conv2d::new(1, 32, 3, &device).padding(1),
            conv2: Conv2d::new(32, 64, 3, &device).padding(1),
            hidden: Linear::new(64 * 7 * 7, 128, &device),
            head: Linear::new(128, 10, &device),
        };
        let parameters = net.parameters();
        let adam = Adam::new(parameters.clone(), 1e-3);
        let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| {
            let x = net.conv1.forward(&x).relu().max_pool2d(2);
            let x = net.conv2.forward(&x).relu().max_pool2d(2);
            let loss = net.head.forward(&net.hidden.forward(&x.flatten(1)).relu()).cross_entropy(&y);
            adam.update(&loss.gradients(&parameters));
            loss
        });
        let data = (Tensor::zeros(&[64, 1, 28, 28], &device), Tensor::from_vec(vec![0i32; 64], &[64], &device));
        at_most(&device, 30, &step.kernels(&data)?);
        dispatches_at_most(&device, 30, &step.explain(&data)?);
    }
    Ok(())
}

#[test]
fn a_step_of_three_linear_layers_has_at_most_16_kernels() -> Result<()> {
    for device in devices() {
        let sizes = [(4, 64), (64, 64), (64, 2)];
        let net: Vec<Linear> = sizes.map(|(from, to)| Linear::new(from, to, &device)).into();
        let parameters = net.parameters();
        let adam = Adam::new(parameters.clone(), 1e-3);
        let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| {
            let hidden = net[1].forward(&net[0].forward(&x).tanh()).tanh();
            let loss = net[2].forward(&hidden).mse_loss(&y);
            adam.update(&loss.gradients(&parameters));
            loss
        });
        let data = (Tensor::zeros(&[64, 4], &device), Tensor::zeros(&[64, 2], &device));
        at_most(&device, 16, &step.kernels(&data)?);
        dispatches_at_most(&device, 16, &step.explain(&data)?);
    }
    Ok(())
}

#[test]
fn adam_adds_at_most_3_kernels_to_the_gradients_of_twenty_variables() -> Result<()> {
    for device in devices() {
        let net: Vec<Linear> = (3..13).map(|i| Linear::new(i, i + 1, &device)).collect();
        let parameters = net.parameters();
        assert_eq!(parameters.len(), 20);
        let adam = Adam::new(parameters.clone(), 1e-3);
        let gradients = |x: Tensor| {
            let value = net.iter().fold(x, |x, layer| layer.forward(&x).tanh()).square().mean(..);
            value.gradients(&parameters)
        };
        let x = Tensor::zeros(&[8, 3], &device);
        let without = Program::training(&device, gradients).kernels(&x)?;
        let with = Program::training(&device, |x| adam.update(&gradients(x))).kernels(&x)?;
        at_most(&device, without.len() + 3, &with);
    }
    Ok(())
}
