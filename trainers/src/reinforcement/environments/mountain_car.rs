//! [`MountainCar`] and [`MountainCarContinuous`]: a car too weak for its hill.

use anygrad_core::{Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

const LEFT: f64 = -1.2;
const RIGHT: f64 = 0.6;
const SPEED: f64 = 0.07;
const GRAVITY: f64 = 0.0025;

/// Drive up a hill by swinging back and forth: push left, not at all, or right (0, 1, 2). State and observation: position,
/// velocity. Reward -1 per step; the episode ends at position 0.5 and is cut off after 200 steps.
///
/// Sources: Moore, "Efficient memory-based learning for robot control" (1990); numbers are those of Gymnasium's `MountainCar-v0`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountainCar;

/// The same hill with a push in -1..1. Reward 100 at position 0.45, less `0.1 push²` per step; cut off after 999 steps.
///
/// Source: Gymnasium's `MountainCarContinuous-v0`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountainCarContinuous;

fn start(n: usize, device: &Device) -> Vec<Tensor> {
    let position = Tensor::uniform(&[n], -0.6, -0.4, device);
    vec![position.clone(), position.zeros_like()]
}

/// Position and velocity after a step with this acceleration.
fn roll(state: &[Tensor], push: &Tensor) -> [Tensor; 2] {
    let speed = (&state[1] + push - (&state[0] * 3.0).cos() * GRAVITY).clamp(-SPEED, SPEED);
    let position = (&state[0] + &speed).clamp(LEFT, RIGHT);
    let wall = position.le(LEFT).logical_and(&speed.lt(0.0));
    [position, wall.select(0.0, &speed)]
}

impl Environment for MountainCar {
    fn name(&self) -> &str {
        "MountainCar"
    }

    fn observation_space(&self) -> Space {
        Space::Box { shape: vec![2], low: vec![LEFT, -SPEED], high: vec![RIGHT, SPEED] }
    }

    fn action_space(&self) -> Space {
        Space::Discrete(3)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(200)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        start(n, device)
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        Tensor::stack(state, -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let [position, speed] = roll(state, &((action.cast(state[0].dtype()) - 1.0) * 0.001));
        let terminated = position.ge(0.5).logical_and(&speed.ge(0.0));
        Step { reward: position.full_like(-1.0), terminated, state: vec![position, speed] }
    }
}

impl Environment for MountainCarContinuous {
    fn name(&self) -> &str {
        "MountainCarContinuous"
    }

    fn observation_space(&self) -> Space {
        MountainCar.observation_space()
    }

    fn action_space(&self) -> Space {
        Space::symmetric(&[1.0])
    }

    fn time_limit(&self) -> Option<usize> {
        Some(999)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        start(n, device)
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        Tensor::stack(state, -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let push = action.index_axis(1, 0);
        let [position, speed] = roll(state, &(push.clamp(-1.0, 1.0) * 0.0015));
        let terminated = position.ge(0.45).logical_and(&speed.ge(0.0));
        let prize = terminated.select(position.full_like(100.0), position.full_like(0.0));
        Step { reward: prize - push.square() * 0.1, terminated, state: vec![position, speed] }
    }
}
