use crate::program::{Program, compute};
use crate::testing;
use crate::{DType, Device, Tensor, Var, reference};

fn numbers(shape: &[usize], device: &Device, seed: u32) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| ((i as f32 + 1.3) * (seed as f32 + 0.7) * 0.618).sin();
    Tensor::from_vec((0..n).map(value).collect::<Vec<f32>>(), shape, device)
}

/// Fused and unfused plans, interpreted, give what the graph means.
#[track_caller]
fn check(tensors: &[Tensor]) {
    let meaning = reference::values(tensors).expect("reference");
    for fuse in [true, false] {
        let computed = compute(tensors, fuse).expect("compute");
        for (i, (tensor, expected)) in computed.iter().zip(&meaning).enumerate() {
            let got = tensor.to_f64().expect("read");
            for (a, b) in got.iter().zip(expected) {
                assert!(
                    (a - b).abs() <= 1e-4 * (1.0 + b.abs()) || a.is_nan() && b.is_nan(),
                    "{i} fuse={fuse}: {a} {b}"
                );
            }
        }
    }
}

/// What the kernels are called in the plan of what `trace` computes from `x` (outside of it, tensors are only read).
#[track_caller]
fn kernels<R: crate::tensors::Tensors>(x: &[Tensor], trace: impl FnMut(Vec<Tensor>) -> R) -> Vec<String> {
    let mut program = Program::inference(x[0].device(), trace);
    program.kernels(&x.to_vec()).expect("plan")
}

#[test]
fn a_row_chain_is_one_kernel() {
    let device = testing::device();
    let x = numbers(&[40, 7], &device, 1);
    let norm = |x: &Tensor| {
        let centred = x - &x.mean_keep(-1);
        &centred / ((&centred * &centred).mean_keep(-1) + 1e-5).sqrt()
    };
    assert_eq!(kernels(std::slice::from_ref(&x), |x| x[0].softmax(-1)).len(), 1);
    assert_eq!(kernels(std::slice::from_ref(&x), |x| norm(&x[0])).len(), 1);
    check(&[norm(&x), x.softmax(-1)]);
}

#[test]
fn movements_are_index_arithmetic() {
    let device = testing::device();
    let x = numbers(&[4, 6], &device, 1);
    let y = x.transpose(0, 1).reshape([3, 8]).flip(&[1]).pad_to(&[(1, 2), (0, 1)], 2.0);
    check(&[&y * &y + 1.0, y.reshape([-1]).slice(0, 3..17), x.windows(1, 3, 2, 1).sum(-1)]);
}

#[test]
fn products_take_their_epilogue() {
    let device = testing::device();
    let (x, w, b) = (numbers(&[5, 6], &device, 1), numbers(&[4, 6], &device, 2), numbers(&[4], &device, 3));
    let y = |x: &[Tensor]| (x[0].matmul(&x[1].transpose(0, 1)) + &x[2]).tanh();
    let arguments = [x, w, b];
    assert_eq!(kernels(&arguments, |x| y(&x)).len(), 1);
    check(&[y(&arguments)]);
}

#[test]
fn concatenations_are_written_in_place() {
    let device = testing::device();
    let (x, y) = (numbers(&[5, 6], &device, 1), numbers(&[3, 6], &device, 2));
    let all = Tensor::concat(&[
        x.exp(),
        y.clone(),
        x.matmul(&y.transpose(0, 1)).reshape([-1]).slice(0, 0..12).reshape([2, 6]),
    ]);
    check(&[all.clone(), all.sum(1) * 2.0]);
}

#[test]
fn variables_are_updated_in_place_and_in_order() {
    let device = testing::device();
    let (a, b) = (Var::new("a", &numbers(&[5], &device, 1)), Var::new("b", &numbers(&[5], &device, 2)));
    let (a0, b0) = (a.get().to_f64().expect("a"), b.get().to_f64().expect("b"));
    let mut swap = Program::training(&device, |()| {
        let (x, y) = (a.get(), b.get());
        a.assign(&y);
        b.assign(&x);
        x.sum(())
    });
    let sum = swap.run(()).expect("run");
    assert_eq!(a.get().to_f64().expect("a"), b0);
    assert_eq!(b.get().to_f64().expect("b"), a0);
    assert!((sum.item().expect("sum") - a0.iter().sum::<f64>()).abs() < 1e-5);
    let mut step = Program::training(&device, |x: Tensor| {
        a.assign(&(a.get() + &x));
        b.assign(&(b.get() * 2.0 + a.get().flip(&[0])));
    });
    step.run(numbers(&[5], &device, 3)).expect("run");
    let x = numbers(&[5], &device, 3).to_f64().expect("x");
    let a1: Vec<f64> = b0.iter().zip(&x).map(|(a, x)| a + x).collect();
    for i in 0..5 {
        assert!((a.get().to_f64().expect("a")[i] - a1[i]).abs() < 1e-6);
        assert!((b.get().to_f64().expect("b")[i] - (a0[i] * 2.0 + a1[4 - i])).abs() < 1e-6);
    }
}

#[test]
fn a_training_step_learns() {
    let device = testing::device();
    let w1 = Var::new("w1", &(numbers(&[8, 3], &device, 1) * 0.5));
    let w2 = Var::new("w2", &(numbers(&[2, 8], &device, 2) * 0.5));
    let all = Var::gather("all", &[w1.clone(), w2.clone()]).expect("gather");
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| {
        let h = x.matmul(&w1.get().transpose(0, 1)).tanh();
        let d = h.matmul(&w2.get().transpose(0, 1)) - &y;
        let loss = (&d * &d).mean(());
        let g = loss.gradients(&[w1.clone(), w2.clone()]);
        let flat: Vec<Tensor> = g.iter().map(|t| t.reshape([-1])).collect();
        all.assign(&(all.get() - Tensor::concat(&flat) * 0.1));
        loss
    });
    let (x, y) = (numbers(&[16, 3], &device, 4), numbers(&[16, 2], &device, 5));
    let losses: Vec<f64> =
        (0..5).map(|_| step.run((x.clone(), y.clone())).and_then(|l| l.item()).expect("run")).collect();
    assert!(losses.windows(2).all(|w| w[1] < w[0]), "{losses:?}");
    // two products with epilogue, loss, two sums of products' gradients, two weight gradients, one update
    assert_eq!(step.kernels(&(x, y)).expect("plan").len(), 7);
}

#[test]
fn random_numbers_move_on_inside_of_programs() {
    let device = testing::device();
    let mut draw = Program::inference(&device, |()| Tensor::random_bits(&[4], &device));
    let first = draw.run(()).and_then(|t| t.to_vec::<u32>()).expect("run");
    let second = draw.run(()).and_then(|t| t.to_vec::<u32>()).expect("run");
    assert_ne!(first, second);
    assert_eq!(first, crate::scalar::philox([0, 0, 0, 0], [0, 0]));
    assert_eq!(Tensor::full(&[2], 3.0, DType::I32, &device).to_vec::<i32>().expect("constant"), [3, 3]);
}

#[test]
fn integers_keep_their_bits_when_cast() {
    let device = testing::device();
    let numbers = Tensor::from_vec(vec![-1i32, 5, i32::MIN], &[3], &device);
    let (constant, float) =
        (Tensor::full(&[2], -1.0, DType::I32, &device), Tensor::full(&[2], -1.5, DType::F32, &device));
    let casts = [numbers.cast(DType::U32), constant.cast(DType::U32), float.cast(DType::U32)];
    assert_eq!(casts[0].to_vec::<u32>().expect("data"), [u32::MAX, 5, 1 << 31]);
    assert_eq!(casts[1].to_vec::<u32>().expect("constant"), [u32::MAX; 2]);
    assert_eq!(casts[2].to_vec::<u32>().expect("float"), [0; 2]);
    check(&[numbers.cast(DType::U32), casts[0].cast(DType::I32), constant.cast(DType::U32)]);
}

#[test]
fn deep_graphs_need_no_deep_stack() {
    let device = testing::device();
    let mut x = numbers(&[3], &device, 1);
    for i in 0..20_000 {
        x = if i % 3 == 0 { x.relu() } else { x + 0.001 };
    }
    let y = x.sum(()).item().expect("value");
    assert!(y.is_finite());
}

#[test]
fn rows_of_a_product_and_their_sums_are_stored_in_other_orders() {
    let device = testing::device();
    let product = numbers(&[2, 40, 5], &device, 1).matmul(&numbers(&[2, 5, 6], &device, 2));
    let sums = product.sum(-1);
    let stored = [product.permute([1, 0, 2]), sums.t(), &sums * 2.0];
    check(&stored);
}

#[test]
fn parts_of_one_value_are_put_together_by_its_axes_alone() {
    let device = testing::device();
    let x = numbers(&[4, 3, 10], &device, 1);
    // Two halves of each row, side by side in rows of another order.
    let part = |x: &Tensor, k: usize| x.slice(2, 5 * k..5 * k + 5).permute([1, 0, 2]).reshape([3, 20]);
    let joined = |x: &Tensor| Tensor::cat(&[part(x, 0), part(x, 1)], 1).exp();
    assert_eq!(kernels(std::slice::from_ref(&x), |x| joined(&x[0])).len(), 1);
    check(&[joined(&x)]);
    // Not all of it, not in this order, not of one value: those are copied.
    let y = numbers(&[4, 3, 10], &device, 2);
    check(&[Tensor::cat(&[part(&x, 1), part(&x, 0)], 1), Tensor::cat(&[part(&x, 1), part(&x, 1)], 1)]);
    check(&[Tensor::cat(&[part(&x, 0), y.slice(2, 5..).permute([1, 0, 2]).reshape([3, 20])], 1)]);
    check(&[Tensor::cat(&[x.slice(2, 0..2), x.slice(2, 2..4), x.slice(2, 4..6)], 0)]);
}

#[test]
fn gradients_of_heads_go_back_to_their_places_without_a_copy() {
    let device = testing::device();
    let (batch, time, heads, width) = (2, 48, 3, 4);
    let x = numbers(&[batch, time, 8], &device, 1);
    let weight = numbers(&[3 * heads * width, 8], &device, 2);
    let gradients = |x: &Tensor, weight: &Tensor| {
        let all = x.matmul(&weight.t());
        let part = |k: usize| {
            let size = heads * width;
            let part = all.slice(2, k * size..(k + 1) * size);
            part.reshape([batch as isize, time as isize, heads as isize, width as isize]).permute([0, 2, 1, 3])
        };
        let y = part(0).attend(&part(1), &part(2), true, 0.5);
        y.square().sum(()).gradients(&[x, weight])
    };
    let names = kernels(&[x.clone(), weight.clone()], |x| gradients(&x[0], &x[1]));
    assert!(names.iter().any(|name| name.contains("attention gradient, permute")), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with("copy") && !name.starts_with("reshape")), "{names:?}");
    check(&gradients(&x, &weight));
}
