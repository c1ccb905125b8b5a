//! DBSCAN: clusters are dense regions, whatever their shape; what lies between is noise.
//!
//! The host sorts rows into tiles of neighbours (a k-d tree's leaves), so that only tiles whose boxes are near are compared: with
//! few features by the host's threads, row by row; with many by products on the device. Who is near comes as bits, from which
//! the host joins cores with union-find while the tiles come in. The distance matrix never exists, and where clusters are apart,
//! most of it is never computed.

mod tiles;

use std::fmt::{Display, Formatter};

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::{Rows, Run, rows, squared_distances, wrong};
use crate::events::Listener;
use tiles::Tiles;

const METHOD: &str = "dbscan";

/// Up to so many features a k-d tree tells rows apart, and the host compares.
const FEW: usize = 24;

/// Rows of a tile where the host compares, and where the device does: small boxes leave less to compare (50,000 rows of 8
/// features around 32 centres: 4 % of all pairs with 64, 9 % with 256), large tiles give a device something to do.
const TILES: (usize, usize) = (64, 256);

/// Tiles that the device compares one with at a time: results stay in the caches of a processor's core.
const GROUP: usize = 4;

/// Tiles that the host compares before it joins.
const AHEAD: usize = 256;

/// The first of 32 rows, and a bit for each of them.
type Word = (usize, u32);

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
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<DbscanResult> {
        self.go(device, data, None)
    }

    /// As [`Dbscan::fit`], telling a listener how many rows are `done`. If it stops the run, that is an error: half a
    /// clustering is none.
    ///
    /// # Errors
    /// As [`Dbscan::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<DbscanResult> {
        self.go(device, data, Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: Option<&mut dyn Listener>,
    ) -> Result<DbscanResult> {
        if !(self.eps > 0.0 && self.eps.is_finite()) || self.min_samples == 0 {
            let message = format!("eps {} and min_samples {}; both must be positive", self.eps, self.min_samples);
            return Err(wrong(METHOD, message));
        }
        let x = rows::load(METHOD, data, device)?;
        let (n, d) = (x.shape()[0], x.shape()[1]);
        let size = if d <= FEW { TILES.0 } else { TILES.1 };
        let tiles = Tiles::new(&x.to_vec::<f32>()?, d, size);
        let mut run = Run::begin(listener, METHOD, 0, Some(tiles.len() as u64))?;
        let mut near = self.program(device)?;
        let mut joined = Joined::new(n, self.min_samples);
        let ahead = if d <= FEW { AHEAD } else { 1 };
        for first in (0..tiles.len()).step_by(ahead) {
            let end = (first + ahead).min(tiles.len());
            if d <= FEW {
                tiles.compared(first..end, self.eps).iter().for_each(|words| joined.add(words));
            } else {
                self.compare(&mut near, &tiles, first, device)?.iter().for_each(|words| joined.add(words));
            }
            if run.iteration(end as u64, &[("done", (end * size).min(n) as f64)])? {
                run.done()?;
                return Err(wrong(METHOD, "stopped by its listener before all rows were compared"));
            }
        }
        run.done()?;
        Ok(joined.finish(tiles.order()))
    }

    /// From a tile `[size, d]` and other rows `[m, d]` to who is near, as bits `[size, m / 32]`.
    fn program(&self, device: &Device) -> Result<Program<'static, (Tensor, Tensor), Tensor>> {
        let limit = self.eps * self.eps;
        let weights: Vec<u32> = (0..32).map(|bit| 1 << bit).collect();
        let weights = Var::try_new("bits", &Tensor::try_from_slice(&weights, &[32], device)?)?;
        Ok(Program::inference(device, move |(rows, others): (Tensor, Tensor)| -> Tensor {
            let [size, words] = [rows.shape()[0], others.shape()[0] / 32];
            let inside = squared_distances(&rows, &others).le(limit).reshape([size, words, 32]);
            inside.select(weights.get(), 0.0).sum(2)
        }))
    }

    /// Who is near to the rows of a tile, by the device.
    fn compare(
        &self,
        near: &mut Program<'static, (Tensor, Tensor), Tensor>,
        tiles: &Tiles,
        number: usize,
        device: &Device,
    ) -> Result<Vec<Vec<Word>>> {
        let (d, size) = (tiles.features(), tiles.size());
        let rows = Tensor::try_from_slice(&tiles.gathered(&[number], 1, number), &[size, d], device)?;
        let mut found = vec![Vec::new(); tiles.count(number)];
        for group in tiles.near(number, self.eps).chunks(GROUP) {
            // Sizes are powers of two, so that few programs are traced; what fills them up is far away.
            let count = group.len().next_power_of_two();
            let others = tiles.gathered(group, count, number);
            let others = Tensor::try_from_slice(&others, &[count * size, d], device)?;
            let bits = near.run((rows.clone(), others))?.to_vec::<u32>()?;
            for (words, bits) in found.iter_mut().zip(bits.chunks_exact(count * size / 32)) {
                let places = group.iter().flat_map(|tile| (tile * size..(tile + 1) * size).step_by(32));
                words.extend(places.zip(bits.iter().copied()).filter(|word| word.1 != 0));
            }
        }
        Ok(found)
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
        Joined { min_samples, cores: Vec::with_capacity(n), parent: (0..n as u32).collect(), borders: Vec::new() }
    }

    fn root(&mut self, mut row: u32) -> u32 {
        while self.parent[row as usize] != row {
            let next = self.parent[self.parent[row as usize] as usize];
            self.parent[row as usize] = next;
            row = next;
        }
        row
    }

    /// Takes in who is near to the next row: words of bits, rising.
    fn add(&mut self, words: &[Word]) {
        let row = self.cores.len();
        let mut count: u32 = words.iter().map(|(_, bits)| bits.count_ones()).sum();
        // Rounding may hide a row from itself.
        let own = words.iter().find(|(first, _)| *first == row / 32 * 32);
        count += 1 - own.map_or(0, |(_, bits)| bits >> (row % 32) & 1);
        let core = count as usize >= self.min_samples;
        self.cores.push(core);
        let mut own = if core { self.root(row as u32) } else { 0 };
        for &(first, bits) in words.iter().take_while(|(first, _)| *first <= row) {
            let mut rest = bits;
            while rest != 0 {
                let other = first + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if other >= row {
                    break;
                }
                match (core, self.cores[other]) {
                    (true, true) => {
                        let root = self.root(other as u32);
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

    /// Clusters in the rows' own order, of which `order` tells the place here.
    fn finish(mut self, order: &[u32]) -> DbscanResult {
        let n = order.len();
        let mut places = vec![0; n];
        order.iter().enumerate().for_each(|(place, &row)| places[row as usize] = place);
        // Clusters are numbered by their first cores.
        let (mut numbers, mut labels, mut clusters) = (vec![-1; n], vec![-1; n], 0);
        for &place in &places {
            if self.cores[place] {
                let root = self.root(place as u32) as usize;
                if numbers[root] < 0 {
                    numbers[root] = clusters;
                    clusters += 1;
                }
                labels[place] = numbers[root];
            }
        }
        for &(row, core) in &self.borders {
            let (label, new) = (labels[row as usize], labels[core as usize]);
            labels[row as usize] = if label < 0 { new } else { label.min(new) };
        }
        DbscanResult {
            labels: places.iter().map(|&place| labels[place]).collect(),
            cores: places.iter().map(|&place| self.cores[place]).collect(),
            clusters: clusters as usize,
        }
    }
}

impl Display for DbscanResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let noise = self.labels.iter().filter(|&&label| label < 0).count();
        let cores = self.cores.iter().filter(|&&core| core).count();
        write!(f, "dbscan: {} clusters of {} rows, {cores} cores, {noise} noise", self.clusters, self.labels.len())
    }
}
