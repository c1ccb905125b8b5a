//! Isolation forest: strange rows are alone after few random cuts. Trees are small (256 rows) and grown on the host; rows
//! fall through all trees at once on the device.

use std::fmt::{Display, Formatter};

use anygrad_core::{DType, Device, Result, Tensor};

use crate::data::Draws;
use crate::unsupervised::store::{Model, Parts};
use crate::unsupervised::{Rows, by_tile, rows, wrong};

const METHOD: &str = "isolation forest";

/// How to grow an isolation forest. Defaults are the paper's and scikit-learn's.
/// Source: Liu, Ting, Zhou, "Isolation forest" (2008).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForest {
    /// Number of trees; 100.
    pub trees: usize,
    /// Rows that a tree is grown from; 256 (or all, if there are fewer).
    pub samples: usize,
    /// Decides all random numbers; 0.
    pub seed: u64,
}

impl Default for IsolationForest {
    fn default() -> IsolationForest {
        IsolationForest { trees: 100, samples: 256, seed: 0 }
    }
}

/// A grown forest: nodes of all trees in tables `[trees, nodes]`; node `i` has the children `2i + 1` and `2i + 2`.
#[derive(Clone, Debug)]
pub struct IsolationForestModel {
    /// The feature (i32) that a node cuts; leaves cut feature 0.
    features: Tensor,
    /// Rows up to this value go left.
    thresholds: Tensor,
    /// How far the children are from a node's number: `i + 1` at cuts, 0 at leaves (i32).
    steps: Tensor,
    /// Depth at which a row that ends here is taken to be isolated.
    depths: Tensor,
    levels: usize,
    width: usize,
    /// The mean depth of a search in a random tree of that many rows: what depths are compared with.
    usual: f64,
}

/// The mean depth of an unsuccessful search in a binary search tree of `n` rows (equation 1).
fn usual_depth(n: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    if n <= 1.0 {
        0.0
    } else if n <= 2.0 {
        1.0
    } else {
        2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
    }
}

/// Tables of one tree while it grows.
struct Tree<'a> {
    values: &'a [f32],
    width: usize,
    levels: usize,
    features: &'a mut [i32],
    thresholds: &'a mut [f32],
    steps: &'a mut [i32],
    depths: &'a mut [f32],
}

impl Tree<'_> {
    /// Grows node `at` of these rows, `depth` cuts below the root.
    fn grow(&mut self, rows: &mut [u32], at: usize, depth: usize, draws: &mut Draws) {
        let value = |row: u32, feature: usize| self.values[row as usize * self.width + feature];
        let range = |rows: &[u32], feature: usize| {
            let each = rows.iter().map(|&row| value(row, feature));
            each.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        self.depths[at] = (depth as f64 + usual_depth(rows.len() as f64)) as f32;
        if depth == self.levels || rows.len() <= 1 {
            return;
        }
        // A random feature among those that are not constant here.
        let mut left: Vec<usize> = (0..self.width).collect();
        let cut = loop {
            if left.is_empty() {
                return;
            }
            let feature = left.swap_remove(draws.below(left.len() as u64) as usize);
            let (low, high) = range(rows, feature);
            if low < high {
                let threshold = (f64::from(low) + draws.uniform() * f64::from(high - low)) as f32;
                // Rounding must not put all rows on one side.
                break (feature, if threshold >= high { low } else { threshold });
            }
        };
        rows.sort_unstable_by_key(|&row| value(row, cut.0) > cut.1);
        let middle = rows.partition_point(|&row| value(row, cut.0) <= cut.1);
        (self.features[at], self.thresholds[at], self.steps[at]) = (cut.0 as i32, cut.1, at as i32 + 1);
        let (low, high) = rows.split_at_mut(middle);
        self.grow(low, 2 * at + 1, depth + 1, draws);
        self.grow(high, 2 * at + 2, depth + 1, draws);
    }
}

impl IsolationForest {
    /// Grows a forest from the rows of `data`.
    ///
    /// # Errors
    /// If trees or samples are 0, a number is NaN or infinite, or the device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<IsolationForestModel> {
        if self.trees == 0 || self.samples == 0 {
            return Err(wrong(METHOD, "trees and samples must be at least 1"));
        }
        let x = rows::load(METHOD, data, device)?;
        let (n, width) = (x.shape()[0], x.shape()[1]);
        let values = x.to_vec::<f32>()?;
        let samples = self.samples.min(n);
        let levels = (samples.max(2) as f64).log2().ceil() as usize;
        let nodes = (2 << levels) - 1;
        let size = self.trees * nodes;
        let (mut features, mut steps) = (vec![0i32; size], vec![0i32; size]);
        let (mut thresholds, mut depths) = (vec![0.0f32; size], vec![0.0f32; size]);
        let mut order: Vec<u32> = (0..n as u32).collect();
        for tree in 0..self.trees {
            let mut draws = Draws::new(self.seed, tree as u64);
            for place in 0..samples {
                order.swap(place, place + draws.below((n - place) as u64) as usize);
            }
            let here = tree * nodes..(tree + 1) * nodes;
            let mut growing = Tree {
                values: &values,
                width,
                levels,
                features: &mut features[here.clone()],
                thresholds: &mut thresholds[here.clone()],
                steps: &mut steps[here.clone()],
                depths: &mut depths[here],
            };
            growing.grow(&mut order[..samples], 0, 0, &mut draws);
        }
        let shape = [self.trees, nodes];
        Ok(IsolationForestModel {
            features: Tensor::try_from_slice(&features, &shape, device)?,
            thresholds: Tensor::try_from_slice(&thresholds, &shape, device)?,
            steps: Tensor::try_from_slice(&steps, &shape, device)?,
            depths: Tensor::try_from_slice(&depths, &shape, device)?,
            levels,
            width,
            usual: usual_depth(samples as f64).max(1.0),
        })
    }
}

impl IsolationForestModel {
    /// The score of each row, `2^(-depth / usual depth)`: near 1 is strange, under 0.5 is common.
    ///
    /// # Errors
    /// If the number of features differs, a number is NaN or infinite, or the device fails.
    pub fn score_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Vec<f64>> {
        let x = rows::load_for(METHOD, data, self.width, self.features.device())?;
        let (trees, nodes) = (self.features.shape()[0], self.features.shape()[1]);
        let flat = |table: &Tensor| table.reshape([trees * nodes]);
        let (features, thresholds) = (flat(&self.features), flat(&self.thresholds));
        let (steps, depths) = (flat(&self.steps), flat(&self.depths));
        let first = Tensor::arange(0.0, (trees * nodes) as f64, nodes as f64, x.device()).cast(DType::I32);
        let mean = by_tile(&x, trees, |tile| {
            let shape = [tile.shape()[0], trees];
            let mut node = first.full_like(0.0).broadcast_to(&shape);
            for _ in 0..self.levels {
                let at = &node + &first;
                let right = tile.gather(1, &features.embedding(&at)).gt(thresholds.embedding(&at)).cast(DType::I32);
                let step = steps.embedding(&at);
                // From i to 2i + 1 or 2i + 2; a leaf stays.
                node = step.gt(0).select(&node + &step + right, &node);
            }
            depths.embedding(&(node + &first)).mean(1)
        });
        Ok(mean.to_f64()?.iter().map(|depth| (-depth / self.usual).exp2()).collect())
    }
}

impl Model for IsolationForestModel {
    const KIND: &'static str = "isolation forest";

    fn parts(&self) -> Parts {
        Parts::default()
            .tensor("features", &self.features)
            .tensor("thresholds", &self.thresholds)
            .tensor("steps", &self.steps)
            .tensor("depths", &self.depths)
            .set("levels", self.levels)
            .set("width", self.width)
            .set("usual", self.usual)
    }

    fn from_parts(mut parts: Parts) -> Result<IsolationForestModel> {
        Ok(IsolationForestModel {
            features: parts.take("features")?,
            thresholds: parts.take("thresholds")?,
            steps: parts.take("steps")?,
            depths: parts.take("depths")?,
            levels: parts.count("levels")?,
            width: parts.count("width")?,
            usual: parts.number("usual")?,
        })
    }
}

impl Display for IsolationForestModel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "isolation forest: {} trees of {} levels on {} features",
            self.features.shape()[0],
            self.levels,
            self.width
        )
    }
}
