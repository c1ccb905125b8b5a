//! The transforms of [`super`] on [`LANES`] channels at a time, for AVX2 (they are a small part of the work; products use
//! the widest extension). Every vector is a channel block of one pixel or of one position of a tile.
#![expect(unsafe_code, reason = "vector intrinsics and raw pointers")]

use crate::heavy::lanes::{Turns, turns};
use crate::heavy::panel::LANES;

/// Positions of a transformed tile.
pub(super) const POSITIONS: usize = 16;

/// A row of tiles as pixels `[line][pixel][LANES]`, a tile two pixels after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels {
    pub(super) start: *mut f32,
    /// Elements from one line to the next.
    pub(super) line: usize,
}

/// A row of tiles by position: first element, elements from one tile to the next, and from one position to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) start: *mut f32,
    pub(super) step: usize,
    pub(super) apart: usize,
}

/// The transforms of one vector extension. All are unsafe: the machine must have it, and every element that the
/// arguments describe must be this thread's (or unchanging, where it is read).
#[derive(Clone, Copy, Debug)]
pub(super) struct Transforms {
    /// Between planes and channels side by side.
    pub(super) turns: Turns,
    /// `B^T d B` of tiles of 4 x 4 pixels.
    pub(super) input: unsafe fn(Pixels, usize, Tiles),
    /// `A^T m A`, 2 x 2 pixels.
    pub(super) output: unsafe fn(Tiles, usize, Pixels),
    /// `A dy A^T` of tiles of 2 x 2 pixels: the gradient of `output`.
    pub(super) slope: unsafe fn(Pixels, usize, Tiles),
    /// `G g G^T` of the nine taps at the first pointer, into positions so many elements apart.
    pub(super) weights: unsafe fn(*const f32, *mut f32, usize),
    /// `G^T u G`, nine taps from positions so many elements apart: the gradient of `weights`.
    pub(super) weight_slope: unsafe fn(*const f32, usize, *mut f32),
}

/// The transforms of this machine.
pub(super) fn transforms() -> Option<Transforms> {
    #[cfg(target_arch = "x86_64")]
    if let Some(turns) = turns() {
        return Some(avx2::transforms(turns));
    }
    None
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{LANES, POSITIONS, Pixels, Tiles, Transforms, Turns};

    pub(super) fn transforms(turns: Turns) -> Transforms {
        Transforms { turns, input, output, slope, weights, weight_slope }
    }

    /// Lanes of a vector, and their shares of a block.
    const WIDE: usize = 8;

    /// `B^T` times a column.
    #[target_feature(enable = "avx2,fma")]
    fn spread([a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
        [_mm256_sub_ps(a, c), _mm256_add_ps(b, c), _mm256_sub_ps(c, b), _mm256_sub_ps(b, d)]
    }

    /// `A^T` times a column.
    #[target_feature(enable = "avx2,fma")]
    fn fold([a, b, c, d]: [__m256; 4]) -> [__m256; 2] {
        [_mm256_add_ps(_mm256_add_ps(a, b), c), _mm256_sub_ps(_mm256_sub_ps(b, c), d)]
    }

    /// `A` times a column.
    #[target_feature(enable = "avx2,fma")]
    fn unfold([a, b]: [__m256; 2]) -> [__m256; 4] {
        [a, _mm256_add_ps(a, b), _mm256_sub_ps(a, b), _mm256_sub_ps(_mm256_setzero_ps(), b)]
    }

    /// `G` times a column.
    #[target_feature(enable = "avx2,fma")]
    fn widen([a, b, c]: [__m256; 3]) -> [__m256; 4] {
        let half = _mm256_set1_ps(0.5);
        let (ends, middle) = (_mm256_mul_ps(half, _mm256_add_ps(a, c)), _mm256_mul_ps(half, b));
        [a, _mm256_add_ps(ends, middle), _mm256_sub_ps(ends, middle), c]
    }

    /// `G^T` times a column.
    #[target_feature(enable = "avx2,fma")]
    fn narrow([a, b, c, d]: [__m256; 4]) -> [__m256; 3] {
        let half = _mm256_set1_ps(0.5);
        let (ends, middle) = (_mm256_mul_ps(half, _mm256_add_ps(b, c)), _mm256_mul_ps(half, _mm256_sub_ps(b, c)));
        [_mm256_add_ps(a, ends), middle, _mm256_add_ps(ends, d)]
    }

    /// Applies `map` to all columns of an `M x N` block that `load` gives, then to all rows, and stores the `P x P`
    /// results.
    #[inline(always)]
    fn both<const M: usize, const P: usize>(
        load: impl Fn(usize, usize) -> __m256,
        map: impl Fn([__m256; M]) -> [__m256; P],
        store: impl Fn(usize, usize, __m256),
    ) {
        let columns: [[__m256; P]; M] = std::array::from_fn(|j| map(std::array::from_fn(|i| load(i, j))));
        let row = |i: usize| map(std::array::from_fn(|j| columns[j][i]));
        (0..P).for_each(|i| row(i).into_iter().enumerate().for_each(|(j, value)| store(i, j, value)));
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn input(from: Pixels, tiles: usize, to: Tiles) {
        for tile in 0..tiles {
            for lane in [0, WIDE] {
                let x = from.start.wrapping_add(tile * 2 * LANES + lane);
                let y = to.start.wrapping_add(tile * to.step + lane);
                // SAFETY: the caller's promise.
                let load = |i: usize, j: usize| unsafe { _mm256_loadu_ps(x.add(i * from.line + j * LANES)) };
                // SAFETY: as above.
                let store = |i: usize, j: usize, v| unsafe { _mm256_storeu_ps(y.add((i * 4 + j) * to.apart), v) };
                both(load, |column| spread(column), store);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn output(from: Tiles, tiles: usize, to: Pixels) {
        for tile in 0..tiles {
            for lane in [0, WIDE] {
                let x = from.start.wrapping_add(tile * from.step + lane);
                let y = to.start.wrapping_add(tile * 2 * LANES + lane);
                // SAFETY: the caller's promise.
                let load = |i: usize, j: usize| unsafe { _mm256_loadu_ps(x.add((i * 4 + j) * from.apart)) };
                // SAFETY: as above.
                let store = |i: usize, j: usize, v| unsafe { _mm256_storeu_ps(y.add(i * to.line + j * LANES), v) };
                both(load, |column| fold(column), store);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn slope(from: Pixels, tiles: usize, to: Tiles) {
        for tile in 0..tiles {
            for lane in [0, WIDE] {
                let x = from.start.wrapping_add(tile * 2 * LANES + lane);
                let y = to.start.wrapping_add(tile * to.step + lane);
                // SAFETY: the caller's promise.
                let load = |i: usize, j: usize| unsafe { _mm256_loadu_ps(x.add(i * from.line + j * LANES)) };
                // SAFETY: as above.
                let store = |i: usize, j: usize, v| unsafe { _mm256_storeu_ps(y.add((i * 4 + j) * to.apart), v) };
                both(load, |column| unfold(column), store);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn weights(taps: *const f32, to: *mut f32, apart: usize) {
        for lane in [0, WIDE] {
            // SAFETY: the caller's promise.
            let load = |i: usize, j: usize| unsafe { _mm256_loadu_ps(taps.add((i * 3 + j) * LANES + lane)) };
            // SAFETY: as above.
            let store = |i: usize, j: usize, v| unsafe { _mm256_storeu_ps(to.add((i * 4 + j) * apart + lane), v) };
            both(load, |column| widen(column), store);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn weight_slope(from: *const f32, apart: usize, taps: *mut f32) {
        for lane in [0, WIDE] {
            // SAFETY: the caller's promise.
            let load = |i: usize, j: usize| unsafe { _mm256_loadu_ps(from.add((i * 4 + j) * apart + lane)) };
            // SAFETY: as above.
            let store = |i: usize, j: usize, v| unsafe { _mm256_storeu_ps(taps.add((i * 3 + j) * LANES + lane), v) };
            both(load, |column| narrow(column), store);
        }
    }

    const _: () = assert!(LANES == 2 * WIDE && POSITIONS == 16);
}
