//! The supervised trainer on the CPU and on a GPU: it learns digits, in f32 and in mixed precision.

use anygrad::prelude::*;

#[derive(Module)]
struct Net {
    conv: Conv2d,
    hidden: Linear,
    head: Linear,
}

impl Layer for Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv.forward(x).relu().max_pool2d(2);
        self.head.forward(&self.hidden.forward(&x.flatten(1)).relu())
    }
}

/// Accuracy on held-out digits after some epochs.
fn learn(device: &Device, precision: Precision) -> Result<f64> {
    device.seed(1)?;
    let digits = include_bytes!("../examples/data/digits.csv.gz");
    let (train, valid) = LabelledImages::from_csv("digits", digits, [1, 8, 8], 16)?.split(0.7, 1)?;
    let net = Net {
        conv: Conv2d::new(1, 16, 3, device).padding(1),
        hidden: Linear::new(16 * 4 * 4, 32, device),
        head: Linear::new(32, 10, device),
    };
    let trainer = Supervised::new(&net, Tensor::cross_entropy).optimizer(Adam::new(net.parameters(), 1e-2));
    let mut trainer = trainer.metric("accuracy", metrics::accuracy).batch(32).epochs(6).quiet().precision(precision);
    let report = trainer.fit(&train, &valid)?;
    Ok(report.last("valid.accuracy").unwrap_or(f64::NAN))
}

fn learns(device: &Device) {
    let full = learn(device, Precision::Full).expect("trained");
    assert!(full > 0.9, "{full}");
    let mixed = learn(device, Precision::Mixed(LossScale::default()));
    if !device.supports(DType::F16) {
        let message = mixed.expect_err("no f16 there").to_string();
        return assert!(message.contains("mixed precision") && message.contains("Full"), "{message}");
    }
    // 539 digits: the standard error of 0.97 is 0.7 points, of a difference on the same digits less.
    let mixed = mixed.expect("trained");
    println!("{device}: {full} in f32, {mixed} in mixed precision");
    assert!((full - mixed).abs() < 0.015, "{full} {mixed}");
}

#[test]
#[cfg(feature = "cpu")]
fn it_learns_on_the_cpu() {
    learns(&Device::cpu());
}

#[test]
#[cfg(feature = "wgpu")]
fn it_learns_on_the_gpu() {
    match Device::gpu() {
        Ok(device) => learns(&device),
        Err(error) => {
            assert!(std::env::var("ANYGRAD_REQUIRE_GPU").is_err(), "ANYGRAD_REQUIRE_GPU is set, but {error}");
            println!("skipped: {error}");
        }
    }
}
