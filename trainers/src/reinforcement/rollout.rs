//! [`Rollout`]: some steps of many environments, and what is told of them.

use anygrad_core::{DType, Error, Result, Tensor, Tensors, Var};

use super::environment::VectorEnvironment;
use super::returns::running_sum;

/// What to do, seeing something.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is kept of the action, `[n, ..]`.
    pub kept: Tensor,
    /// What the environment gets, `[n, ..]`.
    pub acted: Tensor,
    /// What else is kept, `[n, ..]` each: numbers that learning would have to compute again.
    pub noted: Vec<Tensor>,
}

impl From<(Tensor, Tensor)> for Choice {
    /// What is kept of the action and what the environment gets, and nothing else.
    fn from((kept, acted): (Tensor, Tensor)) -> Choice {
        Choice { kept, acted, noted: Vec::new() }
    }
}

/// Steps of `n` environments; each tensor is `[steps, n, ..]`.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What was seen before the action.
    pub observation: Tensor,
    /// What the policy chose (before bounds were applied).
    pub action: Tensor,
    /// f32.
    pub reward: Tensor,
    /// Bool.
    pub terminated: Tensor,
    /// Bool.
    pub truncated: Tensor,
    /// What was seen after the action, before an ended episode was started anew.
    pub next: Tensor,
    /// Bool `[steps, n, choices]`: what could be chosen, if not everything.
    pub allowed: Option<Tensor>,
    /// The same of what each step led to, before an ended episode was started anew.
    pub next_allowed: Option<Tensor>,
    /// What else was kept of choices; see [`Choice::noted`].
    pub noted: Vec<Tensor>,
    /// Steps from one truncation of an environment to its next, at least; none: episodes are never cut off.
    pub apart: Option<usize>,
}

impl Tensors for Rollout {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Rollout {
        Rollout {
            observation: f(&self.observation),
            action: f(&self.action),
            reward: f(&self.reward),
            terminated: f(&self.terminated),
            truncated: f(&self.truncated),
            next: f(&self.next),
            allowed: self.allowed.as_ref().map(&mut *f),
            next_allowed: self.next_allowed.as_ref().map(&mut *f),
            noted: self.noted.iter().map(f).collect(),
            apart: self.apart,
        }
    }
}

impl Rollout {
    /// Traces `steps` steps; `act` chooses by an observation `[n, ..]`.
    #[must_use]
    #[track_caller]
    pub fn collect<C: Into<Choice>>(
        environment: &VectorEnvironment,
        steps: usize,
        mut act: impl FnMut(&Tensor) -> C,
    ) -> Rollout {
        let mut all: [Vec<Tensor>; 6] = Default::default();
        let (mut masks, mut next_masks, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..steps {
            masks.extend(environment.allowed());
            let observation = environment.observe();
            // Learning happens from what was seen, not through the world: no gradient passes from here to the policy.
            let Choice { kept, acted, noted } = act(&observation).into();
            notes.push(noted);
            let step = environment.step(&acted.detach());
            next_masks.extend(step.next_allowed);
            let parts = [observation, kept.detach(), step.reward, step.terminated, step.truncated, step.next];
            all.iter_mut().zip(parts).for_each(|(list, part)| list.push(part));
        }
        let [observation, action, reward, terminated, truncated, next] = all.map(|list| Tensor::stack(&list, 0));
        let [allowed, next_allowed] =
            [masks, next_masks].map(|masks| (!masks.is_empty()).then(|| Tensor::stack(&masks, 0)));
        let (noted, apart) = (stacked(&notes), environment.environment().time_limit());
        Rollout { observation, action, reward, terminated, truncated, next, allowed, next_allowed, noted, apart }
    }

    /// One after the other.
    ///
    /// # Panics
    /// If there are none, or their shapes differ.
    #[must_use]
    #[track_caller]
    pub fn join(parts: &[Rollout]) -> Rollout {
        let one = |list: Vec<&Tensor>| if list.len() == 1 { list[0].clone() } else { Tensor::cat(&list, 0) };
        let join = |part: fn(&Rollout) -> &Tensor| one(parts.iter().map(part).collect());
        let masks = |part: fn(&Rollout) -> Option<&Tensor>| parts.iter().map(part).collect::<Option<Vec<_>>>().map(one);
        Rollout {
            observation: join(|r| &r.observation),
            action: join(|r| &r.action),
            reward: join(|r| &r.reward),
            terminated: join(|r| &r.terminated),
            truncated: join(|r| &r.truncated),
            next: join(|r| &r.next),
            allowed: masks(|r| r.allowed.as_ref()),
            next_allowed: masks(|r| r.next_allowed.as_ref()),
            noted: (0..parts[0].noted.len()).map(|i| one(parts.iter().map(|part| &part.noted[i]).collect())).collect(),
            apart: parts[0].apart,
        }
    }

    /// The value of what each step led to, `[seeds, steps, environments]`, if `value` (of the same shape) is that of what was
    /// seen before each step and `of` values observations `[seeds, batch, ..]`, with what they allow `[seeds, batch, choices]` if
    /// that is not everything, as `[seeds, batch]`.
    ///
    /// What a step led to is what the next one saw, unless an episode ended. Of those that ended by being cut off there is at
    /// most one per environment in [`Rollout::apart`] steps, so a few observations are valued instead of all.
    #[track_caller]
    pub fn next_values(&self, value: &Tensor, of: impl Fn(&Tensor, Option<&Tensor>) -> Tensor) -> Tensor {
        let [seeds, steps, n] = [0, 1, 2].map(|axis| value.size(axis));
        let window = self.apart.unwrap_or(steps).clamp(1, steps);
        let windows = if self.apart.is_some() { steps.div_ceil(window) } else { 0 };
        let by_seed = |x: &Tensor| Rollout::by_seed(x, seeds);
        if windows * 8 > steps {
            return of(&by_seed(&self.next), self.next_allowed.as_ref().map(by_seed).as_ref())
                .reshape([seeds, steps, n]);
        }
        let stretches = || (0..windows).map(|i| (i * window, window.min(steps - i * window)));
        // Of floats `[steps, n, ..]`: those where an episode was cut off, then the last step's.
        let few = |x: &Tensor| {
            let cut = |(start, length)| {
                let truncated = self.truncated.narrow(0, start, length);
                let mask = truncated.reshape([truncated.shape(), &vec![1; x.rank() - 2]].concat().as_slice());
                mask.select(x.narrow(0, start, length), 0.0).sum(0)
            };
            by_seed(&Tensor::stack(&stretches().map(cut).chain([x.index_axis(0, -1)]).collect::<Vec<_>>(), 0))
        };
        let allowed = self.next_allowed.as_ref().map(|allowed| few(&allowed.cast(DType::F32)).gt(0.5));
        let rows = of(&few(&self.next), allowed.as_ref()).reshape([seeds, windows + 1, n]);
        let later = Tensor::cat(&[value.slice(1, 1..), rows.slice(1, -1..)], 1);
        if windows == 0 {
            return later;
        }
        let cut = |(i, (_, length))| rows.narrow(1, i, 1).expand([seeds, length, n]);
        let cut: Vec<Tensor> = stretches().enumerate().map(cut).collect();
        let truncated = by_seed(&self.truncated).reshape([seeds, steps, n]);
        truncated.select(Tensor::cat(&cut, 1), later)
    }

    /// The same with 0 for numbers that are not finite: what is learned stays finite while the error is on its way.
    #[must_use]
    pub(crate) fn finite(&self) -> Rollout {
        self.map(&mut finite)
    }

    /// `[steps, seeds * n, ..] -> [seeds, steps * n, ..]`, steps of one environment `n` apart.
    #[track_caller]
    pub fn by_seed(x: &Tensor, seeds: usize) -> Tensor {
        let (steps, n, rest) = (x.size(0), x.size(1) / seeds, &x.shape()[2..]);
        let x = x.reshape([&[steps, seeds, n][..], rest].concat().as_slice()).movedim(1, 0);
        x.reshape([&[seeds, steps * n][..], rest].concat().as_slice())
    }
}

/// Lists of equal lengths, each with one element per step: each joined over the steps.
pub(super) fn stacked(steps: &[Vec<Tensor>]) -> Vec<Tensor> {
    let count = steps.first().map_or(0, Vec::len);
    (0..count).map(|i| Tensor::stack(&steps.iter().map(|step| step[i].detach()).collect::<Vec<_>>(), 0)).collect()
}

/// 0 for numbers that are not finite.
fn finite(x: &Tensor) -> Tensor {
    if x.dtype().is_float() { x.is_finite().select(x, x.zeros_like()) } else { x.clone() }
}

/// Returns and lengths of episodes that ended in a rollout; episodes run on from one rollout to the next.
#[derive(Debug)]
pub(crate) struct Episodes {
    /// Rewards and steps so far of each environment's present episode, `[2, n]`.
    running: Var,
    seeds: usize,
}

/// Rows of what [`Episodes::count`] gives.
pub(crate) const EPISODE_ROWS: usize = 4;

impl Episodes {
    pub(crate) fn new(n: usize, seeds: usize, device: &anygrad_core::Device) -> Result<Episodes> {
        Ok(Episodes { running: Var::try_new("episodes.running", &Tensor::zeros(&[2, n], device))?, seeds })
    }

    pub(crate) fn variable(&self) -> &Var {
        &self.running
    }

    /// `[4, seeds]`: number of episodes that ended, sum of their returns, sum of their lengths, and the place (in
    /// `[steps, n of this seed]`, from 1) of the first reward or observation that is not finite, or 0.
    pub(crate) fn count(&self, rollout: &Rollout) -> Tensor {
        let (steps, n) = (rollout.reward.size(0), rollout.reward.size(1));
        let done = rollout.terminated.logical_or(&rollout.truncated);
        let both = Tensor::stack(&[finite(&rollout.reward), rollout.reward.ones_like()], 1);
        // What ran before is added to the first step.
        let first = self.running.get().unsqueeze(0).pad(&[(0, steps - 1), (0, 0), (0, 0)], 0.0);
        let goes_on = done.logical_not().cast(DType::F32);
        let before = goes_on.slice(0, ..steps - 1).pad(&[(1, 0), (0, 0)], 1.0);
        let decay = before.unsqueeze(1).expand([steps, 2, n]);
        let sums = running_sum(&(both + first), &decay, 0);
        let end = sums.index_axis(0, -1) * goes_on.index_axis(0, -1).unsqueeze(0);
        self.running.assign(&end);
        let ended = done.cast(DType::F32);
        let finished = sums * ended.unsqueeze(1);
        let by_seed = |x: Tensor| x.reshape([steps, self.seeds, n / self.seeds]).sum([0, 2]);
        let list = [by_seed(ended), by_seed(finished.index_axis(1, 0)), by_seed(finished.index_axis(1, 1))];
        let numbers = rollout.next.shape()[2..].iter().product::<usize>();
        let bad = rollout.next.reshape([steps, n, numbers]).cast(DType::F32).is_finite().logical_not().any(-1);
        let bad = bad.logical_or(&rollout.reward.is_finite().logical_not());
        let bad = Rollout::by_seed(&bad, self.seeds).cast(DType::F32);
        let place = (bad.argmax(-1).cast(DType::F32) + 1.0) * bad.max(-1);
        Tensor::stack(&[&list[0], &list[1], &list[2], &place], 0)
    }
}

/// An error if the last row of [`Episodes::count`] names a step.
pub(crate) fn check_finite(name: &str, count: usize, places: &[f64], first_step: u64) -> Result<()> {
    let seeds = places.len();
    let n = count / seeds;
    match places.iter().enumerate().find(|(_, place)| **place > 0.0) {
        None => Ok(()),
        Some((seed, &place)) => {
            let place = place as usize - 1;
            let (step, number) = (first_step + (place / n) as u64, seed * n + place % n);
            let what = format!("{name}, environment {number}, step {step}");
            let help = "look at its step function (divisions, roots, unbounded growth) and at the bounds of actions";
            Err(Error::data(what, format!("the reward or the observation is not finite; {help}")))
        }
    }
}
