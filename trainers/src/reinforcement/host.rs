//! [`HostEnvironment`]: a user's own world as ordinary Rust on the CPU, and [`HostEnvironments`]: many of them on threads.
//!
//! Acting reads one action and uploads one observation per step; learning is the same programs as on the device.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anygrad_core::{Error, Result};

use super::space::Space;

/// What one action did.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStep {
    /// What is seen then, row-major.
    pub observation: Vec<f32>,
    /// What was earned.
    pub reward: f32,
    /// The episode ended by itself.
    pub terminated: bool,
    /// The episode was cut off.
    pub truncated: bool,
}

/// A world on the CPU. After an episode ended, `reset` is called for the next.
pub trait HostEnvironment {
    /// Begins an episode; returns what is seen, row-major.
    ///
    /// # Errors
    /// What went wrong; the run ends with it.
    fn reset(&mut self) -> Result<Vec<f32>>;

    /// Acts; one choice is a single whole number.
    ///
    /// # Errors
    /// What went wrong; the run ends with it.
    fn step(&mut self, action: &[f32]) -> Result<HostStep>;
}

/// A step of one world; where an episode ended, `now` is the next one's beginning.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) step: HostStep,
    pub(crate) now: Vec<f32>,
}

/// Actions of a worker's worlds, or `None` to begin all anew.
type Order = Option<Vec<Vec<f32>>>;

#[derive(Debug)]
struct Worker {
    /// Numbers of its worlds.
    worlds: std::ops::Range<usize>,
    orders: Sender<Order>,
    outcomes: Receiver<Result<Vec<Outcome>>>,
}

/// Many worlds of one kind, shared out to threads.
#[derive(Debug)]
pub struct HostEnvironments {
    name: String,
    observations: Space,
    actions: Space,
    count: usize,
    workers: Vec<Worker>,
    timeout: Duration,
    /// What went wrong; answers to later questions would be those to earlier ones.
    failed: Option<String>,
}

/// What [`HostEnvironments::new`] must know.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// For messages.
    pub name: String,
    /// What observations look like.
    pub observations: Space,
    /// What actions look like.
    pub actions: Space,
    /// How many worlds.
    pub count: usize,
    /// How many threads; at most `count` are used.
    pub threads: usize,
    /// A step or reset of all worlds that takes longer is an error.
    pub timeout: Duration,
}

impl HostEnvironments {
    /// Makes worlds `0..count`, each on the thread that will step it.
    ///
    /// # Errors
    /// If a number is 0 or a space makes no sense. What `make` errs comes with the first step.
    pub fn new<E, F>(config: HostConfig, make: F) -> Result<HostEnvironments>
    where
        E: HostEnvironment + 'static,
        F: Fn(usize) -> Result<E> + Clone + Send + 'static,
    {
        let HostConfig { name, observations, actions, count, threads, timeout } = config;
        if count == 0 || threads == 0 {
            return Err(Error::data(
                name,
                format!("{count} environments on {threads} threads; both must be at least 1"),
            ));
        }
        observations.validate(&format!("{name}: observation space"))?;
        actions.validate(&format!("{name}: action space"))?;
        let threads = threads.min(count);
        let mut workers = Vec::with_capacity(threads);
        for thread in 0..threads {
            let worlds = thread * count / threads..(thread + 1) * count / threads;
            let (orders, inbox) = channel::<Order>();
            let (outbox, outcomes) = channel();
            let (make, mine, length, label) = (make.clone(), worlds.clone(), observations.len(), name.clone());
            let work = move || {
                let mut all: Vec<Option<E>> = mine.clone().map(|_| None).collect();
                while let Ok(order) = inbox.recv() {
                    let outcomes = mine.clone().map(|number| {
                        let world = match &mut all[number - mine.start] {
                            Some(world) => world,
                            none => none.insert(make(number)?),
                        };
                        let action = order.as_ref().map(|actions| &actions[number - mine.start][..]);
                        let outcome = act(world, action)?;
                        for seen in [&outcome.step.observation, &outcome.now] {
                            if seen.len() != length {
                                let message = format!("an observation has {} numbers, its space {length}", seen.len());
                                return Err(Error::data(label.clone(), message));
                            }
                        }
                        Ok(outcome)
                    });
                    // Which world it was is known here.
                    let outcomes = outcomes.zip(mine.clone()).map(|(outcome, number)| {
                        outcome.map_err(|error: Error| {
                            Error::data(format!("{label}, environment {number}"), error.to_string())
                        })
                    });
                    if outbox.send(outcomes.collect()).is_err() {
                        return;
                    }
                }
            };
            let spawned = std::thread::Builder::new().name(format!("{name}-{thread}")).spawn(work);
            spawned.map_err(|error| Error::data(name.clone(), format!("a thread could not be started: {error}")))?;
            workers.push(Worker { worlds, orders, outcomes });
        }
        Ok(HostEnvironments { name, observations, actions, count, workers, timeout, failed: None })
    }

    /// For messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many worlds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// What observations look like.
    #[must_use]
    pub fn observation_space(&self) -> &Space {
        &self.observations
    }

    /// What actions look like.
    #[must_use]
    pub fn action_space(&self) -> &Space {
        &self.actions
    }

    /// Begins an episode in every world; `[count * observation]`, row-major.
    pub(crate) fn reset(&mut self) -> Result<Vec<f32>> {
        Ok(self.ask(None)?.into_iter().flat_map(|outcome| outcome.now).collect())
    }

    /// Acts in every world; `actions` is row-major.
    pub(crate) fn step(&mut self, actions: &[f32]) -> Result<Vec<Outcome>> {
        self.ask(Some(actions))
    }

    fn ask(&mut self, actions: Option<&[f32]>) -> Result<Vec<Outcome>> {
        if let Some(before) = &self.failed {
            let help = "save the state of the training, make new worlds, and go on from it";
            return Err(Error::data(self.name.clone(), format!("they failed before ({before}); {help}")));
        }
        let outcome = self.answers(actions);
        self.failed = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    fn answers(&self, actions: Option<&[f32]>) -> Result<Vec<Outcome>> {
        let width = self.actions.len();
        let begin = Instant::now();
        let gone = |name: &str, worlds: &std::ops::Range<usize>| {
            Error::data(format!("{name}, environments {worlds:?}"), "their thread panicked; its message is above")
        };
        for Worker { worlds, orders, .. } in &self.workers {
            let order = actions
                .map(|all| worlds.clone().map(|number| all[number * width..(number + 1) * width].to_vec()).collect());
            orders.send(order).map_err(|_| gone(&self.name, worlds))?;
        }
        let mut all = Vec::with_capacity(self.count);
        for Worker { worlds, outcomes, .. } in &self.workers {
            let left = self.timeout.saturating_sub(begin.elapsed());
            match outcomes.recv_timeout(left) {
                Ok(outcomes) => all.extend(outcomes?),
                Err(RecvTimeoutError::Disconnected) => return Err(gone(&self.name, worlds)),
                Err(RecvTimeoutError::Timeout) => {
                    let message = format!("no answer within {:?}; look for a hang, or raise `timeout`", self.timeout);
                    return Err(Error::data(format!("{}, environments {worlds:?}", self.name), message));
                }
            }
        }
        Ok(all)
    }
}

/// One step, or the beginning where there is no action.
fn act(world: &mut impl HostEnvironment, action: Option<&[f32]>) -> Result<Outcome> {
    let Some(action) = action else {
        let now = world.reset()?;
        let step = HostStep { observation: now.clone(), reward: 0.0, terminated: false, truncated: false };
        return Ok(Outcome { step, now });
    };
    let step = world.step(action)?;
    let now = if step.terminated || step.truncated { world.reset()? } else { step.observation.clone() };
    Ok(Outcome { step, now })
}
