//! What a run tells those who listen: progress bars, loggers, reports, the user's own callbacks. All trainers (supervised,
//! unsupervised, reinforcement) speak these few words, so that whoever listens to one can listen to all.

use std::path::Path;

use anygrad_core::Result;

/// Something that happened in a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins (or goes on, if `step` is not 0).
    Begin {
        /// What runs, such as `train`.
        label: &'a str,
        /// Steps done in an earlier life of this run.
        step: u64,
        /// Steps in all, if known.
        steps: Option<u64>,
    },
    /// Numbers of a step, or of the steps since the last such event.
    Step(Record<'a>),
    /// Numbers of a whole epoch (an iteration, where a method has no epochs).
    Epoch(Record<'a>),
    /// The state was saved.
    Saved {
        /// The checkpoint.
        path: &'a Path,
    },
    /// Something that does not stop the run but that a person should know.
    Warning(&'a str),
    /// The run ended.
    End {
        /// Steps in all.
        step: u64,
        /// Why: `done`, `stopped early`, `interrupted`, ..
        reason: &'a str,
    },
}

/// Named numbers at a moment of a run.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Epochs begun, from 1.
    pub epoch: u64,
    /// Steps (updates of the parameters) done.
    pub step: u64,
    /// Names such as `loss`, `valid.accuracy`, `learning_rate`, and their values.
    pub values: &'a [(&'a str, f64)],
}

impl Record<'_> {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Whether a run goes on after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    #[default]
    Continue,
    /// It finishes the step, saves and ends.
    Stop,
}

/// Listens to a run.
pub trait Listener {
    /// Called at each event, in order, on the thread that trains.
    ///
    /// # Errors
    /// What went wrong (a full disk, say); the run ends with it.
    fn on(&mut self, event: &Event<'_>) -> Result<Flow>;
}

/// A closure listens, too.
impl<F: FnMut(&Event<'_>) -> Result<Flow>> Listener for F {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        self(event)
    }
}
