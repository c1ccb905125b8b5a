//! Random tensors: new numbers at each run of a program, the same on every backend for the same [`Device::seed`].
//!
//! All are functions of [`Tensor::random_bits`], so they fuse into what uses them and need no memory of their own.

use std::f64::consts::TAU;

use crate::device::Device;
use crate::dtype::DType;
use crate::scalar::Binary;
use crate::shape::fail;
use crate::tensor::Tensor;

impl Tensor {
    /// f32 numbers, uniform in `0..1` (multiples of 2^-24, so 1 does not occur).
    #[track_caller]
    pub fn rand(shape: &[usize], device: &Device) -> Tensor {
        let bits = Tensor::random_bits(shape, device);
        let high = bits.binary(Binary::Shr, &bits.full_like(8.0));
        high.cast(DType::F32) * f64::from(2.0f32.powi(-24))
    }

    /// f32 numbers, uniform in `low..high`.
    ///
    /// # Panics
    /// If `low > high`.
    #[track_caller]
    pub fn uniform(shape: &[usize], low: f64, high: f64, device: &Device) -> Tensor {
        if low > high {
            fail("uniform", format!("the lower limit {low} is not below the upper limit {high}"));
        }
        Tensor::rand(shape, device) * (high - low) + low
    }

    /// f32 numbers, normal with mean 0 and variance 1.
    /// Source: Box and Muller, "A note on the generation of random normal deviates" (1958).
    #[track_caller]
    pub fn randn(shape: &[usize], device: &Device) -> Tensor {
        // 1 - u is in (0, 1], so the logarithm is finite.
        let radius = ((1.0 - Tensor::rand(shape, device)).ln() * -2.0).sqrt();
        radius * (Tensor::rand(shape, device) * TAU).cos()
    }

    /// Bool: true with probability `p`.
    ///
    /// # Panics
    /// If `p` is not in `0..=1`.
    #[track_caller]
    pub fn bernoulli(shape: &[usize], p: f64, device: &Device) -> Tensor {
        if !(0.0..=1.0).contains(&p) {
            fail("bernoulli", format!("the probability {p} is not in 0..=1"));
        }
        let threshold = (p * 2.0f64.powi(32)).round();
        if threshold > f64::from(u32::MAX) {
            return Tensor::full(shape, 1.0, DType::Bool, device);
        }
        Tensor::random_bits(shape, device).lt(threshold)
    }

    /// i32 numbers, uniform in `low..high` (to within `(high - low) / 2^32`).
    ///
    /// # Panics
    /// If `low >= high`.
    #[track_caller]
    pub fn randint(shape: &[usize], low: i32, high: i32, device: &Device) -> Tensor {
        if low >= high {
            fail("randint", format!("{low}..{high} is empty"));
        }
        let bits = Tensor::random_bits(shape, device);
        let rest = &bits % high.abs_diff(low);
        rest.cast(DType::I32) + low
    }

    /// The numbers `0..n` (i32) in random order.
    #[track_caller]
    pub fn permutation(n: usize, device: &Device) -> Tensor {
        Tensor::random_bits(&[n], device).argsort(0, false)
    }

    /// 0 with probability `p`, else `self / (1 - p)`, so that the mean stays. Always active; the layer of that name asks
    /// whether one trains.
    ///
    /// # Panics
    /// If `p` is not in `0..=1` or elements are not floats.
    #[track_caller]
    pub fn dropout(&self, p: f64) -> Tensor {
        if !(0.0..=1.0).contains(&p) {
            fail("dropout", format!("the probability {p} is not in 0..=1"));
        }
        self.float("dropout");
        if p == 0.0 {
            return self.clone();
        }
        if p == 1.0 {
            return self.full_like(0.0);
        }
        Tensor::bernoulli(self.shape(), p, self.device()).select(0.0, self * (1.0 / (1.0 - p)))
    }
}
