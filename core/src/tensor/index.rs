//! Elements picked by numbers that are known only when the program runs: lookups, sorting, the largest k.
//!
//! Indices are i32 or u32 tensors. An index outside of its axis gives NaN (0 for integers) and has no gradient.

use crate::dtype::DType;
use crate::shape::{self, fail};
use crate::tensor::Tensor;

impl Tensor {
    /// The elements at the places `index: [k]` of an axis, which then has size `k`.
    ///
    /// # Panics
    /// If the axis does not exist, or `index` is not a list of integers.
    #[track_caller]
    pub fn index_select(&self, axis: isize, index: &Tensor) -> Tensor {
        let axis = shape::axis("index_select", axis, self.shape());
        if index.rank() != 1 {
            fail("index_select", format!("indices {:?} have {} axes, not one", index.shape(), index.rank()));
        }
        let mut sizes = vec![1; self.rank()];
        sizes[axis] = index.len();
        let mut wide = self.shape().to_vec();
        wide[axis] = index.len();
        self.gather(axis as isize, &index.reshape_to(&sizes).broadcast_to(&wide))
    }

    /// The rows of this table `[n, d..]` at `index: [i..]`, as `[i.., d..]`; the gradient adds up over equal indices.
    ///
    /// # Panics
    /// If the table has no axes, or indices are not integers.
    #[track_caller]
    pub fn embedding(&self, index: &Tensor) -> Tensor {
        if self.rank() == 0 {
            fail("embedding", "a table without axes has no rows");
        }
        let rows = self.index_select(0, &index.reshape_to(&[index.len()]));
        rows.reshape_to(&[index.shape(), &self.shape()[1..]].concat())
    }

    /// f32 `[.., classes]`: 1 at the place that each integer names, else 0 (all 0 if it is outside).
    ///
    /// # Panics
    /// If elements are not integers.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        if !self.dtype().is_int() {
            fail("one_hot", format!("elements are {}, not i32 or u32; cast first", self.dtype()));
        }
        let numbers = Tensor::iota(&[classes], self.device()).cast(self.dtype());
        self.unsqueeze(-1).eq(&numbers).cast(DType::F32)
    }

    /// Numbers (i32) that sort an axis; stable. NaN counts as largest.
    ///
    /// # Panics
    /// If the axis does not exist or elements are bool.
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor {
        let axis = shape::axis("argsort", axis, self.shape()) as isize;
        self.movedim(axis, -1).argsort_last(descending).movedim(-1, axis)
    }

    /// The elements sorted along an axis, and the numbers (i32) that sort it; stable. NaN counts as largest.
    ///
    /// # Panics
    /// If the axis does not exist or elements are bool.
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> (Tensor, Tensor) {
        let indices = self.argsort(axis, descending);
        (self.gather(axis, &indices), indices)
    }

    /// The `k` largest elements along an axis, largest first, and their numbers (i32).
    ///
    /// # Panics
    /// If the axis does not exist or has fewer than `k` elements.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: isize) -> (Tensor, Tensor) {
        if k > self.size(axis) {
            fail("topk", format!("axis {axis} of {:?} has fewer than {k} elements", self.shape()));
        }
        let indices = self.argsort(axis, true).narrow(axis, 0, k);
        (self.gather(axis, &indices), indices)
    }
}
