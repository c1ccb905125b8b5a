//! Joint probabilities of pairs of rows, and the attraction on the device along lists of pairs that are made once: each row's list has all pairs that it is in, so a row's force is a sum over
//! its own list, and no iteration has to add to other rows' sums (which a device must sort for).
//!
//! Lists are cut into stretches of equal length, the last one of each row padded with weight 0. A row that is near to very many
//! others has many stretches, and costs nobody else anything.

use anygrad_core::{Device, Result, Tensor};

/// Pairs of a stretch: with 90 neighbours a row has about 120 pairs, of whose places an eighth is padding.
const STRETCH: usize = 32;

/// Joint probabilities `P[i, j] = (p[j | i] + p[i | j]) / 2n`.
pub(super) struct Joint {
    /// Rows `i` and `j` and their probability, sorted by `i`, then by `j`.
    pub(super) pairs: Vec<(u32, u32, f64)>,
    /// `sum(P ln P)`.
    pub(super) entropy: f64,
}

impl Joint {
    /// Of the probabilities of each row's `k` neighbours, `[n, k]`.
    pub(super) fn new(conditional: &[f64], index: &[i32], k: usize) -> Joint {
        let n = index.len() / k;
        let mut pairs: Vec<(u64, f64)> = Vec::with_capacity(2 * n * k);
        for (at, (&p, &j)) in conditional.iter().zip(index).enumerate() {
            let (i, j) = ((at / k) as u64, j as u64);
            pairs.extend([(i << 32 | j, p), (j << 32 | i, p)]);
        }
        // Stably, so that sums do not depend on how it sorts.
        pairs.sort_by_key(|pair| pair.0);
        let joint = |same: &[(u64, f64)]| {
            let p = same.iter().map(|pair| pair.1).sum::<f64>() / (2 * n) as f64;
            ((same[0].0 >> 32) as u32, same[0].0 as u32, p)
        };
        let pairs: Vec<(u32, u32, f64)> = pairs.chunk_by(|a, b| a.0 == b.0).map(joint).collect();
        let entropy = pairs.iter().map(|&(_, _, p)| if p > 0.0 { p * p.ln() } else { 0.0 }).sum();
        Joint { pairs, entropy }
    }
}

/// Joint probabilities by rows, on the device.
pub(super) struct Attraction {
    /// The row of each stretch, i32 `[stretches]`.
    owners: Tensor,
    /// The other rows of its pairs, i32 `[stretches * STRETCH]`, and their probabilities `[stretches, STRETCH]`.
    others: Tensor,
    weights: Tensor,
    /// Each row's stretches, i32 `[rows * most]`, and `[rows, most, 1]`: 1 where there is one, else 0.
    stretches: Tensor,
    there: Tensor,
}

impl Attraction {
    /// Of pairs by rows; every row has some.
    pub(super) fn new(joint: &Joint, n: usize, device: &Device) -> Result<Attraction> {
        let (mut owners, mut others, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = vec![0; n + 1];
        for list in joint.pairs.chunk_by(|a, b| a.0 == b.0) {
            let row = list[0].0 as usize;
            for stretch in list.chunks(STRETCH) {
                owners.push(row as i32);
                others.extend(stretch.iter().map(|pair| pair.1 as i32));
                weights.extend(stretch.iter().map(|pair| pair.2 as f32));
                others.resize(owners.len() * STRETCH, row as i32);
                weights.resize(owners.len() * STRETCH, 0.0);
            }
            first[row + 1] = owners.len();
        }
        // Every row has neighbours, so it has a list.
        let count = |row: usize| first[row + 1] - first[row];
        let most = (0..n).map(count).max().unwrap_or(1);
        let place = |at: usize| (at / most, at % most);
        let is_there = |at: usize| place(at).1 < count(place(at).0);
        let numbers: Vec<i32> =
            (0..n * most).map(|at| if is_there(at) { (first[place(at).0] + place(at).1) as i32 } else { 0 }).collect();
        let there: Vec<f32> = (0..n * most).map(|at| f32::from(u8::from(is_there(at)))).collect();
        let count = owners.len();
        Ok(Attraction {
            owners: Tensor::try_from_slice(&owners, &[count], device)?,
            others: Tensor::try_from_slice(&others, &[count * STRETCH], device)?,
            weights: Tensor::try_from_slice(&weights, &[count, STRETCH], device)?,
            stretches: Tensor::try_from_slice(&numbers, &[n * most], device)?,
            there: Tensor::try_from_slice(&there, &[n, most, 1], device)?,
        })
    }

    /// For points `y: [n, m]`: `sum_j P[i, j] near (y_i - y_j)` of each row, and `-sum P ln near` over all pairs, where
    /// `near = 1 / (1 + |y_i - y_j|²)`.
    pub(super) fn of(&self, y: &Tensor) -> (Tensor, Tensor) {
        let ([n, m], count) = ([y.shape()[0], y.shape()[1]], self.owners.len());
        let apart =
            y.index_select(0, &self.owners).unsqueeze(1) - y.index_select(0, &self.others).reshape([count, STRETCH, m]);
        let far = apart.square().sum(2) + 1.0;
        let pull = ((&self.weights / &far).unsqueeze(2) * &apart).sum(1);
        let most = self.stretches.len() / n;
        let forces = (pull.index_select(0, &self.stretches).reshape([n, most, m]) * &self.there).sum(1);
        (forces, (&self.weights * far.ln()).sum(1).sum(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Draws;
    use crate::unsupervised::tsne::host::Lists;

    #[test]
    fn forces_and_divergence_are_those_of_the_definition() {
        // 70 rows that all have row 0 among their two neighbours: its list has three stretches. One pair is in both lists.
        let (n, k, device) = (70, 2, anygrad_core::testing::device());
        let index: Vec<i32> = (0..n).flat_map(|i| [if i == 0 { 1 } else { 0 }, ((i + 7) % n) as i32]).collect();
        let mut draws = Draws::new(4, 0);
        let conditional: Vec<f64> = (0..n).map(|_| draws.uniform()).flat_map(|p| [p, 1.0 - p]).collect();
        let y: Vec<f64> = (0..2 * n).map(|_| f64::from((draws.uniform() * 4.0 - 2.0) as f32)).collect();
        let joint = Joint::new(&conditional, &index, k);
        let attraction = Attraction::new(&joint, n, &device).expect("fits");
        let points = Tensor::from_vec(y.iter().map(|&v| v as f32).collect(), &[n, 2], &device);
        let (forces, divergence) = attraction.of(&points);

        let mut p = vec![0.0; n * n];
        for (at, &j) in index.iter().enumerate() {
            let (i, j) = (at / k, j as usize);
            p[i * n + j] += conditional[at] / (2 * n) as f64;
            p[j * n + i] += conditional[at] / (2 * n) as f64;
        }
        let (mut expected, mut sum, mut entropy) = (vec![0.0; 2 * n], 0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                let apart = [0, 1].map(|axis| y[2 * i + axis] - y[2 * j + axis]);
                let far = 1.0 + apart[0] * apart[0] + apart[1] * apart[1];
                (0..2).for_each(|axis| expected[2 * i + axis] += p[i * n + j] / far * apart[axis]);
                sum += p[i * n + j] * far.ln();
                entropy += if p[i * n + j] > 0.0 { p[i * n + j] * p[i * n + j].ln() } else { 0.0 };
            }
        }
        // f32 numbers of size 1 in sums of up to 140 terms.
        let found = forces.to_f64().expect("reads");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
        assert!((divergence.item().expect("reads") - sum).abs() < 1e-5);
        let (lists, points) = (Lists::new(&joint, n), points.to_vec::<f32>().expect("reads"));
        let (places, _) = points.as_chunks::<2>();
        let found: Vec<[f64; 2]> = (0..n).map(|row| lists.pull(row, places).map(f64::from)).collect();
        assert!(found.iter().flatten().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
        let apart: f64 = (0..n).map(|row| lists.apart(row, places)).sum();
        assert!((apart - sum).abs() < 1e-5);
        assert!((joint.entropy - entropy).abs() < 1e-12);
    }
}
