//! [`TransformerEncoderLayer`] and [`TransformerEncoder`], with the names of `torch.nn.TransformerEncoder`.

use super::{Activation, Dropout, LayerNorm, Linear, Masks, Module, MultiHeadAttention};
use crate::device::Device;
use crate::tensor::Tensor;

/// Sizes and choices of an encoder layer.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerOptions {
    /// Width of the hidden layer between the two linear maps; PyTorch's default is 2048.
    pub hidden: usize,
    /// Dropout of the attention's weights, the hidden layer and both branches; PyTorch's default is 0.1.
    pub dropout: f64,
    /// Between the two linear maps.
    pub activation: Activation,
    /// Whether each branch normalises its input (else the sum after it is normalised, as in the original paper).
    pub norm_first: bool,
    /// Added to variances.
    pub eps: f64,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions { hidden: 2048, dropout: 0.1, activation: Activation::Relu, norm_first: false, eps: 1e-5 }
    }
}

/// Self-attention, then two linear maps, each with a residual and a normalisation; `[batch, time, channels]`.
/// Source: Vaswani and others, "Attention is all you need" (2017), section 3.1.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// Every time sees the others.
    pub self_attn: MultiHeadAttention,
    /// `[channels] -> [hidden]`.
    pub linear1: Linear,
    /// `[hidden] -> [channels]`.
    pub linear2: Linear,
    /// Of the attention's branch.
    pub norm1: LayerNorm,
    /// Of the linear branch.
    pub norm2: LayerNorm,
    /// Of the hidden layer and both branches.
    pub dropout: Dropout,
    /// Between the linear maps.
    pub activation: Activation,
    /// Where the branches normalise.
    pub norm_first: bool,
}

impl TransformerEncoderLayer {
    /// `channels` in and out, this many heads.
    ///
    /// # Panics
    /// If the channels cannot be divided evenly among the heads, or the dropout is not in `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn new(channels: usize, heads: usize, options: &TransformerOptions, device: &Device) -> Self {
        let dropout = Dropout::new(options.dropout);
        let norm = || LayerNorm { eps: options.eps, ..LayerNorm::new(channels, device) };
        TransformerEncoderLayer {
            self_attn: MultiHeadAttention { dropout, ..MultiHeadAttention::new(channels, heads, device) },
            linear1: Linear::new(channels, options.hidden, device),
            linear2: Linear::new(options.hidden, channels, device),
            norm1: norm(),
            norm2: norm(),
            dropout,
            activation: options.activation,
            norm_first: options.norm_first,
        }
    }

    /// `[batch, time, channels]`, the same shape.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &Masks) -> Tensor {
        if self.norm_first {
            let x = x + &self.attend(&self.norm1.forward(x), masks);
            &x + &self.feed(&self.norm2.forward(&x))
        } else {
            let x = self.norm1.forward(&(x + &self.attend(x, masks)));
            self.norm2.forward(&(&x + &self.feed(&x)))
        }
    }

    #[track_caller]
    fn attend(&self, x: &Tensor, masks: &Masks) -> Tensor {
        self.dropout.forward(&self.self_attn.forward(x, masks))
    }

    #[track_caller]
    fn feed(&self, x: &Tensor) -> Tensor {
        let hidden = self.activation.forward(&self.linear1.forward(x));
        self.dropout.forward(&self.linear2.forward(&self.dropout.forward(&hidden)))
    }
}

/// Encoder layers one after the other.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// In order.
    pub layers: Vec<TransformerEncoderLayer>,
    /// After the last layer; usual with `norm_first`.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// `count` layers, each with its own initial values (PyTorch copies the first one), and a last normalisation if the
    /// layers normalise first.
    ///
    /// # Panics
    /// As [`TransformerEncoderLayer::new`].
    #[must_use]
    #[track_caller]
    pub fn new(count: usize, channels: usize, heads: usize, options: &TransformerOptions, device: &Device) -> Self {
        let mut layers = Vec::with_capacity(count);
        for _ in 0..count {
            layers.push(TransformerEncoderLayer::new(channels, heads, options, device));
        }
        let norm = options.norm_first.then(|| LayerNorm { eps: options.eps, ..LayerNorm::new(channels, device) });
        TransformerEncoder { layers, norm }
    }

    /// `[batch, time, channels]`, the same shape.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &Masks) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, masks);
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }
}
