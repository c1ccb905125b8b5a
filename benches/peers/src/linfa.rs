//! Unsupervised methods of linfa on a table that `unsupervised --compare` wrote, by its defaults but for what the task fixes.
//!
//! `peers linfa TABLE.npy TASK` prints one line as `unsupervised.py` does: task, seconds, seconds of processor time, figures of
//! merit. Embeddings are also written beside the table, for scores by one and the same program.
//!
//! What linfa has not: PCA of f32 (its decomposition is of f64; tables are converted before the clock starts), mixtures with
//! other than full covariances, and the divergence of an embedding. A mixture that has not converged gives no model, so after
//! a fixed number of iterations there is no likelihood to print.

use std::path::Path;
use std::time::Instant;

use linfa::DatasetBase;
use linfa::prelude::Predict;
use linfa::traits::{Fit, Transformer};
use linfa_clustering::{Dbscan, GaussianMixtureModel, GmmError, GmmInitMethod, KMeans, KMeansInit};
use linfa_reduction::Pca;
use linfa_tsne::TSneParams;
use ndarray::{Array2, s};

/// Below every change: all iterations are done.
const NEVER: f32 = f32::MIN_POSITIVE;

/// Processor time of this process so far, in user and system mode.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// What `fit` gives, with the time that it took.
fn timed<R>(fit: impl FnOnce() -> R) -> (R, String) {
    let (begin, processor) = (Instant::now(), processor_seconds());
    let found = fit();
    let wall = begin.elapsed().as_secs_f64();
    (found, format!("{wall:.3} s {:.3} s", processor_seconds() - processor))
}

fn inertia(x: &Array2<f32>, model: &KMeans<f32, linfa_nn::distance::L2Dist>) -> f64 {
    let labels = model.predict(x);
    let rows = x.rows().into_iter().zip(labels.iter());
    let square = |(row, &label): (ndarray::ArrayView1<f32>, &usize)| -> f64 {
        row.iter().zip(model.centroids().row(label)).map(|(x, c)| f64::from(x - c).powi(2)).sum()
    };
    rows.map(square).sum()
}

/// Runs a task.
pub fn run(path: &Path, task: &str) -> Result<String, String> {
    let x: Array2<f32> = ndarray_npy::read_npy(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let broken = |error: &dyn std::fmt::Display| error.to_string();
    let (seconds, merit) = match task {
        "kmeans" | "kmeans_given" => {
            let config = KMeans::params(64).n_runs(1);
            let config = if task == "kmeans" {
                config
            } else {
                let starts = x.slice(s![..64, ..]).to_owned();
                config.init_method(KMeansInit::Precomputed(starts)).max_n_iterations(10).tolerance(NEVER)
            };
            let data = DatasetBase::from(x);
            let (model, seconds) = timed(|| config.fit(&data));
            let model = model.map_err(|error| broken(&error))?;
            (seconds, format!("inertia {:.6e}", inertia(&data.records, &model)))
        }
        "pca" => {
            let data = DatasetBase::from(x.mapv(f64::from));
            let (model, seconds) = timed(|| Pca::params(32).fit(&data));
            let model = model.map_err(|error| broken(&error))?;
            let mean = data.records.mean_axis(ndarray::Axis(0)).ok_or("no rows")?;
            let all: f64 = (&data.records - &mean).mapv(|x| x * x).sum();
            let found: f64 = model.singular_values().mapv(|s| s * s).sum();
            (seconds, format!("ratio {:.6}", found / all))
        }
        // From random responsibilities: no time for a start. In f64, since densities are summed without taking the largest off
        // first, which in f32 is 0 for rows that are far from all components.
        "gmm_full" => {
            let data = DatasetBase::from(x.mapv(f64::from));
            let config = GaussianMixtureModel::params(16).init_method(GmmInitMethod::Random);
            let config = config.n_runs(1).max_n_iterations(20).tolerance(f64::MIN_POSITIVE);
            let (model, seconds) = timed(|| config.fit(&data));
            match model {
                Ok(_) | Err(GmmError::NotConverged(_)) => (seconds, "iterations 20".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
        "dbscan" => {
            let (labels, seconds) = timed(|| Dbscan::params(10).tolerance(2.0f32).transform(&x));
            let labels = labels.map_err(|error| broken(&error))?;
            let clusters = labels.iter().flatten().max().map_or(0, |most| most + 1);
            let noise = labels.iter().filter(|label| label.is_none()).count();
            (seconds, format!("clusters {clusters} noise {noise}"))
        }
        "tsne" | "tsne_mnist" => {
            let config = TSneParams::embedding_size(2).perplexity(30.0f32).approx_threshold(0.5).max_iter(1000);
            let (points, seconds) = timed(|| config.transform(x));
            let points = points.map_err(|error| broken(&error))?;
            ndarray_npy::write_npy(path.with_file_name("embedding.npy"), &points).map_err(|error| broken(&error))?;
            (seconds, String::new())
        }
        _ => return Err("linfa has not this".into()),
    };
    Ok(format!("{task} {seconds} {merit}"))
}
