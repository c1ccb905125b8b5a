//! Pooling: windows over the last axes, each reduced to one number.
//!
//! The gradient of a maximum goes to the first largest element of a window, as in PyTorch: its taps are joined to one
//! axis, over which it is taken.

use crate::shape::fail;
use crate::tensor::Tensor;
use crate::view::window_count;

/// Windows over the last `N` axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolOptions<const N: usize> {
    /// Taps of a window.
    pub size: [usize; N],
    /// Elements from one window to the next.
    pub stride: [usize; N],
    /// Elements before and after each axis: -inf for a maximum, 0 for a mean.
    pub padding: [(usize, usize); N],
    /// Elements from one tap to the next.
    pub dilation: [usize; N],
    /// Whether a last window that reaches over the end counts too.
    pub ceil_mode: bool,
    /// Whether means count padded zeros as elements.
    pub count_include_pad: bool,
}

impl<const N: usize> PoolOptions<N> {
    /// Windows of this size side by side.
    #[must_use]
    pub fn new(size: [usize; N]) -> Self {
        PoolOptions {
            size,
            stride: size,
            padding: [(0, 0); N],
            dilation: [1; N],
            ceil_mode: false,
            count_include_pad: true,
        }
    }
}

impl Tensor {
    /// The largest of each `size` elements side by side: `[.., t] -> [.., t / size]`.
    ///
    /// # Panics
    /// If `size` is 0, or no window fits.
    #[track_caller]
    pub fn max_pool1d(&self, size: usize) -> Tensor {
        self.max_pool(&PoolOptions::new([size]))
    }

    /// The largest of each `size x size` square: `[.., h, w] -> [.., h / size, w / size]`.
    ///
    /// # Panics
    /// If `size` is 0, or no window fits.
    #[track_caller]
    pub fn max_pool2d(&self, size: usize) -> Tensor {
        self.max_pool(&PoolOptions::new([size; 2]))
    }

    /// The largest of each cube of `size` elements a side: `[.., d, h, w] -> [.., d / size, h / size, w / size]`.
    ///
    /// # Panics
    /// If `size` is 0, or no window fits.
    #[track_caller]
    pub fn max_pool3d(&self, size: usize) -> Tensor {
        self.max_pool(&PoolOptions::new([size; 3]))
    }

    /// The largest element of each window over the last `N` axes.
    ///
    /// # Panics
    /// If a size, stride or dilation is 0, or no window fits.
    #[track_caller]
    pub fn max_pool<const N: usize>(&self, options: &PoolOptions<N>) -> Tensor {
        let taps = self.pool_windows("max_pool", options, f64::NEG_INFINITY);
        let first_tap = (taps.rank() - N) as isize;
        taps.flatten(first_tap).max(-1)
    }

    /// The mean of each `size` elements side by side: `[.., t] -> [.., t / size]`.
    ///
    /// # Panics
    /// If `size` is 0, no window fits, or elements are not floats.
    #[track_caller]
    pub fn avg_pool1d(&self, size: usize) -> Tensor {
        self.avg_pool(&PoolOptions::new([size]))
    }

    /// The mean of each `size x size` square: `[.., h, w] -> [.., h / size, w / size]`.
    ///
    /// # Panics
    /// If `size` is 0, no window fits, or elements are not floats.
    #[track_caller]
    pub fn avg_pool2d(&self, size: usize) -> Tensor {
        self.avg_pool(&PoolOptions::new([size; 2]))
    }

    /// The mean of each cube of `size` elements a side: `[.., d, h, w] -> [.., d / size, h / size, w / size]`.
    ///
    /// # Panics
    /// If `size` is 0, no window fits, or elements are not floats.
    #[track_caller]
    pub fn avg_pool3d(&self, size: usize) -> Tensor {
        self.avg_pool(&PoolOptions::new([size; 3]))
    }

    /// The mean of each window over the last `N` axes; windows that reach over the (padded, if those count) end have
    /// fewer elements.
    ///
    /// # Panics
    /// If a size, stride or dilation is 0, no window fits, or elements are not floats.
    #[track_caller]
    pub fn avg_pool<const N: usize>(&self, options: &PoolOptions<N>) -> Tensor {
        let taps = self.float("avg_pool").pool_windows("avg_pool", options, 0.0);
        let spatial = self.rank() - N;
        let axes: Vec<usize> = (taps.rank() - N..taps.rank()).collect();
        let mut result = taps.sum(axes);
        for axis in 0..N {
            let counts = window_counts(options, axis, self.shape()[spatial + axis], result.shape()[spatial + axis]);
            let first = counts.first().copied().unwrap_or(1.0);
            if counts.iter().all(|&n| n == first) {
                result = result * (1.0 / first);
                continue;
            }
            let mut sizes = vec![1; N];
            sizes[axis] = counts.len();
            let factors = counts.iter().map(|&n| 1.0 / n).collect();
            result = result * self.floats(factors, &sizes);
        }
        result
    }

    /// The mean over `size` stretches of the last axis that cover it evenly; stretch `i` is
    /// `floor(i * t / size)..ceil((i + 1) * t / size)`.
    ///
    /// # Panics
    /// If `size` is 0, there is no axis, or elements are not floats.
    #[track_caller]
    pub fn adaptive_avg_pool1d(&self, size: usize) -> Tensor {
        self.adaptive("adaptive_avg_pool1d", -1, size)
    }

    /// The mean over `size[0] x size[1]` rectangles that cover the last two axes evenly; see
    /// [`Tensor::adaptive_avg_pool1d`].
    ///
    /// # Panics
    /// If a size is 0, there are fewer than two axes, or elements are not floats.
    #[track_caller]
    pub fn adaptive_avg_pool2d(&self, size: [usize; 2]) -> Tensor {
        if self.rank() < 2 {
            fail("adaptive_avg_pool2d", format!("{:?} has fewer than 2 axes", self.shape()));
        }
        if size == [1, 1] {
            return self.mean_keep([-2, -1]);
        }
        self.adaptive("adaptive_avg_pool2d", -2, size[0]).adaptive("adaptive_avg_pool2d", -1, size[1])
    }

    /// One axis averaged: by a reshape where stretches are equal, else by one product with a matrix of their weights.
    #[track_caller]
    fn adaptive(&self, op: &str, axis: isize, size: usize) -> Tensor {
        let length = self.float(op).size(axis);
        if size == 0 || length == 0 {
            fail(op, format!("{:?} to {size} stretches: neither side may be empty", self.shape()));
        }
        if length.is_multiple_of(size) {
            let after = (axis + self.rank() as isize) as usize + 1;
            return self.unflatten(axis, [size, length / size]).mean(after);
        }
        let mut weights = vec![0.0; length * size];
        for i in 0..size {
            let (start, end) = (i * length / size, ((i + 1) * length).div_ceil(size));
            for row in start..end {
                weights[row * size + i] = 1.0 / (end - start) as f64;
            }
        }
        let weights = self.floats(weights, &[length, size]);
        self.movedim(axis, -1).matmul(&weights).movedim(-1, axis)
    }

    /// `[.., windows.., taps..]` over the last `N` axes, padded with `value`.
    #[track_caller]
    fn pool_windows<const N: usize>(&self, op: &str, options: &PoolOptions<N>, value: f64) -> Tensor {
        let PoolOptions { size, stride, padding, dilation, .. } = *options;
        if self.rank() < N {
            fail(op, format!("{:?} has fewer than {N} axes", self.shape()));
        }
        if size.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
            fail(op, format!("size {size:?}, stride {stride:?} and dilation {dilation:?} must be at least 1"));
        }
        let spatial = self.rank() - N;
        let mut padding = padding;
        for axis in 0..N {
            let reach = dilation[axis] * (size[axis] - 1) + 1;
            let (before, after) = padding[axis];
            if 2 * before.max(after) > reach {
                fail(op, format!("padding {:?} is more than half of a window of {reach}", padding[axis]));
            }
            let length = before + self.shape()[spatial + axis] + after;
            if options.ceil_mode && length >= reach {
                let mut count = (length - reach).div_ceil(stride[axis]) + 1;
                // A window must begin inside of the input or the padding before it.
                if (count - 1) * stride[axis] >= length - after {
                    count -= 1;
                }
                padding[axis].1 += ((count - 1) * stride[axis] + reach).saturating_sub(length);
            }
            let length = self.shape()[spatial + axis] + padding[axis].0 + padding[axis].1;
            if window_count(length, size[axis], stride[axis], dilation[axis]) == 0 {
                fail(op, format!("{:?}: a window of {reach} does not fit the padded size {length}", self.shape()));
            }
        }
        let mut taps = self.pad(&padding, value);
        for axis in 0..N {
            taps = taps.windows((spatial + axis) as isize, size[axis], stride[axis], dilation[axis]);
        }
        taps
    }
}

/// How many elements each window along an axis of `length` elements counts.
fn window_counts<const N: usize>(options: &PoolOptions<N>, axis: usize, length: usize, windows: usize) -> Vec<f64> {
    let (before, after) = options.padding[axis];
    let valid = if options.count_include_pad { 0..before + length + after } else { before..before + length };
    let taps = |window: usize| {
        let at = |tap: usize| window * options.stride[axis] + tap * options.dilation[axis];
        (0..options.size[axis]).filter(|&tap| valid.contains(&at(tap))).count() as f64
    };
    (0..windows).map(taps).collect()
}
