//! Clipping of gradients by their norm, of each seed by itself.

use anygrad_core::{DType, Result, Tensor, Var};

use crate::optim::{Adam, Optimizer};

/// Scales gradients down to a norm: `g min(1, norm / (|g| + 1e-6))`, with `|g|` over all parameters of a seed.
#[derive(Debug)]
pub(crate) struct ClipBySeed {
    norm: f64,
    seeds: usize,
    /// The seed of each element of the flat gradient, `[total]` i32.
    seed_of: Tensor,
}

impl ClipBySeed {
    /// For parameters `[seeds, ..]` in the order that the optimizer was given.
    pub(crate) fn new(adam: &Adam, parameters: &[Var], norm: f64) -> Result<ClipBySeed> {
        let seeds = parameters.first().map_or(1, |var| var.shape()[0]);
        let device = adam.all().device();
        let number = |var: &Var| {
            let rows = (0..seeds).flat_map(|seed| vec![seed as f32; var.len() / seeds]).collect();
            Tensor::from_vec(rows, var.shape(), &device)
        };
        let numbers: Vec<Tensor> = parameters.iter().map(number).collect();
        let seed_of = adam.flatten(&numbers).cast(DType::I32);
        seed_of.realize()?;
        Ok(ClipBySeed { norm, seeds, seed_of })
    }

    /// A number per seed, `[seeds]`, for each element of the flat storage.
    pub(crate) fn by_element(&self, x: &Tensor) -> Tensor {
        x.index_select(0, &self.seed_of)
    }

    /// The flat gradient, clipped.
    pub(crate) fn apply(&self, adam: &Adam, gradients: &[Tensor]) -> Tensor {
        let flat = adam.flatten(gradients);
        let scale = |squares: Tensor| ((squares.sqrt() + 1e-6).recip() * self.norm).clamp(0.0, 1.0);
        if self.seeds == 1 {
            return &flat * scale(flat.square().sum(..));
        }
        let squares = gradients.iter().map(|g| g.flatten(1).square().sum(-1)).reduce(|sum, square| sum + square);
        match squares {
            Some(squares) => &flat * self.by_element(&scale(squares)),
            None => flat,
        }
    }
}
