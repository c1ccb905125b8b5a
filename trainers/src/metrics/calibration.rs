//! Whether a model is right as often as it says.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::Metric;
use super::sums::Sums;

/// Expected calibration error: rows are put into bins of equal width by the largest probability; the mean over rows of how far
/// a bin's accuracy is from its mean probability.
///
/// Outputs are logits `[.., classes]` (logarithms of probabilities will do), targets class numbers `[..]`.
///
/// Source: Guo et al., "On calibration of modern neural networks" (2017), equation 3; bins `(low, high]` as there.
#[derive(Debug)]
pub struct Calibration {
    bins: usize,
    /// Of each bin: rows, sum of probabilities, rows that are right.
    sums: Sums,
}

impl Calibration {
    /// So many bins; 15 is usual.
    ///
    /// # Errors
    /// If there are no bins or memory cannot be had.
    pub fn new(bins: usize, device: &Device) -> Result<Calibration> {
        if bins == 0 {
            return Err(Error::data("calibration metric", "0 bins; 15 are usual"));
        }
        Ok(Calibration { bins, sums: Sums::new("metric.calibration", 3 * bins, device)? })
    }
}

impl Metric for Calibration {
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor) {
        let probability = output.softmax(-1).max(-1).reshape([-1]);
        let right = output.argmax(-1).eq(target.cast(DType::I32)).cast(DType::F32).reshape([-1]);
        let bin = (&probability * self.bins as f64).ceil().cast(DType::I32) - 1.0;
        let sum = |values: &Tensor| values.scatter_sum(0, &bin, self.bins);
        self.sums.add(&Tensor::cat(&[sum(&right.ones_like()), sum(&probability), sum(&right)], 0));
    }

    fn values(&self) -> Result<Vec<(&'static str, f64)>> {
        let sums = self.sums.read()?;
        let (rows, rest) = sums.split_at(self.bins);
        let (probabilities, right) = rest.split_at(self.bins);
        let distance: f64 = probabilities.iter().zip(right).map(|(p, r)| (p - r).abs()).sum();
        Ok(vec![("calibration_error", distance / rows.iter().sum::<f64>())])
    }

    fn state(&self) -> Vec<Var> {
        self.sums.vars()
    }
}
