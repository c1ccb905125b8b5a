//! Runs on their way to the device: while it is busy they are held, and several go in one encoder, one pass and one
//! submission, for a submission costs the host as much as a hundred dispatches.
//!
//! A run that finds the device idle goes at once. Else as many are held as are in flight, up to [`HELD`]: a caller that goes
//! away in between leaves the device at least half of its work, and whatever else touches the device (reading, writing,
//! clearing, waiting) submits what is held first, so the order is that of the calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anygrad_core::Result;

use crate::errors::lock;
use crate::gpu::Shared;
use crate::recording::Recording;

/// Most runs that are held.
const HELD: u64 = 16;
/// Most dispatches that are held.
const HELD_DISPATCHES: usize = 256;
/// Dispatches in one submission at most, where a plan runs many times: a driver that sees no end of one for seconds resets
/// the device.
const DISPATCHES: usize = 1024;

/// What was run and is not yet done.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    held: Mutex<Held>,
    /// Runs that the device has finished, as far as it was asked.
    done: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Held {
    /// Each so many times.
    runs: Vec<(Arc<Recording>, usize)>,
    count: u64,
    dispatches: usize,
    /// Runs that were submitted since the device was opened.
    submitted: u64,
}

impl Shared {
    /// Runs a recording so many times after everything before it; returns without waiting for the device.
    pub(crate) fn run(&self, recording: Arc<Recording>, times: usize) -> Result<()> {
        // A device that is gone never takes what would be held.
        self.guard.alive()?;
        let mut held = lock(&self.runs.held);
        held.count += times as u64;
        held.dispatches += times.saturating_mul(recording.dispatches.len());
        held.runs.push((recording, times));
        self.guard.scoped("running a program", 0, || {
            // Runs the callbacks of what is done.
            let _ = self.device.poll(wgpu::PollType::Poll);
            let flying = held.submitted - self.runs.done.load(Ordering::Acquire);
            if held.count >= flying.min(HELD) || held.dispatches >= HELD_DISPATCHES {
                self.submit(&mut held);
            }
        })
    }

    /// Submits what is held; before anything else that is submitted or written.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut held = lock(&self.runs.held);
        if held.runs.is_empty() {
            return Ok(());
        }
        self.guard.scoped("running a program", 0, || self.submit(&mut held))
    }

    fn submit(&self, held: &mut Held) {
        // Taken before anything can fail, so that a failure is said once.
        let runs = std::mem::take(&mut held.runs);
        let count = std::mem::take(&mut held.count);
        held.dispatches = 0;
        let mut left = runs.iter().flat_map(|(recording, times)| std::iter::repeat_n(recording, *times)).peekable();
        while left.peek().is_some() {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut dispatches = 0;
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                let fits = |now: usize, next: &Recording| now == 0 || now + next.dispatches.len() <= DISPATCHES;
                while let Some(recording) = left.next_if(|next| fits(dispatches, next)) {
                    recording.encode(&mut pass);
                    dispatches += recording.dispatches.len().max(1);
                }
            }
            self.queue.submit([encoder.finish()]);
        }
        self.submitted();
        held.submitted += count;
        let done = self.runs.done.clone();
        self.queue.on_submitted_work_done(move || {
            done.fetch_add(count, Ordering::Release);
        });
    }
}
