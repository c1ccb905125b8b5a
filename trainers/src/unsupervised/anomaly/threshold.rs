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
        Ok(start + beyond(&peaks, self.risk * scores.len() as f64))
    }

    /// Begins to watch a stream, with these ordinary scores known.
    ///
    /// # Errors
    /// As [`PeaksOverThreshold::threshold`].
    pub fn stream(&self, scores: &[f64]) -> Result<StreamingThreshold> {
        let threshold = self.threshold(scores)?;
        let start = quantile(scores, self.level)?;
        let mut peaks: Vec<f64> = scores.iter().filter(|&&s| s > start).map(|s| s - start).collect();
        peaks.sort_unstable_by(f64::total_cmp);
        Ok(StreamingThreshold { risk: self.risk, start, threshold, peaks, seen: scores.len() })
    }
}

/// A threshold that learns from a stream of scores: each ordinary score over the calibration's quantile makes the tail better
/// known, and what is over the threshold raises an alarm and is not learned.
///
/// Source: Siffer and others, "Anomaly detection in streams with extreme value theory" (2017), algorithm 2 (SPOT), with
/// probability weighted moments as in [`PeaksOverThreshold`].
#[derive(Clone, Debug, PartialEq)]
pub struct StreamingThreshold {
    risk: f64,
    start: f64,
    threshold: f64,
    /// Excesses over `start`, rising.
    peaks: Vec<f64>,
    seen: usize,
}

impl StreamingThreshold {
    /// Whether this score is over the threshold; else it is learned from.
    ///
    /// # Errors
    /// If it is NaN; it is then left out.
    pub fn is_alarm(&mut self, score: f64) -> Result<bool> {
        if score.is_nan() {
            let message = format!("score {} is NaN; leave it out or find out why", self.seen);
            return Err(wrong("peaks over threshold", message));
        }
        if score > self.threshold {
            return Ok(true);
        }
        self.seen += 1;
        let excess = score - self.start;
        if excess > 0.0 {
            let at = self.peaks.partition_point(|peak| *peak < excess);
            self.peaks.insert(at, excess);
            self.threshold = self.start + beyond(&self.peaks, self.risk * self.seen as f64);
        }
        Ok(false)
    }

    /// The threshold now.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }
}

/// The excess that `expected` of the scores reach whose excesses over a level are `peaks`, rising: by a generalised Pareto
/// tail `P(Y > y) = (1 + shape y / scale)^(-1 / shape)`.
fn beyond(peaks: &[f64], expected: f64) -> f64 {
    let n = peaks.len() as f64;
    let a0 = peaks.iter().sum::<f64>() / n;
    let a1 = peaks.iter().enumerate().map(|(i, y)| (n - 1.0 - i as f64) / (n - 1.0) * y).sum::<f64>() / n;
    let shape = 2.0 - a0 / (a0 - 2.0 * a1);
    let scale = 2.0 * a0 * a1 / (a0 - 2.0 * a1);
    let ratio = expected / n;
    if shape.abs() < 1e-6 { -scale * ratio.ln() } else { scale / shape * (ratio.powf(-shape) - 1.0) }
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

    #[test]
    fn a_stream_sharpens_its_threshold_and_keeps_alarms_out() {
        // As above, and 30,000 further scores: with 2,500 peaks three deviations are 1.2.
        let mut draws = Draws::new(6, 0);
        let mut next = || -(1.0 - draws.uniform()).ln();
        let first: Vec<f64> = (0..20_000).map(|_| next()).collect();
        let mut stream = PeaksOverThreshold { level: 0.95, risk: 1e-4 }.stream(&first).expect("peaks");
        assert!(stream.is_alarm(50.0).expect("a number"));
        let begin = stream.threshold();
        let alarms = (0..30_000).filter(|_| stream.is_alarm(next()).expect("a number")).count();
        // Three are expected at risk 1e-4; a threshold that is 1.2 too low gives ten.
        assert!(alarms <= 20, "{alarms}");
        assert!((stream.threshold() - 1e4f64.ln()).abs() < 1.2, "{begin} {}", stream.threshold());
        assert!(stream.is_alarm(f64::NAN).is_err());
    }
}
