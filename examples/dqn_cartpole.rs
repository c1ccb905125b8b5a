//! Agents learn to balance a pole with deep Q-learning: replay, target network and exploration stay on the device.
//!
//!     cargo run --release --example dqn_cartpole -- --device cpu --seeds 5

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Dqn, DqnConfig, evaluate};

fn main() -> Exit {
    let options = Options::from_args("dqn_cartpole: learn to balance a pole by values")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let mut config = DqnConfig::default();
    config.common.seeds = options.seeds.unwrap_or(1);
    config.common.steps = options.steps.unwrap_or(if options.quick { 12_000 } else { 500_000 });
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.common.seeds, Instant::now());
    let mut dqn = Dqn::new(CartPole, config, &device)?;
    dqn.train(20_000, &mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            println!("step {}: return {:.1}, value {:.1}", record.step, value("return"), value("value"));
        }
        Ok(Flow::Continue)
    })?;
    let time = start.elapsed().as_secs_f64();
    if let Some(path) = &options.out {
        dqn.save(path)?;
    }
    let returns = evaluate(dqn.learner(), CartPole, 100, 500, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    let steps = dqn.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
