//! k-means: seeding by greedy k-means++, Lloyd's iterations on the device, repair of empty clusters, restarts.
//!
//! An iteration is one program over tiles of rows: scores by a product, the nearest centre, sums by scatter. The matrix of
//! all distances never exists. The host reads two numbers every few iterations.

mod mini_batch;
mod seeding;

pub use mini_batch::MiniBatchKMeans;
pub use seeding::Seeding;

use std::fmt::{Display, Formatter};

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::resume::{STATE, Unfinished, check, copied, state};
use super::store::{Model, Parts};
use super::{Rows, Run, by_tile, part, ranges, rows, squared_distances, total, wrong};
use crate::data::Draws;
use crate::events::Listener;

const METHOD: &str = "k-means";

/// How to cluster by k-means: the sum of squared distances to the nearest of `clusters` centres (the inertia) is made small.
///
/// Sources: Lloyd, "Least squares quantization in PCM" (1982); Arthur and Vassilvitskii, "k-means++" (2007), with the greedy
/// local trials of scikit-learn. Defaults are scikit-learn's, with ten restarts.
#[derive(Clone, Debug)]
pub struct KMeans {
    /// Number of clusters; 8.
    pub clusters: usize,
    /// Where centres begin; greedy k-means++.
    pub seeding: Seeding,
    /// Starts with other random numbers; the one with the least inertia is kept; 10. Given centres start once.
    pub n_init: usize,
    /// Iterations per start at most; 300.
    pub max_iterations: usize,
    /// A start ends when the squared movement of all centres is at most this times the mean variance of the features; 1e-4.
    pub tolerance: f64,
    /// What nearest means; Euclidean.
    pub metric: Distance,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

/// What nearest means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distance {
    /// Squared Euclidean distance.
    #[default]
    Euclidean,
    /// Angles: rows and centres are scaled to length 1 (spherical k-means). Rows of zeros stay zero.
    /// Source: Dhillon and Modha, "Concept decompositions for large sparse text data" (2001).
    Spherical,
}

impl Default for KMeans {
    fn default() -> KMeans {
        KMeans {
            clusters: 8,
            seeding: Seeding::PlusPlus,
            n_init: 10,
            max_iterations: 300,
            tolerance: 1e-4,
            metric: Distance::Euclidean,
            seed: 0,
        }
    }
}

/// Fitted centres.
#[derive(Clone, Debug)]
pub struct KMeansModel {
    /// `[clusters, features]`.
    pub centers: Tensor,
    /// The sum of squared distances of the data to their centres (of scaled rows, if spherical).
    pub inertia: f64,
    /// Iterations of the start that was kept.
    pub iterations: usize,
    /// Whether that start ended by itself.
    pub converged: bool,
    /// What nearest means.
    pub metric: Distance,
    /// What a person should know: fewer distinct rows than clusters, an end before convergence.
    pub warnings: Vec<String>,
    unfinished: Unfinished,
}

/// The best start so far.
struct Best {
    inertia: f64,
    centers: Tensor,
    iterations: usize,
    converged: bool,
}

impl KMeans {
    /// Clusters the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are fewer rows than clusters, a number is NaN or infinite, or the device
    /// fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<KMeansModel> {
        self.go(device, data, None, None)
    }

    /// As [`KMeans::fit`], telling a listener `shift` every few iterations; if it stops the run, the best
    /// centres so far are the model, and [`KMeans::resume`] goes on.
    ///
    /// # Errors
    /// As [`KMeans::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<KMeansModel> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is; one that ended by `max_iterations` goes on if there are more now.
    ///
    /// # Errors
    /// As [`KMeans::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &KMeansModel,
        listener: &mut dyn Listener,
    ) -> Result<KMeansModel> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(model.centers.device(), data, Some(state), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<&Parts>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<KMeansModel> {
        self.check()?;
        let x = prepare(&rows::load(METHOD, data, device)?, self.metric)?;
        let rows = x.shape()[0];
        if rows < self.clusters {
            return Err(wrong(METHOD, format!("{rows} rows cannot make {} clusters; ask for fewer", self.clusters)));
        }
        let mut warnings = Vec::new();
        let mean = x.mean(0);
        let spread = x.var(0, 0).mean(()).item()?;
        // |x|² - 2 x·c loses digits if the mean is far from 0 compared with the spread: then it is taken off.
        let far = self.metric == Distance::Euclidean && mean.square().mean(()).item()? > spread;
        let x = if far { (&x - &mean).realize()?.clone() } else { x };
        let shift = far.then_some(mean);

        let starts = if let Seeding::Given(_) = self.seeding { 1 } else { self.n_init };
        let mut seeder = seeding::Seeder::new(&x, self, shift.as_ref())?;
        let mut lloyd = Lloyd::new(&x, self, self.tolerance * spread)?;
        let sizes = [("rows", rows), ("features", x.shape()[1]), ("clusters", self.clusters)];
        let (mut start, mut iterations, mut done, mut best) = (0, 0, 0, None);
        if let Some(from) = from {
            check(from, METHOD, &sizes)?;
            (start, iterations, done) = (from.count("start")?, from.count("iterations")?, from.count("done")?);
            lloyd.too_few = from.flag("too_few")?;
            let mut from = from.clone();
            if iterations > 0 {
                lloyd.centers.write(&from.take("centers")?.to_vec::<f32>()?)?;
            }
            best = from.take_within("best").map(Best::from_parts).transpose()?;
        }
        let mut run = Run::begin(listener, METHOD, done as u64, None)?;
        let mut unfinished = None;
        while start < starts {
            if iterations == 0 {
                seeder.seed(&lloyd.centers, &mut Draws::new(self.seed, start as u64))?;
            }
            let before = iterations;
            let converged = lloyd.iterate(&mut run, (done - before) as u64, &mut iterations)?;
            done += iterations - before;
            let found =
                Best { inertia: lloyd.inertia()?, centers: copied(&lloyd.centers.get())?, iterations, converged };
            let better = best.as_ref().is_none_or(|best| found.inertia < best.inertia);
            // Iterations of this start are left, or more may be given.
            let cut = !converged && (iterations < self.max_iterations || start + 1 == starts && better);
            if !cut {
                (start, iterations) = (start + 1, 0);
            }
            if cut || run.is_stopped() && start < starts {
                let mut at = state(device, METHOD, &sizes).set("start", start).set("iterations", iterations);
                at = at.set("done", done).set("too_few", lloyd.too_few).tensor("centers", &found.centers);
                let kept = if !cut && better { Some(&found) } else { best.as_ref() };
                unfinished = Some(Box::new(at.within("best", kept.map(Best::parts))));
            }
            if better {
                best = Some(found);
            }
            if unfinished.is_some() {
                break;
            }
        }
        let Best { inertia, centers, iterations, converged } =
            best.ok_or_else(|| wrong(METHOD, "no start was made"))?;
        if lloyd.too_few {
            let text =
                format!("{METHOD}: there are fewer distinct rows than {} clusters; some are empty", self.clusters);
            run.warn(&mut warnings, text)?;
        }
        run.end(METHOD, (converged, unfinished.is_some()), iterations, &mut warnings)?;
        let centers = match shift {
            Some(mean) => (centers + mean).realize()?.clone(),
            None => centers,
        };
        Ok(KMeansModel { centers, inertia, iterations, converged, metric: self.metric, warnings, unfinished })
    }

    fn check(&self) -> Result<()> {
        if self.clusters == 0 || self.n_init == 0 || self.max_iterations == 0 {
            return Err(wrong(METHOD, "clusters, n_init and max_iterations must be at least 1"));
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(wrong(METHOD, format!("the tolerance is {}; give 0 or a positive number", self.tolerance)));
        }
        Ok(())
    }
}

/// Rows as the metric wants them.
fn prepare(x: &Tensor, metric: Distance) -> Result<Tensor> {
    Ok(match metric {
        Distance::Euclidean => x.clone(),
        Distance::Spherical => unit(x).realize()?.clone(),
    })
}

/// Rows scaled to length 1; zeros stay.
pub(crate) fn unit(x: &Tensor) -> Tensor {
    let length = x.square().sum_keep(1).sqrt();
    x / length.gt(0.0).select(&length, 1.0)
}

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
fn inertia(x: &Tensor, centers: &Tensor) -> Result<f64> {
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
struct Lloyd {
    x: Tensor,
    centers: Var,
    step: Program<'static, (), Tensor>,
    max_iterations: usize,
    threshold: f64,
    /// Iterations between reads: reading costs about as much as 2^25 multiplications on a GPU.
    every: usize,
    /// Whether an empty cluster could not be repaired.
    too_few: bool,
}

impl Lloyd {
    fn new(x: &Tensor, config: &KMeans, threshold: f64) -> Result<Lloyd> {
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
    fn iterate(&mut self, run: &mut Run<'_>, before: u64, done: &mut usize) -> Result<bool> {
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

    fn inertia(&self) -> Result<f64> {
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

impl Best {
    fn parts(&self) -> Parts {
        let parts = Parts::default().tensor("centers", &self.centers).list("inertia", &[self.inertia]);
        parts.set("iterations", self.iterations).set("converged", self.converged)
    }

    fn from_parts(mut parts: Parts) -> Result<Best> {
        let [inertia] = parts.take_list("inertia")?;
        let (iterations, converged) = (parts.count("iterations")?, parts.flag("converged")?);
        Ok(Best { inertia, centers: parts.take("centers")?, iterations, converged })
    }
}

impl KMeansModel {
    /// The number of the nearest centre of each row: i32 `[rows]`.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn predict(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let x = self.load_rows(data)?;
        Ok(by_tile(&x, self.width(), |tile| nearest(tile, &self.centers)).realize()?.clone())
    }

    /// Euclidean distances to all centres: `[rows, clusters]`.
    ///
    /// # Errors
    /// As [`KMeansModel::predict`].
    pub fn transform(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let x = self.load_rows(data)?;
        Ok(by_tile(&x, self.width(), |tile| squared_distances(tile, &self.centers).sqrt()).realize()?.clone())
    }

    /// The sum of squared distances of `data` to the nearest centres.
    ///
    /// # Errors
    /// As [`KMeansModel::predict`].
    pub fn inertia_of(&self, data: &(impl Rows + ?Sized)) -> Result<f64> {
        let x = self.load_rows(data)?;
        inertia(&x, &self.centers)
    }

    fn load_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        prepare(&rows::load_for(METHOD, data, self.centers.shape()[1], self.centers.device())?, self.metric)
    }

    fn width(&self) -> usize {
        self.centers.shape()[0].max(self.centers.shape()[1])
    }
}

impl Model for KMeansModel {
    const KIND: &'static str = "k-means";

    fn parts(&self) -> Parts {
        Parts::default()
            .tensor("centers", &self.centers)
            .set("inertia", self.inertia)
            .set("iterations", self.iterations)
            .set("converged", self.converged)
            .set("spherical", self.metric == Distance::Spherical)
            .set("warnings", self.warnings.clone())
            .within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<KMeansModel> {
        Ok(KMeansModel {
            unfinished: parts.take_within(STATE).map(Box::new),
            centers: parts.take("centers")?,
            inertia: parts.number("inertia")?,
            iterations: parts.count("iterations")?,
            converged: parts.flag("converged")?,
            metric: if parts.flag("spherical")? { Distance::Spherical } else { Distance::Euclidean },
            warnings: parts.texts("warnings"),
        })
    }
}

impl Display for KMeansModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [k, d] = [self.centers.shape()[0], self.centers.shape()[1]];
        let end = if self.converged { "converged" } else { "not converged" };
        write!(
            f,
            "k-means: {k} clusters of {d} features, inertia {:.1}, {end} after {}",
            self.inertia, self.iterations
        )?;
        write!(f, " iterations")?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
