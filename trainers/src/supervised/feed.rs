//! Where batches come from: rows of a data set, read when they are needed or ahead of that, by threads.

use anygrad_core::{Error, Result};

use super::config::Config;
use super::step::Batch;
use crate::data::{Ahead, Pass};

/// Rows, and how to get some of them.
pub(super) struct Source<'d> {
    pub(super) len: usize,
    pub(super) read: &'d (dyn Fn(&[u32], Pass) -> Result<Batch> + Sync),
}

impl Source<'_> {
    /// Hands batches of these rows to `body`, one after the other from number `from` on; threads read ahead. Ends early
    /// when `body` says false.
    pub(super) fn batches(
        &self,
        config: &Config,
        (rows, size): (&[u32], usize),
        (pass, from): (Pass, usize),
        mut body: impl FnMut(Batch) -> Result<bool>,
    ) -> Result<()> {
        let read = |number: usize| (self.read)(&rows[number * size..((number + 1) * size).min(rows.len())], pass);
        // Two batches a thread: one that waits, one that is being read.
        let ahead = Ahead::new(pass.epoch, from, rows.len().div_ceil(size), 2 * config.workers, read);
        std::thread::scope(|scope| {
            let ends = Ends(&ahead);
            let mut threads = 0;
            for number in 0..config.workers {
                let thread = std::thread::Builder::new().name(format!("loader-{number}"));
                threads += usize::from(thread.spawn_scoped(scope, || ahead.work()).is_ok());
            }
            while let Some(batch) = ends.0.take(threads > 0) {
                if !body(batch?)? {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Ends the threads that read ahead, however their scope is left.
struct Ends<'a, 'd>(&'a Ahead<'d>);

impl Drop for Ends<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// All rows in order, without updates.
pub(super) fn each_batch(config: &Config, data: &Source<'_>, mut body: impl FnMut(Batch) -> Result<()>) -> Result<()> {
    if data.len == 0 {
        return Err(Error::data("supervised: evaluation", "the data set has no rows"));
    }
    let rows: Vec<u32> = (0..data.len as u32).collect();
    data.batches(config, (&rows, config.evaluation_batch), (Pass::default(), 0), |batch| body(batch).map(|()| true))
}
