//! How each row of `make.py`'s layers is made here. Weights load by PyTorch's names.

use anygrad_core::nn::*;
use anygrad_core::tensor::conv::{ConvOptions, TransposeOptions};

use crate::harness::{Case, Function, LayerRow};

fn attention(c: &Case, heads: usize, masks: fn(&[anygrad_core::Tensor]) -> Masks) -> Function {
    c.layer(MultiHeadAttention::new(6, heads, c.device), move |m, x| {
        let (y, weights) = m.attend(&x[0], &x[0], &x[0], &masks(x));
        // The short form must say the same.
        vec![(m.forward(&x[0], &masks(x)) + y) * 0.5, weights]
    })
}

fn options(norm_first: bool) -> TransformerOptions {
    TransformerOptions { hidden: 10, norm_first, ..TransformerOptions::default() }
}

fn both_ways(layers: usize) -> RecurrentOptions {
    RecurrentOptions { layers, bidirectional: true, ..RecurrentOptions::default() }
}

fn time_first() -> RecurrentOptions {
    RecurrentOptions { batch_first: false, ..RecurrentOptions::default() }
}

/// Layers, in `make.py`'s order.
pub(crate) const LAYERS: &[LayerRow] = &[
    ("linear", |c| c.simple(Linear::new(4, 3, c.device))),
    ("linear_without_bias", |c| c.simple(Linear::without_bias(4, 3, c.device))),
    ("conv1d", |c| c.simple(Conv1d::new(3, 4, 3, c.device).stride(2).padding(1))),
    ("conv2d", |c| c.simple(Conv2d::new(3, 4, 3, c.device))),
    ("conv2d_groups", |c| {
        let options = ConvOptions { stride: [2, 1], padding: [(1, 1), (2, 2)], dilation: [1, 2], groups: 2 };
        c.simple(Conv2d::with_options(4, 6, [3, 2], options, c.device))
    }),
    ("conv2d_same", |c| c.simple(Conv2d::new(2, 2, 4, c.device).dilation(2).padding_same())),
    ("conv3d", |c| c.simple(Conv3d::new(2, 3, 2, c.device).without_bias())),
    ("conv_transpose1d", |c| c.simple(ConvTranspose1d::new(3, 2, 4, c.device).stride(2).padding(1))),
    ("conv_transpose2d", |c| {
        let options = TransposeOptions { groups: 2, ..TransposeOptions::default() };
        let layer = ConvTranspose2d::with_options(4, 6, [3, 3], options, c.device);
        c.simple(layer.stride(2).padding(1).output_padding(1))
    }),
    ("conv_transpose3d", |c| c.simple(ConvTranspose3d::new(2, 2, 2, c.device).dilation(2))),
    ("max_pool1d", |c| c.simple(MaxPool1d::new(3).stride(2).padding(1))),
    ("max_pool2d", |c| c.simple(MaxPool2d::new(2))),
    ("max_pool3d", |c| c.simple(MaxPool3d::new(2))),
    ("avg_pool1d", |c| c.simple(AvgPool1d::new(3).stride(2).padding(1))),
    ("avg_pool2d", |c| c.simple(AvgPool2d::new(2))),
    ("avg_pool3d", |c| c.simple(AvgPool3d::new(2))),
    ("adaptive_avg_pool2d", |c| c.simple(AdaptiveAvgPool::<2>([1, 1]))),
    ("batch_norm1d_inference", |c| c.simple(BatchNorm1d::new(3, c.device))),
    ("batch_norm2d_inference", |c| c.simple(BatchNorm { eps: 1e-3, ..BatchNorm::new(3, c.device) })),
    ("batch_norm1d_training", |c| c.simple(BatchNorm1d::new(3, c.device))),
    ("batch_norm2d_training", |c| c.simple(BatchNorm { momentum: 0.3, ..BatchNorm::new(3, c.device) })),
    ("batch_norm3d_training", |c| c.simple(BatchNorm3d::new(2, c.device).without_parameters())),
    ("layer_norm", |c| c.simple(LayerNorm::new(5, c.device))),
    ("layer_norm_two_axes", |c| c.simple(LayerNorm { eps: 1e-3, ..LayerNorm::over(&[3, 4], c.device) })),
    ("layer_norm_without_parameters", |c| c.simple(LayerNorm::new(5, c.device).without_parameters())),
    ("layer_norm_without_bias", |c| c.simple(LayerNorm::new(5, c.device).without_bias())),
    ("group_norm", |c| c.simple(GroupNorm::new(2, 6, c.device))),
    ("group_norm_instance", |c| c.simple(GroupNorm::new(4, 4, c.device))),
    ("rms_norm", |c| c.simple(RmsNorm::new(5, c.device))),
    ("dropout_inference", |c| c.simple(Dropout::new(0.5))),
    ("embedding", |c| c.layer(Embedding::new(6, 3, c.device), |m, x| vec![m.forward(&x[0])])),
    ("embedding_padding", |c| c.layer(Embedding::with_padding(6, 3, 1, c.device), |m, x| vec![m.forward(&x[0])])),
    ("attention", |c| attention(c, 2, |_| Masks::default())),
    ("attention_without_bias", |c| {
        c.layer(MultiHeadAttention::new(6, 3, c.device).without_bias(), |m, x| {
            let (y, weights) = m.attend(&x[0], &x[0], &x[0], &Masks::default());
            vec![y, weights]
        })
    }),
    ("attention_causal", |c| attention(c, 2, |_| Masks::causal())),
    ("attention_key_padding", |c| attention(c, 2, |x| Masks { key_padding: Some(x[1].clone()), ..Masks::default() })),
    ("attention_bool_mask", |c| attention(c, 2, |x| Masks { mask: Some(x[1].clone()), ..Masks::default() })),
    ("attention_float_mask", |c| attention(c, 2, |x| Masks { mask: Some(x[1].clone()), ..Masks::default() })),
    ("attention_cross", |c| {
        c.layer(MultiHeadAttention::new(6, 2, c.device), |m, x| {
            let (y, weights) = m.attend(&x[0], &x[1], &x[2], &Masks::default());
            vec![y, weights]
        })
    }),
    ("transformer_layer", |c| {
        let layer = TransformerEncoderLayer::new(6, 2, &options(false), c.device);
        c.layer(layer, |m, x| vec![m.forward(&x[0], &Masks::default())])
    }),
    ("transformer_layer_norm_first", |c| {
        let options = TransformerOptions { activation: Activation::Gelu, eps: 1e-3, ..options(true) };
        let layer = TransformerEncoderLayer::new(6, 2, &options, c.device);
        c.layer(layer, |m, x| vec![m.forward(&x[0], &Masks::default())])
    }),
    ("transformer_encoder", |c| {
        let encoder = TransformerEncoder::new(2, 6, 2, &options(true), c.device);
        c.layer(encoder, |m, x| vec![m.forward(&x[0], &Masks::causal())])
    }),
    ("rnn", |c| {
        c.layer(Rnn::new(3, 4, RecurrentOptions::default(), c.device), |m, x| {
            <[_; 2]>::from(m.forward(&x[0], None)).to_vec()
        })
    }),
    ("rnn_relu", |c| {
        c.layer(Rnn::new(3, 4, time_first(), c.device).with_relu(), |m, x| {
            <[_; 2]>::from(m.forward(&x[0], Some(&x[1]))).to_vec()
        })
    }),
    ("gru", |c| {
        c.layer(Gru::new(3, 4, RecurrentOptions::default(), c.device), |m, x| {
            <[_; 2]>::from(m.forward(&x[0], None)).to_vec()
        })
    }),
    ("gru_two_layers_both_ways", |c| {
        c.layer(Gru::new(3, 4, both_ways(2), c.device), |m, x| <[_; 2]>::from(m.forward(&x[0], Some(&x[1]))).to_vec())
    }),
    ("lstm", |c| {
        c.layer(Lstm::new(3, 4, RecurrentOptions::default(), c.device), |m, x| {
            let (y, (h, s)) = m.forward(&x[0], None);
            vec![y, h, s]
        })
    }),
    ("lstm_state", |c| {
        c.layer(Lstm::new(3, 4, RecurrentOptions { bias: false, ..time_first() }, c.device), |m, x| {
            let (y, (h, s)) = m.forward(&x[0], Some((&x[1], &x[2])));
            vec![y, h, s]
        })
    }),
    ("lstm_two_layers_both_ways", |c| {
        c.layer(Lstm::new(3, 2, both_ways(2), c.device), |m, x| {
            let (y, (h, s)) = m.forward(&x[0], None);
            vec![y, h, s]
        })
    }),
    ("sequential", |c| {
        let (first, last) = (Linear::new(4, 5, c.device), Linear::new(5, 4, c.device));
        c.simple(Sequential::new().add(first).add(Activation::Tanh).add(last))
    }),
    ("residual", |c| c.simple(Residual::new(Linear::new(4, 4, c.device)))),
    ("small_net", |c| {
        let net = Sequential::new().add(Conv2d::new(1, 3, 3, c.device)).add(BatchNorm2d::new(3, c.device));
        let net = net.map(|x| x.relu()).add(MaxPool2d::new(2)).add(Flatten(1));
        c.simple(net.add(Linear::new(12, 4, c.device)))
    }),
];
