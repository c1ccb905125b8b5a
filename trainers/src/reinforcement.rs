//! Reinforcement learning that never leaves the device: environments, rollouts, returns and updates are compiled programs.
//!
//! An [`Environment`] is a pair of functions on tensors, so one definition runs batched on the CPU and on GPUs.
//! A [`VectorEnvironment`] holds the states of many of them as variables and starts finished episodes anew.
//! Algorithms act, learn and report through the words of [`crate::events`]; a whole iteration is submitted without a
//! readback, its statistics are read once at its end.
//!
//! Everything carries a leading axis of seeds where it is learned: a policy's parameters are `[seeds, ..]`, products are
//! batched, so `seeds: 64` trains 64 independent agents in one run, for honest error bars.
//!
//! Shapes: `n = seeds * environments per seed` for environments, `[seeds, batch, ..]` for networks.

mod clip;
mod critics;
pub mod distribution;
pub mod dqn;
pub mod environment;
pub mod environments;
pub mod evaluate;
pub mod film;
pub mod host;
pub mod network;
pub mod normalizer;
pub mod off_policy;
pub mod on_policy;
pub mod policy;
pub mod ppo;
pub mod pqn;
pub mod replay;
pub mod returns;
pub mod rollout;
pub mod sac;
mod shuffled;
mod source;
pub mod space;
pub mod td3;
pub mod wrappers;

pub use distribution::{Categorical, DiagonalGaussian, Distribution, MultiCategorical, SquashedGaussian};
pub use dqn::{Dqn, DqnConfig, Returns, Support};
pub use environment::{Environment, Step, Transition, VectorEnvironment};
pub use evaluate::{Actor, Best, Interval, evaluate};
pub use film::{Draw, Film, film};
pub use host::{HostConfig, HostEnvironment, HostEnvironments, HostStep};
pub use network::{Activation, Layers, Mlp, Network};
pub use normalizer::{Normalizer, RewardScale};
pub use off_policy::{Learner, OffPolicy, OffPolicyConfig};
pub use on_policy::{OnLearner, OnPolicy, Portions, Statistics};
pub use policy::{ActorCritic, Policy};
pub use ppo::recurrent::{RecurrentConfig, RecurrentPpo};
pub use ppo::{Ppo, PpoConfig};
pub use pqn::{Pqn, PqnConfig};
pub use replay::{Priority, Replay, Sample};
pub use rollout::{Choice, Rollout};
pub use sac::{Sac, SacConfig};
pub use space::Space;
pub use td3::{Td3, Td3Config};
pub use wrappers::{FrameStack, ScaledActions, TimeLimit};
