//! Accumulators: reductions that live over many tiles, in parts that are joined.
//!
//! f32 sums go to f64 after each tile (after blocks of 32 steps for columns), so their error does not grow with the length. The
//! order depends on shapes alone.

use anygrad_core::kernel::{Extremum, Reduction};

use super::execute::{Level, Tile};
use super::reduce::{Number, best, fold_one, larger, mask, smaller};
use super::{Accumulator, How, Lane, Shape, moves};

/// Steps of columns summed in f32 before they go to f64.
const BLOCK: usize = 32;

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
pub(super) fn step<L: Level>(tile: &Tile<'_>, number: usize) {
    let a = &tile.program.accumulators[number];
    match a.lane {
        Lane::F32 => step_lanes::<L, f32>(tile, a),
        Lane::F64 => step_lanes::<L, f64>(tile, a),
        Lane::I32 => step_lanes::<L, i32>(tile, a),
        Lane::U32 => step_lanes::<L, u32>(tile, a),
    }
    if a.is_wide() && (tile.program.shape == Shape::Long || (tile.step + 1).is_multiple_of(BLOCK)) {
        flush(tile, a);
    }
}

/// As [`step`] for each of the tile's steps, without the detour over registers: few columns are much work per step otherwise.
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
fn step_lanes<L: Level, T: Number>(tile: &Tile<'_>, a: &Accumulator) {
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
fn combine<T: Number>(how: Reduction, a: T, b: T) -> T {
    match how {
        Reduction::Sum => a.plus(b),
        Reduction::Prod => a.times(b),
        Reduction::Max => larger(a, b),
        Reduction::Min => smaller(a, b),
    }
}

/// Replaces the best value so far if `value`, which comes later, is better; NaN is best, -1 is "none so far".
#[inline(always)]
fn take_better<T: Number>(which: Extremum, best: &mut T, number: &mut i32, value: T, at: i32) {
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
pub(super) fn partial(tile: &Tile<'_>, a: &Accumulator, to: &mut [(u64, i32)]) {
    fn values<T: Copy>(to: &mut [(u64, i32)], values: &[T], bits: impl Fn(T) -> u64) {
        to.iter_mut().zip(values).for_each(|(to, &value)| *to = (bits(value), 0));
    }
    let n = tile.outer_lanes;
    match a.lane {
        _ if a.is_wide() => values(to, tile.read::<u64>(a.second, n), |bits| bits),
        Lane::F64 => values(to, tile.read::<u64>(a.value, n), |bits| bits),
        _ => values(to, tile.read::<u32>(a.value, n), u64::from),
    }
    if matches!(a.how, How::Arg(_)) {
        to.iter_mut().zip(tile.read::<i32>(a.second, n)).for_each(|(to, &number)| to.1 = number);
    }
}

/// Ends a loop: what is still in f32 goes to f64.
pub(super) fn settle(tile: &Tile<'_>, a: &Accumulator) {
    if a.is_wide() {
        flush(tile, a);
    }
}

/// Joins the partial results of later points to those so far.
pub(super) fn join(how: &Accumulator, sums: &mut [(u64, i32)], later: &[(u64, i32)]) {
    fn of<T: Number>(
        how: How,
        sums: &mut [(u64, i32)],
        later: &[(u64, i32)],
        from: impl Fn(u64) -> T,
        bits: impl Fn(T) -> u64,
    ) {
        match how {
            How::Reduce(how) => {
                sums.iter_mut().zip(later).for_each(|(sum, x)| sum.0 = bits(combine(how, from(sum.0), from(x.0))));
            }
            How::Arg(which) => {
                for (sum, x) in sums.iter_mut().zip(later).filter(|(_, x)| x.1 >= 0) {
                    let mut value = from(sum.0);
                    take_better(which, &mut value, &mut sum.1, from(x.0), x.1);
                    sum.0 = bits(value);
                }
            }
        }
    }
    match how.lane {
        Lane::F64 => of(how.how, sums, later, f64::from_bits, f64::to_bits),
        _ if how.is_wide() => of(how.how, sums, later, f64::from_bits, f64::to_bits),
        Lane::F32 => of(how.how, sums, later, |b| f32::from_bits(b as u32), |x: f32| u64::from(x.to_bits())),
        Lane::I32 => of(how.how, sums, later, |b| b as u32 as i32, |x: i32| u64::from(x as u32)),
        Lane::U32 => of(how.how, sums, later, |b| b as u32, |x: u32| u64::from(x)),
    }
}

/// Writes joined results to the result register.
pub(super) fn conclude(tile: &Tile<'_>, a: &Accumulator, joined: &[(u64, i32)]) {
    fn values<T>(out: &mut [T], joined: &[(u64, i32)], value: impl Fn((u64, i32)) -> T) {
        out.iter_mut().zip(joined).for_each(|(out, &joined)| *out = value(joined));
    }
    let n = tile.outer_lanes;
    match (a.how, a.lane) {
        (How::Arg(_), _) => values(tile.write::<i32>(a.result, n), joined, |(_, number)| number.max(0)),
        _ if a.is_wide() => values(tile.write::<f32>(a.result, n), joined, |(bits, _)| f64::from_bits(bits) as f32),
        (_, Lane::F64) => values(tile.write::<u64>(a.result, n), joined, |(bits, _)| bits),
        _ => values(tile.write::<u32>(a.result, n), joined, |(bits, _)| bits as u32),
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
