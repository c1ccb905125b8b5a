//! Transposition: rows of a matrix, at most [`LANES`] of them, to lanes that lie side by side, and back. Panels of products
//! and blocks of channels are such lanes.
#![expect(unsafe_code, reason = "vector intrinsics and raw pointers")]

use super::panel::LANES;

/// Rows of a matrix: first element, elements from one row to the next, rows (at most [`LANES`]), and their length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<T> {
    pub(super) start: *mut T,
    pub(super) apart: usize,
    pub(super) rows: usize,
    pub(super) length: usize,
}

/// The transpositions of one vector extension. Both are unsafe: the machine must have it, and every element that the
/// arguments describe must be this thread's (or unchanging, where it is read).
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    /// Rows to `[length][LANES]`; lanes without a row become 0.
    pub(super) to_lanes: unsafe fn(Rows<f32>, *mut f32),
    /// `[length][LANES]` to rows.
    pub(super) from_lanes: unsafe fn(*const f32, Rows<f32>),
}

/// The transpositions of this machine.
pub(super) fn turns() -> Option<Turns> {
    #[cfg(target_arch = "x86_64")]
    if crate::tile::level() >= 3 {
        return Some(Turns { to_lanes: avx2::to_lanes, from_lanes: avx2::from_lanes });
    }
    None
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{LANES, Rows};

    /// Lanes of a vector.
    const WIDE: usize = 8;

    #[target_feature(enable = "avx2,fma")]
    fn transpose(r: [__m256; 8]) -> [__m256; 8] {
        let pair = |i: usize| (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1]));
        let ((a, b), (c, d), (e, f), (g, h)) = (pair(0), pair(2), pair(4), pair(6));
        let low = [_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee)];
        let low = [low[0], low[1], _mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xee)];
        let high = [_mm256_shuffle_ps(e, g, 0x44), _mm256_shuffle_ps(e, g, 0xee)];
        let high = [high[0], high[1], _mm256_shuffle_ps(f, h, 0x44), _mm256_shuffle_ps(f, h, 0xee)];
        std::array::from_fn(|i| match i {
            0..4 => _mm256_permute2f128_ps(low[i], high[i], 0x20),
            _ => _mm256_permute2f128_ps(low[i - 4], high[i - 4], 0x31),
        })
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn to_lanes(from: Rows<f32>, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            let full = if from.length >= WIDE { from.rows / WIDE } else { 0 };
            for block in 0..full {
                let x = from.start.add(block * WIDE * from.apart);
                let mut next = 0;
                while next < from.length {
                    // The last vectors overlap the ones before.
                    let at = next.min(from.length - WIDE);
                    let rows = transpose(std::array::from_fn(|c| _mm256_loadu_ps(x.add(c * from.apart + at))));
                    for (i, row) in rows.into_iter().enumerate() {
                        _mm256_storeu_ps(to.add((at + i) * LANES + block * WIDE), row);
                    }
                    next += WIDE;
                }
            }
            for lane in full * WIDE..LANES {
                for i in 0..from.length {
                    let inside = lane < from.rows;
                    let x = if inside { *from.start.add(lane * from.apart + i) } else { 0.0 };
                    *to.add(i * LANES + lane) = x;
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn from_lanes(from: *const f32, to: Rows<f32>) {
        // SAFETY: the caller's promise.
        unsafe {
            let full = if to.length >= WIDE { to.rows / WIDE } else { 0 };
            for block in 0..full {
                let y = to.start.add(block * WIDE * to.apart);
                let mut next = 0;
                while next < to.length {
                    let at = next.min(to.length - WIDE);
                    let rows = std::array::from_fn(|i| _mm256_loadu_ps(from.add((at + i) * LANES + block * WIDE)));
                    for (c, row) in transpose(rows).into_iter().enumerate() {
                        _mm256_storeu_ps(y.add(c * to.apart + at), row);
                    }
                    next += WIDE;
                }
            }
            for lane in full * WIDE..to.rows {
                for i in 0..to.length {
                    *to.start.add(lane * to.apart + i) = *from.add(i * LANES + lane);
                }
            }
        }
    }
}
