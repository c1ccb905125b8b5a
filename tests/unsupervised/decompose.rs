//! Decompositions against scikit-learn's figures of the digits and their definition.

use anygrad::prelude::*;
use anygrad::unsupervised::*;

use crate::{devices, digits};

/// Shares of variance of the first five components of the digits (scikit-learn), and of the first 10 and 20 together.
const RATIOS: [f64; 5] = [0.148906, 0.136188, 0.117946, 0.084100, 0.057824];
const TOGETHER: [(usize, f64); 2] = [(10, 0.73823), (20, 0.89430)];

fn check(model: &PcaModel) {
    for (found, expected) in model.explained_variance_ratio.iter().zip(RATIOS) {
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }
    for (count, expected) in TOGETHER {
        let found: f64 = model.explained_variance_ratio[..count].iter().sum();
        assert!((found - expected).abs() < 1e-4, "first {count}: {found} is not {expected}");
    }
}

#[test]
fn components_of_the_digits_are_those_of_scikit_learn_by_all_solvers() {
    for device in devices() {
        let (x, _) = digits(&device);
        let randomized = Solver::Randomized { oversamples: 10, iterations: 4 };
        for solver in [Solver::Auto, Solver::Covariance, randomized] {
            let model = Pca { components: Components::Count(20), solver, ..Default::default() }.fit(&device, &x);
            check(&model.expect("fits"));
        }
        let mut incremental = IncrementalPca::new(Components::Count(20), false);
        check(&incremental.fit(&device, &x, 500).expect("fits"));
    }
}

#[test]
fn products_of_rows_and_of_columns_give_the_same_components() {
    let device = Device::cpu();
    let x = digits(&device).0.narrow(0, 0, 40);
    let fit = |solver| Pca { components: Components::Count(8), solver, ..Default::default() }.fit(&device, &x);
    let (rows, columns) = (fit(Solver::Gram).expect("fits"), fit(Solver::Covariance).expect("fits"));
    for (a, b) in rows.explained_variance.iter().zip(&columns.explained_variance) {
        assert!((a - b).abs() < 1e-4 * a, "{a} {b}");
    }
    // Neighbouring eigenvalues are 10 % apart, so f32 sums turn directions by less than 1e-4.
    let difference = (&rows.components - &columns.components).abs().max(()).item().expect("reads");
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn a_mean_far_from_zero_costs_no_digits() {
    // Numbers of 1/64, so that 4096 more is exact in f32: the components must be the same.
    let near: Vec<f32> =
        (0..3000).map(|i| ((i as f32 * 1.3).sin() * (1 + i % 5) as f32 * 64.0).round() / 64.0).collect();
    let far: Vec<f32> = near.iter().map(|x| x + 4096.0).collect();
    for device in devices() {
        let fit = |values: &[f32], batch: Option<usize>| {
            let x = Tensor::from_vec(values.to_vec(), &[600, 5], &device);
            let components = Components::Count(2);
            match batch {
                Some(batch) => IncrementalPca::new(components, false).fit(&device, &x, batch).expect("fits"),
                None => Pca { components, ..Default::default() }.fit(&device, &x).expect("fits"),
            }
        };
        let expected = fit(&near, None);
        for model in [fit(&far, None), fit(&near, Some(70)), fit(&far, Some(70))] {
            for (found, expected) in model.explained_variance.iter().zip(&expected.explained_variance) {
                assert!((found / expected - 1.0).abs() < 1e-5, "{found} is not {expected}");
            }
            let apart = (&model.components - &expected.components).abs().max(()).item().expect("reads");
            assert!(apart < 1e-4, "{apart}");
        }
        let means = fit(&far, None).mean.to_f64().expect("reads");
        for (j, found) in means.iter().enumerate() {
            let mean = far.iter().skip(j).step_by(5).map(|&x| f64::from(x)).sum::<f64>() / 600.0;
            assert!((found - mean).abs() < 4096.0 * f64::from(f32::EPSILON), "{found} is not {mean}");
        }
    }
}

#[test]
fn whitening_gives_unit_variance_and_the_inverse_gives_rows_back() {
    let device = Device::cpu();
    let (x, _) = digits(&device);
    let white = Pca { components: Components::Count(10), whiten: true, ..Default::default() }.fit(&device, &x);
    let white = white.expect("fits");
    let y = white.transform(&x).expect("transforms");
    let covariance = y.t().matmul(&y).to_f64().expect("reads");
    for (i, value) in covariance.iter().enumerate() {
        let expected = f64::from(i % 11 == 0);
        assert!((value / 1796.0 - expected).abs() < 1e-4, "{i}: {value}");
    }
    // Three pixels are always 0: 61 components say everything.
    let all =
        Pca { components: Components::Count(61), whiten: true, ..Default::default() }.fit(&device, &x).expect("fits");
    let back = all.inverse_transform(&all.transform(&x).expect("transforms")).expect("back");
    let error = (back - &x).abs().max(()).item().expect("reads");
    assert!(error < 1e-3, "{error}");
}

#[test]
fn a_share_of_variance_decides_the_count() {
    let device = Device::cpu();
    let (x, _) = digits(&device);
    let model = Pca { components: Components::Variance(0.8943), ..Default::default() }.fit(&device, &x).expect("fits");
    assert_eq!(model.components.shape(), [20, 64]);
    let sum: f64 = model.explained_variance_ratio.iter().sum();
    assert!(sum >= 0.8943 && sum - model.explained_variance_ratio[19] < 0.8943);
}

#[test]
fn truncated_svd_reproduces_a_matrix_of_its_rank() {
    let device = Device::cpu();
    let a = Tensor::from_vec((0..12).map(|i| (i as f32 * 0.7).sin()).collect(), &[6, 2], &device);
    let b = Tensor::from_vec((0..10).map(|i| (i as f32 * 1.3).cos()).collect(), &[2, 5], &device);
    let x = a.matmul(&b);
    let model = Pca::truncated_svd(2).fit(&device, &x).expect("fits");
    let back = model.inverse_transform(&model.transform(&x).expect("transforms")).expect("back");
    assert!((back - x).abs().max(()).item().expect("reads") < 1e-5);
}
