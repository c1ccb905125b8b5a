//! The heavy cores in f64, written as their definitions read: nested loops over every term.

use crate::dtype::DType;
use crate::kernel::{Attention, Conv, ConvKind, Core, Kernel, Matmul, Operand, Scatter};
use crate::scalar::Binary;

use super::unravel;

/// One number per point of `outer`.
pub(super) fn core(kernel: &Kernel, inputs: &[Vec<f64>]) -> Vec<f64> {
    match &kernel.core {
        Core::Map => Vec::new(),
        Core::Matmul(p) => matmul(p, inputs),
        Core::Conv(p) => conv(p, inputs),
        Core::Attention(p) => attention(p, inputs),
        Core::Scatter(p) => scatter(p, kernel, inputs),
        Core::Argsort { input, descending } => argsort(&kernel.outer, &inputs[*input], *descending),
        Core::CumulativeSum { input } => cumulative_sum(&kernel.outer, &inputs[*input], kernel.inputs[*input].dtype),
    }
}

/// The element of an operand.
fn element(inputs: &[Vec<f64>], o: &Operand, batch: &[usize], row: usize, column: usize) -> f64 {
    let base: usize = batch.iter().zip(&o.batch_strides).map(|(b, s)| b * s).sum();
    inputs[o.input][o.offset + base + row * o.row_stride + column * o.column_stride]
}

/// The operands gathered row by row, and the meaning of the operation on them.
fn attention(p: &Attention, inputs: &[Vec<f64>]) -> Vec<f64> {
    let mut result = Vec::new();
    for number in 0..p.batch.iter().product() {
        let batch = unravel(number, &p.batch);
        let sizes = p.geometry.operands(p.kind);
        let rows = p.operands.iter().zip(&sizes).map(|(o, &[rows, columns])| {
            let all = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
            all.map(|(i, j)| element(inputs, o, &batch, i, j)).collect()
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        crate::reference::attention(p.kind, &p.geometry, &rows, &mut result);
    }
    result
}

fn matmul(p: &Matmul, inputs: &[Vec<f64>]) -> Vec<f64> {
    let at = |o: &Operand, batch: &[usize], row: usize, column: usize| element(inputs, o, batch, row, column);
    let mut result = Vec::new();
    for number in 0..p.batch.iter().product() {
        let batch = unravel(number, &p.batch);
        for i in 0..p.m {
            for j in 0..p.n {
                result.push((0..p.k).map(|q| at(&p.a, &batch, i, q) * at(&p.b, &batch, q, j)).sum());
            }
        }
    }
    result
}

fn conv(p: &Conv, inputs: &[Vec<f64>]) -> Vec<f64> {
    let g = &p.geometry;
    let (a, b) = (&inputs[p.a], &inputs[p.b]);
    let product = |v: &[usize]| v.iter().product::<usize>();
    let (x_size, y_size, taps) = (product(&g.input), product(&g.output), product(&g.taps));
    let (per_group_in, per_group_out) = (g.c_in / g.groups.max(1), g.c_out / g.groups.max(1));
    let length = match p.kind {
        ConvKind::Forward => g.batch * g.c_out * y_size,
        ConvKind::InputGradient => g.batch * g.c_in * x_size,
        ConvKind::WeightGradient => g.c_out * per_group_in * taps,
    };
    let mut result = vec![0.0; length];
    for image in 0..g.batch {
        for o in 0..g.c_out {
            let group = o / per_group_out;
            for place in 0..y_size {
                let place_point = unravel(place, &g.output);
                for i in 0..per_group_in {
                    for tap in 0..taps {
                        let Some(spot) = spot(p, &place_point, &unravel(tap, &g.taps)) else { continue };
                        let x = (image * g.c_in + group * per_group_in + i) * x_size + spot;
                        let w = (o * per_group_in + i) * taps + tap;
                        let y = (image * g.c_out + o) * y_size + place;
                        match p.kind {
                            ConvKind::Forward => result[y] += a[x] * b[w],
                            ConvKind::InputGradient => result[x] += a[y] * b[w],
                            ConvKind::WeightGradient => result[w] += a[x] * b[y],
                        }
                    }
                }
            }
        }
    }
    result
}

/// Row-major number of the input element that `tap` of output `place` reads, if it is not padding.
fn spot(p: &Conv, place: &[usize], tap: &[usize]) -> Option<usize> {
    let g = &p.geometry;
    let mut at = 0;
    for axis in 0..g.input.len() {
        let position = (place[axis] * g.stride[axis] + tap[axis] * g.dilation[axis]).checked_sub(g.padding[axis])?;
        if position >= g.input[axis] {
            return None;
        }
        at = at * g.input[axis] + position;
    }
    Some(at)
}

fn scatter(p: &Scatter, kernel: &Kernel, inputs: &[Vec<f64>]) -> Vec<f64> {
    let (size, after) = (kernel.outer[1], kernel.outer[2]);
    let dtype = kernel.inputs[p.updates.0].dtype;
    let mut result = vec![0.0; kernel.outer_len()];
    for number in 0..p.index.1.len() {
        let point = unravel(number, &p.index.1.shape);
        let s = p.index.1.index(&point).map_or(0.0, |at| inputs[p.index.0][at]);
        let update = p.updates.1.index(&point).map_or(0.0, |at| inputs[p.updates.0][at]);
        if s >= 0.0 && s < size as f64 {
            let sum = &mut result[(point[0] * size + s as usize) * after + point[2]];
            *sum = Binary::Add.apply(dtype, *sum, update);
        }
    }
    result
}

fn argsort(outer: &[usize], values: &[f64], descending: bool) -> Vec<f64> {
    let n = outer[1];
    let mut result = Vec::new();
    for row in 0..outer[0] {
        let row = &values[row * n..][..n];
        let mut order: Vec<usize> = (0..n).collect();
        // NaN counts as larger than every number; a stable sort keeps equal values in their order.
        let key = |i: usize| (row[i].is_nan(), if row[i].is_nan() { 0.0 } else { row[i] });
        let compare = |&i: &usize, &j: &usize| {
            let ((nan_i, x), (nan_j, y)) = (key(i), key(j));
            nan_i.cmp(&nan_j).then(x.partial_cmp(&y).unwrap_or(std::cmp::Ordering::Equal))
        };
        order.sort_by(|i, j| if descending { compare(j, i) } else { compare(i, j) });
        result.extend(order.iter().map(|&i| i as f64));
    }
    result
}

fn cumulative_sum(outer: &[usize], values: &[f64], dtype: DType) -> Vec<f64> {
    let (n, after) = (outer[1], outer[2]);
    let mut result = values[..outer.iter().product()].to_vec();
    for i in 0..result.len() {
        if after > 0 && (i / after) % n > 0 {
            result[i] = Binary::Add.apply(dtype, result[i - after], result[i]);
        }
    }
    result
}
