//! Means and sums of products of columns, in one pass over the rows.

use anygrad_core::{Result, Tensor};

use super::{METHOD, from_f64};
use crate::unsupervised::{part, ranges, rows, total, wrong};

/// Means of columns, and the sums of products of columns once the means are off.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// `[d]`.
    pub(super) mean: Vec<f64>,
    /// `[d, d]`.
    pub(super) products: Vec<f64>,
}

/// How many times as large a column's sum of squares may be as the sum around its mean before the difference of the two, taken
/// of f32 sums, is not trusted: three bits of their 24 are lost.
const FAR: f64 = 8.0;

/// In one pass over tiles, of the rows as they are: `sum (x - m)(x - m)ᵀ = sum x xᵀ - n m mᵀ`. Only where that cancels a second
/// pass takes the means off first. Numbers that are not finite are in the sums of squares, so nobody has to look for them before; messages
/// count rows from `first`.
/// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance" (1983), sections 1 and 3 (shifted data).
pub(super) fn moments(x: &Tensor, center: bool, first: usize) -> Result<Moments> {
    let (n, d) = (x.shape()[0], x.shape()[1]);
    let (sums, mut products) = sums_and_products(x, None)?;
    if !(0..d).all(|i| products[i * d + i].is_finite()) {
        rows::check_finite(METHOD, x, first)?;
        return Err(wrong(METHOD, "sums of squares are beyond f32; scale the data down"));
    }
    if !center {
        return Ok(Moments { mean: vec![0.0; d], products });
    }
    let mut mean: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
    let squares: Vec<f64> = (0..d).map(|i| products[i * d + i]).collect();
    let take_off = |products: &mut [f64], mean: &[f64]| {
        for (i, row) in products.chunks_exact_mut(d).enumerate() {
            row.iter_mut().zip(mean).for_each(|(p, m)| *p -= n as f64 * mean[i] * m);
        }
    };
    take_off(&mut products, &mean);
    if (0..d).any(|i| squares[i] > FAR * products[i * d + i]) {
        let shift = from_f64(&mean, &[d], x.device())?;
        let sums;
        (sums, products) = sums_and_products(x, Some(&shift))?;
        // What rounding of the mean to f32 left.
        let left: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
        take_off(&mut products, &left);
        mean = shift.to_f64()?.iter().zip(&left).map(|(shift, left)| shift + left).collect();
    }
    Ok(Moments { mean, products })
}

/// Sums of columns `[d]` and of products of columns `[d, d]`, with `shift` off; f32 in a tile, f64 from tile to tile for the first.
fn sums_and_products(x: &Tensor, shift: Option<&Tensor>) -> Result<(Vec<f64>, Vec<f64>)> {
    let (n, d) = (x.shape()[0], x.shape()[1]);
    let (mut sums, mut products) = (Vec::new(), Vec::new());
    // Longer tiles than usual: only long sums are shared out among threads without cutting the product itself.
    for (start, end) in ranges(n, d.div_ceil(16)) {
        let tile = part(x, start, end);
        let tile = if let Some(shift) = shift { tile - shift } else { tile };
        sums.push(tile.sum_keep(0));
        products.push(tile.t().matmul(&tile));
    }
    let (sums, products) = (Tensor::cat(&sums, 0), summed(products)?);
    Tensor::realize_all(&[sums.clone(), products.clone()])?;
    let mut all = vec![0.0; d];
    for tile in sums.to_f64()?.chunks_exact(d) {
        all.iter_mut().zip(tile).for_each(|(sum, x)| *sum += x);
    }
    Ok((all, products.to_f64()?))
}

/// The sum of tiles' sums, where there is at least one tile.
pub(super) fn summed(parts: impl IntoIterator<Item = Tensor>) -> Result<Tensor> {
    total(parts).ok_or_else(|| wrong(METHOD, "no rows"))
}
