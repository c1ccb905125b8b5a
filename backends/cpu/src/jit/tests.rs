//! Assembled bodies against the same computation in plain Rust, bit for bit.

use super::{Body, Comparison, Line, Two, Value, assemble, fits, is_here};
use crate::tile::float::{F32, Float};
use crate::tile::math;

/// Numbers of all kinds.
const NUMBERS: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.3,
    -7.25,
    1e-40,
    -3e38,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    88.1,
    -103.9,
    2.5,
    -2.5,
    1e6,
];

fn lanes(n: usize, step: usize) -> Vec<f32> {
    (0..n).map(|i| NUMBERS[(i * step + step) % NUMBERS.len()] * if i % 3 == 0 { 1.0 } else { 0.7 }).collect()
}

/// Holds a body of two inputs (pointers 0 and 1) and one output (2) against `expected`, for lengths with and without a rest.
fn check(name: &str, body: impl Fn(&mut Body, Value, Value) -> Value, expected: impl Fn(f32, f32) -> f32) {
    if !is_here() {
        return;
    }
    let mut lines = Body::default();
    let (x, y) = (lines.line(Line::Load(0)), lines.line(Line::Load(1)));
    let result = body(&mut lines, x, y);
    lines.stores.push((result, 2));
    let code = assemble(&[lines]).expect("code").remove(0);
    for n in [0, 1, 7, 8, 9, 31, 32, 40, 133] {
        let (mut x, mut y, mut out) = (lanes(n, 1), lanes(n, 5), vec![123.0_f32; n + 8]);
        let table = [x.as_mut_ptr().cast::<u8>(), y.as_mut_ptr().cast(), out.as_mut_ptr().cast()];
        // SAFETY: the three pointers of the body, each to `n` lanes.
        unsafe { code.run(table.as_ptr(), n) };
        for i in 0..n {
            let (found, wanted) = (out[i], expected(x[i], y[i]));
            let same = found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan();
            assert!(same, "{name} of {} and {}: {found}, not {wanted}", x[i], y[i]);
        }
        assert!(out[n..].iter().all(|&x| x == 123.0), "{name}: wrote behind {n} lanes");
    }
}

fn truth(mask: bool) -> f32 {
    f32::from_bits(if mask { u32::MAX } else { 0 })
}

#[test]
fn every_line_is_right() {
    let bits = |f: fn(u32, u32) -> u32| move |x: f32, y: f32| f32::from_bits(f(x.to_bits(), y.to_bits()));
    let twos: [(Two, &dyn Fn(f32, f32) -> f32); 12] = [
        (Two::Add, &|x, y| x + y),
        (Two::Subtract, &|x, y| x - y),
        (Two::Multiply, &|x, y| x * y),
        (Two::Divide, &|x, y| x / y),
        (Two::And, &bits(|x, y| x & y)),
        (Two::AndNot, &bits(|x, y| !x & y)),
        (Two::Or, &bits(|x, y| x | y)),
        (Two::Xor, &bits(|x, y| x ^ y)),
        (Two::Largest, &|x, y| if x > y { x } else { y }),
        (Two::Smallest, &|x, y| if x < y { x } else { y }),
        (Two::AddWhole, &bits(u32::wrapping_add)),
        (Two::SubtractWhole, &bits(u32::wrapping_sub)),
    ];
    for (two, expected) in twos {
        check(&format!("{two:?}"), |body, x, y| body.two(two, x, y), expected);
    }
    let comparisons: [(Comparison, &dyn Fn(f32, f32) -> bool); 6] = [
        (Comparison::Less, &|x, y| x < y),
        (Comparison::LessEqual, &|x, y| x <= y),
        (Comparison::Equal, &|x, y| x == y),
        (Comparison::GreaterEqual, &|x, y| x >= y),
        (Comparison::Greater, &|x, y| x > y),
        (Comparison::Unordered, &|x, y| x.is_nan() || y.is_nan()),
    ];
    for (how, expected) in comparisons {
        let name = format!("{how:?}");
        check(&name, |body, x, y| body.line(Line::Compare(how, x, y)), |x, y| truth(expected(x, y)));
        let choose = |body: &mut Body, x, y| {
            let mask = body.line(Line::Compare(how, x, y));
            body.line(Line::Choose(mask, y, x))
        };
        check(&name, choose, |x, y| if expected(x, y) { y } else { x });
    }
    check("same", |body, x, y| body.line(Line::Same(x, y)), |x, y| truth(x.to_bits() == y.to_bits()));
    check("root", |body, x, _| body.line(Line::Root(x)), |x, _| x.sqrt());
    check("to nearest", |body, x, _| body.line(Line::Round(8, x)), |x, _| x.round_ties_even());
    check("down", |body, x, _| body.line(Line::Round(9, x)), |x, _| x.floor());
    check("up", |body, x, _| body.line(Line::Round(10, x)), |x, _| x.ceil());
    check("towards 0", |body, x, _| body.line(Line::Round(11, x)), |x, _| x.trunc());
    let shifted = |f: fn(u32) -> u32| move |x: f32, _: f32| f32::from_bits(f(x.to_bits()));
    check("left", |body, x, _| body.line(Line::ShiftLeft(3, x)), shifted(|x| x << 3));
    check("right", |body, x, _| body.line(Line::ShiftRight(3, x)), shifted(|x| (x as i32 >> 3) as u32));
}

#[test]
fn multiply_add_takes_operands_from_anywhere() {
    // Each of the three from memory, from the pool, in a register that is needed later or is not, and twice the same.
    check("loads", |body, x, y| body.line(Line::MultiplyAdd(x, y, x)), |x, y| x.mul_add(y, x));
    check("square", |body, x, y| body.line(Line::MultiplyAdd(y, y, x)), |x, y| y.mul_add(y, x));
    let constants = |body: &mut Body, x, y| {
        let (a, b) = (body.number(0.5), body.number(-3.0));
        let first = body.line(Line::MultiplyAdd(a, x, b));
        let second = body.line(Line::MultiplyAdd(first, y, b));
        let third = body.line(Line::MultiplyAdd(a, second, first));
        let fourth = body.line(Line::MultiplyAdd(third, third, third));
        let fifth = body.line(Line::MultiplyAdd(x, fourth, third));
        body.two(Two::Subtract, fifth, fourth)
    };
    check("constants", constants, |x, y| {
        let first = 0.5_f32.mul_add(x, -3.0);
        let third = 0.5_f32.mul_add(first.mul_add(y, -3.0), first);
        let fourth = third.mul_add(third, third);
        x.mul_add(fourth, third) - fourth
    });
}

#[test]
fn functions_give_the_bits_of_the_interpreter() {
    let plain = |f: fn(F32<true>) -> F32<true>| move |x: f32, _: f32| f(F32(x)).0;
    check("exp", |body, x, _| body.trace(x, |x| math::exp(x)), plain(math::exp));
    check("tanh", |body, x, _| body.trace(x, |x| math::tanh(x)), plain(math::tanh));
    check("erf", |body, x, _| body.trace(x, |x| math::erf(x)), plain(math::erf));
    let both = |body: &mut Body, x, y| {
        let (a, b) = (body.trace(x, |x| math::exp(x)), body.trace(y, |y| math::erf(y)));
        body.two(Two::Add, a, b)
    };
    check("two of them", both, |x, y| math::exp(F32::<true>(x)).0 + math::erf(F32::<true>(y)).0);
    check("at least", |body, x, _| body.trace(x, |x| x.at_least(-1.0)), |x, _| if x < -1.0 { -1.0 } else { x });
}

#[test]
fn what_is_added_may_have_been_given_up_and_end_here() {
    // y is loaded for the first line, gives its register to the products, and is loaded again for its last use.
    let body = |body: &mut Body, x, y| {
        let sum = body.two(Two::Add, y, x);
        let product = many(body, x, 11);
        let (a, b) = (body.two(Two::Add, product, sum), body.two(Two::Subtract, product, sum));
        let result = body.line(Line::MultiplyAdd(a, b, y));
        let result = body.two(Two::Subtract, result, a);
        body.two(Two::Subtract, result, b)
    };
    check("added", body, |x, y| {
        let product = (2..=11).rev().fold(x + 1.0, |product, i| product * (x + i as f32));
        let (a, b) = (product + (y + x), product - (y + x));
        a.mul_add(b, y) - a - b
    });
}

/// `x + 1`, `x + 2`, .., all needed at the end.
fn many(body: &mut Body, x: Value, count: usize) -> Value {
    let values: Vec<Value> = (1..=count)
        .map(|i| {
            let c = body.number(i as f32);
            body.two(Two::Add, x, c)
        })
        .collect();
    let first = values[0];
    values[1..].iter().rev().fold(first, |sum, &value| body.two(Two::Multiply, sum, value))
}

#[test]
fn too_many_values_do_not_fit() {
    let expected = |count: usize| move |x: f32, _: f32| (2..=count).rev().fold(x + 1.0, |sum, i| sum * (x + i as f32));
    check("ten values", |body, x, _| many(body, x, 10), expected(10));
    check("twelve values", |body, x, _| many(body, x, 12), expected(12));
    let mut body = Body::default();
    let x = body.line(Line::Load(0));
    let result = many(&mut body, x, 13);
    body.stores.push((result, 1));
    assert!(!fits(&body));
}

#[test]
fn results_may_lie_where_inputs_lay() {
    if !is_here() {
        return;
    }
    let mut body = Body::default();
    let (x, y) = (body.line(Line::Load(3)), body.line(Line::Load(1)));
    let (sum, difference) = (body.two(Two::Add, x, y), body.two(Two::Subtract, x, y));
    body.stores = vec![(sum, 3), (difference, 1)];
    let code = assemble(&[body]).expect("code").remove(0);
    let (mut x, mut y) = ([5.0_f32; 11], [2.0_f32; 11]);
    let table = [std::ptr::null_mut(), y.as_mut_ptr().cast::<u8>(), std::ptr::null_mut(), x.as_mut_ptr().cast()];
    // SAFETY: the pointers that the body uses.
    unsafe { code.run(table.as_ptr(), 11) };
    assert_eq!((x, y), ([7.0; 11], [3.0; 11]));
}
