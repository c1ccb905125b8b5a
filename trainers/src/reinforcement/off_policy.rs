//! [`OffPolicy`]: the loop of algorithms that learn from a [`Replay`]: some steps, then some updates, as one program.
//!
//! A [`Learner`] is all that differs between them: how it acts while it explores, and what an update is.

use std::path::Path;
use std::sync::Arc;

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Program, Result, Tensor, Var};

use super::environment::{Environment, VectorEnvironment};
use super::evaluate::{Actor, Interval};
use super::replay::{Draw, Priority, Replay, Sample};
use super::rollout::{Episodes, Rollout, check_finite};
use crate::checkpoint;
use crate::events::{Event, Flow, Listener, Record};

/// What all off-policy algorithms share; by default 100,000 steps of one environment, all remembered, an update of 256 after each.
#[derive(Clone, Debug, PartialEq)]
pub struct OffPolicyConfig {
    /// Agents trained at once, each with its own parameters, environments and replay; 1.
    pub seeds: usize,
    /// Environments of each agent; 1.
    pub environments: usize,
    /// Steps in all, over the environments of one agent.
    pub steps: u64,
    /// Steps of each environment between updates.
    pub frequency: usize,
    /// Updates after each `frequency` steps.
    pub updates: usize,
    /// Steps of each environment that are remembered; a multiple of `frequency`.
    pub capacity: usize,
    /// Steps (over the environments of one agent) with random actions before the first update.
    pub warm_up: u64,
    /// Remembered steps per update.
    pub batch: usize,
    /// Steps whose rewards are summed before a value is trusted; at most `frequency`.
    pub n_step: usize,
    /// Discount of later rewards.
    pub gamma: f64,
    /// Whether steps that surprised are drawn more often; none: all equally often.
    pub priority: Option<Priority>,
}

impl Default for OffPolicyConfig {
    fn default() -> OffPolicyConfig {
        OffPolicyConfig {
            seeds: 1,
            environments: 1,
            steps: 100_000,
            frequency: 1,
            updates: 1,
            capacity: 100_000,
            warm_up: 100,
            batch: 256,
            n_step: 1,
            gamma: 0.99,
            priority: None,
        }
    }
}

impl OffPolicyConfig {
    fn validate(&self, name: &str) -> Result<()> {
        let fail = |message: String| Err(Error::data(name, message));
        let counts = [
            ("seeds", self.seeds),
            ("environments", self.environments),
            ("frequency", self.frequency),
            ("updates", self.updates),
            ("batch", self.batch),
            ("n_step", self.n_step),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return fail(format!("`{field}` is 0; it must be at least 1"));
        }
        if self.n_step > self.frequency {
            let message = format!("sums of {} steps, but only {} are written at a time", self.n_step, self.frequency);
            return fail(format!("{message}; raise `frequency`"));
        }
        if self.warm_up < (self.batch.min(self.frequency * self.environments)) as u64 {
            return fail(format!("a warm-up of {} steps leaves nothing to sample; raise `warm_up`", self.warm_up));
        }
        if self.steps <= self.warm_up {
            return fail(format!("{} steps in all are not more than the warm-up of {}", self.steps, self.warm_up));
        }
        if !(0.0..=1.0).contains(&self.gamma) {
            return fail(format!("`gamma` is {}; it must be in 0..=1", self.gamma));
        }
        Ok(())
    }
}

/// What an update of a [`Learner`] says.
#[derive(Clone, Debug)]
pub struct Update {
    /// `[told, seeds]`.
    pub told: Tensor,
    /// How wrong the values of the sample were, `[seeds, batch]`: the priorities of its steps.
    pub error: Tensor,
}

/// An algorithm that learns from remembered steps.
pub trait Learner: Actor + 'static {
    /// What an update tells, one name per row.
    fn told(&self) -> &'static [&'static str];

    /// Actions with exploration, as the environment takes them, `[n, ..]`; `progress`: `[1]`, from 0 to 1 over the run; `allowed`
    /// `[n, choices]` (bool): what may be chosen, if not everything.
    fn explore(&self, observation: &Tensor, progress: &Tensor, allowed: Option<&Tensor>) -> Tensor;

    /// Whether it heeds what environments allow; if not, environments that do not allow everything are refused.
    fn heeds_masks(&self) -> bool {
        false
    }

    /// One update: assigns parameters. `number` counts the updates of a cycle.
    fn update(&self, sample: &Sample, number: usize) -> Update;

    /// All variables of networks and optimizers, by unique names.
    fn variables(&self) -> Vec<(String, Var)>;
}

/// Acts, remembers and learns; see [`super::Dqn`], [`super::Sac`], [`super::Td3`].
pub struct OffPolicy<L> {
    name: &'static str,
    config: OffPolicyConfig,
    device: Device,
    environment: VectorEnvironment,
    learner: Arc<L>,
    replay: Replay,
    episodes: Arc<Episodes>,
    /// Cycles done, `[1]` f32 (exact up to 2^24).
    cycles: Var,
    done: u64,
    fill: Program<'static, (), Tensor>,
    settle: Program<'static, (), ()>,
    cycle: Program<'static, (), (Tensor, Tensor)>,
}

impl<L> std::fmt::Debug for OffPolicy<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.environment.environment().name();
        write!(f, "{}({world}, {} of {} steps)", self.name, self.done * self.per_cycle(), self.config.steps)
    }
}

impl<L> OffPolicy<L> {
    /// Steps of one agent per cycle.
    fn per_cycle(&self) -> u64 {
        (self.config.frequency * self.config.environments) as u64
    }
}

impl<L: Learner> OffPolicy<L> {
    /// An algorithm of one's own: `learner` gets the environment, for its spaces.
    ///
    /// # Errors
    /// If the configuration makes no sense, `learner` errs, or memory cannot be had.
    pub fn with(
        name: &'static str,
        environment: impl Environment + 'static,
        config: OffPolicyConfig,
        learner: impl FnOnce(&dyn Environment) -> Result<L>,
        device: &Device,
    ) -> Result<OffPolicy<L>> {
        config.validate(name)?;
        let n = config.seeds * config.environments;
        let environment = VectorEnvironment::new(Arc::new(environment), n, device)?;
        let learner = Arc::new(learner(&**environment.environment())?);
        if !learner.heeds_masks() {
            environment.refuse_mask(name)?;
        }
        let replay = Replay::new(&environment, config.seeds, (config.capacity, config.frequency), config.priority)?;
        let episodes = Arc::new(Episodes::new(n, config.seeds, device)?);
        let cycles = Var::try_new(format!("{name}.cycles"), &Tensor::zeros(&[1], device))?;
        let fill = {
            let (worlds, replay, episodes, cycles) =
                (environment.clone(), replay.clone(), episodes.clone(), cycles.clone());
            let (steps, device) = (config.frequency, device.clone());
            Program::inference(&device.clone(), move |()| {
                let space = worlds.environment().action_space();
                let rollout = Rollout::collect(&worlds, steps, |_| {
                    let action = space.random(worlds.allowed().as_ref(), worlds.count(), &device);
                    (action.clone(), action)
                });
                replay.write(&rollout.finite());
                cycles.assign(&(cycles.get() + 1.0));
                episodes.count(&rollout)
            })
        };
        let settle = {
            let replay = replay.clone();
            Program::inference(device, move |()| replay.settle())
        };
        let cycle = {
            let (worlds, replay, episodes, cycles) =
                (environment.clone(), replay.clone(), episodes.clone(), cycles.clone());
            let (config, learner) = (config.clone(), learner.clone());
            let draw = Draw { batch: config.batch, steps: config.n_step, gamma: config.gamma };
            let all = config.steps as f64 / (config.frequency * config.environments) as f64;
            Program::training(device, move |()| {
                let progress = cycles.get() / all;
                let rollout = Rollout::collect(&worlds, config.frequency, |observation| {
                    let action = learner.explore(observation, &progress, worlds.allowed().as_ref());
                    (action.clone(), action)
                });
                replay.write(&rollout.finite());
                let mut told = None;
                for number in 0..config.updates {
                    let sample = replay.sample(&draw, &progress);
                    let update = learner.update(&sample, number);
                    replay.revalue(&sample, &update.error);
                    told = Some(update.told);
                }
                cycles.assign(&(cycles.get() + 1.0));
                (episodes.count(&rollout), told.unwrap_or_else(|| cycles.get()))
            })
        };
        let device = device.clone();
        Ok(OffPolicy {
            name,
            config,
            device,
            environment,
            learner,
            replay,
            episodes,
            cycles,
            done: 0,
            fill,
            settle,
            cycle,
        })
    }

    /// The networks.
    #[must_use]
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// Steps of each agent so far.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.done * self.per_cycle()
    }

    /// Trains to the end, from where it is; tells the listener about every `interval` steps of an agent. Nothing is read from
    /// the device in between.
    ///
    /// # Errors
    /// If a reward or an observation is not finite, the device fails, or the listener errs. What was learned is finite and can be
    /// saved.
    pub fn train(&mut self, interval: u64, listener: &mut dyn Listener) -> Result<()> {
        let per = self.per_cycle();
        let (total, warm) = (self.config.steps / per, self.config.warm_up.div_ceil(per));
        let every = (interval / per).max(1);
        let begin = Event::Begin { label: self.name, step: self.steps_done(), steps: Some(total * per) };
        let mut flow = listener.on(&begin)?;
        while self.done < total && flow == Flow::Continue {
            let first = self.done;
            let end = (first + every - first % every).min(total);
            let (mut counts, mut told) = (Vec::new(), None);
            while self.done < end {
                if self.done < warm {
                    counts.push(self.fill.run(())?);
                } else {
                    let (count, values) = self.cycle.run(())?;
                    counts.push(count);
                    told = Some(values);
                }
                self.done += 1;
                if self.done.is_multiple_of(self.replay.settle_every() as u64) {
                    self.settle.run(())?;
                }
            }
            let all: Vec<Vec<f64>> = counts.iter().map(Tensor::to_f64).collect::<Result<_>>()?;
            let seeds = self.config.seeds;
            for (i, counts) in all.iter().enumerate() {
                let step = (first + i as u64) * self.config.frequency as u64;
                let name = self.environment.environment().name();
                check_finite(name, self.environment.count(), &counts[3 * seeds..], step)?;
            }
            let sums = |row: usize| -> Vec<f64> {
                (0..seeds).map(|seed| all.iter().map(|counts| counts[row * seeds + seed]).sum()).collect()
            };
            let ended = sums(0);
            let each =
                |row: usize| -> Vec<f64> { sums(row).iter().zip(&ended).map(|(sum, count)| sum / count).collect() };
            let mut values = Interval::of(&each(1)).told();
            values.extend([("length", Interval::of(&each(2)).mean), ("episodes", ended.iter().sum())]);
            if let Some(told) = told {
                let told = told.to_f64()?;
                let rows = self.learner.told().iter().zip(told.chunks(seeds));
                values.extend(rows.map(|(name, row)| (*name, row.iter().sum::<f64>() / seeds as f64)));
            }
            let record = Record { epoch: self.done / every, step: self.done * per, values: &values };
            flow = listener.on(&Event::Epoch(record))?;
        }
        let reason = if flow == Flow::Stop { "interrupted" } else { "done" };
        listener.on(&Event::End { step: self.steps_done(), reason })?;
        Ok(())
    }

    fn state(&self) -> Vec<(String, Var)> {
        let mut all = self.learner.variables();
        let others = self.environment.variables().into_iter().chain(self.replay.variables());
        let others = others.chain([self.episodes.variable().clone(), self.cycles.clone(), self.device.generator()]);
        all.extend(others.map(|var| (var.name(), var)));
        all
    }

    /// Saves everything: networks, moments, environments, the replay, random numbers. [`OffPolicy::load`] goes on bit for bit.
    ///
    /// # Errors
    /// If the file cannot be written or the device fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::save_named(path, &self.state())
    }

    /// Takes back what [`OffPolicy::save`] wrote, of the same environment and configuration.
    ///
    /// # Errors
    /// If the file is missing, damaged or does not fit; nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::load_named(path, &self.state())?;
        self.done = self.cycles.get().item()? as u64;
        Ok(())
    }
}

/// A network and its target, which begins with the same numbers.
pub(crate) fn with_target<N: Module>(network: impl Fn() -> Result<N>) -> Result<(N, N)> {
    let (trained, target) = (network()?, network()?);
    for (to, from) in target.parameters().iter().zip(trained.parameters()) {
        to.assign(&from.get());
    }
    Ok((trained, target))
}

/// Moves target variables towards the trained ones: `target += tau (trained - target)`; Polyak averaging.
pub(crate) fn follow(target: &[Var], trained: &[Var], tau: &Tensor) {
    for (target, trained) in target.iter().zip(trained) {
        let (old, new) = (target.get(), trained.get());
        target.assign(&(&old + (new - &old) * tau.reshape(vec![1; old.rank()])));
    }
}

/// A constant for [`follow`].
pub(crate) fn constant(value: f64, device: &Device) -> Tensor {
    Tensor::full(&[1], value, DType::F32, device)
}
