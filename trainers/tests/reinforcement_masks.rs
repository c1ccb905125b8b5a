//! Environments that do not allow every choice at all times: the mask reaches the policy where it acts, learns and is evaluated.

use anygrad_core::{DType, Device, Tensor, Var};
use anygrad_trainers::events::{Event, Flow};
use anygrad_trainers::reinforcement::{
    Choice, Dqn, DqnConfig, Environment, FrameStack, Layers, OffPolicyConfig, OnLearner, OnPolicy, Portions, Ppo,
    PpoConfig, Pqn, PqnConfig, RecurrentConfig, RecurrentPpo, Rollout, Space, Statistics, Step, evaluate,
};

/// Two of four choices are allowed, `step % phases` and the next: reward 1 for one of them, -100 for others. Ends after six steps.
#[derive(Clone, Copy, Debug)]
struct Gates {
    phases: i32,
}

const GATES: Gates = Gates { phases: 3 };

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
        let phase = &state[0] % self.phases;
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
        GATES.observation_space()
    }
    fn action_space(&self) -> Space {
        Space::Discrete(3)
    }
    fn time_limit(&self) -> Option<usize> {
        None
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        GATES.reset(n, device)
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        GATES.observe(state)
    }
    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        GATES.allowed(state)
    }
    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        GATES.step(state, action)
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
    let mut ppo = Ppo::new(GATES, config(), &device).expect("agents");
    heeded(&ppo.iterate().expect("an iteration"));
    let returns = evaluate(&ppo.agent().actor, GATES, 3, 6, &device).expect("an evaluation");
    assert_eq!(returns, vec![vec![6.0; 3]; 2]);
    let mut stacked = Ppo::new(FrameStack::new(GATES, 2).expect("frames"), config(), &device).expect("agents");
    heeded(&stacked.iterate().expect("an iteration"));
    let recurrent = RecurrentConfig { ppo: config(), memory: 4 };
    let mut recurrent = RecurrentPpo::new(GATES, recurrent, &device).expect("agents");
    heeded(&recurrent.iterate().expect("an iteration"));
    let returns = evaluate(recurrent.learner(), GATES, 3, 6, &device).expect("an evaluation");
    assert_eq!(returns, vec![vec![6.0; 3]; 2]);
}

fn deep(exploration: (f64, f64), double: bool) -> DqnConfig {
    let common = OffPolicyConfig {
        seeds: 2,
        environments: 2,
        steps: 192,
        warm_up: 48,
        frequency: 3,
        n_step: 2,
        capacity: 48,
        batch: 16,
        ..OffPolicyConfig::default()
    };
    DqnConfig { common, exploration, double, layers: Layers::relu(&[8]), ..DqnConfig::default() }
}

#[test]
fn deep_q_learning_does_only_what_is_allowed() {
    let device = anygrad_core::testing::device();
    // By chance, by value, and both.
    for exploration in [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)] {
        device.seed(2).expect("a seed");
        let mut dqn = Dqn::new(GATES, deep(exploration, true), &device).expect("agents");
        let mut returns = Vec::new();
        let listener = &mut |event: &Event<'_>| {
            if let Event::Epoch(record) = event {
                returns.extend(["return", "return.low", "return.high"].map(|name| record.get(name).expect("told")));
            }
            Ok(Flow::Continue)
        };
        dqn.train(24, listener).expect("training");
        assert!(returns.len() == 24 && returns.iter().all(|x| *x == 6.0), "{exploration:?}: {returns:?}");
        let returns = evaluate(dqn.learner(), GATES, 3, 6, &device).expect("an evaluation");
        assert_eq!(returns, vec![vec![6.0; 3]; 2]);
    }
}

#[test]
fn values_of_what_is_never_allowed_do_not_reach_what_is_learned() {
    let device = anygrad_core::testing::device();
    // Choice 3 is never allowed; its value is 1000, all others are 0, whatever is seen.
    let world = Gates { phases: 2 };
    for double in [false, true] {
        let mut config = DqnConfig { learning_rate: 1e-9, ..deep((1.0, 1.0), double) };
        // Nothing is worth more than the next two rewards.
        (config.common.gamma, config.target_every) = (0.5, 1);
        let mut dqn = Dqn::new(world, config, &device).expect("agents");
        let parameters = dqn.learner().parameters();
        let (last, rest) = parameters.split_last().expect("layers");
        rest.iter().for_each(|var| var.assign(&var.get().zeros_like()));
        last.write(&[0.0f32, 0.0, 0.0, 1000.0, 0.0, 0.0, 0.0, 1000.0]).expect("written");
        let mut losses = Vec::new();
        let listener = &mut |event: &Event<'_>| {
            if let Event::Epoch(record) = event {
                losses.extend(record.get("loss"));
            }
            Ok(Flow::Continue)
        };
        dqn.train(24, listener).expect("training");
        // Goals are 1.5, or 1 before an end: errors between 1 and 2.25. With the forbidden value they would be above 60,000. The
        // first target networks are those that were drawn, so the first cycles are left out.
        assert!(losses.len() == 6 && losses[1..].iter().all(|x| (0.999..2.251).contains(x)), "{double}: {losses:?}");
    }
}

fn parallel(exploration: (f64, f64)) -> PqnConfig {
    PqnConfig {
        portions: Portions { seeds: 2, environments: 4, rollout: 12, steps: 480, epochs: 2, minibatches: 2 },
        learning_rate: 1e-9,
        exploration,
        layers: Layers::relu(&[8]),
        ..PqnConfig::default()
    }
}

#[test]
fn parallelised_q_learning_does_only_what_is_allowed() {
    let device = anygrad_core::testing::device();
    // By chance, by value, and both.
    for exploration in [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)] {
        device.seed(2).expect("a seed");
        let mut pqn = Pqn::new(GATES, parallel(exploration), &device).expect("agents");
        for _ in 0..2 {
            let told = pqn.iterate().expect("an iteration");
            assert_eq!((&told.episodes[..], &told.returns[..]), (&[8.0, 8.0][..], &[6.0, 6.0][..]), "{exploration:?}");
        }
        let returns = evaluate(pqn.learner(), GATES, 3, 6, &device).expect("an evaluation");
        assert_eq!(returns, vec![vec![6.0; 3]; 2]);
    }
}

#[test]
fn parallelised_q_learning_aims_at_values_of_what_is_allowed() {
    let device = anygrad_core::testing::device();
    // Choice 3 is never allowed; its value is 1000, all others are 0, whatever is seen. Goals are then sums of the rewards of 1
    // that are left of an episode of six, each worth half of the one before it times lambda: as defined, with values of 0.
    let config = PqnConfig { gamma: 0.5, lambda: 0.5, ..parallel((1.0, 1.0)) };
    let mut pqn = Pqn::new(Gates { phases: 2 }, config, &device).expect("agents");
    let variables = pqn.learner().variables();
    let of = |name: &str| &variables.iter().find(|(found, _)| found == name).expect(name).1;
    for name in ["0.weight", "0.bias", "1.weight"] {
        of(name).assign(&of(name).get().zeros_like());
    }
    of("1.bias").write(&[0.0f32, 0.0, 0.0, 1000.0, 0.0, 0.0, 0.0, 1000.0]).expect("written");
    let told = pqn.iterate().expect("an iteration");
    let left = |rewards: i32| (0..rewards).map(|i| 0.25f64.powi(i)).sum::<f64>();
    let expected = (1..=6).map(left).sum::<f64>() / 6.0;
    let goals = told.get("value").expect("told");
    assert!(goals.iter().all(|x| (x - expected).abs() < 1e-6), "{goals:?}, not {expected}");
}

/// An algorithm that knows nothing of masks.
struct Blind;

impl OnLearner for Blind {
    type Batch = Tensor;

    fn told(&self) -> &'static [&'static str] {
        &[]
    }
    fn explore(&self, _: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Choice {
        unreachable!("it is refused before")
    }
    fn begin(&self, _: f64) -> anygrad_core::Result<()> {
        Ok(())
    }
    fn prepare(&self, _: &Rollout) -> (Tensor, Tensor) {
        unreachable!("it is refused before")
    }
    fn learn(&self, _: &Tensor, _: &Tensor) -> Tensor {
        unreachable!("it is refused before")
    }
    fn variables(&self) -> Vec<(String, Var)> {
        Vec::new()
    }
}

#[test]
fn masks_that_cannot_be_heeded_or_do_not_fit_are_refused() {
    let device = anygrad_core::testing::device();
    let blind = parallel((1.0, 1.0)).portions;
    let cases = [
        (OnPolicy::with("blind", GATES, blind, |_, _| Ok(Blind), &device).map(|_| ()), "blind cannot heed"),
        (Ppo::new(Wrong, config(), &device).map(|_| ()), "[8, 3] of bools is needed"),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }
}
