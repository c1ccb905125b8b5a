//! [`Environment`]: a world as functions on tensors, and [`VectorEnvironment`]: many of them, with their states on the device.
//!
//! A step is traced into the program that acts, so it fuses with what surrounds it. Episodes that end are started anew
//! in the same step; the observation before that is handed out too, because a truncated episode's value is bootstrapped
//! from it.

use std::fmt::Debug;
use std::sync::Arc;

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::space::Space;

/// What one action did to `n` worlds.
#[derive(Clone, Debug)]
pub struct Step {
    /// The next state, as the environment's own list of tensors `[n, ..]`.
    pub state: Vec<Tensor>,
    /// `[n]`, of the state's float type.
    pub reward: Tensor,
    /// `[n]` bool: the episode ended by itself, nothing comes after it.
    pub terminated: Tensor,
}

/// A world as functions on tensors. The state is a list of tensors whose first axis counts worlds; worlds do not see each
/// other. Numbers are computed in the type of the state (f32 from `reset`; tests check f64).
pub trait Environment: Debug + Send + Sync {
    /// A short name for messages, such as `CartPole`.
    fn name(&self) -> &str;

    /// What observations look like.
    fn observation_space(&self) -> Space;

    /// What actions look like.
    fn action_space(&self) -> Space;

    /// Steps after which an episode is cut off (truncated), if it is.
    fn time_limit(&self) -> Option<usize>;

    /// `n` states at the beginning of an episode.
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor>;

    /// What is seen of a state: `[n, observation..]`.
    fn observe(&self, state: &[Tensor]) -> Tensor;

    /// Which choices the state allows, bool `[n, choices]` with at least one in each row; none: all are allowed at all times.
    /// Only for [`Space::Discrete`] actions, and algorithms that heed it: PPO, recurrent PPO, PQN and DQN.
    fn allowed(&self, _state: &[Tensor]) -> Option<Tensor> {
        None
    }

    /// One action in each world: `[n]` i32 or `[n, action..]` floats.
    fn step(&self, state: &[Tensor], action: &Tensor) -> Step;
}

/// What one step of a [`VectorEnvironment`] gave.
#[derive(Clone, Debug)]
pub struct Transition {
    /// `[n]` f32.
    pub reward: Tensor,
    /// `[n]` bool: ended by itself; the value after it is 0.
    pub terminated: Tensor,
    /// `[n]` bool: cut off by the time limit; the value after it is that of `next`.
    pub truncated: Tensor,
    /// `[n, observation..]` after the action, before an ended episode was started anew.
    pub next: Tensor,
    /// Bool `[n, choices]`: what may be chosen then, if not everything.
    pub next_allowed: Option<Tensor>,
}

impl Transition {
    /// `[n]` bool: a new episode begins.
    pub fn done(&self) -> Tensor {
        self.terminated.logical_or(&self.truncated)
    }
}

/// `count` worlds of one kind. Their states are variables: programs that step them carry them along, checkpoints save them.
#[derive(Clone, Debug)]
pub struct VectorEnvironment {
    environment: Arc<dyn Environment>,
    count: usize,
    state: Vec<Var>,
    /// Steps of the present episode, `[count]` i32.
    elapsed: Var,
}

impl VectorEnvironment {
    /// `count` worlds at the beginning of an episode.
    ///
    /// # Errors
    /// If `count` is 0, a space makes no sense, states or observations have other shapes than promised, or memory cannot be had.
    pub fn new(environment: Arc<dyn Environment>, count: usize, device: &Device) -> Result<VectorEnvironment> {
        let name = environment.name().to_string();
        if count == 0 {
            return Err(Error::data(name, "0 environments were asked for; at least one must run"));
        }
        environment.observation_space().validate(&format!("{name}: observation space"))?;
        environment.action_space().validate(&format!("{name}: action space"))?;
        if environment.time_limit() == Some(0) {
            return Err(Error::data(name, "the time limit is 0; an episode needs at least one step"));
        }
        let fresh = environment.reset(count, device);
        let mut state = Vec::with_capacity(fresh.len());
        for (i, tensor) in fresh.iter().enumerate() {
            if tensor.shape().first() != Some(&count) {
                let message = format!("part {i} of the state is {:?}; its first axis must be {count}", tensor.shape());
                return Err(Error::data(name, message));
            }
            state.push(Var::try_new(format!("environment.state.{i}"), tensor)?);
        }
        let elapsed = Tensor::full(&[count], 0.0, DType::I32, device);
        let elapsed = Var::try_new("environment.elapsed", &elapsed)?;
        let all = VectorEnvironment { environment, count, state, elapsed };
        let (seen, promised) = (all.observe(), all.environment.observation_space());
        let expected = [&[count][..], &promised.shape()].concat();
        if seen.shape() != expected || seen.dtype() != promised.dtype() {
            let message = format!("observations are {seen:?}, the space promises {expected:?} {}", promised.dtype());
            return Err(Error::data(name, message));
        }
        if let Some(allowed) = all.allowed() {
            let Space::Discrete(choices) = all.environment.action_space() else {
                return Err(Error::data(name, "it masks actions that are not one choice; only choices can be masked"));
            };
            if allowed.shape() != [count, choices] || allowed.dtype() != DType::Bool {
                let message = format!("the mask of actions is {allowed:?}; [{count}, {choices}] of bools is needed");
                return Err(Error::data(name, message));
            }
        }
        Ok(all)
    }

    /// How many worlds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The kind of world.
    #[must_use]
    pub fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// The parts of the state, `[count, ..]` each.
    pub(super) fn state(&self) -> &[Var] {
        &self.state
    }

    /// What is seen now: `[count, observation..]`.
    pub fn observe(&self) -> Tensor {
        let state: Vec<Tensor> = self.state.iter().map(Var::get).collect();
        self.environment.observe(&state)
    }

    /// Which choices are allowed now, bool `[count, choices]`; none: all.
    pub fn allowed(&self) -> Option<Tensor> {
        let state: Vec<Tensor> = self.state.iter().map(Var::get).collect();
        self.environment.allowed(&state)
    }

    /// An error if not all choices are always allowed: for algorithms that cannot heed a mask.
    pub(super) fn refuse_mask(&self, algorithm: &str) -> Result<()> {
        match self.allowed() {
            None => Ok(()),
            Some(_) => {
                let message = format!(
                    "it does not allow all choices at all times, which {algorithm} cannot heed; use PPO, PQN or DQN"
                );
                Err(Error::data(self.environment.name(), message))
            }
        }
    }

    /// Bool `[count]`: what is seen now is the beginning of an episode.
    pub fn begins(&self) -> Tensor {
        self.elapsed.get().eq(0)
    }

    /// Acts in all worlds and starts ended episodes anew. Call it inside of a program.
    ///
    /// # Panics
    /// If the environment's functions do, as when the action has another shape than its space.
    #[must_use]
    #[track_caller]
    pub fn step(&self, action: &Tensor) -> Transition {
        let state: Vec<Tensor> = self.state.iter().map(Var::get).collect();
        let device = self.elapsed.device();
        let Step { state, reward, terminated } = self.environment.step(&state, action);
        let (next, next_allowed) = (self.environment.observe(&state), self.environment.allowed(&state));
        let elapsed = self.elapsed.get() + 1;
        let truncated = match self.environment.time_limit() {
            Some(limit) => elapsed.ge(limit as i32),
            None => Tensor::full(&[self.count], 0.0, DType::Bool, &device),
        };
        let transition = Transition { reward, terminated, truncated, next, next_allowed };
        let done = transition.done();
        self.elapsed.assign(&done.select(0, &elapsed));
        let fresh = self.environment.reset(self.count, &device);
        for ((var, next), fresh) in self.state.iter().zip(&state).zip(&fresh) {
            let mut sizes = vec![1; next.rank()];
            sizes[0] = self.count;
            var.assign(&done.reshape(sizes).select(fresh, next));
        }
        transition
    }

    /// All that must be saved to resume.
    #[must_use]
    pub fn variables(&self) -> Vec<Var> {
        self.state.iter().chain([&self.elapsed]).cloned().collect()
    }
}
