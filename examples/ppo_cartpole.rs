//! Agents learn to balance a pole with proximal policy optimisation; several seeds at once, each with its own parameters.
//!
//!     cargo run --release --example ppo_cartpole -- --device cpu --seeds 5 --steps 500000
//!
//! Prints one line per seed (the mean return of 100 episodes with the likeliest actions; 500 is the most), then the rate.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Ppo, PpoConfig, evaluate};

fn main() -> Exit {
    let options = Options::from_args("ppo_cartpole: learn to balance a pole")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    // CleanRL's numbers, but for the shape of a rollout (16 environments x 32 steps instead of 4 x 128) and for rewards, which are
    // scaled so that values are of order one: with values of about 100 one agent in a hundred ends far below what it could before.
    let config = PpoConfig {
        environments: 16,
        rollout: 32,
        normalize_rewards: true,
        seeds: options.seeds.unwrap_or(1),
        steps: options.steps.unwrap_or(if options.quick { 2_048 } else { 500_000 }),
        ..PpoConfig::default()
    };
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.seeds, Instant::now());
    let mut ppo = Ppo::new(CartPole, config, &device)?;
    let progress = Progress::new("cartpole", ppo.iterations() as usize);
    ppo.train(&mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            progress.step();
            if record.epoch.is_power_of_two() || record.epoch.is_multiple_of(200) {
                let value = |name| record.get(name).unwrap_or(f64::NAN);
                let (step, (mean, entropy)) = (record.step, (value("return"), value("entropy")));
                progress.line(format!("step {step}: return {mean:.1}, entropy {entropy:.3}"));
            }
        }
        Ok(Flow::Continue)
    })?;
    let _ = progress.finish();
    let time = start.elapsed().as_secs_f64();
    let steps = ppo.steps_done() * seeds as u64;
    if let Some(path) = &options.out {
        checkpoint::save(path, ppo.agent())?;
    }

    let (episodes, limit) = if options.quick { (4, 50) } else { (100, 500) };
    let returns = evaluate(&ppo.agent().actor, CartPole, episodes, limit, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
