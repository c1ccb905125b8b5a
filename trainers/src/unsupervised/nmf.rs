//! Non-negative matrix factorisation: rows as sums of few non-negative parts.

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::pca::from_f64;
use super::store::{Model, Parts};
use super::{Rows, Run, rows, silent, tiles, total, wrong};
use crate::data::Draws;
use crate::events::Listener;

const METHOD: &str = "nmf";

/// Iterations between looks at the error, as in scikit-learn.
const LOOK: usize = 10;

/// How to factorise a non-negative table: `|X - W H|²` is made small with `W`, `H` non-negative, by multiplicative updates.
///
/// Source: Lee and Seung, "Algorithms for non-negative matrix factorization" (2001), theorem 1. Defaults are those of
/// scikit-learn with `solver="mu"`, and its random start.
#[derive(Clone, Debug)]
pub struct Nmf {
    /// Number of parts; 8.
    pub components: usize,
    /// Where weights `[rows, components]` and parts `[components, features]` begin, all positive (what is 0 stays 0); `None` is
    /// a random start.
    pub start: Option<(Tensor, Tensor)>,
    /// Iterations at most; 200.
    pub max_iterations: usize,
    /// It ends when ten iterations lessen the error by less than this share of the first error; 1e-4.
    pub tolerance: f64,
    /// Decides a random start; 0.
    pub seed: u64,
}

impl Default for Nmf {
    fn default() -> Nmf {
        Nmf { components: 8, start: None, max_iterations: 200, tolerance: 1e-4, seed: 0 }
    }
}

/// Parts.
#[derive(Clone, Debug)]
pub struct NmfModel {
    /// `[components, features]`.
    pub components: Tensor,
    /// `|X - W H|`, the square root of the sum of squares.
    pub error: f64,
    /// Iterations done.
    pub iterations: usize,
    /// Whether it ended by itself.
    pub converged: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
    max_iterations: usize,
    tolerance: f64,
}

/// Factors on the device.
struct Factors {
    x: Tensor,
    weights: Var,
    parts: Var,
}

impl Nmf {
    /// Factorises the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, a number is negative, NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<NmfModel> {
        self.fit_with(device, data, &mut silent)
    }

    /// As [`Nmf::fit`], telling a listener `error` every ten iterations; if it stops the run, the parts are as far as they got.
    ///
    /// # Errors
    /// As [`Nmf::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<NmfModel> {
        if self.components == 0 || self.max_iterations == 0 || self.tolerance.is_nan() || self.tolerance < 0.0 {
            let message = "components and max_iterations must be at least 1, the tolerance 0 or positive";
            return Err(wrong(METHOD, message));
        }
        let x = load(data, None, device)?;
        let (n, d, k) = (x.shape()[0], x.shape()[1], self.components);
        let (weights, parts) = match &self.start {
            Some((weights, parts)) if weights.shape() == [n, k] && parts.shape() == [k, d] => {
                (weights.to_device(device)?, parts.to_device(device)?)
            }
            Some((weights, parts)) => {
                let message = format!("start {:?} and {:?} is not [{n}, {k}]", weights.shape(), parts.shape());
                return Err(wrong(METHOD, format!("{message} and [{k}, {d}]")));
            }
            None => {
                let mut draws = Draws::new(self.seed, 0);
                let scale = scale(&x, k)?;
                let parts = random(&mut draws, scale, [k, d], device)?;
                (random(&mut draws, scale, [n, k], device)?, parts)
            }
        };
        let factors = Factors { x, weights: Var::try_new("weights", &weights)?, parts: Var::try_new("parts", &parts)? };
        let mut run = Run::begin(listener, METHOD, Some(self.max_iterations as u64))?;
        let (error, iterations, converged) = factors.iterate(true, self.max_iterations, self.tolerance, &mut run)?;
        let mut model = NmfModel {
            components: Tensor::try_from_slice(&factors.parts.get().to_vec::<f32>()?, &[k, d], device)?,
            error,
            iterations,
            converged,
            warnings: Vec::new(),
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
        };
        if !converged {
            let text = format!("{METHOD}: not converged after {iterations} iterations; raise max_iterations");
            run.warn(&mut model.warnings, text)?;
        }
        run.end(if converged { "converged" } else { "max_iterations" })?;
        Ok(model)
    }
}

/// A table without negative numbers.
fn load(data: &(impl Rows + ?Sized), features: Option<usize>, device: &Device) -> Result<Tensor> {
    let x = match features {
        Some(features) => rows::load_for(METHOD, data, features, device)?,
        None => rows::load(METHOD, data, device)?,
    };
    if x.min(()).item()? < 0.0 {
        return Err(wrong(METHOD, "the data has negative numbers; shift it, or use Pca"));
    }
    Ok(x)
}

/// The size of numbers of a random start: `k` products of two have the mean of the data.
fn scale(x: &Tensor, k: usize) -> Result<f64> {
    Ok((x.mean(()).item()? / k as f64).sqrt())
}

/// Absolute normal numbers.
fn random(draws: &mut Draws, scale: f64, shape: [usize; 2], device: &Device) -> Result<Tensor> {
    let values: Vec<f64> = (0..shape[0] * shape[1]).map(|_| scale * draws.normal().abs()).collect();
    from_f64(&values, &shape, device)
}

/// `a * up / down`; where nothing is below the line, the divisor is scikit-learn's smallest.
fn updated(a: &Tensor, up: &Tensor, down: &Tensor) -> Tensor {
    a * up / down.eq(0.0).select(f64::from(f32::EPSILON), down)
}

impl Factors {
    /// Updates weights (and parts) until the error stands still; error, iterations done, and whether it does.
    fn iterate(&self, both: bool, most: usize, tolerance: f64, run: &mut Run<'_>) -> Result<(f64, usize, bool)> {
        let mut step = self.program(both);
        let first = self.error()?;
        let (mut error, mut done) = (first, 0);
        while done < most {
            let times = LOOK.min(most - done);
            step.run_times(times, ())?;
            done += times;
            let before = std::mem::replace(&mut error, self.error()?);
            if run.iteration(done as u64, &[("error", error)])? {
                return Ok((error, done, false));
            }
            // `<=`: data of zeros is done at once.
            if times == LOOK && before - error <= tolerance * first {
                return Ok((error, done, true));
            }
        }
        Ok((error, done, false))
    }

    fn program(&self, both: bool) -> Program<'static, (), ()> {
        let (x, weights, parts) = (self.x.clone(), self.weights.clone(), self.parts.clone());
        let device = x.device().clone();
        Program::inference(&device, move |()| {
            let (w, h) = (weights.get(), parts.get());
            let w = updated(&w, &x.matmul(&h.t()), &w.matmul(&h.matmul(&h.t())));
            weights.assign(&w);
            if both {
                parts.assign(&updated(&h, &w.t().matmul(&x), &w.t().matmul(&w).matmul(&h)));
            }
        })
    }

    /// `|X - W H|`, in tiles of rows.
    fn error(&self) -> Result<f64> {
        let (w, h) = (self.weights.get(), self.parts.get());
        let width = self.x.shape()[1];
        let weights = tiles(&w, width);
        let squares = tiles(&self.x, width).into_iter().zip(&weights).map(|(x, w)| (x - w.matmul(&h)).square().sum(1));
        let each: Vec<Tensor> = squares.map(|row| row.sum(())).collect();
        Ok(total(each).map_or(Ok(0.0), |sum| sum.item())?.sqrt())
    }
}

impl NmfModel {
    /// Weights `[rows, components]` of the parts in each row.
    ///
    /// # Errors
    /// If the number of features differs, a number is negative, NaN or infinite, or the device fails.
    pub fn transform(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let device = self.components.device();
        let x = load(data, Some(self.components.shape()[1]), device)?;
        let (n, k) = (x.shape()[0], self.components.shape()[0]);
        let start = Tensor::ones(&[n, k], device) * scale(&x, k)?;
        let factors =
            Factors { x, weights: Var::try_new("weights", &start)?, parts: Var::try_new("parts", &self.components)? };
        factors.iterate(false, self.max_iterations, self.tolerance, &mut Run::begin(&mut silent, METHOD, None)?)?;
        Ok(factors.weights.get().realize()?.clone())
    }

    /// Rows `[rows, features]` of these weights.
    ///
    /// # Errors
    /// If the number of components differs, a number is NaN or infinite, or the device fails.
    pub fn inverse_transform(&self, weights: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let weights = rows::load_for(METHOD, weights, self.components.shape()[0], self.components.device())?;
        Ok(weights.matmul(&self.components).realize()?.clone())
    }
}

impl Model for NmfModel {
    const KIND: &'static str = "nmf";

    fn parts(&self) -> Parts {
        Parts::default()
            .tensor("components", &self.components)
            .set("error", self.error)
            .set("iterations", self.iterations)
            .set("converged", self.converged)
            .set("warnings", self.warnings.clone())
            .set("max_iterations", self.max_iterations)
            .set("tolerance", self.tolerance)
    }

    fn from_parts(mut parts: Parts) -> Result<NmfModel> {
        Ok(NmfModel {
            components: parts.take("components")?,
            error: parts.number("error")?,
            iterations: parts.count("iterations")?,
            converged: parts.flag("converged")?,
            warnings: parts.texts("warnings"),
            max_iterations: parts.count("max_iterations")?,
            tolerance: parts.number("tolerance")?,
        })
    }
}

impl Display for NmfModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [k, d] = [self.components.shape()[0], self.components.shape()[1]];
        let end = if self.converged { "converged" } else { "not converged" };
        write!(
            f,
            "nmf: {k} parts of {d} features, error {:.4}, {end} after {} iterations",
            self.error, self.iterations
        )?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
