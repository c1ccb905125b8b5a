//! Adan: Adam with Nesterov's look ahead, by the difference of consecutive gradients.

use anygrad_core::{Result, Tensor, Var};

use super::clock::Clock;
use super::flat::{Flat, below_one, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// `m = b1 m + (1-b1) g; v = b2 v + (1-b2) (g-h); n = b3 n + (1-b3) (g + b2 (g-h))²; p = (p - lr (m / c1 + b2 v / c2) /
/// (sqrt(n / c3) + eps)) / (1 + lr w)`, where `h` is the gradient before (at first: `g`) and `ci = 1 - bi^t`.
///
/// The decoupled decay divides after the step instead of multiplying before it (the paper's proximal step).
///
/// Source: Xie et al., "Adan: adaptive Nesterov momentum" (2022), algorithm 1; betas as its authors' code counts them (what is
/// kept, not what is new), bias corrections and division by `1 + lr w` as there.
#[derive(Debug)]
pub struct Adan {
    flat: Flat,
    config: AdanConfig,
    mean: Var,
    difference: Var,
    square: Var,
    before: Var,
    clock: Clock,
}

/// What an [`Adan`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdanConfig {
    /// Step size; 0.001.
    pub lr: f64,
    /// How much of the means of the gradient, of its change and of the square is kept; (0.98, 0.92, 0.99).
    pub betas: (f64, f64, f64),
    /// Added to the root, so that nothing is divided by 0; 1e-8.
    pub eps: f64,
    /// Pull towards 0; `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for AdanConfig {
    fn default() -> AdanConfig {
        let (betas, decay) = ((0.98, 0.92, 0.99), Decay::None);
        AdanConfig { lr: 1e-3, betas, eps: 1e-8, decay, clip_norm: None, clip_value: None }
    }
}

impl Adan {
    /// Adan with step size `lr` and its authors' other defaults.
    ///
    /// # Panics
    /// As [`Adan::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Adan {
        expect(Adan::with(parameters, AdanConfig { lr, ..AdanConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: AdanConfig) -> Result<Adan> {
        let (b1, b2, b3) = config.betas;
        for (what, beta) in [("the first beta", b1), ("the second beta", b2), ("the third beta", b3)] {
            below_one("adan", what, beta)?;
        }
        not_negative("adan", "eps", config.eps)?;
        let flat = Flat::new("adan", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let clock = Clock::new("adan", &flat, &[b1, b2, b3])?;
        let (mean, difference, square) = (flat.zeros("mean")?, flat.zeros("difference")?, flat.zeros("square")?);
        Ok(Adan { mean, difference, square, before: flat.zeros("before")?, clock, flat, config })
    }
}

impl Optimizer for Adan {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let AdanConfig { betas: (b1, b2, b3), eps, .. } = self.config;
        let step = self.flat.begin(gradient);
        let g = &step.gradient;
        let (updates, corrections) = self.clock.tick();
        let change = updates.eq(0.0).select(0.0, g - self.before.get());
        let ahead = g + &change * b2;
        let mean = self.mean.get() * b1 + g * (1.0 - b1);
        let difference = self.difference.get() * b2 + &change * (1.0 - b2);
        let square = self.square.get() * b3 + &ahead * &ahead * (1.0 - b3);
        self.before.assign(g);
        self.mean.assign(&mean);
        self.difference.assign(&difference);
        self.square.assign(&square);
        let direction = mean / &corrections[0] + difference * b2 / &corrections[1];
        let next = &step.parameters - direction / ((square / &corrections[2]).sqrt() + eps) * &step.rate;
        let next = step.decay.as_ref().map_or(next.clone(), |decay| next / (decay * &step.rate + 1.0));
        self.flat.all().assign(&next);
    }

    fn moments(&self) -> Vec<Var> {
        [&self.mean, &self.difference, &self.square, &self.before, self.clock.var()].map(Var::clone).to_vec()
    }
}
