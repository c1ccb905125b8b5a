//! The lazy tensor core of anygrad: the graph language, gradients, the schedule, and the layers built on them.
//!
//! It knows no GPU: devices are reached through the open [`backend::Backend`] trait.

pub mod backend;
pub mod dtype;
pub mod error;
pub mod interpret;
pub mod kernel;
pub mod scalar;
pub mod view;

pub use dtype::{DType, Element};
pub use error::{Error, Result};
