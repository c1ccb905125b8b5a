//! How well a score tells positives from negatives, over all thresholds.

use anygrad_core::Result;

use super::same_length;
use crate::unsupervised::wrong;

/// `(true positives, false positives)` at each distinct threshold, highest first.
fn curve(score: &str, positive: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>> {
    same_length(score, positive.len(), scores.len())?;
    if let Some(row) = scores.iter().position(|s| s.is_nan()) {
        return Err(wrong(score, format!("the score of row {row} is NaN")));
    }
    if positive.iter().all(|&p| p) || !positive.contains(&true) {
        return Err(wrong(score, "all rows are of one class; there must be positives and negatives"));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut points, mut hits, mut misses) = (Vec::new(), 0.0, 0.0);
    for (at, &row) in order.iter().enumerate() {
        if positive[row] {
            hits += 1.0;
        } else {
            misses += 1.0;
        }
        if order.get(at + 1).is_none_or(|&next| scores[next] != scores[row]) {
            points.push((hits, misses));
        }
    }
    Ok(points)
}

/// Area under the ROC curve: the probability that a positive scores higher than a negative (ties count half).
///
/// # Errors
/// If lengths differ, a score is NaN, or all rows are of one class.
pub fn roc_auc(positive: &[bool], scores: &[f64]) -> Result<f64> {
    let points = curve("roc_auc", positive, scores)?;
    let (mut area, mut last) = (0.0, (0.0, 0.0));
    for point in &points {
        area += (point.1 - last.1) * (point.0 + last.0) / 2.0;
        last = *point;
    }
    Ok(area / (last.0 * last.1))
}

/// Area under the precision-recall curve, as the sum of precision times the gain of recall (average precision).
///
/// # Errors
/// As [`roc_auc`].
pub fn average_precision(positive: &[bool], scores: &[f64]) -> Result<f64> {
    let points = curve("average_precision", positive, scores)?;
    let all = points.last().map_or(1.0, |last| last.0);
    let (mut sum, mut before) = (0.0, 0.0);
    for (hits, misses) in points {
        sum += hits / (hits + misses) * (hits - before) / all;
        before = hits;
    }
    Ok(sum)
}
