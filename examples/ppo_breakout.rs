//! Agents learn Breakout from its pixels (an image of 10x10 with 4 channels, the rules of MinAtar). A random paddle breaks about
//! half a brick per episode; a good policy clears wall after wall.
//!
//!     cargo run --release --example ppo_breakout -- --device cpu --steps 5000000
//!
//! `--snake`: the same for Snake. `--film`: an animation of an episode as film.gif.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{Breakout, Snake};
use anygrad::reinforcement::{Activation, Draw, Layers, Ppo, PpoConfig, evaluate, film};

fn main() -> Exit {
    let flags = [("--snake", "Snake instead of Breakout"), ("--film", "write an animation of an episode to film.gif")];
    let options = Options::with_flags("ppo_breakout: learn from pixels", &flags)?;
    if options.has("--snake") { learn(Snake, &options) } else { learn(Breakout, &options) }
}

fn learn<E: Draw + Copy + 'static>(world: E, options: &Options) -> Exit {
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let mut config = PpoConfig {
        seeds: options.seeds.unwrap_or(1),
        environments: 64,
        rollout: 64,
        minibatches: 8,
        steps: 5_000_000,
        learning_rate: 1e-3,
        // MinAtar's network: 16 channels of 3x3, then 128 numbers.
        layers: Layers { convolutions: vec![16], hidden: vec![128], activation: Activation::Relu, norm: false },
        ..PpoConfig::default()
    };
    if options.quick {
        (config.environments, config.rollout, config.minibatches, config.epochs) = (4, 4, 2, 1);
        config.steps = 32;
    }
    config.steps = options.steps.unwrap_or(config.steps);
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.seeds, Instant::now());
    let mut ppo = Ppo::new(world, config, &device)?;
    let every = (ppo.iterations() / 40).max(1);
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
    let (episodes, limit) = if options.quick { (4, 50) } else { (100, world.time_limit().unwrap_or(1_000)) };
    let returns = evaluate(&ppo.agent().actor, world, episodes, limit, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    if options.has("--film") {
        film(&ppo.agent().actor, world, limit, &device)?.gif("film.gif", 5)?;
    }
    let steps = ppo.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
