//! [`Policy`]: from observations to a distribution over actions, and [`ActorCritic`]: a policy with a value function.

use anygrad_core::nn::Module;
use anygrad_core::nn::module::Visitor;
use anygrad_core::{Device, Error, Result, Tensor, Var};

use super::distribution::{Categorical, DiagonalGaussian, Distribution, MultiCategorical};
use super::evaluate::Actor;
use super::network::{Layers, Network, Start};
use super::normalizer::Normalizer;
use super::rollout::Choice;
use super::space::Space;

/// What turns a network's outputs into a distribution over actions, and these into what an environment takes; one per seed.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Logarithms of deviations, `[seeds, 1, k]`, for real actions; they begin at 0 and do not depend on the observation.
    log_std: Option<Var>,
    space: Space,
}

impl Head {
    pub(super) fn new(seeds: usize, actions: &Space, device: &Device) -> Result<Head> {
        let log_std = match actions {
            Space::Discrete(_) | Space::MultiDiscrete(_) => None,
            Space::Box { .. } => Some(Var::try_new("log_std", &Tensor::zeros(&[seeds, 1, actions.len()], device))?),
        };
        Ok(Head { log_std, space: actions.clone() })
    }

    /// How many numbers the network must give.
    pub(super) fn outputs(&self) -> usize {
        match &self.space {
            Space::Discrete(n) => *n,
            Space::MultiDiscrete(choices) => choices.iter().sum(),
            Space::Box { .. } => self.space.len(),
        }
    }

    /// Of outputs `[seeds, batch, ..]`; `allowed`: as many bools as there are scores, if not every choice is.
    #[track_caller]
    pub(super) fn distribution(&self, outputs: &Tensor, allowed: Option<&Tensor>) -> Distribution {
        match (&self.log_std, &self.space) {
            (None, Space::MultiDiscrete(choices)) => {
                Distribution::MultiCategorical(MultiCategorical::new(outputs, choices))
            }
            (None, _) => Distribution::Categorical(match allowed {
                None => Categorical::new(outputs),
                Some(allowed) => Categorical::masked(outputs, &allowed.reshape(outputs.shape())),
            }),
            (Some(log_std), _) => Distribution::Gaussian(DiagonalGaussian::new(outputs, &log_std.get())),
        }
    }

    /// Actions `[seeds, batch, ..]` as an environment takes them: `[seeds * batch, ..]`, real ones within their bounds.
    #[track_caller]
    pub(super) fn for_environment(&self, action: &Tensor) -> Tensor {
        self.space.clamped(&self.space.for_environment(action))
    }

    /// A random action; its log-probability is noted.
    #[track_caller]
    pub(super) fn choose(&self, distribution: &Distribution) -> Choice {
        let action = distribution.sample();
        let kept = self.space.for_environment(&action);
        let noted = vec![distribution.log_probability(&action).flatten(0)];
        Choice { acted: self.space.clamped(&kept), kept, noted }
    }
}

impl Module for Head {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(log_std) = &self.log_std {
            visitor.field("log_std", log_std);
        }
    }
}

/// A network whose outputs are the parameters of a distribution over actions; one per seed.
#[derive(Clone, Debug)]
pub struct Policy {
    network: Network,
    head: Head,
    seeds: usize,
    /// Of observations.
    normalizer: Option<Normalizer>,
}

impl Policy {
    /// These layers, orthogonal weights (gain `sqrt 2`, last layer 0.01), deviations that begin at 1 and do not depend
    /// on the observation.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn new(
        seeds: usize,
        observations: &Space,
        actions: &Space,
        layers: &Layers,
        device: &Device,
    ) -> Result<Policy> {
        let head = Head::new(seeds, actions, device)?;
        let start = Start::Orthogonal { hidden: std::f64::consts::SQRT_2, last: 0.01 };
        let network = Network::new(seeds, observations, layers, head.outputs(), start, device)?;
        Ok(Policy { network, head, seeds, normalizer: None })
    }

    /// What to do, seeing `[seeds * batch, observation..]`; parameters are `[seeds, batch, ..]`. `allowed`
    /// `[seeds * batch, choices]` (bool): what may be chosen, if not everything.
    #[must_use]
    #[track_caller]
    pub fn distribution(&self, observation: &Tensor, allowed: Option<&Tensor>) -> Distribution {
        self.distribution_of(&self.inputs(observation), allowed)
    }

    /// What networks see of `[seeds * batch, observation..]`: `[seeds, batch, numbers]`, normalised if that was asked for.
    #[track_caller]
    pub(super) fn inputs(&self, observation: &Tensor) -> Tensor {
        let flat = by_seed(observation, self.seeds);
        self.normalizer.as_ref().map_or_else(|| flat.clone(), |normalizer| normalizer.apply(&flat))
    }

    /// As [`Policy::distribution`], of what [`Policy::inputs`] gave.
    #[track_caller]
    pub(super) fn distribution_of(&self, inputs: &Tensor, allowed: Option<&Tensor>) -> Distribution {
        self.head.distribution(&self.network.forward(inputs), allowed)
    }

    /// Actions `[seeds, batch, ..]` as an environment takes them: `[seeds * batch, ..]`, real ones within their bounds.
    #[track_caller]
    pub fn for_environment(&self, action: &Tensor) -> Tensor {
        self.head.for_environment(action)
    }

    /// A random action of this policy's `distribution`; its log-probability is noted.
    #[track_caller]
    pub(super) fn choose(&self, distribution: &Distribution) -> Choice {
        self.head.choose(distribution)
    }
}

impl Module for Policy {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("network", &self.network);
        self.head.visit(visitor);
        if let Some(normalizer) = &self.normalizer {
            visitor.field("normalizer", normalizer);
        }
    }
}

impl Actor for Policy {
    fn act(&self, observation: &Tensor, allowed: Option<&Tensor>, _: &[Var]) -> Tensor {
        self.for_environment(&self.distribution(observation, allowed).mode())
    }

    fn seeds(&self) -> usize {
        self.seeds
    }
}

/// Numbers of an observation, for networks that see a flat vector.
pub(crate) fn inputs(observations: &Space) -> Result<usize> {
    match observations {
        Space::Box { .. } => Ok(observations.len()),
        other => {
            let message = format!("{other:?}; dense networks see real numbers, encode choices as one-hot vectors");
            Err(Error::data("policy: observation space", message))
        }
    }
}

/// `[seeds * batch, observation..] -> [seeds, batch, numbers]`.
#[track_caller]
pub(crate) fn by_seed(x: &Tensor, seeds: usize) -> Tensor {
    let numbers: usize = x.shape()[1..].iter().product();
    x.reshape([seeds, x.size(0) / seeds, numbers])
}

/// A policy and a value function that share nothing.
#[derive(Clone, Debug)]
pub struct ActorCritic {
    /// Acts.
    pub actor: Policy,
    /// Values states: `[seeds, batch, 1]`.
    pub critic: Network,
}

impl ActorCritic {
    /// Two networks of the same layers; see [`Policy::new`]; the critic's last gain is 1.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub fn new(
        seeds: usize,
        observations: &Space,
        actions: &Space,
        layers: &Layers,
        device: &Device,
    ) -> Result<ActorCritic> {
        let actor = Policy::new(seeds, observations, actions, layers, device)?;
        let start = Start::Orthogonal { hidden: std::f64::consts::SQRT_2, last: 1.0 };
        Ok(ActorCritic { actor, critic: Network::new(seeds, observations, layers, 1, start, device)? })
    }

    /// Both networks see what the normaliser makes of observations; who trains them updates it.
    #[must_use]
    pub fn normalizing(mut self, normalizer: Normalizer) -> ActorCritic {
        self.actor.normalizer = Some(normalizer);
        self
    }

    /// Values of `[seeds * batch, observation..]`: `[seeds, batch]`.
    #[track_caller]
    pub fn value(&self, observation: &Tensor) -> Tensor {
        self.value_of(&self.actor.inputs(observation))
    }

    /// As [`ActorCritic::value`], of what [`Policy::inputs`] gave.
    #[track_caller]
    pub(super) fn value_of(&self, inputs: &Tensor) -> Tensor {
        self.critic.forward(inputs).squeeze(-1)
    }

    /// Adds observations `[seeds * batch, observation..]` to the normaliser, if there is one.
    #[track_caller]
    pub(super) fn take_note(&self, observation: &Tensor) {
        if let Some(normalizer) = &self.actor.normalizer {
            normalizer.update(&by_seed(observation, self.actor.seeds));
        }
    }
}

impl Module for ActorCritic {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("actor", &self.actor);
        visitor.field("critic", &self.critic);
    }
}
