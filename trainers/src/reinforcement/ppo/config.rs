//! [`PpoConfig`]: the numbers of PPO, and of the algorithms that are special cases of it.

use anygrad_core::{Error, Result};

use crate::reinforcement::Layers;
use crate::reinforcement::on_policy::Portions;

/// What a [`super::Ppo`] does; defaults are CleanRL's.
#[derive(Clone, Debug, PartialEq)]
pub struct PpoConfig {
    /// Agents trained at once, each with its own parameters and environments; 1.
    pub seeds: usize,
    /// Environments of each agent; 4.
    pub environments: usize,
    /// Steps of each environment per iteration; 128.
    pub rollout: usize,
    /// Steps in all, over the environments of one agent; 500,000.
    pub steps: u64,
    /// Passes over each rollout; 4.
    pub epochs: usize,
    /// Updates per pass; 4.
    pub minibatches: usize,
    /// Learning rate at the beginning; 2.5e-4.
    pub learning_rate: f64,
    /// Whether the learning rate falls linearly to 0; true.
    pub anneal: bool,
    /// Discount of later rewards; 0.99.
    pub gamma: f64,
    /// Weight of longer returns in advantages; 0.95.
    pub lambda: f64,
    /// How far a probability's ratio may move before its gradient is cut; 0.2.
    pub clip: f64,
    /// Whether values may not move farther than `clip` from the old ones either; true.
    pub clip_value: bool,
    /// Whether advantages of a minibatch are shifted to mean 0 and scaled to deviation 1; true.
    pub normalize_advantages: bool,
    /// Weight of the entropy; 0.01.
    pub entropy: f64,
    /// Weight of the value loss; 0.5.
    pub value: f64,
    /// Gradients of each agent are scaled down to this norm; 0.5.
    pub max_norm: f64,
    /// Passes over a rollout end for an agent after the one whose last minibatch is farther than this from the policy that acted
    /// (estimated divergence; Stable-Baselines3's `target_kl` times 1.5); none. Adam's count of updates goes on.
    pub max_divergence: Option<f64>,
    /// Whether networks see observations shifted and scaled by their running mean and deviation; false.
    pub normalize_observations: bool,
    /// Whether rewards are divided by the running deviation of discounted returns; false. Worth it where returns are far from
    /// order one, which critics learn slowly (and `clip_value` is a length in their units).
    pub normalize_rewards: bool,
    /// Layers of actor and critic each; 64 and 64 with tanh.
    pub layers: Layers,
}

impl Default for PpoConfig {
    fn default() -> PpoConfig {
        PpoConfig {
            seeds: 1,
            environments: 4,
            rollout: 128,
            steps: 500_000,
            epochs: 4,
            minibatches: 4,
            learning_rate: 2.5e-4,
            anneal: true,
            gamma: 0.99,
            lambda: 0.95,
            clip: 0.2,
            clip_value: true,
            normalize_advantages: true,
            entropy: 0.01,
            value: 0.5,
            max_norm: 0.5,
            max_divergence: None,
            normalize_observations: false,
            normalize_rewards: false,
            layers: Layers::default(),
        }
    }
}

impl PpoConfig {
    /// Advantage actor-critic: short rollouts, one update of all of it; the ratio is 1 then, and its gradient the policy
    /// gradient. Numbers are those of Stable-Baselines3's A2C, but for Adam instead of RMSprop.
    ///
    /// Sources: Mnih and others, "Asynchronous methods for deep reinforcement learning" (2016); Huang and others, "A2C is a
    /// special case of PPO" (2022).
    #[must_use]
    pub fn a2c() -> PpoConfig {
        PpoConfig {
            environments: 16,
            rollout: 5,
            epochs: 1,
            minibatches: 1,
            learning_rate: 7e-4,
            lambda: 1.0,
            clip_value: false,
            normalize_advantages: false,
            entropy: 0.0,
            ..PpoConfig::default()
        }
    }

    /// REINFORCE with a learned baseline: all later rewards of an episode, weighed by the policy gradient once. Rollouts should be
    /// longer than episodes; where one ends inside of an episode, the baseline stands for the rest.
    ///
    /// Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (1992).
    #[must_use]
    pub fn reinforce() -> PpoConfig {
        PpoConfig { environments: 8, rollout: 500, learning_rate: 3e-3, normalize_advantages: true, ..PpoConfig::a2c() }
    }

    pub(in crate::reinforcement) fn validate(&self) -> Result<()> {
        let fail = |message: String| Err(Error::data("ppo", message));
        self.portions().validate("ppo")?;
        let batch = self.environments * self.rollout;
        if self.normalize_advantages && batch == self.minibatches {
            return fail("minibatches of one step have no deviation to normalise advantages by".into());
        }
        let fractions = [("gamma", self.gamma), ("lambda", self.lambda)];
        if let Some((name, x)) = fractions.iter().find(|(_, x)| !(0.0..=1.0).contains(x)) {
            return fail(format!("`{name}` is {x}; it must be in 0..=1"));
        }
        let positive = [("clip", self.clip), ("max_norm", self.max_norm)];
        if let Some((name, x)) = positive.iter().find(|(_, x)| x.is_nan() || *x <= 0.0) {
            return fail(format!("`{name}` is {x}; it must be above 0"));
        }
        if let Some(x) = self.max_divergence.filter(|x| x.is_nan() || *x <= 0.0) {
            return fail(format!("`max_divergence` is {x}; it must be above 0"));
        }
        let weights = [("entropy", self.entropy), ("value", self.value)];
        if let Some((name, x)) = weights.iter().find(|(_, x)| !x.is_finite() || *x < 0.0) {
            return fail(format!("`{name}` is {x}; it must be finite and not negative"));
        }
        Ok(())
    }

    pub(in crate::reinforcement) fn portions(&self) -> Portions {
        let PpoConfig { seeds, environments, rollout, steps, epochs, minibatches, .. } = *self;
        Portions { seeds, environments, rollout, steps, epochs, minibatches }
    }
}
