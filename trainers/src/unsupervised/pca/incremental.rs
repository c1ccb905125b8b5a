//! PCA of tables that do not fit into memory: one pass, a few rows at a time, exact.

use anygrad_core::{Device, Result};

use super::{Components, METHOD, PcaModel, Spectrum, from_f64, scatter_matrix};
use crate::unsupervised::linear::symmetric_eigen;
use crate::unsupervised::{Table, table, wrong};

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
    mean: Vec<f64>,
    products: Vec<f64>,
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
    pub fn partial_fit(&mut self, device: &Device, batch: &(impl Table + ?Sized)) -> Result<()> {
        let x = match &self.seen {
            Some(seen) => table::load_for(METHOD, batch, seen.mean.len(), device)?,
            None => table::load(METHOD, batch, device)?,
        };
        let (m, d) = (x.shape()[0], x.shape()[1]);
        let mean = x.mean(0).realize()?.clone();
        let (products, mean) = (scatter_matrix(&x, &mean)?, mean.to_f64()?);
        let Some(seen) = &mut self.seen else {
            self.seen = Some(Seen { rows: m, mean, products });
            return Ok(());
        };
        let (n, all) = (seen.rows as f64, (seen.rows + m) as f64);
        let apart: Vec<f64> = mean.iter().zip(&seen.mean).map(|(new, old)| new - old).collect();
        let weight = n * m as f64 / all;
        for i in 0..d {
            for j in 0..d {
                seen.products[i * d + j] += products[i * d + j] + weight * apart[i] * apart[j];
            }
        }
        seen.mean.iter_mut().zip(&apart).for_each(|(mean, apart)| *mean += apart * m as f64 / all);
        seen.rows += m;
        Ok(())
    }

    /// Reads a whole table `batch` rows at a time and gives its components. Memory: the batch and `features²` numbers.
    ///
    /// # Errors
    /// As [`IncrementalPca::partial_fit`] and [`IncrementalPca::model`]; if `batch` is 0.
    pub fn fit(&mut self, device: &Device, data: &(impl Table + ?Sized), batch: usize) -> Result<PcaModel> {
        if batch == 0 {
            return Err(wrong(METHOD, "a batch of 0 rows never ends; give at least 1"));
        }
        let (rows, _) = data.dimensions()?;
        let mut start = 0;
        while start < rows {
            let len = batch.min(rows - start);
            let tile = data.tile(start, len, device)?;
            table::check_finite(METHOD, &tile, start)?;
            self.partial_fit(device, &tile)?;
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
        let d = seen.mean.len();
        let eigen = symmetric_eigen(&seen.products, d);
        let squares: Vec<f64> = eigen.values.iter().map(|v| v.max(0.0)).collect();
        let (sum, most) = (squares.iter().sum::<f64>(), d.min(seen.rows));
        let kept = self.components.kept(&squares, sum, most)?;
        let spectrum = Spectrum { squares, directions: from_f64(&eigen.vectors, &[d, d], device)? };
        PcaModel::from_spectrum(&spectrum, kept, from_f64(&seen.mean, &[d], device)?, sum, seen.rows, self.whiten)
    }
}
