//! Seconds of unsupervised methods on made-up data of fixed sizes; `unsupervised.py` runs scikit-learn on the same.
//!
//!     cargo run --release -p anygrad-benches --bin unsupervised -- kmeans
//!
//! One line per task: name, seconds, and the figure of merit that both sides print.

use std::time::Instant;

use anygrad::data::Draws;
use anygrad::prelude::*;
use anygrad::unsupervised::*;

/// Rows around `centers` centres, uniform in a box of half width 10, with uniform noise of half width 2.
fn blobs(rows: usize, features: usize, centers: usize, device: &Device) -> Result<Tensor> {
    let mut draws = Draws::new(1, 0);
    let places: Vec<f64> = (0..centers * features).map(|_| draws.uniform() * 20.0 - 10.0).collect();
    let mut values = Vec::with_capacity(rows * features);
    for _ in 0..rows {
        let center = draws.below(centers as u64) as usize * features;
        values.extend((0..features).map(|j| (places[center + j] + draws.uniform() * 4.0 - 2.0) as f32));
    }
    Tensor::try_from_slice(&values, &[rows, features], device)
}

fn main() -> Exit {
    let tasks: Vec<String> = std::env::args().skip(1).collect();
    let device = Device::open("best")?;
    let wanted = |name: &str| tasks.is_empty() || tasks.iter().any(|task| task == name);
    if wanted("kmeans") {
        let x = blobs(1_000_000, 32, 64, &device)?;
        let begin = Instant::now();
        let model = KMeans { clusters: 64, n_init: 1, ..Default::default() }.fit(&device, &x)?;
        println!(
            "kmeans {:.3} s inertia {:.6e} iterations {}",
            begin.elapsed().as_secs_f64(),
            model.inertia,
            model.iterations
        );
    }
    if wanted("pca") {
        let x = blobs(200_000, 256, 64, &device)?;
        let begin = Instant::now();
        let model = Pca { components: Components::Count(32), ..Default::default() }.fit(&device, &x)?;
        let ratio: f64 = model.explained_variance_ratio.iter().sum();
        println!("pca {:.3} s ratio {ratio:.6}", begin.elapsed().as_secs_f64());
    }
    Ok(())
}
