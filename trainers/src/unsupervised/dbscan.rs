//! DBSCAN: clusters are dense regions, whatever their shape; what lies between is noise.
//!
//! The device compares a tile of rows with all rows and packs who is near into bits; the host joins cores with union-find
//! while the tiles come in. Each pair of rows is compared once as bits; the distance matrix never exists.

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::{Run, Table, silent, squared_distances, table, wrong};
use crate::events::Listener;

const METHOD: &str = "dbscan";

/// Rows compared at a time.
const TILE: usize = 512;

/// How to find dense regions. A row is a core if at least `min_samples` rows (itself included) are within `eps`; cores within
/// `eps` of each other are one cluster; other rows within `eps` of a core belong to its cluster (the first, if there are
/// several); the rest is noise.
///
/// Source: Ester, Kriegel, Sander, Xu, "A density-based algorithm for discovering clusters" (1996). Defaults are scikit-learn's.
#[derive(Clone, Debug, PartialEq)]
pub struct Dbscan {
    /// Euclidean distance up to which rows are neighbours; 0.5.
    pub eps: f64,
    /// Neighbours, itself included, that make a row a core; 5.
    pub min_samples: usize,
}

impl Default for Dbscan {
    fn default() -> Dbscan {
        Dbscan { eps: 0.5, min_samples: 5 }
    }
}

/// Which row belongs where. There is nothing to predict for new rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbscanResult {
    /// The cluster of each row, numbered by first cores; -1 is noise.
    pub labels: Vec<i32>,
    /// Whether each row is a core.
    pub cores: Vec<bool>,
    /// Number of clusters.
    pub clusters: usize,
}

impl Dbscan {
    /// Clusters the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, a number is NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Table + ?Sized)) -> Result<DbscanResult> {
        self.fit_with(device, data, &mut silent)
    }

    /// As [`Dbscan::fit`], telling a listener how many rows are `done`. If it stops the run, that is an error: half a
    /// clustering is none.
    ///
    /// # Errors
    /// As [`Dbscan::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Table + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<DbscanResult> {
        if !(self.eps > 0.0 && self.eps.is_finite()) || self.min_samples == 0 {
            let message = format!("eps {} and min_samples {}; both must be positive", self.eps, self.min_samples);
            return Err(wrong(METHOD, message));
        }
        let x = table::load(METHOD, data, device)?;
        let x = (&x - x.mean(0)).realize()?.clone();
        let (n, d) = (x.shape()[0], x.shape()[1]);
        let mut run = Run::begin(listener, METHOD, Some(n.div_ceil(TILE) as u64))?;
        let tile = TILE.min(n);
        let words = n.div_ceil(32);
        // The rows of a tile are an argument (the last one overlaps the one before), all rows are captured.
        let all = x.pad(&[(0, words * 32 - n), (0, 0)], f64::from(f32::MAX).sqrt() / 1e3).realize()?.clone();
        let limit = self.eps * self.eps;
        let weights: Vec<u32> = (0..32).map(|bit| 1 << bit).collect();
        let weights = Var::try_new("bits", &Tensor::try_from_slice(&weights, &[32], device)?)?;
        let mut near = Program::inference(device, move |rows: Tensor| -> Tensor {
            let inside = squared_distances(&rows, &all).le(limit).reshape([tile, words, 32]);
            inside.select(weights.get(), 0.0).sum(2)
        });
        let mut joined = Joined::new(n, self.min_samples);
        let values = x.to_vec::<f32>()?;
        for first in (0..n).step_by(TILE) {
            let start = first.min(n - tile);
            let rows = Tensor::try_from_slice(&values[start * d..(start + tile) * d], &[tile, d], device)?;
            let bits = near.run(rows)?.to_vec::<u32>()?;
            for (row, bits) in (start..start + tile).zip(bits.chunks_exact(words)).skip(first - start) {
                joined.add(row, bits);
            }
            if run.iteration((first / TILE + 1) as u64, &[("done", (start + tile) as f64)])? {
                run.end("stopped")?;
                return Err(wrong(METHOD, "stopped by its listener before all rows were compared"));
            }
        }
        run.end("done")?;
        Ok(joined.finish())
    }
}

/// Cores joined so far. A pair of rows is looked at when the later of the two comes in: then it is known of both
/// whether they are cores.
struct Joined {
    min_samples: usize,
    cores: Vec<bool>,
    parent: Vec<u32>,
    /// Pairs of a row that is no core and a core near it.
    borders: Vec<(u32, u32)>,
}

impl Joined {
    fn new(n: usize, min_samples: usize) -> Joined {
        Joined { min_samples, cores: vec![false; n], parent: (0..n as u32).collect(), borders: Vec::new() }
    }

    fn root(&mut self, mut row: u32) -> u32 {
        while self.parent[row as usize] != row {
            let next = self.parent[self.parent[row as usize] as usize];
            self.parent[row as usize] = next;
            row = next;
        }
        row
    }

    fn add(&mut self, row: usize, bits: &[u32]) {
        let mut count: u32 = bits.iter().map(|word| word.count_ones()).sum();
        // Rounding may hide a row from itself.
        count += 1 - (bits[row / 32] >> (row % 32) & 1);
        let core = count as usize >= self.min_samples;
        self.cores[row] = core;
        let mut own = if core { self.root(row as u32) } else { 0 };
        for (at, &word) in bits[..row.div_ceil(32)].iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                let other = at * 32 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if other >= row {
                    break;
                }
                match (core, self.cores[other]) {
                    (true, true) => {
                        let root = self.root(other as u32);
                        // The smaller number stays root, so clusters are named by their first core.
                        let (low, high) = (own.min(root), own.max(root));
                        self.parent[high as usize] = low;
                        own = low;
                    }
                    (true, false) => self.borders.push((other as u32, row as u32)),
                    (false, true) => self.borders.push((row as u32, other as u32)),
                    (false, false) => {}
                }
            }
        }
    }

    fn finish(mut self) -> DbscanResult {
        let mut labels = vec![-1; self.cores.len()];
        let mut clusters = 0;
        for row in 0..labels.len() {
            if self.cores[row] {
                let root = self.root(row as u32) as usize;
                if root == row {
                    labels[row] = clusters;
                    clusters += 1;
                } else {
                    labels[row] = labels[root];
                }
            }
        }
        for &(row, core) in &self.borders {
            let (label, new) = (labels[row as usize], labels[core as usize]);
            labels[row as usize] = if label < 0 { new } else { label.min(new) };
        }
        DbscanResult { labels, cores: self.cores, clusters: clusters as usize }
    }
}

impl Display for DbscanResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let noise = self.labels.iter().filter(|&&label| label < 0).count();
        let cores = self.cores.iter().filter(|&&core| core).count();
        write!(f, "dbscan: {} clusters of {} rows, {cores} cores, {noise} noise", self.clusters, self.labels.len())
    }
}
