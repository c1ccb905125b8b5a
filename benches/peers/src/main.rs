//! The workloads W1 to W6 written with other frameworks, one of them per process, as a server that `compare` asks.
//!
//! `peers burn-flex` reads lines `WORKLOAD MODE SECONDS` (`w1 burn-flex 0.5`), runs that many seconds' worth of
//! training steps and answers with one line of JSON, `{"steps_per_s": 93.1}` or `{"error": "…"}`. The first line for a
//! workload builds it and runs a few steps more. First of all it says its version; the end of its input ends it.
//! `peers burn-flex --first w2` runs one step, says so, and after twenty more how much memory the process had at most.
//! `peers linfa TABLE.npy kmeans` is asked by `unsupervised --compare`.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

#[cfg(feature = "burn")]
mod burn;
#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "linfa")]
mod linfa;

/// One training step; true asks that the loss is read, which waits for all steps before.
type Step = Box<dyn FnMut(bool) -> Result<f32, String>>;

/// The learning rate of Adam, everywhere.
#[cfg(any(feature = "burn", feature = "candle"))]
const RATE: f64 = 1e-3;

/// Labels as anygrad's workloads have them.
#[cfg(any(feature = "burn", feature = "candle"))]
fn labels(count: usize, classes: usize) -> Vec<i64> {
    (0..count).map(|i| ((i * 7919) % classes) as i64).collect()
}

/// Builds a workload.
fn build(peer: &str, workload: &str) -> Result<Step, String> {
    match peer {
        #[cfg(feature = "burn")]
        "burn-flex" | "burn-vulkan" => burn::build(peer, workload),
        #[cfg(feature = "candle")]
        "candle" => candle::build(workload),
        _ => Err(format!("{peer} has no {workload}")),
    }
}

/// A workload that was built.
struct Running {
    step: Step,
    rate: f64,
}

impl Running {
    /// Steps per second over about this many seconds; the loss is read once, at the end.
    fn block(&mut self, seconds: f64) -> Result<f64, String> {
        let steps = (self.rate * seconds).ceil().max(1.0) as usize;
        let begin = Instant::now();
        for i in 1..=steps {
            (self.step)(i == steps)?;
        }
        self.rate = steps as f64 / begin.elapsed().as_secs_f64();
        Ok(self.rate)
    }
}

fn answer(peer: &str, line: &str, running: &mut HashMap<String, Running>) -> Result<f64, String> {
    let mut words = line.split_whitespace();
    let (Some(workload), Some(_mode), Some(seconds)) = (words.next(), words.next(), words.next()) else {
        return Err(format!("'{line}' is not WORKLOAD MODE SECONDS"));
    };
    let seconds: f64 = seconds.parse().map_err(|_| format!("'{seconds}' is not a number of seconds"))?;
    if !running.contains_key(workload) {
        let mut new = Running { step: build(peer, workload)?, rate: 1.0 };
        // Growing blocks, so that caches, allocators and the rate's guess settle; after two, a step that is longer than a block has
        // nothing to settle.
        for part in [0.0, 0.0, 0.25, 0.5] {
            if part == 0.0 || new.rate * seconds >= 1.0 {
                new.block(part * seconds)?;
            }
        }
        running.insert(workload.to_string(), new);
    }
    running.get_mut(workload).ok_or("gone")?.block(seconds)
}

/// Says when the first step is done, then how much memory it took at most.
fn first(peer: &str, workload: &str) -> Result<(), String> {
    let mut step = build(peer, workload)?;
    println!("{{\"loss\": {}}}", step(true)?);
    let _ = std::io::stdout().flush();
    for _ in 0..20 {
        step(true)?;
    }
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| line.to_string())?;
    println!("{{\"peak_bytes\": {}}}", kilobytes * 1024);
    Ok(())
}

/// The version of a crate in the lock file this was built with.
fn version(of: &str) -> Option<&'static str> {
    let (_, after) = include_str!("../Cargo.lock").split_once(&format!("name = \"{of}\"\nversion = \""))?;
    after.split('"').next()
}

fn main() {
    let peer = std::env::args().nth(1).unwrap_or_default();
    #[cfg(feature = "linfa")]
    if let ("linfa", Some(path), Some(task)) = (peer.as_str(), std::env::args().nth(2), std::env::args().nth(3)) {
        match linfa::run(path.as_ref(), &task) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("{error}"),
        }
        return;
    }
    let known = match peer.as_str() {
        "burn-flex" => cfg!(feature = "burn"),
        "burn-vulkan" => cfg!(feature = "burn-wgpu"),
        "candle" => cfg!(feature = "candle"),
        _ => false,
    };
    if !known {
        println!("{{\"error\": \"'{peer}' is not built in\"}}");
        return;
    }
    if let (Some("--first"), Some(workload)) = (std::env::args().nth(2).as_deref(), std::env::args().nth(3)) {
        if let Err(error) = first(&peer, &workload) {
            println!("{{\"error\": {error:?}}}");
        }
        return;
    }
    let package = if peer == "candle" { "candle-core" } else { "burn" };
    let shaders = match (peer.as_str(), cfg!(feature = "burn-vulkan")) {
        ("burn-vulkan", true) => ", SPIR-V",
        ("burn-vulkan", false) => ", WGSL",
        _ => "",
    };
    println!("{{\"version\": \"{package} {}{shaders}\"}}", version(package).unwrap_or("?"));
    let _ = std::io::stdout().flush();
    let mut running = HashMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match answer(&peer, &line, &mut running) {
            Ok(rate) => println!("{{\"steps_per_s\": {rate}}}"),
            Err(error) => println!("{{\"error\": {:?}}}", error),
        }
        let _ = std::io::stdout().flush();
    }
}
