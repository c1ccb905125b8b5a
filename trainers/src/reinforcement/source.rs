//! [`Source`]: where rollouts come from: worlds on the device, or a user's own on the host.

use std::sync::Arc;

use anygrad_core::{DType, Device, Program, Result, Tensor, Tensors, Var};

use super::environment::VectorEnvironment;
use super::host::HostEnvironments;
use super::on_policy::OnLearner;
use super::rollout::{Choice, Rollout, stacked};

/// Worlds, and the program that acts in them.
#[derive(Debug)]
pub(crate) enum Source {
    /// Some steps per run.
    Device { worlds: VectorEnvironment, steps: usize, program: Program<'static, (), Rollout> },
    /// One action per run.
    Host {
        worlds: Box<HostEnvironments>,
        seen: Option<Vec<f32>>,
        device: Device,
        /// Which worlds begin an episode.
        begins: Vec<bool>,
        /// From what is seen and which worlds begin to what is kept of actions, what the worlds get, and what else is kept.
        program: Program<'static, [Tensor; 2], Vec<Tensor>>,
    },
}

impl Source {
    pub(crate) fn on_device(
        worlds: VectorEnvironment,
        learner: Arc<impl OnLearner>,
        steps: usize,
        device: &Device,
    ) -> Source {
        let inside = worlds.clone();
        let program = Program::inference(device, move |()| {
            Rollout::collect(&inside, steps, |seen| learner.explore(seen, &inside.begins(), inside.allowed().as_ref()))
        });
        Source::Device { worlds, steps, program }
    }

    pub(crate) fn on_host(worlds: HostEnvironments, learner: Arc<impl OnLearner>, device: &Device) -> Source {
        let program = Program::inference(device, move |[observation, begins]: [Tensor; 2]| {
            let Choice { kept, acted, noted } = learner.explore(&observation, &begins, None);
            [kept, acted.cast(DType::F32)].into_iter().chain(noted).collect()
        });
        Source::Host { worlds: Box::new(worlds), seen: None, begins: Vec::new(), device: device.clone(), program }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Source::Device { worlds, .. } => worlds.environment().name().to_string(),
            Source::Host { worlds, .. } => worlds.name().to_string(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Source::Device { worlds, .. } => worlds.count(),
            Source::Host { worlds, .. } => worlds.count(),
        }
    }

    /// What must be saved to resume; a host's worlds begin anew.
    pub(crate) fn variables(&self) -> Vec<Var> {
        match self {
            Source::Device { worlds, .. } => worlds.variables(),
            Source::Host { .. } => Vec::new(),
        }
    }

    /// The kernels of the program that acts, if it runs on the device.
    pub(crate) fn explain(&mut self) -> Result<String> {
        match self {
            Source::Device { program, .. } => program.explain(&()),
            Source::Host { .. } => Ok("on the host".into()),
        }
    }

    /// The times of the kernels of the program that acts, if it runs on the device.
    pub(crate) fn profile(&mut self) -> Result<String> {
        match self {
            Source::Device { program, .. } => Ok(program.profile(&())?.to_string()),
            Source::Host { .. } => Ok("on the host".into()),
        }
    }

    /// `steps` steps of all worlds, in parts.
    pub(crate) fn rollout(&mut self, steps: usize) -> Result<Vec<Rollout>> {
        match self {
            Source::Device { program, steps: chunk, .. } => (0..steps / *chunk).map(|_| program.run(())).collect(),
            Source::Host { worlds, seen, begins, device, program } => {
                let now = match seen.take() {
                    Some(now) => now,
                    None => {
                        *begins = vec![true; worlds.count()];
                        worlds.reset()?
                    }
                };
                let (rollout, now) = host_rollout(worlds, (now, begins), device, program, steps)?;
                *seen = Some(now);
                Ok(vec![rollout])
            }
        }
    }
}

fn host_rollout(
    worlds: &mut HostEnvironments,
    (mut now, begins): (Vec<f32>, &mut Vec<bool>),
    device: &Device,
    program: &mut Program<'static, [Tensor; 2], Vec<Tensor>>,
    steps: usize,
) -> Result<(Rollout, Vec<f32>)> {
    let shape = worlds.observation_space().shape();
    let at_once = [&[worlds.count()][..], &shape].concat();
    let all = [&[steps, worlds.count()][..], &shape].concat();
    let mut kept = Vec::with_capacity(steps);
    let (mut observations, mut rewards, mut nexts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut terminated, mut truncated) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        let flags = Tensor::try_from_slice(begins, &[worlds.count()], device)?;
        let mut chosen = program.run([Tensor::try_from_slice(&now, &at_once, device)?, flags])?;
        let acted = chosen.remove(1);
        begins.clear();
        observations.append(&mut now);
        for outcome in worlds.step(&acted.to_vec::<f32>()?)? {
            begins.push(outcome.step.terminated || outcome.step.truncated);
            nexts.extend(outcome.step.observation);
            rewards.push(outcome.step.reward);
            terminated.push(outcome.step.terminated);
            truncated.push(outcome.step.truncated);
            now.extend(outcome.now);
        }
        kept.push(chosen);
    }
    let flags = |list: &[bool]| Tensor::try_from_slice(list, &[steps, worlds.count()], device);
    let mut kept = stacked(&kept);
    let rollout = Rollout {
        observation: Tensor::try_from_slice(&observations, &all, device)?,
        action: kept.remove(0),
        reward: Tensor::try_from_slice(&rewards, &[steps, worlds.count()], device)?,
        terminated: flags(&terminated)?,
        truncated: flags(&truncated)?,
        next: Tensor::try_from_slice(&nexts, &all, device)?,
        allowed: None,
        next_allowed: None,
        noted: kept,
        // A world of one's own may be cut off at any step.
        apart: Some(1),
    };
    Tensor::realize_all(&rollout.list())?;
    Ok((rollout, now))
}
