//! Data sets: host arrays or tensors on a device, read in minibatches.
//!
//! A [`Dataset`] gives the batch for a list of row numbers; [`shuffled`] makes that list, as a function of seed and epoch
//! alone, so that training that is resumed sees the same batches. Readers: [`idx`] (MNIST and its kin), [`images`]
//! (labelled images), [`text`] (characters).

pub mod idx;
pub mod images;
pub mod read;
pub mod text;

pub use images::LabelledImages;
pub use text::{Characters, random_blocks};

use anygrad_core::scalar::philox;
use anygrad_core::{Device, Error, Result, Tensor};

/// Rows of inputs and targets.
pub trait Dataset {
    /// Number of rows.
    fn len(&self) -> usize;

    /// The rows with these numbers, as tensors on `device`: inputs and targets, each `[rows.len(), ..]`.
    ///
    /// # Errors
    /// If a number is not below [`Dataset::len`], or the device fails.
    fn batch(&self, rows: &[u32], device: &Device) -> Result<(Tensor, Tensor)>;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One epoch of training: all rows in an order drawn from `seed` and `epoch`, `size` at a time. Rows that do not fill
    /// a batch are left out, so that all batches have one shape (if there are fewer than `size` rows, they are one batch).
    fn shuffled_batches(&self, size: usize, seed: u64, epoch: usize, device: &Device) -> Batches<'_, Self> {
        let mut rows = shuffled(self.len(), seed, epoch);
        if rows.len() > size {
            rows.truncate(rows.len() / size.max(1) * size.max(1));
        }
        Batches { data: self, rows, size: size.max(1), next: 0, device: device.clone() }
    }

    /// All rows in order, `size` at a time; the last batch may be smaller.
    fn batches(&self, size: usize, device: &Device) -> Batches<'_, Self> {
        let rows = (0..self.len() as u32).collect();
        Batches { data: self, rows, size: size.max(1), next: 0, device: device.clone() }
    }
}

/// Minibatches of a [`Dataset`]: an iterator over `(inputs, targets)`.
#[derive(Debug)]
pub struct Batches<'a, D: ?Sized> {
    data: &'a D,
    rows: Vec<u32>,
    size: usize,
    next: usize,
    device: Device,
}

impl<D: Dataset + ?Sized> Iterator for Batches<'_, D> {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next;
        let end = (start + self.size).min(self.rows.len());
        self.next = end;
        (start < end).then(|| self.data.batch(&self.rows[start..end], &self.device))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.rows.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl<D: Dataset + ?Sized> ExactSizeIterator for Batches<'_, D> {}

/// Inputs and targets that lie on a device as a whole; batches are picked there, no numbers cross the bus but the row numbers.
#[derive(Clone, Debug)]
pub struct Resident {
    inputs: Tensor,
    targets: Tensor,
}

impl Resident {
    /// `inputs`, `targets`: `[rows, ..]` on one device.
    ///
    /// # Errors
    /// If the numbers of rows differ or a tensor has no axes.
    pub fn new(inputs: Tensor, targets: Tensor) -> Result<Resident> {
        if inputs.rank() == 0 || targets.rank() == 0 || inputs.shape()[0] != targets.shape()[0] {
            let shapes = format!("inputs {:?} and targets {:?}", inputs.shape(), targets.shape());
            return Err(Error::data("data set", format!("{shapes} must have the same number of rows (axis 0)")));
        }
        Tensor::realize_all(&[inputs.clone(), targets.clone()])?;
        Ok(Resident { inputs, targets })
    }
}

impl Dataset for Resident {
    fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    fn batch(&self, rows: &[u32], device: &Device) -> Result<(Tensor, Tensor)> {
        check_rows(rows, self.len())?;
        if self.inputs.device() != device {
            let message = format!("it lies on {}, batches were asked for on {device}", self.inputs.device());
            return Err(Error::data("data set", message));
        }
        let index = Tensor::try_from_slice(rows, &[rows.len()], device)?;
        Ok((self.inputs.index_select(0, &index), self.targets.index_select(0, &index)))
    }
}

/// An error unless all row numbers are below `len`.
fn check_rows(rows: &[u32], len: usize) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= len) {
        Some(row) => Err(Error::data("data set", format!("row {row} was asked for, there are {len} rows (from 0)"))),
        None => Ok(()),
    }
}

/// The numbers `0..len` in an order that depends on `seed` and `epoch` alone: a Fisher-Yates shuffle whose draws come from
/// Philox, so that it is the same on every machine and needs no state to resume.
#[must_use]
pub fn shuffled(len: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut draws = Draws::new(seed, epoch as u64);
    let mut order: Vec<u32> = (0..len as u32).collect();
    for last in (1..len).rev() {
        order.swap(last, draws.below(last as u64 + 1) as usize);
    }
    order
}

/// Random numbers for the host: Philox words of a seed and a stream, in order.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    stream: u64,
    used: u64,
}

impl Draws {
    /// The generator of this seed and stream, at its beginning.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Draws {
        Draws { key: [seed as u32, (seed >> 32) as u32], stream, used: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let counter = [self.used as u32, (self.used >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        self.used += 1;
        let [a, b, ..] = philox(counter, self.key);
        u64::from(a) << 32 | u64::from(b)
    }

    /// A number in `0..end`, all equally likely to within 2^-32 (multiply and shift); 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_that_seed_and_epoch_decide() {
        for len in [0, 1, 2, 1797] {
            let order = shuffled(len, 7, 3);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..len as u32).collect::<Vec<_>>());
            assert_eq!(order, shuffled(len, 7, 3));
        }
        assert_ne!(shuffled(100, 7, 3), shuffled(100, 7, 4));
        assert_ne!(shuffled(100, 7, 3), shuffled(100, 8, 3));
    }

    #[test]
    fn all_orders_of_three_come_equally_often() {
        let mut counts = std::collections::HashMap::new();
        for epoch in 0..6000 {
            *counts.entry(shuffled(3, 1, epoch)).or_insert(0) += 1;
        }
        // 1000 expected, standard deviation 29: five of them.
        assert!(counts.len() == 6 && counts.values().all(|n| (855..1145).contains(n)), "{counts:?}");
    }
}
