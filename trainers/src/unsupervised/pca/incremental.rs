//! PCA of tables that do not fit into memory: one pass, a few rows at a time, exact.

use anygrad_core::{Device, Result};

use super::{Components, METHOD, Moments, PcaModel, covariance, from_f64, moments};
use crate::events::Listener;
use crate::unsupervised::store::{Model, Parts};
use crate::unsupervised::{Rows, Run, rows, wrong};

/// Gathers means and products of columns batch by batch, and gives components at any time.
///
/// It keeps `features x features` numbers in f64 instead of the components so far, so the result is that of all rows at once
/// (not the approximation of Ross et al. 2008) and batches may have any size.
/// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), eq. 2.1.
#[derive(Clone, Debug, Default)]
pub struct IncrementalPca {
    /// How many components a model has; all.
    pub components: Components,
    /// Whether transformed columns are scaled to variance 1; false.
    pub whiten: bool,
    /// Rows, means and products so far.
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    rows: usize,
    moments: Moments,
}

impl IncrementalPca {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(components: Components, whiten: bool) -> IncrementalPca {
        IncrementalPca { components, whiten, seen: None }
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// If the number of features differs from earlier batches, a number is NaN or infinite, or the device fails.
    pub fn partial_fit(&mut self, device: &Device, batch: &(impl Rows + ?Sized)) -> Result<()> {
        self.add(device, batch, 0)
    }

    /// Adds the rows of a batch, which messages count from `first`.
    fn add(&mut self, device: &Device, batch: &(impl Rows + ?Sized), first: usize) -> Result<()> {
        if let Some(seen) = &self.seen {
            rows::check_features(METHOD, batch.dimensions()?.1, seen.moments.mean.len())?;
        }
        let x = rows::load_unchecked(METHOD, batch, device)?;
        let (m, d) = (x.shape()[0], x.shape()[1]);
        let new = moments(&x, true, first)?;
        let Some(seen) = &mut self.seen else {
            self.seen = Some(Seen { rows: m, moments: new });
            return Ok(());
        };
        let Moments { mean, products } = &mut seen.moments;
        let (n, all) = (seen.rows as f64, (seen.rows + m) as f64);
        let apart: Vec<f64> = new.mean.iter().zip(&*mean).map(|(new, old)| new - old).collect();
        let weight = n * m as f64 / all;
        for i in 0..d {
            for j in 0..d {
                products[i * d + j] += new.products[i * d + j] + weight * apart[i] * apart[j];
            }
        }
        mean.iter_mut().zip(&apart).for_each(|(mean, apart)| *mean += apart * m as f64 / all);
        seen.rows += m;
        Ok(())
    }

    /// Reads a whole table `batch` rows at a time and gives its components. Memory: the batch and `features²` numbers.
    ///
    /// # Errors
    /// As [`IncrementalPca::partial_fit`] and [`IncrementalPca::model`]; if `batch` is 0.
    pub fn fit(&mut self, device: &Device, data: &(impl Rows + ?Sized), batch: usize) -> Result<PcaModel> {
        self.read(device, data, batch, 0, None)
    }

    /// As [`IncrementalPca::fit`], telling a listener of the `rows` so far after each batch. If it stops the run, the model is of
    /// these rows; this object can be saved, and [`IncrementalPca::resume`] goes on.
    ///
    /// # Errors
    /// As [`IncrementalPca::fit`], and what the listener returns.
    pub fn fit_with(
        &mut self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        batch: usize,
        listener: &mut dyn Listener,
    ) -> Result<PcaModel> {
        self.read(device, data, batch, 0, Some(listener))
    }

    /// As [`IncrementalPca::fit_with`], but leaves out as many of the first rows as were seen before.
    ///
    /// # Errors
    /// As [`IncrementalPca::fit_with`].
    pub fn resume(
        &mut self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        batch: usize,
        listener: &mut dyn Listener,
    ) -> Result<PcaModel> {
        self.read(device, data, batch, self.rows(), Some(listener))
    }

    /// Rows seen so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.seen.as_ref().map_or(0, |seen| seen.rows)
    }

    fn read(
        &mut self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        batch: usize,
        mut start: usize,
        listener: Option<&mut dyn Listener>,
    ) -> Result<PcaModel> {
        if batch == 0 {
            return Err(wrong(METHOD, "a batch of 0 rows never ends; give at least 1"));
        }
        let (rows, _) = data.dimensions()?;
        let mut run = Run::begin(listener, "incremental pca", start as u64, Some(rows as u64))?;
        while start < rows {
            let len = batch.min(rows - start);
            self.add(device, &data.tile(start, len, device)?, start)?;
            start += len;
            if run.iteration(start as u64, &[("rows", start as f64)])? {
                break;
            }
        }
        run.done()?;
        self.model(device)
    }

    /// The components of all rows so far.
    ///
    /// # Errors
    /// If there were fewer than two rows or fewer than the components asked for, or the device fails.
    pub fn model(&self, device: &Device) -> Result<PcaModel> {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.rows >= 2) else {
            return Err(wrong(METHOD, "fewer than two rows were seen; call partial_fit first"));
        };
        let d = seen.moments.mean.len();
        let most = d.min(seen.rows);
        self.components.check(most)?;
        let spectrum = covariance(&seen.moments, self.components, device)?;
        let sum = spectrum.squares.iter().sum();
        let kept = self.components.kept(&spectrum.squares, sum, most)?;
        let mean = from_f64(&seen.moments.mean, &[d], device)?;
        PcaModel::from_spectrum(&spectrum, kept, mean, sum, seen.rows, self.whiten)
    }
}

/// What was seen so far, to go on another day.
impl Model for IncrementalPca {
    const KIND: &'static str = "incremental pca";

    fn parts(&self) -> Parts {
        let parts = Parts::default().set("rows", self.rows()).set("whiten", self.whiten);
        let parts = match self.components {
            Components::All => parts,
            Components::Count(count) => parts.set("count", count),
            Components::Variance(share) => parts.set("variance", share),
        };
        match &self.seen {
            Some(Seen { moments, .. }) => parts.list("mean", &moments.mean).list("products", &moments.products),
            None => parts,
        }
    }

    fn from_parts(mut parts: Parts) -> Result<IncrementalPca> {
        let components = match (parts.settings.contains_key("count"), parts.settings.contains_key("variance")) {
            (true, _) => Components::Count(parts.count("count")?),
            (false, true) => Components::Variance(parts.number("variance")?),
            (false, false) => Components::All,
        };
        let seen = match (parts.count("rows")?, parts.lists.remove("mean"), parts.lists.remove("products")) {
            (0, None, None) => None,
            (rows, Some(mean), Some(products)) if products.len() == mean.len() * mean.len() => {
                Some(Seen { rows, moments: Moments { mean, products } })
            }
            _ => return Err(parts.missing("products")),
        };
        Ok(IncrementalPca { components, whiten: parts.flag("whiten")?, seen })
    }
}
