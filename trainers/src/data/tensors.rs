//! Tensors of safetensors files as arrays, for data sets that were prepared elsewhere (PyTorch, NumPy).
//!
//! Floats keep their type (bf16 becomes f32), integers become i32 or, if unsigned with 4 bytes or more, u32.

use std::collections::BTreeMap;
use std::path::Path;

use anygrad_core::{DType, Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::{Array, Arrays};
use crate::checkpoint::{convert, malformed};

/// All tensors of a file by their names.
///
/// # Errors
/// If it is missing or damaged, or a tensor has a type that is not known here or holds an integer of more than 32 bits.
pub fn read_safetensors(path: &Path) -> Result<BTreeMap<String, Array>> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(&place, &error))?;
    let array = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let wrong = |message: String| Error::data(format!("{place}, tensor '{name}'"), message);
        let kind = match view.dtype() {
            Dtype::F16 => DType::F16,
            Dtype::F32 | Dtype::BF16 => DType::F32,
            Dtype::F64 => DType::F64,
            Dtype::BOOL => DType::Bool,
            Dtype::U32 | Dtype::U64 => DType::U32,
            _ => DType::I32,
        };
        check_range(view.dtype(), view.data()).map_err(|number| {
            wrong(format!("the number {number} does not fit into 32 bits; save it as a smaller integer or as a float"))
        })?;
        let bytes = convert(view.dtype(), view.data(), kind)
            .ok_or_else(|| wrong(format!("numbers of type {}; save them as floats or integers", view.dtype())))?;
        let array = Array::from_bytes(bytes, kind, view.shape())?;
        Ok((name, array))
    };
    file.tensors().into_iter().map(array).collect()
}

/// The first integer that 32 bits do not hold.
fn check_range(dtype: Dtype, bytes: &[u8]) -> std::result::Result<(), i128> {
    let wide = bytes.chunks_exact(8).map(|chunk| <[u8; 8]>::try_from(chunk).unwrap_or_default());
    let far = match dtype {
        Dtype::I64 => wide.map(i64::from_le_bytes).find(|&x| i32::try_from(x).is_err()).map(i128::from),
        Dtype::U64 => wide.map(u64::from_le_bytes).find(|&x| u32::try_from(x).is_err()).map(i128::from),
        _ => None,
    };
    far.map_or(Ok(()), Err)
}

impl Arrays {
    /// The tensors of these names in a safetensors file as inputs and targets, a row each per sample.
    ///
    /// # Errors
    /// As [`read_safetensors`]; if there is no tensor of a name, or the numbers of rows differ.
    pub fn from_safetensors(path: &Path, inputs: &str, targets: &str) -> Result<Arrays> {
        let place = path.display().to_string();
        let mut all = read_safetensors(path)?;
        let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
        let mut take = |name: &str| {
            let missing = || Error::data(&*place, format!("there is no tensor '{name}'; there are {names}"));
            all.remove(name).ok_or_else(missing)
        };
        let (inputs, targets) = (take(inputs)?, take(targets)?);
        Arrays::new(inputs, targets).map_err(|error| Error::data(&*place, error.to_string()))
    }
}
