//! Bytes between host and device, in order with the plans that run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anygrad_core::backend::Buffer;
use anygrad_core::{Error, Result};

use crate::errors::lock;
use crate::gpu::Shared;
use crate::memory::{GpuMemory, Raw};

/// How long a finished read may wait for the thread that was given its callback; it is microseconds unless that thread hangs.
const CALLBACK: std::time::Duration = std::time::Duration::from_secs(30);

/// Most bytes that travel in one piece.
const PIECE: usize = 32 << 20;
/// A staging buffer for reading is at least that large, so that small reads share one.
const SMALL: u64 = 64 << 10;

/// What transfers keep between calls.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    /// A mappable buffer for reading, made larger when needed.
    staging: Mutex<Option<wgpu::Buffer>>,
    /// Bytes written since the last submission; wgpu holds them in host memory until then.
    pending: AtomicU64,
}

impl Shared {
    /// The memory behind a buffer of this device.
    pub(crate) fn memory<'b>(&self, buffer: &'b Buffer) -> Result<&'b GpuMemory> {
        buffer.downcast::<GpuMemory>().ok_or_else(|| {
            self.guard.failure("finding a buffer", "it belongs to another device; copy the tensor to this device first")
        })
    }

    fn stretch<'b>(&self, buffer: &'b Buffer, offset: usize, bytes: usize) -> Result<&'b Raw> {
        let memory = self.memory(buffer)?;
        if !offset.is_multiple_of(4) || !bytes.is_multiple_of(4) || offset + bytes > memory.bytes.next_multiple_of(4) {
            let message = format!("bytes {offset}..{} of a buffer of {} bytes", offset + bytes, memory.bytes);
            return Err(Error::data("a transfer", format!("{message}: out of range, or not multiples of 4")));
        }
        Ok(&memory.raw)
    }

    /// See [`anygrad_core::backend::Backend::write`].
    pub(crate) fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        let raw = self.stretch(buffer, offset, bytes.len())?;
        self.runs.flush()?;
        for (i, piece) in bytes.chunks(PIECE).enumerate() {
            let at = (offset + i * PIECE) as u64;
            self.guard.scoped("writing", piece.len() as u64, || {
                self.queue.write_buffer(&raw.buffer, at, piece);
                if self.transfer.pending.fetch_add(piece.len() as u64, Ordering::Relaxed) > PIECE as u64 {
                    self.queue.submit([]);
                    self.submitted();
                }
            })?;
        }
        Ok(())
    }

    /// Notes that pending writes were handed to the driver.
    pub(crate) fn submitted(&self) {
        self.transfer.pending.store(0, Ordering::Relaxed);
    }

    /// See [`anygrad_core::backend::Backend::read`].
    pub(crate) fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.read_raw(self.stretch(buffer, offset, bytes.len())?, offset, bytes)
    }

    /// Bytes of device memory from `offset` on.
    pub(crate) fn read_raw(&self, raw: &Raw, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.runs.flush()?;
        let mut staging = lock(&self.transfer.staging);
        for (i, piece) in bytes.chunks_mut(PIECE).enumerate() {
            let (at, size) = ((offset + i * PIECE) as u64, piece.len() as u64);
            let result = self.read_piece(&mut staging, raw, at, size, piece);
            if result.is_err() {
                // It may be mapped or lost.
                *staging = None;
            }
            result?;
        }
        Ok(())
    }

    fn read_piece(
        &self,
        staging: &mut Option<wgpu::Buffer>,
        raw: &Raw,
        at: u64,
        size: u64,
        piece: &mut [u8],
    ) -> Result<()> {
        if staging.as_ref().is_none_or(|s| s.size() < size) {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let size = size.next_power_of_two().max(SMALL);
            let make = || Raw::new(&self.device, "staging", size, usage);
            *staging = Some(self.guard.scoped("making a staging buffer", size, make)?.buffer);
        }
        let Some(staging) = staging else { return Ok(()) };
        let (sender, receiver) = std::sync::mpsc::channel();
        self.guard.scoped("reading", 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&raw.buffer, at, staging, 0, size);
            encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, 0..size, move |result| {
                // The receiver is gone only if reading failed before.
                let _ = sender.send(result);
            });
            self.queue.submit([encoder.finish()]);
            self.submitted();
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None });
        })?;
        // Another thread's poll may have taken the callback and be about to call it: wait for it, not for the device.
        let mapped = receiver.recv_timeout(CALLBACK).map_err(|e| self.guard.failure("reading", &e.to_string()))?;
        mapped.map_err(|e| self.guard.failure("reading", &e.to_string()))?;
        let view = staging.get_mapped_range(0..size).map_err(|e| self.guard.failure("reading", &e.to_string()))?;
        piece.copy_from_slice(&view);
        drop(view);
        staging.unmap();
        Ok(())
    }

    /// Fills a buffer with zeros.
    pub(crate) fn clear(&self, raw: &Raw) -> Result<()> {
        self.runs.flush()?;
        self.guard.scoped("clearing a buffer", 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.clear_buffer(&raw.buffer, 0, None);
            self.queue.submit([encoder.finish()]);
            self.submitted();
        })
    }
}
