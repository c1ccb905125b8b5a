//! Returns, distributions and normalisers against their definitions.

use anygrad_core::{DType, Device, Program, Tensor, Var};
use anygrad_trainers::reinforcement::returns::{Experience, discounted_sum, running_sum};
use anygrad_trainers::reinforcement::rollout::Rollout;
use anygrad_trainers::reinforcement::{
    Best, Categorical, DiagonalGaussian, Interval, MultiCategorical, Normalizer, RewardScale, SquashedGaussian, Support,
};

fn device() -> Device {
    anygrad_core::testing::device()
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64().expect("numbers")
}

fn vector(values: &[f32], device: &Device) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()], device)
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{i}: {x} instead of {y}");
    }
}

#[test]
fn a_discounted_sum_is_the_loop() {
    let device = device();
    for steps in [1usize, 2, 5, 8, 13] {
        let x: Vec<f32> = (0..steps).map(|i| (i as f32 * 0.7).sin()).collect();
        let c: Vec<f32> = (0..steps).map(|i| if i % 4 == 2 { 0.0 } else { 0.9 - i as f32 * 0.01 }).collect();
        let mut expected = vec![0.0; steps];
        let mut later = 0.0;
        for t in (0..steps).rev() {
            later = f64::from(x[t]) + f64::from(c[t]) * later;
            expected[t] = later;
        }
        near(&floats(&discounted_sum(&vector(&x, &device), &vector(&c, &device), 0)), &expected, 1e-6);
        let mut before = 0.0;
        for t in 0..steps {
            before = f64::from(x[t]) + f64::from(c[t]) * before;
            expected[t] = before;
        }
        near(&floats(&running_sum(&vector(&x, &device), &vector(&c, &device), 0)), &expected, 1e-6);
    }
}

#[test]
fn truncation_bootstraps_and_termination_does_not() {
    let device = device();
    let flags = |set: [bool; 3]| Tensor::from_vec(set.to_vec(), &[3], &device);
    let advantages = |terminated: bool, truncated: bool, lambda: f64| {
        let experience = Experience {
            reward: &vector(&[1.0, 2.0, 3.0], &device),
            value: &vector(&[0.5, 0.25, 4.0], &device),
            next_value: &vector(&[0.25, 10.0, 8.0], &device),
            terminated: &flags([false, terminated, false]),
            truncated: &flags([false, truncated, false]),
        };
        floats(&experience.advantages(0.5, lambda, 0))
    };
    // Errors: 1 + .125 - .5 = .625; 2 + {5, 0} - .25; 3 + 4 - 4 = 3. lambda gamma = .25.
    near(&advantages(false, false, 0.5), &[0.625 + 0.25 * (6.75 + 0.75), 6.75 + 0.75, 3.0], 1e-6);
    near(&advantages(false, true, 0.5), &[0.625 + 0.25 * 6.75, 6.75, 3.0], 1e-6);
    near(&advantages(true, false, 0.5), &[0.625 + 0.25 * 1.75, 1.75, 3.0], 1e-6);
    // lambda 0: one step; lambda 1: all rewards until the end.
    near(&advantages(true, false, 0.0), &[0.625, 1.75, 3.0], 1e-6);
    near(&advantages(true, false, 1.0), &[1.0 + 0.5 * 2.0 - 0.5, 1.75, 3.0], 1e-6);
}

#[test]
fn categorical_probabilities_are_the_softmax_also_masked_and_extreme() {
    let device = device();
    let scores = Tensor::from_vec(vec![0.0f32, 1.0, 2.0, 400.0, 0.0, -400.0], &[2, 3], &device);
    let d = Categorical::new(&scores);
    let total: f64 = [0.0f64, 1.0, 2.0].iter().map(|x| x.exp()).sum();
    let p: Vec<f64> = [0.0f64, 1.0, 2.0].iter().map(|x| x.exp() / total).collect();
    let actions = Tensor::from_vec(vec![1i32, 1], &[2], &device);
    near(&floats(&d.log_probability(&actions)), &[p[1].ln(), -400.0], 1e-6);
    let entropy: f64 = -p.iter().map(|p| p * p.ln()).sum::<f64>();
    near(&floats(&d.entropy()), &[entropy, 0.0], 1e-6);
    let allowed = Tensor::from_vec(vec![true, false, true, false, true, true], &[2, 3], &device);
    let masked = Categorical::masked(&scores, &allowed);
    let both = 1.0 + 2.0f64.exp();
    let entropy = both.ln() - 2.0 * 2.0f64.exp() / both;
    near(&floats(&masked.entropy()), &[entropy, 0.0], 1e-5);
    assert_eq!(masked.mode().to_vec::<i32>().expect("choices"), [2, 1]);
    let gradient = masked.entropy().sum(..).gradients(std::slice::from_ref(&scores));
    assert!(floats(&gradient[0]).iter().all(|g| g.is_finite()));
}

#[test]
fn several_choices_are_independent_ones_side_by_side() {
    let device = device();
    let scores = [0.5f32, -1.0, 2.0, 0.25, 1.5, -3.0, 0.0, 0.0, 1.0, -1.0];
    let all = Tensor::from_vec(scores.to_vec(), &[2, 5], &device);
    let d = MultiCategorical::new(&all, &[2, 3]);
    let log = |list: &[f32]| -> Vec<f64> {
        let total: f64 = list.iter().map(|x| f64::from(*x).exp()).sum();
        list.iter().map(|x| f64::from(*x) - total.ln()).collect()
    };
    let entropy = |log: &[f64]| -log.iter().map(|l| l * l.exp()).sum::<f64>();
    let parts: Vec<_> = scores.chunks(5).map(|row| (log(&row[..2]), log(&row[2..]))).collect();
    let actions = Tensor::from_vec(vec![1i32, 2, 0, 1], &[2, 2], &device);
    near(&floats(&d.log_probability(&actions)), &[parts[0].0[1] + parts[0].1[2], parts[1].0[0] + parts[1].1[1]], 1e-6);
    let entropies: Vec<f64> = parts.iter().map(|(a, b)| entropy(a) + entropy(b)).collect();
    near(&floats(&d.entropy()), &entropies, 1e-6);
    assert_eq!(d.mode().to_vec::<i32>().expect("choices"), [0, 0, 1, 1]);
    // Scores far apart leave no choice.
    let sure = MultiCategorical::new(&(all * 1000.0), &[2, 3]).sample();
    assert_eq!((sure.shape(), sure.to_vec::<i32>().expect("choices")), (&[2, 2][..], vec![0, 0, 1, 1]));
}

#[test]
fn samples_have_their_probabilities() {
    let device = device();
    device.seed(3).expect("seed");
    let n = 4000;
    let scores = vector(&[0.0, 1.0, -1.0], &device).expand([n, 3]);
    let counts = Categorical::new(&scores).sample().one_hot(3).cast(DType::F32).mean(0);
    let total: f64 = [0.0f64, 1.0, -1.0].iter().map(|x| x.exp()).sum();
    for (found, score) in floats(&counts).iter().zip([0.0f64, 1.0, -1.0]) {
        let p = score.exp() / total;
        // Four standard deviations.
        assert!((found - p).abs() < 4.0 * (p * (1.0 - p) / n as f64).sqrt(), "{found} instead of {p}");
    }
}

#[test]
fn gaussians_are_their_densities_and_squashing_changes_the_variable() {
    let device = device();
    let (mean, log_std) = (vector(&[0.5, -1.0], &device), vector(&[0.0, -0.5], &device));
    let d = DiagonalGaussian::new(&mean, &log_std);
    let density =
        |x: f64, m: f64, s: f64| -((x - m) / s).powi(2) / 2.0 - s.ln() - (2.0 * std::f64::consts::PI).sqrt().ln();
    let s = (-0.5f64).exp();
    let expected = density(1.0, 0.5, 1.0) + density(0.25, -1.0, s);
    near(&floats(&d.log_probability(&vector(&[1.0, 0.25], &device))), &[expected], 1e-6);
    let constant = 0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E).ln();
    near(&floats(&d.entropy()), &[2.0 * constant - 0.5], 1e-6);
    let squashed = SquashedGaussian::new(&mean, &log_std);
    let jacobian = |u: f64| (1.0 - u.tanh() * u.tanh()).ln();
    let at = squashed.log_probability_before(&vector(&[1.0, 0.25], &device));
    near(&floats(&at), &[expected - jacobian(1.0) - jacobian(0.25)], 1e-6);
    // Where 1 - tanh² is 0 in f32: ln(1 - tanh²(u)) = 2 ln 2 - 2 |u| to rounding.
    let far = squashed.log_probability_before(&vector(&[30.0, -30.0], &device));
    let expected = density(30.0, 0.5, 1.0) + density(-30.0, -1.0, s) - 2.0 * (2.0 * 2f64.ln() - 60.0);
    near(&floats(&far), &[expected], 1e-5);
}

#[test]
fn a_normalizer_has_the_moments_of_all_it_saw() {
    let device = device();
    let normalizer = Normalizer::new("n", 2, 1, &device).expect("memory");
    let mut update = Program::inference(&device, |x: Tensor| normalizer.update(&x));
    let x = |values: &[f32]| Tensor::from_vec(values.to_vec(), &[2, values.len() / 2, 1], &device);
    assert_eq!(
        floats(&normalizer.apply(&x(&[3.0, -20.0])).flatten(0)),
        [3.0 / (1.0f64 + 1e-8).sqrt(), -10.0].map(|y| y as f32 as f64)
    );
    update.run(x(&[1.0, 2.0, 10.0, 30.0])).expect("runs");
    update.run(x(&[3.0, 4.0, 5.0, 20.0, 40.0, 50.0])).expect("runs");
    // Seed 0 saw 1..5: mean 3, variance 2; seed 1 ten times as much.
    near(&floats(&normalizer.deviation().flatten(0)), &[2f64.sqrt(), 200f64.sqrt()], 1e-5);
    near(&floats(&normalizer.apply(&x(&[4.0, 40.0])).flatten(0)), &[0.5f64.sqrt(), 0.5f64.sqrt()], 1e-5);
}

#[test]
fn rewards_are_scaled_by_the_deviation_of_discounted_sums() {
    let device = device();
    let scale = RewardScale::new(1, 1, 0.5, &device).expect("memory");
    let flags = |list: &[bool]| Tensor::from_vec(list.to_vec(), &[3, 1], &device);
    let mut apply = Program::inference(&device, |(reward, ended): (Tensor, Tensor)| {
        let (no, zero) = (ended.logical_and(&ended.logical_not()), reward.clone());
        let (observation, next, action) = (zero.clone(), zero.clone(), zero);
        scale.apply(&Rollout {
            observation,
            next,
            action,
            terminated: ended,
            truncated: no,
            reward,
            allowed: None,
            next_allowed: None,
            noted: Vec::new(),
            apart: None,
        })
    });
    let rewards = |list: &[f32]| Tensor::from_vec(list.to_vec(), &[3, 1], &device);
    // Sums 1, 2.5 | 3: variance 13/18.
    let first = apply.run((rewards(&[1.0, 2.0, 3.0]), flags(&[false, true, false]))).expect("runs");
    let deviation = (13f64 / 18.0).sqrt();
    near(&floats(&first), &[1.0 / deviation, 2.0 / deviation, 3.0 / deviation], 1e-5);
    // The second episode's sum goes on: 1.5, 0.75, 1.375.
    let second = apply.run((rewards(&[0.0, 0.0, 1.0]), flags(&[false, false, false]))).expect("runs");
    let all = [1.0, 2.5, 3.0, 1.5, 0.75, 1.375f64];
    let mean = all.iter().sum::<f64>() / 6.0;
    let deviation = (all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
    near(&floats(&second), &[0.0, 0.0, 1.0 / deviation], 1e-5);
}

#[test]
fn the_best_parameters_of_each_agent_come_back() {
    let device = device();
    let var = Var::try_new("p", &vector(&[1.0, 2.0], &device)).expect("memory");
    let mut best = Best::new(vec![var.clone()]);
    best.offer(&[5.0, 5.0]).expect("two scores");
    var.write(&[3.0f32, 4.0]).expect("written");
    best.offer(&[4.0, 6.0]).expect("two scores");
    var.write(&[7.0f32, 8.0]).expect("written");
    assert!(best.offer(&[1.0]).is_err());
    best.restore();
    assert_eq!((floats(&var.get()), best.scores()), (vec![1.0, 4.0], &[5.0, 6.0][..]));
}

#[test]
fn an_interval_is_that_of_the_mean_of_finite_numbers() {
    let found = Interval::of(&[1.0, f64::NAN, 2.0, 3.0]);
    let half = 1.96 / 3f64.sqrt();
    near(&[found.mean, found.low, found.high], &[2.0, 2.0 - half, 2.0 + half], 1e-12);
    let one = Interval::of(&[5.0]);
    assert_eq!((one.mean, one.low, one.high, one.count), (5.0, 5.0, 5.0, 1));
    assert!(Interval::of(&[f64::NAN]).mean.is_nan());
}

#[test]
fn returns_of_fixed_numbers_move_and_are_shared_out_by_distance() {
    let device = device();
    let support = Support { atoms: 5, low: -1.0, high: 1.0 };
    assert_eq!(floats(&support.values(&device)), [-1.0, -0.5, 0.0, 0.5, 1.0]);
    let p = [0.1f32, 0.2, 0.3, 0.3, 0.1];
    let moved = |reward: f32, discount: f32| {
        let p = Tensor::from_vec(p.to_vec(), &[1, 5], &device);
        floats(&support.project(&p, &vector(&[reward], &device), &vector(&[discount], &device)))
    };
    // Nothing moves; all by one place; by half a place, each to two neighbours; beyond the end, all at the end.
    near(&moved(0.0, 1.0), &[0.1, 0.2, 0.3, 0.3, 0.1], 1e-6);
    near(&moved(0.5, 1.0), &[0.0, 0.1, 0.2, 0.3, 0.4], 1e-6);
    near(&moved(0.25, 1.0), &[0.05, 0.15, 0.25, 0.3, 0.25], 1e-6);
    near(&moved(7.0, 1.0), &[0.0, 0.0, 0.0, 0.0, 1.0], 1e-6);
    // Without a future all lies at the reward: between 0 and 0.5, two fifths of the way.
    near(&moved(0.2, 0.0), &[0.0, 0.0, 0.6, 0.4, 0.0], 1e-6);
    // Discounted: at -0.9, -0.45, 0, 0.45 and 0.9.
    near(
        &moved(0.0, 0.9),
        &[0.1 * 0.8, 0.1 * 0.2 + 0.2 * 0.9, 0.2 * 0.1 + 0.3 + 0.3 * 0.1, 0.3 * 0.9 + 0.1 * 0.2, 0.1 * 0.8],
        1e-6,
    );
    // Within the bounds the mean is that of the definition.
    let mean = floats(&support.mean(&Tensor::from_vec(moved(0.1, 0.5), &[5], &device).cast(DType::F32)))[0];
    near(&[mean], &[0.1 + 0.5 * (-0.1 - 0.1 + 0.15 + 0.1)], 1e-6);
}

/// Observations of two seeds with three environments each; what a step led to is what the next one saw unless the episode ended.
#[test]
fn values_of_what_follows_are_those_of_all_next_observations() {
    let device = device();
    device.seed(5).expect("seed");
    let (steps, n, apart) = (40, 6, 16);
    let cut = |step: usize, world: usize| (step + 3 * world) % apart == apart - 1;
    let ended = |step: usize, world: usize| (step * 7 + world * 5).is_multiple_of(11);
    let flags = |of: &dyn Fn(usize, usize) -> bool| {
        let list: Vec<bool> = (0..steps * n).map(|i| of(i / n, i % n)).collect();
        Tensor::from_vec(list, &[steps, n], &device)
    };
    let fresh = Tensor::randn(&[steps, n, 2], &device);
    let next = Tensor::randn(&[steps, n, 2], &device);
    Tensor::realize_all(&[fresh.clone(), next.clone()]).expect("numbers");
    for (cuts, apart, ends) in
        [(true, Some(apart), true), (true, Some(1), true), (false, None, true), (false, Some(500), false)]
    {
        let truncated = flags(&|step, world| cuts && cut(step, world));
        let terminated = flags(&|step, world| ends && ended(step, world) && !cut(step, world));
        let done = truncated.logical_or(&terminated);
        let begins = done.slice(0, ..steps - 1).unsqueeze(-1);
        let later = begins.select(fresh.slice(0, 1..), next.slice(0, ..steps - 1));
        let observation = Tensor::cat(&[fresh.slice(0, ..1), later], 0);
        let reward = Tensor::zeros(&[steps, n], &device);
        let rollout = Rollout {
            observation: observation.clone(),
            action: reward.clone(),
            reward,
            terminated: terminated.clone(),
            truncated,
            next: next.clone(),
            allowed: Some(observation.gt(0.0)),
            next_allowed: Some(next.gt(0.0)),
            noted: Vec::new(),
            apart,
        };
        let rows = std::cell::Cell::new(0);
        // What is allowed follows from what is seen, here.
        let value = |seen: &Tensor, allowed: Option<&Tensor>| {
            rows.set(seen.size(1));
            allowed.expect("a mask").select(seen.square(), 0.0).sum(-1)
        };
        let [seen, expected] = [&observation, &next].map(|x| {
            let x = Rollout::by_seed(x, 2);
            value(&x, Some(&x.gt(0.0))).reshape([2, steps, 3])
        });
        let (found, valued) = (rollout.next_values(&seen, value), rows.get());
        // After an end there is nothing to be valued.
        let over = Rollout::by_seed(&terminated, 2).reshape([2, steps, 3]);
        let zero = |x: &Tensor| floats(&over.select(0.0, x));
        assert_eq!(zero(&found), zero(&expected), "{apart:?}");
        let windows = match apart {
            Some(1) => steps - 1,
            Some(apart) => steps.div_ceil(apart),
            None => 0,
        };
        assert_eq!(valued, 3 * (windows + 1), "{apart:?}");
    }
}
