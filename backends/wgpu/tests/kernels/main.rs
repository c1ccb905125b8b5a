//! Every instruction and core on the device against `interpret`, and the backend's own behaviour.

mod attention;
mod bench;
mod heavy;
mod index;
mod reduce;
mod scalar;
mod system;
