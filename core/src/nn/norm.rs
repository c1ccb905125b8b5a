//! Normalisations: [`LayerNorm`], [`RmsNorm`], [`GroupNorm`]. Each subtracts a mean and divides by a deviation over some
//! axes, then scales and shifts by parameters. [`super::BatchNorm`] has its own file, because it keeps state.

use super::module::Layer;
use super::{Module, init};
use crate::device::Device;
use crate::kernel::Reduction;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axes.
/// Source: Ba and others, "Layer normalization" (2016).
#[derive(Clone, Debug, Module)]
pub struct LayerNorm {
    /// Scale, of the sizes of the normalised axes; starts at one.
    pub weight: Option<Var>,
    /// Shift, likewise; starts at zero.
    pub bias: Option<Var>,
    /// Added to the variance.
    pub eps: f64,
    /// Sizes of the normalised axes.
    pub shape: Vec<usize>,
}

impl LayerNorm {
    /// Over the last axis, which has `size` elements; `eps = 1e-5`.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn new(size: usize, device: &Device) -> LayerNorm {
        LayerNorm::over(&[size], device)
    }

    /// Over the last axes, which have these sizes.
    ///
    /// # Panics
    /// If there are no sizes.
    #[must_use]
    #[track_caller]
    pub fn over(shape: &[usize], device: &Device) -> LayerNorm {
        if shape.is_empty() {
            fail("LayerNorm", "there must be at least one axis to normalise over");
        }
        LayerNorm {
            weight: Some(Var::new("weight", &init::constant(shape, 1.0, device))),
            bias: Some(Var::new("bias", &init::constant(shape, 0.0, device))),
            eps: 1e-5,
            shape: shape.to_vec(),
        }
    }

    /// Without shift.
    #[must_use]
    pub fn without_bias(self) -> LayerNorm {
        LayerNorm { bias: None, ..self }
    }

    /// Without scale and shift.
    #[must_use]
    pub fn without_parameters(self) -> LayerNorm {
        LayerNorm { weight: None, bias: None, ..self }
    }

    /// `[.., sizes..]`, the same shape.
    ///
    /// # Panics
    /// If the last axes of `x` have other sizes.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if !x.shape().ends_with(&self.shape) {
            fail("LayerNorm", format!("x is {:?}, but its last axes must be {:?}", x.shape(), self.shape));
        }
        let axes: Vec<usize> = (x.rank() - self.shape.len()..x.rank()).collect();
        let (centered, variance) = moments(x, &axes);
        let y = &centered * &(&variance + self.eps).rsqrt();
        scale_and_shift(y, self.weight.as_ref().map(Var::get), self.bias.as_ref().map(Var::get))
    }
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last axis.
/// Source: Zhang and Sennrich, "Root mean square layer normalization" (2019).
#[derive(Clone, Debug, Module)]
pub struct RmsNorm {
    /// Scale, `[size]`; starts at one.
    pub weight: Var,
    /// Added to the mean square. PyTorch's default is the type's epsilon, here it is `1e-6`.
    pub eps: f64,
}

impl RmsNorm {
    /// Over the last axis, which has `size` elements.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn new(size: usize, device: &Device) -> RmsNorm {
        RmsNorm { weight: Var::new("weight", &init::constant(&[size], 1.0, device)), eps: 1e-6 }
    }

    /// `[.., size]`, the same shape.
    ///
    /// # Panics
    /// If the last axis of `x` has another size.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.shape().last() != Some(&self.weight.len()) {
            fail(
                "RmsNorm",
                format!("x is {:?}, but its last axis must have {} elements", x.shape(), self.weight.len()),
            );
        }
        let square = mean_kept(&(x * x), &[x.rank() - 1]);
        &(x * &(&square + self.eps).rsqrt()) * &self.weight.get()
    }
}

/// Channels in groups, each normalised together with its positions; scale and shift per channel.
///
/// One group per channel is instance normalisation, one group in all is layer normalisation over channels and positions.
/// Source: Wu and He, "Group normalization" (2018).
#[derive(Clone, Debug, Module)]
pub struct GroupNorm {
    /// `[channels]`, starts at one.
    pub weight: Var,
    /// `[channels]`, starts at zero.
    pub bias: Var,
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl GroupNorm {
    /// `eps = 1e-5`.
    ///
    /// # Panics
    /// If the channels cannot be divided evenly.
    #[must_use]
    #[track_caller]
    pub fn new(groups: usize, channels: usize, device: &Device) -> GroupNorm {
        if groups == 0 || !channels.is_multiple_of(groups) {
            fail("GroupNorm", format!("{channels} channels cannot be divided into {groups} equal groups"));
        }
        GroupNorm {
            weight: Var::new("weight", &init::constant(&[channels], 1.0, device)),
            bias: Var::new("bias", &init::constant(&[channels], 0.0, device)),
            groups,
            eps: 1e-5,
        }
    }

    /// `[batch, channels, ..]`, the same shape.
    ///
    /// # Panics
    /// If `x` has another number of channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let channels = self.weight.len();
        if x.rank() < 2 || x.shape()[1] != channels {
            fail("GroupNorm", format!("x is {:?}, but must be [batch, {channels}, ..]", x.shape()));
        }
        let batch = x.shape()[0];
        let inside = x.len().checked_div(batch * self.groups).unwrap_or(0);
        let (centered, variance) = moments(&x.reshape_to(&[batch, self.groups, inside]), &[2]);
        let y = (&centered * &(&variance + self.eps).rsqrt()).reshape_to(x.shape());
        scale_and_shift(
            y,
            Some(per_channel(&self.weight.get(), x.rank())),
            Some(per_channel(&self.bias.get(), x.rank())),
        )
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        LayerNorm::forward(self, x)
    }
}

impl Layer for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        RmsNorm::forward(self, x)
    }
}

impl Layer for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        GroupNorm::forward(self, x)
    }
}

/// The mean over these axes, which stay with size 1.
#[track_caller]
pub(super) fn mean_kept(x: &Tensor, axes: &[usize]) -> Tensor {
    let count: usize = axes.iter().map(|&a| x.shape()[a]).product();
    let mut shape = x.shape().to_vec();
    axes.iter().for_each(|&a| shape[a] = 1);
    x.reduce(Reduction::Sum, axes).reshape_to(&shape) * (1.0 / count as f64)
}

/// `x - mean` and the (biased) variance over these axes, which stay with size 1 in the latter.
#[track_caller]
pub(super) fn moments(x: &Tensor, axes: &[usize]) -> (Tensor, Tensor) {
    let centered = x - &mean_kept(x, axes);
    let variance = mean_kept(&(&centered * &centered), axes);
    (centered, variance)
}

/// `[channels]` as `[channels, 1, ..]`, so that it broadcasts along axis 1 of a tensor of this rank.
#[track_caller]
pub(super) fn per_channel(x: &Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1; rank - 1];
    shape[0] = x.len();
    x.reshape_to(&shape)
}

#[track_caller]
pub(super) fn scale_and_shift(x: Tensor, scale: Option<Tensor>, shift: Option<Tensor>) -> Tensor {
    let scaled = match scale {
        Some(scale) => &x * &scale,
        None => x,
    };
    match shift {
        Some(shift) => &scaled + &shift,
        None => scaled,
    }
}
