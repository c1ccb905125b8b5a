//! Products with a panel: a right side of [`LANES`] columns that lie side by side in memory, so that every row of the
//! result is a few vector registers and the left side is read one number at a time, in any layout, without packing.
//! The scores of an attention never leave such a panel, and neither does its softmax: lanes are queries.
//!
//! All loops are compiled for AVX-512, AVX2 and the baseline, and chosen at run time.
#![expect(unsafe_code, reason = "panels are raw memory")]

use std::ops::{Div, Mul, Sub};

use super::lanes::{self, Rows};
use super::real::{Matrix, Real};
use crate::tile::float::F32;
use crate::tile::math;

/// Columns of a panel: two registers of AVX2, one of AVX-512.
pub(super) const LANES: usize = 16;

/// One row of a panel.
pub(super) type Row<T> = [T; LANES];

/// f32 or f64, with what attention needs of it.
pub(super) trait Number:
    Real + PartialOrd + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Below every number.
    const LOWEST: Self;

    /// Rounded from an f64.
    fn of(x: f64) -> Self;

    /// `self * b + c`, in one rounding where the machine has it.
    fn multiply_add<const FUSED: bool>(self, b: Self, c: Self) -> Self;

    /// e to this power.
    fn exp<const FUSED: bool>(self) -> Self;

    /// The natural logarithm.
    fn ln(self) -> Self;

    /// The loops over panels, compiled for this machine.
    fn loops() -> Loops<Self>;

    /// Rows to `[length][LANES]`, zeros in lanes without a row; false, and nothing, where this machine has no fast way.
    ///
    /// # Safety
    /// All elements that the arguments describe must be inside of memory that this thread may use.
    unsafe fn to_lanes(from: Rows<Self>, to: *mut Self) -> bool;
}

/// The signature of [`product`].
pub(super) type Product<T> = unsafe fn([usize; 2], Matrix<T>, (*const T, usize), (*mut T, usize), bool);

/// The loops over panels: [`product`], [`weigh`] and [`slope`]. Variants differ in the rows of a panel that are kept in
/// registers: what fits 16 registers of AVX2 or 32 of AVX-512.
#[expect(clippy::type_complexity, reason = "signatures of the functions below")]
pub(super) struct Loops<T: 'static> {
    pub(super) product: Product<T>,
    pub(super) weigh: unsafe fn(&mut [Row<T>], Option<(usize, usize)>, &mut Row<T>, &mut Row<T>) -> Row<T>,
    pub(super) slope: unsafe fn(&mut [Row<T>], &mut [Row<T>], Option<(usize, usize)>, &Row<T>, &Row<T>),
}

/// [`Loops`] with some extensions.
macro_rules! loops {
    ($name:ident, $type:ty, $rows:literal, $fused:expr $(, $features:literal)?) => {
        fn $name() -> Loops<$type> {
            $(#[target_feature(enable = $features)])?
            unsafe fn product_here(
                sizes: [usize; 2],
                a: Matrix<$type>,
                b: (*const $type, usize),
                c: (*mut $type, usize),
                add: bool,
            ) {
                // SAFETY: the caller's promise.
                unsafe { product::<$type, $rows, { $fused }>(sizes, a, b, c, add) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn weigh_here(
                panel: &mut [Row<$type>],
                place: Option<(usize, usize)>,
                largest: &mut Row<$type>,
                total: &mut Row<$type>,
            ) -> Row<$type> {
                weigh::<$type, { $fused }>(panel, place, largest, total)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn slope_here(
                weights: &mut [Row<$type>],
                slopes: &mut [Row<$type>],
                place: Option<(usize, usize)>,
                l: &Row<$type>,
                delta: &Row<$type>,
            ) {
                slope::<$type, { $fused }>(weights, slopes, place, l, delta);
            }
            Loops { product: product_here, weigh: weigh_here, slope: slope_here }
        }
    };
}

macro_rules! number {
    ($type:ty, $exp:expr, $turns:expr, $rows4:literal, $rows3:literal) => {
        impl Number for $type {
            const LOWEST: $type = <$type>::NEG_INFINITY;

            #[inline(always)]
            fn of(x: f64) -> $type {
                x as $type
            }

            #[inline(always)]
            fn multiply_add<const FUSED: bool>(self, b: $type, c: $type) -> $type {
                if FUSED { self.mul_add(b, c) } else { self * b + c }
            }

            #[inline(always)]
            fn exp<const FUSED: bool>(self) -> $type {
                $exp(self)
            }

            #[inline(always)]
            fn ln(self) -> $type {
                <$type>::ln(self)
            }

            fn loops() -> Loops<$type> {
                loops!(plain, $type, 3, cfg!(target_arch = "aarch64"));
                #[cfg(target_arch = "x86_64")]
                {
                    loops!(v4, $type, $rows4, true, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma");
                    loops!(v3, $type, $rows3, true, "avx2,fma");
                    match crate::tile::level() {
                        4 => return v4(),
                        3 => return v3(),
                        _ => {}
                    }
                }
                plain()
            }

            unsafe fn to_lanes(from: Rows<$type>, to: *mut $type) -> bool {
                // SAFETY: the caller's promise.
                $turns.is_some_and(|turn| unsafe {
                    turn(from, to);
                    true
                })
            }
        }
    };
}

number!(f32, |x| math::exp(F32::<FUSED>(x)).0, lanes::turns().map(|turns| turns.to_lanes), 12, 6);
number!(f64, f64::exp, None::<unsafe fn(Rows<f64>, *mut f64)>, 12, 3);

/// How a left side lies.
pub(super) mod left {
    /// Anyhow.
    pub(in super::super) const ANY: u8 = 0;
    /// In rows whose numbers are neighbours.
    pub(in super::super) const ROWS: u8 = 1;
    /// Packed: the numbers of one step are neighbours, and the next step's follow.
    pub(in super::super) const STEPS: u8 = 2;
}

/// Steps that are written out where the left side's addresses are known up to constants: 88 to 99 % of the peak.
const STEPS: usize = 4;

/// `c = a b`, or `c += a b` if `add`: `a` is `m x k` in any layout, `b` has `k` rows of [`LANES`] numbers that are
/// `b_row` apart, `c` has `m` such rows that are `c_row` apart. `ROWS` of them are kept in registers.
///
/// # Safety
/// All elements must be inside of memory that this thread may use, `c`'s alone.
#[inline(always)]
unsafe fn product<T: Number, const ROWS: usize, const FUSED: bool>(
    [m, k]: [usize; 2],
    a: Matrix<T>,
    (b, b_row): (*const T, usize),
    (c, c_row): (*mut T, usize),
    add: bool,
) {
    let mut row = 0;
    while row + ROWS <= m {
        let a = Matrix { start: a.start.wrapping_add(row * a.row), ..a };
        let c = (c.wrapping_add(row * c_row), c_row);
        // SAFETY: the caller's promise; rows `row..row + ROWS` are inside.
        unsafe {
            match (a.row, a.column) {
                (_, 1) => rows::<T, ROWS, { left::ROWS }, FUSED>(k, a, (b, b_row), c, add),
                (1, column) if column == ROWS => rows::<T, ROWS, { left::STEPS }, FUSED>(k, a, (b, b_row), c, add),
                _ => rows::<T, ROWS, { left::ANY }, FUSED>(k, a, (b, b_row), c, add),
            }
        }
        row += ROWS;
    }
    // What is left as one block, too: its rows hide each other's latency.
    let a = Matrix { start: a.start.wrapping_add(row * a.row), ..a };
    let c = (c.wrapping_add(row * c_row), c_row);
    macro_rules! rest {
        ($($left:literal)*) => {
            match m - row {
                // SAFETY: as above.
                $($left if $left < ROWS => unsafe { rows::<T, $left, { left::ANY }, FUSED>(k, a, (b, b_row), c, add) },)*
                _ => {}
            }
        };
    }
    rest!(1 2 3 4 5 6 7 8 9 10 11);
}

/// `R` rows of [`product`].
#[inline(always)]
unsafe fn rows<T: Number, const R: usize, const LEFT: u8, const FUSED: bool>(
    k: usize,
    a: Matrix<T>,
    (b, b_row): (*const T, usize),
    (c, c_row): (*mut T, usize),
    add: bool,
) {
    // SAFETY: the caller's promise.
    let mut sums = unsafe { sums::<T, R, LEFT, FUSED>(k, a, (b, b_row)) };
    for (r, sum) in sums.iter_mut().enumerate() {
        let to = c.wrapping_add(r * c_row).cast::<Row<T>>();
        // SAFETY: as above.
        unsafe {
            if add {
                let old = to.read_unaligned();
                for lane in 0..LANES {
                    sum[lane] = old[lane] + sum[lane];
                }
            }
            to.write_unaligned(*sum);
        }
    }
}

/// `R` rows of [`product`], in registers.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
pub(super) unsafe fn sums<T: Number, const R: usize, const LEFT: u8, const FUSED: bool>(
    k: usize,
    a: Matrix<T>,
    (b, b_row): (*const T, usize),
) -> [Row<T>; R] {
    let mut sums = [[T::default(); LANES]; R];
    let across = match LEFT {
        left::ROWS => 1,
        left::STEPS => R,
        _ => a.column,
    };
    let (mut x, mut y, mut todo) = (a.start, b, k);
    while LEFT != left::ANY && todo >= STEPS {
        for i in 0..STEPS {
            // SAFETY: the caller's promise.
            unsafe {
                step::<T, R, LEFT, FUSED>(&mut sums, a.row, x.wrapping_add(i * across), y.wrapping_add(i * b_row))
            };
        }
        (x, y, todo) = (x.wrapping_add(STEPS * across), y.wrapping_add(STEPS * b_row), todo - STEPS);
    }
    for _ in 0..todo {
        // SAFETY: as above.
        unsafe { step::<T, R, LEFT, FUSED>(&mut sums, a.row, x, y) };
        (x, y) = (x.wrapping_add(across), y.wrapping_add(b_row));
    }
    sums
}

/// One step of [`sums`], from a place of the left and a row of the right side on.
#[inline(always)]
unsafe fn step<T: Number, const R: usize, const LEFT: u8, const FUSED: bool>(
    sums: &mut [Row<T>; R],
    apart: usize,
    x: *const T,
    y: *const T,
) {
    // SAFETY: the caller's promise.
    let right = unsafe { y.cast::<Row<T>>().read_unaligned() };
    for (r, sum) in sums.iter_mut().enumerate() {
        let at = if LEFT == left::STEPS { r } else { r * apart };
        // SAFETY: as above.
        let left = unsafe { *x.add(at) };
        for lane in 0..LANES {
            sum[lane] = left.multiply_add::<FUSED>(right[lane], sum[lane]);
        }
    }
}

/// Scores to weights relative to the largest score so far; returns what older sums must be multiplied with. In a causal
/// attention, `place` is the number of the first key and of the first query.
#[inline(always)]
fn weigh<T: Number, const FUSED: bool>(
    panel: &mut [Row<T>],
    place: Option<(usize, usize)>,
    largest: &mut Row<T>,
    total: &mut Row<T>,
) -> Row<T> {
    if let Some((begin, first)) = place {
        // Only keys after the first query are hidden from anyone.
        for (key, row) in (begin..).zip(panel.iter_mut()).skip((first + 1).saturating_sub(begin)) {
            row.iter_mut().take((key - first).min(LANES)).for_each(|x| *x = T::LOWEST);
        }
    }
    let mut most = *largest;
    for row in panel.iter() {
        for lane in 0..LANES {
            most[lane] = if row[lane] > most[lane] { row[lane] } else { most[lane] };
        }
    }
    let (mut shift, mut factor) = (most, [T::default(); LANES]);
    for lane in 0..LANES {
        // Nothing but -infinity so far: all weights are 0.
        shift[lane] = if most[lane] == T::LOWEST { T::default() } else { most[lane] };
        factor[lane] = (largest[lane] - shift[lane]).exp::<FUSED>();
    }
    let mut sum = [T::default(); LANES];
    for row in panel.iter_mut() {
        for lane in 0..LANES {
            row[lane] = (row[lane] - shift[lane]).exp::<FUSED>();
            sum[lane] = sum[lane] + row[lane];
        }
    }
    for lane in 0..LANES {
        total[lane] = total[lane].multiply_add::<FUSED>(factor[lane], sum[lane]);
    }
    *largest = most;
    factor
}

/// Scores to weights `p = exp(score - l)` and their slopes to `p * (slope - delta)`, both 0 where hidden.
#[inline(always)]
fn slope<T: Number, const FUSED: bool>(
    weights: &mut [Row<T>],
    slopes: &mut [Row<T>],
    place: Option<(usize, usize)>,
    l: &Row<T>,
    delta: &Row<T>,
) {
    for (w, s) in weights.iter_mut().zip(slopes.iter_mut()) {
        for lane in 0..LANES {
            w[lane] = (w[lane] - l[lane]).exp::<FUSED>();
            s[lane] = w[lane] * (s[lane] - delta[lane]);
        }
    }
    if let Some((begin, first)) = place {
        let rows = weights.iter_mut().zip(slopes.iter_mut());
        for (key, (w, s)) in (begin..).zip(rows).skip((first + 1).saturating_sub(begin)) {
            let hidden = (key - first).min(LANES);
            w[..hidden].fill(T::default());
            s[..hidden].fill(T::default());
        }
    }
}
