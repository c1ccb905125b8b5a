//! Every rule against central differences of the reference, in f64 and mid-graph; and what gradients promise beyond
//! numbers: messages, and small graphs.
//!
//! The loss is `sum(w * sin(0.7 * op(x)))` with fixed `w`: a rule that drops, scales or misplaces its incoming gradient
//! shows. Central differences with step `h` err by `f''' h^2 / 6` from truncation and `|f| epsilon / h` from rounding; at
//! `h = 1e-5` both are near 1e-11 for values near 1, so a relative 1e-7 (of 1 + the size) leaves room for sums of hundreds.

use crate::dtype::DType;
use crate::kernel::{ConvGeometry, ConvKind, Extremum, Reduction};
use crate::reference::values_with;
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;
use crate::testing;
use crate::var::Var;

/// Numbers in `low..high`, spread out and all different.
fn spread(len: usize, low: f64, high: f64, salt: usize) -> Vec<f64> {
    let golden = 0.618_033_988_749_894_9;
    (0..len).map(|i| low + (high - low) * ((i + 1 + salt * 17) as f64 * golden).fract()).collect()
}

fn leaf(values: &[f64], shape: &[usize]) -> Tensor {
    thread_local! { static DEVICE: crate::Device = testing::device(); }
    DEVICE.with(|device| Tensor::from_vec(values.to_vec(), shape, device))
}

fn loss(y: &Tensor) -> Tensor {
    let w = leaf(&spread(y.len(), -1.0, 1.0, 5), y.shape());
    let bent = y.binary(Binary::Mul, &y.full_like(0.7)).unary(Unary::Sin);
    let axes: Vec<usize> = (0..y.rank()).collect();
    bent.binary(Binary::Mul, &w).reduce(Reduction::Sum, &axes)
}

/// Checks all gradients of `f` at inputs in `low..high`.
#[track_caller]
fn check(shapes: &[&[usize]], (low, high): (f64, f64), f: impl Fn(&[Tensor]) -> Tensor) {
    let points: Vec<Vec<f64>> =
        shapes.iter().enumerate().map(|(salt, s)| spread(s.iter().product(), low, high, salt)).collect();
    check_at(shapes, &points, f);
}

#[track_caller]
fn check_at(shapes: &[&[usize]], points: &[Vec<f64>], f: impl Fn(&[Tensor]) -> Tensor) {
    let inputs: Vec<Tensor> = shapes.iter().zip(points).map(|(s, p)| leaf(p, s)).collect();
    let loss = loss(&f(&inputs));
    let gradients = loss.gradients(&inputs);
    let found = values_with(&gradients, &[]).expect("store");
    let at = |k: usize, i: usize, x: f64| {
        let mut moved = points[k].clone();
        moved[i] = x;
        values_with(std::slice::from_ref(&loss), &[(inputs[k].clone(), moved)]).expect("store")[0][0]
    };
    let h = 1e-5;
    for (k, point) in points.iter().enumerate() {
        assert_eq!(gradients[k].shape(), inputs[k].shape());
        for (i, &x) in point.iter().enumerate() {
            let expected = (at(k, i, x + h) - at(k, i, x - h)) / (2.0 * h);
            let error = (found[k][i] - expected).abs();
            assert!(error <= 1e-7 * (1.0 + expected.abs()), "input {k}, element {i}: {} != {expected}", found[k][i]);
        }
    }
}

#[test]
fn maps_of_one_number() {
    for op in Unary::ALL {
        let range = match op {
            Unary::Sqrt | Unary::Ln | Unary::Ln1p | Unary::Recip => (0.3, 2.5),
            Unary::IsNan | Unary::Not => continue,
            _ => (-2.4, 2.4),
        };
        check(&[&[7]], range, |x| x[0].unary(op));
    }
}

#[test]
fn maps_of_two_numbers() {
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Rem, Binary::Max, Binary::Min, Binary::Pow] {
        check(&[&[2, 3], &[2, 3]], (0.4, 3.0), |x| x[0].binary(op, &x[1]));
        check(&[&[2, 3], &[3]], (0.4, 3.0), |x| x[0].binary(op, &x[1]));
        check(&[&[2, 1], &[1, 3]], (0.4, 3.0), |x| x[0].binary(op, &x[1]));
        check(&[&[4]], (0.4, 1.5), |x| x[0].binary(op, &x[0].binary(Binary::Mul, &x[0])));
    }
    for c in [-1.5, 0.0, 0.5, 1.0, 2.0, 3.0] {
        check(&[&[5]], (0.4, 3.0), |x| x[0].binary(Binary::Pow, &x[0].full_like(c)));
    }
    check(&[&[5]], (-3.0, 3.0), |x| x[0].binary(Binary::Pow, &x[0].full_like(3.0)));
}

#[test]
fn select_and_casts() {
    check(&[&[6], &[6]], (-1.0, 1.0), |x| x[0].binary(Binary::Less, &x[1]).choose(&x[0], &x[1]));
    check(&[&[6]], (-1.0, 1.0), |x| x[0].cast(DType::F32).cast(DType::F64));
    check(&[&[6]], (-1.0, 1.0), |x| x[0].binary(Binary::Mul, &x[0].detach().cast(DType::I32).cast(DType::F64)));
}

#[test]
fn movement() {
    check(&[&[2, 3, 4]], (-1.0, 1.0), |x| x[0].reshape_to(&[6, 4]).permute_to(&[1, 0]).reshape_to(&[3, 8]));
    check(&[&[2, 3, 4]], (-1.0, 1.0), |x| x[0].permute_to(&[2, 0, 1]).permute_to(&[1, 2, 0]));
    check(&[&[3, 1]], (-1.0, 1.0), |x| x[0].broadcast_to(&[2, 3, 4]));
    check(&[&[3, 4]], (-1.0, 1.0), |x| x[0].slice_to(&[(1, 3), (0, 2)]));
    check(&[&[3, 4]], (-1.0, 1.0), |x| x[0].pad_to(&[(1, 0), (0, 2)], 0.5));
    check(&[&[3, 4]], (-1.0, 1.0), |x| x[0].flip(&[0, 1]));
    check(&[&[2, 3], &[1, 3], &[4, 3]], (-1.0, 1.0), |x| Tensor::concat(x));
}

#[test]
fn windows_with_every_overlap() {
    for (size, stride, dilation) in
        [(2, 2, 1), (2, 3, 1), (3, 1, 1), (3, 2, 1), (2, 1, 2), (3, 2, 2), (1, 2, 1), (9, 1, 1)]
    {
        check(&[&[9, 2]], (-1.0, 1.0), |x| x[0].windows(0, size, stride, dilation));
        check(&[&[2, 9]], (-1.0, 1.0), |x| x[0].windows(1, size, stride, dilation));
    }
    check(&[&[5, 6]], (-1.0, 1.0), |x| x[0].windows(0, 2, 2, 1).windows(1, 3, 1, 1));
}

#[test]
fn reductions_over_every_axis() {
    use Reduction::{Max, Min, Prod, Sum};
    for op in [Sum, Prod, Max, Min] {
        for axes in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
            check(&[&[2, 3, 2]], (0.5, 1.5), |x| x[0].reduce(op, axes));
            check(&[&[2, 1, 2]], (0.5, 1.5), |x| x[0].reduce(op, axes));
        }
    }
    for zeros in [&[1][..], &[1, 4], &[1, 2]] {
        let mut point = spread(6, 0.5, 1.5, 0);
        zeros.iter().for_each(|&i| point[i] = 0.0);
        check_at(&[&[2, 3]], &[point.clone()], |x| x[0].reduce(Prod, &[1]));
        check_at(&[&[2, 3]], &[point], |x| x[0].reduce(Prod, &[0, 1]));
    }
    check(&[&[3, 4]], (-1.0, 1.0), |x| x[0].cumsum(0));
    check(&[&[3, 4]], (-1.0, 1.0), |x| x[0].cumsum(1));
}

#[test]
fn indices() {
    let index = |values: Vec<i32>, shape: &[usize], like: &Tensor| Tensor::from_vec(values, shape, like.device());
    check(&[&[3, 2]], (-1.0, 1.0), |x| x[0].gather(0, &index(vec![0, 1, 2, 2, 0, 0, 1, 1], &[4, 2], &x[0])));
    check(&[&[2, 3]], (-1.0, 1.0), |x| x[0].gather(1, &index(vec![2, 2, 0, 1], &[2, 2], &x[0])));
    // -1 and 5 are outside: dropped, and their gradient is 0.
    check(&[&[4, 2]], (-1.0, 1.0), |x| x[0].scatter_sum(0, &index(vec![0, 1, -1, 2, 0, 0, 5, 1], &[4, 2], &x[0]), 3));
    check(&[&[5]], (-1.0, 1.0), |x| x[0].gather(0, &x[0].argsort_last(true)));
    check(&[&[5]], (-1.0, 1.0), |x| x[0].gather(0, &x[0].arg_reduce(Extremum::Max, 0).reshape_to(&[1])));
}

#[test]
fn matrix_products() {
    check(&[&[3, 4], &[4, 2]], (-1.0, 1.0), |x| x[0].product(&x[1]));
    check(&[&[2, 3, 4], &[2, 4, 2]], (-1.0, 1.0), |x| x[0].product(&x[1]));
    check(&[&[2, 3, 4], &[4, 2]], (-1.0, 1.0), |x| x[0].product(&x[1].broadcast_to(&[2, 4, 2])));
    check(&[&[2, 3, 4], &[2, 4]], (-1.0, 1.0), |x| x[0].product(&x[1].permute_to(&[1, 0]).broadcast_to(&[2, 4, 2])));
    check(&[&[3, 4], &[2, 4]], (-1.0, 1.0), |x| x[0].product(&x[1].permute_to(&[1, 0])));
    check(&[&[4, 3], &[2, 4]], (-1.0, 1.0), |x| x[0].permute_to(&[1, 0]).product(&x[1].permute_to(&[1, 0])));
    check(&[&[2, 2, 1, 3], &[1, 2, 3, 2]], (-1.0, 1.0), |x| x[0].product(&x[1].broadcast_to(&[2, 2, 3, 2])));
    check(&[&[3, 3]], (-1.0, 1.0), |x| x[0].product(&x[0]));
}

#[test]
fn convolutions_are_each_others_gradients() {
    let geometry = |groups: usize, input: &[usize], taps: &[usize], stride: usize, padding: usize, dilation: usize| {
        let out = |(size, tap): (&usize, &usize)| (size + 2 * padding - dilation * (tap - 1) - 1) / stride + 1;
        let n = input.len();
        ConvGeometry {
            batch: 2,
            c_in: 2 * groups,
            c_out: groups,
            groups,
            input: input.to_vec(),
            taps: taps.to_vec(),
            output: input.iter().zip(taps).map(out).collect(),
            stride: vec![stride; n],
            padding: vec![padding; n],
            dilation: vec![dilation; n],
        }
    };
    let all = [
        geometry(1, &[5], &[3], 1, 0, 1),
        geometry(2, &[6], &[2], 2, 1, 2),
        geometry(1, &[4, 3], &[2, 3], 1, 1, 1),
        geometry(2, &[4, 5], &[3, 2], 2, 1, 1),
        geometry(1, &[3, 2, 3], &[2, 2, 1], 2, 1, 1),
    ];
    for g in all {
        let (x, w, y) = (g.x_shape(), g.w_shape(), g.y_shape());
        check(&[&x, &w], (-1.0, 1.0), |t| t[0].convolve(&t[1], ConvKind::Forward, g.clone()));
        check(&[&y, &w], (-1.0, 1.0), |t| t[0].convolve(&t[1], ConvKind::InputGradient, g.clone()));
        check(&[&x, &y], (-1.0, 1.0), |t| t[0].convolve(&t[1], ConvKind::WeightGradient, g.clone()));
    }
}

#[test]
fn parts_of_one_tensor_are_joined() {
    let part = |x: &Tensor, from: usize, to: usize| x.slice_to(&[(0, 2), (from, to)]);
    let sum = |a: &Tensor, b: &Tensor| a.binary(Binary::Mul, b);
    check(&[&[2, 6]], (-1.0, 1.0), |x| sum(&part(&x[0], 0, 2), &part(&x[0], 3, 5)));
    check(&[&[2, 6]], (-1.0, 1.0), |x| sum(&part(&x[0], 0, 3), &part(&x[0], 2, 5)));
    check(&[&[2, 6]], (-1.0, 1.0), |x| sum(&part(&x[0], 4, 6), &x[0].slice_to(&[(0, 1), (0, 2)])));
    check(&[&[2, 6]], (-1.0, 1.0), |x| sum(&sum(&part(&x[0], 0, 6), &x[0]), &x[0]));
}

#[test]
fn targets_between_others_and_the_result_itself() {
    let x = leaf(&[2.0], &[]);
    let y = x.binary(Binary::Mul, &x);
    let z = y.binary(Binary::Mul, &y.full_like(3.0));
    let found = values_with(&z.gradients(&[&x, &y, &z, &x]), &[]).expect("store");
    assert_eq!(found, [[12.0], [3.0], [1.0], [12.0]]);
}

#[test]
fn a_rule_replaces_the_gradient_of_its_composition() {
    let cube = |x: &Tensor| {
        let y = x.binary(Binary::Mul, x).binary(Binary::Mul, x);
        let kept = x.clone();
        y.with_gradient("cube", &[x], move |dy, _| {
            vec![dy.binary(Binary::Mul, &kept.binary(Binary::Mul, &kept)).binary(Binary::Mul, &dy.full_like(3.0))]
        })
    };
    check(&[&[4]], (-1.0, 1.0), |x| cube(&x[0]));
    check(&[&[4]], (-1.0, 1.0), |x| cube(&cube(&x[0])).binary(Binary::Mul, &x[0]));
}

#[test]
#[should_panic(expected = "gradients: the loss does not depend on parameter 'w'")]
fn an_unused_parameter_is_an_error() {
    let x = leaf(&[2.0], &[1]);
    let w = Var::new("w", &leaf(&[1.0], &[1]));
    let _ = x.reduce(Reduction::Sum, &[0]).gradients(&[&w]);
}

#[test]
#[should_panic(expected = "only through 'argmax'")]
fn a_cut_path_is_an_error() {
    let x = leaf(&[2.0, 1.0], &[2]);
    let _ = x.arg_reduce(Extremum::Max, 0).cast(DType::F64).gradients(&[&x]);
}

#[test]
#[should_panic(expected = "only through 'detach'")]
fn a_detached_path_is_an_error() {
    let x = leaf(&[2.0], &[]);
    let _ = x.detach().binary(Binary::Mul, &leaf(&[1.0], &[])).gradients(&[&x]);
}

#[test]
fn a_linear_layer_has_one_product_per_gradient_and_a_sum() {
    let (x, w, b) = (leaf(&[0.5; 12], &[3, 4]), leaf(&[0.5; 8], &[2, 4]), leaf(&[0.5; 2], &[2]));
    let y = x.product(&w.permute_to(&[1, 0])).binary(Binary::Add, &b);
    let gradients = y.reduce(Reduction::Sum, &[0, 1]).gradients(&[&w, &b]);
    let graph = crate::graph::linearize(&gradients, &[], None).graph;
    let mut live = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|&i| live[i] = true);
    for (i, node) in graph.nodes.iter().enumerate().rev().filter(|(_, n)| !n.inputs.is_empty()) {
        node.inputs.iter().for_each(|&input| live[input] |= live[i]);
    }
    let mut names = Vec::new();
    for (node, _) in graph.nodes.iter().zip(&live).filter(|(_, live)| **live) {
        names.push(node.op.name());
    }
    // The bias' gradient is the constant 3; the weight's lies as the weight does, without a transposed copy.
    names.sort();
    assert_eq!(names, ["constant", "constant", "input", "matmul"]);
    assert!(crate::verify::verify(&graph).is_ok());
}
