//! Means over all elements of all batches: losses, accuracy, top-k, perplexity, or whatever a closure computes.

use anygrad_core::{DType, Device, Result, Tensor, Var};

use super::sums::Sums;
use super::{Metric, accuracy};

/// The mean of what a closure says of each batch (itself a mean, as losses are), weighted by the elements of the target.
///
/// ```
/// # use anygrad_core::Tensor;
/// # let device = anygrad_core::testing::device();
/// use anygrad_trainers::metrics::MeanOf;
///
/// let loss = MeanOf::new("loss", |output: &Tensor, target: &Tensor| output.cross_entropy(target), &device)?;
/// # Ok::<(), anygrad_core::Error>(())
/// ```
pub struct MeanOf {
    name: &'static str,
    of: Box<dyn Fn(&Tensor, &Tensor) -> Tensor>,
    /// Applied to the mean when it is read.
    after: fn(f64) -> f64,
    /// Weighted sum and weight.
    sums: Sums,
}

impl MeanOf {
    /// The mean of `of(output, target)`, which is one number.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(
        name: &'static str,
        of: impl Fn(&Tensor, &Tensor) -> Tensor + 'static,
        device: &Device,
    ) -> Result<MeanOf> {
        let sums = Sums::new(&format!("metric.{name}"), 2, device)?;
        Ok(MeanOf { name, of: Box::new(of), after: |mean| mean, sums })
    }

    /// The share of labels `[..]` at which scores `[.., classes]` are largest.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn accuracy(device: &Device) -> Result<MeanOf> {
        MeanOf::new("accuracy", accuracy, device)
    }

    /// The share of labels `[..]` whose score is among the `k` largest of scores `[.., classes]`; of equal scores the first count.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn top_k(k: usize, device: &Device) -> Result<MeanOf> {
        MeanOf::new("top_k", move |scores, labels| top_k(scores, labels, k), device)
    }

    /// `exp` of the mean cross entropy of logits `[batch, classes, ..]` and labels, or of logits `[batch, time, classes]` that are
    /// first made flat by the caller.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn perplexity(device: &Device) -> Result<MeanOf> {
        let mean = MeanOf::new("perplexity", |logits, labels| logits.cross_entropy(labels), device)?;
        Ok(MeanOf { after: f64::exp, ..mean })
    }
}

/// See [`MeanOf::top_k`].
#[track_caller]
fn top_k(scores: &Tensor, labels: &Tensor, k: usize) -> Tensor {
    let own = scores.gather(-1, &labels.unsqueeze(-1));
    let numbers = Tensor::arange(0.0, scores.size(-1) as f64, 1.0, scores.device()).cast(labels.dtype());
    let first = scores.eq(&own).logical_and(&numbers.lt(labels.unsqueeze(-1)));
    let before = scores.gt(&own).logical_or(&first).cast(DType::F32).sum(-1);
    // The score of a label that does not exist is NaN, and nothing lies before it.
    let hit = before.lt(k as f64).logical_and(&own.squeeze(-1).is_nan().logical_not());
    hit.cast(DType::F32).mean(..)
}

impl Metric for MeanOf {
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor) {
        let (value, weight) = ((self.of)(output, target), target.len() as f64);
        assert!(value.len() == 1, "metric '{}' gives {:?}; its closure must give one number", self.name, value.shape());
        let value = value.cast(DType::F32).reshape([1]) * weight;
        self.sums.add(&Tensor::cat(&[&value, &value.full_like(weight)], 0));
    }

    fn values(&self) -> Result<Vec<(&'static str, f64)>> {
        let sums = self.sums.read()?;
        Ok(vec![(self.name, (self.after)(sums[0] / sums[1]))])
    }

    fn state(&self) -> Vec<Var> {
        self.sums.vars()
    }
}

impl std::fmt::Debug for MeanOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MeanOf('{}')", self.name)
    }
}
