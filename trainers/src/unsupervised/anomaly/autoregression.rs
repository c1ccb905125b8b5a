//! What a series should do next, from what it did before: a linear forecast that learns with every number.

use std::collections::VecDeque;

use anygrad_core::Result;

use crate::unsupervised::wrong;

/// The most that directions without any variance may weigh, per number of weights: without a bound, forgetting makes them grow
/// for ever while the series stands still.
const WIND_UP: f64 = 1e6;

/// A linear forecast of a series from a constant and from its numbers at given lags, by recursive least squares with weights that
/// halve every `half_life` numbers. What it does not foresee ([`Autoregression::error`]) is what a detector should look at:
/// rhythms of a day or a week are no news if they are among the lags.
///
/// It begins with all weights at 0 and a ridge of 1, so the series should be of size 1 or so. Numbers before the first count as 0.
/// Source: Haykin, "Adaptive filter theory" (2002), chapter 9, algorithm of table 9.1, with its trace bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoregression {
    lags: Vec<usize>,
    decay: f64,
    /// Of the constant, then of the lags.
    weights: Vec<f64>,
    /// The inverse of the weighted sum of products, `[n, n]`.
    inverse: Vec<f64>,
    /// The last numbers, newest first.
    past: VecDeque<f64>,
}

impl Autoregression {
    /// Nothing seen yet. Memory: the largest lag, and the square of the number of lags.
    ///
    /// # Errors
    /// If there are no lags, one is 0, or the half-life is not positive.
    pub fn new(lags: &[usize], half_life: f64) -> Result<Autoregression> {
        if lags.is_empty() || lags.contains(&0) || half_life.is_nan() || half_life <= 0.0 {
            let message = format!("lags {lags:?}, half-life {half_life}; give lags from 1 on, and more than 0");
            return Err(wrong("autoregression", message));
        }
        let n = lags.len() + 1;
        let inverse = (0..n * n).map(|at| f64::from(at % (n + 1) == 0)).collect();
        let past = VecDeque::from(vec![0.0; lags.iter().copied().max().unwrap_or(1)]);
        let decay = (-1.0 / half_life).exp2();
        Ok(Autoregression { lags: lags.to_vec(), decay, weights: vec![0.0; n], inverse, past })
    }

    /// The number that should come next.
    #[must_use]
    pub fn forecast(&self) -> f64 {
        self.known().iter().zip(&self.weights).map(|(x, w)| x * w).sum()
    }

    /// By how much the next number differs from its forecast; then it is learned.
    ///
    /// # Errors
    /// If it is NaN or infinite; it is then left out.
    pub fn error(&mut self, value: f64) -> Result<f64> {
        if !value.is_finite() {
            return Err(wrong("autoregression", format!("a number is {value}; replace what is missing")));
        }
        let (known, n) = (self.known(), self.weights.len());
        let error = value - self.forecast();
        let product = |row: &[f64]| row.iter().zip(&known).map(|(p, x)| p * x).sum::<f64>();
        let gain: Vec<f64> = self.inverse.chunks_exact(n).map(product).collect();
        let scale = self.decay + gain.iter().zip(&known).map(|(g, x)| g * x).sum::<f64>();
        self.weights.iter_mut().zip(&gain).for_each(|(w, g)| *w += g / scale * error);
        for (i, row) in self.inverse.chunks_exact_mut(n).enumerate() {
            row.iter_mut().zip(&gain).for_each(|(p, g)| *p = (*p - gain[i] * g / scale) / self.decay);
        }
        let trace: f64 = self.inverse.iter().step_by(n + 1).sum();
        if trace > WIND_UP * n as f64 {
            self.inverse.iter_mut().for_each(|p| *p *= WIND_UP * n as f64 / trace);
        }
        self.past.pop_back();
        self.past.push_front(value);
        Ok(error)
    }

    /// The weights: of the constant, then of each lag.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn known(&self) -> Vec<f64> {
        std::iter::once(1.0).chain(self.lags.iter().map(|lag| self.past[lag - 1])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Draws;

    #[test]
    fn the_weights_of_a_known_recursion_are_found() {
        // x[t] = 0.5 + 0.6 x[t-1] - 0.3 x[t-5], noise of deviation 0.01 x 0.29; an error of weights of about noise / sqrt(rows).
        let mut draws = Draws::new(3, 0);
        let mut model = Autoregression::new(&[1, 5], 1e9).expect("in range");
        let mut x = vec![1.0; 5];
        for t in 5..3000 {
            // What moves it is known: a wave would leave directions without variance.
            let noise = if t < 2900 { draws.uniform() - 0.5 } else { 0.0 };
            x.push(0.5 + 0.6 * x[t - 1] - 0.3 * x[t - 5] + noise);
        }
        let errors: Vec<f64> = x.iter().map(|&value| model.error(value).expect("finite")).collect();
        for (found, expected) in model.weights().iter().zip([0.5, 0.6, -0.3]) {
            // The noise has deviation 0.29, so the series too, or more: 1 / sqrt(2900) = 0.019; three of them.
            assert!((found - expected).abs() < 0.056, "{:?}", model.weights());
        }
        assert!(errors[2950..].iter().all(|e| e.abs() < 0.05), "no noise, little error");
    }

    #[test]
    fn least_squares_by_definition() {
        // Without forgetting the weights are those of ridge regression on all rows so far.
        let x = [0.3, -0.2, 0.9, 0.1, -0.7, 0.4];
        let mut model = Autoregression::new(&[1], 1e12).expect("in range");
        x.iter().for_each(|&value| assert!(model.error(value).is_ok()));
        let (mut a, mut b) = ([[1.0, 0.0], [0.0, 1.0]], [0.0; 2]);
        for t in 0..x.len() {
            let row = [1.0, if t > 0 { x[t - 1] } else { 0.0 }];
            for i in 0..2 {
                b[i] += row[i] * x[t];
                for j in 0..2 {
                    a[i][j] += row[i] * row[j];
                }
            }
        }
        let determinant = a[0][0] * a[1][1] - a[0][1] * a[1][0];
        let expected =
            [(a[1][1] * b[0] - a[0][1] * b[1]) / determinant, (a[0][0] * b[1] - a[1][0] * b[0]) / determinant];
        for (found, expected) in model.weights().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
        assert!((model.forecast() - expected[0] - expected[1] * 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_series_that_stands_still_does_no_harm_and_no_number_is_refused() {
        let mut model = Autoregression::new(&[1, 2], 5.0).expect("in range");
        for _ in 0..5000 {
            assert!(model.error(1.0).expect("finite").is_finite());
        }
        assert!(model.error(1.0).expect("finite").abs() < 1e-3);
        assert!(model.error(f64::NAN).is_err() && model.error(1.0).expect("finite").abs() < 1e-3);
        assert!(Autoregression::new(&[], 1.0).is_err() && Autoregression::new(&[0], 1.0).is_err());
        assert!(Autoregression::new(&[1], 0.0).is_err());
    }
}
