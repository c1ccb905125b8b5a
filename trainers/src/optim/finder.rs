//! Finds a learning rate: trains a few steps with rates from tiny to huge and looks where the loss falls fastest.

use anygrad_core::{Error, Result, Tensor, Var};

use super::Optimizer;

/// A sweep over learning rates, from small to large by equal factors.
///
/// Parameters, moments, learning rate and random numbers are saved before and restored after; so is whatever else is
/// given in `more` (running means of norms). Data drawn in between stay drawn.
///
/// Sources: Smith, "Cyclical learning rates" (2017), section 3.3; smoothing, stop and suggestion as Lightning's `lr_find`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateFinder {
    /// The first rate; 1e-8.
    pub lowest: f64,
    /// The last rate; 1.
    pub highest: f64,
    /// Steps in all; 100.
    pub steps: usize,
    /// How much of the running mean of losses is kept; 0.98.
    pub smoothing: f64,
    /// Stops when the smoothed loss is so many times the lowest one; 4.
    pub stop: f64,
}

impl Default for RateFinder {
    fn default() -> RateFinder {
        RateFinder { lowest: 1e-8, highest: 1.0, steps: 100, smoothing: 0.98, stop: 4.0 }
    }
}

/// What a [`RateFinder`] saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The rates that were tried.
    pub rates: Vec<f64>,
    /// The smoothed loss at each.
    pub losses: Vec<f64>,
}

/// Losses at the beginning and at the end that say nothing yet or no more (Lightning's `skip_begin` and `skip_end`).
const SKIPPED: (usize, usize) = (10, 1);

impl Sweep {
    /// The rate at which the smoothed loss falls fastest (over the logarithm of the rate); `None` if it falls nowhere or there
    /// are too few points.
    #[must_use]
    pub fn suggestion(&self) -> Option<f64> {
        let end = self.losses.len().checked_sub(SKIPPED.1)?;
        let losses = self.losses.get(SKIPPED.0..end)?;
        let slope = |i: usize| {
            let (before, after) = (i.saturating_sub(1), (i + 1).min(losses.len() - 1));
            (losses[after] - losses[before]) / (after - before) as f64
        };
        let steepest = (0..losses.len()).filter(|_| losses.len() > 1).min_by(|&a, &b| slope(a).total_cmp(&slope(b)))?;
        (slope(steepest) < 0.0).then(|| self.rates[SKIPPED.0 + steepest])
    }
}

impl RateFinder {
    /// Runs `step` (one update on one batch, which gives its loss) with each rate.
    ///
    /// # Errors
    /// If the numbers of the finder make no sense, or as `step` errs; what was saved is restored then, too.
    pub fn run(
        &self,
        optimizer: &dyn Optimizer,
        more: &[Var],
        mut step: impl FnMut() -> Result<Tensor>,
    ) -> Result<Sweep> {
        let RateFinder { lowest, highest, steps, smoothing, stop } = *self;
        let ordered = lowest > 0.0 && lowest < highest && highest.is_finite();
        if !ordered || steps < 2 || !(0.0..1.0).contains(&smoothing) || stop.is_nan() || stop <= 1.0 {
            let message =
                format!("{self:?}: rates must rise from above 0, steps be 2 or more, smoothing in 0..1, stop above 1");
            return Err(Error::data("learning rate finder", message));
        }
        let mut saved = optimizer.state();
        saved.extend([optimizer.all().clone(), optimizer.all().device().generator()]);
        saved.extend_from_slice(more);
        let before = saved.iter().map(|var| var.get().to_bytes()).collect::<Result<Vec<_>>>()?;
        let mut sweep = Sweep { rates: Vec::new(), losses: Vec::new() };
        let mut mean = 0.0;
        let mut sweeping = || -> Result<()> {
            for i in 0..steps {
                let rate = lowest * (highest / lowest).powf(i as f64 / (steps - 1) as f64);
                optimizer.set_learning_rate(rate)?;
                mean = smoothing * mean + (1.0 - smoothing) * step()?.item()?;
                let smooth = mean / (1.0 - smoothing.powi(i as i32 + 1));
                let best = sweep.losses.iter().copied().fold(f64::INFINITY, f64::min);
                // A loss below 0 (a log-likelihood) rises by as much as one above.
                if !smooth.is_finite() || smooth > best + (stop - 1.0) * best.abs() {
                    break;
                }
                sweep.rates.push(rate);
                sweep.losses.push(smooth);
            }
            Ok(())
        };
        let swept = sweeping();
        for (var, bytes) in saved.iter().zip(&before) {
            var.write_bytes(bytes)?;
        }
        swept.map(|()| sweep)
    }
}
