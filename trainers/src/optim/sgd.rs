//! Stochastic gradient descent with momentum.

use anygrad_core::{Result, Tensor, Var};

use super::flat::{Flat, below_one};
use super::{Decay, Groups, Optimizer, expect};

/// `p -= lr g`, with momentum `b = momentum b + g; p -= lr b`, with Nesterov `p -= lr (g + momentum b)`.
///
/// Source: PyTorch's `torch.optim.SGD` (no dampening).
#[derive(Debug)]
pub struct Sgd {
    flat: Flat,
    config: SgdConfig,
    velocity: Option<Var>,
}

/// What an [`Sgd`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Step size; 0.01.
    pub lr: f64,
    /// How much of the last step is kept, `0.0..1.0`; 0.
    pub momentum: f64,
    /// Looks ahead along the momentum; false.
    pub nesterov: bool,
    /// Pull towards 0 (PyTorch's `weight_decay=w` is `Decay::Gradient(w)`); `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for SgdConfig {
    fn default() -> SgdConfig {
        let decay = Decay::None;
        SgdConfig { lr: 0.01, momentum: 0.0, nesterov: false, decay, clip_norm: None, clip_value: None }
    }
}

impl Sgd {
    /// Plain descent with step size `lr`.
    ///
    /// # Panics
    /// As [`Sgd::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Sgd {
        expect(Sgd::with(parameters, SgdConfig { lr, ..SgdConfig::default() }))
    }

    /// Descent as `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: SgdConfig) -> Result<Sgd> {
        below_one("sgd", "momentum", config.momentum)?;
        if config.nesterov && config.momentum == 0.0 {
            return Err(anygrad_core::Error::data("sgd", "Nesterov needs momentum; set it above 0"));
        }
        let flat = Flat::new("sgd", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let velocity = if config.momentum > 0.0 { Some(flat.zeros("velocity")?) } else { None };
        Ok(Sgd { flat, config, velocity })
    }
}

impl Optimizer for Sgd {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let SgdConfig { momentum, nesterov, .. } = self.config;
        let step = self.flat.begin(gradient);
        let mut g = step.gradient.clone();
        if let Some(velocity) = &self.velocity {
            let next = velocity.get() * momentum + &g;
            velocity.assign(&next);
            g = if nesterov { g + next * momentum } else { next };
        }
        self.flat.all().assign(&(step.decayed() - g * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        self.velocity.iter().cloned().collect()
    }
}
