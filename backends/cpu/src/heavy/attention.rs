//! Attention and its gradients in one pass over the keys per 16 queries; the scores exist for 128 keys at a time.
//!
//! Who does what: forward, tasks are blocks of queries; gradient, tasks are whole matrices (all three results from one
//! look at the scores), or, where matrices are fewer than threads, first blocks of queries for dq and then blocks of
//! keys for dk and dv. Sums run over keys and queries in the same order and the same chunks either way, so results do
//! not depend on threads. Keys that no query of a panel sees are skipped.
//! Source: Dao, "FlashAttention-2" (2023).
#![expect(unsafe_code, reason = "panels are raw memory")]

use anygrad_core::DType;
use anygrad_core::kernel::{Attention, AttentionGeometry, AttentionKind, Kernel, Operand};

use super::Job;
use super::panel::{LANES, Loops, Number, Row};
use super::real::{Matrix, clear};
use crate::crew::Crew;

/// Keys whose scores exist at a time: with their k and v of 32 columns they fill a first-level cache of 32 KiB.
const CHUNK: usize = 128;
/// Panels of queries per task.
const PANELS: usize = 4;

/// A prepared attention.
#[derive(Debug)]
pub(crate) struct Flash {
    p: Attention,
    dtype: DType,
    batches: usize,
    /// Gradients of a matrix in one task.
    whole: bool,
    nanoseconds: usize,
}

/// Where the operands of one matrix lie, and their sizes.
struct Task<'a, T> {
    g: &'a AttentionGeometry,
    operands: [Matrix<T>; 6],
    /// The results of this matrix.
    result: *mut T,
    /// This thread's panels.
    room: *mut T,
}

impl Flash {
    pub(super) fn new(kernel: &Kernel, p: &Attention, threads: usize) -> Flash {
        let (g, batches) = (&p.geometry, p.batch.iter().product::<usize>());
        let pairs = g.queries * g.keys / if g.causal && g.keys > LANES { 2 } else { 1 };
        let terms = match p.kind {
            AttentionKind::Forward => g.width + g.out,
            AttentionKind::Gradient => 3 * g.width + 2 * g.out,
        };
        let dtype = kernel.inputs[p.operands[0].input].dtype;
        let nanoseconds = batches * pairs * (terms / 20 + 1);
        Flash { p: p.clone(), dtype, batches, whole: batches >= threads, nanoseconds }
    }

    /// Columns of k and of v, rounded up to whole panels.
    fn padded(&self) -> (usize, usize) {
        (self.p.geometry.width.next_multiple_of(LANES), self.p.geometry.out.next_multiple_of(LANES))
    }

    /// Bytes of panels per thread.
    pub(super) fn scratch(&self) -> usize {
        let (width, out) = self.padded();
        let numbers = match self.p.kind {
            AttentionKind::Forward => LANES * (width + out + CHUNK),
            AttentionKind::Gradient => {
                let keys = if self.whole { self.p.geometry.keys.max(CHUNK) } else { CHUNK };
                LANES * (3 * width + 2 * out + 2 * CHUNK) + keys * (width + out)
            }
        };
        numbers * if self.dtype == DType::F64 { 8 } else { 4 }
    }

    pub(super) fn explain(&self) -> String {
        let (g, batches) = (&self.p.geometry, self.batches);
        let way = if self.whole { "matrices" } else { "blocks" };
        format!("attention {:?} {batches} x {}x{} of {}, {way}", self.p.kind, g.queries, g.keys, g.width)
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        match self.dtype {
            DType::F64 => self.compute::<f64>(crew, job),
            _ => self.compute::<f32>(crew, job),
        }
    }

    fn task<T>(&self, job: &Job<'_>, batch: usize, scratch: *mut u8) -> Task<'_, T> {
        let matrix = |o: &Operand| {
            let (mut rest, mut at) = (batch, o.offset);
            for (&size, &stride) in self.p.batch.iter().zip(&o.batch_strides).rev() {
                at += rest % size * stride;
                rest /= size;
            }
            let start = job.io.inputs[o.input].get().cast::<T>().wrapping_add(at);
            Matrix { start, row: o.row_stride, column: o.column_stride }
        };
        let operands = std::array::from_fn(|k| matrix(&self.p.operands[k.min(self.p.operands.len() - 1)]));
        let result = job.io.core.get().cast::<T>().wrapping_add(batch * self.p.geometry.length(self.p.kind));
        Task { g: &self.p.geometry, operands, result, room: scratch.wrapping_add(job.room).cast() }
    }

    fn compute<T: Number>(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let loops = T::loops();
        let (g, length) = (&self.p.geometry, self.p.geometry.length(self.p.kind));
        let total = self.nanoseconds + job.body.map_or(0, |body| body.nanoseconds);
        let blocks = g.queries.div_ceil(PANELS * LANES);
        let rows = |block: usize| (block * PANELS * LANES, ((block + 1) * PANELS * LANES).min(g.queries));
        if self.p.kind == AttentionKind::Forward {
            return crew.run(self.batches * blocks, total, |task, scratch| {
                let (batch, (from, to)) = (task / blocks, rows(task % blocks));
                // SAFETY: verified operands; this task alone writes these rows, and the scratch is its thread's.
                unsafe { forward(&loops, &self.task(job, batch, scratch), from, to) };
                job.finish(scratch, batch * length + from * g.out, batch * length + to * g.out);
                let logarithms = batch * length + g.queries * g.out;
                job.finish(scratch, logarithms + from, logarithms + to);
            });
        }
        if self.whole {
            return crew.run(self.batches, total, |batch, scratch| {
                let task = self.task(job, batch, scratch);
                // SAFETY: as above; the whole matrix is this task's.
                unsafe { gradient(&loops, &task, (0, g.queries), (0, g.keys), [true, true]) };
                job.finish(scratch, batch * length, (batch + 1) * length);
            });
        }
        let ran = crew.run(self.batches * blocks, total, |task, scratch| {
            let (batch, rows) = (task / blocks, rows(task % blocks));
            // SAFETY: as above; dq of these rows.
            unsafe { gradient(&loops, &self.task(job, batch, scratch), rows, (0, g.keys), [true, false]) };
        });
        let chunks = g.keys.div_ceil(CHUNK);
        let ran = ran
            && crew.run(self.batches * chunks, total, |task, scratch| {
                let (batch, from) = (task / chunks, task % chunks * CHUNK);
                let keys = (from, (from + CHUNK).min(g.keys));
                // SAFETY: as above; dk and dv of these keys.
                unsafe { gradient(&loops, &self.task(job, batch, scratch), (0, g.queries), keys, [false, true]) };
            });
        ran && job.finish_all(crew)
    }
}

/// `panel[c][lane] = factor * matrix[first + lane][c]`, zeros in lanes beyond `count`.
///
/// # Safety
/// The rows must be inside of the matrix, the panel this thread's.
unsafe fn transpose<T: Number>(x: Matrix<T>, first: usize, count: usize, columns: usize, factor: T, panel: *mut T) {
    for column in 0..columns {
        let mut row = [T::default(); LANES];
        for (lane, to) in row.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *to = factor * unsafe { *x.start.add((first + lane) * x.row + column * x.column) };
        }
        // SAFETY: as above.
        unsafe { panel.add(column * LANES).cast::<Row<T>>().write_unaligned(row) };
    }
}

/// `rows[lane][c] = factor * matrix[first + lane][c]`, rows `width` apart; zeros in columns beyond `columns`.
///
/// # Safety
/// As for [`transpose`].
unsafe fn rows_of<T: Number>(
    x: Matrix<T>,
    (first, count): (usize, usize),
    columns: usize,
    factor: T,
    rows: *mut T,
    width: usize,
) {
    for lane in 0..count {
        let from = x.start.wrapping_add((first + lane) * x.row);
        // SAFETY: the caller's promise: `columns` elements of a row of the matrix, `width` of this thread's room.
        let to = unsafe { std::slice::from_raw_parts_mut(rows.add(lane * width), width) };
        let (to, rest) = to.split_at_mut(columns);
        rest.fill(T::default());
        if x.column == 1 {
            // SAFETY: as above, side by side.
            let from = unsafe { std::slice::from_raw_parts(from.cast_const(), columns) };
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = factor * x);
        } else {
            // SAFETY: as above.
            to.iter_mut().enumerate().for_each(|(c, to)| *to = factor * unsafe { *from.add(c * x.column) });
        }
    }
}

/// Numbers of one column of an operand.
unsafe fn column<T: Number>(x: Matrix<T>, first: usize, count: usize) -> Row<T> {
    let mut row = [T::default(); LANES];
    for (lane, to) in row.iter_mut().enumerate().take(count) {
        // SAFETY: the rows are inside of the operand.
        *to = unsafe { *x.start.add((first + lane) * x.row) };
    }
    row
}

/// Rows `from..to` of y and their logarithms.
///
/// # Safety
/// Verified operands; nobody else uses these rows of the result, or the room.
unsafe fn forward<T: Number>(loops: &Loops<T>, task: &Task<'_, T>, from: usize, to: usize) {
    let g = task.g;
    let [q, k, v, ..] = task.operands;
    let turned = task.room;
    let sums = turned.wrapping_add(g.width * LANES);
    let scores = sums.wrapping_add(g.out * LANES);
    let scale = T::of(g.scale.0);
    for first in (from..to).step_by(LANES) {
        let count = LANES.min(to - first);
        // SAFETY: the caller's promise.
        unsafe { transpose(q, first, count, g.width, scale, turned) };
        let mut largest = [T::LOWEST; LANES];
        let mut total = [T::default(); LANES];
        let end = g.seen(first + count - 1);
        for begin in (0..end).step_by(CHUNK) {
            let keys = CHUNK.min(end - begin);
            let k = Matrix { start: k.start.wrapping_add(begin * k.row), ..k };
            // The transposed values: rows are columns of v.
            let v = Matrix { start: v.start.wrapping_add(begin * v.row), row: v.column, column: v.row };
            // SAFETY: keys `begin..begin + keys` are inside, panels are this thread's.
            unsafe {
                (loops.product)([keys, g.width], k, (turned, LANES), (scores, LANES), false);
                let panel = std::slice::from_raw_parts_mut(scores.cast::<Row<T>>(), keys);
                let factor = (loops.weigh)(panel, g.causal.then_some((begin, first)), &mut largest, &mut total);
                if begin > 0 {
                    for sum in std::slice::from_raw_parts_mut(sums.cast::<Row<T>>(), g.out) {
                        for lane in 0..LANES {
                            sum[lane] = sum[lane] * factor[lane];
                        }
                    }
                }
                (loops.product)([g.out, keys], v, (scores, LANES), (sums, LANES), begin > 0);
            }
        }
        for lane in 0..count {
            let row = task.result.wrapping_add((first + lane) * g.out);
            let divisor = T::of(1.0) / total[lane];
            for column in 0..g.out {
                // SAFETY: this row is this task's.
                unsafe { *row.add(column) = *sums.add(column * LANES + lane) * divisor };
            }
            // SAFETY: as above.
            unsafe { *task.result.add(g.queries * g.out + first + lane) = largest[lane] + total[lane].ln() };
        }
    }
}

/// For queries `from..to` and keys `low..high` (from a multiple of `CHUNK` on): dq of the queries if `wants[0]`, dk and
/// dv of the keys if `wants[1]`.
///
/// # Safety
/// As for [`forward`].
unsafe fn gradient<T: Number>(
    loops: &Loops<T>,
    task: &Task<'_, T>,
    (from, to): (usize, usize),
    (low, high): (usize, usize),
    wants: [bool; 2],
) {
    let g = task.g;
    let [q, k, v, dy, l, delta] = task.operands;
    let (width, out) = (g.width.next_multiple_of(LANES), g.out.next_multiple_of(LANES));
    let q_turned = task.room;
    let q_rows = q_turned.wrapping_add(width * LANES);
    let dq = q_rows.wrapping_add(width * LANES);
    let dy_turned = dq.wrapping_add(width * LANES);
    let dy_rows = dy_turned.wrapping_add(out * LANES);
    let weights = dy_rows.wrapping_add(out * LANES);
    let slopes = weights.wrapping_add(CHUNK * LANES);
    let dk = slopes.wrapping_add(CHUNK * LANES);
    let dv = dk.wrapping_add((high - low) * width);
    let scale = T::of(g.scale.0);
    if wants[1] {
        // SAFETY: this thread's panels.
        unsafe { clear(dk, (high - low) * (width + out)) };
    }
    for first in (from..to).step_by(LANES) {
        let count = LANES.min(to - first);
        let end = high.min(g.seen(first + count - 1));
        // SAFETY: the rows are inside of their operands, panels are this thread's.
        let (l, delta) = unsafe {
            clear(dq, g.width * LANES);
            transpose(q, first, count, g.width, scale, q_turned);
            transpose(dy, first, count, g.out, T::of(1.0), dy_turned);
            if wants[1] {
                rows_of(q, (first, count), g.width, scale, q_rows, width);
                rows_of(dy, (first, count), g.out, T::of(1.0), dy_rows, out);
            }
            (column(l, first, count), column(delta, first, count))
        };
        for begin in (low..end.max(low)).step_by(CHUNK) {
            let keys = CHUNK.min(end - begin);
            let k = Matrix { start: k.start.wrapping_add(begin * k.row), ..k };
            let v = Matrix { start: v.start.wrapping_add(begin * v.row), ..v };
            // SAFETY: keys `begin..begin + keys` are inside, panels are this thread's.
            unsafe {
                (loops.product)([keys, g.width], k, (q_turned, LANES), (weights, LANES), false);
                (loops.product)([keys, g.out], v, (dy_turned, LANES), (slopes, LANES), false);
                let rows = |start: *mut T| std::slice::from_raw_parts_mut(start.cast::<Row<T>>(), keys);
                (loops.slope)(rows(weights), rows(slopes), g.causal.then_some((begin, first)), &l, &delta);
                if wants[0] {
                    let turned = Matrix { start: k.start, row: k.column, column: k.row };
                    (loops.product)([g.width, keys], turned, (slopes, LANES), (dq, LANES), true);
                }
                if wants[1] {
                    let panel = |start: *mut T| Matrix { start, row: LANES, column: 1 };
                    for at in (0..out).step_by(LANES) {
                        let (b, c) = (dy_rows.wrapping_add(at), dv.wrapping_add((begin - low) * out + at));
                        (loops.product)([keys, count], panel(weights), (b, out), (c, out), true);
                    }
                    for at in (0..width).step_by(LANES) {
                        let (b, c) = (q_rows.wrapping_add(at), dk.wrapping_add((begin - low) * width + at));
                        (loops.product)([keys, count], panel(slopes), (b, width), (c, width), true);
                    }
                }
            }
        }
        for lane in 0..if wants[0] { count } else { 0 } {
            let row = task.result.wrapping_add((first + lane) * g.width);
            for column in 0..g.width {
                // SAFETY: this row of dq is this task's.
                unsafe { *row.add(column) = scale * *dq.add(column * LANES + lane) };
            }
        }
    }
    if wants[1] {
        let to_k = task.result.wrapping_add(g.queries * g.width);
        let to_v = to_k.wrapping_add(g.keys * g.width);
        for key in low..high {
            // SAFETY: these keys' rows of dk and dv are this task's.
            unsafe {
                let from = dk.add((key - low) * width).cast_const();
                std::ptr::copy_nonoverlapping(from, to_k.add(key * g.width), g.width);
                let from = dv.add((key - low) * out).cast_const();
                std::ptr::copy_nonoverlapping(from, to_v.add(key * g.out), g.out);
            }
        }
    }
}
