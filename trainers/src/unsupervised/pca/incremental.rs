//! PCA of tables that do not fit into memory: one pass, a few rows at a time, exact.

use anygrad_core::{Device, Result};

use super::{Components, METHOD, Moments, PcaModel, covariance, from_f64, moments};
use crate::unsupervised::{Rows, rows, wrong};

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
        if batch == 0 {
            return Err(wrong(METHOD, "a batch of 0 rows never ends; give at least 1"));
        }
        let (rows, _) = data.dimensions()?;
        let mut start = 0;
        while start < rows {
            let len = batch.min(rows - start);
            self.add(device, &data.tile(start, len, device)?, start)?;
            start += len;
        }
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
