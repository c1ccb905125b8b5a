//! Benchmarks of anygrad: workloads that are compared with peers, and rates of single operations.

pub mod measure;
pub mod peer;
pub mod start;
pub mod workloads;
