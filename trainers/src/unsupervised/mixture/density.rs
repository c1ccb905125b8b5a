//! Densities of a tile of rows under all components, and the weighted sums that the next parameters are made of.

use anygrad_core::{Result, Tensor};

/// What a pass over the data gives.
pub(super) struct Sums {
    /// Sum of responsibilities: `[k]`.
    pub(super) counts: Vec<f64>,
    /// Sum of differences from the means: `[k, d]`.
    pub(super) first: Vec<f64>,
    /// Sum of their products `[k, d, d]`, or squares `[k, d]`.
    pub(super) second: Vec<f64>,
    /// Of all rows.
    pub(super) log_likelihood: f64,
}

impl Sums {
    pub(super) fn read(parts: &[Tensor]) -> Result<Sums> {
        let read = |at: usize| parts.get(at).map_or(Ok(Vec::new()), Tensor::to_f64);
        let log_likelihood = read(3)?.first().copied().unwrap_or(f64::NAN);
        Ok(Sums { counts: read(0)?, first: read(1)?, second: read(2)?, log_likelihood })
    }
}

/// Differences `[k, d, tile]` of rows from means: rows are the last axis, so that all sums over features and components take
/// neighbouring rows at once. The product with the identity is a copy with a buffer of its own, whose rows lie side by side.
fn differences(x: &Tensor, means: &Tensor) -> Tensor {
    let columns = Tensor::eye(x.shape()[1], x.device()).matmul(&x.t());
    columns.unsqueeze(0) - means.unsqueeze(2)
}

/// Log weight plus log density of each row under each component: `[k, tile]`; the Mahalanobis distance is the squared length
/// of the difference after the inverse Cholesky factor.
pub(super) fn log_densities(x: &Tensor, means: &Tensor, whiteners: &Tensor, constants: &Tensor, dense: bool) -> Tensor {
    let difference = differences(x, means);
    let white = if dense { whiteners.transpose(1, 2).matmul(&difference) } else { difference * whiteners.unsqueeze(2) };
    white.square().sum(1) * -0.5 + constants.unsqueeze(1)
}

/// Counts, first and second sums, log-likelihood of a tile under these parameters.
pub(super) fn sums(x: &Tensor, means: &Tensor, whiteners: &Tensor, constants: &Tensor, dense: bool) -> Vec<Tensor> {
    let joint = log_densities(x, means, whiteners, constants, dense);
    let rows = joint.logsumexp(0);
    let responsibilities = (joint - &rows).exp();
    weighted(x, means, &responsibilities, &rows.sum(()), dense)
}

/// As [`sums`], with these responsibilities `[k, tile]`.
pub(super) fn weighted(
    x: &Tensor,
    means: &Tensor,
    responsibilities: &Tensor,
    log_likelihood: &Tensor,
    dense: bool,
) -> Vec<Tensor> {
    let counts = responsibilities.sum(1);
    let difference = differences(x, means);
    let scaled = &difference * responsibilities.unsqueeze(1);
    let second = if dense { scaled.matmul(&difference.transpose(1, 2)) } else { (&scaled * &difference).sum(2) };
    vec![counts, scaled.sum(2), second, log_likelihood.clone()]
}
