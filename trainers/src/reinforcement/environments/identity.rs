//! [`Identity`] and [`IdentityBox`]: the smallest worlds that an algorithm must solve.

use anygrad_core::{DType, Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// Say what you see: the observation is one of `choices` symbols (one-hot), the reward is 1 if the action is that symbol, and
/// arrives `delay` steps later. Episodes last `length` steps, so the best return is `length - delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Symbols, and actions.
    pub choices: usize,
    /// Steps until the reward arrives.
    pub delay: usize,
    /// Steps of an episode.
    pub length: usize,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { choices: 3, delay: 0, length: 10 }
    }
}

impl Environment for Identity {
    fn name(&self) -> &str {
        "Identity"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[self.choices], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(self.choices)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(self.length)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let waiting = (0..self.delay).map(|_| Tensor::zeros(&[n], device));
        std::iter::once(Tensor::randint(&[n], 0, self.choices as i32, device)).chain(waiting).collect()
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].one_hot(self.choices).cast(DType::F32)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let n = action.len();
        let hit = action.eq(&state[0]).cast(DType::F32);
        let mut next = vec![Tensor::randint(&[n], 0, self.choices as i32, action.device())];
        let reward = if self.delay == 0 {
            hit
        } else {
            next.extend_from_slice(&state[2..]);
            next.push(hit);
            state[1].clone()
        };
        Step { state: next, terminated: reward.is_nan(), reward }
    }
}

/// Say what you see, in real numbers: the observation is uniform in -1..1, the reward `-(action - observation)²`. Episodes
/// last 10 steps; the best return is 0, that of the constant 0 is -10/3.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityBox;

impl Environment for IdentityBox {
    fn name(&self) -> &str {
        "IdentityBox"
    }

    fn observation_space(&self) -> Space {
        Space::symmetric(&[1.0])
    }

    fn action_space(&self) -> Space {
        Space::symmetric(&[1.0])
    }

    fn time_limit(&self) -> Option<usize> {
        Some(10)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::uniform(&[n, 1], -1.0, 1.0, device)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].clone()
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let reward = (action - &state[0]).square().index_axis(1, 0) * -1.0;
        let next = Tensor::uniform(state[0].shape(), -1.0, 1.0, action.device());
        Step { terminated: reward.is_nan(), reward, state: vec![next] }
    }
}
