//! Criterion with a roof: what it measures is also kept for the table at the end.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anygrad::prelude::*;
use anygrad_benches::machine::{load, processor, today};
use anygrad_benches::measure::Spread;
use anygrad_benches::roofline::{Roof, Row, Work, table};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

/// Samples of a row: as few as criterion takes.
const SAMPLES: usize = 10;

/// What runs, and what came out so far.
pub(crate) struct Bench {
    pub(crate) device: Device,
    criterion: Criterion,
    pub(crate) roof: Roof,
    rows: Vec<Row>,
    load: f64,
    /// Parts of the names of rows that were asked for; none: all are.
    filters: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Result<Bench> {
        let device = Device::best();
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(200))
            .nresamples(1000)
            .configure_from_args();
        let load = load();
        let filters = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        Ok(Bench { roof: Roof::measure(&device)?, device, criterion, rows: Vec::new(), load, filters })
    }

    /// Whether a row was asked for: others need not be set up.
    pub(crate) fn wanted(&self, group: &str, name: &str) -> bool {
        let id = format!("{group}/{name}");
        self.filters.is_empty() || self.filters.iter().any(|filter| id.contains(filter))
    }

    /// Measures `run`, which does its work so many times and says how long that took.
    pub(crate) fn row(
        &mut self,
        group: &str,
        name: &str,
        work: Option<Work>,
        note: impl FnOnce(f64) -> String,
        mut run: impl FnMut(u64) -> Result<Duration>,
    ) -> Result<()> {
        if !self.wanted(group, name) {
            return Ok(());
        }
        let samples = RefCell::new(Vec::new());
        let mut failed = None;
        let mut criterion: BenchmarkGroup<'_, WallTime> = self.criterion.benchmark_group(group);
        if let Some(Work { bytes, operations }) = work {
            let bound_by_bytes = bytes / self.roof.bandwidth >= operations / self.roof.rate;
            let (bytes, operations) = (bytes as u64, operations as u64);
            criterion.throughput(if bound_by_bytes {
                Throughput::Bytes(bytes)
            } else {
                Throughput::Elements(operations)
            });
        }
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let time = run(times).unwrap_or_else(|error| {
                    failed = Some(error);
                    Duration::from_secs(1)
                });
                samples.borrow_mut().push(time.as_secs_f64() / times as f64);
                time
            });
        });
        criterion.finish();
        if let Some(error) = failed {
            return Err(error);
        }
        // The first ones were the warm-up.
        let samples = samples.into_inner();
        let measured = &samples[samples.len().saturating_sub(SAMPLES)..];
        let Some(spread) = Spread::of(measured) else { return Ok(()) };
        let bound = work.map(|work| self.roof.bound(work));
        if let Some(bound) = bound {
            println!("    bound {:.1} us, reached {:.0} %", bound * 1e6, 100.0 * bound / spread.median);
        }
        let name = format!("{group}: {name}");
        self.rows.push(Row { name, seconds: spread.median, work, bound, note: note(spread.median) });
        Ok(())
    }

    /// Measures one operation as a program; what it must move are its inputs and its results, each once. Inputs are made only
    /// if the row was asked for.
    pub(crate) fn operation(
        &mut self,
        group: &str,
        name: &str,
        inputs: impl FnOnce(&Device) -> Vec<Tensor>,
        f: impl Fn(&[Tensor]) -> Vec<Tensor>,
    ) -> Result<()> {
        if !self.wanted(group, name) {
            return Ok(());
        }
        let inputs = inputs(&self.device);
        for input in &inputs {
            input.realize()?;
        }
        let mut program = Program::inference(&self.device, move |inputs: Vec<Tensor>| f(&inputs));
        let results = program.run(inputs.clone())?;
        let bytes: usize = inputs.iter().chain(&results).map(|t| t.len() * t.dtype().size()).sum();
        let operations: u64 = program.profile(&inputs)?.kernels.iter().map(|k| k.operations).sum();
        let work = Work { bytes: bytes as f64, operations: operations as f64 };
        self.row(
            group,
            name,
            Some(work),
            |_| String::new(),
            |times| {
                let begin = Instant::now();
                let mut results = Vec::new();
                for _ in 0..times {
                    results = program.run(inputs.clone())?;
                }
                wait(&results)?;
                Ok(begin.elapsed())
            },
        )
    }

    /// Prints the table, and writes it where it was asked to.
    pub(crate) fn finish(self) -> std::result::Result<(), Box<dyn std::error::Error>> {
        self.criterion.final_summary();
        let head = format!("{}; {}; {}; load {}, {}", processor(), self.device, today(), self.load, load());
        let text = format!("{head}; {}", table(self.roof, &self.rows));
        println!("\n{text}");
        if let Some(path) = std::env::var_os("ROOFLINE") {
            std::fs::write(path, text)?;
        }
        Ok(())
    }
}

/// Waits until the first result is there.
fn wait(results: &[Tensor]) -> Result<()> {
    let Some(first) = results.iter().find(|t| !t.is_empty()) else { return Ok(()) };
    first.reshape([-1]).narrow(0, 0, 1).to_f64().map(|_| ())
}
