//! One constructor per primitive: checks shapes and types, in words, and adds the node. All other methods call these.

use std::sync::Arc;

use crate::dtype::{DType, Scalar};
use crate::kernel::{ConvGeometry, ConvKind, Extremum, Reduction};
use crate::op::{INDEX, Op};
use crate::scalar::{Binary, Unary};
use crate::shape::{self, fail};
use crate::tensor::Tensor;
use crate::trace;
use crate::view::window_count;

impl Tensor {
    #[track_caller]
    fn derive(&self, op: Op, shape: Vec<usize>) -> Tensor {
        Tensor::node(op, vec![self.clone()], shape, self.dtype(), self.device().clone())
    }

    #[track_caller]
    pub(crate) fn same_device(&self, op: &str, other: &Tensor) {
        if self.device() != other.device() {
            let names = (self.device().name(), other.device().name());
            fail(op, format!("one tensor is on {} and the other on {}; move one with `to_device`", names.0, names.1));
        }
    }

    #[track_caller]
    pub(crate) fn same_dtype(&self, op: &str, other: &Tensor) {
        if self.dtype() != other.dtype() {
            fail(op, format!("element types {} and {} differ; cast one", self.dtype(), other.dtype()));
        }
    }

    /// A scalar map.
    #[track_caller]
    pub(crate) fn unary(&self, op: Unary) -> Tensor {
        if !op.takes(self.dtype()) {
            fail(op.name(), format!("elements of type {} have none; cast first", self.dtype()));
        }
        let dtype = op.result(self.dtype());
        Tensor::node(Op::Unary(op), vec![self.clone()], self.shape().to_vec(), dtype, self.device().clone())
    }

    /// A scalar map of two tensors that broadcast.
    #[track_caller]
    pub(crate) fn binary(&self, op: Binary, other: &Tensor) -> Tensor {
        let name = op.name();
        self.same_device(name, other);
        self.same_dtype(name, other);
        if !op.takes(self.dtype()) {
            fail(name, format!("elements of type {} have none; cast first", self.dtype()));
        }
        let shape = shape::broadcast(name, self.shape(), other.shape());
        let inputs = vec![self.broadcast_to(&shape), other.broadcast_to(&shape)];
        Tensor::node(Op::Binary(op), inputs, shape, op.result(self.dtype()), self.device().clone())
    }

    /// Elements of `a` where this bool tensor is true, else of `b`; all three broadcast.
    #[track_caller]
    pub(crate) fn choose(&self, a: &Tensor, b: &Tensor) -> Tensor {
        if self.dtype() != DType::Bool {
            fail("select", format!("the condition is {}, not bool", self.dtype()));
        }
        self.same_device("select", a);
        a.same_device("select", b);
        a.same_dtype("select", b);
        let shape = shape::broadcast("select", &shape::broadcast("select", self.shape(), a.shape()), b.shape());
        let inputs = [self, a, b].map(|t| t.broadcast_to(&shape)).to_vec();
        Tensor::node(Op::Select, inputs, shape, a.dtype(), self.device().clone())
    }

    /// The same numbers as another element type: float to integer saturates (NaN gives 0), i32
    /// and u32 keep their bits, to bool is `x != 0`.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        Tensor::node(Op::Cast, vec![self.clone()], self.shape().to_vec(), dtype, self.device().clone())
    }

    /// The same 32 bits as another type (f32, i32, u32).
    ///
    /// # Panics
    /// If either type has not 32 bits, or is bool.
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Tensor {
        let fits = |t| matches!(t, DType::F32 | DType::I32 | DType::U32);
        if !fits(dtype) || !fits(self.dtype()) {
            fail("bitcast", format!("{} to {dtype}: only f32, i32 and u32 can be exchanged", self.dtype()));
        }
        Tensor::node(Op::Bitcast, vec![self.clone()], self.shape().to_vec(), dtype, self.device().clone())
    }

    /// The same numbers, cut off from gradients.
    #[track_caller]
    pub fn detach(&self) -> Tensor {
        self.derive(Op::Detach, self.shape().to_vec())
    }

    /// Reshape to sizes that are all known.
    #[track_caller]
    pub(crate) fn reshape_to(&self, shape: &[usize]) -> Tensor {
        if shape == self.shape() {
            return self.clone();
        }
        if shape.iter().product::<usize>() != self.len() {
            fail(
                "reshape",
                format!("{:?} has {} elements and cannot take the shape {shape:?}", self.shape(), self.len()),
            );
        }
        self.derive(Op::Reshape, shape.to_vec())
    }

    /// Permutation by axes that are known to be valid.
    #[track_caller]
    pub(crate) fn permute_to(&self, axes: &[usize]) -> Tensor {
        if axes.iter().enumerate().all(|(i, &a)| i == a) {
            return self.clone();
        }
        self.derive(Op::Permute(axes.to_vec()), axes.iter().map(|&a| self.shape()[a]).collect())
    }

    /// Repeats axes of size 1, and adds axes in front, up to `shape`.
    ///
    /// # Panics
    /// If an axis has neither size 1 nor the wanted size.
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Tensor {
        if shape == self.shape() {
            return self.clone();
        }
        if shape.len() < self.rank() || shape::broadcast("broadcast_to", self.shape(), shape) != shape {
            fail("broadcast_to", format!("{:?} cannot be repeated to {shape:?}", self.shape()));
        }
        let mut aligned = vec![1; shape.len() - self.rank()];
        aligned.extend_from_slice(self.shape());
        let aligned = self.reshape_to(&aligned);
        if aligned.shape() == shape { aligned } else { aligned.derive(Op::Expand, shape.to_vec()) }
    }

    /// `start..end` of every axis.
    #[track_caller]
    pub(crate) fn slice_to(&self, ranges: &[(usize, usize)]) -> Tensor {
        for (axis, (&(start, end), &size)) in ranges.iter().zip(self.shape()).enumerate() {
            if start > end || end > size {
                fail("slice", format!("{start}..{end} does not fit axis {axis} of {:?}", self.shape()));
            }
        }
        if ranges.iter().zip(self.shape()).all(|(r, &size)| *r == (0, size)) {
            return self.clone();
        }
        self.derive(Op::Slice(ranges.to_vec()), ranges.iter().map(|r| r.1 - r.0).collect())
    }

    /// Elements of `value` before and after each axis: one pair per axis.
    #[track_caller]
    pub(crate) fn pad_to(&self, padding: &[(usize, usize)], value: f64) -> Tensor {
        if padding.iter().all(|&p| p == (0, 0)) {
            return self.clone();
        }
        let shape = self.shape().iter().zip(padding).map(|(&size, p)| size + p.0 + p.1).collect();
        self.derive(Op::Pad { padding: padding.to_vec(), value: Scalar(self.dtype().round(value)) }, shape)
    }

    /// These axes backwards.
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn flip(&self, axes: &[isize]) -> Tensor {
        let axes = shape::axes("flip", axes, self.shape());
        if axes.is_empty() { self.clone() } else { self.derive(Op::Flip(axes), self.shape().to_vec()) }
    }

    /// Sliding windows along `axis`: `[.., size, ..] -> [.., windows, .., taps]`, without a copy (PyTorch's `unfold`).
    ///
    /// # Panics
    /// If size, stride or dilation is 0, or the axis does not exist.
    #[track_caller]
    pub fn windows(&self, axis: isize, size: usize, stride: usize, dilation: usize) -> Tensor {
        let axis = shape::axis("windows", axis, self.shape());
        if size == 0 || stride == 0 || dilation == 0 {
            fail("windows", format!("size {size}, stride {stride} and dilation {dilation} must all be at least 1"));
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = window_count(shape[axis], size, stride, dilation);
        shape.push(size);
        self.derive(Op::Windows { axis, size, stride, dilation }, shape)
    }

    /// Tensors of one rank one after the other along axis 0.
    #[track_caller]
    pub(crate) fn concat(parts: &[Tensor]) -> Tensor {
        let Some(first) = parts.first() else { fail("cat", "no tensors were given") };
        let mut shape = first.shape().to_vec();
        if shape.is_empty() {
            fail("cat", "numbers without axes have no axis to join along; use `stack`");
        }
        shape[0] = 0;
        for part in parts {
            first.same_device("cat", part);
            first.same_dtype("cat", part);
            if part.rank() != first.rank() || part.shape()[1..] != first.shape()[1..] {
                fail(
                    "cat",
                    format!("{:?} and {:?} differ in another axis than the joined one", first.shape(), part.shape()),
                );
            }
            shape[0] += part.shape()[0];
        }
        if parts.len() == 1 {
            return first.clone();
        }
        Tensor::node(Op::Concat, parts.to_vec(), shape, first.dtype(), first.device().clone())
    }

    /// A reduction over sorted axes, which vanish.
    #[track_caller]
    pub(crate) fn reduce(&self, op: Reduction, axes: &[usize]) -> Tensor {
        if self.dtype() == DType::Bool {
            fail(&format!("{op:?}").to_lowercase(), "bool elements have none; use `any`, `all` or cast");
        }
        if axes.is_empty() {
            return self.clone();
        }
        let kept = (0..self.rank()).filter(|a| !axes.contains(a)).map(|a| self.shape()[a]).collect();
        self.derive(Op::Reduce(op, axes.to_vec()), kept)
    }

    /// Numbers (i32) of the first extreme elements along an axis, which vanishes.
    #[track_caller]
    pub(crate) fn arg_reduce(&self, op: Extremum, axis: usize) -> Tensor {
        if self.shape()[axis] == 0 {
            fail("argmax/argmin", format!("axis {axis} of {:?} is empty", self.shape()));
        }
        let kept = (0..self.rank()).filter(|&a| a != axis).map(|a| self.shape()[a]).collect();
        Tensor::node(Op::ArgReduce(op, axis), vec![self.clone()], kept, INDEX, self.device().clone())
    }

    /// Sums up to and including each element along an axis.
    ///
    /// # Panics
    /// If the axis does not exist or elements are bool.
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        let axis = shape::axis("cumsum", axis, self.shape());
        if self.dtype() == DType::Bool {
            fail("cumsum", "bool elements have no sum; cast first");
        }
        self.derive(Op::CumulativeSum(axis), self.shape().to_vec())
    }

    #[track_caller]
    fn check_index(&self, op: &str, index: &Tensor) {
        self.same_device(op, index);
        if !index.dtype().is_int() {
            fail(op, format!("indices are {}, not i32 or u32", index.dtype()));
        }
    }

    /// `out[.., i, ..] = self[.., index[.., i, ..], ..]`: `index` (i32 or u32) has this rank and, but for `axis`, these sizes.
    ///
    /// An index outside of the axis gives NaN (0 for integers).
    ///
    /// # Panics
    /// If ranks or other sizes differ, or indices are not integers.
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Tensor {
        let axis = shape::axis("gather", axis, self.shape());
        self.check_index("gather", index);
        let fits = index.rank() == self.rank();
        if !fits || (0..self.rank()).any(|a| a != axis && index.shape()[a] != self.shape()[a]) {
            let shapes = (self.shape(), index.shape());
            fail("gather", format!("{:?} by indices {:?}: sizes must agree but for axis {axis}", shapes.0, shapes.1));
        }
        let inputs = vec![self.clone(), index.clone()];
        Tensor::node(Op::Gather(axis), inputs, index.shape().to_vec(), self.dtype(), self.device().clone())
    }

    /// Zeros with `size` elements along `axis`, plus each element of `self` at its `index` (same shape) there.
    /// Equal indices add up in rising order; indices outside are dropped.
    ///
    /// # Panics
    /// If shapes differ, or indices are not integers.
    #[track_caller]
    pub fn scatter_sum(&self, axis: isize, index: &Tensor, size: usize) -> Tensor {
        let axis = shape::axis("scatter_sum", axis, self.shape());
        self.check_index("scatter_sum", index);
        if index.shape() != self.shape() || self.dtype() == DType::Bool {
            let message = format!("updates {:?} {} and indices {:?}", self.shape(), self.dtype(), index.shape());
            fail("scatter_sum", format!("{message}: shapes must be equal and updates numbers"));
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = size;
        let inputs = vec![index.clone(), self.clone()];
        Tensor::node(Op::ScatterAdd(axis), inputs, shape, self.dtype(), self.device().clone())
    }

    /// Numbers (i32) that sort the last axis; stable.
    #[track_caller]
    pub(crate) fn argsort_last(&self, descending: bool) -> Tensor {
        if self.rank() == 0 || self.dtype() == DType::Bool {
            fail("sort", format!("a tensor {:?} of {} cannot be sorted", self.shape(), self.dtype()));
        }
        let shape = self.shape().to_vec();
        Tensor::node(Op::Argsort { descending }, vec![self.clone()], shape, INDEX, self.device().clone())
    }

    /// The matrix product of `[batch.., m, k]` and `[batch.., k, n]` with equal batch axes.
    #[track_caller]
    pub(crate) fn product(&self, other: &Tensor) -> Tensor {
        self.same_device("matmul", other);
        self.same_dtype("matmul", other);
        let (a, b) = (self.shape(), other.shape());
        let rank = a.len();
        if !self.dtype().is_float() {
            fail("matmul", format!("elements are {}, not floats; cast first", self.dtype()));
        }
        if a[rank - 1] != b[rank - 2] {
            fail("matmul", format!("{a:?} x {b:?}: inner sizes {} and {} differ", a[rank - 1], b[rank - 2]));
        }
        if let Some(dtype) = trace::product_type(self.dtype()) {
            return self.cast(dtype).product(&other.cast(dtype)).cast(self.dtype());
        }
        let mut shape = a.to_vec();
        shape[rank - 1] = b[rank - 1];
        let inputs = vec![self.clone(), other.clone()];
        Tensor::node(Op::Matmul, inputs, shape, self.dtype(), self.device().clone())
    }

    /// A convolution or one of its gradients; the geometry was checked by the caller.
    #[track_caller]
    pub(crate) fn convolve(&self, other: &Tensor, kind: ConvKind, geometry: ConvGeometry) -> Tensor {
        self.same_device("conv", other);
        self.same_dtype("conv", other);
        if !self.dtype().is_float() {
            fail("conv", format!("elements are {}, not floats; cast first", self.dtype()));
        }
        if let Some(dtype) = trace::product_type(self.dtype()) {
            return self.cast(dtype).convolve(&other.cast(dtype), kind, geometry).cast(self.dtype());
        }
        let shape = geometry.result(kind);
        let inputs = vec![self.clone(), other.clone()];
        Tensor::node(Op::Conv(kind, Arc::new(geometry)), inputs, shape, self.dtype(), self.device().clone())
    }
}

impl ConvGeometry {
    /// Shape of x.
    #[must_use]
    pub fn x_shape(&self) -> Vec<usize> {
        [&[self.batch, self.c_in][..], &self.input].concat()
    }

    /// Shape of w.
    #[must_use]
    pub fn w_shape(&self) -> Vec<usize> {
        [&[self.c_out, self.c_in / self.groups][..], &self.taps].concat()
    }

    /// Shape of y.
    #[must_use]
    pub fn y_shape(&self) -> Vec<usize> {
        [&[self.batch, self.c_out][..], &self.output].concat()
    }

    /// Shape of what the product of this kind gives.
    #[must_use]
    pub fn result(&self, kind: ConvKind) -> Vec<usize> {
        match kind {
            ConvKind::Forward => self.y_shape(),
            ConvKind::InputGradient => self.x_shape(),
            ConvKind::WeightGradient => self.w_shape(),
        }
    }
}
