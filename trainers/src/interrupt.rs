//! Ctrl-C (and the signal by which clusters end a job): a trainer that runs finishes its step, saves and returns.
//!
//! While no trainer runs, and at the second time, the process ends at once, as without this handler.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// What shells report for a process that Ctrl-C ended: 128 + the number of SIGINT.
const ENDED: i32 = 130;

/// Asks all runs of this process to finish their step, save and return.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Whether that was asked; forgotten when the last run has ended.
#[must_use]
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// While it lives, Ctrl-C is a request.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// Installs the handler, once per process. If the program has a handler of its own that one stays, and may call [`request`].
    #[must_use]
    pub fn new(catch: bool) -> Watch {
        static INSTALL: Once = Once::new();
        if catch {
            INSTALL.call_once(|| {
                let _ = ctrlc::try_set_handler(|| {
                    if RUNNING.load(Ordering::SeqCst) == 0 || REQUESTED.swap(true, Ordering::SeqCst) {
                        std::process::exit(ENDED);
                    }
                });
            });
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Watch(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if RUNNING.fetch_sub(1, Ordering::SeqCst) == 1 {
            REQUESTED.store(false, Ordering::SeqCst);
        }
    }
}
