//! [`Conv`] and [`ConvTranspose`] over 1, 2 or 3 axes.

use super::module::Layer;
use super::norm::per_channel;
use super::{Module, init};
use crate::device::Device;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::tensor::conv::{ConvOptions, TransposeOptions};
use crate::var::Var;

/// Convolution of `[batch, c_in, spatial..]` over `N` spatial axes.
///
/// ```ignore
/// let conv = Conv2d::new(3, 64, 7, &device).stride(2).padding(3).without_bias();
/// ```
#[derive(Clone, Debug, Module)]
pub struct Conv<const N: usize> {
    /// `[c_out, c_in / groups, taps..]`.
    pub weight: Var,
    /// `[c_out]`.
    pub bias: Option<Var>,
    /// Steps and borders.
    pub options: ConvOptions<N>,
}

/// Over `[batch, channels, length]`.
pub type Conv1d = Conv<1>;
/// Over `[batch, channels, height, width]`.
pub type Conv2d = Conv<2>;
/// Over `[batch, channels, depth, height, width]`.
pub type Conv3d = Conv<3>;

impl<const N: usize> Module for ConvOptions<N> {}
impl<const N: usize> Module for TransposeOptions<N> {}

impl<const N: usize> Conv<N> {
    /// `taps` per axis, stride 1, no padding, with a bias; both uniform within `1 / sqrt(c_in * taps)`, as in PyTorch.
    ///
    /// # Panics
    /// If a size is 0.
    #[must_use]
    #[track_caller]
    pub fn new(c_in: usize, c_out: usize, taps: usize, device: &Device) -> Self {
        Self::with_options(c_in, c_out, [taps; N], ConvOptions::default(), device)
    }

    /// With sizes per axis and options; groups can only be set here, because the weights depend on them.
    ///
    /// # Panics
    /// If a size is 0 or the channels cannot be divided into the groups.
    #[must_use]
    #[track_caller]
    pub fn with_options(c_in: usize, c_out: usize, taps: [usize; N], options: ConvOptions<N>, device: &Device) -> Self {
        check("Conv", c_in, c_out, &taps, options.groups);
        let shape = [&[c_out, c_in / options.groups], &taps[..]].concat();
        let (fan_in, _) = init::fans(&shape);
        Conv {
            weight: Var::new("weight", &init::default_weight(&shape, device)),
            bias: Some(Var::new("bias", &init::default_bias(&[c_out], fan_in, device))),
            options,
        }
    }

    /// Elements from one window to the next, on every axis.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.options.stride = [stride; N];
        self
    }

    /// Zeros before and after every axis.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.options.padding = [(padding, padding); N];
        self
    }

    /// Padding with which stride 1 keeps the sizes (PyTorch's `padding = "same"`); call it after [`Conv::dilation`].
    #[must_use]
    pub fn padding_same(mut self) -> Self {
        let taps = &self.weight.shape()[2..];
        self.options.padding = std::array::from_fn(|i| {
            let all = self.options.dilation[i] * (taps[i] - 1);
            (all / 2, all - all / 2)
        });
        self
    }

    /// Elements from one tap to the next, on every axis.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.options.dilation = [dilation; N];
        self
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Conv { bias: None, ..self }
    }

    /// `[batch, c_in, spatial..] -> [batch, c_out, out..]`, sizes as in [`Tensor::conv1d`].
    ///
    /// # Panics
    /// If the channels differ or no window fits.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.conv(&format!("Conv{N}d"), &self.weight.get(), &self.options);
        shift(y, &self.bias)
    }
}

impl<const N: usize> Layer for Conv<N> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Conv::forward(self, x)
    }
}

/// Transposed convolution of `[batch, c_in, spatial..]`: the gradient of [`Conv`] with respect to its input.
#[derive(Clone, Debug, Module)]
pub struct ConvTranspose<const N: usize> {
    /// `[c_in, c_out / groups, taps..]`.
    pub weight: Var,
    /// `[c_out]`.
    pub bias: Option<Var>,
    /// Steps and borders.
    pub options: TransposeOptions<N>,
}

/// Over `[batch, channels, length]`.
pub type ConvTranspose1d = ConvTranspose<1>;
/// Over `[batch, channels, height, width]`.
pub type ConvTranspose2d = ConvTranspose<2>;
/// Over `[batch, channels, depth, height, width]`.
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const N: usize> ConvTranspose<N> {
    /// `taps` per axis, stride 1, no padding, with a bias; uniform within `1 / sqrt(c_out * taps)`, as in PyTorch.
    ///
    /// # Panics
    /// If a size is 0.
    #[must_use]
    #[track_caller]
    pub fn new(c_in: usize, c_out: usize, taps: usize, device: &Device) -> Self {
        Self::with_options(c_in, c_out, [taps; N], TransposeOptions::default(), device)
    }

    /// With sizes per axis and options; groups can only be set here.
    ///
    /// # Panics
    /// If a size is 0 or the channels cannot be divided into the groups.
    #[must_use]
    #[track_caller]
    pub fn with_options(
        c_in: usize,
        c_out: usize,
        taps: [usize; N],
        options: TransposeOptions<N>,
        device: &Device,
    ) -> Self {
        check("ConvTranspose", c_in, c_out, &taps, options.groups);
        let shape = [&[c_in, c_out / options.groups], &taps[..]].concat();
        // PyTorch counts this fan_in on the second axis as well, which holds the outputs here.
        let (fan_in, _) = init::fans(&shape);
        ConvTranspose {
            weight: Var::new("weight", &init::default_weight(&shape, device)),
            bias: Some(Var::new("bias", &init::default_bias(&[c_out], fan_in, device))),
            options,
        }
    }

    /// Elements of the result from one window to the next, on every axis.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.options.stride = [stride; N];
        self
    }

    /// Elements cut off before and after every axis of the result.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.options.padding = [(padding, padding); N];
        self
    }

    /// More elements at the end of every axis of the result.
    #[must_use]
    pub fn output_padding(mut self, padding: usize) -> Self {
        self.options.output_padding = [padding; N];
        self
    }

    /// Elements of the result from one tap to the next, on every axis.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.options.dilation = [dilation; N];
        self
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        ConvTranspose { bias: None, ..self }
    }

    /// `[batch, c_in, spatial..] -> [batch, c_out, out..]`, sizes as in [`Tensor::conv_transpose1d`].
    ///
    /// # Panics
    /// If the channels differ or nothing is left.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.conv_transpose(&format!("ConvTranspose{N}d"), &self.weight.get(), &self.options);
        shift(y, &self.bias)
    }
}

impl<const N: usize> Layer for ConvTranspose<N> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        ConvTranspose::forward(self, x)
    }
}

#[track_caller]
fn check(name: &str, c_in: usize, c_out: usize, taps: &[usize], groups: usize) {
    if c_in == 0 || c_out == 0 || taps.contains(&0) {
        fail(name, format!("{c_in} channels to {c_out} with {taps:?} taps: none may be 0"));
    }
    if groups == 0 || !c_in.is_multiple_of(groups) || !c_out.is_multiple_of(groups) {
        fail(name, format!("{c_in} channels to {c_out} cannot be divided into {groups} equal groups"));
    }
}

#[track_caller]
fn shift(y: Tensor, bias: &Option<Var>) -> Tensor {
    match bias {
        Some(bias) => &y + &per_channel(&bias.get(), y.rank()),
        None => y,
    }
}
