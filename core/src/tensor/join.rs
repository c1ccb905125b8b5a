//! Joins and repetitions: several tensors become one, or one becomes larger.

use std::borrow::Borrow;

use crate::shape::{self, fail};
use crate::tensor::Tensor;

impl Tensor {
    /// Tensors one after the other along an axis; their other sizes are equal.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// # let (x, y) = (Tensor::zeros(&[2, 3], &device), Tensor::zeros(&[2, 4], &device));
    /// let both = Tensor::cat(&[&x, &y], 1);  // [n, a], [n, b] -> [n, a + b]
    /// assert_eq!(both.shape(), [2, 7]);
    /// ```
    ///
    /// # Panics
    /// If the list is empty, the axis does not exist, or types or other sizes differ.
    #[doc(alias = "concat")]
    #[track_caller]
    pub fn cat(tensors: &[impl Borrow<Tensor>], axis: isize) -> Tensor {
        let Some(first) = tensors.first() else { fail("cat", "no tensors were given") };
        let axis = shape::axis("cat", axis, first.borrow().shape());
        let mut parts = Vec::with_capacity(tensors.len());
        for part in tensors {
            let (a, b) = (first.borrow().shape(), part.borrow().shape());
            if a.len() != b.len() || (0..a.len()).any(|i| i != axis && a[i] != b[i]) {
                fail("cat", format!("{a:?} and {b:?} differ in another axis than the joined axis {axis}"));
            }
            parts.push(part.borrow().movedim(axis as isize, 0));
        }
        Tensor::concat(&parts).movedim(0, axis as isize)
    }

    /// Tensors of one shape along a new axis, which is number `axis` of the result.
    ///
    /// # Panics
    /// If the list is empty or types or shapes differ.
    #[track_caller]
    pub fn stack(tensors: &[impl Borrow<Tensor>], axis: isize) -> Tensor {
        let Some(first) = tensors.first() else { fail("stack", "no tensors were given") };
        let mut parts = Vec::with_capacity(tensors.len());
        for part in tensors {
            let (a, b) = (first.borrow().shape(), part.borrow().shape());
            if a != b {
                fail("stack", format!("{a:?} and {b:?} differ; only equal shapes can be stacked"));
            }
            parts.push(part.borrow().unsqueeze(axis));
        }
        Tensor::cat(&parts, axis)
    }

    /// Elements moved `shift` places along an axis; those pushed out at one end come in at the other.
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Tensor {
        let size = self.size(axis);
        let shift = if size == 0 { 0 } else { shift.rem_euclid(size as isize) as usize };
        if shift == 0 {
            return self.clone();
        }
        Tensor::cat(&[self.slice(axis, size - shift..), self.slice(axis, ..size - shift)], axis)
    }

    /// New elements equal to `value` before and after the last axes: one pair per axis, in the axes' order.
    ///
    /// `x.pad(&[(1, 1), (2, 0)], 0.0)` gives the last but one axis one more element at each side, the last axis two in front.
    ///
    /// # Panics
    /// If there are more pairs than axes.
    #[track_caller]
    pub fn pad(&self, padding: &[(usize, usize)], value: f64) -> Tensor {
        if padding.len() > self.rank() {
            fail("pad", format!("{} pairs for the {} axes of {:?}", padding.len(), self.rank(), self.shape()));
        }
        let mut all = vec![(0, 0); self.rank() - padding.len()];
        all.extend_from_slice(padding);
        self.pad_to(&all, value)
    }

    /// The whole tensor again and again, `times[i]` times along axis `i`; more numbers than axes add axes in front.
    ///
    /// # Panics
    /// If there are fewer numbers than axes.
    #[doc(alias = "tile")]
    #[track_caller]
    pub fn repeat(&self, times: &[usize]) -> Tensor {
        let Some(new) = times.len().checked_sub(self.rank()) else {
            fail("repeat", format!("{times:?} has fewer numbers than {:?} has axes", self.shape()));
        };
        let mut result = self.reshape_to(&[&vec![1; new], self.shape()].concat());
        for (axis, &n) in times.iter().enumerate() {
            if n != 1 {
                // [a, b, c] -> [a, 1, b, c] -> [a, n, b, c] -> [a, n * b, c]
                let mut target = result.shape().to_vec();
                target[axis] *= n;
                let wide = result.unsqueeze(axis as isize);
                let mut sizes = wide.shape().to_vec();
                sizes[axis] = n;
                result = wide.broadcast_to(&sizes).reshape_to(&target);
            }
        }
        result
    }

    /// Each element `times` times in a row along an axis: `[1, 2]` twice is `[1, 1, 2, 2]`.
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn repeat_interleave(&self, times: usize, axis: isize) -> Tensor {
        let axis = shape::axis("repeat_interleave", axis, self.shape());
        let mut target = self.shape().to_vec();
        target[axis] *= times;
        let wide = self.unsqueeze(axis as isize + 1);
        let mut sizes = wide.shape().to_vec();
        sizes[axis + 1] = times;
        wide.broadcast_to(&sizes).reshape_to(&target)
    }
}
