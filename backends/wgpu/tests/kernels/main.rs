//! Every instruction and core on the device against `interpret`, and the backend's own behaviour.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod bench;
mod heavy;
mod index;
mod reduce;
mod scalar;
mod system;
