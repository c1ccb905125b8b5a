// Scalar functions that WGSL does not have, or that drivers compute too loosely: every result stays within a few units
// in the last place of the f64 value. Only the functions that a kernel uses are pasted into its text (see library.rs;
// blocks are separated by blank lines). Polynomials are weighted least-squares fits over the stated ranges.
// NaN is told by its bits: `x != x` is false for NaN on the Vulkan drivers tried, `!(x < y)` may become `x >= y` and
// `x - x` may become 0.

fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn from_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}

fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn is_nonzero(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) != 0u;
}

fn maximum(x: f32, y: f32) -> f32 {
  return select(y, x, (x >= y) | is_nan(x));
}

fn minimum(x: f32, y: f32) -> f32 {
  return select(y, x, (x <= y) | is_nan(x));
}

fn sign_of(x: f32) -> f32 {
  return select(select(x, -1.0, x < 0.0), 1.0, x > 0.0);
}

// x * 2^n for n in -370..370, in three steps so that results below the normal range are reached.
fn scale_by_power(x: f32, n: i32) -> f32 {
  let third = n / 3;
  let power = from_bits(u32(third + 127) << 23u);
  return x * power * power * from_bits(u32(n - 2 * third + 127) << 23u);
}

// x - n * high - n * low for a small result. `max` does nothing but keep drivers without fused multiply-adds from
// joining the two products into n * (high + low), which would undo what the parts are for.
fn minus_parts(x: f32, n: f32, high: f32, low: f32) -> f32 {
  return fma(n, -low, max(fma(n, -high, x), -16.0));
}

// x = n ln 2 + r, |r| <= 0.35; e^x = 2^n (1 + r + r^2/2 + r^3 P(r)).
fn exp_of(x: f32) -> f32 {
  let n = floor(clamp(x, -104.0, 89.0) * 1.4426950408889634 + 0.5);
  let r = minus_parts(clamp(x, -104.0, 89.0), n, 0.693115234375, 3.194618329871446e-05);
  var p = 0.00019911036361008883;
  p = fma(p, r, 0.001393419224768877);
  p = fma(p, r, 0.008333279751241207);
  p = fma(p, r, 0.04166647419333458);
  p = fma(p, r, 0.1666666716337204);
  p = fma(p * r, r * r, fma(r * r, 0.5, r)) + 1.0;
  return select(scale_by_power(p, i32(n)), x, is_nan(x));
}

// e^x for weights of a softmax, four at once, as exp_of but 0 below -87, where it would leave the normal range.
fn weight_of(x: vec4<f32>) -> vec4<f32> {
  let within = clamp(x, vec4<f32>(-87.0), vec4<f32>(88.0));
  let n = floor(within * 1.4426950408889634 + 0.5);
  let high = max(fma(n, vec4<f32>(-0.693115234375), within), vec4<f32>(-16.0));
  let r = fma(n, vec4<f32>(-3.194618329871446e-05), high);
  var p = fma(vec4<f32>(0.00019911036361008883), r, vec4<f32>(0.001393419224768877));
  p = fma(p, r, vec4<f32>(0.008333279751241207));
  p = fma(p, r, vec4<f32>(0.04166647419333458));
  p = fma(p, r, vec4<f32>(0.1666666716337204));
  p = fma(p * r, r * r, fma(r * r, vec4<f32>(0.5), r)) + 1.0;
  let value = p * bitcast<vec4<f32>>(vec4<u32>(vec4<i32>(n) + 127) << vec4<u32>(23u));
  let nan = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
  return select(select(value, vec4<f32>(), x < vec4<f32>(-87.0)), x, nan);
}

// Small |x|: x + x^2/2 + x^3 P(x), the same polynomial as exp_of.
fn exp_minus_one(x: f32) -> f32 {
  let r = clamp(x, -0.35, 0.35);
  var p = 0.00019911036361008883;
  p = fma(p, r, 0.001393419224768877);
  p = fma(p, r, 0.008333279751241207);
  p = fma(p, r, 0.04166647419333458);
  p = fma(p, r, 0.1666666716337204);
  p = fma(p * r, r * r, fma(r * r, 0.5, r));
  return select(p, exp_of(x) - 1.0, (abs(x) > 0.35) | is_nan(x));
}

// ln(1 + f) for f in sqrt(1/2) - 1 .. sqrt(2) - 1, as f - f^2/2 + f^3 P(f).
fn ln_near_one(f: f32) -> f32 {
  var p = 0.06915335357189178;
  p = fma(p, f, -0.11789792776107788);
  p = fma(p, f, 0.11872982978820801);
  p = fma(p, f, -0.12384351342916489);
  p = fma(p, f, 0.14218658208847046);
  p = fma(p, f, -0.16669251024723053);
  p = fma(p, f, 0.20002226531505585);
  p = fma(p, f, -0.24999986588954926);
  p = fma(p, f, 0.3333331048488617);
  return fma(p * f, f * f, fma(f * f, -0.5, f));
}

fn ln_of(x: f32) -> f32 {
  let tiny = x < 1.1754943508222875e-38;
  let bits = bitcast<u32>(select(x, x * 8388608.0, tiny));
  // 0x3f3504f3 are the bits of sqrt(1/2): the exponent of the mantissa's range sqrt(1/2)..sqrt(2).
  let e = bitcast<i32>(bits - 0x3f3504f3u) >> 23u;
  let n = f32(e - select(0, 23, tiny));
  let f = from_bits(bits - (bitcast<u32>(e) << 23u)) - 1.0;
  let value = fma(n, 0.693115234375, fma(n, 3.194618329871446e-05, ln_near_one(f)));
  let top = bitcast<u32>(x);
  if (top == 0u || top == 0x80000000u) {
    return from_bits(0xff800000u);
  }
  if (top >= 0x7f800000u) {
    return select(from_bits(0x7fc00000u), x, top == 0x7f800000u);
  }
  return value;
}

fn ln_one_plus(x: f32) -> f32 {
  let small = (x > -0.29) & (x < 0.41);
  return select(ln_of(1.0 + x), ln_near_one(select(0.0, x, small)), small);
}

// Sine of n quarter turns + r, |r| <= pi/4.
fn sine_of_quarter(r: f32, quarter: i32) -> f32 {
  let s = r * r;
  var p = 2.7183114070794545e-06;
  p = fma(p, s, -0.0001983933470910415);
  p = fma(p, s, 0.008333329111337662);
  p = fma(p, s, -0.1666666716337204);
  let sine = fma(p * s, r, r);
  var q = 2.4438448235741816e-05;
  q = fma(q, s, -0.001388736767694354);
  q = fma(q, s, 0.04166664555668831);
  let cosine = fma(q * s, s, fma(s, -0.5, 1.0));
  let value = select(sine, cosine, (quarter & 1) == 1);
  return select(value, -value, (quarter & 2) == 2);
}

// x - n pi/2 with pi/2 in three parts; exact enough for |x| up to about 1e5.
fn quarter_remainder(x: f32, n: f32) -> f32 {
  return fma(n, -7.549790126404332e-08, max(minus_parts(x, n, 1.5703125, 0.0004837512969970703), -16.0));
}

fn sin_of(x: f32) -> f32 {
  let n = round(clamp(x, -1e9, 1e9) * 0.6366197723675814);
  return select(sine_of_quarter(quarter_remainder(x, n), i32(n)), from_bits(0x7fc00000u), !is_finite(x));
}

fn cos_of(x: f32) -> f32 {
  let n = round(clamp(x, -1e9, 1e9) * 0.6366197723675814);
  return select(sine_of_quarter(quarter_remainder(x, n), i32(n) + 1), from_bits(0x7fc00000u), !is_finite(x));
}

// |x| > tan(3 pi/8): pi/2 - atan(1/x); |x| > tan(pi/8): pi/4 + atan((x - 1) / (x + 1)).
fn atan_of(x: f32) -> f32 {
  let a = abs(x);
  let large = a > 2.414213562373095;
  let middle = a > 0.41421356237309503;
  let t = select(select(a, (a - 1.0) / (a + 1.0), middle), -1.0 / a, large);
  let base = select(select(0.0, 0.7853981633974483, middle), 1.5707963267948966, large);
  let s = t * t;
  var p = -0.060834404081106186;
  p = fma(p, s, 0.10595995932817459);
  p = fma(p, s, -0.14243848621845245);
  p = fma(p, s, 0.19998489320278168);
  p = fma(p, s, -0.33333316445350647);
  let value = base + fma(p * s, t, t);
  return select(select(value, -value, x < 0.0), x, is_nan(x) | (a == 0.0));
}

fn tanh_of(x: f32) -> f32 {
  let a = abs(x);
  let s = min(a * a, 0.36);
  var p = 0.00223105913028121;
  p = fma(p, s, -0.008267085067927837);
  p = fma(p, s, 0.021734436973929405);
  p = fma(p, s, -0.053952474147081375);
  p = fma(p, s, 0.13333247601985931);
  p = fma(p, s, -0.3333333134651184);
  // 1 - 2 / (e^2a + 1); from a = 10 on the result is 1.
  let far = 1.0 - 2.0 / (exp_of(2.0 * min(a, 10.0)) + 1.0);
  let value = select(fma(p * s, x, x), select(far, -far, x < 0.0), a >= 0.6);
  return select(value, x, is_nan(x));
}

// |x| < 1: x P(x^2); else 1 - exp(-Q(|x|)), Q fitted to -ln(erfc).
fn erf_of(x: f32) -> f32 {
  let a = abs(x);
  let s = min(a * a, 1.0);
  var p = -9.641514225222636e-06;
  p = fma(p, s, 0.0001125694761867635);
  p = fma(p, s, -0.0008482828852720559);
  p = fma(p, s, 0.005220945458859205);
  p = fma(p, s, -0.0268654003739357);
  p = fma(p, s, 0.11283782124519348);
  p = fma(p, s, -0.37612637877464294);
  p = fma(p, s, 1.128379225730896);
  let t = min(a, 4.0);
  var q = -2.1208414580087265e-07;
  q = fma(q, t, 2.4754219339229167e-05);
  q = fma(q, t, -0.0004603577544912696);
  q = fma(q, t, 0.004270636010915041);
  q = fma(q, t, -0.025348924100399017);
  q = fma(q, t, 0.10860659927129745);
  q = fma(q, t, 0.6330657601356506);
  q = fma(q, t, 1.1296494007110596);
  q = fma(q, t, -0.00020206545013934374);
  let far = 1.0 - exp_of(-q);
  let value = select(p * x, select(far, -far, x < 0.0), a >= 1.0);
  return select(value, x, is_nan(x));
}

// a^y for a > 0 as 2^(y n) m^y with a = 2^n m. The first 12 bits of y times n are exact, so that the error is that of
// y ln m and does not grow with n.
fn pow_of_parts(a: f32, y: f32) -> f32 {
  if (!is_finite(a) || abs(y) > 1e6) {
    return exp_of(y * ln_of(a));
  }
  let tiny = a < 1.1754943508222875e-38;
  let bits = bitcast<u32>(select(a, a * 8388608.0, tiny));
  let e = bitcast<i32>(bits - 0x3f3504f3u) >> 23u;
  let n = f32(e - select(0, 23, tiny));
  let m = from_bits(bits - (bitcast<u32>(e) << 23u)) - 1.0;
  let head = from_bits(bitcast<u32>(y) & 0xfffff000u);
  let whole = round(clamp(head * n, -370.0, 370.0));
  let rest = fma(y - head, n, clamp(head * n, -370.0, 370.0) - whole);
  return scale_by_power(exp_of(fma(y, ln_near_one(m), rest * 0.6931471805599453)), i32(whole));
}

// C's rules: x^0 = 1, 1^y = 1, a negative base takes integer exponents only.
fn pow_of(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) {
    return 1.0;
  }
  if (is_nan(x) || is_nan(y)) {
    return from_bits(0x7fc00000u);
  }
  let a = abs(x);
  let whole = floor(y) == y;
  let odd = whole & (abs(y) < 16777216.0) & ((i32(clamp(y, -16777216.0, 16777216.0)) & 1) == 1);
  var value = 0.0;
  if (whole && abs(y) <= 64.0) {
    // By squaring: few roundings for the exponents that models use.
    var n = u32(abs(y));
    var square = a;
    value = 1.0;
    for (var i = 0u; i < 7u; i++) {
      if ((n & 1u) == 1u) {
        value *= square;
      }
      square *= square;
      n = n >> 1u;
    }
    if (y < 0.0) {
      value = 1.0 / value;
    }
  } else if (a == 1.0) {
    value = 1.0;
  } else if (a == 0.0) {
    value = select(0.0, from_bits(0x7f800000u), y < 0.0);
  } else if (y == 0.5) {
    value = sqrt(a);
  } else {
    value = pow_of_parts(a, y);
  }
  let negative = (bitcast<u32>(x) & 0x80000000u) != 0u;
  if (negative && !whole && a != 0.0 && a < from_bits(0x7f800000u)) {
    return from_bits(0x7fc00000u);
  }
  return select(value, -value, negative && odd);
}

// C's fmod: the sign of x; quotients up to 2^24 are exact.
fn remainder(x: f32, y: f32) -> f32 {
  let a = abs(x);
  let b = abs(y);
  if (!is_finite(x) || b == 0.0 || is_nan(y)) {
    return from_bits(0x7fc00000u);
  }
  if (a < b) {
    return x;
  }
  var r = fma(-trunc(a / b), b, a);
  r = select(r, r + b, r < 0.0);
  r = select(r, r - b, r >= b);
  return select(r, -r, (bitcast<u32>(x) & 0x80000000u) != 0u);
}

// Division by 0 gives 0; by -1 it is a negation, which wraps where the hardware's division would overflow.
fn divide_i32(x: i32, y: i32) -> i32 {
  let safe = select(y, 1, (y == 0) | (y == -1));
  return select(select(x / safe, 0 - x, y == -1), 0, y == 0);
}

fn divide_u32(x: u32, y: u32) -> u32 {
  return select(x / select(y, 1u, y == 0u), 0u, y == 0u);
}

fn remainder_i32(x: i32, y: i32) -> i32 {
  return select(x % select(y, 1, (y == 0) | (y == -1)), 0, (y == 0) | (y == -1));
}

fn remainder_u32(x: u32, y: u32) -> u32 {
  return select(x % select(y, 1u, y == 0u), 0u, y == 0u);
}

fn to_i32(x: f32) -> i32 {
  let inside = i32(clamp(select(x, 0.0, is_nan(x)), -2147483600.0, 2147483500.0));
  let least = -2147483647 - 1;
  return select(select(inside, 2147483647, x >= 2147483600.0), least, x <= -2147483600.0);
}

fn to_u32(x: f32) -> u32 {
  let inside = u32(clamp(select(x, 0.0, is_nan(x)), 0.0, 4294967000.0));
  return select(inside, 4294967295u, x >= 4294967200.0);
}

fn high_word(x: u32, y: u32) -> u32 {
  let low = (x & 0xffffu) * (y & 0xffffu);
  let middle = (x >> 16u) * (y & 0xffffu) + (low >> 16u);
  let other = (x & 0xffffu) * (y >> 16u) + (middle & 0xffffu);
  return (x >> 16u) * (y >> 16u) + (middle >> 16u) + (other >> 16u);
}

// Philox 4x32-10. Source: Salmon and others, "Parallel random numbers: as easy as 1, 2, 3" (2011).
fn philox(element: u32, stream: u32, state: vec4<u32>) -> u32 {
  var c = vec4<u32>(element / 4u, stream, state.z, state.w);
  var k = state.xy;
  for (var i = 0u; i < 10u; i++) {
    let h0 = high_word(c.x, 0xD2511F53u);
    let h1 = high_word(c.z, 0xCD9E8D57u);
    c = vec4<u32>(h1 ^ c.y ^ k.x, c.z * 0xCD9E8D57u, h0 ^ c.w ^ k.y, c.x * 0xD2511F53u);
    k = k + vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
  }
  let low = select(c.x, c.y, (element & 1u) == 1u);
  let high = select(c.z, c.w, (element & 1u) == 1u);
  return select(low, high, (element & 2u) == 2u);
}

// Nearest f16 value, halves to even; too large becomes infinite. In integers, so that it needs no f16 type.
fn round_to_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x) & 0x7fffffffu;
  let sign = bitcast<u32>(x) & 0x80000000u;
  // Below 2^-14 the spacing is 2^-24: adding and removing 0.5 rounds there (in f32, 0.5 has that spacing).
  let small = from_bits(bits) + 0.5;
  let tiny = f32(bitcast<u32>(small) - 0x3f000000u) * 5.9604644775390625e-08;
  let rounded = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  let large = select(rounded, 0x7f800000u, rounded >= 0x47800000u);
  let value = select(large, bitcast<u32>(tiny), bits < 0x38800000u);
  return from_bits(select(value, bits, bits >= 0x7f800000u) | sign);
}

// A u32 that orders like x, with NaN above all and -0 equal to 0.
fn order_f32(x: f32) -> u32 {
  let bits = bitcast<u32>(select(x, 0.0, x == 0.0));
  let key = select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
  return select(key, 0xffffffffu, is_nan(x));
}

fn order_i32(x: i32) -> u32 {
  return bitcast<u32>(x) ^ 0x80000000u;
}

fn order_u32(x: u32) -> u32 {
  return x;
}

// The reverse order, still with NaN above all.
fn reverse_order_f32(x: f32) -> u32 {
  return select(~order_f32(x), 0xffffffffu, is_nan(x));
}

fn reverse_order_i32(x: i32) -> u32 {
  return ~order_i32(x);
}

fn reverse_order_u32(x: u32) -> u32 {
  return ~x;
}

// Two pairs of f32, the first of each in the lower half.
fn four_floats(x: vec2<u64>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(u32(x.x), u32(x.x >> 32u), u32(x.y), u32(x.y >> 32u)));
}
