//! Scores that compare rows with rows: the matrix of all distances is made a tile at a time.

use anygrad_core::{DType, Result, Tensor};

use super::{numbered, same_length};
use crate::unsupervised::{by_tile, part, ranges, rows, squared_distances, wrong};

/// Rows of the device with the mean taken off, so that distances lose no digits.
fn centred(score: &str, x: &Tensor) -> Result<Tensor> {
    let x = rows::load(score, x, x.device())?;
    Ok((&x - x.mean(0)).realize()?.clone())
}

/// The mean silhouette `(b - a) / max(a, b)`: `a` is a row's mean distance to its own cluster's other rows, `b` that to the
/// nearest other cluster. From -1 to 1; rows alone in their cluster count 0.
/// Source: Rousseeuw, "Silhouettes" (1987).
///
/// # Errors
/// If lengths differ, there are fewer than two clusters or as many as rows, or the device fails.
pub fn silhouette(x: &Tensor, labels: &[i32]) -> Result<f64> {
    let x = centred("silhouette", x)?;
    let n = x.shape()[0];
    same_length("silhouette", n, labels.len())?;
    let (numbers, k) = numbered(labels);
    if k < 2 || k >= n {
        return Err(wrong("silhouette", format!("{n} rows have {k} labels; 2 to rows - 1 are needed")));
    }
    let index: Vec<i32> = numbers.iter().map(|&c| c as i32).collect();
    let members = Tensor::try_from_slice(&index, &[n], x.device())?.one_hot(k);
    // The diagonal is rounding, not distance: cleared by its row and column numbers.
    let columns = Tensor::arange(0.0, n as f64, 1.0, x.device()).cast(DType::I32);
    let sums: Vec<Tensor> = ranges(n, n)
        .into_iter()
        .map(|(start, end)| {
            let rows = columns.narrow(0, start, end - start).unsqueeze(1);
            let distances = squared_distances(&part(&x, start, end), &x).sqrt();
            columns.eq(&rows).select(0.0, distances).matmul(&members)
        })
        .collect();
    let sums = Tensor::cat(&sums, 0).to_f64()?;
    let mut counts = vec![0.0; k];
    numbers.iter().for_each(|&c| counts[c] += 1.0);
    let row = |(&own, sums): (&usize, &[f64])| {
        if counts[own] <= 1.0 {
            return 0.0;
        }
        let a = sums[own] / (counts[own] - 1.0);
        let others = (0..k).filter(|&c| c != own).map(|c| sums[c] / counts[c]);
        let b = others.fold(f64::INFINITY, f64::min);
        if a.max(b) > 0.0 { (b - a) / a.max(b) } else { 0.0 }
    };
    Ok(numbers.iter().zip(sums.chunks_exact(k)).map(row).sum::<f64>() / n as f64)
}

/// The Davies-Bouldin index: how wide clusters are compared with the distance of their centres, worst pairs, averaged; small
/// is good. Source: Davies and Bouldin, "A cluster separation measure" (1979).
///
/// # Errors
/// As [`silhouette`].
pub fn davies_bouldin(x: &Tensor, labels: &[i32]) -> Result<f64> {
    let x = centred("davies_bouldin", x)?;
    let (n, d) = (x.shape()[0], x.shape()[1]);
    same_length("davies_bouldin", n, labels.len())?;
    let (numbers, k) = numbered(labels);
    if k < 2 || k >= n {
        return Err(wrong("davies_bouldin", format!("{n} rows have {k} labels; 2 to rows - 1 are needed")));
    }
    let values = x.to_f64()?;
    let mut counts = vec![0.0; k];
    let mut centers = vec![0.0; k * d];
    for (&c, row) in numbers.iter().zip(values.chunks_exact(d)) {
        counts[c] += 1.0;
        centers[c * d..(c + 1) * d].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    (0..k * d).for_each(|i| centers[i] /= counts[i / d]);
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
    let center = |c: usize| &centers[c * d..(c + 1) * d];
    let mut width = vec![0.0; k];
    for (&c, row) in numbers.iter().zip(values.chunks_exact(d)) {
        width[c] += apart(row, center(c)) / counts[c];
    }
    let worst = |i: usize| {
        let ratio = |j: usize| {
            let distance = apart(center(i), center(j));
            // Centres that coincide tell nothing (as in scikit-learn).
            if distance == 0.0 { 0.0 } else { (width[i] + width[j]) / distance }
        };
        (0..k).filter(|&j| j != i).map(ratio).fold(0.0, f64::max)
    };
    Ok((0..k).map(worst).sum::<f64>() / k as f64)
}

/// How far the `neighbors` nearest rows of an embedding are also near in the data: `1 - 2 / (n k (2n - 3k - 1)) sum(rank - k)`
/// over those embedded neighbours whose rank in the data exceeds `k`. 1 if none does.
/// Source: Venna and Kaski, "Neighborhood preservation in nonlinear projection methods" (2001).
///
/// # Errors
/// If numbers of rows differ, `neighbors` is 0 or not below half of the rows, or the device fails.
pub fn trustworthiness(x: &Tensor, embedded: &Tensor, neighbors: usize) -> Result<f64> {
    let (x, y) = (centred("trustworthiness", x)?, centred("trustworthiness", embedded)?);
    let (n, k) = (x.shape()[0], neighbors);
    same_length("trustworthiness", n, y.shape()[0])?;
    if k == 0 || 2 * k >= n {
        return Err(wrong("trustworthiness", format!("{k} neighbours of {n} rows; give 1 to less than half")));
    }
    let near = super::super::neighbors::nearest_rows(&y, &y, k, true)?.1;
    let columns = Tensor::arange(0.0, n as f64, 1.0, x.device()).cast(DType::I32);
    let numbers = columns.unsqueeze(1);
    let both = Tensor::cat(&[numbers, near], 1);
    let ranks = by_tile(&both, n * 2, |tile| {
        let (own, near) = (tile.narrow(1, 0, 1), tile.narrow(1, 1, k));
        let rows = x.index_select(0, &own.squeeze(1));
        let distances = columns.eq(&own).select(f64::INFINITY, squared_distances(&rows, &x));
        let ranks: Vec<Tensor> = (0..k)
            .map(|j| {
                let to = distances.gather(1, &near.narrow(1, j, 1));
                // Ranks count from 1; equal distances rank together.
                distances.lt(&to).cast(DType::I32).sum(1) + 1
            })
            .collect();
        Tensor::stack(&ranks, 1)
    });
    let excess: f64 = ranks.to_f64()?.iter().map(|rank| (rank - k as f64).max(0.0)).sum();
    let (n, k) = (n as f64, k as f64);
    Ok(1.0 - excess * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)))
}
