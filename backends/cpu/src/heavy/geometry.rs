//! A convolution's geometry over exactly three spatial axes (missing ones have size 1), and the moves between an image
//! and its columns: row `(channel, tap)`, column `place`, so that a convolution is a matrix product.
#![expect(unsafe_code, reason = "images and panels are raw memory")]

use anygrad_core::kernel::ConvGeometry;

use super::real::Real;

/// Sizes and steps with three spatial axes.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels of x and y per group.
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) input: [usize; 3],
    pub(super) taps: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) stride: [usize; 3],
    pub(super) padding: [usize; 3],
    pub(super) dilation: [usize; 3],
}

impl Geometry {
    pub(super) fn new(g: &ConvGeometry) -> Geometry {
        let pad = |v: &[usize], fill: usize| {
            let mut full = [fill; 3];
            full[3 - v.len()..].copy_from_slice(v);
            full
        };
        Geometry {
            batch: g.batch,
            groups: g.groups,
            c_in: g.c_in / g.groups,
            c_out: g.c_out / g.groups,
            input: pad(&g.input, 1),
            taps: pad(&g.taps, 1),
            output: pad(&g.output, 1),
            stride: pad(&g.stride, 1),
            padding: pad(&g.padding, 0),
            dilation: pad(&g.dilation, 1),
        }
    }

    /// The convolution of `dy` with turned weights that gives the input gradient, where steps are 1.
    pub(super) fn turned(&self) -> Option<Geometry> {
        let mut padding = [0; 3];
        for (axis, padding) in padding.iter_mut().enumerate() {
            *padding = (self.dilation[axis] * (self.taps[axis] - 1)).checked_sub(self.padding[axis])?;
        }
        let (c_in, c_out, input, output) = (self.c_out, self.c_in, self.output, self.input);
        (self.stride == [1; 3]).then(|| Geometry { c_in, c_out, input, output, padding, ..self.clone() })
    }

    /// Elements of one channel of x, and of y.
    pub(super) fn x_size(&self) -> usize {
        self.input.iter().product()
    }

    pub(super) fn y_size(&self) -> usize {
        self.output.iter().product()
    }

    pub(super) fn tap_count(&self) -> usize {
        self.taps.iter().product()
    }

    /// Rows of the columns' matrix: terms of one sum.
    pub(super) fn depth(&self) -> usize {
        self.c_in * self.tap_count()
    }

    /// Lines of y: places are line x last axis.
    pub(super) fn lines(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Whether an image is its own columns' matrix.
    pub(super) fn is_pointwise(&self) -> bool {
        self.tap_count() == 1 && self.stride == [1; 3] && self.padding == [0; 3] && self.input == self.output
    }

    /// Calls `each(row, line, from, first, count)` for all tap rows of `channels` and lines `from..to`: places
    /// `first..first + count` of that line are inside of the image, starting at element `from` of the group's image and
    /// `stride[2]` apart. `count` may be 0.
    #[inline(always)]
    fn stretches(&self, from: usize, to: usize, mut each: impl FnMut(usize, usize, usize, usize, usize)) {
        let [_, in_h, in_w] = self.input;
        let width = self.output[2];
        let start = (from / self.output[1].max(1), from % self.output[1].max(1));
        let mut row = 0;
        for channel in 0..self.c_in {
            for tap_d in 0..self.taps[0] {
                for tap_h in 0..self.taps[1] {
                    for tap_w in 0..self.taps[2] {
                        let shift = tap_w * self.dilation[2];
                        // first <= place < end: 0 <= place * stride + shift - padding < in_w
                        let first = self.padding[2].saturating_sub(shift).div_ceil(self.stride[2]).min(width);
                        let reach = (in_w + self.padding[2]).saturating_sub(shift);
                        let end = reach.div_ceil(self.stride[2]).clamp(first, width);
                        let (mut d, mut h) = start;
                        for line in from..to {
                            let at_d = (d * self.stride[0] + tap_d * self.dilation[0]).wrapping_sub(self.padding[0]);
                            let at_h = (h * self.stride[1] + tap_h * self.dilation[1]).wrapping_sub(self.padding[1]);
                            if at_d >= self.input[0] || at_h >= in_h || end == first {
                                each(row, line, 0, 0, 0);
                            } else {
                                let at_w = first * self.stride[2] + shift - self.padding[2];
                                let at = ((channel * self.input[0] + at_d) * in_h + at_h) * in_w + at_w;
                                each(row, line, at, first, end - first);
                            }
                            h += 1;
                            if h == self.output[1] {
                                (d, h) = (d + 1, 0);
                            }
                        }
                        row += 1;
                    }
                }
            }
        }
    }

    /// Whether lines of x and y are equally long and one step apart, so that a tap's row of columns is a shifted copy of
    /// the plane but for its edges.
    fn is_shift(&self) -> bool {
        let flat = self.input[0] == 1 && self.output[0] == 1 && self.taps[0] == 1 && self.padding[0] == 0;
        flat && self.stride == [1; 3] && self.output[2] == self.input[2]
    }

    /// For [`Geometry::is_shift`]: calls `each(row, lines, at, edges)` for all tap rows: lines `lines.0..lines.1` read the
    /// image, the first inside place at element `at`; places before `edges.0` and from `edges.1` on are padding.
    #[inline(always)]
    fn shifts(&self, from: usize, to: usize, mut each: impl FnMut(usize, (usize, usize), usize, (usize, usize))) {
        let [_, in_h, width] = self.input;
        let mut row = 0;
        for channel in 0..self.c_in {
            for tap_h in 0..self.taps[1] {
                let down = tap_h * self.dilation[1];
                let low = self.padding[1].saturating_sub(down).clamp(from, to);
                let high = (in_h + self.padding[1]).saturating_sub(down).clamp(low, to);
                for tap_w in 0..self.taps[2] {
                    let shift = tap_w * self.dilation[2];
                    let first = self.padding[2].saturating_sub(shift).min(width);
                    let end = (width + self.padding[2]).saturating_sub(shift).clamp(first, width);
                    let lines = if first == end { (low, low) } else { (low, high) };
                    let at = (channel * in_h + (low + down).saturating_sub(self.padding[1])) * width;
                    each(row, lines, at + (first + shift).saturating_sub(self.padding[2]), (first, end));
                    row += 1;
                }
            }
        }
    }

    /// Writes the columns of lines `from..to` of one group's image into `panel`, rows `pitch` apart.
    ///
    /// # Safety
    /// `image` must hold the group's channels of one image, `panel` `depth` rows of that pitch, this thread's alone.
    pub(super) unsafe fn spread<T: Real>(&self, image: *const T, from: usize, to: usize, panel: *mut T, pitch: usize) {
        let (width, stride) = (self.output[2], self.stride[2]);
        if self.is_shift() {
            self.shifts(from, to, |row, (low, high), at, (first, end)| {
                // SAFETY: the panel's row; the elements from the first to the last inside place lie in one plane.
                let (out, values) = unsafe {
                    let out = std::slice::from_raw_parts_mut(panel.add(row * pitch), (to - from) * width);
                    let count = if high > low { (high - low) * width - first - (width - end) } else { 0 };
                    (out, std::slice::from_raw_parts(image.wrapping_add(at), count))
                };
                let start = (low - from) * width;
                out[..start].fill(T::default());
                out[(high - from) * width..].fill(T::default());
                if high > low {
                    out[start + first..][..values.len()].copy_from_slice(values);
                    edges(&mut out[start..(high - from) * width], width, first, end);
                }
            });
            return;
        }
        self.stretches(from, to, |row, line, at, first, count| {
            // SAFETY: the line's stretch of the panel's row, and elements of the image that `stretches` found inside.
            unsafe {
                let out = std::slice::from_raw_parts_mut(panel.add(row * pitch + (line - from) * width), width);
                out[..first].fill(T::default());
                out[first + count..].fill(T::default());
                let out = &mut out[first..first + count];
                if stride == 1 {
                    out.copy_from_slice(std::slice::from_raw_parts(image.add(at), count));
                } else {
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = *image.add(at + i * stride);
                    }
                }
            }
        });
    }

    /// Adds a panel's columns of lines `from..to` to the image they were taken from.
    ///
    /// # Safety
    /// As for [`Geometry::spread`], with the image being this thread's alone.
    pub(super) unsafe fn gather<T: Real>(&self, panel: *mut T, pitch: usize, from: usize, to: usize, image: *mut T) {
        let (width, stride) = (self.output[2], self.stride[2]);
        if self.is_shift() {
            self.shifts(from, to, |row, (low, high), at, (first, end)| {
                if high == low {
                    return;
                }
                // SAFETY: as in `spread`; panel and image are different memory.
                let (columns, sums) = unsafe {
                    let start = panel.add(row * pitch + (low - from) * width);
                    let count = (high - low) * width - first - (width - end);
                    let columns = std::slice::from_raw_parts_mut(start, (high - low) * width);
                    (columns, std::slice::from_raw_parts_mut(image.wrapping_add(at), count))
                };
                // What falls on padding is dropped; a zero then lands on the neighbouring line's end.
                edges(columns, width, first, end);
                sums.iter_mut().zip(&columns[first..]).for_each(|(sum, &x)| *sum = *sum + x);
            });
            return;
        }
        self.stretches(from, to, |row, line, at, first, count| {
            // SAFETY: as in `spread`; panel and image are different memory.
            unsafe {
                let start = panel.add(row * pitch + (line - from) * width + first);
                let values = std::slice::from_raw_parts(start, count);
                if stride == 1 {
                    let out = std::slice::from_raw_parts_mut(image.add(at), count);
                    out.iter_mut().zip(values).for_each(|(sum, &x)| *sum = *sum + x);
                } else {
                    for (i, &x) in values.iter().enumerate() {
                        let sum = image.add(at + i * stride);
                        *sum = *sum + x;
                    }
                }
            }
        });
    }
}

/// Clears what is before place `first` and from place `end` on in every line.
#[inline(always)]
fn edges<T: Real>(lines: &mut [T], width: usize, first: usize, end: usize) {
    if first == 0 && end == width {
        return;
    }
    for line in lines.chunks_exact_mut(width) {
        line[..first].fill(T::default());
        line[end..].fill(T::default());
    }
}
