//! Contrastive learning: two views of a row are near each other and far from all other rows.

use anygrad_core::nn::{Layer, Module, Visitor};
use anygrad_core::{DType, Result, Tensor};

use crate::supervised::Supervised;
use crate::unsupervised::kmeans::unit;
use crate::unsupervised::wrong;

/// An encoder that learns from pairs of random views of the same input (SimCLR).
///
/// Source: Chen and others, "A simple framework for contrastive learning of visual representations" (2020).
#[derive(Clone)]
pub struct Contrastive<E, H, V> {
    /// From inputs to representations.
    pub encoder: E,
    /// From representations to what the loss compares; not used afterwards.
    pub head: H,
    view: V,
    temperature: f64,
}

/// The normalised temperature-scaled cross entropy of pairs: row `i` of `first` and of `second` (`[n, d]`) belong together,
/// the other `2n - 2` rows are what they are told apart from. The mean over all `2n` rows.
///
/// Source: Chen and others (2020), equation 1.
///
/// # Panics
/// If the shapes differ or are not two-dimensional.
#[track_caller]
pub fn nt_xent(first: &Tensor, second: &Tensor, temperature: f64) -> Tensor {
    assert!(
        first.rank() == 2 && first.shape() == second.shape(),
        "nt_xent: {:?} and {:?} are not two equal [rows, features]",
        first.shape(),
        second.shape()
    );
    let (n, device) = (first.size(0), first.device());
    let all = unit(&Tensor::cat(&[first.clone(), second.clone()], 0));
    let row = Tensor::arange(0.0, 2.0 * n as f64, 1.0, device).cast(DType::I32);
    let own = row.unsqueeze(1).eq(&row);
    let likeness = own.select(f64::NEG_INFINITY, all.matmul(&all.t()) * (1.0 / temperature));
    likeness.cross_entropy(&((row + n as i32) % (2 * n as i32)))
}

impl<E: Layer, H: Layer, V: Fn(&Tensor) -> Tensor> Contrastive<E, H, V> {
    /// Trains `encoder` through `head` on pairs of views; `view` makes a random view of a batch, on the device: crops, flips,
    /// noise ([`augment`](crate::data::augment)). The paper's temperature is 0.5 for small batches and images.
    ///
    /// # Errors
    /// If the temperature is not positive.
    pub fn new(encoder: E, head: H, view: V, temperature: f64) -> Result<Contrastive<E, H, V>> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(wrong("contrastive", format!("the temperature is {temperature}; give a positive number")));
        }
        Ok(Contrastive { encoder, head, view, temperature })
    }

    /// A trainer with [`nt_xent`] as loss.
    pub fn trainer(&self) -> Supervised<'_, &Self> {
        Supervised::new(self, |output, _| {
            let n = output.size(0) / 2;
            nt_xent(&output.narrow(0, 0, n), &output.narrow(0, n, n), self.temperature)
        })
    }

    /// Representations of a batch.
    #[track_caller]
    pub fn encode(&self, x: &Tensor) -> Tensor {
        self.encoder.forward(x)
    }
}

impl<E, H, V> std::fmt::Debug for Contrastive<E, H, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contrastive").field("temperature", &self.temperature).finish_non_exhaustive()
    }
}

impl<E: Module, H: Module, V> Module for Contrastive<E, H, V> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("encoder", &self.encoder);
        visitor.field("head", &self.head);
    }
}

impl<E: Layer, H: Layer, V: Fn(&Tensor) -> Tensor> Layer for Contrastive<E, H, V> {
    /// Two views of each row, projected: `[2 rows, ..]`, first views before second ones.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let views = Tensor::cat(&[(self.view)(x), (self.view)(x)], 0);
        self.head.forward(&self.encoder.forward(&views))
    }
}
