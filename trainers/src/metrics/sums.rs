//! Sums over many batches that lose no digits.

use anygrad_core::{Device, Result, Tensor, Var};

/// Running f32 sums with what each addition rounded away, so that a sum over many batches is as good as f64.
///
/// Source: Knuth, "The art of computer programming" 2, section 4.2.2, theorem B.
#[derive(Debug)]
pub(super) struct Sums(Var);

impl Sums {
    /// `count` sums of 0.
    pub(super) fn new(name: &str, count: usize, device: &Device) -> Result<Sums> {
        Var::try_new(name, &Tensor::zeros(&[2, count], device)).map(Sums)
    }

    /// Adds `values`: `[count]`.
    pub(super) fn add(&self, values: &Tensor) {
        let old = self.0.get();
        let (sum, lost) = (old.index_axis(0, 0), old.index_axis(0, 1));
        let next = &sum + values;
        let added = &next - &sum;
        let error = (sum - (&next - &added)) + (values - added);
        self.0.assign(&Tensor::stack(&[next, lost + error], 0));
    }

    /// The sums.
    pub(super) fn read(&self) -> Result<Vec<f64>> {
        let values = self.0.get().to_f64()?;
        let (sums, lost) = values.split_at(values.len() / 2);
        Ok(sums.iter().zip(lost).map(|(sum, lost)| sum + lost).collect())
    }

    pub(super) fn var(&self) -> &Var {
        &self.0
    }
}
