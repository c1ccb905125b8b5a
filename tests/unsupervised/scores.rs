//! Scores against scikit-learn's, on labels and planes made by the formulas of `trainers/tests/goldens/unsupervised.py`.

use anygrad::unsupervised::scores::*;

use crate::{devices, digits};

fn goldens() -> serde_json::Value {
    let text = include_str!("../../trainers/tests/goldens/unsupervised.json");
    serde_json::from_str(text).expect("json")
}

/// A figure of the file.
pub(crate) fn golden(name: &str) -> f64 {
    goldens()[name].as_f64().expect("in the file")
}

/// Figures of the file.
pub(crate) fn golden_list(name: &str) -> Vec<f64> {
    goldens()[name].as_array().expect("in the file").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[test]
fn scores_are_those_of_scikit_learn() {
    for device in devices() {
        let (x, y) = digits(&device);
        let other: Vec<i32> = y.iter().enumerate().map(|(row, y)| (3 * y + row as i32 % 4) % 8).collect();
        let pixels = x.to_f64().expect("reads");
        let plane: Vec<f32> = pixels
            .chunks_exact(64)
            .enumerate()
            .take(600)
            .flat_map(|(row, p)| {
                let left: f64 = (0..64).filter(|i| i % 8 < 4).map(|i| p[i]).sum();
                let top: f64 = p[..32].iter().sum();
                [(top + 0.01 * (row % 7) as f64) as f32, (left + 0.01 * (row % 5) as f64) as f32]
            })
            .collect();
        let plane = anygrad::Tensor::from_vec(plane, &[600, 2], &device);
        let positive: Vec<bool> = y.iter().map(|&y| y == 4).collect();
        let score: Vec<f64> = pixels.chunks_exact(64).map(|p| p[20] - p[43]).collect();
        let found = [
            ("silhouette", silhouette(&x, &y)),
            ("silhouette_other", silhouette(&x, &other)),
            ("davies_bouldin", davies_bouldin(&x, &y)),
            ("davies_bouldin_other", davies_bouldin(&x, &other)),
            ("adjusted_rand", adjusted_rand(&y, &other)),
            ("normalized_mutual_information", normalized_mutual_information(&y, &other)),
            ("trustworthiness", trustworthiness(&x.narrow(0, 0, 600), &plane, 7)),
            ("roc_auc", roc_auc(&positive, &score)),
            ("average_precision", average_precision(&positive, &score)),
        ];
        for (name, value) in found {
            let value = value.expect(name);
            // Distances in f32; equal ones rank together here and by row number there.
            let tolerance = if name == "trustworthiness" { 2e-4 } else { 2e-6 };
            assert!((value - golden(name)).abs() <= tolerance, "{name}: {value} is not {} ({device})", golden(name));
        }
    }
}

#[test]
fn scores_refuse_what_has_none() {
    let device = anygrad::testing::device();
    let x = anygrad::Tensor::zeros(&[3, 2], &device);
    assert!(silhouette(&x, &[0, 0, 0]).is_err() && silhouette(&x, &[0, 1, 2]).is_err());
    assert!(silhouette(&x, &[0, 1]).is_err() && adjusted_rand(&[0], &[0, 1]).is_err());
    assert!(roc_auc(&[true, true], &[0.0, 1.0]).is_err() && roc_auc(&[true, false], &[0.0, f64::NAN]).is_err());
    assert!(trustworthiness(&x, &x, 2).is_err());
}
