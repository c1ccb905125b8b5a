//! Rows of scalar maps, activations, comparisons, and what is composed of them.

use super::{Case, Input};
use crate::dtype::DType;
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;

type One = fn(&Tensor) -> Tensor;
type Two = fn(&Tensor, &Tensor) -> Tensor;

/// Sizes that break tiles: none, one, around a power of two, and a rank of 3.
const SHAPES: [&[usize]; 5] = [&[0], &[1], &[17], &[3, 5], &[2, 3, 4]];

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let smooth: [(&str, One, f64, f64); 62] = [
        ("neg", |x| x.unary(Unary::Neg), -3.0, 3.0),
        ("exp", Tensor::exp, -3.0, 3.0),
        ("exp2", Tensor::exp2, -3.0, 3.0),
        ("exp_m1", Tensor::exp_m1, -2.0, 2.0),
        ("exp_m1 near 0", Tensor::exp_m1, -1e-3, 1e-3),
        ("ln", Tensor::ln, 0.2, 4.0),
        ("ln_1p", Tensor::ln_1p, -0.7, 3.0),
        ("ln_1p near 0", Tensor::ln_1p, -1e-3, 1e-3),
        ("log2", Tensor::log2, 0.2, 4.0),
        ("log10", Tensor::log10, 0.2, 4.0),
        ("log base 3", |x| x.log(3.0), 0.2, 4.0),
        ("sqrt", Tensor::sqrt, 0.2, 4.0),
        ("rsqrt", Tensor::rsqrt, 0.2, 4.0),
        ("cbrt", Tensor::cbrt, 0.2, 4.0),
        ("cbrt of negative numbers", Tensor::cbrt, -4.0, -0.2),
        ("sin", Tensor::sin, -4.0, 4.0),
        ("cos", Tensor::cos, -4.0, 4.0),
        ("sin_cos", |x| <[Tensor; 2]>::from(x.sin_cos()).iter().fold(x * 0.1, |sum, y| sum * y + y), -4.0, 4.0),
        ("tan", Tensor::tan, -1.2, 1.2),
        ("asin", Tensor::asin, -0.9, 0.9),
        ("acos", Tensor::acos, -0.9, 0.9),
        ("atan", Tensor::atan, -3.0, 3.0),
        ("sinh", Tensor::sinh, -2.0, 2.0),
        ("cosh", Tensor::cosh, -2.0, 2.0),
        ("tanh", Tensor::tanh, -3.0, 3.0),
        ("asinh", Tensor::asinh, -3.0, 3.0),
        ("acosh", Tensor::acosh, 1.2, 4.0),
        ("atanh", Tensor::atanh, -0.9, 0.9),
        ("erf", Tensor::erf, -2.5, 2.5),
        ("recip", Tensor::recip, 0.3, 3.0),
        ("square", Tensor::square, -3.0, 3.0),
        ("powf 0", |x| x.powf(0.0), 0.2, 3.0),
        ("powf 0.5", |x| x.powf(0.5), 0.2, 3.0),
        ("powf 1", |x| x.powf(1.0), 0.2, 3.0),
        ("powf 2", |x| x.powf(2.0), -3.0, 3.0),
        ("powf 3", |x| x.powf(3.0), -3.0, 3.0),
        ("powf -1.5", |x| x.powf(-1.5), 0.3, 3.0),
        ("powi 0", |x| x.powi(0), -3.0, 3.0),
        ("powi 1", |x| x.powi(1), -3.0, 3.0),
        ("powi 5", |x| x.powi(5), -1.5, 1.5),
        ("powi -2", |x| x.powi(-2), 0.4, 3.0),
        ("to_degrees", Tensor::to_degrees, -1.0, 1.0),
        ("to_radians", Tensor::to_radians, -90.0, 90.0),
        ("sigmoid", Tensor::sigmoid, -4.0, 4.0),
        ("log_sigmoid", Tensor::log_sigmoid, -4.0, 4.0),
        ("softplus", Tensor::softplus, -4.0, 4.0),
        ("silu", Tensor::silu, -4.0, 4.0),
        ("mish", Tensor::mish, -4.0, 4.0),
        ("gelu", Tensor::gelu, -3.0, 3.0),
        ("gelu_tanh", Tensor::gelu_tanh, -3.0, 3.0),
        ("abs", Tensor::abs, -3.0, 3.0),
        ("sign", Tensor::sign, -3.0, 3.0),
        ("relu", Tensor::relu, -3.0, 3.0),
        ("relu6", Tensor::relu6, -3.0, 9.0),
        ("hardtanh", |x| x.hardtanh(-1.0, 2.0), -3.0, 3.0),
        ("leaky_relu", |x| x.leaky_relu(0.1), -3.0, 3.0),
        ("elu", |x| x.elu(1.3), -3.0, 3.0),
        ("selu", Tensor::selu, -3.0, 3.0),
        ("clamp", |x| x.clamp(-1.0, 2.0), -3.0, 3.0),
        ("fract", Tensor::fract, -2.9, 2.9),
        ("masked_fill", |x| x.masked_fill(&x.detach().gt(0.0), 7.0), -3.0, 3.0),
        ("detach", |x| x.binary(Binary::Mul, &x.detach()).binary(Binary::Sub, &x.detach().square()), -3.0, 3.0),
    ];
    for (name, f, low, high) in smooth {
        for shape in SHAPES {
            let x = Input::floats(shape, low, high).away_from(&[-2.0, -1.0, 0.0, 1.0, 2.0, 6.0]);
            let case = Case::new(format!("{name} {shape:?}"), [x], move |x| f(&x[0]));
            // What is constant, or detached on purpose, has no gradient that differences could check.
            all.push(if name == "detach" || name == "powi 0" { case.values_only() } else { case });
        }
    }
    for (name, f) in
        [("floor", Tensor::floor as One), ("ceil", Tensor::ceil), ("round", Tensor::round), ("trunc", Tensor::trunc)]
    {
        let steps = Input::list(&[-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 0.3, -0.7, 1e7]);
        all.push(
            Case::new(
                name,
                [Input::floats(&[3, 5], -2.9, 2.9)
                    .away_from(&[-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5])],
                move |x| f(&x[0]),
            )
            .exact(),
        );
        all.push(Case::new(format!("{name} at halves"), [steps], move |x| f(&x[0])).exact().values_only());
    }
    let pairs: [(&str, Two, f64, f64); 18] = [
        ("add", |x, y| x + y, -3.0, 3.0),
        ("sub", |x, y| x - y, -3.0, 3.0),
        ("mul", |x, y| x * y, -3.0, 3.0),
        ("div", |x, y| x / y, 0.4, 3.0),
        ("rem", |x, y| x % y, 0.4, 3.0),
        ("pow", |x, y| x.pow(y), 0.4, 2.0),
        ("maximum", |x, y| x.maximum(y), -3.0, 3.0),
        ("minimum", |x, y| x.minimum(y), -3.0, 3.0),
        ("atan2", |x, y| x.atan2(y), 0.4, 3.0),
        ("atan2 below", |x, y| (-x).atan2(-y), 0.4, 3.0),
        ("hypot", |x, y| x.hypot(y), 0.4, 3.0),
        ("rem_euclid", |x, y| x.rem_euclid(y), 0.4, 3.0),
        ("copysign", |x, y| x.copysign(y.detach()) * y, 0.4, 3.0),
        ("mul_add", |x, y| x.mul_add(y, 2.0), -3.0, 3.0),
        ("midpoint", |x, y| x.midpoint(y), -3.0, 3.0),
        ("lerp", |x, y| x.lerp(y, 0.3), -3.0, 3.0),
        ("select", |x, y| x.detach().lt(y.detach()).select(x, y), -3.0, 3.0),
        ("number on the left", |x, y| 2.0 - x * 3.0 + 1.0 / (y * y + 1.0), -3.0, 3.0),
    ];
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[], &[]),
        (&[0], &[1]),
        (&[9], &[9]),
        (&[4, 5], &[5]),
        (&[4, 1], &[1, 5]),
        (&[], &[3]),
        (&[2, 1, 3], &[4, 1]),
    ];
    for (name, f, low, high) in pairs {
        for (a, b) in shapes {
            let inputs = [Input::floats(a, low, high), Input::other(b, low, high)];
            all.push(Case::new(format!("{name} {a:?} {b:?}"), inputs, move |x| f(&x[0], &x[1])));
        }
    }
    all.extend(exact());
    all
}

/// Comparisons, logic and integers.
fn exact() -> Vec<Case> {
    let mut all = Vec::new();
    let compare: [(&str, Two); 6] = [
        ("eq", |x, y| x.eq(y)),
        ("ne", |x, y| x.ne(y)),
        ("lt", |x, y| x.lt(y)),
        ("le", |x, y| x.le(y)),
        ("gt", |x, y| x.gt(y)),
        ("ge", |x, y| x.ge(y)),
    ];
    let specials = [1.0, -1.0, 0.0, f64::NAN, f64::INFINITY, 2.0, f64::NEG_INFINITY];
    let mut shifted = specials;
    shifted.rotate_left(1);
    shifted[0] = 1.0;
    shifted[4] = f64::INFINITY;
    for (name, f) in compare {
        let floats = [Input::list(&specials), Input::list(&shifted)];
        let ints = [Input::ints(&[3, 4], 5), Input::ints(&[4], 5)];
        all.push(Case::new(format!("{name} of floats"), floats, move |x| f(&x[0], &x[1])));
        all.push(Case::new(format!("{name} of integers"), ints, move |x| f(&x[0], &x[1])));
    }
    let logic: [(&str, Two); 3] = [
        ("logical_and", |x, y| x.logical_and(y)),
        ("logical_or", |x, y| x.logical_or(y)),
        ("logical_xor", |x, y| x.logical_xor(y)),
    ];
    for (name, f) in logic {
        let mut other = Input::bools(&[4, 3]);
        other.values.rotate_left(5);
        all.push(Case::new(name, [Input::bools(&[4, 3]), other], move |x| f(&x[0], &x[1])));
    }
    all.push(Case::new("logical_not", [Input::bools(&[4, 3])], |x| x[0].logical_not()));
    all.push(Case::new("any", [Input::bools(&[4, 3])], |x| x[0].any(1)));
    all.push(Case::new("all", [Input::bools(&[4, 3])], |x| x[0].all(0)));
    for (name, f) in
        [("is_nan", Tensor::is_nan as One), ("is_finite", Tensor::is_finite), ("is_infinite", Tensor::is_infinite)]
    {
        all.push(Case::new(name, [Input::list(&specials)], move |x| f(&x[0])));
    }
    let edges = Input::int_list(&[0, 1, -1, 7, -7, i32::MAX, i32::MIN, 1 << 20, 3]);
    let others = Input::int_list(&[0, 3, 2, -2, 2, i32::MAX, -1, 1 << 20, 0]);
    for op in Binary::ALL.into_iter().filter(|op| op.takes(DType::I32)) {
        let pair = [edges.clone(), others.clone()];
        all.push(Case::new(format!("{op:?} of i32"), pair.clone(), move |x| x[0].binary(op, &x[1])));
        let pair = pair.map(|input| Input {
            dtype: DType::U32,
            values: input.values.iter().map(|x| x.abs()).collect(),
            ..input
        });
        all.push(Case::new(format!("{op:?} of u32"), pair, move |x| x[0].binary(op, &x[1])));
    }
    for op in [Unary::Neg, Unary::Abs, Unary::Sign, Unary::Not] {
        all.push(Case::new(format!("{op:?} of i32"), [edges.clone()], move |x| x[0].unary(op)));
    }
    let floats = Input::list(&[0.0, 0.9, -0.9, 2.5, -7.9, 3e9, -3e9, f64::NAN, f64::INFINITY]);
    for dtype in [DType::I32, DType::U32, DType::Bool] {
        all.push(Case::new(format!("cast f32 to {dtype}"), [floats.clone()], move |x| x[0].cast(dtype)));
        all.push(Case::new(format!("cast {dtype} to f32"), [Input { dtype, ..Input::ints(&[7], 2) }], |x| {
            x[0].cast(DType::F32)
        }));
    }
    all.push(Case::new("bitcast", [floats], |x| x[0].bitcast(DType::U32).bitcast(DType::I32).bitcast(DType::F32)));
    all.into_iter().map(|case| case.exact().values_only()).collect()
}
