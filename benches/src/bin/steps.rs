//! Steps per second of the workloads on one device:
//! `cargo run --release -p anygrad-benches --bin steps -- [--device cpu] [--explain] [--profile] [--memory 0.5] [--supervised] [w1 ..]`.
//! `--memory` allows that share of the plain program's peak: values are computed again to fit. With `--supervised` the same
//! steps are also done by the trainer, in turn with the bare program, and its overhead is told.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad_benches::measure::{Running, Spread, read};
use anygrad_benches::workloads::WORKLOADS;

/// Seconds of a block.
const BLOCK: f64 = 0.5;
const BLOCKS: usize = 7;

fn main() -> Result<()> {
    let mut device = "best".to_string();
    let (mut names, mut explain, mut profile, mut supervised, mut share) = (Vec::new(), false, false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--device" => device = arguments.next().unwrap_or_default(),
            "--explain" => explain = true,
            "--profile" => profile = true,
            "--memory" => share = arguments.next().and_then(|text| text.parse::<f64>().ok()),
            "--supervised" => supervised = true,
            name => names.push(name.to_string()),
        }
    }
    let device = Device::open(&device)?;
    println!("device: {device}");
    for workload in WORKLOADS.iter().filter(|w| names.is_empty() || names.iter().any(|n| n == w.name)) {
        let begin = Instant::now();
        let mut built = (workload.build)(&device)?;
        if let Some(share) = share {
            built.memory = (built.restrict)((built.memory.peak() as f64 * share) as u64)?;
        }
        read(&(built.step)()?)?;
        let first = begin.elapsed();
        if explain {
            println!("{}", (built.explain)()?);
        }
        if profile {
            println!("{}", (built.profile)()?);
        }
        let memory = built.memory;
        let kernels = built.kernels.len();
        let mut running = Running::warm(built, BLOCK)?;
        let rates = (0..BLOCKS).map(|_| running.block(BLOCK)).collect::<Result<Vec<_>>>()?;
        let Some(spread) = Spread::of(&rates) else { continue };
        println!(
            "{}: {spread} steps/s, first step after {:.0} ms, {kernels} kernels, {:.1} MB",
            workload.name,
            first.as_secs_f64() * 1e3,
            memory.peak() as f64 / 1e6
        );
        if let Some(mut train) = running.built.supervised.take().filter(|_| supervised) {
            let mut pairs = Vec::new();
            for _ in 0..BLOCKS {
                let bare = running.block(BLOCK)?;
                pairs.push((bare, train((bare * BLOCK).ceil() as usize + 1)?));
            }
            let each = |f: fn(&(f64, f64)) -> f64| Spread::of(&pairs.iter().map(f).collect::<Vec<_>>());
            let numbers = (each(|p| p.1), each(|p| (p.0 / p.1 - 1.0) * 100.0), each(|p| (1.0 / p.1 - 1.0 / p.0) * 1e6));
            if let (Some(rate), Some(share), Some(time)) = numbers {
                println!("    supervised: {rate} steps/s; overhead in %: {share}, in us per step: {time}");
            }
        }
    }
    Ok(())
}
