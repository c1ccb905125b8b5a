//! Returns and advantages: sums of later rewards, computed for all steps at once in `log2(steps)` passes.
//!
//! Termination ends a sum; truncation ends it too, but the value of what would have come next is added (bootstrapped).

use anygrad_core::{DType, Tensor};

/// `y_t = x_t + decay_t * y_(t+1)` along an axis, with nothing after the last step.
///
/// Doubling: after pass `k`, `y_t` holds `2^k` terms. Sums are in another order than a loop's, equal to rounding.
/// Source: Hillis and Steele, "Data parallel algorithms" (1986); Blelloch, "Prefix sums and their applications" (1990), 1.4.
///
/// # Panics
/// If the shapes differ or there is no such axis.
#[track_caller]
pub fn discounted_sum(x: &Tensor, decay: &Tensor, axis: usize) -> Tensor {
    let later = |t: &Tensor, by: usize| {
        let mut padding = vec![(0, 0); t.rank()];
        padding[axis] = (0, by);
        t.slice(axis as isize, by..).pad(&padding, 0.0)
    };
    let (mut sum, mut decay, mut reach) = (x.clone(), decay.clone(), 1);
    let steps = x.size(axis as isize);
    while reach < steps {
        sum = &sum + &decay * later(&sum, reach);
        reach *= 2;
        if reach < steps {
            decay = &decay * later(&decay, reach / 2);
        }
    }
    sum
}

/// `y_t = x_t + decay_t * y_(t-1)` along an axis, with nothing before the first step.
///
/// # Panics
/// As [`discounted_sum`].
#[track_caller]
pub fn running_sum(x: &Tensor, decay: &Tensor, axis: usize) -> Tensor {
    let axes = [axis as isize];
    discounted_sum(&x.flip(&axes), &decay.flip(&axes), axis).flip(&axes)
}

/// What a return is made of; all of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Experience<'a> {
    /// f32.
    pub reward: &'a Tensor,
    /// The value before the step.
    pub value: &'a Tensor,
    /// The value of what the step led to, before an ended episode was started anew.
    pub next_value: &'a Tensor,
    /// Bool: ended by itself.
    pub terminated: &'a Tensor,
    /// Bool: cut off.
    pub truncated: &'a Tensor,
}

impl Experience<'_> {
    /// `1` where the episode goes on, `0` where a new one begins.
    fn continues(&self) -> Tensor {
        self.terminated.logical_or(self.truncated).logical_not().cast(DType::F32)
    }

    /// `r + gamma V(next) - V`, with `V(next) = 0` after termination.
    pub fn errors(&self, gamma: f64) -> Tensor {
        let next = self.terminated.select(0.0, self.next_value);
        self.reward + next * gamma - self.value
    }

    /// Generalised advantages `A_t = sum_k (gamma lambda)^k delta_(t+k)`; `A + V` are the lambda-returns.
    ///
    /// Source: Schulman and others, "High-dimensional continuous control using generalized advantage estimation"
    /// (2015), equation 16; truncated episodes as in Pardo and others, "Time limits in reinforcement learning" (2017).
    ///
    /// # Panics
    /// If shapes differ or there is no such axis.
    #[track_caller]
    pub fn advantages(&self, gamma: f64, lambda: f64, axis: usize) -> Tensor {
        discounted_sum(&self.errors(gamma), &(self.continues() * (gamma * lambda)), axis)
    }
}
