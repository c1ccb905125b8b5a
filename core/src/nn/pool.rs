//! Pooling as layers: [`MaxPool`], [`AvgPool`], [`AdaptiveAvgPool`]; thin wrappers of the tensor methods.

use super::Module;
use super::module::Layer;
use crate::tensor::Tensor;
use crate::tensor::pool::PoolOptions;

/// The largest element of each window over the last `N` axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool<const N: usize>(pub PoolOptions<N>);

/// The mean of each window over the last `N` axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool<const N: usize>(pub PoolOptions<N>);

/// The means of windows that cover the last `N` axes evenly, so that the result has these sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool<const N: usize>(pub [usize; N]);

/// Over the last axis.
pub type MaxPool1d = MaxPool<1>;
/// Over the last two axes.
pub type MaxPool2d = MaxPool<2>;
/// Over the last three axes.
pub type MaxPool3d = MaxPool<3>;
/// Over the last axis.
pub type AvgPool1d = AvgPool<1>;
/// Over the last two axes.
pub type AvgPool2d = AvgPool<2>;
/// Over the last three axes.
pub type AvgPool3d = AvgPool<3>;
/// Over the last axis.
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Over the last two axes.
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;

impl<const N: usize> MaxPool<N> {
    /// Windows of `size` on every axis, side by side.
    #[must_use]
    pub fn new(size: usize) -> Self {
        MaxPool(PoolOptions::new([size; N]))
    }

    /// Elements from one window to the next, on every axis.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.0.stride = [stride; N];
        self
    }

    /// Elements (of -inf) before and after every axis.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.0.padding = [(padding, padding); N];
        self
    }

    /// `[.., spatial..] -> [.., windows..]`.
    ///
    /// # Panics
    /// If no window fits.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.max_pool(&self.0)
    }
}

impl<const N: usize> AvgPool<N> {
    /// Windows of `size` on every axis, side by side.
    #[must_use]
    pub fn new(size: usize) -> Self {
        AvgPool(PoolOptions::new([size; N]))
    }

    /// Elements from one window to the next, on every axis.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.0.stride = [stride; N];
        self
    }

    /// Zeros before and after every axis.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.0.padding = [(padding, padding); N];
        self
    }

    /// `[.., spatial..] -> [.., windows..]`.
    ///
    /// # Panics
    /// If no window fits.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.avg_pool(&self.0)
    }
}

impl AdaptiveAvgPool<1> {
    /// `[.., t] -> [.., size]`.
    ///
    /// # Panics
    /// If a size is 0.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.adaptive_avg_pool1d(self.0[0])
    }
}

impl AdaptiveAvgPool<2> {
    /// `[.., h, w] -> [.., sizes..]`.
    ///
    /// # Panics
    /// If a size is 0 or there are fewer than two axes.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.adaptive_avg_pool2d(self.0)
    }
}

impl<const N: usize> Module for MaxPool<N> {}
impl<const N: usize> Module for AvgPool<N> {}
impl<const N: usize> Module for AdaptiveAvgPool<N> {}

impl<const N: usize> Layer for MaxPool<N> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        MaxPool::forward(self, x)
    }
}

impl<const N: usize> Layer for AvgPool<N> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        AvgPool::forward(self, x)
    }
}

impl Layer for AdaptiveAvgPool<1> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward(x)
    }
}

impl Layer for AdaptiveAvgPool<2> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward(x)
    }
}
