//! Steps per second of the workloads on one device:
//! `cargo run --release -p anygrad-benches --bin steps -- [--device cpu] [--explain] [--profile] [--memory 0.5] [w1 ..]`.
//! `--memory` allows that share of the plain program's peak: values are computed again to fit. What the trainer adds to a step:
//! `--bin supervised`.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad_benches::measure::{Running, Spread, read};
use anygrad_benches::workloads::WORKLOADS;

/// Seconds of a block.
const BLOCK: f64 = 0.5;
const BLOCKS: usize = 7;
/// Seconds over which the host's time is taken.
const HOST: f64 = 2.0;
/// The step whose loss is printed: two runs of one seed can be held against each other.
const CHECKED: usize = 20;

fn main() -> Result<()> {
    let mut device = "best".to_string();
    let (mut names, mut explain, mut profile, mut share) = (Vec::new(), false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--device" => device = arguments.next().unwrap_or_default(),
            "--explain" => explain = true,
            "--profile" => profile = true,
            "--memory" => share = arguments.next().and_then(|text| text.parse::<f64>().ok()),
            name => names.push(name.to_string()),
        }
    }
    let device = Device::open(&device)?;
    println!("device: {device}");
    for workload in WORKLOADS.iter().filter(|w| names.is_empty() || names.iter().any(|n| n == w.name)) {
        device.seed(0)?;
        let begin = Instant::now();
        let mut built = (workload.build)(&device)?;
        if let Some(share) = share {
            built.memory = (built.restrict)((built.memory.peak() as f64 * share) as u64)?;
        }
        read(&(built.step)()?)?;
        let first = begin.elapsed();
        let mut last = (built.step)()?;
        for _ in 2..CHECKED {
            last = (built.step)()?;
        }
        let loss = read(&last)?;
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
        let host = running.host(HOST)?.map_or(String::new(), |host| {
            let [asking, submitting] = [host.asking, host.submitting].map(|seconds| seconds * 1e6);
            format!(" host {asking:.1} us asking + {submitting:.1} us submitting per step,")
        });
        println!(
            "{}: {spread} steps/s,{host} first step after {:.0} ms, {kernels} kernels{}, {:.1} MB, {loss:.6} at step {CHECKED}",
            workload.name,
            first.as_secs_f64() * 1e3,
            if share.is_some() { " before the budget" } else { "" },
            memory.peak() as f64 / 1e6
        );
    }
    Ok(())
}
