//! Lion: steps of one size, by the sign of a mean gradient.

use anygrad_core::{Result, Tensor, Var};

use super::flat::{Flat, below_one};
use super::{Decay, Groups, Optimizer, expect};

/// `c = b1 m + (1-b1) g; p -= lr sign(c); m = b2 m + (1-b2) g`. Wants a learning rate 3 to 10 times smaller than AdamW's and a
/// decay as many times larger; keeps one moment.
///
/// Source: Chen et al., "Symbolic discovery of optimization algorithms" (2023), program 1.
#[derive(Debug)]
pub struct Lion {
    flat: Flat,
    config: LionConfig,
    mean: Var,
}

/// What a [`Lion`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LionConfig {
    /// Step size; 0.0001.
    pub lr: f64,
    /// How much of the mean goes into the sign, and how much of it is kept, each `0.0..1.0`; (0.9, 0.99).
    pub betas: (f64, f64),
    /// Pull towards 0; `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for LionConfig {
    fn default() -> LionConfig {
        LionConfig { lr: 1e-4, betas: (0.9, 0.99), decay: Decay::None, clip_norm: None, clip_value: None }
    }
}

impl Lion {
    /// Lion with step size `lr` and the paper's other defaults.
    ///
    /// # Panics
    /// As [`Lion::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Lion {
        expect(Lion::with(parameters, LionConfig { lr, ..LionConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: LionConfig) -> Result<Lion> {
        below_one("lion", "the first beta", config.betas.0)?;
        below_one("lion", "the second beta", config.betas.1)?;
        let flat = Flat::new("lion", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        Ok(Lion { mean: flat.zeros("mean")?, flat, config })
    }
}

impl Optimizer for Lion {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let (b1, b2) = self.config.betas;
        let step = self.flat.begin(gradient);
        let (g, mean) = (&step.gradient, self.mean.get());
        self.mean.assign(&(&mean * b2 + g * (1.0 - b2)));
        let direction = (mean * b1 + g * (1.0 - b1)).sign();
        self.flat.all().assign(&(step.decayed() - direction * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        vec![self.mean.clone()]
    }
}
