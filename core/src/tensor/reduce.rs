//! Reductions: many numbers become one. The reduced axes vanish; `_keep` variants leave them with size 1.
//!
//! Axes are `()` for all, one number, or several: `x.sum(())`, `x.mean(-1)`, `x.max([2, 3])`.

use crate::dtype::DType;
use crate::kernel::{Extremum, Reduction};
use crate::shape::{self, fail};
use crate::tensor::Tensor;
use crate::tensor::arguments::Axes;

/// Sums, means and moments.
impl Tensor {
    /// The sum over `axes`; 0 where there are no elements.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let x = Tensor::zeros(&[2, 3, 4], &device);
    /// let total = x.sum(());      // of everything: shape []
    /// let rows = x.sum(1);        // [n, m, k] -> [n, k]
    /// let both = x.sum([0, -1]);  // [n, m, k] -> [m]
    /// assert_eq!((total.shape(), rows.shape(), both.shape()), (&[][..], &[2, 4][..], &[3][..]));
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice, or elements are bool.
    #[track_caller]
    pub fn sum(&self, axes: impl Axes) -> Tensor {
        self.reduce(Reduction::Sum, &axes.axes("sum", self.shape()))
    }

    /// As [`Tensor::sum`]; the axes stay, with size 1.
    #[track_caller]
    pub fn sum_keep(&self, axes: impl Axes) -> Tensor {
        self.reduce_keep(Reduction::Sum, &axes.axes("sum", self.shape()))
    }

    /// The mean over `axes`; NaN where there are no elements.
    ///
    /// # Panics
    /// If an axis does not exist or is named twice, or elements are not floats.
    #[track_caller]
    pub fn mean(&self, axes: impl Axes) -> Tensor {
        let axes = axes.axes("mean", self.shape());
        self.float("mean").reduce(Reduction::Sum, &axes) * (1.0 / self.count(&axes))
    }

    /// As [`Tensor::mean`]; the axes stay, with size 1.
    #[track_caller]
    pub fn mean_keep(&self, axes: impl Axes) -> Tensor {
        let axes = axes.axes("mean", self.shape());
        self.float("mean").reduce_keep(Reduction::Sum, &axes) * (1.0 / self.count(&axes))
    }

    /// The variance over `axes`: squared distances from the mean, summed, by `n - correction` (1: unbiased; 0: of the
    /// elements themselves, as normalization layers use it). NaN if that is not positive.
    ///
    /// # Panics
    /// If an axis does not exist or is named twice, or elements are not floats.
    #[track_caller]
    pub fn var(&self, axes: impl Axes, correction: usize) -> Tensor {
        let axes = axes.axes("var", self.shape());
        self.squared_distance(&axes).reduce(Reduction::Sum, &axes) * self.var_factor(&axes, correction)
    }

    /// As [`Tensor::var`]; the axes stay, with size 1.
    #[track_caller]
    pub fn var_keep(&self, axes: impl Axes, correction: usize) -> Tensor {
        let axes = axes.axes("var", self.shape());
        self.squared_distance(&axes).reduce_keep(Reduction::Sum, &axes) * self.var_factor(&axes, correction)
    }

    /// The standard deviation, the root of [`Tensor::var`]; gradient 0 where it is 0.
    #[track_caller]
    pub fn std(&self, axes: impl Axes, correction: usize) -> Tensor {
        self.var(axes, correction).sqrt_flat_at_zero()
    }

    /// As [`Tensor::std`]; the axes stay, with size 1.
    #[track_caller]
    pub fn std_keep(&self, axes: impl Axes, correction: usize) -> Tensor {
        self.var_keep(axes, correction).sqrt_flat_at_zero()
    }

    #[track_caller]
    fn squared_distance(&self, axes: &[usize]) -> Tensor {
        let mean = self.float("var").reduce_keep(Reduction::Sum, axes) * (1.0 / self.count(axes));
        (self - mean).square()
    }

    fn var_factor(&self, axes: &[usize], correction: usize) -> f64 {
        1.0 / (self.count(axes) - correction as f64).max(0.0)
    }

    /// The product over `axes`; 1 where there are no elements.
    #[track_caller]
    pub fn prod(&self, axes: impl Axes) -> Tensor {
        self.reduce(Reduction::Prod, &axes.axes("prod", self.shape()))
    }

    /// `ln(sum(exp(self)))` over `axes`, without leaving the range of floats; -inf where all elements are -inf.
    #[track_caller]
    pub fn logsumexp(&self, axes: impl Axes) -> Tensor {
        let axes = axes.axes("logsumexp", self.shape());
        let largest = self.float("logsumexp").reduce_keep(Reduction::Max, &axes).detach();
        let largest = largest.is_infinite().select(0.0, &largest);
        let sum = (self - &largest).exp().reduce(Reduction::Sum, &axes);
        let largest = largest.reshape_to(sum.shape());
        sum.ln() + largest
    }

    /// The Euclidean length over `axes`, `sqrt(sum(self^2))`; gradient 0 where it is 0.
    #[track_caller]
    pub fn norm(&self, axes: impl Axes) -> Tensor {
        self.float("norm").square().sum(axes).sqrt_flat_at_zero()
    }

    /// As [`Tensor::norm`]; the axes stay, with size 1.
    #[track_caller]
    pub fn norm_keep(&self, axes: impl Axes) -> Tensor {
        self.float("norm").square().sum_keep(axes).sqrt_flat_at_zero()
    }

    /// How many elements over `axes` are not 0 (i32).
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl Axes) -> Tensor {
        self.cast(DType::Bool).cast(DType::I32).sum(axes)
    }
}

/// Extremes.
impl Tensor {
    /// The largest element over `axes`; NaN if any is NaN, -inf (the smallest integer) where there are none.
    ///
    /// Over one axis the gradient goes to the first of equal largest elements, over several it is shared among them, as by
    /// PyTorch's `max(dim)` and `amax`.
    #[track_caller]
    pub fn max(&self, axes: impl Axes) -> Tensor {
        self.reduce(Reduction::Max, &axes.axes("max", self.shape()))
    }

    /// As [`Tensor::max`]; the axes stay, with size 1.
    #[track_caller]
    pub fn max_keep(&self, axes: impl Axes) -> Tensor {
        self.reduce_keep(Reduction::Max, &axes.axes("max", self.shape()))
    }

    /// The smallest element over `axes`; see [`Tensor::max`].
    #[track_caller]
    pub fn min(&self, axes: impl Axes) -> Tensor {
        self.reduce(Reduction::Min, &axes.axes("min", self.shape()))
    }

    /// As [`Tensor::min`]; the axes stay, with size 1.
    #[track_caller]
    pub fn min_keep(&self, axes: impl Axes) -> Tensor {
        self.reduce_keep(Reduction::Min, &axes.axes("min", self.shape()))
    }

    /// The number (i32) of the first largest element along an axis, which vanishes. NaN counts as largest.
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor {
        self.arg_reduce(Extremum::Max, shape::axis("argmax", axis, self.shape()))
    }

    /// The number (i32) of the first smallest element along an axis, which vanishes. NaN counts as smallest.
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor {
        self.arg_reduce(Extremum::Min, shape::axis("argmin", axis, self.shape()))
    }

    /// The middle element along an axis, which vanishes; of an even number the lower of the two, as in PyTorch.
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn median(&self, axis: isize) -> Tensor {
        let size = self.size(axis);
        if size == 0 {
            fail("median", format!("axis {axis} of {:?} is empty", self.shape()));
        }
        let (sorted, _) = self.sort(axis, false);
        sorted.narrow(axis, (size - 1) / 2, 1).squeeze(axis)
    }
}

impl Tensor {
    /// A reduction whose axes stay, with size 1.
    #[track_caller]
    pub(crate) fn reduce_keep(&self, op: Reduction, axes: &[usize]) -> Tensor {
        let size = |axis: usize| if axes.contains(&axis) { 1 } else { self.shape()[axis] };
        let kept: Vec<usize> = (0..self.rank()).map(size).collect();
        self.reduce(op, axes).reshape_to(&kept)
    }

    /// How many elements become one.
    fn count(&self, axes: &[usize]) -> f64 {
        axes.iter().map(|&a| self.shape()[a]).product::<usize>() as f64
    }
}
