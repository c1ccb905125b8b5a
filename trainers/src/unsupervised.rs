//! Learning without labels: clustering, decomposition, embedding, mixtures, representations, anomaly detection.
//!
//! One shape for all: a configuration with public fields and `Default`; `fit(&device, &data)` gives a model that
//! predicts or transforms, is saved and loaded (one safetensors file with JSON in its header), and prints a summary. Data is
//! any [`Rows`]: a tensor, an ndarray array, or a reader that hands out rows. Long fits have a `fit_with` that tells a
//! [`Listener`] of each iteration; it can end them early.
//!
//! All numbers are computed by tensors of the core, in tiles of rows; no method has kernels of its own. Small matrices
//! (covariances, eigenvectors) are finished on the host in f64 ([`linear`]).

pub mod anomaly;
pub mod dbscan;
pub mod ica;
pub mod kmeans;
pub mod linear;
pub mod mixture;
mod neighbors;
pub mod nmf;
pub mod pca;
pub mod representation;
pub mod rows;
pub mod scores;
pub mod store;
pub mod tsne;
pub mod umap;

pub use anomaly::{
    Autoregression, EllipticEnvelope, IsolationForest, NearestNeighbors, PeaksOverThreshold, StreamingScore,
    StreamingThreshold, quantile,
};
pub use dbscan::{Dbscan, DbscanResult};
pub use ica::{FastIca, FastIcaModel};
pub use kmeans::{Distance, KMeans, KMeansModel, MiniBatchKMeans, Seeding};
pub use mixture::{Covariance, GaussianMixture, GaussianMixtureModel};
pub use nmf::{Nmf, NmfModel};
pub use pca::{Components, IncrementalPca, Pca, PcaModel, Solver};
pub use representation::{Autoencoder, Contrastive, Likelihood, Masked, Noise, Vae, VaeConfig};
pub use rows::Rows;
pub use store::Model;
pub use tsne::{Embedding, Repulsion, Tsne};
pub use umap::{Umap, UmapEmbedding};

use std::ops::Range;
use std::thread;

use anygrad_core::{Error, Result, Tensor};

use crate::events::{Event, Flow, Listener, Record};

/// A listener that hears nothing and never stops a run.
pub(crate) fn silent(_: &Event<'_>) -> Result<Flow> {
    Ok(Flow::Continue)
}

/// An error about a method's configuration or data.
pub(crate) fn wrong(method: &str, message: impl Into<String>) -> Error {
    Error::data(method, message)
}

/// One fit, told to a listener.
pub(crate) struct Run<'a> {
    listener: &'a mut dyn Listener,
    stopped: bool,
    steps: u64,
}

impl<'a> Run<'a> {
    /// Says that a fit begins.
    pub(crate) fn begin(listener: &'a mut dyn Listener, label: &str, steps: Option<u64>) -> Result<Run<'a>> {
        let stopped = listener.on(&Event::Begin { label, step: 0, steps })? == Flow::Stop;
        Ok(Run { listener, stopped, steps: 0 })
    }

    /// Says what an iteration (or several since the last) gave; true if the listener wants no more.
    pub(crate) fn iteration(&mut self, step: u64, values: &[(&str, f64)]) -> Result<bool> {
        self.steps = step;
        let flow = self.listener.on(&Event::Epoch(Record { epoch: step, step, values }))?;
        self.stopped |= flow == Flow::Stop;
        Ok(self.stopped)
    }

    /// Whether the listener asked for the end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Something that a person should know; also kept in the model.
    pub(crate) fn warn(&mut self, warnings: &mut Vec<String>, text: String) -> Result<()> {
        self.stopped |= self.listener.on(&Event::Warning(&text))? == Flow::Stop;
        warnings.push(text);
        Ok(())
    }

    /// Says that the fit ended.
    pub(crate) fn end(self, reason: &str) -> Result<()> {
        let reason = if self.stopped { "stopped" } else { reason };
        self.listener.on(&Event::End { step: self.steps, reason }).map(|_| ())
    }
}

/// Elements that the widest value of a tile should have: 1 MiB of f32. Up to eight tiles share a kernel, and what one kernel
/// writes the next should find in the cache; it still fills a GPU.
const TILE: usize = 1 << 18;

/// Tiles at most, so that a traced iteration stays small.
const TILES: usize = 256;

/// Ranges of rows of about equal length, such that `rows x width` numbers are a tile.
pub(crate) fn ranges(rows: usize, width: usize) -> Vec<(usize, usize)> {
    let most = (TILE / width.max(1)).max(rows.div_ceil(TILES)).max(16);
    let count = rows.div_ceil(most).max(1);
    let each = rows.div_ceil(count).max(1);
    (0..count).map(|i| (i * each, ((i + 1) * each).min(rows))).filter(|(start, end)| start < end).collect()
}

/// What `work` gives for about equal parts of a range, in order, each part on a thread of its own.
pub(crate) fn by_threads<R: Send>(range: Range<usize>, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let each = range.len().div_ceil(threads).max(1);
    let part = |start: usize| start..(start + each).min(range.end);
    let work = &work;
    thread::scope(|scope| {
        let starts = range.clone().step_by(each);
        let started: Vec<_> = starts.clone().map(|start| scope.spawn(move || work(part(start)))).collect();
        // A thread that panicked has its part computed here, where the panic is seen.
        started.into_iter().zip(starts).map(|(t, start)| t.join().unwrap_or_else(|_| work(part(start)))).collect()
    })
}

/// The rows of a matrix in tiles; see [`ranges`].
pub(crate) fn tiles(x: &Tensor, width: usize) -> Vec<Tensor> {
    let rows = x.shape()[0];
    ranges(rows, width).into_iter().map(|(start, end)| part(x, start, end)).collect()
}

/// Rows `start..end`.
pub(crate) fn part(x: &Tensor, start: usize, end: usize) -> Tensor {
    if (start, end) == (0, x.shape()[0]) { x.clone() } else { x.narrow(0, start, end - start) }
}

/// One small tensor per tile, applied to the tiles of `x`, put together along the rows.
pub(crate) fn by_tile(x: &Tensor, width: usize, each: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let parts: Vec<Tensor> = tiles(x, width).iter().map(each).collect();
    if parts.len() == 1 { parts[0].clone() } else { Tensor::cat(&parts, 0) }
}

/// The sum of tensors of one shape; at least one.
pub(crate) fn total(parts: impl IntoIterator<Item = Tensor>) -> Option<Tensor> {
    parts.into_iter().reduce(|a, b| a + b)
}

/// Squared distances `[rows, others]`, not below 0: `|x|² - 2 x·y + |y|²`. With rounding: about `eps (|x|² + |y|²)`, so
/// callers take the mean off first where it is large.
pub(crate) fn squared_distances(x: &Tensor, y: &Tensor) -> Tensor {
    let product = x.matmul(&(y * -2.0).t());
    (product + x.square().sum_keep(1) + y.square().sum(1)).maximum(0.0)
}
