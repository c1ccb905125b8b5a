//! [`Dropout`]: zeros at random while training.

use super::Module;
use super::module::Layer;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::trace;

/// In training programs every element is zero with probability `p`, else divided by `1 - p`; elsewhere the identity.
/// Source: Srivastava and others, "Dropout" (2014).
#[derive(Clone, Copy, Debug, PartialEq, Module)]
pub struct Dropout {
    /// Probability of a zero.
    pub p: f64,
    /// Whether whole channels of `[batch, channels, ..]` are dropped.
    pub channels: bool,
}

impl Dropout {
    /// Every element by itself.
    ///
    /// # Panics
    /// If `p` is not in `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn new(p: f64) -> Dropout {
        if !(0.0..=1.0).contains(&p) {
            fail("Dropout", format!("probability {p} is not between 0 and 1"));
        }
        Dropout { p, channels: false }
    }

    /// Whole channels of `[batch, channels, ..]` (PyTorch's `Dropout2d`).
    ///
    /// # Panics
    /// If `p` is not in `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn channels(p: f64) -> Dropout {
        Dropout { channels: true, ..Dropout::new(p) }
    }

    /// Any shape, the same shape.
    ///
    /// # Panics
    /// If whole channels are dropped and `x` has fewer than two axes.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if !trace::is_training() || self.p == 0.0 {
            return x.clone();
        }
        if self.p == 1.0 {
            return x * 0.0;
        }
        let mut shape = x.shape().to_vec();
        if self.channels {
            if shape.len() < 2 {
                fail("Dropout", format!("{shape:?} has no channels; [batch, channels, ..] is needed"));
            }
            shape[2..].fill(1);
        }
        // A random word is below p * 2^32 with probability p.
        let threshold = (self.p * 4_294_967_296.0).round().min(4_294_967_295.0);
        let dropped = Tensor::random_bits(&shape, x.device()).lt(threshold);
        let scaled = x * (1.0 / (1.0 - self.p));
        dropped.choose(&x.full_like(0.0), &scaled)
    }
}

impl Layer for Dropout {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Dropout::forward(self, x)
    }
}
