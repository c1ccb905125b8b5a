//! Runs on their way to the device, in line for a thread that submits them.
//!
//! A submission costs the host as much as a hundred dispatches, and some drivers compute inside of it. So running a program
//! only puts its recording into the line; the thread takes all that came since its last submission and makes one encoder, one
//! pass and one submission of it. Whatever else touches the device (reading, writing, clearing, waiting) first submits the
//! line itself, so the order is that of the calls. What fails on the thread is the result of the next call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use anygrad_core::{Error, Result};

use crate::errors::{Guard, lock};
use crate::recording::Recording;

/// Most dispatches in the line: a caller that is so far ahead submits them itself.
const MOST: usize = 4096;
/// Dispatches in one submission at most: a driver that sees no end of one for seconds resets the device.
const DISPATCHES: usize = 1024;

/// The line and its thread, which the first run starts.
#[derive(Debug)]
pub(crate) struct Runs {
    line: Arc<Line>,
    thread: OnceLock<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Line {
    device: wgpu::Device,
    queue: wgpu::Queue,
    guard: Arc<Guard>,
    waiting: Mutex<Waiting>,
    /// Held while runs are taken from the line and submitted, so that none overtakes another.
    submitting: Mutex<()>,
    ends: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each so many times.
    runs: Vec<(Arc<Recording>, usize)>,
    dispatches: usize,
    /// What failed on the thread, until a caller hears of it.
    failure: Option<Error>,
}

impl Runs {
    pub(crate) fn new(device: wgpu::Device, queue: wgpu::Queue, guard: Arc<Guard>) -> Runs {
        let (waiting, submitting) = Default::default();
        let line = Line { device, queue, guard, waiting, submitting, ends: AtomicBool::new(false) };
        Runs { line: Arc::new(line), thread: OnceLock::new() }
    }

    /// Runs a recording so many times after everything before it; returns without waiting for the device.
    pub(crate) fn run(&self, recording: Arc<Recording>, times: usize) -> Result<()> {
        self.line.guard.alive()?;
        let full = {
            let mut waiting = lock(&self.line.waiting);
            if let Some(failure) = waiting.failure.take() {
                return Err(failure);
            }
            waiting.dispatches =
                waiting.dispatches.saturating_add(times.saturating_mul(recording.dispatches.len().max(1)));
            waiting.runs.push((recording, times));
            waiting.dispatches > MOST
        };
        match self.thread() {
            Some(thread) if !full => thread.thread().unpark(),
            _ => self.flush()?,
        }
        Ok(())
    }

    /// Submits the line; before anything else that is submitted or written.
    pub(crate) fn flush(&self) -> Result<()> {
        self.line.submit()?;
        lock(&self.line.waiting).failure.take().map_or(Ok(()), Err)
    }

    /// The thread; where none can be had, callers submit.
    fn thread(&self) -> Option<&JoinHandle<()>> {
        let start = || {
            let line = self.line.clone();
            std::thread::Builder::new().name("anygrad-submit".to_string()).spawn(move || line.serve()).ok()
        };
        self.thread.get_or_init(start).as_ref()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.line.ends.store(true, Ordering::Release);
        if let Some(Some(thread)) = self.thread.take() {
            thread.thread().unpark();
            // It catches panics itself.
            let _ = thread.join();
        }
    }
}

impl Line {
    /// The thread's work.
    fn serve(&self) {
        while !self.ends.load(Ordering::Acquire) {
            if let Err(failure) = self.submit() {
                lock(&self.waiting).failure.get_or_insert(failure);
            }
            // Returns at once if something came since.
            std::thread::park();
        }
    }

    /// Submits all that waits.
    fn submit(&self) -> Result<()> {
        let _order = lock(&self.submitting);
        loop {
            let runs = {
                let mut waiting = lock(&self.waiting);
                waiting.dispatches = 0;
                std::mem::take(&mut waiting.runs)
            };
            if runs.is_empty() {
                return Ok(());
            }
            self.guard.scoped("running a program", 0, || self.encode(&runs))?;
        }
    }

    fn encode(&self, runs: &[(Arc<Recording>, usize)]) {
        let mut left = runs.iter().flat_map(|(recording, times)| std::iter::repeat_n(recording, *times)).peekable();
        while left.peek().is_some() {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                let mut dispatches = 0;
                while let Some(recording) =
                    left.next_if(|next| dispatches == 0 || dispatches + next.dispatches.len() <= DISPATCHES)
                {
                    recording.encode(&mut pass);
                    dispatches += recording.dispatches.len().max(1);
                }
            }
            self.queue.submit([encoder.finish()]);
        }
    }
}
