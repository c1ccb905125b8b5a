//! Products of f32 and f64 with any strides on one thread (the pool shares the work between calls): our own where they are
//! faster, else those of `gemm`.
#![expect(unsafe_code, reason = "gemm takes raw pointers")]

use gemm_common::Parallelism;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::gemm;
use crate::crew::{Crew, Shared};

/// A matrix in memory: its first element and the steps to the next row and column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<T> {
    pub(super) start: *mut T,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// f32 or f64.
pub(super) trait Real:
    Copy + Default + PartialEq + std::ops::Add<Output = Self> + Send + Sync + 'static
{
    /// `c = a b`, or `c += a b` if `add`: `c` is `m x n` with rows of neighbours, the sums have `k` terms.
    ///
    /// # Safety
    /// All elements of the three matrices must be inside of memory that this thread may use, `c`'s alone; so must
    /// [`room`](super::gemm::room) bytes at `room`.
    unsafe fn gemm(sizes: [usize; 3], c: Matrix<Self>, add: bool, operands: [Matrix<Self>; 2], room: *mut Self);
}

impl Real for f64 {
    #[inline]
    unsafe fn gemm([m, n, k]: [usize; 3], c: Matrix<f64>, add: bool, operands: [Matrix<f64>; 2], room: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe {
            match k {
                0 if !add => (0..m).for_each(|row| clear(c.start.add(row * c.row), n)),
                0 => {}
                _ => gemm::multiply([m, n, k], c, add, operands, room),
            }
        }
    }
}

impl Real for f32 {
    #[inline]
    unsafe fn gemm([m, n, k]: [usize; 3], c: Matrix<f32>, add: bool, [a, b]: [Matrix<f32>; 2], room: *mut f32) {
        if gemm::suits([m, n, k]) {
            // SAFETY: the caller's promise.
            return unsafe { gemm::multiply([m, n, k], c, add, [a, b], room) };
        }
        // A symmetric one in four stretches of columns, each down to the diagonal: 10 of 16 parts.
        let symmetric = !add && n >= 128 && gemm::is_symmetric([m, n, k], [a, b]);
        let width = if symmetric { n.div_ceil(4) } else { n };
        for column in (0..n).step_by(width.max(1)) {
            let end = (column + width).min(n);
            // SAFETY: strides and sizes describe memory that the caller vouches for.
            unsafe { crate_gemm([if symmetric { end } else { m }, end - column, k], c, column, add, [a, b]) };
        }
        if symmetric {
            // SAFETY: as above.
            unsafe { gemm::mirror(c, n) };
        }
    }
}

/// `n` columns of a product from `column` on, by the crate `gemm`. Its kernels are made for results whose columns are
/// contiguous: it computes the transposed product.
///
/// # Safety
/// As for [`Real::gemm`].
unsafe fn crate_gemm([m, n, k]: [usize; 3], c: Matrix<f32>, column: usize, add: bool, [a, b]: [Matrix<f32>; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            c.start.add(column),
            c.row as isize,
            1,
            add,
            b.start.add(column * b.column),
            b.row as isize,
            b.column as isize,
            a.start,
            a.row as isize,
            a.column as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Sets `n` elements to zero.
///
/// # Safety
/// They must be this thread's alone.
pub(super) unsafe fn clear<T: Real>(start: *mut T, n: usize) {
    // SAFETY: the caller's promise; all zero bytes are the number 0.
    unsafe { std::ptr::write_bytes(start, 0, n) };
}

/// Widens `n` f16 elements to f32 on all threads.
pub(super) fn widen(crew: &mut Crew, from: Shared<u8>, to: Shared<f32>, n: usize) -> bool {
    const CHUNK: usize = 1 << 16;
    crew.run(n.div_ceil(CHUNK), n / 8, |task, _| {
        let (start, end) = (task * CHUNK, ((task + 1) * CHUNK).min(n));
        // SAFETY: `from` holds `n` f16 (verified) that nobody writes, `to` is workspace of `n` f32, tasks are disjoint.
        let (from, to) = unsafe {
            let from = std::slice::from_raw_parts(from.get().cast::<f16>().add(start), end - start);
            (from, std::slice::from_raw_parts_mut(to.get().add(start), end - start))
        };
        from.convert_to_f32_slice(to);
    })
}

/// `to[i] = sum of parts[p][i]` in rising `p`, on all threads; parts lie `n` apart.
pub(super) fn join<T: Real>(crew: &mut Crew, parts: Shared<T>, count: usize, n: usize, to: Shared<T>) -> bool {
    const CHUNK: usize = 4096;
    crew.run(n.div_ceil(CHUNK), n * count / 8, |task, _| {
        let (start, end) = (task * CHUNK, ((task + 1) * CHUNK).min(n));
        // SAFETY: parts are workspace, finished; `to` holds `n` elements; tasks are disjoint.
        let part =
            |p: usize| unsafe { std::slice::from_raw_parts(parts.get().add(p * n + start).cast_const(), end - start) };
        // SAFETY: as above.
        let to = unsafe { std::slice::from_raw_parts_mut(to.get().add(start), end - start) };
        to.copy_from_slice(part(0));
        for p in 1..count {
            to.iter_mut().zip(part(p)).for_each(|(sum, &x)| *sum = *sum + x);
        }
    })
}
