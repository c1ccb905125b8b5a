//! k-means: seeding by greedy k-means++, Lloyd's iterations on the device, repair of empty clusters, restarts.
//!
//! The matrix of all distances never exists. The host reads two numbers every few iterations.

mod lloyd;
mod mini_batch;
mod seeding;

pub use mini_batch::MiniBatchKMeans;
pub use seeding::Seeding;

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Result, Tensor};

use super::resume::{STATE, Unfinished, check, copied, state};
use super::store::{Model, Parts};
use super::{Rows, Run, by_tile, rows, squared_distances, wrong};
use crate::data::Draws;
use crate::events::Listener;
use lloyd::{Lloyd, gathered, inertia, nearest, nearest_distance};

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
        let x = rows::load_unchecked(METHOD, data, device)?;
        let rows = x.shape()[0];
        if rows < self.clusters {
            return Err(wrong(METHOD, format!("{rows} rows cannot make {} clusters; ask for fewer", self.clusters)));
        }
        if self.metric == Distance::Spherical {
            rows::check_finite(METHOD, &x, 0)?;
        }
        let x = prepare(&x, self.metric)?;
        let mut warnings = Vec::new();
        let (mean, spread, far) = mean_and_spread(&x)?;
        // |x|² - 2 x·c loses digits if the mean is far from 0 compared with the spread: then it is taken off.
        let far = far && self.metric == Distance::Euclidean;
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

/// Means of the columns, `[features]`, the mean of their variances, and whether the means are large beside these. Of columns near 0 it is
/// `(sum of all x² / rows - sum of means²) / features`. Numbers that are not finite are in that sum, so nobody has to look for them before.
fn mean_and_spread(x: &Tensor) -> Result<(Tensor, f64, bool)> {
    let (rows, features) = (x.shape()[0] as f64, x.shape()[1] as f64);
    let (mean, squares) = (x.mean(0), x.square().sum(()));
    Tensor::realize_all(&[mean.clone(), squares.clone()])?;
    let squares = squares.item()?;
    if !squares.is_finite() {
        rows::check_finite(METHOD, x, 0)?;
        return Err(wrong(METHOD, "the sum of squares is beyond f32; scale the data down"));
    }
    let means = mean.to_f64()?.iter().map(|mean| mean * mean).sum::<f64>() / features;
    let spread = squares / (rows * features) - means;
    let far = means > spread;
    let spread = if far { x.var(0, 0).mean(()).item()? } else { spread };
    Ok((mean, spread, far))
}

/// Rows scaled to length 1; zeros stay.
pub(crate) fn unit(x: &Tensor) -> Tensor {
    let length = x.square().sum_keep(1).sqrt();
    x / length.gt(0.0).select(&length, 1.0)
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
