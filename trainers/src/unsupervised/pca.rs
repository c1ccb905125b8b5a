//! Principal components, and their kin: truncated SVD and incremental PCA.
//!
//! The large products (covariance, Gram matrix, random projections) run on the device over tiles of rows; their small
//! symmetric eigenproblems are solved on the host in f64 ([`crate::unsupervised::linear`]).

mod incremental;
mod moments;
mod randomized;

pub use incremental::IncrementalPca;
pub(crate) use randomized::gauss;

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Result, Tensor};

use super::linear::{largest_eigen, symmetric_eigen};
use super::store::{Model, Parts};
use super::{Rows, by_tile, part, rows, wrong};
use moments::{Moments, moments, summed};

const METHOD: &str = "pca";

/// How many components are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Components {
    /// As many as there can be: the smaller of rows and features.
    #[default]
    All,
    /// This many.
    Count(usize),
    /// As many as explain at least this share of the variance, `0.0..=1.0`.
    Variance(f64),
}

impl Components {
    fn check(self, most: usize) -> Result<()> {
        match self {
            Components::Count(k) if k == 0 || k > most => Err(wrong(
                METHOD,
                format!("{k} components were asked for; give 1 to {most}, the smaller of rows and features"),
            )),
            Components::Variance(share) if !(share > 0.0 && share <= 1.0) => {
                Err(wrong(METHOD, format!("a share {share} of the variance; give a number over 0 and up to 1")))
            }
            _ => Ok(()),
        }
    }

    /// How many of these squared singular values are kept.
    fn kept(self, squares: &[f64], sum: f64, most: usize) -> Result<usize> {
        self.check(most)?;
        Ok(match self {
            Components::All => most,
            Components::Count(k) => k,
            Components::Variance(share) => {
                let mut running = 0.0;
                let enough = squares.iter().position(|s| {
                    running += s;
                    running >= share * sum
                });
                enough.map_or(most, |last| (last + 1).min(most))
            }
        })
    }
}

/// How components are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// `Randomized` for few components (less than a tenth) of wide tables (both sides over 1000), else the smaller of
    /// `Covariance` and `Gram`.
    #[default]
    Auto,
    /// Eigenvectors of the covariance matrix `[features, features]`. Exact.
    Covariance,
    /// Eigenvectors of the matrix `[rows, rows]` of products of rows. Exact.
    Gram,
    /// Random projection and power iterations: needs time in proportion to the number of components.
    /// Source: Halko, Martinsson, Tropp, "Finding structure with randomness" (2011), algorithms 4.4 and 5.1.
    Randomized {
        /// Random directions beyond the number of components; 10 is usual.
        oversamples: usize,
        /// Power iterations; 4 is usual, 7 if very few components are wanted.
        iterations: usize,
    },
}

/// How to find principal components: directions of most variance, orthogonal to each other.
///
/// Source: Tipping and Bishop, "Mixtures of probabilistic principal component analysers" (1999) for the noise variance;
/// signs are scikit-learn's (the largest entry of each component is positive).
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// How many; all.
    pub components: Components,
    /// Whether transformed columns are scaled to variance 1; false.
    pub whiten: bool,
    /// Whether the mean is taken off first; true. Without it this is the truncated SVD (latent semantic analysis).
    pub center: bool,
    /// How they are computed; `Auto`.
    pub solver: Solver,
    /// Decides the random directions of `Randomized`; 0.
    pub seed: u64,
}

impl Default for Pca {
    fn default() -> Pca {
        Pca { components: Components::All, whiten: false, center: true, solver: Solver::Auto, seed: 0 }
    }
}

/// Fitted components.
#[derive(Clone, Debug)]
pub struct PcaModel {
    /// What is taken off each row: `[features]`; zeros if not centred.
    pub mean: Tensor,
    /// `[components, features]`, orthonormal rows, most variance first.
    pub components: Tensor,
    /// Variance along each component, by `rows - 1`.
    pub explained_variance: Vec<f64>,
    /// Its share of the variance of all features.
    pub explained_variance_ratio: Vec<f64>,
    /// Singular values of the centred table.
    pub singular_values: Vec<f64>,
    /// Mean variance along each direction that was left out.
    pub noise_variance: f64,
    /// Whether transformed columns are scaled to variance 1.
    pub whiten: bool,
    /// Rows that it was fitted on.
    pub rows: usize,
}

/// Squared singular values, largest first, and the directions `[count, features]` that belong to them.
struct Spectrum {
    squares: Vec<f64>,
    directions: Tensor,
}

impl Pca {
    /// Truncated SVD: `components` directions of the table as it is, without taking the mean off.
    #[must_use]
    pub fn truncated_svd(components: usize) -> Pca {
        Pca { components: Components::Count(components), center: false, ..Pca::default() }
    }

    /// Finds the components of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range or asks for more components than there are, there are fewer than two rows, a
    /// number is NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<PcaModel> {
        let x = rows::load_unchecked(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        if n < 2 {
            return Err(wrong(METHOD, "one row has no variance; give at least two"));
        }
        let most = n.min(d);
        self.components.check(most)?;
        let wanted = if let Components::Count(k) = self.components { k } else { most };
        let solver = self.solver(n, d, wanted);
        let (mean, spectrum) = if let Solver::Covariance | Solver::Auto = solver {
            let moments = moments(&x, self.center, 0)?;
            (from_f64(&moments.mean, &[d], device)?, covariance(&moments, self.components, device)?)
        } else {
            rows::check_finite(METHOD, &x, 0)?;
            let mean = if self.center { x.mean(0) } else { Tensor::zeros(&[d], device) };
            let mean = mean.realize()?.clone();
            let spectrum = match solver {
                Solver::Randomized { oversamples, iterations } => {
                    randomized::spectrum(&x, &mean, wanted, oversamples, iterations, self.seed)?
                }
                _ => gram(&x, &mean)?,
            };
            (mean, spectrum)
        };
        // The trace, where all of it is there.
        let whole = spectrum.squares.len() >= most;
        let sum = if whole { spectrum.squares.iter().sum() } else { centred_sum_of_squares(&x, &mean)? };
        let kept = self.components.kept(&spectrum.squares, sum, most)?;
        PcaModel::from_spectrum(&spectrum, kept, mean, sum, n, self.whiten)
    }

    fn solver(&self, n: usize, d: usize, wanted: usize) -> Solver {
        match self.solver {
            Solver::Auto if n.min(d) > 1000 && wanted * 10 < n.min(d) => {
                Solver::Randomized { oversamples: 10, iterations: 7 }
            }
            Solver::Auto if n < d => Solver::Gram,
            Solver::Auto => Solver::Covariance,
            chosen => chosen,
        }
    }
}

/// The sum of squares of all numbers once the mean is off.
fn centred_sum_of_squares(x: &Tensor, mean: &Tensor) -> Result<f64> {
    (x - mean).square().sum(0).to_f64().map(|columns| columns.iter().sum())
}

/// By the covariance matrix.
fn covariance(moments: &Moments, components: Components, device: &Device) -> Result<Spectrum> {
    let d = moments.mean.len();
    // A share of the variance is known when all values are.
    let count = if let Components::Count(k) = components { k } else { d };
    let eigen = largest_eigen(&moments.products, d, count);
    Ok(Spectrum {
        directions: from_f64(&eigen.vectors, &[count, d], device)?,
        squares: eigen.values.iter().map(|v| v.max(0.0)).collect(),
    })
}

/// By products of rows: if `X Xᵀ u = s² u`, then `Xᵀ u / s` is a direction.
fn gram(x: &Tensor, mean: &Tensor) -> Result<Spectrum> {
    let (n, d) = (x.shape()[0], x.shape()[1]);
    let most = n.min(d);
    let centred = (x - mean).realize()?.clone();
    let products = by_tile(&centred, n, |tile| tile.matmul(&centred.t())).to_f64()?;
    let eigen = symmetric_eigen(&products, n);
    let squares: Vec<f64> = eigen.values[..most].iter().map(|v| v.max(0.0)).collect();
    let scaled: Vec<f64> = (0..most)
        .flat_map(|i| {
            // A direction without variance cannot be found from the rows: it stays 0.
            let scale = if squares[i] > 1e-12 * squares[0] { 1.0 / squares[i].sqrt() } else { 0.0 };
            eigen.vectors[i * n..(i + 1) * n].iter().map(move |v| v * scale)
        })
        .collect();
    let directions = from_f64(&scaled, &[most, n], x.device())?.matmul(&centred);
    Ok(Spectrum { squares, directions })
}

/// Numbers of the host as f32 on the device.
pub(crate) fn from_f64(values: &[f64], shape: &[usize], device: &Device) -> Result<Tensor> {
    Tensor::try_from_slice(&values.iter().map(|&v| v as f32).collect::<Vec<f32>>(), shape, device)
}

impl PcaModel {
    /// `sum`: the sum of squares of the centred table.
    fn from_spectrum(
        spectrum: &Spectrum,
        kept: usize,
        mean: Tensor,
        sum: f64,
        rows: usize,
        whiten: bool,
    ) -> Result<PcaModel> {
        let (features, freedom) = (mean.len(), (rows - 1) as f64);
        let directions = part(&spectrum.directions, 0, kept);
        // The entry that is largest in magnitude becomes positive.
        let at = directions.abs().argmax(1).unsqueeze(1);
        let sign = directions.gather(1, &at).ge(0.0).select(1.0, -1.0);
        let components = (directions * sign).realize()?.clone();
        let squares = &spectrum.squares[..kept];
        let left = rows.min(features) - kept;
        let rest = (sum - squares.iter().sum::<f64>()).max(0.0) / freedom;
        Ok(PcaModel {
            mean,
            components,
            explained_variance: squares.iter().map(|s| s / freedom).collect(),
            explained_variance_ratio: squares.iter().map(|s| if sum > 0.0 { s / sum } else { 0.0 }).collect(),
            singular_values: squares.iter().map(|s| s.sqrt()).collect(),
            noise_variance: if left > 0 { rest / left as f64 } else { 0.0 },
            whiten,
            rows,
        })
    }

    /// Coordinates along the components: `[rows, components]`.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn transform(&self, data: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let x = rows::load_for(METHOD, data, self.components.shape()[1], self.components.device())?;
        let scale = self.scale()?;
        let directions = (&self.components / scale.unsqueeze(1)).t();
        Ok(by_tile(&x, x.shape()[1], |tile| (tile - &self.mean).matmul(&directions)).realize()?.clone())
    }

    /// Rows with these coordinates: `[rows, features]`. With fewer components than features it is the nearest point of
    /// their plane, so `inverse_transform(transform(x))` takes away what lies outside of it (noise, often).
    ///
    /// # Errors
    /// As [`PcaModel::transform`].
    pub fn inverse_transform(&self, coordinates: &(impl Rows + ?Sized)) -> Result<Tensor> {
        let y = rows::load_codes(METHOD, coordinates, self.components.shape()[0], self.components.device())?;
        let directions = &self.components * self.scale()?.unsqueeze(1);
        Ok((y.matmul(&directions) + &self.mean).realize()?.clone())
    }

    /// What transformed columns are divided by.
    fn scale(&self) -> Result<Tensor> {
        let root = |&v: &f64| if self.whiten { v.sqrt().max(f64::from(f32::EPSILON)) } else { 1.0 };
        let scale: Vec<f64> = self.explained_variance.iter().map(root).collect();
        from_f64(&scale, &[scale.len()], self.components.device())
    }
}

impl Model for PcaModel {
    const KIND: &'static str = "pca";

    fn parts(&self) -> Parts {
        Parts::default()
            .tensor("mean", &self.mean)
            .tensor("components", &self.components)
            .set("explained_variance", self.explained_variance.clone())
            .set("explained_variance_ratio", self.explained_variance_ratio.clone())
            .set("singular_values", self.singular_values.clone())
            .set("noise_variance", self.noise_variance)
            .set("whiten", self.whiten)
            .set("rows", self.rows)
    }

    fn from_parts(mut parts: Parts) -> Result<PcaModel> {
        Ok(PcaModel {
            mean: parts.take("mean")?,
            components: parts.take("components")?,
            explained_variance: parts.numbers("explained_variance")?,
            explained_variance_ratio: parts.numbers("explained_variance_ratio")?,
            singular_values: parts.numbers("singular_values")?,
            noise_variance: parts.number("noise_variance")?,
            whiten: parts.flag("whiten")?,
            rows: parts.count("rows")?,
        })
    }
}

impl Display for PcaModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let share: f64 = self.explained_variance_ratio.iter().sum();
        let [k, d] = [self.components.shape()[0], self.components.shape()[1]];
        write!(f, "pca: {k} of {d} components explain {:.2} % of the variance of {} rows", 100.0 * share, self.rows)
    }
}
