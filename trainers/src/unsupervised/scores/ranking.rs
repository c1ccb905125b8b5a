//! How well a score tells positives from negatives, over all thresholds.

use anygrad_core::Result;

use super::same_length;
use crate::metrics::ranking::{areas, counts};
use crate::unsupervised::wrong;

/// Areas under both curves, after checks.
fn both(score: &str, positive: &[bool], scores: &[f64]) -> Result<[f64; 2]> {
    same_length(score, positive.len(), scores.len())?;
    if let Some(row) = scores.iter().position(|s| s.is_nan()) {
        return Err(wrong(score, format!("the score of row {row} is NaN")));
    }
    if positive.iter().all(|&p| p) || !positive.contains(&true) {
        return Err(wrong(score, "all rows are of one class; there must be positives and negatives"));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    Ok(areas(&counts(order.into_iter().map(|row| (scores[row], positive[row])))))
}

/// Area under the ROC curve: the probability that a positive scores higher than a negative (ties count half).
///
/// # Errors
/// If lengths differ, a score is NaN, or all rows are of one class.
pub fn roc_auc(positive: &[bool], scores: &[f64]) -> Result<f64> {
    both("roc_auc", positive, scores).map(|[roc, _]| roc)
}

/// Area under the precision-recall curve, as the sum of precision times the gain of recall (average precision).
///
/// # Errors
/// As [`roc_auc`].
pub fn average_precision(positive: &[bool], scores: &[f64]) -> Result<f64> {
    both("average_precision", positive, scores).map(|[_, precision]| precision)
}
