//! Gradients at ties, kinks and edges against PyTorch's (see `core/tests/goldens/ties.py`).
//!
//! Two differences are chosen: `sign` of NaN is NaN here, and so is the gradient of `abs` there.

use crate::dtype::DType;
use crate::reference::values;
use crate::tensor::Tensor;
use crate::tensor::pool::PoolOptions;
use crate::testing;

fn apply(name: &str, x: &[Tensor]) -> Tensor {
    let a = &x[0];
    match name {
        "maximum" => a.maximum(&x[1]),
        "minimum" => a.minimum(&x[1]),
        "abs" => a.abs(),
        "sign" => a.sign(),
        "relu" => a.relu(),
        "relu6" => a.relu6(),
        "hardtanh" => a.hardtanh(-1.0, 1.0),
        "leaky_relu" => a.leaky_relu(0.1),
        "elu" => a.elu(1.0),
        "clamp" => a.clamp(-1.0, 2.0),
        "floor" => a.floor(),
        "ceil" => a.ceil(),
        "round" => a.round(),
        "trunc" => a.trunc(),
        "sqrt" => a.sqrt(),
        "ln" => a.ln(),
        "recip" => a.recip(),
        "pow" => a.pow(&x[1]),
        "powf 2" => a.powf(2.0),
        "powf 0" => a.powf(0.0),
        "powf 0.5" => a.powf(0.5),
        "div" => a / &x[1],
        "rem" => a % &x[1],
        "max of an axis" | "max of an axis with NaN" => a.max(0),
        "min of an axis" => a.min(0),
        "max over two axes" => a.reshape([2, 3]).max([0, 1]),
        "min over two axes" => a.reshape([2, 3]).min([0, 1]),
        "norm" => a.norm(..),
        "max_pool1d" => a.reshape([1, 1, 6]).max_pool(&PoolOptions { stride: [1], ..PoolOptions::new([3]) }),
        "sort" => a.sort(0, false).0 * Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0], &[4], a.device()),
        _ if name.starts_with("prod") => a.prod(..),
        _ => panic!("no function called '{name}'"),
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

#[test]
fn choices_are_those_of_pytorch() {
    let device = testing::device();
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/goldens/ties.txt").lines() {
        let [name, inputs, value, gradients] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a row has four columns: {line}")
        };
        let inputs: Vec<Vec<f64>> = inputs.split(';').map(numbers).collect();
        let leaves: Vec<Tensor> = inputs.iter().map(|v| Tensor::from_vec(v.clone(), &[v.len()], &device)).collect();
        let y = apply(name, &leaves);
        let mut compare = |what: &str, found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{name}");
            for (i, (f, e)) in found.iter().zip(expected).enumerate() {
                let same = f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= 1e-12 * e.abs();
                if !same {
                    let at: Vec<f64> = inputs.iter().filter_map(|v| v.get(i).copied()).collect();
                    wrong.push(format!("{name}: {what} at {at:?} is {f}, PyTorch says {e}"));
                }
            }
        };
        assert_eq!(y.dtype(), DType::F64);
        compare("value", &values(std::slice::from_ref(&y)).expect("store")[0], &numbers(value));
        let found = values(&y.gradients_with(&y.full_like(1.0), &leaves)).expect("store");
        for (k, expected) in gradients.split(';').enumerate() {
            compare(&format!("gradient {k}"), &found[k], &numbers(expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
