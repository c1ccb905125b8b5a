//! Memory of the CPU device: zeroed, aligned to cache lines, reached through raw pointers.
//!
//! Buffers are shared (`Buffer` clones) and written by kernels, so their bytes are interior-mutable. The rule that makes
//! this sound: bytes are only touched while the device's turn is held (see `lib.rs`), and within a kernel's run tasks
//! write disjoint elements that no other task reads (`Kernel::verify` and the plan's checks see to that).
#![expect(unsafe_code, reason = "buffers are raw, shared and aligned; each block says why it is right")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use anygrad_core::backend::Memory;
use anygrad_core::{Error, Result};

/// Bytes of a cache line, and of the widest vector.
pub(crate) const ALIGNMENT: usize = 64;

/// An owned, aligned, zeroed stretch of bytes.
#[derive(Debug)]
pub(crate) struct Bytes {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is owned and plain; access is coordinated by the device's turn (see the head of this file).
unsafe impl Send for Bytes {}
// SAFETY: as above; `Bytes` itself gives out only the address.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Zeroed memory of at least `bytes` bytes.
    ///
    /// # Errors
    /// If the system does not give it.
    pub(crate) fn new(bytes: usize, what: &str) -> Result<Bytes> {
        let refused = || Error::Memory {
            what: what.to_string(),
            needed: bytes as u64,
            available: 0,
            limit: "the system refused the allocation".to_string(),
        };
        let layout = Self::layout(bytes).ok_or_else(refused)?;
        // SAFETY: the layout's size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Bytes { start: NonNull::new(start).ok_or_else(refused)?, bytes })
    }

    fn layout(bytes: usize) -> Option<Layout> {
        let rounded = bytes.checked_next_multiple_of(ALIGNMENT)?.max(ALIGNMENT);
        Layout::from_size_align(rounded, ALIGNMENT).ok()
    }

    /// The first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes, as asked for.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.bytes) {
            // SAFETY: allocated in `new` with this layout, and not freed before.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// What lies behind a `Buffer` of this backend.
#[derive(Debug)]
pub(crate) struct CpuMemory {
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// Which `Cpu` allocated it: its turn guards the bytes.
    pub(crate) device: usize,
}

impl Memory for CpuMemory {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
