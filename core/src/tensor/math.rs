//! Element by element: the functions of `f32` in std, by their names there, and a few of PyTorch's.
//!
//! Each is one or a few scalar maps, which the scheduler fuses into one kernel. Compositions avoid forms whose value or
//! gradient is inf - inf or 0 * inf inside of the domain: where a formula has two sides, both stay finite on all inputs.

use std::f64::consts::{FRAC_PI_2, LN_2, LN_10, PI};

use crate::scalar::{Binary, Unary};
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::tensor::arguments::Operand;

/// Functions of one tensor.
impl Tensor {
    /// e to the power `self`.
    #[track_caller]
    pub fn exp(&self) -> Tensor {
        self.unary(Unary::Exp)
    }

    /// 2 to the power `self`.
    #[track_caller]
    pub fn exp2(&self) -> Tensor {
        self.constant(self.shape(), 2.0).binary(Binary::Pow, self)
    }

    /// `exp(self) - 1`, exact near 0.
    #[track_caller]
    pub fn exp_m1(&self) -> Tensor {
        self.unary(Unary::ExpM1)
    }

    /// Natural logarithm; -inf at 0, NaN below.
    #[doc(alias = "log")]
    #[track_caller]
    pub fn ln(&self) -> Tensor {
        self.unary(Unary::Ln)
    }

    /// `ln(1 + self)`, exact near 0.
    #[doc(alias = "log1p")]
    #[track_caller]
    pub fn ln_1p(&self) -> Tensor {
        self.unary(Unary::Ln1p)
    }

    /// Logarithm to base 2.
    #[track_caller]
    pub fn log2(&self) -> Tensor {
        self.ln() * (1.0 / LN_2)
    }

    /// Logarithm to base 10.
    #[track_caller]
    pub fn log10(&self) -> Tensor {
        self.ln() * (1.0 / LN_10)
    }

    /// Logarithm to any base, as `f32::log`; the natural one is [`Tensor::ln`].
    #[track_caller]
    pub fn log(&self, base: f64) -> Tensor {
        self.ln() * (1.0 / base.ln())
    }

    /// Square root; NaN below 0.
    #[track_caller]
    pub fn sqrt(&self) -> Tensor {
        self.unary(Unary::Sqrt)
    }

    /// `1 / sqrt(self)`; inf at 0.
    #[track_caller]
    pub fn rsqrt(&self) -> Tensor {
        self.sqrt().recip()
    }

    /// Square root with gradient 0 at 0, for norms and deviations (PyTorch's choice there).
    #[track_caller]
    pub(crate) fn sqrt_flat_at_zero(&self) -> Tensor {
        let zero = self.eq(0.0);
        zero.select(0.0, zero.select(1.0, self).sqrt())
    }

    /// Cube root, also of negative numbers.
    #[track_caller]
    pub fn cbrt(&self) -> Tensor {
        self.abs().powf(1.0 / 3.0) * self.sign()
    }

    /// Sine of radians.
    #[track_caller]
    pub fn sin(&self) -> Tensor {
        self.unary(Unary::Sin)
    }

    /// Cosine of radians.
    #[track_caller]
    pub fn cos(&self) -> Tensor {
        self.unary(Unary::Cos)
    }

    /// Sine and cosine.
    #[track_caller]
    pub fn sin_cos(&self) -> (Tensor, Tensor) {
        (self.sin(), self.cos())
    }

    /// Tangent of radians.
    #[track_caller]
    pub fn tan(&self) -> Tensor {
        self.sin() / self.cos()
    }

    /// Arcsine in radians, -pi/2 to pi/2; NaN outside of -1 to 1.
    #[track_caller]
    pub fn asin(&self) -> Tensor {
        (self / (self.unit_root() + 1.0)).atan() * 2.0
    }

    /// Arccosine in radians, 0 to pi; NaN outside of -1 to 1.
    #[track_caller]
    pub fn acos(&self) -> Tensor {
        ((1.0 - self).sqrt() / (self + 1.0).sqrt()).atan() * 2.0
    }

    /// `sqrt(1 - self^2)` as two roots: exact near 1, and the gradient there is infinite, not NaN.
    #[track_caller]
    fn unit_root(&self) -> Tensor {
        (1.0 - self).sqrt() * (self + 1.0).sqrt()
    }

    /// Arctangent in radians, -pi/2 to pi/2.
    #[track_caller]
    pub fn atan(&self) -> Tensor {
        self.unary(Unary::Atan)
    }

    /// The angle in radians, -pi to pi, of the point with `self` as y and `x`; 0 at the origin. The sign of zeros is ignored.
    #[track_caller]
    pub fn atan2(&self, x: impl Operand) -> Tensor {
        let (y, x) = (self, &x.to_tensor(self));
        let steep = x.abs().lt(y.abs());
        let divisor = steep.select(y, x);
        let angle = (steep.select(x, y) / divisor.eq(0.0).select(1.0, &divisor)).atan();
        let up = y.lt(0.0).select(-1.0, y.full_like(1.0));
        let turned = (&up * FRAC_PI_2) - &angle;
        steep.select(turned, x.lt(0.0).select(&angle + up * PI, &angle))
    }

    /// Hyperbolic sine, exact near 0.
    #[track_caller]
    pub fn sinh(&self) -> Tensor {
        (self.exp_m1() - (-self).exp_m1()) * 0.5
    }

    /// Hyperbolic cosine.
    #[track_caller]
    pub fn cosh(&self) -> Tensor {
        (self.exp() + (-self).exp()) * 0.5
    }

    /// Hyperbolic tangent.
    #[track_caller]
    pub fn tanh(&self) -> Tensor {
        self.unary(Unary::Tanh)
    }

    /// Inverse hyperbolic sine, exact near 0.
    #[track_caller]
    pub fn asinh(&self) -> Tensor {
        // Past 1e9 the square may overflow, and asinh(a) = ln(2a) to all digits of f64.
        let negative = self.lt(0.0);
        let a = negative.select(-self, self);
        let big = a.gt(1e9);
        let small = big.select(1.0, &a);
        let square = small.square();
        let root = (&square + 1.0).sqrt();
        let value = big.select(big.select(&a, 1.0).ln() + LN_2, (small + square / (root + 1.0)).ln_1p());
        negative.select(-&value, &value)
    }

    /// Inverse hyperbolic cosine; NaN below 1.
    #[track_caller]
    pub fn acosh(&self) -> Tensor {
        let t = self - 1.0;
        (&t + t.sqrt() * (self + 1.0).sqrt()).ln_1p()
    }

    /// Inverse hyperbolic tangent; infinite at -1 and 1, NaN outside.
    #[track_caller]
    pub fn atanh(&self) -> Tensor {
        (self.ln_1p() - (-self).ln_1p()) * 0.5
    }

    /// The error function, `2/sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `self`.
    #[track_caller]
    pub fn erf(&self) -> Tensor {
        self.unary(Unary::Erf)
    }

    /// Largest integer not above. Gradient 0, as for all roundings.
    #[track_caller]
    pub fn floor(&self) -> Tensor {
        self.unary(Unary::Floor)
    }

    /// Smallest integer not below.
    #[track_caller]
    pub fn ceil(&self) -> Tensor {
        self.unary(Unary::Ceil)
    }

    /// Nearest integer; halves to even, as in PyTorch (`f32::round` rounds them away from 0).
    #[track_caller]
    pub fn round(&self) -> Tensor {
        self.unary(Unary::Round)
    }

    /// Integer part, towards 0.
    #[track_caller]
    pub fn trunc(&self) -> Tensor {
        self.unary(Unary::Trunc)
    }

    /// `self - trunc(self)`.
    #[track_caller]
    pub fn fract(&self) -> Tensor {
        self - self.trunc()
    }

    /// Absolute value; gradient 0 at 0.
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        self.unary(Unary::Abs)
    }

    /// -1, 0 or 1; NaN stays NaN. (`f32::signum` gives 1 at 0.)
    #[doc(alias = "signum")]
    #[track_caller]
    pub fn sign(&self) -> Tensor {
        self.unary(Unary::Sign)
    }

    /// `1 / self`.
    #[track_caller]
    pub fn recip(&self) -> Tensor {
        self.unary(Unary::Recip)
    }

    /// `self * self`.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self * self
    }

    /// `self` to a power that is one number.
    #[track_caller]
    pub fn powf(&self, exponent: f64) -> Tensor {
        if exponent == 1.0 {
            self.clone()
        } else if exponent == 2.0 {
            self.square()
        } else if exponent == 3.0 {
            self.square() * self
        } else if exponent == 0.5 {
            self.sqrt()
        } else if exponent == -1.0 {
            self.recip()
        } else {
            self.pow(exponent)
        }
    }

    /// `self` to an integer power, by repeated multiplication; of integers too, if it is not negative.
    ///
    /// # Panics
    /// If the exponent is negative and elements are integers.
    #[track_caller]
    pub fn powi(&self, exponent: i32) -> Tensor {
        if exponent < 0 {
            return self.powi_unsigned(exponent.unsigned_abs()).recip();
        }
        self.powi_unsigned(exponent.unsigned_abs())
    }

    #[track_caller]
    fn powi_unsigned(&self, mut exponent: u32) -> Tensor {
        let (mut result, mut square): (Option<Tensor>, Tensor) = (None, self.clone());
        while exponent > 0 {
            if exponent % 2 == 1 {
                result = Some(result.map_or_else(|| square.clone(), |r| r * &square));
            }
            exponent /= 2;
            if exponent > 0 {
                square = square.square();
            }
        }
        result.unwrap_or_else(|| self.full_like(1.0))
    }

    /// Radians to degrees.
    #[track_caller]
    pub fn to_degrees(&self) -> Tensor {
        self * (180.0 / PI)
    }

    /// Degrees to radians.
    #[track_caller]
    pub fn to_radians(&self) -> Tensor {
        self * (PI / 180.0)
    }

    /// Bool: where elements are NaN.
    #[track_caller]
    pub fn is_nan(&self) -> Tensor {
        self.unary(Unary::IsNan)
    }

    /// Bool: where elements are neither infinite nor NaN.
    #[track_caller]
    pub fn is_finite(&self) -> Tensor {
        self.float("is_finite").abs().lt(f64::INFINITY)
    }

    /// Bool: where elements are inf or -inf.
    #[track_caller]
    pub fn is_infinite(&self) -> Tensor {
        self.float("is_infinite").abs().eq(f64::INFINITY)
    }

    /// `min` below `min`, `max` above `max`, else `self`; NaN stays NaN. The gradient is 0 on both edges, as in PyTorch 2.15
    /// (older versions let it pass there). Either limit may be infinite.
    ///
    /// # Panics
    /// If `min > max` or either is NaN.
    #[track_caller]
    pub fn clamp(&self, min: f64, max: f64) -> Tensor {
        if min > max || min.is_nan() || max.is_nan() {
            fail("clamp", format!("the lower limit {min} is not below the upper limit {max}"));
        }
        let low = if min == f64::NEG_INFINITY { self.clone() } else { self.le(min).select(min, self) };
        if max == f64::INFINITY { low } else { self.ge(max).select(max, &low) }
    }

    /// This tensor, if its elements are floats.
    #[track_caller]
    pub(crate) fn float(&self, op: &str) -> &Tensor {
        if !self.dtype().is_float() {
            fail(op, format!("elements are {}, not floats; cast first", self.dtype()));
        }
        self
    }
}
