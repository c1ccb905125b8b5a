//! Models whose targets are their inputs: losses by definition and PyTorch, learning, and runs that go on exactly.

use std::path::Path;

use anygrad::prelude::*;
use anygrad::testing;
use anygrad::unsupervised::representation::{nt_xent, standard_divergence};
use anygrad::unsupervised::*;

use crate::scores::{golden, golden_list};
use crate::{devices, digits};

#[test]
fn contrastive_loss_and_gradient_are_those_of_pytorch() {
    for device in devices() {
        let view = |name: &str, shift: f64| {
            let at = |i: usize| ((0.7 * (i / 5 * (i / 5)) as f64) + 1.3 * (i % 5) as f64 + shift).sin() as f32;
            Var::new(name, &Tensor::from_vec((0..30).map(at).collect(), &[6, 5], &device))
        };
        let (first, second) = (view("first", 0.0), view("second", 0.4));
        let mut program = Program::training(&device, |()| {
            let loss = nt_xent(&first.get(), &second.get(), 0.5);
            let gradient = loss.gradients(std::slice::from_ref(&first)).remove(0);
            (loss, gradient)
        });
        let (loss, gradient) = program.run(()).expect("runs");
        let loss = loss.item().expect("reads");
        assert!((loss - golden("nt_xent")).abs() < 2e-6, "{loss} {device}");
        for (found, expected) in gradient.to_f64().expect("reads").iter().zip(golden_list("nt_xent_gradient")) {
            assert!((found - expected).abs() < 2e-6, "{found} is not {expected}");
        }
    }
}

#[test]
fn divergences_and_losses_are_their_closed_forms() {
    let device = testing::device();
    let mean = Tensor::from_vec(vec![0.0f32, 1.0, 0.0, -2.0], &[2, 2], &device);
    let variance = Tensor::from_vec(vec![1.0f32, 1.0, 4.0, 0.25], &[2, 2], &device);
    let found = standard_divergence(&mean, &variance.ln()).to_f64().expect("reads");
    let expected = [0.0, 0.5, 0.5 * (3.0 - 4.0f64.ln()), 0.5 * (3.25 + 4.0f64.ln())];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");

    // What the model gives, by hand: logits 0 for two features, and these means and variances.
    let x = Tensor::from_vec(vec![0.0f32, 1.0, 0.5, 0.25], &[2, 2], &device);
    let output = Tensor::cat(&[Tensor::zeros(&[2, 2], &device), mean, variance.ln()], 1);
    let loss = |config: VaeConfig| {
        let model = Vae::new(Linear::new(2, 4, &device), Linear::new(2, 2, &device), config).expect("in range");
        model.loss(&output, &x).item().expect("reads")
    };
    let [first, second] = [0.5 * (expected[0] + expected[2]), 0.5 * (expected[1] + expected[3])];
    // A logit of 0 costs ln 2 whatever the input is.
    let bernoulli = 2.0 * 2.0f64.ln();
    assert!((loss(VaeConfig::default()) - (bernoulli + first + second)).abs() < 1e-6);
    let config = VaeConfig { beta: 4.0, free_bits: 1.0, ..Default::default() };
    assert!(first < 1.0 && second > 1.0);
    assert!((loss(config) - (bernoulli + 4.0 * (1.0 + second))).abs() < 1e-5);
    let gaussian = 0.5 * (1.0 + 0.25 + 0.0625) / 2.0;
    let config = VaeConfig { likelihood: Likelihood::Gaussian, beta: 0.0, free_bits: 0.0 };
    assert!((loss(config) - gaussian).abs() < 1e-6);
    for bad in [VaeConfig { beta: -1.0, ..config }, VaeConfig { free_bits: f64::NAN, ..config }] {
        assert!(Vae::new(Linear::new(2, 4, &device), Linear::new(2, 2, &device), bad).is_err());
    }
}

/// Digits from 0 to 1, and as their own targets.
fn brightness(device: &Device) -> (Tensor, Resident) {
    let x = (digits(device).0 / 16.0).realize().expect("numbers").clone();
    (x.clone(), Resident::new(x.clone(), x).expect("rows"))
}

fn rate(module: &impl Module, lr: f64) -> Adam {
    Adam::with(module.parameters(), AdamConfig { lr, ..AdamConfig::default() }).expect("valid")
}

#[test]
fn a_linear_autoencoder_finds_the_plane_of_the_components() {
    for device in devices() {
        device.seed(1).expect("seeded");
        let (x, data) = brightness(&device);
        let model = Autoencoder::new(Linear::new(64, 10, &device), Linear::new(10, 64, &device));
        let _ = model
            .trainer()
            .optimizer(rate(&model, 0.01))
            .epochs(25)
            .batch(128)
            .quiet()
            .fit_alone(&data)
            .expect("trains");
        let found = model.score_rows(&x).expect("scores").iter().sum::<f64>() / 1797.0;
        let pca = Pca { components: Components::Count(10), ..Default::default() }.fit(&device, &x).expect("fits");
        let back = pca.inverse_transform(&pca.transform(&x).expect("transforms")).expect("back");
        let best = back.mse_loss(&x).item().expect("reads");
        // No linear map through ten numbers has less error than ten components (Eckart and Young).
        assert!(found > best * 0.999 && found < best * 1.15, "{found} is not near {best} ({device})");
    }
}

#[test]
fn noise_is_for_training_and_helps_against_noise() {
    let device = Device::cpu();
    let (x, data) = brightness(&device);
    let noisy = (&x + Tensor::randn(x.shape(), &device) * 0.3).realize().expect("numbers").clone();
    let error = |noise: Noise, noisy: &Tensor| {
        device.seed(1).expect("seeded");
        let encoder = Sequential::new().add(Linear::new(64, 64, &device)).map(Tensor::relu);
        let model = Autoencoder::denoising(encoder, Linear::new(64, 64, &device), noise).expect("in range");
        let _ = model
            .trainer()
            .optimizer(rate(&model, 3e-3))
            .epochs(12)
            .batch(128)
            .quiet()
            .fit_alone(&data)
            .expect("trains");
        let again = [model.forward(noisy), model.forward(noisy)].map(|y| y.to_vec::<f32>().expect("reads"));
        assert_eq!(again[0], again[1]);
        model.forward(noisy).mse_loss(&x).item().expect("reads")
    };
    let (plain, gaussian) = (error(Noise::None, &noisy), error(Noise::Gaussian(0.3), &noisy));
    // The noise itself is 0.09.
    assert!(gaussian < 0.75 * plain && gaussian < 0.045, "{plain} {gaussian}");
    let holes = Tensor::bernoulli(x.shape(), 0.5, &device).select(0.0, &x).realize().expect("numbers").clone();
    let (plain, masking) = (error(Noise::None, &holes), error(Noise::Masking(0.5), &holes));
    assert!(masking < 0.75 * plain, "{plain} {masking}");
    let part = || Linear::new(2, 2, &device);
    assert!(Autoencoder::denoising(part(), part(), Noise::Masking(1.0)).is_err());
    assert!(Autoencoder::denoising(part(), part(), Noise::Gaussian(-1.0)).is_err());
}

#[test]
fn contrast_gathers_classes_and_masks_are_filled_in() {
    let device = Device::cpu();
    device.seed(1).expect("seeded");
    let (x, data) = brightness(&device);
    let encoder = Sequential::new().add(Linear::new(64, 64, &device)).map(Tensor::relu);
    let view = |x: &Tensor| {
        let kept = Tensor::bernoulli(x.shape(), 0.7, x.device()).select(x, 0.0);
        kept + Tensor::randn(x.shape(), x.device()) * 0.1
    };
    let model = Contrastive::new(encoder, Linear::new(64, 32, &device), view, 0.5).expect("in range");
    let mut trainer = model.trainer().optimizer(rate(&model, 3e-3)).epochs(6).batch(128).quiet();
    let fit = trainer.fit_alone(&data).expect("trains");
    let losses = [fit.history[0].get("loss"), fit.history[5].get("loss")].map(|loss| loss.expect("known"));
    // Unrelated views cost ln(2 * 128 - 1) = 5.54.
    assert!(losses[0] < 5.4 && losses[1] < losses[0] - 0.1, "{losses:?}");

    let filler =
        Sequential::new().add(Linear::new(64, 96, &device)).map(Tensor::relu).add(Linear::new(96, 64, &device));
    let model = Masked::new(filler, 0.25).expect("in range");
    let mut trainer = model.trainer().optimizer(rate(&model, 3e-3)).epochs(40).batch(128).quiet();
    let _ = trainer.fit_alone(&data).expect("trains");
    let error = trainer.evaluate(&data).expect("scores").get("loss").expect("known");
    // Filling in each pixel's mean costs its variance.
    let variance = x.var(0, 0).mean(()).item().expect("reads");
    assert!(error < 0.5 * variance, "{error} of {variance}");
    assert!(Masked::new(Linear::new(2, 2, &device), 0.0).is_err());
}

/// Weights of a VAE after four epochs, in one run or in two that share checkpoints.
fn weights(directory: &Path, epochs: &[usize]) -> Vec<Vec<u8>> {
    let device = testing::device();
    let mut found = Vec::new();
    for &epochs in epochs {
        device.seed(3).expect("seeded");
        let x = Tensor::from_vec((0..160).map(|i| ((i * 37 % 11) as f32) / 11.0).collect(), &[40, 4], &device);
        let config = VaeConfig { free_bits: 0.05, ..VaeConfig::default() };
        let model = Vae::new(Linear::new(4, 4, &device), Linear::new(2, 4, &device), config).expect("in range");
        let labels = Tensor::zeros(&[40], &device);
        let data = anygrad::data::Unlabelled(Resident::new(x, labels).expect("rows"));
        let mut trainer = model.trainer().optimizer(rate(&model, 0.01)).epochs(epochs).batch(8).quiet().ema(0.9);
        trainer = trainer.checkpoints(Checkpoints::new(directory));
        let fit = trainer.fit_alone(&data).expect("trains");
        assert!(fit.history.last().is_some_and(|epoch| epoch.get("divergence").is_some()));
        found = model.named_variables().iter().map(|(_, var)| var.get().to_bytes().expect("numbers")).collect();
    }
    found
}

#[test]
fn a_vae_goes_on_exactly_from_its_checkpoint() {
    let place = std::env::temp_dir().join(format!("anygrad-vae-{}", std::process::id()));
    let (whole, parts) = (place.join("whole"), place.join("parts"));
    [&whole, &parts].iter().for_each(|path| std::fs::create_dir_all(path).expect("a directory"));
    // The draws of latent numbers are part of the state: without them the second half would differ.
    assert_eq!(weights(&whole, &[4]), weights(&parts, &[2, 4]));
    std::fs::remove_dir_all(place).expect("removed");
}
