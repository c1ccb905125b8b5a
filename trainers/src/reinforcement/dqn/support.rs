//! [`Support`]: returns as probabilities of fixed numbers, for categorical deep Q-learning ("C51").
//!
//! Source: Bellemare, Dabney and Munos, "A distributional perspective on reinforcement learning" (2017).

use anygrad_core::{Device, Error, Result, Tensor};

/// Equally spaced numbers that a return can be; the paper's for Atari: 51 from -10 to 10.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Support {
    /// How many.
    pub atoms: usize,
    /// The least.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Default for Support {
    fn default() -> Support {
        Support { atoms: 51, low: -10.0, high: 10.0 }
    }
}

impl Support {
    pub(super) fn validate(&self) -> Result<()> {
        let Support { atoms, low, high } = *self;
        if atoms < 2 || !low.is_finite() || !high.is_finite() || low >= high {
            let message =
                format!("{atoms} categories of returns from {low} to {high}; at least 2 and finite, rising bounds");
            return Err(Error::data("dqn", format!("{message} are needed")));
        }
        Ok(())
    }

    /// Between two numbers.
    fn step(&self) -> f64 {
        (self.high - self.low) / (self.atoms - 1) as f64
    }

    /// The numbers, `[atoms]`.
    pub fn values(&self, device: &Device) -> Tensor {
        Tensor::arange(0.0, self.atoms as f64, 1.0, device) * self.step() + self.low
    }

    /// The mean of distributions `[.., atoms]`: `[..]`.
    #[track_caller]
    pub fn mean(&self, probabilities: &Tensor) -> Tensor {
        (probabilities * self.values(probabilities.device())).sum(-1)
    }

    /// The distribution of `reward + discount * return`, `[.., atoms]`, from the return's and from rewards and discounts `[..]`: each
    /// number moves, is kept within the bounds, and gives its probability to its two neighbours by their distance (equation 7).
    ///
    /// # Panics
    /// If shapes do not fit.
    #[track_caller]
    pub fn project(&self, probabilities: &Tensor, reward: &Tensor, discount: &Tensor) -> Tensor {
        let values = self.values(probabilities.device());
        let moved = (reward.unsqueeze(-1) + discount.unsqueeze(-1) * &values).clamp(self.low, self.high);
        // Rows are numbers that moved, columns are those that stand.
        let share = ((moved.unsqueeze(-1) - values).abs() * (-1.0 / self.step()) + 1.0).maximum(0.0);
        (probabilities.unsqueeze(-1) * share).sum(-2)
    }
}
