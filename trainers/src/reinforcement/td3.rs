//! [`Td3`]: twin delayed deep deterministic policy gradients; [`Td3Config::ddpg`] is its ancestor.
//!
//! Sources: Fujimoto, van Hoof and Meger, "Addressing function approximation error in actor-critic methods" (2018); Lillicrap
//! and others, "Continuous control with deep reinforcement learning" (2015).

use anygrad_core::nn::Module;
use anygrad_core::{Device, Error, Result, Tensor, Var};

use super::critics::{Critics, named, optimizer};
use super::environment::Environment;
use super::evaluate::Actor;
use super::network::{Activation, Mlp, Start};
use super::off_policy::{Learner, OffPolicy, OffPolicyConfig, Update, constant, follow, with_target};
use super::policy::{by_seed, inputs};
use super::replay::Sample;
use super::space::Space;
use crate::optim::{Adam, Optimizer};

/// What a [`Td3`] does; defaults are the paper's, but for the replay's size.
#[derive(Clone, Debug, PartialEq)]
pub struct Td3Config {
    /// Loop and replay; 100,000 steps, two updates of 256 steps after every second step, all remembered, 100 to warm up.
    pub common: OffPolicyConfig,
    /// Learning rate of actor and critics; 1e-3.
    pub learning_rate: f64,
    /// Share by which targets move when the actor is updated; 0.005.
    pub tau: f64,
    /// Critics whose least value is trusted; 2.
    pub critics: usize,
    /// The actor learns at every so many updates of a cycle; divides `common.updates`; 2.
    pub delay: usize,
    /// Deviation of the noise on explored actions, in halves of their range; 0.1.
    pub exploration: f64,
    /// Deviation of the noise on the target's actions, and its bound; 0.2, 0.5.
    pub smoothing: (f64, f64),
    /// Sizes of hidden layers; 256, 256.
    pub hidden: Vec<usize>,
}

impl Default for Td3Config {
    fn default() -> Td3Config {
        Td3Config {
            common: OffPolicyConfig { frequency: 2, updates: 2, ..OffPolicyConfig::default() },
            learning_rate: 1e-3,
            tau: 0.005,
            critics: 2,
            delay: 2,
            exploration: 0.1,
            smoothing: (0.2, 0.5),
            hidden: vec![256, 256],
        }
    }
}

impl Td3Config {
    /// Deep deterministic policy gradients: one critic, no delay, no smoothing.
    #[must_use]
    pub fn ddpg() -> Td3Config {
        Td3Config { critics: 1, delay: 1, smoothing: (0.0, 0.0), ..Td3Config::default() }
    }
}

/// Deterministic policy gradients of any [`Environment`] with real actions.
pub type Td3 = OffPolicy<DeterministicLearner>;

/// The networks and the update of [`Td3`].
#[derive(Debug)]
pub struct DeterministicLearner {
    config: Td3Config,
    space: Space,
    actor: Mlp,
    target: Mlp,
    adam: Adam,
    critics: Critics,
}

impl OffPolicy<DeterministicLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: Td3Config, device: &Device) -> Result<Td3> {
        if config.critics == 0 || config.delay == 0 || !config.common.updates.is_multiple_of(config.delay) {
            let message = format!("{} updates per cycle, {} critics", config.common.updates, config.critics);
            let help = format!("the delay of {} must divide the updates, and one critic is needed", config.delay);
            return Err(Error::data("td3", format!("{message}; {help}")));
        }
        let common = config.common.clone();
        OffPolicy::with("td3", environment, common, |world| DeterministicLearner::new(world, config, device), device)
    }
}

impl DeterministicLearner {
    fn new(world: &dyn Environment, config: Td3Config, device: &Device) -> Result<DeterministicLearner> {
        let space = world.action_space();
        if !matches!(space, Space::Box { .. }) {
            let message = format!("actions of {} are {space:?}; they must be real numbers", world.name());
            return Err(Error::data("td3", message));
        }
        let (seen, acts, seeds) = (inputs(&world.observation_space())?, space.len(), config.common.seeds);
        let sizes = [&[seen][..], &config.hidden, &[acts]].concat();
        let net = || Mlp::new(seeds, &sizes, Activation::Relu, Start::Uniform, device);
        let (actor, target) = with_target(net)?;
        let rate = config.learning_rate;
        let critics = Critics::new(config.critics, seeds, seen + acts, &config.hidden, rate, device)?;
        Ok(DeterministicLearner { adam: Adam::new(actor.parameters(), rate), config, space, actor, target, critics })
    }

    /// From `[seeds, batch, k]` in `-1..1` to what the environment takes.
    fn for_environment(&self, action: &Tensor) -> Tensor {
        self.space.scaled(&self.space.for_environment(action))
    }
}

impl Actor for DeterministicLearner {
    fn act(&self, observation: &Tensor, _: Option<&Tensor>, _: &[Var]) -> Tensor {
        self.for_environment(&self.actor.forward(&by_seed(observation, self.config.common.seeds)).tanh())
    }

    fn seeds(&self) -> usize {
        self.config.common.seeds
    }
}

impl Learner for DeterministicLearner {
    fn told(&self) -> &'static [&'static str] {
        &["loss.critic", "value"]
    }

    fn explore(&self, observation: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        let action = self.actor.forward(&by_seed(observation, self.config.common.seeds)).tanh();
        let noise = Tensor::randn(action.shape(), action.device()) * self.config.exploration;
        self.for_environment(&(action + noise).clamp(-1.0, 1.0))
    }

    fn update(&self, sample: &Sample, number: usize) -> Update {
        let (deviation, bound) = self.config.smoothing;
        let next = self.target.forward(&sample.next.flatten(2)).tanh();
        let noise = (Tensor::randn(next.shape(), next.device()) * deviation).clamp(-bound, bound);
        let next = (next + noise).clamp(-1.0, 1.0);
        let goal = &sample.reward + &sample.discount * self.critics.least(true, &sample.next, &next);
        let (told, error) = self.critics.learn(sample, &self.space.unscaled(&sample.action), &goal);
        if (number + 1).is_multiple_of(self.config.delay) {
            let action = self.actor.forward(&sample.observation.flatten(2)).tanh();
            let loss = self.critics.first(&sample.observation, &action).mean(-1).sum(..) * -1.0;
            self.adam.update(&loss.gradients(&self.actor.parameters()));
            self.critics.follow(self.config.tau);
            let tau = constant(self.config.tau, action.device());
            follow(&self.target.parameters(), &self.actor.parameters(), &tau);
        }
        Update { told: Tensor::stack(&told, 0).detach(), error }
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = [named("actor", &self.actor), named("actor.target", &self.target)].concat();
        all.extend([self.critics.variables(), optimizer("actor", &self.adam)].concat());
        all
    }
}
