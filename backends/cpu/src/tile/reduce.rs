//! Reductions: rows of a tile at once, and accumulators that live over many tiles.
//!
//! f32 sums run in 32 vector lanes and a tree within a tile, and in f64 over tiles (over blocks of 32 steps for columns),
//! so their error does not grow with the length. The order depends on shapes alone.

use anygrad_core::kernel::{Extremum, Reduction};

use super::execute::{Level, Tile, apart};
use super::{Accumulator, How, Lane, Shape, moves};

/// Steps of columns summed in f32 before they go to f64.
const BLOCK: usize = 32;

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
fn mask(holds: bool) -> u32 {
    0_u32.wrapping_sub(u32::from(holds))
}

// One instruction for the number and one for NaN: a choice between a value and what lies where it is written becomes a
// masked store, see [`Number::or`].
#[inline(always)]
fn larger<T: Number>(a: T, b: T) -> T {
    (if a > b { a } else { b }).or_nan(mask(a.is_nan()))
}

#[inline(always)]
fn smaller<T: Number>(a: T, b: T) -> T {
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
fn fold_one<L: Level, T: Number>(how: Reduction, x: &[T]) -> T {
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
fn best<L: Level, T: Number>(which: Extremum, x: &[T]) -> Option<(usize, T)> {
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

/// Sets an accumulator to the neutral element.
pub(super) fn reset(tile: &Tile<'_>, a: &Accumulator) {
    fn neutral<T: Number>(tile: &Tile<'_>, a: &Accumulator) {
        tile.write::<T>(a.value, tile.outer_lanes).fill(match a.how {
            How::Reduce(Reduction::Sum) => T::default(),
            How::Reduce(Reduction::Prod) => T::ONE,
            How::Reduce(Reduction::Max) | How::Arg(Extremum::Max) => T::LOWEST,
            How::Reduce(Reduction::Min) | How::Arg(Extremum::Min) => T::HIGHEST,
        });
    }
    match a.lane {
        Lane::F32 => neutral::<f32>(tile, a),
        Lane::F64 => neutral::<f64>(tile, a),
        Lane::I32 => neutral::<i32>(tile, a),
        Lane::U32 => neutral::<u32>(tile, a),
    }
    match a.how {
        How::Arg(_) => tile.write::<i32>(a.second, tile.outer_lanes).fill(-1),
        How::Reduce(Reduction::Sum) => tile.write::<f64>(a.second, tile.outer_lanes).fill(0.0),
        How::Reduce(_) => tile.write::<f64>(a.second, tile.outer_lanes).fill(1.0),
    }
}

/// Takes this step's values in: a tile along one long row, or one point of every column.
#[inline(always)]
pub(super) fn accumulate<L: Level>(tile: &Tile<'_>, number: usize) {
    let a = &tile.program.accumulators[number];
    match a.lane {
        Lane::F32 => accumulate_lanes::<L, f32>(tile, a),
        Lane::F64 => accumulate_lanes::<L, f64>(tile, a),
        Lane::I32 => accumulate_lanes::<L, i32>(tile, a),
        Lane::U32 => accumulate_lanes::<L, u32>(tile, a),
    }
    if a.is_wide() && (tile.program.shape == Shape::Long || (tile.step + 1).is_multiple_of(BLOCK)) {
        flush(tile, a);
    }
}

/// As [`accumulate`] for each of the tile's steps, without the detour over registers: few columns are much work per step otherwise.
#[inline(always)]
pub(super) fn columns(tile: &Tile<'_>, number: usize, input: usize, access: usize) {
    let (a, access) = (&tile.program.accumulators[number], &tile.program.accesses[access]);
    let sums = tile.write::<f32>(a.value, tile.outer_lanes);
    let first = access.offset + tile.inner_start as isize;
    let apart = access.fixed.uniform().unwrap_or(0);
    for (step, at) in (tile.inner_fixed..tile.inner_fixed + tile.steps).enumerate() {
        let row = moves::row::<f32>(tile, input, first + at as isize * apart, tile.outer_lanes);
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
        if (step + 1).is_multiple_of(BLOCK) {
            flush(tile, a);
        }
    }
}

#[inline(always)]
fn accumulate_lanes<L: Level, T: Number>(tile: &Tile<'_>, a: &Accumulator) {
    let source = tile.read::<T>(a.source, tile.inner_lanes);
    let sums = tile.write::<T>(a.value, tile.outer_lanes);
    if tile.program.shape == Shape::Long {
        match a.how {
            How::Reduce(how) => sums[0] = combine(how, sums[0], fold_one::<L, T>(how, source)),
            How::Arg(which) => {
                if let Some((at, value)) = best::<L, T>(which, source) {
                    let numbers = tile.write::<i32>(a.second, 1);
                    take_better(which, &mut sums[0], &mut numbers[0], value, (tile.inner_start + at) as i32);
                }
            }
        }
        return;
    }
    match a.how {
        How::Reduce(Reduction::Sum) => sums.iter_mut().zip(source).for_each(|(s, &x)| *s = s.plus(x)),
        How::Reduce(Reduction::Prod) => sums.iter_mut().zip(source).for_each(|(s, &x)| *s = s.times(x)),
        How::Reduce(Reduction::Max) => sums.iter_mut().zip(source).for_each(|(s, &x)| *s = larger(*s, x)),
        How::Reduce(Reduction::Min) => sums.iter_mut().zip(source).for_each(|(s, &x)| *s = smaller(*s, x)),
        How::Arg(which) => {
            let numbers = tile.write::<i32>(a.second, tile.outer_lanes);
            let at = tile.inner_fixed as i32;
            if tile.step == 0 {
                sums.copy_from_slice(source);
                numbers.fill(at);
                return;
            }
            match which {
                Extremum::Max => take_lanes(sums, numbers, source, at, larger, |best, x| best >= x),
                Extremum::Min => take_lanes(sums, numbers, source, at, smaller, |best, x| best <= x),
            }
        }
    }
}

/// As [`take_better`] for lanes that have a best value, `at` being larger than all numbers so far.
#[inline(always)]
fn take_lanes<T: Number>(
    best: &mut [T],
    numbers: &mut [i32],
    values: &[T],
    at: i32,
    of: impl Fn(T, T) -> T,
    stays: impl Fn(T, T) -> bool,
) {
    for ((best, number), &x) in best.iter_mut().zip(numbers).zip(values) {
        let better = !stays(*best, x) & !best.is_nan();
        *best = of(*best, x);
        *number = (*number).max(at & mask(better) as i32);
    }
}

#[inline(always)]
pub(super) fn combine<T: Number>(how: Reduction, a: T, b: T) -> T {
    match how {
        Reduction::Sum => a.plus(b),
        Reduction::Prod => a.times(b),
        Reduction::Max => larger(a, b),
        Reduction::Min => smaller(a, b),
    }
}

/// Replaces the best value so far if `value`, which comes later, is better; NaN is best, -1 is "none so far".
#[inline(always)]
pub(super) fn take_better<T: Number>(which: Extremum, best: &mut T, number: &mut i32, value: T, at: i32) {
    let beats = match which {
        Extremum::Max => value > *best,
        Extremum::Min => value < *best,
    };
    // Without branches, so that loops over lanes become vector code.
    let better = (*number < 0) | (!best.is_nan() & (beats | value.is_nan()));
    *best = value.or(*best, mask(better));
    *number = at.or(*number, mask(better));
}

/// Moves f32 sums to their f64 ones.
#[inline(always)]
fn flush(tile: &Tile<'_>, a: &Accumulator) {
    let sums = tile.write::<f32>(a.value, tile.outer_lanes);
    let wide = tile.write::<f64>(a.second, tile.outer_lanes);
    if a.how == How::Reduce(Reduction::Sum) {
        for (w, s) in wide.iter_mut().zip(sums) {
            *w += f64::from(*s);
            *s = 0.0;
        }
    } else {
        for (w, s) in wide.iter_mut().zip(sums) {
            *w *= f64::from(*s);
            *s = 1.0;
        }
    }
}

/// What an accumulator holds, per outer lane, as bits of a value and a number; then as its result register.
pub(super) fn partial(tile: &Tile<'_>, a: &Accumulator, lane: usize) -> (u64, i32) {
    let n = tile.outer_lanes;
    if a.is_wide() {
        return (tile.read::<f64>(a.second, n)[lane].to_bits(), 0);
    }
    let number = if matches!(a.how, How::Arg(_)) { tile.read::<i32>(a.second, n)[lane] } else { 0 };
    let bits = match a.lane {
        Lane::F64 => tile.read::<u64>(a.value, n)[lane],
        _ => u64::from(tile.read::<u32>(a.value, n)[lane]),
    };
    (bits, number)
}

/// Ends a loop: what is still in f32 goes to f64.
pub(super) fn settle(tile: &Tile<'_>, a: &Accumulator) {
    if a.is_wide() {
        flush(tile, a);
    }
}

/// Two partial results made one, `a` being of earlier points.
pub(super) fn join(how: &Accumulator, a: (u64, i32), b: (u64, i32)) -> (u64, i32) {
    fn of<T: Number>(how: How, a: (T, i32), b: (T, i32)) -> (T, i32) {
        match how {
            How::Reduce(how) => (combine(how, a.0, b.0), 0),
            How::Arg(_) if b.1 < 0 => a,
            How::Arg(which) => {
                let (mut value, mut number) = a;
                take_better(which, &mut value, &mut number, b.0, b.1);
                (value, number)
            }
        }
    }
    match how.lane {
        _ if how.is_wide() => {
            let (value, number) = of(how.how, (f64::from_bits(a.0), a.1), (f64::from_bits(b.0), b.1));
            (value.to_bits(), number)
        }
        Lane::F64 => {
            let (value, number) = of(how.how, (f64::from_bits(a.0), a.1), (f64::from_bits(b.0), b.1));
            (value.to_bits(), number)
        }
        Lane::F32 => {
            let (value, number) = of(how.how, (f32::from_bits(a.0 as u32), a.1), (f32::from_bits(b.0 as u32), b.1));
            (u64::from(value.to_bits()), number)
        }
        Lane::I32 => {
            let (value, number) = of(how.how, (a.0 as u32 as i32, a.1), (b.0 as u32 as i32, b.1));
            (u64::from(value as u32), number)
        }
        Lane::U32 => {
            let (value, number) = of(how.how, (a.0 as u32, a.1), (b.0 as u32, b.1));
            (u64::from(value), number)
        }
    }
}

/// Writes a partial result to the result register.
pub(super) fn conclude(tile: &Tile<'_>, a: &Accumulator, lane: usize, (bits, number): (u64, i32)) {
    let n = tile.outer_lanes;
    match (a.how, a.lane) {
        (How::Arg(_), _) => tile.write::<i32>(a.result, n)[lane] = number.max(0),
        _ if a.is_wide() => tile.write::<f32>(a.result, n)[lane] = f64::from_bits(bits) as f32,
        (_, Lane::F64) => tile.write::<u64>(a.result, n)[lane] = bits,
        _ => tile.write::<u32>(a.result, n)[lane] = bits as u32,
    }
}

/// Ends an unsplit loop: every lane's result at once.
#[inline(always)]
pub(super) fn conclude_all(tile: &Tile<'_>, a: &Accumulator) {
    let n = tile.outer_lanes;
    settle(tile, a);
    match (a.how, a.lane) {
        (How::Arg(_), _) => {
            let numbers = tile.read::<i32>(a.second, n);
            tile.write::<i32>(a.result, n).iter_mut().zip(numbers).for_each(|(out, &number)| *out = number.max(0));
        }
        _ if a.is_wide() => {
            let sums = tile.read::<f64>(a.second, n);
            tile.write::<f32>(a.result, n).iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum as f32);
        }
        (_, Lane::F64) => tile.write::<u64>(a.result, n).copy_from_slice(tile.read(a.value, n)),
        _ => tile.write::<u32>(a.result, n).copy_from_slice(tile.read(a.value, n)),
    }
}
