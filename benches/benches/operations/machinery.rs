//! What is around the kernels: tracing, scheduling, replaying, bringing data in, writing a checkpoint.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use anygrad::prelude::*;
use anygrad::program::Timed;
use anygrad_benches::measure::{Spread, read};
use anygrad_benches::metered::Metered;
use anygrad_benches::roofline::Work;
use anygrad_benches::workloads::{WORKLOADS, Workload};

use crate::bench::Bench;

/// The training steps that are looked at.
fn workloads() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(|w| ["w1", "w2", "w3", "w4", "w6"].contains(&w.name))
}

/// How long it takes to bring a step to the device, traced anew each time: the closure, from its graph to the plan, and the
/// backend's compilation.
pub(crate) fn planning(bench: &mut Bench) -> Result<()> {
    let parts = [("trace", 0), ("schedule", 1), ("compile", 2)];
    for workload in workloads() {
        let name = |what: &str| format!("{what}, {}", workload.name);
        if !parts.iter().any(|(what, _)| bench.wanted("plan", &name(what))) {
            continue;
        }
        let (device, meter) = Metered::over(&bench.device);
        let mut built = (workload.build)(&device)?;
        for (what, part) in parts {
            let note = format!("{} kernels", built.kernels.len());
            bench.row(
                "plan",
                &name(what),
                None,
                |_| note,
                |times| {
                    let mut total = 0.0;
                    for _ in 0..times {
                        meter.take();
                        let begin = Instant::now();
                        (built.restrict)(u64::MAX)?;
                        let (all, compile) = (begin.elapsed().as_secs_f64(), meter.take().0.as_secs_f64());
                        let trace = built.traced.get();
                        total += [trace, all - trace - compile, compile][part];
                    }
                    Ok(Duration::from_secs_f64(total))
                },
            )?;
        }
    }
    Ok(())
}

/// Whole steps, whose bound is that of their kernels one after the other; and what a run costs that computes nothing.
pub(crate) fn steps(bench: &mut Bench) -> Result<()> {
    let x = Tensor::zeros(&[1], &bench.device).realize()?.clone();
    for (name, times) in [("replay of a program of one number", 1), ("the same, 16 in one call", 16)] {
        let mut program = Program::inference(&bench.device, |x: Tensor| x + 1.0);
        let note = move |seconds: f64| format!("{:.2} us per run", seconds * 1e6 / times as f64);
        bench.row("step", name, None, note, |rounds| {
            let begin = Instant::now();
            let mut last = x.clone();
            for _ in 0..rounds {
                last = program.run_times(times, x.clone())?;
            }
            read(&last)?;
            Ok(begin.elapsed())
        })?;
    }
    for workload in workloads().filter(|workload| bench.wanted("step", workload.name)).collect::<Vec<_>>() {
        let mut built = (workload.build)(&bench.device)?;
        let profile = (built.profile)()?;
        let bound = |k: &Timed| bench.roof.bound(Work { bytes: k.bytes as f64, operations: k.operations as f64 });
        let least: f64 = profile.kernels.iter().map(bound).sum();
        let count = profile.kernels.len();
        let note = move |seconds: f64| {
            format!("{count} kernels, each bounded by itself: {:.0} us, {:.0} %", least * 1e6, 100.0 * least / seconds)
        };
        let operations = profile.kernels.iter().map(|k| k.operations as f64).sum();
        let work = Work { bytes: 0.0, operations };
        bench.row("step", workload.name, Some(work), note, |times| {
            let begin = Instant::now();
            let mut loss = (built.step)()?;
            for _ in 1..times {
                loss = (built.step)()?;
            }
            read(&loss)?;
            Ok(begin.elapsed())
        })?;
    }
    Ok(())
}

/// Data to the device, and variables to the disk.
pub(crate) fn transfers(bench: &mut Bench) -> Result<()> {
    for (name, shape) in [("a batch of 64 images", [64, 28 * 28]), ("64 MiB", [64, 1 << 18])] {
        let numbers = vec![0.5f32; shape[0] * shape[1]];
        let device = bench.device.clone();
        // Read once, written once.
        let work = Work { bytes: 8.0 * numbers.len() as f64, operations: 0.0 };
        bench.row(
            "upload",
            name,
            Some(work),
            |_| String::new(),
            |times| {
                let begin = Instant::now();
                for _ in 0..times {
                    let _ = black_box(Tensor::try_from_slice(&numbers, &shape, &device)?);
                }
                Ok(begin.elapsed())
            },
        )?;
    }
    let directory = std::env::temp_dir().join(format!("anygrad-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| Error::io(&directory, &error))?;
    for width in [256, 1024, 4096] {
        let bytes = 4 * width * (width + 1);
        let name = format!("{:.1} MB of variables", bytes as f64 / 1e6);
        if !bench.wanted("checkpoint", &name) {
            continue;
        }
        let layer = Linear::new(width, width, &bench.device);
        let (path, plain) = (directory.join("bench.safetensors"), directory.join("bench.bytes"));
        let content = vec![1u8; bytes];
        // What the disk allows: the same bytes as a file that is forced to it.
        let least = median(9, || {
            let mut file = File::create(&plain)?;
            file.write_all(&content)?;
            file.sync_all()
        });
        let least = least.map_err(|error| Error::io(&plain, &error))?;
        let note = |seconds: f64| {
            format!(
                "a plain file of these bytes, forced to the disk: {:.0} us, {:.0} %",
                least * 1e6,
                100.0 * least / seconds
            )
        };
        bench.row("checkpoint", &name, None, note, |times| {
            let begin = Instant::now();
            for _ in 0..times {
                checkpoint::save(&path, &layer)?;
            }
            Ok(begin.elapsed())
        })?;
    }
    std::fs::remove_dir_all(&directory).map_err(|error| Error::io(&directory, &error))
}

/// The median time of so many runs, in seconds.
fn median(runs: usize, mut run: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let begin = Instant::now();
        run()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(Spread::of(&times).map_or(f64::NAN, |spread| spread.median))
}
