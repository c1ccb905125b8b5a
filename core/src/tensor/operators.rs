//! Operators: `+ - * / %` and `& | ^` between tensors, references to them, and numbers; `-x` and `!x`.
//!
//! Shapes broadcast as in NumPy: aligned at the last axis, sizes equal or 1. Element types must be equal; a number takes
//! the type of the tensor it meets. Integer division and remainder by zero give 0. `&`, `|`, `^` and `!` are logical for
//! bool and bitwise for integers.
//!
//! On the left stand `f64` and `i32` only, what literals are: with `f32` as a third, `(1.0 - &x).sqrt()` would not compile,
//! because Rust could not tell which type the literal has.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Sub};

use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;
use crate::tensor::arguments::{Number, Operand};

/// One operator in all its forms: a tensor or a reference with any operand, and the listed numbers with a tensor.
macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident, $($number:ty),*) => {
        impl<R: Operand> $trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                self.binary(Binary::$op, &right.to_tensor(self))
            }
        }
        impl<R: Operand> $trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                self.binary(Binary::$op, &right.to_tensor(&self))
            }
        }
        $(
            impl $trait<&Tensor> for $number {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, right: &Tensor) -> Tensor {
                    right.constant(right.shape(), self.value()).binary(Binary::$op, right)
                }
            }
            impl $trait<Tensor> for $number {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, right: Tensor) -> Tensor {
                    right.constant(right.shape(), self.value()).binary(Binary::$op, &right)
                }
            }
        )*
    };
}

operator!(Add, add, Add, f64, i32);
operator!(Sub, sub, Sub, f64, i32);
operator!(Mul, mul, Mul, f64, i32);
operator!(Div, div, Div, f64, i32);
operator!(Rem, rem, Rem, f64, i32);
operator!(BitAnd, bitand, And,);
operator!(BitOr, bitor, Or,);
operator!(BitXor, bitxor, Xor,);

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}

impl Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.unary(Unary::Not)
    }
}

impl Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.unary(Unary::Not)
    }
}
