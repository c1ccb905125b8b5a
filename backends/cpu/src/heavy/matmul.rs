//! Batched matrix products. Who does what:
//! - many matrices: tasks of whole matrices, each followed by its body;
//! - one large matrix: a grid of blocks, cut so that the least is packed twice;
//! - long sums with small results: chunks of `k` into the workspace, joined in order;
//! - rows that the body reduces: a few at a time into the thread's own memory, from which the body takes them.
//!
//! Measured (cpu-facts): a grid per thread reaches 1.9 times one thread where `gemm`'s own threads lose.
#![expect(unsafe_code, reason = "gemm takes raw pointers")]

use anygrad_core::DType;
use anygrad_core::kernel::{Kernel, Matmul, Operand};

use super::real::{Matrix, Real, clear, join, widen};
use super::{Job, gemm, is_half};
use crate::crew::{Crew, Shared};

/// Elements of a product's result that a task computes before the body runs over them: 128 KiB of f32.
const CACHED: usize = 1 << 15;

/// Columns up to which that is done: at least 256 rows for each packing.
pub(crate) const NARROW: usize = 128;

/// A prepared product.
#[derive(Debug)]
pub(crate) struct Product {
    p: Matmul,
    dtype: DType,
    /// Elements of the f32 copies of f16 operands.
    widened: [usize; 2],
    way: Way,
    /// Blocks of rows are cut at multiples of this.
    part: usize,
    batches: usize,
    /// Estimated nanoseconds of one matrix.
    nanoseconds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Whole matrices, this many per task.
    Matrices(usize),
    /// Parts of m and n.
    Grid(usize, usize),
    /// Parts of k.
    Long(usize),
    /// So many rows at a time, followed by their body.
    Rows(usize),
}

impl Product {
    pub(super) fn new(kernel: &Kernel, p: &Matmul, threads: usize) -> Product {
        let batches: usize = p.batch.iter().product();
        let half = |o: &Operand| if is_half(kernel, o.input) { kernel.inputs[o.input].len } else { 0 };
        let nanoseconds = 2 * p.m * p.n * p.k / 150 + (p.m * p.k + p.k * p.n + p.m * p.n) / 8;
        let way = if kernel.inner.is_empty() {
            choose(p, batches, nanoseconds, threads)
        } else {
            let parts = if nanoseconds < 20_000 { 1 } else { threads.div_ceil(batches.max(1)) };
            Way::Rows((CACHED / p.n.max(1)).min(p.m.div_ceil(parts)).max(1))
        };
        let dtype = kernel.inputs[p.a.input].dtype;
        Product { p: p.clone(), dtype, widened: [half(&p.a), half(&p.b)], way, part: 1, batches, nanoseconds }
    }

    /// See [`super::Heavy::align`].
    pub(super) fn align(&mut self, table: [usize; 2], part: usize) -> bool {
        let fits = self.batches == 1
            && table == [self.p.m, self.p.n]
            && match self.way {
                // Where results are finished after the product, any part will do; else blocks hardly grow by whole ones.
                Way::Matrices(_) | Way::Long(_) => true,
                Way::Grid(rows, columns) => columns > 1 || self.p.m.div_ceil(rows) >= part,
                Way::Rows(rows) => rows >= part,
            };
        match &mut self.way {
            Way::Grid(_, 1) if fits => self.part = part,
            Way::Rows(rows) if fits => *rows -= *rows % part,
            _ => {}
        }
        fits
    }

    /// Bytes per thread, for packed operands.
    pub(super) fn scratch(&self) -> usize {
        gemm::room([self.p.m, self.p.n, self.p.k], self.dtype) + self.block()
    }

    /// Bytes of the rows that a thread works on.
    fn block(&self) -> usize {
        let rows = if let Way::Rows(rows) = self.way { rows } else { 0 };
        (rows * self.p.n * self.size()).next_multiple_of(64)
    }

    fn size(&self) -> usize {
        if self.dtype == DType::F64 { 8 } else { 4 }
    }

    pub(super) fn shared(&self) -> usize {
        let parts = if let Way::Long(parts) = self.way { parts * self.p.m * self.p.n } else { 0 };
        self.widened_bytes() + parts * self.size()
    }

    fn widened_bytes(&self) -> usize {
        self.widened.iter().map(|n| (n * 4).next_multiple_of(64)).sum()
    }

    pub(super) fn explain(&self) -> String {
        let (p, way) = (&self.p, self.way);
        format!("matmul {} x {}x{}x{}, {way:?}", self.batches, p.m, p.n, p.k)
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        if self.batches * self.p.m * self.p.n == 0 {
            return true;
        }
        match self.dtype {
            DType::F64 => {
                let [a, b] = [&self.p.a, &self.p.b].map(|o| Shared(job.io.inputs[o.input].get().cast::<f64>()));
                self.multiply(crew, job, a, b)
            }
            DType::F16 => {
                let a = Shared(job.extra.get().cast::<f32>());
                let b = Shared(job.extra.get().wrapping_add((self.widened[0] * 4).next_multiple_of(64)).cast::<f32>());
                widen(crew, job.io.inputs[self.p.a.input], a, self.widened[0])
                    && widen(crew, job.io.inputs[self.p.b.input], b, self.widened[1])
                    && self.multiply(crew, job, a, b)
            }
            _ => {
                let [a, b] = [&self.p.a, &self.p.b].map(|o| Shared(job.io.inputs[o.input].get().cast::<f32>()));
                self.multiply(crew, job, a, b)
            }
        }
    }

    /// The operand's matrix of this batch, from row `row` and column `column` on.
    fn matrix<T>(&self, o: &Operand, start: Shared<T>, batch: usize, row: usize, column: usize) -> Matrix<T> {
        let mut rest = batch;
        let mut at = o.offset + row * o.row_stride + column * o.column_stride;
        for (&size, &stride) in self.p.batch.iter().zip(&o.batch_strides).rev() {
            at += rest % size * stride;
            rest /= size;
        }
        Matrix { start: start.get().wrapping_add(at), row: o.row_stride, column: o.column_stride }
    }

    fn multiply<T: Real>(&self, crew: &mut Crew, job: &Job<'_>, a: Shared<T>, b: Shared<T>) -> bool {
        let Matmul { m, n, k, .. } = self.p;
        let core = Shared(job.io.core.get().cast::<T>());
        let total = self.nanoseconds * self.batches + job.body.map_or(0, |body| body.nanoseconds);
        let result = move |at: usize| Matrix { start: core.get().wrapping_add(at), row: n, column: 1 };
        match self.way {
            Way::Matrices(per_task) => crew.run(self.batches.div_ceil(per_task), total, |task, scratch| {
                let end = ((task + 1) * per_task).min(self.batches);
                for batch in task * per_task..end {
                    let (a, b) = (self.matrix(&self.p.a, a, batch, 0, 0), self.matrix(&self.p.b, b, batch, 0, 0));
                    // SAFETY: verified operands; this task alone writes these matrices of the result.
                    unsafe { T::gemm([m, n, k], result(batch * m * n), false, [a, b], scratch.add(job.room).cast()) };
                }
                job.finish(scratch, task * per_task * m * n, end * m * n);
            }),
            Way::Grid(rows, columns) => {
                let (height, width) = (m.div_ceil(rows).next_multiple_of(self.part), n.div_ceil(columns));
                let per_batch = rows * columns;
                let ran = crew.run(self.batches * per_batch, total, |task, scratch| {
                    let (batch, block) = (task / per_batch, task % per_batch);
                    let (row, column) = (block / columns * height, block % columns * width);
                    if row >= m || column >= n {
                        return;
                    }
                    let (height, width) = (height.min(m - row), width.min(n - column));
                    let a = self.matrix(&self.p.a, a, batch, row, 0);
                    let b = self.matrix(&self.p.b, b, batch, 0, column);
                    let first = (batch * m + row) * n;
                    // SAFETY: verified operands; this task alone writes this block of the result.
                    unsafe {
                        T::gemm([height, width, k], result(first + column), false, [a, b], scratch.add(job.room).cast())
                    };
                    if columns == 1 {
                        job.finish(scratch, first, first + height * n);
                    }
                });
                ran && (columns == 1 || job.finish_all(crew))
            }
            Way::Rows(height) => {
                let per_batch = m.div_ceil(height);
                crew.run(self.batches * per_batch, total, |task, scratch| {
                    let (batch, row) = (task / per_batch, task % per_batch * height);
                    let height = height.min(m - row);
                    let block = scratch.wrapping_add(job.room);
                    let a = self.matrix(&self.p.a, a, batch, row, 0);
                    let b = self.matrix(&self.p.b, b, batch, 0, 0);
                    let c = Matrix { start: block.cast::<T>(), row: n, column: 1 };
                    // SAFETY: verified operands; the block and the room behind it are this thread's own.
                    unsafe { T::gemm([height, n, k], c, false, [a, b], block.wrapping_add(self.block()).cast()) };
                    let first = batch * m + row;
                    job.finish_rows(scratch, (block, n * self.size()), first, first + height);
                })
            }
            Way::Long(parts) => {
                let sums = Shared(job.extra.get().wrapping_add(self.widened_bytes()).cast::<T>());
                let length = k.div_ceil(parts);
                let ran = crew.run(parts, total, |part, scratch| {
                    let from = (part * length).min(k);
                    let length = length.min(k - from);
                    let (a, b) = (self.matrix(&self.p.a, a, 0, 0, from), self.matrix(&self.p.b, b, 0, from, 0));
                    let c = Matrix { start: sums.get().wrapping_add(part * m * n), row: n, column: 1 };
                    // SAFETY: verified operands; each part has its own place in the workspace.
                    unsafe {
                        if length == 0 {
                            clear(c.start, m * n);
                        } else {
                            T::gemm([m, n, length], c, false, [a, b], scratch.add(job.room).cast());
                        }
                    }
                });
                ran && join(crew, sums, parts, m * n, core) && job.finish_all(crew)
            }
        }
    }
}

/// How to share the work; parts of `k` follow from the shape alone, so that sums do not depend on the machine.
fn choose(p: &Matmul, batches: usize, nanoseconds: usize, threads: usize) -> Way {
    let Matmul { m, n, k, .. } = *p;
    if batches == 1 && k >= 2048 && k >= 8 * m.min(n) && m * n <= 1 << 18 && nanoseconds > 40_000 {
        return Way::Long((k / 1024).clamp(2, 8));
    }
    if nanoseconds < 20_000 || batches >= 4 * threads {
        let tasks = (nanoseconds * batches / 10_000).clamp(1, 8 * threads);
        return Way::Matrices(batches.div_ceil(tasks).max(1));
    }
    // Two blocks per thread if they are large, so that threads end together when the machine is busy.
    let want = if nanoseconds > 1_500_000 { 2 * threads } else { threads };
    let packed = |rows: usize| rows * n + want.div_ceil(rows) * m;
    let rows = (1..=want).filter(|&rows| want.is_multiple_of(rows)).min_by_key(|&rows| packed(rows)).unwrap_or(1);
    let columns = (want / rows).min(n.div_ceil(8)).max(1);
    // Narrow rows are followed by their body while they are in the second-level cache. (Each task packs the right side: of wide
    // ones that would be too much.)
    let cached = if columns == 1 && n <= NARROW { (m * n).div_ceil(CACHED) } else { 1 };
    Way::Grid(rows.max(cached).min(m.div_ceil(8)).max(1), columns)
}
