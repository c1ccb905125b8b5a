//! Your own world as ordinary Rust on the CPU: find the corridor's end in the dark. PPO learns from it like from any other.
//!
//!     cargo run --release --example custom_host_env -- --device cpu

use std::time::Duration;

use anygrad::prelude::*;
use anygrad::reinforcement::{HostConfig, HostEnvironment, HostEnvironments, HostStep, Layers, Ppo, PpoConfig, Space};

/// A corridor of 8 cells: right is 1, left is 0, the exit is at the right end; the agent sees where it is.
struct Corridor {
    place: usize,
    steps: usize,
}

const CELLS: usize = 8;

impl Corridor {
    fn seen(&self) -> Vec<f32> {
        (0..CELLS).map(|cell| f32::from(u8::from(cell == self.place))).collect()
    }
}

impl HostEnvironment for Corridor {
    fn reset(&mut self) -> Result<Vec<f32>> {
        (self.place, self.steps) = (0, 0);
        Ok(self.seen())
    }

    fn step(&mut self, action: &[f32]) -> Result<HostStep> {
        self.steps += 1;
        self.place = if action[0] == 1.0 { self.place + 1 } else { self.place.saturating_sub(1) };
        let terminated = self.place + 1 == CELLS;
        let reward = if terminated { 1.0 } else { -0.01 };
        Ok(HostStep { observation: self.seen(), reward, terminated, truncated: self.steps >= 50 })
    }
}

fn main() -> Exit {
    let options = Options::from_args("custom_host_env: PPO in a world of your own")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let steps = options.steps.unwrap_or(if options.quick { 1_024 } else { 20_480 });
    let config = PpoConfig {
        environments: 8,
        rollout: 64,
        steps,
        layers: Layers::tanh(&[32]),
        learning_rate: 3e-3,
        ..PpoConfig::default()
    };
    let worlds = HostConfig {
        name: "Corridor".into(),
        observations: Space::uniform(&[CELLS], 0.0, 1.0),
        actions: Space::Discrete(2),
        count: 8,
        threads: 2,
        timeout: Duration::from_secs(5),
    };
    let worlds = HostEnvironments::new(worlds, |_| Ok(Corridor { place: 0, steps: 0 }))?;
    let mut ppo = Ppo::on_host(worlds, config, &device)?;
    ppo.train(&mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            let value = |name| record.get(name).unwrap_or(f64::NAN);
            println!("step {}: return {:.3}, length {:.1}", record.step, value("return"), value("length"));
        }
        Ok(Flow::Continue)
    })?;
    println!("the best return is {:.2}, in {} steps", 1.0 - 0.01 * (CELLS - 2) as f64, CELLS - 1);
    Ok(())
}
