//! Environments against Gymnasium, returns and distributions against their definitions, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use anygrad_core::{DType, Device, Program, Tensor, Var};
use anygrad_trainers::reinforcement::environments::{
    Acrobot, CartPole, GridWorld, MountainCar, MountainCarContinuous, Pendulum,
};
use anygrad_trainers::reinforcement::replay::Replay;
use anygrad_trainers::reinforcement::returns::{Experience, discounted_sum, running_sum};
use anygrad_trainers::reinforcement::rollout::Rollout;
use anygrad_trainers::reinforcement::{
    Best, Categorical, DiagonalGaussian, Dqn, DqnConfig, Environment, HostConfig, HostEnvironment, HostEnvironments,
    HostStep, Normalizer, Ppo, PpoConfig, RewardScale, Sac, SacConfig, Space, SquashedGaussian, Step,
    VectorEnvironment,
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

/// All recorded steps at once, as a batch of worlds.
#[track_caller]
fn like_gymnasium(environment: &dyn Environment, dtype: DType, tolerance: f64) {
    let all: serde_json::Value = serde_json::from_str(include_str!("goldens/environments.json")).expect("goldens");
    let golden = &all[environment.name()];
    let rows = |name: &str| -> Vec<Vec<f64>> { serde_json::from_value(golden[name].clone()).expect("rows") };
    let column = |name: &str| -> Vec<f64> { serde_json::from_value(golden[name].clone()).expect("a column") };
    let device = device();
    let n = rows("state").len();
    let parts = |rows: &[Vec<f64>]| -> Vec<Tensor> {
        let part = |i: usize| {
            let values: Vec<f64> = rows.iter().map(|row| row[i]).collect();
            Tensor::from_vec(values, &[n], &device).cast(dtype)
        };
        (0..rows[0].len()).map(part).collect()
    };
    let actions = column("action");
    let action = match environment.action_space() {
        Space::Discrete(_) => Tensor::from_vec(actions.iter().map(|&a| a as i32).collect(), &[n], &device),
        _ => Tensor::from_vec(actions, &[n, 1], &device).cast(dtype),
    };
    let Step { state, reward, terminated } = environment.step(&parts(&rows("state")), &action);
    for (i, (found, expected)) in state.iter().zip(parts(&rows("next"))).enumerate() {
        assert_eq!(found.dtype(), dtype, "part {i}");
        near(&floats(found), &floats(&expected), tolerance);
    }
    near(&floats(&reward), &column("reward"), tolerance);
    let ends: Vec<bool> = serde_json::from_value(golden["terminated"].clone()).expect("flags");
    assert_eq!(terminated.to_vec::<bool>().expect("flags"), ends);
    // Gymnasium hands observations out in f32.
    let seen: Vec<f64> = rows("seen").concat();
    near(&floats(&environment.observe(&state)), &seen, tolerance.max(1e-6));
}

#[test]
fn classic_controls_are_gymnasiums_step_for_step() {
    let all: [&dyn Environment; 4] = [&CartPole, &Pendulum, &Acrobot, &MountainCar];
    for environment in all {
        like_gymnasium(environment, DType::F64, 1e-9);
        // f32: the largest numbers are about 10, through at most some forty roundings.
        like_gymnasium(environment, DType::F32, 40.0 * f64::from(f32::EPSILON));
    }
    // Gymnasium keeps this one's state in f32.
    like_gymnasium(&MountainCarContinuous, DType::F64, 1e-6);
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

/// Counts its steps; observation and reward are the count.
#[derive(Clone, Copy, Debug)]
struct Counter {
    ends: f64,
    limit: usize,
    poison: f64,
}

impl Environment for Counter {
    fn name(&self) -> &str {
        "Counter"
    }
    fn observation_space(&self) -> Space {
        Space::uniform(&[1], 0.0, 1e6)
    }
    fn action_space(&self) -> Space {
        Space::Discrete(2)
    }
    fn time_limit(&self) -> Option<usize> {
        Some(self.limit)
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::zeros(&[n], device)]
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].unsqueeze(-1)
    }
    fn step(&self, state: &[Tensor], _: &Tensor) -> Step {
        let next = &state[0] + 1.0;
        let reward = next.eq(self.poison).select(f64::NAN, &next);
        Step { terminated: next.ge(self.ends), reward, state: vec![next] }
    }
}

#[test]
fn ended_episodes_begin_anew_and_show_where_they_ended() {
    let device = device();
    let run = |world: Counter| {
        let worlds = VectorEnvironment::new(Arc::new(world), 2, &device).expect("worlds");
        let mut program = Program::inference(&device, |()| {
            Rollout::collect(&worlds, 5, |_| {
                let action = Tensor::full(&[2], 0.0, DType::I32, &device);
                (action.clone(), action)
            })
        });
        program.run(()).expect("a rollout")
    };
    let first = |tensor: &Tensor| floats(tensor).into_iter().step_by(2).collect::<Vec<_>>();
    let ended = run(Counter { ends: 3.0, limit: 100, poison: -1.0 });
    assert_eq!(first(&ended.observation), [0.0, 1.0, 2.0, 0.0, 1.0]);
    assert_eq!(first(&ended.next), [1.0, 2.0, 3.0, 1.0, 2.0]);
    assert_eq!(first(&ended.terminated.cast(DType::F32)), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(first(&ended.truncated.cast(DType::F32)), [0.0; 5]);
    let cut = run(Counter { ends: 1e9, limit: 2, poison: -1.0 });
    assert_eq!(first(&cut.observation), [0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(first(&cut.truncated.cast(DType::F32)), [0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(first(&cut.terminated.cast(DType::F32)), [0.0; 5]);
}

#[test]
fn a_replay_is_a_ring_and_sums_stop_at_ends() {
    let device = device();
    // Episodes of 5 steps; blocks of 4; a ring of 8, so that the fourth block overwrites the second.
    let worlds = VectorEnvironment::new(Arc::new(Counter { ends: 5.0, limit: 100, poison: -1.0 }), 2, &device);
    let worlds = worlds.expect("worlds");
    let replay = Replay::new(&worlds, 2, 8, 4).expect("a replay");
    let mut write = Program::inference(&device, |()| {
        let steps = Rollout::collect(&worlds, 4, |_| {
            let action = Tensor::full(&[2], 0.0, DType::I32, &device);
            (action.clone(), action)
        });
        replay.write(&steps);
        replay.settle();
    });
    assert_eq!(replay.settle_every(), 1);
    (0..3).for_each(|_| write.run(()).expect("a block"));
    let mut draw = Program::inference(&device, |()| {
        let s = replay.sample(64, 2, 0.5);
        vec![s.observation.flatten(1), s.reward, s.next.flatten(1), s.discount]
    });
    let drawn = draw.run(()).expect("a sample");
    assert_eq!(drawn[0].shape(), [2, 64]);
    let [seen, reward, next, discount] = [0, 1, 2, 3].map(|i| floats(&drawn[i]));
    let mut met = std::collections::BTreeSet::new();
    for i in 0..seen.len() {
        let o = seen[i];
        met.insert(o as i64);
        let (sum, last, weight) = if o == 4.0 {
            (5.0, 5.0, 0.0)
        } else {
            let weight = if o + 2.0 == 5.0 { 0.0 } else { 0.25 };
            ((o + 1.0) + 0.5 * (o + 2.0), o + 2.0, weight)
        };
        assert_eq!((reward[i], next[i], discount[i]), (sum, last, weight), "seeing {o}");
    }
    // Steps 4..12 are there, the sum of the last one would reach over the end: observations 4 0 1 2 3 4 0.
    assert_eq!(met.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
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
        scale.apply(&Rollout { observation, next, action, terminated: ended, truncated: no, reward })
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
fn a_replay_of_two_rings_remembers_exactly_the_newest_steps() {
    let device = device();
    // Nothing ends: what is seen is the number of the step. 16 blocks of 2, 4 of them in the small ring.
    let worlds = VectorEnvironment::new(Arc::new(Counter { ends: 1e9, limit: 1_000, poison: -1.0 }), 2, &device);
    let worlds = worlds.expect("worlds");
    let replay = Replay::new(&worlds, 1, 32, 2).expect("a replay");
    assert_eq!(replay.settle_every(), 4);
    let mut write = Program::inference(&device, |()| {
        let steps = Rollout::collect(&worlds, 2, |_| {
            let action = Tensor::full(&[2], 0.0, DType::I32, &device);
            (action.clone(), action)
        });
        replay.write(&steps);
    });
    let mut settle = Program::inference(&device, |()| replay.settle());
    let mut draw = Program::inference(&device, |()| {
        let s = replay.sample(1024, 1, 0.5);
        vec![s.observation.flatten(1), s.reward, s.next.flatten(1)]
    });
    for blocks in 1..=39i64 {
        write.run(()).expect("a block");
        if [1, 4, 5, 16, 18, 20, 23, 39].contains(&blocks) {
            let drawn = draw.run(()).expect("a sample");
            let [seen, reward, next] = [0, 1, 2].map(|i| floats(&drawn[i]));
            let met: std::collections::BTreeSet<i64> = seen.iter().map(|x| *x as i64).collect();
            // Each of at most 32 steps is missed by 1,024 draws with probability (31/32)^1024 < 1e-14.
            let expected: Vec<i64> = ((2 * blocks - 32).max(0)..2 * blocks).collect();
            assert_eq!(met.into_iter().collect::<Vec<_>>(), expected, "after {blocks} blocks");
            assert!(seen.iter().zip(reward.iter().zip(&next)).all(|(o, (r, n))| *r == o + 1.0 && *n == o + 1.0));
        }
        if blocks % 4 == 0 {
            settle.run(()).expect("moved");
        }
    }
}

#[test]
fn a_grid_world_keeps_inside_of_its_walls() {
    let device = device();
    let world = GridWorld::new(&["S#.", "..G"]).expect("a map");
    let at = |cell: Vec<i32>, action: Vec<i32>| {
        let n = cell.len();
        let step = world.step(&[Tensor::from_vec(cell, &[n], &device)], &Tensor::from_vec(action, &[n], &device));
        (step.state[0].to_vec::<i32>().expect("cells"), floats(&step.reward))
    };
    let (cells, rewards) = at(vec![0, 0, 0, 4, 2, 2], vec![0, 1, 2, 1, 2, 3]);
    assert_eq!(cells, [0, 0, 3, 5, 5, 2]);
    near(&rewards, &[-0.01, -0.01, -0.01, 0.99, 0.99, -0.01], 1e-6);
    for map in [&["S.", "G"][..], &["SS", "G."], &["S.", ".."], &["S?", "G."], &[]] {
        assert!(GridWorld::new(map).is_err(), "{map:?}");
    }
}

#[test]
fn impossible_configurations_are_refused_with_a_reason() {
    let device = device();
    let ppo = |config: PpoConfig| Ppo::new(CartPole, config, &device).map(|_| ());
    let d = PpoConfig::default;
    let cases = [
        (ppo(PpoConfig { minibatches: 1000, ..d() }), "minibatches"),
        (ppo(PpoConfig { minibatches: 3, ..d() }), "minibatches"),
        (ppo(PpoConfig { environments: 0, ..d() }), "environments"),
        (ppo(PpoConfig { steps: 10, ..d() }), "less than one rollout"),
        (ppo(PpoConfig { gamma: 1.5, ..d() }), "gamma"),
        (ppo(PpoConfig { clip: f64::NAN, ..d() }), "clip"),
        (Dqn::new(Pendulum, DqnConfig::default(), &device).map(|_| ()), "one choice"),
        (Sac::new(CartPole, SacConfig::default(), &device).map(|_| ()), "real numbers"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_reward_that_is_not_a_number_is_named_by_environment_and_step() {
    let device = device();
    let world = Counter { ends: 1e9, limit: 1000, poison: 6.0 };
    let config =
        PpoConfig { environments: 2, rollout: 4, steps: 80, hidden: vec![4], minibatches: 2, ..PpoConfig::default() };
    let mut ppo = Ppo::new(world, config, &device).expect("ppo");
    ppo.iterate().expect("four good steps");
    let message = ppo.iterate().expect_err("the sixth reward").to_string();
    assert!(message.contains("Counter, environment 0, step 5"), "{message}");
}

/// A world on the host that does what its number says at its third step.
struct Moody {
    mood: Mood,
    steps: usize,
}

#[derive(Clone, Copy)]
enum Mood {
    Fine,
    Errs,
    Hangs,
    Panics,
    Short,
}

impl HostEnvironment for Moody {
    fn reset(&mut self) -> anygrad_core::Result<Vec<f32>> {
        Ok(vec![0.0])
    }
    fn step(&mut self, action: &[f32]) -> anygrad_core::Result<HostStep> {
        self.steps += 1;
        assert_eq!(action.len(), 1);
        let mut observation = vec![self.steps as f32];
        match self.mood {
            Mood::Errs if self.steps == 3 => return Err(anygrad_core::Error::data("simulator", "out of fuel")),
            Mood::Hangs if self.steps == 3 => std::thread::sleep(Duration::from_secs(3)),
            Mood::Panics if self.steps == 3 => panic!("this panic is part of the test"),
            Mood::Short if self.steps == 3 => observation.clear(),
            _ => {}
        }
        Ok(HostStep { observation, reward: 1.0, terminated: self.steps.is_multiple_of(4), truncated: false })
    }
}

#[test]
fn worlds_on_the_host_work_and_their_failures_are_passed_on() {
    let device = device();
    let iterate = |mood: Mood| {
        let config = HostConfig {
            name: "Moody".into(),
            observations: Space::uniform(&[1], 0.0, 100.0),
            actions: Space::Discrete(2),
            count: 4,
            threads: 3,
            timeout: Duration::from_millis(500),
        };
        let make = move |number| Ok(Moody { mood: if number == 2 { mood } else { Mood::Fine }, steps: 0 });
        let worlds = HostEnvironments::new(config, make).expect("worlds");
        let config = PpoConfig {
            environments: 4,
            rollout: 8,
            steps: 64,
            hidden: vec![4],
            minibatches: 2,
            ..PpoConfig::default()
        };
        Ppo::on_host(worlds, config, &device).expect("ppo").iterate()
    };
    let fine = iterate(Mood::Fine).expect("eight good steps");
    // Two episodes of four steps in each of four worlds.
    assert_eq!((fine.episodes[0], fine.returns[0], fine.lengths[0]), (8.0, 4.0, 4.0));
    let cases = [
        (Mood::Errs, "Moody, environment 2: simulator: out of fuel"),
        (Mood::Hangs, "no answer within 500ms"),
        (Mood::Panics, "panicked"),
        (Mood::Short, "0 numbers, its space 1"),
    ];
    for (mood, words) in cases {
        let message = iterate(mood).expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}
