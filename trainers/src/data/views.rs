//! Data sets made of others: some rows of one, several one after the other, one with its samples changed, one
//! without its targets.

use std::fmt::Debug;
use std::sync::Arc;

use anygrad_core::{Device, Error, Result, Tensor};

use super::{Dataset, Draws, Pass, Sample, check_rows, collate};

/// Some rows of a data set, in an order of their own; rows may repeat.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    data: Arc<D>,
    rows: Vec<u32>,
}

impl<D: Dataset> Subset<D> {
    /// The rows with these numbers.
    ///
    /// # Errors
    /// If one is not below the set's length.
    pub fn new(data: impl Into<Arc<D>>, rows: Vec<u32>) -> Result<Subset<D>> {
        let data = data.into();
        check_rows(&rows, data.len())?;
        Ok(Subset { data, rows })
    }

    /// The rows' numbers in the whole set.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    fn number(&self, row: u32) -> Result<u32> {
        check_rows(&[row], self.rows.len())?;
        Ok(self.rows[row as usize])
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
        self.data.sample(self.number(row)?, pass)
    }

    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        let rows = rows.iter().map(|&row| self.number(row)).collect::<Result<Vec<u32>>>()?;
        self.data.read(&rows, pass, device)
    }
}

/// Data sets one after the other: the rows of the first, then those of the second, and so on.
#[derive(Clone, Debug)]
pub struct Concat<D> {
    parts: Vec<D>,
}

impl<D: Dataset> Concat<D> {
    /// These sets in this order; `Vec<Box<dyn Dataset + Send + Sync>>` joins sets of different types.
    ///
    /// # Errors
    /// If they have more than 2^32 - 1 rows together.
    pub fn new(parts: Vec<D>) -> Result<Concat<D>> {
        let total: usize = parts.iter().map(Dataset::len).sum();
        if u32::try_from(total).is_err() {
            return Err(Error::data("data set", format!("{total} rows; at most {} can be numbered", u32::MAX)));
        }
        Ok(Concat { parts })
    }

    /// The part that holds a row, and the row's number there.
    fn place(&self, row: u32) -> Result<(usize, u32)> {
        check_rows(&[row], self.len())?;
        let mut left = row as usize;
        for (part, data) in self.parts.iter().enumerate() {
            if left < data.len() {
                return Ok((part, left as u32));
            }
            left -= data.len();
        }
        Err(Error::data("data set", format!("row {row} was asked for, and a part has lost rows since")))
    }
}

impl<D: Dataset> Dataset for Concat<D> {
    fn len(&self) -> usize {
        self.parts.iter().map(Dataset::len).sum()
    }

    fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
        let (part, row) = self.place(row)?;
        self.parts[part].sample(row, pass.of_part(part))
    }
}

/// A data set whose samples go through a function, on the thread that reads them: see [`Dataset::map`].
#[derive(Clone)]
pub struct Mapped<D, F> {
    data: D,
    change: F,
}

impl<D, F> Mapped<D, F> {
    pub(super) fn new(data: D, change: F) -> Mapped<D, F> {
        Mapped { data, change }
    }
}

impl<D: Debug, F> Debug for Mapped<D, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapped({:?})", self.data)
    }
}

impl<D: Dataset, F: Fn(Sample, &mut Draws) -> Result<Sample>> Dataset for Mapped<D, F> {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
        // The set below draws from another stream, so that two maps in a row are independent.
        (self.change)(self.data.sample(row, pass.below())?, &mut pass.draws(row))
    }

    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        collate(self, rows, pass, device)
    }
}

/// A data set whose inputs are their own targets, for models that give their input back; its targets are not looked at.
#[derive(Clone, Debug)]
pub struct Unlabelled<D>(pub D);

impl<D: Dataset> Dataset for Unlabelled<D> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
        let input = self.0.sample(row, pass)?.input;
        Ok(Sample { target: input.clone(), input })
    }

    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        let (inputs, _) = self.0.read(rows, pass, device)?;
        Ok((inputs.clone(), inputs))
    }
}

macro_rules! forward {
    ($($holder:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $holder {
            fn len(&self) -> usize {
                (**self).len()
            }

            fn sample(&self, row: u32, pass: Pass) -> Result<Sample> {
                (**self).sample(row, pass)
            }

            fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
                (**self).read(rows, pass, device)
            }
        }
    )*};
}
forward!(&D, Box<D>, Arc<D>);
