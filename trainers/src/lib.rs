//! What stands around a model while it learns: data, optimizers, metrics, progress and checkpoints.
//!
//! This crate knows no backend: it gets a [`anygrad_core::Device`] and builds on tensors, variables and programs.
//! Everything that reads the world (files, arguments) returns `Result` and says what was wrong, where, and what to do.

pub mod checkpoint;
pub mod data;
pub mod events;
pub mod interrupt;
pub mod metrics;
pub mod optim;
pub mod options;
pub mod progress;
pub mod reinforcement;
pub mod report;
pub mod supervised;
pub mod unsupervised;
