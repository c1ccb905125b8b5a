//! Stochastic gradient descent with momentum.

use anygrad_core::{Result, Tensor, Var};

use super::Optimizer;
use super::flat::{Flat, below_one, not_negative};

/// `p -= lr (g + weight_decay p)`, with momentum `b = momentum b + g; p -= lr b`, with Nesterov `p -= lr (g + momentum b)`.
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
    /// Pull towards 0, added to the gradient; 0.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
}

impl Default for SgdConfig {
    fn default() -> SgdConfig {
        SgdConfig { lr: 0.01, momentum: 0.0, nesterov: false, weight_decay: 0.0, clip_norm: None }
    }
}

impl Sgd {
    /// Plain descent with step size `lr`.
    ///
    /// # Panics
    /// As [`Sgd::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: Vec<Var>, lr: f64) -> Sgd {
        match Sgd::with(parameters, SgdConfig { lr, ..SgdConfig::default() }) {
            Ok(sgd) => sgd,
            Err(error) => panic!("{error}"),
        }
    }

    /// Descent as `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: Vec<Var>, config: SgdConfig) -> Result<Sgd> {
        below_one("sgd", "momentum", config.momentum)?;
        not_negative("sgd", "weight decay", config.weight_decay)?;
        if config.nesterov && config.momentum == 0.0 {
            return Err(anygrad_core::Error::data("sgd", "Nesterov needs momentum; set it above 0"));
        }
        let flat = Flat::new("sgd", parameters, config.lr, config.clip_norm)?;
        let velocity = if config.momentum > 0.0 { Some(flat.zeros("sgd.velocity")?) } else { None };
        Ok(Sgd { flat, config, velocity })
    }
}

impl Optimizer for Sgd {
    #[track_caller]
    fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        self.flat.flatten(gradients)
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let SgdConfig { momentum, weight_decay, nesterov, .. } = self.config;
        let (mut g, p) = (self.flat.clipped(gradient), self.flat.all.get());
        if weight_decay != 0.0 {
            g = g + &p * weight_decay;
        }
        if let Some(velocity) = &self.velocity {
            let next = velocity.get() * momentum + &g;
            velocity.assign(&next);
            g = if nesterov { g + next * momentum } else { next };
        }
        self.flat.all.assign(&(p - g * self.flat.rate.get()));
    }

    fn all(&self) -> &Var {
        &self.flat.all
    }

    fn learning_rate(&self) -> &Var {
        &self.flat.rate
    }

    fn state(&self) -> Vec<Var> {
        self.velocity.iter().chain([&self.flat.rate]).cloned().collect()
    }
}
