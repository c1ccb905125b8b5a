//! Masked modelling: what was hidden is filled in from what was left.

use anygrad_core::nn::{Layer, Module, Visitor};
use anygrad_core::{DType, Result, Tensor};

use crate::supervised::Supervised;
use crate::unsupervised::wrong;

/// A model that sees inputs with hidden places (as 0) and is asked for the numbers there; only they count.
///
/// A place is an entry along axis 1 of inputs `[rows, places, ..]`: a feature of a table, a patch or a step with all its
/// numbers. Places are drawn anew for each batch, in evaluation too.
///
/// Source: He and others, "Masked autoencoders are scalable vision learners" (2022), with the hidden places left in.
#[derive(Clone, Debug)]
pub struct Masked<M> {
    /// From inputs with zeros to the shape of the inputs.
    pub model: M,
    share: f64,
}

impl<M: Layer> Masked<M> {
    /// Hides each place with probability `share`.
    ///
    /// # Errors
    /// If the share is not between 0 and 1.
    pub fn new(model: M, share: f64) -> Result<Masked<M>> {
        if !(share > 0.0 && share < 1.0) {
            return Err(wrong("masked", format!("a share of {share} is hidden; give more than 0 and less than 1")));
        }
        Ok(Masked { model, share })
    }

    /// A trainer whose loss is the mean squared error of the hidden places.
    pub fn trainer(&self) -> Supervised<'_, &Self> {
        Supervised::new(self, |output, x| {
            let x = x.flatten(1);
            let (filled, hidden) = (output.narrow(1, 0, x.size(1)), output.narrow(1, x.size(1), x.size(1)));
            ((filled - x).square() * &hidden).sum(()) / hidden.sum(()).maximum(1.0)
        })
    }
}

impl<M: Module> Module for Masked<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("model", &self.model);
    }
}

impl<M: Layer> Layer for Masked<M> {
    /// `[rows, 2 features]`: what the model fills in, and 1 where a number was hidden.
    ///
    /// # Panics
    /// If inputs have less than two axes.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        assert!(x.rank() >= 2, "masked: inputs {:?} are not [rows, places, ..]", x.shape());
        let mut places = vec![1; x.rank()];
        places[..2].copy_from_slice(&x.shape()[..2]);
        let hidden = Tensor::bernoulli(&places, self.share, x.device()).broadcast_to(x.shape());
        let filled = self.model.forward(&hidden.select(0.0, x));
        Tensor::cat(&[filled.flatten(1), hidden.cast(DType::F32).flatten(1)], 1)
    }
}
