//! The forward convolution, and the input gradient as the forward convolution of `dy` with turned weights.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

use super::transform::{POSITIONS, Pixels, Tiles, Transforms, transforms};
use super::{Cut, LANES, padded, positions, suits, transform_input};
use crate::crew::{Crew, Shared};
use crate::heavy::Job;
use crate::heavy::geometry::Geometry;
use crate::heavy::lanes::Rows;
use crate::heavy::panel::{Loops, Number};
use crate::heavy::real::Matrix;

/// Elements of transformed tiles that stay in a second-level cache.
const TILES: usize = 128 * 1024;

/// A forward convolution, or the input gradient of one.
pub(in crate::heavy) struct Winograd {
    g: Geometry,
    /// Weights are `[c_in, c_out, taps backwards]`.
    turned: bool,
    cut: Cut,
    transforms: Transforms,
    loops: Loops<f32>,
    /// Whether one task is a whole set of images; else it is one block and a part of the output's channels.
    whole: bool,
    parts: usize,
}

impl std::fmt::Debug for Winograd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.explain())
    }
}

impl Winograd {
    pub(in crate::heavy) fn new(g: &Geometry, turned: bool, threads: usize) -> Option<Winograd> {
        let transforms = transforms()?;
        let g = if turned { g.turned()? } else { g.clone() };
        if !suits(&g) {
            return None;
        }
        let most = (TILES / positions(padded(g.c_in))).clamp(66, 132);
        let cut = Cut::new(&g, most);
        let whole = g.batch.div_ceil(cut.images) >= 2 * threads;
        let parts = if whole { 1 } else { (2 * threads).min(g.c_out.div_ceil(LANES)) };
        Some(Winograd { g, turned, cut, transforms, loops: f32::loops(), whole, parts })
    }

    fn panels(&self) -> usize {
        self.g.c_out.div_ceil(LANES)
    }

    /// Elements of the transformed weights of one panel: `[position][c_in][LANES]`.
    fn panel(&self) -> usize {
        positions(self.g.c_in * LANES)
    }

    /// Bytes of shared workspace: the transformed weights.
    pub(in crate::heavy) fn shared(&self) -> usize {
        self.panels() * self.panel() * 4
    }

    /// Bytes per thread: transformed tiles of input and output, pixels.
    pub(in crate::heavy) fn scratch(&self) -> usize {
        (positions(self.cut.tiles() * (padded(self.g.c_in) + LANES)) + self.cut.pixels()) * 4
    }

    pub(in crate::heavy) fn explain(&self) -> String {
        let c = &self.cut;
        format!("Winograd, blocks of {} images x {} rows x {} tiles, {} parts", c.images, c.rows, c.across, self.parts)
    }

    /// `[panel][position][c_in][LANES]`.
    fn pack(&self, crew: &mut Crew, w: Shared<f32>, packed: Shared<f32>) -> bool {
        const CHUNK: usize = 8;
        let (g, taps, chunks) = (&self.g, 9, self.g.c_in.div_ceil(CHUNK));
        crew.run(self.panels() * chunks, self.shared() / 4, |task, _| {
            let (panel, chunk) = (task / chunks, task % chunks);
            for channel in chunk * CHUNK..((chunk + 1) * CHUNK).min(g.c_in) {
                let mut all = [0.0_f32; 9 * LANES];
                for lane in 0..LANES.min(g.c_out - panel * LANES) {
                    let out = panel * LANES + lane;
                    for tap in 0..taps {
                        let at = match self.turned {
                            false => (out * g.c_in + channel) * taps + tap,
                            true => (channel * g.c_out + out) * taps + taps - 1 - tap,
                        };
                        // SAFETY: a weight.
                        all[tap * LANES + lane] = unsafe { *w.get().add(at) };
                    }
                }
                let to = packed.get().wrapping_add(panel * self.panel() + channel * LANES);
                // SAFETY: the machine has the transforms; this task alone writes this channel of this panel.
                unsafe { (self.transforms.weights)(all.as_ptr(), to, g.c_in * LANES) };
            }
        })
    }

    /// `y = convolution of x with w`, and the body over what is finished. `packed` has `shared()` bytes.
    pub(in crate::heavy) fn run(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        total: usize,
        [x, w, y]: [Shared<f32>; 3],
        packed: Shared<f32>,
    ) -> bool {
        if !self.pack(crew, w, packed) {
            return false;
        }
        let (g, cut) = (&self.g, &self.cut);
        let sets = g.batch.div_ceil(cut.images);
        let image_out = g.c_out * g.y_size();
        let range = |set: usize| [set * cut.images, ((set + 1) * cut.images).min(g.batch)];
        if self.whole {
            return crew.run(sets, total, |set, scratch| {
                let [from, to] = range(set);
                for band in 0..cut.bands {
                    // SAFETY: verified operands; this task alone writes these images.
                    unsafe { self.block([from, to], band, [0, self.panels()], [x, packed, y], scratch.add(job.room)) };
                }
                job.finish(scratch, from * image_out, to * image_out);
            });
        }
        let each = self.panels().div_ceil(self.parts);
        let ran = crew.run(sets * cut.bands * self.parts, total, |task, scratch| {
            let (part, band, set) = (task % self.parts, task / self.parts % cut.bands, task / self.parts / cut.bands);
            let panels = [part * each, ((part + 1) * each).min(self.panels())];
            // SAFETY: verified operands; this task alone writes these channels of these lines.
            unsafe { self.block(range(set), band, panels, [x, packed, y], scratch.add(job.room)) };
        });
        ran && job.finish_all(crew)
    }

    /// Panels `panels` of a band of images `from..to`.
    ///
    /// # Safety
    /// The operands are as `run` needs them; this thread alone writes this part of y and uses this scratch.
    unsafe fn block(
        &self,
        [from, to]: [usize; 2],
        band: usize,
        panels: [usize; 2],
        [x, packed, y]: [Shared<f32>; 3],
        scratch: *mut u8,
    ) {
        let (g, cut, t) = (&self.g, &self.cut, &self.transforms);
        let (width, images, rows) = (padded(g.c_in), to - from, cut.rows_of(band, g));
        let inputs = scratch.cast::<f32>();
        let outputs = inputs.wrapping_add(positions(self.cut.tiles() * width));
        let pixels = outputs.wrapping_add(positions(self.cut.tiles() * LANES));
        let x = x.get().wrapping_add(from * g.c_in * g.x_size());
        let apart = self.cut.tiles() * width;
        // SAFETY: the caller's promise; rooms are as `scratch()` says.
        unsafe { transform_input(t, g, cut, band, (x, images), (0, g.c_in), pixels, (inputs, width, apart)) };
        let count = images * rows * cut.across;
        for panel in panels[0]..panels[1] {
            for position in 0..POSITIONS {
                let a = Matrix { start: inputs.wrapping_add(position * apart), row: width, column: 1 };
                let b = packed.get().wrapping_add(panel * self.panel() + position * g.c_in * LANES);
                let c = outputs.wrapping_add(position * self.cut.tiles() * LANES);
                // SAFETY: as above.
                unsafe { (self.loops.product)([count, g.c_in], a, (b, LANES), (c, LANES), false) };
            }
            for image in 0..images {
                for row in 0..rows {
                    let tile = (image * rows + row) * cut.across * LANES;
                    let from =
                        Tiles { start: outputs.wrapping_add(tile), step: LANES, apart: self.cut.tiles() * LANES };
                    let to = Pixels { start: pixels.wrapping_add(2 * row * cut.line()), line: cut.line() };
                    // SAFETY: as above.
                    unsafe { (t.output)(from, cut.across, to) };
                }
                let first = 2 * band * cut.rows;
                let plane = ((from + image) * g.c_out + panel * LANES) * g.y_size();
                for line in 0..(2 * rows).min(g.output[1] - first) {
                    let to = Rows {
                        start: y.get().wrapping_add(plane + (first + line) * g.output[2]),
                        apart: g.y_size(),
                        rows: LANES.min(g.c_out - panel * LANES),
                        length: g.output[2],
                    };
                    // SAFETY: as above.
                    unsafe { (t.turns.from_lanes)(pixels.wrapping_add(line * cut.line()), to) };
                }
            }
        }
    }
}
