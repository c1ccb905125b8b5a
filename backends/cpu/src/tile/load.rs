//! Views made ready for tiles: axes joined, split into the axes that lanes run over and those that stand still.
//!
//! A [`Walk`] gives, for lanes `start..start + n` of a row-major space, runs of elements with one stride each. Chains of
//! views first fill a buffer of element numbers by the first view's walk and then send each through the other views.

use anygrad_core::view::{Layout, View};

/// Stands for "hidden by a mask" where an element's number is expected.
pub(crate) const HIDDEN: isize = -1;

/// Runs of at most this many elements are read in blocks of rows: pooling windows and their gradients.
const SHORT: usize = 4;

/// One joined axis of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) size: usize,
    pub(crate) stride: isize,
    /// Valid coordinates, half open.
    pub(crate) low: usize,
    pub(crate) high: usize,
}

impl Axis {
    fn is_whole(&self) -> bool {
        self.low == 0 && self.high == self.size
    }
}

/// Some axes of a view, last fastest, joined where strides and masks allow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    pub(crate) axes: Vec<Axis>,
}

/// A stretch of lanes with one stride; `None` where a mask hides it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) lane: usize,
    pub(crate) lanes: usize,
    pub(crate) first: Option<isize>,
    pub(crate) stride: isize,
}

impl Walk {
    fn new(view: &View, axes: std::ops::Range<usize>) -> Walk {
        let mut joined: Vec<Axis> = Vec::new();
        for axis in axes {
            let size = view.shape[axis];
            let (low, high) = view.mask.as_ref().map_or((0, size), |mask| mask[axis]);
            let next = Axis { size, stride: view.strides[axis], low, high };
            if size == 1 && next.is_whole() {
                continue;
            }
            match joined.last_mut() {
                Some(last)
                    if last.stride == next.stride * size as isize && last.is_whole() && next.is_whole() && size > 0 =>
                {
                    last.size *= size;
                    last.stride = next.stride;
                    last.high = last.size;
                }
                _ => joined.push(next),
            }
        }
        Walk { axes: joined }
    }

    /// Where the row-major number `at` lies, relative to the view's offset; `None` if hidden.
    #[inline(always)]
    pub(crate) fn place(&self, at: usize) -> Option<isize> {
        place(&self.axes, at)
    }

    /// The one stride of all lanes, if there is one and no mask.
    #[inline(always)]
    pub(crate) fn uniform(&self) -> Option<isize> {
        match self.axes[..] {
            [] => Some(0),
            [axis] if axis.is_whole() => Some(axis.stride),
            _ => None,
        }
    }

    /// The last two axes if runs along the last one are so short that they cost more than their elements.
    #[inline(always)]
    pub(crate) fn short(&self) -> Option<(&[Axis], Axis, Axis)> {
        match &self.axes[..] {
            [rest @ .., rows, last] if (2..=SHORT).contains(&last.size) && rows.is_whole() && last.is_whole() => {
                Some((rest, *rows, *last))
            }
            _ => None,
        }
    }

    /// Calls `each(lane, lanes, first, stride)` for every line of the lanes `start..start + n`; false, and no calls, if there
    /// are masks. [`Walk::runs`] can say the same at more cost.
    #[inline(always)]
    pub(crate) fn lines(&self, start: usize, n: usize, mut each: impl FnMut(usize, usize, isize, isize)) -> bool {
        let Some((last, rest)) = self.axes.split_last() else { return false };
        if last.size == 0 || !self.axes.iter().all(Axis::is_whole) {
            return false;
        }
        let (row, mut column) = if rest.is_empty() { (0, start) } else { (start / last.size, start % last.size) };
        let (mut lane, mut rows) = (0, Rows::new(rest, row));
        while lane < n {
            let count = (n - lane).min(last.size - column);
            let first = rows.next().unwrap_or(0) + column as isize * last.stride;
            each(lane, count, first, last.stride);
            lane += count;
            column = 0;
        }
        true
    }

    /// Calls `each` for every run of the lanes `start..start + n`, with element numbers counted from `base`.
    #[inline(always)]
    pub(crate) fn runs(&self, start: usize, n: usize, base: isize, mut each: impl FnMut(Run)) {
        if n == 0 {
            return;
        }
        let Some((&last, rest)) = self.axes.split_last() else {
            each(Run { lane: 0, lanes: n, first: Some(base), stride: 0 });
            return;
        };
        let (row, mut column) = if rest.is_empty() { (0, start) } else { (start / last.size, start % last.size) };
        let mut lane = 0;
        let mut rows = Rows::new(rest, row);
        while lane < n {
            let count = (n - lane).min(last.size - column);
            match rows.next() {
                None => each(Run { lane, lanes: count, first: None, stride: 0 }),
                Some(outer) => {
                    let (low, high) = (last.low.clamp(column, column + count), last.high.clamp(column, column + count));
                    let high = high.max(low);
                    if low > column {
                        each(Run { lane, lanes: low - column, first: None, stride: 0 });
                    }
                    if high > low {
                        let first = Some(base + outer + low as isize * last.stride);
                        each(Run { lane: lane + low - column, lanes: high - low, first, stride: last.stride });
                    }
                    if column + count > high {
                        let (lane, lanes) = (lane + high - column, column + count - high);
                        each(Run { lane, lanes, first: None, stride: 0 });
                    }
                }
            }
            lane += count;
            column = 0;
        }
    }
}

/// Where the row-major number `at` of these axes lies; `None` if hidden.
#[inline(always)]
pub(crate) fn place(axes: &[Axis], mut at: usize) -> Option<isize> {
    let mut sum = 0;
    for (number, axis) in axes.iter().enumerate().rev() {
        let coordinate = if number == 0 { at } else { at % axis.size };
        if number > 0 {
            at /= axis.size;
        }
        if coordinate < axis.low || coordinate >= axis.high {
            return None;
        }
        sum += coordinate as isize * axis.stride;
    }
    Some(sum)
}

/// Where row-major numbers that follow each other lie: steps along the last axis, divisions only at its end.
pub(crate) struct Rows<'a> {
    axes: &'a [Axis],
    /// Of the last axis: the next coordinate.
    at: usize,
    /// Of all other axes.
    rest: usize,
    base: Option<isize>,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn new(axes: &'a [Axis], number: usize) -> Rows<'a> {
        let Some((last, before)) = axes.split_last() else {
            return Rows { axes, at: 0, rest: 0, base: Some(0) };
        };
        let (rest, at) = if before.is_empty() { (0, number) } else { (number / last.size, number % last.size) };
        Rows { axes, at, rest, base: place(before, rest) }
    }

    /// The place of the next number; `None` if hidden.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<isize> {
        let Some((last, before)) = self.axes.split_last() else { return self.base };
        if self.at >= last.size && !before.is_empty() {
            self.at = 0;
            self.rest += 1;
            self.base = place(before, self.rest);
        }
        let at = self.at;
        self.at += 1;
        let inside = at >= last.low && at < last.high;
        self.base.filter(|_| inside).map(|base| base + at as isize * last.stride)
    }
}

/// How a kernel's lanes find elements.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Axes that lanes run over.
    pub(crate) lanes: Walk,
    /// Axes that stand still within a tile.
    pub(crate) fixed: Walk,
    pub(crate) offset: isize,
    /// The other views of a chain.
    pub(crate) chain: Vec<(Walk, isize)>,
    /// Whether this is asked on the inner level.
    pub(crate) inner: bool,
}

/// Which axes of an inner view are lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Outer and inner axes together.
    Both,
    /// Inner axes; the outer ones stand still.
    Inner,
    /// Outer axes; the inner ones stand still.
    Outer,
}

impl Access {
    /// Whether lanes lie side by side in memory, whatever stands still.
    pub(crate) fn is_plain(&self) -> bool {
        self.chain.is_empty() && self.lanes.uniform() == Some(1) && self.fixed.uniform().is_some()
    }

    /// Prepares a layout; `outer` is the rank of the outer space.
    pub(crate) fn new(layout: &Layout, outer: usize, inner: bool, split: Split) -> Access {
        let views = layout.views();
        let mut access = Access::of(&views[0], outer, inner, split);
        access.chain = views[1..].iter().map(|v| (Walk::new(v, 0..v.shape.len()), v.offset)).collect();
        access
    }

    /// Prepares one view.
    pub(crate) fn of(view: &View, outer: usize, inner: bool, split: Split) -> Access {
        let rank = view.shape.len();
        let (lanes, fixed) = match split {
            _ if !inner => (0..rank, 0..0),
            Split::Both => (0..rank, 0..0),
            Split::Inner => (outer..rank, 0..outer),
            Split::Outer => (0..outer, outer..rank),
        };
        let (lanes, fixed) = (Walk::new(view, lanes), Walk::new(view, fixed));
        Access { lanes, fixed, offset: view.offset, chain: Vec::new(), inner }
    }

    /// Fills `out` with the element numbers of lanes `start..start + out.len()`, [`HIDDEN`] where masked.
    #[inline(always)]
    pub(crate) fn indices(&self, start: usize, fixed: usize, out: &mut [isize]) {
        let Some(still) = self.fixed.place(fixed) else {
            out.fill(HIDDEN);
            return;
        };
        let n = out.len();
        self.lanes.runs(start, n, self.offset + still, |run| {
            let lanes = &mut out[run.lane..run.lane + run.lanes];
            match run.first {
                None => lanes.fill(HIDDEN),
                Some(first) => {
                    for (i, at) in lanes.iter_mut().enumerate() {
                        *at = first + i as isize * run.stride;
                    }
                }
            }
        });
        for (walk, offset) in &self.chain {
            for at in out.iter_mut().filter(|at| **at != HIDDEN) {
                *at = walk.place(*at as usize).map_or(HIDDEN, |place| place + offset);
            }
        }
    }
}
