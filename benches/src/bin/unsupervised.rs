//! Seconds of unsupervised methods on made-up data of fixed sizes; `unsupervised.py` runs scikit-learn on the same.
//!
//!     cargo run --release -p anygrad-benches --bin unsupervised -- kmeans
//!     cargo run --release -p anygrad-benches --bin unsupervised -- --write DIR
//!
//! One line per task: name, seconds, and the figure of merit that both sides print. `--write` writes the tables for the script
//! and runs nothing.

use std::path::Path;
use std::time::Instant;

use anygrad::data::{Array, Draws, numpy};
use anygrad::prelude::*;
use anygrad::unsupervised::*;

/// The tables' rows, features and centres.
const KMEANS: [usize; 3] = [1_000_000, 32, 64];
const PCA: [usize; 3] = [200_000, 256, 64];
const MIXTURE: [usize; 3] = [200_000, 16, 16];
const DBSCAN: [usize; 3] = [50_000, 8, 32];

/// Rows around centres, uniform in a box of half width 10, with uniform noise of half width 2.
fn blobs([rows, features, centers]: [usize; 3]) -> Result<Array> {
    let mut draws = Draws::new(1, 0);
    let places: Vec<f64> = (0..centers * features).map(|_| draws.uniform() * 20.0 - 10.0).collect();
    let mut values = Vec::with_capacity(rows * features);
    for _ in 0..rows {
        let center = draws.below(centers as u64) as usize * features;
        values.extend((0..features).map(|j| (places[center + j] + draws.uniform() * 4.0 - 2.0) as f32));
    }
    Array::new(&values, &[rows, features])
}

/// Runs a task if it was asked for; `fit` returns the figure of merit.
fn timed(
    tasks: &[String],
    name: &str,
    x: impl Fn() -> Result<Tensor>,
    fit: impl Fn(&Tensor) -> Result<String>,
) -> Result<()> {
    if tasks.is_empty() || tasks.iter().any(|task| task == name) {
        let x = x()?;
        let begin = Instant::now();
        let merit = fit(&x)?;
        println!("{name} {:.3} s {merit}", begin.elapsed().as_secs_f64());
    }
    Ok(())
}

fn main() -> Exit {
    let tasks: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, directory] = &tasks[..]
        && flag == "--write"
    {
        for size @ [rows, features, centers] in [KMEANS, PCA, MIXTURE, DBSCAN] {
            let path = Path::new(directory).join(format!("blobs_{rows}_{features}_{centers}.npy"));
            numpy::write_npy(&path, &blobs(size)?)?;
        }
        return Ok(());
    }
    let device = Device::open("best")?;
    let table = |size| blobs(size)?.tensor(&device);
    timed(
        &tasks,
        "kmeans",
        || table(KMEANS),
        |x| {
            let model = KMeans { clusters: 64, n_init: 1, ..Default::default() }.fit(&device, x)?;
            Ok(format!("inertia {:.6e} iterations {}", model.inertia, model.iterations))
        },
    )?;
    timed(
        &tasks,
        "pca",
        || table(PCA),
        |x| {
            let model = Pca { components: Components::Count(32), ..Default::default() }.fit(&device, x)?;
            Ok(format!("ratio {:.6}", model.explained_variance_ratio.iter().sum::<f64>()))
        },
    )?;
    for (name, covariance) in [("gmm_diagonal", Covariance::Diagonal), ("gmm_full", Covariance::Full)] {
        let config =
            GaussianMixture { components: 16, covariance, max_iterations: 20, tolerance: 0.0, ..Default::default() };
        timed(
            &tasks,
            name,
            || table(MIXTURE),
            |x| {
                let model = config.fit(&device, x)?;
                Ok(format!("bound {:.4} iterations {}", model.log_likelihood, model.iterations))
            },
        )?;
    }
    timed(
        &tasks,
        "dbscan",
        || table(DBSCAN),
        |x| {
            let found = Dbscan { eps: 2.0, min_samples: 10 }.fit(&device, x)?;
            let noise = found.labels.iter().filter(|&&label| label < 0).count();
            Ok(format!("clusters {} noise {noise}", found.labels.iter().max().map_or(0, |label| label + 1)))
        },
    )?;
    let digits = || {
        let bytes = include_bytes!("../../../examples/data/digits.csv.gz");
        let images = LabelledImages::from_csv("digits", bytes, [1, 8, 8], 16)?;
        let pixels: Vec<f32> = images.pixels.iter().map(|&p| f32::from(p)).collect();
        Tensor::try_from_slice(&pixels, &[images.len(), 64], &device)
    };
    timed(&tasks, "tsne", digits, |x| Ok(format!("kl {:.4}", Tsne::default().fit(&device, x)?.divergence)))?;
    Ok(())
}
