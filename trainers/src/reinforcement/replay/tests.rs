//! The ring against lists: what is remembered, where sums stop, what is drawn how often.

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Tensor};

use super::{Draw, Priority, Replay};
use crate::reinforcement::environment::{Environment, Step, VectorEnvironment};
use crate::reinforcement::rollout::Rollout;
use crate::reinforcement::space::Space;

fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64().expect("numbers")
}

/// Counts its steps; observation and reward are the count.
#[derive(Clone, Copy, Debug)]
struct Counter {
    ends: f64,
    /// Whether the second choice is allowed only after an odd number of steps.
    masked: bool,
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
        None
    }
    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::zeros(&[n], device)]
    }
    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].unsqueeze(-1)
    }
    fn allowed(&self, state: &[Tensor]) -> Option<Tensor> {
        let odd = (&state[0] % 2.0).gt(0.5);
        self.masked.then(|| Tensor::stack(&[odd.zeros_like().logical_not(), odd], -1))
    }
    fn step(&self, state: &[Tensor], _: &Tensor) -> Step {
        let next = &state[0] + 1.0;
        Step { terminated: next.ge(self.ends), reward: next.clone(), state: vec![next] }
    }
}

fn worlds(ends: f64, device: &Device) -> VectorEnvironment {
    VectorEnvironment::new(Arc::new(Counter { ends, masked: false }), 2, device).expect("worlds")
}

/// Some steps of both worlds.
fn steps(worlds: &VectorEnvironment, count: usize) -> Rollout {
    Rollout::collect(worlds, count, |seen| {
        let action = Tensor::full(&[2], 0.0, DType::I32, seen.device());
        (action.clone(), action)
    })
}

#[test]
fn a_replay_is_a_ring_and_sums_stop_at_ends() {
    let device = anygrad_core::testing::device();
    // Episodes of 5 steps; blocks of 4; a ring of 8, so that the fourth block overwrites the second.
    let worlds = worlds(5.0, &device);
    let replay = Replay::new(&worlds, 2, (8, 4), None).expect("a replay");
    let mut write = Program::inference(&device, |()| {
        replay.write(&steps(&worlds, 4));
        replay.settle();
    });
    assert_eq!(replay.settle_every(), 1);
    (0..3).for_each(|_| write.run(()).expect("a block"));
    let mut draw = Program::inference(&device, |()| {
        let s = replay.sample(&Draw { batch: 64, steps: 2, gamma: 0.5 }, &Tensor::zeros(&[1], &device));
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
fn a_replay_of_two_rings_remembers_exactly_the_newest_steps() {
    let device = anygrad_core::testing::device();
    // Nothing ends: what is seen is the number of the step. 16 blocks of 2, 4 of them in the small ring.
    let worlds = worlds(1e9, &device);
    let replay = Replay::new(&worlds, 1, (32, 2), None).expect("a replay");
    assert_eq!(replay.settle_every(), 4);
    let mut write = Program::inference(&device, |()| {
        replay.write(&steps(&worlds, 2));
    });
    let mut settle = Program::inference(&device, |()| replay.settle());
    let mut draw = Program::inference(&device, |()| {
        let s = replay.sample(&Draw { batch: 1024, steps: 1, gamma: 0.5 }, &Tensor::zeros(&[1], &device));
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
fn what_a_step_led_to_keeps_its_mask() {
    let device = anygrad_core::testing::device();
    // Episodes of 5 steps: 6 would be seen next, but is a new beginning. Blocks in both rings.
    let worlds = VectorEnvironment::new(Arc::new(Counter { ends: 5.0, masked: true }), 2, &device).expect("worlds");
    let replay = Replay::new(&worlds, 1, (16, 2), None).expect("a replay");
    assert_eq!(replay.settle_every(), 2);
    let mut write = Program::inference(&device, |()| replay.write(&steps(&worlds, 2)));
    let mut settle = Program::inference(&device, |()| replay.settle());
    for blocks in 1..=7 {
        write.run(()).expect("a block");
        if blocks % 2 == 0 {
            settle.run(()).expect("moved");
        }
    }
    let mut draw = Program::inference(&device, |()| {
        let s = replay.sample(&Draw { batch: 256, steps: 2, gamma: 0.5 }, &Tensor::zeros(&[1], &device));
        [s.next, s.next_allowed.expect("a mask").cast(DType::F32)]
    });
    let [next, allowed] = draw.run(()).expect("a sample").map(|x| floats(&x));
    assert!([2.0, 3.0, 4.0, 5.0].iter().all(|count| next.contains(count)));
    for (count, allowed) in next.iter().zip(allowed.chunks(2)) {
        assert_eq!(allowed, [1.0, count % 2.0], "after {count} steps");
    }
}

#[test]
fn steps_are_drawn_in_proportion_to_their_priorities() {
    let device = anygrad_core::testing::device();
    device.seed(1).expect("seeded");
    let worlds = worlds(1e9, &device);
    let by = Priority { exponent: 0.5, correction: (1.0, 1.0) };
    // Two seeds of one world each; 12 steps fit, sums of two steps: the newest step begins none.
    let replay = Replay::new(&worlds, 2, (12, 4), Some(by)).expect("a replay");
    let mut write = Program::inference(&device, |()| {
        replay.write(&steps(&worlds, 4));
        replay.settle();
    });
    assert_eq!(replay.settle_every(), 1);
    // 16 steps: the first four are gone.
    (0..4).for_each(|_| write.run(()).expect("a block"));
    const DRAWN: usize = 4096;
    let mut draw = Program::inference(&device, |errors: Tensor| {
        let sample = replay.sample(&Draw { batch: DRAWN, steps: 2, gamma: 0.5 }, &Tensor::zeros(&[1], &device));
        let seen = sample.observation.flatten(1);
        // The error of each step is given by the number that was seen.
        let error = errors.index_select(0, &seen.cast(DType::I32).flatten(0)).reshape(seen.shape());
        replay.revalue(&sample, &error);
        let weight = sample.weight.expect("drawn by priority");
        vec![seen, weight, sample.reward, sample.next.flatten(1)]
    });
    let errors: Vec<f32> = (0..16).map(|i| if i == 7 { 16.0 } else { 1.0 + (i % 3) as f32 }).collect();
    let given = Tensor::from_vec(errors.clone(), &[16], &device);
    for turn in 0..3 {
        let drawn = draw.run(given.clone()).expect("a sample");
        let [seen, weight, reward, next] = [0, 1, 2, 3].map(|i| floats(&drawn[i]));
        // At first all count alike; then by the square root of their errors.
        let power = |i: usize| if turn == 0 { 1.0 } else { f64::from(errors[i]).sqrt() };
        let total: f64 = (4..15).map(power).sum();
        let least = (4..15).map(power).fold(f64::INFINITY, f64::min);
        for (k, &o) in seen.iter().enumerate() {
            assert!((4.0..15.0).contains(&o), "step {o}");
            assert!((weight[k] - least / power(o as usize)).abs() < 1e-4, "weight {} of step {o}", weight[k]);
            assert_eq!((reward[k], next[k]), (o + 1.0 + 0.5 * (o + 2.0), o + 2.0));
        }
        for half in seen.chunks(DRAWN) {
            for i in 4..15 {
                let count = half.iter().filter(|&&o| o == i as f64).count() as f64;
                let expected = DRAWN as f64 * power(i) / total;
                // One draw from each stretch: a step's share lies over whole stretches, but for two at its ends.
                assert!((count - expected).abs() <= 2.0, "{count} draws of step {i}, {expected} expected");
            }
        }
    }
}

#[test]
fn priorities_out_of_range_are_refused() {
    let device = anygrad_core::testing::device();
    for by in [
        Priority { exponent: 1.5, ..Priority::default() },
        Priority { correction: (0.4, f64::NAN), ..Priority::default() },
    ] {
        let error = Replay::new(&worlds(5.0, &device), 1, (8, 4), Some(by)).expect_err("refused").to_string();
        assert!(error.contains("0..=1"), "{error}");
    }
}
