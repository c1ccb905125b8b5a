//! The one table of scalar maps: name, f64 value (the meaning), and which types each takes.
//!
//! The derivative of each stands in `grad.rs`, its WGSL spelling in `kernels`, its SIMD loop in `backends/cpu`;
//! each of these is an exhaustive `match`, so the compiler lists what a new map still needs.

use crate::dtype::DType;

/// A map of one number to one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the std or PyTorch function of that name; `apply` gives its meaning")]
pub enum Unary {
    Neg,
    Abs,
    /// -1, 0 or 1; NaN stays NaN (unlike `f32::signum`, which has no 0).
    Sign,
    Recip,
    Sqrt,
    Exp,
    ExpM1,
    Ln,
    Ln1p,
    Sin,
    Cos,
    Atan,
    Tanh,
    Erf,
    Floor,
    Ceil,
    /// To the nearest integer, halves to even (as PyTorch and WGSL do).
    Round,
    Trunc,
    /// Float to bool.
    IsNan,
    /// Logical for bool, bitwise for integers.
    Not,
}

/// A map of two numbers to one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the operator of that name; `apply` gives its meaning")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Integers: towards zero; division by zero gives 0.
    Div,
    /// The sign of the left side, like Rust's `%`; integers: by zero gives 0.
    Rem,
    /// NaN if either side is NaN, as in PyTorch.
    Max,
    /// NaN if either side is NaN, as in PyTorch.
    Min,
    /// Floats only: `x` to the power `y` with C's rules (`pow(x, 0) = 1`, negative base with integer exponent is fine).
    Pow,
    /// To bool.
    Less,
    /// To bool.
    LessEqual,
    /// To bool.
    Equal,
    /// Logical for bool, bitwise for integers.
    And,
    Or,
    Xor,
    /// Integers only; the shift is taken modulo 32.
    Shl,
    /// Integers only; the shift is taken modulo 32; arithmetic for i32.
    Shr,
}

impl Unary {
    /// Every unary map.
    pub const ALL: [Unary; 20] = {
        use Unary::*;
        [
            Neg, Abs, Sign, Recip, Sqrt, Exp, ExpM1, Ln, Ln1p, Sin, Cos, Atan, Tanh, Erf, Floor, Ceil, Round, Trunc,
            IsNan, Not,
        ]
    };

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Recip => "recip",
            Unary::Sqrt => "sqrt",
            Unary::Exp => "exp",
            Unary::ExpM1 => "expm1",
            Unary::Ln => "ln",
            Unary::Ln1p => "ln1p",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Atan => "atan",
            Unary::Tanh => "tanh",
            Unary::Erf => "erf",
            Unary::Floor => "floor",
            Unary::Ceil => "ceil",
            Unary::Round => "round",
            Unary::Trunc => "trunc",
            Unary::IsNan => "isnan",
            Unary::Not => "not",
        }
    }

    /// Whether it takes elements of `dtype`.
    #[must_use]
    pub fn takes(self, dtype: DType) -> bool {
        match self {
            Unary::Neg | Unary::Abs | Unary::Sign => dtype != DType::Bool,
            Unary::Not => !dtype.is_float(),
            _ => dtype.is_float(),
        }
    }

    /// The element type of the result.
    #[must_use]
    pub fn result(self, dtype: DType) -> DType {
        if self == Unary::IsNan { DType::Bool } else { dtype }
    }

    /// The meaning, on a value of type `dtype` held exactly in an f64.
    #[must_use]
    pub fn apply(self, dtype: DType, x: f64) -> f64 {
        match self {
            Unary::Neg if dtype == DType::I32 => f64::from((x as i32).wrapping_neg()),
            Unary::Neg if dtype == DType::U32 => f64::from((x as u32).wrapping_neg()),
            Unary::Neg => -x,
            Unary::Abs if dtype == DType::I32 => f64::from((x as i32).wrapping_abs()),
            Unary::Abs => x.abs(),
            Unary::Sign if x > 0.0 => 1.0,
            Unary::Sign if x < 0.0 => -1.0,
            Unary::Sign => x,
            Unary::Recip => 1.0 / x,
            Unary::Sqrt => x.sqrt(),
            Unary::Exp => x.exp(),
            Unary::ExpM1 => x.exp_m1(),
            Unary::Ln => x.ln(),
            Unary::Ln1p => x.ln_1p(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Atan => x.atan(),
            Unary::Tanh => x.tanh(),
            Unary::Erf => erf(x),
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
            Unary::Round => x.round_ties_even(),
            Unary::Trunc => x.trunc(),
            Unary::IsNan => f64::from(u8::from(x.is_nan())),
            Unary::Not if dtype == DType::I32 => f64::from(!(x as i32)),
            Unary::Not if dtype == DType::U32 => f64::from(!(x as u32)),
            Unary::Not => f64::from(u8::from(x == 0.0)),
        }
    }
}

impl Binary {
    /// Every binary map.
    pub const ALL: [Binary; 16] = {
        use Binary::*;
        [Add, Sub, Mul, Div, Rem, Max, Min, Pow, Less, LessEqual, Equal, And, Or, Xor, Shl, Shr]
    };

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Rem => "rem",
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::Pow => "pow",
            Binary::Less => "less",
            Binary::LessEqual => "lessequal",
            Binary::Equal => "equal",
            Binary::And => "and",
            Binary::Or => "or",
            Binary::Xor => "xor",
            Binary::Shl => "shl",
            Binary::Shr => "shr",
        }
    }

    /// Whether it takes elements of `dtype` (both sides have the same type).
    #[must_use]
    pub fn takes(self, dtype: DType) -> bool {
        match self {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => dtype != DType::Bool,
            Binary::Max | Binary::Min | Binary::Less | Binary::LessEqual => dtype != DType::Bool,
            Binary::Equal => true,
            Binary::Pow => dtype.is_float(),
            Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
            Binary::Shl | Binary::Shr => dtype.is_int(),
        }
    }

    /// The element type of the result.
    #[must_use]
    pub fn result(self, dtype: DType) -> DType {
        match self {
            Binary::Less | Binary::LessEqual | Binary::Equal => DType::Bool,
            _ => dtype,
        }
    }

    /// The meaning, on values of type `dtype` held exactly in f64s.
    #[must_use]
    pub fn apply(self, dtype: DType, x: f64, y: f64) -> f64 {
        match dtype {
            DType::I32 => self.apply_i32(x as i32, y as i32),
            DType::U32 | DType::Bool => self.apply_u32(x as u32, y as u32),
            DType::F32 | DType::F16 | DType::F64 => self.apply_float(x, y),
        }
    }

    fn apply_float(self, x: f64, y: f64) -> f64 {
        match self {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
            Binary::Div => x / y,
            Binary::Rem => x % y,
            Binary::Max if x.is_nan() || x >= y => x,
            Binary::Min if x.is_nan() || x <= y => x,
            Binary::Max | Binary::Min => y,
            Binary::Pow => x.powf(y),
            Binary::Less => f64::from(u8::from(x < y)),
            Binary::LessEqual => f64::from(u8::from(x <= y)),
            Binary::Equal => f64::from(u8::from(x == y)),
            Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => f64::NAN,
        }
    }

    fn apply_i32(self, x: i32, y: i32) -> f64 {
        f64::from(match self {
            Binary::Add => x.wrapping_add(y),
            Binary::Sub => x.wrapping_sub(y),
            Binary::Mul => x.wrapping_mul(y),
            Binary::Div if y == 0 => 0,
            Binary::Div => x.wrapping_div(y),
            Binary::Rem if y == 0 => 0,
            Binary::Rem => x.wrapping_rem(y),
            Binary::Max => x.max(y),
            Binary::Min => x.min(y),
            Binary::Less => i32::from(x < y),
            Binary::LessEqual => i32::from(x <= y),
            Binary::Equal => i32::from(x == y),
            Binary::And => x & y,
            Binary::Or => x | y,
            Binary::Xor => x ^ y,
            Binary::Shl => x.wrapping_shl(y as u32),
            Binary::Shr => x.wrapping_shr(y as u32),
            Binary::Pow => return f64::NAN,
        })
    }

    fn apply_u32(self, x: u32, y: u32) -> f64 {
        f64::from(match self {
            Binary::Add => x.wrapping_add(y),
            Binary::Sub => x.wrapping_sub(y),
            Binary::Mul => x.wrapping_mul(y),
            Binary::Div => x.checked_div(y).unwrap_or(0),
            Binary::Rem => x.checked_rem(y).unwrap_or(0),
            Binary::Max => x.max(y),
            Binary::Min => x.min(y),
            Binary::Less => u32::from(x < y),
            Binary::LessEqual => u32::from(x <= y),
            Binary::Equal => u32::from(x == y),
            Binary::And => x & y,
            Binary::Or => x | y,
            Binary::Xor => x ^ y,
            Binary::Shl => x.wrapping_shl(y),
            Binary::Shr => x.wrapping_shr(y),
            Binary::Pow => return f64::NAN,
        })
    }
}

/// The error function to about 1e-15, by its Taylor series near 0 and its continued fraction in the tails.
/// Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.6 and 7.1.14.
#[must_use]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() || x == 0.0 {
        return x;
    }
    if a > 6.0 {
        return x.signum();
    }
    if a < 2.5 {
        // erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!   (all terms positive: no cancellation)
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        return x.signum() * std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum;
    }
    // erfc(x) = exp(-x^2)/sqrt(pi) * 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))
    let mut fraction = 0.0;
    for k in (1..=60).rev() {
        fraction = (f64::from(k) / 2.0) / (a + fraction);
    }
    x.signum() * (1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / (a + fraction))
}

/// Philox 4x32-10: four random words from a 128-bit counter and a 64-bit key.
/// Source: Salmon and others, "Parallel random numbers: as easy as 1, 2, 3" (2011), the Random123 library.
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..10 {
        let p0 = u64::from(c0) * 0xD251_1F53;
        let p1 = u64::from(c2) * 0xCD9E_8D57;
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_equals_the_known_answers_of_random123() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn erf_equals_tabulated_values() {
        // NIST Digital Library of Mathematical Functions, table 7.
        for (x, y) in [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (3.0, 0.999_977_909_503_001_4)] {
            assert!((erf(x) - y).abs() < 1e-15 && (erf(-x) + y).abs() < 1e-15, "{x}: {}", erf(x));
        }
    }
}
