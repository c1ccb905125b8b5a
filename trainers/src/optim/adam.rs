//! Adam, and AdamW, whose weight decay does not pass through the moments.

use anygrad_core::{Result, Tensor, Var};

use super::Optimizer;
use super::flat::{Flat, below_one, not_negative};

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
    /// `[lr, t, c1, c2]`: learning rate, steps so far, both corrections; one buffer, so that the update binds eight in all,
    /// which every driver has. `c = 1 - b^t` follows from `c' = b c + (1 - b)`, which loses no digits, unlike `1 - b^t` in
    /// f32 (1 - 0.999 would be wrong in the fifth).
    scalars: Var,
    /// `scalars' = scalars * scale + shift`.
    scale: Tensor,
    shift: Tensor,
    /// Weight decay of each element, if not all have the same.
    decay: Option<Tensor>,
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
}

/// How weights are pulled towards 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Not at all.
    None,
    /// Added to the gradient: `g + w p` (PyTorch's `Adam(weight_decay=w)`).
    Gradient(f64),
    /// Of all parameters, past the moments: `p -= lr w p` (AdamW).
    All(f64),
    /// As `All`, but only of parameters with two axes or more: not of biases and norms (what language models do).
    Matrices(f64),
}

impl Default for AdamConfig {
    fn default() -> AdamConfig {
        AdamConfig { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, decay: Decay::None, clip_norm: None }
    }
}

impl Adam {
    /// Adam with step size `lr` and PyTorch's other defaults.
    ///
    /// # Panics
    /// As [`Adam::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: Vec<Var>, lr: f64) -> Adam {
        match Adam::with(parameters, AdamConfig { lr, ..AdamConfig::default() }) {
            Ok(adam) => adam,
            Err(error) => panic!("{error}"),
        }
    }

    /// AdamW with step size `lr` and weight decay of all parameters (PyTorch's default is 0.01).
    ///
    /// # Panics
    /// As [`Adam::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn decoupled(parameters: Vec<Var>, lr: f64, weight_decay: f64) -> Adam {
        match Adam::with(parameters, AdamConfig { lr, decay: Decay::All(weight_decay), ..AdamConfig::default() }) {
            Ok(adam) => adam,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adam as `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: Vec<Var>, config: AdamConfig) -> Result<Adam> {
        let (b1, b2) = config.betas;
        below_one("adam", "the first beta", b1)?;
        below_one("adam", "the second beta", b2)?;
        not_negative("adam", "eps", config.eps)?;
        if let Decay::Gradient(w) | Decay::All(w) | Decay::Matrices(w) = config.decay {
            not_negative("adam", "weight decay", w)?;
        }
        let flat = Flat::new("adam", parameters, config.lr, config.clip_norm)?;
        let device = flat.all.device();
        let four = |values: [f64; 4]| Tensor::try_from_slice(&values.map(|x| x as f32), &[4], &device);
        let clock = Var::try_new("adam.clock", &Tensor::zeros(&[3], &device))?;
        let scalars = Var::gather("adam.scalars", &[flat.rate.clone(), clock])?;
        let decay = match config.decay {
            Decay::Matrices(w) => Some(flat.spread(|var| if var.shape().len() > 1 { w as f32 } else { 0.0 })?),
            _ => None,
        };
        Ok(Adam {
            mean: flat.zeros("adam.mean")?,
            square: flat.zeros("adam.square")?,
            scalars,
            scale: four([1.0, 1.0, b1, b2])?,
            shift: four([0.0, 1.0, 1.0 - b1, 1.0 - b2])?,
            flat,
            config,
            decay,
        })
    }
}

impl Optimizer for Adam {
    #[track_caller]
    fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        self.flat.flatten(gradients)
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let AdamConfig { betas: (b1, b2), eps, .. } = self.config;
        let scalars = self.scalars.get();
        self.scalars.assign(&(&scalars * &self.scale + &self.shift));
        let rate = scalars.narrow(0, 0, 1);
        // The same as in `scalars'`, from constants: three cheap operations each, done again for every element.
        let c1 = scalars.narrow(0, 2, 1) * b1 + (1.0 - b1);
        let c2 = scalars.narrow(0, 3, 1) * b2 + (1.0 - b2);
        let (mut g, mut p) = (self.flat.clipped(gradient), self.flat.all.get());
        match (self.config.decay, &self.decay) {
            (Decay::None, _) => {}
            (Decay::Gradient(w), _) => g = g + &p * w,
            (_, Some(each)) => p = &p - &p * (each * &rate),
            (Decay::All(w) | Decay::Matrices(w), None) => p = &p - &p * (&rate * w),
        }
        let mean = self.mean.get();
        let mean = &mean + (&g - &mean) * (1.0 - b1);
        let square = self.square.get() * b2 + &g * &g * (1.0 - b2);
        self.mean.assign(&mean);
        self.square.assign(&square);
        let root = (square / c2).sqrt() + eps;
        self.flat.all.assign(&(p - mean * rate / (root * c1)));
    }

    fn all(&self) -> &Var {
        &self.flat.all
    }

    fn learning_rate(&self) -> &Var {
        &self.flat.rate
    }

    fn state(&self) -> Vec<Var> {
        [&self.mean, &self.square, &self.scalars].map(Var::clone).to_vec()
    }
}
