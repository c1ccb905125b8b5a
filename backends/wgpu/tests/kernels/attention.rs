//! Attention and its gradients, directly and by way of workgroup memory.

use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{Attention, AttentionGeometry, AttentionKind, Core, Operand, Slice};

use crate::bench::*;
use crate::heavy::with_epilogue;

fn check_attention(batch: &[usize], geometry: &AttentionGeometry, kind: AttentionKind, turned: bool, offset: usize) {
    println!("{batch:?} {geometry:?} {kind:?} turned {turned} offset {offset}");
    let batches: usize = batch.iter().product();
    let sizes = geometry.operands(kind);
    let operand = |(input, &[rows, columns]): (usize, &[usize; 2])| {
        let mut below = rows * columns;
        let mut batch_strides = vec![0; batch.len()];
        for axis in (0..batch.len()).rev() {
            batch_strides[axis] = below;
            below *= batch[axis];
        }
        let (row_stride, column_stride) = if turned { (1, rows) } else { (columns, 1) };
        Operand { input, offset, batch_strides, row_stride, column_stride }
    };
    let operands = sizes.iter().enumerate().map(operand).collect();
    let outer = [batch, &[geometry.length(kind)]].concat();
    let inputs: Vec<Slice> = sizes.iter().map(|s| f32s(batches * s[0] * s[1] + offset)).collect();
    let mut values: Vec<Vec<f64>> = (1..).zip(&inputs).map(|(seed, s)| noise(s.len, seed)).collect();
    if kind == AttentionKind::Gradient {
        // Logarithms of sums of as many terms as there are keys.
        values[4].iter_mut().for_each(|l| *l = l.abs() + (geometry.keys as f64).ln() + 1.0);
    }
    let epilogue = turned && kind == AttentionKind::Forward;
    if epilogue {
        values.push(noise(outer.iter().product(), 9));
    }
    let core = Core::Attention(Attention { kind, geometry: geometry.clone(), batch: batch.to_vec(), operands });
    // Sums run over a row of keys or of queries; their terms are of order one.
    let tolerance = within(1e-5, 4e-6 * (geometry.queries.max(geometry.keys) as f64).sqrt());
    check_all(&with_epilogue(core, &outer, inputs, epilogue, false), &values, tolerance);
}

#[test]
fn attentions_and_their_gradients() {
    // Rows around the vectors of 4, tiles of up to 32 keys, workgroups of 64 queries.
    for (queries, keys, width, out) in [(1, 1, 1, 1), (5, 9, 4, 6), (66, 70, 8, 12)] {
        for causal in [false, true] {
            for kind in [AttentionKind::Forward, AttentionKind::Gradient] {
                let geometry = AttentionGeometry { queries, keys, width, out, causal, scale: Scalar(0.25) };
                check_attention(&[3], &geometry, kind, causal, 0);
            }
        }
    }
    let geometry = AttentionGeometry { queries: 6, keys: 7, width: 8, out: 8, causal: false, scale: Scalar(0.5) };
    for kind in [AttentionKind::Forward, AttentionKind::Gradient] {
        check_attention(&[2, 2], &geometry, kind, false, 3);
        check_attention(&[], &geometry, kind, false, 4);
    }
}
