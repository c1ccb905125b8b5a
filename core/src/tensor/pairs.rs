//! Element by element of two tensors, which broadcast; the second may be a number.

use crate::dtype::DType;
use crate::scalar::Binary;
use crate::tensor::Tensor;
use crate::tensor::arguments::Operand;

impl Tensor {
    /// `self` to the power `exponent`, with C's rules (`pow(x, 0) = 1`).
    #[track_caller]
    pub fn pow(&self, exponent: impl Operand) -> Tensor {
        self.binary(Binary::Pow, &exponent.to_tensor(self))
    }

    /// The larger of two; NaN if either is. Equal elements share the gradient. (`max` is the reduction.)
    #[track_caller]
    pub fn maximum(&self, other: impl Operand) -> Tensor {
        self.binary(Binary::Max, &other.to_tensor(self))
    }

    /// The smaller of two; NaN if either is. Equal elements share the gradient. (`min` is the reduction.)
    #[track_caller]
    pub fn minimum(&self, other: impl Operand) -> Tensor {
        self.binary(Binary::Min, &other.to_tensor(self))
    }

    /// `sqrt(self^2 + other^2)` without overflow.
    #[track_caller]
    pub fn hypot(&self, other: impl Operand) -> Tensor {
        let other = other.to_tensor(self);
        let largest = self.abs().maximum(other.abs()).detach();
        let scale = largest.eq(0.0).logical_or(&largest.is_infinite()).select(1.0, &largest);
        ((self / &scale).square() + (other / &scale).square()).sqrt() * scale
    }

    /// The number in the middle, `(self + other) / 2`, without overflow.
    ///
    /// # Panics
    /// If shapes do not broadcast or types differ.
    #[track_caller]
    pub fn midpoint(&self, other: impl Operand) -> Tensor {
        self * 0.5 + other.to_tensor(self) * 0.5
    }

    /// From `self` (weight 0) to `end` (weight 1) in a straight line: `self + weight (end - self)`.
    ///
    /// # Panics
    /// If shapes do not broadcast or types differ.
    #[track_caller]
    pub fn lerp(&self, end: impl Operand, weight: impl Operand) -> Tensor {
        self + (end.to_tensor(self) - self) * weight.to_tensor(self)
    }

    /// `self * a + b`.
    #[track_caller]
    pub fn mul_add(&self, a: impl Operand, b: impl Operand) -> Tensor {
        self * a.to_tensor(self) + b.to_tensor(self)
    }

    /// The remainder that is never negative: `self - |other| * floor(self / |other|)`.
    #[track_caller]
    pub fn rem_euclid(&self, other: impl Operand) -> Tensor {
        let other = other.to_tensor(self);
        let rest = self % &other;
        if self.dtype() == DType::U32 {
            return rest;
        }
        rest.lt(0.0).select(&rest + other.abs(), &rest)
    }

    /// The quotient that belongs to [`Tensor::rem_euclid`].
    #[track_caller]
    pub fn div_euclid(&self, other: impl Operand) -> Tensor {
        let other = other.to_tensor(self);
        let ratio = self / &other;
        if self.dtype() == DType::U32 {
            return ratio;
        }
        let quotient = if self.dtype().is_float() { ratio.trunc() } else { ratio };
        (self % &other).lt(0.0).select(&quotient - other.sign(), &quotient)
    }

    /// `|self|` with the sign of `sign`; zeros count as positive.
    #[track_caller]
    pub fn copysign(&self, sign: impl Operand) -> Tensor {
        let size = self.abs();
        sign.to_tensor(self).lt(0.0).select(-&size, &size)
    }
}
