//! Direct convolutions of f32: no columns are written. A group of images (or a band of lines of one) is copied once with
//! its padding into the second-level cache; every tap then reads it at an offset of its own, so that a sum over channels
//! and taps is one loop over offsets with vectors of neighbouring places in registers. Strides are cut into phases (all
//! elements of one remainder side by side), so that neighbouring places are neighbours in memory too.
//!
//! The input gradient of a convolution with steps of 1 is the forward convolution of `dy` with turned weights.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

use super::geometry::Geometry;
use super::micro::{MOST_VECTORS, Tile, Variant};
use super::shares::{Share, Shares};
use super::{Job, micro};
use crate::crew::{Crew, Shared};

/// Elements of a group's copy: half of a second-level cache of 512 KiB.
const COPY: usize = 64 * 1024;

/// How a group of images lies in scratch: `[image][channel][phase][line][place]`.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) images: usize,
    pub(super) lines: usize,
    pub(super) channels: usize,
    /// Remainders of lines and places by the strides that some tap reads.
    phases: Vec<[usize; 2]>,
    /// Lines and places of a phase.
    size: [usize; 2],
    /// Places from one line to the next, in the order in which vectors take them; `size[1]` or less.
    pub(super) pitch: usize,
    /// Vectors of an image.
    pub(super) each: usize,
    /// Of every channel and tap.
    pub(super) offsets: Vec<u32>,
    /// Of every vector.
    pub(super) places: Vec<u32>,
}

impl Layout {
    /// At most `elements` of copies and `most` places per group, `channels` at a time.
    pub(super) fn new(g: &Geometry, lanes: usize, channels: usize, elements: usize, most: usize) -> Layout {
        let (phases, reach) = (phases(g), reach(g));
        let [_, height, width] = g.output;
        let across = width + reach[1];
        let pitch = width.next_multiple_of(lanes).min(across);
        let fits = |images: usize, lines: usize| {
            images * channels * phases.len() * (lines + reach[0]) * across <= elements && images * lines * pitch <= most
        };
        let lines = (1..=height).rev().find(|&lines| fits(1, lines)).unwrap_or(1);
        let images = if lines == height { (1..=g.batch).rev().find(|&n| fits(n, lines)).unwrap_or(1) } else { 1 };
        // Bands and groups of about the same size.
        let lines = height.div_ceil(height.div_ceil(lines));
        let images = g.batch.div_ceil(g.batch.div_ceil(images).max(1)).max(1);
        Layout::with(g, lanes, channels, images, lines)
    }

    /// Groups of so many images and lines.
    pub(super) fn with(g: &Geometry, lanes: usize, channels: usize, images: usize, lines: usize) -> Layout {
        let (phases, reach) = (phases(g), reach(g));
        let across = g.output[2] + reach[1];
        let pitch = g.output[2].next_multiple_of(lanes).min(across);
        let size = [lines + reach[0], across];
        let plane = phases.len() * size[0] * across;
        let each = (lines * pitch).div_ceil(lanes);
        let mut offsets = Vec::new();
        for channel in 0..channels {
            for h in 0..g.taps[1] {
                for w in 0..g.taps[2] {
                    let (h, w) = (h * g.dilation[1], w * g.dilation[2]);
                    let phase = [h % g.stride[1], w % g.stride[2]];
                    let number = phases.iter().position(|&p| p == phase).unwrap_or(0);
                    let line = number * size[0] + h / g.stride[1];
                    offsets.push((channel * plane + line * across + w / g.stride[2]) as u32);
                }
            }
        }
        let place = |vector: usize| {
            let at = vector % each * lanes;
            (vector / each * channels * plane + at / pitch * across + at % pitch) as u32
        };
        let places = (0..images * each).map(place).collect();
        Layout { images, lines, channels, phases, size, pitch, each, offsets, places }
    }

    fn plane(&self) -> usize {
        self.phases.len() * self.size[0] * self.size[1]
    }

    /// Elements of scratch, with what vectors read past the end.
    pub(super) fn elements(&self, lanes: usize) -> usize {
        (self.images * self.channels * self.plane() + self.pitch + 2 * lanes + self.size[1]).next_multiple_of(16)
    }

    /// Copies `channels` channels of `images` images, `apart` elements from one image to the next, from line `from` of y
    /// on, and clears what vectors read past the end.
    ///
    /// # Safety
    /// `x` holds these channels, `to` has room for `elements(lanes)`, this thread's alone.
    pub(super) unsafe fn copy(
        &self,
        g: &Geometry,
        x: *const f32,
        [images, apart, channels]: [usize; 3],
        from: usize,
        to: *mut f32,
        lanes: usize,
    ) {
        let [_, in_h, in_w] = g.input;
        let [lines, across] = self.size;
        for image in 0..images {
            for channel in 0..channels {
                let x = x.wrapping_add(image * apart + channel * in_h * in_w);
                let mut to = to.wrapping_add((image * self.channels + channel) * self.plane());
                for &[phase_h, phase_w] in &self.phases {
                    // first <= place < end: inside of the image.
                    let first = g.padding[2].saturating_sub(phase_w).div_ceil(g.stride[2]).min(across);
                    let end = (in_w + g.padding[2]).saturating_sub(phase_w).div_ceil(g.stride[2]).clamp(first, across);
                    for line in 0..lines {
                        let at = ((from + line) * g.stride[1] + phase_h).wrapping_sub(g.padding[1]);
                        // SAFETY: a line of this thread's room.
                        let out = unsafe { std::slice::from_raw_parts_mut(to, across) };
                        to = to.wrapping_add(across);
                        if at >= in_h || first == end {
                            out.fill(0.0);
                            continue;
                        }
                        out[..first].fill(0.0);
                        out[end..].fill(0.0);
                        let source = x.wrapping_add(at * in_w + first * g.stride[2] + phase_w - g.padding[2]);
                        let out = &mut out[first..end];
                        if g.stride[2] == 1 {
                            // SAFETY: these places are inside of the image's line.
                            out.copy_from_slice(unsafe { std::slice::from_raw_parts(source, end - first) });
                        } else {
                            for (i, out) in out.iter_mut().enumerate() {
                                // SAFETY: as above.
                                *out = unsafe { *source.add(i * g.stride[2]) };
                            }
                        }
                    }
                }
            }
        }
        let used = images * self.channels * self.plane();
        let after = self.elements(lanes) - self.images * self.channels * self.plane();
        // SAFETY: the room's end, or the next image's place in it.
        unsafe { std::slice::from_raw_parts_mut(to.add(used), after) }.fill(0.0);
    }
}

/// Remainders by the strides that some tap reads.
fn phases(g: &Geometry) -> Vec<[usize; 2]> {
    let mut phases: Vec<[usize; 2]> = Vec::new();
    for h in 0..g.taps[1] {
        for w in 0..g.taps[2] {
            let phase = [h * g.dilation[1] % g.stride[1], w * g.dilation[2] % g.stride[2]];
            if !phases.contains(&phase) {
                phases.push(phase);
            }
        }
    }
    phases
}

/// Lines and places that taps read past those of y, within a phase.
fn reach(g: &Geometry) -> [usize; 2] {
    [1, 2].map(|axis| (g.taps[axis] - 1) * g.dilation[axis] / g.stride[axis])
}

/// Whether direct loops are made for this shape.
pub(super) fn fits(g: &Geometry, variant: &Variant) -> bool {
    let flat = g.input[0] == 1 && g.output[0] == 1 && g.taps[0] == 1 && g.padding[0] == 0;
    let small = g.stride[1] <= 2 && g.stride[2] <= 2 && g.tap_count() <= 49;
    let any = g.batch * g.lines() * g.output[2] * g.depth() > 0;
    flat && small && any && 2 * g.c_out >= variant.rows && g.output[2] >= 4 && g.depth() <= 1 << 14
}

/// A forward convolution, or the input gradient of one with steps of 1.
#[derive(Debug)]
pub(super) struct Direct {
    variant: Variant,
    g: Geometry,
    /// Weights are `[c_in, c_out, taps backwards]`.
    turned: bool,
    layout: Layout,
    /// Whether vectors of places are stored straight into y.
    exact: bool,
    shares: Shares,
}

impl Direct {
    /// The loops for a convolution, or for its input gradient.
    pub(super) fn new(g: &Geometry, turned: bool, threads: usize) -> Option<Direct> {
        let variant = micro::variant()?;
        let g = if turned { g.turned()? } else { g.clone() };
        if !fits(&g, &variant) {
            return None;
        }
        let mut layout = Layout::new(&g, variant.lanes, g.c_in, COPY, usize::MAX);
        // Enough groups for all threads to end together, where that costs little.
        let want = 4 * threads;
        if layout.lines == g.output[1] && g.batch.div_ceil(layout.images) < want {
            let share = g.batch / want.min(g.batch.max(1));
            let elements = layout.elements(variant.lanes) / layout.images * share.max(1);
            layout = Layout::new(&g, variant.lanes, g.c_in, elements.min(COPY), usize::MAX);
        }
        let exact = layout.pitch == g.output[2] && g.output[2].is_multiple_of(variant.lanes);
        let bands = g.output[1].div_ceil(layout.lines);
        let shares = Shares::new([g.batch, layout.images, bands, g.c_out.div_ceil(variant.rows)], threads);
        Some(Direct { variant, g, turned, layout, exact, shares })
    }

    fn panels(&self) -> usize {
        self.g.c_out.div_ceil(self.variant.rows)
    }

    /// Bytes of shared workspace: the weights in panels of `rows` channels.
    pub(super) fn shared(&self) -> usize {
        self.g.groups * self.panels() * self.g.depth() * self.variant.rows * 4
    }

    /// Bytes per thread: a group's copy and one panel of results.
    pub(super) fn scratch(&self) -> usize {
        let results = if self.exact { 0 } else { self.variant.rows * self.layout.places.len() * self.variant.lanes };
        (self.layout.elements(self.variant.lanes) + results) * 4
    }

    pub(super) fn explain(&self) -> String {
        let (l, v) = (&self.layout, &self.variant);
        let store = if self.exact { "" } else { ", results copied" };
        format!(
            "direct, {} images of {} lines, {} parts, tiles {} x {}{store}",
            l.images,
            l.lines,
            self.shares.parts(),
            v.rows,
            v.vectors * v.lanes
        )
    }

    /// Reorders the weights into panels `[depth][rows]`.
    fn pack(&self, crew: &mut Crew, w: Shared<f32>, packed: Shared<f32>) -> bool {
        let (g, rows, panels) = (&self.g, self.variant.rows, self.panels());
        let (depth, taps) = (g.depth(), g.tap_count());
        crew.run(g.groups * panels, self.shared() / 8, |task, _| {
            let (group, first) = (task / panels, task % panels * rows);
            let w = w.get().wrapping_add(group * g.c_out * depth);
            // SAFETY: this task's panel of the workspace.
            let out = unsafe { std::slice::from_raw_parts_mut(packed.get().add(task * depth * rows), depth * rows) };
            for (term, out) in out.chunks_exact_mut(rows).enumerate() {
                let (channel, tap) = (term / taps, term % taps);
                for (r, out) in out.iter_mut().enumerate() {
                    let row = first + r;
                    let at = match self.turned {
                        false => row * depth + term,
                        true => (channel * g.c_out + row) * taps + taps - 1 - tap,
                    };
                    // SAFETY: a weight of this group.
                    *out = if row < g.c_out { unsafe { *w.add(at) } } else { 0.0 };
                }
            }
        })
    }

    /// `y = convolution of x with w`, and the body over what is finished. `packed` has `shared()` bytes.
    pub(super) fn run(
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
        let image_out = self.g.groups * self.g.c_out * self.g.y_size();
        self.shares.run(crew, job, (total, image_out), |share, scratch| {
            // SAFETY: verified operands; this task alone writes this share of y.
            unsafe { self.band(share, [x, packed, y], scratch) };
        })
    }

    /// Panels `panels` of a band of images `from..to`, all groups.
    ///
    /// # Safety
    /// The operands are as `run` needs them; this thread alone writes this part of y and uses this scratch.
    unsafe fn band(&self, ([from, to], band, panels): Share, [x, packed, y]: [Shared<f32>; 3], scratch: *mut u8) {
        let (g, l, v) = (&self.g, &self.layout, &self.variant);
        let (line, width) = (band * l.lines, g.output[2]);
        let lines = l.lines.min(g.output[1] - line);
        let (depth, y_size, copy) = (g.depth(), g.y_size(), scratch.cast::<f32>());
        let room = copy.wrapping_add(l.elements(v.lanes));
        let vectors = if lines == l.lines { (to - from) * l.each } else { (lines * l.pitch).div_ceil(v.lanes) };
        let pitch = if self.exact { y_size } else { l.places.len() * v.lanes };
        for group in 0..g.groups {
            let x = x.get().wrapping_add((from * g.groups + group) * g.c_in * g.x_size());
            let apart = g.groups * g.c_in * g.x_size();
            // SAFETY: these channels of these images; scratch has the room.
            unsafe { l.copy(g, x, [to - from, apart, g.c_in], line, copy, v.lanes) };
            let y = y.get().wrapping_add((from * g.groups + group) * g.c_out * y_size + line * width);
            let y_apart = g.groups * g.c_out * y_size;
            for panel in panels[0]..panels[1] {
                let first = panel * v.rows;
                let rows = v.rows.min(g.c_out - first);
                let y = y.wrapping_add(first * y_size);
                let mut vector = 0;
                while vector < vectors {
                    let chosen: [usize; MOST_VECTORS] = std::array::from_fn(|i| (vector + i).min(vectors - 1));
                    let target = |at: usize| match self.exact {
                        true => at / l.each * y_apart + at % l.each * v.lanes,
                        false => at * v.lanes,
                    };
                    let tile = Tile {
                        depth,
                        weights: packed.get().wrapping_add((group * self.panels() + panel) * depth * v.rows),
                        offsets: l.offsets.as_ptr(),
                        x: copy,
                        places: chosen.map(|at| l.places[at]),
                        targets: chosen.map(target),
                        y: if self.exact { y } else { room },
                        pitch,
                        rows,
                    };
                    // SAFETY: the variant was found on this machine; offsets stay inside of the copy.
                    unsafe { (v.tile)(&tile) };
                    vector += v.vectors;
                }
                if self.exact {
                    continue;
                }
                for row in 0..rows {
                    for at in 0..(to - from) * lines {
                        let (image, line) = (at / lines, at % lines);
                        let source = room.wrapping_add(row * pitch + image * l.each * v.lanes + line * l.pitch);
                        let target = y.wrapping_add(image * y_apart + row * y_size + line * width);
                        // SAFETY: a line of results, and its place in y.
                        unsafe { std::ptr::copy_nonoverlapping(source, target, width) };
                    }
                }
            }
        }
    }
}
