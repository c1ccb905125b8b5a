//! Data sets: host arrays or tensors on a device, read in minibatches.
//!
//! A [`Dataset`] gives single samples on the host or whole batches on a device. What an epoch reads is a function of seed
//! and epoch alone ([`Order`]), so that training that is resumed sees the same batches. [`Loader`] reads ahead on threads;
//! [`Resident`] keeps a small set on the device. Readers: [`table`] (CSV), [`numpy`], [`read_safetensors`], [`idx`]
//! (MNIST and its kin), [`images`], [`text`] and [`words`], [`sequence`] (windows of time series, padding); behind features
//! `ImageFolder` (`image`), `BytePairs` (`tokenizers`) and `Table::open_parquet` (`parquet`). Random changes of images on the device are in
//! [`augment`]; parts of a set for validation are made by [`split`].

mod ahead;
mod array;
pub mod augment;
mod draws;
mod encode;
#[cfg(feature = "image")]
mod folder;
pub mod idx;
pub mod images;
mod loader;
pub mod numpy;
mod order;
#[cfg(feature = "tokenizers")]
mod pairs;
#[cfg(feature = "parquet")]
mod parquet;
pub mod read;
mod resident;
pub mod sequence;
pub mod split;
pub mod table;
mod tensors;
pub mod text;
mod views;
pub mod words;

pub(crate) use ahead::Ahead;
pub use array::{Array, Arrays, Sample};
pub use draws::{Draws, shuffled};
pub use encode::{Encoder, Input, Target};
#[cfg(feature = "image")]
pub use folder::ImageFolder;
pub use images::LabelledImages;
pub use loader::{LastBatch, Loader, LoaderConfig, Loading};
pub use order::Order;
#[cfg(feature = "tokenizers")]
pub use pairs::BytePairs;
pub use resident::Resident;
pub use sequence::Windows;
pub use table::{Table, TableOptions};
pub use tensors::read_safetensors;
pub use text::{Blocks, Characters};
pub use views::{Concat, Mapped, Subset, Unlabelled};
pub use words::{HashedNgrams, Vocabulary};

use anygrad_core::{Device, Error, Result, Tensor};

/// Rows of inputs and targets.
///
/// A set implements [`Dataset::len`] and either [`Dataset::sample`] (one row on the host: simple, and what
/// [`Dataset::map`] needs) or [`Dataset::read`] (a whole batch: faster), or both.
///
/// ```
/// use anygrad_trainers::data::{Array, Dataset, Pass, Sample};
///
/// /// Numbers and their squares.
/// struct Squares(usize);
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         self.0
///     }
///
///     fn sample(&self, row: u32, _: Pass) -> anygrad_core::Result<Sample> {
///         let x = row as f32;
///         Ok(Sample { input: Array::new(&[x], &[1])?, target: Array::new(&[x * x], &[1])? })
///     }
/// }
///
/// # let device = anygrad_core::testing::device();
/// let (x, y) = Squares(10).batch(&[3, 5], &device)?;
/// assert_eq!((x.to_vec::<f32>()?, y.to_vec::<f32>()?), (vec![3.0, 5.0], vec![9.0, 25.0]));
/// # Ok::<(), anygrad_core::Error>(())
/// ```
pub trait Dataset {
    /// Number of rows.
    fn len(&self) -> usize;

    /// One row on the host. What is random in it comes from `pass.draws(row)`, so that it repeats when training is resumed.
    ///
    /// # Errors
    /// If the number is not below [`Dataset::len`], the row cannot be read, or the set gives whole batches only.
    fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
        let _ = (row, pass);
        Err(Error::data(
            "data set",
            "it gives whole batches only, no single samples; change the batches' tensors instead",
        ))
    }

    /// The rows with these numbers in this pass, as tensors on `device`: inputs and targets, each `[rows.len(), ..]`.
    ///
    /// # Errors
    /// If a number is not below [`Dataset::len`], a row cannot be read, samples differ in shape, or the device fails.
    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        collate(self, rows, pass, device)
    }

    /// [`Dataset::read`] outside of any pass.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    fn batch(&self, rows: &[u32], device: &Device) -> Result<(Tensor, Tensor)> {
        self.read(rows, Pass::default(), device)
    }

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One epoch of training: all rows in an order drawn from `seed` and `epoch`, `size` at a time. Rows that do not fill
    /// a batch are left out, so that all batches have one shape (if there are fewer than `size` rows, they are one batch).
    fn shuffled_batches(&self, size: usize, seed: u64, epoch: usize, device: &Device) -> Batches<'_, Self>
    where
        Self: Sized,
    {
        let mut rows = shuffled(self.len(), seed, epoch);
        if rows.len() > size {
            rows.truncate(rows.len() / size.max(1) * size.max(1));
        }
        let pass = Pass { seed, epoch };
        Batches { data: self, rows, size: size.max(1), next: 0, pass, device: device.clone() }
    }

    /// All rows in order, `size` at a time; the last batch may be smaller.
    fn batches(&self, size: usize, device: &Device) -> Batches<'_, Self>
    where
        Self: Sized,
    {
        let rows = (0..self.len() as u32).collect();
        Batches { data: self, rows, size: size.max(1), next: 0, pass: Pass::default(), device: device.clone() }
    }

    /// This set with every sample changed by `change`, on the thread that reads it. The random numbers it gets depend on
    /// seed, epoch and row alone.
    fn map<F>(self, change: F) -> Mapped<Self, F>
    where
        Self: Sized,
        F: Fn(Sample, &mut Draws) -> Result<Sample>,
    {
        Mapped::new(self, change)
    }
}

/// Which pass through the data is made: decides what is random in its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the epoch, from 0.
    pub epoch: usize,
}

impl Pass {
    /// The random numbers of a row in this pass.
    #[must_use]
    pub fn draws(self, row: u32) -> Draws {
        // The order of rows draws from stream `epoch`; the high bit keeps the two apart.
        Draws::new(self.seed, 1 << 63 | (self.epoch as u64 & 0x7fff_ffff) << 32 | u64::from(row))
    }

    /// The pass of the set below a map.
    fn below(self) -> Pass {
        Pass { seed: self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15), ..self }
    }

    /// The pass of one of several joined sets.
    fn of_part(self, part: usize) -> Pass {
        Pass { seed: self.seed.wrapping_add((part as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9)), ..self }
    }
}

/// A batch of single samples: [`Dataset::read`] of sets that give those.
fn collate<D: Dataset + ?Sized>(data: &D, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
    check_rows(rows, data.len())?;
    let samples = rows.iter().map(|&row| data.sample(row, pass)).collect::<Result<Vec<Sample>>>()?;
    let inputs = Array::stack(samples.iter().map(|sample| &sample.input))?;
    let targets = Array::stack(samples.iter().map(|sample| &sample.target))?;
    Ok((inputs.tensor(device)?, targets.tensor(device)?))
}

/// Minibatches of a [`Dataset`]: an iterator over `(inputs, targets)`.
#[derive(Debug)]
pub struct Batches<'a, D: ?Sized> {
    data: &'a D,
    rows: Vec<u32>,
    size: usize,
    next: usize,
    pass: Pass,
    device: Device,
}

impl<D: Dataset + ?Sized> Iterator for Batches<'_, D> {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next;
        let end = (start + self.size).min(self.rows.len());
        self.next = end;
        (start < end).then(|| self.data.read(&self.rows[start..end], self.pass, &self.device))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.rows.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl<D: Dataset + ?Sized> ExactSizeIterator for Batches<'_, D> {}

/// An error unless all row numbers are below `len`.
fn check_rows(rows: &[u32], len: usize) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= len) {
        Some(row) => Err(Error::data("data set", format!("row {row} was asked for, there are {len} rows (from 0)"))),
        None => Ok(()),
    }
}
