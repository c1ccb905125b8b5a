//! Scores of clusterings, embeddings and anomaly detectors; definitions and ties are scikit-learn's.
//!
//! What compares labels runs on the host; what compares all pairs of rows runs on the device, in tiles.

mod labels;
mod pairs;
mod ranking;

pub use labels::{adjusted_rand, normalized_mutual_information};
pub use pairs::{davies_bouldin, silhouette, trustworthiness};
pub use ranking::{average_precision, roc_auc};

use anygrad_core::Result;

use super::wrong;

/// Labels as numbers `0..count` in rising order of label, and the count.
fn numbered(labels: &[i32]) -> (Vec<usize>, usize) {
    let mut known = labels.to_vec();
    known.sort_unstable();
    known.dedup();
    let number = |label: &i32| known.binary_search(label).unwrap_or(0);
    (labels.iter().map(number).collect(), known.len())
}

/// An error unless two lists have one length, which is not 0.
fn same_length(score: &str, a: usize, b: usize) -> Result<()> {
    if a != b || a == 0 {
        return Err(wrong(score, format!("{a} and {b} values were given; give two lists of one length, not empty")));
    }
    Ok(())
}
