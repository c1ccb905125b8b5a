//! Attention: rows of values mixed by how well queries and keys agree. Without a mask it is one operation that keeps no
//! matrix of scores; with one it is composed.

use std::sync::Arc;

use crate::dtype::{DType, Scalar};
use crate::kernel::{AttentionGeometry, AttentionKind, Reduction};
use crate::op::Op;
use crate::shape::{self, fail};
use crate::tensor::Tensor;

impl Tensor {
    /// `softmax(self * k^T / sqrt(d) + mask) * v`: queries `[.., t, d]`, keys `[.., s, d]`, values `[.., s, e]` give
    /// `[.., t, e]`; leading axes (batch, heads) broadcast.
    ///
    /// A bool mask `[.., t, s]` is true where a query may see a key; a float mask is added to the scores. With `causal`,
    /// query `i` sees keys up to `i`. A query that sees no key gives NaN, as in PyTorch. Long ones without a mask are one
    /// operation, whose memory grows with `t + s` and not with `t * s`; f16 is then computed in f32.
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
        let scale = 1.0 / (self.size(-1) as f64).sqrt();
        if mask.is_none() && self.attends_at_once(k, v, causal) {
            return self.attend(k, v, causal, scale);
        }
        let (t, s) = (self.size(-2), k.size(-2));
        let mut scores = self.matmul(&k.t()) * scale;
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

    /// Whether [`Tensor::attend`] takes these and gains by it.
    pub(crate) fn attends_at_once(&self, k: &Tensor, v: &Tensor, causal: bool) -> bool {
        let worth = self.device().limits().attention[usize::from(causal)];
        self.dtype().is_float() && !v.is_empty() && self.size(-1) > 0 && self.size(-2) * k.size(-2) >= worth
    }

    /// `softmax(scale * self * k^T) * v` as one operation; leading axes broadcast, nothing is empty.
    #[track_caller]
    pub(crate) fn attend(&self, k: &Tensor, v: &Tensor, causal: bool, scale: f64) -> Tensor {
        let op = "scaled_dot_product_attention";
        let lead = |x: &Tensor| x.shape()[..x.rank() - 2].to_vec();
        let batch = shape::broadcast(op, &shape::broadcast(op, &lead(self), &lead(k)), &lead(v));
        if self.size(-1) != k.size(-1) || k.size(-2) != v.size(-2) {
            fail(op, format!("q {:?}, k {:?}, v {:?} do not fit each other", self.shape(), k.shape(), v.shape()));
        }
        let whole = |x: &Tensor| {
            // f16 would round the sums that the gradient needs.
            let x = if x.dtype() == DType::F16 { x.cast(DType::F32) } else { x.clone() };
            x.broadcast_to(&[&batch[..], &x.shape()[x.rank() - 2..]].concat())
        };
        let geometry = AttentionGeometry {
            queries: self.size(-2),
            keys: k.size(-2),
            width: self.size(-1),
            out: v.size(-1),
            causal,
            scale: Scalar(if self.dtype() == DType::F64 { scale } else { DType::F32.round(scale) }),
        };
        let packed = Tensor::attention(AttentionKind::Forward, &geometry, &[whole(self), whole(k), whole(v)]);
        packed.matrix(0, [geometry.queries, geometry.out]).cast(self.dtype())
    }

    /// The primitive; shapes were made equal by the caller.
    #[track_caller]
    fn attention(kind: AttentionKind, geometry: &AttentionGeometry, operands: &[Tensor]) -> Tensor {
        let first = &operands[0];
        operands.iter().skip(1).for_each(|x| first.same_device("attention", x));
        operands.iter().skip(1).for_each(|x| first.same_dtype("attention", x));
        let mut shape = first.shape()[..first.rank() - 2].to_vec();
        shape.push(geometry.length(kind));
        let op = Op::Attention(kind, Arc::new(geometry.clone()));
        Tensor::node(op, operands.to_vec(), shape, first.dtype(), first.device().clone())
    }

    /// `size` numbers of the last axis from `start` on, as matrices.
    #[track_caller]
    fn matrix(&self, start: usize, size: [usize; 2]) -> Tensor {
        let (last, batch) = (self.rank() - 1, &self.shape()[..self.rank() - 1]);
        let mut ranges: Vec<(usize, usize)> = batch.iter().map(|&s| (0, s)).collect();
        ranges.push((start, start + size[0] * size[1]));
        let shape = [&self.shape()[..last], &size].concat();
        // A gradient that reached one part only comes padded with zeros: what is asked for lies inside or outside.
        if let Op::Pad { padding, value: Scalar(0.0) } = &self.0.op
            && padding[..last].iter().all(|&p| p == (0, 0))
        {
            let inner = &self.0.inputs[0];
            let end = padding[last].0 + inner.shape()[last];
            if ranges[last].1 <= padding[last].0 || ranges[last].0 >= end {
                return Tensor::full(&shape, 0.0, self.dtype(), self.device());
            }
            if ranges[last].0 >= padding[last].0 && ranges[last].1 <= end {
                return inner.matrix(start - padding[last].0, size);
            }
        }
        if ranges[last] == (0, self.shape()[last]) {
            return self.reshape_to(&shape);
        }
        self.slice_to(&ranges).reshape_to(&shape)
    }

    /// The gradients of an attention's operands, for `node` of this kind.
    #[track_caller]
    pub(crate) fn attention_gradients(
        node: &Tensor,
        kind: AttentionKind,
        g: &AttentionGeometry,
        dy: &Tensor,
    ) -> Vec<Tensor> {
        let inputs = &node.0.inputs;
        if kind == AttentionKind::Forward {
            let end = g.queries * g.out;
            let rows = |x: &Tensor| x.matrix(0, [g.queries, g.out]);
            let last = |x: &Tensor| x.matrix(end, [g.queries, 1]);
            let dy_rows = rows(dy);
            // A change of a row's logarithm moves its scores by its weights, as `-delta` does.
            let delta = (&dy_rows * rows(node)).reduce_keep(Reduction::Sum, &[node.rank()]) - last(dy);
            let operands = [&inputs[..], &[dy_rows, last(node), delta]].concat();
            let packed = Tensor::attention(AttentionKind::Gradient, g, &operands);
            return packed.gradient_parts(g);
        }
        // Derivatives of the gradient: of the same thing said by primitives, on stand-ins for the operands.
        let same = |x: &Tensor| {
            let shape = x.shape().to_vec();
            Tensor::node(Op::Reshape, vec![x.clone()], shape, x.dtype(), x.device().clone())
        };
        let operands: Vec<Tensor> = inputs.iter().map(same).collect();
        Tensor::composed_gradient(g, &operands).gradients_with(dy, &operands)
    }

    /// `dq`, `dk`, `dv` out of the numbers of [`AttentionKind::Gradient`].
    #[track_caller]
    fn gradient_parts(&self, g: &AttentionGeometry) -> Vec<Tensor> {
        let (t, s, d) = (g.queries, g.keys, g.width);
        vec![self.matrix(0, [t, d]), self.matrix(t * d, [s, d]), self.matrix((t + s) * d, [s, g.out])]
    }

    /// [`AttentionKind::Gradient`] by other primitives.
    #[track_caller]
    fn composed_gradient(g: &AttentionGeometry, operands: &[Tensor]) -> Tensor {
        let [q, k, v, dy, l, delta] = operands else { fail("attention", "a gradient takes six operands") };
        let scores = q.product(&k.t()) * g.scale.0 - l;
        let weights = if g.causal {
            let (rows, columns) = (Tensor::iota(&[g.queries, 1], q.device()), Tensor::iota(&[g.keys], q.device()));
            columns.gt(&rows).select(f64::NEG_INFINITY, &scores).exp()
        } else {
            scores.exp()
        };
        let slopes = &weights * (dy.product(&v.t()) - delta) * g.scale.0;
        let parts = [slopes.product(k), slopes.t().product(q), weights.t().product(dy)];
        let batch = q.rank() - 2;
        let flat =
            |x: &Tensor| x.reshape_to(&[&x.shape()[..batch], &[x.shape()[batch] * x.shape()[batch + 1]]].concat());
        let parts: Vec<Tensor> = parts.iter().map(flat).collect();
        Tensor::cat(&parts, -1)
    }
}
