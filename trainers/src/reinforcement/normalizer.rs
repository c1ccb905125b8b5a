//! [`Normalizer`]: running mean and variance of what was seen, and [`RewardScale`]: rewards by the deviation of their returns.
//!
//! Both are told of a whole rollout at once, inside of the program that learns from it.

use anygrad_core::nn::Module;
use anygrad_core::nn::module::Visitor;
use anygrad_core::{DType, Device, Result, Tensor, Var};

use super::returns::running_sum;
use super::rollout::Rollout;

/// Normalised numbers are cut off here, as Stable-Baselines3 does.
const BOUND: f64 = 10.0;
/// Added to variances.
const EPSILON: f64 = 1e-8;

/// Mean and variance (of the population) of all numbers so far, of each seed and place by itself.
///
/// Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
#[derive(Clone, Debug)]
pub struct Normalizer {
    /// `[seeds, 1, k]`; 0 at first.
    mean: Var,
    /// `[seeds, 1, k]`; 1 at first.
    variance: Var,
    /// Rows so far, `[1]` f32.
    count: Var,
}

impl Normalizer {
    /// Of `k` numbers; `name` begins the names of its variables.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(name: &str, seeds: usize, k: usize, device: &Device) -> Result<Normalizer> {
        let var = |part: &str, shape: &[usize], value: f64| {
            Var::try_new(format!("{name}.{part}"), &Tensor::full(shape, value, DType::F32, device))
        };
        let shape = [seeds, 1, k];
        Ok(Normalizer {
            mean: var("mean", &shape, 0.0)?,
            variance: var("variance", &shape, 1.0)?,
            count: var("count", &[1], 0.0)?,
        })
    }

    /// Adds rows `[seeds, rows, k]`. Call it inside of a program.
    ///
    /// # Panics
    /// If `x` has another shape.
    #[track_caller]
    pub fn update(&self, x: &Tensor) {
        let (mean, variance, count) = (self.mean.get(), self.variance.get(), self.count.get());
        let total = &count + x.size(1) as f64;
        let weight = (total.recip() * x.size(1) as f64).reshape([1, 1, 1]);
        let new = x.mean_keep(1);
        let spread = (x - &new).square().mean_keep(1);
        let change = new - &mean;
        let rest = &weight * -1.0 + 1.0;
        self.variance.assign(&(variance * &rest + spread * &weight + change.square() * (&weight * rest)));
        self.mean.assign(&(mean + change * weight));
        self.count.assign(&total);
    }

    /// `(x - mean) / sqrt(variance + 1e-8)` within -10..10, for `[seeds, rows, k]`.
    ///
    /// # Panics
    /// If `x` has another shape.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        ((x - self.mean.get()) / self.deviation()).clamp(-BOUND, BOUND)
    }

    /// `sqrt(variance + 1e-8)`, `[seeds, 1, k]`.
    pub fn deviation(&self) -> Tensor {
        (self.variance.get() + EPSILON).sqrt()
    }
}

impl Module for Normalizer {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.buffer("mean", &self.mean);
        visitor.buffer("variance", &self.variance);
        visitor.buffer("count", &self.count);
    }
}

/// Rewards divided by the deviation of the discounted sum of past rewards, `R_t = r_t + gamma R_(t-1)` from each episode's
/// beginning, so that returns are of order one. Nothing is subtracted.
///
/// Source: "The 37 implementation details of PPO" (Huang and others, 2022), continuous control, details 6 and 7.
#[derive(Clone, Debug)]
pub struct RewardScale {
    /// `R` of each environment, `[n]`; 0 where a new episode begins.
    running: Var,
    moments: Normalizer,
    gamma: f64,
    seeds: usize,
}

impl RewardScale {
    /// For `n` environments of all seeds together.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(seeds: usize, n: usize, gamma: f64, device: &Device) -> Result<RewardScale> {
        let running = Var::try_new("reward.running", &Tensor::zeros(&[n], device))?;
        Ok(RewardScale { running, moments: Normalizer::new("reward", seeds, 1, device)?, gamma, seeds })
    }

    /// Takes note of a rollout and gives its rewards `[seeds, steps * n]`, scaled and within -10..10.
    ///
    /// # Panics
    /// If the rollout has another number of environments.
    #[track_caller]
    pub fn apply(&self, rollout: &Rollout) -> Tensor {
        let steps = rollout.reward.size(0);
        let goes_on = rollout.terminated.logical_or(&rollout.truncated).logical_not().cast(DType::F32);
        let first = (self.running.get() * self.gamma).unsqueeze(0).pad(&[(0, steps - 1), (0, 0)], 0.0);
        let decay = goes_on.slice(0, ..steps - 1).pad(&[(1, 0), (0, 0)], 1.0) * self.gamma;
        let sums = running_sum(&(&rollout.reward + first), &decay, 0);
        self.running.assign(&(sums.index_axis(0, -1) * goes_on.index_axis(0, -1)));
        self.moments.update(&Rollout::by_seed(&sums, self.seeds).unsqueeze(-1));
        let scale = self.moments.deviation().squeeze(-1);
        (Rollout::by_seed(&rollout.reward, self.seeds) / scale).clamp(-BOUND, BOUND)
    }

    /// All that must be saved to resume.
    #[must_use]
    pub fn variables(&self) -> Vec<Var> {
        [&[self.running.clone()][..], &self.moments.buffers()].concat()
    }
}
