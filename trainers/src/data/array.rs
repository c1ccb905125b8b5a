//! Numbers on the host: [`Array`], what readers give and samples are made of; [`Arrays`], two of them as a data set.

use anygrad_core::{DType, Device, Element, Error, Result, Tensor};

use super::{Dataset, Pass, check_rows};

/// Numbers in row-major order with a shape and a type, on the host: a tensor without a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// `values` in row-major order as `shape`.
    ///
    /// # Errors
    /// If their number is not the product of the shape.
    pub fn new<T: Element>(values: &[T], shape: &[usize]) -> Result<Array> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        T::store(values, &mut bytes);
        Array::from_bytes(bytes, T::DTYPE, shape)
    }

    /// Stored bytes (see [`DType`]) in row-major order as `shape`.
    ///
    /// # Errors
    /// If their number does not fit the shape and type.
    pub fn from_bytes(bytes: Vec<u8>, dtype: DType, shape: &[usize]) -> Result<Array> {
        let len = shape.iter().try_fold(dtype.size(), |len, &size| len.checked_mul(size));
        if len != Some(bytes.len()) {
            let message = format!("{} bytes of {dtype} do not fill the shape {shape:?}", bytes.len());
            return Err(Error::data("array", message));
        }
        Ok(Array { dtype, shape: shape.to_vec(), bytes })
    }

    /// One number without axes, such as a label.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Array {
        let mut bytes = Vec::new();
        T::store(&[value], &mut bytes);
        Array { dtype: T::DTYPE, shape: Vec::new(), bytes }
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the numbers.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The stored bytes, row-major.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many rows there are (the first axis; 1 without axes).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// All numbers, converted to `T` as [`DType::cast`] does.
    #[must_use]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        fn convert<S: Element, T: Element>(bytes: &[u8]) -> Vec<T> {
            S::load(bytes).into_iter().map(|x| T::from_f64(S::DTYPE.cast(T::DTYPE, x.to_f64()))).collect()
        }
        if self.dtype == T::DTYPE {
            return T::load(&self.bytes);
        }
        match self.dtype {
            DType::F32 => convert::<f32, T>(&self.bytes),
            DType::F16 => convert::<half::f16, T>(&self.bytes),
            DType::F64 => convert::<f64, T>(&self.bytes),
            DType::I32 => convert::<i32, T>(&self.bytes),
            DType::U32 => convert::<u32, T>(&self.bytes),
            DType::Bool => convert::<bool, T>(&self.bytes),
        }
    }

    /// The same numbers as another type.
    #[must_use]
    pub fn cast<T: Element>(&self) -> Array {
        let mut bytes = Vec::new();
        T::store(&self.to_vec::<T>(), &mut bytes);
        Array { dtype: T::DTYPE, shape: self.shape.clone(), bytes }
    }

    /// The same numbers with another shape.
    ///
    /// # Errors
    /// If it has another number of elements.
    pub fn reshape(self, shape: &[usize]) -> Result<Array> {
        Array::from_bytes(self.bytes, self.dtype, shape)
    }

    /// The rows with these numbers.
    ///
    /// # Errors
    /// If a number is too large, or there are no axes.
    pub fn select(&self, rows: &[u32]) -> Result<Array> {
        if self.shape.is_empty() {
            return Err(Error::data("array", "it has no axes, so no rows can be picked"));
        }
        check_rows(rows, self.rows())?;
        let size = self.bytes.len() / self.rows().max(1);
        let mut bytes = Vec::with_capacity(rows.len() * size);
        for row in rows.iter().map(|&row| row as usize) {
            bytes.extend_from_slice(&self.bytes[row * size..(row + 1) * size]);
        }
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        Ok(Array { dtype: self.dtype, shape, bytes })
    }

    /// One row, without its axis.
    ///
    /// # Errors
    /// As [`Array::select`].
    pub fn row(&self, row: u32) -> Result<Array> {
        let mut array = self.select(&[row])?;
        array.shape.remove(0);
        Ok(array)
    }

    /// Arrays of one shape and type, side by side on a new first axis.
    ///
    /// # Errors
    /// If there are none, or shapes or types differ.
    pub fn stack<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Result<Array> {
        let mut arrays = arrays.into_iter();
        let Some(first) = arrays.next() else { return Err(Error::data("batch", "no samples to stack")) };
        let mut stacked = first.clone();
        let mut count = 1;
        for other in arrays {
            if other.shape != first.shape || other.dtype != first.dtype {
                let (a, b) = ((first.dtype, &first.shape), (other.dtype, &other.shape));
                let message = format!("the first is {} {:?}, number {count} is {} {:?}", a.0, a.1, b.0, b.1);
                let advice = "samples of a batch must have one shape and type; crop, pad or cast them";
                return Err(Error::data("batch", format!("{message}; {advice}")));
            }
            stacked.bytes.extend_from_slice(&other.bytes);
            count += 1;
        }
        stacked.shape.insert(0, count);
        Ok(stacked)
    }

    /// A tensor on `device`.
    ///
    /// # Errors
    /// If memory cannot be had, or the device fails or lacks the type (f64 lives on the CPU alone: [`Array::cast`]).
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::try_from_bytes(self.bytes.clone(), self.dtype, &self.shape, device)
    }
}

/// One row of a data set, on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What a model gets.
    pub input: Array,
    /// What it shall say.
    pub target: Array,
}

/// Inputs and targets on the host, a row each per sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrays {
    inputs: Array,
    targets: Array,
}

impl Arrays {
    /// `inputs`, `targets`: `[rows, ..]`.
    ///
    /// # Errors
    /// If the numbers of rows differ or an array has no axes.
    pub fn new(inputs: Array, targets: Array) -> Result<Arrays> {
        if inputs.shape.is_empty() || targets.shape.is_empty() || inputs.rows() != targets.rows() {
            let shapes = format!("inputs {:?} and targets {:?}", inputs.shape, targets.shape);
            return Err(Error::data("data set", format!("{shapes} must have the same number of rows (axis 0)")));
        }
        Ok(Arrays { inputs, targets })
    }

    /// All inputs.
    #[must_use]
    pub fn inputs(&self) -> &Array {
        &self.inputs
    }

    /// All targets.
    #[must_use]
    pub fn targets(&self) -> &Array {
        &self.targets
    }
}

impl Dataset for Arrays {
    fn len(&self) -> usize {
        self.inputs.rows()
    }

    fn sample(&self, row: u32, _: Pass) -> Result<Sample> {
        Ok(Sample { input: self.inputs.row(row)?, target: self.targets.row(row)? })
    }

    fn read(&self, rows: &[u32], _: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        Ok((self.inputs.select(rows)?.tensor(device)?, self.targets.select(rows)?.tensor(device)?))
    }
}
