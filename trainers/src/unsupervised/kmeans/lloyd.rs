//! Lloyd's iterations: an iteration is one program over tiles of rows. Scores by a product, the nearest centre, sums by scatter.

use anygrad_core::{DType, Program, Result, Tensor, Var};

use super::{Distance, KMeans, unit};
use crate::unsupervised::{Run, by_tile, part, ranges, total};

/// The number (i32) of the nearest centre of each row: `|c|² - 2 x·c` is least where the distance is.
pub(crate) fn nearest(x: &Tensor, centers: &Tensor) -> Tensor {
    (x.matmul(&(centers * -2.0).t()) + centers.square().sum(1)).argmin(1)
}

/// The squared distance `[rows]` of each row to its nearest centre, without cancellation.
pub(crate) fn nearest_distance(x: &Tensor, centers: &Tensor) -> Tensor {
    let own = centers.index_select(0, &nearest(x, centers));
    (x - own).square().sum(1)
}

/// The sum of squared distances to the nearest centres, added up in f64.
pub(super) fn inertia(x: &Tensor, centers: &Tensor) -> Result<f64> {
    let width = centers.shape()[0].max(centers.shape()[1]);
    Ok(by_tile(x, width, |tile| nearest_distance(tile, centers)).to_f64()?.iter().sum())
}

/// Sums `[clusters, features]` and numbers (i32 `[clusters]`) of the rows of each cluster.
pub(crate) fn gathered(x: &Tensor, labels: &Tensor, clusters: usize) -> (Tensor, Tensor) {
    let sums = x.scatter_sum(0, &labels.unsqueeze(1).broadcast_to(x.shape()), clusters);
    let ones = Tensor::full(labels.shape(), 1.0, DType::I32, x.device());
    (sums, ones.scatter_sum(0, labels, clusters))
}

/// Lloyd's iterations on one table.
pub(super) struct Lloyd {
    x: Tensor,
    pub(super) centers: Var,
    step: Program<'static, (), Tensor>,
    max_iterations: usize,
    threshold: f64,
    /// Iterations between reads: reading costs about as much as 2^25 multiplications on a GPU.
    every: usize,
    /// Whether an empty cluster could not be repaired.
    pub(super) too_few: bool,
}

impl Lloyd {
    pub(super) fn new(x: &Tensor, config: &KMeans, threshold: f64) -> Result<Lloyd> {
        let (k, [rows, d]) = (config.clusters, [x.shape()[0], x.shape()[1]]);
        let device = x.device();
        let centers = Var::try_new("centers", &Tensor::zeros(&[k, d], device))?;
        let (data, var, metric) = (x.clone(), centers.clone(), config.metric);
        let step = Program::inference(device, move |()| {
            let old = var.get();
            let (mut sums, mut counts) = (Vec::new(), Vec::new());
            for (start, end) in ranges(rows, k.max(d)) {
                let tile = part(&data, start, end);
                let (sum, count) = gathered(&tile, &nearest(&tile, &old), k);
                sums.push(sum);
                counts.push(count);
            }
            let (Some(sums), Some(counts)) = (total(sums), total(counts)) else { return old.sum(()) };
            let counts = counts.cast(DType::F32).unsqueeze(1);
            let mean = match metric {
                Distance::Euclidean => sums / counts.maximum(1.0),
                Distance::Spherical => unit(&sums),
            };
            let new = counts.gt(0.0).select(mean, &old);
            var.assign(&new);
            let empty = counts.eq(0.0).cast(DType::F32).sum(());
            Tensor::stack(&[(new - old).square().sum(()), empty], 0)
        });
        let every = ((1 << 25) / (rows * k * d).max(1)).clamp(1, 8);
        let max_iterations = config.max_iterations;
        Ok(Lloyd { x: x.clone(), centers, step, max_iterations, threshold, every, too_few: false })
    }

    /// Iterates until the centres stand still, `done` counting; whether they do. The listener hears of `before` iterations more.
    pub(super) fn iterate(&mut self, run: &mut Run<'_>, before: u64, done: &mut usize) -> Result<bool> {
        while *done < self.max_iterations {
            // Looks fall on the same iterations, wherever a fit was stopped.
            let times = (self.every - *done % self.every).min(self.max_iterations - *done);
            let state = self.step.run_times(times, ())?.to_f64()?;
            *done += times;
            let (shift, empty) = (state[0], state[1]);
            let repaired = empty > 0.0 && self.repair()?;
            let converged = shift <= self.threshold && !repaired;
            if run.iteration(before + *done as u64, &[("shift", shift)])? || converged {
                return Ok(converged);
            }
        }
        Ok(false)
    }

    pub(super) fn inertia(&self) -> Result<f64> {
        inertia(&self.x, &self.centers.get())
    }

    /// Moves the centres of empty clusters to the rows that are farthest from theirs; false if there are none farther than 0.
    fn repair(&mut self) -> Result<bool> {
        let [k, d] = [self.centers.shape()[0], self.centers.shape()[1]];
        let centers = self.centers.get();
        let distances = by_tile(&self.x, k.max(d), |tile| nearest_distance(tile, &centers)).to_vec::<f32>()?;
        let labels = by_tile(&self.x, k.max(d), |tile| nearest(tile, &centers)).to_vec::<i32>()?;
        let mut counts = vec![0usize; k];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        let empty: Vec<usize> = (0..k).filter(|&c| counts[c] == 0).collect();
        let mut order: Vec<usize> = (0..distances.len()).collect();
        let first = empty.len().min(order.len() - 1);
        order.select_nth_unstable_by(first, |&a, &b| distances[b].total_cmp(&distances[a]));
        order.truncate(empty.len());
        order.retain(|&row| distances[row] > 0.0);
        self.too_few = order.len() < empty.len();
        if order.is_empty() {
            return Ok(false);
        }
        let rows: Vec<u32> = order.iter().map(|&row| row as u32).collect();
        let index = Tensor::try_from_slice(&rows, &[rows.len()], self.x.device())?;
        let moved = self.x.index_select(0, &index).to_vec::<f32>()?;
        let mut values = centers.to_vec::<f32>()?;
        drop(centers);
        for (&cluster, row) in empty.iter().zip(moved.chunks_exact(d)) {
            values[cluster * d..(cluster + 1) * d].copy_from_slice(row);
        }
        self.centers.write(&values)?;
        Ok(true)
    }
}
