//! Where a mixture begins: short runs from several k-means, on a part of the rows.

use anygrad_core::{Result, Tensor};

use super::expectation::Expectation;
use super::{GaussianMixture, Parameters};

/// Beginnings of a start, each from another k-means, of which the likeliest after a few iterations goes on: k-means alone often
/// leaves two components on one group of rows, which no iteration undoes. Source: Biernacki, Celeux, Govaert, "Choosing starting
/// values for the EM algorithm" (2003), their short runs.
const BEGINNINGS: usize = 10;
/// Iterations of a beginning.
const SHORT: usize = 8;
/// Rows that beginnings look at, at most, for each component: evenly spread over the table.
const SAMPLE: usize = 500;
/// And if there are few components.
const LEAST: usize = 5_000;

impl GaussianMixture {
    /// The likeliest of a few short runs on some of the rows.
    pub(super) fn begin(&self, some: &Tensor, expectation: &mut Expectation, start: usize) -> Result<Parameters> {
        let (n, d) = (some.shape()[0], some.shape()[1]);
        let beginnings = if self.components == 1 { 1 } else { BEGINNINGS };
        let mut run = |number: usize| -> Result<(f64, Parameters)> {
            let mut parameters = self.first(some, number as u64)?;
            let mut likelihood = f64::NEG_INFINITY;
            for _ in 0..SHORT {
                let sums = expectation.run(&parameters)?;
                likelihood = sums.log_likelihood;
                parameters = self.maximise(&parameters, &sums, n, d);
            }
            Ok((likelihood, parameters))
        };
        let mut best = run(start * beginnings);
        for number in 1..beginnings {
            let found = run(start * beginnings + number);
            // One that fails (on a singular covariance) only matters if all do.
            let better = match (&best, &found) {
                (Ok(best), Ok(found)) => found.0 > best.0,
                (Err(_), Ok(_)) => true,
                _ => false,
            };
            if better {
                best = found;
            }
        }
        best.map(|best| best.1)
    }
}

/// The rows that beginnings look at.
pub(super) fn sample(x: &Tensor, components: usize) -> Result<Tensor> {
    let (n, most) = (x.shape()[0], (SAMPLE * components).max(LEAST));
    if n <= most {
        return Ok(x.clone());
    }
    let rows: Vec<u32> = (0..most).map(|i| (i * n / most) as u32).collect();
    Ok(x.index_select(0, &Tensor::try_from_slice(&rows, &[most], x.device())?).realize()?.clone())
}
