//! The lazy tensor core of anygrad: the graph language, gradients, the schedule, and the layers built on them.
//!
//! It knows no GPU: devices are reached through the open [`backend::Backend`] trait. Data flows one way:
//!
//! `Tensor` methods -> [`graph::Graph`] (simplified) -> schedule (fuse, plan memory) -> [`backend::Plan`] of
//! [`kernel::Kernel`]s -> a backend's `Executable`.

// What `#[derive(Module)]` writes names the facade's paths; here they are this crate's.
extern crate self as anygrad;

pub mod backend;
#[cfg(any(test, feature = "cases"))]
pub mod cases;
pub mod device;
pub mod dtype;
pub mod error;
pub mod grad;
pub mod graph;
mod hash;
pub mod interpret;
pub mod kernel;
mod kernel_edit;
pub mod nn;
pub mod op;
pub mod program;
pub mod reference;
pub mod scalar;
mod schedule;
mod shape;
mod simplify;
pub mod tensor;
mod tensors;
#[cfg(any(test, feature = "cases"))]
pub mod testing;
pub mod trace;
pub mod var;
pub mod verify;
pub mod view;

pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, Result};
pub use program::{Memory, Program, Tensors};
pub use tensor::Tensor;
pub use var::Var;
