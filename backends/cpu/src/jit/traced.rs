//! Values that write the lines of their computation down: `tile::math` called with them gives code.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Sub};

use super::{Body, Comparison, Line, Two, Value};
use crate::tile::float::Float;

/// A value of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced<'a> {
    body: &'a RefCell<Body>,
    value: Value,
}

impl Body {
    /// Appends what `f` does with a value.
    pub(crate) fn trace(&mut self, x: Value, f: impl FnOnce(Traced<'_>) -> Traced<'_>) -> Value {
        let body = RefCell::new(std::mem::take(self));
        let value = f(Traced { body: &body, value: x }).value;
        *self = body.into_inner();
        value
    }
}

impl Traced<'_> {
    fn line(self, line: Line) -> Self {
        Traced { value: self.body.borrow_mut().line(line), ..self }
    }

    fn bits(self, bits: u32) -> Self {
        self.line(Line::Constant(bits))
    }

    fn two(self, how: Two, other: Self) -> Self {
        self.line(Line::Two(how, self.value, other.value))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $two:ident),*) => {
        $(impl $trait for Traced<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.two(Two::$two, other)
            }
        })*
    };
}

operators!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide);

impl Float for Traced<'_> {
    fn number(self, x: f32) -> Self {
        self.bits(x.to_bits())
    }

    fn multiply_add(self, b: Self, c: Self) -> Self {
        self.line(Line::MultiplyAdd(self.value, b.value, c.value))
    }

    fn at_least(self, c: f32) -> Self {
        self.number(c).two(Two::Largest, self)
    }

    fn at_most(self, c: f32) -> Self {
        self.number(c).two(Two::Smallest, self)
    }

    fn abs(self) -> Self {
        self.bits(1 << 31).two(Two::AndNot, self)
    }

    fn with_sign_of(self, x: Self) -> Self {
        self.bits(1 << 31).two(Two::And, x).two(Two::Or, self)
    }

    fn choose_greater(self, c: f32, yes: Self, no: Self) -> Self {
        let c = self.number(c);
        let mask = self.line(Line::Compare(Comparison::Greater, self.value, c.value));
        self.line(Line::Choose(mask.value, yes.value, no.value))
    }

    fn whole_add(self, n: u32) -> Self {
        self.two(Two::AddWhole, self.bits(n))
    }

    fn whole_subtract(self, n: Self) -> Self {
        self.two(Two::SubtractWhole, n)
    }

    fn shift_left(self, bits: u8) -> Self {
        self.line(Line::ShiftLeft(bits, self.value))
    }

    fn shift_right(self, bits: u8) -> Self {
        self.line(Line::ShiftRight(bits, self.value))
    }
}
