//! Environment steps per second: CartPole alone (`step`), PPO with two networks 4-64-64 (`ppo`), and the same PPO beside PyTorch and
//! Stable-Baselines3 (`compare`: in turns, ours with tracing and compilation, theirs without their start; medians and ratios).
//!
//!     cargo run --release -p anygrad-benches --bin reinforcement -- [step|ppo] [--device gpu] [--seeds N] [--environments N] [--rollout N] [--minibatches N]
//!     cargo run --release -p anygrad-benches --bin reinforcement -- compare [--python PYTHON] [--steps N] [--peers torch,sb3]
//!
//! Wall and CPU seconds are both told: on a machine that does other work, the second is the one to compare. `--profile`
//! prints the time of each kernel of PPO's programs instead, and `--learn STEPS` what five seeds have learned after so many steps.
//! PPO makes rollouts of 32 steps and four passes in 16 minibatches: what 4,096 steps need stays in caches.

use std::process::Command;
use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Ppo, PpoConfig, VectorEnvironment, evaluate};

/// CPU seconds of this process (Linux; NaN elsewhere).
fn cpu_seconds() -> f64 {
    let read = || -> Option<f64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // After the name in brackets: state is the first word, user and system ticks the 12th and 13th.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: f64 = words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?;
        Some(ticks / 100.0)
    };
    read().unwrap_or(f64::NAN)
}

fn told(name: &str, steps: f64, begin: Instant, cpu: f64) {
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{name}: {:.3e} steps per second, {:.3e} per CPU second ({wall:.2} s)", steps / wall, steps / cpu);
}

/// Random pushes, 64 steps per run; only the number of ended episodes is kept.
fn step(n: usize, device: &Device) -> Result<()> {
    const STEPS: usize = 64;
    let worlds = VectorEnvironment::new(std::sync::Arc::new(CartPole), n, device)?;
    let mut program = Program::inference(device, |()| {
        let mut ended = Tensor::zeros(&[n], device);
        for _ in 0..STEPS {
            let action = Tensor::randint(&[n], 0, 2, device);
            ended = ended + worlds.step(&action).done().cast(DType::F32);
        }
        ended.sum(..)
    });
    program.run(())?.item()?;
    let (begin, cpu, runs) = (Instant::now(), cpu_seconds(), 1 + 12_000_000 / (n * STEPS));
    let mut ended = program.run(())?;
    for _ in 1..runs {
        ended = program.run(())?;
    }
    ended.item()?;
    told(&format!("CartPole, {n} environments"), (runs * n * STEPS) as f64, begin, cpu);
    Ok(())
}

/// What PPO with these numbers learns: the mean return of 100 episodes of the likeliest actions, for five seeds.
fn learn(config: &PpoConfig, steps: u64, device: &Device) -> Result<()> {
    let config = PpoConfig { steps, ..config.clone() };
    println!("{config:?}");
    for seed in 0..5 {
        device.seed(seed)?;
        let (begin, mut last) = (Instant::now(), f64::NAN);
        let mut ppo = Ppo::new(CartPole, config.clone(), device)?;
        ppo.train(&mut |event: &Event<'_>| {
            if let Event::Epoch(record) = event {
                last = record.get("return").unwrap_or(last);
            }
            Ok(Flow::Continue)
        })?;
        let time = begin.elapsed().as_secs_f64();
        let returns = evaluate(&ppo.agent().actor, CartPole, 100, 500, device)?.concat();
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        println!(
            "seed {seed} return {mean:.1} (at the end of training {last:.1}), {} steps, {time:.1} s",
            ppo.steps_done()
        );
    }
    Ok(())
}

fn ppo(config: PpoConfig, profile: bool, device: &Device) -> Result<()> {
    let PpoConfig { seeds, environments: n, rollout, minibatches, .. } = config;
    let begin = Instant::now();
    let mut ppo = Ppo::new(CartPole, config, device)?;
    if profile {
        println!("{}", ppo.profile()?);
        return Ok(());
    }
    ppo.iterate()?;
    println!("first iteration, with tracing and compilation: {:.2} s", begin.elapsed().as_secs_f64());
    let (begin, cpu, first) = (Instant::now(), cpu_seconds(), ppo.steps_done());
    while begin.elapsed().as_secs_f64() < 5.0 {
        ppo.iterate()?;
    }
    let name = format!("PPO, {seeds} seeds, {n} environments, rollouts of {rollout}, {minibatches} minibatches");
    told(&name, ((ppo.steps_done() - first) * seeds as u64) as f64, begin, cpu);
    Ok(())
}

/// The rate that a peer tells.
fn peer(python: &str, name: &str, steps: usize, shape: (usize, usize)) -> Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/torch/ppo.py");
    let fail = |message: String| Error::data(format!("{python} {script}"), message);
    let numbers = [("--steps", steps), ("--environments", shape.0), ("--rollout", shape.1)];
    let numbers = numbers.map(|(name, number)| [name.to_string(), number.to_string()]).concat();
    let command = Command::new(python).arg(script).args(["--peer", name]).args(numbers).output();
    let output = command.map_err(|error| fail(format!("it could not be started: {error}; give --python")))?;
    if !output.status.success() {
        return Err(fail(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let told: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| fail(format!("no JSON: {error}")))?;
    told["steps_per_s"].as_f64().ok_or_else(|| fail(format!("no rate in {told}")))
}

/// Ours and the peers' in three turns, so that what slows the machine down hits all.
fn compare(python: &str, peers: &str, steps: usize, shape: (usize, usize), device: &Device) -> Result<()> {
    let (environments, rollout) = shape;
    let mut rates: Vec<(&str, Vec<f64>)> =
        std::iter::once("anygrad").chain(peers.split(',')).map(|name| (name, Vec::new())).collect();
    for turn in 0..3 {
        for (name, list) in &mut rates {
            let rate = if *name == "anygrad" {
                let config = PpoConfig { environments, rollout, steps: steps as u64, ..PpoConfig::default() };
                let begin = Instant::now();
                let mut ppo = Ppo::new(CartPole, config, device)?;
                ppo.train(&mut |_: &Event<'_>| Ok(Flow::Continue))?;
                ppo.steps_done() as f64 / begin.elapsed().as_secs_f64()
            } else {
                // They are slower: a part of the steps is enough.
                peer(python, name, steps / 20, shape)?
            };
            println!("turn {turn}, {name}: {rate:.0} steps/s");
            list.push(rate);
        }
    }
    let median = |list: &[f64]| {
        let mut sorted = list.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    for (name, list) in &rates[1..] {
        let ratios: Vec<f64> = rates[0].1.iter().zip(list).map(|(ours, theirs)| ours / theirs).collect();
        let (ours, theirs, ratio) = (median(&rates[0].1), median(list), median(&ratios));
        println!(
            "{environments} environments x {rollout}: anygrad {ours:.0}, {name} {theirs:.0} steps/s, ratio {ratio:.1}"
        );
    }
    Ok(())
}

fn main() -> Exit {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| -> Option<usize> {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let text = |name: &str, default: &'static str| -> String {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)).cloned().unwrap_or_else(|| default.into())
    };
    let modes = ["step", "ppo", "compare"];
    let any = words.iter().any(|word| modes.contains(&word.as_str()));
    let wanted = |name: &str| words.iter().any(|word| word == name) || (!any && name != "compare");
    let profile = words.iter().any(|word| word == "--profile");
    let device = Device::open(&text("--device", "best"))?;
    println!("device: {device}");
    device.seed(1)?;
    if wanted("step") {
        step(number("--environments").unwrap_or(4096), &device)?;
    }
    if wanted("ppo") {
        let sizes = [("--seeds", 1), ("--environments", 2048), ("--rollout", 32), ("--minibatches", 16)];
        let [seeds, environments, rollout, minibatches] = sizes.map(|(name, default)| number(name).unwrap_or(default));
        let steps = 1_000_000_000_000;
        let config = PpoConfig { seeds, environments, rollout, minibatches, steps, ..PpoConfig::default() };
        match number("--learn") {
            Some(steps) => learn(&config, steps as u64, &device)?,
            None => ppo(config, profile, &device)?,
        }
    }
    if wanted("compare") {
        let shape = (number("--environments").unwrap_or(4), number("--rollout").unwrap_or(128));
        let steps = number("--steps").unwrap_or(500_000);
        compare(&text("--python", "python3"), &text("--peers", "torch,sb3"), steps, shape, &device)?;
    }
    Ok(())
}
