//! RMSprop: steps by the running size of the gradient.

use anygrad_core::{Result, Tensor, Var};

use super::flat::{Flat, below_one, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// `v = a v + (1-a) g²; d = g / (sqrt(v) + eps); p -= lr d`.
///
/// Centered, `v` is less the square of the mean gradient, at least 0 (rounding can bring it below, where PyTorch's root is
/// NaN); with momentum, `b = momentum b + d; p -= lr b`.
///
/// Sources: Hinton's lecture 6e (2012); Graves, "Generating sequences" (2013) for the centered one; PyTorch's
/// `torch.optim.RMSprop`.
#[derive(Debug)]
pub struct RmsProp {
    flat: Flat,
    config: RmsPropConfig,
    square: Var,
    mean: Option<Var>,
    velocity: Option<Var>,
}

/// What an [`RmsProp`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropConfig {
    /// Step size; 0.01.
    pub lr: f64,
    /// How much of the mean square is kept, `0.0..1.0`; 0.99.
    pub alpha: f64,
    /// Added to the root, so that nothing is divided by 0; 1e-8.
    pub eps: f64,
    /// How much of the last step is kept, `0.0..1.0`; 0.
    pub momentum: f64,
    /// By the gradient's variance instead of its mean square; false.
    pub centered: bool,
    /// Pull towards 0 (PyTorch's `weight_decay=w` is `Decay::Gradient(w)`); `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for RmsPropConfig {
    fn default() -> RmsPropConfig {
        let (momentum, centered, decay) = (0.0, false, Decay::None);
        RmsPropConfig { lr: 0.01, alpha: 0.99, eps: 1e-8, momentum, centered, decay, clip_norm: None, clip_value: None }
    }
}

impl RmsProp {
    /// RMSprop with step size `lr` and PyTorch's other defaults.
    ///
    /// # Panics
    /// As [`RmsProp::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> RmsProp {
        expect(RmsProp::with(parameters, RmsPropConfig { lr, ..RmsPropConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: RmsPropConfig) -> Result<RmsProp> {
        below_one("rmsprop", "alpha", config.alpha)?;
        below_one("rmsprop", "momentum", config.momentum)?;
        not_negative("rmsprop", "eps", config.eps)?;
        let flat = Flat::new("rmsprop", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let optional = |wanted: bool, name| if wanted { flat.zeros(name).map(Some) } else { Ok(None) };
        let (mean, velocity) = (optional(config.centered, "mean")?, optional(config.momentum > 0.0, "velocity")?);
        Ok(RmsProp { square: flat.zeros("square")?, mean, velocity, flat, config })
    }
}

impl Optimizer for RmsProp {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let RmsPropConfig { alpha, eps, momentum, .. } = self.config;
        let step = self.flat.begin(gradient);
        let g = &step.gradient;
        let square = self.square.get() * alpha + g * g * (1.0 - alpha);
        self.square.assign(&square);
        let mut variance = square;
        if let Some(mean) = &self.mean {
            let old = mean.get();
            let next = &old + (g - &old) * (1.0 - alpha);
            mean.assign(&next);
            variance = (variance - &next * &next).maximum(0.0);
        }
        let mut change = g / (variance.sqrt() + eps);
        if let Some(velocity) = &self.velocity {
            change = velocity.get() * momentum + change;
            velocity.assign(&change);
        }
        self.flat.all().assign(&(step.decayed() - change * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        [Some(&self.square), self.mean.as_ref(), self.velocity.as_ref()].into_iter().flatten().cloned().collect()
    }
}
