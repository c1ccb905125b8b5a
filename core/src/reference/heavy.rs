//! Matrix products and convolutions in the reference, straight from their sums.

use super::movement::{number, points};
use crate::kernel::{AttentionGeometry, AttentionKind, ConvGeometry, ConvKind};

pub(super) fn matmul(a: &[f64], a_shape: &[usize], b: &[f64], b_shape: &[usize]) -> Vec<f64> {
    let rank = a_shape.len();
    let batch: usize = a_shape[..rank - 2].iter().product();
    let (m, k, n) = (a_shape[rank - 2], a_shape[rank - 1], b_shape[rank - 1]);
    let mut out = Vec::with_capacity(batch * m * n);
    for z in 0..batch {
        for i in 0..m {
            for j in 0..n {
                out.push((0..k).map(|p| a[(z * m + i) * k + p] * b[(z * k + p) * n + j]).sum());
            }
        }
    }
    out
}

/// `y[b, o, p..] = sum over i, t.. of x[b, i, p * stride + t * dilation - padding] * w[o, i, t..]`, or the sum over the
/// same products that gives its gradient by x or by w.
pub(super) fn conv(kind: ConvKind, geometry: &ConvGeometry, first: &[f64], second: &[f64]) -> Vec<f64> {
    let g = geometry;
    let (x_shape, w_shape, y_shape) = (g.x_shape(), g.w_shape(), g.y_shape());
    let mut out = vec![0.0; g.result(kind).iter().product()];
    let (inputs, outputs) = (g.c_in / g.groups, g.c_out / g.groups);
    for y in points(&y_shape) {
        'taps: for w in points(&[&[inputs][..], &g.taps].concat()) {
            let mut x = vec![y[0], y[1] / outputs * inputs + w[0]];
            for axis in 0..g.taps.len() {
                let place = y[axis + 2] * g.stride[axis] + w[axis + 1] * g.dilation[axis];
                if place < g.padding[axis] || place - g.padding[axis] >= g.input[axis] {
                    continue 'taps;
                }
                x.push(place - g.padding[axis]);
            }
            let (x, y) = (number(&x_shape, &x), (number(&y_shape, &y), y[1]));
            let w = number(&w_shape, &[&[y.1][..], &w].concat());
            match kind {
                ConvKind::Forward => out[y.0] += first[x] * second[w],
                ConvKind::InputGradient => out[x] += first[y.0] * second[w],
                ConvKind::WeightGradient => out[w] += first[x] * second[y.0],
            }
        }
    }
    out
}

/// Appends the results of one matrix of a batch (see [`crate::kernel::Attention`]); operands are row-major.
pub(crate) fn attention(kind: AttentionKind, g: &AttentionGeometry, operands: &[&[f64]], out: &mut Vec<f64>) {
    let (q, k, v) = (operands[0], operands[1], operands[2]);
    let dot = |a: &[f64], i: usize, b: &[f64], j: usize, n: usize| -> f64 {
        a[i * n..][..n].iter().zip(&b[j * n..][..n]).map(|(x, y)| x * y).sum()
    };
    let score = |i: usize, j: usize| g.scale.0 * dot(q, i, k, j, g.width);
    if kind == AttentionKind::Forward {
        let mut logarithms = Vec::new();
        for i in 0..g.queries {
            let scores: Vec<f64> = (0..g.seen(i)).map(|j| score(i, j)).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|x| (x - largest).exp()).sum();
            for c in 0..g.out {
                let terms = scores.iter().enumerate().map(|(j, x)| (x - largest).exp() * v[j * g.out + c]);
                out.push(terms.sum::<f64>() / sum);
            }
            logarithms.push(largest + sum.ln());
        }
        out.extend(logarithms);
        return;
    }
    let (dy, l, delta) = (operands[3], operands[4], operands[5]);
    let mut dq = vec![0.0; q.len()];
    let (mut dk, mut dv) = (vec![0.0; k.len()], vec![0.0; v.len()]);
    for i in 0..g.queries {
        for j in 0..g.seen(i) {
            let weight = (score(i, j) - l[i]).exp();
            let slope = g.scale.0 * weight * (dot(dy, i, v, j, g.out) - delta[i]);
            for c in 0..g.width {
                dq[i * g.width + c] += slope * k[j * g.width + c];
                dk[j * g.width + c] += slope * q[i * g.width + c];
            }
            for c in 0..g.out {
                dv[j * g.out + c] += weight * dy[i * g.out + c];
            }
        }
    }
    out.extend(dq);
    out.extend(dk);
    out.extend(dv);
}
