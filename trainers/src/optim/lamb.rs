//! LAMB: Adam whose step of each tensor is as long as the tensor is large; for very large batches.

use anygrad_core::{DType, Result, Tensor, Var};

use super::adam::adaptive;
use super::clock::Clock;
use super::flat::{Flat, below_one, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// `r = (m / c1) / (sqrt(v / c2) + eps) + w p; p -= lr (|p| / |r|) r`, norms per parameter tensor; a norm of 0 makes the factor
/// 1. Moments as in [`super::Adam`].
///
/// Source: You et al., "Large batch optimization for deep learning" (2020), algorithm 2, with the identity for phi.
#[derive(Debug)]
pub struct Lamb {
    flat: Flat,
    config: LambConfig,
    mean: Var,
    square: Var,
    clock: Clock,
    lengths: Lengths,
}

/// What a [`Lamb`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LambConfig {
    /// Step size; 0.001.
    pub lr: f64,
    /// How much of the means of the gradient and of its square is kept, each `0.0..1.0`; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the root, so that nothing is divided by 0; 1e-6.
    pub eps: f64,
    /// Pull towards 0 (decoupled decay is part of what is scaled); `Decay::None`.
    pub decay: Decay,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

impl Default for LambConfig {
    fn default() -> LambConfig {
        let (betas, decay) = ((0.9, 0.999), Decay::None);
        LambConfig { lr: 1e-3, betas, eps: 1e-6, decay, clip_norm: None, clip_value: None }
    }
}

impl Lamb {
    /// LAMB with step size `lr` and the paper's other defaults.
    ///
    /// # Panics
    /// As [`Lamb::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Lamb {
        expect(Lamb::with(parameters, LambConfig { lr, ..LambConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: LambConfig) -> Result<Lamb> {
        below_one("lamb", "the first beta", config.betas.0)?;
        below_one("lamb", "the second beta", config.betas.1)?;
        not_negative("lamb", "eps", config.eps)?;
        let flat = Flat::new("lamb", parameters, config.lr)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let clock = Clock::new("lamb", &flat, &[config.betas.0, config.betas.1])?;
        let (mean, square, lengths) = (flat.zeros("mean")?, flat.zeros("square")?, Lengths::new(&flat)?);
        Ok(Lamb { mean, square, clock, lengths, flat, config })
    }
}

impl Optimizer for Lamb {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let step = self.flat.begin(gradient);
        let moments = (&self.mean, &self.square);
        let mut change = adaptive(&step.gradient, moments, &self.clock, self.config.betas, self.config.eps);
        if let Some(decay) = &step.decay {
            change = change + &step.parameters * decay;
        }
        let (own, others) = (self.lengths.of(&step.parameters), self.lengths.of(&change));
        let known = own.gt(0.0).logical_and(&others.gt(0.0));
        let trust = known.select(&own / &others, 1.0);
        self.flat.all().assign(&(&step.parameters - change * self.lengths.spread(&trust) * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        [&self.mean, &self.square, self.clock.var()].map(Var::clone).to_vec()
    }
}

/// Elements of a row of [`Lengths`]: what a workgroup sums at once, and little padding for biases.
const ROW: usize = 256;

/// Norms of all tensors in a flat storage, in a few kernels: its elements in rows that belong to one tensor each; sums of
/// rows, then of the rows of each tensor.
#[derive(Debug)]
struct Lengths {
    /// `[rows * ROW]`: which element stands there; behind the last one where a row is not full.
    elements: Tensor,
    /// `[rows]`: which tensor the row belongs to.
    rows: Tensor,
    /// `[total]`: which tensor the element belongs to.
    owners: Tensor,
    tensors: usize,
}

impl Lengths {
    fn new(flat: &Flat) -> Result<Lengths> {
        let (device, total) = (flat.all().device(), flat.all().len());
        let (mut elements, mut rows, mut owners, mut tensors) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (_, range) in flat.stretches() {
            owners.resize(range.end, tensors);
            rows.resize(rows.len() + range.len().div_ceil(ROW), tensors);
            elements.extend(range.map(|i| i as i32));
            elements.resize(rows.len() * ROW, total as i32);
            tensors += 1;
        }
        let list = |values: Vec<i32>| Tensor::try_from_slice(&values, &[values.len()], &device);
        Ok(Lengths { elements: list(elements)?, rows: list(rows)?, owners: list(owners)?, tensors: tensors as usize })
    }

    /// The norm of each tensor, `[tensors]`.
    fn of(&self, values: &Tensor) -> Tensor {
        let there = self.elements.lt(values.len() as f64);
        let squares = there.select(values.gather(0, &self.elements).square(), 0.0);
        let sums = squares.reshape([-1, ROW as isize]).sum(1);
        sums.cast(DType::F32).scatter_sum(0, &self.rows, self.tensors).sqrt()
    }

    /// A number per tensor, for each of its elements: `[total]`.
    fn spread(&self, each: &Tensor) -> Tensor {
        each.gather(0, &self.owners)
    }
}
