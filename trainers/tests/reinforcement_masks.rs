//! Environments that do not allow every choice at all times: the mask reaches the policy where it acts, learns and is evaluated.

use anygrad_core::{DType, Device, Tensor};
use anygrad_trainers::reinforcement::{
    Dqn, DqnConfig, Environment, FrameStack, Layers, Ppo, PpoConfig, Pqn, PqnConfig, RecurrentConfig, RecurrentPpo,
    Space, Statistics, Step, evaluate,
};

/// Two of four choices are allowed, `step % 3` and `step % 3 + 1`: reward 1 for one of them, -100 for others. Ends after six steps.
#[derive(Clone, Copy, Debug)]
struct Gates;

impl Environment for Gates {
    fn name(&self) -> &str {
        "Gates"
    }
    fn observation_space(&self) -> Space {
        Space::uniform(&[1], 0.0, 6.0)
    }
    fn action_space(&self) -> Space {
        Space::Discrete(4)
    }
    fn time_limit(&self) -> Option<usize> {
        None
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::full(&[n], 0.0, DType::I32, device)]
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].unsqueeze(-1).cast(DType::F32)
    }
    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        let phase = &state[0] % 3;
        let one = phase.one_hot(4);
        Some((one + (phase + 1).one_hot(4)).gt(0.5))
    }
    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let mask = self.allowed(state).expect("a mask").cast(DType::F32);
        let inside = (mask * action.one_hot(4)).sum(-1).gt(0.5);
        let next = &state[0] + 1;
        let reward = inside.cast(DType::F32) * 101.0 - 100.0;
        Step { terminated: next.ge(6), reward, state: vec![next] }
    }
}

/// A mask of another shape than the choices.
#[derive(Clone, Copy, Debug)]
struct Wrong;

impl Environment for Wrong {
    fn name(&self) -> &str {
        "Wrong"
    }
    fn observation_space(&self) -> Space {
        Gates.observation_space()
    }
    fn action_space(&self) -> Space {
        Space::Discrete(3)
    }
    fn time_limit(&self) -> Option<usize> {
        None
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        Gates.reset(n, device)
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        Gates.observe(state)
    }
    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        Gates.allowed(state)
    }
    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        Gates.step(state, action)
    }
}

fn config() -> PpoConfig {
    PpoConfig {
        seeds: 2,
        environments: 4,
        rollout: 12,
        steps: 480,
        epochs: 2,
        minibatches: 2,
        // So small that the policy stays the one that acted.
        learning_rate: 1e-9,
        layers: Layers::tanh(&[8]),
        ..PpoConfig::default()
    }
}

/// Nothing forbidden was done, and the update knew what was allowed.
#[track_caller]
fn heeded(told: &Statistics) {
    let told_of = |name: &str| told.get(name).expect(name).to_vec();
    // Two episodes of six rewards of 1 in each of four worlds.
    assert_eq!((&told.episodes[..], &told.returns[..]), (&[8.0, 8.0][..], &[6.0, 6.0][..]));
    // A fresh policy is nearly even (its last layer's gain is 0.01): the entropy of two choices, not of four.
    assert!(told_of("entropy").iter().all(|x| (x - 2f64.ln()).abs() < 1e-2), "{:?}", told_of("entropy"));
    // Old and new probabilities are of the same masked choices.
    assert!(told_of("divergence").iter().all(|x| x.abs() < 1e-5), "{:?}", told_of("divergence"));
}

#[test]
fn masks_reach_the_policy_in_rollouts_updates_and_evaluation() {
    let device = anygrad_core::testing::device();
    device.seed(1).expect("a seed");
    let mut ppo = Ppo::new(Gates, config(), &device).expect("agents");
    heeded(&ppo.iterate().expect("an iteration"));
    let returns = evaluate(&ppo.agent().actor, Gates, 3, 6, &device).expect("an evaluation");
    assert_eq!(returns, vec![vec![6.0; 3]; 2]);
    let mut stacked = Ppo::new(FrameStack::new(Gates, 2).expect("frames"), config(), &device).expect("agents");
    heeded(&stacked.iterate().expect("an iteration"));
    let recurrent = RecurrentConfig { ppo: config(), memory: 4 };
    let mut recurrent = RecurrentPpo::new(Gates, recurrent, &device).expect("agents");
    heeded(&recurrent.iterate().expect("an iteration"));
    let returns = evaluate(recurrent.learner(), Gates, 3, 6, &device).expect("an evaluation");
    assert_eq!(returns, vec![vec![6.0; 3]; 2]);
}

#[test]
fn masks_that_cannot_be_heeded_or_do_not_fit_are_refused() {
    let device = anygrad_core::testing::device();
    let cases = [
        (Dqn::new(Gates, DqnConfig::default(), &device).map(|_| ()), "dqn cannot heed"),
        (Pqn::new(Gates, PqnConfig::default(), &device).map(|_| ()), "pqn cannot heed"),
        (Ppo::new(Wrong, config(), &device).map(|_| ()), "[8, 3] of bools is needed"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}
