//! The closed set of primitives: everything a graph can say. All else is composed from these.
//!
//! An operation's meaning in f64 stands in `reference.rs`, its gradient in `grad.rs`, its place in a kernel in
//! `schedule/`. Shapes are those of the node that carries the operation; axes count from 0 and are never negative here.

use std::sync::Arc;

use crate::dtype::{DType, Scalar};
use crate::kernel::{AttentionGeometry, AttentionKind, ConvGeometry, ConvKind, Extremum, Reduction};
use crate::scalar::{Binary, Unary};
use crate::tensor::Tensor;
use crate::var::Storage;

/// A primitive; a node's inputs are named in the order given here. Small, since every node of every graph has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Numbers already on the device (in a tensor), or external buffer number `k` (in a graph). No inputs.
    Input(usize),
    /// Argument number `k` of the program that is being traced. No inputs.
    Argument(usize),
    /// All of a variable's storage, flat, as it was when the program's run began. No inputs.
    State(Arc<Storage>),
    /// The same number everywhere. No inputs.
    Constant(Scalar),
    /// Row-major numbers 0, 1, 2, ... (i32 or u32). No inputs.
    Iota,
    /// Random u32 words from `state: [4]` (see [`crate::kernel::Inst::Random`]).
    Random {
        /// Which random tensor of the program this is.
        stream: u32,
    },
    /// One scalar map of `x`.
    Unary(Unary),
    /// One scalar map of `x`, `y` of the same shape and type.
    Binary(Binary),
    /// `condition ? a : b`, all of one shape.
    Select,
    /// To the node's type.
    Cast,
    /// The same 32 bits as the node's type.
    Bitcast,
    /// The same numbers in the node's shape.
    Reshape,
    /// Axis `i` of the result is axis `axes[i]` of `x`.
    Permute(Vec<usize>),
    /// Axes of size 1 repeated up to the node's shape (same rank).
    Expand,
    /// `start..end` of each axis.
    Slice(Vec<(usize, usize)>),
    /// Elements before and after each axis, all equal to `value`.
    Pad {
        /// Numbers of new elements before and after each axis.
        padding: Vec<(usize, usize)>,
        /// What they are.
        value: Scalar,
    },
    /// The given axes backwards.
    Flip(Vec<usize>),
    /// Sliding windows along `axis`, whose taps become a new last axis.
    Windows {
        /// The axis.
        axis: usize,
        /// Taps per window.
        size: usize,
        /// Elements from one window to the next.
        stride: usize,
        /// Elements from one tap to the next.
        dilation: usize,
    },
    /// All inputs one after the other along axis 0.
    Concat,
    /// Over these axes (rising), which vanish.
    Reduce(Reduction, Vec<usize>),
    /// The number (i32) of the first extreme element along this axis, which vanishes. NaN counts as extreme.
    ArgReduce(Extremum, usize),
    /// Sums up to and including each element along this axis.
    CumulativeSum(usize),
    /// `out[.., i, ..] = x[.., index[.., i, ..], ..]`; `x`, `index` have one rank and agree but for this axis.
    /// An index outside of the axis gives NaN (0 for integers).
    Gather(usize),
    /// `index`, `updates` of one shape: zeros of the node's shape plus each update at its index along this axis.
    /// An index outside of the axis is dropped.
    ScatterAdd(usize),
    /// Numbers (i32) that sort the last axis, stable.
    Argsort {
        /// Largest first.
        descending: bool,
    },
    /// `a [batch.., m, k]` times `b [batch.., k, n]`, the same batch axes.
    Matmul,
    /// A convolution of `x`, `w` or one of its gradients (see [`crate::kernel::Conv`] for the operands).
    Conv(ConvKind, Arc<ConvGeometry>),
    /// Attention or its gradients (see [`crate::kernel::Attention`]): from `[batch.., rows, columns]` each to
    /// `[batch.., numbers]`.
    Attention(AttentionKind, Arc<AttentionGeometry>),
    /// `x` itself; no gradient passes.
    Detach,
    /// The first input itself, with a gradient of its own for the others. Graphs do not contain it.
    Rule(Rule),
}

/// A gradient written by hand for a composed operation, where the derived one would keep or compute more than it must.
/// The case table holds it against central differences like any other gradient.
#[derive(Clone)]
pub struct Rule {
    /// The operation's name, for messages.
    pub name: &'static str,
    /// From `dy` and `y` to the gradient of each input after the first.
    pub gradient: Arc<GradientFn>,
}

/// What a [`Rule`] computes: `(dy, y)` to one gradient per differentiated input.
pub type GradientFn = dyn Fn(&Tensor, &Tensor) -> Vec<Tensor> + Send + Sync;

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        Arc::ptr_eq(&self.gradient, &other.gradient)
    }
}

impl Eq for Rule {}

impl std::hash::Hash for Rule {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule({})", self.name)
    }
}

impl Op {
    /// A short name for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Argument(_) => "argument",
            Op::State(_) => "state",
            Op::Constant(_) => "constant",
            Op::Iota => "iota",
            Op::Random { .. } => "random",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Select => "select",
            Op::Cast => "cast",
            Op::Bitcast => "bitcast",
            Op::Reshape => "reshape",
            Op::Permute(_) => "permute",
            Op::Expand => "expand",
            Op::Slice(_) => "slice",
            Op::Pad { .. } => "pad",
            Op::Flip(_) => "flip",
            Op::Windows { .. } => "windows",
            Op::Concat => "concat",
            Op::Reduce(Reduction::Sum, _) => "sum",
            Op::Reduce(Reduction::Prod, _) => "prod",
            Op::Reduce(Reduction::Max, _) => "max",
            Op::Reduce(Reduction::Min, _) => "min",
            Op::ArgReduce(Extremum::Max, _) => "argmax",
            Op::ArgReduce(Extremum::Min, _) => "argmin",
            Op::CumulativeSum(_) => "cumulativesum",
            Op::Gather(_) => "gather",
            Op::ScatterAdd(_) => "scatteradd",
            Op::Argsort { .. } => "argsort",
            Op::Matmul => "matmul",
            Op::Conv(ConvKind::Forward, _) => "conv forward",
            Op::Conv(ConvKind::InputGradient, _) => "conv inputgradient",
            Op::Conv(ConvKind::WeightGradient, _) => "conv weightgradient",
            Op::Attention(AttentionKind::Forward, _) => "attention forward",
            Op::Attention(AttentionKind::Gradient, _) => "attention gradient",
            Op::Detach => "detach",
            Op::Rule(rule) => rule.name,
        }
    }

    /// Whether this only changes where elements are found.
    #[must_use]
    pub fn is_movement(&self) -> bool {
        matches!(self, Op::Reshape | Op::Permute(_) | Op::Expand | Op::Slice(_) | Op::Flip(_) | Op::Windows { .. })
    }
}

/// The element type that index results have.
pub const INDEX: DType = DType::I32;
