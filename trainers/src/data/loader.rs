//! [`Loader`]: batches read ahead by threads, in an order that seed and epoch decide.
//!
//! Each epoch has threads of its own. They take batch numbers in turn, read those batches, and put them into slots; the iterator
//! hands the slots out by number. So what comes, and in which order, does not depend on how the threads run, and any
//! position (epoch, batch) can be started at. At most `prefetch` finished or unfinished batches wait at any time.

use std::sync::Arc;
use std::thread::JoinHandle;

use anygrad_core::{Device, Error, Result, Tensor};

use super::ahead::Ahead;
use super::{Dataset, Order, Pass};

/// How a [`Loader`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Rows per batch; 32.
    pub batch: usize,
    /// Which rows an epoch reads; [`Order::Shuffled`].
    pub order: Order,
    /// What becomes of rows that do not fill a batch; [`LastBatch::Drop`].
    pub last: LastBatch,
    /// Decides the order, and what is random in samples; 0.
    pub seed: u64,
    /// Threads that read; 1. With 0 batches are read when they are asked for.
    pub workers: usize,
    /// Batches that are read ahead, at most; 4.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> LoaderConfig {
        LoaderConfig { batch: 32, order: Order::Shuffled, last: LastBatch::Drop, seed: 0, workers: 1, prefetch: 4 }
    }
}

/// What becomes of the rows at an epoch's end that do not fill a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastBatch {
    /// They are left out, so that all batches have one shape; under a shuffled order they are others in each epoch.
    #[default]
    Drop,
    /// They are a smaller batch (a program is traced once more for it).
    Keep,
}

/// Reads batches of a data set ahead, on threads.
#[derive(Clone, Debug)]
pub struct Loader<D> {
    data: Arc<D>,
    config: LoaderConfig,
    device: Device,
}

impl<D: Dataset + Send + Sync + 'static> Loader<D> {
    /// A loader of `data` (a set, or an `Arc` of one) that puts batches on `device`.
    ///
    /// # Errors
    /// If the set is empty, a batch has no rows or more than an epoch, or weights or labels do not fit the set.
    pub fn new(data: impl Into<Arc<D>>, config: LoaderConfig, device: &Device) -> Result<Loader<D>> {
        let data = data.into();
        if data.is_empty() {
            return Err(Error::data("loader", "the data set has no rows"));
        }
        config.order.check(data.len())?;
        let rows = config.order.count(data.len());
        if config.batch == 0 || config.batch > rows && config.last == LastBatch::Drop || rows == 0 {
            let message = format!("batches of {} rows, an epoch has {rows}", config.batch);
            return Err(Error::data("loader", format!("{message}; give 1 to {rows}, or keep the last batch")));
        }
        Ok(Loader { data, config, device: device.clone() })
    }

    /// Batches of an epoch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        let rows = self.config.order.count(self.data.len());
        match self.config.last {
            LastBatch::Drop => rows / self.config.batch,
            LastBatch::Keep => rows.div_ceil(self.config.batch),
        }
    }

    /// The data set.
    #[must_use]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// How it reads.
    #[must_use]
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The batches of an epoch (from 0), from the first on.
    #[must_use]
    pub fn epoch(&self, epoch: usize) -> Loading {
        self.resume(epoch, 0)
    }

    /// The batches of an epoch from number `batch` on: exactly those that [`Loader::epoch`] would still give.
    #[must_use]
    pub fn resume(&self, epoch: usize, batch: usize) -> Loading {
        let LoaderConfig { batch: size, seed, workers, prefetch, .. } = self.config;
        let rows = self.config.order.rows(self.data.len(), seed, epoch);
        let (data, device) = (self.data.clone(), self.device.clone());
        let read = move |number: usize| -> Result<(Tensor, Tensor)> {
            let rows = &rows[number * size..((number + 1) * size).min(rows.len())];
            data.read(rows, Pass { seed, epoch }, &device)
        };
        let ahead = Arc::new(Ahead::new(epoch, batch, self.batches_per_epoch(), prefetch, read));
        let mut threads = Vec::new();
        for number in 0..workers.min(ahead.left()) {
            let ahead = ahead.clone();
            // Where no thread can be had, the others read; without any, the caller does.
            let name = format!("loader-{number}");
            threads.extend(std::thread::Builder::new().name(name).spawn(move || ahead.work()).ok());
        }
        Loading { ahead, threads }
    }
}

/// The batches of an epoch: an iterator over `(inputs, targets)`. It ends after an error; dropping it ends its threads.
pub struct Loading {
    ahead: Arc<Ahead<'static>>,
    threads: Vec<JoinHandle<()>>,
}

impl Loading {
    /// The number of the batch that comes next: with the epoch, the position to resume at.
    #[must_use]
    pub fn position(&self) -> usize {
        self.ahead.position()
    }
}

impl Iterator for Loading {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ahead.take(!self.threads.is_empty())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ahead.left();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loading {}

impl Drop for Loading {
    fn drop(&mut self) {
        self.ahead.stop();
        for thread in self.threads.drain(..) {
            // Panics of a data set were caught and passed on; there is nothing left to learn here.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Loading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loading(batch {} of {}, {} threads)", self.position(), self.ahead.end, self.threads.len())
    }
}
