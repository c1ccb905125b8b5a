//! Where a program's time goes: per kernel its time, bytes and operations, held against what the device was measured to
//! reach, and the user's line that asked for it. With `ANYGRAD_PROFILE=trace.json` in the environment every run is
//! written down as a trace that Perfetto and Chrome (`chrome://tracing`) show.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Buffer, Step};
use crate::device::Device;
use crate::error::Result;
use crate::graph::linearize;
use crate::program::Compiled;
use crate::program::compiled::bind;
use crate::tensor::Tensor;

/// What one kernel takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// What it computes and the line that asked for it.
    pub label: String,
    /// Time of one run.
    pub seconds: f64,
    /// Bytes of the stretches that it reads and writes, each counted once.
    pub bytes: u64,
    /// Floating-point operations: two per product and sum, one per instruction and element.
    pub operations: u64,
}

/// A program's kernels in the order in which they run; `Display` is a table, dearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The kernels.
    pub kernels: Vec<Timed>,
    /// Bytes per second that a long map reaches on this device.
    pub bandwidth: f64,
    /// Operations per second that a product of two 1024 x 1024 matrices reaches.
    pub rate: f64,
}

impl Profile {
    /// Measures a compiled plan: the median of some runs.
    pub(super) fn of(device: &Device, compiled: &Compiled, externals: &[Buffer]) -> Result<Profile> {
        let kernels = measure(compiled, externals)?;
        let x = Tensor::ones(&[1 << 24], device);
        let bandwidth = best(device, &-(&x), &x, |k| k.bytes)?;
        let a = Tensor::ones(&[1024, 1024], device);
        let rate = best(device, &a.matmul(&a), &a, |k| k.operations)?;
        Ok(Profile { kernels, bandwidth, rate })
    }

    /// Seconds of all kernels.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.kernels.iter().map(|k| k.seconds).sum()
    }
}

/// The rate of the kernel that computes `y` from `x`, in units of `what`.
fn best(device: &Device, y: &Tensor, x: &Tensor, what: fn(&Timed) -> u64) -> Result<f64> {
    x.realize()?;
    let linear = linearize(std::slice::from_ref(y), &[], None);
    let compiled = Compiled::new(device, &linear, true)?;
    let externals = compiled.externals(device, bind(&linear.externals, &[], &[])?)?;
    let kernels = measure(&compiled, &externals)?;
    Ok(kernels.iter().map(|k| what(k) as f64 / k.seconds.max(1e-9)).fold(0.0, f64::max))
}

/// Runs that are measured.
const RUNS: usize = 5;

fn measure(compiled: &Compiled, externals: &[Buffer]) -> Result<Vec<Timed>> {
    compiled.executable.run(externals)?;
    let runs = (0..RUNS).map(|_| compiled.executable.timed(externals)).collect::<Result<Vec<_>>>()?;
    let timed = |(number, step): (usize, &Step)| {
        let mut times: Vec<Duration> = runs.iter().map(|run| run[number]).collect();
        times.sort_unstable();
        let (bytes, operations) = (step.bytes(), step.kernel.operations());
        Timed { label: step.label.clone(), seconds: times[RUNS / 2].as_secs_f64(), bytes, operations }
    };
    Ok(compiled.plan.steps.iter().enumerate().map(timed).collect())
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total = self.seconds().max(1e-12);
        writeln!(
            f,
            "{} kernels, {:.3} ms; this device reaches {:.1} GB/s and {:.1} GFLOP/s",
            self.kernels.len(),
            total * 1e3,
            self.bandwidth / 1e9,
            self.rate / 1e9
        )?;
        writeln!(f, "      us  share    GB/s  of roof  GFLOP/s  of roof  kernel")?;
        let mut order: Vec<&Timed> = self.kernels.iter().collect();
        order.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        for kernel in order {
            let seconds = kernel.seconds.max(1e-9);
            let (bytes, operations) = (kernel.bytes as f64 / seconds, kernel.operations as f64 / seconds);
            writeln!(
                f,
                "{:8.1} {:5.1}% {:7.1} {:7.0}% {:8.1} {:7.0}%  {}",
                seconds * 1e6,
                100.0 * seconds / total,
                bytes / 1e9,
                100.0 * bytes / self.bandwidth.max(1.0),
                operations / 1e9,
                100.0 * operations / self.rate.max(1.0),
                kernel.label
            )?;
        }
        Ok(())
    }
}

/// The file that `ANYGRAD_PROFILE` names, and when it was opened.
pub(super) struct Trace {
    file: Mutex<File>,
    begin: Instant,
}

/// The trace that was asked for, if one was.
pub(super) fn trace() -> Option<&'static Trace> {
    static TRACE: OnceLock<Option<Trace>> = OnceLock::new();
    TRACE
        .get_or_init(|| {
            let path = std::env::var_os("ANYGRAD_PROFILE").filter(|path| !path.is_empty())?;
            // Viewers accept a list that was not closed: the process may be killed at any moment.
            let made = File::create(&path).and_then(|mut file| file.write_all(b"[\n").map(|()| file));
            match made {
                Ok(file) => Some(Trace { file: Mutex::new(file), begin: Instant::now() }),
                Err(error) => {
                    eprintln!("ANYGRAD_PROFILE: {}: {error}; nothing is traced", path.to_string_lossy());
                    None
                }
            }
        })
        .as_ref()
}

impl Trace {
    /// Runs once and writes the kernels' times down.
    pub(super) fn run(&self, compiled: &Compiled, externals: &[Buffer]) -> Result<()> {
        let mut at = self.begin.elapsed().as_secs_f64() * 1e6;
        let times = compiled.executable.timed(externals)?;
        let mut text = String::new();
        for (step, time) in compiled.plan.steps.iter().zip(times) {
            let (name, micros) = (step.label.replace('\\', "/").replace('"', "'"), time.as_secs_f64() * 1e6);
            let (bytes, operations) = (step.bytes(), step.kernel.operations());
            text += &format!(
                "{{\"name\":\"{name}\",\"ph\":\"X\",\"pid\":0,\"tid\":0,\"ts\":{at:.3},\"dur\":{micros:.3},\
                 \"args\":{{\"bytes\":{bytes},\"operations\":{operations}}}}},\n"
            );
            at += micros;
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).map_err(|error| crate::Error::io("ANYGRAD_PROFILE".as_ref(), &error))
    }
}
