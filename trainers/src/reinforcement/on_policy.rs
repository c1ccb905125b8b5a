//! [`OnPolicy`]: the loop of algorithms that learn from what the present policy just did.
//!
//! An iteration is three programs, submitted without a readback: `rollout` (some steps of all environments, run until
//! there are enough), `prepare` (advantages, statistics, the order of all passes) and `learn` (one minibatch, run for all passes
//! in one submission). Statistics are read once, at the end. An [`OnLearner`] is all that differs.

use std::path::Path;
use std::sync::Arc;

use anygrad_core::{DType, Device, Error, Program, Result, Tensor, Tensors, Var};

use super::environment::{Environment, VectorEnvironment};
use super::evaluate::Interval;
use super::host::HostEnvironments;
use super::rollout::{Choice, EPISODE_ROWS, Episodes, Rollout, check_finite};
use super::shuffled::Shuffled;
use super::source::Source;
use super::space::Space;
use crate::checkpoint;
use crate::events::{Event, Flow, Listener, Record};

/// How much is done, and in which portions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portions {
    /// Agents trained at once, each with its own parameters and environments.
    pub seeds: usize,
    /// Environments of each agent.
    pub environments: usize,
    /// Steps of each environment per iteration.
    pub rollout: usize,
    /// Steps in all, over the environments of one agent.
    pub steps: u64,
    /// Passes over each rollout.
    pub epochs: usize,
    /// Updates per pass.
    pub minibatches: usize,
}

impl Portions {
    /// Steps of one agent per iteration.
    fn batch(&self) -> u64 {
        (self.environments * self.rollout) as u64
    }

    /// Steps of one environment that one run of the rollout program makes: short enough to be traced quickly.
    fn chunk(&self) -> usize {
        (1..=16).rev().find(|chunk| self.rollout.is_multiple_of(*chunk)).unwrap_or(1)
    }

    /// Minibatches of one iteration.
    fn updates(&self) -> usize {
        self.epochs * self.minibatches
    }

    pub(super) fn validate(&self, name: &str) -> Result<()> {
        let fail = |message: String| Err(Error::data(name, message));
        let counts = [
            ("seeds", self.seeds),
            ("environments", self.environments),
            ("rollout", self.rollout),
            ("epochs", self.epochs),
            ("minibatches", self.minibatches),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return fail(format!("`{name}` is 0; it must be at least 1"));
        }
        let batch = self.environments * self.rollout;
        if self.minibatches > batch || !batch.is_multiple_of(self.minibatches) {
            let rollout = format!("{} environments x {} steps = {batch}", self.environments, self.rollout);
            return fail(format!("{rollout} cannot be cut into {} equal minibatches", self.minibatches));
        }
        if self.steps < batch as u64 {
            return fail(format!("{} steps are less than one rollout of {batch}", self.steps));
        }
        Ok(())
    }
}

/// An algorithm that learns from the rollouts of its own policy.
pub trait OnLearner: Send + Sync + 'static {
    /// What passes see of a rollout: tensors `[seeds, rows, ..]`, all of as many rows. Rows are steps, neighbouring environments
    /// (whose number divides that of the rows) beside each other, or something longer.
    type Batch: Tensors;

    /// What is told of an iteration, one name per row: first what [`OnLearner::prepare`] tells, then [`OnLearner::learn`].
    fn told(&self) -> &'static [&'static str];

    /// An action with exploration. `begins` `[n]` (bool): what is seen is the beginning of an episode. `allowed` `[n, choices]`
    /// (bool): what may be chosen, if not everything.
    fn explore(&self, observation: &Tensor, begins: &Tensor, allowed: Option<&Tensor>) -> Choice;

    /// Whether it heeds what environments allow; if not, environments that do not allow everything are refused.
    fn heeds_masks(&self) -> bool {
        false
    }

    /// Before an iteration: `progress` goes from 0 to 1 over the run.
    ///
    /// # Errors
    /// If the device fails.
    fn begin(&self, progress: f64) -> Result<()>;

    /// What is learned from a rollout, and what it tells, `[rows, seeds]`.
    fn prepare(&self, rollout: &Rollout) -> (Self::Batch, Tensor);

    /// Learns from a minibatch: assigns parameters and tells of it, `[rows, seeds]`. `last` (bool, `[1]`): a pass ends with it.
    fn learn(&self, part: &Self::Batch, last: &Tensor) -> Tensor;

    /// All variables of networks and optimizers, by unique names.
    fn variables(&self) -> Vec<(String, Var)>;
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
    /// What the algorithm tells, by name.
    pub told: Vec<(&'static str, Vec<f64>)>,
}

impl Statistics {
    /// The numbers of this name, one per seed; none if the algorithm does not tell them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.told.iter().find(|(told, _)| *told == name).map(|(_, values)| &values[..])
    }
}

/// Acts, then learns from it; see [`super::Ppo`], [`super::Pqn`].
pub struct OnPolicy<L: OnLearner> {
    name: &'static str,
    portions: Portions,
    device: Device,
    source: Source,
    learner: Arc<L>,
    episodes: Arc<Episodes>,
    /// Iterations done, one f32 (exact up to 2^24).
    done: Var,
    iteration: u64,
    prepare: Program<'static, Vec<Rollout>, (Shuffled<L::Batch>, [Tensor; 2])>,
    learn: Program<'static, Shuffled<L::Batch>, Tensor>,
}

impl<L: OnLearner> std::fmt::Debug for OnPolicy<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.source.name();
        write!(f, "{}({world}, iteration {} of {}, {:?})", self.name, self.iteration, self.iterations(), self.portions)
    }
}

impl<L: OnLearner> OnPolicy<L> {
    /// An algorithm of one's own, in environments on the device: `learner` gets the spaces of observations and actions.
    ///
    /// # Errors
    /// If the portions make no sense, `learner` errs, or memory cannot be had.
    pub fn with(
        name: &'static str,
        environment: impl Environment + 'static,
        portions: Portions,
        learner: impl FnOnce(&Space, &Space) -> Result<L>,
        device: &Device,
    ) -> Result<OnPolicy<L>> {
        portions.validate(name)?;
        let worlds = VectorEnvironment::new(Arc::new(environment), portions.seeds * portions.environments, device)?;
        let kind = worlds.environment().clone();
        let learner = Arc::new(learner(&kind.observation_space(), &kind.action_space())?);
        if !learner.heeds_masks() {
            worlds.refuse_mask(name)?;
        }
        let source = Source::on_device(worlds, learner.clone(), portions.chunk(), device);
        OnPolicy::over(name, source, portions, learner, device)
    }

    /// As [`OnPolicy::with`], in a user's own worlds on the host, `seeds * environments` of them. Their states are not saved;
    /// after [`OnPolicy::load`] they begin anew. After an error of theirs all that was learned before is intact and can be saved.
    ///
    /// # Errors
    /// As [`OnPolicy::with`], and if the number of worlds is another.
    pub fn with_host(
        name: &'static str,
        worlds: HostEnvironments,
        portions: Portions,
        learner: impl FnOnce(&Space, &Space) -> Result<L>,
        device: &Device,
    ) -> Result<OnPolicy<L>> {
        portions.validate(name)?;
        let Portions { seeds, environments, .. } = portions;
        if worlds.count() != seeds * environments {
            let needed = format!("{seeds} seeds of {environments} are {}", seeds * environments);
            return Err(Error::data(worlds.name(), format!("{} worlds; {needed}", worlds.count())));
        }
        let learner = Arc::new(learner(worlds.observation_space(), worlds.action_space())?);
        let source = Source::on_host(worlds, learner.clone(), device);
        OnPolicy::over(name, source, portions, learner, device)
    }

    fn over(
        name: &'static str,
        source: Source,
        portions: Portions,
        learner: Arc<L>,
        device: &Device,
    ) -> Result<OnPolicy<L>> {
        let episodes = Arc::new(Episodes::new(source.count(), portions.seeds, device)?);
        let done = Var::try_new(format!("{name}.iteration"), &Tensor::zeros(&[1], device))?;
        // Which minibatch of an iteration is next.
        let place = Var::try_new(format!("{name}.place"), &Tensor::full(&[1], 0.0, DType::I32, device))?;
        let prepare = {
            let (learner, episodes, place) = (learner.clone(), episodes.clone(), place.clone());
            Program::inference(device, move |parts: Vec<Rollout>| {
                let all = Rollout::join(&parts);
                let (batch, told) = learner.prepare(&all.finite());
                place.assign(&place.get().zeros_like());
                (Shuffled::new(batch, &portions), [episodes.count(&all), told])
            })
        };
        let learn = {
            let learner = learner.clone();
            Program::training(device, move |batch: Shuffled<L::Batch>| {
                let (part, last) = batch.part(&place, &portions);
                learner.learn(&part, &last)
            })
        };
        let device = device.clone();
        Ok(OnPolicy { name, portions, device, source, learner, episodes, done, iteration: 0, prepare, learn })
    }

    /// The networks.
    #[must_use]
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// Iterations in all.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        self.portions.steps / self.portions.batch()
    }

    /// Steps of each agent so far.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.iteration * self.portions.batch()
    }

    /// One iteration: act, then learn from it.
    ///
    /// # Errors
    /// If a reward or an observation is not finite, a world on the host fails, or the device does. What was learned before is intact
    /// and can be saved.
    pub fn iterate(&mut self) -> Result<Statistics> {
        self.learner.begin((self.iteration as f64 / self.iterations() as f64).min(1.0))?;
        let rollouts = self.source.rollout(self.portions.rollout)?;
        let (batch, [counts, first]) = self.prepare.run(rollouts)?;
        let last = self.learn.run_times(self.portions.updates(), batch)?;
        let (counts, mut told) = (counts.to_f64()?, first.to_f64()?);
        told.extend(last.to_f64()?);
        let row = |i: usize| counts[i * self.portions.seeds..(i + 1) * self.portions.seeds].to_vec();
        let step = self.iteration * self.portions.rollout as u64;
        check_finite(&self.source.name(), self.source.count(), &row(EPISODE_ROWS - 1), step)?;
        self.iteration += 1;
        self.done.write(&[self.iteration as f32])?;
        let episodes = row(0);
        let mean = |sums: Vec<f64>| sums.iter().zip(&episodes).map(|(sum, count)| sum / count).collect();
        let told = told.chunks(self.portions.seeds).map(<[f64]>::to_vec);
        let told = self.learner.told().iter().copied().zip(told).collect();
        Ok(Statistics { returns: mean(row(1)), lengths: mean(row(2)), told, episodes })
    }

    /// The kernels of the three programs, in words (see [`Program::explain`]).
    ///
    /// # Errors
    /// If memory is over the budget or the device cannot compile them.
    pub fn explain(&mut self) -> Result<String> {
        let parts = self.source.rollout(self.portions.rollout)?;
        let mut text = format!("rollout, {} times: {}\n", parts.len(), self.source.explain()?);
        text += &format!("prepare: {}\n", self.prepare.explain(&parts)?);
        let (batch, _) = self.prepare.run(parts)?;
        text += &format!("learn, {} times: {}", self.portions.updates(), self.learn.explain(&batch)?);
        Ok(text)
    }

    /// Measured times of the kernels of the three programs (see [`Program::profile`]).
    ///
    /// # Errors
    /// As [`OnPolicy::explain`].
    pub fn profile(&mut self) -> Result<String> {
        let parts = self.source.rollout(self.portions.rollout)?;
        let mut text = format!("rollout, {} times: {}\n", parts.len(), self.source.profile()?);
        text += &format!("prepare: {}\n", self.prepare.profile(&parts)?);
        let (batch, _) = self.prepare.run(parts)?;
        text += &format!("learn, {} times: {}", self.portions.updates(), self.learn.profile(&batch)?);
        Ok(text)
    }

    /// Trains to the end, from where it is; tells the listener after each iteration: means over the seeds, and the
    /// interval of the returns (see [`Interval`]).
    ///
    /// # Errors
    /// As [`OnPolicy::iterate`], and what the listener errs.
    pub fn train(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let (batch, iterations) = (self.portions.batch(), self.iterations());
        let begin = Event::Begin { label: self.name, step: self.steps_done(), steps: Some(iterations * batch) };
        let mut flow = listener.on(&begin)?;
        while self.iteration < iterations && flow == Flow::Continue {
            let s = self.iterate()?;
            let mean = |list: &[f64]| Interval::of(list).mean;
            let mut values = Interval::of(&s.returns).told();
            values.push(("length", mean(&s.lengths)));
            values.extend(s.told.iter().map(|(name, list)| (*name, mean(list))));
            let record = Record { epoch: self.iteration, step: self.steps_done(), values: &values };
            flow = listener.on(&Event::Epoch(record))?;
        }
        let reason = if flow == Flow::Stop { "interrupted" } else { "done" };
        listener.on(&Event::End { step: self.steps_done(), reason })?;
        Ok(())
    }

    /// Everything that the next iteration depends on.
    fn state(&self) -> Vec<(String, Var)> {
        let mut all = self.learner.variables();
        let others = self.source.variables().into_iter();
        let others = others.chain([self.episodes.variable().clone(), self.done.clone(), self.device.generator()]);
        all.extend(others.map(|var| (var.name(), var)));
        all
    }

    /// Saves everything: parameters, moments, environments, random numbers. [`OnPolicy::load`] goes on bit for bit.
    ///
    /// # Errors
    /// If the file cannot be written or the device fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::save_named(path, &self.state())
    }

    /// Takes back what [`OnPolicy::save`] wrote, of the same environment and configuration.
    ///
    /// # Errors
    /// If the file is missing, damaged or does not fit; nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::load_named(path, &self.state())?;
        self.iteration = self.done.get().item()? as u64;
        Ok(())
    }
}
