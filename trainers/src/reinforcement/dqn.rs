//! [`Dqn`]: deep Q-learning, with double, dueling, n-step, distributional and prioritised learning as options.
//!
//! Sources: Mnih and others, "Human-level control through deep reinforcement learning" (2015); van Hasselt and others,
//! "Deep reinforcement learning with double Q-learning" (2015); Wang and others, "Dueling network architectures" (2016); Dabney
//! and others, "Distributional reinforcement learning with quantile regression" (2017); for
//! categories, see [`Support`]; defaults are those of CleanRL's `dqn.py`.

mod support;

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::critics::{named, optimizer};
use super::environment::Environment;
use super::evaluate::Actor;
use super::network::{Layers, Network, Start};
use super::off_policy::{Learner, OffPolicy, OffPolicyConfig, Update, follow, with_target};
use super::policy::by_seed;
use super::replay::Sample;
use super::space::{Space, allowed_values};
pub use support::Support;

use crate::optim::{Adam, Optimizer};

/// What is learned of returns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Returns {
    /// Their mean.
    #[default]
    Mean,
    /// So many quantiles of their distribution (200 in the paper).
    Quantiles(usize),
    /// Probabilities of fixed numbers ("C51").
    Categories(Support),
}

impl Returns {
    /// Numbers per action.
    fn parts(&self) -> usize {
        match self {
            Returns::Mean => 1,
            Returns::Quantiles(quantiles) => *quantiles,
            Returns::Categories(support) => support.atoms,
        }
    }

    /// From a network's numbers `[.., parts]` to mean returns `[..]`.
    fn mean(&self, numbers: &Tensor) -> Tensor {
        match self {
            Returns::Mean | Returns::Quantiles(_) => numbers.mean(-1),
            Returns::Categories(support) => support.mean(&numbers.softmax(-1)),
        }
    }
}

/// What a [`Dqn`] does; defaults are CleanRL's.
#[derive(Clone, Debug, PartialEq)]
pub struct DqnConfig {
    /// Loop and replay; 500,000 steps, an update of 128 steps every 10, the last 10,000 remembered, 10,000 to warm up.
    pub common: OffPolicyConfig,
    /// Learning rate; 2.5e-4.
    pub learning_rate: f64,
    /// Probability of a random action at the beginning and at the end; 1, 0.05.
    pub exploration: (f64, f64),
    /// Share of the run over which that falls linearly; 0.5.
    pub exploration_share: f64,
    /// Updates after which the target network becomes the trained one; 50.
    pub target_every: usize,
    /// Whether the trained network chooses the action that the target network values; false.
    pub double: bool,
    /// Whether values and advantages have outputs of their own; false.
    pub dueling: bool,
    /// What is learned of returns: their mean.
    pub returns: Returns,
    /// Layers; 120 and 84 with `max(x, 0)`.
    pub layers: Layers,
}

impl Default for DqnConfig {
    fn default() -> DqnConfig {
        DqnConfig {
            common: OffPolicyConfig {
                steps: 500_000,
                frequency: 10,
                capacity: 10_000,
                warm_up: 10_000,
                batch: 128,
                ..OffPolicyConfig::default()
            },
            learning_rate: 2.5e-4,
            exploration: (1.0, 0.05),
            exploration_share: 0.5,
            target_every: 50,
            double: false,
            dueling: false,
            returns: Returns::Mean,
            layers: Layers::relu(&[120, 84]),
        }
    }
}

/// Deep Q-learning of any [`Environment`] with one discrete action.
pub type Dqn = OffPolicy<QLearner>;

/// The networks and the update of [`Dqn`].
#[derive(Debug)]
pub struct QLearner {
    config: DqnConfig,
    trained: Network,
    target: Network,
    adam: Adam,
    space: Space,
    /// Updates so far, `[1]` f32.
    updates: Var,
}

impl OffPolicy<QLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(environment: impl Environment + 'static, config: DqnConfig, device: &Device) -> Result<Dqn> {
        let (start, end) = config.exploration;
        if !(0.0..=1.0).contains(&start) || !(0.0..=1.0).contains(&end) || config.target_every == 0 {
            let message = format!("exploration {:?} must be in 0..=1, `target_every` at least 1", config.exploration);
            return Err(Error::data("dqn", message));
        }
        match &config.returns {
            Returns::Quantiles(0) => {
                return Err(Error::data("dqn", "0 quantiles have no mean; at least one is needed"));
            }
            Returns::Categories(support) => support.validate()?,
            Returns::Mean | Returns::Quantiles(_) => {}
        }
        let shared = config.common.clone();
        OffPolicy::with("dqn", environment, shared, |world| QLearner::new(world, config, device), device)
    }
}

impl QLearner {
    /// The parameters of the trained network, `[seeds, ..]` each.
    #[must_use]
    pub fn parameters(&self) -> Vec<Var> {
        self.trained.parameters()
    }

    fn new(world: &dyn Environment, config: DqnConfig, device: &Device) -> Result<QLearner> {
        let space = world.action_space();
        let Space::Discrete(actions) = space else {
            let message = format!("actions of {} are {space:?}; deep Q-learning needs one choice", world.name());
            return Err(Error::data("dqn", message));
        };
        let outputs = (actions + usize::from(config.dueling)) * config.returns.parts();
        let (seeds, seen) = (config.common.seeds, world.observation_space());
        let net = || Network::new(seeds, &seen, &config.layers, outputs, Start::Uniform, device);
        let (trained, target) = with_target(net)?;
        let adam = Adam::new(trained.parameters(), config.learning_rate);
        let updates = Var::try_new("dqn.updates", &Tensor::zeros(&[1], device))?;
        Ok(QLearner { config, trained, target, adam, space, updates })
    }

    /// Of observations `[seeds, batch, ..]`: `[seeds, batch, actions, parts]`, parts as in [`Returns`].
    fn returns(&self, net: &Network, observation: &Tensor) -> Tensor {
        let out = net.forward(&observation.flatten(2));
        let parts = self.config.returns.parts();
        let out = out.reshape([out.size(0), out.size(1), out.size(2) / parts, parts]);
        if !self.config.dueling {
            return out;
        }
        // Equation 9 of the dueling paper.
        let advantage = out.slice(2, 1..);
        out.slice(2, ..1) + &advantage - advantage.mean_keep(2)
    }

    /// The mean returns of [`QLearner::returns`]: `[seeds, batch, actions]`.
    fn values(&self, net: &Network, observation: &Tensor) -> Tensor {
        self.config.returns.mean(&self.returns(net, observation))
    }

    /// Losses `[seeds, batch]` of quantiles towards goals, `[seeds, batch, quantiles]` both: equation 10 of the quantile paper, with
    /// Huber's threshold 1.
    fn quantile_loss(chosen: &Tensor, goal: &Tensor) -> Tensor {
        let quantiles = chosen.size(-1);
        // Midpoints of equal shares, one per row; goals are columns.
        let share = (Tensor::arange(0.0, quantiles as f64, 1.0, chosen.device()) + 0.5) / quantiles as f64;
        let error = goal.unsqueeze(2) - chosen.unsqueeze(3);
        let size = error.abs();
        let huber = size.le(1.0).select(error.square() * 0.5, &size - 0.5);
        let below = error.lt(0.0).cast(DType::F32).detach();
        ((share.unsqueeze(-1) - below).abs() * huber).mean(-1).sum(-1)
    }
}

/// The elements of `x` `[seeds, batch, actions, parts]` of one action each, `[seeds, batch]`.
fn of(action: &Tensor, x: &Tensor) -> Tensor {
    (x * action.one_hot(x.size(2)).cast(DType::F32).unsqueeze(-1)).sum(2)
}

impl Actor for QLearner {
    fn act(&self, observation: &Tensor, allowed: Option<&Tensor>, _: &[Var]) -> Tensor {
        let values = self.values(&self.trained, &by_seed(observation, self.config.common.seeds));
        allowed_values(values, allowed).argmax(-1).reshape([observation.size(0)])
    }

    fn seeds(&self) -> usize {
        self.config.common.seeds
    }
}

impl Learner for QLearner {
    fn told(&self) -> &'static [&'static str] {
        &["loss", "value"]
    }

    fn explore(&self, observation: &Tensor, progress: &Tensor, allowed: Option<&Tensor>) -> Tensor {
        let (start, end) = self.config.exploration;
        let chance = (progress * ((end - start) / self.config.exploration_share) + start).maximum(end);
        let n = observation.size(0);
        let random = self.space.random(allowed, n, observation.device());
        Tensor::rand(&[n], observation.device()).lt(&chance).select(&random, self.act(observation, allowed, &[]))
    }

    fn heeds_masks(&self) -> bool {
        true
    }

    fn update(&self, sample: &Sample, _: usize) -> Update {
        let next = self.returns(&self.target, &sample.next);
        let kind = self.config.returns;
        let judge = if self.config.double { self.values(&self.trained, &sample.next) } else { kind.mean(&next) };
        let next = of(&allowed_values(judge, sample.next_allowed.as_ref()).argmax(-1), &next);
        let chosen = of(&sample.action, &self.returns(&self.trained, &sample.observation));
        let value = kind.mean(&chosen);
        let (losses, error) = match &kind {
            Returns::Categories(support) => {
                let goal = support.project(&next.softmax(-1), &sample.reward, &sample.discount).detach();
                // What the divergence from the goal is, but for the goal's own entropy.
                ((&goal * chosen.log_softmax(-1)).sum(-1) * -1.0, &value - support.mean(&goal))
            }
            Returns::Mean | Returns::Quantiles(_) => {
                let goal = (sample.reward.unsqueeze(-1) + sample.discount.unsqueeze(-1) * next).detach();
                let error = &value - goal.mean(-1);
                let quantiles = matches!(kind, Returns::Quantiles(_));
                (if quantiles { QLearner::quantile_loss(&chosen, &goal) } else { error.square() }, error)
            }
        };
        let loss = sample.weigh(&losses).mean(-1);
        self.adam.update(&loss.sum(..).gradients(&self.trained.parameters()));
        let count = self.updates.get() + 1.0;
        let now = (&count % self.config.target_every as f64).eq(0.0).cast(DType::F32);
        self.updates.assign(&count);
        follow(&self.target.parameters(), &self.trained.parameters(), &now);
        Update { told: Tensor::stack(&[loss, value.mean(-1)], 0).detach(), error: error.detach() }
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = [named("trained", &self.trained), named("target", &self.target)].concat();
        all.extend(optimizer("dqn", &self.adam));
        all.push(("dqn.updates".into(), self.updates.clone()));
        all
    }
}
