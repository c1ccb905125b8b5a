//! Proximal policy optimisation of Gymnasium's other classic controls, with Stable-Baselines3 zoo's numbers for each.
//!
//!     cargo run --release --example ppo_classic -- --acrobot --device cpu --seeds 5
//!
//! `--pendulum` (the default): swing a pendulum up and hold it, 100,000 steps (20 seeds: -134 to -195). `--acrobot`: swing the lower
//! of two links above a line, 500,000 steps (five seeds: -76 to -84). `--mountain-car`: out of a valley by momentum, 1,000,000 steps;
//! `--continuous`: the same with a real force, 100,000 steps (93 to 94).

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{Acrobot, MountainCar, MountainCarContinuous, Pendulum};
use anygrad::reinforcement::{Environment, Ppo, PpoConfig, evaluate};

fn main() -> Exit {
    let flags = [
        ("--pendulum", "swing a pendulum up and hold it"),
        ("--acrobot", "swing the lower of two links above a line"),
        ("--mountain-car", "drive out of a valley by momentum"),
        ("--continuous", "the same with a real force"),
    ];
    let options = Options::with_flags("ppo_classic: classic controls", &flags)?;
    // What they share.
    let common = PpoConfig { entropy: 0.0, anneal: false, clip_value: false, ..PpoConfig::default() };
    if options.has("--acrobot") {
        let config = PpoConfig {
            environments: 16,
            rollout: 256,
            minibatches: 64,
            learning_rate: 3e-4,
            lambda: 0.94,
            steps: 500_000,
            normalize_observations: true,
            normalize_rewards: true,
            ..common
        };
        learn(Acrobot, config, 500, &options)
    } else if options.has("--continuous") {
        // Not the zoo's, whose noise depends on the state: many worlds, so that some find the prize by chance.
        let config = PpoConfig {
            environments: 64,
            rollout: 64,
            minibatches: 16,
            learning_rate: 3e-4,
            gamma: 0.999,
            lambda: 0.98,
            steps: 100_000,
            normalize_observations: true,
            normalize_rewards: true,
            ..common
        };
        learn(MountainCarContinuous, config, 999, &options)
    } else if options.has("--mountain-car") {
        let config = PpoConfig {
            environments: 16,
            rollout: 16,
            learning_rate: 3e-4,
            lambda: 0.98,
            steps: 1_000_000,
            normalize_observations: true,
            normalize_rewards: true,
            ..common
        };
        learn(MountainCar, config, 200, &options)
    } else {
        // The zoo's, but for its noise that depends on the state, its gamma of 0.9, and rewards and a rate that stay as they are.
        let config = PpoConfig {
            rollout: 1024,
            minibatches: 64,
            epochs: 10,
            learning_rate: 1e-3,
            anneal: true,
            gamma: 0.95,
            steps: 100_000,
            normalize_rewards: true,
            ..common
        };
        learn(Pendulum, config, 200, &options)
    }
}

fn learn<E: Environment + Copy + 'static>(world: E, mut config: PpoConfig, limit: usize, options: &Options) -> Exit {
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    config.seeds = options.seeds.unwrap_or(1);
    if options.quick {
        // The same with short rollouts, so that there is less to trace.
        (config.rollout, config.minibatches, config.epochs) = (16, 4, 2);
        config.steps = 2 * 16 * config.environments as u64;
    }
    config.steps = options.steps.unwrap_or(config.steps);
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.seeds, Instant::now());
    let mut ppo = Ppo::new(world, config, &device)?;
    let every = (ppo.iterations() / 20).max(1);
    ppo.train(&mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event
            && record.epoch.is_multiple_of(every)
        {
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            println!("step {}: return {:.1}, length {:.0}", record.step, value("return"), value("length"));
        }
        Ok(Flow::Continue)
    })?;
    let time = start.elapsed().as_secs_f64();
    if let Some(path) = &options.out {
        checkpoint::save(path, ppo.agent())?;
    }
    let (episodes, limit) = if options.quick { (4, limit.min(50)) } else { (100, limit) };
    let returns = evaluate(&ppo.agent().actor, world, episodes, limit, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    let steps = ppo.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
