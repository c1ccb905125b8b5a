//! Learning rates as functions of the step: plain structs, each a [`Schedule`].
//!
//! A step is an update of the parameters; who thinks in epochs multiplies by the steps of one. All are defined for every
//! step: behind their end they stay where they ended, and lengths of 0 count as 1.

mod cycle;
mod falling;
mod plateau;
mod sequence;

pub use cycle::{Cosine, OneCycle, Restarts};
pub use falling::{Constant, Exponential, Linear, MultiStep, Noam, Polynomial, StepWise};
pub use plateau::{Plateau, PlateauConfig};
pub use sequence::Sequence;

use std::fmt::Debug;

use anygrad_core::Result;

/// A learning rate that changes from update to update.
pub trait Schedule: Debug {
    /// The rate of update number `step` (from 0).
    fn rate(&self, step: u64) -> f64;

    /// Told the watched value after each epoch ([`Plateau`] listens).
    fn observe(&mut self, value: f64) {
        let _ = value;
    }

    /// What it has seen, for checkpoints; empty for functions of the step alone.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes back what [`Schedule::state`] gave.
    ///
    /// # Errors
    /// If that is the state of another kind of schedule.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        if state.is_empty() {
            return Ok(());
        }
        Err(anygrad_core::Error::data(
            "schedule",
            "the saved run used another kind of schedule; use the same to resume",
        ))
    }
}

/// Any function of the step is a schedule.
#[derive(Clone, Copy)]
pub struct Rate<F>(pub F);

impl<F> Debug for Rate<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rate(..)")
    }
}

impl<F: Fn(u64) -> f64> Schedule for Rate<F> {
    fn rate(&self, step: u64) -> f64 {
        (self.0)(step)
    }
}

/// Rises linearly to `highest` over `warmup` steps, then falls along half a cosine to `lowest` at step `end`, and stays.
///
/// Source: nanoGPT, `get_lr` of train.py.
#[must_use]
pub fn warmup_cosine(step: usize, warmup: usize, end: usize, highest: f64, lowest: f64) -> f64 {
    if step < warmup {
        return highest * (step + 1) as f64 / (warmup + 1) as f64;
    }
    if step >= end {
        return lowest;
    }
    let part = (step - warmup) as f64 / (end - warmup) as f64;
    lowest + 0.5 * (1.0 + (std::f64::consts::PI * part).cos()) * (highest - lowest)
}

#[cfg(test)]
mod tests {
    use super::warmup_cosine;

    #[test]
    fn it_rises_falls_and_stays() {
        let rate = |step| warmup_cosine(step, 100, 2000, 1e-3, 1e-4);
        assert!((rate(0) - 1e-3 / 101.0).abs() < 1e-12 && (rate(100) - 1e-3).abs() < 1e-12);
        assert!((rate(1050) - 5.5e-4).abs() < 1e-12 && rate(2000) == 1e-4 && rate(9999) == 1e-4);
    }
}
