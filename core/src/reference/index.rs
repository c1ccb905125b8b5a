//! Selecting, ordering and summing along one axis in the reference.

use std::cmp::Ordering;

use super::movement::{number, points};
use crate::dtype::DType;
use crate::graph::Node;
use crate::kernel::Extremum;
use crate::scalar::Binary;

/// The shape as `[before, size of axis, after]`.
fn split(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// NaN is the largest; zeros are equal.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

pub(super) fn arg_reduce(op: Extremum, x: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let (before, size, after) = split(shape, axis);
    let mut out = Vec::with_capacity(before * after);
    for (b, a) in (0..before).flat_map(|b| (0..after).map(move |a| (b, a))) {
        let line: Vec<f64> = (0..size).map(|j| x[(b * size + j) * after + a]).collect();
        let mut best = 0;
        for (j, &value) in line.iter().enumerate() {
            let better = match op {
                Extremum::Max => value > line[best],
                Extremum::Min => value < line[best],
            };
            if !line[best].is_nan() && (better || value.is_nan()) {
                best = j;
            }
        }
        out.push(best as f64);
    }
    out
}

pub(super) fn cumulative_sum(x: &[f64], shape: &[usize], axis: usize, dtype: DType) -> Vec<f64> {
    let (_, size, after) = split(shape, axis);
    let mut out = x.to_vec();
    for i in 0..out.len() {
        if (i / after) % size > 0 {
            out[i] = Binary::Add.apply(dtype, out[i - after], out[i]);
        }
    }
    out
}

pub(super) fn gather(
    x: &[f64],
    shape: &[usize],
    index: &[f64],
    index_shape: &[usize],
    axis: usize,
    dtype: DType,
) -> Vec<f64> {
    let outside = if dtype.is_float() { f64::NAN } else { 0.0 };
    let source = |(i, mut point): (usize, Vec<usize>)| {
        if index[i] < 0.0 || index[i] >= shape[axis] as f64 {
            return outside;
        }
        point[axis] = index[i] as usize;
        x[number(shape, &point)]
    };
    points(index_shape).enumerate().map(source).collect()
}

pub(super) fn scatter_add(index: &[f64], updates: &[f64], shape: &[usize], axis: usize, node: &Node) -> Vec<f64> {
    let mut out = vec![0.0; node.len()];
    for (i, mut point) in points(shape).enumerate() {
        if index[i] >= 0.0 && index[i] < node.shape[axis] as f64 {
            point[axis] = index[i] as usize;
            let slot = &mut out[number(&node.shape, &point)];
            *slot = Binary::Add.apply(node.dtype, *slot, updates[i]);
        }
    }
    out
}

pub(super) fn argsort(x: &[f64], shape: &[usize], descending: bool) -> Vec<f64> {
    let Some(&n) = shape.last() else { return Vec::new() };
    let sorted = |row: &[f64]| {
        let mut numbers: Vec<usize> = (0..n).collect();
        numbers.sort_by(|&i, &j| if descending { order(row[j], row[i]) } else { order(row[i], row[j]) });
        numbers.into_iter().map(|i| i as f64).collect::<Vec<f64>>()
    };
    x.chunks(n.max(1)).flat_map(sorted).collect()
}
