//! Who does the work and on what scratch memory: the pool, one scratch per thread, one workspace for all.
//!
//! A device has one crew behind a mutex: holding it is the device's turn. All scratch is reserved when a plan is
//! compiled, so running allocates nothing.

use anygrad_core::Result;

use crate::memory::Bytes;
use crate::pool::Pool;

/// The threads of a device and their memory.
#[derive(Debug)]
pub(crate) struct Crew {
    pool: Pool,
    scratch: Vec<Bytes>,
    shared: Bytes,
}

/// A pointer that tasks on several threads may use, each within its own part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<T>(pub(crate) *mut T);

#[expect(unsafe_code, reason = "raw pointers handed to tasks that write disjoint parts")]
mod marks {
    use super::Shared;
    // SAFETY: a `Shared` is only an address; every use of it states why the access is exclusive.
    unsafe impl<T> Send for Shared<T> {}
    // SAFETY: as above.
    unsafe impl<T> Sync for Shared<T> {}
}

impl<T> Shared<T> {
    /// The pointer (a method, so that closures capture the whole `Shared`).
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

impl Crew {
    /// A crew of `threads` threads.
    pub(crate) fn new(threads: usize) -> Result<Crew> {
        let pool = Pool::new(threads);
        let scratch = (0..pool.threads()).map(|_| Bytes::new(0, "scratch memory")).collect::<Result<_>>()?;
        Ok(Crew { pool, scratch, shared: Bytes::new(0, "scratch memory")? })
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Makes sure of scratch memory: bytes per thread and bytes shared by all.
    pub(crate) fn reserve(&mut self, each: usize, shared: usize) -> Result<()> {
        for bytes in &mut self.scratch {
            if bytes.len() < each {
                *bytes = Bytes::new(each, "scratch memory of a thread")?;
            }
        }
        if self.shared.len() < shared {
            self.shared = Bytes::new(shared, "scratch memory of a kernel")?;
        }
        Ok(())
    }

    /// The workspace that all threads share, and its length in bytes.
    pub(crate) fn shared(&self) -> Shared<u8> {
        Shared(self.shared.start())
    }

    /// Calls `work(task, scratch)` for each task; alone if `nanoseconds` is small. False if a task panicked.
    pub(crate) fn run(&mut self, tasks: usize, nanoseconds: usize, work: impl Fn(usize, *mut u8) + Sync) -> bool {
        let scratch = &self.scratch;
        self.pool.run(tasks, nanoseconds, &|task, worker: usize| work(task, scratch[worker].start()))
    }
}
