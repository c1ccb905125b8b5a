//! anygrad against its peers, block by block in turn, so that what slows the machine down hits all of them:
//! `cargo run --release -p anygrad-benches --bin compare -- --device cpu --peers torch,burn-flex --json FILE`.
//!
//! First anygrad and PyTorch train from the same weights on the same data; the losses must agree. A peer that is
//! not there is said to be absent. One Markdown table goes to standard output; the file gets all blocks' rates and
//! `ratios`, anygrad over the best peer. Last, each framework is started a few times: how long until its first step is done,
//! how much memory it takes at most (`--start w2`, or `--start none`). `--limit 170` is how many seconds a peer may take for
//! one answer and for one workload's blocks: what is slower has fewer blocks, or none, and the table says so.

use std::time::{Duration, Instant};

use anygrad::prelude::*;
use anygrad_benches::machine::{load, processor, unix_time};
use anygrad_benches::measure::{Running, Spread, read};
use anygrad_benches::peer::{self, Peer};
use anygrad_benches::start::{Start, peak_bytes, start};
use anygrad_benches::workloads::{USUAL, WORKLOADS, Workload};
use serde_json::{Map, Value, json};

/// Steps of the check, and how far from the right losses anygrad's may be, relatively; the median over seeds counts:
/// Adam's first step has the gradient's sign, so a weight whose gradient is all rounding may go the other way and move
/// the losses by a hundredth. That befalls every float32 now and then (benches/README.md shows one).
const CHECKED: usize = 20;
const TOLERANCE: f64 = 1e-3;
const SEEDS: u64 = 3;

/// What can go wrong here: a device, a file, an argument.
type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Wanted {
    device: String,
    workloads: Vec<String>,
    peers: Vec<String>,
    blocks: usize,
    seconds: f64,
    json: Option<String>,
    start: String,
    check: bool,
    seed: u64,
    limit: f64,
}

fn options() -> Outcome<Wanted> {
    let list = |text: &str| text.split(',').map(str::to_string).collect::<Vec<_>>();
    let mut o = Wanted {
        device: "cpu".into(),
        workloads: list(USUAL),
        peers: list("torch,burn-flex,candle"),
        blocks: 7,
        seconds: 0.5,
        json: None,
        start: "w2".into(),
        check: true,
        seed: 0,
        limit: 170.0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--no-check" {
            o.check = false;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--device" => o.device = value,
            "--workloads" => o.workloads = list(&value),
            "--peers" => o.peers = list(&value),
            "--blocks" => o.blocks = value.parse()?,
            "--seconds" => o.seconds = value.parse()?,
            "--seed" => o.seed = value.parse()?,
            "--limit" => o.limit = value.parse()?,
            "--json" => o.json = Some(value),
            "--start" => o.start = value,
            _ => return Err(format!("no option {name}").into()),
        }
    }
    if o.start != "none" && WORKLOADS.iter().all(|w| w.name != o.start) {
        return Err(format!("no workload {}", o.start).into());
    }
    if let Some(name) = o.workloads.iter().find(|name| WORKLOADS.iter().all(|w| w.name != **name)) {
        return Err(format!("no workload {name}").into());
    }
    Ok(o)
}

/// How far losses are from those of PyTorch in float64, relatively, at worst: anygrad's and PyTorch's own in float32.
#[derive(Clone, Copy)]
struct Apart {
    ours: f64,
    theirs: f64,
}

/// Trains both from the same weights on the same data, those that this seed gives.
fn check(workload: &Workload, device: &Device, torch: &mut Peer, seed: u64) -> Outcome<(Apart, Value)> {
    device.seed(seed)?;
    let mut built = (workload.build)(device)?;
    let mut all: Vec<_> = built.parameters.iter().enumerate().map(|(i, p)| (format!("p{i:03}"), p.clone())).collect();
    all.push(("x".into(), Var::new("x", &built.data.0)));
    all.push(("y".into(), Var::new("y", &built.data.1)));
    let path = std::env::temp_dir().join(format!("anygrad-{}-{}.safetensors", workload.name, std::process::id()));
    checkpoint::save_named(&path, &all)?;
    let file = path.display().to_string();
    let exact = torch.losses(workload.name, &file, CHECKED, "float64");
    let rounded = torch.losses(workload.name, &file, CHECKED, "");
    std::fs::remove_file(&path)?;
    let (exact, rounded, mut losses) = (exact?, rounded?, Vec::new());
    let mut apart = Apart { ours: 0.0, theirs: 0.0 };
    for (exact, their) in exact.iter().zip(&rounded) {
        let our = (built.step)()?.item()?;
        if !our.is_finite() {
            return Err(format!("a loss is {our}").into());
        }
        losses.push(our);
        apart.ours = apart.ours.max((our - exact).abs() / exact.abs());
        apart.theirs = apart.theirs.max((their - exact).abs() / exact.abs());
    }
    Ok((apart, json!({"anygrad": losses, "torch": rounded, "torch float64": exact})))
}

/// One that is measured: who, how, and its blocks' rates.
struct Entry {
    label: String,
    peer: usize,
    mode: String,
    rates: Vec<f64>,
    /// Seconds that its blocks of this workload have taken.
    taken: f64,
}

/// What a framework's process of its own says after one step, and after twenty more (see `anygrad_benches::start`).
fn first(workload: &str, device: &str) -> Outcome<()> {
    let device = Device::open(device)?;
    let workload = WORKLOADS.iter().find(|w| w.name == workload).ok_or("no such workload")?;
    let mut built = (workload.build)(&device)?;
    println!("{}", json!({"loss": read(&(built.step)()?)?}));
    for _ in 0..20 {
        read(&(built.step)()?)?;
    }
    println!("{}", json!({"peak_bytes": peak_bytes()}));
    Ok(())
}

/// Starts each framework three times in turn; medians of the times, the greatest memory.
fn starts(o: &Wanted, torch_device: &str, entries: &[Entry], peers: &[(String, Peer)]) -> Outcome<(String, Value)> {
    let mut all: Vec<(String, Vec<Start>)> = vec![("anygrad".into(), Vec::new())];
    all.extend(entries.iter().map(|e| (e.label.clone(), Vec::new())));
    for _ in 0..3 {
        for (k, (label, found)) in all.iter_mut().enumerate() {
            let mut command = if k == 0 {
                let mut command = std::process::Command::new(std::env::current_exe()?);
                command.args(["--first", &o.start, &o.device]);
                command
            } else {
                let mut command = peer::command(&peers[entries[k - 1].peer].0, torch_device)?;
                command.args(["--first", &o.start]);
                if peers[entries[k - 1].peer].0 == "torch" {
                    command.args(["--modes", &entries[k - 1].mode]);
                }
                command
            };
            match start(&mut command) {
                Ok(start) => found.push(start),
                Err(why) => println!("{label} did not start: {why}"),
            }
        }
    }
    let mut table = format!("\n| {} | first step after | peak memory |\n|---|---|---|\n", o.start);
    let mut rows = Map::new();
    for (label, found) in all {
        let spread = |of: fn(&Start) -> f64| Spread::of(&found.iter().map(of).collect::<Vec<_>>());
        let (Some(seconds), Some(bytes)) = (spread(|s| s.seconds), spread(|s| s.peak_bytes)) else { continue };
        table += &format!("| {label} | {:.2} s | {:.0} MB |\n", seconds.median, bytes.max / 1e6);
        rows.insert(label, json!({"first_step_s": seconds.median, "peak_bytes": bytes.max}));
    }
    Ok((table, json!({"workload": o.start, "frameworks": rows})))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, workload, device] = &arguments[..]
        && flag == "--first"
    {
        return first(workload, device);
    }
    let o = options()?;
    let device = Device::open(&o.device)?;
    let torch_device = if device.to_string().to_lowercase().contains("cpu") { "cpu" } else { "cuda" };
    let (mut peers, mut entries, mut absent) = (Vec::new(), Vec::new(), Map::new());
    let before = load();
    println!("{}; anygrad on {device}; load before: {before}", processor());
    for name in &o.peers {
        let (program, modes): (&str, &[&str]) = match name.as_str() {
            "torch" => ("torch", &["eager", "fused"]),
            "torch-compile" => ("torch", &["compile"]),
            other => (other, &[other]),
        };
        match Peer::start(program, torch_device, Duration::from_secs_f64(o.limit)) {
            Ok(peer) => {
                println!("{name}: {}", peer.version);
                for mode in modes {
                    let label = if program == "torch" { format!("torch {mode}") } else { name.clone() };
                    entries.push(Entry {
                        label,
                        peer: peers.len(),
                        mode: (*mode).into(),
                        rates: Vec::new(),
                        taken: 0.0,
                    });
                }
                peers.push((program.to_string(), peer));
            }
            Err(why) => {
                println!("{name}: absent: {why}");
                absent.insert(name.clone(), why.into());
            }
        }
    }
    let labels: Vec<_> = entries.iter().map(|e| e.label.clone()).collect();
    let mut table = format!("\n| steps/s | anygrad | {} | anygrad / best peer |\n", labels.join(" | "));
    table += &format!("|---|{}\n", "---|".repeat(entries.len() + 2));
    let (mut rows, mut ratios, mut wrong) = (Map::new(), Map::new(), Vec::new());
    // What has no number in the table, and why.
    let mut absences: Vec<String> = absent.iter().map(|(name, why)| format!("{name} is absent: {why}")).collect();
    for workload in WORKLOADS.iter().filter(|w| o.workloads.iter().any(|name| name == w.name)) {
        let mut checked = Value::Null;
        match peers.iter_mut().find(|(program, _)| program == "torch") {
            Some((_, torch)) if o.check && workload.operations.is_none() => {
                // A step of W5 takes seconds, in float64 more.
                let seeds = o.seed..o.seed + if workload.name == "w5" { 1 } else { SEEDS };
                match seeds.map(|seed| check(workload, &device, torch, seed)).collect::<Outcome<Vec<_>>>() {
                    Ok(checks) => {
                        let apart = |of: fn(&Apart) -> f64| {
                            let all: Vec<_> = checks.iter().map(|(apart, _)| of(apart)).collect();
                            Spread::of(&all).map_or(f64::NAN, |spread| spread.median)
                        };
                        let (ours, theirs) = (apart(|a| a.ours), apart(|a| a.theirs));
                        let right = ours <= TOLERANCE;
                        let verdict = if right { "right" } else { "WRONG" };
                        let words = format!("{ours:.1e} from float64's, PyTorch's {theirs:.1e}: {verdict}");
                        println!("{}: {CHECKED} losses are {words}", workload.name);
                        checked = checks.into_iter().map(|(_, losses)| losses).collect();
                        if !right {
                            wrong.push(format!("{}: losses are {words}", workload.name));
                        }
                    }
                    Err(error) => wrong.push(format!("{}: no comparison of losses: {error}", workload.name)),
                }
            }
            _ => println!("{}: losses are not compared", workload.name),
        }
        device.seed(o.seed)?;
        let mut ours = match (workload.build)(&device).and_then(|built| Running::warm(built, o.seconds)) {
            Ok(ours) => ours,
            Err(error) => {
                println!("{}: anygrad failed: {error}", workload.name);
                wrong.push(format!("{}: {error}", workload.name));
                continue;
            }
        };
        let mut our_rates = Vec::new();
        let mut failed = Map::new();
        for entry in &mut entries {
            entry.rates.clear();
            entry.taken = 0.0;
        }
        // The first round lets the peers build and warm up; its rates are dropped.
        for round in 0..=o.blocks {
            let rate = ours.block(o.seconds)?;
            if round > 0 {
                our_rates.push(rate);
            }
            // A single operation has no optimizer to fuse and nothing to compile.
            let same = |e: &Entry| workload.operations.is_none() || e.mode == "eager" || !e.label.starts_with("torch");
            for entry in entries.iter_mut().filter(|e| same(e)) {
                // One block at least, however slow it is.
                let enough = entry.taken > o.limit && !entry.rates.is_empty();
                if enough || failed.contains_key(&entry.label) {
                    continue;
                }
                let begin = Instant::now();
                let answer = peers[entry.peer].1.block(workload.name, &entry.mode, o.seconds);
                entry.taken += begin.elapsed().as_secs_f64();
                match answer {
                    Ok(rate) if round > 0 => entry.rates.push(rate),
                    Ok(_) => {}
                    Err(why) => {
                        println!("{}: {} failed: {why}", workload.name, entry.label);
                        absences.push(format!("{}, {}: {why}", workload.name, entry.label));
                        entry.rates.clear();
                        failed.insert(entry.label.clone(), why.into());
                    }
                }
                // Its threads may spin for a moment.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let our = Spread::of(&our_rates).ok_or("--blocks must be at least 1")?;
        let rate = workload.operations.map(|n| format!(" = {:.0} GFLOP/s", our.median * n / 1e9)).unwrap_or_default();
        table += &format!("| {} | {our}{rate} |", workload.name);
        let mut row = Map::from_iter([("anygrad".to_string(), json!(our_rates))]);
        let mut best: Option<(f64, &Entry)> = None;
        for entry in &entries {
            match Spread::of(&entry.rates) {
                Some(spread) => {
                    let fewer = match entry.rates.len() {
                        all if all == o.blocks => String::new(),
                        1 => ", one block".into(),
                        some => format!(", {some} blocks"),
                    };
                    table += &format!(" {spread}{fewer} |");
                    row.insert(entry.label.clone(), json!(entry.rates));
                    if best.is_none_or(|(rate, _)| spread.median > rate) {
                        best = Some((spread.median, entry));
                    }
                }
                None => table += " - |",
            }
        }
        let pairs = best.map(|(_, e)| our_rates.iter().zip(&e.rates).map(|(a, b)| a / b).collect::<Vec<_>>());
        match (best, pairs.and_then(|pairs| Spread::of(&pairs))) {
            (Some((_, entry)), Some(ratio)) => {
                table += &format!(" {ratio} of {} |\n", entry.label);
                let (median, min, max) = (ratio.median, ratio.min, ratio.max);
                let value = json!({"ratio": median, "min": min, "max": max, "peer": entry.label});
                ratios.insert(workload.name.into(), value);
            }
            _ => table += " no peer |\n",
        }
        let (kernels, memory) = (ours.built.kernels.len(), ours.built.memory.peak());
        let host = ours.host(o.seconds)?;
        let row = json!({
            "steps_per_s": row, "failed": failed, "losses": checked, "kernels": kernels, "bytes": memory,
            "operations": workload.operations, "host_us_per_step": host.map(|host| host.seconds() * 1e6),
        });
        rows.insert(workload.name.into(), row);
    }
    let (begun, started) =
        if o.start == "none" { (String::new(), Value::Null) } else { starts(&o, torch_device, &entries, &peers)? };
    table += &begun;
    absences.iter().for_each(|line| table += &format!("\n{}\n", line.lines().next().unwrap_or_default()));
    println!(
        "{table}\nMedians of {} blocks of {} s each, in turn; in brackets the least and the greatest.",
        o.blocks, o.seconds
    );
    if let Some(path) = &o.json {
        let versions: Map<_, _> = peers.iter().map(|(name, peer)| (name.clone(), json!(peer.version))).collect();
        let report = json!({
            "ratios": ratios, "workloads": rows, "start": started, "peers": versions, "absent": absent, "wrong": wrong,
            "machine": processor(), "device": device.to_string(), "unix_time": unix_time(),
            "load_before": before, "load_after": load(), "blocks": o.blocks, "seconds": o.seconds,
        });
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
        std::fs::write(std::path::Path::new(path).with_extension("md"), format!("{}; {device}\n{table}", processor()))?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}
