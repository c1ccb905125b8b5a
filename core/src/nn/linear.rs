//! [`Linear`]: the affine map of the last axis.

use super::module::Layer;
use super::{Module, init};
use crate::device::Device;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// `y = x Wᵀ + b` over the last axis: `[.., inputs] -> [.., outputs]`.
#[derive(Clone, Debug, Module)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Var,
    /// `[outputs]`.
    pub bias: Option<Var>,
}

impl Linear {
    /// With a bias; both uniform within `1 / sqrt(inputs)`, as in PyTorch.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Linear {
        let bias = Var::new("bias", &init::default_bias(&[outputs], inputs, device));
        Linear { bias: Some(bias), ..Linear::without_bias(inputs, outputs, device) }
    }

    /// `y = x Wᵀ`.
    ///
    /// # Panics
    /// If memory cannot be had.
    #[must_use]
    #[track_caller]
    pub fn without_bias(inputs: usize, outputs: usize, device: &Device) -> Linear {
        Linear { weight: Var::new("weight", &init::default_weight(&[outputs, inputs], device)), bias: None }
    }

    /// `[.., inputs] -> [.., outputs]`.
    ///
    /// # Panics
    /// If the last axis of `x` has not `inputs` elements.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = affine(x, &self.weight.get());
        match &self.bias {
            Some(bias) => &y + &bias.get(),
            None => y,
        }
    }
}

impl Layer for Linear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Linear::forward(self, x)
    }
}

/// `x Wᵀ` as one matrix product over all leading axes together.
#[track_caller]
pub(crate) fn affine(x: &Tensor, weight: &Tensor) -> Tensor {
    let (outputs, inputs) = (weight.shape()[0], weight.shape()[1]);
    if x.shape().last() != Some(&inputs) {
        fail("Linear", format!("x is {:?}, but its last axis must have {inputs} elements", x.shape()));
    }
    let mut shape = x.shape().to_vec();
    let rows = shape[..shape.len() - 1].iter().product();
    let last = shape.len() - 1;
    shape[last] = outputs;
    x.reshape_to(&[rows, inputs]).product(&weight.permute_to(&[1, 0])).reshape_to(&shape)
}
