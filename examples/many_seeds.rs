//! Many agents learn at once, each from its own seed: a learning curve with an honest band, from one run.
//!
//!     cargo run --release --example many_seeds -- --device cpu --seeds 32 --out curve.csv
//!
//! Prints (and writes as CSV) the mean return over the seeds and the 95 % interval of that mean.

use std::fmt::Write;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Ppo, PpoConfig};

fn main() -> Exit {
    let options = Options::from_args("many_seeds: a learning curve with its band")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let mut config = PpoConfig { seeds: options.seeds.unwrap_or(32), steps: 100_000, ..PpoConfig::default() };
    if options.quick {
        (config.rollout, config.epochs) = (16, 2);
        config.steps = 4 * 16 * config.environments as u64;
    }
    config.steps = options.steps.unwrap_or(config.steps);
    let mut ppo = Ppo::new(CartPole, config.clone(), &device)?;
    let (mut csv, every) = (String::from("step,mean,low,high,seeds\n"), (ppo.iterations() / 20).max(1));
    // A seed without an ended episode keeps the return that it had.
    let mut returns = vec![f64::NAN; config.seeds];
    for iteration in 1..=ppo.iterations() {
        let statistics = ppo.iterate()?;
        for (kept, new) in returns.iter_mut().zip(&statistics.returns).filter(|(_, new)| new.is_finite()) {
            *kept = *new;
        }
        if iteration % every != 0 {
            continue;
        }
        let known: Vec<f64> = returns.iter().copied().filter(|x| x.is_finite()).collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let variance = known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = 1.96 * (variance / n).sqrt();
        println!("step {:>7}: return {mean:6.1} +- {half:.1} of {n} seeds", ppo.steps_done());
        let _ = writeln!(csv, "{},{mean},{},{},{n}", ppo.steps_done(), mean - half, mean + half);
    }
    if let Some(path) = &options.out {
        checkpoint::write_whole(path, csv.as_bytes())?;
    }
    Ok(())
}
