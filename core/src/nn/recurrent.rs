//! [`Rnn`], [`Gru`] and [`Lstm`], with PyTorch's names, gate order and formulas.
//!
//! All times' input projections are one batched product; each step then takes one more (hidden to gates) and fused
//! elementwise kernels. Steps are unrolled in the graph; equal kernels are compiled once.
//!
//! Inside, states and gates are columns, `[hidden, batch]` and `[gates * hidden, batch]`: a gate is a contiguous part, its
//! gradient is written where the product of the step before reads it, and weights are left sides, which no product packs.

use super::module::Visitor;
use super::{Dropout, Module, init};
use crate::device::Device;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// Choices that all three share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions {
    /// Layers on top of each other.
    pub layers: usize,
    /// Whether a second half of each layer reads backwards; outputs are concatenated.
    pub bidirectional: bool,
    /// Whether tensors are `[batch, time, channels]` (else `[time, batch, channels]`, PyTorch's default).
    pub batch_first: bool,
    /// Between layers.
    pub dropout: f64,
    /// Whether there are biases.
    pub bias: bool,
}

impl Default for RecurrentOptions {
    fn default() -> RecurrentOptions {
        RecurrentOptions { layers: 1, bidirectional: false, batch_first: true, dropout: 0.0, bias: true }
    }
}

/// Weights of one layer in one direction; the gates stand on top of each other.
#[derive(Clone, Debug)]
pub struct RecurrentWeights {
    /// `[gates * hidden, inputs]`.
    pub weight_ih: Var,
    /// `[gates * hidden, hidden]`.
    pub weight_hh: Var,
    /// `[gates * hidden]`.
    pub bias_ih: Option<Var>,
    /// `[gates * hidden]`.
    pub bias_hh: Option<Var>,
}

/// All layers and directions, in PyTorch's order, and what the three kinds have in common.
#[derive(Clone, Debug)]
struct Stack {
    weights: Vec<RecurrentWeights>,
    hidden: usize,
    inputs: usize,
    options: RecurrentOptions,
    dropout: Dropout,
}

/// One step: `(input projection [gates * hidden, batch], weights, state) -> new state`, whose first part is the output.
type Step<'a> = dyn Fn(&Tensor, &RecurrentWeights, &[Tensor]) -> Vec<Tensor> + 'a;

/// What differs between the three.
struct Kind<'a> {
    /// Parts of the state.
    parts: usize,
    /// Whether `bias_hh` is only ever added to the input projection: then it is, for all times at once.
    joint: bool,
    step: &'a Step<'a>,
}

impl Stack {
    #[track_caller]
    fn new(gates: usize, inputs: usize, hidden: usize, options: RecurrentOptions, device: &Device) -> Stack {
        if hidden == 0 || options.layers == 0 {
            fail("recurrent layer", format!("{hidden} hidden numbers in {} layers: none may be 0", options.layers));
        }
        let directions = 1 + usize::from(options.bidirectional);
        let mut weights = Vec::new();
        for i in 0..options.layers * directions {
            let inputs = if i < directions { inputs } else { directions * hidden };
            let end = suffix(i, directions);
            let value = |shape: &[usize]| init::default_bias(shape, hidden, device);
            let var = |name: &str, shape: &[usize]| Var::new(format!("{name}{end}"), &value(shape));
            let bias = |name: &str| options.bias.then(|| var(name, &[gates * hidden]));
            weights.push(RecurrentWeights {
                weight_ih: var("weight_ih", &[gates * hidden, inputs]),
                weight_hh: var("weight_hh", &[gates * hidden, hidden]),
                bias_ih: bias("bias_ih"),
                bias_hh: bias("bias_hh"),
            });
        }
        Stack { weights, hidden, inputs, options, dropout: Dropout::new(options.dropout) }
    }

    /// Outputs of the last layer and the last states (one tensor `[layers * directions, batch, hidden]` per state part).
    #[track_caller]
    fn run(&self, name: &str, x: &Tensor, state: &[&Tensor], kind: &Kind<'_>) -> (Tensor, Vec<Tensor>) {
        let Kind { parts, joint, step } = *kind;
        let axes = if self.options.batch_first { "[batch, time, " } else { "[time, batch, " };
        if x.rank() != 3 || x.shape()[2] != self.inputs {
            fail(name, format!("x is {:?}, but must be {axes}{}]", x.shape(), self.inputs));
        }
        // To and from [time, channels, batch].
        let (to, from) = if self.options.batch_first { ([1, 2, 0], [2, 0, 1]) } else { ([0, 2, 1], [0, 2, 1]) };
        let mut x = x.permute_to(&to);
        let (time, batch) = (x.shape()[0], x.shape()[2]);
        if time == 0 {
            fail(name, format!("x is {:?} as [time, channels, batch]: there must be at least one time", x.shape()));
        }
        let expected = [self.weights.len(), batch, self.hidden];
        for part in state {
            if part.shape() != expected {
                fail(name, format!("the state is {:?}, but must be {expected:?}", part.shape()));
            }
        }
        let directions = 1 + usize::from(self.options.bidirectional);
        let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); parts];
        for layer in 0..self.options.layers {
            let mut sides = Vec::new();
            for direction in 0..directions {
                let number = layer * directions + direction;
                let weights = &self.weights[number];
                let mut projected = project(&x, &weights.weight_ih, &weights.bias_ih);
                if let (true, Some(bias)) = (joint, &weights.bias_hh) {
                    projected = projected + column(bias);
                }
                let start = |i: usize| match state.get(i) {
                    Some(part) => row(part, number).permute_to(&[1, 0]),
                    None => Tensor::full(&[self.hidden, batch], 0.0, x.dtype(), x.device()),
                };
                let mut now: Vec<Tensor> = (0..parts).map(start).collect();
                let mut outputs = Vec::with_capacity(time);
                for i in 0..time {
                    let at = if direction == 1 { time - 1 - i } else { i };
                    now = step(&row(&projected, at), weights, &now);
                    outputs.push(now[0].reshape_to(&[1, self.hidden, batch]));
                }
                if direction == 1 {
                    outputs.reverse();
                }
                sides.push(Tensor::concat(&outputs));
                for (all, part) in last.iter_mut().zip(&now) {
                    all.push(part.permute_to(&[1, 0]).reshape_to(&[1, batch, self.hidden]));
                }
            }
            x = match &sides[..] {
                [forward, backward] => channel_concat(forward, backward),
                _ => sides[0].clone(),
            };
            if layer + 1 < self.options.layers {
                x = self.dropout.forward(&x);
            }
        }
        (x.permute_to(&from), last.iter().map(|parts| Tensor::concat(parts)).collect())
    }
}

impl Module for Stack {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let directions = 1 + usize::from(self.options.bidirectional);
        for (i, weights) in self.weights.iter().enumerate() {
            let end = suffix(i, directions);
            visitor.field(&format!("weight_ih{end}"), &weights.weight_ih);
            visitor.field(&format!("weight_hh{end}"), &weights.weight_hh);
            visitor.field(&format!("bias_ih{end}"), &weights.bias_ih);
            visitor.field(&format!("bias_hh{end}"), &weights.bias_hh);
        }
    }
}

/// `_l0`, `_l0_reverse`, `_l1`, ... for weights number `i`.
fn suffix(i: usize, directions: usize) -> String {
    format!("_l{}{}", i / directions, if i % directions == 1 { "_reverse" } else { "" })
}

/// `weight x + bias`, where `x` is `[.., inputs, batch]`.
#[track_caller]
fn project(x: &Tensor, weight: &Var, bias: &Option<Var>) -> Tensor {
    let y = weight.get().matmul(x);
    match bias {
        Some(bias) => y + column(bias),
        None => y,
    }
}

/// A bias beside a batch of columns.
fn column(bias: &Var) -> Tensor {
    let bias = bias.get();
    bias.reshape_to(&[bias.shape()[0], 1])
}

/// `x[i]` of a tensor of three axes.
fn row(x: &Tensor, i: usize) -> Tensor {
    let shape = x.shape();
    x.slice_to(&[(i, i + 1), (0, shape[1]), (0, shape[2])]).reshape_to(&shape[1..])
}

/// Two `[time, hidden, batch]`, channels after channels.
fn channel_concat(a: &Tensor, b: &Tensor) -> Tensor {
    let first = |t: &Tensor| t.permute_to(&[1, 0, 2]);
    Tensor::concat(&[first(a), first(b)]).permute_to(&[1, 0, 2])
}

/// Gate `i` of `[gates * hidden, batch]`.
fn gate(x: &Tensor, i: usize, hidden: usize) -> Tensor {
    x.slice_to(&[(i * hidden, (i + 1) * hidden), (0, x.shape()[1])])
}

/// The plain recurrence `h = tanh(W_ih x + b_ih + W_hh h + b_hh)`.
/// Source: Elman, "Finding structure in time" (1990).
#[derive(Clone, Debug, Module)]
pub struct Rnn {
    #[module(flatten)]
    stack: Stack,
    /// Whether relu stands in the place of tanh.
    pub relu: bool,
}

impl Rnn {
    /// Weights uniform within `1 / sqrt(hidden)`.
    ///
    /// # Panics
    /// If `hidden` or the number of layers is 0.
    #[must_use]
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, options: RecurrentOptions, device: &Device) -> Rnn {
        Rnn { stack: Stack::new(1, inputs, hidden, options, device), relu: false }
    }

    /// With relu in the place of tanh.
    #[must_use]
    pub fn with_relu(self) -> Rnn {
        Rnn { relu: true, ..self }
    }

    /// All outputs `[batch, time, directions * hidden]` and the last state `[layers * directions, batch, hidden]`; the
    /// first state is zero if none is given.
    ///
    /// # Panics
    /// If the shapes do not fit or there is no time.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> (Tensor, Tensor) {
        let step = |x: &Tensor, w: &RecurrentWeights, h: &[Tensor]| {
            let sum = x + &w.weight_hh.get().matmul(&h[0]);
            vec![if self.relu { sum.relu() } else { sum.tanh() }]
        };
        let state: Vec<&Tensor> = state.into_iter().collect();
        let (y, mut last) = self.stack.run("Rnn", x, &state, &Kind { parts: 1, joint: true, step: &step });
        (y, last.remove(0))
    }
}

/// Gated recurrent units: `r, z` from sigmoids, `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h = (1 - z) n + z h`.
/// Source: Cho and others, "Learning phrase representations" (2014), in PyTorch's form.
#[derive(Clone, Debug, Module)]
pub struct Gru {
    #[module(flatten)]
    stack: Stack,
}

impl Gru {
    /// Weights uniform within `1 / sqrt(hidden)`.
    ///
    /// # Panics
    /// If `hidden` or the number of layers is 0.
    #[must_use]
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, options: RecurrentOptions, device: &Device) -> Gru {
        Gru { stack: Stack::new(3, inputs, hidden, options, device) }
    }

    /// As [`Rnn::forward`].
    ///
    /// # Panics
    /// If the shapes do not fit or there is no time.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> (Tensor, Tensor) {
        let hidden = self.stack.hidden;
        let step = |x: &Tensor, w: &RecurrentWeights, h: &[Tensor]| {
            let from_h = project(&h[0], &w.weight_hh, &w.bias_hh);
            let sum = |i| gate(x, i, hidden) + gate(&from_h, i, hidden);
            let (r, z) = (sum(0).sigmoid(), sum(1).sigmoid());
            let n = (gate(x, 2, hidden) + r * gate(&from_h, 2, hidden)).tanh();
            vec![&n + &(&z * &(&h[0] - &n))]
        };
        let state: Vec<&Tensor> = state.into_iter().collect();
        let (y, mut last) = self.stack.run("Gru", x, &state, &Kind { parts: 1, joint: false, step: &step });
        (y, last.remove(0))
    }
}

/// Long short-term memory: `i, f, o` from sigmoids, `g` from tanh, `c = f c + i g`, `h = o tanh(c)`.
/// Source: Hochreiter and Schmidhuber (1997), with the forget gate of Gers and others (1999), in PyTorch's form.
#[derive(Clone, Debug, Module)]
pub struct Lstm {
    #[module(flatten)]
    stack: Stack,
}

impl Lstm {
    /// Weights uniform within `1 / sqrt(hidden)`.
    ///
    /// # Panics
    /// If `hidden` or the number of layers is 0.
    #[must_use]
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, options: RecurrentOptions, device: &Device) -> Lstm {
        Lstm { stack: Stack::new(4, inputs, hidden, options, device) }
    }

    /// All outputs `[batch, time, directions * hidden]` and the last states `(h, c)`, each
    /// `[layers * directions, batch, hidden]`; the first ones are zero if none are given.
    ///
    /// # Panics
    /// If the shapes do not fit or there is no time.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let hidden = self.stack.hidden;
        let step = |x: &Tensor, w: &RecurrentWeights, state: &[Tensor]| {
            let sum = x + &w.weight_hh.get().matmul(&state[0]);
            let (i, f) = (gate(&sum, 0, hidden).sigmoid(), gate(&sum, 1, hidden).sigmoid());
            let (g, o) = (gate(&sum, 2, hidden).tanh(), gate(&sum, 3, hidden).sigmoid());
            let c = f * &state[1] + i * g;
            vec![o * c.tanh(), c]
        };
        let state: Vec<&Tensor> = state.into_iter().flat_map(|(h, c)| [h, c]).collect();
        let (y, mut last) = self.stack.run("Lstm", x, &state, &Kind { parts: 2, joint: true, step: &step });
        let c = last.remove(1);
        (y, (last.remove(0), c))
    }
}
