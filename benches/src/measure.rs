//! Rates of repeated steps: blocks of a given time, the loss read once at a block's end, medians over blocks.
//!
//! How many steps a block has follows from the rate of the block before, so nothing is read within a block and no clock
//! either. The peers measure in the same way.

use std::path::Path;
use std::time::{Duration, Instant};

use anygrad::{Result, Tensor};

use crate::workloads::Built;

/// A workload that is measured block by block.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Running {
    /// The workload.
    pub built: Built,
    rate: f64,
    /// Steps of the last block.
    pub steps: usize,
}

impl Running {
    /// Takes a workload and runs it until its rate has settled: `seconds` is a block's time.
    ///
    /// # Errors
    /// If the device fails.
    pub fn warm(built: Built, seconds: f64) -> Result<Running> {
        let mut running = Running { built, rate: 1.0, steps: 0 };
        for part in [0.0, 0.0, 0.25, 0.5] {
            // After two, a step that is longer than a block has nothing to settle.
            if part == 0.0 || running.rate * seconds >= 1.0 {
                running.block(part * seconds)?;
            }
        }
        Ok(running)
    }

    /// Steps per second over about this many seconds.
    ///
    /// # Errors
    /// If the device fails.
    pub fn block(&mut self, seconds: f64) -> Result<f64> {
        let steps = (self.rate * seconds).ceil().max(1.0) as usize;
        let begin = Instant::now();
        let mut loss = (self.built.step)()?;
        for _ in 1..steps {
            loss = (self.built.step)()?;
        }
        read(&loss)?;
        self.steps = steps;
        self.rate = steps as f64 / begin.elapsed().as_secs_f64();
        Ok(self.rate)
    }

    /// What the host does for a step: about so many seconds of steps, three at least, asked for without a pause, and read at the
    /// end, less what reading takes. `None` where the system does not say it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn host(&mut self, seconds: f64) -> Result<Option<Host>> {
        let steps = (self.rate * seconds).ceil().max(3.0) as usize;
        let begin = on_processor();
        let mut loss = (self.built.step)()?;
        for _ in 1..steps {
            loss = (self.built.step)()?;
        }
        read(&loss)?;
        let middle = on_processor();
        read(&loss)?;
        let (Some(begin), Some(middle), Some(end)) = (begin, middle, on_processor()) else { return Ok(None) };
        let part =
            |of: fn(&Host) -> f64| ((of(&middle) - of(&begin)) - (of(&end) - of(&middle))).max(0.0) / steps as f64;
        Ok(Some(Host { asking: part(|h| h.asking), submitting: part(|h| h.submitting) }))
    }
}

/// What a step takes of the host while the device works, in seconds on a processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Host {
    /// Of the thread that asks.
    pub asking: f64,
    /// Of the thread that submits to a GPU; 0 on the CPU.
    pub submitting: f64,
}

impl Host {
    /// Both.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.asking + self.submitting
    }
}

/// Seconds that this thread and those that submit were on a processor so far, on Linux.
fn on_processor() -> Option<Host> {
    // The system brings a thread's figure up to date when it goes to sleep (and at its ticks, which are milliseconds apart).
    std::thread::sleep(Duration::from_millis(2));
    let seconds = |path: &Path| -> Option<f64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
    };
    let mut submitting = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        // `anygrad_wgpu` names it; drivers' threads have the process's name or their own.
        if name.trim() == "anygrad-submit" {
            submitting += seconds(&task.path())?;
        }
    }
    Some(Host { asking: seconds(Path::new("/proc/thread-self"))?, submitting })
}

/// Waits until a step is done: reads its loss, or one number of its result.
///
/// # Errors
/// If the device fails.
pub fn read(result: &Tensor) -> Result<f64> {
    if result.len() == 1 { result.item() } else { result.reshape([-1]).narrow(0, 0, 1).item() }
}

/// Median, least and greatest of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; the upper of the two if their number is even.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these numbers; `None` if there are none.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<Spread> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Spread { median: *sorted.get(sorted.len() / 2)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Three figures are more than a noisy machine knows.
        let digits = |x: f64| match x {
            x if x < 0.1 => 4,
            x if x < 1.0 => 3,
            x if x < 10.0 => 2,
            x => usize::from(x < 100.0),
        };
        write!(
            f,
            "{:.*} ({:.*}–{:.*})",
            digits(self.median),
            self.median,
            digits(self.min),
            self.min,
            digits(self.max),
            self.max
        )
    }
}
