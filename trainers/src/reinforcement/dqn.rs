//! [`Dqn`]: deep Q-learning, with double, dueling and n-step targets as options.
//!
//! Sources: Mnih and others, "Human-level control through deep reinforcement learning" (2015); van Hasselt and others,
//! "Deep reinforcement learning with double Q-learning" (2015); Wang and others, "Dueling network architectures" (2016);
//! defaults are those of CleanRL's `dqn.py`.

use anygrad_core::nn::Module;
use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::critics::{named, optimizer};
use super::environment::Environment;
use super::evaluate::Actor;
use super::network::{Activation, Mlp, Start};
use super::off_policy::{Learner, OffPolicy, OffPolicyConfig, follow, random_actions};
use super::policy::{by_seed, inputs};
use super::replay::Sample;
use super::space::Space;
use crate::optim::{Adam, Optimizer};

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
    /// Sizes of hidden layers; 120, 84.
    pub hidden: Vec<usize>,
}

impl Default for DqnConfig {
    fn default() -> DqnConfig {
        DqnConfig {
            common: OffPolicyConfig {
                seeds: 1,
                environments: 1,
                steps: 500_000,
                frequency: 10,
                updates: 1,
                capacity: 10_000,
                warm_up: 10_000,
                batch: 128,
                n_step: 1,
                gamma: 0.99,
            },
            learning_rate: 2.5e-4,
            exploration: (1.0, 0.05),
            exploration_share: 0.5,
            target_every: 50,
            double: false,
            dueling: false,
            hidden: vec![120, 84],
        }
    }
}

/// Deep Q-learning of any [`Environment`] with one discrete action.
pub type Dqn = OffPolicy<QLearner>;

/// The networks and the update of [`Dqn`].
#[derive(Debug)]
pub struct QLearner {
    config: DqnConfig,
    trained: Mlp,
    target: Mlp,
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
        let outputs = actions + usize::from(config.dueling);
        let sizes = [&[inputs(&world.observation_space())?][..], &config.hidden, &[outputs]].concat();
        let net = || Mlp::new(config.common.seeds, &sizes, Activation::Relu, Start::Uniform, device);
        let (trained, target) = (net()?, net()?);
        for (to, from) in target.parameters().iter().zip(trained.parameters()) {
            to.assign(&from.get());
        }
        let adam = Adam::new(trained.parameters(), config.learning_rate);
        let updates = Var::try_new("dqn.updates", &Tensor::zeros(&[1], device))?;
        Ok(QLearner { config, trained, target, adam, space, updates })
    }

    /// `[seeds, batch, actions]`.
    fn values(&self, net: &Mlp, observation: &Tensor) -> Tensor {
        let out = net.forward(observation);
        if !self.config.dueling {
            return out;
        }
        // Equation 9 of the dueling paper.
        let advantage = out.slice(-1, 1..);
        out.slice(-1, ..1) + &advantage - advantage.mean_keep(-1)
    }
}

impl Actor for QLearner {
    fn act(&self, observation: &Tensor) -> Tensor {
        let best = self.values(&self.trained, &by_seed(observation, self.config.common.seeds)).argmax(-1);
        best.reshape([observation.size(0)])
    }

    fn seeds(&self) -> usize {
        self.config.common.seeds
    }
}

impl Learner for QLearner {
    fn told(&self) -> &'static [&'static str] {
        &["loss", "value"]
    }

    fn explore(&self, observation: &Tensor, progress: &Tensor) -> Tensor {
        let (start, end) = self.config.exploration;
        let chance = (progress * ((end - start) / self.config.exploration_share) + start).maximum(end);
        let n = observation.size(0);
        let random = random_actions(&self.space, n, observation.device());
        Tensor::rand(&[n], observation.device()).lt(&chance).select(&random, self.act(observation))
    }

    fn update(&self, sample: &Sample, _: usize) -> Tensor {
        let flat = |x: &Tensor| x.flatten(2);
        let next = self.values(&self.target, &flat(&sample.next));
        let best = if self.config.double {
            let choice = self.values(&self.trained, &flat(&sample.next)).argmax(-1);
            (&next * choice.one_hot(next.size(-1)).cast(DType::F32)).sum(-1)
        } else {
            next.max(-1)
        };
        let goal = (&sample.reward + &sample.discount * best).detach();
        let values = self.values(&self.trained, &flat(&sample.observation));
        let chosen = (&values * sample.action.one_hot(values.size(-1)).cast(DType::F32)).sum(-1);
        let error = (&chosen - goal).square().mean(-1);
        self.adam.update(&error.sum(..).gradients(&self.trained.parameters()));
        let count = self.updates.get() + 1.0;
        let now = (&count % self.config.target_every as f64).eq(0.0).cast(DType::F32);
        self.updates.assign(&count);
        follow(&self.target.parameters(), &self.trained.parameters(), &now);
        Tensor::stack(&[error, chosen.mean(-1)], 0).detach()
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = [named("trained", &self.trained), named("target", &self.target)].concat();
        all.extend(optimizer("dqn", &self.adam));
        all.push(("dqn.updates".into(), self.updates.clone()));
        all
    }
}
