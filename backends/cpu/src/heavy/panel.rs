//! Products with a panel: a right side of [`LANES`] columns that lie side by side in memory, so that every row of the
//! result is a few vector registers and the left side is read one number at a time, in any layout, without packing.
//! The scores of an attention never leave such a panel, and neither does its softmax: lanes are queries.
#![expect(unsafe_code, reason = "panels are raw memory")]

use std::ops::{Div, Mul, Sub};

use super::real::{Matrix, Real};
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
}

macro_rules! number {
    ($type:ty, $exp:expr) => {
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
        }
    };
}

number!(f32, |x| math::exp::<FUSED>(x));
number!(f64, f64::exp);

/// `c = a b`, or `c += a b` if `add`: `a` is `m x k` in any layout, `b` has `k` rows of [`LANES`] numbers that are
/// `b_row` apart, `c` has `m` such rows that are `c_row` apart. `ROWS` of them are kept in registers.
///
/// # Safety
/// All elements must be inside of memory that this thread may use, `c`'s alone.
#[inline(always)]
pub(super) unsafe fn product<T: Number, const ROWS: usize, const FUSED: bool>(
    [m, k]: [usize; 2],
    a: Matrix<T>,
    (b, b_row): (*const T, usize),
    (c, c_row): (*mut T, usize),
    add: bool,
) {
    let mut row = 0;
    while row + ROWS <= m {
        let a = Matrix { start: a.start.wrapping_add(row * a.row), ..a };
        // SAFETY: the caller's promise; rows `row..row + ROWS` are inside.
        unsafe { rows::<T, ROWS, FUSED>(k, a, (b, b_row), (c.wrapping_add(row * c_row), c_row), add) };
        row += ROWS;
    }
    while row < m {
        let a = Matrix { start: a.start.wrapping_add(row * a.row), ..a };
        // SAFETY: as above, one row.
        unsafe { rows::<T, 1, FUSED>(k, a, (b, b_row), (c.wrapping_add(row * c_row), c_row), add) };
        row += 1;
    }
}

/// `R` rows of [`product`].
#[inline(always)]
unsafe fn rows<T: Number, const R: usize, const FUSED: bool>(
    k: usize,
    a: Matrix<T>,
    (b, b_row): (*const T, usize),
    (c, c_row): (*mut T, usize),
    add: bool,
) {
    let mut sums = [[T::default(); LANES]; R];
    for step in 0..k {
        // SAFETY: the caller's promise.
        let right = unsafe { b.add(step * b_row).cast::<Row<T>>().read_unaligned() };
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let left = unsafe { *a.start.add(r * a.row + step * a.column) };
            for lane in 0..LANES {
                sum[lane] = left.multiply_add::<FUSED>(right[lane], sum[lane]);
            }
        }
    }
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
