//! Anomaly detection: models that score rows (higher is stranger) and thresholds on scores.

mod autoregression;
mod forest;
mod robust;
mod streaming;
mod threshold;

pub use autoregression::Autoregression;
pub use forest::{IsolationForest, IsolationForestModel};
pub use robust::{EllipticEnvelope, EllipticEnvelopeModel};
pub use streaming::StreamingScore;
pub use threshold::{PeaksOverThreshold, StreamingThreshold, quantile};

use anygrad_core::{Device, Result, Tensor};

use super::neighbors::nearest_rows;
use super::{Rows, rows, wrong};

/// The distance to the nearest rows of the data that it was fitted on, as a score.
/// Source: Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining outliers from large data sets" (2000).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestNeighbors {
    /// Neighbours; 5.
    pub neighbors: usize,
    /// The mean distance to all of them instead of the distance to the last; false.
    pub mean: bool,
}

impl Default for NearestNeighbors {
    fn default() -> NearestNeighbors {
        NearestNeighbors { neighbors: 5, mean: false }
    }
}

/// Rows to compare with.
#[derive(Clone, Debug)]
pub struct NearestNeighborsModel {
    config: NearestNeighbors,
    center: Tensor,
    rows: Tensor,
}

impl NearestNeighbors {
    /// Keeps the rows of `data`.
    ///
    /// # Errors
    /// If there are not more rows than neighbours, neighbours are 0, a number is NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<NearestNeighborsModel> {
        let rows = rows::load("nearest neighbours", data, device)?;
        let (n, k) = (rows.shape()[0], self.neighbors);
        if k == 0 || k >= n {
            return Err(wrong("nearest neighbours", format!("{k} neighbours of {n} rows; give 1 to rows - 1")));
        }
        let center = rows.mean(0).realize()?.clone();
        let rows = (rows - &center).realize()?.clone();
        Ok(NearestNeighborsModel { config: self.clone(), center, rows })
    }
}

impl NearestNeighborsModel {
    /// The score of each row: Euclidean distance to its neighbours among the fitted rows.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn score_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Vec<f64>> {
        let x = rows::load_for("nearest neighbours", data, self.rows.shape()[1], self.rows.device())?;
        self.scores(&(x - &self.center).realize()?.clone(), false)
    }

    /// The score of each fitted row, which does not count as its own neighbour.
    ///
    /// # Errors
    /// If the device fails.
    pub fn score_fitted(&self) -> Result<Vec<f64>> {
        self.scores(&self.rows, true)
    }

    fn scores(&self, queries: &Tensor, same: bool) -> Result<Vec<f64>> {
        let k = self.config.neighbors;
        let distances = nearest_rows(&self.rows, queries, k, same)?.0.sqrt();
        let scores = if self.config.mean { distances.mean(1) } else { distances.narrow(1, k - 1, 1) };
        scores.to_f64()
    }
}
