//! [`MultiHeadAttention`] and the function inside of it.
//!
//! Masked scores become a very negative number and masked weights exactly zero, so a query that sees no key gives zero,
//! never NaN, forwards and backwards.

use super::linear::affine;
use super::{Dropout, Linear, Module, init};
use crate::device::Device;
use crate::dtype::DType;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// Which keys a query may not see. All that is given holds together.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Query `i` sees keys `0..=i`.
    pub causal: bool,
    /// Broadcasts to `[batch, heads, queries, keys]`: bool, true is hidden; or floats that are added to the scores.
    pub mask: Option<Tensor>,
    /// `[batch, keys]` bool, true is hidden.
    pub key_padding: Option<Tensor>,
}

impl Masks {
    /// No query sees a later key.
    #[must_use]
    pub fn causal() -> Masks {
        Masks { causal: true, ..Masks::default() }
    }
}

/// `softmax(q kᵀ / sqrt(width)) v` and the weights: `q [batch, heads, queries, width]`, `k [batch, heads, keys, width]`,
/// `v [batch, heads, keys, out]` give `[batch, heads, queries, out]` and `[batch, heads, queries, keys]`.
/// Source: Vaswani and others, "Attention is all you need" (2017), equation 1.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, masks: &Masks, dropout: &Dropout) -> (Tensor, Tensor) {
    if q.rank() != 4 || k.rank() != 4 || v.rank() != 4 {
        let shapes = (q.shape(), k.shape(), v.shape());
        fail("attention", format!("q {:?}, k {:?}, v {:?}: four axes are needed", shapes.0, shapes.1, shapes.2));
    }
    let (queries, keys) = (q.shape()[2], k.shape()[2]);
    let scale = 1.0 / (q.shape()[3] as f64).sqrt();
    let scores = q.product(&k.permute_to(&[0, 1, 3, 2])) * scale;
    let (hidden, added) = hidden(masks, q.shape()[0], queries, keys, q.device());
    let scores = match added {
        Some(added) => &scores + &added,
        None => scores,
    };
    let weights = match &hidden {
        Some(hidden) => {
            let low = if q.dtype() == DType::F16 { -6e4 } else { -1e30 };
            let weights = hidden.choose(&scores.full_like(low), &scores).softmax(-1);
            hidden.choose(&weights.full_like(0.0), &weights)
        }
        None => scores.softmax(-1),
    };
    let kept = dropout.forward(&weights);
    // Weights that nobody hides or drops need not exist, unless the caller reads them.
    let whole = masks.mask.is_none() && masks.key_padding.is_none() && kept.0.id == weights.0.id;
    let y = if whole && q.attends_at_once(k, v, masks.causal) {
        q.attend(k, v, masks.causal, scale)
    } else {
        kept.product(v)
    };
    (y, weights)
}

/// Hidden places and numbers to add, each broadcasting to `[batch, heads, queries, keys]`.
#[track_caller]
fn hidden(
    masks: &Masks,
    batch: usize,
    queries: usize,
    keys: usize,
    device: &Device,
) -> (Option<Tensor>, Option<Tensor>) {
    let mut hidden: Vec<Tensor> = Vec::new();
    let mut added = None;
    if masks.causal {
        let number = |size: usize, shape: &[usize]| Tensor::iota(&[size], device).reshape_to(shape);
        hidden.push(number(keys, &[1, 1, 1, keys]).gt(number(queries, &[1, 1, queries, 1])));
    }
    match &masks.mask {
        Some(mask) if mask.dtype() == DType::Bool => hidden.push(mask.clone()),
        other => added.clone_from(other),
    }
    if let Some(padding) = &masks.key_padding {
        if padding.shape() != [batch, keys] || padding.dtype() != DType::Bool {
            let message = format!("key_padding is {:?} of {}", padding.shape(), padding.dtype());
            fail("attention", format!("{message}; [{batch}, {keys}] of bool is needed"));
        }
        hidden.push(padding.reshape_to(&[batch, 1, 1, keys]));
    }
    (hidden.into_iter().reduce(|a, b| &a | &b), added)
}

/// Several attentions side by side on slices of the channels, `[batch, time, channels]`.
///
/// Layout and names are those of `torch.nn.MultiheadAttention(batch_first = True)`.
#[derive(Clone, Debug, Module)]
pub struct MultiHeadAttention {
    /// Queries', keys' and values' maps on top of each other: `[3 * channels, channels]`.
    pub in_proj_weight: Var,
    /// `[3 * channels]`, starts at zero.
    pub in_proj_bias: Option<Var>,
    /// `[channels] -> [channels]`.
    pub out_proj: Linear,
    /// Number of heads.
    pub heads: usize,
    /// On the attention's weights.
    pub dropout: Dropout,
}

impl MultiHeadAttention {
    /// With biases, without dropout.
    ///
    /// # Panics
    /// If the channels cannot be divided evenly among the heads.
    #[must_use]
    #[track_caller]
    pub fn new(channels: usize, heads: usize, device: &Device) -> MultiHeadAttention {
        if heads == 0 || !channels.is_multiple_of(heads) {
            fail("MultiHeadAttention", format!("{channels} channels cannot be divided evenly among {heads} heads"));
        }
        let zeros = |name, size| Var::new(name, &init::constant(&[size], 0.0, device));
        let mut out_proj = Linear::without_bias(channels, channels, device);
        out_proj.bias = Some(zeros("bias", channels));
        let weight = init::xavier_uniform(&[3 * channels, channels], 1.0, device);
        MultiHeadAttention {
            in_proj_weight: Var::new("in_proj_weight", &weight),
            in_proj_bias: Some(zeros("in_proj_bias", 3 * channels)),
            out_proj,
            heads,
            dropout: Dropout::new(0.0),
        }
    }

    /// Without biases.
    #[must_use]
    pub fn without_bias(mut self) -> MultiHeadAttention {
        self.in_proj_bias = None;
        self.out_proj.bias = None;
        self
    }

    /// Self-attention: `[batch, time, channels]`, the same shape.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &Masks) -> Tensor {
        let channels = self.check(x);
        let mut all = affine(x, &self.in_proj_weight.get());
        if let Some(bias) = &self.in_proj_bias {
            all = &all + &bias.get();
        }
        let part = |i: usize| {
            let (batch, time) = (x.shape()[0], x.shape()[1]);
            self.split(&all.slice_to(&[(0, batch), (0, time), (i * channels, (i + 1) * channels)]))
        };
        self.join(&attention(&part(0), &part(1), &part(2), masks, &self.dropout).0)
    }

    /// `query [batch, queries, channels]` sees `key` and `value [batch, keys, channels]`; also returns the weights
    /// `[batch, heads, queries, keys]` (PyTorch returns their mean over the heads).
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: &Masks) -> (Tensor, Tensor) {
        let weight = self.in_proj_weight.get();
        let bias = self.in_proj_bias.as_ref().map(Var::get);
        let part = |i: usize, x: &Tensor| {
            let channels = self.check(x);
            let rows = (i * channels, (i + 1) * channels);
            let mut y = affine(x, &weight.slice_to(&[rows, (0, channels)]));
            if let Some(bias) = &bias {
                y = &y + &bias.slice_to(&[rows]);
            }
            self.split(&y)
        };
        let (y, weights) = attention(&part(0, query), &part(1, key), &part(2, value), masks, &self.dropout);
        (self.join(&y), weights)
    }

    #[track_caller]
    fn check(&self, x: &Tensor) -> usize {
        let channels = self.in_proj_weight.shape()[1];
        if x.rank() != 3 || x.shape()[2] != channels {
            fail("MultiHeadAttention", format!("x is {:?}, but must be [batch, time, {channels}]", x.shape()));
        }
        channels
    }

    /// `[batch, time, channels] -> [batch, heads, time, width]`.
    #[track_caller]
    fn split(&self, x: &Tensor) -> Tensor {
        let (batch, time, channels) = (x.shape()[0], x.shape()[1], x.shape()[2]);
        x.reshape_to(&[batch, time, self.heads, channels / self.heads]).permute_to(&[0, 2, 1, 3])
    }

    /// `[batch, heads, time, width] -> [batch, time, channels]`, and the last map.
    #[track_caller]
    fn join(&self, y: &Tensor) -> Tensor {
        let (batch, heads, time, width) = (y.shape()[0], y.shape()[1], y.shape()[2], y.shape()[3]);
        self.out_proj.forward(&y.permute_to(&[0, 2, 1, 3]).reshape_to(&[batch, time, heads * width]))
    }
}
