//! [`evaluate`]: returns of whole episodes with the likeliest actions.

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::environment::{Environment, VectorEnvironment};

/// Steps between two looks whether all episodes ended.
const CHUNK: usize = 50;

/// Something that acts without chance.
pub trait Actor {
    /// What to do, seeing `[seeds * batch, observation..]`, as the environment takes it: `[seeds * batch, ..]`.
    fn act(&self, observation: &Tensor) -> Tensor;

    /// How many agents it is.
    fn seeds(&self) -> usize;
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
    let mut steps = Program::inference(device, |()| {
        for _ in 0..CHUNK {
            let step = worlds.step(&actor.act(&worlds.observe()));
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
