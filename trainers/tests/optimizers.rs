//! Fifty steps of every optimizer against PyTorch's in f64 (goldens/optimizers.py), and what they refuse.

use std::collections::BTreeMap;

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};
use anygrad_trainers::optim::{
    Adagrad, AdagradConfig, Adam, AdamConfig, Adan, AdanConfig, Decay, Group, Groups, Lamb, LambConfig, Lion,
    LionConfig, Muon, MuonConfig, MuonScale, Optimizer, RateFinder, RmsProp, RmsPropConfig, Sgd, SgdConfig,
};

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
    // Each step rounds about eight times, and all numbers are below 2.
    check_to(golden, 8.0, make, rate);
}

/// As `check`; a step adds up to `roundings` roundings of numbers near 1.
fn check_to<O: Optimizer>(
    golden: &str,
    roundings: f64,
    make: impl Fn(Vec<Var>) -> Result<O>,
    rate: impl Fn(usize) -> Option<f64>,
) {
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
    let tolerance = STEPS as f64 * roundings * f64::from(f32::EPSILON);
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
    check("momentum", |p| Sgd::with(p, SgdConfig { decay: Decay::Gradient(0.1), ..config }), |_| None);
    check("nesterov", |p| Sgd::with(p, SgdConfig { nesterov: true, ..config }), |_| None);
}

#[test]
fn adam_is_pytorchs() {
    check("adam", |p| Ok(Adam::new(p, 0.05)), |_| None);
    let (betas, decay) = ((0.8, 0.99), Decay::Gradient(0.1));
    let config = AdamConfig { lr: 0.05, betas, eps: 1e-3, decay, ..AdamConfig::default() };
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
fn clipping_by_value_comes_before_that_by_norm() {
    let config = SgdConfig { lr: 0.02, clip_norm: Some(0.5), clip_value: Some(0.3), ..SgdConfig::default() };
    check("sgd_clipped_value", |p| Sgd::with(p, config), |_| None);
}

#[test]
fn groups_are_pytorchs() {
    let b = |var: &Var| var.name() == "b";
    let config = AdamConfig { lr: 0.05, decay: Decay::All(0.1), ..AdamConfig::default() };
    let own = Group { rate: 0.1, decay: Some(0.5), ..Group::default() };
    check("adamw_groups", |p| Adam::with(Groups::new(p).group(b, own), config), |_| None);
    let config = AdamConfig { decay: Decay::Gradient(0.1), ..config };
    let own = Group { decay: Some(0.0), ..Group::default() };
    check("adam_groups_decay", |p| Adam::with(Groups::new(p).group(b, own), config), |_| None);
}

#[test]
fn frozen_parameters_stay_and_have_no_moments() {
    let a = |var: &Var| var.name() == "a";
    check("adamw_frozen", |p| Ok(Adam::decoupled(Groups::new(p).freeze(a), 0.05, 0.1)), |_| None);
    let adam = Adam::new(Groups::new(parameters(&device())).freeze(a), 0.1);
    assert_eq!(adam.all().len(), 3);
    assert!(adam.moments().iter().all(|var| var.len() <= 3));
}

#[test]
fn adagrad_and_rmsprop_are_pytorchs() {
    check("adagrad", |p| Ok(Adagrad::new(p, 0.1)), |_| None);
    let config = AdagradConfig { lr: 0.1, initial: 0.1, eps: 1e-3, decay: Decay::Gradient(0.1), ..Default::default() };
    check("adagrad_decay", |p| Adagrad::with(p, config), |_| None);
    check("rmsprop", |p| Ok(RmsProp::new(p, 0.02)), |_| None);
    let config = RmsPropConfig { alpha: 0.9, eps: 1e-2, momentum: 0.5, centered: true, ..RmsPropConfig::default() };
    // The variance is a difference that loses digits: a root of 0.01 and eps 0.01 make 100 of 1 in a step of 0.01.
    let config = RmsPropConfig { decay: Decay::Gradient(0.1), ..config };
    check_to("rmsprop_centered", 100.0, |p| RmsProp::with(p, config), |_| None);
}

#[test]
fn lion_adan_and_lamb_are_their_papers() {
    let lion = LionConfig { lr: 0.01, decay: Decay::All(0.1), ..LionConfig::default() };
    check("lion", |p| Lion::with(p, lion), |_| None);
    let adan = AdanConfig { lr: 0.05, decay: Decay::All(0.1), ..AdanConfig::default() };
    check("adan", |p| Adan::with(p, adan), |_| None);
    let lamb = LambConfig { lr: 0.02, decay: Decay::All(0.1), ..LambConfig::default() };
    check("lamb", |p| Lamb::with(p, lamb), |_| None);
}

#[test]
fn muon_is_pytorchs_with_adamw_for_the_rest() {
    // Five rounds amplify an error by up to 3.4445^5 = 485; a step is 0.02 0.2 sqrt(3) of that, with 8 roundings: 27.
    let muon = MuonConfig { lr: 0.02, ..MuonConfig::default() };
    check_to("muon", 8.0 + 27.0, |p| Muon::with(p, muon), |_| None);
    let config = MuonConfig { nesterov: false, momentum: 0.8, scale: MuonScale::Original, adam_factor: 0.5, ..muon };
    // PyTorch's AdamW has rate 0.01 and decay 0.2 here: the decay goes by the rate of all, 0.02 0.1.
    check_to("muon_original", 8.0 + 78.0, |p| Muon::with(p, config), |_| None);
}

#[test]
fn muon_takes_kernels_of_convolutions_as_matrices_and_equal_shapes_at_once() {
    let device = device();
    let make = |shape: &[usize], seed: f64| {
        let len = shape.iter().product::<usize>();
        (Tensor::arange(0.0, len as f64, 1.0, &device).square() * seed).sin().reshape(shape)
    };
    let shapes: [&[usize]; 4] = [&[4, 3, 2], &[4, 6], &[6], &[6, 4]];
    let vars: Vec<Var> =
        shapes.iter().enumerate().map(|(i, s)| Var::new(format!("p{i}"), &make(s, 0.3 + i as f64))).collect();
    let gradients: Vec<Tensor> = shapes.iter().enumerate().map(|(i, s)| make(s, 1.7 + i as f64)).collect();
    let config =
        MuonConfig { lr: 1.0, momentum: 0.0, nesterov: false, scale: MuonScale::Original, ..Default::default() };
    let config = MuonConfig { decay: Decay::None, ..config };
    let before: Vec<Tensor> = vars.iter().map(|var| var.get().realize().expect("numbers").clone()).collect();
    let muon = Muon::with(vars.clone(), config).expect("muon");
    let mut step = Program::training(&device, |()| muon.update(&gradients));
    let kernels = step.kernels(&()).expect("kernels").len();
    // Two shapes of matrices, 5 rounds of 3 products each, and a few before and after.
    assert!(kernels <= 2 * (5 * 3 + 5) + 4, "{kernels} kernels");
    step.run(()).expect("a step");
    for i in [0, 1, 3] {
        let (rows, columns) = (shapes[i][0], vars[i].len() / shapes[i][0]);
        let change = (&before[i] - vars[i].get()).reshape([rows, columns]);
        let change = if rows > columns { change.t() / (rows as f64 / columns as f64).sqrt() } else { change };
        // Singular values of an orthogonal step are near 1, so the norm is near sqrt(4): after five rounds they are in 0.68..1.13
        // (Jordan's post), or smaller where the gradient's own are.
        let norm = change.norm(..).item().expect("a number");
        assert!((0.6 * 2.0..1.2 * 2.0).contains(&norm), "{i}: {norm}");
    }
}

#[test]
fn lamb_measures_long_tensors_in_rows() {
    let device = device();
    let sizes = [700, 3, 256];
    let wave = |n: usize, f: f64| (Tensor::arange(0.0, n as f64, 1.0, &device) * f).cos();
    let vars: Vec<Var> = sizes.iter().map(|&n| Var::new(format!("p{n}"), &wave(n, 0.7))).collect();
    let before: Vec<Vec<f64>> = vars.iter().map(|var| var.get().to_f64().expect("numbers")).collect();
    let gradients: Vec<Tensor> = sizes.iter().map(|&n| wave(n, 0.9) * n as f64).collect();
    let lamb = Lamb::new(vars.clone(), 0.1);
    let mut step = Program::training(&device, |()| lamb.update(&gradients));
    step.run(()).expect("a step");
    for (var, before) in vars.iter().zip(&before) {
        // A step is 0.1 of the tensor's own length, by definition.
        let after = var.get().to_f64().expect("numbers");
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let ratio = length(&mut after.iter().zip(before).map(|(x, y)| x - y)) / length(&mut before.iter().copied());
        assert!((ratio - 0.1).abs() < 1e-5, "{}: {ratio}", var.name());
    }
}

#[test]
fn the_finder_restores_everything_and_suggests_a_rate_that_learns() {
    let device = device();
    let vars = parameters(&device);
    let before: Vec<Vec<f32>> = vars.iter().map(|var| var.get().to_vec().expect("numbers")).collect();
    let sgd = Sgd::with(vars.clone(), SgdConfig { momentum: 0.5, ..SgdConfig::default() }).expect("sgd");
    let mut step = Program::training(&device, |()| {
        let noise = Tensor::rand(&[1], &device) * 1e-6;
        let loss = vars[0].get().square().sum(..) + vars[1].get().square().sum(..) + noise.sum(..);
        sgd.update(&loss.gradients(&vars));
        loss
    });
    let generator = device.generator().get().to_vec::<u32>().expect("numbers");
    let finder = RateFinder { highest: 100.0, steps: 60, smoothing: 0.5, ..RateFinder::default() };
    let sweep = finder.run(&sgd, &[], || step.run(())).expect("a sweep");
    for (var, before) in vars.iter().zip(&before) {
        assert_eq!(&var.get().to_vec::<f32>().expect("numbers"), before);
    }
    assert_eq!(sgd.moments()[0].get().to_vec::<f32>().expect("numbers"), [0.0; 9]);
    assert_eq!(device.generator().get().to_vec::<u32>().expect("numbers"), generator);
    assert_eq!(sgd.learning_rate().get().to_vec::<f32>().expect("a rate"), [0.01]);
    // Descent on p² diverges from rate 1 on (with momentum 0.5: 1.5); far below 0.001 nothing moves.
    let rate = sweep.suggestion().expect("a rate");
    assert!((1e-3..1.5).contains(&rate), "{rate} of {sweep:?}");
    assert!(sweep.rates.len() < 60, "it stops when the loss explodes");
    assert!(RateFinder { lowest: 2.0, ..RateFinder::default() }.run(&sgd, &[], || step.run(())).is_err());
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
fn an_update_is_a_handful_of_kernels_however_many_parameters() {
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
    let check = |name: &str, most: usize, optimizer: &dyn Optimizer| {
        let mut step = Program::training(&device, |x: Tensor| optimizer.update(&gradients(&x)));
        let kernels = step.kernels(&x).expect("kernels");
        println!("{name}: {}", kernels.len() - without);
        assert!(kernels.len() <= without + most, "{name}: {} beyond {without}: {kernels:#?}", kernels.len() - without);
    };
    let sgd = SgdConfig { momentum: 0.9, decay: Decay::Gradient(0.1), ..SgdConfig::default() };
    let centered = RmsPropConfig { momentum: 0.9, centered: true, ..RmsPropConfig::default() };
    let groups = || Groups::new(vars.clone()).group(|var| var.name() == "p2", Group { rate: 0.1, ..Group::default() });
    check("sgd", 3, &Sgd::with(vars.clone(), sgd).expect("sgd"));
    check("adam", 3, &Adam::new(vars.clone(), 1e-3));
    check("adamw", 3, &Adam::decoupled(vars.clone(), 1e-3, 0.01));
    check("adamw in groups", 3, &Adam::decoupled(groups(), 1e-3, 0.01));
    check("adagrad", 3, &Adagrad::new(vars.clone(), 1e-3));
    check("rmsprop", 3, &RmsProp::with(vars.clone(), centered).expect("rmsprop"));
    check("lion", 3, &Lion::new(vars.clone(), 1e-3));
    check("adan", 4, &Adan::new(vars.clone(), 1e-3));
    check("lamb", 9, &Lamb::new(vars.clone(), 1e-3));
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
    assert_eq!(adam.state().len(), 4);
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
    let grouped = |group| Groups::new(p()).group(|var| var.name() == "b", group);
    let cases = [
        (Adam::with(Vec::new(), config), "no parameters"),
        (Adam::with(same, config), "twice"),
        (Adam::with(double, config), "f64"),
        (Adam::with(p(), AdamConfig { lr: -1.0, ..config }), "learning rate"),
        (Adam::with(p(), AdamConfig { lr: f64::NAN, ..config }), "learning rate"),
        (Adam::with(p(), AdamConfig { betas: (0.9, 1.0), ..config }), "second beta"),
        (Adam::with(p(), AdamConfig { clip_norm: Some(0.0), ..config }), "norm"),
        (Adam::with(p(), AdamConfig { clip_value: Some(-1.0), ..config }), "value"),
        (Adam::with(p(), AdamConfig { decay: Decay::All(-1.0), ..config }), "decay"),
        (Adam::with(Groups::new(p()).freeze(|_| true), config), "frozen"),
        (Adam::with(grouped(Group { rate: -1.0, ..Group::default() }), config), "rate factor of 'b'"),
        (Adam::with(grouped(Group { decay: Some(0.1), ..Group::default() }), config), "own decay"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
    assert!(Adam::with(twice(), config).is_ok());
    assert!(Sgd::with(p(), SgdConfig { nesterov: true, ..SgdConfig::default() }).is_err());
    assert!(Muon::with(p().split_off(1), MuonConfig::default()).is_err(), "no matrix");
    assert!(Muon::choosing(p(), MuonConfig::default(), |_| false).is_err(), "none chosen");
}

#[test]
#[should_panic(expected = "the gradient of 'b' is [2], the parameter [3]")]
fn a_gradient_of_another_shape_panics_in_words() {
    let device = device();
    let adam = Adam::new(parameters(&device), 1e-3);
    let mut step = Program::training(&device, |(a, b): (Tensor, Tensor)| adam.update(&[a, b]));
    let _ = step.run((Tensor::zeros(&[2, 3], &device), Tensor::zeros(&[2], &device)));
}
