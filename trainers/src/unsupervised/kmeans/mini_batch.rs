//! k-means in one or a few passes over a table that need not fit into memory.

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::{Distance, KMeans, KMeansModel, gathered, nearest, nearest_distance};
use crate::data::{Draws, shuffled};
use crate::events::Listener;
use crate::unsupervised::resume::{check, copied, state};
use crate::unsupervised::store::Parts;
use crate::unsupervised::{Rows, Run, rows, wrong};

const METHOD: &str = "mini-batch k-means";

/// How to cluster a stream: each batch moves the centres to the mean of all rows they were nearest to so far.
///
/// Sources: Sculley, "Web-scale k-means clustering" (2010), with the batch form and the reassignment of scikit-learn: centres
/// that get hardly any rows are moved to rows of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatchKMeans {
    /// Number of clusters; 8.
    pub clusters: usize,
    /// Rows of a batch; 1024.
    pub batch: usize,
    /// Passes over the table; 10.
    pub epochs: usize,
    /// A centre with less than this share of the rows of the largest is moved to a random row; 0.01.
    pub reassignment: f64,
    /// Starts tried on the first rows; the best goes on; 3.
    pub n_init: usize,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

impl Default for MiniBatchKMeans {
    fn default() -> MiniBatchKMeans {
        MiniBatchKMeans { clusters: 8, batch: 1024, epochs: 10, reassignment: 0.01, n_init: 3, seed: 0 }
    }
}

impl MiniBatchKMeans {
    /// Clusters the rows of `data`, a batch at a time, batches in an order drawn anew for each pass. The model's inertia is
    /// that of the last pass, each batch measured with the centres before it.
    ///
    /// # Errors
    /// If the configuration is out of range, there are fewer rows than clusters, a number is NaN or infinite, or the device
    /// fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<KMeansModel> {
        self.go(device, data, None, None)
    }

    /// As [`MiniBatchKMeans::fit`], telling a listener `inertia` of each pass; if it stops the run, [`MiniBatchKMeans::resume`]
    /// goes on with the next pass.
    ///
    /// # Errors
    /// As [`MiniBatchKMeans::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<KMeansModel> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is.
    ///
    /// # Errors
    /// As [`MiniBatchKMeans::fit_with`]; if the model was made by another configuration or from a table of another size.
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
        let (n, d) = data.dimensions()?;
        let k = self.clusters;
        if k == 0 || self.batch < k || self.epochs == 0 || self.n_init == 0 {
            let message = "clusters, epochs and n_init must be at least 1, and a batch at least as large as clusters";
            return Err(wrong(METHOD, message));
        }
        if n < k || d == 0 {
            return Err(wrong(METHOD, format!("{n} rows of {d} features cannot make {k} clusters; ask for fewer")));
        }
        let sizes = [("rows", n), ("features", d), ("clusters", k), ("rows in a batch", self.batch)];
        let (first, number, mut passes, mut inertia) = match from {
            Some(from) => {
                check(from, METHOD, &sizes)?;
                let mut from = from.clone();
                let [inertia] = from.take_list("inertia")?;
                (from.take("centers")?, from.take("counts")?, from.count("passes")?, inertia)
            }
            // The first centres are those of k-means on the first rows.
            None => {
                let some = data.tile(0, (3 * self.batch).min(n), device)?;
                rows::check_finite(METHOD, &some, 0)?;
                let config = KMeans { clusters: k, n_init: self.n_init, seed: self.seed, ..KMeans::default() };
                let first = KMeans { max_iterations: 10, ..config }.fit(device, &some)?;
                (first.centers, Tensor::zeros(&[k], device), 0, 0.0)
            }
        };
        let mut run = Run::begin(listener, METHOD, passes as u64, Some(self.epochs as u64))?;
        let (centers, counts) = (Var::try_new("centers", &first)?, Var::try_new("counts", &number)?);
        let mut step = {
            let (centers, counts) = (centers.clone(), counts.clone());
            Program::inference(device, move |x: Tensor| {
                let (old, before) = (centers.get(), counts.get());
                let (sums, number) = gathered(&x, &nearest(&x, &old), k);
                let number = number.cast(DType::F32);
                let after = &before + number;
                let mean = (&old * before.unsqueeze(1) + sums) / after.maximum(1.0).unsqueeze(1);
                centers.assign(&after.gt(0.0).unsqueeze(1).select(mean, &old));
                counts.assign(&after);
                nearest_distance(&x, &old).sum(())
            })
        };
        let batches = n.div_ceil(self.batch);
        while passes < self.epochs {
            let mut sums = Vec::with_capacity(batches);
            // Of the pass alone, so that there is no state to save.
            let mut draws = Draws::new(self.seed, (1 << 32) + passes as u64);
            for number in shuffled(batches, self.seed, passes) {
                let start = number as usize * self.batch;
                let x = data.tile(start, self.batch.min(n - start), device)?;
                if passes == 0 {
                    rows::check_finite(METHOD, &x, start)?;
                }
                sums.push(step.run(x.clone())?);
                if sums.len() % 10 == 0 {
                    self.reassign(&centers, &counts, &x, &mut draws)?;
                }
            }
            passes += 1;
            inertia = sums.iter().map(Tensor::item).sum::<Result<f64>>()?;
            if run.iteration(passes as u64, &[("inertia", inertia)])? {
                break;
            }
        }
        let converged = passes == self.epochs;
        run.done()?;
        let (metric, warnings, iterations) = (Distance::Euclidean, Vec::new(), passes);
        let (centers, counts) = (copied(&centers.get())?, copied(&counts.get())?);
        let unfinished = (!converged).then(|| {
            let at = state(device, METHOD, &sizes).set("passes", passes).list("inertia", &[inertia]);
            Box::new(at.tensor("centers", &centers).tensor("counts", &counts))
        });
        Ok(KMeansModel { centers, inertia, iterations, converged, metric, warnings, unfinished })
    }

    /// Moves centres with hardly any rows to random rows of this batch.
    fn reassign(&self, centers: &Var, counts: &Var, x: &Tensor, draws: &mut Draws) -> Result<()> {
        let mut number = counts.get().to_vec::<f32>()?;
        let most = f64::from(number.iter().copied().fold(0.0, f32::max));
        let poor: Vec<usize> = (0..number.len()).filter(|&c| f64::from(number[c]) < self.reassignment * most).collect();
        if poor.is_empty() {
            return Ok(());
        }
        let least = (0..number.len()).filter(|c| !poor.contains(c)).map(|c| number[c]).fold(f32::INFINITY, f32::min);
        let (d, rows) = (x.shape()[1], x.to_vec::<f32>()?);
        let mut values = centers.get().to_vec::<f32>()?;
        for c in poor {
            let row = draws.below((rows.len() / d) as u64) as usize * d;
            values[c * d..(c + 1) * d].copy_from_slice(&rows[row..row + d]);
            // Enough that it is not moved again at once.
            number[c] = least;
        }
        centers.write(&values)?;
        counts.write(&number)
    }
}
