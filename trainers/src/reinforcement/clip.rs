//! [`ClippedAdam`]: Adam whose gradients are clipped by their norm, of each seed by itself, and whose rate may fall.

use anygrad_core::{DType, Result, Tensor, Var};

use crate::optim::{Adam, AdamConfig, Optimizer};

/// What on-policy algorithms learn with. Scales gradients down to a norm: `g min(1, norm / (|g| + 1e-6))`, with `|g|` over all
/// parameters of a seed.
#[derive(Debug)]
pub(crate) struct ClippedAdam {
    parameters: Vec<Var>,
    adam: Adam,
    rate: f64,
    anneal: bool,
    norm: f64,
    seeds: usize,
    /// The seed of each element of the flat gradient, `[total]` i32.
    seed_of: Tensor,
}

impl ClippedAdam {
    /// For parameters `[seeds, ..]`; `anneal`: the rate falls linearly to 0. Epsilon is CleanRL's.
    pub(crate) fn new(parameters: Vec<Var>, rate: f64, anneal: bool, norm: f64) -> Result<ClippedAdam> {
        let adam = AdamConfig { lr: rate, eps: 1e-5, ..AdamConfig::default() };
        let adam = Adam::with(parameters.clone(), adam)?;
        let seeds = parameters.first().map_or(1, |var| var.shape()[0]);
        let device = adam.all().device();
        let number = |var: &Var| {
            let rows = (0..seeds).flat_map(|seed| vec![seed as f32; var.len() / seeds]).collect();
            Tensor::from_vec(rows, var.shape(), &device)
        };
        let numbers: Vec<Tensor> = parameters.iter().map(number).collect();
        let seed_of = adam.flatten(&numbers).cast(DType::I32);
        seed_of.realize()?;
        Ok(ClippedAdam { parameters, adam, rate, anneal, norm, seeds, seed_of })
    }

    /// Before an iteration: `progress` goes from 0 to 1 over the run.
    pub(crate) fn begin(&self, progress: f64) -> Result<()> {
        if self.anneal { self.adam.set_learning_rate(self.rate * (1.0 - progress)) } else { Ok(()) }
    }

    /// A number per seed, `[seeds]`, for each element of the flat storage.
    pub(crate) fn by_element(&self, x: &Tensor) -> Tensor {
        x.index_select(0, &self.seed_of)
    }

    /// One step down the gradients of `loss`.
    pub(crate) fn descend(&self, loss: &Tensor) {
        let gradients = loss.gradients(&self.parameters);
        let flat = self.adam.flatten(&gradients);
        let scale = |squares: Tensor| ((squares.sqrt() + 1e-6).recip() * self.norm).clamp(0.0, 1.0);
        let clipped = if self.seeds == 1 {
            &flat * scale(flat.square().sum(..))
        } else {
            let squares = gradients.iter().map(|g| g.flatten(1).square().sum(-1)).reduce(|sum, square| sum + square);
            squares.map_or_else(|| flat.clone(), |squares| &flat * self.by_element(&scale(squares)))
        };
        self.adam.apply(&clipped);
    }

    /// Parameters and moments in their flat storage.
    pub(crate) fn flat(&self) -> Vec<Var> {
        let all = self.adam.all();
        let moments = self.adam.moments().into_iter().filter(|var| var.len() == all.len());
        std::iter::once(all.clone()).chain(moments).collect()
    }

    /// What must be saved beside the parameters.
    pub(crate) fn state(&self) -> Vec<Var> {
        self.adam.state()
    }
}
