//! Layers: plain structs with `new` and `forward`, whose fields carry PyTorch's names, so that its weights load by name.
//!
//! Whether one trains is asked of the trace ([`crate::trace::is_training`]), no layer has a flag. Parameters are drawn
//! on the host from the device's generator ([`init`]): the same seed gives the same model on every backend.

pub mod init;
pub mod module;

pub use anygrad_derive::Module;
pub use module::{Layer, Module, Role, Visitor};
