//! How good a model is, as tensors (so that it is computed inside of a program) and as running means on the host.

use anygrad_core::{DType, Tensor};

/// How many rows of `scores` `[rows, classes]` are largest at their class in `labels` `[rows]` (i32): one f32 number.
///
/// Of equal scores the first counts, as in PyTorch's `argmax`.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn correct(scores: &Tensor, labels: &Tensor) -> Tensor {
    scores.argmax(-1).eq(labels).cast(DType::F32).sum(..)
}

/// The share of rows of `scores` `[rows, classes]` that are largest at their class in `labels` `[rows]`: one number in 0..=1.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn accuracy(scores: &Tensor, labels: &Tensor) -> Tensor {
    correct(scores, labels) / labels.len().max(1) as f64
}

/// A mean of numbers that come in groups.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    /// Adds a group's sum and size.
    pub fn add(&mut self, sum: f64, count: usize) {
        self.sum += sum;
        self.count += count as f64;
    }

    /// The mean; NaN if nothing was added.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sum / self.count
    }
}
