//! Attention as one operation: its sizes, what it takes and how its several results lie in one row of numbers.

use super::Operand;
use crate::dtype::Scalar;

/// `softmax(scale * q k^T) v` for every matrix of a batch, or its gradients, without the matrix of scores in memory.
///
/// `outer = [batch.., length]` with [`AttentionGeometry::length`] numbers per matrix, all f32 or f64:
/// - forward, of `q [t, d]`, `k [s, d]`, `v [s, e]`: `y [t, e]`, then `l [t]`, the logarithm of each row's sum of
///   `exp(scale * q k^T)`;
/// - gradient, of the same and `dy [t, e]`, `l [t, 1]`, `delta [t, 1]`: `dq [t, d]`, `dk [s, d]`, `dv [s, e]`, where
///   `p = exp(scale * q k^T - l)`, `dv = p^T dy`, `g = scale * p * (dy v^T - delta)`, `dq = g k`, `dk = g^T q`.
///
/// Source: Dao, "FlashAttention-2" (2023), algorithms 1 and 2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// What is computed.
    pub kind: AttentionKind,
    /// Sizes.
    pub geometry: AttentionGeometry,
    /// Batch axes; the strides of an operand are 0 where it is broadcast.
    pub batch: Vec<usize>,
    /// As listed above; strides are of rows and columns.
    pub operands: Vec<Operand>,
}

/// Which results an [`Attention`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names say it")]
pub enum AttentionKind {
    Forward,
    Gradient,
}

/// Sizes of an attention.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionGeometry {
    /// Rows of q and y (t).
    pub queries: usize,
    /// Rows of k and v (s), at least 1.
    pub keys: usize,
    /// Columns of q and k (d).
    pub width: usize,
    /// Columns of v and y (e).
    pub out: usize,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
    /// Factor of the scores.
    pub scale: Scalar,
}

impl AttentionGeometry {
    /// Rows and columns of every operand.
    #[must_use]
    pub fn operands(&self, kind: AttentionKind) -> Vec<[usize; 2]> {
        let (t, s, d, e) = (self.queries, self.keys, self.width, self.out);
        let mut all = vec![[t, d], [s, d], [s, e]];
        if kind == AttentionKind::Gradient {
            all.extend([[t, e], [t, 1], [t, 1]]);
        }
        all
    }

    /// Numbers of all results of one matrix.
    #[must_use]
    pub fn length(&self, kind: AttentionKind) -> usize {
        let (t, s, d, e) = (self.queries, self.keys, self.width, self.out);
        match kind {
            AttentionKind::Forward => t * e + t,
            AttentionKind::Gradient => t * d + s * d + s * e,
        }
    }

    /// Floating-point operations for one matrix: two products forward, five backward, of the pairs that see each other.
    #[must_use]
    pub fn operations(&self, kind: AttentionKind) -> u64 {
        let pairs: usize = (0..self.queries).map(|query| self.seen(query)).sum();
        let columns = match kind {
            AttentionKind::Forward => self.width + self.out,
            AttentionKind::Gradient => 3 * self.width + 2 * self.out,
        };
        2 * (pairs * columns) as u64
    }

    /// How many keys a query sees, from the first on.
    #[must_use]
    pub fn seen(&self, query: usize) -> usize {
        if self.causal { self.keys.min(query + 1) } else { self.keys }
    }
}
