//! Rows of attention as one operation, whatever size it is chosen from: values, gradients, gradients of gradients.

use super::{Case, Input};
use crate::nn::{Dropout, Masks};
use crate::tensor::Tensor;

pub(super) fn cases() -> Vec<Case> {
    // q, k, v, causal. Sizes around those that kernels work in: 4, 16 and 64 rows.
    let shapes: [(&str, &[usize], &[usize], &[usize], bool); 12] = [
        ("square", &[5, 4], &[5, 4], &[5, 4], false),
        ("square", &[5, 4], &[5, 4], &[5, 4], true),
        ("one of all", &[1, 1], &[1, 1], &[1, 1], true),
        ("one query", &[2, 1, 3], &[2, 7, 3], &[2, 7, 2], false),
        ("one key", &[2, 7, 3], &[2, 1, 3], &[2, 1, 5], true),
        ("more keys", &[2, 3, 4], &[2, 9, 4], &[2, 9, 6], true),
        ("more queries", &[2, 9, 4], &[2, 3, 4], &[2, 3, 6], true),
        ("heads", &[2, 3, 8, 16], &[2, 3, 8, 16], &[2, 3, 8, 16], true),
        ("past a block", &[17, 33], &[65, 33], &[65, 17], false),
        ("past a block", &[65, 8], &[65, 8], &[65, 12], true),
        ("shared keys", &[2, 3, 4, 5], &[3, 6, 5], &[2, 1, 6, 4], false),
        ("wide", &[2, 80], &[3, 80], &[3, 130], false),
    ];
    let mut all = Vec::new();
    for (name, q, k, v, causal) in shapes {
        let inputs = [Input::floats(q, -1.5, 1.5), Input::other(k, -1.5, 1.5), Input::floats(v, -1.0, 1.0)];
        let terms = k[k.len() - 2] * k[k.len() - 1];
        let name = format!("attention, {name} {q:?} {k:?} {v:?}, causal {causal}");
        all.push(Case::new(name, inputs, move |x| x[0].attend(&x[1], &x[2], causal, 0.4)).sum_of(terms));
    }
    // Self-attention as layers do it: one tensor of queries, keys and values, heads split and joined again.
    let heads = |x: &Tensor, part: usize| {
        let sliced = x.slice_to(&[(0, 2), (0, 6), (part * 8, part * 8 + 8)]);
        sliced.reshape_to(&[2, 6, 2, 4]).permute_to(&[0, 2, 1, 3])
    };
    let join = |y: &Tensor| y.permute_to(&[0, 2, 1, 3]).reshape_to(&[2, 6, 8]);
    all.push(
        Case::new("attention of split heads", [Input::floats(&[2, 6, 24], -1.5, 1.5)], move |x| {
            join(&heads(&x[0], 0).attend(&heads(&x[0], 1), &heads(&x[0], 2), true, 0.5))
        })
        .sum_of(24),
    );
    let three = || {
        let last = Input::floats(&[2, 6, 4], -1.0, 1.0);
        [Input::floats(&[2, 5, 3], -1.0, 1.0), Input::other(&[2, 6, 3], -1.0, 1.0), last]
    };
    all.push(
        Case::new("attention with an epilogue", three(), |x| {
            (x[0].attend(&x[1], &x[2], false, 0.5) * 2.0 + 1.0).tanh()
        })
        .sum_of(18),
    );
    all.push(Case::new("attention with large scores", three(), |x| x[0].attend(&x[1], &x[2], false, 40.0)).sum_of(500));
    let long = || [Input::floats(&[1, 2, 47, 4], -1.0, 1.0), Input::other(&[1, 2, 46, 4], -1.0, 1.0)];
    all.push(
        Case::new("scaled_dot_product_attention, long", long(), |x| {
            x[0].scaled_dot_product_attention(&x[1], &x[1].sin(), None, true)
        })
        .sum_of(184),
    );
    all.push(
        Case::new("attention of a layer, long", long(), |x| {
            crate::nn::attention(&x[0], &x[1], &x[1].cos(), &Masks::causal(), &Dropout::new(0.0)).0
        })
        .sum_of(184),
    );
    // The slope of the loss by q, k and v: its own gradient goes through the gradient's gradient.
    let slope = |x: &[Tensor]| {
        let y = x[0].attend(&x[1], &x[2], true, 0.7);
        y.gradients_with(&y.sin(), &[x[0].clone(), x[1].clone(), x[2].clone()])
    };
    all.push(Case::several("attention, gradients", three(), slope).sum_of(60));
    all
}
