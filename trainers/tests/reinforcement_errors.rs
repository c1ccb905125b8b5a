//! Bad input of reinforcement learning: what makes no sense is refused with a reason, what fails is passed on, and nothing that
//! was learned is lost.

use std::time::Duration;

use anygrad_core::{DType, Device, Tensor};
use anygrad_trainers::reinforcement::environments::{CartPole, Pendulum};
use anygrad_trainers::reinforcement::{
    Dqn, DqnConfig, Environment, HostConfig, HostEnvironment, HostEnvironments, HostStep, Layers, Ppo, PpoConfig, Sac,
    SacConfig, Space, Step,
};

fn device() -> Device {
    anygrad_core::testing::device()
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
    let config = PpoConfig {
        environments: 2,
        rollout: 4,
        steps: 80,
        layers: Layers::tanh(&[4]),
        minibatches: 2,
        ..PpoConfig::default()
    };
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
            layers: Layers::tanh(&[4]),
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
