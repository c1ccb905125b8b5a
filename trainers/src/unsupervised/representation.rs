//! Learning representations: models whose targets are their inputs, trained by [`Supervised`](crate::supervised::Supervised)
//! like any other, with its loaders, schedules, mixed precision, checkpoints, exact resume and reports.
//!
//! Each is a small struct around the user's own modules; `trainer()` gives a trainer with the loss that belongs to it. What is
//! random (noise, views, masks, draws of latent numbers) is part of the traced step. Data sets with other targets are wrapped
//! in [`Unlabelled`](crate::data::Unlabelled).
//!
//! ```
//! use anygrad_core::nn::Linear;
//! use anygrad_core::{Tensor, testing};
//! use anygrad_trainers::data::Resident;
//! use anygrad_trainers::unsupervised::Autoencoder;
//!
//! let device = testing::device();
//! let x = Tensor::randn(&[64, 5], &device).realize()?.clone();
//! let model = Autoencoder::new(Linear::new(5, 2, &device), Linear::new(2, 5, &device));
//! let data = Resident::new(x.clone(), x.clone())?;
//! model.trainer().epochs(3).batch(16).quiet().fit_alone(&data)?;
//! assert_eq!(model.score_rows(&x)?.len(), 64);
//! # Ok::<(), anygrad_core::Error>(())
//! ```

mod autoencoder;
mod contrastive;
mod masked;
mod vae;

pub use autoencoder::{Autoencoder, Noise};
pub use contrastive::{Contrastive, nt_xent};
pub use masked::Masked;
pub use vae::{Likelihood, Vae, VaeConfig, standard_divergence};
