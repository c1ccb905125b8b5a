//! The wgpu backend of anygrad: plans run on any GPU that Vulkan, Metal or DX12 reach, and on software drivers.
//!
//! This is the only crate that knows wgpu. [`Gpu`] opens an adapter and implements
//! [`Backend`](anygrad_core::backend::Backend): buffers come from a pool, kernels are turned into WGSL by
//! `anygrad-kernels` and into pipelines once per text, and a plan runs as one encoder, one compute pass and one
//! submission, which it shares with the runs after it if they come fast (`runs.rs`). wgpu's errors and panics, and
//! those of its shader compiler, become `Result`s here (`errors.rs`).
//!
//! `ANYGRAD_CHECKED_SHADERS=1` in the environment turns all of wgpu's shader checks on (slower).

mod adapter;
mod errors;
mod executable;
mod gpu;
mod memory;
mod pipelines;
mod recording;
mod runs;
mod transfer;

pub use adapter::{AdapterInfo, Kind};
pub use gpu::Gpu;
