//! Activations, by PyTorch's names. Values and gradients are finite at +-300 and at kinks are PyTorch's.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use crate::kernel::Reduction;
use crate::shape;
use crate::tensor::Tensor;

impl Tensor {
    /// `max(self, 0)`; gradient 0 at 0, NaN stays NaN.
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        let value = self.le(0.0).select(0.0, self);
        // By the result, so that the input need not be kept.
        value.with_gradient("relu", &[self], |dy, y| vec![y.le(0.0).select(0.0, dy)])
    }

    /// `min(max(self, 0), 6)`; gradient 0 at both edges.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.clamp(0.0, 6.0)
    }

    /// `self` limited to `low..=high`: [`Tensor::clamp`] by its other name.
    ///
    /// # Panics
    /// If `low > high`.
    #[track_caller]
    pub fn hardtanh(&self, low: f64, high: f64) -> Tensor {
        self.clamp(low, high)
    }

    /// `self` if positive, else `slope * self`.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        self.gt(0.0).select(self, self * slope)
    }

    /// `self` if positive, else `alpha * (exp(self) - 1)`.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let positive = self.gt(0.0);
        // The exponential sees no large number: its gradient there would be 0 * inf.
        let curve = positive.select(0.0, self).exp_m1();
        positive.select(self, if alpha == 1.0 { curve } else { curve * alpha })
    }

    /// Self-normalizing: `scale * elu(self, alpha)` with the paper's constants.
    /// Source: Klambauer and others, "Self-Normalizing Neural Networks" (2017), equation 2.
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        self.elu(1.673_263_242_354_377_2) * 1.050_700_987_355_480_5
    }

    /// `1 / (1 + exp(-self))`, exact in both tails.
    #[track_caller]
    pub fn sigmoid(&self) -> Tensor {
        // Both sides use exp(-|x|) <= 1, so neither value nor gradient can overflow.
        let negative = self.lt(0.0);
        let e = negative.select(self, -self).exp();
        let value = negative.select(&e, 1.0) / (e + 1.0);
        value.with_gradient("sigmoid", &[self], |dy, y| vec![dy * (y * (1.0 - y))])
    }

    /// `ln(sigmoid(self)) = min(self, 0) - ln(1 + exp(-|self|))`.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        let negative = self.lt(0.0);
        negative.select(self, 0.0) - negative.select(self, -self).exp().ln_1p()
    }

    /// `ln(1 + exp(self)) = max(self, 0) + ln(1 + exp(-|self|))`.
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        let negative = self.lt(0.0);
        negative.select(0.0, self) + negative.select(self, -self).exp().ln_1p()
    }

    /// `self * sigmoid(self)`, also called swish.
    #[doc(alias = "swish")]
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        self * self.sigmoid()
    }

    /// `self * tanh(softplus(self))`.
    /// Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function" (2019).
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        self * self.softplus().tanh()
    }

    /// `self * P(Z < self)` for a standard normal Z, exact: `self / 2 * (1 + erf(self / sqrt(2)))`.
    /// Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        self * 0.5 * ((self * FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// The approximation of [`Tensor::gelu`] by tanh that GPT-2 was trained with:
    /// `self / 2 * (1 + tanh(sqrt(2 / pi) * (self + 0.044715 * self^3)))`.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Tensor {
        let root = FRAC_2_SQRT_PI / SQRT_2;
        let inner = self * (self.square() * (0.044_715 * root) + root);
        self * 0.5 * (inner.tanh() + 1.0)
    }

    /// `exp(self) / sum(exp(self))` along one axis; a row of -inf gives NaN, as in PyTorch.
    ///
    /// # Panics
    /// If the axis does not exist or elements are not floats.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        let axis = shape::axis("softmax", axis, self.shape());
        let e = self.float("softmax").less_row_max(axis).exp();
        let value = &e / e.reduce_keep(Reduction::Sum, &[axis]);
        value.with_gradient("softmax", &[self], move |dy, y| {
            let weighted = dy * y;
            vec![&weighted - y * weighted.reduce_keep(Reduction::Sum, &[axis])]
        })
    }

    /// `ln(softmax(self))` along one axis, without leaving the range of floats.
    ///
    /// # Panics
    /// If the axis does not exist or elements are not floats.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        let axis = shape::axis("log_softmax", axis, self.shape());
        let x = self.float("log_softmax").less_row_max(axis);
        let value = &x - x.exp().reduce_keep(Reduction::Sum, &[axis]).ln();
        value.with_gradient("log_softmax", &[self], move |dy, y| {
            vec![dy - y.exp() * dy.reduce_keep(Reduction::Sum, &[axis])]
        })
    }

    /// `self` less its largest element along an axis, which is a constant to gradients: results do not depend on it.
    #[track_caller]
    fn less_row_max(&self, axis: usize) -> Tensor {
        self - self.reduce_keep(Reduction::Max, &[axis]).detach()
    }
}
