//! From scores to alarms: a threshold by quantile, or by the tail of extreme values.

use anygrad_core::Result;

use crate::unsupervised::wrong;

/// The value below which a share `at` (`0.0..=1.0`) of the values lies, between neighbours by a straight line (numpy's rule).
///
/// # Errors
/// If there are no values, one is NaN, or the share is out of range.
pub fn quantile(values: &[f64], at: f64) -> Result<f64> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) || !(0.0..=1.0).contains(&at) {
        return Err(wrong("quantile", format!("{at} of {} values; give 0 to 1, and values without NaN", values.len())));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = at * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    Ok(sorted[low] + part * (sorted[high] - sorted[low]))
}

/// A threshold that ordinary scores exceed with a given small probability, by the distribution of what exceeds a high
/// quantile (peaks over threshold): a generalised Pareto distribution. Works for probabilities far below `1 / scores`.
///
/// The distribution is fitted by probability weighted moments. Sources: Siffer and others, "Anomaly detection in streams with
/// extreme value theory" (2017), equation 1; Hosking and Wallis, "Parameter and quantile estimation for the generalized
/// Pareto distribution" (1987), section 3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeaksOverThreshold {
    /// The quantile over which scores count as peaks; 0.98.
    pub level: f64,
    /// The probability with which an ordinary score exceeds the threshold; 1e-4.
    pub risk: f64,
}

impl Default for PeaksOverThreshold {
    fn default() -> PeaksOverThreshold {
        PeaksOverThreshold { level: 0.98, risk: 1e-4 }
    }
}

impl PeaksOverThreshold {
    /// The threshold for these ordinary scores.
    ///
    /// # Errors
    /// If a number is out of range, the risk is not below `1 - level`, or fewer than ten scores are peaks.
    pub fn threshold(&self, scores: &[f64]) -> Result<f64> {
        if !(self.risk > 0.0 && self.risk < 1.0 - self.level) {
            let message =
                format!("risk {} at level {}; the risk must be positive and below 1 - level", self.risk, self.level);
            return Err(wrong("peaks over threshold", message));
        }
        let start = quantile(scores, self.level)?;
        let mut peaks: Vec<f64> = scores.iter().filter(|&&s| s > start).map(|s| s - start).collect();
        if peaks.len() < 10 {
            let message = format!(
                "{} of {} scores exceed level {}; give more scores or a lower level",
                peaks.len(),
                scores.len(),
                self.level
            );
            return Err(wrong("peaks over threshold", message));
        }
        peaks.sort_unstable_by(f64::total_cmp);
        let n = peaks.len() as f64;
        let a0 = peaks.iter().sum::<f64>() / n;
        let a1 = peaks.iter().enumerate().map(|(i, y)| (n - 1.0 - i as f64) / (n - 1.0) * y).sum::<f64>() / n;
        // P(Y > y) = (1 + shape y / scale)^(-1 / shape).
        let shape = 2.0 - a0 / (a0 - 2.0 * a1);
        let scale = 2.0 * a0 * a1 / (a0 - 2.0 * a1);
        let ratio = self.risk * scores.len() as f64 / n;
        let beyond = if shape.abs() < 1e-6 { -scale * ratio.ln() } else { scale / shape * (ratio.powf(-shape) - 1.0) };
        Ok(start + beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Draws;

    #[test]
    fn quantiles_are_numpys() {
        let values = [3.0, 1.0, 2.0, 10.0];
        for (at, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 7.9), (1.0, 10.0)] {
            assert!((quantile(&values, at).expect("in range") - expected).abs() < 1e-14, "{at}");
        }
        assert!(quantile(&[], 0.5).is_err() && quantile(&[f64::NAN], 0.5).is_err() && quantile(&values, 1.1).is_err());
    }

    #[test]
    fn the_tail_of_an_exponential_distribution_is_continued() {
        // P(score > t) = exp(-t): the threshold for 1e-4 is ln(1e4) = 9.21, seen from 20,000 scores with 1,000 peaks. The
        // deviation of shape is about 1 / sqrt(1000) = 0.03, which moves it by ln(500)²/2 * 0.03 = 0.6: three of them.
        let mut draws = Draws::new(5, 0);
        let scores: Vec<f64> = (0..20_000).map(|_| -(1.0 - draws.uniform()).ln()).collect();
        let found = PeaksOverThreshold { level: 0.95, risk: 1e-4 }.threshold(&scores).expect("peaks");
        assert!((found - 1e4f64.ln()).abs() < 1.8, "{found}");
        assert!(PeaksOverThreshold { level: 0.95, risk: 0.1 }.threshold(&scores).is_err());
        assert!(PeaksOverThreshold::default().threshold(&scores[..100]).is_err());
    }
}
