//! Numbers of one type as numbers of another, between a file's bytes and a device's.

use anygrad_core::{DType, Element};
use half::{bf16, f16};
use safetensors::tensor::Dtype;

/// Little-endian `bytes` of type `from` as a device stores type `to`; `None` if one is a float and the other is not, or
/// the file's type is not one of those known here.
pub(crate) fn convert(from: Dtype, bytes: &[u8], to: DType) -> Option<Vec<u8>> {
    if native(from) == Some(to) {
        return Some(bytes.to_vec());
    }
    let float = matches!(from, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
    if float != to.is_float() {
        return None;
    }
    let values: Vec<f64> = match from {
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::BOOL | Dtype::U8 => each(bytes, |[b]: [u8; 1]| f64::from(b)),
        Dtype::I8 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::I16 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U32 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
        // Exact to 2^53, and no 32-bit variable holds more.
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::U64 => each(bytes, |b| u64::from_le_bytes(b) as f64),
        _ => return None,
    };
    Some(match to {
        DType::F32 => store::<f32>(&values),
        DType::F16 => store::<f16>(&values),
        DType::F64 => store::<f64>(&values),
        DType::I32 => store::<i32>(&values),
        DType::U32 => store::<u32>(&values),
        DType::Bool => store::<bool>(&values),
    })
}

/// The device's type with the same bytes (a bool has not).
fn native(from: Dtype) -> Option<DType> {
    match from {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::F64 => Some(DType::F64),
        Dtype::I32 => Some(DType::I32),
        Dtype::U32 => Some(DType::U32),
        _ => None,
    }
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let one = |chunk: &[u8]| <[u8; N]>::try_from(chunk).map(&value).unwrap_or(f64::NAN);
    bytes.chunks_exact(N).map(one).collect()
}

fn store<T: Element>(values: &[f64]) -> Vec<u8> {
    let values: Vec<T> = values.iter().map(|&x| T::from_f64(x)).collect();
    let mut bytes = Vec::new();
    T::store(&values, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_all_widths_become_f32() {
        let expected = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
        let sources = [
            (Dtype::F16, [1.5, -2.0].map(|x| f16::from_f64(x).to_le_bytes()).concat()),
            (Dtype::BF16, [1.5, -2.0].map(|x| bf16::from_f64(x).to_le_bytes()).concat()),
            (Dtype::F32, expected.clone()),
            (Dtype::F64, [1.5f64, -2.0].map(f64::to_le_bytes).concat()),
        ];
        for (dtype, bytes) in sources {
            assert_eq!(convert(dtype, &bytes, DType::F32), Some(expected.clone()), "{dtype}");
        }
    }

    #[test]
    fn integers_do_not_become_floats_silently() {
        assert_eq!(convert(Dtype::I64, &7i64.to_le_bytes(), DType::F32), None);
        assert_eq!(convert(Dtype::F32, &7f32.to_le_bytes(), DType::I32), None);
        assert_eq!(convert(Dtype::I64, &7i64.to_le_bytes(), DType::I32), Some(7i32.to_le_bytes().to_vec()));
        assert_eq!(convert(Dtype::BOOL, &[1, 0], DType::Bool), Some([1u32, 0].map(u32::to_le_bytes).concat()));
    }
}
