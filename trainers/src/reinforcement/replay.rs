//! [`Replay`]: a ring of past steps on the device, written in blocks and sampled there.
//!
//! Every seed has its own steps: rows are `[capacity, seeds * n, ..]`, and a sample for seed `s` is drawn from the columns of
//! its environments. A block of steps is written with one pass over the ring in place, so its cost grows with the capacity.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::environment::VectorEnvironment;
use super::rollout::Rollout;

/// Steps drawn at random; all `[seeds, batch, ..]`.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was seen.
    pub observation: Tensor,
    /// What was done.
    pub action: Tensor,
    /// The discounted sum of the rewards of the steps in between.
    pub reward: Tensor,
    /// What the last of these steps led to.
    pub next: Tensor,
    /// What the value of `next` is multiplied by: `gamma^steps`, 0 after termination.
    pub discount: Tensor,
}

/// A ring of past steps.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Observation, action, reward, next observation: `[capacity, seeds * n, ..]`, f32 or i32.
    rows: [Var; 4],
    /// 0: goes on, 1: terminated, 2: truncated; `[capacity, seeds * n]` f32.
    ended: Var,
    /// Blocks written so far, `[1]` i32.
    written: Var,
    capacity: usize,
    block: usize,
    seeds: usize,
    columns: usize,
}

impl Replay {
    /// Room for `capacity` steps of each environment, written `block` at a time.
    ///
    /// # Errors
    /// If the capacity is not a multiple of the block, or memory cannot be had.
    pub fn new(environment: &VectorEnvironment, seeds: usize, capacity: usize, block: usize) -> Result<Replay> {
        if block == 0 || capacity == 0 || !capacity.is_multiple_of(block) {
            let message = format!("a capacity of {capacity} steps is not a multiple of the {block} written at a time");
            return Err(Error::data("replay", message));
        }
        let device = environment.variables()[0].device();
        let columns = environment.count();
        let kind = environment.environment();
        let (seen, acts) = (kind.observation_space(), kind.action_space());
        let row = |name: &str, shape: &[usize], dtype: DType, device: &Device| {
            let shape = [&[capacity, columns][..], shape].concat();
            Var::try_new(format!("replay.{name}"), &Tensor::full(&shape, 0.0, dtype, device))
        };
        Ok(Replay {
            rows: [
                row("observation", &seen.shape(), seen.dtype(), &device)?,
                row("action", &acts.shape(), acts.dtype(), &device)?,
                row("reward", &[], DType::F32, &device)?,
                row("next", &seen.shape(), seen.dtype(), &device)?,
            ],
            ended: row("ended", &[], DType::F32, &device)?,
            written: Var::try_new("replay.written", &Tensor::full(&[1], 0.0, DType::I32, &device))?,
            capacity,
            block,
            seeds,
            columns,
        })
    }

    /// Writes `block` steps over the oldest ones.
    ///
    /// # Panics
    /// If the rollout has another number of steps or environments.
    #[track_caller]
    pub fn write(&self, steps: &Rollout) {
        let blocks = self.capacity / self.block;
        let written = self.written.get();
        let place = &written % blocks as i32;
        let numbers = Tensor::arange(0.0, blocks as f64, 1.0, &written.device().clone()).cast(DType::I32);
        let here = numbers.eq(&place);
        let ended = steps.truncated.select(2.0, steps.reward.zeros_like());
        let ended = steps.terminated.select(1.0, &ended);
        let parts = [&steps.observation, &steps.action, &steps.reward, &steps.next, &ended];
        for (var, part) in self.rows.iter().chain([&self.ended]).zip(parts) {
            let old = var.get();
            let by_block = [&[blocks][..], part.shape()].concat();
            let mut mask = vec![1; by_block.len()];
            mask[0] = blocks;
            let new = part.unsqueeze(0).expand(by_block.as_slice());
            let old = old.reshape(by_block.as_slice());
            var.assign(&here.reshape(mask.as_slice()).select(&new, &old).reshape(var.shape()));
        }
        self.written.assign(&(written + 1));
    }

    /// `batch` sums of `steps` steps for each seed, drawn uniformly (with replacement) from what was written.
    ///
    /// A sum ends early where an episode ends; after truncation the value of what came next counts, after termination not.
    /// Source of n-step targets: Sutton, "Learning to predict by the methods of temporal differences" (1988).
    ///
    /// # Panics
    /// If `steps` is 0 or above the block.
    #[must_use]
    #[track_caller]
    pub fn sample(&self, batch: usize, steps: usize, gamma: f64) -> Sample {
        assert!((1..=self.block.max(1)).contains(&steps), "replay: sums of {steps} steps in blocks of {}", self.block);
        let device = self.written.device();
        let (seeds, n) = (self.seeds, self.columns / self.seeds);
        let blocks = (self.capacity / self.block) as i32;
        let written = self.written.get();
        // The oldest step that is still there, and how many steps can begin a sum.
        let oldest = (&written - blocks).maximum(0) * self.block as i32;
        let known = written.minimum(blocks) * self.block as i32 - (steps as i32 - 1);
        let unit = Tensor::rand(&[2, seeds, batch], &device);
        let pick = |unit: Tensor, count: Tensor| {
            let chosen = (unit * count.cast(DType::F32)).floor().cast(DType::I32);
            // The product may round up to the count.
            chosen.minimum(&(count - 1))
        };
        let step = pick(unit.index_axis(0, 0), known) + oldest;
        let of_seed = Tensor::arange(0.0, seeds as f64, 1.0, &device).cast(DType::I32) * n as i32;
        let own = Tensor::full(&[1], n as f64, DType::I32, &device);
        let column = pick(unit.index_axis(0, 1), own) + of_seed.unsqueeze(-1);
        let index = |ahead: usize| {
            (((&step + ahead as i32) % self.capacity as i32) * self.columns as i32 + &column).reshape([seeds * batch])
        };
        let fetch = |var: &Var, index: &Tensor| {
            let rest = &var.shape()[2..];
            let flat = [&[self.capacity * self.columns][..], rest].concat();
            let rows = var.get().reshape(flat.as_slice()).index_select(0, index);
            rows.reshape([&[seeds, batch][..], rest].concat().as_slice())
        };
        let first = index(0);
        let mut reward = fetch(&self.rows[2], &first);
        let mut ended = fetch(&self.ended, &first);
        let (mut weight, mut last) = (reward.full_like(gamma), first.clone());
        for ahead in 1..steps {
            let goes_on = ended.eq(0.0);
            let here = index(ahead);
            reward = goes_on.select(&reward + fetch(&self.rows[2], &here) * &weight, &reward);
            weight = goes_on.select(&weight * gamma, &weight);
            ended = goes_on.select(fetch(&self.ended, &here), &ended);
            last = goes_on.reshape([seeds * batch]).select(&here, &last);
        }
        Sample {
            observation: fetch(&self.rows[0], &first),
            action: fetch(&self.rows[1], &first),
            next: fetch(&self.rows[3], &last),
            discount: ended.eq(1.0).select(0.0, &weight),
            reward,
        }
    }

    /// All that must be saved to resume.
    #[must_use]
    pub fn variables(&self) -> Vec<Var> {
        self.rows.iter().chain([&self.ended, &self.written]).cloned().collect()
    }
}
