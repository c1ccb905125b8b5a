//! [`Ppo`]: proximal policy optimisation.
//!
//! Sources: Schulman and others, "Proximal policy optimization algorithms" (2017); details and defaults as in CleanRL's
//! `ppo.py` and "The 37 implementation details of proximal policy optimization" (Huang and others, 2022).

mod config;
pub mod recurrent;

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Result, Tensor, Tensors, Var};

use super::clip::ClippedAdam;
use super::distribution::Distribution;
use super::environment::Environment;
use super::host::HostEnvironments;
use super::normalizer::{Normalizer, RewardScale};
use super::on_policy::{OnLearner, OnPolicy};
use super::policy::{ActorCritic, inputs};
use super::returns::Experience;
use super::rollout::{Choice, Rollout};
use super::space::Space;
pub use config::PpoConfig;

/// Proximal policy optimisation of any [`Environment`] with one discrete or several real actions.
pub type Ppo = OnPolicy<PpoLearner>;

/// The networks and the update of [`Ppo`].
#[derive(Debug)]
pub struct PpoLearner {
    config: PpoConfig,
    agent: ActorCritic,
    optimizer: ClippedAdam,
    rewards: Option<RewardScale>,
    passes: Passes,
}

/// What the updates of an iteration see; all `[seeds, batch, ..]`, observations as networks see them.
#[derive(Clone, Debug)]
pub struct Batch {
    observation: Tensor,
    action: Tensor,
    log_probability: Tensor,
    advantage: Tensor,
    value: Tensor,
    /// What could be chosen, if not everything.
    allowed: Option<Tensor>,
}

impl Tensors for Batch {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Batch {
        Batch {
            observation: f(&self.observation),
            action: f(&self.action),
            log_probability: f(&self.log_probability),
            advantage: f(&self.advantage),
            value: f(&self.value),
            allowed: self.allowed.as_ref().map(f),
        }
    }
}

impl OnPolicy<PpoLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: PpoConfig, device: &Device) -> Result<Ppo> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| PpoLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with("ppo", environment, config.portions(), learner, device)
    }

    /// New agents in a user's own worlds on the host; see [`OnPolicy::with_host`].
    ///
    /// # Errors
    /// As [`Ppo::new`], and if the number of worlds is not `seeds * environments`.
    pub fn on_host(worlds: HostEnvironments, config: PpoConfig, device: &Device) -> Result<Ppo> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| PpoLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with_host("ppo", worlds, config.portions(), learner, device)
    }

    /// The agents.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        &self.learner().agent
    }
}

impl PpoLearner {
    fn new(observations: &Space, actions: &Space, config: PpoConfig, device: &Device) -> Result<PpoLearner> {
        let agent = ActorCritic::new(config.seeds, observations, actions, &config.layers, device)?;
        let agent = if config.normalize_observations {
            agent.normalizing(Normalizer::new("observation", config.seeds, inputs(observations)?, device)?)
        } else {
            agent
        };
        let n = config.seeds * config.environments;
        let rewards = config.normalize_rewards.then(|| RewardScale::new(config.seeds, n, config.gamma, device));
        Ok(PpoLearner {
            optimizer: ClippedAdam::new(agent.parameters(), config.learning_rate, config.anneal, config.max_norm)?,
            rewards: rewards.transpose()?,
            passes: Passes::new(config.seeds, device)?,
            config,
            agent,
        })
    }
}

impl OnLearner for PpoLearner {
    type Batch = Batch;

    fn told(&self) -> &'static [&'static str] {
        &["explained", "loss.policy", "loss.value", "entropy", "divergence", "clipped"]
    }

    fn explore(&self, observation: &Tensor, _: &Tensor, allowed: Option<&Tensor>) -> Choice {
        let (agent, n) = (&self.agent, observation.size(0));
        let inputs = agent.actor.inputs(observation);
        let mut choice = agent.actor.choose(&agent.actor.distribution_of(&inputs, allowed));
        choice.noted.push(agent.value_of(&inputs).reshape([n]));
        choice
    }

    fn heeds_masks(&self) -> bool {
        true
    }

    fn begin(&self, progress: f64) -> Result<()> {
        self.optimizer.begin(progress)
    }

    fn prepare(&self, all: &Rollout) -> (Batch, Tensor) {
        let PpoConfig { seeds, environments, rollout, gamma, lambda, .. } = self.config;
        self.passes.begin();
        let by_seed = |x: &Tensor| Rollout::by_seed(x, seeds);
        let flat = |x: &Tensor| {
            let rest = &x.shape()[2..];
            x.reshape([&[x.size(0) * x.size(1)][..], rest].concat().as_slice())
        };
        // [seeds, steps, environments]
        let steps = |x: &Tensor| x.reshape([seeds, rollout, environments]);
        let agent = &self.agent;
        let seen = flat(&by_seed(&all.observation));
        let (observation, action) = (agent.actor.inputs(&seen), by_seed(&all.action));
        let [log_probability, value] = [0, 1].map(|i| by_seed(&all.noted[i]));
        let next_value = all.next_values(&steps(&value), |seen, _| agent.value(&flat(seen)));
        let allowed = all.allowed.as_ref().map(by_seed);
        agent.take_note(&seen);
        let reward = self.rewards.as_ref().map_or_else(|| by_seed(&all.reward), |scale| scale.apply(all));
        let experience = Experience {
            reward: &steps(&reward),
            value: &steps(&value),
            next_value: &next_value,
            terminated: &steps(&by_seed(&all.terminated)),
            truncated: &steps(&by_seed(&all.truncated)),
        };
        let advantage = experience.advantages(gamma, lambda, 1).reshape(value.shape());
        let explained = explained(&advantage, &(&advantage + &value));
        (Batch { observation, action, log_probability, advantage, value, allowed }, explained)
    }

    fn learn(&self, part: &Batch, last: &Tensor) -> Tensor {
        let config = &self.config;
        let before = config.max_divergence.map(|limit| {
            let flat = self.optimizer.flat().into_iter();
            (limit, flat.map(|var| (var.clone(), var.get())).collect::<Vec<_>>())
        });
        let distribution = self.agent.actor.distribution_of(&part.observation, part.allowed.as_ref());
        let (loss, told) = loss(&distribution, &self.agent.value_of(&part.observation), part, config);
        self.optimizer.descend(&loss);
        match before {
            Some((limit, before)) => self.passes.finish(&self.optimizer, &before, &told, (last, limit)),
            None => told,
        }
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = self.agent.named_variables();
        let others = self.optimizer.state().into_iter().chain(self.rewards.iter().flat_map(RewardScale::variables));
        all.extend(others.map(|var| (var.name(), var)));
        all
    }
}

/// How much of the returns' variance the values explained, `[1, seeds]`.
pub(super) fn explained(advantage: &Tensor, returns: &Tensor) -> Tensor {
    (1.0 - advantage.var(-1, 0) / (returns.var(-1, 0) + 1e-8)).unsqueeze(0)
}

/// Which agents go on to learn from a rollout; both are set anew for each.
#[derive(Clone, Debug)]
struct Passes {
    /// 1 or 0, `[seeds]`.
    on: Var,
    /// Of the last update that counted, `[5, seeds]`.
    told: Var,
}

impl Passes {
    fn new(seeds: usize, device: &Device) -> Result<Passes> {
        let var = |name: &str, shape: &[usize]| Var::try_new(name, &Tensor::full(shape, 1.0, DType::F32, device));
        Ok(Passes { on: var("ppo.on", &[seeds])?, told: var("ppo.told", &[5, seeds])? })
    }

    /// A new rollout: all agents learn from it.
    fn begin(&self) {
        self.on.assign(&self.on.get().ones_like());
    }

    /// Takes back what an update did to agents that had stopped and, after the `last` of a pass, stops those that moved too far;
    /// returns what is told.
    fn finish(
        &self,
        optimizer: &ClippedAdam,
        before: &[(Var, Tensor)],
        told: &Tensor,
        (last, limit): (&Tensor, f64),
    ) -> Tensor {
        let on = self.on.get();
        let kept = optimizer.by_element(&on).gt(0.5);
        for (var, old) in before {
            var.assign(&kept.select(var.get(), old));
        }
        let told = on.gt(0.5).unsqueeze(0).select(told, self.told.get());
        self.told.assign(&told);
        let near = told.index_axis(0, 3).le(limit).logical_or(&last.logical_not());
        self.on.assign(&(on * near.cast(DType::F32)));
        told
    }
}

/// The loss of a minibatch, summed over the seeds, and what is told of it: `[5, seeds]`.
fn loss(distribution: &Distribution, value: &Tensor, part: &Batch, config: &PpoConfig) -> (Tensor, Tensor) {
    let change = distribution.log_probability(&part.action) - &part.log_probability;
    let ratio = change.exp();
    let advantage = if config.normalize_advantages {
        let mean = part.advantage.mean_keep(-1);
        (&part.advantage - mean) / (part.advantage.std_keep(-1, 1) + 1e-8)
    } else {
        part.advantage.clone()
    };
    let cut = ratio.clamp(1.0 - config.clip, 1.0 + config.clip);
    // Equation 7.
    let policy = (&advantage * &ratio).minimum(&advantage * cut).mean(-1) * -1.0;
    let returns = &part.advantage + &part.value;
    let error = (value - &returns).square();
    let error = if config.clip_value {
        let near = (value - &part.value).clamp(-config.clip, config.clip) + &part.value;
        error.maximum((near - &returns).square())
    } else {
        error
    };
    let value = error.mean(-1) * 0.5;
    let entropy = distribution.entropy().mean(-1);
    let loss = (&policy + &value * config.value - &entropy * config.entropy).sum(..);
    // Schulman's low-variance estimate, http://joschu.net/blog/kl-approx.html.
    let divergence = ((&ratio - 1.0) - &change).mean(-1);
    let clipped = (&ratio - 1.0).abs().gt(config.clip).cast(DType::F32).mean(-1);
    (loss, Tensor::stack(&[policy, value, entropy, divergence, clipped], 0).detach())
}
