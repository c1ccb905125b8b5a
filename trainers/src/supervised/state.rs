//! The part of a run's state that is not on the device, as a checkpoint's manifest holds it.

use serde::{Deserialize, Serialize};

use super::report::{Epoch, Reason};

/// Positions, history and settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The epoch that goes on, from 0.
    pub(super) epoch: usize,
    /// Batches of it that are done.
    pub(super) batch: usize,
    /// Updates done.
    pub(super) step: u64,
    /// The schedule's own memory.
    pub(super) schedule: Vec<Exact>,
    /// Learning rates are multiplied by it, after rolling back.
    pub(super) factor: Option<Exact>,
    /// Epochs done.
    pub(super) history: Vec<Row>,
    /// Epoch (from 1), step and value of the best.
    pub(super) best: Option<(usize, u64, Exact)>,
    /// Epochs since then.
    pub(super) waited: usize,
    /// Whether and why it ended before the last epoch.
    pub(super) ended: Option<Reason>,
    /// The device's seed, and random tensors drawn outside of programs.
    pub(super) drawn: (u64, u64),
    /// Settings that must be the same to go on exactly.
    pub(super) settings: Vec<(String, String)>,
}

/// [`Epoch`] as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    epoch: usize,
    step: u64,
    values: Vec<(String, Exact)>,
}

impl From<&Epoch> for Row {
    fn from(epoch: &Epoch) -> Row {
        let values = epoch.values.iter().map(|(name, value)| (name.clone(), Exact(*value))).collect();
        Row { epoch: epoch.epoch, step: epoch.step, values }
    }
}

impl From<&Row> for Epoch {
    fn from(row: &Row) -> Epoch {
        let values = row.values.iter().map(|(name, value)| (name.clone(), value.0)).collect();
        Epoch { epoch: row.epoch, step: row.step, values }
    }
}

/// A number that comes back as it was: JSON has no NaN and no infinities, they are words here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct Exact(pub(super) f64);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Number(f64),
    Word(String),
}

impl From<Stored> for Exact {
    fn from(stored: Stored) -> Exact {
        Exact(match stored {
            Stored::Number(value) => value,
            Stored::Word(word) => word.parse().unwrap_or(f64::NAN),
        })
    }
}

impl From<Exact> for Stored {
    fn from(Exact(value): Exact) -> Stored {
        if value.is_finite() { Stored::Number(value) } else { Stored::Word(value.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for value in [0.1 + 0.2, 1e-310, -0.0, 1.0 / 3.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 7.0] {
            let text = serde_json::to_string(&Exact(value)).expect("written");
            let back: Exact = serde_json::from_str(&text).expect("read");
            assert!(back.0.to_bits() == value.to_bits() || back.0.is_nan() && value.is_nan(), "{text}: {value}");
        }
    }
}
