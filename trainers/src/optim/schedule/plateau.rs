//! A rate that falls when the watched value no longer improves.

use anygrad_core::{Error, Result};

use super::Schedule;

/// Multiplies the rate by `factor` when the observed value has not improved for more than `patience` epochs.
///
/// Source: PyTorch's `ReduceLROnPlateau` with relative threshold.
#[derive(Clone, Debug)]
pub struct Plateau {
    config: PlateauConfig,
    rate: f64,
    best: f64,
    bad: u64,
    resting: u64,
}

/// What a [`Plateau`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlateauConfig {
    /// The first rate; 0.001.
    pub lr: f64,
    /// What the rate is multiplied by, `0.0..1.0`; 0.1.
    pub factor: f64,
    /// Epochs without improvement that are borne; 10.
    pub patience: u64,
    /// Share of the best value that an improvement must exceed; 0.0001.
    pub threshold: f64,
    /// Epochs after a change in which nothing is counted; 0.
    pub rest: u64,
    /// The rate does not fall below it; 0.
    pub lowest: f64,
    /// Whether larger is better, as of an accuracy; false, as of a loss.
    pub rising: bool,
}

impl Default for PlateauConfig {
    fn default() -> PlateauConfig {
        let (lr, factor, patience, threshold) = (1e-3, 0.1, 10, 1e-4);
        PlateauConfig { lr, factor, patience, threshold, rest: 0, lowest: 0.0, rising: false }
    }
}

impl Plateau {
    /// A schedule that has seen nothing yet.
    ///
    /// # Errors
    /// If the factor is not in `0.0..1.0`, or a rate or the threshold is negative or not finite.
    pub fn new(config: PlateauConfig) -> Result<Plateau> {
        use crate::optim::flat::{below_one, not_negative};
        below_one("plateau", "the factor", config.factor)?;
        for (what, value) in
            [("the learning rate", config.lr), ("the threshold", config.threshold), ("the lowest rate", config.lowest)]
        {
            not_negative("plateau", what, value)?;
        }
        let best = if config.rising { f64::NEG_INFINITY } else { f64::INFINITY };
        Ok(Plateau { config, rate: config.lr, best, bad: 0, resting: 0 })
    }
}

impl Schedule for Plateau {
    fn rate(&self, _: u64) -> f64 {
        self.rate
    }

    fn observe(&mut self, value: f64) {
        let PlateauConfig { factor, patience, threshold, rest, lowest, rising, .. } = self.config;
        let better = match rising {
            true => value > self.best * (1.0 + threshold),
            false => value < self.best * (1.0 - threshold),
        };
        if better {
            (self.best, self.bad) = (value, 0);
        } else {
            self.bad += 1;
        }
        if self.resting > 0 {
            self.resting -= 1;
            self.bad = 0;
        }
        if self.bad > patience {
            // Smaller changes than 1e-8 are not made, as in PyTorch (its `eps`).
            let next = (self.rate * factor).max(lowest);
            if self.rate - next > 1e-8 {
                self.rate = next;
            }
            (self.resting, self.bad) = (rest, 0);
        }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.rate, self.best, self.bad as f64, self.resting as f64]
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let &[rate, best, bad, resting] = state else {
            let message =
                format!("{} numbers were saved for it, it keeps 4; use the schedule of the saved run", state.len());
            return Err(Error::data("plateau", message));
        };
        (self.rate, self.best, self.bad, self.resting) = (rate, best, bad as u64, resting as u64);
        Ok(())
    }
}
