//! Agents learn to swing a pendulum up with soft actor-critic.
//!
//!     cargo run --release --example sac_pendulum -- --device cpu --seeds 5

use std::time::Instant;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::Pendulum;
use anygrad::reinforcement::{Sac, SacConfig, evaluate};

fn main() -> Exit {
    let options = Options::from_args("sac_pendulum: learn to swing a pendulum up")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let mut config = SacConfig { learning_rate: 1e-3, hidden: vec![64, 64], ..SacConfig::default() };
    config.common.seeds = options.seeds.unwrap_or(1);
    config.common.steps = options.steps.unwrap_or(if options.quick { 200 } else { 20_000 });
    config.common.capacity = config.common.steps as usize;
    println!("device: {device}\n{config:?}");

    let (seeds, start) = (config.common.seeds, Instant::now());
    let mut sac = Sac::new(Pendulum, config, &device)?;
    sac.train(2_000, &mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            let temperature = value("temperature");
            println!("step {}: return {:.1}, temperature {temperature:.3}", record.step, value("return"));
        }
        Ok(Flow::Continue)
    })?;
    let time = start.elapsed().as_secs_f64();
    if let Some(path) = &options.out {
        sac.save(path)?;
    }
    let (episodes, limit) = if options.quick { (4, 50) } else { (100, 200) };
    let returns = evaluate(sac.learner(), Pendulum, episodes, limit, &device)?;
    for (seed, returns) in returns.iter().enumerate() {
        println!("seed {seed} return {:.1}", returns.iter().sum::<f64>() / returns.len() as f64);
    }
    let steps = sac.steps_done() * seeds as u64;
    println!("{steps} steps of {seeds} seeds in {time:.1} s: {:.0} steps/s", steps as f64 / time);
    Ok(())
}
