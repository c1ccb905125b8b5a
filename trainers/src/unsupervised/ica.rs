//! Independent components: directions along which whitened data is least Gaussian.

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::linear::{product, symmetric_eigen, transposed};
use super::pca::{Components, Pca, PcaModel, from_f64};
use super::resume::{STATE, Unfinished, check, state};
use super::store::{Model, Parts};
use super::{Rows, Run, rows, tiles, total, wrong};
use crate::data::Draws;
use crate::events::Listener;

const METHOD: &str = "ica";

/// How to separate mixed sources: rows are `mean + sources · mixing`, sources independent with variance 1. Order and signs of
/// sources are arbitrary.
///
/// The parallel fixed point with `ln cosh`. Source: Hyvärinen and Oja, "Independent component analysis: algorithms and
/// applications" (2000), section 6. Defaults are scikit-learn's, with more iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct FastIca {
    /// Number of sources; `None`: as many as there are features.
    pub components: Option<usize>,
    /// Iterations at most; 500.
    pub max_iterations: usize,
    /// It ends when no direction turns by more: `1 - |cosine|`; 1e-4.
    pub tolerance: f64,
    /// Decides where directions begin; 0.
    pub seed: u64,
}

impl Default for FastIca {
    fn default() -> FastIca {
        FastIca { components: None, max_iterations: 500, tolerance: 1e-4, seed: 0 }
    }
}

/// Directions of sources.
#[derive(Clone, Debug)]
pub struct FastIcaModel {
    /// What whitens rows.
    pub whitening: PcaModel,
    /// The rotation `[components, components]` of whitened rows, a row per source.
    pub rotation: Tensor,
    /// Iterations done.
    pub iterations: usize,
    /// Whether it ended by itself.
    pub converged: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
    unfinished: Unfinished,
}

impl FastIca {
    /// Finds the sources of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, features are constant or copies of others (ask for fewer components), a number is
    /// NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<FastIcaModel> {
        self.go(device, data, None, None)
    }

    /// As [`FastIca::fit`], telling a listener `turn` at each iteration; if it stops the run, the model is as far as it got,
    /// and [`FastIca::resume`] goes on.
    ///
    /// # Errors
    /// As [`FastIca::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<FastIcaModel> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is; one that ended by `max_iterations` goes on if there are more now.
    ///
    /// # Errors
    /// As [`FastIca::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &FastIcaModel,
        listener: &mut dyn Listener,
    ) -> Result<FastIcaModel> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(model.rotation.device(), data, Some((&model.whitening, state)), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<(&PcaModel, &Parts)>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<FastIcaModel> {
        let x = rows::load(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        let k = self.components.unwrap_or(d);
        if k == 0 || k > n.min(d) || self.max_iterations == 0 || self.tolerance.is_nan() || self.tolerance < 0.0 {
            let message = format!("{k} components of {n} rows and {d} features, {} iterations", self.max_iterations);
            return Err(wrong(METHOD, format!("{message}, tolerance {}; out of range", self.tolerance)));
        }
        let sizes = [("rows", n), ("features", d), ("components", k)];
        let (whitening, mut rotation, iterations) = if let Some((whitening, from)) = from {
            check(from, METHOD, &sizes)?;
            let rotation = from.lists.get("rotation").filter(|r| r.len() == k * k).cloned();
            (whitening.clone(), rotation.ok_or_else(|| from.missing("rotation"))?, from.count("iterations")?)
        } else {
            let pca = Pca { components: Components::Count(k), whiten: true, seed: self.seed, ..Pca::default() };
            let mut draws = Draws::new(self.seed, 0);
            let start: Vec<f64> = (0..k * k).map(|_| draws.normal()).collect();
            (pca.fit(device, &x)?, orthogonal(&start, k)?, 0)
        };
        let mut run = Run::begin(listener, METHOD, iterations as u64, Some(self.max_iterations as u64))?;
        // Of f32 data, variances below a 10^-10 part are rounding.
        if whitening.explained_variance[k - 1] <= 1e-10 * whitening.explained_variance[0] {
            let message = "some features are constant or sums of others; ask for fewer components";
            return Err(wrong(METHOD, message));
        }
        let white = whitening.transform(&x)?;
        let directions = Var::try_new("directions", &Tensor::zeros(&[k, k], device))?;
        let mut step = program(&white, &directions);
        let mut model = FastIcaModel {
            whitening,
            rotation: from_f64(&rotation, &[k, k], device)?,
            iterations,
            converged: false,
            warnings: Vec::new(),
            unfinished: None,
        };
        while model.iterations < self.max_iterations && !model.converged {
            directions.write(&rotation.iter().map(|&r| r as f32).collect::<Vec<f32>>())?;
            let sums = step.run(())?.to_f64()?;
            let slopes = &sums[k * k..];
            let moved = |at: usize| (sums[at] - slopes[at / k] * rotation[at]) / n as f64;
            let next = orthogonal(&(0..k * k).map(moved).collect::<Vec<f64>>(), k)?;
            let cosine = |row: usize| (0..k).map(|j| next[row * k + j] * rotation[row * k + j]).sum::<f64>();
            let turn = (0..k).map(|row| (1.0 - cosine(row).abs()).abs()).fold(0.0, f64::max);
            (rotation, model.iterations, model.converged) = (next, model.iterations + 1, turn < self.tolerance);
            if run.iteration(model.iterations as u64, &[("turn", turn)])? {
                break;
            }
        }
        model.rotation = from_f64(&rotation, &[k, k], device)?.realize()?.clone();
        if !model.converged {
            let at = state(device, METHOD, &sizes).set("iterations", model.iterations);
            model.unfinished = Some(Box::new(at.list("rotation", &rotation)));
        }
        run.end(METHOD, (model.converged, !model.converged), model.iterations, &mut model.warnings)?;
        Ok(model)
    }
}

/// One pass: sums over rows of `tanh(w·z) z` (`[k, k]`) and of its slope (`[k]`), one after the other.
fn program(white: &Tensor, directions: &Var) -> Program<'static, (), Tensor> {
    let (white, directions) = (white.clone(), directions.clone());
    let device = white.device().clone();
    Program::inference(&device, move |()| {
        let w = directions.get();
        let k = w.size(0);
        let each = |tile: &Tensor| {
            let bent = tile.matmul(&w.t()).tanh();
            let slopes = (1.0 - bent.square()).sum(0);
            Tensor::cat(&[bent.t().matmul(tile).reshape([k * k]), slopes], 0)
        };
        total(tiles(&white, k).iter().map(each)).unwrap_or(w)
    })
}

/// The nearest orthogonal matrix, `(W Wᵀ)^(-1/2) W`.
fn orthogonal(w: &[f64], k: usize) -> Result<Vec<f64>> {
    let eigen = symmetric_eigen(&product(w, &transposed(w, k, k), [k, k, k]), k);
    if eigen.values.iter().any(|&v| v.is_nan() || v <= 0.0) {
        return Err(wrong(METHOD, "directions fell together; give another seed or ask for fewer components"));
    }
    let scaled: Vec<f64> = eigen.vectors.iter().enumerate().map(|(i, v)| v / eigen.values[i / k].sqrt()).collect();
    let root = product(&transposed(&eigen.vectors, k, k), &scaled, [k, k, k]);
    Ok(product(&root, w, [k, k, k]))
}

impl FastIcaModel {
    /// Sources `[rows, components]`, each with variance 1.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn transform(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        Ok(self.whitening.transform(data)?.matmul(&self.rotation.t()).realize()?.clone())
    }

    /// Rows `[rows, features]` that these sources make.
    ///
    /// # Errors
    /// As [`FastIcaModel::transform`].
    pub fn inverse_transform(&self, sources: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let sources = rows::load_codes(METHOD, sources, self.rotation.shape()[0], self.rotation.device())?;
        self.whitening.inverse_transform(&sources.matmul(&self.rotation))
    }
}

impl Model for FastIcaModel {
    const KIND: &'static str = "ica";

    fn parts(&self) -> Parts {
        self.whitening
            .parts()
            .tensor("rotation", &self.rotation)
            .set("iterations", self.iterations)
            .set("converged", self.converged)
            .set("warnings", self.warnings.clone())
            .within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<FastIcaModel> {
        Ok(FastIcaModel {
            rotation: parts.take("rotation")?,
            iterations: parts.count("iterations")?,
            converged: parts.flag("converged")?,
            warnings: parts.texts("warnings"),
            unfinished: parts.take_within(STATE).map(Box::new),
            whitening: PcaModel::from_parts(parts)?,
        })
    }
}

impl Display for FastIcaModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (k, d) = (self.rotation.shape()[0], self.whitening.components.shape()[1]);
        let end = if self.converged { "converged" } else { "not converged" };
        write!(f, "ica: {k} sources of {d} features, {end} after {} iterations", self.iterations)?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
