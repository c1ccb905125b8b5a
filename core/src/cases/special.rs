//! Rows at the edges of numbers: infinities, NaN, zeros, and values whose naive formulas overflow.

use super::{Case, Input};
use crate::tensor::Tensor;

type One = fn(&Tensor) -> Tensor;

pub(super) fn cases() -> Vec<Case> {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 300.0, -300.0, 0.0, 1.0, -1.0, 1e-30, -1e30, 88.0, -104.0];
    // Stable formulas: finite where the function is, whatever the size of x.
    let everywhere: [(&str, One); 33] = [
        ("exp", Tensor::exp),
        ("exp_m1", Tensor::exp_m1),
        ("ln", Tensor::ln),
        ("ln_1p", Tensor::ln_1p),
        ("sqrt", Tensor::sqrt),
        ("rsqrt", Tensor::rsqrt),
        ("tanh", Tensor::tanh),
        ("atan", Tensor::atan),
        ("erf", Tensor::erf),
        ("sinh", Tensor::sinh),
        ("cosh", Tensor::cosh),
        ("asinh", Tensor::asinh),
        ("recip", Tensor::recip),
        ("abs", Tensor::abs),
        ("sign", Tensor::sign),
        ("floor", Tensor::floor),
        ("round", Tensor::round),
        ("sigmoid", Tensor::sigmoid),
        ("log_sigmoid", Tensor::log_sigmoid),
        ("softplus", Tensor::softplus),
        ("silu", Tensor::silu),
        ("mish", Tensor::mish),
        ("gelu", Tensor::gelu),
        ("relu", Tensor::relu),
        ("relu6", Tensor::relu6),
        ("elu", |x| x.elu(1.0)),
        ("leaky_relu", |x| x.leaky_relu(0.1)),
        ("clamp", |x| x.clamp(-2.0, 3.0)),
        ("square", Tensor::square),
        ("maximum", |x| x.maximum(x.flip(&[0]))),
        ("max", |x| x.max(0)),
        ("sum", |x| x.sum(0)),
        ("cumsum", |x| x.cumsum(0)),
    ];
    let mut all: Vec<Case> = Vec::new();
    for (name, f) in everywhere {
        all.push(Case::new(format!("{name} of odd numbers"), [Input::list(&odd)], move |x| f(&x[0])).values_only());
    }
    let large = || Input::list(&[300.0, -300.0, 0.0, 299.5, -1e4, 1e4]).shaped(&[2, 3]);
    let smooth: [(&str, One); 8] = [
        ("softmax", |x| x.softmax(-1)),
        ("log_softmax", |x| x.log_softmax(-1)),
        ("logsumexp", |x| x.logsumexp(-1)),
        ("sigmoid", Tensor::sigmoid),
        ("softplus", Tensor::softplus),
        ("tanh", Tensor::tanh),
        ("silu", Tensor::silu),
        ("norm", |x| x.norm(1)),
    ];
    for (name, f) in smooth {
        all.push(Case::new(format!("{name} of large numbers"), [large()], move |x| f(&x[0])).sum_of(3).values_only());
    }
    let minus = f64::NEG_INFINITY;
    let masked = Input::list(&[1.0, minus, 0.5, minus, minus, 2.0]).shaped(&[2, 3]);
    all.push(Case::new("softmax of masked scores", [masked], |x| x[0].softmax(-1)).values_only());
    let nan = || Input::list(&[1.0, f64::NAN, 3.0, f64::NAN, 2.0, 2.0]).shaped(&[2, 3]);
    all.push(Case::new("argmax of NaN", [nan()], |x| x[0].argmax(1)).exact().values_only());
    all.push(Case::new("argmin of NaN", [nan()], |x| x[0].argmin(1)).exact().values_only());
    all.push(Case::new("max of NaN", [nan()], |x| x[0].max(1)).exact().values_only());
    all.push(Case::new("min of NaN", [nan()], |x| x[0].min(0)).exact().values_only());
    all.push(
        Case::new("matmul of NaN", [nan(), Input::floats(&[3, 2], -1.0, 1.0)], |x| x[0].matmul(&x[1])).values_only(),
    );
    let (a, b) = ([0.0, 0.0, 1.0, -2.0, -8.0, 0.0, 2.0], [0.0, 2.0, 0.0, 3.0, 0.5, -1.0, f64::NAN]);
    all.push(Case::new("pow at its edges", [Input::list(&a), Input::list(&b)], |x| x[0].pow(&x[1])).values_only());
    let (a, b) = ([1.0, -1.0, 0.0, 5.5, -5.5, 5.5], [0.0, 0.0, 0.0, 2.0, 2.0, -2.0]);
    all.push(Case::new("div at its edges", [Input::list(&a), Input::list(&b)], |x| &x[0] / &x[1]).values_only());
    all.push(Case::new("rem at its edges", [Input::list(&a), Input::list(&b)], |x| &x[0] % &x[1]).values_only());
    all
}
