//! Products of matrices and vectors.
//!
//! All become the one primitive `[batch.., m, k] x [batch.., k, n]` with few, large matrices: a batch times one matrix is
//! one product with the batch folded into its rows.

use crate::shape::{self, fail};
use crate::tensor::Tensor;

impl Tensor {
    /// The matrix product, by PyTorch's rules: a vector on the left is a row, on the right a column, and that axis vanishes
    /// from the result; batch axes broadcast. `[b, m, k] x [k, n] -> [b, m, n]`.
    ///
    /// # Panics
    /// If inner sizes or types differ, batch axes do not broadcast, a side has no axes, or elements are not floats.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.shape(), other.shape());
        let (Some(&k), Some(&last)) = (a.last(), b.last()) else {
            fail("matmul", format!("{a:?} x {b:?}: a number has no inner axis; use *"));
        };
        let inner = if b.len() == 1 { last } else { b[b.len() - 2] };
        if k != inner {
            fail("matmul", format!("{a:?} x {b:?}: inner sizes {k} and {inner} differ"));
        }
        let left = if a.len() == 1 { self.unsqueeze(0) } else { self.clone() };
        let right = if b.len() == 1 { other.unsqueeze(1) } else { other.clone() };
        let (m, n) = (left.size(-2), right.size(-1));
        let batch = if right.rank() == 2 {
            left.shape()[..left.rank() - 2].to_vec()
        } else {
            let op = format!("matmul: {a:?} x {b:?}: batch axes");
            shape::broadcast(&op, &left.shape()[..left.rank() - 2], &right.shape()[..right.rank() - 2])
        };
        let product = if right.rank() == 2 {
            left.reshape_to(&[batch.iter().product::<usize>() * m, k]).product(&right)
        } else {
            let wide = |t: &Tensor| t.broadcast_to(&[&batch[..], &t.shape()[t.rank() - 2..]].concat());
            wide(&left).product(&wide(&right))
        };
        let mut shape = batch;
        shape.extend((a.len() > 1).then_some(m));
        shape.extend((b.len() > 1).then_some(n));
        product.reshape_to(&shape)
    }

    /// The matrix product of `[b, m, k]` and `[b, k, n]`: [`Tensor::matmul`] that takes nothing else.
    ///
    /// # Panics
    /// If either has not three axes, or sizes differ.
    #[track_caller]
    pub fn bmm(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.shape(), other.shape());
        if a.len() != 3 || b.len() != 3 || a[0] != b[0] {
            fail("bmm", format!("{a:?} x {b:?}: needs [b, m, k] and [b, k, n]"));
        }
        self.matmul(other)
    }

    /// The sum of the products of two vectors' elements.
    ///
    /// # Panics
    /// If either is not a vector, or lengths differ.
    #[track_caller]
    pub fn dot(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.shape(), other.shape());
        if a.len() != 1 || a != b {
            fail("dot", format!("{a:?} and {b:?}: needs two vectors of one length"));
        }
        (self * other).sum(())
    }

    /// All products of an element of `self: [m]` and one of `other: [n]`: `[m, n]`.
    ///
    /// # Panics
    /// If either is not a vector.
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.shape(), other.shape());
        if a.len() != 1 || b.len() != 1 {
            fail("outer", format!("{a:?} and {b:?}: needs two vectors"));
        }
        self.unsqueeze(1) * other
    }

    /// The sum of the main diagonal of the last two axes.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        self.diagonal().sum(-1)
    }
}
