//! Attention: rows of values mixed by how well queries and keys agree.

use crate::dtype::DType;
use crate::shape::fail;
use crate::tensor::Tensor;

impl Tensor {
    /// `softmax(self * k^T / sqrt(d) + mask) * v`: queries `[.., t, d]`, keys `[.., s, d]`, values `[.., s, e]` give
    /// `[.., t, e]`; leading axes (batch, heads) broadcast.
    ///
    /// A bool mask `[.., t, s]` is true where a query may see a key; a float mask is added to the scores. With `causal`,
    /// query `i` sees keys up to `i`. A query that sees no key gives NaN, as in PyTorch.
    /// Source: Vaswani and others, "Attention Is All You Need" (2017), equation 1.
    ///
    /// # Panics
    /// If sizes do not fit each other or elements are not floats.
    #[track_caller]
    pub fn scaled_dot_product_attention(&self, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal: bool) -> Tensor {
        let op = "scaled_dot_product_attention";
        let (q, k_shape, v_shape) = (self.shape(), k.shape(), v.shape());
        let shapes = format!("q {q:?}, k {k_shape:?}, v {v_shape:?}");
        if q.len() < 2 || k_shape.len() < 2 || v_shape.len() < 2 {
            fail(op, format!("{shapes}: each needs at least [time, features]"));
        }
        if self.size(-1) != k.size(-1) || k.size(-2) != v.size(-2) {
            fail(op, format!("{shapes}: q and k must have equal features, k and v equal times"));
        }
        let (t, s) = (self.size(-2), k.size(-2));
        let mut scores = self.matmul(&k.t()) * (1.0 / (self.size(-1) as f64).sqrt());
        if causal {
            let (rows, columns) = (Tensor::iota(&[t, 1], self.device()), Tensor::iota(&[s], self.device()));
            scores = columns.gt(&rows).select(f64::NEG_INFINITY, &scores);
        }
        scores = match mask {
            None => scores,
            Some(mask) if mask.dtype() == DType::Bool => mask.select(&scores, f64::NEG_INFINITY),
            Some(mask) => scores + mask,
        };
        scores.softmax(-1).matmul(v)
    }
}
