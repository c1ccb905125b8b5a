//! Randomised SVD: the rows are projected onto random directions, which power iterations turn towards the largest
//! components; what remains is a small problem.

use anygrad_core::{Result, Tensor};

use super::{METHOD, Spectrum, from_f64, summed};
use crate::data::Draws;
use crate::unsupervised::linear::symmetric_eigen;
use crate::unsupervised::{part, ranges, wrong};

/// The `wanted` largest singular values, squared, and their directions.
pub(super) fn spectrum(
    x: &Tensor,
    mean: &Tensor,
    wanted: usize,
    oversamples: usize,
    iterations: usize,
    seed: u64,
) -> Result<Spectrum> {
    let (n, d) = (x.shape()[0], x.shape()[1]);
    let size = (wanted + oversamples).min(n.min(d));
    let mut draws = Draws::new(seed, 0);
    let normal: Vec<f64> = (0..size * d).map(|_| gauss(&mut draws)).collect();
    // Directions by rows, [size, d].
    let mut basis = orthonormal(&from_f64(&normal, &[size, d], x.device())?)?;
    for _ in 0..=iterations {
        basis = orthonormal(&squared(x, mean, &basis)?)?;
    }
    // In the plane of the basis the problem is `[size, size]`: B Xᵀ X Bᵀ.
    let small = squared(x, mean, &basis)?.matmul(&basis.t()).to_f64()?;
    let symmetric: Vec<f64> = (0..size * size).map(|i| 0.5 * (small[i] + small[i % size * size + i / size])).collect();
    let eigen = symmetric_eigen(&symmetric, size);
    let turn = from_f64(&eigen.vectors, &[size, size], x.device())?;
    Ok(Spectrum { squares: eigen.values.iter().map(|v| v.max(0.0)).collect(), directions: turn.matmul(&basis) })
}

/// `B Xᵀ X` for directions `B: [size, d]`, with the mean off, over tiles of rows.
fn squared(x: &Tensor, mean: &Tensor, basis: &Tensor) -> Result<Tensor> {
    let (n, d) = (x.shape()[0], x.shape()[1]);
    let parts = ranges(n, d).into_iter().map(|(start, end)| {
        let tile = part(x, start, end) - mean;
        tile.matmul(&basis.t()).t().matmul(&tile)
    });
    Ok(summed(parts)?.realize()?.clone())
}

/// Orthonormal rows with the same span, by the eigenvectors of the products of rows, twice, because f32 squares the condition
/// the first time.
fn orthonormal(rows: &Tensor) -> Result<Tensor> {
    let size = rows.shape()[0];
    let mut rows = rows.clone();
    for _ in 0..2 {
        let length = rows.square().sum_keep(1).sqrt();
        rows = (&rows / length.gt(0.0).select(&length, 1.0)).realize()?.clone();
        let eigen = symmetric_eigen(&rows.matmul(&rows.t()).to_f64()?, size);
        if !eigen.values.iter().all(|v| v.is_finite()) {
            return Err(wrong(METHOD, "the projections overflow; scale the data down"));
        }
        let floor = eigen.values[0] * f64::from(f32::EPSILON);
        let scaled: Vec<f64> = (0..size)
            .flat_map(|i| {
                let scale = 1.0 / eigen.values[i].max(floor).sqrt();
                eigen.vectors[i * size..(i + 1) * size].iter().map(move |v| v * scale)
            })
            .collect();
        rows = from_f64(&scaled, &[size, size], rows.device())?.matmul(&rows).realize()?.clone();
    }
    Ok(rows)
}

/// A number of the normal distribution (Box and Muller).
pub(crate) fn gauss(draws: &mut Draws) -> f64 {
    let radius = (-2.0 * (1.0 - draws.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.uniform()).cos()
}
