//! Elements picked by numbers that are known only when the program runs: lookups, sorting, the largest k.
//!
//! Indices are i32 or u32 tensors. An index outside of its axis gives NaN (0 for integers) and has no gradient.
//!
//! A shape is known before numbers are, so a result cannot be as long as a mask has true elements: what a mask selects
//! has a size that the caller names. Where the true number is needed, outside of programs it can be read first
//! (`mask.count_nonzero(..).item()?`), which waits for the device; inside of programs that is not possible.

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

/// Selection by a mask.
impl Tensor {
    /// The row-major numbers (i32 `[size]`) of the elements that are not 0, rising, then -1; and how many there are (i32).
    ///
    /// If there are more than `size`, the first ones are given.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// let x = Tensor::from_vec(vec![0.5f32, -1.0, 2.0], &[3], &device);
    /// let (places, count) = x.gt(0.0).nonzero(3);
    /// assert_eq!((places.to_vec::<i32>()?, count.item()?), (vec![0, 2, -1], 2.0));
    /// # Ok::<(), anygrad_core::Error>(())
    /// ```
    #[doc(alias = "argwhere")]
    #[track_caller]
    pub fn nonzero(&self, size: usize) -> (Tensor, Tensor) {
        let (hit, rank) = self.flatten(0).ranked();
        let count = hit.count_nonzero(0);
        // What is not hit has the place -1, which is dropped, as is what has no room.
        let numbers = Tensor::iota(&[self.len()], self.device()) + 1;
        let places = numbers.scatter_sum(0, &hit.select(rank, -1), size) - 1;
        (places, count)
    }

    /// The elements where `mask` is true, row-major, as `[size]`: `fill` after the last, only the first `size` if there are
    /// more. The mask broadcasts; gradients go to the selected elements.
    ///
    /// PyTorch's result is as long as there are true elements, which no shape can say before the numbers are known.
    ///
    /// # Panics
    /// If the mask is not bool or does not broadcast to this shape.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor, size: usize, fill: f64) -> Tensor {
        if mask.dtype() != DType::Bool {
            fail("masked_select", format!("the mask is {}, not bool; compare first", mask.dtype()));
        }
        if self.is_empty() {
            return self.constant(&[size], fill);
        }
        let (places, _) = mask.broadcast_to(self.shape()).nonzero(size);
        let found = self.flatten(0).gather(0, &places.maximum(0));
        places.lt(0).select(fill, found)
    }

    /// This, with the elements where `mask` is true replaced by the first elements of `source`, in row-major order
    /// (PyTorch's `masked_scatter`, or `x[mask] = source`). The mask broadcasts.
    ///
    /// Where the source has fewer elements than there are true ones, the rest is NaN (0 for integers).
    ///
    /// # Panics
    /// If the mask is not bool or does not broadcast to this shape, or types differ.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        if mask.dtype() != DType::Bool {
            fail("masked_scatter", format!("the mask is {}, not bool; compare first", mask.dtype()));
        }
        self.same_dtype("masked_scatter", source);
        let mask = mask.broadcast_to(self.shape());
        let (_, rank) = mask.flatten(0).ranked();
        let taken = source.flatten(0).gather(0, &rank.maximum(0)).reshape_to(self.shape());
        mask.choose(&taken, self)
    }

    /// For a list: where it is not 0, and how many such elements are before each (-1 before the first one's place).
    #[track_caller]
    fn ranked(&self) -> (Tensor, Tensor) {
        let hit = self.cast(DType::Bool);
        let rank = hit.cast(DType::I32).cumsum(0) - 1;
        (hit, rank)
    }
}
