//! Non-negative parts and independent sources against scikit-learn's figures.

use anygrad::prelude::*;
use anygrad::unsupervised::*;

use crate::scores::golden;
use crate::{devices, digits};

/// `[rows, columns]` of a function of row and column.
fn made(rows: usize, columns: usize, value: impl Fn(f64, f64) -> f64, device: &Device) -> Tensor {
    let values = (0..rows * columns).map(|at| value((at / columns) as f64, (at % columns) as f64) as f32).collect();
    Tensor::from_vec(values, &[rows, columns], device)
}

#[test]
fn parts_are_those_of_scikit_learn() {
    for device in devices() {
        let x = digits(&device).0.narrow(0, 0, 200);
        let weights = made(200, 5, |i, j| 1.0 + 0.5 * (1.1 * i + 2.3 * j).sin(), &device);
        let parts = made(5, 64, |i, j| 1.0 + 0.5 * (0.9 * i + 1.7 * j).cos(), &device);
        let start = Some((weights, parts));
        let config = Nmf { components: 5, start, max_iterations: 50, tolerance: 0.0, ..Default::default() };
        let model = config.fit(&device, &x).expect("fits");
        // Updates are products and quotients of positive numbers: f32 rounding of about 1e-6 each does not grow.
        assert!((model.error / golden("nmf_50") - 1.0).abs() < 1e-4, "{model}");
        assert!(!model.converged && model.warnings.len() == 1);
        let model = Nmf { max_iterations: 200, tolerance: 1e-4, ..config }.fit(&device, &x).expect("fits");
        assert_eq!(model.iterations as f64, golden("nmf_iterations"), "{model}");
        assert!((model.error / golden("nmf") - 1.0).abs() < 1e-4, "{model}");

        let weights = model.transform(&x).expect("transforms");
        let error = (model.inverse_transform(&weights).expect("back") - &x).square().sum(()).sqrt().item();
        assert!((error.expect("reads") / model.error - 1.0).abs() < 0.01);
        assert!(weights.min(()).item().expect("reads") >= 0.0);
        let path = std::env::temp_dir().join(format!("anygrad-nmf-{}.st", std::process::id()));
        model.save(&path).expect("saved");
        let back = NmfModel::load(&device, &path).expect("loaded").transform(&x).expect("transforms");
        assert_eq!(back.to_vec::<f32>().expect("reads"), weights.to_vec::<f32>().expect("reads"));
        std::fs::remove_file(path).expect("removed");
    }
}

#[test]
fn a_product_of_parts_is_factorised_and_negative_numbers_are_refused() {
    let device = Device::cpu();
    let made =
        |rows, columns, shift: f64| made(rows, columns, |i, j| (2.1 * i + 3.7 * j + shift).sin().max(0.0), &device);
    let x = made(60, 3, 0.3).matmul(&made(3, 12, 0.9));
    let config = Nmf { components: 3, max_iterations: 4000, tolerance: 1e-7, ..Default::default() };
    let model = config.fit(&device, &x).expect("fits");
    let size = x.square().sum(()).sqrt().item().expect("reads");
    assert!(model.error < 0.02 * size, "{model} of {size}");
    assert!(config.fit(&device, &-x).expect_err("negative").to_string().contains("negative"));
    let zeros = config.fit(&device, &Tensor::zeros(&[4, 4], &device)).expect("fits");
    assert_eq!((zeros.error, zeros.converged), (0.0, true));
}

#[test]
fn mixed_signals_are_separated_up_to_order_and_sign() {
    for device in devices() {
        let signal = |t: f64, which: usize| match which {
            0 => (2.0 * t).sin(),
            1 => (3.0 * t).sin().signum() * f64::from(t > 0.0),
            _ => (1.7 * t).rem_euclid(1.0),
        };
        let mixing = [[1.0, 1.0, 1.0], [0.5, 2.0, 1.0], [1.5, 1.0, 2.0]];
        let mixed =
            |i: f64, j: f64| (0..3).map(|which| mixing[j as usize][which] * signal(i / 100.0, which)).sum::<f64>();
        let x = made(2000, 3, mixed, &device);
        let model = FastIca::default().fit(&device, &x).expect("fits");
        assert!(model.converged, "{model}");
        let sources = model.transform(&x).expect("transforms");
        let found = sources.to_f64().expect("reads");
        let mut taken = [false; 3];
        for which in 0..3 {
            let values: Vec<f64> = (0..2000).map(|row| signal(f64::from(row) / 100.0, which)).collect();
            let mean = values.iter().sum::<f64>() / 2000.0;
            let length = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
            // Sources have mean 0 and variance 1 (by rows - 1).
            let with = |k: usize| {
                let sum: f64 = values.iter().enumerate().map(|(row, v)| (v - mean) * found[row * 3 + k]).sum();
                (sum / (length * 1999.0f64.sqrt())).abs()
            };
            let best = (0..3).max_by(|&a, &b| with(a).total_cmp(&with(b))).expect("three");
            // The fixed point is unique up to order and sign; the tolerance leaves cosines off by 1e-4.
            assert!(with(best) > golden("ica") - 5e-4 && !taken[best], "{which}: {} {device}", with(best));
            taken[best] = true;
        }
        let back = model.inverse_transform(&sources).expect("back");
        assert!((back - &x).abs().max(()).item().expect("reads") < 1e-4);
        let path = std::env::temp_dir().join(format!("anygrad-ica-{}.st", std::process::id()));
        model.save(&path).expect("saved");
        let again = FastIcaModel::load(&device, &path).expect("loaded").transform(&x).expect("transforms");
        assert_eq!(again.to_f64().expect("reads"), found);
        std::fs::remove_file(path).expect("removed");
    }
    let device = Device::cpu();
    let copies = made(50, 2, |i, _| (1.3 * i).sin(), &device);
    assert!(FastIca::default().fit(&device, &copies).expect_err("copies").to_string().contains("fewer components"));
}
