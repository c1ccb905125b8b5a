//! [`evaluate`]: returns of whole episodes with the likeliest actions; [`Interval`]: what several agents say together.

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::environment::{Environment, VectorEnvironment};

/// Steps between two looks whether all episodes ended.
const CHUNK: usize = 50;

/// Something that acts without chance.
pub trait Actor {
    /// What to do, seeing `[seeds * batch, observation..]`, as the environment takes it: `[seeds * batch, ..]`. `allowed`: what may
    /// be chosen, if not everything (see [`Environment::allowed`]). An actor with memory changes it.
    fn act(&self, observation: &Tensor, allowed: Option<&Tensor>, memory: &[Var]) -> Tensor;

    /// The empty memory of an actor in `n` environments (of all seeds together), if it has any.
    ///
    /// # Errors
    /// If memory cannot be had.
    fn memory(&self, _n: usize, _device: &Device) -> Result<Vec<Var>> {
        Ok(Vec::new())
    }

    /// How many agents it is.
    fn seeds(&self) -> usize;
}

/// The mean of several agents' numbers and the 95 % interval of that mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// NaN if there are no finite numbers.
    pub mean: f64,
    /// `mean - 1.96 deviation / sqrt(n)`, the deviation with `n - 1`; the mean itself for one number.
    pub low: f64,
    /// As far above the mean.
    pub high: f64,
    /// How many finite numbers there were.
    pub count: usize,
}

impl Interval {
    /// Of the finite ones among these numbers.
    #[must_use]
    pub fn of(values: &[f64]) -> Interval {
        let known: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
        let count = known.len();
        let mean = known.iter().sum::<f64>() / count as f64;
        let squares: f64 = known.iter().map(|x| (x - mean).powi(2)).sum();
        let half = if count > 1 { 1.96 * (squares / (count - 1) as f64 / count as f64).sqrt() } else { 0.0 };
        Interval { mean, low: mean - half, high: mean + half, count }
    }

    /// As values of a [`crate::events::Record`]: `return`, and `return.low` and `return.high` if there are several agents.
    pub(super) fn told(&self) -> Vec<(&'static str, f64)> {
        let band = [("return.low", self.low), ("return.high", self.high)];
        let band = band.into_iter().filter(|_| self.count > 1);
        std::iter::once(("return", self.mean)).chain(band).collect()
    }
}

/// The best that each agent has been: off-policy learning drifts, and the last policy is seldom the best one.
#[derive(Debug)]
pub struct Best {
    /// `[seeds, ..]` each, with what they were when they were best.
    kept: Vec<(Var, Tensor)>,
    scores: Vec<f64>,
}

impl Best {
    /// Of these parameters, `[seeds, ..]` each.
    #[must_use]
    pub fn new(parameters: Vec<Var>) -> Best {
        let seeds = parameters.first().map_or(0, |var| var.shape()[0]);
        let kept = parameters.into_iter().map(|var| (var.clone(), var.get())).collect();
        Best { kept, scores: vec![f64::NEG_INFINITY; seeds] }
    }

    /// The best score of each agent so far; minus infinity before the first one.
    #[must_use]
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Keeps the present parameters of all agents whose scores are above what they reached before.
    ///
    /// # Errors
    /// If the number of scores is not the number of agents, or the device fails.
    pub fn offer(&mut self, scores: &[f64]) -> Result<()> {
        if scores.len() != self.scores.len() {
            let message = format!("{} scores for {} agents", scores.len(), self.scores.len());
            return Err(anygrad_core::Error::data("best", message));
        }
        let better: Vec<bool> = scores.iter().zip(&self.scores).map(|(new, old)| new > old).collect();
        for (var, kept) in &mut self.kept {
            let mut sizes = vec![1; kept.rank()];
            sizes[0] = scores.len();
            let mask = Tensor::try_from_slice(&better, &sizes, &var.device())?;
            *kept = mask.select(var.get(), &*kept);
            kept.realize()?;
        }
        for (old, new) in self.scores.iter_mut().zip(scores) {
            *old = old.max(*new);
        }
        Ok(())
    }

    /// Gives all agents back the parameters of their best scores.
    pub fn restore(&self) {
        self.kept.iter().for_each(|(var, kept)| var.assign(kept));
    }
}

/// The return of `episodes` episodes of each seed, `[seed][episode]`, all run side by side with the likeliest actions.
/// Episodes longer than `limit` steps (rounded up to a multiple of 50) count with what they had reached by then.
///
/// # Errors
/// If the environment and the policy do not fit or the device fails.
pub fn evaluate(
    actor: &impl Actor,
    environment: impl Environment + 'static,
    episodes: usize,
    limit: usize,
    device: &Device,
) -> Result<Vec<Vec<f64>>> {
    let n = actor.seeds() * episodes;
    let worlds = VectorEnvironment::new(Arc::new(environment), n, device)?;
    let total = Var::try_new("evaluate.total", &Tensor::zeros(&[n], device))?;
    let alive = Var::try_new("evaluate.alive", &Tensor::full(&[n], 1.0, DType::F32, device))?;
    let memory = actor.memory(n, device)?;
    let mut steps = Program::inference(device, |()| {
        for _ in 0..CHUNK {
            let step = worlds.step(&actor.act(&worlds.observe(), worlds.allowed().as_ref(), &memory));
            total.assign(&(total.get() + &step.reward * alive.get()));
            alive.assign(&(alive.get() * step.done().logical_not().cast(DType::F32)));
        }
        alive.get().max(..)
    });
    let mut run = 0;
    while run < limit {
        run += CHUNK;
        if steps.run(())?.item()? == 0.0 {
            break;
        }
    }
    let returns = total.get().to_f64()?;
    Ok(returns.chunks(episodes).map(<[f64]>::to_vec).collect())
}
