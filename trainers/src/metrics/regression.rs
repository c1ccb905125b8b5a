//! Mean absolute error, root mean square error and R2.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::Metric;
use super::sums::Sums;

/// MAE, RMSE and R2 of outputs `[n, columns]` (of one column also `[n]`), each computed per column and then averaged.
///
/// R2 of a column whose target never changes is 1 if it is met exactly, else 0.
///
/// Sources: scikit-learn's `mean_absolute_error`, `root_mean_squared_error`, `r2_score` with their defaults.
#[derive(Debug)]
pub struct Regression {
    columns: usize,
    /// Absolute and square errors of each column, and the rows.
    errors: Sums,
    /// `[columns]` each: rows, mean of the target, its squared distances from that.
    moments: [Var; 3],
}

impl Regression {
    /// Of targets with so many columns.
    ///
    /// # Errors
    /// If there are no columns or memory cannot be had.
    pub fn new(columns: usize, device: &Device) -> Result<Regression> {
        if columns == 0 {
            return Err(Error::data("regression metric", "0 columns; give the number of columns of the target"));
        }
        let errors = Sums::new("metric.errors", 2 * columns + 1, device)?;
        let zeros = |name: &str| Var::try_new(format!("metric.target.{name}"), &Tensor::zeros(&[columns], device));
        Ok(Regression { columns, errors, moments: [zeros("count")?, zeros("mean")?, zeros("square")?] })
    }
}

impl Metric for Regression {
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor) {
        let columns = self.columns;
        assert!(
            output.len() == target.len() && target.len().is_multiple_of(columns),
            "outputs {:?} and targets {:?} of {columns} columns",
            output.shape(),
            target.shape()
        );
        let rows = target.len() / columns;
        let table = |x: &Tensor| x.cast(DType::F32).reshape([rows, columns]);
        let (output, target) = (table(output), table(target));
        let error = output - &target;
        let sums =
            [error.abs().sum(0), error.square().sum(0), Tensor::full(&[1], rows as f64, DType::F32, target.device())];
        self.errors.add(&Tensor::cat(&sums, 0));
        // Moments of two sets are joined without a difference of large sums.
        // Source: Chan, Golub and LeVeque, "Updating formulae" (1979), equation 2.1.
        let [count, mean, square] = self.moments.each_ref().map(Var::get);
        let all = &count + rows as f64;
        let here = target.mean(0);
        let distance = &here - &mean;
        let square = square + (&target - &here).square().sum(0) + distance.square() * (&count * rows as f64 / &all);
        let mean = mean + distance * rows as f64 / &all;
        for (var, value) in self.moments.iter().zip([all, mean, square]) {
            var.assign(&value);
        }
    }

    fn values(&self) -> Result<Vec<(&'static str, f64)>> {
        let (errors, squares, columns) = (self.errors.read()?, self.moments[2].get().to_f64()?, self.columns);
        let rows = errors[2 * columns];
        let average = |of: &dyn Fn(usize) -> f64| (0..columns).map(of).sum::<f64>() / columns as f64;
        let explained = |column: usize| {
            let (left, all) = (errors[columns + column], squares[column]);
            match (rows > 0.0, all > 0.0, left > 0.0) {
                (false, ..) => f64::NAN,
                (_, true, _) => 1.0 - left / all,
                (_, false, true) => 0.0,
                (_, false, false) => 1.0,
            }
        };
        Ok(vec![
            ("mae", average(&|column| errors[column] / rows)),
            ("rmse", average(&|column| (errors[columns + column] / rows).sqrt())),
            ("r2", average(&explained)),
        ])
    }

    fn state(&self) -> Vec<Var> {
        self.errors.vars().into_iter().chain(self.moments.iter().cloned()).collect()
    }
}
