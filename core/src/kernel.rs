//! Kernels: what a backend executes. A few families, each plain data, no closures: a backend may interpret them,
//! turn them into shader text, or hand them to another library.
//!
//! Every kernel runs over an iteration space `outer x inner`. Its *core* (a matrix product, a convolution, ...) gives
//! one number per point of `outer`, read in the body as [`Inst::Core`]; a plain map or reduction has no core. The *body*
//! is a list of instructions in single-assignment form: instruction `i` writes register `i`. An instruction lives on
//! the inner level (one value per point of `outer x inner`) or on the outer level (one per point of `outer`);
//! reductions take inner values to outer ones, and outer values may be used on the inner level. So softmax is one
//! kernel: max, exp, sum over a row, and again a value per element.
//!
//! Invariants (checked by [`Kernel::verify`]): registers are defined before use and types fit; views have the level's
//! shape; outputs do not overlap; a buffer that is read and written (`aliases`) is read only at the point that is
//! written.

mod attention;
mod cost;
mod verify;

pub use attention::{Attention, AttentionGeometry, AttentionKind};

use crate::dtype::{DType, Scalar};
use crate::scalar::{Binary, Unary};
use crate::view::{Layout, View};

/// Number of an instruction, and of the value it gives.
pub type Reg = usize;

/// One unit of work for a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Heavy part, or `Core::Map`.
    pub core: Core,
    /// The outer iteration space, with the last axis varying fastest. Rank 0 is a single point.
    pub outer: Vec<usize>,
    /// The reduced iteration space; empty if nothing is reduced.
    pub inner: Vec<usize>,
    /// Element types and lengths (in elements) of the bound input buffers.
    pub inputs: Vec<Slice>,
    /// Instructions.
    pub body: Vec<Inst>,
    /// What is written.
    pub outputs: Vec<Output>,
}

/// A typed stretch of a buffer, as a kernel sees it; the binding says which buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub len: usize,
}

/// A value that is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Output {
    /// The register; its type is the buffer's (after a `Cast` if need be).
    pub value: Reg,
    /// The bound buffer.
    pub slice: Slice,
    /// Where the value of each point goes: over `outer` for an outer value, over `outer x inner` for an inner one.
    /// One view, no mask, no two points at one element.
    pub view: View,
    /// The input that is the same stretch of the same buffer, if this is an update in place.
    pub aliases: Option<usize>,
}

/// One instruction. `Reg`s are earlier instructions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// An element of input `input`, or 0 where a mask hides it. The layout's space is `outer` or `outer x inner`.
    Load {
        /// Index into [`Kernel::inputs`].
        input: usize,
        /// Where each point's element lies.
        layout: Layout,
    },
    /// An element of input `input` at `view + index * stride`; NaN (0 for integers) if `index` is not in `0..size`.
    Gather {
        /// Index into [`Kernel::inputs`].
        input: usize,
        /// Where each point's element 0 lies.
        view: View,
        /// An i32 or u32 value.
        index: Reg,
        /// Elements per step of the index.
        stride: isize,
        /// Number of valid indices.
        size: usize,
    },
    /// The same number at every point (an outer value).
    Constant {
        /// The number, exact for its type.
        value: Scalar,
        /// Its type.
        dtype: DType,
    },
    /// `Layout::index` itself as a number (i32 or u32): how `arange` is read through views; 0 where hidden.
    Iota {
        /// The view chain that is evaluated.
        layout: Layout,
        /// I32 or U32.
        dtype: DType,
    },
    /// Bool: whether no mask of the layout hides the point.
    Inside {
        /// The view chain whose masks are asked.
        layout: Layout,
    },
    /// Philox 4x32-10 (u32): word `e % 4` of counter `(e / 4, stream, state[2], state[3])` and key `(state[0],
    /// state[1])`, for element number `e = layout.index(point)`; `state` is four u32 in input `state`.
    Random {
        /// Input with the four words of the generator's state.
        state: usize,
        /// Which random tensor of the program this is.
        stream: u32,
        /// The element's number.
        layout: Layout,
    },
    /// The core's value at this point of `outer`; of `outer x inner`, if a core has both.
    Core,
    /// One scalar map.
    Unary(Unary, Reg),
    /// One scalar map.
    Binary(Binary, Reg, Reg),
    /// `Select(condition, a, b)`: a where the bool is true, else b.
    Select(Reg, Reg, Reg),
    /// To another type; float to integer saturates, NaN becomes 0, anything to bool is `x != 0`, i32 and u32 keep bits.
    Cast(Reg, DType),
    /// The same 32 bits as another type (f32, i32, u32).
    Bitcast(Reg, DType),
    /// All inner values of an outer point, reduced in a fixed order. Empty: the operation's neutral element.
    Reduce(Reduction, Reg),
    /// Row-major number (i32) in `inner` of the first largest (smallest) value; NaN counts as largest (smallest).
    ArgReduce(Extremum, Reg),
}

/// How many values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the four reductions of that name")]
pub enum Reduction {
    Sum,
    Prod,
    /// NaN if any value is NaN.
    Max,
    /// NaN if any value is NaN.
    Min,
}

/// Which of the values is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names say it")]
pub enum Extremum {
    Max,
    Min,
}

/// The heavy part of a kernel: gives one number per point of `outer`, a product also of `outer x inner`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Core {
    /// None: the body is all there is.
    Map,
    /// `outer = [batch.., m, n]`, or `[batch.., m]` and `inner = [n]`.
    Matmul(Matmul),
    /// `outer` = shape of the result of the convolution or of its gradient.
    Conv(Conv),
    /// `outer = [batch.., numbers]`, the numbers in one axis or in several.
    Attention(Attention),
    /// `outer = [before, size, after]`: sums of updates.
    Scatter(Scatter),
    /// `outer = [rows, n]`: i32 numbers that sort each row; stable, NaN last (first if descending, as in PyTorch).
    Argsort {
        /// Input, contiguous `[rows, n]`.
        input: usize,
        /// Largest first.
        descending: bool,
    },
    /// `outer = [before, n, after]`: sums of the elements up to and including each along the middle axis.
    CumulativeSum {
        /// Input, contiguous, of the same shape.
        input: usize,
    },
}

/// `c[batch.., i, j] = sum over p of a[batch.., i, p] * b[batch.., p, j]`, accumulated in f32 (f64 for f64).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// Batch axes; the strides of an operand are 0 where it is broadcast.
    pub batch: Vec<usize>,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Left side: strides are of rows (m) and columns (k).
    pub a: Operand,
    /// Right side: strides are of rows (k) and columns (n).
    pub b: Operand,
}

/// A batch of matrices inside an input buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Index into [`Kernel::inputs`].
    pub input: usize,
    /// Element number of the first matrix' first element.
    pub offset: usize,
    /// Elements per step of each batch axis.
    pub batch_strides: Vec<usize>,
    /// Elements per row.
    pub row_stride: usize,
    /// Elements per column.
    pub column_stride: usize,
}

/// A convolution (cross-correlation, as in PyTorch) or one of its gradients; 1 to 3 spatial axes, all contiguous:
/// `x [batch, c_in, size..]`, `w [c_out, c_in / groups, taps..]`, `y [batch, c_out, out..]`.
///
/// `y[b, o, p..] = sum over i, t.. of x[b, i, p * stride + t * dilation - padding] * w[o, i, t..]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Which of the three products.
    pub kind: ConvKind,
    /// First operand as an index into inputs: x (Forward), dy (InputGradient), x (WeightGradient).
    pub a: usize,
    /// Second operand as an index into inputs: w (Forward), w (InputGradient), dy (WeightGradient).
    pub b: usize,
    /// Sizes and steps.
    pub geometry: ConvGeometry,
}

/// Which product of x, w and dy a [`Conv`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names say it")]
pub enum ConvKind {
    Forward,
    InputGradient,
    WeightGradient,
}

/// Sizes and steps of a convolution; one entry per spatial axis where a `Vec`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "PyTorch's names")]
pub struct ConvGeometry {
    pub batch: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub groups: usize,
    /// Spatial sizes of x.
    pub input: Vec<usize>,
    /// Taps of w.
    pub taps: Vec<usize>,
    /// Spatial sizes of y.
    pub output: Vec<usize>,
    pub stride: Vec<usize>,
    /// Zeros before each axis; those after it follow from `output`.
    pub padding: Vec<usize>,
    pub dilation: Vec<usize>,
}

/// `out[i, s, k] = sum over j, in rising order, of updates[i, j, k] where index[i, j, k] = s`; indices outside
/// of `0..size` are dropped. `outer = [before, size, after]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scatter {
    /// Indices (i32 or u32) and where `[before, count, after]` lies in them (after may have stride 0).
    pub index: (usize, View),
    /// Updates and where `[before, count, after]` lies in them.
    pub updates: (usize, View),
}

impl Kernel {
    /// The element type of every register.
    ///
    /// # Panics
    /// If an instruction uses a register that is not defined before it.
    #[must_use]
    pub fn dtypes(&self) -> Vec<DType> {
        let mut types: Vec<DType> = Vec::with_capacity(self.body.len());
        for inst in &self.body {
            types.push(match *inst {
                Inst::Load { input, .. } | Inst::Gather { input, .. } => self.inputs[input].dtype,
                Inst::Constant { dtype, .. } | Inst::Iota { dtype, .. } => dtype,
                Inst::Inside { .. } => DType::Bool,
                Inst::Random { .. } => DType::U32,
                Inst::Core => self.core_dtype(),
                Inst::Unary(op, x) => op.result(types[x]),
                Inst::Binary(op, x, _) => op.result(types[x]),
                Inst::Select(_, x, _) | Inst::Reduce(_, x) => types[x],
                Inst::Cast(_, dtype) | Inst::Bitcast(_, dtype) => dtype,
                Inst::ArgReduce(..) => DType::I32,
            });
        }
        types
    }

    /// The type of [`Inst::Core`]: products are f32 for f16 operands, before the epilogue rounds them.
    #[must_use]
    pub fn core_dtype(&self) -> DType {
        let accumulate = |input: usize| match self.inputs[input].dtype {
            DType::F16 => DType::F32,
            other => other,
        };
        match &self.core {
            Core::Map => DType::F32,
            Core::Matmul(p) => accumulate(p.a.input),
            Core::Conv(p) => accumulate(p.a),
            Core::Attention(p) => accumulate(p.operands[0].input),
            Core::Scatter(p) => accumulate(p.updates.0),
            Core::Argsort { .. } => DType::I32,
            Core::CumulativeSum { input } => accumulate(*input),
        }
    }

    /// For every register, whether it has one value per point of `outer x inner` (else one per point of `outer`).
    #[must_use]
    pub fn is_inner(&self) -> Vec<bool> {
        let full = self.outer.len() + self.inner.len();
        let wide = |shape: &[usize]| !self.inner.is_empty() && shape.len() == full;
        let mut inner: Vec<bool> = Vec::with_capacity(self.body.len());
        for inst in &self.body {
            inner.push(match inst {
                Inst::Load { layout, .. } | Inst::Iota { layout, .. } => wide(layout.shape()),
                Inst::Inside { layout } | Inst::Random { layout, .. } => wide(layout.shape()),
                Inst::Gather { view, index, .. } => wide(&view.shape) || inner[*index],
                Inst::Constant { .. } | Inst::Reduce(..) | Inst::ArgReduce(..) => false,
                Inst::Core => !self.inner.is_empty(),
                Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => inner[*x],
                Inst::Binary(_, x, y) => inner[*x] || inner[*y],
                Inst::Select(c, x, y) => inner[*c] || inner[*x] || inner[*y],
            });
        }
        inner
    }

    /// Number of points of `outer`.
    #[must_use]
    pub fn outer_len(&self) -> usize {
        self.outer.iter().product()
    }

    /// Number of points of `inner`: 1 if nothing is reduced.
    #[must_use]
    pub fn inner_len(&self) -> usize {
        self.inner.iter().product()
    }
}
