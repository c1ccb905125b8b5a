//! Scores of rows that come one after the other, by statistics that forget.

use anygrad_core::Result;

use crate::unsupervised::wrong;

/// How far a row is from what came before it, in standard deviations; means and variances of the features are of all rows so
/// far with weights that halve every `half_life` rows, so that the normal may drift.
///
/// Source: Finch, "Incremental calculation of weighted mean and variance" (2009), section 9, with the weights of the first rows
/// made to sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamingScore {
    decay: f64,
    warm_up: usize,
    rows: usize,
    /// The sum of all weights, the newest row's being 1.
    weight: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl StreamingScore {
    /// Statistics of `features` numbers; a row's weight halves every `half_life` rows. The first `warm_up` rows score 0.
    ///
    /// # Errors
    /// If there are no features, the half-life is not positive, or fewer than two rows warm it up.
    pub fn new(features: usize, half_life: f64, warm_up: usize) -> Result<StreamingScore> {
        if features == 0 || !(half_life > 0.0 && half_life.is_finite()) || warm_up < 2 {
            let message = format!("{features} features, half-life {half_life}, warm-up {warm_up}");
            return Err(wrong("streaming score", format!("{message}; give at least 1, more than 0, at least 2")));
        }
        let zeros = vec![0.0; features];
        let decay = (-1.0 / half_life).exp2();
        Ok(StreamingScore { decay, warm_up, rows: 0, weight: 0.0, mean: zeros.clone(), variance: zeros })
    }

    /// The row's root mean square of standard deviations from the mean of the rows before, which it joins afterwards. A feature
    /// that was constant so far scores infinity when it changes.
    ///
    /// # Errors
    /// If the number of features differs, or a number is NaN or infinite; the row is then left out.
    pub fn score(&mut self, row: &[f64]) -> Result<f64> {
        if row.len() != self.mean.len() {
            let message = format!("row {} has {} features, not {}", self.rows, row.len(), self.mean.len());
            return Err(wrong("streaming score", message));
        }
        if let Some(column) = row.iter().position(|x| !x.is_finite()) {
            let message = format!("row {}, column {column} is {} (counted from 0)", self.rows, row[column]);
            return Err(wrong("streaming score", message));
        }
        let ratio = |((x, mean), variance): ((&f64, &f64), &f64)| {
            let square = (x - mean).powi(2);
            if square == 0.0 { 0.0 } else { square / variance }
        };
        let squares: f64 = row.iter().zip(&self.mean).zip(&self.variance).map(ratio).sum();
        let score = if self.rows < self.warm_up { 0.0 } else { (squares / row.len() as f64).sqrt() };
        self.rows += 1;
        self.weight = self.weight * self.decay + 1.0;
        let share = 1.0 / self.weight;
        for ((x, mean), variance) in row.iter().zip(&mut self.mean).zip(&mut self.variance) {
            let difference = x - *mean;
            *mean += share * difference;
            *variance = (1.0 - share) * (*variance + share * difference * difference);
        }
        Ok(score)
    }

    /// The weighted means of the rows so far.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The weighted variances of the rows so far.
    #[must_use]
    pub fn variance(&self) -> &[f64] {
        &self.variance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_decaying_weights() {
        let values: Vec<f64> = (0..40).map(|i| (f64::from(i) * 1.7).sin() + 0.05 * f64::from(i)).collect();
        let mut stream = StreamingScore::new(1, 5.0, 2).expect("in range");
        for (count, &value) in values.iter().enumerate() {
            let score = stream.score(&[value]).expect("finite");
            // By definition: weights 2^(-age / 5).
            let weights: Vec<f64> = (0..count).map(|i| (-((count - 1 - i) as f64) / 5.0).exp2()).collect();
            let all: f64 = weights.iter().sum();
            let mean = weights.iter().zip(&values).map(|(w, x)| w * x).sum::<f64>() / all;
            let variance = weights.iter().zip(&values).map(|(w, x)| w * (x - mean).powi(2)).sum::<f64>() / all;
            let expected = if count < 2 { 0.0 } else { (value - mean).abs() / variance.sqrt() };
            assert!((score - expected).abs() < 1e-9 * (1.0 + expected), "{count}: {score} is not {expected}");
        }
    }

    #[test]
    fn it_follows_a_drift_and_refuses_what_is_no_row() {
        let mut stream = StreamingScore::new(2, 20.0, 10).expect("in range");
        let wave = |i: usize| 0.01 * i as f64 + (i % 7) as f64;
        for i in 0..1000 {
            assert!(stream.score(&[wave(i), 1.0]).expect("finite") < 3.0);
        }
        assert!(stream.score(&[wave(1000) + 30.0, 1.0]).expect("finite") > 5.0);
        assert_eq!(stream.score(&[wave(1001), 2.0]).expect("finite"), f64::INFINITY);
        assert!(stream.score(&[1.0]).is_err() && stream.score(&[f64::NAN, 1.0]).is_err());
        assert!(StreamingScore::new(0, 1.0, 2).is_err() && StreamingScore::new(1, 0.0, 2).is_err());
    }
}
