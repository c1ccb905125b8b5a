//! [`RecurrentPpo`]: proximal policy optimisation with an LSTM, for worlds that do not show their whole state.
//!
//! Minibatches are whole sequences of some environments, begun with the state that the rollout began with.
//!
//! Sources: Hochreiter and Schmidhuber, "Long short-term memory" (1997); the form of the agent and of its minibatches follows
//! CleanRL's `ppo_atari_lstm.py`.

use anygrad_core::nn::Module;
use anygrad_core::nn::module::Visitor;
use anygrad_core::{DType, Device, Error, Result, Tensor, Tensors, Var};

use super::{Batch, PpoConfig, explained, loss};
use crate::reinforcement::clip::ClippedAdam;
use crate::reinforcement::critics::named;
use crate::reinforcement::distribution::Distribution;
use crate::reinforcement::environment::Environment;
use crate::reinforcement::evaluate::Actor;
use crate::reinforcement::host::HostEnvironments;
use crate::reinforcement::network::{Activation, Layers, Mlp, Network, Start};
use crate::reinforcement::on_policy::{OnLearner, OnPolicy};
use crate::reinforcement::policy::{Head, by_seed};
use crate::reinforcement::returns::Experience;
use crate::reinforcement::rollout::{Choice, Rollout};
use crate::reinforcement::space::Space;

/// What a [`RecurrentPpo`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// As without memory, but minibatches are cut by environments; normalisers and `max_divergence` are not supported.
    pub ppo: PpoConfig,
    /// Numbers that the LSTM remembers; 64.
    pub memory: usize,
}

impl Default for RecurrentConfig {
    fn default() -> RecurrentConfig {
        let ppo = PpoConfig { environments: 16, rollout: 32, layers: Layers::tanh(&[64]), ..PpoConfig::default() };
        RecurrentConfig { ppo, memory: 64 }
    }
}

/// Proximal policy optimisation with memory.
pub type RecurrentPpo = OnPolicy<RecurrentLearner>;

/// The network and the update of [`RecurrentPpo`]: layers, an LSTM, and two heads that share them.
#[derive(Debug)]
pub struct RecurrentLearner {
    config: RecurrentConfig,
    net: Net,
    optimizer: ClippedAdam,
    /// Hidden numbers and cells now, and when the present rollout began, `[2, seeds, environments, memory]`.
    now: Var,
    start: Var,
    /// 1 where the present rollout began inside of an episode, `[seeds, environments]`.
    goes_on: Var,
}

#[derive(Debug)]
struct Net {
    encoder: Network,
    activation: Activation,
    /// From features and hidden numbers to four gates: input, forget, cell, output.
    inputs: Mlp,
    hidden: Mlp,
    policy: Mlp,
    head: Head,
    critic: Mlp,
}

impl Module for Net {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("encoder", &self.encoder);
        visitor.field("lstm.inputs", &self.inputs);
        visitor.field("lstm.hidden", &self.hidden);
        visitor.field("policy", &self.policy);
        visitor.field("head", &self.head);
        visitor.field("critic", &self.critic);
    }
}

impl Net {
    fn new(observations: &Space, actions: &Space, config: &RecurrentConfig, device: &Device) -> Result<Net> {
        let (seeds, memory) = (config.ppo.seeds, config.memory);
        let Some((&features, hidden)) = config.ppo.layers.hidden.split_last() else {
            return Err(Error::data(
                "recurrent ppo",
                "there is no hidden layer before the memory; give one in `layers`",
            ));
        };
        let layers = Layers { hidden: hidden.to_vec(), ..config.ppo.layers.clone() };
        let gain = std::f64::consts::SQRT_2;
        let start = |last: f64| Start::Orthogonal { hidden: gain, last };
        let head = Head::new(seeds, actions, device)?;
        let dense = |sizes: &[usize], last: f64| Mlp::new(seeds, sizes, layers.activation, start(last), device);
        Ok(Net {
            encoder: Network::new(seeds, observations, &layers, features, start(gain), device)?,
            activation: layers.activation,
            inputs: dense(&[features, 4 * memory], 1.0)?,
            hidden: dense(&[memory, 4 * memory], 1.0)?,
            policy: dense(&[memory, head.outputs()], 0.01)?,
            head,
            critic: dense(&[memory, 1], 1.0)?,
        })
    }

    /// What the LSTM gets of observations `[seeds, batch, numbers]`: `[seeds, batch, 4 memory]`.
    fn gates(&self, observation: &Tensor) -> Tensor {
        self.inputs.forward(&self.activation.apply(&self.encoder.forward(observation)))
    }

    /// The next state `[2, seeds, batch, memory]` from gates' inputs and the state.
    fn remember(&self, gates: &Tensor, state: &Tensor) -> Tensor {
        let (hidden, cell) = (state.index_axis(0, 0), state.index_axis(0, 1));
        let all = gates + self.hidden.forward(&hidden);
        let [input, forget, new, output] = [0, 1, 2, 3].map(|i| all.narrow(-1, i * hidden.size(-1), hidden.size(-1)));
        let cell = forget.sigmoid() * cell + input.sigmoid() * new.tanh();
        Tensor::stack(&[output.sigmoid() * cell.tanh(), cell], 0)
    }

    /// The states after each step, `[2, seeds, steps, n, memory]`, of observations `[seeds, steps, n, numbers]`; `goes_on`
    /// `[seeds, steps, n]`: 0 where an episode begins, whose memory is empty.
    fn unroll(&self, observation: &Tensor, start: &Tensor, goes_on: &Tensor) -> Tensor {
        let [seeds, steps, n] = [0, 1, 2].map(|axis| observation.size(axis));
        let gates = self.gates(&observation.reshape([seeds, steps * n, observation.size(3)]));
        let gates = gates.reshape([seeds, steps, n, gates.size(-1)]);
        let mut state = start.clone();
        let mut all = Vec::with_capacity(steps);
        for step in 0..steps as isize {
            let kept = goes_on.index_axis(1, step).unsqueeze(-1).unsqueeze(0);
            state = self.remember(&gates.index_axis(1, step), &(state * kept));
            all.push(state.clone());
        }
        Tensor::stack(&all, 2)
    }

    /// Distribution and values for hidden numbers `[seeds, batch, memory]`.
    fn heads(&self, hidden: &Tensor, allowed: Option<&Tensor>) -> (Distribution, Tensor) {
        (self.head.distribution(&self.policy.forward(hidden), allowed), self.critic.forward(hidden).squeeze(-1))
    }
}

/// What passes see: the usual, `[seeds, environments, steps, ..]`, and where each sequence began.
#[derive(Clone, Debug)]
pub struct Sequences {
    steps: Batch,
    /// `[seeds, environments, steps]`.
    goes_on: Tensor,
    /// `[seeds, environments, 2, memory]`.
    start: Tensor,
}

impl Tensors for Sequences {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Sequences {
        Sequences { steps: self.steps.map(f), goes_on: f(&self.goes_on), start: f(&self.start) }
    }
}

impl OnPolicy<RecurrentLearner> {
    /// New agents. All random numbers follow from [`Device::seed`].
    ///
    /// # Errors
    /// If the configuration makes no sense, the spaces do not fit, or memory cannot be had.
    pub fn new(
        environment: impl Environment + 'static,
        config: RecurrentConfig,
        device: &Device,
    ) -> Result<RecurrentPpo> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| RecurrentLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with("recurrent ppo", environment, config.ppo.portions(), learner, device)
    }

    /// New agents in a user's own worlds on the host; see [`OnPolicy::with_host`].
    ///
    /// # Errors
    /// As [`RecurrentPpo::new`], and if the number of worlds is not `seeds * environments`.
    pub fn on_host(worlds: HostEnvironments, config: RecurrentConfig, device: &Device) -> Result<RecurrentPpo> {
        config.validate()?;
        let learner = |seen: &Space, acts: &Space| RecurrentLearner::new(seen, acts, config.clone(), device);
        OnPolicy::with_host("recurrent ppo", worlds, config.ppo.portions(), learner, device)
    }
}

impl RecurrentConfig {
    fn validate(&self) -> Result<()> {
        self.ppo.validate()?;
        let fail = |message: String| Err(Error::data("recurrent ppo", message));
        let PpoConfig { environments, minibatches, .. } = self.ppo;
        if !environments.is_multiple_of(minibatches) {
            return fail(format!("{environments} environments cannot be cut into {minibatches} equal minibatches"));
        }
        if self.memory == 0 {
            return fail("`memory` is 0; it must be at least 1".into());
        }
        if self.ppo.normalize_observations || self.ppo.normalize_rewards || self.ppo.max_divergence.is_some() {
            return fail("normalisers and `max_divergence` are not supported with memory; turn them off".into());
        }
        Ok(())
    }
}

impl RecurrentLearner {
    fn new(
        observations: &Space,
        actions: &Space,
        config: RecurrentConfig,
        device: &Device,
    ) -> Result<RecurrentLearner> {
        let net = Net::new(observations, actions, &config, device)?;
        let PpoConfig { seeds, environments: n, learning_rate, anneal, max_norm, .. } = config.ppo;
        let var = |name: &str, shape: &[usize]| Var::try_new(format!("memory.{name}"), &Tensor::zeros(shape, device));
        Ok(RecurrentLearner {
            optimizer: ClippedAdam::new(net.parameters(), learning_rate, anneal, max_norm)?,
            now: var("now", &[2, seeds, n, config.memory])?,
            start: var("start", &[2, seeds, n, config.memory])?,
            goes_on: var("goes_on", &[seeds, n])?,
            config,
            net,
        })
    }
}

impl Actor for RecurrentLearner {
    fn act(&self, observation: &Tensor, allowed: Option<&Tensor>, memory: &[Var]) -> Tensor {
        let gates = self.net.gates(&by_seed(observation, self.config.ppo.seeds));
        let state = self.net.remember(&gates, &memory[0].get());
        memory[0].assign(&state);
        self.net.head.for_environment(&self.net.heads(&state.index_axis(0, 0), allowed).0.mode())
    }

    fn memory(&self, n: usize, device: &Device) -> Result<Vec<Var>> {
        let seeds = self.config.ppo.seeds;
        let empty = Tensor::zeros(&[2, seeds, n / seeds, self.config.memory], device);
        Ok(vec![Var::try_new("memory", &empty)?])
    }

    fn seeds(&self) -> usize {
        self.config.ppo.seeds
    }
}

impl OnLearner for RecurrentLearner {
    type Batch = Sequences;

    fn told(&self) -> &'static [&'static str] {
        &["explained", "loss.policy", "loss.value", "entropy", "divergence", "clipped"]
    }

    fn explore(&self, observation: &Tensor, begins: &Tensor, allowed: Option<&Tensor>) -> Choice {
        let (seeds, n) = (self.config.ppo.seeds, self.config.ppo.environments);
        let goes_on = begins.logical_not().cast(DType::F32).reshape([1, seeds, n, 1]);
        let gates = self.net.gates(&by_seed(observation, seeds));
        let state = self.net.remember(&gates, &(self.now.get() * goes_on));
        self.now.assign(&state);
        let (distribution, value) = self.net.heads(&state.index_axis(0, 0), allowed);
        let mut choice = self.net.head.choose(&distribution);
        choice.noted.push(value.reshape([seeds * n]));
        choice
    }

    fn heeds_masks(&self) -> bool {
        true
    }

    fn begin(&self, progress: f64) -> Result<()> {
        self.optimizer.begin(progress)
    }

    fn prepare(&self, all: &Rollout) -> (Sequences, Tensor) {
        let PpoConfig { seeds, environments: n, rollout, gamma, lambda, .. } = self.config.ppo;
        // [seeds, steps, environments, ..]
        let steps = |x: &Tensor| {
            let x = Rollout::by_seed(x, seeds);
            let rest = &x.shape()[2..];
            x.reshape([&[seeds, rollout, n][..], rest].concat().as_slice())
        };
        let [observation, next] = [&all.observation, &all.next].map(|x| steps(x).flatten(3));
        let done = steps(&all.terminated).logical_or(&steps(&all.truncated));
        let later = done.logical_not().cast(DType::F32);
        let goes_on = Tensor::cat(&[self.goes_on.get().unsqueeze(1), later.slice(1, ..rollout - 1)], 1);
        let start = self.start.get();
        self.goes_on.assign(&later.index_axis(1, -1));
        self.start.assign(&self.now.get());
        let states = self.net.unroll(&observation, &start, &goes_on);
        let flat = |x: &Tensor| x.reshape([seeds, rollout * n, x.size(-1)]);
        let memory = self.config.memory;
        let [log_probability, value] = [0, 1].map(|i| steps(&all.noted[i]));
        // What an episode would have led to is valued with what was remembered then.
        let after = self.net.remember(&self.net.gates(&flat(&next)), &states.reshape([2, seeds, rollout * n, memory]));
        let next_value = self.net.heads(&after.index_axis(0, 0), None).1;
        let cube = |x: &Tensor| x.reshape([seeds, rollout, n]);
        let experience = Experience {
            reward: &steps(&all.reward),
            value: &value,
            next_value: &cube(&next_value),
            terminated: &steps(&all.terminated),
            truncated: &steps(&all.truncated),
        };
        let advantage = experience.advantages(gamma, lambda, 1);
        let explained = explained(&advantage.flatten(1), &(&advantage + &value).flatten(1));
        let sequences = |x: &Tensor| x.movedim(1, 2);
        let steps = Batch {
            observation: sequences(&observation),
            action: sequences(&steps(&all.action)),
            log_probability: sequences(&log_probability),
            advantage: sequences(&advantage),
            value: sequences(&value),
            allowed: all.allowed.as_ref().map(|x| sequences(&steps(x))),
        };
        (Sequences { steps, goes_on: sequences(&goes_on), start: start.movedim(0, 2) }, explained)
    }

    fn learn(&self, part: &Sequences, _: &Tensor) -> Tensor {
        let config = &self.config.ppo;
        let steps = |x: &Tensor| x.movedim(1, 2);
        let states = self.net.unroll(&steps(&part.steps.observation), &part.start.movedim(2, 0), &steps(&part.goes_on));
        let flat = part.steps.map(&mut |x| {
            let x = steps(x);
            let rest = &x.shape()[3..];
            x.reshape([&[x.size(0), x.size(1) * x.size(2)][..], rest].concat().as_slice())
        });
        let hidden = states.index_axis(0, 0);
        let (distribution, value) =
            self.net.heads(&hidden.reshape([config.seeds, flat.value.size(1), hidden.size(-1)]), flat.allowed.as_ref());
        let (loss, told) = loss(&distribution, &value, &flat, config);
        self.optimizer.descend(&loss);
        told
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let mut all = named("agent", &self.net);
        let others =
            self.optimizer.state().into_iter().chain([self.now.clone(), self.start.clone(), self.goes_on.clone()]);
        all.extend(others.map(|var| (var.name(), var)));
        all
    }
}
