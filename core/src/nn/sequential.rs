//! Layers in a row, a layer around a layer, and functions as layers.

use super::Module;
use super::module::{Layer, Visitor};
use crate::shape::fail;
use crate::tensor::Tensor;

/// Layers one after the other, named by number as in PyTorch (`0.weight`, `2.weight`; activations take a number too).
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer + Send + Sync>>,
}

impl Sequential {
    /// No layers: the identity.
    #[must_use]
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// With one more layer at the end.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the word for appending a layer; nothing is summed")]
    pub fn add(mut self, layer: impl Layer + Send + Sync + 'static) -> Sequential {
        self.layers.push(Box::new(layer));
        self
    }

    /// With a function at the end: `.map(|x| x.flatten(1))`.
    #[must_use]
    pub fn map(self, function: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Sequential {
        self.add(Map(Box::new(function)))
    }

    /// Number of layers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// All layers in order.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.layers.iter().fold(x.clone(), |x, layer| layer.forward(&x))
    }
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.named_variables().into_iter().map(|(name, _)| name).collect();
        write!(f, "Sequential({} layers: {})", self.len(), names.join(", "))
    }
}

impl Module for Sequential {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.layers.visit(visitor);
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Sequential::forward(self, x)
    }
}

/// A function without variables, as a layer.
struct Map(Box<dyn Fn(&Tensor) -> Tensor + Send + Sync>);

impl Module for Map {}

impl Layer for Map {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        (self.0)(x)
    }
}

/// `x + layer(x)`. The layer's variables keep their own names.
/// Source: He and others, "Deep residual learning" (2015).
#[derive(Clone, Debug, Module)]
pub struct Residual<L> {
    /// What is added.
    #[module(flatten)]
    pub layer: L,
}

impl<L: Layer> Residual<L> {
    /// Around this layer.
    #[must_use]
    pub fn new(layer: L) -> Residual<L> {
        Residual { layer }
    }

    /// Any shape, the same shape.
    ///
    /// # Panics
    /// If the layer changes the shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.layer.forward(x);
        if y.shape() != x.shape() {
            fail("Residual", format!("the layer makes {:?} of {:?}; it must keep the shape", y.shape(), x.shape()));
        }
        x + &y
    }
}

impl<L: Layer> Layer for Residual<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Residual::forward(self, x)
    }
}

/// The activations as layers; each is the tensor method of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each is the tensor method of that name")]
pub enum Activation {
    #[default]
    Relu,
    LeakyRelu(f64),
    Elu(f64),
    Selu,
    Gelu,
    /// The approximation by tanh.
    GeluTanh,
    Silu,
    Mish,
    Sigmoid,
    Tanh,
    Softplus,
    /// Along this axis.
    Softmax(isize),
    /// Along this axis.
    LogSoftmax(isize),
    Identity,
}

impl Activation {
    /// The activation of every element.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match *self {
            Activation::Relu => x.relu(),
            Activation::LeakyRelu(slope) => x.leaky_relu(slope),
            Activation::Elu(alpha) => x.elu(alpha),
            Activation::Selu => x.selu(),
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
            Activation::Silu => x.silu(),
            Activation::Mish => x.mish(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => x.softplus(),
            Activation::Softmax(axis) => x.softmax(axis),
            Activation::LogSoftmax(axis) => x.log_softmax(axis),
            Activation::Identity => x.clone(),
        }
    }

    /// The factor by which weights before this activation are usually scaled (PyTorch's `calculate_gain`).
    #[must_use]
    pub fn gain(&self) -> f64 {
        match *self {
            Activation::Relu => std::f64::consts::SQRT_2,
            Activation::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Activation::Tanh => 5.0 / 3.0,
            Activation::Selu => 0.75,
            _ => 1.0,
        }
    }
}

impl Module for Activation {}

impl Layer for Activation {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        Activation::forward(self, x)
    }
}

/// Joins all axes from this one on, as a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten(pub usize);

impl Module for Flatten {}

impl Layer for Flatten {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        if self.0 >= x.rank() {
            fail("Flatten", format!("{:?} has no axis {}", x.shape(), self.0));
        }
        let (kept, joined) = x.shape().split_at(self.0);
        x.reshape_to(&[kept, &[joined.iter().product()]].concat())
    }
}
