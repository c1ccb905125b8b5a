//! Agents learn to land a craft softly (see `Lander` for physics and reward; a good landing gives more than 200). The mean return of
//! their random actions passes 200 after about 450,000 steps; after 1,000,000 five seeds' likeliest actions earn 219 to 225.
//!
//!     cargo run --release --example ppo_lander -- --device cpu --seeds 5 --steps 1000000

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::Lander;
use anygrad::reinforcement::{Ppo, PpoConfig, evaluate, film};

fn main() -> Exit {
    let flags = [("--film", "write an animation of an episode to film.gif")];
    let options = Options::with_flags("ppo_lander: learn to land", &flags)?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    // Stable-Baselines3 zoo's numbers for its lander, but for rollouts of 256 steps instead of 1,024: minibatches are 64 as there.
    let mut config = PpoConfig {
        seeds: options.seeds.unwrap_or(1),
        steps: options.steps.unwrap_or(if options.quick { 512 } else { 1_000_000 }),
        environments: 16,
        rollout: 256,
        minibatches: 64,
        gamma: 0.999,
        lambda: 0.98,
        learning_rate: 3e-4,
        anneal: false,
        clip_value: false,
        ..PpoConfig::default()
    };
    if options.quick {
        (config.rollout, config.minibatches, config.epochs) = (16, 4, 2);
    }
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.seeds, Instant::now());
    let mut ppo = Ppo::new(Lander, config, &device)?;
    ppo.train(&mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            println!("step {}: return {:.1}, length {:.0}", record.step, value("return"), value("length"));
        }
        Ok(Flow::Continue)
    })?;
    let time = start.elapsed().as_secs_f64();
    if let Some(path) = &options.out {
        checkpoint::save(path, ppo.agent())?;
    }
    let (episodes, limit) = if options.quick { (4, 50) } else { (100, 500) };
    let returns = evaluate(&ppo.agent().actor, Lander, episodes, limit, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    if options.has("--film") {
        film(&ppo.agent().actor, Lander, limit, &device)?.gif("film.gif", 5)?;
    }
    let steps = ppo.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
