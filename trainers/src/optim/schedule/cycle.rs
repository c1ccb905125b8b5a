//! Rates along half cosines: once, again and again, or up and down.

use std::f64::consts::PI;

use super::{Schedule, warmup_cosine};

/// Up in a line over `warmup` steps, then down along half a cosine to `lowest` at step `steps`. Without warm-up it is PyTorch's
/// `CosineAnnealingLR` (which rises again behind its end; this stays). Source of the warm-up: [`warmup_cosine`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cosine {
    /// The highest rate.
    pub lr: f64,
    /// The last rate; 0.
    pub lowest: f64,
    /// Steps of the way up; 0.
    pub warmup: u64,
    /// Steps in all, the way up among them.
    pub steps: u64,
}

impl Schedule for Cosine {
    fn rate(&self, step: u64) -> f64 {
        warmup_cosine(step as usize, self.warmup as usize, self.steps as usize, self.lr, self.lowest)
    }
}

/// Half cosines from `lr` to `lowest`, one after the other, each `growth` times as long as the one before.
///
/// Source: Loshchilov and Hutter, "SGDR" (2017); PyTorch's `CosineAnnealingWarmRestarts`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restarts {
    /// The highest rate.
    pub lr: f64,
    /// The lowest rate.
    pub lowest: f64,
    /// Length of the first way down.
    pub first: u64,
    /// Each is so many times as long as the one before; 1 or more.
    pub growth: u64,
}

impl Schedule for Restarts {
    fn rate(&self, step: u64) -> f64 {
        let (mut step, mut length) = (step, self.first.max(1));
        if self.growth <= 1 {
            step %= length;
        }
        while step >= length {
            step -= length;
            length = length.saturating_mul(self.growth);
        }
        between(self.lr, self.lowest, step as f64 / length as f64)
    }
}

/// From `highest / start_divisor` up to `highest`, then down to `highest / start_divisor / end_divisor` at step `steps - 1`, along
/// half cosines.
///
/// Source: Smith and Topin, "Super-convergence" (2019); PyTorch's `OneCycleLR`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    /// The highest rate; 0.01.
    pub highest: f64,
    /// Steps in all; 1000.
    pub steps: u64,
    /// Share of the steps that goes up; 0.3.
    pub rise: f64,
    /// How many times smaller the first rate is; 25.
    pub start_divisor: f64,
    /// How many times smaller the last rate is than the first; 10,000.
    pub end_divisor: f64,
}

impl Default for OneCycle {
    fn default() -> OneCycle {
        OneCycle { highest: 0.01, steps: 1000, rise: 0.3, start_divisor: 25.0, end_divisor: 1e4 }
    }
}

impl Schedule for OneCycle {
    fn rate(&self, step: u64) -> f64 {
        let (top, last) = (self.rise * self.steps as f64 - 1.0, self.steps as f64 - 1.0);
        let (step, first) = ((step as f64).min(last), self.highest / self.start_divisor);
        if step <= top {
            return between(first, self.highest, if top > 0.0 { step / top } else { 1.0 });
        }
        between(self.highest, first / self.end_divisor, ((step - top) / (last - top)).min(1.0))
    }
}

/// Along half a cosine: `from` at 0, `to` at 1.
fn between(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (PI * part).cos())
}
