//! Gaussian mixtures by expectation and maximisation, in log space.
//!
//! One program goes over tiles of rows: log densities through whitened differences, responsibilities, and the sums that the
//! next parameters are made of, taken around the present means, so that nothing cancels. The parameters themselves
//! (clusters x features² numbers) are finished on the host in f64.

mod beginning;
mod density;
mod expectation;

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Result, Tensor, Var};

use super::kmeans::{KMeans, KMeansModel};
use super::linear::{cholesky, lower_inverse, product, transposed};
use super::pca::from_f64;
use super::store::{Model, Parts};
use super::{Rows, Run, by_tile, part, ranges, rows, silent, wrong};
use crate::events::Listener;
use density::{Sums, log_densities};
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
        self.fit_with(device, data, &mut silent)
    }

    /// As [`GaussianMixture::fit`], telling a listener `log_likelihood` at each iteration.
    ///
    /// # Errors
    /// As [`GaussianMixture::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<GaussianMixtureModel> {
        self.check()?;
        let x = rows::load(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        if n < self.components {
            return Err(wrong(METHOD, format!("{n} rows cannot make {} components; ask for fewer", self.components)));
        }
        let mut run = Run::begin(listener, METHOD, Some((self.n_init * self.max_iterations) as u64))?;
        let mut expectation = Expectation::new(self, &x)?;
        let some = beginning::sample(&x, self.components)?;
        let mut short = Expectation::new(self, &some)?;
        let mut best: Option<GaussianMixtureModel> = None;
        let mut done = 0;
        for start in 0..self.n_init {
            let mut parameters = self.begin(&some, &mut short, start)?;
            let (mut last, mut iterations, mut converged) = (f64::NEG_INFINITY, 0, false);
            while iterations < self.max_iterations && !converged {
                let sums = expectation.run(&parameters)?;
                parameters = self.maximise(&parameters, &sums, n, d);
                let likelihood = sums.log_likelihood / n as f64;
                (iterations, done) = (iterations + 1, done + 1);
                converged = (likelihood - last).abs() < self.tolerance;
                last = likelihood;
                if run.iteration(done, &[("log_likelihood", likelihood)])? {
                    break;
                }
            }
            if best.as_ref().is_none_or(|best| last > best.log_likelihood) {
                best = Some(GaussianMixtureModel {
                    weights: parameters.weights,
                    means: parameters.means,
                    covariances: parameters.covariances,
                    covariance: self.covariance,
                    log_likelihood: last,
                    iterations,
                    converged,
                    warnings: Vec::new(),
                    features: d,
                    device: device.clone(),
                });
            }
            if run.is_stopped() {
                break;
            }
        }
        let mut model = best.ok_or_else(|| wrong(METHOD, "the log-likelihood is NaN; scale the data"))?;
        if !model.converged {
            let text = format!(
                "{METHOD}: not converged after {} iterations; raise max_iterations or tolerance",
                model.iterations
            );
            run.warn(&mut model.warnings, text)?;
        }
        run.end(if model.converged { "converged" } else { "max_iterations" })?;
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

impl GaussianMixtureModel {
    /// The likeliest component of each row: i32 `[rows]`.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn predict(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        self.each(data, |joint| joint.argmax(1))
    }

    /// The probability of each component for each row: `[rows, components]`.
    ///
    /// # Errors
    /// As [`GaussianMixtureModel::predict`].
    pub fn predict_probability(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        self.each(data, |joint| joint.softmax(1))
    }

    /// The log-likelihood of each row: `[rows]`.
    ///
    /// # Errors
    /// As [`GaussianMixtureModel::predict`].
    pub fn score_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        self.each(data, |joint| joint.logsumexp(1))
    }

    /// The mean log-likelihood of a row.
    ///
    /// # Errors
    /// As [`GaussianMixtureModel::predict`].
    pub fn score(&self, data: &(impl Rows + ?Sized)) -> Result<f64> {
        let rows = self.score_rows(data)?.to_f64()?;
        Ok(rows.iter().sum::<f64>() / rows.len() as f64)
    }

    /// Bayesian information criterion: `-2 log-likelihood + parameters ln(rows)`; the lower, the better.
    ///
    /// # Errors
    /// As [`GaussianMixtureModel::predict`].
    pub fn bic(&self, data: &(impl Rows + ?Sized)) -> Result<f64> {
        let n = data.dimensions()?.0 as f64;
        Ok(-2.0 * self.score(data)? * n + self.parameters() as f64 * n.ln())
    }

    /// Akaike's information criterion: `-2 log-likelihood + 2 parameters`; the lower, the better.
    ///
    /// # Errors
    /// As [`GaussianMixtureModel::predict`].
    pub fn aic(&self, data: &(impl Rows + ?Sized)) -> Result<f64> {
        let n = data.dimensions()?.0 as f64;
        Ok(-2.0 * self.score(data)? * n + 2.0 * self.parameters() as f64)
    }

    /// Free parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let (k, d) = (self.weights.len(), self.features);
        let covariances = match self.covariance {
            Covariance::Full => k * d * (d + 1) / 2,
            Covariance::Diagonal => k * d,
            Covariance::Tied => d * (d + 1) / 2,
            Covariance::Spherical => k,
        };
        covariances + k * d + k - 1
    }

    /// Something of the joint log densities `[tile, components]` of each tile of rows.
    fn each(&self, data: &(impl Rows + ?Sized), each: impl Fn(&Tensor) -> Tensor) -> Result<Tensor> {
        let x = rows::load_for(METHOD, data, self.features, &self.device)?;
        let (k, d) = (self.weights.len(), self.features);
        let config = GaussianMixture { components: k, covariance: self.covariance, ..GaussianMixture::default() };
        let placed = config.place(&self.device, d)?;
        let parameters = Parameters {
            weights: self.weights.clone(),
            means: self.means.clone(),
            covariances: self.covariances.clone(),
        };
        write(&placed, &parameters, self.covariance, d)?;
        let (means, whiteners, constants) = (placed.means.get(), placed.whiteners.get(), placed.constants.get());
        let rows =
            by_tile(&x, k * d, |tile| each(&log_densities(tile, &means, &whiteners, &constants, config.dense()).t()));
        Ok(rows.realize()?.clone())
    }

    /// Draws `count` rows: f32 `[count, features]`, and the component of each.
    ///
    /// # Errors
    /// If a covariance is singular, or the device fails.
    pub fn sample(&self, count: usize, seed: u64) -> Result<(Tensor, Vec<i32>)> {
        use super::pca::gauss;
        let (k, d) = (self.weights.len(), self.features);
        let mut draws = crate::data::Draws::new(seed, 0);
        let singular = || wrong(METHOD, "a covariance is singular; the model was not made by a fit");
        let roots: Vec<Vec<f64>> = match self.covariance {
            Covariance::Full => self
                .covariances
                .chunks_exact(d * d)
                .map(|m| cholesky(m, d).ok_or_else(singular))
                .collect::<Result<_>>()?,
            Covariance::Tied => vec![cholesky(&self.covariances, d).ok_or_else(singular)?],
            Covariance::Diagonal => self.covariances.chunks_exact(d).map(|v| diagonal(v.iter().copied(), d)).collect(),
            Covariance::Spherical => self.covariances.iter().map(|&v| diagonal(std::iter::repeat_n(v, d), d)).collect(),
        };
        let (mut values, mut labels) = (Vec::with_capacity(count * d), Vec::with_capacity(count));
        for _ in 0..count {
            let mut rest = draws.uniform();
            let reached = |w: &f64| {
                rest -= w;
                rest < 0.0
            };
            let c = self.weights.iter().position(reached).unwrap_or(k - 1);
            let noise: Vec<f64> = (0..d).map(|_| gauss(&mut draws)).collect();
            let moved = product(&roots[c.min(roots.len() - 1)], &noise, [d, d, 1]);
            values.extend(moved.iter().zip(&self.means[c * d..]).map(|(x, mean)| x + mean));
            labels.push(c as i32);
        }
        Ok((from_f64(&values, &[count, d], &self.device)?, labels))
    }
}

/// A diagonal matrix of roots.
fn diagonal(variances: impl Iterator<Item = f64>, d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    variances.enumerate().for_each(|(i, v)| out[i * d + i] = v.sqrt());
    out
}

impl Model for GaussianMixtureModel {
    const KIND: &'static str = "gaussian mixture";

    fn parts(&self) -> Parts {
        let name = match self.covariance {
            Covariance::Full => "full",
            Covariance::Diagonal => "diagonal",
            Covariance::Tied => "tied",
            Covariance::Spherical => "spherical",
        };
        Parts::default()
            .set("weights", self.weights.clone())
            .set("means", self.means.clone())
            .set("covariances", self.covariances.clone())
            .set("covariance", name)
            .set("log_likelihood", self.log_likelihood)
            .set("iterations", self.iterations)
            .set("converged", self.converged)
            .set("warnings", self.warnings.clone())
    }

    fn from_parts(parts: Parts) -> Result<GaussianMixtureModel> {
        let covariance = match parts.text("covariance")?.as_str() {
            "full" => Covariance::Full,
            "diagonal" => Covariance::Diagonal,
            "tied" => Covariance::Tied,
            "spherical" => Covariance::Spherical,
            _ => return Err(parts.missing("covariance")),
        };
        let (weights, means) = (parts.numbers("weights")?, parts.numbers("means")?);
        if weights.is_empty() || means.is_empty() || means.len() % weights.len() != 0 {
            return Err(parts.missing("means"));
        }
        let (k, d) = (weights.len(), means.len() / weights.len());
        let covariances = parts.numbers("covariances")?;
        let expected = match covariance {
            Covariance::Full => k * d * d,
            Covariance::Diagonal => k * d,
            Covariance::Tied => d * d,
            Covariance::Spherical => k,
        };
        if covariances.len() != expected {
            return Err(parts.missing("covariances"));
        }
        Ok(GaussianMixtureModel {
            weights,
            means,
            covariances,
            covariance,
            log_likelihood: parts.number("log_likelihood")?,
            iterations: parts.count("iterations")?,
            converged: parts.flag("converged")?,
            warnings: parts.texts("warnings"),
            features: d,
            device: parts.device()?,
        })
    }
}

impl Display for GaussianMixtureModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (k, d) = (self.weights.len(), self.features);
        let end = if self.converged { "converged" } else { "not converged" };
        write!(f, "gaussian mixture: {k} components of {d} features ({:?}), ", self.covariance)?;
        write!(f, "log-likelihood {:.4} per row, {end} after {} iterations", self.log_likelihood, self.iterations)?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
