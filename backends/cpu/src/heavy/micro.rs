//! The innermost loops of direct convolutions, in registers: vectors of neighbouring places against a few channels.
//! For AVX2 with FMA. Machines with AVX-512 convolve through `gemm`, which uses it; loops of 16 lanes were written (8 x 3 vectors) but
//! never run for want of such a machine, so they wait for one.
#![expect(unsafe_code, reason = "vector intrinsics and raw pointers")]

/// Most vectors of places in a tile.
pub(super) const MOST_VECTORS: usize = 2;

/// Columns of a weight gradient's tile.
pub(super) const COLUMNS: usize = 3;

/// Where a tile reads and writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Terms of a sum.
    pub(super) depth: usize,
    /// `depth x rows` weights.
    pub(super) weights: *const f32,
    /// `depth` offsets of the terms from a place.
    pub(super) offsets: *const u32,
    pub(super) x: *const f32,
    /// Element of `x` that each vector starts at, and of the result.
    pub(super) places: [u32; MOST_VECTORS],
    pub(super) targets: [usize; MOST_VECTORS],
    pub(super) y: *mut f32,
    /// Between channels of the result.
    pub(super) pitch: usize,
    /// Channels to be stored.
    pub(super) rows: usize,
}

/// A tile of a weight gradient: `rows x COLUMNS` sums over `vectors` vectors of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) vectors: usize,
    pub(super) x: *const f32,
    /// Element of `x` that each vector starts at, for an offset of 0.
    pub(super) places: *const u32,
    pub(super) offsets: [u32; COLUMNS],
    pub(super) dy: *const f32,
    /// Between channels of `dy`.
    pub(super) pitch: usize,
    /// `rows x COLUMNS` results.
    pub(super) out: *mut f32,
}

/// The loops of one vector extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// Lanes of a vector.
    pub(super) lanes: usize,
    /// Channels and vectors of a tile.
    pub(super) rows: usize,
    pub(super) vectors: usize,
    /// Channels of a weight gradient's tile.
    pub(super) gradient_rows: usize,
    pub(super) tile: unsafe fn(&Tile),
    pub(super) sums: unsafe fn(&Sums),
}

/// The best variant of this machine.
pub(super) fn variant() -> Option<Variant> {
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = is_x86_feature_detected!("avx512f");
        if !avx512 && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(avx2::VARIANT);
        }
    }
    None
}

#[cfg(target_arch = "x86_64")]
macro_rules! variant {
    ($module:ident, $feature:literal, $lanes:literal, $rows:literal x $vectors:literal, $gradient_rows:literal,
     $zero:ident, $load:ident, $set:ident, $fma:ident, $store:ident) => {
        mod $module {
            use std::arch::x86_64::*;

            use super::{COLUMNS, Sums, Tile, Variant};

            pub(super) const VARIANT: Variant =
                Variant { lanes: $lanes, rows: $rows, vectors: $vectors, gradient_rows: $gradient_rows, tile, sums };

            /// # Safety
            /// The machine has the extension; all addresses that `t` describes are valid, and those of the result this
            /// thread's alone.
            #[target_feature(enable = $feature)]
            unsafe fn tile(t: &Tile) {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut sums = [[$zero(); $vectors]; $rows];
                    let mut weights = t.weights;
                    let mut starts = [t.x; $vectors];
                    for (start, &place) in starts.iter_mut().zip(&t.places) {
                        *start = start.add(place as usize);
                    }
                    for term in 0..t.depth {
                        let offset = *t.offsets.add(term) as usize;
                        let mut x = [$zero(); $vectors];
                        for v in 0..$vectors {
                            x[v] = $load(starts[v].add(offset));
                        }
                        for r in 0..$rows {
                            let weight = $set(*weights.add(r));
                            for v in 0..$vectors {
                                sums[r][v] = $fma(weight, x[v], sums[r][v]);
                            }
                        }
                        weights = weights.add($rows);
                    }
                    for r in 0..$rows {
                        if r < t.rows {
                            for v in 0..$vectors {
                                $store(t.y.add(r * t.pitch + t.targets[v]), sums[r][v]);
                            }
                        }
                    }
                }
            }

            /// # Safety
            /// As for `tile`.
            #[target_feature(enable = $feature)]
            unsafe fn sums(t: &Sums) {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut sums = [[$zero(); COLUMNS]; $gradient_rows];
                    let columns = t.offsets.map(|offset| t.x.add(offset as usize));
                    for vector in 0..t.vectors {
                        let place = *t.places.add(vector) as usize;
                        let mut x = [$zero(); COLUMNS];
                        for c in 0..COLUMNS {
                            x[c] = $load(columns[c].add(place));
                        }
                        let dy = t.dy.add(vector * $lanes);
                        for r in 0..$gradient_rows {
                            let dy = $load(dy.add(r * t.pitch));
                            for c in 0..COLUMNS {
                                sums[r][c] = $fma(dy, x[c], sums[r][c]);
                            }
                        }
                    }
                    for r in 0..$gradient_rows {
                        for c in 0..COLUMNS {
                            let mut lanes = [0_f32; $lanes];
                            $store(lanes.as_mut_ptr(), sums[r][c]);
                            let mut half = $lanes / 2;
                            while half > 0 {
                                for lane in 0..half {
                                    lanes[lane] += lanes[lane + half];
                                }
                                half /= 2;
                            }
                            *t.out.add(r * COLUMNS + c) = lanes[0];
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
variant!(avx2, "avx2,fma", 8, 6 x 2, 4, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
