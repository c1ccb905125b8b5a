//! Benchmarks of anygrad: workloads that are compared with peers, and rates of single operations.

pub mod machine;
pub mod measure;
pub mod metered;
pub mod peer;
pub mod roofline;
pub mod start;
pub mod sweeps;
pub mod workloads;
