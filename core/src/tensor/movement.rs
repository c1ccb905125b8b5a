//! Movement: the same numbers in another order or shape. All are index arithmetic: nothing is copied until a kernel needs
//! it.

use std::ops::{Bound, RangeBounds};

use crate::shape::{self, fail};
use crate::tensor::Tensor;
use crate::tensor::arguments::{Axes, Integer, Sizes};

/// Shapes.
impl Tensor {
    /// The same numbers, row-major, in another shape; one size may be -1 and is computed.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let (x, y) = (Tensor::zeros(&[2, 3, 10], &device), Tensor::zeros(&[60], &device));
    /// let rows = x.reshape([-1, 10]);
    /// let like = x.reshape(y.shape());
    /// assert_eq!((rows.shape(), like.shape()), (&[6, 10][..], &[60][..]));
    /// ```
    ///
    /// # Panics
    /// If the shape has not as many elements.
    #[doc(alias = "view")]
    #[track_caller]
    pub fn reshape(&self, sizes: impl Sizes) -> Tensor {
        self.reshape_to(&shape::infer("reshape", self.shape(), &sizes.sizes()))
    }

    /// The axes from `start` on joined to one: `[b, c, h, w].flatten(1)` is `[b, c * h * w]`.
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn flatten(&self, start: isize) -> Tensor {
        if self.rank() == 0 {
            return self.reshape_to(&[1]);
        }
        let start = shape::axis("flatten", start, self.shape());
        let (kept, joined) = self.shape().split_at(start);
        self.reshape_to(&[kept, &[joined.iter().product()]].concat())
    }

    /// One axis split into several, one of which may be -1: `[b, 12].unflatten(1, [3, 4])` is `[b, 3, 4]`.
    ///
    /// # Panics
    /// If the axis does not exist or the sizes do not make its size.
    #[track_caller]
    pub fn unflatten(&self, axis: isize, sizes: impl Sizes) -> Tensor {
        let axis = shape::axis("unflatten", axis, self.shape());
        let inner = shape::infer("unflatten", &[self.shape()[axis]], &sizes.sizes());
        self.reshape_to(&[&self.shape()[..axis], &inner, &self.shape()[axis + 1..]].concat())
    }

    /// Without the given axes, which must have size 1; `()` removes every axis of size 1.
    ///
    /// # Panics
    /// If a named axis does not exist or its size is not 1.
    #[track_caller]
    pub fn squeeze(&self, axes: impl Axes) -> Tensor {
        let all = axes.is_all();
        let mut axes = axes.axes("squeeze", self.shape());
        axes.retain(|&a| !all || self.shape()[a] == 1);
        if let Some(&axis) = axes.iter().find(|&&a| self.shape()[a] != 1) {
            fail("squeeze", format!("axis {axis} of {:?} has size {}, not 1", self.shape(), self.shape()[axis]));
        }
        let kept: Vec<usize> = (0..self.rank()).filter(|a| !axes.contains(a)).map(|a| self.shape()[a]).collect();
        self.reshape_to(&kept)
    }

    /// With a new axis of size 1 at place `axis` of the result; -1 puts it last.
    ///
    /// # Panics
    /// If the result has no such axis.
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        let mut sizes = self.shape().to_vec();
        sizes.push(1);
        let axis = shape::axis("unsqueeze", axis, &sizes);
        sizes.pop();
        sizes.insert(axis, 1);
        self.reshape_to(&sizes)
    }

    /// Axes of size 1 repeated up to these sizes, new axes in front; -1 keeps a size. Takes no memory.
    ///
    /// # Panics
    /// If an axis has neither size 1 nor the wanted size.
    #[track_caller]
    pub fn expand(&self, sizes: impl Sizes) -> Tensor {
        let sizes = sizes.sizes();
        let new = sizes.len().checked_sub(self.rank());
        let Some(new) = new else { fail("expand", format!("{:?} has more axes than {sizes:?}", self.shape())) };
        let mut wanted = Vec::with_capacity(sizes.len());
        for (axis, &size) in sizes.iter().enumerate() {
            let kept = axis.checked_sub(new).map(|a| self.shape()[a]);
            wanted.push(match (size, kept) {
                (-1, Some(kept)) => kept,
                (0.., _) => size as usize,
                _ => fail(
                    "expand",
                    format!("{:?} to {sizes:?}: only an axis that exists can keep its size", self.shape()),
                ),
            });
        }
        self.broadcast_to(&wanted)
    }
}

/// Orders.
impl Tensor {
    /// Axes in a new order: axis `i` of the result is axis `axes[i]` of this.
    ///
    /// # Panics
    /// If not every axis is named once.
    #[track_caller]
    pub fn permute(&self, axes: impl Sizes) -> Tensor {
        let axes = axes.sizes();
        if axes.len() != self.rank() || shape::axes("permute", &axes, self.shape()).len() != self.rank() {
            fail("permute", format!("{axes:?} does not name each of the {} axes of {:?}", self.rank(), self.shape()));
        }
        let order: Vec<usize> = axes.iter().map(|&a| shape::axis("permute", a, self.shape())).collect();
        self.permute_to(&order)
    }

    /// Two axes exchanged.
    ///
    /// # Panics
    /// If one does not exist.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (a, b) = (shape::axis("transpose", a, self.shape()), shape::axis("transpose", b, self.shape()));
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(a, b);
        self.permute_to(&order)
    }

    /// The last two axes exchanged: matrices transposed.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        if self.rank() < 2 {
            fail("t", format!("{:?} has no two axes to exchange", self.shape()));
        }
        self.transpose(-2, -1)
    }

    /// One axis moved to another place, the others in their order.
    ///
    /// # Panics
    /// If one does not exist.
    #[track_caller]
    pub fn movedim(&self, from: isize, to: isize) -> Tensor {
        let (from, to) = (shape::axis("movedim", from, self.shape()), shape::axis("movedim", to, self.shape()));
        let mut order: Vec<usize> = (0..self.rank()).filter(|&a| a != from).collect();
        order.insert(to, from);
        self.permute_to(&order)
    }
}

/// Parts.
impl Tensor {
    /// The elements of a range along an axis; negative ends count from the axis' end.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let x = Tensor::zeros(&[5, 4], &device);
    /// let body = x.slice(1, 1..).slice(1, ..-1);  // without the first and the last column
    /// let tail = x.slice(0, -3..);                // the last three rows
    /// assert_eq!((body.shape(), tail.shape()), (&[5, 2][..], &[3, 4][..]));
    /// ```
    ///
    /// `1..-1` works too, but as a literal Clippy takes it for an empty range; several slices cost no more than one.
    ///
    /// # Panics
    /// If the axis does not exist or the range does not lie inside of it.
    #[track_caller]
    pub fn slice<I: Integer>(&self, axis: isize, range: impl RangeBounds<I>) -> Tensor {
        let axis = shape::axis("slice", axis, self.shape());
        let size = self.shape()[axis];
        let from_start = |i: I| if i.value() < 0 { i.value() + size as isize } else { i.value() };
        let start = match range.start_bound() {
            Bound::Included(&i) => from_start(i),
            Bound::Excluded(&i) => from_start(i) + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&i) => from_start(i) + 1,
            Bound::Excluded(&i) => from_start(i),
            Bound::Unbounded => size as isize,
        };
        if start < 0 || end < start || end > size as isize {
            fail("slice", format!("{start}..{end} does not fit axis {axis} of {:?}", self.shape()));
        }
        let mut ranges: Vec<(usize, usize)> = self.shape().iter().map(|&s| (0, s)).collect();
        ranges[axis] = (start as usize, end as usize);
        self.slice_to(&ranges)
    }

    /// Every `step`th element of a range along an axis (PyTorch's `x[start:end:step]`), without a copy.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let x = Tensor::zeros(&[5, 4], &device);
    /// let even = x.slice_step(0, 0.., 2);  // rows 0, 2, 4
    /// let odd = x.slice_step(0, 1.., 2);  // rows 1, 3
    /// assert_eq!((even.shape(), odd.shape()), (&[3, 4][..], &[2, 4][..]));
    /// ```
    ///
    /// Steps only go up, as in PyTorch; [`Tensor::flip`] first to go down.
    ///
    /// # Panics
    /// If the axis does not exist, the range does not lie inside of it, or `step` is 0.
    #[track_caller]
    pub fn slice_step<I: Integer>(&self, axis: isize, range: impl RangeBounds<I>, step: usize) -> Tensor {
        if step == 0 {
            fail("slice_step", "steps of 0 elements never end");
        }
        let sliced = self.slice(axis, range);
        if step == 1 { sliced } else { sliced.windows(axis, 1, step, 1).squeeze(-1) }
    }

    /// `len` elements from `start` on along an axis.
    ///
    /// # Panics
    /// If the axis does not exist or has not so many elements.
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, len: usize) -> Tensor {
        self.slice(axis, start..start + len)
    }

    /// The elements at one place of an axis, which vanishes; negative places count from the end.
    ///
    /// # Panics
    /// If axis or place do not exist.
    #[track_caller]
    pub fn index_axis(&self, axis: isize, place: isize) -> Tensor {
        let axis = shape::axis("index_axis", axis, self.shape());
        let size = self.shape()[axis] as isize;
        let from_start = if place < 0 { place + size } else { place };
        if from_start < 0 || from_start >= size {
            fail("index_axis", format!("place {place} does not exist on axis {axis} of {:?}", self.shape()));
        }
        self.slice(axis as isize, from_start..from_start + 1).squeeze(axis)
    }

    /// Parts of `size` elements along an axis; the last may be smaller.
    ///
    /// # Panics
    /// If the axis does not exist or `size` is 0.
    #[track_caller]
    pub fn split(&self, size: usize, axis: isize) -> Vec<Tensor> {
        let length = self.size(axis);
        if size == 0 {
            fail("split", "parts of 0 elements never end");
        }
        let mut parts = Vec::new();
        for start in (0..length.max(1)).step_by(size) {
            parts.push(self.slice(axis, start..length.min(start + size)));
        }
        parts
    }

    /// At most `count` parts of equal size along an axis; the last may be smaller.
    ///
    /// # Panics
    /// If the axis does not exist or `count` is 0.
    #[track_caller]
    pub fn chunk(&self, count: usize, axis: isize) -> Vec<Tensor> {
        if count == 0 {
            fail("chunk", "0 parts hold nothing");
        }
        self.split(self.size(axis).div_ceil(count).max(1), axis)
    }

    /// The main diagonal of the last two axes: `[.., m, n] -> [.., min(m, n)]`.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn diagonal(&self) -> Tensor {
        if self.rank() < 2 {
            fail("diagonal", format!("{:?} has no two axes", self.shape()));
        }
        let (m, n) = (self.size(-2), self.size(-1));
        let count = m.min(n);
        // Row-major, the diagonal is every (n + 1)th number.
        let numbers = self.flatten(-2).slice(-1, ..count * n);
        if count == 0 { numbers } else { numbers.windows(-1, 1, n + 1, 1).squeeze(-1) }
    }

    /// The matrices' elements on and below the diagonal number `diagonal` (0: the main one; 1: the one above it), else 0.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(&self, diagonal: isize) -> Tensor {
        self.triangle("tril", diagonal + 1).select(0.0, self)
    }

    /// The matrices' elements on and above the diagonal number `diagonal` (0: the main one; 1: the one above it), else 0.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(&self, diagonal: isize) -> Tensor {
        self.triangle("triu", diagonal).select(self, 0.0)
    }

    /// Bool `[m, n]`: where `column >= row + diagonal`.
    #[track_caller]
    fn triangle(&self, op: &str, diagonal: isize) -> Tensor {
        if self.rank() < 2 {
            fail(op, format!("{:?} has no two axes", self.shape()));
        }
        let (m, n) = (self.size(-2), self.size(-1));
        let (rows, columns) = (Tensor::iota(&[m, 1], self.device()), Tensor::iota(&[n], self.device()));
        columns.ge(rows + diagonal as i32)
    }
}
