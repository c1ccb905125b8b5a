//! Autoencoders, plain and denoising.

use anygrad_core::nn::{Layer, Module, Visitor};
use anygrad_core::{Result, Tensor, trace};

use crate::supervised::Supervised;
use crate::unsupervised::{Rows, by_tile, rows, wrong};

const METHOD: &str = "autoencoder";

/// What is done to inputs while training, which the model has to undo.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Noise {
    /// Nothing.
    #[default]
    None,
    /// Normal numbers with this standard deviation are added.
    Gaussian(f64),
    /// Each number becomes 0 with this probability.
    Masking(f64),
}

impl Noise {
    fn check(self) -> Result<()> {
        match self {
            Noise::Gaussian(std) if !(std >= 0.0 && std.is_finite()) => {
                Err(wrong(METHOD, format!("the noise's standard deviation is {std}; give 0 or a positive number")))
            }
            Noise::Masking(p) if !(0.0..1.0).contains(&p) => {
                Err(wrong(METHOD, format!("inputs are masked with probability {p}; give 0 or more, and less than 1")))
            }
            _ => Ok(()),
        }
    }

    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Noise::None => x.clone(),
            Noise::Gaussian(std) => x + (Tensor::randn(x.shape(), x.device()) * std).cast(x.dtype()),
            Noise::Masking(p) => Tensor::bernoulli(x.shape(), p, x.device()).select(0.0, x),
        }
    }
}

/// A model that gives its input back through a narrow place (or from a noisy copy).
///
/// Sources: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks" (2006); Vincent and others,
/// "Extracting and composing robust features with denoising autoencoders" (2008).
#[derive(Clone, Debug)]
pub struct Autoencoder<E, D> {
    /// From inputs `[rows, ..]` to representations.
    pub encoder: E,
    /// From representations to the shape of the inputs.
    pub decoder: D,
    noise: Noise,
}

impl<E: Layer, D: Layer> Autoencoder<E, D> {
    /// An autoencoder of these parts.
    pub fn new(encoder: E, decoder: D) -> Autoencoder<E, D> {
        Autoencoder { encoder, decoder, noise: Noise::None }
    }

    /// A denoising autoencoder: while training, the encoder sees noisy inputs; the targets are without noise.
    ///
    /// # Errors
    /// If the noise is out of range.
    pub fn denoising(encoder: E, decoder: D, noise: Noise) -> Result<Autoencoder<E, D>> {
        noise.check()?;
        Ok(Autoencoder { encoder, decoder, noise })
    }

    /// A trainer with the mean squared error as loss.
    pub fn trainer(&self) -> Supervised<'_, &Self> {
        Supervised::new(self, Tensor::mse_loss)
    }

    /// Representations of a batch, without noise.
    #[track_caller]
    pub fn encode(&self, x: &Tensor) -> Tensor {
        self.encoder.forward(x)
    }

    /// The mean squared error `[rows]` of each row of `x` (`[rows, ..]`).
    #[track_caller]
    pub fn errors(&self, x: &Tensor) -> Tensor {
        let back = self.decoder.forward(&self.encoder.forward(x));
        (back - x).square().flatten(1).mean(1)
    }

    /// The anomaly score of each row of a table: its mean squared error; the higher, the stranger.
    ///
    /// # Errors
    /// If the model has no parameters, a number is NaN or infinite, or the device fails.
    ///
    /// # Panics
    /// As the user's layers do if the number of features does not fit.
    #[track_caller]
    pub fn score_rows(&self, data: &(impl Rows + ?Sized)) -> Result<Vec<f64>> {
        let parameters = self.parameters();
        let first = parameters.first().ok_or_else(|| wrong(METHOD, "the model has no parameters"))?;
        let x = rows::load(METHOD, data, &first.device())?;
        // The user's layers are wider than the data, as a rule.
        by_tile(&x, 8 * x.shape()[1], |tile| self.errors(tile)).to_f64()
    }
}

impl<E: Module, D: Module> Module for Autoencoder<E, D> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("encoder", &self.encoder);
        visitor.field("decoder", &self.decoder);
    }
}

impl<E: Layer, D: Layer> Layer for Autoencoder<E, D> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let seen = if trace::is_training() { self.noise.apply(x) } else { x.clone() };
        self.decoder.forward(&self.encoder.forward(&seen))
    }
}
