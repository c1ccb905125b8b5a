//! [`evaluate`]: returns of whole episodes with the likeliest actions.

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::environment::{Environment, VectorEnvironment};
use super::policy::Policy;

/// Steps between two looks whether all episodes ended.
const CHUNK: usize = 50;

/// The return of `episodes` episodes of each seed, `[seed][episode]`, all run side by side with the likeliest actions.
/// Episodes longer than `limit` steps count with what they had reached by then.
///
/// # Errors
/// If the environment and the policy do not fit or the device fails.
pub fn evaluate(
    policy: &Policy,
    environment: impl Environment + 'static,
    seeds: usize,
    episodes: usize,
    limit: usize,
    device: &Device,
) -> Result<Vec<Vec<f64>>> {
    let n = seeds * episodes;
    let worlds = VectorEnvironment::new(Arc::new(environment), n, device)?;
    let total = Var::try_new("evaluate.total", &Tensor::zeros(&[n], device))?;
    let alive = Var::try_new("evaluate.alive", &Tensor::full(&[n], 1.0, DType::F32, device))?;
    let mut steps = Program::inference(device, |()| {
        for _ in 0..CHUNK {
            let action = policy.distribution(&worlds.observe()).mode();
            let step = worlds.step(&policy.for_environment(&action));
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
