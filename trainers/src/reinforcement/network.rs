//! [`Mlp`]: dense layers with an axis of seeds, so that many agents learn at once with batched products; [`Network`]: the same
//! behind convolutions, if observations are images.

use anygrad_core::nn::module::Visitor;
use anygrad_core::nn::{Module, init};
use anygrad_core::tensor::conv::ConvOptions;
use anygrad_core::{Device, Error, Result, Tensor, Var};

use super::policy::inputs;
use super::space::Space;

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

impl Start {
    /// Weights `[seeds, outputs, inputs]` and biases `[seeds, outputs]` of a layer.
    fn draw(self, seeds: usize, inputs: usize, outputs: usize, last: bool, device: &Device) -> (Tensor, Tensor) {
        let bound = 1.0 / (inputs as f64).sqrt();
        let weights = |one: &dyn Fn() -> Tensor| Tensor::stack(&(0..seeds).map(|_| one()).collect::<Vec<_>>(), 0);
        match self {
            Start::Orthogonal { hidden, last: end } => {
                let gain = if last { end } else { hidden };
                let one = || init::orthogonal(&[outputs, inputs], gain, device);
                (weights(&one), Tensor::zeros(&[seeds, outputs], device))
            }
            Start::Uniform => {
                let one = || init::uniform(&[outputs, inputs], -bound, bound, device);
                (weights(&one), init::uniform(&[seeds, outputs], -bound, bound, device))
            }
        }
    }
}

/// What lies between observations and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// Channels of convolutions of 3x3 without borders, each followed by `max(x, 0)`; for images `[channels, height, width]`; none.
    pub convolutions: Vec<usize>,
    /// Sizes of hidden dense layers; 64, 64.
    pub hidden: Vec<usize>,
    /// What follows hidden layers; tanh.
    pub activation: Activation,
    /// Whether each sample's numbers are shifted to mean 0 and scaled to deviation 1 before the activation; false.
    /// Source: Ba, Kiros and Hinton, "Layer normalization" (2016), without its gain and bias.
    pub norm: bool,
}

impl Default for Layers {
    fn default() -> Layers {
        Layers { convolutions: Vec::new(), hidden: vec![64, 64], activation: Activation::Tanh, norm: false }
    }
}

impl Layers {
    /// Dense layers of these sizes with tanh: the habit of policy gradients.
    #[must_use]
    pub fn tanh(hidden: &[usize]) -> Layers {
        Layers { hidden: hidden.to_vec(), ..Layers::default() }
    }

    /// Dense layers of these sizes with `max(x, 0)`: the habit of value methods.
    #[must_use]
    pub fn relu(hidden: &[usize]) -> Layers {
        Layers { activation: Activation::Relu, ..Layers::tanh(hidden) }
    }
}

/// `(x - mean) / sqrt(variance + 1e-5)` along the last axis.
fn layer_norm(x: &Tensor) -> Tensor {
    let centred = x - x.mean_keep(-1);
    let variance = centred.square().mean_keep(-1);
    centred * (variance + 1e-5).sqrt().recip()
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
        let (weight, bias) = start.draw(seeds, inputs, outputs, last, device);
        Ok(Dense { weight: Var::try_new("weight", &weight)?, bias: Var::try_new("bias", &bias)? })
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
    norm: bool,
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
        Ok(Mlp { layers, activation, norm: false })
    }

    /// With or without a normalisation before each activation; see [`Layers::norm`].
    #[must_use]
    pub fn norm(mut self, norm: bool) -> Mlp {
        self.norm = norm;
        self
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
            let y = layer.forward(&x);
            x = self.activation.apply(&if self.norm { layer_norm(&y) } else { y });
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

/// One convolution of 3x3 per seed.
#[derive(Clone, Debug)]
struct Convolution {
    /// `[seeds, outputs, inputs, 3, 3]`.
    weight: Var,
    /// `[seeds, outputs]`.
    bias: Var,
}

impl Convolution {
    /// `[batch, seeds * inputs, h, w] -> [batch, seeds * outputs, h - 2, w - 2]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (seeds, outputs, inputs) = (self.weight.shape()[0], self.weight.shape()[1], self.weight.shape()[2]);
        let weight = self.weight.get().reshape([seeds * outputs, inputs, TAPS, TAPS]);
        let y = x.conv2d(&weight, &ConvOptions { groups: seeds, ..ConvOptions::default() });
        y + self.bias.get().reshape([1, seeds * outputs, 1, 1])
    }
}

impl Module for Convolution {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.field("weight", &self.weight);
        visitor.field("bias", &self.bias);
    }
}

/// Height and width of a convolution's window.
const TAPS: usize = 3;

/// Convolutions, if there are any, and dense layers, one network per seed.
#[derive(Clone, Debug)]
pub struct Network {
    convolutions: Vec<Convolution>,
    /// Of an observation.
    image: Vec<usize>,
    dense: Mlp,
    norm: bool,
}

impl Network {
    /// From observations to `outputs` numbers.
    ///
    /// # Errors
    /// If observations are not real numbers, are no image large enough for the convolutions, a size is 0 or memory cannot be had.
    pub fn new(
        seeds: usize,
        observations: &Space,
        layers: &Layers,
        outputs: usize,
        start: Start,
        device: &Device,
    ) -> Result<Network> {
        let (mut numbers, image) = (inputs(observations)?, observations.shape());
        let mut convolutions = Vec::new();
        if !layers.convolutions.is_empty() {
            let fail = |message: String| Err(Error::data("network: convolutions", message));
            let [channels, height, width] = image[..] else {
                return fail(format!("observations {image:?} are no image; [channels, height, width] is needed"));
            };
            let border = layers.convolutions.len() * (TAPS - 1);
            if height.min(width) <= border || layers.convolutions.contains(&0) {
                return fail(format!("{:?} do not fit an image {image:?}", layers.convolutions));
            }
            let mut from = channels;
            for &to in &layers.convolutions {
                let (weight, bias) = start.draw(seeds, from * TAPS * TAPS, to, false, device);
                let weight = Var::try_new("weight", &weight.reshape([seeds, to, from, TAPS, TAPS]))?;
                convolutions.push(Convolution { weight, bias: Var::try_new("bias", &bias)? });
                from = to;
            }
            numbers = from * (height - border) * (width - border);
        }
        let sizes = [&[numbers][..], &layers.hidden, &[outputs]].concat();
        let dense = Mlp::new(seeds, &sizes, layers.activation, start, device)?.norm(layers.norm);
        Ok(Network { convolutions, image, dense, norm: layers.norm })
    }

    /// `[seeds, batch, numbers of an observation] -> [seeds, batch, outputs]`.
    ///
    /// # Panics
    /// If `x` has another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if self.convolutions.is_empty() {
            return self.dense.forward(x);
        }
        let (seeds, batch) = (x.size(0), x.size(1));
        // Seeds side by side as groups of channels.
        let [channels, height, width] = [0, 1, 2].map(|axis| self.image[axis]);
        let mut x = x.movedim(0, 1).reshape([batch, seeds * channels, height, width]);
        for convolution in &self.convolutions {
            let y = convolution.forward(&x);
            x = if self.norm {
                let shape = y.shape().to_vec();
                layer_norm(&y.reshape([batch, seeds, y.len() / (batch * seeds)])).reshape(shape.as_slice()).relu()
            } else {
                y.relu()
            };
        }
        let numbers = x.len() / (batch * seeds);
        self.dense.forward(&x.reshape([batch, seeds, numbers]).movedim(0, 1))
    }
}

impl Module for Network {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, convolution) in self.convolutions.iter().enumerate() {
            visitor.field(&format!("convolution.{i}"), convolution);
        }
        // Without convolutions the names are those of an [`Mlp`].
        if self.convolutions.is_empty() {
            self.dense.visit(visitor);
        } else {
            visitor.field("dense", &self.dense);
        }
    }
}
