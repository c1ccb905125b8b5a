//! Variational autoencoders.

use anygrad_core::nn::{Layer, Module, Visitor};
use anygrad_core::{Result, Tensor, trace};

use crate::supervised::Supervised;
use crate::unsupervised::wrong;

/// What the decoder's numbers say about an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Likelihood {
    /// Logits of numbers in `0..=1`, such as brightnesses.
    #[default]
    Bernoulli,
    /// Means of normal numbers with variance 1.
    Gaussian,
}

/// The settings of a [`Vae`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeConfig {
    /// What the decoder's numbers are; Bernoulli.
    pub likelihood: Likelihood,
    /// The weight of the divergence; 1 makes the loss a bound on the likelihood.
    /// Source: Higgins and others, "beta-VAE" (2017).
    pub beta: f64,
    /// Nats that each latent number may carry at no cost; 0.
    /// Source: Kingma and others, "Improved variational inference with inverse autoregressive flow" (2016), equation 15.
    pub free_bits: f64,
}

impl Default for VaeConfig {
    fn default() -> VaeConfig {
        VaeConfig { likelihood: Likelihood::Bernoulli, beta: 1.0, free_bits: 0.0 }
    }
}

/// An autoencoder whose representations follow a standard normal distribution, so that new rows can be drawn.
///
/// The encoder gives `[rows, 2 latent]`: means and log variances. While training, one draw of them is decoded; otherwise
/// their mean is. What [`Layer::forward`] gives, `[rows, features + 2 latent]`, is for [`Vae::loss`]: the decoder's numbers,
/// means and log variances side by side.
///
/// Source: Kingma and Welling, "Auto-encoding variational Bayes" (2014).
#[derive(Clone, Debug)]
pub struct Vae<E, D> {
    /// From inputs `[rows, ..]` to `[rows, 2 latent]`.
    pub encoder: E,
    /// From `[rows, latent]` to the shape of the inputs.
    pub decoder: D,
    config: VaeConfig,
}

/// `KL(N(mean, exp(log_variance)) || N(0, 1)) = (mean² + variance - 1 - ln variance) / 2` of each number.
/// Source: Kingma and Welling, "Auto-encoding variational Bayes" (2014), appendix B.
#[track_caller]
pub fn standard_divergence(mean: &Tensor, log_variance: &Tensor) -> Tensor {
    (mean.square() + log_variance.exp() - 1.0 - log_variance) * 0.5
}

impl<E: Layer, D: Layer> Vae<E, D> {
    /// A variational autoencoder of these parts.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(encoder: E, decoder: D, config: VaeConfig) -> Result<Vae<E, D>> {
        for (name, value) in [("beta", config.beta), ("free_bits", config.free_bits)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(wrong("vae", format!("{name} is {value}; give 0 or a positive number")));
            }
        }
        Ok(Vae { encoder, decoder, config })
    }

    /// A trainer with [`Vae::loss`] as loss, and its two parts as metrics `reconstruction` and `divergence`.
    pub fn trainer(&self) -> Supervised<'_, &Self> {
        Supervised::new(self, |output, x| self.loss(output, x))
            .metric("reconstruction", |output, x| self.reconstruction(output, x))
            .metric("divergence", |output, x| divergences(output, x).mean(0).sum(()))
    }

    /// Means and log variances of the latent numbers of a batch: each `[rows, latent]`.
    ///
    /// # Panics
    /// If the encoder gives an odd number of columns.
    #[track_caller]
    pub fn posterior(&self, x: &Tensor) -> (Tensor, Tensor) {
        let both = self.encoder.forward(x);
        let columns = both.size(1);
        assert!(
            both.rank() == 2 && columns.is_multiple_of(2),
            "vae: the encoder gives {:?}, not [rows, 2 latent]",
            both.shape()
        );
        (both.narrow(1, 0, columns / 2), both.narrow(1, columns / 2, columns / 2))
    }

    /// What latent numbers `[rows, latent]` stand for: expected inputs.
    #[track_caller]
    pub fn decode(&self, latent: &Tensor) -> Tensor {
        let out = self.decoder.forward(latent);
        match self.config.likelihood {
            Likelihood::Bernoulli => out.sigmoid(),
            Likelihood::Gaussian => out,
        }
    }

    /// The mean over rows of the negative evidence lower bound (with beta and free bits): reconstruction + beta divergence.
    #[track_caller]
    pub fn loss(&self, output: &Tensor, x: &Tensor) -> Tensor {
        let divergence = divergences(output, x).mean(0).maximum(self.config.free_bits).sum(());
        self.reconstruction(output, x) + divergence * self.config.beta
    }

    /// The mean over rows of the negative log-likelihood of the inputs, in nats, without constants: summed over features.
    fn reconstruction(&self, output: &Tensor, x: &Tensor) -> Tensor {
        let x = x.flatten(1);
        let features = x.size(1);
        let decoded = output.narrow(1, 0, features);
        match self.config.likelihood {
            Likelihood::Bernoulli => decoded.binary_cross_entropy_with_logits(&x) * features as f64,
            Likelihood::Gaussian => decoded.mse_loss(&x) * (0.5 * features as f64),
        }
    }
}

/// The divergence of each latent number of each row: `[rows, latent]`.
fn divergences(output: &Tensor, x: &Tensor) -> Tensor {
    let features = x.flatten(1).size(1);
    let latent = (output.size(1) - features) / 2;
    standard_divergence(&output.narrow(1, features, latent), &output.narrow(1, features + latent, latent))
}

impl<E: Module, D: Module> Module for Vae<E, D> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("encoder", &self.encoder);
        visitor.field("decoder", &self.decoder);
    }
}

impl<E: Layer, D: Layer> Layer for Vae<E, D> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let (mean, log_variance) = self.posterior(x);
        let latent = if trace::is_training() {
            let noise = Tensor::randn(mean.shape(), mean.device()).cast(mean.dtype());
            &mean + (&log_variance * 0.5).exp() * noise
        } else {
            mean.clone()
        };
        Tensor::cat(&[self.decoder.forward(&latent).flatten(1), mean, log_variance], 1)
    }
}
