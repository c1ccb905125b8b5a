//! A device whose backend's compilation is timed: what remains of the time of a trace is the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anygrad::backend::{Backend, Buffer, Executable, Limits, Plan};
use anygrad::{DType, Device, Result};

/// A backend that passes everything on and adds up how long it compiles.
#[derive(Debug)]
pub struct Metered {
    inner: Device,
    nanoseconds: AtomicU64,
    kernels: AtomicU64,
}

impl Metered {
    /// A new device beside `inner`, on the same backend.
    #[must_use]
    pub fn over(inner: &Device) -> (Device, Arc<Metered>) {
        let (nanoseconds, kernels) = (AtomicU64::new(0), AtomicU64::new(0));
        let meter = Arc::new(Metered { inner: inner.clone(), nanoseconds, kernels });
        (Device::new(meter.clone()), meter)
    }

    /// Time spent in compiling and kernels compiled since the last call.
    pub fn take(&self) -> (Duration, u64) {
        let time = Duration::from_nanos(self.nanoseconds.swap(0, Ordering::SeqCst));
        (time, self.kernels.swap(0, Ordering::SeqCst))
    }
}

impl Backend for Metered {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        self.inner.limits().clone()
    }

    fn supports(&self, dtype: DType) -> bool {
        self.inner.supports(dtype)
    }

    fn allocate(&self, bytes: usize) -> Result<Buffer> {
        self.inner.backend().allocate(bytes)
    }

    fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        self.inner.backend().write(buffer, offset, bytes)
    }

    fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.inner.backend().read(buffer, offset, bytes)
    }

    fn compile(&self, plan: Arc<Plan>) -> Result<Arc<dyn Executable>> {
        let kernels = plan.steps.len() as u64;
        let begin = Instant::now();
        let executable = self.inner.backend().compile(plan)?;
        self.nanoseconds.fetch_add(begin.elapsed().as_nanos() as u64, Ordering::SeqCst);
        self.kernels.fetch_add(kernels, Ordering::SeqCst);
        Ok(executable)
    }
}
