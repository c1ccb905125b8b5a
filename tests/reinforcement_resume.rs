//! Reinforcement learning goes on bit for bit: after a stop, in another process, and after kill -9 at any moment.
//!
//! One run with three kills here; more: `ANYGRAD_KILLS=20 cargo test --release --test reinforcement_resume -- --nocapture`.

mod worlds;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anygrad::prelude::*;
use anygrad::reinforcement::environments::{CartPole, Recall};
use anygrad::reinforcement::{
    Dqn, DqnConfig, Layers, Learner, Ppo, PpoConfig, Priority, RecurrentConfig, RecurrentPpo, Returns, Statistics,
};

use worlds::{alone, bits, device, small_dqn};

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
fn memory_goes_on_bit_for_bit() {
    let _turn = alone();
    let device = device(4);
    let make = || {
        let ppo = PpoConfig { environments: 8, rollout: 8, layers: Layers::tanh(&[8]), ..PpoConfig::default() };
        RecurrentPpo::new(Recall::default(), RecurrentConfig { ppo, memory: 8 }, &device).expect("agents")
    };
    let path = std::env::temp_dir().join(format!("anygrad-memory-{}", std::process::id()));
    let mut agent = make();
    (0..2).for_each(|_| drop(agent.iterate().expect("an iteration")));
    agent.save(&path).expect("saved");
    let went_on = agent.iterate().expect("an iteration");
    let mut again = make();
    again.load(&path).expect("loaded");
    let resumed = again.iterate().expect("an iteration");
    let loss = |told: &Statistics| bits(told.get("loss.value").expect("told"));
    assert_eq!(loss(&went_on), loss(&resumed));
    std::fs::remove_file(&path).expect("removed");
}

/// Where a run that this process shall be lives, if it is one.
const DIRECTORY: &str = "ANYGRAD_RL_KILL_DIRECTORY";

/// A run with a prioritised replay that saves all of its state after every 40 steps and goes on from what it finds.
#[test]
fn run() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (state, end) = (Path::new(&directory).join("state"), Path::new(&directory).join("end"));
    let mut config = DqnConfig { returns: Returns::Quantiles(4), ..small_dqn(1200) };
    config.common.priority = Some(Priority::default());
    let mut dqn = Dqn::new(CartPole, config, &device(7)).expect("agents");
    if state.exists() {
        dqn.load(&state).expect("the state of an earlier life");
    }
    while dqn.steps_done() < 1200 {
        dqn.train(40, &mut stop_after(1)).expect("40 steps");
        dqn.save(&state).expect("saved");
    }
    let values = dqn.learner().variables().into_iter().flat_map(|(_, var)| var.get().to_vec::<f32>().expect("numbers"));
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    checkpoint::write_whole(&end, &bytes).expect("written");
}

fn start(directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["run", "--exact", "--nocapture"]).env(DIRECTORY, directory).stdout(Stdio::null());
    command.spawn().expect("started")
}

fn empty(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("anygrad-rl-kill-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

#[test]
fn a_killed_run_with_a_replay_ends_as_if_nothing_had_happened() {
    if std::env::var(DIRECTORY).is_ok() {
        return;
    }
    let _turn = alone();
    let kills: usize = std::env::var("ANYGRAD_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let whole = empty("whole");
    let begun = Instant::now();
    assert!(start(&whole).wait().expect("a run").success());
    let (time, expected) = (begun.elapsed(), std::fs::read(whole.join("end")).expect("its end"));
    for kill in 0..kills {
        let directory = empty("killed");
        let mut lives = 0;
        while !directory.join("end").exists() {
            lives += 1;
            assert!(lives < 50, "it does not get anywhere");
            let mut child = start(&directory);
            if lives <= 3 {
                // Anywhere between the first tenth and three quarters of the run.
                let share = 0.1 + 0.65 * ((kill * 3 + lives) as f64 * 0.618).fract();
                std::thread::sleep(Duration::from_secs_f64(time.as_secs_f64() * share));
                child.kill().expect("killed");
            }
            child.wait().expect("gone");
        }
        println!("kill {kill}: {lives} lives");
        assert!(
            std::fs::read(directory.join("end")).expect("its end") == expected,
            "other numbers after {lives} lives"
        );
        std::fs::remove_dir_all(&directory).expect("cleaned");
    }
    std::fs::remove_dir_all(&whole).expect("cleaned");
}
