//! [`Replay`]: a ring of past steps on the device, written in blocks and sampled there.
//!
//! [`super::OffPolicy`] writes it and moves its blocks in time, so that nothing can be lost; learners see [`Sample`]s.
//!
//! Every seed has its own steps: rows are `[capacity, seeds * n, ..]`, and a sample for seed `s` is drawn from the columns of
//! its environments. A write passes over all of a ring, so new blocks go to a small ring of about the square root of the
//! large one's blocks, and from there (`Replay::settle`) to the large one all at once: both passes are cheap per block.

use anygrad_core::{DType, Error, Result, Tensor, Var};

use super::environment::VectorEnvironment;
use super::rollout::Rollout;

mod priority;
#[cfg(test)]
mod tests;

use priority::Priorities;
pub use priority::Priority;

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
    /// Bool `[seeds, batch, choices]`: what may be chosen at `next`, if not everything.
    pub next_allowed: Option<Tensor>,
    /// How much each counts, if they were drawn by priority; see [`Sample::weigh`].
    pub weight: Option<Tensor>,
    /// Where they are in all remembered steps, i32.
    place: Tensor,
}

impl Sample {
    /// Losses `[seeds, batch]` or `[.., seeds, batch]`, times how much each counts: the correction for being drawn more often.
    #[track_caller]
    pub fn weigh(&self, losses: &Tensor) -> Tensor {
        self.weight.as_ref().map_or_else(|| losses.clone(), |weight| losses * weight)
    }
}

/// What is drawn from a [`Replay`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Sums for each seed.
    pub batch: usize,
    /// Steps of a sum.
    pub steps: usize,
    /// Discount of later rewards.
    pub gamma: f64,
}

/// One part of all remembered steps.
#[derive(Clone, Debug)]
struct Rows {
    /// `[capacity, seeds * n, ..]`.
    ring: Var,
    /// The newest, `[fresh * block, seeds * n, ..]`.
    fresh: Var,
}

/// A ring of past steps.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Observation, action, reward, next observation, f32 or i32; and f32 `ended`: 0 goes on, 1 terminated, 2 truncated.
    rows: [Rows; 5],
    /// Bool: what could be chosen at the next observation, if not everything.
    allowed: Option<Rows>,
    /// Blocks written so far, `[1]` i32.
    written: Var,
    priorities: Option<Priorities>,
    capacity: usize,
    block: usize,
    /// Blocks in the small rings.
    fresh: usize,
    seeds: usize,
    columns: usize,
}

/// `part` in the place of one of `blocks` stretches of a ring.
fn overwrite(ring: &Var, part: &Tensor, place: &Tensor, blocks: usize) {
    let by_block = [&[blocks][..], part.shape()].concat();
    let mut mask = vec![1; by_block.len()];
    mask[0] = blocks;
    let numbers = Tensor::arange(0.0, blocks as f64, 1.0, &ring.device()).cast(DType::I32);
    let here = numbers.eq(place).reshape(mask.as_slice());
    let new = part.unsqueeze(0).expand(by_block.as_slice());
    let old = ring.get().reshape(by_block.as_slice());
    ring.assign(&here.select(&new, &old).reshape(ring.shape()));
}

impl Replay {
    /// Room for `capacity` steps of each environment, written `block` at a time.
    ///
    /// # Errors
    /// If the capacity is not a multiple of the block, a priority makes no sense, or memory cannot be had.
    pub fn new(
        environment: &VectorEnvironment,
        seeds: usize,
        (capacity, block): (usize, usize),
        priority: Option<Priority>,
    ) -> Result<Replay> {
        if block == 0 || capacity == 0 || !capacity.is_multiple_of(block) {
            let message = format!("a capacity of {capacity} steps is not a multiple of the {block} written at a time");
            return Err(Error::data("replay", message));
        }
        let device = environment.variables()[0].device();
        let columns = environment.count();
        let kind = environment.environment();
        let (seen, acts) = (kind.observation_space(), kind.action_space());
        let blocks = capacity / block;
        let fresh = (1..=blocks.isqrt()).rev().find(|part| blocks.is_multiple_of(*part)).unwrap_or(1);
        let rows = |name: &str, shape: &[usize], dtype: DType| -> Result<Rows> {
            let var = |name: String, steps: usize| {
                let shape = [&[steps, columns][..], shape].concat();
                Var::try_new(name, &Tensor::full(&shape, 0.0, dtype, &device))
            };
            let ring = var(format!("replay.{name}"), capacity)?;
            Ok(Rows { ring, fresh: var(format!("replay.fresh.{name}"), fresh * block)? })
        };
        let allowed = environment.allowed().map(|mask| rows("allowed", &mask.shape()[1..], DType::Bool));
        Ok(Replay {
            rows: [
                rows("observation", &seen.shape(), seen.dtype())?,
                rows("action", &acts.shape(), acts.dtype())?,
                rows("reward", &[], DType::F32)?,
                rows("next", &seen.shape(), seen.dtype())?,
                rows("ended", &[], DType::F32)?,
            ],
            allowed: allowed.transpose()?,
            written: Var::try_new("replay.written", &Tensor::full(&[1], 0.0, DType::I32, &device))?,
            priorities: priority.map(|by| Priorities::new(by, capacity, columns, &device)).transpose()?,
            capacity,
            block,
            fresh,
            seeds,
            columns,
        })
    }

    /// Writes `block` steps over the oldest ones.
    ///
    /// # Panics
    /// If the rollout has another number of steps or environments.
    #[track_caller]
    pub(crate) fn write(&self, steps: &Rollout) {
        let written = self.written.get();
        if let Some(priorities) = &self.priorities {
            priorities.write(&written, self.block);
        }
        let ended = steps.truncated.select(2.0, steps.reward.zeros_like());
        let ended = steps.terminated.select(1.0, &ended);
        let place = &written % self.fresh as i32;
        let parts = [&steps.observation, &steps.action, &steps.reward, &steps.next, &ended];
        for (rows, part) in self.rows.iter().chain(&self.allowed).zip(parts.into_iter().chain(&steps.next_allowed)) {
            overwrite(&rows.fresh, part, &place, self.fresh);
        }
        self.written.assign(&(written + 1));
    }

    /// How many writes may follow each other before [`Replay::settle`] must be called.
    pub(crate) fn settle_every(&self) -> usize {
        self.fresh
    }

    /// Keeps the newest blocks for good: after each [`Replay::settle_every`] writes, before the next one. Blocks that were
    /// not settled in time are lost.
    pub(crate) fn settle(&self) {
        let large = self.capacity / (self.block * self.fresh);
        let place = (self.written.get() / self.fresh as i32 - 1) % large as i32;
        for rows in self.rows.iter().chain(&self.allowed) {
            overwrite(&rows.ring, &rows.fresh.get(), &place, large);
        }
    }

    /// Sums of rewards for each seed, drawn with replacement from what was written: uniformly, or by priority, whose correction
    /// depends on `progress` `[1]`, 0 to 1 over the run.
    ///
    /// A sum ends early where an episode ends; after truncation the value of what came next counts, after termination not.
    /// Source of n-step targets: Sutton, "Learning to predict by the methods of temporal differences" (1988).
    ///
    /// # Panics
    /// If `steps` is 0 or above the block.
    #[must_use]
    #[track_caller]
    pub fn sample(&self, draw: &Draw, progress: &Tensor) -> Sample {
        let Draw { batch, steps, gamma } = *draw;
        assert!((1..=self.block.max(1)).contains(&steps), "replay: sums of {steps} steps in blocks of {}", self.block);
        let (seeds, written) = (self.seeds, self.written.get());
        let (step, column, importance) = match &self.priorities {
            Some(priorities) => priorities.draw((&written * self.block as i32, steps), (seeds, batch), progress),
            None => {
                let (step, column) = self.uniform(&written, steps, batch);
                (step, column, None)
            }
        };
        // The first step that is read from the small rings: of the newest block, and those that lie there with it.
        let settled = (&written - 1).maximum(0) / self.fresh as i32 * (self.fresh * self.block) as i32;
        let fetch = |rows: &Rows, step: &Tensor| {
            let rest = &rows.ring.shape()[2..];
            let from = |var: &Var| {
                let steps = var.shape()[0];
                let flat = [&[steps * self.columns][..], rest].concat();
                let index = (step % steps as i32 * self.columns as i32 + &column).reshape([seeds * batch]);
                let found = var.get().reshape(flat.as_slice()).index_select(0, &index);
                found.reshape([&[seeds, batch][..], rest].concat().as_slice())
            };
            let mut sizes = vec![seeds, batch];
            sizes.resize(2 + rest.len(), 1);
            step.ge(&settled).reshape(sizes).select(from(&rows.fresh), from(&rows.ring))
        };
        let first = step;
        let mut reward = fetch(&self.rows[2], &first);
        let mut ended = fetch(&self.rows[4], &first);
        let (mut weight, mut last) = (reward.full_like(gamma), first.clone());
        for ahead in 1..steps {
            let goes_on = ended.eq(0.0);
            let here = &first + ahead as i32;
            reward = goes_on.select(&reward + fetch(&self.rows[2], &here) * &weight, &reward);
            weight = goes_on.select(&weight * gamma, &weight);
            ended = goes_on.select(fetch(&self.rows[4], &here), &ended);
            last = goes_on.select(&here, &last);
        }
        Sample {
            place: &first % self.capacity as i32 * self.columns as i32 + &column,
            weight: importance,
            observation: fetch(&self.rows[0], &first),
            action: fetch(&self.rows[1], &first),
            next: fetch(&self.rows[3], &last),
            next_allowed: self.allowed.as_ref().map(|rows| fetch(rows, &last)),
            discount: ended.eq(1.0).select(0.0, &weight),
            reward,
        }
    }

    /// Steps and columns `[seeds, batch]`, all equally likely.
    fn uniform(&self, written: &Tensor, steps: usize, batch: usize) -> (Tensor, Tensor) {
        let device = self.written.device();
        let (seeds, n) = (self.seeds, self.columns / self.seeds);
        let blocks = (self.capacity / self.block) as i32;
        // The oldest step that is still there, and how many steps can begin a sum.
        let oldest = (written - blocks).maximum(0) * self.block as i32;
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
        (step, pick(unit.index_axis(0, 1), own) + of_seed.unsqueeze(-1))
    }

    /// Remembers how wrong the values of a sample were, `[seeds, batch]`, if steps are drawn by that.
    ///
    /// # Panics
    /// If there is another number of errors.
    #[track_caller]
    pub fn revalue(&self, sample: &Sample, error: &Tensor) {
        if let Some(priorities) = &self.priorities {
            priorities.revalue(&sample.place, error);
        }
    }

    /// All that must be saved to resume.
    #[must_use]
    pub fn variables(&self) -> Vec<Var> {
        let parts = self.rows.iter().chain(&self.allowed).flat_map(|rows| [&rows.ring, &rows.fresh]);
        let mut all: Vec<Var> = parts.chain([&self.written]).cloned().collect();
        all.extend(self.priorities.iter().flat_map(Priorities::variables));
        all
    }
}
