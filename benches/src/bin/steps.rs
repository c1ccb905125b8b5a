//! Steps per second of the workloads on one device:
//! `cargo run --release -p anygrad-benches --bin steps -- [--device cpu] [--explain] [w1 w2 ..]`.

use std::time::{Duration, Instant};

use anygrad::prelude::*;
use anygrad_benches::workloads::WORKLOADS;

/// One block of steps is timed for at least this long, the loss read once at its end.
const BLOCK: Duration = Duration::from_millis(500);
const BLOCKS: usize = 7;

fn main() -> Result<()> {
    let mut device = "best".to_string();
    let (mut names, mut explain) = (Vec::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--device" => device = arguments.next().unwrap_or_default(),
            "--explain" => explain = true,
            name => names.push(name.to_string()),
        }
    }
    let device = Device::open(&device)?;
    println!("device: {device}");
    for workload in WORKLOADS.iter().filter(|w| names.is_empty() || names.iter().any(|n| n == w.name)) {
        let begin = Instant::now();
        let mut built = (workload.build)(&device)?;
        (built.step)()?.item()?;
        let first = begin.elapsed();
        if explain {
            println!("{}", (built.explain)()?);
        }
        let mut rates = Vec::new();
        for _ in 0..BLOCKS {
            let (start, mut steps) = (Instant::now(), 0);
            while start.elapsed() < BLOCK {
                let mut loss = (built.step)()?;
                for _ in 0..steps {
                    loss = (built.step)()?;
                }
                loss.item()?;
                steps = 2 * steps + 1;
            }
            rates.push(f64::from(steps) / start.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "{}: {:.1} steps/s (from {:.1} to {:.1}), first step after {:.0} ms, {} kernels, {:.1} MB",
            workload.name,
            rates[BLOCKS / 2],
            rates[0],
            rates[BLOCKS - 1],
            first.as_secs_f64() * 1e3,
            built.kernels.len(),
            built.memory.peak() as f64 / 1e6
        );
    }
    Ok(())
}
