//! Reinforcement learning on real backends: every algorithm solves the smallest worlds, goes on bit for bit after a stop, and
//! the CPU and the GPU live in the same worlds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{CartPole, Identity, IdentityBox, Pendulum};
use anygrad::reinforcement::rollout::Rollout;
use anygrad::reinforcement::{
    Actor, Dqn, DqnConfig, Environment, Layers, Learner, OffPolicyConfig, Ppo, PpoConfig, Sac, SacConfig, Statistics,
    Td3, Td3Config, VectorEnvironment, evaluate,
};

fn device(seed: u64) -> Device {
    let device = Device::cpu();
    device.seed(seed).expect("a seed");
    device
}

/// All tests share one CPU and its random numbers: one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn silent(_: &Event<'_>) -> Result<Flow> {
    Ok(Flow::Continue)
}

/// Every seed reaches this mean return.
#[track_caller]
fn solved(actor: &impl Actor, world: impl Environment + 'static, at_least: f64, device: &Device) {
    let returns = evaluate(actor, world, 20, 50, device).expect("an evaluation");
    let means: Vec<f64> = returns.iter().map(|list| list.iter().sum::<f64>() / list.len() as f64).collect();
    assert!(means.iter().all(|&mean| mean >= at_least), "{means:?}, {at_least} expected");
}

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

#[test]
fn normalised_ppo_goes_on_bit_for_bit() {
    let _turn = alone();
    let device = device(4);
    let make = || {
        let config = PpoConfig {
            environments: 8,
            rollout: 16,
            layers: Layers::tanh(&[16]),
            normalize_observations: true,
            normalize_rewards: true,
            ..PpoConfig::default()
        };
        Ppo::new(CartPole, config, &device).expect("agents")
    };
    let path = std::env::temp_dir().join(format!("anygrad-normalised-{}", std::process::id()));
    let mut ppo = make();
    (0..2).for_each(|_| drop(ppo.iterate().expect("an iteration")));
    ppo.save(&path).expect("saved");
    let went_on = ppo.iterate().expect("an iteration");
    let mut again = make();
    again.load(&path).expect("loaded");
    let resumed = again.iterate().expect("an iteration");
    let loss = |told: &Statistics| bits(told.get("loss.value").expect("told"));
    assert_eq!(loss(&went_on), loss(&resumed));
    std::fs::remove_file(&path).expect("removed");
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
    let mut ppo = Ppo::new(IdentityBox, config, &device).expect("ppo");
    ppo.train(&mut silent).expect("training");
    solved(&ppo.agent().actor, IdentityBox, -0.2, &device);
}

fn small_dqn(steps: u64) -> DqnConfig {
    let mut config =
        DqnConfig { learning_rate: 3e-3, layers: Layers::relu(&[32]), target_every: 20, ..DqnConfig::default() };
    config.common.seeds = 2;
    config.common.steps = steps;
    config.common.warm_up = 200;
    config.common.frequency = 4;
    config.common.capacity = 2000;
    config.common.batch = 64;
    config
}

#[test]
fn deep_q_learning_solves_the_identity_with_all_options() {
    let _turn = alone();
    let plain = small_dqn(6000);
    let mut steps = DqnConfig { double: true, dueling: true, ..plain.clone() };
    steps.common.n_step = 3;
    for (config, delay) in [(plain, 0), (DqnConfig { double: true, ..small_dqn(6000) }, 0), (steps, 0)] {
        let device = device(3);
        let world = Identity { delay, ..Identity::default() };
        let mut dqn = Dqn::new(world, config, &device).expect("dqn");
        dqn.train(1000, &mut silent).expect("training");
        solved(dqn.learner(), world, 9.5, &device);
    }
}

#[test]
fn algorithms_for_real_actions_solve_their_identity() {
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
    let mut sac = Sac::new(IdentityBox, sac, &device).expect("sac");
    sac.train(500, &mut silent).expect("training");
    solved(sac.learner(), IdentityBox, -0.2, &device);
    for config in [twin, single] {
        let mut td3 = Td3::new(IdentityBox, config, &device).expect("td3");
        td3.train(500, &mut silent).expect("training");
        solved(td3.learner(), IdentityBox, -0.2, &device);
    }
}

/// The numbers that a run tells.
fn curve(told: &mut Vec<f64>) -> impl FnMut(&Event<'_>) -> Result<Flow> + '_ {
    |event| {
        if let Event::Epoch(record) = event {
            told.extend(record.values.iter().map(|(_, x)| *x));
        }
        Ok(Flow::Continue)
    }
}

/// Stops after so many epochs.
fn stop_after(epochs: usize) -> impl FnMut(&Event<'_>) -> Result<Flow> {
    let mut seen = 0;
    move |event| {
        seen += usize::from(matches!(event, Event::Epoch(_)));
        Ok(if seen >= epochs { Flow::Stop } else { Flow::Continue })
    }
}

fn bits(list: &[f64]) -> Vec<u64> {
    list.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_stopped_run_goes_on_bit_for_bit() {
    let _turn = alone();
    let directory = std::env::temp_dir().join(format!("anygrad-rl-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("run.safetensors");
    let config = PpoConfig { seeds: 2, rollout: 16, steps: 640, layers: Layers::tanh(&[8]), ..PpoConfig::default() };
    let ppo = |device: &Device| Ppo::new(CartPole, config.clone(), device).expect("ppo");
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    ppo(&device(5)).train(&mut curve(&mut whole)).expect("a run");
    {
        let mut first = ppo(&device(5));
        first.train(&mut stop_after(4)).expect("its beginning");
        first.save(&file).expect("saved");
    }
    // Another process would have another seed and other first weights.
    let mut second = ppo(&device(77));
    second.load(&file).expect("loaded");
    second.train(&mut curve(&mut rest)).expect("its end");
    assert!(rest.len() * 2 > whole.len() && rest.len() < whole.len());
    assert_eq!(bits(&rest), bits(&whole[whole.len() - rest.len()..]));

    let config = small_dqn(800);
    let dqn = |device: &Device| Dqn::new(CartPole, config.clone(), device).expect("dqn");
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    dqn(&device(6)).train(100, &mut curve(&mut whole)).expect("a run");
    {
        let mut first = dqn(&device(6));
        first.train(100, &mut stop_after(4)).expect("its beginning");
        first.save(&file).expect("saved");
    }
    let mut second = dqn(&device(78));
    second.load(&file).expect("loaded");
    second.train(100, &mut curve(&mut rest)).expect("its end");
    assert!(!rest.is_empty());
    assert_eq!(bits(&rest), bits(&whole[whole.len() - rest.len()..]));
    // What does not fit is refused, and nothing is changed.
    let before = second.learner().variables()[0].1.get().to_f64().expect("weights");
    assert!(second.load(directory.join("nothing")).is_err());
    assert_eq!(second.learner().variables()[0].1.get().to_f64().expect("weights"), before);
    std::fs::remove_dir_all(&directory).expect("cleaned");
}

#[test]
fn cpu_and_gpu_live_in_the_same_worlds() {
    let _turn = alone();
    let gpu = match cfg!(feature = "wgpu").then(Device::gpu) {
        Some(Err(error)) if std::env::var("ANYGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Some(Ok(gpu)) => gpu,
        _ => return println!("skipped: there is no GPU"),
    };
    gpu.seed(9).expect("a seed");
    let run = |device: &Device| {
        let worlds = VectorEnvironment::new(Arc::new(Pendulum), 4, device).expect("worlds");
        let mut program = Program::inference(device, |()| {
            Rollout::collect(&worlds, 10, |_| {
                let action = Tensor::uniform(&[4, 1], -2.0, 2.0, device);
                (action.clone(), action)
            })
        });
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.extend(program.run(()).expect("a rollout").next.to_f64().expect("numbers"));
        }
        seen
    };
    let (cpu, gpu) = (run(&device(9)), run(&gpu));
    assert_eq!(cpu.len(), gpu.len());
    for (i, (a, b)) in cpu.iter().zip(&gpu).enumerate() {
        // Fifty steps of a pendulum multiply the last digit's error by some hundred.
        assert!((a - b).abs() < 2e-3, "{i}: {a} and {b}");
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
