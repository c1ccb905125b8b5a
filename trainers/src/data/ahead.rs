//! [`Ahead`]: the batches of an epoch, read ahead by threads and handed out by number. [`super::Loader`] gives it threads of
//! its own, the supervised trainer scoped ones.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anygrad_core::{Error, Result, Tensor};

/// Inputs and targets.
type Batch = (Tensor, Tensor);

/// What threads share: how to read a batch, which are being read, which are ready.
pub(crate) struct Ahead<'d> {
    read: Box<dyn Fn(usize) -> Result<Batch> + Send + Sync + 'd>,
    epoch: usize,
    /// Number of batches.
    pub(super) end: usize,
    /// How many numbers past the wanted one may be taken.
    ahead: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The next batch number that a thread takes.
    next: usize,
    /// The batch that is handed out next.
    wanted: usize,
    ready: BTreeMap<usize, Result<Batch>>,
    stopped: bool,
}

impl<'d> Ahead<'d> {
    /// The batches from number `from` to before `end` of an epoch, at most `ahead` of them at any time.
    pub(crate) fn new(
        epoch: usize,
        from: usize,
        end: usize,
        ahead: usize,
        read: impl Fn(usize) -> Result<Batch> + Send + Sync + 'd,
    ) -> Ahead<'d> {
        let from = from.min(end);
        let state = State { next: from, wanted: from, ready: BTreeMap::new(), stopped: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ahead { read: Box::new(read), epoch, end, ahead: ahead.max(1), state, changed }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a batch; a panic of the data set becomes an error.
    fn read(&self, number: usize) -> Result<Batch> {
        catch_unwind(AssertUnwindSafe(|| (self.read)(number))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let place = format!("epoch {}, batch {number}", self.epoch);
            Err(Error::data(place, format!("reading it panicked: {text}")))
        })
    }

    /// What each thread does: reads batches until there are no more.
    pub(crate) fn work(&self) {
        loop {
            let mut state = self.lock();
            while !state.stopped && state.next < self.end && state.next >= state.wanted + self.ahead {
                state = self.wait(state);
            }
            if state.stopped || state.next >= self.end {
                return;
            }
            let number = state.next;
            state.next += 1;
            drop(state);
            let batch = self.read(number);
            self.lock().ready.insert(number, batch);
            self.changed.notify_all();
        }
    }

    /// The next batch; without `threads` it is read now. After an error there are no more.
    pub(crate) fn take(&self, threads: bool) -> Option<Result<Batch>> {
        let mut state = self.lock();
        let number = state.wanted;
        if state.stopped || number >= self.end {
            return None;
        }
        let batch = if threads {
            loop {
                match state.ready.remove(&number) {
                    Some(batch) => break batch,
                    None => state = self.wait(state),
                }
            }
        } else {
            drop(state);
            let batch = self.read(number);
            state = self.lock();
            batch
        };
        state.wanted += 1;
        state.stopped |= batch.is_err();
        drop(state);
        self.changed.notify_all();
        Some(batch)
    }

    /// The number of the batch that comes next.
    pub(super) fn position(&self) -> usize {
        self.lock().wanted
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        let state = self.lock();
        if state.stopped { 0 } else { self.end - state.wanted }
    }

    /// Ends the threads.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}
