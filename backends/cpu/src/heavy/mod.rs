//! Heavy cores: products, convolutions, scatter, sort, scan. Each writes one number per point of `outer` to the core's
//! place and calls the fused body on every range of points as soon as it is complete.

mod attention;
mod conv;
mod direct;
mod gemm;
mod geometry;
mod lanes;
mod matmul;
mod micro;
mod nearest;
mod panel;
mod real;
mod scan;
mod scatter;
mod shares;
mod sort;
mod weights;
mod winograd;

use anygrad_core::DType;
use anygrad_core::kernel::{Core, Kernel};

use crate::carry::Carried;
use crate::crew::{Crew, Shared};
use crate::tile::{Io, Program};

pub(crate) use matmul::NARROW as PRODUCT_ROW;

/// What a core works on.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) io: &'a Io<'a>,
    /// This core's part of the shared workspace.
    pub(crate) extra: Shared<u8>,
    /// Bytes at the start of each thread's scratch that belong to the body.
    pub(crate) room: usize,
    pub(crate) body: Option<&'a Program>,
    /// What is summed up over rows of the results as soon as these are there.
    pub(crate) carried: &'a [Option<Carried<'a>>],
}

impl Job<'_> {
    /// Runs the body over finished points on this thread.
    pub(crate) fn finish(&self, scratch: *mut u8, start: usize, end: usize) {
        let [rows, columns] = self.block(start, end);
        for from in (start..end).step_by(rows.max(1)) {
            let to = end.min(from + rows);
            if let Some(body) = self.body {
                body.run_range(self.io, scratch, from, to);
            }
            self.carry(scratch, from / columns, to / columns);
        }
    }

    /// So many points at a time, and how many of them are a row: parts of carried sums are taken up while they are in cache.
    fn block(&self, start: usize, end: usize) -> [usize; 2] {
        self.carried.iter().flatten().next().map_or([end - start, 1], |carried| {
            let [_, columns] = carried.sums.table();
            [carried.sums.parts().unwrap_or(1) * columns, columns]
        })
    }

    fn carry(&self, scratch: *mut u8, from: usize, to: usize) {
        for carried in self.carried.iter().flatten() {
            carried.sums.sum_parts(&carried.io, scratch, carried.memory, from, to);
        }
    }

    /// As [`Job::finish`], for rows `start..end` whose core's values lie from `core` on, `row` bytes each.
    fn finish_rows(&self, scratch: *mut u8, (core, row): (*mut u8, usize), start: usize, end: usize) {
        let io = Io { core: Shared(core.wrapping_sub(start * row)), ..*self.io };
        if let Some(body) = self.body {
            body.run_range(&io, scratch, start, end);
        }
        self.carry(scratch, start, end);
    }

    /// Runs the body over all points.
    pub(crate) fn finish_all(&self, crew: &mut Crew) -> bool {
        let Some(carried) = self.carried.iter().flatten().next() else {
            return self.body.is_none_or(|body| body.run(crew, self.io));
        };
        let points = carried.sums.table().iter().product::<usize>();
        let [block, _] = self.block(0, points);
        let cost = carried.sums.nanoseconds + self.body.map_or(0, |body| body.nanoseconds);
        crew.run(points.div_ceil(block), cost, |task, scratch| {
            self.finish(scratch, task * block, points.min((task + 1) * block));
        })
    }
}

/// A prepared core.
#[derive(Debug)]
pub(crate) enum Heavy {
    Matmul(matmul::Product),
    Nearest(nearest::Nearest),
    Conv(Box<conv::Convolution>),
    Attention(attention::Flash),
    Scatter(scatter::Sums),
    Sort(sort::Sort),
    Scan(scan::Scan),
}

impl Heavy {
    /// Prepares the core of a verified kernel (which has one).
    pub(crate) fn new(kernel: &Kernel, threads: usize) -> Heavy {
        match &kernel.core {
            Core::Matmul(p) => match nearest::Nearest::new(kernel, p) {
                Some(nearest) => Heavy::Nearest(nearest),
                None => Heavy::Matmul(matmul::Product::new(kernel, p, threads)),
            },
            Core::Conv(p) => Heavy::Conv(Box::new(conv::Convolution::new(kernel, p, threads))),
            Core::Attention(p) => Heavy::Attention(attention::Flash::new(kernel, p, threads)),
            Core::Scatter(p) => Heavy::Scatter(scatter::Sums::new(kernel, p)),
            Core::Argsort { input, descending } => Heavy::Sort(sort::Sort::new(kernel, *input, *descending)),
            Core::CumulativeSum { input } => Heavy::Scan(scan::Scan::new(kernel, *input)),
            // A map has no core: an empty scan does nothing.
            Core::Map => Heavy::Scan(scan::Scan::nothing()),
        }
    }

    /// Makes every task's rows whole parts of so many rows, if this computes such a table row by row.
    pub(crate) fn align(&mut self, table: [usize; 2], part: usize) -> bool {
        match self {
            Heavy::Matmul(product) => product.align(table, part),
            _ => false,
        }
    }

    /// Bytes of scratch per thread, besides the body's.
    pub(crate) fn scratch(&self) -> usize {
        match self {
            Heavy::Matmul(product) => product.scratch(),
            Heavy::Nearest(nearest) => nearest.scratch(),
            Heavy::Conv(conv) => conv.scratch(),
            Heavy::Attention(flash) => flash.scratch(),
            _ => 0,
        }
    }

    /// Bytes of shared workspace, besides the core's values.
    pub(crate) fn shared(&self) -> usize {
        match self {
            Heavy::Matmul(product) => product.shared(),
            Heavy::Conv(conv) => conv.shared(),
            Heavy::Sort(sort) => sort.shared(),
            Heavy::Scatter(sums) => sums.shared(),
            Heavy::Nearest(_) | Heavy::Attention(_) | Heavy::Scan(_) => 0,
        }
    }

    /// Runs core and body. False if a task panicked.
    pub(crate) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        match self {
            Heavy::Matmul(product) => product.run(crew, job),
            Heavy::Nearest(nearest) => nearest.run(crew, job),
            Heavy::Conv(conv) => conv.run(crew, job),
            Heavy::Attention(flash) => flash.run(crew, job),
            Heavy::Scatter(sums) => sums.run(crew, job),
            Heavy::Sort(sort) => sort.run(crew, job),
            Heavy::Scan(scan) => scan.run(crew, job),
        }
    }

    /// In words, what was chosen.
    pub(crate) fn explain(&self) -> String {
        match self {
            Heavy::Matmul(product) => product.explain(),
            Heavy::Nearest(nearest) => nearest.explain(),
            Heavy::Conv(conv) => conv.explain(),
            Heavy::Attention(flash) => flash.explain(),
            Heavy::Scatter(_) => "scatter".to_string(),
            Heavy::Sort(_) => "argsort".to_string(),
            Heavy::Scan(_) => "cumulative sum".to_string(),
        }
    }
}

/// Whether a float operand must be widened before a product.
fn is_half(kernel: &Kernel, input: usize) -> bool {
    kernel.inputs[input].dtype == DType::F16
}
