//! Dense regions, embeddings, anomalies.

use anygrad::data::Draws;
use anygrad::prelude::*;
use anygrad::unsupervised::*;

use crate::scores::golden;
use crate::{devices, digits};

/// Two noisy half circles of 300 rows each, and 20 rows far away.
fn moons(device: &Device) -> Tensor {
    let mut draws = Draws::new(2, 0);
    let mut values = Vec::new();
    for i in 0..600 {
        let angle = std::f64::consts::PI * draws.uniform();
        let (x, y) = if i < 300 { (angle.cos(), angle.sin()) } else { (1.0 - angle.cos(), 0.5 - angle.sin()) };
        values.extend([(x + 0.05 * draws.uniform()) as f32, (y + 0.05 * draws.uniform()) as f32]);
    }
    for i in 0..20 {
        values.extend([10.0 + 5.0 * i as f32, -20.0]);
    }
    Tensor::from_vec(values, &[620, 2], device)
}

/// DBSCAN by its definition, one row after the other.
fn slow_dbscan(x: &[f64], d: usize, eps: f64, min_samples: usize) -> Vec<i32> {
    let n = x.len() / d;
    let near = |i: usize| -> Vec<usize> {
        let distance = |j: usize| (0..d).map(|c| (x[i * d + c] - x[j * d + c]).powi(2)).sum::<f64>();
        (0..n).filter(|&j| distance(j) <= eps * eps).collect()
    };
    let all: Vec<Vec<usize>> = (0..n).map(near).collect();
    let mut labels = vec![-1; n];
    let mut clusters = 0;
    for i in 0..n {
        if labels[i] >= 0 || all[i].len() < min_samples {
            continue;
        }
        let mut queue = vec![i];
        while let Some(row) = queue.pop() {
            if labels[row] < 0 {
                labels[row] = clusters;
                if all[row].len() >= min_samples {
                    queue.extend(&all[row]);
                }
            }
        }
        clusters += 1;
    }
    labels
}

#[test]
fn dbscan_follows_its_definition() {
    for device in devices() {
        let x = moons(&device);
        let values = x.to_f64().expect("reads");
        for (eps, min_samples) in [(0.2, 5), (0.1, 4), (0.07, 6), (6.0, 3)] {
            let found = Dbscan { eps, min_samples }.fit(&device, &x).expect("fits");
            assert_eq!(found.labels, slow_dbscan(&values, 2, eps, min_samples), "{eps}: {found}");
        }
        // Many features: compared by the device.
        let wide = x.narrow(0, 0, 600).pad(&[(0, 0), (0, 28)], 0.5);
        for (eps, min_samples) in [(0.2, 5), (0.07, 6)] {
            let found = Dbscan { eps, min_samples }.fit(&device, &wide).expect("fits");
            assert_eq!(found.labels, slow_dbscan(&values[..1200], 2, eps, min_samples), "{eps}: {found}");
        }
    }
}

#[test]
fn mini_batches_come_near_the_optimum() {
    let device = Device::cpu();
    let (x, _) = digits(&device);
    let model = MiniBatchKMeans { clusters: 10, batch: 256, ..Default::default() }.fit(&device, &x).expect("fits");
    let inertia = model.inertia_of(&x).expect("inertia");
    // scikit-learn's MiniBatchKMeans ends 1 to 4 % above the optimum.
    assert!(inertia < 1.05 * 1_165_127.5, "{inertia}");
}

#[test]
fn t_sne_of_digits_keeps_neighbours() {
    let device = Device::cpu();
    let x = digits(&device).0.narrow(0, 0, 500).realize().expect("numbers").clone();
    let embedding = Tsne::default().fit(&device, &x).expect("fits");
    let trust = scores::trustworthiness(&x, &embedding.points, 5).expect("scores");
    // Other local optima of the same objective are a few hundredths apart.
    let (divergence, expected) = (golden("tsne_500"), golden("tsne_500_trustworthiness"));
    assert!(embedding.divergence < divergence + 0.03 && trust > expected - 0.003, "{embedding} {trust}");
}

#[test]
fn t_sne_by_a_tree_is_as_good_as_by_all_pairs() {
    let device = Device::cpu();
    let x = digits(&device).0.narrow(0, 0, 500).realize().expect("numbers").clone();
    let by = |repulsion| Tsne { repulsion, ..Default::default() }.fit(&device, &x).expect("fits");
    let embedding = by(Repulsion::Tree { angle: 0.5 });
    let trust = scores::trustworthiness(&x, &embedding.points, 5).expect("scores");
    let (divergence, expected) = (golden("tsne_500"), golden("tsne_500_trustworthiness"));
    assert!(embedding.divergence < divergence + 0.03 && trust > expected - 0.003, "{embedding} {trust}");
    let wrong = Tsne { repulsion: Repulsion::Tree { angle: 0.5 }, dimensions: 3, ..Default::default() };
    assert!(wrong.fit(&device, &x).expect_err("a tree is for planes").to_string().contains("two dimensions"));
}

#[test]
fn umap_of_digits_keeps_neighbours() {
    for device in devices() {
        let x = digits(&device).0.narrow(0, 0, 500).realize().expect("numbers").clone();
        // Half of the steps on the GPU, which is a slow one in tests.
        let steps = (device != Device::cpu()).then_some(250);
        let embedding = Umap { steps, ..Default::default() }.fit(&device, &x).expect("fits");
        let trust = scores::trustworthiness(&x, &embedding.points, 5).expect("scores");
        assert!(trust > golden("umap_500_trustworthiness") - 0.01, "{embedding} {trust}");
        let again = Umap { steps: Some(3), ..Default::default() };
        let points = || again.fit(&device, &x).expect("fits").points.to_vec::<f32>().expect("reads");
        assert_eq!(points(), points(), "the same seed");
    }
    let device = Device::cpu();
    let few = Tensor::ones(&[10, 3], &device);
    assert!(Umap::default().fit(&device, &few).expect_err("ten rows").to_string().contains("15 neighbours of 10 rows"));
}

#[test]
fn detectors_find_what_was_planted() {
    for device in devices() {
        let x = moons(&device);
        let planted: Vec<bool> = (0..620).map(|row| row >= 600).collect();
        let forest = IsolationForest::default().fit(&device, &x).expect("fits");
        let near = NearestNeighbors::default().fit(&device, &x).expect("fits");
        let robust = EllipticEnvelope::default().fit(&device, &x).expect("fits");
        for (name, found) in
            [("forest", forest.score_rows(&x)), ("neighbours", near.score_fitted()), ("robust", robust.score_rows(&x))]
        {
            let area = scores::roc_auc(&planted, &found.expect(name)).expect(name);
            assert!(area > 0.995, "{name}: {area}");
        }
        // The robust centre stays among the moons; the mean of all rows is 1.9 away from their middle.
        let away = (robust.center[0] - 0.5).hypot(robust.center[1] - 0.25);
        assert!(away < 1.0, "{:?}", robust.center);
    }
}

#[test]
fn depths_of_a_single_cut_are_those_of_the_definition() {
    // Two distinct values: one cut isolates both, so each of the two rows has depth 1 and the score is 2^(-1 / 1).
    let device = Device::cpu();
    let x = Tensor::from_vec(vec![0.0f32, 1.0], &[2, 1], &device);
    let forest = IsolationForest { trees: 7, ..Default::default() }.fit(&device, &x).expect("fits");
    assert_eq!(forest.score_rows(&x).expect("scores"), [0.5, 0.5]);
    let path = std::env::temp_dir().join(format!("anygrad-forest-{}.st", std::process::id()));
    forest.save(&path).expect("saved");
    let back = anomaly::IsolationForestModel::load(&device, &path).expect("loaded");
    assert_eq!(back.score_rows(&x).expect("scores"), [0.5, 0.5]);
    std::fs::remove_file(path).expect("removed");
}
