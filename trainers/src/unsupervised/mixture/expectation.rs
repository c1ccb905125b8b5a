//! One pass over the data: responsibilities under some parameters, and the sums that the next parameters are made of.
//!
//! Around the components' own means nothing cancels, but a difference per row, component and feature is much work. Without
//! covariances between features, squares can be multiplied out: `(x - m)²/v = x²/v - 2 x m/v + m²/v`, which makes two products of
//! matrices of it all. That is done where it costs few digits.

use anygrad_core::{Program, Result, Tensor, Var};

use super::density::{Sums, sums};
use super::{Covariance, GaussianMixture, METHOD, Parameters, Placed, write};
use crate::unsupervised::{part, ranges, wrong};

/// Squares are multiplied out while no component's mean is farther from the mean of all rows than this many of its variances,
/// summed over features. f32 then keeps `1000 eps`, 1e-4, of a log density and of a variance.
const NEAR: f64 = 1000.0;

/// Passes over one table.
pub(super) struct Expectation {
    covariance: Covariance,
    features: usize,
    placed: Placed,
    differences: Program<'static, (), Vec<Tensor>>,
    products: Option<Products>,
}

/// The way by products.
struct Products {
    /// What is taken off all rows first: their mean, `[d]`.
    center: Vec<f64>,
    /// Of a row's numbers and of their squares: `[k, 2d]`.
    factors: Var,
    /// Of a component: `[k]`.
    constants: Var,
    program: Program<'static, (), Vec<Tensor>>,
}

impl Expectation {
    pub(super) fn new(config: &GaussianMixture, x: &Tensor) -> Result<Expectation> {
        let (n, d, k, device) = (x.shape()[0], x.shape()[1], config.components, x.device());
        let placed = config.place(device, d)?;
        let (means, whiteners, constants) = (placed.means.clone(), placed.whiteners.clone(), placed.constants.clone());
        let (table, dense) = (x.clone(), config.dense());
        let differences = Program::inference(device, move |()| {
            let (means, whiteners, constants) = (means.get(), whiteners.get(), constants.get());
            let tile = |(start, end)| sums(&part(&table, start, end), &means, &whiteners, &constants, dense);
            added(ranges(n, k * d).into_iter().map(tile))
        });
        let products = if dense { None } else { Some(Products::new(x, k)?) };
        Ok(Expectation { covariance: config.covariance, features: d, placed, differences, products })
    }

    /// The sums under these parameters.
    pub(super) fn run(&mut self, parameters: &Parameters) -> Result<Sums> {
        let (covariance, d) = (self.covariance, self.features);
        if let Some(products) = &mut self.products {
            let variance =
                |at: usize| parameters.covariances[if covariance == Covariance::Diagonal { at } else { at / d }];
            let k = parameters.weights.len();
            let distance = |c: usize| -> f64 {
                (0..d).map(|j| (parameters.means[c * d + j] - products.center[j]).powi(2) / variance(c * d + j)).sum()
            };
            if (0..k).all(|c| distance(c) <= NEAR) {
                return products.run(parameters, &(0..k * d).map(variance).collect::<Vec<f64>>());
            }
        }
        write(&self.placed, parameters, covariance, d)?;
        Sums::read(&self.differences.run(())?)
    }
}

impl Products {
    fn new(x: &Tensor, k: usize) -> Result<Products> {
        let (n, d, device) = (x.shape()[0], x.shape()[1], x.device());
        let mean = x.mean(0).realize()?.clone();
        let center = mean.to_f64()?;
        let factors = Var::try_new("factors", &Tensor::zeros(&[k, 2 * d], device))?;
        let constants = Var::try_new("constants", &Tensor::zeros(&[k], device))?;
        let (x, of, plus) = (x.clone(), factors.clone(), constants.clone());
        let program = Program::inference(device, move |()| {
            let (factors, constants) = (of.get(), plus.get().unsqueeze(1));
            let tile = |(start, end)| {
                let tile = part(&x, start, end) - &mean;
                let both = Tensor::cat(&[tile.clone(), tile.square()], 1);
                let joint = factors.matmul(&both.t()) + &constants;
                let rows = joint.logsumexp(0);
                let responsibilities = (joint - &rows).exp();
                vec![responsibilities.sum(1), responsibilities.matmul(&both), rows.sum(())]
            };
            added(ranges(n, k.max(2 * d)).into_iter().map(tile))
        });
        Ok(Products { center, factors, constants, program })
    }

    /// `variances`: `[k, d]`, all over 0 (a distance of 0 / 0 or more is not near).
    fn run(&mut self, parameters: &Parameters, variances: &[f64]) -> Result<Sums> {
        let (k, d) = (parameters.weights.len(), self.center.len());
        let away: Vec<f64> = (0..k * d).map(|at| parameters.means[at] - self.center[at % d]).collect();
        let (mut factors, mut constants) = (Vec::with_capacity(2 * k * d), Vec::with_capacity(k));
        for c in 0..k {
            let own = || away[c * d..(c + 1) * d].iter().zip(&variances[c * d..(c + 1) * d]);
            factors.extend(own().map(|(m, v)| (m / v) as f32));
            factors.extend(own().map(|(_, v)| (-0.5 / v) as f32));
            let log: f64 = own().map(|(m, v)| m * m / v + v.ln() + std::f64::consts::TAU.ln()).sum();
            constants.push((parameters.weights[c].ln() - 0.5 * log) as f32);
        }
        self.factors.write(&factors)?;
        self.constants.write(&constants)?;
        let found = self.program.run(())?;
        let [counts, moments, likelihood] = &found[..] else { return Err(wrong(METHOD, "no rows")) };
        let (counts, moments) = (counts.to_f64()?, moments.to_f64()?);
        // From sums around the common mean to sums around each component's.
        let first: Vec<f64> =
            (0..k * d).map(|at| moments[at / d * 2 * d + at % d] - counts[at / d] * away[at]).collect();
        let second = (0..k * d).map(|at| {
            let (square, m) = (moments[at / d * 2 * d + d + at % d], away[at]);
            (square - 2.0 * m * first[at] - counts[at / d] * m * m).max(0.0)
        });
        Ok(Sums { second: second.collect(), counts, first, log_likelihood: likelihood.item()? })
    }
}

/// The sums of tiles, term by term.
fn added(tiles: impl Iterator<Item = Vec<Tensor>>) -> Vec<Tensor> {
    tiles.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect()).unwrap_or_default()
}
