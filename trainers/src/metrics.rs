//! How good a model is. A [`Metric`] gathers batches in variables on the device, inside of the program that evaluates, and is
//! read once per epoch. For small loops there are functions on tensors ([`correct`], [`accuracy`]) and a [`Mean`] on the host.
//!
//! ```
//! # use anygrad_core::{Program, Tensor};
//! use anygrad_trainers::metrics::{Classification, Metric};
//!
//! # let device = anygrad_core::testing::device();
//! # let forward = |x: &Tensor| x.clone();
//! # let batches = [(Tensor::eye(3, &device), Tensor::from_vec(vec![0, 1, 1], &[3], &device))];
//! let metric = Classification::new(3, &device)?;
//! let mut evaluate = Program::inference(&device, |(x, y): (Tensor, Tensor)| metric.update(&forward(&x), &y));
//! for batch in batches {
//!     evaluate.run(batch)?;
//! }
//! assert_eq!(metric.values()?[0], ("accuracy", 2.0 / 3.0));
//! metric.reset()?;
//! # Ok::<(), anygrad_core::Error>(())
//! ```

mod calibration;
mod classification;
mod confusion;
mod mean;
pub(crate) mod ranking;
mod regression;
mod sums;

pub use calibration::Calibration;
pub use classification::Classification;
pub use confusion::{Averaging, Confusion};
pub use mean::MeanOf;
pub use ranking::Ranking;
pub use regression::Regression;

use anygrad_core::{DType, Result, Tensor, Var};

/// Numbers over all batches since the last reset.
pub trait Metric: std::fmt::Debug {
    /// Adds a batch: what the model says and what is true. Inside of a program it becomes a part of that.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor);

    /// Name and value of each number; waits for the device. NaN where nothing was added.
    ///
    /// # Errors
    /// If the device fails or the numbers cannot be told.
    fn values(&self) -> Result<Vec<(&'static str, f64)>>;

    /// What it has gathered; all zeros when nothing was added.
    fn state(&self) -> Vec<Var>;

    /// Forgets all batches.
    ///
    /// # Errors
    /// If the device fails.
    fn reset(&self) -> Result<()> {
        self.state().iter().try_for_each(|var| var.write_bytes(&vec![0; var.len() * var.dtype().size()]))
    }
}

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
