//! Derivatives of scalar maps: one exhaustive match for those of one number, one for those of two.
//!
//! Edges follow PyTorch (`derivatives.yaml` and `FunctionsManual.cpp` of its sources); NaN passes through.

use crate::op::Op;
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;

use super::rules::{mul, neg};

/// The number that `t` has everywhere, if that is plain to see.
pub(super) fn constant(t: &Tensor) -> Option<f64> {
    match &t.0.op {
        Op::Constant(value) => Some(value.0),
        op if op.is_movement() && !t.0.inputs.is_empty() => constant(&t.0.inputs[0]),
        _ => None,
    }
}

/// The gradient of `x` where `y = op(x)`.
#[track_caller]
pub(super) fn unary(op: Unary, x: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
    let (times, plus) = (Binary::Mul, Binary::Add);
    match op {
        Unary::Neg => neg(dy),
        Unary::Abs => mul(dy, &x.unary(Unary::Sign)),
        Unary::Recip => neg(&mul(dy, &y.binary(times, y))),
        Unary::Sqrt => dy.binary(Binary::Div, &y.binary(plus, y)),
        Unary::Exp => mul(dy, y),
        Unary::ExpM1 => mul(dy, &y.binary(plus, &y.full_like(1.0))),
        Unary::Ln => dy.binary(Binary::Div, x),
        Unary::Ln1p => dy.binary(Binary::Div, &x.binary(plus, &x.full_like(1.0))),
        Unary::Sin => mul(dy, &x.unary(Unary::Cos)),
        Unary::Cos => neg(&mul(dy, &x.unary(Unary::Sin))),
        Unary::Atan => dy.binary(Binary::Div, &x.binary(times, x).binary(plus, &x.full_like(1.0))),
        Unary::Tanh => mul(dy, &y.full_like(1.0).binary(Binary::Sub, &y.binary(times, y))),
        Unary::Erf => {
            let bell = neg(&x.binary(times, x)).unary(Unary::Exp);
            mul(dy, &bell.binary(times, &x.full_like(std::f64::consts::FRAC_2_SQRT_PI)))
        }
        // Flat but for jumps; `IsNan` and `Not` have no float result and are never asked.
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc | Unary::IsNan | Unary::Not => {
            x.full_like(0.0)
        }
    }
}

/// The gradients of `a` and `b` where `y = op(a, b)`, each if wanted.
#[track_caller]
pub(super) fn binary(op: Binary, [a, b, y, dy]: [&Tensor; 4], wants: &[bool]) -> [Option<Tensor>; 2] {
    let (mut da, mut db) = (None, None);
    match op {
        Binary::Add => (da, db) = (Some(dy.clone()), Some(dy.clone())),
        Binary::Sub => {
            da = Some(dy.clone());
            if wants[1] {
                db = Some(neg(dy));
            }
        }
        Binary::Mul => {
            if wants[0] {
                da = Some(mul(dy, b));
            }
            if wants[1] {
                db = Some(mul(dy, a));
            }
        }
        Binary::Div => {
            let quotient = dy.binary(Binary::Div, b);
            if wants[1] {
                db = Some(neg(&quotient.binary(Binary::Mul, y)));
            }
            da = Some(quotient);
        }
        Binary::Rem => {
            da = Some(dy.clone());
            if wants[1] {
                db = Some(neg(&mul(dy, &a.binary(Binary::Div, b).unary(Unary::Trunc))));
            }
        }
        Binary::Max | Binary::Min => {
            let tie = a.binary(Binary::Equal, b);
            let half = dy.binary(Binary::Mul, &dy.full_like(0.5));
            let share = tie.choose(&half, dy);
            let zero = dy.full_like(0.0);
            let (low, high) = if op == Binary::Max { (a, b) } else { (b, a) };
            if wants[0] {
                da = Some(low.binary(Binary::Less, high).choose(&zero, &share));
            }
            if wants[1] {
                db = Some(high.binary(Binary::Less, low).choose(&zero, &share));
            }
        }
        Binary::Pow => {
            if wants[0] {
                da = Some(base(a, b, dy));
            }
            if wants[1] {
                db = Some(exponent(a, b, y, dy));
            }
        }
        // No float results: never asked.
        Binary::Less | Binary::LessEqual | Binary::Equal | Binary::And => {}
        Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => {}
    }
    [da, db]
}

/// `dy * b * a^(b - 1)`, and 0 where `b` is 0.
#[track_caller]
fn base(a: &Tensor, b: &Tensor, dy: &Tensor) -> Tensor {
    let scaled = |power: &Tensor| power.binary(Binary::Mul, b);
    match constant(b) {
        Some(0.0) => a.full_like(0.0),
        Some(1.0) => dy.clone(),
        Some(2.0) => mul(dy, &a.binary(Binary::Add, a)),
        Some(c) => mul(dy, &scaled(&a.binary(Binary::Pow, &a.full_like(c - 1.0)))),
        None => {
            let power = a.binary(Binary::Pow, &b.binary(Binary::Sub, &b.full_like(1.0)));
            let zero = b.full_like(0.0);
            b.binary(Binary::Equal, &zero).choose(&zero, &mul(dy, &scaled(&power)))
        }
    }
}

/// `dy * a^b * ln(a)`, and 0 where `a` is 0 and `b` is not negative.
#[track_caller]
fn exponent(a: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
    let zero = a.full_like(0.0);
    let at_zero = a.binary(Binary::Equal, &zero).binary(Binary::And, &zero.binary(Binary::LessEqual, b));
    mul(dy, &at_zero.choose(&zero, &y.binary(Binary::Mul, &a.unary(Unary::Ln))))
}
