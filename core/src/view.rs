//! Views: how a point of an iteration space finds its element in a buffer, by index arithmetic and without a copy.
//!
//! A [`View`] is one strided, offset and masked map; a [`Layout`] is a chain of them, for the few cases (a reshape
//! of a transposed tensor, a window over a padded one) that one strided map cannot express. Movement ops only edit
//! layouts; kernels evaluate them. Pure arithmetic: nothing here knows tensors or devices.

use std::sync::Arc;

/// A map from coordinates of `shape` to `offset + sum(coordinate * stride)`, valid where `mask` holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Sizes of the space that is mapped.
    pub shape: Vec<usize>,
    /// Elements to move per step along each axis; 0 repeats, negative runs backwards.
    pub strides: Vec<isize>,
    /// Where the point 0 lies, in elements. May be outside of the buffer when a mask covers that point.
    pub offset: isize,
    /// Half-open range of valid coordinates per axis; outside, the value is 0 and the buffer is not read.
    pub mask: Option<Vec<(usize, usize)>>,
}

/// Row-major strides of `shape`.
#[must_use]
pub fn contiguous_strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}

impl View {
    /// The row-major view of a whole buffer.
    #[must_use]
    pub fn contiguous(shape: &[usize]) -> View {
        View { shape: shape.to_vec(), strides: contiguous_strides(shape), offset: 0, mask: None }
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every point maps to its own row-major number, without mask or offset.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.offset == 0 && self.mask.is_none() && self.is_dense()
    }

    /// Whether points lie row-major without gaps (at any offset); strides of size-1 axes do not count.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        let mut dense = 1;
        let mut runs_on = |axis: usize| {
            let fits = self.shape[axis] == 1 || self.strides[axis] == dense;
            dense *= self.shape[axis] as isize;
            fits
        };
        self.is_empty() || (0..self.shape.len()).rev().all(&mut runs_on)
    }

    /// The element a point maps to, or `None` where the mask hides it.
    #[must_use]
    pub fn index(&self, point: &[usize]) -> Option<usize> {
        if let Some(mask) = &self.mask
            && point.iter().zip(mask).any(|(&p, &(low, high))| p < low || p >= high)
        {
            return None;
        }
        let at = self.offset + point.iter().zip(&self.strides).map(|(&p, &s)| p as isize * s).sum::<isize>();
        debug_assert!(at >= 0, "a view points before its buffer: {self:?} at {point:?}");
        Some(at as usize)
    }

    fn with_mask(mut self, mask: Vec<(usize, usize)>) -> View {
        let trivial = mask.iter().zip(&self.shape).all(|(&(low, high), &size)| low == 0 && high == size);
        self.mask = if trivial { None } else { Some(mask) };
        self
    }

    fn mask_or_full(&self) -> Vec<(usize, usize)> {
        self.mask.clone().unwrap_or_else(|| self.shape.iter().map(|&size| (0, size)).collect())
    }

    /// Axes in a new order: axis `i` of the result is axis `axes[i]` of this.
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> View {
        let pick = |v: &[usize]| axes.iter().map(|&a| v[a]).collect::<Vec<_>>();
        let mask = self.mask.as_ref().map(|m| axes.iter().map(|&a| m[a]).collect());
        View {
            shape: pick(&self.shape),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
            mask,
        }
    }

    /// Repeats axes of size 1 up to `shape` (same rank).
    #[must_use]
    pub fn expand(&self, shape: &[usize]) -> View {
        let strides = (0..shape.len()).map(|a| if self.shape[a] == shape[a] { self.strides[a] } else { 0 }).collect();
        let mask = self.mask.as_ref().map(|mask| {
            let grow = |a: usize| match mask[a] {
                (0, 1) if self.shape[a] == 1 => (0, shape[a]),
                m if self.shape[a] == shape[a] => m,
                _ => (0, 0),
            };
            (0..shape.len()).map(grow).collect::<Vec<_>>()
        });
        let view = View { shape: shape.to_vec(), strides, offset: self.offset, mask: None };
        match mask {
            Some(mask) => view.with_mask(mask),
            None => view,
        }
    }

    /// Keeps coordinates `start..end` of each axis.
    #[must_use]
    pub fn slice(&self, ranges: &[(usize, usize)]) -> View {
        let offset = self.offset + ranges.iter().zip(&self.strides).map(|(r, &s)| r.0 as isize * s).sum::<isize>();
        let shape: Vec<usize> = ranges.iter().map(|r| r.1 - r.0).collect();
        let mask = self.mask_or_full();
        let cut = |((low, high), &(start, end)): ((usize, usize), &(usize, usize))| {
            let (low, high) = (low.max(start), high.min(end));
            if low < high { (low - start, high - start) } else { (0, 0) }
        };
        let mask = mask.into_iter().zip(ranges).map(cut).collect();
        View { shape, strides: self.strides.clone(), offset, mask: None }.with_mask(mask)
    }

    /// Adds hidden points before and after each axis.
    #[must_use]
    pub fn pad(&self, padding: &[(usize, usize)]) -> View {
        let offset = self.offset - padding.iter().zip(&self.strides).map(|(p, &s)| p.0 as isize * s).sum::<isize>();
        let shape = self.shape.iter().zip(padding).map(|(&size, p)| size + p.0 + p.1).collect();
        let mask = self.mask_or_full().into_iter().zip(padding).map(|((l, h), p)| (l + p.0, h + p.0)).collect();
        View { shape, strides: self.strides.clone(), offset, mask: None }.with_mask(mask)
    }

    /// Runs the given axes backwards.
    #[must_use]
    pub fn flip(&self, axes: &[usize]) -> View {
        let mut view = self.clone();
        for &a in axes {
            let size = view.shape[a];
            view.offset += view.strides[a] * (size as isize - 1).max(0);
            view.strides[a] = -view.strides[a];
            if let Some(mask) = &mut view.mask {
                mask[a] = (size - mask[a].1, size - mask[a].0);
            }
        }
        view
    }

    /// Sliding windows along `axis`: that axis becomes the window's number, and a last axis, the tap, is added.
    /// `None` if the axis is masked (the chain then gets a second view).
    #[must_use]
    pub fn windows(&self, axis: usize, size: usize, stride: usize, dilation: usize) -> Option<View> {
        let mut mask = self.mask_or_full();
        if mask[axis] != (0, self.shape[axis]) {
            return None;
        }
        let mut view = self.clone();
        view.mask = None;
        view.shape[axis] = window_count(self.shape[axis], size, stride, dilation);
        view.shape.push(size);
        view.strides.push(view.strides[axis] * dilation as isize);
        view.strides[axis] *= stride as isize;
        mask[axis] = (0, view.shape[axis]);
        mask.push((0, size));
        Some(view.with_mask(mask))
    }

    /// The same points in another shape, if strides can express it.
    #[must_use]
    pub fn reshape(&self, shape: &[usize]) -> Option<View> {
        if self.shape == shape {
            return Some(self.clone());
        }
        View::contiguous(shape).then(self)
    }

    /// `self` first, then `next` on the number that `self` gives: one view equal to both, if there is one.
    ///
    /// `self` maps its space to row-major numbers of `next.shape`. Each of its strides is read as a step in the
    /// coordinates of `next`; where no coordinate can run over its axis, no carry occurs and the maps compose.
    #[must_use]
    pub fn then(&self, next: &View) -> Option<View> {
        if next.is_contiguous() {
            return Some(self.clone());
        }
        if self.is_empty() {
            return Some(View::contiguous(&self.shape));
        }
        let mut mask = self.mask_or_full();
        if mask.iter().any(|&(low, high)| low >= high) {
            return Some(View::hidden(&self.shape));
        }
        let next = next.merged();
        let rank = next.shape.len();
        let base = contiguous_strides(&next.shape);
        let unravel = |mut n: isize| -> Vec<isize> {
            let step = |&b: &isize| {
                let c = n / b;
                n -= c * b;
                c
            };
            base.iter().map(step).collect()
        };
        // Coordinates are counted from the first point that is not masked: others may lie outside of `next`.
        let corner: Vec<usize> = mask.iter().map(|&(low, _)| low).collect();
        let at = |strides: &[isize]| corner.iter().zip(strides).map(|(&p, &s)| p as isize * s).sum::<isize>();
        let origin = unravel(self.offset + at(&self.strides));
        let steps: Vec<Vec<isize>> = self.strides.iter().map(|&s| unravel(s)).collect();
        // Range of each coordinate over all points that are not masked, and the axes that move it.
        let mut ranges = Vec::with_capacity(rank);
        for t in 0..rank {
            let (mut low, mut high, mut movers) = (origin[t], origin[t], Vec::new());
            for (axis, step) in steps.iter().enumerate() {
                let last = (mask[axis].1 - corner[axis]) as isize - 1;
                if step[t] != 0 && last > 0 {
                    low += (step[t] * last).min(0);
                    high += (step[t] * last).max(0);
                    movers.push((axis, step[t]));
                }
            }
            if low < 0 || high >= next.shape[t] as isize {
                return None;
            }
            ranges.push((low, high, movers));
        }
        let next_mask = next.mask_or_full();
        for (t, (low, high, movers)) in ranges.into_iter().enumerate() {
            let (valid_low, valid_high) = (next_mask[t].0 as isize, next_mask[t].1 as isize);
            if valid_low <= low && high < valid_high {
                continue;
            }
            match movers[..] {
                [] => return Some(View::hidden(&self.shape)),
                [(axis, step)] => {
                    // valid_low <= origin + step * q < valid_high, for the point q steps from the corner
                    let (near, far) = if step > 0 {
                        (valid_low - origin[t], valid_high - 1 - origin[t])
                    } else {
                        (origin[t] - valid_high + 1, origin[t] - valid_low)
                    };
                    let first = -(-near).div_euclid(step.abs()) + corner[axis] as isize;
                    let last = far.div_euclid(step.abs()) + corner[axis] as isize;
                    mask[axis] =
                        (mask[axis].0.max(first.max(0) as usize), mask[axis].1.min((last + 1).max(0) as usize));
                    if mask[axis].0 >= mask[axis].1 {
                        return Some(View::hidden(&self.shape));
                    }
                }
                _ => return None,
            }
        }
        let dot = |c: &[isize]| c.iter().zip(&next.strides).map(|(c, s)| c * s).sum::<isize>();
        let strides: Vec<isize> =
            steps.iter().zip(&self.shape).map(|(s, &n)| if n == 1 { 0 } else { dot(s) }).collect();
        let offset = next.offset + dot(&origin) - at(&strides);
        let view = View { shape: self.shape.clone(), strides, offset, mask: None };
        Some(view.with_mask(mask))
    }

    /// A view with every point masked.
    fn hidden(shape: &[usize]) -> View {
        View { shape: shape.to_vec(), strides: vec![0; shape.len()], offset: 0, mask: Some(vec![(0, 0); shape.len()]) }
    }

    /// The same map over row-major numbers with neighbouring axes joined where strides and mask allow.
    fn merged(&self) -> View {
        let full = self.mask_or_full();
        let (mut shape, mut strides, mut mask) =
            (Vec::<usize>::new(), Vec::<isize>::new(), Vec::<(usize, usize)>::new());
        for (axis, &range_here) in full.iter().enumerate() {
            let size = self.shape[axis];
            if size == 1 && range_here == (0, 1) {
                continue;
            }
            if let (Some(last), Some(stride), Some(&range)) = (shape.last_mut(), strides.last_mut(), mask.last())
                && *stride == self.strides[axis] * size as isize
                && range == (0, *last)
                && range_here == (0, size)
            {
                *last *= size;
                *stride = self.strides[axis];
                let whole = (0, *last);
                mask.pop();
                mask.push(whole);
                continue;
            }
            shape.push(size);
            strides.push(self.strides[axis]);
            mask.push(range_here);
        }
        View { shape, strides, offset: self.offset, mask: None }.with_mask(mask)
    }
}

/// Number of windows of `size` taps that fit into `length`; 0 if none does.
#[must_use]
pub fn window_count(length: usize, size: usize, stride: usize, dilation: usize) -> usize {
    let reach = dilation * (size - 1) + 1;
    if length < reach { 0 } else { (length - reach) / stride + 1 }
}

/// A chain of views from an iteration space (first) to a buffer (last); each maps to row-major numbers of the next. Cheap to
/// clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout(Arc<[View]>);

impl Layout {
    /// The row-major layout of a whole buffer.
    #[must_use]
    pub fn contiguous(shape: &[usize]) -> Layout {
        Layout::of(View::contiguous(shape))
    }

    /// A layout of one view.
    #[must_use]
    pub fn of(view: View) -> Layout {
        Layout(Arc::new([view]))
    }

    /// The views, from the space's side to the buffer's side; never empty.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.0
    }

    /// The only view, if one suffices.
    #[must_use]
    pub fn single(&self) -> Option<&View> {
        if let [view] = &self.0[..] { Some(view) } else { None }
    }

    /// Sizes of the mapped space.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.0[0].shape
    }

    /// The view on the space's side, to be changed.
    #[must_use]
    pub fn first_mut(&mut self) -> &mut View {
        &mut Arc::make_mut(&mut self.0)[0]
    }

    /// The view on the buffer's side, to be changed.
    #[must_use]
    pub fn last_mut(&mut self) -> &mut View {
        let last = self.0.len() - 1;
        &mut Arc::make_mut(&mut self.0)[last]
    }

    /// The chain with another view on the space's side.
    #[must_use]
    pub fn with_first(&self, view: View) -> Layout {
        Layout(std::iter::once(view).chain(self.0[1..].iter().cloned()).collect())
    }

    /// Whether it is the identity on row-major numbers.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.single().is_some_and(View::is_contiguous)
    }

    /// The element a point maps to, or `None` where some mask hides it.
    #[must_use]
    pub fn index(&self, point: &[usize]) -> Option<usize> {
        let mut at = self.0[0].index(point)?;
        for view in &self.0[1..] {
            let mut rest = at;
            let mut point = vec![0; view.shape.len()];
            for axis in (0..point.len()).rev() {
                point[axis] = rest % view.shape[axis];
                rest /= view.shape[axis];
            }
            at = view.index(&point)?;
        }
        Some(at)
    }

    /// Axes that run over the end of an axis of a chain's second view, and the size of that: split there, the axis carries no
    /// more and the two views can be one.
    pub(crate) fn carries(&self) -> Vec<(usize, usize)> {
        let [first, second, ..] = self.views() else { return Vec::new() };
        let steps = contiguous_strides(&second.shape);
        let carry = |(axis, (&stride, &size)): (usize, (&isize, &usize))| {
            let under = (0..steps.len()).find(|&t| steps[t] == stride.abs() && second.shape[t] > 1)?;
            let inner = second.shape[under];
            (inner < size && size % inner == 0).then_some((axis, inner))
        };
        first.strides.iter().zip(&first.shape).enumerate().filter_map(carry).collect()
    }

    /// The same map with axes split until it is one view, if it becomes one.
    pub(crate) fn split(mut self) -> Option<View> {
        loop {
            let carries = self.carries();
            if carries.is_empty() {
                return self.single().cloned();
            }
            let mut shape = self.shape().to_vec();
            for &(axis, inner) in carries.iter().rev() {
                shape[axis] /= inner;
                shape.insert(axis + 1, inner);
            }
            self = Layout::contiguous(&shape).then(&self);
        }
    }

    /// `self` first, then `next`: views are joined where one can express two.
    #[must_use]
    pub fn then(&self, next: &Layout) -> Layout {
        next.0.iter().fold(self.clone(), |layout, view| layout.then_view(view))
    }

    /// `self` first, then `next`, joined with the last view if one can express both.
    #[must_use]
    pub fn then_view(&self, next: &View) -> Layout {
        if next.is_contiguous() {
            return self.clone();
        }
        let (before, last) = (&self.0[..self.0.len() - 1], &self.0[self.0.len() - 1]);
        match last.then(next) {
            Some(joined) => Layout(before.iter().cloned().chain([joined]).collect()),
            None => Layout(self.0.iter().cloned().chain([next.clone()]).collect()),
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
