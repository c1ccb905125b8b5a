//! Element types: what a tensor's numbers are, how many bytes they take, and how Rust values map to them.
//!
//! Every backend stores elements the same way: little-endian, `DType::size` bytes each; a bool is a `u32`
//! that is 0 or 1, because WGSL cannot store a bool and 32-bit lanes keep the CPU's loops simple.

use half::f16;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit float: the default.
    F32,
    /// 16-bit float: stored only; arithmetic happens in 32 bits and is rounded when stored.
    F16,
    /// 64-bit float: CPU only, for checking.
    F64,
    /// 32-bit signed integer: labels, indices.
    I32,
    /// 32-bit unsigned integer: random bits, counters.
    U32,
    /// True or false, stored as a `u32` that is 0 or 1.
    Bool,
}

impl DType {
    /// Bytes that one element takes in memory.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F16 => 2,
            DType::F32 | DType::I32 | DType::U32 | DType::Bool => 4,
        }
    }

    /// Whether this is f16, f32 or f64.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::F64)
    }

    /// Whether this is i32 or u32.
    #[must_use]
    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32)
    }

    /// Distance from 1 to the next larger float; 0 for types that are exact.
    #[must_use]
    pub fn epsilon(self) -> f64 {
        match self {
            DType::F32 => f64::from(f32::EPSILON),
            DType::F16 => 0.000_976_562_5,
            DType::F64 => f64::EPSILON,
            DType::I32 | DType::U32 | DType::Bool => 0.0,
        }
    }

    /// `x` of this type as a value of type `to`: floats to integers saturate (NaN becomes 0), i32 and u32 keep their bits,
    /// anything to bool is `x != 0`.
    #[must_use]
    pub fn cast(self, to: DType, x: f64) -> f64 {
        match (self, to) {
            (DType::I32, DType::U32) => f64::from(x as i32 as u32),
            (DType::U32, DType::I32) => f64::from(x as u32 as i32),
            _ => to.round(x),
        }
    }

    /// The value nearest to `x` that this type can hold (saturating for integers; NaN becomes 0 there).
    #[must_use]
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => f64::from(x as f32),
            DType::F16 => f16::from_f64(x).to_f64(),
            DType::F64 => x,
            DType::I32 => f64::from(x as i32),
            DType::U32 => f64::from(x as u32),
            DType::Bool => f64::from(u8::from(x != 0.0)),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::Bool => "bool",
        })
    }
}

/// A number that every element type holds exactly or rounds to; equal and hashed by its bits, so NaN equals itself.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub f64);

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// A Rust type that a tensor can be made from and read into: `f32`, `f16`, `f64`, `i32`, `u32`, `bool`.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + PartialEq + 'static {
    /// The matching element type.
    const DTYPE: DType;
    /// Appends the stored bytes of `values` to `out`.
    fn store(values: &[Self], out: &mut Vec<u8>);
    /// The values held in `bytes`, whose length is a multiple of the element's size.
    fn load(bytes: &[u8]) -> Vec<Self>;
    /// The value as f64 (exact for every type here).
    fn to_f64(self) -> f64;
    /// The nearest value of this type (see [`DType::round`]).
    fn from_f64(x: f64) -> Self;
}

macro_rules! element {
    ($type:ty, $dtype:ident, $to:expr, $from:expr) => {
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn store(values: &[Self], out: &mut Vec<u8>) {
                out.extend_from_slice(bytemuck::cast_slice(values));
            }
            fn load(bytes: &[u8]) -> Vec<Self> {
                bytemuck::pod_collect_to_vec::<u8, $type>(bytes)
            }
            fn to_f64(self) -> f64 {
                $to(self)
            }
            fn from_f64(x: f64) -> Self {
                $from(x)
            }
        }
    };
}

element!(f32, F32, f64::from, |x| x as f32);
element!(f16, F16, f16::to_f64, f16::from_f64);
element!(f64, F64, |x| x, |x| x);
element!(i32, I32, f64::from, |x| x as i32);
element!(u32, U32, f64::from, |x| x as u32);

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn store(values: &[Self], out: &mut Vec<u8>) {
        out.extend(values.iter().flat_map(|&b| u32::from(b).to_le_bytes()));
    }
    fn load(bytes: &[u8]) -> Vec<Self> {
        bytes.chunks_exact(4).map(|c| c != [0; 4]).collect()
    }
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn from_f64(x: f64) -> Self {
        x != 0.0
    }
}
