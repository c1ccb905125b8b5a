//! Adagrad: steps shrink with the squares of all gradients so far.

use anygrad_core::{Result, Tensor, Var};

use super::flat::{Flat, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// `s += g²; p -= lr g / (sqrt(s) + eps)`.
///
/// Sources: Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011); PyTorch's `torch.optim.Adagrad`.
#[derive(Debug)]
pub struct Adagrad {
    flat: Flat,
    config: AdagradConfig,
    sum: Var,
}

/// What an [`Adagrad`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdagradConfig {
    /// Step size; 0.01.
    pub lr: f64,
    /// What the sums of squares begin with; 0.
    pub initial: f64,
    /// Added to the root, so that nothing is divided by 0; 1e-10.
    pub eps: f64,
    /// Pull towards 0 (PyTorch's `weight_decay=w` is `Decay::Gradient(w)`); `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for AdagradConfig {
    fn default() -> AdagradConfig {
        let decay = Decay::None;
        AdagradConfig { lr: 0.01, initial: 0.0, eps: 1e-10, decay, clip_norm: None, clip_value: None }
    }
}

impl Adagrad {
    /// Adagrad with step size `lr` and PyTorch's other defaults.
    ///
    /// # Panics
    /// As [`Adagrad::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Adagrad {
        expect(Adagrad::with(parameters, AdagradConfig { lr, ..AdagradConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: AdagradConfig) -> Result<Adagrad> {
        not_negative("adagrad", "the initial sum", config.initial)?;
        not_negative("adagrad", "eps", config.eps)?;
        let flat = Flat::new("adagrad", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let sum = flat.zeros("sum")?;
        sum.write(&vec![config.initial as f32; sum.len()])?;
        Ok(Adagrad { sum, flat, config })
    }
}

impl Optimizer for Adagrad {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let step = self.flat.begin(gradient);
        let sum = self.sum.get() + &step.gradient * &step.gradient;
        self.sum.assign(&sum);
        let change = &step.gradient / (sum.sqrt() + self.config.eps);
        self.flat.all().assign(&(step.decayed() - change * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        vec![self.sum.clone()]
    }
}
