//! The weight gradient. Images are cut into fixed parts whose sums are joined in order, and the input's channels into
//! ranges, so that results do not depend on threads.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

use super::transform::{POSITIONS, Pixels, Tiles, Transforms, transforms};
use super::{Cut, LANES, Plane, bring, padded, suits, transform_input};
use crate::crew::{Crew, Shared};
use crate::heavy::Job;
use crate::heavy::geometry::Geometry;
use crate::heavy::lanes::Rows;
use crate::heavy::panel::{Loops, Number};
use crate::heavy::real::{Matrix, clear};

/// Elements of transformed tiles of both operands.
const TILES: usize = 256 * 1024;

/// Bytes of all parts' sums.
const SUMS: usize = 32 << 20;

/// A weight gradient.
pub(in crate::heavy) struct WinogradWeights {
    g: Geometry,
    cut: Cut,
    transforms: Transforms,
    loops: Loops<f32>,
    /// Parts of the images; ranges of the input's blocks of channels, and blocks of one.
    parts: usize,
    ranges: usize,
    range: usize,
}

impl std::fmt::Debug for WinogradWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.explain())
    }
}

impl WinogradWeights {
    pub(in crate::heavy) fn new(g: &Geometry) -> Option<WinogradWeights> {
        let transforms = transforms()?;
        if !suits(g) {
            return None;
        }
        let loops = f32::loops();
        let blocks = g.c_in.div_ceil(LANES);
        let sums = 4 * POSITIONS * padded(g.c_in) * g.c_out;
        let parts = (SUMS / sums).clamp(1, 8).min(g.batch);
        let range = blocks.div_ceil(8_usize.div_ceil(parts).min(blocks));
        // Blocks must not reach over parts.
        let part = Geometry { batch: g.batch.div_ceil(parts), ..g.clone() };
        let most = (TILES / POSITIONS * (padded(g.c_out) + range * LANES)).clamp(64, 256);
        let cut = Cut::new(&part, most);
        Some(WinogradWeights { g: g.clone(), cut, transforms, loops, parts, ranges: blocks.div_ceil(range), range })
    }

    /// Elements of a part's sums: `[block of channels][position][c_out][LANES]`.
    fn sums(&self) -> usize {
        POSITIONS * padded(self.g.c_in) * self.g.c_out
    }

    /// Bytes of shared workspace: each part's sums.
    pub(in crate::heavy) fn shared(&self) -> usize {
        self.parts * self.sums() * 4
    }

    /// Bytes per thread: transformed tiles of x and of dy, pixels.
    pub(in crate::heavy) fn scratch(&self) -> usize {
        let tiles = POSITIONS * (self.cut.tiles() * (padded(self.g.c_out) + self.range * LANES));
        (tiles + self.cut.pixels()) * 4
    }

    pub(in crate::heavy) fn explain(&self) -> String {
        let c = &self.cut;
        let (parts, ranges) = (self.parts, self.ranges);
        format!("Winograd, {parts} parts x {ranges} ranges, {} images x {} rows x {} tiles", c.images, c.rows, c.across)
    }

    /// `dw`, and the body over it. `sums` has `shared()` bytes.
    pub(in crate::heavy) fn run(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        total: usize,
        [x, dy, dw]: [Shared<f32>; 3],
        sums: Shared<f32>,
    ) -> bool {
        let (g, images, blocks) = (&self.g, self.g.batch.div_ceil(self.parts), self.g.c_in.div_ceil(LANES));
        let block = POSITIONS * self.g.c_out * LANES;
        let ran = crew.run(self.parts * self.ranges, total, |task, scratch| {
            let (part, range) = (task / self.ranges, task % self.ranges);
            let (first, end) = (range * self.range, ((range + 1) * self.range).min(blocks));
            let (from, to) = (part * images, ((part + 1) * images).min(g.batch));
            let sums = sums.get().wrapping_add(part * self.sums() + first * block);
            // SAFETY: this task's range of its part's sums; verified operands; this thread's scratch.
            unsafe {
                clear(sums, (end - first) * block);
                for image in (from..to).step_by(self.cut.images) {
                    let images = [image, to.min(image + self.cut.images)];
                    for band in 0..self.cut.bands {
                        self.add(images, band, [first, end], [x.get(), dy.get(), sums], scratch.add(job.room));
                    }
                }
            }
        });
        ran && self.join(crew, sums, dw) && job.finish_all(crew)
    }

    /// Adds a band of images `from..to` to the sums of blocks `first..end`.
    ///
    /// # Safety
    /// As in `run`.
    unsafe fn add(
        &self,
        [from, to]: [usize; 2],
        band: usize,
        [first, end]: [usize; 2],
        [x, dy, sums]: [*mut f32; 3],
        scratch: *mut u8,
    ) {
        let (g, cut, t) = (&self.g, &self.cut, &self.transforms);
        let (images, rows) = (to - from, cut.rows_of(band, g));
        let (wide, narrow) = (padded(g.c_out), self.range * LANES);
        let slopes = scratch.cast::<f32>();
        let inputs = slopes.wrapping_add(POSITIONS * cut.tiles() * wide);
        let pixels = inputs.wrapping_add(POSITIONS * cut.tiles() * narrow);
        let plane = Plane { size: [g.output[1], g.output[2]], padding: [0, 0] };
        for block in (0..g.c_out).step_by(LANES) {
            for image in 0..images {
                let planes = Rows {
                    start: dy.wrapping_add(((from + image) * g.c_out + block) * g.y_size()),
                    apart: g.y_size(),
                    rows: LANES.min(g.c_out - block),
                    length: 0,
                };
                let lines = [2 * band * cut.rows, 2 * rows, cut.line()];
                // SAFETY: the caller's promise; rooms are as `scratch()` says.
                unsafe { bring(t, plane, planes, lines, pixels) };
                for row in 0..rows {
                    let from = Pixels { start: pixels.wrapping_add(2 * row * cut.line()), line: cut.line() };
                    let start = slopes.wrapping_add((image * rows + row) * cut.across * wide + block);
                    let to = Tiles { start, step: wide, apart: cut.tiles() * wide };
                    // SAFETY: as above.
                    unsafe { (t.slope)(from, cut.across, to) };
                }
            }
        }
        let x = x.wrapping_add(from * g.c_in * g.x_size());
        let channels = (first * LANES, (end * LANES).min(g.c_in) - first * LANES);
        let tiles = (inputs, narrow, cut.tiles() * narrow);
        // SAFETY: as above.
        unsafe { transform_input(t, g, cut, band, (x, images), channels, pixels, tiles) };
        let depth = images * rows * cut.across;
        for block in 0..end - first {
            for position in 0..POSITIONS {
                let a = slopes.wrapping_add(position * cut.tiles() * wide);
                let a = Matrix { start: a, row: 1, column: wide };
                let b = inputs.wrapping_add(position * cut.tiles() * narrow + block * LANES);
                let c = sums.wrapping_add((block * POSITIONS + position) * self.g.c_out * LANES);
                // SAFETY: as above.
                unsafe { (self.loops.product)([self.g.c_out, depth], a, (b, narrow), (c, LANES), true) };
            }
        }
    }

    /// Adds up the parts in order and transforms the sums to taps.
    fn join(&self, crew: &mut Crew, sums: Shared<f32>, dw: Shared<f32>) -> bool {
        let (g, t) = (&self.g, &self.transforms);
        crew.run(g.c_out, self.shared() / 4, |out, _| {
            for block in 0..g.c_in.div_ceil(LANES) {
                let (mut all, mut taps) = ([[0.0_f32; LANES]; POSITIONS], [[0.0_f32; LANES]; 9]);
                for part in 0..self.parts {
                    for (position, all) in all.iter_mut().enumerate() {
                        let row = (block * POSITIONS + position) * self.g.c_out + out;
                        // SAFETY: a row of sums, finished.
                        let row = unsafe { *sums.get().add(part * self.sums() + row * LANES).cast::<[f32; LANES]>() };
                        all.iter_mut().zip(row).for_each(|(all, x)| *all += x);
                    }
                }
                // SAFETY: the machine has the transforms.
                unsafe { (t.weight_slope)(all.as_ptr().cast(), LANES, taps.as_mut_ptr().cast()) };
                let to = dw.get().wrapping_add((out * g.c_in + block * LANES) * 9);
                for lane in 0..LANES.min(g.c_in - block * LANES) {
                    for (tap, row) in taps.iter().enumerate() {
                        // SAFETY: this task's weights.
                        unsafe { *to.add(lane * 9 + tap) = row[lane] };
                    }
                }
            }
        })
    }
}
