//! wgpu's ways to fail, as `Result`s.
//!
//! Errors come by error scopes (per thread), by the uncaptured handler (other threads), by a callback (device loss) and
//! as panics (the shader compiler, waiting on a lost device). [`Guard::scoped`] runs a closure and looks at all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anygrad_core::{Error, Result};

/// A mutex whose poison is ignored: what it guards is valid between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a device's failures are collected.
#[derive(Debug)]
pub(crate) struct Guard {
    device: wgpu::Device,
    name: String,
    lost: Arc<AtomicBool>,
    why: Arc<Mutex<String>>,
    stray: Arc<Mutex<Vec<wgpu::Error>>>,
}

impl Guard {
    /// Installs the handlers on a device.
    pub(crate) fn new(device: &wgpu::Device, name: String) -> Guard {
        let guard =
            Guard { device: device.clone(), name, lost: Arc::default(), why: Arc::default(), stray: Arc::default() };
        let stray = guard.stray.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| lock(&stray).push(error)));
        let (lost, why) = (guard.lost.clone(), guard.why.clone());
        device.set_device_lost_callback(move |reason, message| {
            *lock(&why) = format!("{reason:?} {message}");
            lost.store(true, Ordering::SeqCst);
        });
        guard
    }

    /// An error if the device is gone.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.lost.load(Ordering::SeqCst) {
            return Err(Error::DeviceLost { name: self.name.clone(), reason: lock(&self.why).clone() });
        }
        Ok(())
    }

    /// Runs `f` and turns everything that went wrong in it into an error. `needed` is the memory that `f` asks for.
    pub(crate) fn scoped<T>(&self, what: &str, needed: u64, f: impl FnOnce() -> T) -> Result<T> {
        self.alive()?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = catch_unwind(AssertUnwindSafe(f));
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        let memory = pollster::block_on(memory.pop());
        self.alive()?;
        if let Some(error) = memory.or(internal).or(validation).or_else(|| lock(&self.stray).pop()) {
            return Err(self.error(what, needed, &error));
        }
        result.map_err(|panic| self.failure(what, &panic_message(&*panic)))
    }

    /// An [`Error::Backend`].
    pub(crate) fn failure(&self, what: &str, message: &str) -> Error {
        Error::Backend { device: self.name.clone(), what: what.to_string(), message: message.to_string() }
    }

    fn error(&self, what: &str, needed: u64, error: &wgpu::Error) -> Error {
        match error {
            wgpu::Error::OutOfMemory { .. } => Error::Memory {
                what: what.to_string(),
                needed,
                available: 0,
                limit: format!("{} is out of memory", self.name),
            },
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                self.failure(what, description)
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_string();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a message".to_string())
}
