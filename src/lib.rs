//! Train models on any GPU (Vulkan, Metal, DX12) and on the CPU, with nothing to install.
//!
//! This crate is the front door: it re-exports the core (tensors, variables, programs, layers), the trainers (data,
//! optimizers, checkpoints) and opens devices on the backends that were built in (features `cpu` and `wgpu`, both on by
//! default). `use anygrad::prelude::*;` brings what a model needs.
//!
//! ```
//! use anygrad::prelude::*;
//!
//! let device = Device::cpu();
//! let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], &[3], &device);
//! assert_eq!((&x * &x).sum(..).item()?, 14.0);
//! # Ok::<(), anygrad::Error>(())
//! ```

pub mod devices;

pub use anygrad_core::*;
#[cfg(feature = "cpu")]
pub use anygrad_cpu as cpu;
pub use anygrad_trainers as trainers;
pub use anygrad_trainers::{
    checkpoint, data, events, interrupt, metrics, optim, options, progress, reinforcement, report, supervised,
    unsupervised,
};
#[cfg(feature = "wgpu")]
pub use anygrad_wgpu as wgpu;
pub use devices::{DeviceInfo, Devices};

/// What a model and its training need: `use anygrad::prelude::*;`.
pub mod prelude {
    pub use crate::checkpoint;
    pub use crate::data::{
        Blocks, Characters, Dataset, Draws, LabelledImages, Loader, LoaderConfig, Order, Resident, Subset, Table,
        TableOptions, augment, split,
    };
    pub use crate::devices::{DeviceInfo, Devices};
    pub use crate::events::{Event, Flow, Listener};
    pub use crate::metrics::{self, Metric};
    pub use crate::optim::schedule::{self, Schedule};
    pub use crate::optim::{Adam, AdamConfig, Decay, Group, Groups, Optimizer, Rate, Sgd, SgdConfig, warmup_cosine};
    pub use crate::options::{CHECKPOINTS, Exit, Options};
    pub use crate::progress::Progress;
    pub use crate::report;
    pub use crate::supervised::{Checkpoints, EarlyStopping, LossScale, Mode, Precision, Supervised};
    pub use anygrad_core::nn::*;
    pub use anygrad_core::program::Program;
    pub use anygrad_core::{DType, Device, Element, Error, Result, Tensor, Var};
}

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
