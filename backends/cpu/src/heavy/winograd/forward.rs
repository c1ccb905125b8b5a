//! The forward convolution, and the input gradient as the forward convolution of `dy` with turned weights.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

use super::transform::{POSITIONS, Pixels, Tiles, Transforms, transforms};
use super::{Cut, LANES, padded, suits, transform_input};
use crate::crew::{Crew, Shared};
use crate::heavy::Job;
use crate::heavy::geometry::Geometry;
use crate::heavy::lanes::Rows;
use crate::heavy::panel::{Loops, Number};
use crate::heavy::real::Matrix;
use crate::heavy::shares::{Share, Shares};

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
    shares: Shares,
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
        let most = (TILES / POSITIONS * padded(g.c_in)).clamp(66, 132);
        let cut = Cut::new(&g, most);
        let shares = Shares::new([g.batch, cut.images, cut.bands, g.c_out.div_ceil(LANES)], threads);
        Some(Winograd { g, turned, cut, transforms, loops: f32::loops(), shares })
    }

    fn panels(&self) -> usize {
        self.g.c_out.div_ceil(LANES)
    }

    /// Elements of the transformed weights of one panel: `[position][c_in][LANES]`.
    fn panel(&self) -> usize {
        POSITIONS * self.g.c_in * LANES
    }

    /// Bytes of shared workspace: the transformed weights.
    pub(in crate::heavy) fn shared(&self) -> usize {
        self.panels() * self.panel() * 4
    }

    /// Bytes per thread: transformed tiles of input and output, pixels.
    pub(in crate::heavy) fn scratch(&self) -> usize {
        (POSITIONS * (self.cut.tiles() * (padded(self.g.c_in) + LANES)) + self.cut.pixels()) * 4
    }

    pub(in crate::heavy) fn explain(&self) -> String {
        let c = &self.cut;
        format!(
            "Winograd, blocks of {} images x {} rows x {} tiles, {} parts",
            c.images,
            c.rows,
            c.across,
            self.shares.parts()
        )
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
        let image_out = self.g.c_out * self.g.y_size();
        self.shares.run(crew, job, (total, image_out), |share, scratch| {
            // SAFETY: verified operands; this task alone writes this share of y.
            unsafe { self.block(share, [x, packed, y], scratch) };
        })
    }

    /// Panels `panels` of a band of images `from..to`.
    ///
    /// # Safety
    /// The operands are as `run` needs them; this thread alone writes this part of y and uses this scratch.
    unsafe fn block(&self, ([from, to], band, panels): Share, [x, packed, y]: [Shared<f32>; 3], scratch: *mut u8) {
        let (g, cut, t) = (&self.g, &self.cut, &self.transforms);
        let (width, images, rows) = (padded(g.c_in), to - from, cut.rows_of(band, g));
        let inputs = scratch.cast::<f32>();
        let outputs = inputs.wrapping_add(POSITIONS * self.cut.tiles() * width);
        let pixels = outputs.wrapping_add(POSITIONS * self.cut.tiles() * LANES);
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
