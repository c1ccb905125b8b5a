//! Buffers from a pool: what is freed is kept for the next request of its size class, for a driver's allocation costs
//! up to 0.1 ms per MiB and a training step allocates the same sizes again and again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use anygrad_core::backend::Memory;

use crate::errors::lock;

/// A device buffer with a number that no other one ever has; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) serial: u64,
}

impl Raw {
    pub(crate) fn new(device: &wgpu::Device, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Raw {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let description = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
        Raw { buffer: device.create_buffer(&description), serial: SERIAL.fetch_add(1, Ordering::Relaxed) }
    }
}

/// What [`anygrad_core::backend::Buffer`]s of this backend hold; goes back to the pool when dropped.
#[derive(Debug)]
pub(crate) struct GpuMemory {
    pub(crate) raw: Raw,
    pub(crate) bytes: usize,
    pub(crate) pool: Weak<Pool>,
}

impl Memory for GpuMemory {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.keep(self.raw.clone());
        }
    }
}

/// Buffers that nobody holds, by size.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Free>,
    /// Most bytes to keep.
    most: u64,
}

#[derive(Debug, Default)]
struct Free {
    by_size: BTreeMap<u64, Vec<Raw>>,
    bytes: u64,
}

impl Pool {
    pub(crate) fn new(most: u64) -> Arc<Pool> {
        Arc::new(Pool { free: Mutex::default(), most })
    }

    /// A free buffer of exactly this size class.
    pub(crate) fn take(&self, size: u64) -> Option<Raw> {
        let mut free = lock(&self.free);
        let raw = free.by_size.get_mut(&size)?.pop()?;
        free.bytes -= size;
        Some(raw)
    }

    /// Keeps a buffer for later, if there is room.
    pub(crate) fn keep(&self, raw: Raw) {
        let size = raw.buffer.size();
        let mut free = lock(&self.free);
        if free.bytes + size <= self.most {
            free.bytes += size;
            free.by_size.entry(size).or_default().push(raw);
        }
    }

    /// Lets all free buffers go.
    pub(crate) fn clear(&self) {
        *lock(&self.free) = Free::default();
    }
}

/// The size that is allocated for `bytes`: steps of an eighth of the next power of two, so that at most 12 % are lost;
/// at least 256, so that vectors of four may be read at any buffer's end.
pub(crate) fn size_class(bytes: usize) -> u64 {
    let bytes = (bytes as u64).max(256);
    let step = (bytes.next_power_of_two() / 8).max(256);
    bytes.next_multiple_of(step)
}
