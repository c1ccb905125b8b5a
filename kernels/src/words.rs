//! How types, numbers and scalar maps are spelled in WGSL.
//!
//! f16 is a storage type only: values of f16 registers are f32 and are rounded when stored or cast.

use anygrad_core::DType;
use anygrad_core::kernel::Reduction;
use anygrad_core::scalar::{Binary, Unary};

/// The type that a buffer holds.
pub(crate) fn stored(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "f32",
        DType::F16 => "f16",
        DType::I32 => "i32",
        DType::U32 | DType::Bool => "u32",
    }
}

/// The type that a register holds.
pub(crate) fn held(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F16 | DType::F64 => "f32",
        DType::I32 => "i32",
        DType::U32 => "u32",
        DType::Bool => "bool",
    }
}

/// `x`, which is exact for `dtype`, as an expression.
pub(crate) fn literal(dtype: DType, x: f64) -> String {
    let x = dtype.round(x);
    match dtype {
        DType::Bool => (x != 0.0).to_string(),
        DType::U32 => format!("{}u", x as u32),
        DType::I32 if x as i32 == i32::MIN => "(-2147483647 - 1)".to_string(),
        DType::I32 => format!("i32({})", x as i32),
        // Infinities, NaN and numbers below the normal range cannot be written; the call keeps them out of constant
        // evaluation.
        _ if !x.is_finite()
            || (x as f32 != 0.0 && (x as f32).abs() < f32::MIN_POSITIVE)
            || (x == 0.0 && x.is_sign_negative()) =>
        {
            format!("from_bits({:#x}u)", (x as f32).to_bits())
        }
        _ => format!("f32({:?})", x as f32),
    }
}

/// A map of the value `x` of type `dtype`.
pub(crate) fn unary(op: Unary, dtype: DType, x: &str) -> String {
    let call = |name: &str| format!("{name}({x})");
    match op {
        Unary::Neg if dtype == DType::U32 => format!("(0u - {x})"),
        Unary::Neg => format!("-({x})"),
        Unary::Abs => call("abs"),
        Unary::Sign if dtype == DType::I32 => call("sign"),
        Unary::Sign if dtype == DType::U32 => format!("min({x}, 1u)"),
        Unary::Sign => call("sign_of"),
        Unary::Recip => format!("(1.0 / {x})"),
        Unary::Sqrt => call("sqrt"),
        Unary::Exp => call("exp_of"),
        Unary::ExpM1 => call("exp_minus_one"),
        Unary::Ln => call("ln_of"),
        Unary::Ln1p => call("ln_one_plus"),
        Unary::Sin => call("sin_of"),
        Unary::Cos => call("cos_of"),
        Unary::Atan => call("atan_of"),
        Unary::Tanh => call("tanh_of"),
        Unary::Erf => call("erf_of"),
        Unary::Floor => call("floor"),
        Unary::Ceil => call("ceil"),
        Unary::Round => call("round"),
        Unary::Trunc => call("trunc"),
        Unary::IsNan => call("is_nan"),
        Unary::Not if dtype == DType::Bool => format!("!({x})"),
        Unary::Not => format!("~({x})"),
    }
}

/// A map of the values `x` and `y` of type `dtype`.
pub(crate) fn binary(op: Binary, dtype: DType, x: &str, y: &str) -> String {
    let infix = |sign: &str| format!("({x} {sign} {y})");
    let call = |name: &str| format!("{name}({x}, {y})");
    match op {
        Binary::Add => infix("+"),
        Binary::Sub => infix("-"),
        Binary::Mul => infix("*"),
        Binary::Div if dtype.is_int() => call(&format!("divide_{dtype}")),
        Binary::Div => infix("/"),
        Binary::Rem if dtype.is_int() => call(&format!("remainder_{dtype}")),
        Binary::Rem => call("remainder"),
        Binary::Max if dtype.is_int() => call("max"),
        Binary::Max => call("maximum"),
        Binary::Min if dtype.is_int() => call("min"),
        Binary::Min => call("minimum"),
        Binary::Pow => call("pow_of"),
        Binary::Less => infix("<"),
        Binary::LessEqual => infix("<="),
        Binary::Equal => infix("=="),
        Binary::And if dtype == DType::Bool => infix("&"),
        Binary::Or if dtype == DType::Bool => infix("|"),
        Binary::Xor if dtype == DType::Bool => infix("!="),
        Binary::And => infix("&"),
        Binary::Or => infix("|"),
        Binary::Xor => infix("^"),
        Binary::Shl if dtype == DType::I32 => format!("({x} << (u32({y}) & 31u))"),
        Binary::Shl => format!("({x} << ({y} & 31u))"),
        Binary::Shr if dtype == DType::I32 => format!("({x} >> (u32({y}) & 31u))"),
        Binary::Shr => format!("({x} >> ({y} & 31u))"),
    }
}

/// The value `x` of type `from` as type `to`.
pub(crate) fn cast(from: DType, to: DType, x: &str) -> String {
    match (from, to) {
        _ if from == to => x.to_string(),
        (_, DType::Bool) if from.is_float() => format!("is_nonzero({x})"),
        (_, DType::Bool) => format!("({x} != {})", literal(from, 0.0)),
        (DType::Bool, _) => format!("select({}, {}, {x})", literal(to, 0.0), literal(to, 1.0)),
        (_, DType::F16) if from == DType::F32 => format!("round_to_half({x})"),
        (_, DType::F16) => format!("round_to_half(f32({x}))"),
        (_, DType::F32 | DType::F64) if from.is_float() => x.to_string(),
        (_, DType::F32 | DType::F64) => format!("f32({x})"),
        (_, DType::I32) if from.is_float() => format!("to_i32({x})"),
        (_, DType::U32) if from.is_float() => format!("to_u32({x})"),
        (_, DType::I32) => format!("bitcast<i32>({x})"),
        (_, DType::U32) => format!("bitcast<u32>({x})"),
    }
}

/// Two values of type `dtype` made one.
pub(crate) fn combine(how: Reduction, dtype: DType, x: &str, y: &str) -> String {
    if dtype == DType::Bool {
        let op = if matches!(how, Reduction::Sum | Reduction::Max) { Binary::Or } else { Binary::And };
        return binary(op, dtype, x, y);
    }
    let op = match how {
        Reduction::Sum => Binary::Add,
        Reduction::Prod => Binary::Mul,
        Reduction::Max => Binary::Max,
        Reduction::Min => Binary::Min,
    };
    binary(op, dtype, x, y)
}
