//! Matrix products of f32 on AVX2, one thread: panels of [`LANES`] columns of the right side are packed, the left side is read
//! in place or, where it is transposed and read often, packed in strips of rows.
//!
//! The crate `gemm` keeps f64, AVX-512 and other processors; figures of both: `benches/README.md`.
//! Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), with small blocks: two
//! threads of a shared machine have little cache for themselves.
#![expect(unsafe_code, reason = "matrices are raw memory")]

use anygrad_core::DType;

use super::lanes::{Rows, Turns, turns};
use super::panel::{LANES, Number, Product};
use super::real::Matrix;

/// Terms of a sum, columns and rows of a block: a panel stays in the first-level cache, a block in the second.
const DEPTH: usize = 384;
const COLUMNS: usize = 256;
const ROWS: usize = 96;

/// Rows of a packed strip: what AVX2 keeps in registers.
const STRIP: usize = 6;

/// With fewer columns, a transposed left side is not worth packing.
const OFTEN: usize = 96;

/// Bytes of the room that [`multiply`] needs for a product of at most these sizes; none where `gemm` multiplies.
pub(super) fn room([m, n, k]: [usize; 3], dtype: DType) -> usize {
    let own = is_ours() && dtype != DType::F64;
    let panels = n.next_multiple_of(LANES).min(COLUMNS) + m.next_multiple_of(STRIP).min(ROWS);
    if own { k.min(DEPTH) * panels * 4 } else { 0 }
}

/// Whether this machine is one for which the products here are made.
fn is_ours() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::tile::level() == 3;
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Whether [`multiply`] is the better one here: else its caller uses `gemm`.
pub(super) fn suits([m, n, k]: [usize; 3], c: Matrix<f32>) -> bool {
    is_ours() && c.column == 1 && m >= 4 && n >= 4 && k >= 1
}

/// About equal parts of `n`, at most `most` each, in multiples of `unit`.
fn part(n: usize, most: usize, unit: usize) -> usize {
    n.div_ceil(n.div_ceil(most)).next_multiple_of(unit)
}

/// `c = a b`, or `c += a b` if `add`, where [`suits`] says so.
///
/// # Safety
/// All elements of the three matrices must be inside of memory that this thread may use, `c`'s and the room alone.
pub(super) unsafe fn multiply(
    [m, n, k]: [usize; 3],
    c: Matrix<f32>,
    add: bool,
    [a, b]: [Matrix<f32>; 2],
    panels: *mut f32,
) {
    let (depth, columns) = (part(k, DEPTH, 1), part(n, COLUMNS, LANES));
    let strips = a.column != 1 && n >= OFTEN;
    let rows = part(m, ROWS, STRIP);
    let (product, turns) = (f32::loops().product, turns());
    let packed = panels.wrapping_add(depth * columns);
    for column in (0..n).step_by(columns) {
        let width = columns.min(n - column);
        for from in (0..k).step_by(depth) {
            let terms = depth.min(k - from);
            let right = Matrix { start: b.start.wrapping_add(from * b.row + column * b.column), ..b };
            // SAFETY: the caller's promise; the room holds `depth x columns` numbers.
            unsafe { pack_panels(turns, right, terms, width, panels) };
            for row in (0..m).step_by(rows) {
                let height = rows.min(m - row);
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
        }
    }
}

/// One panel of a block of rows.
///
/// # Safety
/// As for [`multiply`]; `b` has `k` rows of [`LANES`] numbers.
#[inline]
unsafe fn block(
    product: Product<f32>,
    [m, lanes, k]: [usize; 3],
    c: Matrix<f32>,
    add: bool,
    (a, strips): (Matrix<f32>, bool),
    b: *const f32,
) {
    let mut part = [0.0_f32; ROWS * LANES];
    let whole = lanes == LANES;
    let (to, row, sum) = if whole { (c.start, c.row, add) } else { (part.as_mut_ptr(), LANES, false) };
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
            for (i, part) in part.chunks_exact(LANES).take(m).enumerate() {
                for (lane, x) in part.iter().take(lanes).enumerate() {
                    let to = c.start.add(i * c.row + lane);
                    *to = if add { *to + x } else { *x };
                }
            }
        }
    }
}

/// `[panel][k][LANES]`, zeros after the last column.
///
/// # Safety
/// `b` is `k x n`, `to` has room for its panels.
unsafe fn pack_panels(turns: Option<Turns>, b: Matrix<f32>, k: usize, n: usize, to: *mut f32) {
    for column in (0..n).step_by(LANES) {
        let lanes = LANES.min(n - column);
        let (from, to) = (b.start.wrapping_add(column * b.column), to.wrapping_add(column * k));
        // SAFETY: the caller's promise.
        unsafe {
            match turns {
                Some(turns) if b.row == 1 => {
                    (turns.to_lanes)(Rows { start: from, apart: b.column, rows: lanes, length: k }, to);
                }
                _ if b.column == 1 && lanes == LANES => {
                    for i in 0..k {
                        to.add(i * LANES).cast::<[f32; LANES]>().write(*from.add(i * b.row).cast::<[f32; LANES]>());
                    }
                }
                _ => {
                    for i in 0..k {
                        for lane in 0..LANES {
                            let x = if lane < lanes { *from.add(i * b.row + lane * b.column) } else { 0.0 };
                            *to.add(i * LANES + lane) = x;
                        }
                    }
                }
            }
        }
    }
}

/// `[strip][k][STRIP]`; the last strip is as wide as the others.
///
/// # Safety
/// `a` is `m x k`, `to` has room for its strips.
unsafe fn pack_strips(a: Matrix<f32>, m: usize, k: usize, to: *mut f32) {
    for row in (0..m).step_by(STRIP) {
        let (from, to) = (a.start.wrapping_add(row * a.row), to.wrapping_add(row * k));
        let whole = a.row == 1 && row + STRIP <= m;
        for i in 0..k {
            // SAFETY: the caller's promise.
            unsafe {
                if whole {
                    let strip = from.add(i * a.column).cast::<[f32; STRIP]>().read();
                    to.add(i * STRIP).cast::<[f32; STRIP]>().write(strip);
                } else {
                    for r in 0..STRIP.min(m - row) {
                        *to.add(i * STRIP + r) = *from.add(i * a.column + r * a.row);
                    }
                }
            }
        }
    }
}
