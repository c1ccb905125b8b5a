//! [`CartPole`]: balance a pole on a cart.

use anygrad_core::{Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

const GRAVITY: f64 = 9.8;
const CART: f64 = 1.0;
const POLE: f64 = 0.1;
const TOTAL: f64 = CART + POLE;
/// Half of the pole's length, in metres.
const LENGTH: f64 = 0.5;
const FORCE: f64 = 10.0;
/// Seconds per step.
const TAU: f64 = 0.02;
/// The episode ends beyond 12 degrees ..
const ANGLE: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
/// .. or this far from the middle.
const POSITION: f64 = 2.4;

/// Balance a pole on a cart by pushing it left (0) or right (1). State and observation: position, velocity, angle, angular
/// velocity. Reward 1 per step; the episode ends beyond 2.4 m or 12 degrees, and is cut off after 500 steps.
///
/// Sources: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems"
/// (1983); numbers and the order of the Euler step are those of Gymnasium's `CartPole-v1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CartPole;

impl Environment for CartPole {
    fn name(&self) -> &str {
        "CartPole"
    }

    fn observation_space(&self) -> Space {
        Space::symmetric(&[2.0 * POSITION, f64::INFINITY, 2.0 * ANGLE, f64::INFINITY])
    }

    fn action_space(&self) -> Space {
        Space::Discrete(2)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(500)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let all = Tensor::uniform(&[4, n], -0.05, 0.05, device);
        (0..4).map(|i| all.index_axis(0, i)).collect()
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        Tensor::stack(state, -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let [x, speed, angle, spin] = [0, 1, 2, 3].map(|i| &state[i]);
        let force = action.eq(1).select(x.full_like(FORCE), x.full_like(-FORCE));
        let (sin, cos) = (angle.sin(), angle.cos());
        let push = (force + spin.square() * &sin * (POLE * LENGTH)) / TOTAL;
        let turn = (&sin * GRAVITY - &cos * &push) / (((cos.square() * POLE / TOTAL) * -1.0 + 4.0 / 3.0) * LENGTH);
        let pull = push - &turn * &cos * (POLE * LENGTH / TOTAL);
        let next = vec![x + speed * TAU, speed + pull * TAU, angle + spin * TAU, spin + turn * TAU];
        let out = |value: &Tensor, limit: f64| value.lt(-limit).logical_or(&value.gt(limit));
        let terminated = out(&next[0], POSITION).logical_or(&out(&next[2], ANGLE));
        Step { reward: x.ones_like(), terminated, state: next }
    }
}
