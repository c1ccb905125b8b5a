//! Weight gradients of direct convolutions: `dw[out, in, tap] = sum over places of dy[out] * x[in] at the tap's offset`,
//! with vectors of places in registers. Images are cut into fixed parts whose sums are joined in order, and the output's
//! channels into ranges, so that results do not depend on threads.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

use super::Job;
use super::direct::{Layout, fits};
use super::geometry::Geometry;
use super::micro::{self, COLUMNS, Sums, Variant};
use super::real::{clear, join};
use crate::crew::{Crew, Shared};

/// Places of a group: a tile's channels of dy stay in the first-level cache.
const PLACES: usize = 1024;

/// Elements of a copy of x.
const COPY: usize = 32 * 1024;

/// Most channels of a tile, of all variants.
const MOST_ROWS: usize = 8;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct WeightGradient {
    variant: Variant,
    g: Geometry,
    layout: Layout,
    /// Parts of the images, ranges of the output's channels and channels of one.
    parts: usize,
    ranges: usize,
    range: usize,
}

impl WeightGradient {
    pub(super) fn new(g: &Geometry, parts: usize) -> Option<WeightGradient> {
        let variant = micro::variant()?;
        if !fits(g, &variant) {
            return None;
        }
        // Groups must not reach over parts.
        let part = Geometry { batch: g.batch.div_ceil(parts), ..g.clone() };
        let one = Layout::new(&part, variant.lanes, 1, COPY, PLACES);
        let channels = (COPY / one.elements(variant.lanes)).clamp(1, g.c_in);
        let channels = g.c_in.div_ceil(g.c_in.div_ceil(channels));
        let layout = Layout::with(&part, variant.lanes, channels, one.images, one.lines);
        let range = g.c_out.div_ceil(16_usize.div_ceil(parts)).next_multiple_of(variant.gradient_rows);
        Some(WeightGradient { variant, g: g.clone(), layout, parts, ranges: g.c_out.div_ceil(range), range })
    }

    fn weights(&self) -> usize {
        self.g.groups * self.g.c_out * self.g.depth()
    }

    /// Bytes of shared workspace: each part's sums.
    pub(super) fn shared(&self) -> usize {
        self.parts * self.weights() * 4
    }

    /// Bytes per thread: copies of x and dy.
    pub(super) fn scratch(&self) -> usize {
        let v = &self.variant;
        (self.layout.elements(v.lanes) + self.range * self.layout.places.len() * v.lanes) * 4
    }

    pub(super) fn explain(&self) -> String {
        let l = &self.layout;
        format!(
            "direct, {} parts x {} ranges, {} images of {} lines, {} channels",
            self.parts, self.ranges, l.images, l.lines, l.channels
        )
    }

    /// `dw`, and the body over it. `sums` has `shared()` bytes.
    pub(super) fn run(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        total: usize,
        [x, dy, dw]: [Shared<f32>; 3],
        sums: Shared<f32>,
    ) -> bool {
        let (g, weights) = (&self.g, self.weights());
        let images = g.batch.div_ceil(self.parts);
        let depth = g.depth();
        let ran = crew.run(self.parts * self.ranges, total, |task, scratch| {
            let (part, range) = (task / self.ranges, task % self.ranges);
            let (first, end) = (range * self.range, ((range + 1) * self.range).min(g.c_out));
            let (from, to) = (part * images, ((part + 1) * images).min(g.batch));
            for group in 0..g.groups {
                let at = part * weights + (group * g.c_out + first) * depth;
                let sums = sums.get().wrapping_add(at);
                // SAFETY: this task's range of its part's sums; verified operands; this thread's scratch.
                unsafe {
                    clear(sums, (end - first) * depth);
                    self.sum([from, to], group, [first, end], [x.get(), dy.get(), sums], scratch.add(job.room));
                }
            }
        });
        ran && join(crew, sums, self.parts, weights, dw) && job.finish_all(crew)
    }

    /// Adds images `from..to` to the sums of channels `first..end` of a group.
    ///
    /// # Safety
    /// As in `run`.
    unsafe fn sum(
        &self,
        [from, to]: [usize; 2],
        group: usize,
        [first, end]: [usize; 2],
        [x, dy, sums]: [*mut f32; 3],
        scratch: *mut u8,
    ) {
        let (g, l, v) = (&self.g, &self.layout, &self.variant);
        let (taps, y_size, width) = (g.tap_count(), g.y_size(), g.output[2]);
        let pitch = l.places.len() * v.lanes;
        let copy = scratch.cast::<f32>();
        let dy_copy = copy.wrapping_add(l.elements(v.lanes));
        let rows = (end - first).next_multiple_of(v.gradient_rows);
        for image in (from..to).step_by(l.images) {
            let images = l.images.min(to - image);
            for line in (0..g.output[1]).step_by(l.lines) {
                let lines = l.lines.min(g.output[1] - line);
                let vectors = if lines == l.lines { images * l.each } else { (lines * l.pitch).div_ceil(v.lanes) };
                for row in 0..rows {
                    // SAFETY: this row of this thread's copy.
                    unsafe { clear(dy_copy.add(row * pitch), vectors * v.lanes) };
                    for at in 0..if first + row < end { images * lines } else { 0 } {
                        let channel = ((image + at / lines) * g.groups + group) * g.c_out + first + row;
                        let source = dy.wrapping_add(channel * y_size + (line + at % lines) * width);
                        let target = row * pitch + at / lines * l.each * v.lanes + at % lines * l.pitch;
                        // SAFETY: a line of dy, and its place in the copy.
                        unsafe { std::ptr::copy_nonoverlapping(source, dy_copy.add(target), width) };
                    }
                }
                for channel in (0..g.c_in).step_by(l.channels) {
                    let channels = l.channels.min(g.c_in - channel);
                    let x = x.wrapping_add(((image * g.groups + group) * g.c_in + channel) * g.x_size());
                    let apart = g.groups * g.c_in * g.x_size();
                    // SAFETY: these channels of these images; scratch has the room.
                    unsafe { l.copy(g, x, [images, apart, channels], line, copy, v.lanes) };
                    let columns = channels * taps;
                    for row in (0..end - first).step_by(v.gradient_rows) {
                        for column in (0..columns).step_by(COLUMNS) {
                            let mut out = [0.0_f32; MOST_ROWS * COLUMNS];
                            let tile = Sums {
                                vectors,
                                x: copy,
                                places: l.places.as_ptr(),
                                offsets: std::array::from_fn(|i| l.offsets[(column + i).min(columns - 1)]),
                                dy: dy_copy.wrapping_add(row * pitch),
                                pitch,
                                out: out.as_mut_ptr(),
                            };
                            // SAFETY: the variant was found on this machine; offsets stay inside of the copies.
                            unsafe { (v.sums)(&tile) };
                            for r in 0..v.gradient_rows.min(end - first - row) {
                                let at = (row + r) * g.depth() + channel * taps + column;
                                for (c, out) in out[r * COLUMNS..][..COLUMNS.min(columns - column)].iter().enumerate() {
                                    // SAFETY: a weight of this range.
                                    unsafe { *sums.add(at + c) += out };
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
