//! Images in another size: nearest and bilinear, as PyTorch's `interpolate` computes them.
//!
//! Both work axis by axis with places known beforehand, so they are lookups, and their gradients sums over equal places.

use crate::shape::fail;
use crate::tensor::Tensor;

impl Tensor {
    /// The last two axes in another size: each element is the one at `floor(i * size / new)`.
    ///
    /// # Panics
    /// If there are fewer than two axes or a size is 0.
    #[track_caller]
    pub fn interpolate_nearest(&self, size: [usize; 2]) -> Tensor {
        self.check_sizes("interpolate_nearest", size);
        self.nearest(-2, size[0]).nearest(-1, size[1])
    }

    /// The last two axes in another size, elements in between mixed linearly.
    ///
    /// With `align_corners` the corners' centres stay where they are, else the borders do (PyTorch's default).
    ///
    /// # Panics
    /// If there are fewer than two axes, a size is 0, or elements are not floats.
    #[track_caller]
    pub fn interpolate_bilinear(&self, size: [usize; 2], align_corners: bool) -> Tensor {
        self.float("interpolate_bilinear").check_sizes("interpolate_bilinear", size);
        self.linear(-2, size[0], align_corners).linear(-1, size[1], align_corners)
    }

    #[track_caller]
    fn check_sizes(&self, op: &str, size: [usize; 2]) {
        if self.rank() < 2 || self.size(-1) * self.size(-2) * size[0] * size[1] == 0 {
            fail(op, format!("{:?} to {size:?}: needs two axes, none of them empty", self.shape()));
        }
    }

    #[track_caller]
    fn nearest(&self, axis: isize, new: usize) -> Tensor {
        let old = self.size(axis);
        if new.is_multiple_of(old) {
            return self.repeat_interleave(new / old, axis);
        }
        let places: Vec<i32> = (0..new).map(|i| (i * old / new) as i32).collect();
        self.index_select(axis, &Tensor::from_vec(places, &[new], self.device()))
    }

    #[track_caller]
    fn linear(&self, axis: isize, new: usize, align_corners: bool) -> Tensor {
        let old = self.size(axis);
        if new == old {
            return self.clone();
        }
        let (mut low, mut high, mut part) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..new {
            let place = if align_corners {
                if new == 1 { 0.0 } else { i as f64 * (old - 1) as f64 / (new - 1) as f64 }
            } else {
                ((i as f64 + 0.5) * old as f64 / new as f64 - 0.5).max(0.0)
            };
            let first = (place as usize).min(old - 1);
            low.push(first as i32);
            high.push((first + 1).min(old - 1) as i32);
            part.push(place - first as f64);
        }
        let mut sizes = vec![1; axis.unsigned_abs()];
        sizes[0] = new;
        let part = self.floats(part, &sizes);
        let [low, high] = [low, high].map(|v| Tensor::from_vec(v, &[new], self.device()));
        let (low, high) = (self.index_select(axis, &low), self.index_select(axis, &high));
        &low + (high - &low) * part
    }
}
