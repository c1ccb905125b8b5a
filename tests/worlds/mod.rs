//! What several tests of reinforcement learning share.
#![allow(dead_code, reason = "none of the tests uses all of it")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use anygrad::prelude::*;
use anygrad::reinforcement::{Actor, DqnConfig, Environment, Layers, evaluate};

pub(crate) fn device(seed: u64) -> Device {
    let device = Device::cpu();
    device.seed(seed).expect("a seed");
    device
}

/// All tests share one CPU and its random numbers: one after the other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn small_dqn(steps: u64) -> DqnConfig {
    let mut config =
        DqnConfig { learning_rate: 3e-3, layers: Layers::relu(&[32]), target_every: 20, ..DqnConfig::default() };
    config.common.seeds = 2;
    config.common.steps = steps;
    config.common.warm_up = 200;
    config.common.frequency = 4;
    config.common.capacity = 2000;
    config.common.batch = 64;
    config
}

pub(crate) fn bits(list: &[f64]) -> Vec<u64> {
    list.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn silent(_: &Event<'_>) -> Result<Flow> {
    Ok(Flow::Continue)
}

/// Every seed reaches this mean return.
#[track_caller]
pub(crate) fn solved(actor: &impl Actor, world: impl Environment + 'static, at_least: f64, device: &Device) {
    let returns = evaluate(actor, world, 20, 50, device).expect("an evaluation");
    let means: Vec<f64> = returns.iter().map(|list| list.iter().sum::<f64>() / list.len() as f64).collect();
    assert!(means.iter().all(|&mean| mean >= at_least), "{means:?}, {at_least} expected");
}
