//! Row numbers for training, validation and test, as functions of the seed; [`super::Subset`] makes data sets of them.

use std::collections::BTreeMap;
use std::hash::Hash;

use anygrad_core::{Error, Result};

use super::{Draws, shuffled};

/// Rows for training and for validation of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Rows to train on.
    pub train: Vec<u32>,
    /// Rows to validate on; every row is in exactly one fold's.
    pub valid: Vec<u32>,
}

/// Splits the rows `0..len` by chance into parts of these shares, such as `[0.8, 0.1, 0.1]`.
///
/// The shares' cumulative sums are rounded to rows, so each part is within one row of its share.
///
/// # Errors
/// If a share is negative or they do not sum to 1 (to within 1e-9).
pub fn split(len: usize, shares: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    check_shares(shares)?;
    Ok(cut(&shuffled(len, seed, 0), shares))
}

/// As [`split`], with each class split by these shares on its own (scikit-learn's `stratify`).
///
/// # Errors
/// As [`split`].
pub fn stratified_split(labels: &[u32], shares: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    check_shares(shares)?;
    let mut parts = vec![Vec::new(); shares.len()];
    for rows in by_class(labels, seed).into_values() {
        for (part, rows) in parts.iter_mut().zip(cut(&rows, shares)) {
            part.extend(rows);
        }
    }
    parts.iter_mut().for_each(|part| Draws::new(seed, 1).shuffle(part));
    Ok(parts)
}

/// As [`split`], but all rows of a group (a patient, an engine) go to the same part; shares are of groups.
///
/// # Errors
/// As [`split`].
pub fn grouped_split<G: Ord + Hash>(groups: &[G], shares: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    let mut members: BTreeMap<&G, Vec<u32>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(row, group)| members.entry(group).or_default().push(row as u32));
    let members: Vec<Vec<u32>> = members.into_values().collect();
    let parts = split(members.len(), shares, seed)?;
    Ok(parts.into_iter().map(|part| part.iter().flat_map(|&g| members[g as usize].clone()).collect()).collect())
}

/// `k` folds of the rows `0..len`, shuffled; sizes differ by one at most.
///
/// # Errors
/// If `k` is below 2 or above `len`.
pub fn k_fold(len: usize, k: usize, seed: u64) -> Result<Vec<Fold>> {
    check_folds(len, k)?;
    Ok(folds(&shuffled(len, seed, 0), k))
}

/// `k` folds in which each class is spread evenly: per class, sizes differ by one at most.
///
/// # Errors
/// If `k` is below 2 or above the number of rows.
pub fn stratified_k_fold(labels: &[u32], k: usize, seed: u64) -> Result<Vec<Fold>> {
    check_folds(labels.len(), k)?;
    // Class after class, dealt out like cards: a class' rows are consecutive, so they go round evenly.
    let order: Vec<u32> = by_class(labels, seed).into_values().flatten().collect();
    Ok(folds(&order, k))
}

/// Deals rows out to `k` folds in turn.
fn folds(order: &[u32], k: usize) -> Vec<Fold> {
    let fold = |number: usize| {
        let (mut valid, mut train) = (Vec::new(), Vec::new());
        for (place, &row) in order.iter().enumerate() {
            if place % k == number { valid.push(row) } else { train.push(row) }
        }
        Fold { train, valid }
    };
    (0..k).map(fold).collect()
}

fn by_class(labels: &[u32], seed: u64) -> BTreeMap<u32, Vec<u32>> {
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in shuffled(labels.len(), seed, 0) {
        classes.entry(labels[row as usize]).or_default().push(row);
    }
    classes
}

fn cut(rows: &[u32], shares: &[f64]) -> Vec<Vec<u32>> {
    let (mut sum, mut start) = (0.0, 0);
    let mut parts = Vec::with_capacity(shares.len());
    for share in shares {
        sum += share;
        let end = ((rows.len() as f64 * sum).round() as usize).clamp(start, rows.len());
        parts.push(rows[start..end].to_vec());
        start = end;
    }
    parts
}

fn check_shares(shares: &[f64]) -> Result<()> {
    let sum: f64 = shares.iter().sum();
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-9 {
        let message = format!("shares {shares:?} sum to {sum}; they must lie in 0..=1 and sum to 1");
        return Err(Error::data("split", message));
    }
    Ok(())
}

fn check_folds(len: usize, k: usize) -> Result<()> {
    if k < 2 || k > len {
        return Err(Error::data("folds", format!("{k} folds of {len} rows; give 2 to {len}")));
    }
    Ok(())
}
