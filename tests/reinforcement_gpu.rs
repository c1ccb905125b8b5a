//! Reinforcement learning on a GPU beside the CPU: the same worlds, the same first numbers of every algorithm, equally good agents.

mod worlds;

use std::sync::Arc;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{
    Acrobot, Bandit, Breakout, CartPole, GridWorld, Identity, IdentityBox, Lander, MountainCar, MountainCarContinuous,
    Pendulum, Recall, Snake,
};
use anygrad::reinforcement::rollout::Rollout;
use anygrad::reinforcement::{
    Dqn, DqnConfig, Environment, Layers, Learner, OffPolicy, OffPolicyConfig, OnLearner, OnPolicy, Portions, Ppo,
    PpoConfig, Pqn, PqnConfig, Priority, RecurrentConfig, RecurrentPpo, Returns, Sac, SacConfig, Space, Support, Td3,
    Td3Config, VectorEnvironment,
};

use worlds::{alone, silent, small_dqn, solved};

/// The GPU, seeded; none where there is none and none is required.
fn gpu(seed: u64) -> Option<Device> {
    match cfg!(feature = "wgpu").then(Device::gpu) {
        Some(Err(error)) if std::env::var("ANYGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Some(Ok(gpu)) => {
            gpu.seed(seed).expect("a seed");
            Some(gpu)
        }
        _ => {
            println!("skipped: there is no GPU");
            None
        }
    }
}

/// Worlds of each kind, and steps of each.
const WORLDS: usize = 4;
const STEPS: usize = 100;

/// What 100 random steps show, for each step its numbers: observations before and after it, the reward and how it ended. With
/// `nudge`, every real number of the states is multiplied by `1 +- nudge` before each step, signs as in `turn`.
fn lived(world: Arc<dyn Environment>, (nudge, turn): (f64, usize), device: &Device) -> Vec<Vec<f64>> {
    const CHUNK: usize = 10;
    device.seed(9).expect("a seed");
    let actions = world.action_space();
    let worlds = VectorEnvironment::new(world, WORLDS, device).expect("worlds");
    let mut program = Program::inference(device, |()| {
        let mut step = turn;
        Rollout::collect(&worlds, CHUNK, |_| {
            for var in worlds.variables().into_iter().filter(|var| nudge > 0.0 && var.dtype() == DType::F32) {
                step += 1;
                let width = var.len() / WORLDS;
                // Signs without a pattern: bits of a multiple of the golden ratio.
                let sign = |i: usize| {
                    f64::from(u8::from(((step * WORLDS + i / width) as f64 * 0.618_034).fract() < 0.5)) * 2.0 - 1.0
                };
                let factors = (0..var.len()).map(|i| (1.0 + nudge * sign(i)) as f32).collect();
                var.assign(&(var.get() * Tensor::from_vec(factors, var.shape(), device)));
            }
            let action = match &actions {
                Space::Discrete(choices) => Tensor::randint(&[WORLDS], 0, *choices as i32, device),
                _ => Tensor::uniform(&[WORLDS, 1], -2.0, 2.0, device),
            };
            (action.clone(), action)
        })
    });
    let mut seen = Vec::new();
    for _ in 0..STEPS / CHUNK {
        let all = program.run(()).expect("a rollout");
        let parts = [all.observation, all.next, all.reward, all.terminated, all.truncated];
        let parts = parts.map(|part| part.cast(DType::F32).to_f64().expect("numbers"));
        seen.extend((0..CHUNK).map(|i| {
            let of = |part: &Vec<f64>| part[i * part.len() / CHUNK..(i + 1) * part.len() / CHUNK].to_vec();
            parts.iter().flat_map(of).collect()
        }));
    }
    seen
}

/// The largest difference of each step.
fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<f64> {
    let largest = |(a, b): (&Vec<f64>, &Vec<f64>)| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()))
    };
    a.iter().zip(b).map(largest).collect()
}

#[test]
fn cpu_and_gpu_live_in_the_same_worlds_for_100_steps() {
    let _turn = alone();
    let Some(gpu) = gpu(9) else { return };
    // Whole numbers: exactly the same, but for one division in a snake's image and noise of one logarithm in a bandit's rewards.
    let exact: [(Arc<dyn Environment>, f64); 6] = [
        (Arc::new(Breakout), 0.0),
        (Arc::new(Snake), 1e-6),
        (Arc::new(GridWorld::new(&["S..", ".#.", "..G"]).expect("a map")), 0.0),
        (Arc::new(Identity { delay: 2, ..Identity::default() }), 0.0),
        (Arc::new(Recall::default()), 0.0),
        (Arc::new(Bandit { means: vec![0.0, 1.0, 2.0], deviation: 0.1 }), 1e-5),
    ];
    for (world, tolerance) in exact {
        let [cpu, gpu] = [&Device::cpu(), &gpu].map(|device| lived(world.clone(), (0.0, 0), device));
        for (step, far) in apart(&cpu, &gpu).into_iter().enumerate() {
            assert!(far <= tolerance, "{}, step {step}: {far} apart", world.name());
        }
    }
    // Real numbers: errors of rounding grow with time, in each world at its own pace, which the CPU itself shows: by how much
    // do states part if each number is off by some last digits before each step? Two devices may be as far apart: a step has
    // up to some forty roundings (Acrobot's four slopes), most of them of terms smaller than the state.
    let real: [Arc<dyn Environment>; 7] = [
        Arc::new(CartPole),
        Arc::new(Pendulum),
        Arc::new(Acrobot),
        Arc::new(MountainCar),
        Arc::new(MountainCarContinuous),
        Arc::new(Lander),
        Arc::new(IdentityBox { delay: 1 }),
    ];
    for world in real {
        let [cpu, gpu] = [&Device::cpu(), &gpu].map(|device| lived(world.clone(), (0.0, 0), device));
        let nudged = [0, 1000, 2000]
            .map(|turn| apart(&cpu, &lived(world.clone(), (8.0 * f64::from(f32::EPSILON), turn), &Device::cpu())));
        // Before anything was nudged: beginnings are sums and products of two or three numbers.
        let largest = cpu[0].iter().fold(1.0f64, |most, x| most.max(x.abs()));
        let (mut bound, mut most) = (2.0 * f64::from(f32::EPSILON) * largest, 0.0f64);
        for (step, far) in apart(&cpu, &gpu).into_iter().enumerate() {
            bound = nudged.iter().fold(bound, |bound, far| bound.max(far[step]));
            most = most.max(far);
            assert!(far <= bound, "{}, step {step}: {far} apart, nudged {bound}", world.name());
        }
        println!("{}: {most:.1e} apart, {bound:.1e} if nudged", world.name());
        // The bound says something: it is far below what is seen.
        assert!(bound < 0.05, "{}: {bound}", world.name());
    }
}

/// What the first iteration tells, but for what no episode's end has told yet.
fn first_iteration<L: OnLearner>(agents: Result<OnPolicy<L>>) -> Vec<f64> {
    let told = agents.expect("agents").iterate().expect("an iteration");
    told.told.into_iter().flat_map(|(_, list)| list).collect()
}

/// What the first steps tell, with some updates.
fn first_updates<L: Learner>(agents: Result<OffPolicy<L>>) -> Vec<f64> {
    let (mut agents, mut told) = (agents.expect("agents"), Vec::new());
    let listener = &mut |event: &Event<'_>| {
        if let Event::Epoch(record) = event {
            told.extend(record.values.iter().map(|(_, x)| *x).filter(|x| x.is_finite()));
        }
        Ok(Flow::Continue)
    };
    agents.train(16, listener).expect("training");
    told
}

#[test]
fn all_algorithms_begin_alike_on_cpu_and_gpu() {
    let _turn = alone();
    let Some(gpu) = gpu(9) else { return };
    let ppo = |layers: Layers| PpoConfig {
        rollout: 6,
        steps: 1000,
        epochs: 1,
        minibatches: 1,
        layers,
        ..PpoConfig::default()
    };
    let image = Layers { convolutions: vec![4], hidden: vec![8], ..Layers::default() };
    let dqn = |returns: Returns, priority: Option<Priority>| {
        let mut config = DqnConfig { returns, layers: Layers::relu(&[8]), ..small_dqn(48) };
        config.common = OffPolicyConfig { warm_up: 16, capacity: 40, batch: 8, priority, ..config.common };
        config
    };
    let support = Support { atoms: 5, low: 0.0, high: 10.0 };
    type Run<'a> = (&'a str, Box<dyn Fn(&Device) -> Vec<f64> + 'a>);
    let common = |updates: usize| OffPolicyConfig {
        steps: 48,
        warm_up: 16,
        frequency: updates,
        updates,
        capacity: 48,
        batch: 8,
        ..OffPolicyConfig::default()
    };
    let sac = || SacConfig { common: common(1), hidden: vec![8], ..SacConfig::default() };
    let td3 = |config: Td3Config| Td3Config { common: common(2), hidden: vec![8], ..config };
    let real = |layers: Layers| PpoConfig { normalize_observations: true, normalize_rewards: true, ..ppo(layers) };
    let runs: [Run<'_>; 11] = [
        ("ppo", Box::new(|device| first_iteration(Ppo::new(CartPole, ppo(Layers::tanh(&[8])), device)))),
        ("real actions", Box::new(|device| first_iteration(Ppo::new(Pendulum, real(Layers::tanh(&[8])), device)))),
        ("sac", Box::new(|device| first_updates(Sac::new(Pendulum, sac(), device)))),
        ("td3", Box::new(|device| first_updates(Td3::new(Pendulum, td3(Td3Config::default()), device)))),
        ("ddpg", Box::new(|device| first_updates(Td3::new(Pendulum, td3(Td3Config::ddpg()), device)))),
        (
            "pqn",
            Box::new(|device| {
                let mut config =
                    PqnConfig { layers: Layers { norm: true, ..Layers::relu(&[8]) }, ..PqnConfig::default() };
                config.portions =
                    Portions { environments: 4, rollout: 6, steps: 1000, epochs: 1, minibatches: 1, ..config.portions };
                first_iteration(Pqn::new(CartPole, config, device))
            }),
        ),
        (
            "memory",
            Box::new(|device| {
                let config = RecurrentConfig { ppo: ppo(Layers::tanh(&[8])), memory: 4 };
                first_iteration(RecurrentPpo::new(Recall::default(), config, device))
            }),
        ),
        ("snake", Box::new(|device| first_iteration(Ppo::new(Snake, ppo(image.clone()), device)))),
        ("breakout", Box::new(|device| first_iteration(Ppo::new(Breakout, ppo(image.clone()), device)))),
        (
            "quantiles, priority",
            Box::new(|device| {
                first_updates(Dqn::new(CartPole, dqn(Returns::Quantiles(4), Some(Priority::default())), device))
            }),
        ),
        (
            "categories",
            Box::new(|device| first_updates(Dqn::new(CartPole, dqn(Returns::Categories(support), None), device))),
        ),
    ];
    for (name, run) in runs {
        let [cpu, gpu] = [&Device::cpu(), &gpu].map(|device| {
            device.seed(9).expect("a seed");
            run(device)
        });
        assert!(!cpu.is_empty() && cpu.len() == gpu.len(), "{name}: {cpu:?} and {gpu:?}");
        for (a, b) in cpu.iter().zip(&gpu) {
            // Sums of at most some hundred numbers of order one, in another order; a few updates.
            assert!((a - b).abs() <= 1e-3 * (1.0 + a.abs()), "{name}: {cpu:?} and {gpu:?}");
        }
    }
}

fn trained<L: OnLearner>(agents: Result<OnPolicy<L>>) -> OnPolicy<L> {
    let mut agents = agents.expect("agents");
    agents.train(&mut silent).expect("training");
    agents
}

#[test]
fn on_policy_algorithms_solve_their_identity_on_the_gpu() {
    let _turn = alone();
    let Some(gpu) = gpu(4) else { return };
    let world = Identity::default();
    let base = PpoConfig {
        environments: 32,
        rollout: 10,
        steps: 12_800,
        epochs: 2,
        minibatches: 2,
        learning_rate: 2e-2,
        layers: Layers::tanh(&[16]),
        ..PpoConfig::default()
    };
    let PpoConfig { environments, rollout, learning_rate, .. } = base;
    let once = |config: PpoConfig| PpoConfig {
        environments,
        rollout,
        steps: 19_200,
        learning_rate,
        layers: Layers::tanh(&[16]),
        ..config
    };
    for config in [base.clone(), once(PpoConfig::a2c()), once(PpoConfig::reinforce())] {
        solved(&trained(Ppo::new(world, config, &gpu)).agent().actor, world, 9.5, &gpu);
    }
    let pqn = PqnConfig {
        portions: Portions { seeds: 1, environments, rollout, steps: 16_000, epochs: 2, minibatches: 2 },
        learning_rate: 1e-2,
        gamma: 0.5,
        layers: Layers { norm: true, ..Layers::relu(&[16]) },
        ..PqnConfig::default()
    };
    solved(trained(Pqn::new(world, pqn, &gpu)).learner(), world, 9.5, &gpu);
    let recall = Recall { choices: 2, length: 2 };
    let memory = RecurrentConfig { ppo: PpoConfig { rollout: 4, steps: 6_400, ..base }, memory: 8 };
    solved(trained(RecurrentPpo::new(recall, memory, &gpu)).learner(), recall, 0.95, &gpu);
}

#[test]
fn off_policy_algorithms_solve_their_identity_on_the_gpu() {
    let _turn = alone();
    let Some(gpu) = gpu(4) else { return };
    let common = |cycles: u64, updates: usize| OffPolicyConfig {
        environments: 16,
        steps: cycles * 16 * updates as u64,
        frequency: updates,
        updates,
        warm_up: 160,
        capacity: 100 * updates,
        batch: 32,
        gamma: 0.5,
        ..OffPolicyConfig::default()
    };
    let world = Identity::default();
    let config = DqnConfig {
        common: common(160, 1),
        learning_rate: 1e-2,
        target_every: 10,
        layers: Layers::relu(&[16]),
        ..DqnConfig::default()
    };
    let mut dqn = Dqn::new(world, config, &gpu).expect("agents");
    dqn.train(1600, &mut silent).expect("training");
    solved(dqn.learner(), world, 9.5, &gpu);
    // The constant 0 earns -3.3 in this world.
    let world = IdentityBox::default();
    let sac = SacConfig { common: common(200, 1), learning_rate: 1e-2, hidden: vec![16], ..SacConfig::default() };
    let mut agents = Sac::new(world, sac, &gpu).expect("agents");
    agents.train(1600, &mut silent).expect("training");
    solved(agents.learner(), world, -0.2, &gpu);
    let td3 = |config: Td3Config| Td3Config {
        common: common(120, 2),
        learning_rate: 1e-2,
        hidden: vec![16],
        exploration: 0.4,
        ..config
    };
    for config in [td3(Td3Config::default()), td3(Td3Config::ddpg())] {
        let mut agents = Td3::new(world, config, &gpu).expect("agents");
        agents.train(1600, &mut silent).expect("training");
        solved(agents.learner(), world, -0.2, &gpu);
    }
}

/// Standardised rank sum of the first sample (Mann and Whitney, "On a test of whether one of two random variables is
/// stochastically larger than the other", 1947; equal numbers share their mean rank).
fn rank_test(a: &[f64], b: &[f64]) -> f64 {
    let (n, m, all) = (a.len() as f64, b.len() as f64, [a, b].concat());
    let rank = |x: f64| {
        let (below, same) = (all.iter().filter(|y| **y < x).count(), all.iter().filter(|y| **y == x).count());
        below as f64 + (same as f64 + 1.0) / 2.0
    };
    let ranks: Vec<f64> = all.iter().map(|x| rank(*x)).collect();
    let (sum, mean) = (ranks[..a.len()].iter().sum::<f64>(), n * (n + m + 1.0) / 2.0);
    let spread: f64 = ranks.iter().map(|rank| (rank - (n + m + 1.0) / 2.0).powi(2)).sum();
    (sum - mean) / (n * m * spread / ((n + m) * (n + m - 1.0))).sqrt()
}

#[test]
fn ranks_tell_samples_apart() {
    let list = |from: i32| (from..from + 5).map(f64::from).collect::<Vec<_>>();
    // Ranks 1..5 of 10: 15 instead of 27.5, the deviation is sqrt(5 5 11 / 12).
    assert!((rank_test(&list(0), &list(5)) + 12.5 / (275.0f64 / 12.0).sqrt()).abs() < 1e-12);
    assert!(rank_test(&list(0), &list(0)).abs() < 1e-12);
}

/// Returns of agents at the end of a short run, one per agent: the mean of episodes that ended in the last quarter.
fn learned(seeds: usize, seed: u64, device: &Device) -> Vec<f64> {
    device.seed(seed).expect("a seed");
    let config = PpoConfig {
        seeds,
        environments: 16,
        rollout: 32,
        steps: 12_288,
        minibatches: 2,
        learning_rate: 3e-3,
        layers: Layers::tanh(&[16]),
        ..PpoConfig::default()
    };
    let mut ppo = Ppo::new(CartPole, config, device).expect("agents");
    let (mut sums, mut counts) = (vec![0.0; seeds], vec![0.0; seeds]);
    for iteration in 0..ppo.iterations() {
        let told = ppo.iterate().expect("an iteration");
        for seed in (0..seeds).filter(|seed| iteration * 4 >= ppo.iterations() * 3 && told.episodes[*seed] > 0.0) {
            sums[seed] += told.returns[seed] * told.episodes[seed];
            counts[seed] += told.episodes[seed];
        }
    }
    sums.iter().zip(counts).map(|(sum, count)| sum / count).collect()
}

#[test]
fn agents_of_cpu_and_gpu_are_equally_good() {
    let _turn = alone();
    let Some(gpu) = gpu(9) else { return };
    // Different seeds, so that all are independent.
    let (cpu, gpu) = (learned(16, 1, &Device::cpu()), learned(16, 2, &gpu));
    let z = rank_test(&cpu, &gpu);
    println!("z {z:.2}: {cpu:.0?} and {gpu:.0?}");
    // All learn: a random policy earns 22.
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    assert!(mean(&cpu) > 50.0 && mean(&gpu) > 50.0, "{cpu:?} and {gpu:?}");
    // Two-sided, at a level of 0.001.
    assert!(z.abs() < 3.29, "{z}: {cpu:?} and {gpu:?}");
}
