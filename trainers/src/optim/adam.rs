//! Adam, and AdamW, whose weight decay does not pass through the moments.

use anygrad_core::{Result, Tensor, Var};

use super::clock::Clock;
use super::flat::{Flat, below_one, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// Adam: `m = b1 m + (1-b1) g; v = b2 v + (1-b2) g²; p -= lr (m / c1) / (sqrt(v / c2) + eps)` with `ci = 1 - bi^t`.
///
/// Sources: Kingma and Ba, "Adam" (2015); Loshchilov and Hutter, "Decoupled weight decay regularization" (2019);
/// PyTorch's `torch.optim.Adam` and `AdamW` for the order of operations.
#[derive(Debug)]
pub struct Adam {
    flat: Flat,
    config: AdamConfig,
    mean: Var,
    square: Var,
    clock: Clock,
}

/// What an [`Adam`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Step size; 0.001.
    pub lr: f64,
    /// How much of the means of the gradient and of its square is kept, each `0.0..1.0`; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the root, so that nothing is divided by 0; 1e-8.
    pub eps: f64,
    /// Pull towards 0; `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> AdamConfig {
        let (betas, decay) = ((0.9, 0.999), Decay::None);
        AdamConfig { lr: 1e-3, betas, eps: 1e-8, decay, clip_norm: None, clip_value: None }
    }
}

impl Adam {
    /// Adam with step size `lr` and PyTorch's other defaults.
    ///
    /// # Panics
    /// As [`Adam::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Adam {
        expect(Adam::with(parameters, AdamConfig { lr, ..AdamConfig::default() }))
    }

    /// AdamW with step size `lr` and weight decay of all parameters (PyTorch's default is 0.01).
    ///
    /// # Panics
    /// As [`Adam::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn decoupled(parameters: impl Into<Groups>, lr: f64, weight_decay: f64) -> Adam {
        expect(Adam::with(parameters, AdamConfig { lr, decay: Decay::All(weight_decay), ..AdamConfig::default() }))
    }

    /// Adam as `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: AdamConfig) -> Result<Adam> {
        let AdamConfig { betas: (b1, b2), .. } = config;
        below_one("adam", "the first beta", b1)?;
        below_one("adam", "the second beta", b2)?;
        not_negative("adam", "eps", config.eps)?;
        let flat = Flat::new("adam", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let clock = Clock::new("adam", &flat, &[b1, b2])?;
        Ok(Adam { mean: flat.zeros("mean")?, square: flat.zeros("square")?, clock, flat, config })
    }
}

impl Optimizer for Adam {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let AdamConfig { betas, eps, .. } = self.config;
        let step = self.flat.begin(gradient);
        let change = adaptive(&step.gradient, (&self.mean, &self.square), &self.clock, betas, eps);
        self.flat.all().assign(&(step.decayed() - change * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        [&self.mean, &self.square, self.clock.var()].map(Var::clone).to_vec()
    }
}

/// Adam's change before the learning rate, `(m / c1) / (sqrt(v / c2) + eps)`; assigns the moments.
pub(super) fn adaptive(g: &Tensor, moments: (&Var, &Var), clock: &Clock, betas: (f64, f64), eps: f64) -> Tensor {
    let (_, corrections) = clock.tick();
    let mean = moments.0.get();
    let mean = &mean + (g - &mean) * (1.0 - betas.0);
    let square = moments.1.get() * betas.1 + g * g * (1.0 - betas.1);
    moments.0.assign(&mean);
    moments.1.assign(&square);
    mean / (((square / &corrections[1]).sqrt() + eps) * &corrections[0])
}
