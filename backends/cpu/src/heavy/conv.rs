//! Convolutions and their two gradients as matrix products over columns that stay in the second-level cache:
//!
//! forward `y = w . columns(x)`, input gradient `columns(dx) = w^T . dy`, weight gradient `dw = sum dy . columns(x)^T`.
//!
//! Tasks are images (or blocks of lines where images are few); the body runs on an image as soon as it is done. Weight
//! gradients are summed per fixed group of images and joined in order.
#![expect(unsafe_code, reason = "gemm and panels are raw memory")]

use anygrad_core::DType;
use anygrad_core::kernel::{Conv, ConvKind, Kernel};

use super::direct::Direct;
use super::geometry::Geometry;
use super::real::{Matrix, Real, clear, join, widen};
use super::weights::WeightGradient;
use super::winograd::{Winograd, WinogradWeights};
use super::{Job, gemm, is_half};
use crate::crew::{Crew, Shared};

/// Bytes of columns at a time: half of a second-level cache of 1 MiB.
const PANEL: usize = 512 * 1024;

/// A prepared convolution.
#[derive(Debug)]
pub(crate) struct Convolution {
    kind: ConvKind,
    inputs: [usize; 2],
    g: Geometry,
    dtype: DType,
    widened: [usize; 2],
    /// Lines of y per panel, and panels per image.
    lines: usize,
    blocks: usize,
    /// Whether one task is one image (else one block of one).
    by_image: bool,
    /// Partial sums of the weight gradient.
    parts: usize,
    nanoseconds: usize,
    loops: Loops,
}

/// Who computes.
#[derive(Debug)]
enum Loops {
    Columns,
    Direct(Direct),
    Weights(WeightGradient),
    Winograd(Winograd),
    WinogradWeights(WinogradWeights),
}

impl Loops {
    /// The best for an f32 convolution.
    fn new(kind: ConvKind, g: &Geometry, parts: usize, threads: usize) -> Loops {
        if kind == ConvKind::WeightGradient {
            let winograd = WinogradWeights::new(g).map(Loops::WinogradWeights);
            return winograd.or_else(|| WeightGradient::new(g, parts).map(Loops::Weights)).unwrap_or(Loops::Columns);
        }
        let turned = kind == ConvKind::InputGradient;
        let winograd = Winograd::new(g, turned, threads).map(Loops::Winograd);
        winograd.or_else(|| Direct::new(g, turned, threads).map(Loops::Direct)).unwrap_or(Loops::Columns)
    }
}

impl Convolution {
    pub(super) fn new(kernel: &Kernel, p: &Conv, threads: usize) -> Convolution {
        let g = Geometry::new(&p.geometry);
        let dtype = kernel.inputs[p.a].dtype;
        let size = if dtype == DType::F64 { 8 } else { 4 };
        let line = (g.depth() * g.output[2] * size).max(1);
        let by_image = g.batch >= 2 * threads || p.kind != ConvKind::Forward;
        let most = if by_image { g.lines() } else { g.lines().div_ceil(2 * threads) };
        let lines = (PANEL / line).clamp(1, most.max(1));
        let flops = 2 * g.batch * g.groups * g.c_out * g.y_size() * g.depth();
        let weights = g.groups * g.c_out * g.depth() * size;
        let parts = ((16 << 20) / weights.max(1)).clamp(1, 8).min(g.batch.max(1));
        let half = |input: usize| if is_half(kernel, input) { kernel.inputs[input].len } else { 0 };
        let blocks = g.lines().div_ceil(lines);
        let widened = [half(p.a), half(p.b)];
        let nanoseconds = flops / 100 + g.batch * g.depth() * g.y_size() / 8;
        let loops = if dtype == DType::F64 { Loops::Columns } else { Loops::new(p.kind, &g, parts, threads) };
        let inputs = [p.a, p.b];
        Convolution { kind: p.kind, inputs, dtype, widened, lines, blocks, by_image, parts, nanoseconds, loops, g }
    }

    fn size(&self) -> usize {
        if self.dtype == DType::F64 { 8 } else { 4 }
    }

    /// Bytes per thread: a panel of columns, or copies.
    pub(super) fn scratch(&self) -> usize {
        match &self.loops {
            Loops::Direct(direct) => direct.scratch(),
            Loops::Weights(weights) => weights.scratch(),
            Loops::Winograd(winograd) => winograd.scratch(),
            Loops::WinogradWeights(winograd) => winograd.scratch(),
            Loops::Columns => self.panel() + self.room(),
        }
    }

    /// Bytes of a panel of columns.
    fn panel(&self) -> usize {
        let own = !self.g.is_pointwise();
        if own { (self.g.depth() * self.lines * self.g.output[2] * self.size()).next_multiple_of(64) } else { 0 }
    }

    /// Bytes of packed operands behind the panel.
    fn room(&self) -> usize {
        let (depth, out, places) = (self.g.depth(), self.g.c_out, self.lines * self.g.output[2]);
        let sizes = match self.kind {
            ConvKind::Forward => [out, places, depth],
            ConvKind::InputGradient => [depth, places, out],
            ConvKind::WeightGradient => [out, depth, places],
        };
        gemm::room(sizes, self.dtype)
    }

    fn widened_bytes(&self) -> usize {
        self.widened.iter().map(|n| (n * 4).next_multiple_of(64)).sum()
    }

    fn weights(&self) -> usize {
        self.g.groups * self.g.c_out * self.g.depth()
    }

    pub(super) fn shared(&self) -> usize {
        let own = match &self.loops {
            Loops::Direct(direct) => direct.shared(),
            Loops::Weights(weights) => weights.shared(),
            Loops::Winograd(winograd) => winograd.shared(),
            Loops::WinogradWeights(winograd) => winograd.shared(),
            Loops::Columns if self.kind == ConvKind::WeightGradient => self.parts * self.weights() * self.size(),
            Loops::Columns => 0,
        };
        self.widened_bytes() + own
    }

    pub(super) fn explain(&self) -> String {
        let how = match &self.loops {
            Loops::Direct(direct) => direct.explain(),
            Loops::Weights(weights) => weights.explain(),
            Loops::Winograd(winograd) => winograd.explain(),
            Loops::WinogradWeights(winograd) => winograd.explain(),
            Loops::Columns => format!("{} panels of {} lines per image", self.blocks, self.lines),
        };
        format!("conv {:?}, {how}", self.kind)
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let [a, b] = self.inputs.map(|input| job.io.inputs[input]);
        match self.dtype {
            DType::F64 => self.multiply(crew, job, Shared(a.get().cast::<f64>()), Shared(b.get().cast::<f64>())),
            DType::F16 => {
                let wide_a = Shared(job.extra.get().cast::<f32>());
                let after = (self.widened[0] * 4).next_multiple_of(64);
                let wide_b = Shared(job.extra.get().wrapping_add(after).cast::<f32>());
                widen(crew, a, wide_a, self.widened[0])
                    && widen(crew, b, wide_b, self.widened[1])
                    && self.single(crew, job, wide_a, wide_b)
            }
            _ => self.single(crew, job, Shared(a.get().cast::<f32>()), Shared(b.get().cast::<f32>())),
        }
    }

    /// In f32, directly where possible.
    fn single(&self, crew: &mut Crew, job: &Job<'_>, a: Shared<f32>, b: Shared<f32>) -> bool {
        let core = Shared(job.io.core.get().cast::<f32>());
        let extra = Shared(job.extra.get().wrapping_add(self.widened_bytes()).cast::<f32>());
        match &self.loops {
            Loops::Direct(direct) => direct.run(crew, job, self.total(job), [a, b, core], extra),
            Loops::Weights(weights) => weights.run(crew, job, self.total(job), [a, b, core], extra),
            Loops::Winograd(winograd) => winograd.run(crew, job, self.total(job), [a, b, core], extra),
            Loops::WinogradWeights(winograd) => winograd.run(crew, job, self.total(job), [a, b, core], extra),
            Loops::Columns => self.multiply(crew, job, a, b),
        }
    }

    fn multiply<T: Real>(&self, crew: &mut Crew, job: &Job<'_>, a: Shared<T>, b: Shared<T>) -> bool {
        let core = Shared(job.io.core.get().cast::<T>());
        match self.kind {
            ConvKind::Forward => self.forward(crew, job, a, b, core),
            ConvKind::InputGradient => self.input_gradient(crew, job, a, b, core),
            ConvKind::WeightGradient => self.weight_gradient(crew, job, a, b, core),
        }
    }

    fn total(&self, job: &Job<'_>) -> usize {
        self.nanoseconds + job.body.map_or(0, |body| body.nanoseconds)
    }

    /// Lines of a block, and its number of places.
    fn block(&self, block: usize) -> (usize, usize, usize) {
        let (from, to) = (block * self.lines, ((block + 1) * self.lines).min(self.g.lines()));
        (from, to, (to - from) * self.g.output[2])
    }

    /// The columns of a block as a `depth x places` matrix: in the panel, or the image itself.
    ///
    /// # Safety
    /// `image` holds the group's channels of one image; `panel` is this thread's, of `scratch` bytes.
    unsafe fn columns<T: Real>(&self, image: *mut T, block: usize, panel: *mut T) -> Matrix<T> {
        let (from, to, places) = self.block(block);
        if self.g.is_pointwise() {
            return Matrix { start: image.wrapping_add(from * self.g.output[2]), row: self.g.y_size(), column: 1 };
        }
        // SAFETY: the caller's promise.
        unsafe { self.g.spread(image, from, to, panel, places) };
        Matrix { start: panel, row: places, column: 1 }
    }

    fn forward<T: Real>(&self, crew: &mut Crew, job: &Job<'_>, x: Shared<T>, w: Shared<T>, y: Shared<T>) -> bool {
        let g = &self.g;
        let (depth, y_size) = (g.depth(), g.y_size());
        let image_out = g.groups * g.c_out * y_size;
        let block = |image: usize, block: usize, panel: *mut T| {
            for group in 0..g.groups {
                let x = x.get().wrapping_add((image * g.groups + group) * g.c_in * g.x_size());
                let (from, _, places) = self.block(block);
                let start = y.get().wrapping_add((image * g.groups + group) * g.c_out * y_size + from * g.output[2]);
                let c = Matrix { start, row: y_size, column: 1 };
                let weights = w.get().wrapping_add(group * g.c_out * depth);
                let weights = Matrix { start: weights, row: depth, column: 1 };
                // SAFETY: verified operands; this task alone writes these places of y and uses this panel.
                unsafe {
                    let operands = [weights, self.columns(x, block, panel)];
                    T::gemm([g.c_out, places, depth], c, false, operands, panel.byte_add(self.panel()));
                }
            }
        };
        if self.by_image {
            return crew.run(g.batch, self.total(job), |image, scratch| {
                let panel = scratch.wrapping_add(job.room).cast();
                (0..self.blocks).for_each(|number| block(image, number, panel));
                job.finish(scratch, image * image_out, (image + 1) * image_out);
            });
        }
        let ran = crew.run(g.batch * self.blocks, self.total(job), |task, scratch| {
            block(task / self.blocks, task % self.blocks, scratch.wrapping_add(job.room).cast());
        });
        ran && job.finish_all(crew)
    }

    fn input_gradient<T: Real>(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        dy: Shared<T>,
        w: Shared<T>,
        dx: Shared<T>,
    ) -> bool {
        let g = &self.g;
        let (depth, y_size, x_size) = (g.depth(), g.y_size(), g.x_size());
        let group_in = g.c_in * x_size;
        crew.run(g.batch * g.groups, self.total(job), |task, scratch| {
            let panel: *mut T = scratch.wrapping_add(job.room).cast();
            let dx = dx.get().wrapping_add(task * group_in);
            let weights = w.get().wrapping_add(task % g.groups * g.c_out * depth);
            // Transposed: depth x c_out.
            let weights = Matrix { start: weights, row: 1, column: depth };
            let dy = dy.get().wrapping_add(task * g.c_out * y_size);
            if !g.is_pointwise() {
                // SAFETY: this task alone writes this group's channels of this image.
                unsafe { clear(dx, group_in) };
            }
            for block in 0..self.blocks {
                let (from, to, places) = self.block(block);
                let dy = Matrix { start: dy.wrapping_add(from * g.output[2]), row: y_size, column: 1 };
                // SAFETY: verified operands; panel and image are this task's alone.
                unsafe {
                    if g.is_pointwise() {
                        let c = Matrix { start: dx.wrapping_add(from * g.output[2]), row: y_size, column: 1 };
                        T::gemm([depth, places, g.c_out], c, false, [weights, dy], panel.byte_add(self.panel()));
                    } else {
                        let c = Matrix { start: panel, row: places, column: 1 };
                        T::gemm([depth, places, g.c_out], c, false, [weights, dy], panel.byte_add(self.panel()));
                        g.gather(panel, places, from, to, dx);
                    }
                }
            }
            job.finish(scratch, task * group_in, (task + 1) * group_in);
        })
    }

    fn weight_gradient<T: Real>(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        x: Shared<T>,
        dy: Shared<T>,
        dw: Shared<T>,
    ) -> bool {
        let g = &self.g;
        let (depth, y_size, weights) = (g.depth(), g.y_size(), self.weights());
        let sums = Shared(job.extra.get().wrapping_add(self.widened_bytes()).cast::<T>());
        let images = g.batch.div_ceil(self.parts);
        let ran = crew.run(self.parts, self.total(job), |part, scratch| {
            let panel: *mut T = scratch.wrapping_add(job.room).cast();
            let sums = sums.get().wrapping_add(part * weights);
            // SAFETY: each part has its own place in the workspace.
            unsafe { clear(sums, weights) };
            for image in part * images..((part + 1) * images).min(g.batch) {
                for group in 0..g.groups {
                    let at = image * g.groups + group;
                    let x = x.get().wrapping_add(at * g.c_in * g.x_size());
                    let dy = dy.get().wrapping_add(at * g.c_out * y_size);
                    let c = sums.wrapping_add(group * g.c_out * depth);
                    let c = Matrix { start: c, row: depth, column: 1 };
                    for block in 0..self.blocks {
                        let (from, _, places) = self.block(block);
                        let dy = Matrix { start: dy.wrapping_add(from * g.output[2]), row: y_size, column: 1 };
                        // SAFETY: verified operands; sums and panel are this task's alone.
                        unsafe {
                            let columns = self.columns(x, block, panel);
                            let transposed = Matrix { start: columns.start, row: 1, column: columns.row };
                            T::gemm([g.c_out, depth, places], c, true, [dy, transposed], panel.byte_add(self.panel()));
                        }
                    }
                }
            }
        });
        ran && join(crew, sums, self.parts, weights, dw) && job.finish_all(crew)
    }
}
