//! The scalar maps as loops over lanes: exhaustive matches over the table in `anygrad_core::scalar`.
#![expect(unsafe_code, reason = "results of a map may be of another type than its lanes")]

use anygrad_core::DType;
use anygrad_core::scalar::{self, Binary, Unary};
use half::f16;

use super::execute::{Level, Tile, apart};
use super::float::F32;
use super::{Lane, math};

/// `out[i] = f(x[i])`, with the closure's body written into the loop.
macro_rules! each {
    ($x:expr, $out:expr, |$a:ident| $body:expr) => {
        for (out, &$a) in $out.iter_mut().zip($x) {
            *out = $body;
        }
    };
    ($x:expr, $y:expr, $out:expr, |$a:ident, $b:ident| $body:expr) => {
        for ((out, &$a), &$b) in $out.iter_mut().zip($x).zip($y) {
            *out = $body;
        }
    };
}

/// The result's lanes as `T`s.
#[inline(always)]
fn lanes<'a, T>(result: *mut u8, n: usize) -> &'a mut [T] {
    // SAFETY: `execute` passes the address of a result's slot, which holds `n` lanes and that nothing reads meanwhile.
    unsafe { std::slice::from_raw_parts_mut(result.cast(), n) }
}

/// A map of one argument.
#[inline(always)]
pub(super) fn unary<L: Level, const FUSED: bool>(
    tile: &Tile<'_>,
    map: Unary,
    lane: Lane,
    x: usize,
    to: usize,
    n: usize,
) {
    match lane {
        Lane::F32 => apart!(L, unary_f32::<FUSED>(map, tile.read(x, n), tile.address(to), n)),
        Lane::F64 => apart!(L::Seldom, unary_f64(map, tile.read(x, n), tile.address(to), n)),
        Lane::I32 => apart!(L::Seldom, unary_i32(map, tile.read(x, n), tile.write(to, n))),
        Lane::U32 => apart!(L::Seldom, unary_u32(map, tile.read(x, n), tile.write(to, n))),
    }
}

/// A map of two arguments.
#[inline(always)]
pub(super) fn binary<L: Level>(tile: &Tile<'_>, map: Binary, lane: Lane, [x, y]: [usize; 2], to: usize, n: usize) {
    match lane {
        // What is common is assembled (`fuse`).
        Lane::F32 => apart!(L::Seldom, binary_f32(map, tile.read(x, n), tile.read(y, n), tile.address(to), n)),
        Lane::F64 => apart!(L::Seldom, binary_f64(map, tile.read(x, n), tile.read(y, n), tile.address(to), n)),
        Lane::I32 => apart!(L::Seldom, binary_i32(map, tile.read(x, n), tile.read(y, n), tile.write(to, n))),
        Lane::U32 => apart!(L::Seldom, binary_u32(map, tile.read(x, n), tile.read(y, n), tile.write(to, n))),
    }
}

#[inline(always)]
fn unary_f32<const FUSED: bool>(map: Unary, x: &[f32], result: *mut u8, n: usize) {
    let out: &mut [f32] = lanes(result, n);
    match map {
        Unary::Neg => each!(x, out, |a| -a),
        Unary::Abs => each!(x, out, |a| a.abs()),
        Unary::Sign => each!(x, out, |a| if a > 0.0 {
            1.0
        } else if a < 0.0 {
            -1.0
        } else {
            a
        }),
        Unary::Recip => each!(x, out, |a| 1.0 / a),
        Unary::Sqrt => each!(x, out, |a| a.sqrt()),
        Unary::Exp => each!(x, out, |a| math::exp(F32::<FUSED>(a)).0),
        Unary::ExpM1 => each!(x, out, |a| math::exp_m1::<FUSED>(a)),
        Unary::Ln => each!(x, out, |a| math::ln::<FUSED>(a)),
        Unary::Ln1p => each!(x, out, |a| math::ln_1p::<FUSED>(a)),
        Unary::Sin => {
            each!(x, out, |a| math::sine::<0>(a));
            far(x, out, f32::sin);
        }
        Unary::Cos => {
            each!(x, out, |a| math::sine::<1>(a));
            far(x, out, f32::cos);
        }
        Unary::Atan => each!(x, out, |a| math::atan::<FUSED>(a)),
        Unary::Tanh => each!(x, out, |a| math::tanh(F32::<FUSED>(a)).0),
        Unary::Erf => each!(x, out, |a| math::erf(F32::<FUSED>(a)).0),
        Unary::Floor => each!(x, out, |a| a.floor()),
        Unary::Ceil => each!(x, out, |a| a.ceil()),
        Unary::Round => each!(x, out, |a| a.round_ties_even()),
        Unary::Trunc => each!(x, out, |a| a.trunc()),
        Unary::IsNan => each!(x, lanes::<u32>(result, n), |a| u32::from(a.is_nan())),
        Unary::Not => out.copy_from_slice(x),
    }
}

/// Sines of arguments beyond the reach of the vector code, one by one.
#[inline(always)]
fn far(x: &[f32], out: &mut [f32], f: fn(f32) -> f32) {
    let mut largest = 0.0_f32;
    x.iter().for_each(|a| largest = if a.abs() > largest { a.abs() } else { largest });
    if largest > math::SINE_LIMIT {
        for (out, &a) in out.iter_mut().zip(x) {
            if a.abs() > math::SINE_LIMIT {
                *out = f(a);
            }
        }
    }
}

#[inline(always)]
fn unary_f64(map: Unary, x: &[f64], result: *mut u8, n: usize) {
    let out: &mut [f64] = lanes(result, n);
    match map {
        Unary::Neg => each!(x, out, |a| -a),
        Unary::Abs => each!(x, out, |a| a.abs()),
        Unary::Recip => each!(x, out, |a| 1.0 / a),
        Unary::Sqrt => each!(x, out, |a| a.sqrt()),
        Unary::Exp => each!(x, out, |a| a.exp()),
        Unary::ExpM1 => each!(x, out, |a| a.exp_m1()),
        Unary::Ln => each!(x, out, |a| a.ln()),
        Unary::Ln1p => each!(x, out, |a| a.ln_1p()),
        Unary::Sin => each!(x, out, |a| a.sin()),
        Unary::Cos => each!(x, out, |a| a.cos()),
        Unary::Atan => each!(x, out, |a| a.atan()),
        Unary::Tanh => each!(x, out, |a| a.tanh()),
        Unary::Erf => each!(x, out, |a| scalar::erf(a)),
        Unary::Floor => each!(x, out, |a| a.floor()),
        Unary::Ceil => each!(x, out, |a| a.ceil()),
        Unary::Round => each!(x, out, |a| a.round_ties_even()),
        Unary::Trunc => each!(x, out, |a| a.trunc()),
        Unary::IsNan => each!(x, lanes::<u32>(result, n), |a| u32::from(a.is_nan())),
        Unary::Sign | Unary::Not => each!(x, out, |a| map.apply(DType::F64, a)),
    }
}

#[inline(always)]
fn unary_i32(map: Unary, x: &[i32], out: &mut [i32]) {
    match map {
        Unary::Neg => each!(x, out, |a| a.wrapping_neg()),
        Unary::Abs => each!(x, out, |a| a.wrapping_abs()),
        Unary::Sign => each!(x, out, |a| i32::from(a > 0) - i32::from(a < 0)),
        Unary::Not => each!(x, out, |a| !a),
        // No other map takes integers (`Unary::takes`).
        _ => out.copy_from_slice(x),
    }
}

#[inline(always)]
fn unary_u32(map: Unary, x: &[u32], out: &mut [u32]) {
    match map {
        Unary::Neg => each!(x, out, |a| a.wrapping_neg()),
        Unary::Sign => each!(x, out, |a| u32::from(a > 0)),
        Unary::Not => each!(x, out, |a| !a),
        // `Abs` changes nothing; no other map takes integers (`Unary::takes`).
        _ => out.copy_from_slice(x),
    }
}

macro_rules! float_binary {
    ($name:ident, $float:ty, $pow:expr) => {
        #[inline(always)]
        fn $name(map: Binary, x: &[$float], y: &[$float], result: *mut u8, n: usize) {
            let out: &mut [$float] = lanes(result, n);
            match map {
                Binary::Add => each!(x, y, out, |a, b| a + b),
                Binary::Sub => each!(x, y, out, |a, b| a - b),
                Binary::Mul => each!(x, y, out, |a, b| a * b),
                Binary::Div => each!(x, y, out, |a, b| a / b),
                Binary::Rem => each!(x, y, out, |a, b| a % b),
                Binary::Max => each!(x, y, out, |a, b| if a.is_nan() || a >= b { a } else { b }),
                Binary::Min => each!(x, y, out, |a, b| if a.is_nan() || a <= b { a } else { b }),
                Binary::Pow => each!(x, y, out, |a, b| $pow(a, b)),
                Binary::Less => each!(x, y, lanes::<u32>(result, n), |a, b| u32::from(a < b)),
                Binary::LessEqual => each!(x, y, lanes::<u32>(result, n), |a, b| u32::from(a <= b)),
                Binary::Equal => each!(x, y, lanes::<u32>(result, n), |a, b| u32::from(a == b)),
                // Integers only (`Binary::takes`).
                Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => out.fill(<$float>::NAN),
            }
        }
    };
}

float_binary!(binary_f32, f32, math::pow);
float_binary!(binary_f64, f64, f64::powf);

macro_rules! integer_binary {
    ($name:ident, $integer:ty) => {
        #[inline(always)]
        fn $name(map: Binary, x: &[$integer], y: &[$integer], out: &mut [$integer]) {
            match map {
                Binary::Add => each!(x, y, out, |a, b| a.wrapping_add(b)),
                Binary::Sub => each!(x, y, out, |a, b| a.wrapping_sub(b)),
                Binary::Mul => each!(x, y, out, |a, b| a.wrapping_mul(b)),
                Binary::Div => each!(x, y, out, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) }),
                Binary::Rem => each!(x, y, out, |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
                Binary::Max => each!(x, y, out, |a, b| a.max(b)),
                Binary::Min => each!(x, y, out, |a, b| a.min(b)),
                Binary::Less => each!(x, y, out, |a, b| <$integer>::from(a < b)),
                Binary::LessEqual => each!(x, y, out, |a, b| <$integer>::from(a <= b)),
                Binary::Equal => each!(x, y, out, |a, b| <$integer>::from(a == b)),
                Binary::And => each!(x, y, out, |a, b| a & b),
                Binary::Or => each!(x, y, out, |a, b| a | b),
                Binary::Xor => each!(x, y, out, |a, b| a ^ b),
                Binary::Shl => each!(x, y, out, |a, b| a.wrapping_shl(b as u32)),
                Binary::Shr => each!(x, y, out, |a, b| a.wrapping_shr(b as u32)),
                // Floats only (`Binary::takes`).
                Binary::Pow => out.fill(0),
            }
        }
    };
}

integer_binary!(binary_i32, i32);
integer_binary!(binary_u32, u32);

/// `condition ? yes : no`, on lanes of either width.
#[inline(always)]
pub(super) fn select<T: Bits>(condition: &[u32], yes: &[T], no: &[T], out: &mut [T]) {
    for (((out, &c), &a), &b) in out.iter_mut().zip(condition).zip(yes).zip(no) {
        *out = T::choose(c != 0, a, b);
    }
}

/// Lanes as bits. A plain `if` becomes a branch and a load per lane on AVX2, a mask stays vector code.
pub(super) trait Bits: Copy {
    fn choose(first: bool, a: Self, b: Self) -> Self;
}

impl Bits for u32 {
    #[inline(always)]
    fn choose(first: bool, a: u32, b: u32) -> u32 {
        b ^ ((a ^ b) & u32::from(first).wrapping_neg())
    }
}

impl Bits for u64 {
    #[inline(always)]
    fn choose(first: bool, a: u64, b: u64) -> u64 {
        b ^ ((a ^ b) & u64::from(first).wrapping_neg())
    }
}

/// To another type, by the rules of `Inst::Cast`.
#[inline(always)]
pub(super) fn cast(tile: &Tile<'_>, from: Lane, to: DType, x: usize, result: usize, n: usize) {
    macro_rules! to {
        ($from:ty, $to:ty, |$a:ident| $body:expr) => {
            each!(tile.read::<$from>(x, n), tile.write::<$to>(result, n), |$a| $body)
        };
    }
    match (from, to) {
        (Lane::F32, DType::F32) => to!(f32, f32, |a| a),
        (Lane::F32, DType::F16) => to!(f32, f32, |a| f16::from_f32(a).to_f32()),
        (Lane::F32, DType::F64) => to!(f32, f64, |a| f64::from(a)),
        (Lane::F32, DType::I32) => to!(f32, i32, |a| a as i32),
        (Lane::F32, DType::U32) => to!(f32, u32, |a| a as u32),
        (Lane::F32, DType::Bool) => to!(f32, u32, |a| u32::from(a != 0.0)),
        (Lane::F64, DType::F32) => to!(f64, f32, |a| a as f32),
        (Lane::F64, DType::F16) => to!(f64, f32, |a| f16::from_f64(a).to_f32()),
        (Lane::F64, DType::F64) => to!(f64, f64, |a| a),
        (Lane::F64, DType::I32) => to!(f64, i32, |a| a as i32),
        (Lane::F64, DType::U32) => to!(f64, u32, |a| a as u32),
        (Lane::F64, DType::Bool) => to!(f64, u32, |a| u32::from(a != 0.0)),
        (Lane::I32, DType::F32) => to!(i32, f32, |a| a as f32),
        (Lane::I32, DType::F16) => to!(i32, f32, |a| f16::from_f32(a as f32).to_f32()),
        (Lane::I32, DType::F64) => to!(i32, f64, |a| f64::from(a)),
        (Lane::U32, DType::F32) => to!(u32, f32, |a| a as f32),
        (Lane::U32, DType::F16) => to!(u32, f32, |a| f16::from_f32(a as f32).to_f32()),
        (Lane::U32, DType::F64) => to!(u32, f64, |a| f64::from(a)),
        (Lane::I32 | Lane::U32, DType::I32 | DType::U32) => to!(u32, u32, |a| a),
        (Lane::I32 | Lane::U32, DType::Bool) => to!(u32, u32, |a| u32::from(a != 0)),
    }
}
