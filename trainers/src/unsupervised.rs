//! Learning without labels: clustering, decomposition, embedding, mixtures, representations, anomaly detection.
//!
//! One shape for all: a configuration with public fields and `Default`; `fit(&device, &data)` gives a model that
//! predicts or transforms, is saved and loaded (one safetensors file with JSON in its header), and prints a summary. Data is
//! any [`Rows`]: a tensor, an ndarray array, the [`Inputs`] of a data set, or a reader that hands out rows.
//!
//! Long fits have a `fit_with` that tells a [`Listener`] of each iteration (a [`Progress`](crate::progress::Progress) bar is one).
//! The listener can stop it, and so can Ctrl-C: the model is then as far as it got, it is saved like any other, and `resume` goes on
//! from it to the very numbers that the fit would have had without the stop, on the same kind of device:
//!
//! ```no_run
//! # use anygrad_core::{Device, Result, Tensor};
//! # use anygrad_trainers::{progress::Progress, unsupervised::{KMeans, KMeansModel, Model}};
//! # fn main() -> Result<()> {
//! # let (device, x) = (anygrad_core::testing::device(), Tensor::zeros(&[9, 2], &anygrad_core::testing::device()));
//! let (config, mut bar) = (KMeans { clusters: 3, ..Default::default() }, Progress::new("k-means", 0));
//! let mut model = config.fit_with(&device, &x, &mut bar)?;
//! model.save("model.safetensors")?;
//! // Another day:
//! model = KMeansModel::load(&device, "model.safetensors")?;
//! model = config.resume(&x, &model, &mut bar)?;
//! # Ok(())
//! # }
//! ```
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
mod resume;
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
pub use rows::{Inputs, Rows};
pub use store::Model;
pub use tsne::{Embedding, Repulsion, Tsne};
pub use umap::{Umap, UmapEmbedding};

use std::ops::Range;
use std::thread;

use anygrad_core::{Error, Result, Tensor};

use crate::events::{Event, Flow, Listener, Record};
use crate::interrupt::{self, Watch};

/// An error about a method's configuration or data.
pub(crate) fn wrong(method: &str, message: impl Into<String>) -> Error {
    Error::data(method, message)
}

/// One fit, told to a listener, if there is one; then Ctrl-C stops it, too.
pub(crate) struct Run<'a> {
    listener: Option<(&'a mut dyn Listener, Watch)>,
    stopped: bool,
    steps: u64,
}

impl<'a> Run<'a> {
    /// Says that a fit begins, or goes on after `done` iterations.
    pub(crate) fn begin(
        listener: Option<&'a mut dyn Listener>,
        label: &str,
        done: u64,
        steps: Option<u64>,
    ) -> Result<Run<'a>> {
        let listener = listener.map(|listener| (listener, Watch::new(true)));
        let mut run = Run { listener, stopped: false, steps: done };
        run.tell(&Event::Begin { label, step: done, steps })?;
        Ok(run)
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        if let Some((listener, _)) = &mut self.listener {
            self.stopped |= listener.on(event)? == Flow::Stop || interrupt::requested();
        }
        Ok(())
    }

    /// Says what an iteration (or several since the last) gave; true if the listener wants no more.
    pub(crate) fn iteration(&mut self, step: u64, values: &[(&str, f64)]) -> Result<bool> {
        self.steps = step;
        self.tell(&Event::Epoch(Record { epoch: step, step, values }))?;
        Ok(self.stopped)
    }

    /// Whether the listener asked for the end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Something that a person should know; also kept in the model.
    pub(crate) fn warn(&mut self, warnings: &mut Vec<String>, text: String) -> Result<()> {
        self.tell(&Event::Warning(&text))?;
        warnings.push(text);
        Ok(())
    }

    /// Says that the fit ended, with a warning if it did before it converged. `left`: starts or iterations are left.
    pub(crate) fn end(
        mut self,
        method: &str,
        (converged, left): (bool, bool),
        iterations: usize,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let reason = match (converged, left && self.stopped) {
            (_, true) => "stopped",
            (true, false) => "converged",
            (false, false) => "max_iterations",
        };
        if !converged {
            let help = if self.stopped { "resume goes on" } else { "raise max_iterations or tolerance" };
            self.warn(warnings, format!("{method}: not converged after {iterations} iterations; {help}"))?;
        }
        self.tell(&Event::End { step: self.steps, reason })
    }

    /// Says that a fit that does not converge ended.
    pub(crate) fn done(mut self) -> Result<()> {
        let reason = if self.stopped { "stopped" } else { "done" };
        self.tell(&Event::End { step: self.steps, reason })
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

/// What `work` gives for about equal parts of a range, in order: the first part on this thread, each other on one of its own.
pub(crate) fn by_threads<R: Send>(range: Range<usize>, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let each = range.len().div_ceil(threads).max(1);
    let part = |start: usize| start..(start + each).min(range.end);
    let work = &work;
    thread::scope(|scope| {
        let starts = range.clone().step_by(each).skip(1);
        let started: Vec<_> = starts.clone().map(|start| scope.spawn(move || work(part(start)))).collect();
        let first = (!range.is_empty()).then(|| work(part(range.start)));
        // A thread that panicked has its part computed here, where the panic is seen.
        let others = started.into_iter().zip(starts);
        first.into_iter().chain(others.map(|(t, start)| t.join().unwrap_or_else(|_| work(part(start))))).collect()
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
