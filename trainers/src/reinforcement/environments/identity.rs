//! [`Identity`], [`IdentityBox`] and [`Recall`]: the smallest worlds that an algorithm must solve.

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
        let next = Tensor::randint(&[n], 0, self.choices as i32, action.device());
        let (reward, waiting) = delayed(&state[1..], hit);
        let state = std::iter::once(next).chain(waiting).collect();
        Step { terminated: reward.is_nan(), reward, state }
    }
}

/// The reward that arrives now, and those that wait after one more was earned.
fn delayed(waiting: &[Tensor], earned: Tensor) -> (Tensor, Vec<Tensor>) {
    match waiting {
        [] => (earned, Vec::new()),
        [now, later @ ..] => (now.clone(), later.iter().cloned().chain([earned]).collect()),
    }
}

/// Say what you see, in real numbers: the observation is uniform in -1..1, the reward `-(action - observation)²`, and arrives
/// `delay` steps later. Episodes last 10 steps; the best return is 0, that of the constant 0 is `-(10 - delay) / 3`.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityBox {
    /// Steps until the reward arrives; 0.
    pub delay: usize,
}

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
        let waiting = (0..self.delay).map(|_| Tensor::zeros(&[n], device));
        std::iter::once(Tensor::uniform(&[n, 1], -1.0, 1.0, device)).chain(waiting).collect()
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].clone()
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let earned = (action - &state[0]).square().index_axis(1, 0) * -1.0;
        let next = Tensor::uniform(state[0].shape(), -1.0, 1.0, action.device());
        let (reward, waiting) = delayed(&state[1..], earned);
        let state = std::iter::once(next).chain(waiting).collect();
        Step { terminated: reward.is_nan(), reward, state }
    }
}

/// Say what you saw first: the observation is one of `choices` symbols (one-hot) at the beginning of an episode, and nothing
/// after that but, at its last step, a sign (one more number) that the answer counts: 1 for the symbol, else 0. Without memory
/// nobody does better than `1 / choices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// Symbols, and actions.
    pub choices: usize,
    /// Steps of an episode, at least 2.
    pub length: usize,
}

impl Default for Recall {
    fn default() -> Recall {
        Recall { choices: 3, length: 6 }
    }
}

impl Environment for Recall {
    fn name(&self) -> &str {
        "Recall"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[self.choices + 1], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(self.choices)
    }

    fn time_limit(&self) -> Option<usize> {
        None
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let symbol = Tensor::randint(&[n], 0, self.choices as i32, device);
        vec![symbol, Tensor::full(&[n], 0.0, DType::I32, device)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let shown = state[0].one_hot(self.choices).logical_and(&state[1].eq(0).unsqueeze(-1));
        let asked = state[1].eq(self.length as i32 - 1).unsqueeze(-1);
        Tensor::cat(&[shown.cast(DType::F32), asked.cast(DType::F32)], -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let steps = &state[1] + 1;
        let terminated = steps.ge(self.length as i32);
        let right = action.eq(&state[0]).logical_and(&terminated).cast(DType::F32);
        Step { state: vec![state[0].clone(), steps], reward: right, terminated }
    }
}
