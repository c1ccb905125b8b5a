//! The CPU backend of anygrad: fused kernels over cache-sized tiles, products through `gemm`, one small pool of threads.
//!
//! A [`anygrad_core::backend::Plan`] is compiled into prepared kernels (`step`), each a heavy core (`heavy`) and a fused
//! body (`tile`), and run on the caller's thread with the pool's help (`crew`, `pool`). Running allocates nothing and
//! finishes before it returns; a device runs one plan at a time (its *turn*), which is what makes its shared memory sound.
//! Same device, same seed: same bits, whatever the threads' timing.

mod carry;
mod crew;
mod executable;
mod heavy;
mod jit;
mod memory;
mod pool;
mod step;
mod tile;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use anygrad_core::backend::{Backend, Buffer, Executable, Limits, Plan};
use anygrad_core::{DType, Error, Result};

use crew::Crew;
use memory::{ALIGNMENT, Bytes, CpuMemory};

/// The CPU as a device.
#[derive(Clone, Debug)]
pub struct Cpu {
    device: Arc<Device>,
}

/// What buffers, executables and handles of one device share.
#[derive(Debug)]
pub(crate) struct Device {
    /// Tells devices apart.
    number: usize,
    crew: Mutex<Crew>,
}

impl Device {
    /// Waits for the device's turn. A panic in an earlier turn left plain numbers behind at worst.
    fn turn(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The first byte of a buffer of this device and its length.
    pub(crate) fn locate(&self, buffer: &Buffer) -> Result<(*mut u8, usize)> {
        match buffer.downcast::<CpuMemory>() {
            Some(memory) if memory.device == self.number => Ok((memory.bytes.start(), memory.bytes.len())),
            _ => Err(Error::Program("a buffer belongs to another device; move the tensor to this one first".into())),
        }
    }
}

impl Cpu {
    /// The CPU with one thread per core.
    ///
    /// # Errors
    /// If there is no memory at all.
    pub fn new() -> Result<Cpu> {
        Cpu::with_threads(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The CPU with that many threads, the caller's included (at least 1).
    ///
    /// # Errors
    /// If there is no memory at all.
    pub fn with_threads(threads: usize) -> Result<Cpu> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Cpu { device: Arc::new(Device { number, crew: Mutex::new(Crew::new(threads)?) }) })
    }

    /// Number of threads that work together.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.device.turn().threads()
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".to_string()
    }

    fn limits(&self) -> Limits {
        Limits {
            buffer_bytes: isize::MAX as u64,
            binding_bytes: isize::MAX as u64,
            alignment: ALIGNMENT,
            bindings: usize::MAX,
            apart: false,
            product_row: heavy::PRODUCT_ROW,
            memory_bytes: None,
            // Measured by `anygrad-benches`' `attention`: below, kernels of 16 queries are half empty and composed ones in cache.
            attention: [16384, 2048],
        }
    }

    fn supports(&self, _dtype: DType) -> bool {
        true
    }

    fn allocate(&self, bytes: usize) -> Result<Buffer> {
        let memory = CpuMemory { bytes: Bytes::new(bytes, "a tensor")?, device: self.device.number };
        Ok(Buffer::new(Arc::new(memory)))
    }

    #[expect(unsafe_code, reason = "buffers are raw memory")]
    fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        let (start, len) = self.device.locate(buffer)?;
        check_range(len, offset, bytes.len())?;
        let _turn = self.device.turn();
        // SAFETY: the range is inside of the buffer; the turn keeps all others away; host bytes cannot overlap it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(offset), bytes.len()) };
        Ok(())
    }

    #[expect(unsafe_code, reason = "buffers are raw memory")]
    fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let (start, len) = self.device.locate(buffer)?;
        check_range(len, offset, bytes.len())?;
        let _turn = self.device.turn();
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(start.add(offset), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn compile(&self, plan: Arc<Plan>) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(executable::CpuExecutable::new(Arc::clone(&self.device), plan)?))
    }
}

fn check_range(len: usize, offset: usize, bytes: usize) -> Result<()> {
    match offset.checked_add(bytes) {
        Some(end) if end <= len => Ok(()),
        _ => Err(Error::Program(format!("bytes {offset}..{offset}+{bytes} are outside of a buffer of {len} bytes"))),
    }
}
