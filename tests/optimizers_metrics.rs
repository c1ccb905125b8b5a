//! Optimizers of several kernels and metrics on the real backends (each alone is checked in trainers/tests).

use anygrad::metrics::{Calibration, Classification, MeanOf, Metric, Ranking, Regression};
use anygrad::optim::{Adan, AdanConfig, Lamb, LambConfig, Muon, MuonConfig, Optimizer};
use anygrad::prelude::*;

/// The CPU, and the GPU if there is one (with ANYGRAD_REQUIRE_GPU=1 there must be).
fn devices() -> Vec<Device> {
    let gpu = Device::gpu();
    assert!(gpu.is_ok() || std::env::var("ANYGRAD_REQUIRE_GPU").is_err(), "{gpu:?}");
    std::iter::once(Device::cpu()).chain(gpu).collect()
}

/// Fifty steps against the goldens of trainers/tests/goldens/optimizers.py; `roundings` per step, of numbers near 1.
fn check<O: Optimizer>(golden: &str, roundings: f64, make: impl Fn(Vec<Var>) -> Result<O>) {
    for device in devices() {
        let a = Tensor::from_vec(vec![0.5f32, -1.25, 0.75, 1.5, -0.25, 0.125], &[2, 3], &device);
        let b = Tensor::from_vec(vec![0.25f32, -0.5, 1.0], &[3], &device);
        let vars = vec![Var::new("a", &a), Var::new("b", &b)];
        let optimizer = make(vars.clone()).expect(golden);
        let mut step = Program::training(&device, |()| {
            let (a, b) = (vars[0].get(), vars[1].get());
            let total = a.sum(..);
            let product = (a.narrow(0, 0, 1).reshape([3]) * &b).sum(..);
            let loss = a.powi(4).sum(..) / 4.0 + &total * &total / 8.0 + product + (&b * &b).sum(..);
            optimizer.update(&loss.gradients(&vars));
        });
        step.run_times(50, ()).expect("steps");
        let text = include_str!("../trainers/tests/goldens/optimizers.json");
        let all: serde_json::Value = serde_json::from_str(text).expect("goldens");
        for var in &vars {
            let found = var.get().to_f64().expect("numbers");
            let expected: Vec<f64> = serde_json::from_value(all[golden][var.name()].clone()).expect(golden);
            for (x, y) in found.iter().zip(&expected) {
                let tolerance = 50.0 * roundings * f64::from(f32::EPSILON);
                assert!((x - y).abs() < tolerance, "{golden} on {device}: {found:?} instead of {expected:?}");
            }
        }
    }
}

#[test]
fn optimizers_of_several_kernels_run_on_all_backends() {
    let decay = Decay::All(0.1);
    check("adan", 8.0, |p| Adan::with(p, AdanConfig { lr: 0.05, decay, ..AdanConfig::default() }));
    check("lamb", 8.0, |p| Lamb::with(p, LambConfig { lr: 0.02, decay, ..LambConfig::default() }));
    check("muon", 35.0, |p| Muon::with(p, MuonConfig { lr: 0.02, ..MuonConfig::default() }));
}

#[test]
fn means_over_many_batches_lose_few_digits() {
    for device in devices() {
        let mean = MeanOf::new("x", |x, _| x.mean(..), &device).expect("a metric");
        let mut add = Program::inference(&device, |x: Tensor| mean.update(&x, &x));
        add.run_times(3000, Tensor::full(&[1], 0.1, DType::F32, &device)).expect("runs");
        // 3,000 batches are 64 and 3,000 / 64 roundings; in plain f32 it would be 0.100003.
        let found = mean.values().expect("values")[0].1;
        assert!((found - 0.1).abs() < 0.1 * 112.0 * f64::from(f32::EPSILON), "{device}: {found}");
    }
}

#[test]
fn metrics_are_the_same_on_all_backends() {
    let mut all = Vec::new();
    for device in devices() {
        let list: [Box<dyn Metric>; 5] = [
            Box::new(Classification::new(3, &device).expect("a metric")),
            Box::new(MeanOf::top_k(2, &device).expect("a metric")),
            Box::new(MeanOf::perplexity(&device).expect("a metric")),
            Box::new(Calibration::new(10, &device).expect("a metric")),
            Box::new(Regression::new(1, &device).expect("a metric")),
        ];
        let ranking = Ranking::new(200, &device).expect("a metric");
        let mut program = Program::inference(&device, |(x, y): (Tensor, Tensor)| {
            list[..4].iter().for_each(|metric| metric.update(&x, &y));
            let score = x.narrow(1, 0, 1);
            list[4].update(&score, &y.cast(DType::F32));
            ranking.update(&score, &y.eq(0.0));
        });
        for batch in 0..4 {
            let x = (Tensor::arange(0.0, 120.0, 1.0, &device) * (0.7 + f64::from(batch))).sin().reshape([40, 3]) * 3.0;
            let y = (Tensor::arange(0.0, 40.0, 1.0, &device) * 1.3).sin().abs() * 2.99;
            program.run((x, y.floor().cast(DType::I32))).expect("a batch");
        }
        let values: Vec<(&str, f64)> =
            list.iter().flat_map(|m| m.values().expect("values")).chain(ranking.values().expect("values")).collect();
        all.push(values);
    }
    for other in &all[1..] {
        for ((name, x), (_, y)) in all[0].iter().zip(other) {
            assert!((x - y).abs() < 1e-4, "{name}: {x} on the CPU, {y} on the GPU");
        }
    }
}

/// One kernel computes two parts of a concatenation, each shorter than an aligned binding.
#[test]
fn short_parts_of_a_concatenation_from_one_kernel_do_not_overlap() {
    for device in devices() {
        let mut program = Program::inference(&device, |x: Tensor| {
            let (a, b) = (x.narrow(1, 0, 1).abs().sum(0), x.narrow(1, 1, 1).square().sum(0));
            Tensor::cat(&[a, b, Tensor::full(&[1], 4.0, DType::F32, &device)], 0) * x.narrow(0, 0, 1).reshape([3])
        });
        let x = Tensor::full(&[5, 3], -2.0, DType::F32, &device);
        assert_eq!(program.run(x).expect("a run").to_vec::<f32>().expect("numbers"), [-20.0, -40.0, -8.0], "{device}");
    }
}
