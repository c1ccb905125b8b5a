//! What a run has to say at its end, and what of it a checkpoint keeps.

use anygrad_core::Memory;
use serde::{Deserialize, Serialize};

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// All epochs are done.
    Done,
    /// The monitored number got no better for as long as [`super::EarlyStopping`] allows.
    StoppedEarly,
    /// Ctrl-C, or [`crate::interrupt::request`].
    Interrupted,
    /// A listener asked for it.
    Stopped,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reason::Done => "done",
            Reason::StoppedEarly => "stopped early",
            Reason::Interrupted => "interrupted",
            Reason::Stopped => "stopped by a listener",
        })
    }
}

/// An epoch's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Updates done at its end.
    pub step: u64,
    /// `loss`, metrics, `valid.loss`, .. and their values: means over rows.
    pub values: Vec<(String, f64)>,
}

impl Epoch {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        value(&self.values, name)
    }
}

/// Means of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(pub Vec<(String, f64)>);

impl Scores {
    /// The value of this name: `loss`, or a metric's.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        value(&self.0, name)
    }

    /// The mean loss.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.get("loss").unwrap_or(f64::NAN)
    }
}

fn value(values: &[(String, f64)], name: &str) -> Option<f64> {
    values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "says how training went"]
pub struct Fit {
    /// All epochs, those before a resumption too.
    pub history: Vec<Epoch>,
    /// Number (from 1) and monitored value of the best one.
    pub best: Option<(usize, f64)>,
    /// Why it ended.
    pub reason: Reason,
    /// Updates in all.
    pub steps: u64,
    /// Seconds of this life of the run, evaluation and checkpoints included.
    pub seconds: f64,
    /// Updates per second while training (evaluation and compilation left out).
    pub steps_per_second: f64,
    /// Rows per second while training.
    pub samples_per_second: f64,
    /// What one update needs on the device.
    pub memory: Memory,
}

impl Fit {
    /// The last epoch's value of this name.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<f64> {
        self.history.last()?.get(name)
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} epochs, {} steps in {:.1} s", self.reason, self.history.len(), self.steps, self.seconds)?;
        write!(f, " ({:.1} steps/s, {:.0} samples/s)", self.steps_per_second, self.samples_per_second)?;
        if let Some((epoch, value)) = self.best {
            write!(f, "; best epoch {epoch} ({value:.4})")?;
        }
        Ok(())
    }
}
