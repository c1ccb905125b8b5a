//! Rates that stay, fall in steps, or fall smoothly.

use super::Schedule;

/// Always the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl Schedule for Constant {
    fn rate(&self, _: u64) -> f64 {
        self.0
    }
}

/// `lr factor^floor(step / every)`. Source: PyTorch's `StepLR`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepWise {
    /// The first rate.
    pub lr: f64,
    /// Steps between two changes.
    pub every: u64,
    /// What the rate is multiplied by.
    pub factor: f64,
}

impl Schedule for StepWise {
    fn rate(&self, step: u64) -> f64 {
        self.lr * self.factor.powf((step / self.every.max(1)) as f64)
    }
}

/// `lr factor^n`, `n`: how many milestones are not behind `step`. Source: PyTorch's `MultiStepLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    /// The first rate.
    pub lr: f64,
    /// Steps at which the rate changes, in any order.
    pub milestones: Vec<u64>,
    /// What the rate is multiplied by.
    pub factor: f64,
}

impl Schedule for MultiStep {
    fn rate(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        self.lr * self.factor.powf(passed as f64)
    }
}

/// `lr factor^step`. Source: PyTorch's `ExponentialLR`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    /// The first rate.
    pub lr: f64,
    /// What each step multiplies by.
    pub factor: f64,
}

impl Schedule for Exponential {
    fn rate(&self, step: u64) -> f64 {
        self.lr * self.factor.powf(step as f64)
    }
}

/// A straight line from `start` to `end` over `steps`, then `end`: a warm-up or a way down. Source: PyTorch's `LinearLR`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// Rate at step 0.
    pub start: f64,
    /// Rate from step `steps` on.
    pub end: f64,
    /// Length of the way.
    pub steps: u64,
}

impl Schedule for Linear {
    fn rate(&self, step: u64) -> f64 {
        self.start + (self.end - self.start) * part(step, self.steps)
    }
}

/// `end + (lr - end) (1 - step / steps)^power`. Source: PyTorch's `PolynomialLR` (where `end` is 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// The first rate.
    pub lr: f64,
    /// Rate from step `steps` on.
    pub end: f64,
    /// Length of the way.
    pub steps: u64,
    /// 1: a straight line; 2: a parabola that ends flat.
    pub power: f64,
}

impl Schedule for Polynomial {
    fn rate(&self, step: u64) -> f64 {
        self.end + (self.lr - self.end) * (1.0 - part(step, self.steps)).powf(self.power)
    }
}

/// `factor width^-0.5 min(n^-0.5, n warmup^-1.5)` with `n = step + 1`: up in a line, down with the root.
///
/// Source: Vaswani et al., "Attention is all you need" (2017), equation 3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noam {
    /// Size of the model (channels of the embedding).
    pub width: usize,
    /// Steps of the way up.
    pub warmup: u64,
    /// Multiplies all; 1 in the paper.
    pub factor: f64,
}

impl Schedule for Noam {
    fn rate(&self, step: u64) -> f64 {
        let (n, warmup) = ((step + 1) as f64, self.warmup.max(1) as f64);
        self.factor * (self.width.max(1) as f64).powf(-0.5) * n.powf(-0.5).min(n * warmup.powf(-1.5))
    }
}

/// The share of a way that is done, `0.0..=1.0`.
fn part(step: u64, steps: u64) -> f64 {
    (step as f64 / steps.max(1) as f64).min(1.0)
}
