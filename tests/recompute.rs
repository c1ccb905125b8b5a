//! A program under a memory budget computes values of its forward part again instead of keeping them: it fits, learns the
//! same, and says plainly when it cannot fit.

use anygrad::prelude::*;
use anygrad::program::Memory;

struct Block {
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    dropout: Dropout,
}

/// A device of its own: the shared one is seeded by other tests, too.
#[cfg(feature = "cpu")]
fn cpu() -> Device {
    Device::new(std::sync::Arc::new(anygrad::cpu::Cpu::new().expect("cpu")))
}

/// Losses of a few steps of a deep residual network with dropout, and the plan's memory.
fn train(device: &Device, budget: Option<f64>) -> Result<(Vec<f64>, Memory)> {
    device.seed(7)?;
    let blocks: Vec<Block> = (0..6)
        .map(|_| Block {
            norm: LayerNorm::new(32, device),
            up: Linear::new(32, 128, device),
            down: Linear::new(128, 32, device),
            dropout: Dropout::new(0.1),
        })
        .collect();
    let mut parameters = Vec::new();
    for block in &blocks {
        parameters.extend([block.norm.parameters(), block.up.parameters(), block.down.parameters()].concat());
    }
    let adam = Adam::new(parameters.clone(), 1e-3);
    let mut step = Program::training(device, |(x, y): (Tensor, Tensor)| {
        let mut x = x;
        for block in &blocks {
            let inside = block.up.forward(&block.norm.forward(&x)).gelu();
            x = &x + block.dropout.forward(&block.down.forward(&inside));
        }
        let loss = x.mse_loss(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let data = (Tensor::randn(&[256, 32], device), Tensor::randn(&[256, 32], device));
    if let Some(share) = budget {
        let plain = step.memory(&data)?;
        step.set_memory_budget((plain.peak() as f64 * share) as u64);
    }
    let memory = step.memory(&data)?;
    let losses = (0..5).map(|_| step.run(data.clone())?.item()).collect::<Result<_>>()?;
    Ok((losses, memory))
}

#[cfg(feature = "cpu")]
#[test]
fn half_the_memory_gives_the_same_losses() {
    let device = cpu();
    let (plain, all) = train(&device, None).expect("it trains");
    let (again, part) = train(&device, Some(0.5)).expect("it fits");
    assert!(part.peak() * 2 <= all.peak(), "{part} instead of {all}");
    for (x, y) in plain.iter().zip(&again) {
        // Five steps, each rounding sums of 256 numbers of about 1.
        assert!((x - y).abs() < 5.0 * 16.0 * f64::from(f32::EPSILON) * x.abs(), "{plain:?} and {again:?}");
    }
    assert!(plain[4] < plain[0], "{plain:?}");
}

#[cfg(feature = "cpu")]
#[test]
fn what_cannot_fit_says_what_it_needs() {
    let error = train(&cpu(), Some(0.05)).expect_err("nothing fits in that").to_string();
    assert!(error.contains("bytes are available") || error.contains("are available"), "{error}");
    assert!(error.contains("memory budget") && error.contains("smaller batch"), "{error}");
}

#[cfg(feature = "cpu")]
#[test]
fn the_trainer_keeps_to_a_budget() {
    let device = cpu();
    let layers = || (0..8).map(|_| Linear::new(64, 64, &device)).collect::<Vec<_>>();
    let forward = |net: &Vec<Linear>, x: &Tensor| net.iter().fold(x.clone(), |x, layer| layer.forward(&x).tanh());
    let x = Tensor::randn(&[512, 64], &device).realize().expect("numbers").clone();
    let data = Resident::new(x.clone(), x).expect("a set");
    let fit = |budget: Option<u64>| {
        device.seed(3).expect("seeded");
        let mut trainer = Supervised::with(layers(), forward, Tensor::mse_loss).batch(512).quiet();
        trainer.config.memory_budget = budget;
        trainer.fit_alone(&data)
    };
    let plain = fit(None).expect("it trains").memory.peak();
    let less = fit(Some(plain * 9 / 10)).expect("it fits").memory.peak();
    assert!(less <= plain * 9 / 10, "{less} of {plain} bytes");
    let error = fit(Some(plain / 20)).expect_err("too little").to_string();
    assert!(error.contains("memory budget"), "{error}");
}
