//! [`Order`]: which rows an epoch reads, as a function of seed and epoch alone.

use anygrad_core::{Error, Result};

use super::{Draws, shuffled};

/// Which rows an epoch reads, and in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Order {
    /// All rows, from first to last.
    Sequential,
    /// All rows, in an order drawn anew for each epoch.
    #[default]
    Shuffled,
    /// Rows drawn with replacement, each with a probability in proportion to its weight (PyTorch's
    /// `WeightedRandomSampler`): rare classes seen more often.
    Weighted {
        /// One per row: not negative, not all 0.
        weights: Vec<f64>,
        /// How many rows are drawn for an epoch; `None`: as many as there are.
        count: Option<usize>,
    },
    /// All rows, shuffled such that each stretch holds the classes in nearly the proportions of the whole set.
    Stratified {
        /// The class of each row.
        labels: Vec<u32>,
    },
}

impl Order {
    /// Weights under which all classes are drawn equally often: 1 over the size of the row's class.
    #[must_use]
    pub fn balanced(labels: &[u32]) -> Order {
        let mut counts = std::collections::BTreeMap::new();
        labels.iter().for_each(|label| *counts.entry(label).or_insert(0usize) += 1);
        Order::Weighted { weights: labels.iter().map(|label| 1.0 / counts[label] as f64).collect(), count: None }
    }

    /// An error unless this order fits a set of `len` rows.
    pub(crate) fn check(&self, len: usize) -> Result<()> {
        let (what, given) = match self {
            Order::Sequential | Order::Shuffled => return Ok(()),
            Order::Weighted { weights, .. } => {
                if let Some(row) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
                    let message =
                        format!("the weight of row {row} is {}; weights are finite and not negative", weights[row]);
                    return Err(Error::data("loader", message));
                }
                if weights.iter().sum::<f64>() <= 0.0 {
                    return Err(Error::data("loader", "all weights are 0; at least one row must have a chance"));
                }
                ("weights", weights.len())
            }
            Order::Stratified { labels } => ("labels", labels.len()),
        };
        if given != len {
            return Err(Error::data(
                "loader",
                format!("{given} {what} for a data set of {len} rows; give one per row"),
            ));
        }
        Ok(())
    }

    /// How many rows an epoch has in a set of `len`.
    #[must_use]
    pub fn count(&self, len: usize) -> usize {
        match self {
            Order::Weighted { count: Some(count), .. } => *count,
            _ => len,
        }
    }

    /// The rows of an epoch in a set of `len`.
    #[must_use]
    pub fn rows(&self, len: usize, seed: u64, epoch: usize) -> Vec<u32> {
        match self {
            Order::Sequential => (0..len as u32).collect(),
            Order::Shuffled => shuffled(len, seed, epoch),
            Order::Weighted { weights, .. } => weighted(weights, self.count(len), &mut Draws::new(seed, epoch as u64)),
            Order::Stratified { labels } => stratified(labels, seed, epoch),
        }
    }
}

/// `count` rows by inversion of the cumulative weights.
fn weighted(weights: &[f64], count: usize, draws: &mut Draws) -> Vec<u32> {
    let mut total = 0.0;
    let sums: Vec<f64> = weights.iter().map(|w| (total += w, total).1).collect();
    // Rows after the last with a weight cannot be reached, even if a product is rounded up to the total.
    let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(0);
    let row = |at: f64| sums.partition_point(|&sum| sum <= at).min(last) as u32;
    (0..count).map(|_| row(draws.uniform() * total)).collect()
}

/// The k-th of the `n` shuffled rows of a class stands at `(k + u) / n` of the way, with one `u` in `0..1` per class: any
/// stretch of the way has a class' share of it to within one row.
fn stratified(labels: &[u32], seed: u64, epoch: usize) -> Vec<u32> {
    let mut classes: std::collections::BTreeMap<u32, Vec<u32>> = std::collections::BTreeMap::new();
    let order = shuffled(labels.len(), seed, epoch);
    for &row in &order {
        classes.entry(labels[row as usize]).or_default().push(row);
    }
    // The shuffle used `len - 1` draws of this stream; a second generator is one that it cannot meet.
    let mut draws = Draws::new(!seed, epoch as u64);
    let mut placed: Vec<(f64, u32)> = Vec::with_capacity(labels.len());
    for rows in classes.values() {
        let (offset, n) = (draws.uniform(), rows.len() as f64);
        placed.extend(rows.iter().enumerate().map(|(k, &row)| ((k as f64 + offset) / n, row)));
    }
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    placed.into_iter().map(|(_, row)| row).collect()
}
