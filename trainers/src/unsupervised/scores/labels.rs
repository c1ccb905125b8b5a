//! How alike two labellings are, whatever the labels are called.

use anygrad_core::Result;

use super::{numbered, same_length};

/// Rows with label `i` in the first and `j` in the second labelling, and both margins.
struct Contingency {
    cells: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

fn contingency(a: &[i32], b: &[i32]) -> Contingency {
    let ((a, m), (b, n)) = (numbered(a), numbered(b));
    let mut table = Contingency { cells: vec![0.0; m * n], first: vec![0.0; m], second: vec![0.0; n] };
    for (i, j) in a.into_iter().zip(b) {
        table.cells[i * n + j] += 1.0;
        table.first[i] += 1.0;
        table.second[j] += 1.0;
    }
    table
}

/// Adjusted Rand index: 1 for equal partitions, about 0 for independent ones.
/// Source: Hubert and Arabie, "Comparing partitions" (1985).
///
/// # Errors
/// If the lists are empty or of different lengths.
pub fn adjusted_rand(truth: &[i32], labels: &[i32]) -> Result<f64> {
    same_length("adjusted_rand", truth.len(), labels.len())?;
    let table = contingency(truth, labels);
    let pairs = |counts: &[f64]| counts.iter().map(|n| n * (n - 1.0) / 2.0).sum::<f64>();
    let (both, a, b) = (pairs(&table.cells), pairs(&table.first), pairs(&table.second));
    let all = truth.len() as f64 * (truth.len() as f64 - 1.0) / 2.0;
    let expected = if all > 0.0 { a * b / all } else { 0.0 };
    let most = (a + b) / 2.0;
    Ok(if most == expected { 1.0 } else { (both - expected) / (most - expected) })
}

/// Mutual information divided by the mean of both entropies: 1 for equal partitions, 0 for independent ones.
///
/// # Errors
/// If the lists are empty or of different lengths.
pub fn normalized_mutual_information(truth: &[i32], labels: &[i32]) -> Result<f64> {
    same_length("normalized_mutual_information", truth.len(), labels.len())?;
    let (table, n) = (contingency(truth, labels), truth.len() as f64);
    let entropy = |counts: &[f64]| counts.iter().map(|c| -(c / n) * (c / n).ln()).sum::<f64>();
    let (a, b) = (entropy(&table.first), entropy(&table.second));
    if table.first.len() == 1 && table.second.len() == 1 {
        return Ok(1.0);
    }
    let columns = table.second.len();
    let cell = |(at, &count): (usize, &f64)| {
        let independent = table.first[at / columns] * table.second[at % columns];
        if count > 0.0 { count / n * (count * n / independent).ln() } else { 0.0 }
    };
    let information: f64 = table.cells.iter().enumerate().map(cell).sum();
    Ok(if information <= 0.0 { 0.0 } else { information / ((a + b) / 2.0) })
}
