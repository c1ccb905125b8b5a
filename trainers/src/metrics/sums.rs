//! Sums over many batches that lose few digits.

use anygrad_core::{DType, Device, Result, Tensor, Var};

/// Running f32 sums in two stages: after [`STAGE`] additions the small sum goes into the large one. After `n` additions a sum has
/// gone through `n / STAGE + STAGE` roundings instead of `n`. (What an addition rounds away could be kept exactly, but drivers
/// simplify `(a + b) - a`, and then it is gone.)
///
/// Source: pairwise summation with one level; Higham, "The accuracy of floating point summation" (1993), section 2.
#[derive(Debug)]
pub(super) struct Sums {
    small: Var,
    large: Var,
    /// `[1]` i32: additions since the last that filled a stage.
    count: Var,
}

/// Best for epochs of 4,096 batches, of which it is the root.
const STAGE: i32 = 64;

impl Sums {
    /// `len` sums of 0.
    pub(super) fn new(name: &str, len: usize, device: &Device) -> Result<Sums> {
        let zeros =
            |part: &str, len, dtype| Var::try_new(format!("{name}.{part}"), &Tensor::full(&[len], 0.0, dtype, device));
        let (small, large) = (zeros("small", len, DType::F32)?, zeros("large", len, DType::F32)?);
        Ok(Sums { small, large, count: zeros("count", 1, DType::I32)? })
    }

    /// Adds `values`: `[len]`.
    pub(super) fn add(&self, values: &Tensor) {
        let count = (self.count.get() + 1.0).rem_euclid(f64::from(STAGE));
        let (full, small, large) = (count.eq(0.0), self.small.get() + values, self.large.get());
        self.large.assign(&full.select(&large + &small, &large));
        self.small.assign(&full.select(0.0, &small));
        self.count.assign(&count);
    }

    /// The sums.
    pub(super) fn read(&self) -> Result<Vec<f64>> {
        let (small, large) = (self.small.get().to_f64()?, self.large.get().to_f64()?);
        Ok(small.iter().zip(large).map(|(small, large)| small + large).collect())
    }

    pub(super) fn vars(&self) -> Vec<Var> {
        vec![self.small.clone(), self.large.clone(), self.count.clone()]
    }
}
