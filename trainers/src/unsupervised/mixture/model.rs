//! What a fitted mixture can do.

use std::fmt::{Display, Formatter};

use anygrad_core::{Result, Tensor};

use super::density::log_densities;
use super::{Covariance, GaussianMixture, GaussianMixtureModel, METHOD, Parameters, write};
use crate::unsupervised::linear::{cholesky, product};
use crate::unsupervised::pca::from_f64;
use crate::unsupervised::resume::STATE;
use crate::unsupervised::store::{Model, Parts};
use crate::unsupervised::{Rows, by_tile, rows, wrong};

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

    pub(super) fn into_parameters(self) -> Parameters {
        Parameters { weights: self.weights, means: self.means, covariances: self.covariances }
    }

    /// Something of the joint log densities `[tile, components]` of each tile of rows.
    fn each(&self, data: &(impl Rows + ?Sized), each: impl Fn(&Tensor) -> Tensor) -> Result<Tensor> {
        let x = rows::load_for(METHOD, data, self.features, &self.device)?;
        let (k, d) = (self.weights.len(), self.features);
        let config = GaussianMixture { components: k, covariance: self.covariance, ..GaussianMixture::default() };
        let placed = config.place(&self.device, d)?;
        let parameters = self.clone().into_parameters();
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
        use crate::unsupervised::pca::gauss;
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
            .within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<GaussianMixtureModel> {
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
            unfinished: parts.take_within(STATE).map(Box::new),
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
