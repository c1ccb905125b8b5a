//! [`BatchNorm`]: normalisation over the batch, with running statistics that stand in for it outside of training.
//!
//! The statistics are buffers: assigned inside of training programs (so they move once per run of the step), read
//! elsewhere.

use super::module::Layer;
use super::norm::{mean_kept, moments, per_channel, scale_and_shift};
use super::{Module, init};
use crate::device::Device;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::trace;
use crate::var::Var;

/// `(x - mean) / sqrt(variance + eps) * weight + bias` per channel of `[batch, channels, ..]`, any number of positions.
///
/// In training programs mean and variance are the batch's, and `running = (1 - momentum) * running + momentum * batch`
/// (the running variance is the unbiased one); elsewhere they are the running ones.
/// PyTorch's `num_batches_tracked` has no counterpart: its momentum never needs it.
/// Source: Ioffe and Szegedy, "Batch normalization" (2015); conventions of `torch.nn.BatchNorm2d`.
#[derive(Clone, Debug, Module)]
pub struct BatchNorm {
    /// `[channels]`, starts at one.
    pub weight: Option<Var>,
    /// `[channels]`, starts at zero.
    pub bias: Option<Var>,
    /// `[channels]`, starts at zero.
    #[module(buffer)]
    pub running_mean: Var,
    /// `[channels]`, starts at one.
    #[module(buffer)]
    pub running_var: Var,
    /// Share of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

/// For `[batch, channels]` and `[batch, channels, length]`.
pub type BatchNorm1d = BatchNorm;
/// For `[batch, channels, height, width]`.
pub type BatchNorm2d = BatchNorm;
/// For `[batch, channels, depth, height, width]`.
pub type BatchNorm3d = BatchNorm;

impl BatchNorm {
    /// `momentum = 0.1`, `eps = 1e-5`.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn new(channels: usize, device: &Device) -> BatchNorm {
        let filled = |name, value| Var::new(name, &init::constant(&[channels], value, device));
        BatchNorm {
            weight: Some(filled("weight", 1.0)),
            bias: Some(filled("bias", 0.0)),
            running_mean: filled("running_mean", 0.0),
            running_var: filled("running_var", 1.0),
            momentum: 0.1,
            eps: 1e-5,
        }
    }

    /// Without scale and shift.
    #[must_use]
    pub fn without_parameters(self) -> BatchNorm {
        BatchNorm { weight: None, bias: None, ..self }
    }

    /// `[batch, channels, ..]`, the same shape.
    ///
    /// # Panics
    /// If `x` has another number of channels, or, in training, only one number per channel.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let channels = self.running_mean.len();
        if x.rank() < 2 || x.shape()[1] != channels {
            fail("BatchNorm", format!("x is {:?}, but must be [batch, {channels}, ..]", x.shape()));
        }
        let rank = x.rank();
        let (centered, variance) = if trace::is_training() {
            let axes: Vec<usize> = (0..rank).filter(|&a| a != 1).collect();
            let count = x.len() / channels.max(1);
            if count < 2 {
                let shape = x.shape();
                fail("BatchNorm", format!("x is {shape:?}: training needs more than one number per channel"));
            }
            let (centered, variance) = moments(x, &axes);
            let unbiased = &variance.detach() * (count as f64 / (count as f64 - 1.0));
            self.follow(&self.running_mean, &mean_kept(x, &axes).detach());
            self.follow(&self.running_var, &unbiased);
            (centered, variance)
        } else {
            let running = |var: &Var| per_channel(&var.get(), rank);
            (x - &running(&self.running_mean), running(&self.running_var))
        };
        let y = &centered * &(&variance + self.eps).rsqrt();
        let parameter = |var: &Option<Var>| var.as_ref().map(|v| per_channel(&v.get(), rank));
        scale_and_shift(y, parameter(&self.weight), parameter(&self.bias))
    }

    fn follow(&self, running: &Var, batch: &Tensor) {
        let old = running.get() * (1.0 - self.momentum);
        running.assign(&(&old + &(&batch.reshape_to(running.shape()) * self.momentum)));
    }
}

impl Layer for BatchNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        BatchNorm::forward(self, x)
    }
}
