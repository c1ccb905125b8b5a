//! Muon: momentum made orthogonal, for the matrices inside of a network; AdamW for all else.

use anygrad_core::{Result, Tensor, Var};

use super::adam::adaptive;
use super::clock::Clock;
use super::flat::{Flat, below_one, not_negative};
use super::{Decay, Groups, Optimizer, expect};

/// For matrices `m = u m + (1-u) g; d = (1-u) g + u m` (Nesterov; else `d = m`); `p -= lr s NewtonSchulz(d)`; for the rest the
/// step of AdamW with `lr adam_factor`.
///
/// Parameters of more than two axes (kernels of convolutions) count as matrices `[first, all others]`. Embeddings and the last
/// layer are better left to AdamW: see [`Muon::choosing`]. Matrices of one shape are one batch: the number of kernels grows with
/// the number of distinct shapes.
///
/// Sources: Jordan et al., "Muon" (2024) for method and coefficients; PyTorch's `torch.optim.Muon` for the order of operations
/// (it iterates in bf16, this in f32); Liu et al., "Muon is scalable for LLM training" (2025) for [`MuonScale::LikeAdam`].
#[derive(Debug)]
pub struct Muon {
    flat: Flat,
    config: MuonConfig,
    /// Matrices that lie together: how many, rows, columns.
    batches: Vec<[usize; 3]>,
    /// Elements of all matrices; they lie first.
    split: usize,
    momentum: Var,
    rest: Option<Rest>,
}

/// AdamW's moments for what is no matrix.
#[derive(Debug)]
struct Rest {
    mean: Var,
    square: Var,
    clock: Clock,
}

/// What a [`Muon`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuonConfig {
    /// Step size; 0.001.
    pub lr: f64,
    /// How much of the mean gradient is kept, `0.0..1.0`; 0.95.
    pub momentum: f64,
    /// Looks ahead along the momentum; true.
    pub nesterov: bool,
    /// Rounds of Newton and Schulz; 5.
    pub rounds: usize,
    /// How long an orthogonal step is; `MuonScale::LikeAdam`.
    pub scale: MuonScale,
    /// Pull towards 0; `Decay::All(0.1)`.
    pub decay: Decay,
    /// Betas of AdamW, for what is no matrix; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to AdamW's root; 1e-8.
    pub eps: f64,
    /// Step size of AdamW as a share of `lr`; 1.
    pub adam_factor: f64,
    /// Gradients are scaled down to this norm, over all parameters; `None`.
    pub clip_norm: Option<f64>,
    /// Each gradient is limited to this size; `None`.
    pub clip_value: Option<f64>,
}

/// How long Muon's step of a matrix `[rows, columns]` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MuonScale {
    /// `0.2 sqrt(max(rows, columns))`: as long as AdamW's usual step, so that one learning rate and decay suit both.
    #[default]
    LikeAdam,
    /// `sqrt(max(1, rows / columns))`, PyTorch's default; wants a rate near 0.02 and a small `adam_factor`.
    Original,
}

impl Default for MuonConfig {
    fn default() -> MuonConfig {
        MuonConfig {
            lr: 1e-3,
            momentum: 0.95,
            nesterov: true,
            rounds: 5,
            scale: MuonScale::LikeAdam,
            decay: Decay::All(0.1),
            betas: (0.9, 0.999),
            eps: 1e-8,
            adam_factor: 1.0,
            clip_norm: None,
            clip_value: None,
        }
    }
}

impl Muon {
    /// Muon with step size `lr` and the other defaults of [`MuonConfig`]; all parameters of two axes or more are matrices.
    ///
    /// # Panics
    /// As [`Muon::with`] errs.
    #[must_use]
    #[track_caller]
    pub fn new(parameters: impl Into<Groups>, lr: f64) -> Muon {
        expect(Muon::with(parameters, MuonConfig { lr, ..MuonConfig::default() }))
    }

    /// As `config` says.
    ///
    /// # Errors
    /// If there are no parameters, one is given twice, they are not all f32 on one device, or a number is out of range.
    pub fn with(parameters: impl Into<Groups>, config: MuonConfig) -> Result<Muon> {
        Muon::choosing(parameters, config, |_| true)
    }

    /// As `config` says; of the parameters with two axes or more, those for which `hidden` holds are made orthogonal.
    ///
    /// # Errors
    /// As [`Muon::with`]; if no matrix is left.
    pub fn choosing(parameters: impl Into<Groups>, config: MuonConfig, hidden: impl Fn(&Var) -> bool) -> Result<Muon> {
        below_one("muon", "momentum", config.momentum)?;
        below_one("muon", "the first beta", config.betas.0)?;
        below_one("muon", "the second beta", config.betas.1)?;
        not_negative("muon", "eps", config.eps)?;
        not_negative("muon", "the factor of AdamW's rate", config.adam_factor)?;
        let matrix = |var: &Var| var.shape().len() > 1 && !var.is_empty() && hidden(var);
        let flat = Flat::with_first("muon", parameters.into(), config.lr, matrix)?
            .with_decay(config.decay)?
            .with_clipping(config.clip_norm, config.clip_value)?;
        let (mut batches, mut split) = (Vec::<[usize; 3]>::new(), 0);
        for (var, range) in flat.stretches().filter(|(var, _)| matrix(var)) {
            let (rows, columns) = (var.shape()[0], var.len() / var.shape()[0]);
            split = range.end;
            match batches.last_mut() {
                Some([count, r, c]) if (*r, *c) == (rows, columns) => *count += 1,
                _ => batches.push([1, rows, columns]),
            }
        }
        if batches.is_empty() {
            let message = "there is no matrix among the parameters to train; use Adam::decoupled";
            return Err(anygrad_core::Error::data("muon", message));
        }
        let (momentum, left) = (flat.zeros_of("momentum", split)?, flat.all().len() - split);
        let rest = if left > 0 {
            let clock = Clock::new("muon", &flat, &[config.betas.0, config.betas.1])?;
            Some(Rest { mean: flat.zeros_of("mean", left)?, square: flat.zeros_of("square", left)?, clock })
        } else {
            None
        };
        Ok(Muon { flat, config, batches, split, momentum, rest })
    }

    /// Changes of all matrices before the learning rate, flat.
    fn orthogonal(&self, g: &Tensor) -> Vec<Tensor> {
        let keep = self.config.momentum;
        let momentum = self.momentum.get();
        let momentum = &momentum + (g - &momentum) * (1.0 - keep);
        self.momentum.assign(&momentum);
        let direction = if self.config.nesterov { g + (&momentum - g) * keep } else { momentum };
        let mut start = 0;
        let change = |&[count, rows, columns]: &[usize; 3]| {
            let len = count * rows * columns;
            let batch = direction.narrow(0, start, len).reshape([count, rows, columns]);
            start += len;
            let scale = match self.config.scale {
                MuonScale::LikeAdam => 0.2 * (rows.max(columns) as f64).sqrt(),
                MuonScale::Original => (rows as f64 / columns as f64).max(1.0).sqrt(),
            };
            newton_schulz(&batch, self.config.rounds).reshape([-1]) * scale
        };
        self.batches.iter().map(change).collect()
    }
}

impl Optimizer for Muon {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    #[track_caller]
    fn apply(&self, gradient: &Tensor) {
        let step = self.flat.begin(gradient);
        let mut changes = self.orthogonal(&step.gradient.narrow(0, 0, self.split));
        if let Some(Rest { mean, square, clock }) = &self.rest {
            let g = step.gradient.narrow(0, self.split, mean.len());
            let change = adaptive(&g, (mean, square), clock, self.config.betas, self.config.eps);
            changes.push(change * self.config.adam_factor);
        }
        self.flat.all().assign(&(step.decayed() - Tensor::cat(&changes, 0) * &step.rate));
    }

    fn moments(&self) -> Vec<Var> {
        let rest = self.rest.iter().flat_map(|rest| [&rest.mean, &rest.square, rest.clock.var()]);
        [&self.momentum].into_iter().chain(rest).cloned().collect()
    }
}

/// Each matrix of a batch `[count, rows, columns]` with its singular values brought near 1 (to about 0.7 to 1.2 after five rounds):
/// `x <- a x + (b x xT + c (x xT)²) x`.
fn newton_schulz(batch: &Tensor, rounds: usize) -> Tensor {
    // From Jordan's post: chosen to grow small singular values fastest, not to converge.
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let tall = batch.size(1) > batch.size(2);
    let mut x = if tall { batch.transpose(1, 2) } else { batch.clone() };
    x = &x / x.square().sum_keep([1, 2]).sqrt().maximum(1e-7);
    for _ in 0..rounds {
        let gram = x.matmul(&x.transpose(1, 2));
        let update = &gram * b + gram.matmul(&gram) * c;
        x = &x * a + update.matmul(&x);
    }
    if tall { x.transpose(1, 2) } else { x }
}
