//! Mahalanobis distances from a centre and covariance that outliers cannot pull: the minimum covariance determinant.

use anygrad_core::{Device, Result, Tensor};

use crate::data::Draws;
use crate::unsupervised::linear::{cholesky, lower_inverse, transposed};
use crate::unsupervised::pca::from_f64;
use crate::unsupervised::{Rows, by_tile, rows, wrong};

const METHOD: &str = "elliptic envelope";

/// A Gaussian around the bulk of the rows.
///
/// Source: Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant estimator" (1999): of many
/// small random starts, each concentrated twice, the ten best are concentrated until they stand still.
#[derive(Clone, Debug, PartialEq)]
pub struct EllipticEnvelope {
    /// The share of rows that the centre and covariance are of, `0.5..=1.0`; `None` is the most robust,
    /// `(rows + features + 1) / 2` rows; 1 is the classical covariance.
    pub support: Option<f64>,
    /// Random starts; 500, of which ten go on.
    pub starts: usize,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

impl Default for EllipticEnvelope {
    fn default() -> EllipticEnvelope {
        EllipticEnvelope { support: None, starts: 500, seed: 0 }
    }
}

/// A fitted Gaussian.
#[derive(Clone, Debug)]
pub struct EllipticEnvelopeModel {
    /// `[features]`.
    pub center: Vec<f64>,
    /// `[features, features]` of the supporting rows, scaled so that the median distance is that of a Gaussian.
    pub covariance: Vec<f64>,
    whitener: Tensor,
    middle: Tensor,
}

/// Rows on the host.
struct Points<'a> {
    values: &'a [f64],
    n: usize,
    d: usize,
}

/// Centre, covariance, and twice the logarithm of its Cholesky determinant.
struct Shape {
    center: Vec<f64>,
    factor: Vec<f64>,
    covariance: Vec<f64>,
    log_determinant: f64,
}

impl Points<'_> {
    /// The Gaussian of these rows; `None` if their covariance is singular.
    fn shape(&self, rows: &[u32]) -> Option<Shape> {
        let (d, count) = (self.d, rows.len() as f64);
        let row = |row: u32| &self.values[row as usize * d..(row as usize + 1) * d];
        let mut center = vec![0.0; d];
        rows.iter().for_each(|&r| center.iter_mut().zip(row(r)).for_each(|(c, x)| *c += x / count));
        let mut covariance = vec![0.0; d * d];
        let mut apart = vec![0.0; d];
        for &r in rows {
            apart.iter_mut().zip(row(r)).zip(&center).for_each(|((a, x), c)| *a = x - c);
            for i in 0..d {
                let scale = apart[i] / count;
                covariance[i * d..=i * d + i].iter_mut().zip(&apart).for_each(|(sum, a)| *sum += scale * a);
            }
        }
        (0..d).for_each(|i| (i + 1..d).for_each(|j| covariance[i * d + j] = covariance[j * d + i]));
        let factor = cholesky(&covariance, d)?;
        let log_determinant = (0..d).map(|i| 2.0 * factor[i * d + i].ln()).sum();
        Some(Shape { center, factor, covariance, log_determinant })
    }

    /// Squared Mahalanobis distances of all rows.
    fn distances(&self, shape: &Shape) -> Vec<f64> {
        let d = self.d;
        let mut z = vec![0.0; d];
        let each = |row: &[f64]| {
            for i in 0..d {
                let known: f64 = (0..i).map(|j| shape.factor[i * d + j] * z[j]).sum();
                z[i] = (row[i] - shape.center[i] - known) / shape.factor[i * d + i];
            }
            z.iter().map(|z| z * z).sum()
        };
        self.values.chunks_exact(d).map(each).collect()
    }

    /// The `count` rows nearest to a Gaussian's centre (a concentration step).
    fn nearest(&self, shape: &Shape, count: usize) -> Vec<u32> {
        let distances = self.distances(shape);
        let mut order: Vec<u32> = (0..self.n as u32).collect();
        if count < self.n {
            order.select_nth_unstable_by(count, |&a, &b| distances[a as usize].total_cmp(&distances[b as usize]));
            order.truncate(count);
        }
        order
    }
}

impl EllipticEnvelope {
    /// Finds the Gaussian of the bulk of the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are not more rows than features, the covariance is singular (constant
    /// features, copies), a number is NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<EllipticEnvelopeModel> {
        let x = rows::load(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        if n <= d + 1 {
            return Err(wrong(
                METHOD,
                format!("{n} rows of {d} features span no volume; give more than features + 1 rows"),
            ));
        }
        if self.support.is_some_and(|s| !(0.5..=1.0).contains(&s)) || self.starts == 0 {
            return Err(wrong(METHOD, "the support must be 0.5 to 1, and starts at least 1"));
        }
        let values = x.to_f64()?;
        let rows = Points { values: &values, n, d };
        let count = self.support.map_or((n + d).div_ceil(2), |s| ((s * n as f64).ceil() as usize).min(n)).max(d + 1);
        let singular =
            || wrong(METHOD, "the covariance is singular; leave out features that are constant or copies of others");
        let all: Vec<u32> = (0..n as u32).collect();
        let classical = rows.shape(&all).ok_or_else(singular)?;
        let best = if count == n { classical } else { self.search(&rows, count)?.unwrap_or(classical) };
        // Half of the squared distances of a Gaussian are below the median of the chi-squared distribution.
        let mut distances = rows.distances(&best);
        let (_, median, _) = distances.select_nth_unstable_by(n / 2, f64::total_cmp);
        // Wilson and Hilferty's approximation of that median, within 1 % from one degree of freedom on.
        let degrees = d as f64;
        let scale = *median / (degrees * (1.0 - 2.0 / (9.0 * degrees)).powi(3));
        let covariance: Vec<f64> = best.covariance.iter().map(|c| c * scale).collect();
        EllipticEnvelopeModel::new(best.center, covariance, device).ok_or_else(singular)?
    }

    fn search(&self, rows: &Points<'_>, count: usize) -> Result<Option<Shape>> {
        let mut draws = Draws::new(self.seed, 0);
        let mut order: Vec<u32> = (0..rows.n as u32).collect();
        // Starts are made on at most 1500 rows, as in the paper.
        let some = rows.n.min(1500);
        (0..some).for_each(|i| order.swap(i, i + draws.below((rows.n - i) as u64) as usize));
        let part: Vec<f64> =
            order[..some].iter().flat_map(|&r| &rows.values[r as usize * rows.d..][..rows.d]).copied().collect();
        let small = Points { values: &part, n: some, d: rows.d };
        let share = (count * some).div_ceil(rows.n).max(rows.d + 1);
        let mut picks: Vec<u32> = (0..some as u32).collect();
        let mut found: Vec<Shape> = Vec::new();
        for _ in 0..self.starts {
            // As many random rows as make a volume.
            let mut taken = rows.d + 1;
            (0..some).for_each(|i| picks.swap(i, i + draws.below((some - i) as u64) as usize));
            let mut shape = small.shape(&picks[..taken]);
            while shape.is_none() && taken < some {
                taken += 1;
                shape = small.shape(&picks[..taken]);
            }
            for _ in 0..2 {
                shape = shape.and_then(|shape| small.shape(&small.nearest(&shape, share)));
            }
            found.extend(shape);
        }
        found.sort_unstable_by(|a, b| a.log_determinant.total_cmp(&b.log_determinant));
        found.truncate(10);
        let mut best: Option<Shape> = None;
        for mut shape in found {
            // Each step lowers the determinant, so it ends; 30 are more than are needed in practice.
            for _ in 0..30 {
                let Some(next) = rows.shape(&rows.nearest(&shape, count)) else { break };
                let moved = (next.log_determinant - shape.log_determinant).abs() > 1e-10;
                shape = next;
                if !moved {
                    break;
                }
            }
            if best.as_ref().is_none_or(|best| shape.log_determinant < best.log_determinant) {
                best = Some(shape);
            }
        }
        Ok(best)
    }
}

impl EllipticEnvelopeModel {
    fn new(center: Vec<f64>, covariance: Vec<f64>, device: &Device) -> Option<Result<EllipticEnvelopeModel>> {
        let d = center.len();
        let factor = cholesky(&covariance, d)?;
        let place = || {
            let whitener = from_f64(&transposed(&lower_inverse(&factor, d), d, d), &[d, d], device)?;
            Ok((whitener, from_f64(&center, &[d], device)?))
        };
        Some(place().map(|(whitener, middle)| EllipticEnvelopeModel { center, covariance, whitener, middle }))
    }

    /// The score of each row: its Mahalanobis distance from the centre.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn score_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Vec<f64>> {
        let x = rows::load_for(METHOD, data, self.center.len(), self.middle.device())?;
        let white = |tile: &Tensor| (tile - &self.middle).matmul(&self.whitener);
        by_tile(&x, self.center.len(), |tile| white(tile).square().sum(1).sqrt()).to_f64()
    }
}
