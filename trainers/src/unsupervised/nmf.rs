//! Non-negative matrix factorisation: rows as sums of few non-negative parts.

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::pca::from_f64;
use super::resume::{STATE, Unfinished, check, copied, state};
use super::store::{Model, Parts};
use super::{Rows, Run, rows, tiles, total, wrong};
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
    unfinished: Unfinished,
    max_iterations: usize,
    tolerance: f64,
}

/// Where iterations stand.
#[derive(Default)]
struct Standing {
    done: usize,
    /// The error at first, and now.
    first: f64,
    error: f64,
    converged: bool,
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
        self.go(device, data, None, None)
    }

    /// As [`Nmf::fit`], telling a listener `error` every ten iterations; if it stops the run, the parts are as far as they got,
    /// and [`Nmf::resume`] goes on.
    ///
    /// # Errors
    /// As [`Nmf::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<NmfModel> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is; one that ended by `max_iterations` goes on if there are more now.
    ///
    /// # Errors
    /// As [`Nmf::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &NmfModel,
        listener: &mut dyn Listener,
    ) -> Result<NmfModel> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(model.components.device(), data, Some(state), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<&Parts>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<NmfModel> {
        if self.components == 0 || self.max_iterations == 0 || self.tolerance.is_nan() || self.tolerance < 0.0 {
            let message = "components and max_iterations must be at least 1, the tolerance 0 or positive";
            return Err(wrong(METHOD, message));
        }
        let x = load(data, None, device)?;
        let (n, d, k) = (x.shape()[0], x.shape()[1], self.components);
        let sizes = [("rows", n), ("features", d), ("components", k)];
        let mut at = Standing::default();
        let (weights, parts) = match (from, &self.start) {
            (Some(from), _) => {
                check(from, METHOD, &sizes)?;
                let mut from = from.clone();
                let [first, error] = from.take_list("errors")?;
                at = Standing { done: from.count("iterations")?, first, error, converged: false };
                (from.take("weights")?, from.take("parts")?)
            }
            (None, Some((weights, parts))) if weights.shape() == [n, k] && parts.shape() == [k, d] => {
                (weights.to_device(device)?, parts.to_device(device)?)
            }
            (None, Some((weights, parts))) => {
                let message = format!("start {:?} and {:?} is not [{n}, {k}]", weights.shape(), parts.shape());
                return Err(wrong(METHOD, format!("{message} and [{k}, {d}]")));
            }
            (None, None) => {
                let mut draws = Draws::new(self.seed, 0);
                let scale = scale(&x, k)?;
                let parts = random(&mut draws, scale, [k, d], device)?;
                (random(&mut draws, scale, [n, k], device)?, parts)
            }
        };
        let factors = Factors { x, weights: Var::try_new("weights", &weights)?, parts: Var::try_new("parts", &parts)? };
        let mut run = Run::begin(listener, METHOD, at.done as u64, Some(self.max_iterations as u64))?;
        if from.is_none() {
            at.first = factors.error()?;
            at.error = at.first;
        }
        factors.iterate(true, &mut at, self.max_iterations, self.tolerance, &mut run)?;
        let Standing { done: iterations, first, error, converged } = at;
        let components = copied(&factors.parts.get())?;
        let unfinished = if converged {
            None
        } else {
            let at = state(device, METHOD, &sizes).set("iterations", iterations).list("errors", &[first, error]);
            Some(Box::new(at.tensor("weights", &copied(&factors.weights.get())?).tensor("parts", &components)))
        };
        let mut model = NmfModel {
            components,
            error,
            iterations,
            converged,
            warnings: Vec::new(),
            unfinished,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
        };
        run.end(METHOD, (converged, !converged), iterations, &mut model.warnings)?;
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
    /// Updates weights (and parts) until the error stands still.
    fn iterate(&self, both: bool, at: &mut Standing, most: usize, tolerance: f64, run: &mut Run<'_>) -> Result<()> {
        let mut step = self.program(both);
        while at.done < most && !at.converged {
            let times = (LOOK - at.done % LOOK).min(most - at.done);
            step.run_times(times, ())?;
            at.done += times;
            let before = std::mem::replace(&mut at.error, self.error()?);
            // `<=`: data of zeros is done at once.
            at.converged = times == LOOK && before - at.error <= tolerance * at.first;
            if run.iteration(at.done as u64, &[("error", at.error)])? {
                break;
            }
        }
        Ok(())
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
        let error = factors.error()?;
        let mut at = Standing { first: error, error, ..Standing::default() };
        factors.iterate(
            false,
            &mut at,
            self.max_iterations,
            self.tolerance,
            &mut Run::begin(None, METHOD, 0, None)?,
        )?;
        Ok(factors.weights.get().realize()?.clone())
    }

    /// Rows `[rows, features]` of these weights.
    ///
    /// # Errors
    /// If the number of components differs, a number is NaN or infinite, or the device fails.
    pub fn inverse_transform(&self, weights: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let weights = rows::load_codes(METHOD, weights, self.components.shape()[0], self.components.device())?;
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
            .within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<NmfModel> {
        Ok(NmfModel {
            components: parts.take("components")?,
            error: parts.number("error")?,
            iterations: parts.count("iterations")?,
            converged: parts.flag("converged")?,
            warnings: parts.texts("warnings"),
            unfinished: parts.take_within(STATE).map(Box::new),
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
