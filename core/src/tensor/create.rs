//! Making tensors: from host numbers, constants, ranges, and random generators.

use ndarray::{ArrayBase, ArrayD, Data, Dimension};

use crate::device::Device;
use crate::dtype::{DType, Element, Scalar};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::shape;
use crate::tensor::Tensor;

impl Tensor {
    /// A tensor from host numbers in row-major order; the copy to the device starts at once.
    ///
    /// # Panics
    /// If the length is not the product of the shape, or the device does not support the type.
    ///
    /// # Errors
    /// If memory cannot be had or the device fails.
    #[track_caller]
    pub fn try_from_slice<T: Element>(values: &[T], shape: &[usize], device: &Device) -> Result<Tensor> {
        let len: usize = shape.iter().product();
        if values.len() != len {
            shape::fail(
                "from_vec",
                format!("{} numbers do not fill the shape {shape:?}, which has {len}", values.len()),
            );
        }
        let mut bytes = Vec::with_capacity(len * T::DTYPE.size() + 3);
        T::store(values, &mut bytes);
        Tensor::try_from_bytes(bytes, T::DTYPE, shape, device)
    }

    /// A tensor from stored bytes (see [`DType`]) in row-major order.
    ///
    /// # Errors
    /// If the length does not fit the shape, memory cannot be had, or the device fails or lacks the type.
    #[track_caller]
    pub fn try_from_bytes(mut bytes: Vec<u8>, dtype: DType, shape: &[usize], device: &Device) -> Result<Tensor> {
        let len = shape.iter().product::<usize>() * dtype.size();
        if bytes.len() != len {
            let message = format!("{} bytes, but {shape:?} of {dtype} takes {len}", bytes.len());
            return Err(Error::data("tensor", message));
        }
        if !device.supports(dtype) {
            return Err(Error::Unsupported {
                what: format!("elements of type {dtype}"),
                device: device.name(),
                instead: "cast to f32".into(),
            });
        }
        bytes.resize(len.next_multiple_of(4), 0);
        let buffer = device.allocate(bytes.len())?;
        if !bytes.is_empty() {
            device.backend().write(&buffer, 0, &bytes)?;
        }
        Ok(Tensor::from_buffer(buffer, shape.to_vec(), dtype, device.clone()))
    }

    /// A tensor from host numbers in row-major order.
    ///
    /// ```
    /// # use anygrad_core::Tensor;
    /// # let device = anygrad_core::testing::device();
    /// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], &[2, 2], &device);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), anygrad_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the length is not the product of the shape, the device lacks the type, or memory cannot be had
    /// ([`Tensor::try_from_slice`] returns that as an error).
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize], device: &Device) -> Tensor {
        match Tensor::try_from_slice(&values, shape, device) {
            Ok(tensor) => tensor,
            Err(error) => shape::fail("from_vec", error),
        }
    }

    /// The same number everywhere; takes no memory until it must.
    #[track_caller]
    pub fn full(shape: &[usize], value: f64, dtype: DType, device: &Device) -> Tensor {
        let value = Scalar(dtype.round(value));
        Tensor::node(Op::Constant(value), Vec::new(), shape.to_vec(), dtype, device.clone())
    }

    /// f32 zeros.
    #[track_caller]
    pub fn zeros(shape: &[usize], device: &Device) -> Tensor {
        Tensor::full(shape, 0.0, DType::F32, device)
    }

    /// f32 ones.
    #[track_caller]
    pub fn ones(shape: &[usize], device: &Device) -> Tensor {
        Tensor::full(shape, 1.0, DType::F32, device)
    }

    /// A constant of this tensor's shape, type and device.
    #[track_caller]
    pub fn full_like(&self, value: f64) -> Tensor {
        Tensor::full(self.shape(), value, self.dtype(), self.device())
    }

    /// Row-major numbers 0, 1, 2, ... (i32) of a shape.
    #[track_caller]
    pub(crate) fn iota(shape: &[usize], device: &Device) -> Tensor {
        Tensor::node(Op::Iota, Vec::new(), shape.to_vec(), DType::I32, device.clone())
    }

    /// Random u32 words, all values equally likely. Inside of a program they are new at each run.
    /// Source: Philox 4x32-10, see [`crate::scalar::philox`].
    #[track_caller]
    pub fn random_bits(shape: &[usize], device: &Device) -> Tensor {
        let (state, stream) = crate::trace::random_state(device);
        Tensor::node(Op::Random { stream }, vec![state], shape.to_vec(), DType::U32, device.clone())
    }

    /// One f32 number without axes.
    #[track_caller]
    pub fn scalar(value: f64, device: &Device) -> Tensor {
        Tensor::full(&[], value, DType::F32, device)
    }

    /// Zeros of this tensor's shape, type and device.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of this tensor's shape, type and device.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// f32 numbers `start`, `start + step`, ... below `end` (above it, if `step` is negative).
    ///
    /// ```
    /// # use anygrad_core::{DType, Tensor};
    /// # let (n, device) = (5, anygrad_core::testing::device());
    /// let places = Tensor::arange(0.0, 10.0, 1.0, &device);                    // [10] f32
    /// let rows = Tensor::arange(0.0, n as f64, 1.0, &device).cast(DType::I32); // [n] i32
    /// # assert_eq!((places.shape(), rows.shape()), (&[10][..], &[5][..]));
    /// ```
    ///
    /// # Panics
    /// If `step` is 0 or there would be more than 2^31 - 1 numbers.
    #[track_caller]
    pub fn arange(start: f64, end: f64, step: f64, device: &Device) -> Tensor {
        let count = ((end - start) / step).ceil().max(0.0);
        if count.is_nan() || count > f64::from(i32::MAX) {
            shape::fail("arange", format!("from {start} to {end} there is no end with steps of {step}"));
        }
        Tensor::iota(&[count as usize], device).cast(DType::F32) * step + start
    }

    /// `count` f32 numbers from `start` to `end`, both included, at equal distances.
    #[track_caller]
    pub fn linspace(start: f64, end: f64, count: usize, device: &Device) -> Tensor {
        let step = if count > 1 { (end - start) / (count - 1) as f64 } else { 0.0 };
        let numbers = Tensor::iota(&[count], device);
        // The second half counts from the end, so that the last number is `end` itself.
        let from_end = (count as i32 - 1) - &numbers;
        let (up, down) = (numbers.cast(DType::F32) * step + start, end - from_end.cast(DType::F32) * step);
        numbers.lt(count.div_ceil(2)).select(up, down)
    }

    /// f32 `[n, n]` with ones on the diagonal, else zeros.
    #[track_caller]
    pub fn eye(n: usize, device: &Device) -> Tensor {
        Tensor::iota(&[n, 1], device).eq(Tensor::iota(&[n], device)).cast(DType::F32)
    }

    /// A tensor with the numbers of an `ndarray` array of any layout and rank.
    ///
    /// # Panics
    /// If there are more than 8 axes, the device lacks the type, or memory cannot be had.
    #[track_caller]
    pub fn from_ndarray<S, D>(array: &ArrayBase<S, D>, device: &Device) -> Tensor
    where
        S: Data<Elem: Element>,
        D: Dimension,
    {
        Tensor::from_vec(array.iter().copied().collect(), array.shape(), device)
    }

    /// All numbers as an `ndarray` array. `T` must be the element type; use [`Tensor::cast`] first to convert.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If `T` is not the element type, or inside of a traced program.
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let values = self.to_vec::<T>()?;
        ArrayD::from_shape_vec(self.shape(), values).map_err(|error| Error::data("to_ndarray", error.to_string()))
    }

    /// The same numbers on another device, by way of the host.
    ///
    /// # Errors
    /// If a device fails, lacks the type or the memory.
    ///
    /// # Panics
    /// Inside of a traced program.
    #[track_caller]
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if device == self.device() {
            return Ok(self.clone());
        }
        Tensor::try_from_bytes(self.to_bytes()?, self.dtype(), self.shape(), device)
    }
}
