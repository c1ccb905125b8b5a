//! What trainers do inside of traces: steps that may be taken back, products in half precision, looking for NaNs.

use anygrad_core::testing::device;
use anygrad_core::{DType, Program, Tensor, Var, program, trace};

#[test]
fn assignments_are_kept_only_where_the_condition_holds() {
    let d = device();
    let (a, b) = (Var::new("a", &Tensor::zeros(&[3], &d)), Var::new("b", &Tensor::zeros(&[1], &d)));
    let mut program = Program::training(&d, |x: Tensor| {
        a.assign(&(a.get() + &x));
        trace::commit_if(&x.sum(..).gt(0.0));
        // Counts every run: assigned afterwards.
        b.assign(&(b.get() + 1.0));
        a.get()
    });
    let x = |v: f32| Tensor::from_vec(vec![v, 0.0, 1.0], &[3], &d);
    assert_eq!(program.run(x(2.0)).expect("runs").to_vec::<f32>().expect("numbers"), [2.0, 0.0, 1.0]);
    assert_eq!(program.run(x(-9.0)).expect("runs").to_vec::<f32>().expect("numbers"), [2.0, 0.0, 1.0]);
    assert_eq!(program.run(x(f32::NAN)).expect("runs").to_vec::<f32>().expect("numbers"), [2.0, 0.0, 1.0]);
    assert_eq!((a.get().to_vec::<f32>().expect("a"), b.get().item().expect("b")), (vec![2.0, 0.0, 1.0], 3.0));
}

#[test]
fn products_in_half_precision_round_their_operands() {
    let d = device();
    // 1 + 2^-11 is between two f16 numbers and rounds to the even one, 1; 2049 becomes 2048.
    let (x, w) =
        (Tensor::from_vec(vec![1.0f32 + 1.0 / 2048.0], &[1, 1], &d), Tensor::full(&[1, 1], 2049.0, DType::F32, &d));
    let half = trace::with_products_in(DType::F16, || x.matmul(&w));
    assert_eq!((half.dtype(), half.item().expect("a number")), (DType::F32, 2048.0));
    assert_eq!(x.matmul(&w).item().expect("a number"), f64::from((1.0f32 + 1.0 / 2048.0) * 2049.0));
    let grown = trace::with_products_in(DType::F16, || Tensor::full(&[1, 1], 300.0, DType::F32, &d).matmul(&w));
    assert_eq!(grown.item().expect("a number"), f64::INFINITY, "above 65504");
}

#[test]
fn variables_that_share_a_storage_are_read_at_once() {
    let d = device();
    let a = Var::new("a", &Tensor::from_vec(vec![1.0f32, 2.0], &[2], &d));
    let b = Var::new("b", &Tensor::from_vec(vec![3.0f32], &[1], &d));
    let all = Var::gather("all", &[b.clone(), a.clone()]).expect("gathered");
    let read = Var::read_all(&[a, all, b]).expect("read");
    let floats = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().expect("four"))).collect::<Vec<_>>()
    };
    assert_eq!(read.iter().map(|b| floats(b)).collect::<Vec<_>>(), [vec![1.0, 2.0], vec![3.0, 1.0, 2.0], vec![3.0]]);
}

#[test]
fn the_first_values_that_are_not_finite_are_found() {
    let d = device();
    let mut labels = Vec::new();
    let mut program = Program::training(&d, |x: Tensor| -> Vec<Tensor> {
        let y = (&x - 1.0).ln();
        let (names, flags) = program::not_finite(&[(y * &x).sum(..)]);
        labels = names;
        flags
    });
    let flags = program.run(Tensor::from_vec(vec![1.0f32, 0.0], &[2], &d)).expect("runs");
    let read: Vec<Vec<bool>> = flags.iter().map(|f| f.to_vec().expect("bools")).collect();
    drop(program);
    let first = |kind: usize| labels[read.iter().position(|f| f[kind]).expect("one")].clone();
    // ln(0) is -inf, ln(-1) NaN: the logarithm made both.
    assert!(first(0).starts_with("ln [2] at") && first(1).starts_with("ln [2] at"), "{labels:?} {read:?}");
    assert!(first(1).contains("trace.rs"));
}

#[test]
fn programs_are_traced_again_when_their_own_variables_move() {
    let d = device();
    let var = |name: &str, x: f32| Var::new(name, &Tensor::full(&[2], f64::from(x), DType::F32, &d));
    let (a, b, other) = (var("a", 1.0), var("b", 2.0), var("other", 3.0));
    let calls = std::cell::Cell::new(0);
    let mut program = Program::inference(&d, |()| {
        calls.set(calls.get() + 1);
        a.get() + 1.0
    });
    let mut first = || program.run(()).expect("runs").to_vec::<f32>().expect("numbers")[0];
    assert_eq!((first(), first(), calls.get()), (2.0, 2.0, 1));
    let _others = Var::gather("others", &[other]).expect("gathered");
    assert_eq!((first(), calls.get()), (2.0, 1), "others' moves are not its concern");
    let all = Var::gather("all", &[b, a.clone()]).expect("gathered");
    all.write(&[7.0f32, 7.0, 5.0, 5.0]).expect("written");
    assert_eq!((first(), calls.get()), (6.0, 2));
    a.convert(DType::F16).expect("converted");
    assert_eq!(program.run(()).expect("runs").dtype(), DType::F16);
}
