//! [`Ppo`]: proximal policy optimisation.
//!
//! An iteration is three programs, submitted without a readback: `rollout` (some steps of all environments, run until
//! there are enough), `prepare` (values, advantages, statistics) and `epoch` (one pass over the shuffled rollout in
//! minibatches, run as often as asked). Statistics are read once, at the end.
//!
//! Sources: Schulman and others, "Proximal policy optimization algorithms" (2017); details and defaults as in CleanRL's
//! `ppo.py` and "The 37 implementation details of proximal policy optimization" (Huang and others, 2022).

mod config;

use std::path::Path;
use std::sync::Arc;

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Program, Result, Tensor, Tensors, Var};

use super::clip::ClipBySeed;
use super::environment::{Environment, VectorEnvironment};
use super::host::HostEnvironments;
use super::normalizer::{Normalizer, RewardScale};
use super::policy::{ActorCritic, inputs};
use super::returns::Experience;
use super::rollout::{EPISODE_ROWS, Episodes, Rollout, check_finite};
use super::source::Source;
use super::space::Space;
pub use config::PpoConfig;

use crate::checkpoint;
use crate::events::{Event, Flow, Listener, Record};
use crate::optim::{Adam, AdamConfig, Optimizer};

/// What the updates of an iteration see; all `[seeds, batch, ..]`, observations as networks see them.
#[derive(Clone, Debug)]
struct Batch {
    observation: Tensor,
    action: Tensor,
    log_probability: Tensor,
    advantage: Tensor,
    returns: Tensor,
    value: Tensor,
}

impl Tensors for Batch {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Batch {
        Batch {
            observation: f(&self.observation),
            action: f(&self.action),
            log_probability: f(&self.log_probability),
            advantage: f(&self.advantage),
            returns: f(&self.returns),
            value: f(&self.value),
        }
    }
}

/// Numbers of one iteration, one per seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Episodes that ended.
    pub episodes: Vec<f64>,
    /// Their mean return (NaN if none ended).
    pub returns: Vec<f64>,
    /// Their mean length (NaN if none ended).
    pub lengths: Vec<f64>,
    /// Loss of the policy, of the last minibatch, as are those that follow.
    pub policy_loss: Vec<f64>,
    /// Loss of the values.
    pub value_loss: Vec<f64>,
    /// Entropy of the policy.
    pub entropy: Vec<f64>,
    /// Estimated divergence of the new policy from the one that acted: `E[(ratio - 1) - ln ratio]`.
    pub divergence: Vec<f64>,
    /// How many ratios were cut.
    pub clipped: Vec<f64>,
    /// How much of the returns' variance the values explained before the updates.
    pub explained: Vec<f64>,
}

/// Proximal policy optimisation of any [`Environment`] with one discrete or several real actions.
pub struct Ppo {
    config: PpoConfig,
    device: Device,
    source: Source,
    agent: Arc<ActorCritic>,
    adam: Arc<Adam>,
    /// Iterations done, one f32 (exact up to 2^24).
    done: Var,
    episodes: Arc<Episodes>,
    rewards: Option<RewardScale>,
    iteration: u64,
    prepare: Program<'static, Vec<Rollout>, (Batch, Tensor)>,
    epoch: Program<'static, Batch, Tensor>,
}

impl std::fmt::Debug for Ppo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.source.name();
        write!(f, "Ppo({name}, iteration {} of {}, {:?})", self.iteration, self.iterations(), self.config)
    }
}

impl Ppo {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: PpoConfig, device: &Device) -> Result<Ppo> {
        config.validate()?;
        let n = config.seeds * config.environments;
        let worlds = VectorEnvironment::new(Arc::new(environment), n, device)?;
        let steps = config.chunk();
        let spaces = (worlds.environment().observation_space(), worlds.environment().action_space());
        Ppo::with(config, spaces, device, |agent| Source::on_device(worlds, agent, steps, device))
    }

    /// New agents in a user's own worlds on the host: `seeds * environments` of them. Their states are not saved; after
    /// [`Ppo::load`] they begin anew. After an error of theirs all that was learned before is intact and can be saved.
    ///
    /// # Errors
    /// As [`Ppo::new`], and if the number of worlds is another.
    pub fn on_host(worlds: HostEnvironments, config: PpoConfig, device: &Device) -> Result<Ppo> {
        config.validate()?;
        let n = config.seeds * config.environments;
        if worlds.count() != n {
            let message =
                format!("{} worlds; {} seeds of {} are {n}", worlds.count(), config.seeds, config.environments);
            return Err(Error::data(worlds.name(), message));
        }
        let spaces = (worlds.observation_space().clone(), worlds.action_space().clone());
        Ppo::with(config, spaces, device, |agent| Source::on_host(worlds, agent, device))
    }

    fn with(
        config: PpoConfig,
        (observations, actions): (Space, Space),
        device: &Device,
        source: impl FnOnce(Arc<ActorCritic>) -> Source,
    ) -> Result<Ppo> {
        let agent = ActorCritic::new(config.seeds, &observations, &actions, &config.hidden, config.activation, device)?;
        let agent = if config.normalize_observations {
            agent.normalizing(Normalizer::new("observation", config.seeds, inputs(&observations)?, device)?)
        } else {
            agent
        };
        // CleanRL's epsilon; norms are taken per seed, so the optimizer does not clip.
        let adam = AdamConfig { lr: config.learning_rate, eps: 1e-5, ..AdamConfig::default() };
        let adam = Arc::new(Adam::with(agent.parameters(), adam)?);
        let n = config.seeds * config.environments;
        let (agent, episodes) = (Arc::new(agent), Arc::new(Episodes::new(n, config.seeds, device)?));
        let done = Var::try_new("ppo.iteration", &Tensor::zeros(&[1], device))?;
        let rewards = config.normalize_rewards.then(|| RewardScale::new(config.seeds, n, config.gamma, device));
        let rewards = rewards.transpose()?;
        let passes = Passes::new(config.seeds, device)?;
        let prepare = prepare(device, &config, agent.clone(), episodes.clone(), (rewards.clone(), passes.clone()));
        let epoch = epoch(device, &config, agent.clone(), adam.clone(), passes)?;
        let (source, device) = (source(agent.clone()), device.clone());
        Ok(Ppo { config, device, source, agent, adam, done, episodes, rewards, iteration: 0, prepare, epoch })
    }

    /// The agents.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        &self.agent
    }

    /// Iterations in all.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        self.config.steps / self.batch()
    }

    /// Steps of each agent so far.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.iteration * self.batch()
    }

    /// Steps of one agent per iteration.
    fn batch(&self) -> u64 {
        (self.config.environments * self.config.rollout) as u64
    }

    /// One iteration: act, then learn from it.
    ///
    /// # Errors
    /// If a reward or an observation is not finite, or the device fails.
    pub fn iterate(&mut self) -> Result<Statistics> {
        if self.config.anneal {
            let left = 1.0 - self.iteration as f64 / self.iterations() as f64;
            self.adam.set_learning_rate(self.config.learning_rate * left.max(0.0))?;
        }
        let rollouts = self.source.rollout(self.config.rollout)?;
        let (batch, counts) = self.prepare.run(rollouts)?;
        let losses = self.epoch.run_times(self.config.epochs, batch)?;
        let (counts, losses) = (counts.to_f64()?, losses.to_f64()?);
        let row = |list: &[f64], i: usize| list[i * self.config.seeds..(i + 1) * self.config.seeds].to_vec();
        let step = self.iteration * self.config.rollout as u64;
        check_finite(&self.source.name(), self.source.count(), &row(&counts, 3), step)?;
        self.iteration += 1;
        self.done.write(&[self.iteration as f32])?;
        let episodes = row(&counts, 0);
        let mean = |sums: Vec<f64>| sums.iter().zip(&episodes).map(|(sum, count)| sum / count).collect();
        Ok(Statistics {
            returns: mean(row(&counts, 1)),
            lengths: mean(row(&counts, 2)),
            explained: row(&counts, EPISODE_ROWS),
            policy_loss: row(&losses, 0),
            value_loss: row(&losses, 1),
            entropy: row(&losses, 2),
            divergence: row(&losses, 3),
            clipped: row(&losses, 4),
            episodes,
        })
    }

    /// The kernels of the three programs, in words (see [`Program::explain`]).
    ///
    /// # Errors
    /// If memory is over the budget or the device cannot compile them.
    pub fn explain(&mut self) -> Result<String> {
        let parts = self.source.rollout(self.config.rollout)?;
        let mut text = format!("rollout, {} times: {}\n", parts.len(), self.source.explain()?);
        text += &format!("prepare: {}\n", self.prepare.explain(&parts)?);
        let (batch, _) = self.prepare.run(parts)?;
        text += &format!("epoch, {} times: {}", self.config.epochs, self.epoch.explain(&batch)?);
        Ok(text)
    }

    /// Measured times of the kernels of the three programs (see [`Program::profile`]).
    ///
    /// # Errors
    /// As [`Ppo::explain`].
    pub fn profile(&mut self) -> Result<String> {
        let parts = self.source.rollout(self.config.rollout)?;
        let mut text = format!("rollout, {} times: {}\n", parts.len(), self.source.profile()?);
        text += &format!("prepare: {}\n", self.prepare.profile(&parts)?);
        let (batch, _) = self.prepare.run(parts)?;
        text += &format!("epoch, {} times: {}", self.config.epochs, self.epoch.profile(&batch)?);
        Ok(text)
    }

    /// Trains to the end, from where it is; tells the listener after each iteration (means over the seeds).
    ///
    /// # Errors
    /// As [`Ppo::iterate`], and what the listener errs.
    pub fn train(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let (batch, iterations) = (self.batch(), self.iterations());
        let begin = Event::Begin { label: "ppo", step: self.iteration * batch, steps: Some(iterations * batch) };
        let mut flow = listener.on(&begin)?;
        while self.iteration < iterations && flow == Flow::Continue {
            let s = self.iterate()?;
            let mean = |list: &[f64]| {
                let known: Vec<f64> = list.iter().copied().filter(|x| x.is_finite()).collect();
                known.iter().sum::<f64>() / known.len() as f64
            };
            let values = [
                ("return", mean(&s.returns)),
                ("length", mean(&s.lengths)),
                ("loss.policy", mean(&s.policy_loss)),
                ("loss.value", mean(&s.value_loss)),
                ("entropy", mean(&s.entropy)),
                ("divergence", mean(&s.divergence)),
                ("clipped", mean(&s.clipped)),
                ("explained", mean(&s.explained)),
            ];
            let record = Record { epoch: self.iteration, step: self.iteration * batch, values: &values };
            flow = listener.on(&Event::Epoch(record))?;
        }
        let reason = if flow == Flow::Stop { "interrupted" } else { "done" };
        listener.on(&Event::End { step: self.iteration * batch, reason })?;
        Ok(())
    }

    /// Everything that the next iteration depends on.
    fn state(&self) -> Vec<(String, Var)> {
        let mut all = self.agent.named_variables();
        let others = self.adam.state().into_iter().chain(self.source.variables());
        let others = others.chain([self.episodes.variable().clone(), self.done.clone(), self.device.generator()]);
        let others = others.chain(self.rewards.iter().flat_map(RewardScale::variables));
        all.extend(others.map(|var| (var.name(), var)));
        all
    }

    /// Saves everything: parameters, moments, environments, random numbers. [`Ppo::load`] goes on bit for bit.
    ///
    /// # Errors
    /// If the file cannot be written or the device fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::save_named(path, &self.state())
    }

    /// Takes back what [`Ppo::save`] wrote, of the same environment and configuration.
    ///
    /// # Errors
    /// If the file is missing, damaged or does not fit; nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::load_named(path, &self.state())?;
        self.iteration = self.done.get().item()? as u64;
        Ok(())
    }
}

/// Which agents go on to learn from a rollout; both are set anew for each.
#[derive(Clone)]
struct Passes {
    /// 1 or 0, `[seeds]`.
    on: Var,
    /// Of the last pass that counted, `[5, seeds]`.
    told: Var,
}

impl Passes {
    fn new(seeds: usize, device: &Device) -> Result<Passes> {
        let var = |name: &str, shape: &[usize]| Var::try_new(name, &Tensor::full(shape, 1.0, DType::F32, device));
        Ok(Passes { on: var("ppo.on", &[seeds])?, told: var("ppo.told", &[5, seeds])? })
    }

    /// Takes back what a pass did to agents that had stopped, and stops those that moved too far; returns what is told.
    fn finish(&self, adam: &Adam, clip: &ClipBySeed, before: &[(Var, Tensor)], told: &Tensor, limit: f64) -> Tensor {
        let on = self.on.get();
        let kept = clip.by_element(&on).gt(0.5);
        for (var, old) in before {
            debug_assert_eq!(var.len(), adam.all().len());
            var.assign(&kept.select(var.get(), old));
        }
        let told = on.gt(0.5).unsqueeze(0).select(told, self.told.get());
        self.told.assign(&told);
        self.on.assign(&(on * told.index_axis(0, 3).le(limit).cast(DType::F32)));
        told
    }
}

fn prepare(
    device: &Device,
    config: &PpoConfig,
    agent: Arc<ActorCritic>,
    episodes: Arc<Episodes>,
    (rewards, passes): (Option<RewardScale>, Passes),
) -> Program<'static, Vec<Rollout>, (Batch, Tensor)> {
    let PpoConfig { seeds, environments, rollout, gamma, lambda, .. } = *config;
    Program::inference(device, move |parts: Vec<Rollout>| {
        let all = Rollout::join(&parts);
        let counts = episodes.count(&all);
        passes.on.assign(&passes.on.get().ones_like());
        let by_seed = |x: &Tensor| Rollout::by_seed(x, seeds);
        let flat = |x: &Tensor| {
            let x = by_seed(x);
            let rest = &x.shape()[2..];
            x.reshape([&[seeds * environments * rollout][..], rest].concat().as_slice())
        };
        let (observation, action) = (agent.actor.inputs(&flat(&all.observation)), by_seed(&all.action));
        let value = agent.value_of(&observation);
        let next_value = agent.value(&flat(&all.next));
        let log_probability = agent.actor.distribution_of(&observation).log_probability(&action);
        agent.take_note(&flat(&all.observation));
        let reward = rewards.as_ref().map_or_else(|| by_seed(&all.reward), |scale| scale.apply(&all));
        // [seeds, steps, environments]
        let steps = |x: &Tensor| x.reshape([seeds, rollout, environments]);
        let experience = Experience {
            reward: &steps(&reward),
            value: &steps(&value),
            next_value: &steps(&next_value),
            terminated: &steps(&by_seed(&all.terminated)),
            truncated: &steps(&by_seed(&all.truncated)),
        };
        let advantage = experience.advantages(gamma, lambda, 1).reshape(value.shape());
        let returns = &advantage + &value;
        let explained = 1.0 - advantage.var(-1, 0) / (returns.var(-1, 0) + 1e-8);
        let counts = Tensor::cat(&[counts, explained.unsqueeze(0)], 0);
        (Batch { observation, action, log_probability, advantage, returns, value }, counts)
    })
}

fn epoch(
    device: &Device,
    config: &PpoConfig,
    agent: Arc<ActorCritic>,
    adam: Arc<Adam>,
    passes: Passes,
) -> Result<Program<'static, Batch, Tensor>> {
    let config = config.clone();
    let parameters = agent.parameters();
    let clip = ClipBySeed::new(&adam, &parameters, config.max_norm)?;
    Ok(Program::training(device, move |batch: Batch| {
        let flat = [adam.all().clone()].into_iter().chain(adam.moments());
        let flat = flat.filter(|var| config.max_divergence.is_some() && var.len() == adam.all().len());
        let before: Vec<(Var, Tensor)> = flat.map(|var| (var.clone(), var.get())).collect();
        let size = batch.value.size(1);
        let order = Tensor::permutation(size, batch.value.device());
        let shuffled = batch.map(&mut |x| x.index_select(1, &order));
        let length = size / config.minibatches;
        let mut last = None;
        for start in (0..size).step_by(length) {
            let part = shuffled.map(&mut |x| x.narrow(1, start, length));
            let (loss, told) = loss(&agent, &part, &config);
            adam.apply(&clip.apply(&adam, &loss.gradients(&parameters)));
            last = Some(told);
        }
        let told = last.unwrap_or_else(|| batch.value.clone());
        match config.max_divergence {
            Some(limit) => passes.finish(&adam, &clip, &before, &told, limit),
            None => told,
        }
    }))
}

/// The loss of a minibatch, summed over the seeds, and what is told of it: `[5, seeds]`.
fn loss(agent: &ActorCritic, part: &Batch, config: &PpoConfig) -> (Tensor, Tensor) {
    let distribution = agent.actor.distribution_of(&part.observation);
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
    let value = agent.value_of(&part.observation);
    let error = (&value - &part.returns).square();
    let error = if config.clip_value {
        let near = (&value - &part.value).clamp(-config.clip, config.clip) + &part.value;
        error.maximum((near - &part.returns).square())
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
