//! Rows of layers and losses. Parameters are made inside of the row; what is differentiated is the input.

use super::{Case, Input};
use crate::nn::loss::{CrossEntropy, Reduce};
use crate::nn::{
    BatchNorm, Conv1d, Conv2d, ConvTranspose2d, Dropout, Embedding, GroupNorm, Gru, LayerNorm, Linear, Lstm, Masks,
    Module, MultiHeadAttention, RecurrentOptions, RmsNorm, Rnn, TransformerEncoderLayer, TransformerOptions, attention,
};
use crate::tensor::Tensor;

type Layer = fn(&Tensor) -> Tensor;

/// The layer with parameters of the input's type.
fn of<M: Module>(x: &Tensor, layer: M) -> M {
    layer.convert(x.dtype()).unwrap_or_else(|error| crate::shape::fail("case", error));
    layer
}

pub(super) fn cases() -> Vec<Case> {
    let layers: [(&str, &[usize], Layer); 18] = [
        ("Linear", &[5, 6], |x| of(x, Linear::new(6, 4, x.device())).forward(x)),
        ("Linear on a sequence", &[2, 3, 6], |x| of(x, Linear::new(6, 4, x.device())).forward(x)),
        ("LayerNorm", &[3, 9], |x| of(x, LayerNorm::new(9, x.device())).forward(x)),
        ("RmsNorm", &[3, 9], |x| of(x, RmsNorm::new(9, x.device())).forward(x)),
        ("GroupNorm", &[2, 4, 3, 2], |x| of(x, GroupNorm::new(2, 4, x.device())).forward(x)),
        ("BatchNorm", &[3, 2, 4], |x| of(x, BatchNorm::new(2, x.device())).forward(x)),
        ("Conv1d", &[2, 3, 7], |x| of(x, Conv1d::new(3, 4, 3, x.device()).stride(2)).forward(x)),
        ("Conv2d", &[2, 3, 5, 4], |x| of(x, Conv2d::new(3, 4, 3, x.device()).padding(1)).forward(x)),
        ("ConvTranspose2d", &[2, 3, 3, 2], |x| of(x, ConvTranspose2d::new(3, 2, 2, x.device())).forward(x)),
        ("Embedding", &[4, 3], |x| {
            of(x, Embedding::new(6, 3, x.device())).forward(&Tensor::iota(&[4], x.device())) * x
        }),
        ("Rnn", &[4, 2, 3], |x| of(x, Rnn::new(3, 5, RecurrentOptions::default(), x.device())).forward(x, None).0),
        ("Gru", &[4, 2, 3], |x| of(x, Gru::new(3, 5, RecurrentOptions::default(), x.device())).forward(x, None).0),
        ("Lstm", &[4, 2, 3], |x| of(x, Lstm::new(3, 5, RecurrentOptions::default(), x.device())).forward(x, None).0),
        ("Lstm, two layers, both ways", &[4, 2, 3], |x| {
            let options = RecurrentOptions { layers: 2, bidirectional: true, ..RecurrentOptions::default() };
            of(x, Lstm::new(3, 4, options, x.device())).forward(x, None).0
        }),
        ("MultiHeadAttention", &[2, 5, 8], |x| {
            of(x, MultiHeadAttention::new(8, 2, x.device())).forward(x, &Masks::default())
        }),
        ("MultiHeadAttention, causal", &[2, 5, 8], |x| {
            of(x, MultiHeadAttention::new(8, 4, x.device())).forward(x, &Masks::causal())
        }),
        ("attention, causal", &[2, 2, 5, 4], |x| {
            attention(x, &x.sin(), &x.cos(), &Masks::causal(), &Dropout::new(0.0)).0
        }),
        ("TransformerEncoderLayer", &[2, 4, 8], |x| {
            let options = TransformerOptions { hidden: 12, dropout: 0.0, ..TransformerOptions::default() };
            of(x, TransformerEncoderLayer::new(8, 2, &options, x.device())).forward(x, &Masks::causal())
        }),
    ];
    let mut all: Vec<Case> = Vec::new();
    for (name, shape, f) in layers {
        all.push(Case::new(name, [Input::floats(shape, -1.5, 1.5)], move |x| f(&x[0])).sum_of(64));
    }
    all.extend(losses());
    all
}

fn losses() -> Vec<Case> {
    let pair = || [Input::floats(&[4, 5], -2.0, 2.0), Input::other(&[4, 5], -2.0, 2.0)];
    let labelled = || [Input::floats(&[4, 5], -2.0, 2.0), Input::ints(&[4], 5)];
    let shares = || [Input::floats(&[4, 5], 0.1, 0.9), Input::other(&[4, 5], 0.1, 0.9)];
    let mut all = vec![
        Case::new("cross_entropy", labelled(), |x| x[0].cross_entropy(&x[1])),
        Case::new("cross_entropy of images", [Input::floats(&[2, 3, 4], -2.0, 2.0), Input::ints(&[2, 4], 3)], |x| {
            x[0].cross_entropy(&x[1])
        }),
        Case::new("cross_entropy with shares", shares(), |x| x[0].cross_entropy(&x[1].softmax(-1))),
        Case::new("nll_loss", labelled(), |x| x[0].log_softmax(-1).nll_loss(&x[1], Reduce::Sum)),
        Case::new("mse_loss", pair(), |x| x[0].mse_loss(&x[1])),
        Case::new("l1_loss", pair(), |x| x[0].l1_loss(&x[1])),
        Case::new("huber_loss", pair(), |x| x[0].huber_loss(&x[1], 0.8)),
        Case::new("smooth_l1_loss", pair(), |x| x[0].smooth_l1_loss(&x[1], 0.8)),
        Case::new("binary_cross_entropy", shares(), |x| x[0].binary_cross_entropy(&x[1])),
        Case::new("binary_cross_entropy_with_logits", pair(), |x| {
            x[0].binary_cross_entropy_with_logits(&x[1].sigmoid())
        }),
        Case::new("kl_div", shares(), |x| x[0].log_softmax(-1).kl_div(&x[1].softmax(-1))),
        Case::new("cosine_similarity", pair(), |x| x[0].cosine_similarity(&x[1], 1)),
    ];
    for reduction in [Reduce::Mean, Reduce::Sum, Reduce::None] {
        for (label_smoothing, ignore) in [(0.0, None), (0.1, None), (0.0, Some(2)), (0.2, Some(1))] {
            let name = format!("cross_entropy {reduction:?}, smoothing {label_smoothing}, ignore {ignore:?}");
            let of = move |x: &[Tensor]| {
                CrossEntropy { label_smoothing, ignore, reduction, ..CrossEntropy::default() }.of(&x[0], &x[1])
            };
            all.push(Case::new(name, labelled(), of));
        }
    }
    all.into_iter().map(|case| case.sum_of(20)).collect()
}
