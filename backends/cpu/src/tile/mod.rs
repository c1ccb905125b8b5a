//! Fused kernels: the body of a kernel run over tiles of lanes that stay in the first-level cache.
//!
//! `prepare` turns a body into a [`Program`]: operations on numbered tile registers, in one of four shapes.
//! - rows: whole rows of `inner` in one tile, all instructions once, reductions per row (also plain maps: rows of 1);
//! - long: one row after the other, in tiles along `inner`, once per stage (a stage ends with its reductions);
//! - columns: lanes are neighbouring points of `outer`, one step per point of `inner`, once per stage;
//! - split: long or columns whose stages are cut along `inner` into fixed chunks for several threads.
//!
//! `execute` runs operations on one tile, each a loop that becomes vector code; it is compiled for AVX-512, AVX2 and
//! the baseline, and chosen at run time. Chunks depend on shapes alone, so results do not depend on threads.

mod accumulate;
mod blocks;
mod drive;
mod execute;
pub(crate) mod float;
mod fuse;
mod load;
mod maps;
pub(crate) mod math;
mod moves;
mod prepare;
mod reduce;
mod select;

use anygrad_core::DType;
use anygrad_core::kernel::{Extremum, Reduction};
use anygrad_core::scalar::{Binary, Unary};

pub(crate) use drive::Io;
#[cfg(target_arch = "x86_64")]
pub(crate) use execute::level;
use load::Access;
pub(crate) use prepare::prepare;

/// Number of a tile register.
type Register = usize;

/// How a lane is held: f16 as f32, bool as u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    F32,
    F64,
    I32,
    U32,
}

impl Lane {
    pub(crate) fn of(dtype: DType) -> Lane {
        match dtype {
            DType::F32 | DType::F16 => Lane::F32,
            DType::F64 => Lane::F64,
            DType::I32 => Lane::I32,
            DType::U32 | DType::Bool => Lane::U32,
        }
    }
}

/// One operation on whole tiles.
#[derive(Clone, Debug)]
struct Op {
    /// Lanes are those of the inner level.
    inner: bool,
    result: Register,
    what: What,
}

/// Where a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Input(usize),
    Core,
}

#[derive(Clone, Debug)]
enum What {
    Load {
        source: Source,
        access: usize,
        dtype: DType,
        copy: bool,
    },
    Gather {
        input: usize,
        access: usize,
        index: Register,
        signed: bool,
        stride: isize,
        size: usize,
        dtype: DType,
    },
    Iota {
        access: usize,
    },
    Inside {
        access: usize,
    },
    Random {
        state: usize,
        stream: u32,
        access: usize,
    },
    Unary(Unary, Lane, Register),
    Binary(Binary, Lane, Register, Register),
    Select {
        wide: bool,
        condition: Register,
        yes: Register,
        no: Register,
    },
    Cast(Lane, DType, Register),
    Copy {
        wide: bool,
        from: Register,
    },
    /// An outer value repeated for every lane of its row.
    Expand {
        wide: bool,
        from: Register,
    },
    /// Per row of a tile of whole rows.
    Reduce(Reduction, Lane, Register),
    ArgReduce(Extremum, Lane, Register),
    /// Into the accumulator of that number.
    Accumulate(usize),
    /// All steps of a chunk at once: columns of f32 that lie side by side are added up as they are (see `accumulate::columns`).
    SumColumns {
        accumulator: usize,
        input: usize,
        access: usize,
    },
    Store {
        output: usize,
        access: usize,
        dtype: DType,
    },
    /// Points the register at where the lanes of an output lie.
    Aim {
        output: usize,
        access: usize,
    },
    /// A run of operations that was assembled.
    Fused(Box<fuse::Fused>),
}

/// What a reduction over several tiles keeps: one value per outer lane.
#[derive(Clone, Debug)]
struct Accumulator {
    how: How,
    lane: Lane,
    /// Of this stage.
    stage: usize,
    source: Register,
    /// The outer register that gets the result.
    result: Register,
    /// Lanes of type `lane`.
    value: Register,
    /// f64 sums that `value` is flushed to, or i32 numbers of the best values.
    second: Register,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Reduce(Reduction),
    Arg(Extremum),
}

impl Accumulator {
    /// Whether f32 values are summed up (multiplied) into f64 ones.
    fn is_wide(&self) -> bool {
        self.lane == Lane::F32 && matches!(self.how, How::Reduce(Reduction::Sum | Reduction::Prod))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Rows,
    Long,
    Columns,
}

/// Between two barriers of a row.
#[derive(Clone, Debug, Default)]
struct Stage {
    /// On the outer level, before the loop over `inner`.
    before: Vec<Op>,
    /// For every step of the loop.
    each: Vec<Op>,
}

/// A body made ready.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    shape: Shape,
    outer: usize,
    inner: usize,
    /// Lanes of a register.
    lanes: usize,
    /// Outer points of a tile (rows, or lanes of columns).
    rows: usize,
    /// Steps of `inner` (elements of long rows, points of columns) per chunk, if stages are split.
    chunk: Option<usize>,
    accesses: Vec<Access>,
    constants: Vec<(Register, u64, bool)>,
    /// For rows: one stage whose `before` is everything.
    stages: Vec<Stage>,
    accumulators: Vec<Accumulator>,
    /// Outer stores, at the very end.
    after: Vec<Op>,
    /// Which slot each register starts in.
    slots: Vec<usize>,
    slot_bytes: usize,
    /// Bytes of scratch per thread.
    pub(crate) scratch: usize,
    /// Bytes of shared workspace (0 unless split).
    pub(crate) shared: usize,
    /// Estimated nanoseconds on one thread.
    pub(crate) nanoseconds: usize,
}
