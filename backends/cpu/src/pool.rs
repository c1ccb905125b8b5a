//! A small pool of threads for one device: the caller works too, helpers spin for a bounded time and then park.
//!
//! A job is `tasks` calls of one closure. Threads take task numbers from a counter, so who runs what is up to timing and
//! results must not depend on it: every task writes its own place. A helper that is not awake in time costs nothing: the
//! caller takes all tasks itself and waits only for helpers that have entered the job. Waking a parked thread takes about
//! 5 us, so jobs below `worth_sharing` nanoseconds run on the caller alone.
#![expect(unsafe_code, reason = "a job's closure is lent to helpers for the time of the job")]

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a helper looks for the next job before it parks. Origin: kernels of a step follow each other within
/// microseconds; longer spinning takes the core from others (PyTorch loses a factor of 40 that way).
const SPIN: Duration = Duration::from_micros(60);

/// Below this estimate, in nanoseconds, a job is not worth a second thread.
pub(crate) const WORTH_SHARING: usize = 6_000;

type Work<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What helpers and caller share.
struct Shared {
    /// Number of the job, doubled; odd while it is open.
    epoch: AtomicUsize,
    /// Helpers that are inside of the open job.
    inside: AtomicUsize,
    /// The next task.
    next: AtomicUsize,
    tasks: AtomicUsize,
    work: UnsafeCell<Option<Work<'static>>>,
    stop: AtomicBool,
    /// Helpers that sleep or are about to.
    asleep: AtomicUsize,
    failed: AtomicBool,
}

// SAFETY: `work` is written only by the caller while the job is closed and nobody is inside, and read only by helpers that
// are counted in `inside` and saw the job open after that.
unsafe impl Sync for Shared {}
// SAFETY: the closure in `work` is `Sync`, all else is atomic.
unsafe impl Send for Shared {}

/// Threads of one device. Worker 0 is whoever calls [`Pool::run`]; one caller at a time (`&mut`).
pub(crate) struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

impl Pool {
    /// A pool of `threads` threads, the caller included; fewer if the system gives no more.
    pub(crate) fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            stop: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        });
        let start = |worker: usize| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("anygrad-cpu-{worker}")).spawn(move || help(&shared, worker)).ok()
        };
        let helpers = (1..threads.max(1)).map_while(start).collect();
        Pool { shared, helpers }
    }

    /// Number of threads, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Calls `work(task, worker)` once for every task in `0..tasks`, in any order; alone if `nanoseconds` (an estimate
    /// of the whole) is small. Returns when all are done; false if a task panicked.
    pub(crate) fn run(&mut self, tasks: usize, nanoseconds: usize, work: Work<'_>) -> bool {
        if tasks <= 1 || self.helpers.is_empty() || nanoseconds < WORTH_SHARING {
            (0..tasks).for_each(|task| work(task, 0));
            return true;
        }
        let shared = &*self.shared;
        // SAFETY: the job is closed and nobody is inside (the end of this function sees to it), so nobody reads `work`;
        // the lifetime is extended only until the end of this function, after which nobody can reach it.
        unsafe { *shared.work.get() = Some(std::mem::transmute::<Work<'_>, Work<'static>>(work)) };
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        shared.failed.store(false, Ordering::Relaxed);
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.load(Ordering::SeqCst) > 0 {
            self.helpers.iter().take(tasks - 1).for_each(|helper| helper.thread().unpark());
        }
        let close = Close { shared };
        take_tasks(shared, work, 0);
        drop(close);
        !shared.failed.load(Ordering::Relaxed)
    }
}

/// Closes the job and waits for the helpers inside, even when the caller's own task panics.
struct Close<'a> {
    shared: &'a Shared,
}

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        let mut turns = 0_u32;
        while self.shared.inside.load(Ordering::SeqCst) != 0 {
            turns += 1;
            if turns < 4096 { std::hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

fn take_tasks(shared: &Shared, work: Work<'_>, worker: usize) {
    let tasks = shared.tasks.load(Ordering::Relaxed);
    loop {
        let task = shared.next.fetch_add(1, Ordering::Relaxed);
        if task >= tasks {
            return;
        }
        work(task, worker);
    }
}

/// A helper's life.
fn help(shared: &Shared, worker: usize) {
    let mut done = 0;
    let mut idle = Instant::now();
    let mut turns = 0_u32;
    while !shared.stop.load(Ordering::Relaxed) {
        let epoch = shared.epoch.load(Ordering::SeqCst);
        if epoch % 2 == 1 && epoch != done {
            done = epoch;
            shared.inside.fetch_add(1, Ordering::SeqCst);
            if shared.epoch.load(Ordering::SeqCst) == epoch {
                // SAFETY: counted inside before the job was seen open: the caller waits for us before it changes `work`.
                if let Some(work) = unsafe { *shared.work.get() } {
                    let run = std::panic::AssertUnwindSafe(|| take_tasks(shared, work, worker));
                    if std::panic::catch_unwind(run).is_err() {
                        shared.failed.store(true, Ordering::Relaxed);
                    }
                }
            }
            shared.inside.fetch_sub(1, Ordering::SeqCst);
            idle = Instant::now();
            turns = 0;
            continue;
        }
        std::hint::spin_loop();
        turns += 1;
        if turns.is_multiple_of(64) && idle.elapsed() > SPIN {
            shared.asleep.fetch_add(1, Ordering::SeqCst);
            if shared.epoch.load(Ordering::SeqCst) == epoch && !shared.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.asleep.fetch_sub(1, Ordering::SeqCst);
            idle = Instant::now();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // A helper cannot panic outside of `catch_unwind`; if it did there is nothing left to do for it.
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        let mut pool = Pool::new(3);
        for round in 0..2000 {
            let tasks = round % 17;
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            assert!(pool.run(tasks, usize::MAX, &|task, _| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            }));
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            if round % 500 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
