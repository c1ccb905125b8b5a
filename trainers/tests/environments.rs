//! Environments: the classic controls against Gymnasium, Breakout against MinAtar, the others against their rules; episodes that
//! end begin anew.

mod common;

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Tensor};
use anygrad_trainers::reinforcement::environments::{
    Acrobot, Breakout, CartPole, GridWorld, MountainCar, MountainCarContinuous, Pendulum, Snake,
};
use anygrad_trainers::reinforcement::rollout::Rollout;
use anygrad_trainers::reinforcement::{
    Environment, FrameStack, ScaledActions, Space, Step, TimeLimit, VectorEnvironment,
};

use common::Counter;

/// A count that is not reached.
const NEVER: f64 = 1e9;

fn device() -> Device {
    anygrad_core::testing::device()
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64().expect("numbers")
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
    let ended = run(Counter { ends: 3.0, limit: 100, poison: NEVER });
    assert_eq!(first(&ended.observation), [0.0, 1.0, 2.0, 0.0, 1.0]);
    assert_eq!(first(&ended.next), [1.0, 2.0, 3.0, 1.0, 2.0]);
    assert_eq!(first(&ended.terminated.cast(DType::F32)), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(first(&ended.truncated.cast(DType::F32)), [0.0; 5]);
    let cut = run(Counter { ends: NEVER, limit: 2, poison: NEVER });
    assert_eq!(first(&cut.observation), [0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(first(&cut.truncated.cast(DType::F32)), [0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(first(&cut.terminated.cast(DType::F32)), [0.0; 5]);
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

/// Breakout's state as MinAtar's numbers and text.
fn breakout(rows: &serde_json::Value, device: &Device) -> Vec<Tensor> {
    let rows = rows.as_array().expect("rows");
    let n = rows.len();
    let whole = |i: usize| -> Tensor {
        let values = rows.iter().map(|row| row[i].as_i64().expect("a number") as i32).collect();
        Tensor::from_vec(values, &[n], device)
    };
    let bricks = rows.iter().flat_map(|row| row[8].as_str().expect("text").bytes().map(|b| f32::from(b - b'0')));
    let mut state: Vec<Tensor> = (0..8).map(whole).collect();
    state.push(Tensor::from_vec(bricks.collect(), &[n, 30], device));
    state
}

#[test]
fn breakout_is_minatars_step_for_step() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("goldens/breakout.json")).expect("goldens");
    let device = device();
    let actions: Vec<i32> = serde_json::from_value(golden["action"].clone()).expect("actions");
    let action = Tensor::from_vec(actions.clone(), &[actions.len()], &device);
    let step = Breakout.step(&breakout(&golden["state"], &device), &action);
    let expected = breakout(&golden["next"], &device);
    for (part, (found, expected)) in step.state.iter().zip(&expected).enumerate() {
        assert_eq!(floats(found), floats(expected), "part {part}");
    }
    let rewards: Vec<f64> = serde_json::from_value(golden["reward"].clone()).expect("rewards");
    assert_eq!(floats(&step.reward), rewards);
    let ends: Vec<bool> = serde_json::from_value(golden["terminated"].clone()).expect("flags");
    assert_eq!(step.terminated.to_vec::<bool>().expect("flags"), ends);
    // Both kinds of end of a wall are there: bricks that break, and a new wall.
    assert!(rewards.iter().sum::<f64>() > 20.0 && ends.iter().any(|end| *end));
    let images = floats(&Breakout.observe(&step.state));
    let seen: Vec<Vec<usize>> = serde_json::from_value(golden["seen"].clone()).expect("cells");
    for (i, cells) in seen.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
        let set: Vec<usize> = (0..400).filter(|cell| images[i * 400 + cell] == 1.0).collect();
        assert_eq!(&set, cells, "image {i}");
    }
    assert!(images.iter().all(|x| *x == 0.0 || *x == 1.0));
    let (left, n) = (floats(&Breakout.reset(64, &device)[0]), 64.0);
    // From both sides, about equally often: four standard deviations of 8 balls.
    assert!((left.iter().filter(|x| **x == 0.0).count() as f64 - n / 2.0).abs() <= 4.0 * (n / 4.0).sqrt());
}

/// A snake by the cells of its body, head first, and food.
fn snake(body: &[i32], direction: i32, food: i32, device: &Device) -> Vec<Tensor> {
    let one = |value: i32| Tensor::from_vec(vec![value], &[1], device);
    let mut cells = vec![0i32; 100];
    for (i, cell) in body.iter().enumerate() {
        cells[*cell as usize] = (body.len() - i) as i32;
    }
    vec![one(body[0]), one(direction), one(food), Tensor::from_vec(cells, &[1, 100], device)]
}

#[test]
fn a_snake_eats_grows_and_dies_by_the_rules() {
    let device = device();
    let act = |state: &[Tensor], action: i32| {
        let step = Snake.step(state, &Tensor::from_vec(vec![action], &[1], &device));
        let body = step.state[3].to_vec::<i32>().expect("cells");
        let mut cells: Vec<i32> = (0..100).filter(|cell| body[*cell as usize] > 0).collect();
        cells.sort_by_key(|cell| -body[*cell as usize]);
        let food = step.state[2].to_vec::<i32>().expect("a cell")[0];
        (cells, food, floats(&step.reward)[0], step.terminated.to_vec::<bool>().expect("a flag")[0])
    };
    let (up, right, down, left) = (0, 1, 2, 3);
    let small = |food: i32| snake(&[54, 53, 52], right, food, &device);
    // It goes on, turns, and does not go back.
    assert_eq!(act(&small(0), right), (vec![55, 54, 53], 0, 0.0, false));
    assert_eq!(act(&small(0), up), (vec![44, 54, 53], 0, 0.0, false));
    assert_eq!(act(&small(0), left), (vec![55, 54, 53], 0, 0.0, false));
    // Food: longer by one, and new food on a free cell.
    for _ in 0..20 {
        let (cells, food, reward, dead) = act(&small(64), down);
        assert_eq!((&cells[..], reward, dead), (&[64, 54, 53, 52][..], 1.0, false));
        assert!((0..100).contains(&food) && !cells.contains(&food));
    }
    // Walls on all sides.
    for (body, direction) in [([4, 14, 24], up), ([59, 58, 57], right), ([94, 84, 74], down), ([50, 51, 52], left)] {
        let (_, _, reward, dead) = act(&snake(&body, direction, 33, &device), direction);
        assert_eq!((reward, dead), (-1.0, true), "{body:?}");
    }
    // Its body is deadly, the cell that the tail leaves is not.
    let hook = |tail: &[i32]| snake(&[&[54, 44, 43, 53][..], tail].concat(), down, 0, &device);
    assert!(act(&hook(&[63]), left).3);
    assert_eq!(act(&hook(&[]), left), (vec![53, 54, 44, 43], 0, 0.0, false));
    // The last free cell: the board is full.
    let path: Vec<i32> = (0..100).map(|i| if (i / 10) % 2 == 0 { i } else { i / 10 * 10 + 9 - i % 10 }).rev().collect();
    assert_eq!((path[0], path[99]), (90, 0));
    let (cells, _, reward, dead) = act(&snake(&path[1..], left, path[0], &device), left);
    assert_eq!((cells.len(), reward, dead), (100, 1.0, true));
}

#[test]
fn a_snakes_image_is_its_state_and_it_begins_with_food_anywhere_else() {
    let device = device();
    device.seed(2).expect("seeded");
    let image = floats(&Snake.observe(&snake(&[54, 53, 52], 1, 7, &device)));
    let mut expected = vec![0.0; 300];
    (expected[54], expected[154], expected[207]) = (1.0, 1.0, 1.0);
    (expected[153], expected[152]) = (f64::from(2.0f32 / 3.0), f64::from(1.0f32 / 3.0));
    near(&image, &expected, 1e-7);
    let fresh = Snake.reset(2000, &device);
    let (food, body) = (floats(&fresh[2]), floats(&fresh[3]));
    assert_eq!(&body[50..56], &[0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
    assert!(body.chunks(100).all(|cells| cells.iter().sum::<f64>() == 6.0));
    let met: std::collections::BTreeSet<i64> = food.iter().map(|x| *x as i64).collect();
    // Each of the 97 free cells is missed by 2,000 draws with probability (96/97)^2000 < 1e-8.
    assert_eq!(met.into_iter().collect::<Vec<_>>(), (0..100).filter(|c| !(52..=54).contains(c)).collect::<Vec<_>>());
}

#[test]
fn frames_are_stacked_and_begin_anew_with_each_episode() {
    let device = device();
    let world = FrameStack::new(Counter { ends: 3.0, limit: 100, poison: NEVER }, 3).expect("frames");
    assert_eq!(world.observation_space(), Space::uniform(&[3], 0.0, 1e6));
    let worlds = VectorEnvironment::new(Arc::new(world), 2, &device).expect("worlds");
    let mut program = Program::inference(&device, |()| {
        Rollout::collect(&worlds, 5, |_| {
            let action = Tensor::full(&[2], 0.0, DType::I32, &device);
            (action.clone(), action)
        })
    });
    let rollout = program.run(()).expect("a rollout");
    let first = |tensor: &Tensor| floats(&tensor.narrow(1, 0, 1).flatten(0));
    let seen = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]].concat();
    assert_eq!(first(&rollout.observation), seen);
    let next = [[0.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0], [0.0, 1.0, 2.0]].concat();
    assert_eq!(first(&rollout.next), next);
    // Images: channels are stacked.
    let images = FrameStack::new(Breakout, 2).expect("frames");
    let state = images.reset(1, &device);
    assert_eq!(images.observe(&state).shape(), [1, 8, 10, 10]);
    assert_eq!(images.observation_space().shape(), [8, 10, 10]);
    assert!(FrameStack::new(CartPole, 0).expect_err("none").to_string().contains("0 frames"));
}

#[test]
fn limits_and_scales_are_those_that_were_asked_for() {
    let device = device();
    let limited = TimeLimit { environment: CartPole, steps: Some(7) };
    assert_eq!((limited.time_limit(), limited.action_space()), (Some(7), Space::Discrete(2)));
    let world = ScaledActions::new(Pendulum).expect("scaled");
    assert_eq!(world.action_space(), Space::uniform(&[1], -1.0, 1.0));
    let state = [Tensor::from_vec(vec![0.5f32], &[1], &device), Tensor::from_vec(vec![0.0f32], &[1], &device)];
    let act = |world: &dyn Environment, action: f32| {
        floats(&world.step(&state, &Tensor::from_vec(vec![action], &[1, 1], &device)).state[1])
    };
    // Torques are between -2 and 2.
    assert_eq!(act(&world, 0.5), act(&Pendulum, 1.0));
    assert_ne!(act(&world, 0.5), act(&Pendulum, 0.5));
    assert!(ScaledActions::new(CartPole).expect_err("choices").to_string().contains("within bounds"));
}
