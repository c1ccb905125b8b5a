//! [`Bandit`]: one choice, one reward, no state.

use anygrad_core::{Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// Arms with normal rewards; every episode is one pull. The observation is always 1.
///
/// Source: Sutton and Barto, "Reinforcement learning", second edition (2018), section 2.3.
#[derive(Clone, Debug, PartialEq)]
pub struct Bandit {
    /// Mean reward of each arm.
    pub means: Vec<f64>,
    /// Standard deviation of all rewards.
    pub deviation: f64,
}

impl Environment for Bandit {
    fn name(&self) -> &str {
        "Bandit"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[1], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(self.means.len())
    }

    fn time_limit(&self) -> Option<usize> {
        None
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::ones(&[n, 1], device)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].clone()
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let means: Vec<f32> = self.means.iter().map(|&x| x as f32).collect();
        let means = Tensor::from_vec(means, &[self.means.len()], action.device());
        let reward = means.index_select(0, action) + Tensor::randn(action.shape(), action.device()) * self.deviation;
        Step { terminated: reward.eq(&reward), reward, state: state.to_vec() }
    }
}
