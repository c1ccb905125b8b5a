//! Reinforcement learning on the CPU backend: every algorithm solves the smallest worlds.

mod worlds;

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{Breakout, CartPole, Identity, IdentityBox, Recall};
use anygrad::reinforcement::network::Start;
use anygrad::reinforcement::{
    Dqn, DqnConfig, Environment, Layers, Network, OffPolicyConfig, Portions, Ppo, PpoConfig, Pqn, PqnConfig, Priority,
    RecurrentConfig, RecurrentPpo, Returns, Sac, SacConfig, Space, Step, Support, Td3, Td3Config, evaluate,
};

use worlds::{alone, bits, device, silent, small_dqn, solved};

#[test]
fn on_policy_algorithms_solve_the_identity_also_delayed() {
    let _turn = alone();
    let base = PpoConfig {
        seeds: 2,
        environments: 8,
        rollout: 32,
        layers: Layers::tanh(&[32]),
        learning_rate: 3e-3,
        ..PpoConfig::default()
    };
    let once = |config: PpoConfig| PpoConfig {
        rollout: 20,
        layers: Layers::tanh(&[32]),
        seeds: 2,
        learning_rate: 5e-3,
        ..config
    };
    let cases = [
        ("ppo", PpoConfig { steps: 12_000, ..base.clone() }, 0),
        ("ppo, delay 2", PpoConfig { steps: 40_000, ..base }, 2),
        ("a2c", PpoConfig { steps: 30_000, ..once(PpoConfig::a2c()) }, 0),
        ("reinforce", PpoConfig { steps: 30_000, ..once(PpoConfig::reinforce()) }, 0),
    ];
    for (name, config, delay) in cases {
        println!("{name}");
        let device = device(1);
        let world = Identity { delay, ..Identity::default() };
        let mut ppo = Ppo::new(world, config, &device).expect(name);
        ppo.train(&mut silent).expect(name);
        solved(&ppo.agent().actor, world, 0.95 * (10 - delay) as f64, &device);
    }
}

#[test]
fn passes_end_where_the_policy_moved_too_far() {
    let _turn = alone();
    let after = |epochs: usize, max_divergence: Option<f64>| {
        let config = PpoConfig {
            seeds: 2,
            environments: 8,
            rollout: 16,
            layers: Layers::tanh(&[16]),
            learning_rate: 3e-3,
            epochs,
            max_divergence,
            ..PpoConfig::default()
        };
        let device = device(3);
        let mut ppo = Ppo::new(Identity::default(), config, &device).expect("agents");
        let told = ppo.iterate().expect("an iteration");
        let divergence = told.get("divergence").expect("told").to_vec();
        let parameters = ppo.agent().parameters();
        let values = parameters.iter().flat_map(|var| var.get().to_f64().expect("numbers"));
        (bits(&values.collect::<Vec<_>>()), bits(&divergence))
    };
    // Any movement is too far: one pass counts, with its numbers. None is: as without a limit.
    assert_eq!(after(4, Some(1e-30)), after(1, None));
    assert_eq!(after(4, Some(1e30)), after(4, None));
    assert_ne!(after(4, None).0, after(1, None).0);
}

/// Two symbols, one of three and one of two: half a reward for naming each.
#[derive(Clone, Copy, Debug)]
struct TwoSymbols;

impl Environment for TwoSymbols {
    fn name(&self) -> &str {
        "TwoSymbols"
    }
    fn observation_space(&self) -> Space {
        Space::uniform(&[5], 0.0, 1.0)
    }
    fn action_space(&self) -> Space {
        Space::MultiDiscrete(vec![3, 2])
    }
    fn time_limit(&self) -> Option<usize> {
        Some(10)
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        [3, 2].map(|symbols| Tensor::randint(&[n], 0, symbols, device)).to_vec()
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        Tensor::cat(&[state[0].one_hot(3), state[1].one_hot(2)], -1).cast(DType::F32)
    }
    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let named = |i: usize| action.index_axis(-1, i as isize).eq(&state[i]).cast(DType::F32) * 0.5;
        let reward = named(0) + named(1);
        Step { terminated: reward.gt(1.5), reward, state: self.reset(state[0].size(0), state[0].device()) }
    }
}

#[test]
fn ppo_makes_several_choices_at_once() {
    let _turn = alone();
    let device = device(2);
    let config = PpoConfig {
        seeds: 2,
        environments: 8,
        rollout: 32,
        steps: 15_000,
        layers: Layers::tanh(&[32]),
        learning_rate: 3e-3,
        ..PpoConfig::default()
    };
    let mut ppo = Ppo::new(TwoSymbols, config, &device).expect("agents");
    ppo.train(&mut silent).expect("training");
    solved(&ppo.agent().actor, TwoSymbols, 9.5, &device);
}

#[test]
fn ppo_solves_the_identity_of_real_numbers() {
    let _turn = alone();
    let device = device(2);
    let config = PpoConfig {
        environments: 8,
        rollout: 32,
        steps: 40_000,
        layers: Layers::tanh(&[32]),
        learning_rate: 3e-3,
        entropy: 0.0,
        ..PpoConfig::default()
    };
    let mut ppo = Ppo::new(IdentityBox::default(), config, &device).expect("ppo");
    ppo.train(&mut silent).expect("training");
    solved(&ppo.agent().actor, IdentityBox::default(), -0.2, &device);
}

#[test]
fn deep_q_learning_solves_the_identity_with_all_options_also_delayed() {
    let _turn = alone();
    let plain = small_dqn(6000);
    let mut steps = DqnConfig { double: true, dueling: true, ..plain.clone() };
    steps.common.n_step = 3;
    let mut late = DqnConfig { double: true, ..plain.clone() };
    (late.common.n_step, late.common.gamma) = (3, 0.5);
    let quantiles = DqnConfig { returns: Returns::Quantiles(8), dueling: true, ..plain.clone() };
    let mut priority = DqnConfig { returns: Returns::Quantiles(8), ..plain.clone() };
    priority.common.priority = Some(Priority::default());
    let cases = [("plain", plain, 0), ("n steps", steps, 0), ("delay 2", late, 2), ("quantiles", quantiles, 0)];
    let support = Support { atoms: 21, low: 0.0, high: 10.0 };
    let categories = DqnConfig { returns: Returns::Categories(support), dueling: true, ..small_dqn(6000) };
    for (name, config, delay) in cases.into_iter().chain([("priority", priority, 0), ("categories", categories, 0)]) {
        println!("{name}");
        let device = device(3);
        let world = Identity { delay, ..Identity::default() };
        let mut dqn = Dqn::new(world, config, &device).expect("dqn");
        dqn.train(1000, &mut silent).expect("training");
        solved(dqn.learner(), world, 0.95 * (10 - delay) as f64, &device);
    }
}

#[test]
fn pqn_solves_the_identity_also_delayed() {
    let _turn = alone();
    for (delay, lambda) in [(0, 0.65), (1, 0.95)] {
        let device = device(3);
        let world = Identity { delay, ..Identity::default() };
        let mut config = PqnConfig {
            learning_rate: 3e-3,
            gamma: 0.5,
            lambda,
            layers: Layers { norm: true, ..Layers::relu(&[32]) },
            ..PqnConfig::default()
        };
        let portions = config.portions;
        config.portions = Portions { seeds: 2, environments: 8, rollout: 32, steps: 40_000, ..portions };
        let mut pqn = Pqn::new(world, config, &device).expect("pqn");
        pqn.train(&mut silent).expect("training");
        solved(pqn.learner(), world, 0.95 * (10 - delay) as f64, &device);
    }
}

#[test]
fn memory_recalls_what_an_agent_without_it_cannot() {
    let _turn = alone();
    let device = device(5);
    let world = Recall::default();
    let ppo = PpoConfig {
        seeds: 2,
        environments: 16,
        rollout: 18,
        steps: 36_000,
        learning_rate: 5e-3,
        layers: Layers::tanh(&[16]),
        ..PpoConfig::default()
    };
    let config = RecurrentConfig { ppo: ppo.clone(), memory: 16 };
    let mut agent = RecurrentPpo::new(world, config, &device).expect("agents");
    agent.train(&mut silent).expect("training");
    solved(agent.learner(), world, 0.95, &device);
    let mut blind = Ppo::new(world, ppo, &device).expect("agents");
    blind.train(&mut silent).expect("training");
    let returns = evaluate(&blind.agent().actor, world, 100, 50, &device).expect("an evaluation").concat();
    // A third of 200 answers is right by chance: four standard deviations of 0.033.
    assert!(returns.iter().sum::<f64>() / 200.0 < 0.34 + 4.0 * 0.033);
}

#[test]
fn images_are_seen_by_convolutions_of_each_seed() {
    let _turn = alone();
    let device = device(6);
    let layers = Layers { convolutions: vec![4, 6], hidden: vec![8], norm: true, ..Layers::default() };
    let space = Breakout.observation_space();
    let two = Network::new(2, &space, &layers, 3, Start::Uniform, &device).expect("a network");
    let x = Tensor::rand(&[2, 5, 400], &device);
    x.realize().expect("numbers");
    let both = two.forward(&x);
    assert_eq!(both.shape(), [2, 5, 3]);
    // One network with the second seed's weights gives the second seed's outputs.
    let one = Network::new(1, &space, &layers, 3, Start::Uniform, &device).expect("a network");
    for (to, from) in one.parameters().iter().zip(two.parameters()) {
        to.assign(&from.get().narrow(0, 1, 1));
    }
    let (found, expected) = (one.forward(&x.narrow(0, 1, 1)).to_f64(), both.narrow(0, 1, 1).to_f64());
    for (a, b) in found.expect("numbers").iter().zip(expected.expect("numbers")) {
        // Sums of at most 216 products of order one.
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
    let flat = CartPole.observation_space();
    let message = Network::new(1, &flat, &layers, 3, Start::Uniform, &device).expect_err("no image").to_string();
    assert!(message.contains("no image"), "{message}");
}

#[test]
fn algorithms_for_real_actions_solve_their_identity_also_delayed() {
    let _turn = alone();
    let device = device(4);
    let mut sac = SacConfig { learning_rate: 3e-3, hidden: vec![32], ..SacConfig::default() };
    sac.common.steps = 1500;
    sac.common.capacity = 2000;
    sac.common.batch = 64;
    sac.common.gamma = 0.5;
    let td3 = |config: Td3Config| Td3Config {
        learning_rate: 3e-3,
        hidden: vec![32],
        common: OffPolicyConfig { frequency: 2, updates: 2, ..sac.common.clone() },
        ..config
    };
    let (twin, single) = (td3(Td3Config::default()), td3(Td3Config::ddpg()));
    let late = OffPolicyConfig {
        frequency: 2,
        updates: 2,
        n_step: 2,
        steps: 3000,
        capacity: 3000,
        priority: Some(Priority::default()),
        ..sac.common.clone()
    };
    for (delay, common) in [(0, sac.common.clone()), (1, late)] {
        let world = IdentityBox { delay };
        let mut agents = Sac::new(world, SacConfig { common, ..sac.clone() }, &device).expect("sac");
        agents.train(500, &mut silent).expect("training");
        solved(agents.learner(), world, -0.2, &device);
    }
    // A reward that arrives one step later says nothing of the action before it: values must look two steps ahead, and actions
    // of policies that are not random by nature must lie far enough apart for what each earned to stand out.
    let late = |config: &Td3Config| {
        let common = OffPolicyConfig {
            seeds: 2,
            environments: 4,
            n_step: 2,
            steps: 16_000,
            capacity: 3000,
            batch: 128,
            gamma: 0.8,
            warm_up: 2000,
            ..config.common.clone()
        };
        Td3Config { exploration: 0.4, common, ..config.clone() }
    };
    for (delay, config) in [(1, late(&twin)), (1, late(&single)), (0, twin), (0, single)] {
        let world = IdentityBox { delay };
        let mut td3 = Td3::new(world, config, &device).expect("td3");
        td3.train(500, &mut silent).expect("training");
        solved(td3.learner(), world, -0.2, &device);
    }
}

#[test]
fn small_parts_of_one_kernel_lie_side_by_side() {
    let _turn = alone();
    let device = Device::cpu();
    let x = Tensor::from_vec((0..12).map(|i| i as f32).collect(), &[4, 3], &device);
    let mut program = Program::inference(&device, |x: Tensor| {
        let sums = [x.sum(..), x.square().sum(..), x.abs().sum(..)];
        Tensor::cat(&[Tensor::stack(&sums, 0), Tensor::ones(&[1], &device)], 0)
    });
    let found = program.run(x).expect("sums").to_f64().expect("numbers");
    assert_eq!(found, [66.0, 506.0, 66.0, 1.0]);
}
