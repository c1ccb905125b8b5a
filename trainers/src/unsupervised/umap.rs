//! UMAP: rows as points of a plane, by a fuzzy graph of nearest neighbours.
//!
//! The graph is made of the lists of nearest rows; widths of neighbourhoods are found on the host. One step on the device
//! pulls all edges at once and pushes each row from a few random ones: what the original does edge by edge, as whole tensors.

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::neighbors::nearest_rows;
use super::pca::{Components, Pca};
use super::resume::{STATE, Unfinished, check, copied, state};
use super::store::{Model, Parts};
use super::{Rows, Run, rows, wrong};
use crate::data::Draws;
use crate::events::Listener;

const METHOD: &str = "umap";

/// Steps between looks at the listener.
const LOOK: usize = 50;

/// No edge moves a row farther than this times the step size, as in the original.
const LONGEST: f64 = 4.0;

/// How to embed rows by UMAP.
///
/// Source: McInnes, Healy, Melville, "UMAP: Uniform manifold approximation and projection" (2018), with the curve and the
/// gradients of umap-learn. Unlike there, the start is the principal components (not the graph's eigenvectors), and a step takes
/// the expected pull of all edges at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Umap {
    /// Axes of the embedding; 2.
    pub dimensions: usize,
    /// Rows that count as near, itself included: few show details, many the whole; 15.
    pub neighbors: usize,
    /// How near points may come; 0.1.
    pub min_distance: f64,
    /// The scale of the embedding; 1.
    pub spread: f64,
    /// Steps; `None` is 500 up to 10,000 rows, else 200.
    pub steps: Option<usize>,
    /// Step size at the beginning, falling to 0 in a straight line; 0.05.
    pub learning_rate: f64,
    /// Random rows that push each row in a step; 5.
    pub negatives: usize,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

impl Default for Umap {
    fn default() -> Umap {
        Umap {
            dimensions: 2,
            neighbors: 15,
            min_distance: 0.1,
            spread: 1.0,
            steps: None,
            learning_rate: 0.05,
            negatives: 5,
            seed: 0,
        }
    }
}

/// An embedding by UMAP. There is none of new rows.
#[derive(Clone, Debug)]
pub struct UmapEmbedding {
    /// `[rows, dimensions]`.
    pub points: Tensor,
    /// Steps done.
    pub steps: usize,
    unfinished: Unfinished,
}

impl Umap {
    /// Embeds the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are not more than `neighbors` rows, a number is NaN or infinite, or the
    /// device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<UmapEmbedding> {
        self.go(device, data, None, None)
    }

    /// As [`Umap::fit`], telling a listener the `movement` of a row every fifty steps; if it stops the run, the embedding is as
    /// far as it got, and [`Umap::resume`] goes on.
    ///
    /// # Errors
    /// As [`Umap::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<UmapEmbedding> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is.
    ///
    /// # Errors
    /// As [`Umap::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &UmapEmbedding,
        listener: &mut dyn Listener,
    ) -> Result<UmapEmbedding> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(model.points.device(), data, Some((model, state)), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<(&UmapEmbedding, &Parts)>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<UmapEmbedding> {
        let x = rows::load(METHOD, data, device)?;
        let (n, m, k) = (x.shape()[0], self.dimensions, self.neighbors.saturating_sub(1));
        self.check(n, x.shape()[1])?;
        let x = (&x - x.mean(0)).realize()?.clone();
        let steps = self.steps.unwrap_or(if n <= 10_000 { 500 } else { 200 });
        let sizes = [("rows", n), ("features", x.shape()[1]), ("steps", steps)];
        let mut done = from.map_or(0, |(model, _)| model.steps);
        from.map_or(Ok(()), |(_, from)| check(from, METHOD, &sizes))?;
        let mut run = Run::begin(listener, METHOD, done as u64, Some(steps as u64))?;

        let (squares, index) = nearest_rows(&x, &x, k, true)?;
        let distances: Vec<f64> = squares.to_f64()?.into_iter().map(f64::sqrt).collect();
        let (edges, degrees) = edges(&memberships(&distances, k), &index.to_vec::<i32>()?, n, k);
        let edges = Tensor::try_from_slice(&edges, &[n, k], device)?;
        let degrees = Tensor::try_from_slice(&degrees, &[n, 1], device)?;
        let index = index.realize()?.reshape([n * k]).realize()?.clone();

        // The start of umap-learn: ten units from the middle at most, and no two points in one place.
        let start =
            Pca { components: Components::Count(m), ..Pca::default() }.fit(device, &x)?.transform(&x)?.to_f64()?;
        let most = start.iter().fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()));
        let mut draws = Draws::new(self.seed, 0);
        let start: Vec<f32> = start.iter().map(|y| (y / most * 10.0 + (draws.uniform() - 0.5) * 1e-3) as f32).collect();
        let mut points = Tensor::try_from_slice(&start, &[n, m], device)?;
        if let Some((model, _)) = from {
            points = model.points.clone();
        }
        let points = Var::try_new("points", &points)?;
        let mut step = self.program(&points, &edges, &degrees, &index);
        while done < steps {
            // Of the step alone, so that there is no state to save.
            let mut draws = Draws::new(self.seed, 1 + done as u64);
            let rate = self.learning_rate * (1.0 - done as f64 / steps as f64);
            let others: Vec<i32> = (0..n * self.negatives).map(|_| draws.below(n as u64) as i32).collect();
            let others = Tensor::try_from_slice(&others, &[n * self.negatives], device)?;
            let movement = step.run((others, Tensor::try_from_slice(&[rate as f32], &[1], device)?))?;
            done += 1;
            if done.is_multiple_of(LOOK) || done == steps {
                let movement = movement.item()?;
                if !movement.is_finite() {
                    return Err(wrong(METHOD, "the embedding diverged; lower the learning rate"));
                }
                if run.iteration(done as u64, &[("movement", movement)])? {
                    break;
                }
            }
        }
        run.done()?;
        let unfinished = (done < steps).then(|| Box::new(state(device, METHOD, &sizes)));
        Ok(UmapEmbedding { points: copied(&points.get())?, steps: done, unfinished })
    }

    /// One step from random rows and a step size; gives the mean square movement's root.
    fn program(
        &self,
        points: &Var,
        edges: &Tensor,
        degrees: &Tensor,
        index: &Tensor,
    ) -> Program<'static, (Tensor, Tensor), Tensor> {
        let (points, edges, degrees, index) = (points.clone(), edges.clone(), degrees.clone(), index.clone());
        let ((a, b), negatives) = (curve(self.min_distance, self.spread), self.negatives);
        let device = edges.device().clone();
        Program::inference(&device, move |(others, rate): (Tensor, Tensor)| {
            let (n, k, y) = (edges.shape()[0], edges.shape()[1], points.get());
            let m = y.shape()[1];
            // Nearness is 1 / (1 + a d^2b); the slopes of its logarithm, and of the logarithm of what is left of 1.
            let apart = y.unsqueeze(1) - y.index_select(0, &index).reshape([n, k, m]);
            let square = apart.square().sum_keep(2).maximum(1e-12);
            let slope = square.powf(b - 1.0) * (-2.0 * a * b) / (square.powf(b) * a + 1.0);
            let pull = (apart * slope).clamp(-LONGEST, LONGEST) * edges.unsqueeze(2);
            let wide = index.unsqueeze(1).broadcast_to(&[n * k, m]);
            let attraction = pull.sum(1) - pull.reshape([n * k, m]).scatter_sum(0, &wide, n);
            let apart = y.unsqueeze(1) - y.index_select(0, &others).reshape([n, negatives, m]);
            let square = apart.square().sum_keep(2);
            let slope = ((&square + 1e-3) * (square.powf(b) * a + 1.0)).recip() * (2.0 * b);
            let push = (apart * slope).clamp(-LONGEST, LONGEST).mean(1) * &degrees * NEGATIVES;
            let movement = (attraction * 2.0 + push) * rate;
            points.assign(&(&y + &movement));
            movement.square().mean(()).sqrt()
        })
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        if self.neighbors < 3 || self.neighbors > n {
            let message = format!("{} neighbours of {n} rows; give at least 3 and at most all rows", self.neighbors);
            return Err(wrong(METHOD, message));
        }
        if self.dimensions == 0 || self.dimensions > n.min(d) {
            return Err(wrong(METHOD, format!("{} dimensions of {n} rows and {d} features", self.dimensions)));
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !(positive(self.spread) && (0.0..=self.spread).contains(&self.min_distance)) {
            let message = format!("min_distance {} and spread {}", self.min_distance, self.spread);
            return Err(wrong(METHOD, format!("{message}; give 0 <= min_distance <= spread")));
        }
        if !positive(self.learning_rate) || self.negatives == 0 || self.steps == Some(0) {
            return Err(wrong(METHOD, "learning rate, negatives and steps must be positive"));
        }
        Ok(())
    }
}

/// How much all random rows together push, for each unit of an edge's weight: the original draws five for each edge that it
/// takes. More of them only make the mean smoother.
const NEGATIVES: f64 = 5.0;

/// How much each neighbour belongs to a row: 1 up to the nearest, then falling such that all add up to `log2(k + 1)`.
fn memberships(distances: &[f64], k: usize) -> Vec<f64> {
    let wished = ((k + 1) as f64).log2();
    let row = |distances: &[f64]| {
        let nearest = distances.iter().copied().find(|d| *d > 0.0).unwrap_or(0.0);
        let member = |d: f64, width: f64| (-(d - nearest).max(0.0) / width).exp();
        let (mut low, mut high, mut width) = (0.0, f64::INFINITY, 1.0);
        // As umap-learn: 64 halvings.
        for _ in 0..64 {
            let sum: f64 = distances.iter().map(|d| member(*d, width)).sum();
            if (sum - wished).abs() < 1e-5 {
                break;
            }
            if sum > wished {
                high = width;
                width = (low + high) / 2.0;
            } else {
                low = width;
                width = if high.is_finite() { (low + high) / 2.0 } else { width * 2.0 };
            }
        }
        let least = 1e-3 * distances.iter().sum::<f64>() / k as f64;
        let width = width.max(least).max(f64::MIN_POSITIVE);
        distances.iter().map(|d| member(*d, width)).collect::<Vec<f64>>()
    };
    distances.chunks_exact(k).flat_map(row).collect()
}

/// The weights of the lists' entries such that entries of a pair in both lists add up to its weight in the symmetric graph,
/// `p + q - p q`; and the sum of the weights at each row.
fn edges(members: &[f64], index: &[i32], n: usize, k: usize) -> (Vec<f32>, Vec<f32>) {
    let mut pairs: Vec<(u64, usize)> = Vec::with_capacity(n * k);
    for (at, &j) in index.iter().enumerate() {
        let (i, j) = ((at / k) as u64, j as u64);
        pairs.push((i.min(j) * n as u64 + i.max(j), at));
    }
    pairs.sort_unstable();
    let (mut weights, mut degrees) = (vec![0.0; n * k], vec![0.0; n]);
    for pair in pairs.chunk_by(|a, b| a.0 == b.0) {
        let apart: f64 = pair.iter().map(|(_, at)| 1.0 - members[*at]).product();
        let weight = 1.0 - apart;
        for (_, at) in pair {
            weights[*at] = (weight / pair.len() as f64) as f32;
        }
        let (i, j) = ((pair[0].0 / n as u64) as usize, (pair[0].0 % n as u64) as usize);
        degrees[i] += weight as f32;
        degrees[j] += weight as f32;
    }
    (weights, degrees)
}

/// `a` and `b` for which `1 / (1 + a d^2b)` is nearest to 1 up to `min_distance` and `exp((min_distance - d) / spread)` beyond:
/// least squares at 300 places up to three spreads, as umap-learn's, by Levenberg's and Marquardt's method.
fn curve(min_distance: f64, spread: f64) -> (f64, f64) {
    let places: Vec<(f64, f64)> = (1..300)
        .map(|i| {
            let d = 3.0 * spread * f64::from(i) / 299.0;
            (d, if d < min_distance { 1.0 } else { ((min_distance - d) / spread).exp() })
        })
        .collect();
    let value = |d: f64, a: f64, b: f64| 1.0 / (1.0 + a * d.powf(2.0 * b));
    let error = |a: f64, b: f64| places.iter().map(|(d, y)| (value(*d, a, b) - y).powi(2)).sum::<f64>();
    let (mut a, mut b, mut damping) = (1.0, 1.0, 1e-3);
    for _ in 0..200 {
        let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(d, y) in &places {
            let f = value(d, a, b);
            let by_a = -d.powf(2.0 * b) * f * f;
            let by_b = by_a * 2.0 * a * d.ln();
            (aa, ab, bb) = (aa + by_a * by_a, ab + by_a * by_b, bb + by_b * by_b);
            (ra, rb) = (ra + by_a * (f - y), rb + by_b * (f - y));
        }
        let (wide, high) = (aa * (1.0 + damping), bb * (1.0 + damping));
        let determinant = wide * high - ab * ab;
        let (next_a, next_b) = (a - (high * ra - ab * rb) / determinant, b - (wide * rb - ab * ra) / determinant);
        if next_a > 0.0 && next_b > 0.0 && error(next_a, next_b) <= error(a, b) {
            (a, b, damping) = (next_a, next_b, damping / 3.0);
        } else {
            damping *= 4.0;
        }
    }
    (a, b)
}

impl Model for UmapEmbedding {
    const KIND: &'static str = "umap";

    fn parts(&self) -> Parts {
        let parts = Parts::default().tensor("points", &self.points).set("steps", self.steps);
        parts.within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<UmapEmbedding> {
        let unfinished = parts.take_within(STATE).map(Box::new);
        Ok(UmapEmbedding { points: parts.take("points")?, steps: parts.count("steps")?, unfinished })
    }
}

impl Display for UmapEmbedding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [n, m] = [self.points.shape()[0], self.points.shape()[1]];
        write!(f, "umap: {n} rows in {m} dimensions after {} steps", self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_umap_learn() {
        // umap.umap_.find_ab_params(1.0, 0.1) and (1.0, 0.5), umap-learn 0.5.
        for (min_distance, expected) in [(0.1, (1.576_943_5, 0.895_060_9)), (0.5, (0.583_030_0, 1.334_167_0))] {
            let found = curve(min_distance, 1.0);
            assert!((found.0 - expected.0).abs() < 1e-3 && (found.1 - expected.1).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn weights_are_those_of_the_fuzzy_union() {
        // Rows 0 and 1 are in each other's lists, 2 is only in those of 0 and 1, and its own list has 0 and 1.
        let members = [0.5, 0.25, 1.0, 0.5, 0.75, 0.5];
        let index = [1, 2, 0, 2, 0, 1];
        let (weights, degrees) = edges(&members, &index, 3, 2);
        let (ab, ac, bc) = (1.0, 0.25 + 0.75 - 0.1875, 0.5 + 0.5 - 0.25);
        let expected = [ab / 2.0, ac / 2.0, ab / 2.0, bc / 2.0, ac / 2.0, bc / 2.0];
        assert!(weights.iter().zip(expected).all(|(w, e)| (f64::from(*w) - e).abs() < 1e-6), "{weights:?}");
        assert!((f64::from(degrees[0]) - (ab + ac)).abs() < 1e-6, "{degrees:?}");
        let found = memberships(&[1.0, 2.0, 3.0, 1.0, 1.0, 5.0], 3);
        for row in found.chunks_exact(3) {
            assert!(row[0] == 1.0 && (row.iter().sum::<f64>() - 2.0).abs() < 1e-4 || row[1] == 1.0, "{row:?}");
        }
    }
}
