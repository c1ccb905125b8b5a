//! [`Rows`]: anything with rows and columns that a method can learn from, and the checks that all methods make.

use anygrad_core::{DType, Device, Element, Result, Tensor};
use ndarray::{ArrayBase, Data, Ix2, s};

use super::wrong;
use crate::data::Dataset;
use crate::data::numpy::NpyRows;

/// Rows of numbers, one column per feature. Methods that stream ask for a few rows at a time, so a table may be larger than
/// memory; the others ask once for all.
pub trait Rows {
    /// Number of rows and of features.
    ///
    /// # Errors
    /// If it is not two-dimensional or cannot be read.
    fn dimensions(&self) -> Result<(usize, usize)>;

    /// Rows `start..start + len` as f32 `[len, features]` on `device`.
    ///
    /// # Errors
    /// If there are fewer rows, they cannot be read, or the device fails.
    fn tile(&self, start: usize, len: usize, device: &Device) -> Result<Tensor>;
}

impl Rows for Tensor {
    fn dimensions(&self) -> Result<(usize, usize)> {
        match *self.shape() {
            [rows, features] => Ok((rows, features)),
            _ => Err(wrong(
                "data",
                format!("a tensor {:?} is not two-dimensional; reshape it to [rows, features]", self.shape()),
            )),
        }
    }

    fn tile(&self, start: usize, len: usize, device: &Device) -> Result<Tensor> {
        let (rows, _) = self.dimensions()?;
        in_range(start, len, rows)?;
        let whole = (start, len) == (0, rows);
        let tile = if whole { self.clone() } else { self.narrow(0, start, len) };
        tile.cast(DType::F32).to_device(device)
    }
}

impl<T: Element, S: Data<Elem = T>> Rows for ArrayBase<S, Ix2> {
    fn dimensions(&self) -> Result<(usize, usize)> {
        Ok(self.dim())
    }

    fn tile(&self, start: usize, len: usize, device: &Device) -> Result<Tensor> {
        in_range(start, len, self.nrows())?;
        let rows = self.slice(s![start..start + len, ..]);
        let values: Vec<f32> = rows.iter().map(|x| x.to_f64() as f32).collect();
        Tensor::try_from_slice(&values, &[len, self.ncols()], device)
    }
}

impl Rows for NpyRows {
    fn dimensions(&self) -> Result<(usize, usize)> {
        Ok(NpyRows::dimensions(self))
    }

    fn tile(&self, start: usize, len: usize, device: &Device) -> Result<Tensor> {
        Tensor::try_from_slice(&self.read(start, len)?, &[len, NpyRows::dimensions(self).1], device)
    }
}

/// The inputs of a data set (images, blocks, features of a file) as rows; further axes become columns.
///
/// ```ignore
/// let model = MiniBatchKMeans::default().fit(&device, &Inputs::new(&images, &device)?)?;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, D: ?Sized> {
    data: &'a D,
    features: usize,
}

impl<'a, D: Dataset + ?Sized> Inputs<'a, D> {
    /// Reads one row by way of `device`, to see how many numbers it has.
    ///
    /// # Errors
    /// If that row cannot be read.
    pub fn new(data: &'a D, device: &Device) -> Result<Inputs<'a, D>> {
        let features = if data.is_empty() { 0 } else { data.batch(&[0], device)?.0.len() };
        Ok(Inputs { data, features })
    }
}

impl<D: Dataset + ?Sized> Rows for Inputs<'_, D> {
    fn dimensions(&self) -> Result<(usize, usize)> {
        Ok((self.data.len(), self.features))
    }

    fn tile(&self, start: usize, len: usize, device: &Device) -> Result<Tensor> {
        in_range(start, len, self.data.len())?;
        let numbers: Vec<u32> = (start..start + len).map(|row| row as u32).collect();
        let (inputs, _) = self.data.batch(&numbers, device)?;
        Ok(inputs.reshape([len as isize, self.features as isize]).cast(DType::F32))
    }
}

fn in_range(start: usize, len: usize, rows: usize) -> Result<()> {
    if start + len > rows {
        return Err(wrong("data", format!("rows {start}..{} were asked for, there are {rows}", start + len)));
    }
    Ok(())
}

/// All rows on the device, checked: at least one row and one feature, all numbers finite.
pub(crate) fn load(method: &str, data: &(impl Rows + ?Sized), device: &Device) -> Result<Tensor> {
    let x = load_unchecked(method, data, device)?;
    check_finite(method, &x, 0)?;
    Ok(x)
}

/// As [`load`], for a method that finds out by itself whether all numbers are finite.
pub(crate) fn load_unchecked(method: &str, data: &(impl Rows + ?Sized), device: &Device) -> Result<Tensor> {
    let (rows, features) = data.dimensions()?;
    if rows == 0 || features == 0 {
        return Err(wrong(
            method,
            format!("the data has {rows} rows and {features} features; give at least one of each"),
        ));
    }
    data.tile(0, rows, device)
}

/// As [`load`], for a fitted model that knows how many features there must be.
pub(crate) fn load_for(method: &str, data: &(impl Rows + ?Sized), features: usize, device: &Device) -> Result<Tensor> {
    check_features(method, data.dimensions()?.1, features)?;
    load(method, data, device)
}

/// As [`load_for`], for rows of what a model made of its features.
pub(crate) fn load_codes(
    method: &str,
    data: &(impl Rows + ?Sized),
    components: usize,
    device: &Device,
) -> Result<Tensor> {
    let found = data.dimensions()?.1;
    if found != components {
        let message = format!("the data has {found} columns, the model has {components} components");
        return Err(wrong(method, format!("{message}; give what `transform` gave")));
    }
    load(method, data, device)
}

/// An error if data has another number of features than a model was fitted on.
pub(crate) fn check_features(method: &str, found: usize, expected: usize) -> Result<()> {
    if found != expected {
        let message = format!("the data has {found} features, the model was fitted on {expected}");
        return Err(wrong(method, format!("{message}; give the same columns in the same order")));
    }
    Ok(())
}

/// An error that names the first row and column that is NaN or infinite; rows count from `first`.
pub(crate) fn check_finite(method: &str, x: &Tensor, first: usize) -> Result<()> {
    if x.realize()?.is_finite().all(()).item()? != 0.0 {
        return Ok(());
    }
    let (values, features) = (x.to_vec::<f32>()?, x.shape()[1]);
    let at = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
    let (row, column) = (first + at / features, at % features);
    let message = format!("row {row}, column {column} is {} (counted from 0)", values[at]);
    Err(wrong(method, format!("{message}; replace or leave out what is missing before fitting")))
}
