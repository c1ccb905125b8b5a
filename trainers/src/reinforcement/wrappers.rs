//! Environments around environments: [`TimeLimit`], [`FrameStack`], [`ScaledActions`]. Normalisers of observations and rewards
//! belong to the algorithms ([`super::PpoConfig`]), for they learn; returns and lengths of episodes are counted for all.

use anygrad_core::{Device, Error, Result, Tensor};

use super::environment::{Environment, Step};
use super::space::Space;

/// Cuts episodes off after so many steps, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit<E> {
    /// What is limited.
    pub environment: E,
    /// Steps of an episode.
    pub steps: Option<usize>,
}

impl<E: Environment> Environment for TimeLimit<E> {
    fn name(&self) -> &str {
        self.environment.name()
    }

    fn observation_space(&self) -> Space {
        self.environment.observation_space()
    }

    fn action_space(&self) -> Space {
        self.environment.action_space()
    }

    fn time_limit(&self) -> Option<usize> {
        self.steps
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        self.environment.reset(n, device)
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        self.environment.observe(state)
    }

    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        self.environment.allowed(state)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        self.environment.step(state, action)
    }
}

/// Shows the last few observations, the newest last, side by side along their first axis: channels of images, numbers of
/// vectors. At the beginning of an episode all are the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStack<E> {
    environment: E,
    frames: usize,
}

impl<E: Environment> FrameStack<E> {
    /// The last `frames` observations.
    ///
    /// # Errors
    /// If there are none, or observations are not real numbers with an axis.
    pub fn new(environment: E, frames: usize) -> Result<FrameStack<E>> {
        let space = environment.observation_space();
        if frames == 0 || !matches!(&space, Space::Box { shape, .. } if !shape.is_empty()) {
            let message =
                format!("{frames} frames of {space:?}; at least one, of real numbers with an axis, is needed");
            return Err(Error::data(format!("{}: frames", environment.name()), message));
        }
        Ok(FrameStack { environment, frames })
    }

    /// The older frames, and the state of the environment.
    fn parts<'a>(&self, state: &'a [Tensor]) -> (&'a [Tensor], &'a [Tensor]) {
        state.split_at(self.frames - 1)
    }
}

impl<E: Environment> Environment for FrameStack<E> {
    fn name(&self) -> &str {
        self.environment.name()
    }

    fn observation_space(&self) -> Space {
        match self.environment.observation_space() {
            Space::Box { mut shape, low, high } => {
                shape[0] *= self.frames;
                Space::Box { shape, low: low.repeat(self.frames), high: high.repeat(self.frames) }
            }
            other => other,
        }
    }

    fn action_space(&self) -> Space {
        self.environment.action_space()
    }

    fn time_limit(&self) -> Option<usize> {
        self.environment.time_limit()
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let state = self.environment.reset(n, device);
        let first = self.environment.observe(&state);
        std::iter::repeat_n(first, self.frames - 1).chain(state).collect()
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let (older, state) = self.parts(state);
        let now = self.environment.observe(state);
        let all: Vec<&Tensor> = older.iter().chain([&now]).collect();
        Tensor::cat(&all, 1)
    }

    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        self.environment.allowed(self.parts(state).1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let (older, state) = self.parts(state);
        let step = self.environment.step(state, action);
        let seen = (self.frames > 1).then(|| self.environment.observe(state));
        let frames = older.iter().skip(1).cloned().chain(seen);
        Step { state: frames.chain(step.state).collect(), ..step }
    }
}

/// Takes real actions in -1..1 and gives the environment actions between its bounds: a policy that begins with deviation 1
/// then reaches all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaledActions<E> {
    environment: E,
}

impl<E: Environment> ScaledActions<E> {
    /// Of an environment whose actions are real numbers within bounds.
    ///
    /// # Errors
    /// If they are not.
    pub fn new(environment: E) -> Result<ScaledActions<E>> {
        let space = environment.action_space();
        match &space {
            Space::Box { low, high, .. } if low.iter().chain(high).all(|bound| bound.is_finite()) => {
                Ok(ScaledActions { environment })
            }
            _ => {
                let message = format!("actions are {space:?}; real numbers within bounds can be scaled");
                Err(Error::data(format!("{}: scaled actions", environment.name()), message))
            }
        }
    }
}

impl<E: Environment> Environment for ScaledActions<E> {
    fn name(&self) -> &str {
        self.environment.name()
    }

    fn observation_space(&self) -> Space {
        self.environment.observation_space()
    }

    fn action_space(&self) -> Space {
        Space::uniform(&self.environment.action_space().shape(), -1.0, 1.0)
    }

    fn time_limit(&self) -> Option<usize> {
        self.environment.time_limit()
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        self.environment.reset(n, device)
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        self.environment.observe(state)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        self.environment.step(state, &self.environment.action_space().scaled(action))
    }
}
