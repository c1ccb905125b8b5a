//! Scalar functions of f32 without branches, so that loops over them become vector code of whatever width the caller
//! was compiled for. `FUSED` says whether multiply-add is one instruction there. Those that kernels call most are generic: the same
//! lines become assembled code ([`crate::jit`]).
//!
//! Errors are below 4 units in the last place over all finite inputs (see the tests), with the edges of `std`.
//! Sources: Cephes (exp, ln), fdlibm's float kernels (sin, cos), N. Juffa's minimax fits (erf near 0, atan).

use super::float::{F32, Float};

/// `a * b + c`, in one rounding where the machine has it.
#[inline(always)]
fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    F32::<FUSED>(a).multiply_add(F32(b), F32(c)).0
}

/// 2^n for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// 1.5 * 2^23: adding it leaves no bits for a fraction.
const MAGIC: f32 = 12_582_912.0;

/// Nearest integer, as a float and as an integer, for |x| < 2^22.
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    let shifted = x + MAGIC;
    (shifted - MAGIC, shifted.to_bits() as i32 - MAGIC.to_bits() as i32)
}

/// `x - n ln 2`, in two parts of ln 2.
#[inline(always)]
fn without_ln2<T: Float>(x: T, n: T) -> T {
    n.multiply_add(x.number(2.121_944_4e-4), n.multiply_add(x.number(-0.693_359_4), x))
}

/// `p * x + c` for every coefficient: a polynomial of `x`, from the highest power on.
#[inline(always)]
fn polynomial<T: Float>(x: T, highest: f32, others: &[f32]) -> T {
    others.iter().fold(x.number(highest), |p, &c| p.multiply_add(x, x.number(c)))
}

/// `(exp(r) - 1 - r) / r^2` for |r| <= ln(2) / 2.
#[inline(always)]
fn exp_tail<T: Float>(r: T) -> T {
    polynomial(r, 1.987_569_1e-4, &[1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5])
}

/// e to the power x.
#[inline(always)]
pub(crate) fn exp<T: Float>(x: T) -> T {
    let clamped = x.at_least(-104.0).at_most(89.0);
    let shifted = clamped * x.number(std::f32::consts::LOG2_E) + x.number(MAGIC);
    let (n, whole) = (shifted - x.number(MAGIC), shifted.whole_add(MAGIC.to_bits().wrapping_neg()));
    let r = without_ln2(clamped, n);
    let y = exp_tail(r).multiply_add(r * r, r) + x.number(1.0);
    // 2^n in two steps: the second one rounds into the subnormal numbers or overflows to infinity.
    let half = whole.shift_right(1);
    let power = |n: T| n.whole_add(127).shift_left(23);
    y * power(half) * power(whole.whole_subtract(half))
}

/// `exp(x) - 1`.
#[inline(always)]
pub(super) fn exp_m1<const FUSED: bool>(x: f32) -> f32 {
    let clamped = x.clamp(-20.0, 89.0);
    let (n, whole) = nearest(clamped * std::f32::consts::LOG2_E);
    let r = without_ln2(F32::<FUSED>(clamped), F32(n)).0;
    let p = fma::<FUSED>(exp_tail(F32::<FUSED>(r)).0, r * r, r);
    let scale = power_of_two(whole - 1);
    let y = 2.0 * fma::<FUSED>(scale, p, scale - 0.5);
    if x == 0.0 { x } else { y }
}

/// Natural logarithm.
#[inline(always)]
pub(super) fn ln<const FUSED: bool>(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let (scaled, shift) = if small { (x * 8_388_608.0, -23.0) } else { (x, 0.0) };
    // m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) carries into the exponent exactly there.
    let bits = (scaled.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let e = (bits >> 23) as f32 + shift;
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3) as u32) - 1.0;
    let z = f * f;
    let mut p = 7.037_683_6e-2;
    p = fma::<FUSED>(p, f, -0.115_146_1);
    p = fma::<FUSED>(p, f, 0.116_769_98);
    p = fma::<FUSED>(p, f, -0.124_201_41);
    p = fma::<FUSED>(p, f, 0.142_493_23);
    p = fma::<FUSED>(p, f, -0.166_680_58);
    p = fma::<FUSED>(p, f, 0.200_007_15);
    p = fma::<FUSED>(p, f, -0.249_999_94);
    p = fma::<FUSED>(p, f, 0.333_333_3);
    let mut y = p * f * z;
    y = fma::<FUSED>(e, -2.121_944_4e-4, y);
    y = fma::<FUSED>(z, -0.5, y);
    let y = fma::<FUSED>(e, 0.693_359_4, f + y);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// `ln(1 + x)`.
#[inline(always)]
pub(super) fn ln_1p<const FUSED: bool>(x: f32) -> f32 {
    let u = 1.0 + x;
    // What rounding took from u, brought back to first order.
    let lost = if x < 1.0 { x - (u - 1.0) } else { 1.0 - (u - x) };
    let correction = lost / u;
    let y = ln::<FUSED>(u) + if u > 0.0 && u < f32::INFINITY { correction } else { 0.0 };
    if x == 0.0 { x } else { y }
}

/// Largest |x| that the argument reduction of `sin` and `cos` takes; beyond, `std` is asked.
pub(super) const SINE_LIMIT: f32 = 1.0e6;

/// Sine (`QUARTERS` = 0) or cosine (1) for |x| <= [`SINE_LIMIT`], through f64, which holds the reduced argument.
#[inline(always)]
pub(super) fn sine<const QUARTERS: i32>(x: f32) -> f32 {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    let wide = f64::from(x);
    let shifted = wide * std::f64::consts::FRAC_2_PI + MAGIC;
    let n = shifted - MAGIC;
    let quadrant = shifted.to_bits() as i32 + QUARTERS;
    let r = wide - n * 1.570_796_310_901_641_8 - n * 1.589_325_477_352_819_7e-8;
    let z = r * r;
    let s = -0.166_666_666_416_265_24
        + z * (8.333_329_385_889_463e-3 + z * (-1.983_933_483_609_663_2e-4 + z * 2.718_311_493_989_822e-6));
    let sin = r + r * z * s;
    let c = -0.499_999_997_251_031
        + z * (4.166_662_332_373_906e-2 + z * (-1.388_676_377_460_993e-3 + z * 2.439_044_879_627_741_6e-5));
    let cos = 1.0 + z * c;
    let y = if quadrant & 1 == 0 { sin } else { cos };
    let y = if quadrant & 2 == 0 { y } else { -y } as f32;
    if QUARTERS == 0 && x == 0.0 { x } else { y }
}

/// Arc tangent.
#[inline(always)]
pub(super) fn atan<const FUSED: bool>(x: f32) -> f32 {
    let a = x.abs();
    let outside = a > 1.0;
    let t = if outside { 1.0 / a } else { a };
    let s = t * t;
    let mut p = 2.785_698_3e-3;
    p = fma::<FUSED>(p, s, -1.586_602_3e-2);
    p = fma::<FUSED>(p, s, 4.247_222e-2);
    p = fma::<FUSED>(p, s, -7.497_530_4e-2);
    p = fma::<FUSED>(p, s, 0.106_448_8);
    p = fma::<FUSED>(p, s, -0.142_070_31);
    p = fma::<FUSED>(p, s, 0.199_934_54);
    p = fma::<FUSED>(p, s, -0.333_331_47);
    let y = fma::<FUSED>(p * s, t, t);
    let y = if outside { std::f32::consts::FRAC_PI_2 - y } else { y };
    y.copysign(x)
}

/// Hyperbolic tangent: `m / (m + 2)` with `m = exp(2 |x|) - 1`, one division and no cases.
#[inline(always)]
pub(crate) fn tanh<T: Float>(x: T) -> T {
    // Beyond, the result is 1.
    let a = x.abs().at_most(9.5);
    let twice = a + a;
    let shifted = twice.multiply_add(x.number(std::f32::consts::LOG2_E), x.number(MAGIC));
    // One part of ln 2 is enough: where n is large, the result hardly depends on the remainder.
    let r = (shifted - x.number(MAGIC)).multiply_add(x.number(-std::f32::consts::LN_2), twice);
    // `(exp(r) - 1 - r) / r^2`, a minimax fit for |r| <= 0.3475 with an error of 1.4e-8 of exp(r) - 1.
    let p = polynomial(r, 1.394_667_9e-3, &[8.366_759e-3, 4.166_628e-2, 0.166_665_42, 0.5]);
    let tail = p.multiply_add(r * r, r);
    let scale = shifted.shift_left(23).whole_add(1.0_f32.to_bits());
    let m = scale.multiply_add(tail, scale - x.number(1.0));
    (m / (m + x.number(2.0))).with_sign_of(x)
}

/// The error function: a polynomial near 0; beyond, `1 - p(|x|)^-8`, where the power makes an error of `p` as small as what is
/// taken from 1.
#[inline(always)]
pub(crate) fn erf<T: Float>(x: T) -> T {
    let a = x.abs();
    let near = [4.991_194_2e-3, -2.676_813_5e-2, 0.112_819_925, -0.376_125_34, 0.128_379_17];
    let near = polynomial(x * x, -5.967_617e-4, &near).multiply_add(x, x);
    let p = [-3.377_79e-3, 1.466_241_1e-2, -2.471_528_4e-2, 6.056_537_5e-2, 6.169_471_5e-2, 0.152_969_46, 0.997_822_5];
    let inverse = x.number(1.0) / polynomial(a, 4.906_794e-4, &p);
    let square = inverse * inverse;
    let fourth = square * square;
    let far = (x.number(1.0) - fourth * fourth).with_sign_of(x);
    // NaN is not greater, and `near` is NaN there.
    a.choose_greater(0.927_734_4, far, near)
}

/// `x` to the power `y` with C's rules: the edges are many and calls are few (optimizer scalars), so `std` does it.
#[inline(always)]
pub(super) fn pow(x: f32, y: f32) -> f32 {
    x.powf(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anygrad_core::scalar;

    /// Largest error in units in the last place over floats of every exponent and both signs.
    fn worst(ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        let mut bits = 0_u32;
        while bits < 0x7f80_0000 {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let (y, z) = (ours(x), exact(f64::from(x)));
                let rounded = z as f32;
                if rounded.is_nan() || y.is_nan() || rounded.is_infinite() || y.is_infinite() {
                    assert!(
                        rounded.to_bits() == y.to_bits() || rounded.is_nan() && y.is_nan(),
                        "{x}: {y}, not {rounded}"
                    );
                    continue;
                }
                let next = f32::from_bits(rounded.abs().to_bits() + 1);
                let unit = if next.is_finite() { f64::from(next) - f64::from(rounded.abs()) } else { 2e31 };
                let error = (f64::from(y) - z).abs() / unit;
                if error > worst.0 {
                    worst = (error, x);
                }
            }
            bits += 3001;
        }
        assert!(ours(f32::NAN).is_nan());
        for x in [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0] {
            let (y, z) = (ours(x), exact(f64::from(x)) as f32);
            assert!(
                y == z && y.is_sign_negative() == z.is_sign_negative() || y.is_nan() && z.is_nan(),
                "{x}: {y}, not {z}"
            );
        }
        worst
    }

    fn each<const FUSED: bool>(f: impl Fn(F32<FUSED>) -> F32<FUSED>) -> impl Fn(f32) -> f32 {
        move |x| f(F32(x)).0
    }

    #[test]
    fn functions_are_within_four_units_in_the_last_place() {
        let sin = |x: f32| if x.abs() <= SINE_LIMIT { sine::<0>(x) } else { x.sin() };
        let cos = |x: f32| if x.abs() <= SINE_LIMIT { sine::<1>(x) } else { x.cos() };
        let found = [
            ("exp", worst(each(exp::<F32<true>>), f64::exp), worst(each(exp::<F32<false>>), f64::exp)),
            ("exp_m1", worst(exp_m1::<true>, f64::exp_m1), worst(exp_m1::<false>, f64::exp_m1)),
            ("ln", worst(ln::<true>, f64::ln), worst(ln::<false>, f64::ln)),
            ("ln_1p", worst(ln_1p::<true>, f64::ln_1p), worst(ln_1p::<false>, f64::ln_1p)),
            ("sin", worst(sin, f64::sin), worst(cos, f64::cos)),
            ("atan", worst(atan::<true>, f64::atan), worst(atan::<false>, f64::atan)),
            ("tanh", worst(each(tanh::<F32<true>>), f64::tanh), worst(each(tanh::<F32<false>>), f64::tanh)),
            ("erf", worst(each(erf::<F32<true>>), scalar::erf), worst(each(erf::<F32<false>>), scalar::erf)),
        ];
        let bad: Vec<_> = found.iter().filter(|(_, a, b)| a.0 > 4.0 || b.0 > 4.0).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}
