//! Mixtures: the digits' likelihood, known mixtures, model selection.

use anygrad::prelude::*;
use anygrad::unsupervised::*;

use crate::{devices, digits};

#[test]
fn mixtures_of_the_digits_are_as_likely_as_those_of_scikit_learn() {
    for device in devices() {
        let (x, y) = digits(&device);
        let reduced = Pca { components: Components::Count(30), ..Default::default() }.fit(&device, &x).expect("fits");
        let x = reduced.transform(&x).expect("transforms");
        // scikit-learn's single starts end between -73.36 and -73.99; ours begins with the best of ten short runs.
        let config = GaussianMixture { components: 10, ..Default::default() };
        let model = config.fit(&device, &x).expect("fits");
        let score = model.score(&x).expect("scores");
        assert!(score >= -73.5 && (score - model.log_likelihood).abs() < 0.05, "{score} {model}");
        let labels = model.predict(&x).expect("predicts").to_vec::<i32>().expect("reads");
        let agreement = scores::adjusted_rand(&y, &labels).expect("scores");
        assert!(agreement > 0.6, "{agreement}");
        let sums = model.predict_probability(&x).expect("predicts").sum(1).to_f64().expect("reads");
        assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-5));
    }
}

#[test]
fn all_covariances_recover_a_known_mixture() {
    let device = Device::cpu();
    let known = GaussianMixture { components: 2, covariance: Covariance::Spherical, ..Default::default() };
    let start =
        Tensor::from_vec(vec![-4.0f32, 0.0, -4.5, 0.5, -3.5, 0.1, 4.0, 4.0, 4.5, 3.5, 3.5, 4.4], &[6, 2], &device);
    let (x, truth) = known.fit(&device, &start).expect("fits").sample(4000, 1).expect("samples");
    for covariance in [Covariance::Full, Covariance::Diagonal, Covariance::Tied, Covariance::Spherical] {
        let config = GaussianMixture { components: 2, covariance, tolerance: 1e-5, ..Default::default() };
        let model = config.fit(&device, &x).expect("fits");
        let labels = model.predict(&x).expect("predicts").to_vec::<i32>().expect("reads");
        assert!(scores::adjusted_rand(&truth, &labels).expect("scores") > 0.999, "{model}");
        assert!(model.weights.iter().all(|w| (w - 0.5).abs() < 0.03), "{:?}", model.weights);
        assert!(model.converged && model.warnings.is_empty());
        // -2 log L + p ln n and + 2 p.
        let (bic, aic) = (model.bic(&x).expect("bic"), model.aic(&x).expect("aic"));
        let p = model.parameters() as f64;
        assert!((bic - aic - p * (4000.0f64.ln() - 2.0)).abs() < 1e-6 * bic.abs());
        let path = std::env::temp_dir().join(format!("anygrad-gmm-{}-{covariance:?}.st", std::process::id()));
        model.save(&path).expect("saved");
        let back = GaussianMixtureModel::load(&device, &path).expect("loaded");
        assert!((back.score(&x).expect("scores") - model.score(&x).expect("scores")).abs() < 1e-6);
        std::fs::remove_file(path).expect("removed");
    }
}

#[test]
fn variances_are_exact_near_and_far_from_the_common_mean() {
    // Two groups so far apart that every row belongs to one: means and variances are those of the groups. 5 and 5e4 deviations from
    // the common mean: squares are multiplied out only where that keeps digits.
    for device in devices() {
        for away in [5.0f32, 5e4] {
            let offset = |i: usize| ((i / 2) as f32 * 1.7).sin() * 1.5;
            let row = |i: usize| [if i.is_multiple_of(2) { away } else { -away } + offset(i), offset(i + 9) * 0.1];
            let values: Vec<f32> = (0..400).flat_map(row).collect();
            let x = Tensor::from_vec(values.clone(), &[400, 2], &device);
            let config = GaussianMixture { components: 2, covariance: Covariance::Diagonal, ..Default::default() };
            let model = config.fit(&device, &x).expect("fits");
            for c in 0..2 {
                let first = usize::from(model.means[c * 2] < 0.0);
                for j in 0..2 {
                    let own = || (first..400).step_by(2).map(|i| f64::from(values[i * 2 + j]));
                    let mean = own().sum::<f64>() / 200.0;
                    let variance = own().map(|v| (v - mean).powi(2)).sum::<f64>() / 200.0 + 1e-6;
                    let (m, v) = (model.means[c * 2 + j], model.covariances[c * 2 + j]);
                    assert!((m - mean).abs() < 1e-5 * f64::from(away) && (v / variance - 1.0).abs() < 1e-3, "{m} {v}");
                }
            }
        }
    }
}

#[test]
fn one_gaussian_is_mean_and_covariance() {
    let device = Device::cpu();
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 1.0, 2.0, 6.0, 0.0, 1.0], &[4, 2], &device);
    let model = GaussianMixture { floor: 0.0, ..Default::default() }.fit(&device, &x).expect("fits");
    // Mean (1.5, 2.5); covariance by 4: [[1.25, 0.5], [0.5, 4.25]]: determinant 5.0625.
    let expected = [1.25, 0.5, 0.5, 4.25];
    assert!(model.covariances.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", model.covariances);
    // At the maximum the mean squared Mahalanobis distance is the number of features.
    let likelihood = -std::f64::consts::TAU.ln() - 0.5 * 5.0625f64.ln() - 1.0;
    assert!((model.score(&x).expect("scores") - likelihood).abs() < 1e-5);
}
