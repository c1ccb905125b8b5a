//! Fifty steps of every optimizer against PyTorch's in f64 (goldens/optimizers.py), and what they refuse.

use std::collections::BTreeMap;

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};
use anygrad_trainers::optim::{Adam, AdamConfig, Decay, Optimizer, Sgd, SgdConfig};

const STEPS: usize = 50;

fn device() -> Device {
    anygrad_core::testing::device()
}

fn parameters(device: &Device) -> Vec<Var> {
    let a = Tensor::from_vec(vec![0.5f32, -1.25, 0.75, 1.5, -0.25, 0.125], &[2, 3], device);
    let b = Tensor::from_vec(vec![0.25f32, -0.5, 1.0], &[3], device);
    vec![Var::new("a", &a), Var::new("b", &b)]
}

/// Runs the optimizer and compares both parameters with PyTorch's.
fn check<O: Optimizer>(golden: &str, make: impl Fn(Vec<Var>) -> Result<O>, rate: impl Fn(usize) -> Option<f64>) {
    let device = device();
    let vars = parameters(&device);
    let optimizer = make(vars.clone()).expect(golden);
    let mut step = Program::training(&device, |()| {
        let (a, b) = (vars[0].get(), vars[1].get());
        let total = a.sum(..);
        let product = (a.narrow(0, 0, 1).reshape([3]) * &b).sum(..);
        let loss = a.powi(4).sum(..) / 4.0 + &total * &total / 8.0 + product + (&b * &b).sum(..);
        optimizer.update(&loss.gradients(&vars));
        loss
    });
    for number in 0..STEPS {
        if let Some(rate) = rate(number) {
            optimizer.set_learning_rate(rate).expect("a rate");
        }
        let _ = step.run(()).expect("a step");
    }
    let all: serde_json::Value = serde_json::from_str(include_str!("goldens/optimizers.json")).expect("goldens");
    let expected: BTreeMap<String, Vec<f64>> = serde_json::from_value(all[golden].clone()).expect(golden);
    // Each step rounds about eight times, and all numbers are below 2.
    let tolerance = (STEPS * 8) as f64 * f64::from(f32::EPSILON);
    for var in &vars {
        let found = var.get().to_f64().expect("numbers");
        let expected = &expected[&var.name()];
        assert_eq!(found.len(), expected.len());
        for (x, y) in found.iter().zip(expected) {
            assert!((x - y).abs() < tolerance, "{golden}, {}: {found:?} instead of {expected:?}", var.name());
        }
    }
}

#[test]
fn sgd_is_pytorchs() {
    check("sgd", |p| Ok(Sgd::new(p, 0.02)), |_| None);
    let config = SgdConfig { lr: 0.02, momentum: 0.9, ..SgdConfig::default() };
    check("momentum", |p| Sgd::with(p, SgdConfig { weight_decay: 0.1, ..config }), |_| None);
    check("nesterov", |p| Sgd::with(p, SgdConfig { nesterov: true, ..config }), |_| None);
}

#[test]
fn adam_is_pytorchs() {
    check("adam", |p| Ok(Adam::new(p, 0.05)), |_| None);
    let config = AdamConfig { lr: 0.05, betas: (0.8, 0.99), eps: 1e-3, decay: Decay::Gradient(0.1), clip_norm: None };
    check("adam_decay", |p| Adam::with(p, config), |_| None);
}

#[test]
fn adamw_is_pytorchs_also_clipped_and_under_a_schedule() {
    check("adamw", |p| Ok(Adam::decoupled(p, 0.05, 0.1)), |_| None);
    let config = AdamConfig { lr: 0.05, decay: Decay::All(0.1), clip_norm: Some(0.5), ..AdamConfig::default() };
    check("adamw_clipped", |p| Adam::with(p, config), |_| None);
    check("adamw_schedule", |p| Ok(Adam::decoupled(p, 1.0, 0.1)), |step| Some(0.05 / (step + 1) as f64));
}

#[test]
fn decay_of_matrices_spares_the_others() {
    let device = device();
    let vars = parameters(&device);
    let before = vars[1].get().to_vec::<f32>().expect("numbers");
    let config = AdamConfig { lr: 0.5, decay: Decay::Matrices(0.5), ..AdamConfig::default() };
    let adam = Adam::with(vars.clone(), config).expect("adam");
    let zeros: Vec<Tensor> = vars.iter().map(|v| Tensor::zeros(v.shape(), &device)).collect();
    let mut step = Program::training(&device, |()| adam.update(&zeros));
    step.run(()).expect("a step");
    assert_eq!(vars[1].get().to_vec::<f32>().expect("numbers"), before);
    let a = vars[0].get().to_vec::<f32>().expect("numbers");
    assert_eq!(a, [0.5, -1.25, 0.75, 1.5, -0.25, 0.125].map(|x: f32| x - x * 0.25));
}

#[test]
fn an_update_is_at_most_three_kernels_however_many_parameters() {
    let device = device();
    let sizes: [&[usize]; 4] = [&[8, 6], &[8], &[3, 8], &[3]];
    let make =
        |(i, shape): (usize, &&[usize])| Var::new(format!("p{i}"), &Tensor::full(shape, 0.1, DType::F32, &device));
    let vars: Vec<Var> = sizes.iter().enumerate().map(make).collect();
    let gradients = |x: &Tensor| {
        let hidden = (x.matmul(&vars[0].get().t()) + vars[1].get()).tanh();
        (hidden.matmul(&vars[2].get().t()) + vars[3].get()).tanh().sum(..).gradients(&vars)
    };
    let x = Tensor::ones(&[4, 6], &device);
    let without = Program::training(&device, |x: Tensor| gradients(&x)).kernels(&x).expect("kernels").len();
    let count = |optimizer: &dyn Optimizer| {
        let mut step = Program::training(&device, |x: Tensor| optimizer.update(&gradients(&x)));
        let kernels = step.kernels(&x).expect("kernels");
        assert!(kernels.len() <= without + 3, "{} beyond {without}: {kernels:#?}", kernels.len() - without);
        kernels.len() - without
    };
    let sgd = SgdConfig { momentum: 0.9, weight_decay: 0.1, ..SgdConfig::default() };
    println!("sgd {}", count(&Sgd::with(vars.clone(), sgd).expect("sgd")));
    println!("adam {}", count(&Adam::new(vars.clone(), 1e-3)));
    println!("adamw {}", count(&Adam::decoupled(vars.clone(), 1e-3, 0.01)));
}

#[test]
fn aligned_parameters_stay_aligned() {
    let device = device();
    let sizes = [10, 64, 3, 1024, 16, 128];
    let vars: Vec<Var> =
        sizes.map(|n| Var::new(format!("p{n}"), &Tensor::full(&[n], n as f64, DType::F32, &device))).into();
    let adam = Adam::new(vars.clone(), 1e-3);
    // The numbers survive the move, wherever they lie.
    for (var, n) in vars.iter().zip(sizes) {
        assert_eq!(var.get().to_vec::<f32>().expect("numbers"), vec![n as f32; n]);
    }
    assert_eq!(adam.state().len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let device = device();
    let p = || parameters(&device);
    let twice = || [p(), p()].map(|mut v| v.remove(0)).to_vec();
    let same = {
        let v = p();
        vec![v[0].clone(), v[0].clone()]
    };
    let double = vec![Var::new("d", &Tensor::full(&[2], 1.0, DType::F64, &device))];
    let config = AdamConfig::default();
    let cases = [
        (Adam::with(Vec::new(), config), "no parameters"),
        (Adam::with(same, config), "twice"),
        (Adam::with(double, config), "f64"),
        (Adam::with(p(), AdamConfig { lr: -1.0, ..config }), "learning rate"),
        (Adam::with(p(), AdamConfig { lr: f64::NAN, ..config }), "learning rate"),
        (Adam::with(p(), AdamConfig { betas: (0.9, 1.0), ..config }), "second beta"),
        (Adam::with(p(), AdamConfig { clip_norm: Some(0.0), ..config }), "norm"),
        (Adam::with(p(), AdamConfig { decay: Decay::All(-1.0), ..config }), "decay"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
    assert!(Adam::with(twice(), config).is_ok());
    assert!(Sgd::with(p(), SgdConfig { nesterov: true, ..SgdConfig::default() }).is_err());
}

#[test]
#[should_panic(expected = "the gradient of 'b' is [2], the parameter [3]")]
fn a_gradient_of_another_shape_panics_in_words() {
    let device = device();
    let adam = Adam::new(parameters(&device), 1e-3);
    let mut step = Program::training(&device, |(a, b): (Tensor, Tensor)| adam.update(&[a, b]));
    let _ = step.run((Tensor::zeros(&[2, 3], &device), Tensor::zeros(&[2], &device)));
}
