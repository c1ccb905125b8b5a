//! Reductions of whole rows of a tile at once; f32 sums run in 32 vector lanes and a tree. The order depends on shapes alone.
//! (Over many tiles: `accumulate`.)

use anygrad_core::kernel::{Extremum, Reduction};

use super::Lane;
use super::execute::{Level, Tile, apart};

/// The two operations of a lane type that all reductions are made of.
pub(super) trait Number: Copy + PartialOrd + Default {
    const ONE: Self;
    const LOWEST: Self;
    const HIGHEST: Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn is_nan(self) -> bool;
    /// NaN where the mask's bits are set (never, of integers).
    fn or_nan(self, mask: u32) -> Self;
    /// `self` where the mask's bits are set, else `other`: through bits, because of `if`s per lane the compiler makes masked
    /// stores, which AMD's processors before Zen 4 do in microcode.
    fn or(self, other: Self, mask: u32) -> Self;
    /// [`fold`], compiled for this level once.
    fn fold<L: Level>(how: Reduction, x: &[Self], inner: usize, out: &mut [Self]);
}

macro_rules! number {
    ($type:ty, $width:literal, $one:expr, $low:expr, $high:expr, $plus:expr, $times:expr, $nan:expr, $or_nan:expr, $or:expr) => {
        impl Number for $type {
            const ONE: Self = $one;
            const LOWEST: Self = $low;
            const HIGHEST: Self = $high;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                $plus(self, other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                $times(self, other)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $nan(self)
            }
            #[inline(always)]
            fn or_nan(self, mask: u32) -> Self {
                $or_nan(self, mask)
            }
            #[inline(always)]
            fn or(self, other: Self, mask: u32) -> Self {
                $or(self, other, mask)
            }
            #[inline(always)]
            fn fold<L: Level>(how: Reduction, x: &[Self], inner: usize, out: &mut [Self]) {
                apart!(L, fold::<Self, $width>(how, x, inner, out));
            }
        }
    };
}

// Widths are values side by side while a row is reduced: two AVX-512 vectors of f32.
number!(
    f32,
    32,
    1.0,
    f32::NEG_INFINITY,
    f32::INFINITY,
    |a, b| a + b,
    |a, b| a * b,
    f32::is_nan,
    |a: f32, m: u32| f32::from_bits(a.to_bits() | m),
    |a: f32, b: f32, m: u32| { f32::from_bits(a.to_bits() & m | b.to_bits() & !m) }
);
number!(
    f64,
    8,
    1.0,
    f64::NEG_INFINITY,
    f64::INFINITY,
    |a, b| a + b,
    |a, b| a * b,
    f64::is_nan,
    |a: f64, m: u32| f64::from_bits(a.to_bits() | i64::from(m as i32) as u64),
    |a: f64, b: f64, m: u32| {
        let m = i64::from(m as i32) as u64;
        f64::from_bits(a.to_bits() & m | b.to_bits() & !m)
    }
);
number!(i32, 8, 1, i32::MIN, i32::MAX, i32::wrapping_add, i32::wrapping_mul, |_| false, |a, _| a, |a, b, m: u32| {
    a & m as i32 | b & !(m as i32)
});
number!(u32, 8, 1, u32::MIN, u32::MAX, u32::wrapping_add, u32::wrapping_mul, |_| false, |a, _| a, |a, b, m: u32| a & m
    | b & !m);

/// All bits where this holds.
#[inline(always)]
pub(super) fn mask(holds: bool) -> u32 {
    0_u32.wrapping_sub(u32::from(holds))
}

// One instruction for the number and one for NaN: a choice between a value and what lies where it is written becomes a
// masked store, see [`Number::or`].
#[inline(always)]
pub(super) fn larger<T: Number>(a: T, b: T) -> T {
    (if a > b { a } else { b }).or_nan(mask(a.is_nan()))
}

#[inline(always)]
pub(super) fn smaller<T: Number>(a: T, b: T) -> T {
    (if a < b { a } else { b }).or_nan(mask(a.is_nan()))
}

/// Each row's one number of many, in a fixed tree of `WIDTH` lanes.
#[inline(always)]
fn fold_rows<T: Number, const WIDTH: usize>(
    x: &[T],
    inner: usize,
    out: &mut [T],
    neutral: T,
    op: impl Fn(T, T) -> T + Copy,
) {
    for (row, out) in out.iter_mut().enumerate() {
        let mut side = [neutral; WIDTH];
        let take = |side: &mut [T; WIDTH], chunk: &[T; WIDTH]| {
            side.iter_mut().zip(chunk).for_each(|(a, &b)| *a = op(*a, b));
        };
        let (chunks, rest) = x[row * inner..][..inner].as_chunks::<WIDTH>();
        chunks.iter().for_each(|chunk| take(&mut side, chunk));
        if !rest.is_empty() {
            // A chunk filled up, not a loop: the compiler would unroll that, and it is here once per type and operation.
            let mut chunk = [neutral; WIDTH];
            chunk[..rest.len()].copy_from_slice(rest);
            take(&mut side, &chunk);
        }
        let mut width = WIDTH / 2;
        while width > 0 {
            for i in 0..width {
                side[i] = op(side[i], side[i + width]);
            }
            width /= 2;
        }
        *out = side[0];
    }
}

/// Rows of `inner` numbers each, reduced. Large code: [`Number::fold`] has it once per type and level.
#[inline(always)]
fn fold<T: Number, const WIDTH: usize>(how: Reduction, x: &[T], inner: usize, out: &mut [T]) {
    match how {
        Reduction::Sum => fold_rows::<T, WIDTH>(x, inner, out, T::default(), T::plus),
        Reduction::Prod => fold_rows::<T, WIDTH>(x, inner, out, T::ONE, T::times),
        Reduction::Max => fold_rows::<T, WIDTH>(x, inner, out, T::LOWEST, larger),
        Reduction::Min => fold_rows::<T, WIDTH>(x, inner, out, T::HIGHEST, smaller),
    }
}

/// One number of many.
#[inline(always)]
pub(super) fn fold_one<L: Level, T: Number>(how: Reduction, x: &[T]) -> T {
    let mut value = [T::default()];
    T::fold::<L>(how, x, x.len(), &mut value);
    value[0]
}

fn reduction(which: Extremum) -> Reduction {
    match which {
        Extremum::Max => Reduction::Max,
        Extremum::Min => Reduction::Min,
    }
}

/// Number of the first of some values that equals their best one, or is NaN if that is.
#[inline(always)]
fn first<T: Number>(x: &[T], best: T) -> usize {
    /// Numbers side by side, the least of which is the answer.
    const SIDE: usize = 8;
    if best.is_nan() {
        return x.iter().position(|x| x.is_nan()).unwrap_or(0);
    }
    let (mut side, mut at) = ([u32::MAX; SIDE], [0; SIDE]);
    (0..SIDE).for_each(|i| at[i] = i as u32);
    let (chunks, rest) = x.as_chunks::<SIDE>();
    for chunk in chunks {
        for i in 0..SIDE {
            side[i] = side[i].min(at[i] | mask(chunk[i] != best));
            at[i] += SIDE as u32;
        }
    }
    let rest = rest.iter().position(|x| *x == best).map_or(u32::MAX, |i| (chunks.len() * SIDE + i) as u32);
    side.into_iter().fold(rest, u32::min) as usize
}

/// Number of the first best value and the value; `None` if there are none.
#[inline(always)]
pub(super) fn best<L: Level, T: Number>(which: Extremum, x: &[T]) -> Option<(usize, T)> {
    let value = fold_one::<L, T>(reduction(which), x);
    (!x.is_empty()).then(|| (first(x, value), value))
}

#[inline(always)]
fn rows_of<L: Level, T: Number>(tile: &Tile<'_>, how: Reduction, x: usize, result: usize) {
    let out = tile.write::<T>(result, tile.outer_lanes);
    T::fold::<L>(how, tile.read::<T>(x, tile.inner_lanes), tile.program.inner, out);
}

/// Reduces every row of a tile of whole rows.
#[inline(always)]
pub(super) fn rows<L: Level>(tile: &Tile<'_>, how: Reduction, lane: Lane, x: usize, result: usize) {
    match lane {
        Lane::F32 => rows_of::<L, f32>(tile, how, x, result),
        Lane::F64 => rows_of::<L, f64>(tile, how, x, result),
        Lane::I32 => rows_of::<L, i32>(tile, how, x, result),
        Lane::U32 => rows_of::<L, u32>(tile, how, x, result),
    }
}

#[inline(always)]
fn arg_rows_of<L: Level, T: Number>(tile: &Tile<'_>, which: Extremum, x: usize, result: usize) {
    /// Rows whose best values are found at once.
    const ROWS: usize = 32;
    let inner = tile.program.inner;
    let values = tile.read::<T>(x, tile.inner_lanes);
    let out = tile.write::<i32>(result, tile.outer_lanes);
    if inner == 0 {
        return out.fill(0);
    }
    for (out, values) in out.chunks_mut(ROWS).zip(values.chunks(ROWS * inner)) {
        let mut best = [T::default(); ROWS];
        T::fold::<L>(reduction(which), values, inner, &mut best[..out.len()]);
        for ((out, row), &best) in out.iter_mut().zip(values.chunks_exact(inner)).zip(&best) {
            *out = first(row, best) as i32;
        }
    }
}

/// The first best value's number in every row of a tile of whole rows.
#[inline(always)]
pub(super) fn arg_rows<L: Level>(tile: &Tile<'_>, which: Extremum, lane: Lane, x: usize, result: usize) {
    match lane {
        Lane::F32 => arg_rows_of::<L, f32>(tile, which, x, result),
        Lane::F64 => arg_rows_of::<L, f64>(tile, which, x, result),
        Lane::I32 => arg_rows_of::<L, i32>(tile, which, x, result),
        Lane::U32 => arg_rows_of::<L, u32>(tile, which, x, result),
    }
}

/// Repeats each outer value for the lanes of its row.
#[inline(always)]
pub(super) fn expand<T: Copy>(tile: &Tile<'_>, from: usize, result: usize) {
    let values = tile.read::<T>(from, tile.outer_lanes);
    let out = tile.write::<T>(result, tile.inner_lanes);
    match values {
        [one] => out.fill(*one),
        _ => {
            let inner = tile.program.inner;
            if inner > 0 {
                out.chunks_exact_mut(inner).zip(values).for_each(|(row, &value)| row.fill(value));
            }
        }
    }
}
