//! Rows in tiles of neighbours: the leaves of a k-d tree, and the boxes around them.

use std::ops::Range;

use super::Word;
use crate::unsupervised::by_threads;

/// Where rows that only fill up a tile lie: far from all others, and its square is finite in f32.
const FAR: f32 = 1e16;

/// Rows sorted into tiles, each with the box that holds it.
#[derive(Debug)]
pub(super) struct Tiles {
    /// Rows in the new order, filled up to whole tiles.
    values: Vec<f32>,
    order: Vec<u32>,
    /// Least and greatest of each feature, tile by tile.
    low: Vec<f32>,
    high: Vec<f32>,
    features: usize,
    size: usize,
}

impl Tiles {
    /// Sorts rows `[n, features]` into tiles of `size`.
    pub(super) fn new(values: &[f32], features: usize, size: usize) -> Tiles {
        let mut order: Vec<u32> = (0..(values.len() / features) as u32).collect();
        split(values, features, size, &mut order);
        let row = |at: u32| &values[at as usize * features..(at as usize + 1) * features];
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for tile in order.chunks(size) {
            let (least, greatest) = extent(values, features, tile);
            low.extend(least);
            high.extend(greatest);
        }
        let mut sorted: Vec<f32> = order.iter().flat_map(|&at| row(at).iter().copied()).collect();
        sorted.resize(order.len().next_multiple_of(size) * features, FAR);
        Tiles { values: sorted, order, low, high, features, size }
    }

    /// Number of tiles.
    pub(super) fn len(&self) -> usize {
        self.order.len().div_ceil(self.size)
    }

    /// Rows of a tile.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Features of a row.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Rows of this tile that are not there to fill it up.
    pub(super) fn count(&self, number: usize) -> usize {
        self.size.min(self.order.len() - number * self.size)
    }

    /// The row that was sorted to each place.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Tiles whose boxes are at most `distance` from the box of this one (itself, too), rising.
    pub(super) fn near(&self, number: usize, distance: f64) -> Vec<usize> {
        let own = number * self.features..(number + 1) * self.features;
        let limit = wider(distance);
        (0..self.len())
            .filter(|&other| self.apart(other, &self.low[own.clone()], &self.high[own.clone()]) <= limit)
            .collect()
    }

    /// The squared distance of a tile's box from another box.
    fn apart(&self, tile: usize, low: &[f32], high: &[f32]) -> f32 {
        let own = tile * self.features..(tile + 1) * self.features;
        let gap = |i: usize, at: usize| (self.low[at] - high[i]).max(low[i] - self.high[at]).max(0.0);
        own.enumerate().map(|(i, at)| gap(i, at).powi(2)).sum()
    }

    /// For each row of these tiles who is near: words of bits, rising; by all threads.
    pub(super) fn compared(&self, tiles: Range<usize>, distance: f64) -> Vec<Vec<Word>> {
        by_threads(tiles, |part| part.flat_map(|number| self.compare(number, distance)).collect::<Vec<_>>()).concat()
    }

    /// For each row of a tile who is near.
    fn compare(&self, number: usize, distance: f64) -> Vec<Vec<Word>> {
        let (d, tile) = (self.features, self.size * self.features);
        let (limit, square) = (wider(distance), (distance * distance) as f32);
        let near = self.near(number, distance);
        let mut found = vec![Vec::new(); self.count(number)];
        let mut columns = vec![0.0; tile];
        for other in near {
            // Feature by feature, so that one instruction takes several rows.
            for (j, row) in self.values[other * tile..(other + 1) * tile].chunks_exact(d).enumerate() {
                row.iter().enumerate().for_each(|(i, &x)| columns[i * self.size + j] = x);
            }
            for (words, row) in found.iter_mut().zip(self.values[number * tile..].chunks_exact(d)) {
                if self.apart(other, row, row) > limit {
                    continue;
                }
                for first in (0..self.size).step_by(32) {
                    let mut squares = [0.0f32; 32];
                    for (x, column) in row.iter().zip(columns.chunks_exact(self.size)) {
                        for (sum, y) in squares.iter_mut().zip(&column[first..first + 32]) {
                            *sum += (x - y) * (x - y);
                        }
                    }
                    let bits = squares.iter().rev().fold(0, |bits, s| bits << 1 | u32::from(*s <= square));
                    if bits != 0 {
                        words.push((other * self.size + first, bits));
                    }
                }
            }
        }
        found
    }

    /// The rows of these tiles, seen from the mean of tile `from` (so that distances lose no digits), filled up with far ones
    /// to `count` tiles.
    pub(super) fn gathered(&self, tiles: &[usize], count: usize, from: usize) -> Vec<f32> {
        let (d, tile) = (self.features, self.size * self.features);
        let mut mean = vec![0.0f64; d];
        for row in self.values[from * tile..].chunks_exact(d).take(self.count(from)) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let mean: Vec<f32> = mean.iter().map(|sum| (sum / self.count(from) as f64) as f32).collect();
        let mut out = Vec::with_capacity(count * tile);
        for &at in tiles {
            let rows = self.values[at * tile..(at + 1) * tile].chunks_exact(d);
            out.extend(rows.flat_map(|row| row.iter().zip(&mean).map(|(x, mean)| x - mean)));
        }
        out.resize(count * tile, FAR);
        out
    }
}

/// The square of a distance and a little more: distances are rounded, so boxes that are hardly too far are looked at, too.
fn wider(distance: f64) -> f32 {
    (distance * distance * (1.0 + 1e-5)) as f32
}

/// Least and greatest of each feature of these rows.
fn extent(values: &[f32], d: usize, rows: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut low, mut high) = (vec![f32::INFINITY; d], vec![f32::NEG_INFINITY; d]);
    for &at in rows {
        let row = &values[at as usize * d..(at as usize + 1) * d];
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(row) {
            (*low, *high) = (low.min(x), high.max(x));
        }
    }
    (low, high)
}

/// Halves rows by their widest feature until they are a tile; the first half is a whole number of tiles.
fn split(values: &[f32], d: usize, size: usize, rows: &mut [u32]) {
    if rows.len() <= size {
        return;
    }
    let (low, high) = extent(values, d, rows);
    let widest = (0..d).max_by(|&a, &b| (high[a] - low[a]).total_cmp(&(high[b] - low[b]))).unwrap_or(0);
    let half = (rows.len() / 2).next_multiple_of(size);
    let key = |at: &u32| values[*at as usize * d + widest];
    rows.select_nth_unstable_by(half, |a, b| key(a).total_cmp(&key(b)).then(a.cmp(b)));
    let (first, second) = rows.split_at_mut(half);
    split(values, d, size, first);
    split(values, d, size, second);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_tiles_hold_all_near_rows() {
        let mut draws = crate::data::Draws::new(1, 0);
        let (n, d, size, distance) = (2133, 3, 32, 0.8);
        let values: Vec<f32> = (0..n * d).map(|_| (draws.uniform() * 10.0) as f32).collect();
        let tiles = Tiles::new(&values, d, size);
        assert_eq!(tiles.len(), 67);
        let mut seen = tiles.order().to_vec();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..n as u32));
        let bits = tiles.compared(0..tiles.len(), distance);
        let (mut compared, mut unclear) = (0, 0);
        for (place, &a) in tiles.order().iter().enumerate() {
            let near = tiles.near(place / size, distance);
            compared += near.len();
            for (other, &b) in tiles.order().iter().enumerate() {
                let word = bits[place].iter().find(|(first, _)| *first == other / 32 * 32);
                let found = word.is_some_and(|(_, bits)| bits >> (other % 32) & 1 == 1);
                let apart = |i: usize| f64::from(values[a as usize * d + i] - values[b as usize * d + i]).powi(2);
                let square = (0..d).map(apart).sum::<f64>();
                // Three squares and their sum in f32.
                if (square - distance * distance).abs() < 1e-5 {
                    unclear += 1;
                    continue;
                }
                assert_eq!(found, square < distance * distance, "{a} {b}");
                assert!(!found || near.contains(&(other / size)), "{a} {b}");
            }
        }
        assert!(unclear < n, "{unclear}");
        // Boxes of 32 rows have a side of about 10 / 4: near are those that touch, at most 27 of 64, and some behind them.
        assert!(compared < n * 67 * 3 / 5, "{compared} of {}", n * 67);
    }
}
