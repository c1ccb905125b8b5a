//! Agents learn to balance a pole with deep Q-learning: replay, target network and exploration stay on the device.
//!
//! Deep Q-learning drifts: every 25,000 steps ten greedy episodes are played, and the best policy is kept for the end. Of five
//! seeds all keep one that earns 500, the most there is; their last ones earn 372 to 500.
//!
//!     cargo run --release --example dqn_cartpole -- --device cpu --seeds 5

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Best, Dqn, DqnConfig, evaluate};

fn main() -> Exit {
    let options = Options::from_args("dqn_cartpole: learn to balance a pole by values")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let mut config = DqnConfig::default();
    config.common.seeds = options.seeds.unwrap_or(1);
    // Quick: a few updates and short episodes, for a software GPU takes its time.
    let (steps, episodes, limit) = if options.quick { (400, 4, 50) } else { (500_000, 100, 500) };
    config.common.steps = options.steps.unwrap_or(steps);
    config.common.warm_up = config.common.warm_up.min(config.common.steps / 2);
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.common.seeds, Instant::now());
    let mut dqn = Dqn::new(CartPole, config, &device)?;
    let mut best = Best::new(dqn.learner().parameters());
    let mean = |returns: &[Vec<f64>]| -> Vec<f64> {
        returns.iter().map(|list| list.iter().sum::<f64>() / list.len() as f64).collect()
    };
    let mut before = u64::MAX;
    while dqn.steps_done() != before {
        before = dqn.steps_done();
        dqn.train(25_000, &mut |event: &Event<'_>| {
            let Event::Epoch(record) = event else { return Ok(Flow::Continue) };
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            println!("step {}: return {:.1}, value {:.1}", record.step, value("return"), value("value"));
            Ok(Flow::Stop)
        })?;
        best.offer(&mean(&evaluate(dqn.learner(), CartPole, episodes.min(10), limit, &device)?))?;
    }
    let time = start.elapsed().as_secs_f64();
    if let Some(path) = &options.out {
        dqn.save(path)?;
    }
    let last = mean(&evaluate(dqn.learner(), CartPole, episodes, limit, &device)?);
    best.restore();
    let kept = mean(&evaluate(dqn.learner(), CartPole, episodes, limit, &device)?);
    for (seed, (kept, last)) in kept.iter().zip(last).enumerate() {
        println!("seed {seed} return {kept:.1} (best policy kept; the last one {last:.1})");
    }
    let steps = dqn.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
