//! What methods take besides tensors: numbers in place of tensors ([`Operand`]), sizes ([`Sizes`]) and axes ([`Axes`]).
//!
//! One small trait each, so that `x.sum(1)`, `x.sum([0, -1])`, `x.reshape([n, 10])` and `x.maximum(0.0)` are written
//! as one thinks them, with literals or variables of any integer type.

use std::ops::RangeFull;

use crate::dtype::{DType, Scalar};
use crate::op::Op;
use crate::shape::{self, fail};
use crate::tensor::Tensor;

/// A tensor, or a number that stands for a tensor full of it.
///
/// A number takes the element type of the tensor that it meets; integers and bools refuse numbers that they cannot hold
/// (`labels * 0.5` panics instead of rounding 0.5 to 0).
pub trait Operand {
    /// The element type, if it is a tensor.
    fn dtype(&self) -> Option<DType>;

    /// It as a tensor that can meet `like`.
    ///
    /// # Panics
    /// If it is a number that `like`'s element type cannot hold.
    fn to_tensor(&self, like: &Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn dtype(&self) -> Option<DType> {
        Some(Tensor::dtype(self))
    }

    fn to_tensor(&self, _like: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Operand for &Tensor {
    fn dtype(&self) -> Option<DType> {
        Some(Tensor::dtype(self))
    }

    fn to_tensor(&self, _like: &Tensor) -> Tensor {
        Tensor::clone(self)
    }
}

/// A Rust number that is written in place of a tensor: `f64`, `f32`, `i32`, `u32`, `usize`, `bool`.
pub trait Number: Copy {
    /// Its value.
    fn value(self) -> f64;
}

impl<N: Number> Operand for N {
    fn dtype(&self) -> Option<DType> {
        None
    }

    #[track_caller]
    fn to_tensor(&self, like: &Tensor) -> Tensor {
        like.constant(like.shape(), self.value())
    }
}

impl Number for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl Number for f32 {
    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Number for i32 {
    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Number for u32 {
    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Number for usize {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn value(self) -> f64 {
        f64::from(u8::from(self))
    }
}

/// An integer that is a size or an axis: `i32` (what literals become), `usize`, `isize`.
pub trait Integer: Copy {
    /// Its value.
    fn value(self) -> isize;
}

impl Integer for i32 {
    fn value(self) -> isize {
        self as isize
    }
}

impl Integer for usize {
    fn value(self) -> isize {
        isize::try_from(self).unwrap_or(isize::MAX)
    }
}

impl Integer for isize {
    fn value(self) -> isize {
        self
    }
}

/// Sizes of axes, one of which may be -1: arrays, slices and vectors of `i32`, `usize` or `isize`.
pub trait Sizes {
    /// The sizes as given.
    fn sizes(&self) -> Vec<isize>;
}

impl<I: Integer> Sizes for [I] {
    fn sizes(&self) -> Vec<isize> {
        self.iter().map(|s| s.value()).collect()
    }
}

impl<I: Integer, const N: usize> Sizes for [I; N] {
    fn sizes(&self) -> Vec<isize> {
        self[..].sizes()
    }
}

impl<I: Integer> Sizes for Vec<I> {
    fn sizes(&self) -> Vec<isize> {
        self[..].sizes()
    }
}

impl<T: Sizes + ?Sized> Sizes for &T {
    fn sizes(&self) -> Vec<isize> {
        (**self).sizes()
    }
}

/// Axes to reduce over: `()` or `..` for all, one integer, or an array, slice or vector of them; negative ones count from
/// the end.
pub trait Axes {
    /// The axes as numbers from 0, rising.
    ///
    /// # Panics
    /// If an axis does not exist in `shape` or is named twice; `op` begins the message.
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize>;

    /// Whether it means all axes, whatever there are.
    fn is_all(&self) -> bool {
        false
    }
}

impl Axes for () {
    fn axes(&self, _op: &str, shape: &[usize]) -> Vec<usize> {
        (0..shape.len()).collect()
    }

    fn is_all(&self) -> bool {
        true
    }
}

impl Axes for RangeFull {
    fn axes(&self, _op: &str, shape: &[usize]) -> Vec<usize> {
        (0..shape.len()).collect()
    }

    fn is_all(&self) -> bool {
        true
    }
}

impl<I: Integer> Axes for I {
    #[track_caller]
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize> {
        vec![shape::axis(op, self.value(), shape)]
    }
}

impl<I: Integer, const N: usize> Axes for [I; N] {
    #[track_caller]
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize> {
        shape::axes(op, &self.sizes(), shape)
    }
}

impl<I: Integer> Axes for &[I] {
    #[track_caller]
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize> {
        shape::axes(op, &self.sizes(), shape)
    }
}

impl<I: Integer, const N: usize> Axes for &[I; N] {
    #[track_caller]
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize> {
        shape::axes(op, &self.sizes(), shape)
    }
}

impl<I: Integer> Axes for Vec<I> {
    #[track_caller]
    fn axes(&self, op: &str, shape: &[usize]) -> Vec<usize> {
        shape::axes(op, &self.sizes(), shape)
    }
}

impl Tensor {
    /// The same number everywhere, of this tensor's type and device; panics if integers or bools cannot hold it.
    #[track_caller]
    pub(crate) fn constant(&self, shape: &[usize], value: f64) -> Tensor {
        let dtype = Tensor::dtype(self);
        let rounded = dtype.round(value);
        if !dtype.is_float() && rounded != value {
            fail("number", format!("{value} is not a value of {dtype}; cast the tensor first"));
        }
        Tensor::node(Op::Constant(Scalar(rounded)), Vec::new(), shape.to_vec(), dtype, self.device().clone())
    }

    /// Host numbers, of this tensor's float type and device.
    #[track_caller]
    pub(crate) fn floats(&self, values: Vec<f64>, shape: &[usize]) -> Tensor {
        if Tensor::dtype(self) == DType::F64 {
            return Tensor::from_vec(values, shape, self.device());
        }
        let rounded = values.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        Tensor::from_vec(rounded, shape, self.device()).cast(Tensor::dtype(self))
    }
}
