//! How well scores put the rows of one class before those of the other: areas under the ROC and the precision-recall curve.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::Metric;

/// ROC AUC and PR AUC (average precision) of two classes, exact: all scores are kept on the device (8 bytes a row) and sorted
/// there when the values are read.
///
/// Outputs are one score per row, `[n]` or `[n, 1]` (logit, probability, any number that rises with class 1), or two, `[n, 2]`
/// (the second less the first). Targets are 0 or 1, `[n]` or `[n, 1]`, of any type.
///
/// Sources: scikit-learn's `roc_auc_score` and `average_precision_score`.
#[derive(Debug)]
pub struct Ranking {
    capacity: usize,
    /// `[2, capacity]`: scores, targets.
    rows: Var,
    /// `[1]` i32.
    count: Var,
}

/// Points of a curve from (0, 0) or its like to the end, one per distinct score.
pub(crate) type Curve = Vec<[f64; 2]>;

/// Counts (false positives, true positives) of rows that fall in score, each with whether it is positive; equal scores are one
/// point.
pub(crate) fn counts(rows: impl IntoIterator<Item = (f64, bool)>) -> Curve {
    let (mut point, mut curve, mut rows) = ([0.0, 0.0], Curve::new(), rows.into_iter().peekable());
    while let Some((score, positive)) = rows.next() {
        point[usize::from(positive)] += 1.0;
        if rows.peek().is_none_or(|next| next.0 != score) {
            curve.push(point);
        }
    }
    curve
}

/// The areas under the ROC curve (by trapezoids) and under the precision-recall curve (precision times the gain of recall) of
/// such counts; NaN where a class has no rows.
pub(crate) fn areas(counts: &[[f64; 2]]) -> [f64; 2] {
    let [false_all, true_all] = counts.last().copied().unwrap_or([f64::NAN; 2]);
    let (mut roc, mut precision, mut before) = (0.0, 0.0, [0.0, 0.0]);
    for &[f, t] in counts {
        roc += (f - before[0]) * (t + before[1]) / 2.0;
        precision += (t - before[1]) * t / (f + t);
        before = [f, t];
    }
    [roc / (false_all * true_all), precision / true_all]
}

impl Ranking {
    /// Room for `capacity` rows between two resets.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(capacity: usize, device: &Device) -> Result<Ranking> {
        let rows = Var::try_new("metric.ranking", &Tensor::zeros(&[2, capacity], device))?;
        let count = Var::try_new("metric.ranking.count", &Tensor::full(&[1], 0.0, DType::I32, device))?;
        Ok(Ranking { capacity, rows, count })
    }

    /// Points (false positives, true positives) as counts, from the highest score to the lowest; equal scores are one point.
    fn counts(&self) -> Result<Curve> {
        let count = self.count.get().to_vec::<i32>()?[0] as usize;
        if count > self.capacity {
            let message = format!("{count} rows were added, there is room for {}; make it with more", self.capacity);
            return Err(Error::data("ranking metric", message));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let rows = self.rows.get().narrow(1, 0, count);
        let (scores, order) = rows.index_axis(0, 0).sort(0, true);
        let targets = rows.index_axis(0, 1).index_select(0, &order);
        let (scores, targets) = (scores.to_vec::<f32>()?, targets.to_vec::<f32>()?);
        if scores.iter().any(|score| score.is_nan()) {
            return Err(Error::data("ranking metric", "a score is NaN; look at the model's outputs"));
        }
        let rows = scores.iter().zip(&targets).map(|(&score, &target)| (f64::from(score), target > 0.5));
        Ok(counts(rows))
    }

    /// The ROC curve: points (false positive rate, true positive rate) from (0, 0) to (1, 1).
    ///
    /// # Errors
    /// If there was no room for all rows, a score is NaN, or the device fails.
    pub fn roc(&self) -> Result<Curve> {
        let curve = self.counts()?;
        let Some([false_all, true_all]) = curve.last().copied() else { return Ok(Vec::new()) };
        let rates = curve.into_iter().map(|[f, t]| [f / false_all, t / true_all]);
        Ok(std::iter::once([0.0, 0.0]).chain(rates).collect())
    }

    /// The precision-recall curve: points (recall, precision) from the highest score on.
    ///
    /// # Errors
    /// As [`Ranking::roc`].
    pub fn precision_recall(&self) -> Result<Curve> {
        let curve = self.counts()?;
        let all = curve.last().map_or(0.0, |end| end[1]);
        Ok(curve.into_iter().map(|[f, t]| [t / all, t / (f + t)]).collect())
    }
}

impl Metric for Ranking {
    #[track_caller]
    fn update(&self, output: &Tensor, target: &Tensor) {
        let n = target.len();
        let scores = if output.len() == 2 * n && output.shape().last() == Some(&2) {
            output.narrow(-1, 1, 1) - output.narrow(-1, 0, 1)
        } else {
            assert!(output.len() == n, "scores {:?} do not fit targets {:?}", output.shape(), target.shape());
            output.clone()
        };
        let flat = |x: &Tensor| x.cast(DType::F32).reshape([1, n]);
        let more = Tensor::cat(&[flat(&scores), flat(target)], 0);
        let count = self.count.get();
        let place = Tensor::arange(0.0, n as f64, 1.0, target.device()).cast(DType::I32) + &count;
        let place = place.reshape([1, n]).expand([2, n]);
        self.rows.assign(&(self.rows.get() + more.scatter_sum(1, &place, self.capacity)));
        self.count.assign(&(count + n as f64));
    }

    fn values(&self) -> Result<Vec<(&'static str, f64)>> {
        let [roc, precision] = areas(&self.counts()?);
        Ok(vec![("roc_auc", roc), ("pr_auc", precision)])
    }

    fn state(&self) -> Vec<Var> {
        vec![self.rows.clone(), self.count.clone()]
    }
}
