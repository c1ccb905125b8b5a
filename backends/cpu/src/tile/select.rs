//! The choices of `prepare`: which shape a kernel runs in, how many lanes a tile has, where registers live, what it costs.

use anygrad_core::kernel::{Core, Inst, Kernel};
use anygrad_core::scalar::{Binary, Unary};

use super::load::{Access, Split};
use super::{Accumulator, Op, Register, Shape, Stage, What};

/// Longest row that is held whole in a tile.
const WHOLE_ROW: usize = 4096;

/// How a kernel's points become lanes.
pub(super) struct Choice {
    pub(super) shape: Shape,
}

impl Choice {
    pub(super) fn split(&self) -> Split {
        match self.shape {
            Shape::Rows => Split::Both,
            Shape::Long => Split::Inner,
            Shape::Columns => Split::Outer,
        }
    }
}

/// Columns where neighbouring lanes of `outer` lie side by side, or where rows are too short for vectors.
pub(super) fn choose(kernel: &Kernel) -> Choice {
    let (outer, inner) = (kernel.outer_len(), kernel.inner_len());
    if kernel.inner.is_empty() || inner == 0 || outer == 0 {
        return Choice { shape: Shape::Rows };
    }
    let rank = kernel.outer.len();
    let last = |shape: &[usize], strides: &[isize]| {
        (0..shape.len()).rev().find(|&a| shape[a] > 1).map_or(0, |a| strides[a].abs())
    };
    // A product's rows lie side by side.
    let (mut rows, mut columns) = (usize::from(kernel.core != Core::Map), 0);
    for inst in &kernel.body {
        if let Inst::Load { layout, .. } = inst
            && layout.shape().len() > rank
        {
            let view = &layout.views()[0];
            let along_row = last(&view.shape[rank..], &view.strides[rank..]);
            let along_column = last(&view.shape[..rank], &view.strides[..rank]);
            rows += usize::from(along_row == 1);
            columns += usize::from(along_column == 1 && along_row != 1);
        }
    }
    let shape = if inner < 16 && outer >= 8 || columns > rows && outer >= 32 {
        Shape::Columns
    } else if inner <= WHOLE_ROW {
        Shape::Rows
    } else {
        Shape::Long
    };
    Choice { shape }
}

/// Lanes per register: as many as let all registers stay in 32 KiB, but at least 256.
pub(super) fn lanes(shape: Shape, inner: usize, outer: usize, bytes_per_lane: usize) -> usize {
    let mut lanes = 1024;
    while lanes > 256 && lanes * bytes_per_lane > 32 * 1024 {
        lanes /= 2;
    }
    match shape {
        Shape::Rows => lanes.max(inner),
        Shape::Long => lanes,
        // Long columns are split along `inner`: whole lines of memory are read at once.
        Shape::Columns if inner >= MANY_ROWS => lanes.min(outer.next_multiple_of(64)),
        // Few short columns: smaller tiles, so that threads have something to share.
        Shape::Columns => lanes.min(outer.div_ceil(4).next_multiple_of(64)).max(64),
    }
}

/// Rows from which on a few columns are summed up in chunks.
const MANY_ROWS: usize = 256;

/// Steps per chunk where a stage must be cut along `inner`, because tiles of `outer` are too few to share.
pub(super) fn chunk(shape: Shape, outer: usize, inner: usize, rows: usize, nanoseconds: usize) -> Option<usize> {
    let tiles = outer.div_ceil(rows.max(1));
    if shape == Shape::Rows || tiles >= 16 {
        return None;
    }
    // About 8 us of work per chunk, at most 64 chunks.
    let chunks = (nanoseconds / tiles / 8_000).clamp(1, 64);
    if shape == Shape::Columns && inner >= MANY_ROWS {
        // A power of two, so that blocks of a product's rows are whole chunks: then its tasks sum them up (`crate::carry`).
        return Some(inner.div_ceil(chunks.next_power_of_two().max(8)).next_multiple_of(32));
    }
    // Whole tiles for long rows.
    let unit = if shape == Shape::Long { 1024 } else { 32 };
    let chunk = inner.div_ceil(chunks).next_multiple_of(unit);
    (nanoseconds >= 20_000 && inner > chunk).then_some(chunk)
}

/// Registers an operation reads.
pub(super) fn reads(op: &Op, accumulators: &[Accumulator]) -> Vec<Register> {
    match op.what {
        What::Unary(_, _, x) | What::Cast(_, _, x) => vec![x],
        What::Copy { from: x, .. } | What::Expand { from: x, .. } => vec![x],
        What::Reduce(_, _, x) | What::ArgReduce(_, _, x) | What::Gather { index: x, .. } => vec![x],
        What::Binary(_, _, x, y) => vec![x, y],
        What::Select { condition, yes, no, .. } => vec![condition, yes, no],
        What::Accumulate(number) => vec![accumulators[number].source],
        What::SumColumns { .. } => vec![],
        What::Store { .. } => vec![op.result],
        What::Fused(ref fused) => fused.inputs.clone(),
        _ => vec![],
    }
}

/// Registers whose slots an operation writes.
pub(super) fn writes(op: &Op) -> &[Register] {
    match &op.what {
        What::Store { .. } | What::Accumulate(_) | What::SumColumns { .. } | What::Aim { .. } => &[],
        What::Fused(fused) => &fused.outputs,
        _ => std::slice::from_ref(&op.result),
    }
}

/// A slot per register, and the number of slots: registers of straight code reuse slots of dead ones, never one that
/// the same operation reads. Constants, accumulators and outer values of loops keep theirs.
pub(super) fn assign_slots(
    registers: usize,
    stages: &[Stage],
    after: &[Op],
    constants: &[(Register, u64, bool)],
    accumulators: &[Accumulator],
    shape: Shape,
) -> (Vec<usize>, usize) {
    let mut slots = vec![usize::MAX; registers];
    let mut count = 0;
    let mut pin = |register: Register, slots: &mut Vec<usize>| {
        if slots[register] == usize::MAX {
            slots[register] = count;
            count += 1;
        }
    };
    constants.iter().for_each(|&(register, ..)| pin(register, &mut slots));
    for a in accumulators {
        [a.result, a.value, a.second].into_iter().for_each(|register| pin(register, &mut slots));
    }
    if shape != Shape::Rows {
        stages.iter().flat_map(|s| &s.before).flat_map(writes).for_each(|&register| pin(register, &mut slots));
    }
    after.iter().flat_map(writes).for_each(|&register| pin(register, &mut slots));
    let pinned = slots.clone();
    let mut free: Vec<usize> = Vec::new();
    for stage in stages {
        let code = if shape == Shape::Rows { &stage.before } else { &stage.each };
        let mut last_use = vec![0; registers];
        for (time, op) in code.iter().enumerate() {
            reads(op, accumulators).into_iter().for_each(|register| last_use[register] = time);
        }
        for (time, op) in code.iter().enumerate() {
            for &register in writes(op) {
                if slots[register] == usize::MAX {
                    slots[register] = free.pop().unwrap_or_else(|| {
                        count += 1;
                        count - 1
                    });
                }
            }
            let mut dead = reads(op, accumulators);
            dead.extend(writes(op));
            dead.sort_unstable();
            dead.dedup();
            for register in dead {
                if last_use[register] <= time && pinned[register] == usize::MAX && slots[register] != usize::MAX {
                    free.push(slots[register]);
                }
            }
        }
    }
    for slot in &mut slots {
        if *slot == usize::MAX {
            *slot = 0;
        }
    }
    (slots, count.max(1))
}

/// Estimated nanoseconds on one thread, from measured rates of AVX-512 loops in the first-level cache.
pub(super) fn cost(kernel: &Kernel, stages: &[Stage], accesses: &[Access]) -> usize {
    let (outer, inner) = (kernel.outer_len() as f64, kernel.inner_len() as f64);
    let weigh = |op: &Op| {
        let one = match op.what {
            What::Load { access, .. } => match &accesses[access] {
                a if !a.chain.is_empty() => 6.0,
                a if a.lanes.uniform() == Some(1) => 0.1,
                _ => 0.4,
            },
            What::Gather { .. } => 1.0,
            What::Random { .. } => 4.0,
            What::Iota { .. } | What::Inside { .. } => 0.5,
            What::Unary(Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Erf, ..) => 1.0,
            What::Unary(Unary::Exp | Unary::Ln | Unary::ExpM1 | Unary::Ln1p | Unary::Atan, ..) => 0.5,
            What::Binary(Binary::Pow | Binary::Rem, ..) => 10.0,
            What::Fused(ref fused) => 0.05 + 0.01 * fused.operations as f64,
            _ => 0.06,
        };
        one * if op.inner { outer * inner } else { outer }
    };
    stages.iter().flat_map(|s| s.before.iter().chain(&s.each)).map(weigh).sum::<f64>() as usize
}
