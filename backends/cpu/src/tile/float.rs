//! What the functions of `math` are made of: an f32, or a value of code that is being assembled (`crate::jit`).

use std::ops::{Add, Div, Mul, Sub};

/// An f32, also as the whole number of its bits.
pub(crate) trait Float:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// A constant.
    fn number(self, x: f32) -> Self;

    /// `self * b + c`, in one rounding where the machine has it.
    fn multiply_add(self, b: Self, c: Self) -> Self;

    /// The greater one; NaN stays.
    fn at_least(self, c: f32) -> Self;

    /// The smaller one; NaN stays.
    fn at_most(self, c: f32) -> Self;

    /// Without its sign.
    fn abs(self) -> Self;

    /// This number, which has no sign, with that one's.
    fn with_sign_of(self, x: Self) -> Self;

    /// `yes` where this is greater than `c`, else `no`.
    fn choose_greater(self, c: f32, yes: Self, no: Self) -> Self;

    /// Sum of bits as whole numbers.
    fn whole_add(self, n: u32) -> Self;

    /// Difference of bits as whole numbers.
    fn whole_subtract(self, n: Self) -> Self;

    /// Bits moved up.
    fn shift_left(self, bits: u8) -> Self;

    /// Bits as a whole number with a sign, moved down.
    fn shift_right(self, bits: u8) -> Self;
}

/// An f32 where multiply-add is one instruction, or is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32<const FUSED: bool>(pub(crate) f32);

macro_rules! operators {
    ($($trait:ident $method:ident $operator:tt),*) => {
        $(impl<const FUSED: bool> $trait for F32<FUSED> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                F32(self.0 $operator other.0)
            }
        })*
    };
}

operators!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<const FUSED: bool> Float for F32<FUSED> {
    #[inline(always)]
    fn number(self, x: f32) -> Self {
        F32(x)
    }

    #[inline(always)]
    fn multiply_add(self, b: Self, c: Self) -> Self {
        F32(if FUSED { self.0.mul_add(b.0, c.0) } else { self.0 * b.0 + c.0 })
    }

    #[inline(always)]
    fn at_least(self, c: f32) -> Self {
        F32(if self.0 < c { c } else { self.0 })
    }

    #[inline(always)]
    fn at_most(self, c: f32) -> Self {
        F32(if self.0 > c { c } else { self.0 })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        F32(self.0.abs())
    }

    #[inline(always)]
    fn with_sign_of(self, x: Self) -> Self {
        F32(self.0.copysign(x.0))
    }

    #[inline(always)]
    fn choose_greater(self, c: f32, yes: Self, no: Self) -> Self {
        F32(if self.0 > c { yes.0 } else { no.0 })
    }

    #[inline(always)]
    fn whole_add(self, n: u32) -> Self {
        F32(f32::from_bits(self.0.to_bits().wrapping_add(n)))
    }

    #[inline(always)]
    fn whole_subtract(self, n: Self) -> Self {
        F32(f32::from_bits(self.0.to_bits().wrapping_sub(n.0.to_bits())))
    }

    #[inline(always)]
    fn shift_left(self, bits: u8) -> Self {
        F32(f32::from_bits(self.0.to_bits() << bits))
    }

    #[inline(always)]
    fn shift_right(self, bits: u8) -> Self {
        F32(f32::from_bits((self.0.to_bits() as i32 >> bits) as u32))
    }
}
