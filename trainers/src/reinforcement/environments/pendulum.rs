//! [`Pendulum`]: swing a pendulum up and keep it there.

use std::f64::consts::{PI, TAU};

use anygrad_core::{Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

const GRAVITY: f64 = 10.0;
const MASS: f64 = 1.0;
const LENGTH: f64 = 1.0;
/// Seconds per step.
const STEP: f64 = 0.05;
const SPEED: f64 = 8.0;
const TORQUE: f64 = 2.0;

/// Swing a pendulum up and keep it upright with a torque in -2..2 N m. State: angle (0 is up), angular velocity; observation:
/// cosine, sine, velocity. Reward `-(angle² + 0.1 velocity² + 0.001 torque²)`; episodes last 200 steps.
///
/// Source: Gymnasium's `Pendulum-v1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pendulum;

impl Environment for Pendulum {
    fn name(&self) -> &str {
        "Pendulum"
    }

    fn observation_space(&self) -> Space {
        Space::symmetric(&[1.0, 1.0, SPEED])
    }

    fn action_space(&self) -> Space {
        Space::symmetric(&[TORQUE])
    }

    fn time_limit(&self) -> Option<usize> {
        Some(200)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let both = Tensor::uniform(&[2, n], -1.0, 1.0, device);
        vec![both.index_axis(0, 0) * PI, both.index_axis(0, 1)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        Tensor::stack(&[state[0].cos(), state[0].sin(), state[1].clone()], -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let (angle, speed) = (&state[0], &state[1]);
        let torque = action.index_axis(1, 0).clamp(-TORQUE, TORQUE);
        let turns = ((angle + PI) / TAU).floor();
        let from_top = angle - turns * TAU;
        let cost = from_top.square() + speed.square() * 0.1 + torque.square() * 0.001;
        let push = angle.sin() * (3.0 * GRAVITY / (2.0 * LENGTH)) + torque * (3.0 / (MASS * LENGTH * LENGTH));
        let speed = (speed + push * STEP).clamp(-SPEED, SPEED);
        let angle = angle + &speed * STEP;
        Step { terminated: speed.ne(&speed), reward: cost * -1.0, state: vec![angle, speed] }
    }
}
