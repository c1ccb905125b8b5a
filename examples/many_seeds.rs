//! Many agents learn at once, each from its own seed: a learning curve with an honest band, from one run.
//!
//!     cargo run --release --example many_seeds -- --device cpu --seeds 32 --out curve.html
//!
//! Prints (and draws, in an HTML page) the mean return over the seeds and the 95 % interval of that mean.

use anygrad::events::Record;
use anygrad::prelude::*;
use anygrad::reinforcement::environments::CartPole;
use anygrad::reinforcement::{Interval, Ppo, PpoConfig};
use anygrad::report::Html;

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
    let every = (ppo.iterations() / 20).max(1);
    let mut page = options.out.as_ref().map(|path| Html::new(path).titled("CartPole, many seeds"));
    let mut tell = |event: Event<'_>| page.as_mut().map_or(Ok(Flow::Continue), |page| page.on(&event));
    tell(Event::Begin { label: "many seeds", step: 0, steps: Some(config.steps) })?;
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
        let Interval { mean, low, high, count } = Interval::of(&returns);
        println!("step {:>7}: return {mean:6.1} ({low:.1} .. {high:.1}) of {count} seeds", ppo.steps_done());
        let values = [("return", mean), ("return.low", low), ("return.high", high)];
        tell(Event::Epoch(Record { epoch: iteration, step: ppo.steps_done(), values: &values }))?;
    }
    tell(Event::End { step: ppo.steps_done(), reason: "done" })?;
    Ok(())
}
