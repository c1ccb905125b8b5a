//! Matrix products on one thread, of f64, and of f32 where the machine has AVX2 (and not more): panels of [`LANES`] columns of the right side are packed, the left side is read
//! in place or, where it is transposed and read often, packed in strips of rows.
//!
//! The crate `gemm` multiplies f32 on AVX-512 and other processors; figures of both: `benches/README.md`.
//! Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), with small blocks: two
//! threads of a shared machine have little cache for themselves.
#![expect(unsafe_code, reason = "matrices are raw memory")]

use std::mem::MaybeUninit;

use anygrad_core::DType;

use super::lanes::Rows;
use super::panel::{LANES, Number, Product};
use super::real::Matrix;

/// Terms of a sum, columns and rows of a block: a panel stays in the first-level cache, a block in the second.
const DEPTH: usize = 256;
const COLUMNS: usize = 256;
const ROWS: usize = 96;

/// Terms of a sum of a symmetric product, both of whose sides are panels: two of them stay in the first-level cache.
const SHALLOW: usize = 192;

/// Rows of a packed strip: what AVX2 keeps in registers.
const STRIP: usize = 6;

/// With fewer columns, a transposed left side is not worth packing.
const OFTEN: usize = 96;

/// Bytes of the room that [`multiply`] needs for a product of at most these sizes; none where `gemm` multiplies.
pub(super) fn room([m, n, k]: [usize; 3], dtype: DType) -> usize {
    let panels = n.next_multiple_of(LANES).min(COLUMNS) + m.next_multiple_of(STRIP).min(ROWS);
    match dtype {
        DType::F64 => k.min(DEPTH) * panels * 8,
        _ if is_ours() => k.min(DEPTH) * panels * 4,
        _ => 0,
    }
}

/// Whether this machine is one for which the products of f32 here are made.
fn is_ours() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::tile::level() == 3;
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Whether [`multiply`] is the better one here for f32: else its caller uses `gemm`.
pub(super) fn suits([m, n, k]: [usize; 3]) -> bool {
    is_ours() && m >= 4 && n >= 4 && k >= 1
}

/// Whether this is the product of a matrix with itself, rows and columns exchanged: then it is symmetric.
pub(super) fn is_symmetric<T>([m, n, _]: [usize; 3], [a, b]: [Matrix<T>; 2]) -> bool {
    m == n && a.start == b.start && a.row == b.column && a.column == b.row
}

/// Copies what is above the diagonal of `c: [n, n]` to below it, a small square at a time.
///
/// # Safety
/// All of `c` must be inside of memory that this thread alone may use; its rows' elements are neighbours.
pub(super) unsafe fn mirror<T: Copy>(c: Matrix<T>, n: usize) {
    for row in (0..n).step_by(LANES) {
        for column in (0..=row).step_by(LANES) {
            for i in row..(row + LANES).min(n) {
                for j in column..(column + LANES).min(i) {
                    // SAFETY: `j < i < n`.
                    unsafe { *c.start.add(i * c.row + j) = *c.start.add(j * c.row + i) };
                }
            }
        }
    }
}

/// About equal parts of `n`, at most `most` each, in multiples of `unit`.
fn part(n: usize, most: usize, unit: usize) -> usize {
    n.div_ceil(n.div_ceil(most)).next_multiple_of(unit)
}

/// `c = a b`, or `c += a b` if `add`; sums of at least one term, `c` with rows of neighbours. Of a symmetric product only
/// panels on and above the diagonal are computed.
///
/// # Safety
/// All elements of the three matrices must be inside of memory that this thread may use, `c`'s and the room alone.
pub(super) unsafe fn multiply<T: Number>(
    [m, n, k]: [usize; 3],
    c: Matrix<T>,
    add: bool,
    [a, b]: [Matrix<T>; 2],
    panels: *mut T,
) {
    let symmetric = !add && is_symmetric([m, n, k], [a, b]);
    let (depth, columns) = (part(k, if symmetric { SHALLOW } else { DEPTH }, 1), part(n, COLUMNS, LANES));
    let strips = a.column != 1 && n >= OFTEN;
    let rows = part(m, ROWS, STRIP);
    let product = T::loops().product;
    let packed = panels.wrapping_add(depth * columns);
    for column in (0..n).step_by(columns) {
        let width = columns.min(n - column);
        for from in (0..k).step_by(depth) {
            let terms = depth.min(k - from);
            let right = Matrix { start: b.start.wrapping_add(from * b.row + column * b.column), ..b };
            // SAFETY: the caller's promise; the room holds `depth x columns` numbers.
            unsafe { pack_panels(right, terms, width, panels) };
            // Of a symmetric one the rows above the diagonal block; that block below.
            let last = if symmetric { column } else { m };
            for row in (0..last).step_by(rows) {
                let height = rows.min(last - row);
                let left = Matrix { start: a.start.wrapping_add(row * a.row + from * a.column), ..a };
                if strips {
                    // SAFETY: as above, `depth x rows` numbers behind the panels.
                    unsafe { pack_strips(left, height, terms, packed) };
                }
                for panel in (0..width).step_by(LANES) {
                    let b = panels.wrapping_add(panel * terms).cast_const();
                    let c = Matrix { start: c.start.wrapping_add(row * c.row + column + panel), ..c };
                    let lanes = LANES.min(width - panel);
                    let left = if strips { Matrix { start: packed, row: 1, column: STRIP } } else { left };
                    // SAFETY: as above.
                    unsafe { block(product, [height, lanes, terms], c, add || from > 0, (left, strips), b) };
                }
            }
            for panel in (0..if symmetric { width } else { 0 }).step_by(LANES) {
                let b = panels.wrapping_add(panel * terms);
                let lanes = LANES.min(width - panel);
                // Columns of the block are its rows: panels are packed left sides as well.
                for left in (0..=panel).step_by(LANES) {
                    let a = Matrix { start: panels.wrapping_add(left * terms), row: 1, column: LANES };
                    let c = Matrix { start: c.start.wrapping_add((column + left) * c.row + column + panel), ..c };
                    let height = LANES.min(width - left);
                    // SAFETY: as above.
                    unsafe { block(product, [height, lanes, terms], c, from > 0, (a, false), b) };
                }
            }
        }
    }
    if symmetric {
        // SAFETY: the caller's promise.
        unsafe { mirror(c, n) };
    }
}

/// One panel of a block of rows.
///
/// # Safety
/// As for [`multiply`]; `b` has `k` rows of [`LANES`] numbers.
#[inline]
unsafe fn block<T: Number>(
    product: Product<T>,
    [m, lanes, k]: [usize; 3],
    c: Matrix<T>,
    add: bool,
    (a, strips): (Matrix<T>, bool),
    b: *const T,
) {
    let mut part = MaybeUninit::<[T; ROWS * LANES]>::uninit();
    let part = part.as_mut_ptr().cast::<T>();
    let whole = lanes == LANES;
    let (to, row, sum) = if whole { (c.start, c.row, add) } else { (part, LANES, false) };
    // SAFETY: the caller's promise; `part` holds `ROWS` rows.
    unsafe {
        if strips {
            for first in (0..m).step_by(STRIP) {
                let a = Matrix { start: a.start.wrapping_add(first * k), ..a };
                product([STRIP.min(m - first), k], a, (b, LANES), (to.add(first * row), row), sum);
            }
        } else {
            product([m, k], a, (b, LANES), (to, row), sum);
        }
        if !whole {
            for i in 0..m {
                for lane in 0..lanes {
                    let (to, x) = (c.start.add(i * c.row + lane), *part.add(i * LANES + lane));
                    *to = if add { *to + x } else { x };
                }
            }
        }
    }
}

/// `[panel][k][LANES]`, zeros after the last column.
///
/// # Safety
/// `b` is `k x n`, `to` has room for its panels.
unsafe fn pack_panels<T: Number>(b: Matrix<T>, k: usize, n: usize, to: *mut T) {
    let whole = if b.column == 1 { n / LANES } else { 0 };
    // Rows in the order of memory, from which they come for the first time.
    for i in 0..k {
        for panel in 0..whole {
            // SAFETY: the caller's promise.
            unsafe {
                let row = b.start.add(i * b.row + panel * LANES).cast::<[T; LANES]>().read_unaligned();
                to.add((panel * k + i) * LANES).cast::<[T; LANES]>().write_unaligned(row);
            }
        }
    }
    for column in (whole * LANES..n).step_by(LANES) {
        let lanes = LANES.min(n - column);
        let (from, to) = (b.start.wrapping_add(column * b.column), to.wrapping_add(column * k));
        // SAFETY: the caller's promise.
        unsafe {
            if b.row == 1 && T::to_lanes(Rows { start: from, apart: b.column, rows: lanes, length: k }, to) {
                continue;
            }
            for i in 0..k {
                for lane in 0..LANES {
                    let x = if lane < lanes { *from.add(i * b.row + lane * b.column) } else { T::default() };
                    *to.add(i * LANES + lane) = x;
                }
            }
        }
    }
}

/// `[strip][k][STRIP]`; the last strip is as wide as the others.
///
/// # Safety
/// `a` is `m x k`, `to` has room for its strips.
unsafe fn pack_strips<T: Number>(a: Matrix<T>, m: usize, k: usize, to: *mut T) {
    for row in (0..m).step_by(STRIP) {
        let (from, to) = (a.start.wrapping_add(row * a.row), to.wrapping_add(row * k));
        let whole = a.row == 1 && row + STRIP <= m;
        for i in 0..k {
            // SAFETY: the caller's promise.
            unsafe {
                if whole {
                    let strip = from.add(i * a.column).cast::<[T; STRIP]>().read();
                    to.add(i * STRIP).cast::<[T; STRIP]>().write(strip);
                } else {
                    for r in 0..STRIP.min(m - row) {
                        *to.add(i * STRIP + r) = *from.add(i * a.column + r * a.row);
                    }
                }
            }
        }
    }
}
