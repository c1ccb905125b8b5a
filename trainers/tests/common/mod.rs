//! Worlds of several tests.

use anygrad_core::{Device, Tensor};
use anygrad_trainers::reinforcement::{Environment, Space, Step};

/// Counts its steps; observation and reward are the count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    /// An episode ends at this count ..
    pub(crate) ends: f64,
    /// .. or is cut off after so many steps.
    pub(crate) limit: usize,
    /// The reward of this count is NaN.
    pub(crate) poison: f64,
}

impl Environment for Counter {
    fn name(&self) -> &str {
        "Counter"
    }
    fn observation_space(&self) -> Space {
        Space::uniform(&[1], 0.0, 1e6)
    }
    fn action_space(&self) -> Space {
        Space::Discrete(2)
    }
    fn time_limit(&self) -> Option<usize> {
        Some(self.limit)
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::zeros(&[n], device)]
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].unsqueeze(-1)
    }
    fn step(&self, state: &[Tensor], _: &Tensor) -> Step {
        let next = &state[0] + 1.0;
        let reward = next.eq(self.poison).select(f64::NAN, &next);
        Step { terminated: next.ge(self.ends), reward, state: vec![next] }
    }
}
