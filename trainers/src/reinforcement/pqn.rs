//! [`Pqn`]: Q-learning of many environments at once, without a replay and without a target network.
//!
//! Source: Gallici and others, "Simplifying deep temporal difference learning" (2024); defaults are those of CleanRL's `pqn.py`,
//! but for Adam instead of RAdam.

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Result, Tensor, Tensors, Var};

use super::clip::ClippedAdam;
use super::environment::Environment;
use super::evaluate::Actor;
use super::host::HostEnvironments;
use super::network::{Layers, Network, Start};
use super::on_policy::{OnLearner, OnPolicy, Portions};
use super::policy::by_seed;
use super::returns::Experience;
use super::rollout::{Choice, Rollout};
use super::space::{Space, allowed_values};

/// What a [`Pqn`] does; defaults are CleanRL's.
#[derive(Clone, Debug, PartialEq)]
pub struct PqnConfig {
    /// 500,000 steps of 4 environments, 128 at a time, 4 passes in 4 minibatches.
    pub portions: Portions,
    /// Learning rate at the beginning; 2.5e-4.
    pub learning_rate: f64,
    /// Whether the learning rate falls linearly to 0; true.
    pub anneal: bool,
    /// Discount of later rewards; 0.99.
    pub gamma: f64,
    /// Weight of longer returns; 0.65.
    pub lambda: f64,
    /// Probability of a random action at the beginning and at the end; 1, 0.05.
    pub exploration: (f64, f64),
    /// Share of the run over which that falls linearly; 0.5.
    pub exploration_share: f64,
    /// Gradients of each agent are scaled down to this norm; 10.
    pub max_norm: f64,
    /// Layers; 120 and 84 with `max(x, 0)`, normalised: the paper's stand-in for the target network.
    pub layers: Layers,
}

impl Default for PqnConfig {
    fn default() -> PqnConfig {
        PqnConfig {
            portions: Portions { seeds: 1, environments: 4, rollout: 128, steps: 500_000, epochs: 4, minibatches: 4 },
            learning_rate: 2.5e-4,
            anneal: true,
            gamma: 0.99,
            lambda: 0.65,
            exploration: (1.0, 0.05),
            exploration_share: 0.5,
            max_norm: 10.0,
            layers: Layers { norm: true, ..Layers::relu(&[120, 84]) },
        }
    }
}

impl PqnConfig {
    fn validate(&self) -> Result<()> {
        let fail = |message: String| Err(Error::data("pqn", message));
        let (start, end) = self.exploration;
        let shares = [("gamma", self.gamma), ("lambda", self.lambda), ("exploration", start), ("exploration", end)];
        if let Some((name, x)) = shares.iter().find(|(_, x)| !(0.0..=1.0).contains(x)) {
            return fail(format!("`{name}` is {x}; it must be in 0..=1"));
        }
        let positive = [("exploration_share", self.exploration_share), ("max_norm", self.max_norm)];
        match positive.iter().find(|(_, x)| x.is_nan() || *x <= 0.0) {
            Some((name, x)) => fail(format!("`{name}` is {x}; it must be above 0")),
            None => Ok(()),
        }
    }
}

/// Parallelised Q-learning of any [`Environment`] with one discrete action.
pub type Pqn = OnPolicy<PqnLearner>;

/// The network and the update of [`Pqn`].
#[derive(Debug)]
pub struct PqnLearner {
    config: PqnConfig,
    actions: Space,
    network: Network,
    optimizer: ClippedAdam,
    /// Probability of a random action, `[1]`.
    chance: Var,
}

/// What passes see; `[seeds, batch, ..]`.
#[derive(Clone, Debug)]
pub struct Batch {
    observation: Tensor,
    action: Tensor,
    goal: Tensor,
}

impl Tensors for Batch {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Batch {
        Batch { observation: f(&self.observation), action: f(&self.action), goal: f(&self.goal) }
    }
}

impl OnPolicy<PqnLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: PqnConfig, device: &Device) -> Result<Pqn> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| PqnLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with("pqn", environment, config.portions, learner, device)
    }

    /// New agents in a user's own worlds on the host; see [`OnPolicy::with_host`].
    ///
    /// # Errors
    /// As [`Pqn::new`], and if the number of worlds is not `seeds * environments`.
    pub fn on_host(worlds: HostEnvironments, config: PqnConfig, device: &Device) -> Result<Pqn> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| PqnLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with_host("pqn", worlds, config.portions, learner, device)
    }
}

impl PqnLearner {
    fn new(observations: &Space, actions: &Space, config: PqnConfig, device: &Device) -> Result<PqnLearner> {
        let Space::Discrete(choices) = *actions else {
            return Err(Error::data("pqn", format!("actions are {actions:?}; Q-learning needs one choice")));
        };
        // Weights as CleanRL's: orthogonal rows of length sqrt(2), the last layer's of length 1.
        let start = Start::Orthogonal { hidden: std::f64::consts::SQRT_2, last: 1.0 };
        let network = Network::new(config.portions.seeds, observations, &config.layers, choices, start, device)?;
        let PqnConfig { learning_rate, anneal, max_norm, .. } = config;
        Ok(PqnLearner {
            optimizer: ClippedAdam::new(network.parameters(), learning_rate, anneal, max_norm)?,
            chance: Var::try_new("pqn.chance", &Tensor::full(&[1], config.exploration.0, DType::F32, device))?,
            actions: actions.clone(),
            config,
            network,
        })
    }
}

impl Actor for PqnLearner {
    fn act(&self, observation: &Tensor, allowed: Option<&Tensor>, _: &[Var]) -> Tensor {
        let values = self.network.forward(&by_seed(observation, self.config.portions.seeds));
        allowed_values(values, allowed).argmax(-1).reshape([observation.size(0)])
    }

    fn seeds(&self) -> usize {
        self.config.portions.seeds
    }
}

impl OnLearner for PqnLearner {
    type Batch = Batch;

    fn told(&self) -> &'static [&'static str] {
        &["value", "loss"]
    }

    fn explore(&self, observation: &Tensor, _: &Tensor, allowed: Option<&Tensor>) -> Choice {
        let (n, device) = (observation.size(0), observation.device());
        let random = self.actions.random(allowed, n, device);
        let best = self.act(observation, allowed, &[]);
        let action = Tensor::rand(&[n], device).lt(self.chance.get()).select(&random, best);
        (action.clone(), action).into()
    }

    fn heeds_masks(&self) -> bool {
        true
    }

    fn begin(&self, progress: f64) -> Result<()> {
        let (start, end) = self.config.exploration;
        let chance = start + (end - start) * (progress / self.config.exploration_share).min(1.0);
        self.chance.write(&[chance as f32])?;
        self.optimizer.begin(progress)
    }

    fn prepare(&self, all: &Rollout) -> (Batch, Tensor) {
        let Portions { seeds, environments, rollout, .. } = self.config.portions;
        let part = |x: &Tensor| Rollout::by_seed(x, seeds);
        let steps = |x: &Tensor| x.reshape([seeds, rollout, environments]);
        let best = |seen: &Tensor, allowed: Option<&Tensor>| {
            allowed_values(self.network.forward(&seen.flatten(2)), allowed).max(-1)
        };
        // The lambda-returns of equation 6 are those of [`Experience`] with the largest values as the policy's.
        let value = steps(&best(&part(&all.observation), all.allowed.as_ref().map(part).as_ref()));
        let next_value = all.next_values(&value, best);
        let experience = Experience {
            reward: &steps(&part(&all.reward)),
            value: &value,
            next_value: &next_value,
            terminated: &steps(&part(&all.terminated)),
            truncated: &steps(&part(&all.truncated)),
        };
        let goal = experience.advantages(self.config.gamma, self.config.lambda, 1) + &value;
        let goal = goal.reshape([seeds, rollout * environments]);
        let observation = part(&all.observation).flatten(2);
        (Batch { observation, action: part(&all.action), goal: goal.clone() }, goal.mean(-1).unsqueeze(0))
    }

    fn learn(&self, part: &Batch, _: &Tensor) -> Tensor {
        let values = self.network.forward(&part.observation);
        let chosen = (&values * part.action.one_hot(values.size(-1)).cast(DType::F32)).sum(-1);
        let loss = (chosen - &part.goal).square().mean(-1);
        self.optimizer.descend(&loss.sum(..));
        loss.detach().unsqueeze(0)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = self.network.named_variables();
        all.extend(self.optimizer.state().into_iter().map(|var| (var.name(), var)));
        all
    }
}
