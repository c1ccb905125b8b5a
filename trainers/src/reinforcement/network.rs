//! [`Mlp`]: dense layers with an axis of seeds, so that many agents learn at once with batched products.

use anygrad_core::nn::module::Visitor;
use anygrad_core::nn::{Module, init};
use anygrad_core::{Device, Error, Result, Tensor, Var};

/// What follows each hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent: the habit of policy gradients.
    #[default]
    Tanh,
    /// `max(x, 0)`: the habit of value methods.
    Relu,
}

impl Activation {
    /// Applies it.
    pub fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.relu(),
        }
    }
}

/// How weights begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Orthogonal rows times `hidden` in hidden layers and times `last` in the last one, biases 0.
    /// Source: "The 37 implementation details of PPO" (Huang and others, 2022), detail 2.
    Orthogonal {
        /// Gain of hidden layers.
        hidden: f64,
        /// Gain of the last layer.
        last: f64,
    },
    /// Weights and biases uniform within `1 / sqrt(inputs)`, as PyTorch's linear layers begin.
    Uniform,
}

/// One affine map per seed: `y = x Wᵀ + b`.
#[derive(Clone, Debug)]
struct Dense {
    /// `[seeds, outputs, inputs]`.
    weight: Var,
    /// `[seeds, outputs]`.
    bias: Var,
}

impl Dense {
    fn new(seeds: usize, inputs: usize, outputs: usize, start: Start, last: bool, device: &Device) -> Result<Dense> {
        let draw = || match start {
            Start::Orthogonal { hidden, last: end } => {
                init::orthogonal(&[outputs, inputs], if last { end } else { hidden }, device)
            }
            Start::Uniform => {
                let bound = 1.0 / (inputs as f64).sqrt();
                init::uniform(&[outputs, inputs], -bound, bound, device)
            }
        };
        let weights: Vec<Tensor> = (0..seeds).map(|_| draw()).collect();
        let bias = match start {
            Start::Orthogonal { .. } => Tensor::zeros(&[seeds, outputs], device),
            Start::Uniform => {
                let bound = 1.0 / (inputs as f64).sqrt();
                init::uniform(&[seeds, outputs], -bound, bound, device)
            }
        };
        let weight = Var::try_new("weight", &Tensor::stack(&weights, 0))?;
        Ok(Dense { weight, bias: Var::try_new("bias", &bias)? })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.weight.get().transpose(1, 2)) + self.bias.get().unsqueeze(1)
    }
}

impl Module for Dense {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("weight", &self.weight);
        visitor.field("bias", &self.bias);
    }
}

/// Dense layers with an activation between them, one network per seed.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Dense>,
    activation: Activation,
}

impl Mlp {
    /// `sizes`: inputs, hidden layers, outputs.
    ///
    /// # Errors
    /// If there are fewer than two sizes, one is 0, there are no seeds, or memory cannot be had.
    pub fn new(seeds: usize, sizes: &[usize], activation: Activation, start: Start, device: &Device) -> Result<Mlp> {
        if sizes.len() < 2 || sizes.contains(&0) || seeds == 0 {
            let message = format!("sizes {sizes:?} for {seeds} seeds; inputs and outputs are needed, all at least 1");
            return Err(Error::data("mlp", message));
        }
        let layer =
            |(i, pair): (usize, &[usize])| Dense::new(seeds, pair[0], pair[1], start, i + 2 == sizes.len(), device);
        let layers = sizes.windows(2).enumerate().map(layer).collect::<Result<_>>()?;
        Ok(Mlp { layers, activation })
    }

    /// `[seeds, batch, inputs] -> [seeds, batch, outputs]`.
    ///
    /// # Panics
    /// If `x` has another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("a network has layers");
        let mut x = x.clone();
        for layer in hidden {
            x = self.activation.apply(&layer.forward(&x));
        }
        last.forward(&x)
    }
}

impl Module for Mlp {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            visitor.field(&i.to_string(), layer);
        }
    }
}
