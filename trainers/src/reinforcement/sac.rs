//! [`Sac`]: soft actor-critic with an automatic temperature.
//!
//! Source: Haarnoja and others, "Soft actor-critic algorithms and applications" (2018); defaults are those of
//! Stable-Baselines3.

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::critics::{Critics, named, optimizer};
use super::distribution::SquashedGaussian;
use super::environment::Environment;
use super::evaluate::Actor;
use super::network::{Activation, Mlp, Start};
use super::off_policy::{Learner, OffPolicy, OffPolicyConfig, Update};
use super::policy::{by_seed, inputs};
use super::replay::Sample;
use super::space::Space;
use crate::optim::{Adam, Optimizer};

/// What a [`Sac`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct SacConfig {
    /// Loop and replay; 100,000 steps, an update of 256 steps after each, all remembered, 100 to warm up.
    pub common: OffPolicyConfig,
    /// Learning rate of actor, critics and temperature; 3e-4.
    pub learning_rate: f64,
    /// Share by which targets move per update; 0.005.
    pub tau: f64,
    /// Entropy that the temperature aims at; `None` is minus the number of real numbers in an action.
    pub target_entropy: Option<f64>,
    /// Sizes of hidden layers; 256, 256.
    pub hidden: Vec<usize>,
}

impl Default for SacConfig {
    fn default() -> SacConfig {
        SacConfig {
            common: OffPolicyConfig::default(),
            learning_rate: 3e-4,
            tau: 0.005,
            target_entropy: None,
            hidden: vec![256, 256],
        }
    }
}

/// Soft actor-critic of any [`Environment`] with real actions.
pub type Sac = OffPolicy<SoftLearner>;

/// The networks and the update of [`Sac`].
#[derive(Debug)]
pub struct SoftLearner {
    config: SacConfig,
    space: Space,
    /// Means and logarithms of deviations, `[seeds, batch, 2 k]`.
    actor: Mlp,
    actor_adam: Adam,
    critics: Critics,
    /// `[seeds]`.
    log_temperature: Var,
    temperature_adam: Adam,
    target_entropy: f64,
}

impl OffPolicy<SoftLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: SacConfig, device: &Device) -> Result<Sac> {
        let common = config.common.clone();
        OffPolicy::with("sac", environment, common, |world| SoftLearner::new(world, config, device), device)
    }
}

impl SoftLearner {
    fn new(world: &dyn Environment, config: SacConfig, device: &Device) -> Result<SoftLearner> {
        let space = world.action_space();
        if !matches!(space, Space::Box { .. }) {
            let message = format!("actions of {} are {space:?}; soft actor-critic needs real numbers", world.name());
            return Err(Error::data("sac", message));
        }
        let (seen, acts, seeds) = (inputs(&world.observation_space())?, space.len(), config.common.seeds);
        let rate = config.learning_rate;
        let sizes = [&[seen][..], &config.hidden, &[2 * acts]].concat();
        let actor = Mlp::new(seeds, &sizes, Activation::Relu, Start::Uniform, device)?;
        let critics = Critics::new(2, seeds, seen + acts, &config.hidden, rate, device)?;
        let log_temperature = Var::try_new("log_temperature", &Tensor::zeros(&[seeds], device))?;
        Ok(SoftLearner {
            actor_adam: Adam::new(actor.parameters(), rate),
            temperature_adam: Adam::new(vec![log_temperature.clone()], rate),
            target_entropy: config.target_entropy.unwrap_or(-(acts as f64)),
            config,
            space,
            actor,
            critics,
            log_temperature,
        })
    }

    /// Of actions in `-1..1`, for observations `[seeds, batch, ..]`.
    fn distribution(&self, observation: &Tensor) -> SquashedGaussian {
        let out = self.actor.forward(&observation.flatten(2));
        let acts = self.space.len();
        // Stable-Baselines3's bounds.
        SquashedGaussian::new(&out.narrow(-1, 0, acts), &out.narrow(-1, acts, acts).clamp(-20.0, 2.0))
    }

    /// From `[seeds, batch, k]` in `-1..1` to what the environment takes.
    fn for_environment(&self, action: &Tensor) -> Tensor {
        self.space.scaled(&self.space.for_environment(action))
    }
}

impl Actor for SoftLearner {
    fn act(&self, observation: &Tensor, _: Option<&Tensor>, _: &[Var]) -> Tensor {
        self.for_environment(&self.distribution(&by_seed(observation, self.config.common.seeds)).mode())
    }

    fn seeds(&self) -> usize {
        self.config.common.seeds
    }
}

impl Learner for SoftLearner {
    fn told(&self) -> &'static [&'static str] {
        &["loss.critic", "value", "loss.actor", "entropy", "temperature"]
    }

    fn explore(&self, observation: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        let (action, _) = self.distribution(&by_seed(observation, self.config.common.seeds)).sample();
        self.for_environment(&action)
    }

    fn update(&self, sample: &Sample, _: usize) -> Update {
        let temperature = self.log_temperature.get().exp();
        let weight = temperature.unsqueeze(-1);
        let (next, log) = self.distribution(&sample.next).sample();
        let value = self.critics.least(true, &sample.next, &next) - log * &weight;
        let goal = &sample.reward + &sample.discount * value;
        let action = self.space.unscaled(&sample.action);
        let ([loss_critic, value], error) = self.critics.learn(sample, &action, &goal);

        let (action, log) = self.distribution(&sample.observation).sample();
        let least = self.critics.least(false, &sample.observation, &action);
        let loss = (&log * &weight - least).mean(-1);
        self.actor_adam.update(&loss.sum(..).gradients(&self.actor.parameters()));

        // Equation 18, by the logarithm as in the authors' code.
        let entropy = log.detach().mean(-1) * -1.0;
        let missing = &entropy - self.target_entropy;
        let loss_temperature = (self.log_temperature.get() * missing).sum(..);
        self.temperature_adam.update(&loss_temperature.gradients(std::slice::from_ref(&self.log_temperature)));
        self.critics.follow(self.config.tau);
        let told = Tensor::stack(&[loss_critic, value, loss, entropy, temperature], 0);
        Update { told: told.detach().cast(DType::F32), error }
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = [named("actor", &self.actor), self.critics.variables()].concat();
        all.extend([optimizer("actor", &self.actor_adam), optimizer("temperature", &self.temperature_adam)].concat());
        all.push(("log_temperature".into(), self.log_temperature.clone()));
        all
    }
}
