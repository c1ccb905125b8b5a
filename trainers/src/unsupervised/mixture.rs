//! Gaussian mixtures by expectation and maximisation, in log space.
//!
//! One program goes over tiles of rows: log densities through whitened differences, responsibilities, and the sums that the
//! next parameters are made of, taken around the present means, so that nothing cancels. The parameters themselves
//! (clusters x features² numbers) are finished on the host in f64.

mod beginning;
mod density;
mod expectation;
mod model;

use anygrad_core::{Device, Result, Tensor, Var};

use super::kmeans::{KMeans, KMeansModel};
use super::linear::{cholesky, lower_inverse, transposed};
use super::resume::{Unfinished, check, state};
use super::store::{Model, Parts};
use super::{Rows, Run, part, ranges, rows, wrong};
use crate::events::Listener;
use density::Sums;
use expectation::Expectation;

const METHOD: &str = "gaussian mixture";

/// Which covariances the components of a mixture may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covariance {
    /// Any, each component its own.
    #[default]
    Full,
    /// A variance per feature, each component its own.
    Diagonal,
    /// Any, the same for all components.
    Tied,
    /// One variance per component.
    Spherical,
}

/// How to fit a mixture of Gaussians. Defaults are scikit-learn's, with the tolerance on the mean log-likelihood.
///
/// Source: Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm" (1977).
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    /// Number of Gaussians; 1.
    pub components: usize,
    /// Which covariances they may have; full.
    pub covariance: Covariance,
    /// Starts, each from the best of ten short runs; the likeliest result is kept; 1.
    pub n_init: usize,
    /// Iterations per start at most; 100.
    pub max_iterations: usize,
    /// A start ends when the mean log-likelihood of a row changes by less; 1e-3.
    pub tolerance: f64,
    /// Added to variances, so that no component collapses onto a row; 1e-6.
    pub floor: f64,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

impl Default for GaussianMixture {
    fn default() -> GaussianMixture {
        GaussianMixture {
            components: 1,
            covariance: Covariance::Full,
            n_init: 1,
            max_iterations: 100,
            tolerance: 1e-3,
            floor: 1e-6,
            seed: 0,
        }
    }
}

/// A fitted mixture.
#[derive(Clone, Debug)]
pub struct GaussianMixtureModel {
    /// Shares of the components, which sum to 1.
    pub weights: Vec<f64>,
    /// `[components, features]`, row-major.
    pub means: Vec<f64>,
    /// Full: `[components, features, features]`; diagonal: `[components, features]`; tied: `[features, features]`; spherical:
    /// `[components]`; row-major.
    pub covariances: Vec<f64>,
    /// Which of these it is.
    pub covariance: Covariance,
    /// Mean log-likelihood of a row of the data, before the last update.
    pub log_likelihood: f64,
    /// Iterations of the start that was kept.
    pub iterations: usize,
    /// Whether that start ended by itself.
    pub converged: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
    unfinished: Unfinished,
    features: usize,
    device: Device,
}

/// Parameters on the host, in f64.
#[derive(Clone, Debug)]
struct Parameters {
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
}

/// Parameters on the device, in the form in which densities are computed.
struct Placed {
    /// `[k, d]`.
    means: Var,
    /// What whitens differences: `[k, d, d]` (full, tied) or `[k, d]`.
    whiteners: Var,
    /// Log weight and log normaliser of each component: `[k]`.
    constants: Var,
}

impl GaussianMixture {
    /// Fits a mixture to the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are fewer rows than components, a number is NaN or infinite, a covariance
    /// stays singular in spite of the floor, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<GaussianMixtureModel> {
        self.go(device, data, None, None)
    }

    /// As [`GaussianMixture::fit`], telling a listener `log_likelihood` at each iteration; if it stops the run, the likeliest
    /// mixture so far is the model, and [`GaussianMixture::resume`] goes on.
    ///
    /// # Errors
    /// As [`GaussianMixture::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<GaussianMixtureModel> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is; one that ended by `max_iterations` goes on if there are more now.
    ///
    /// # Errors
    /// As [`GaussianMixture::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &GaussianMixtureModel,
        listener: &mut dyn Listener,
    ) -> Result<GaussianMixtureModel> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(&model.device, data, Some(state), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<&Parts>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<GaussianMixtureModel> {
        self.check()?;
        let x = rows::load(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        if n < self.components {
            return Err(wrong(METHOD, format!("{n} rows cannot make {} components; ask for fewer", self.components)));
        }
        let mut expectation = Expectation::new(self, &x)?;
        let some = beginning::sample(&x, self.components)?;
        let mut short = Expectation::new(self, &some)?;
        let sizes = [("rows", n), ("features", d), ("components", self.components)];
        let (mut start, mut iterations, mut done, mut last) = (0, 0, 0, f64::NEG_INFINITY);
        let (mut begun, mut best) = (None, None);
        if let Some(from) = from {
            check(from, METHOD, &sizes)?;
            (start, iterations, done) = (from.count("start")?, from.count("iterations")?, from.count("done")?);
            let mut from = from.clone();
            if let Some(at) = from.take_within("at") {
                let at = GaussianMixtureModel::from_parts(at)?;
                (last, begun) = (at.log_likelihood, Some(at.into_parameters()));
            }
            best = from.take_within("best").map(GaussianMixtureModel::from_parts).transpose()?;
        }
        let steps = (self.n_init * self.max_iterations) as u64;
        let mut run = Run::begin(listener, METHOD, done as u64, Some(steps))?;
        let mut unfinished = None;
        while start < self.n_init {
            let mut parameters = match begun.take() {
                Some(parameters) => parameters,
                None => self.begin(&some, &mut short, start)?,
            };
            let mut converged = false;
            while iterations < self.max_iterations && !converged {
                let sums = expectation.run(&parameters)?;
                parameters = self.maximise(&parameters, &sums, n, d);
                let likelihood = sums.log_likelihood / n as f64;
                (iterations, done) = (iterations + 1, done + 1);
                converged = (likelihood - last).abs() < self.tolerance;
                last = likelihood;
                if run.iteration(done as u64, &[("log_likelihood", likelihood)])? {
                    break;
                }
            }
            let found = GaussianMixtureModel {
                weights: parameters.weights,
                means: parameters.means,
                covariances: parameters.covariances,
                covariance: self.covariance,
                log_likelihood: last,
                iterations,
                converged,
                warnings: Vec::new(),
                unfinished: None,
                features: d,
                device: device.clone(),
            };
            let better = best.as_ref().is_none_or(|best: &GaussianMixtureModel| last > best.log_likelihood);
            // Iterations of this start are left, or more may be given.
            let cut = !converged && (iterations < self.max_iterations || start + 1 == self.n_init && better);
            if !cut {
                (start, iterations, last) = (start + 1, 0, f64::NEG_INFINITY);
            }
            if cut || run.is_stopped() && start < self.n_init {
                let at = state(device, METHOD, &sizes).set("start", start).set("iterations", iterations);
                let kept = if !cut && better { Some(&found) } else { best.as_ref() };
                let at = at.set("done", done).within("at", cut.then(|| found.parts()));
                unfinished = Some(Box::new(at.within("best", kept.map(Model::parts))));
            }
            if better {
                best = Some(found);
            }
            if unfinished.is_some() {
                break;
            }
        }
        let mut model = best.ok_or_else(|| wrong(METHOD, "the log-likelihood is NaN; scale the data"))?;
        model.unfinished = unfinished;
        run.end(METHOD, (model.converged, model.unfinished.is_some()), model.iterations, &mut model.warnings)?;
        Ok(model)
    }

    fn check(&self) -> Result<()> {
        if self.components == 0 || self.n_init == 0 || self.max_iterations == 0 {
            return Err(wrong(METHOD, "components, n_init and max_iterations must be at least 1"));
        }
        for (name, value) in [("tolerance", self.tolerance), ("floor", self.floor)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(wrong(METHOD, format!("{name} is {value}; give 0 or a positive number")));
            }
        }
        Ok(())
    }

    /// Whether components are whitened by matrices.
    fn dense(&self) -> bool {
        matches!(self.covariance, Covariance::Full | Covariance::Tied)
    }

    fn place(&self, device: &Device, d: usize) -> Result<Placed> {
        let k = self.components;
        let whiteners = if self.dense() { vec![k, d, d] } else { vec![k, d] };
        Ok(Placed {
            means: Var::try_new("means", &Tensor::zeros(&[k, d], device))?,
            whiteners: Var::try_new("whiteners", &Tensor::zeros(&whiteners, device))?,
            constants: Var::try_new("constants", &Tensor::zeros(&[k], device))?,
        })
    }

    /// Parameters of the clusters that k-means finds.
    fn first(&self, x: &Tensor, start: u64) -> Result<Parameters> {
        let (n, d, k) = (x.shape()[0], x.shape()[1], self.components);
        let seed = self.seed.wrapping_add(start);
        let clusters = KMeans { clusters: k, n_init: 1, seed, ..KMeans::default() }.fit(x.device(), x)?;
        let KMeansModel { centers, .. } = &clusters;
        let labels = clusters.predict(x)?;
        // Hard responsibilities; the sums are the same as in an iteration, around the centres.
        let k_ones = Tensor::ones(&[k], x.device());
        let parts: Vec<Vec<Tensor>> = ranges(n, k * d)
            .into_iter()
            .map(|(start, end)| {
                let (tile, labels) = (part(x, start, end), labels.narrow(0, start, end - start));
                density::weighted(&tile, centers, &labels.one_hot(k).t(), &k_ones.sum(()), self.dense())
            })
            .collect();
        let add = |a: Vec<Tensor>, b: Vec<Tensor>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let sums = Sums::read(&parts.into_iter().reduce(add).unwrap_or_default())?;
        let before = Parameters { weights: vec![0.0; k], means: centers.to_f64()?, covariances: Vec::new() };
        Ok(self.maximise(&before, &sums, n, d))
    }

    /// The next parameters: moments of the rows by their responsibilities.
    fn maximise(&self, before: &Parameters, sums: &Sums, n: usize, d: usize) -> Parameters {
        let k = self.components;
        let tiny = 10.0 * f64::EPSILON;
        let counts: Vec<f64> = sums.counts.iter().map(|c| c + tiny).collect();
        let step: Vec<f64> = (0..k * d).map(|i| sums.first[i] / counts[i / d]).collect();
        let means = before.means.iter().zip(&step).map(|(mean, step)| mean + step).collect();
        let square = |c: usize, i: usize, j: usize| {
            let moved = step[c * d + i] * step[c * d + j];
            sums.second[(c * d + i) * d + j] - counts[c] * moved
        };
        let spread = |c: usize, i: usize| sums.second[c * d + i] / counts[c] - step[c * d + i] * step[c * d + i];
        let floor = |i: usize, j: usize| if i == j { self.floor } else { 0.0 };
        let cells = || (0..d).flat_map(|i| (0..d).map(move |j| (i, j)));
        let covariances = match self.covariance {
            Covariance::Full => {
                let full = |at: usize| {
                    let (c, i, j) = (at / (d * d), at / d % d, at % d);
                    square(c, i, j) / counts[c] + floor(i, j)
                };
                (0..k * d * d).map(full).collect()
            }
            Covariance::Tied => {
                let all = n as f64;
                cells().map(|(i, j)| (0..k).map(|c| square(c, i, j)).sum::<f64>() / all + floor(i, j)).collect()
            }
            Covariance::Diagonal => (0..k * d).map(|at| spread(at / d, at % d).max(0.0) + self.floor).collect(),
            Covariance::Spherical => {
                let mean = |c: usize| (0..d).map(|i| spread(c, i).max(0.0)).sum::<f64>() / d as f64;
                (0..k).map(|c| mean(c) + self.floor).collect()
            }
        };
        let all: f64 = counts.iter().sum();
        Parameters { weights: counts.iter().map(|c| c / all).collect(), means, covariances }
    }
}

/// Puts parameters onto the device.
fn write(placed: &Placed, parameters: &Parameters, covariance: Covariance, d: usize) -> Result<()> {
    let k = parameters.weights.len();
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (mut whiteners, mut logs) = (Vec::new(), Vec::new());
    let dense = |matrix: &[f64], c: usize| -> Result<(Vec<f64>, f64)> {
        let message = || {
            format!(
                "the covariance of component {c} is singular; raise the floor, or leave out features that are constant or copies"
            )
        };
        // What is left of a variance after the features before is noise of f32 sums below a millionth.
        let clear = |l: &Vec<f64>| (0..d).all(|i| l[i * d + i].powi(2) > 1e-6 * matrix[i * d + i]);
        let l = cholesky(matrix, d).filter(clear).ok_or_else(|| wrong(METHOD, message()))?;
        let log = (0..d).map(|i| l[i * d + i].ln()).sum::<f64>();
        Ok((transposed(&lower_inverse(&l, d), d, d), log))
    };
    for c in 0..k {
        match covariance {
            Covariance::Full => {
                let (whitener, log) = dense(&parameters.covariances[c * d * d..(c + 1) * d * d], c)?;
                whiteners.extend(whitener);
                logs.push(log);
            }
            Covariance::Tied if c > 0 => {
                whiteners.extend_from_within(..d * d);
                logs.push(logs[0]);
            }
            Covariance::Tied => {
                let (whitener, log) = dense(&parameters.covariances, c)?;
                whiteners.extend(whitener);
                logs.push(log);
            }
            Covariance::Diagonal | Covariance::Spherical => {
                let variance =
                    |i| parameters.covariances[if covariance == Covariance::Diagonal { c * d + i } else { c }];
                if (0..d).any(|i| variance(i) <= 0.0) {
                    return Err(wrong(METHOD, format!("a variance of component {c} is 0; raise the floor")));
                }
                whiteners.extend((0..d).map(|i| 1.0 / variance(i).sqrt()));
                logs.push((0..d).map(|i| 0.5 * variance(i).ln()).sum());
            }
        }
    }
    let usual = 0.5 * d as f64 * std::f64::consts::TAU.ln();
    let constants: Vec<f64> = parameters.weights.iter().zip(&logs).map(|(w, log)| w.ln() - usual - log).collect();
    placed.means.write(&narrow(&parameters.means))?;
    placed.whiteners.write(&narrow(&whiteners))?;
    placed.constants.write(&narrow(&constants))
}
