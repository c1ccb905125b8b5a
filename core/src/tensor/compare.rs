//! Comparisons (to bool tensors), logic on them, and choosing by them.

use crate::dtype::DType;
use crate::kernel::Reduction;
use crate::scalar::{Binary, Unary};
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::tensor::arguments::{Axes, Operand};

impl Tensor {
    /// Bool: where elements are equal (NaN equals nothing). Shapes broadcast.
    #[track_caller]
    pub fn eq(&self, other: impl Operand) -> Tensor {
        self.binary(Binary::Equal, &other.to_tensor(self))
    }

    /// Bool: where elements differ (NaN differs from everything). Shapes broadcast.
    #[track_caller]
    pub fn ne(&self, other: impl Operand) -> Tensor {
        self.eq(other).unary(Unary::Not)
    }

    /// Bool: `self < other`. Shapes broadcast.
    #[track_caller]
    pub fn lt(&self, other: impl Operand) -> Tensor {
        self.binary(Binary::Less, &other.to_tensor(self))
    }

    /// Bool: `self <= other`. Shapes broadcast.
    #[track_caller]
    pub fn le(&self, other: impl Operand) -> Tensor {
        self.binary(Binary::LessEqual, &other.to_tensor(self))
    }

    /// Bool: `self > other`. Shapes broadcast.
    #[track_caller]
    pub fn gt(&self, other: impl Operand) -> Tensor {
        other.to_tensor(self).binary(Binary::Less, self)
    }

    /// Bool: `self >= other`. Shapes broadcast.
    #[track_caller]
    pub fn ge(&self, other: impl Operand) -> Tensor {
        other.to_tensor(self).binary(Binary::LessEqual, self)
    }

    /// Bool: true where both are true (for numbers: not 0). Shapes broadcast.
    #[track_caller]
    pub fn logical_and(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).binary(Binary::And, &other.cast(DType::Bool))
    }

    /// Bool: true where either is true (for numbers: not 0). Shapes broadcast.
    #[track_caller]
    pub fn logical_or(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).binary(Binary::Or, &other.cast(DType::Bool))
    }

    /// Bool: true where exactly one is true (for numbers: not 0). Shapes broadcast.
    #[track_caller]
    pub fn logical_xor(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).binary(Binary::Xor, &other.cast(DType::Bool))
    }

    /// Bool: true where this is false (for numbers: 0).
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        self.cast(DType::Bool).unary(Unary::Not)
    }

    /// `a` where this bool tensor is true, else `b` (PyTorch's `where(self, a, b)`). All three broadcast.
    ///
    /// Gradients go to the chosen side only. Two numbers give f32.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let x = Tensor::zeros(&[2, 3], &device);
    /// let relu = x.gt(0.0).select(&x, 0.0);
    /// assert_eq!(relu.shape(), x.shape());
    /// ```
    ///
    /// # Panics
    /// If this is not bool, the types of `a` and `b` differ, or shapes do not broadcast.
    #[doc(alias = "where")]
    #[track_caller]
    pub fn select(&self, a: impl Operand, b: impl Operand) -> Tensor {
        if self.dtype() != DType::Bool {
            fail("select", format!("the condition is {}, not bool; compare first", self.dtype()));
        }
        let dtype = a.dtype().or(b.dtype()).unwrap_or(DType::F32);
        let like = Tensor::full(self.shape(), 0.0, dtype, self.device());
        self.choose(&a.to_tensor(&like), &b.to_tensor(&like))
    }

    /// `value` where the bool `mask` is true, else this. The mask broadcasts.
    ///
    /// # Panics
    /// If the mask is not bool or shapes do not broadcast.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Tensor {
        mask.choose(&self.constant(self.shape(), value), self)
    }

    /// Bool: whether any element along `axes` is true (for numbers: not 0); false where there are none.
    #[track_caller]
    pub fn any(&self, axes: impl Axes) -> Tensor {
        self.logical(Reduction::Max, &axes.axes("any", self.shape()))
    }

    /// Bool: whether all elements along `axes` are true (for numbers: not 0); true where there are none.
    #[track_caller]
    pub fn all(&self, axes: impl Axes) -> Tensor {
        self.logical(Reduction::Min, &axes.axes("all", self.shape()))
    }

    /// In u32 the extremes of nothing are 0 for max and not 0 for min, which is what `any` and `all` of nothing are.
    #[track_caller]
    fn logical(&self, op: Reduction, axes: &[usize]) -> Tensor {
        self.cast(DType::Bool).cast(DType::U32).reduce(op, axes).cast(DType::Bool)
    }
}
