//! Environment steps per second: CartPole alone (`step`) and PPO with two networks 4-64-64 (`ppo`).
//!
//!     cargo run --release -p anygrad-benches --bin reinforcement -- [step|ppo] [--environments N] [--rollout N] [--profile]
//!
//! Wall and CPU seconds are both told: on a machine that does other work, the second is the one to compare. `--profile`
//! prints the time of each kernel of PPO's programs instead.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Ppo, PpoConfig, VectorEnvironment};

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

fn ppo(n: usize, rollout: usize, profile: bool, device: &Device) -> Result<()> {
    let config = PpoConfig { environments: n, rollout, steps: 100_000_000, ..PpoConfig::default() };
    let mut ppo = Ppo::new(CartPole, config, device)?;
    if profile {
        println!("{}", ppo.profile()?);
        return Ok(());
    }
    ppo.iterate()?;
    let (begin, cpu, first) = (Instant::now(), cpu_seconds(), ppo.steps_done());
    while begin.elapsed().as_secs_f64() < 5.0 {
        ppo.iterate()?;
    }
    let name = format!("PPO, {n} environments, rollouts of {rollout}");
    told(&name, (ppo.steps_done() - first) as f64, begin, cpu);
    Ok(())
}

fn main() -> Exit {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| -> Option<usize> {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let wanted = |name: &str| !words.iter().any(|w| w == "step" || w == "ppo") || words.iter().any(|w| w == name);
    let profile = words.iter().any(|word| word == "--profile");
    let device = Device::open("best")?;
    println!("device: {device}");
    device.seed(1)?;
    if wanted("step") {
        step(number("--environments").unwrap_or(4096), &device)?;
    }
    if wanted("ppo") {
        ppo(number("--environments").unwrap_or(2048), number("--rollout").unwrap_or(128), profile, &device)?;
    }
    Ok(())
}
