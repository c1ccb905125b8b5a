//! Bad input of reinforcement learning: what makes no sense is refused with a reason, what fails is passed on, and nothing that
//! was learned is lost.

mod common;

use std::time::Duration;

use anygrad_core::nn::Module;
use anygrad_core::{Device, Tensor, Var};
use anygrad_trainers::events::{Event, Flow};
use anygrad_trainers::reinforcement::environments::{Breakout, CartPole, Pendulum};
use anygrad_trainers::reinforcement::{
    Dqn, DqnConfig, Environment, HostConfig, HostEnvironment, HostEnvironments, HostStep, Layers, OffPolicyConfig, Ppo,
    PpoConfig, Pqn, PqnConfig, RecurrentConfig, RecurrentPpo, Returns, Sac, SacConfig, Space, Step, Support, Td3,
    Td3Config,
};

use common::Counter;

fn device() -> Device {
    anygrad_core::testing::device()
}

#[test]
fn impossible_configurations_are_refused_with_a_reason() {
    let device = device();
    let ppo = |config: PpoConfig| Ppo::new(CartPole, config, &device).map(|_| ());
    let dqn = |config: DqnConfig| Dqn::new(CartPole, config, &device).map(|_| ());
    let off = |common: OffPolicyConfig| dqn(DqnConfig { common, ..DqnConfig::default() });
    let recurrent = |config: RecurrentConfig| RecurrentPpo::new(CartPole, config, &device).map(|_| ());
    let (d, q, o, r) =
        (PpoConfig::default, DqnConfig::default, || DqnConfig::default().common, RecurrentConfig::default);
    let categories = |atoms: usize, low: f64, high: f64| Returns::Categories(Support { atoms, low, high });
    let images = Layers { convolutions: vec![8], ..Layers::default() };
    let cases = [
        (ppo(PpoConfig { minibatches: 1000, ..d() }), "minibatches"),
        (ppo(PpoConfig { minibatches: 3, ..d() }), "minibatches"),
        (ppo(PpoConfig { environments: 0, ..d() }), "environments"),
        (ppo(PpoConfig { steps: 10, ..d() }), "less than one rollout"),
        (ppo(PpoConfig { gamma: 1.5, ..d() }), "gamma"),
        (ppo(PpoConfig { clip: f64::NAN, ..d() }), "clip"),
        (ppo(PpoConfig { max_divergence: Some(0.0), ..d() }), "max_divergence"),
        (ppo(PpoConfig { layers: Layers::tanh(&[0]), ..d() }), "sizes"),
        (ppo(PpoConfig { layers: images.clone(), ..d() }), "no image"),
        (
            Ppo::new(Breakout, PpoConfig { layers: Layers { convolutions: vec![1; 5], ..images }, ..d() }, &device)
                .map(|_| ()),
            "do not fit",
        ),
        (dqn(DqnConfig { exploration: (1.0, 2.0), ..q() }), "exploration"),
        (dqn(DqnConfig { target_every: 0, ..q() }), "target_every"),
        (dqn(DqnConfig { returns: Returns::Quantiles(0), ..q() }), "quantiles"),
        (dqn(DqnConfig { returns: categories(1, 0.0, 1.0), ..q() }), "1 categories"),
        (dqn(DqnConfig { returns: categories(5, 1.0, 1.0), ..q() }), "rising bounds"),
        (off(OffPolicyConfig { n_step: 11, ..o() }), "raise `frequency`"),
        (off(OffPolicyConfig { capacity: 1001, ..o() }), "not a multiple"),
        (off(OffPolicyConfig { warm_up: 0, ..o() }), "raise `warm_up`"),
        (off(OffPolicyConfig { steps: 5_000, ..o() }), "not more than the warm-up"),
        (off(OffPolicyConfig { batch: 0, ..o() }), "batch"),
        (off(OffPolicyConfig { gamma: -0.1, ..o() }), "gamma"),
        (recurrent(RecurrentConfig { memory: 0, ..r() }), "memory"),
        (recurrent(RecurrentConfig { ppo: PpoConfig { environments: 6, ..r().ppo }, ..r() }), "6 environments"),
        (
            recurrent(RecurrentConfig { ppo: PpoConfig { layers: Layers::tanh(&[]), ..r().ppo }, ..r() }),
            "no hidden layer",
        ),
        (Pqn::new(CartPole, PqnConfig { lambda: 2.0, ..PqnConfig::default() }, &device).map(|_| ()), "lambda"),
        (Pqn::new(Pendulum, PqnConfig::default(), &device).map(|_| ()), "one choice"),
        (Dqn::new(Pendulum, DqnConfig::default(), &device).map(|_| ()), "one choice"),
        (Sac::new(CartPole, SacConfig::default(), &device).map(|_| ()), "real numbers"),
        (Td3::new(CartPole, Td3Config::default(), &device).map(|_| ()), "real numbers"),
        (Td3::new(Pendulum, Td3Config { delay: 3, ..Td3Config::default() }, &device).map(|_| ()), "divide the updates"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}

/// All numbers of these variables.
fn numbers(variables: Vec<Var>) -> Vec<f64> {
    variables.iter().flat_map(|var| var.get().to_f64().expect("numbers")).collect()
}

#[test]
fn a_reward_that_is_not_a_number_is_named_by_environment_and_step_and_what_was_learned_stays() {
    let device = device();
    let world = Counter { ends: 1e9, limit: 1000, poison: 6.0 };
    let config = PpoConfig {
        environments: 2,
        rollout: 4,
        steps: 80,
        layers: Layers::tanh(&[4]),
        minibatches: 2,
        normalize_rewards: true,
        ..PpoConfig::default()
    };
    let mut ppo = Ppo::new(world, config, &device).expect("ppo");
    ppo.iterate().expect("four good steps");
    let message = ppo.iterate().expect_err("the sixth reward").to_string();
    assert!(message.contains("Counter, environment 0, step 5"), "{message}");
    assert!(numbers(ppo.agent().parameters()).iter().all(|x| x.is_finite()));

    let mut config = DqnConfig { layers: Layers::relu(&[4]), ..DqnConfig::default() };
    config.common = OffPolicyConfig { steps: 60, frequency: 2, warm_up: 2, batch: 4, capacity: 60, ..config.common };
    let mut dqn = Dqn::new(world, config, &device).expect("dqn");
    let message = dqn.train(60, &mut |_: &Event<'_>| Ok(Flow::Continue)).expect_err("the sixth reward").to_string();
    assert!(message.contains("Counter, environment 0, step 5"), "{message}");
    assert!(numbers(dqn.learner().parameters()).iter().all(|x| x.is_finite()));
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
    let agents = |mood: Mood| {
        let config = HostConfig {
            name: "Moody".into(),
            observations: Space::uniform(&[1], 0.0, 100.0),
            actions: Space::Discrete(2),
            count: 4,
            threads: 3,
            // Long enough for a panic's backtrace on a busy machine.
            timeout: if matches!(mood, Mood::Hangs) { Duration::from_millis(500) } else { Duration::from_secs(60) },
        };
        let make = move |number| Ok(Moody { mood: if number == 2 { mood } else { Mood::Fine }, steps: 0 });
        let worlds = HostEnvironments::new(config, make).expect("worlds");
        let config = PpoConfig {
            environments: 4,
            rollout: 8,
            steps: 64,
            layers: Layers::tanh(&[4]),
            minibatches: 2,
            ..PpoConfig::default()
        };
        Ppo::on_host(worlds, config, &device).expect("ppo")
    };
    let fine = agents(Mood::Fine).iterate().expect("eight good steps");
    // Two episodes of four steps in each of four worlds.
    assert_eq!((fine.episodes[0], fine.returns[0], fine.lengths[0]), (8.0, 4.0, 4.0));
    let cases = [
        (Mood::Errs, "Moody, environment 2: simulator: out of fuel"),
        (Mood::Hangs, "no answer within 500ms"),
        (Mood::Panics, "panicked"),
        (Mood::Short, "0 numbers, its space 1"),
    ];
    for (mood, words) in cases {
        let mut ppo = agents(mood);
        let before = numbers(ppo.agent().parameters());
        let message = ppo.iterate().expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
        // Late answers are never taken for others: such worlds are done.
        let again = ppo.iterate().expect_err("they failed").to_string();
        assert!(again.contains("failed before") && again.contains(words), "{again}");
        // What was learned can be saved, and goes on in new worlds.
        assert_eq!(numbers(ppo.agent().parameters()), before);
        let path = std::env::temp_dir().join(format!("anygrad-host-{}", std::process::id()));
        ppo.save(&path).expect("saved");
        let mut next = agents(Mood::Fine);
        next.load(&path).expect("loaded");
        assert_eq!(numbers(next.agent().parameters()), before);
        next.iterate().expect("eight good steps");
        std::fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn environments_that_break_their_promises_are_refused() {
    let device = device();
    let worlds = |name: &'static str, space: Space, actions: Space, limit: Option<usize>| {
        let world = Promises { name, space, actions, limit };
        Ppo::new(world, PpoConfig::default(), &device).map(|_| ()).expect_err(name).to_string()
    };
    let (two, box1) = (|| Space::Discrete(2), |len: usize| Space::uniform(&[len], 0.0, 1.0));
    let cases = [
        (worlds("other shape", box1(3), two(), None), "the space promises"),
        (worlds("no choice", box1(1), Space::Discrete(0), None), "no values"),
        (worlds("no bounds", Space::Box { shape: vec![1], low: vec![], high: vec![] }, two(), None), "bounds"),
        (worlds("turned round", Space::uniform(&[1], 1.0, 0.0), two(), None), "lower bound"),
        (worlds("half a choice", box1(1), Space::MultiDiscrete(vec![2, 0]), None), "each needs at least one"),
        (worlds("no time", box1(1), two(), Some(0)), "time limit"),
    ];
    for (message, words) in cases {
        assert!(message.contains(words), "{message}");
    }
    let host = |count: usize, threads: usize| HostConfig {
        name: "Moody".into(),
        observations: box1(1),
        actions: two(),
        count,
        threads,
        timeout: Duration::from_secs(1),
    };
    let make = |_| Ok(Moody { mood: Mood::Fine, steps: 0 });
    for (count, threads) in [(0, 1), (1, 0)] {
        let message = HostEnvironments::new(host(count, threads), make).expect_err("none").to_string();
        assert!(message.contains("at least 1"), "{message}");
    }
    let three = HostEnvironments::new(host(3, 1), make).expect("worlds");
    let message = Ppo::on_host(three, PpoConfig::default(), &device).map(|_| ()).expect_err("3").to_string();
    assert!(message.contains("3 worlds; 1 seeds of 4 are 4"), "{message}");
}

/// Promises these spaces; sees one number, whatever it promised.
#[derive(Debug)]
struct Promises {
    name: &'static str,
    space: Space,
    actions: Space,
    limit: Option<usize>,
}

impl Environment for Promises {
    fn name(&self) -> &str {
        self.name
    }
    fn observation_space(&self) -> Space {
        self.space.clone()
    }
    fn action_space(&self) -> Space {
        self.actions.clone()
    }
    fn time_limit(&self) -> Option<usize> {
        self.limit
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::zeros(&[n], device)]
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].unsqueeze(-1)
    }
    fn step(&self, state: &[Tensor], _: &Tensor) -> Step {
        Step { terminated: state[0].gt(1.0), reward: state[0].clone(), state: state.to_vec() }
    }
}
