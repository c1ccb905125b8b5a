//! Scatter-add: updates are taken in rising order, so sums have one order whatever the threads do. Lanes along `before`
//! and `after` are independent and shared by threads.
#![expect(unsafe_code, reason = "buffers are raw memory; bounds were verified when the kernel was compiled")]

use anygrad_core::DType;
use anygrad_core::kernel::{Kernel, Scatter};
use anygrad_core::view::View;
use half::f16;

use super::Job;
use crate::crew::Crew;

/// A prepared scatter.
#[derive(Debug)]
pub(crate) struct Sums {
    index: (usize, Box3),
    updates: (usize, Box3),
    dtype: DType,
    signed: bool,
    before: usize,
    count: usize,
    size: usize,
    after: usize,
}

/// A view of `[before, count, after]`.
#[derive(Clone, Copy, Debug)]
struct Box3 {
    offset: isize,
    strides: [isize; 3],
    low: [usize; 3],
    high: [usize; 3],
}

impl Box3 {
    fn new(view: &View) -> Box3 {
        let (mut strides, mut low, mut high) = ([0; 3], [0; 3], [0; 3]);
        for axis in 0..3 {
            strides[axis] = view.strides[axis];
            (low[axis], high[axis]) = view.mask.as_ref().map_or((0, view.shape[axis]), |mask| mask[axis]);
        }
        Box3 { offset: view.offset, strides, low, high }
    }

    #[inline(always)]
    fn at(&self, point: [usize; 3]) -> Option<isize> {
        let mut at = self.offset;
        for (axis, coordinate) in point.into_iter().enumerate() {
            if coordinate < self.low[axis] || coordinate >= self.high[axis] {
                return None;
            }
            at += coordinate as isize * self.strides[axis];
        }
        Some(at)
    }
}

/// A stored number and the type it is summed in.
trait Summed: Copy {
    type Sum: Copy + Default;
    fn add(sum: Self::Sum, x: Self) -> Self::Sum;
}

macro_rules! summed {
    ($stored:ty, $sum:ty, |$a:ident, $x:ident| $body:expr) => {
        impl Summed for $stored {
            type Sum = $sum;
            #[inline(always)]
            fn add($a: $sum, $x: $stored) -> $sum {
                $body
            }
        }
    };
}

summed!(f32, f32, |a, x| a + x);
summed!(f16, f32, |a, x| a + x.to_f32());
summed!(f64, f64, |a, x| a + x);
summed!(i32, i32, |a, x| a.wrapping_add(x));
summed!(u32, u32, |a, x| a.wrapping_add(x));

impl Sums {
    pub(super) fn new(kernel: &Kernel, p: &Scatter) -> Sums {
        let [before, size, after] = [kernel.outer[0], kernel.outer[1], kernel.outer[2]];
        Sums {
            index: (p.index.0, Box3::new(&p.index.1)),
            updates: (p.updates.0, Box3::new(&p.updates.1)),
            dtype: kernel.inputs[p.updates.0].dtype,
            signed: kernel.inputs[p.index.0].dtype == DType::I32,
            before,
            count: p.index.1.shape[1],
            size,
            after,
        }
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let ran = match self.dtype {
            DType::F32 => self.sum::<f32>(crew, job),
            DType::F16 => self.sum::<f16>(crew, job),
            DType::F64 => self.sum::<f64>(crew, job),
            DType::I32 => self.sum::<i32>(crew, job),
            DType::U32 | DType::Bool => self.sum::<u32>(crew, job),
        };
        ran && job.finish_all(crew)
    }

    fn sum<T: Summed>(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        if self.before * self.size * self.after == 0 {
            return true;
        }
        // Tasks along `after` write whole cache lines.
        let width = if self.before >= 8 { self.after } else { self.after.div_ceil(8).next_multiple_of(16) };
        let columns = self.after.div_ceil(width);
        let plain = self.is_plain();
        let cost = self.before * self.after * (self.size / 8 + self.count / 2);
        crew.run(self.before * columns, cost, |task, _| {
            let (row, from) = (task / columns, task % columns * width);
            let to = (from + width).min(self.after);
            if plain { self.plain_lanes::<T>(job, row, from, to) } else { self.lanes::<T>(job, row, from, to) }
        })
    }

    /// Whether whole rows along `after` go to one place each and nothing is masked: then addresses are steps.
    fn is_plain(&self) -> bool {
        let [index, updates] = [&self.index.1, &self.updates.1];
        let full = |view: &Box3| view.low == [0; 3] && view.high == [self.before, self.count, self.after];
        let beside = self.after == 1 || index.strides[2] == 0 && updates.strides[2] == 1;
        full(index) && full(updates) && beside && i32::try_from(self.size).is_ok()
    }

    /// As [`Sums::lanes`], where addresses are steps.
    fn plain_lanes<T: Summed>(&self, job: &Job<'_>, row: usize, from: usize, to: usize) {
        /// Lanes added at once.
        const SIDE: usize = 16;
        let core = job.io.core.get().cast::<T::Sum>().wrapping_add(row * self.size * self.after + from);
        let start = |view: &Box3, k: usize| view.offset + row as isize * view.strides[0] + k as isize * view.strides[2];
        let [mut index, mut updates] = [(&self.index, 0), (&self.updates, from)].map(|((_, view), k)| start(view, k));
        let (numbers, values) =
            (job.io.inputs[self.index.0].get().cast::<u32>(), job.io.inputs[self.updates.0].get().cast::<T>());
        // SAFETY: (also below) the core's place holds `before x size x after` sums, these lanes are this task's alone; verified views
        // give elements inside of the inputs.
        let sums = |s: usize| unsafe { std::slice::from_raw_parts_mut(core.wrapping_add(s * self.after), to - from) };
        (0..self.size).for_each(|s| sums(s).fill(T::Sum::default()));
        for _ in 0..self.count {
            // SAFETY: as above. A negative number is a large one without its sign.
            let s = unsafe { *numbers.offset(index) } as usize;
            if s < self.size {
                // SAFETY: as above.
                let x = unsafe { std::slice::from_raw_parts(values.offset(updates), to - from) };
                let (sums, last) = sums(s).as_chunks_mut::<SIDE>();
                let (x, rest) = x.as_chunks::<SIDE>();
                sums.iter_mut().zip(x).for_each(|(sums, x)| (0..SIDE).for_each(|i| sums[i] = T::add(sums[i], x[i])));
                last.iter_mut().zip(rest).for_each(|(sum, &x)| *sum = T::add(*sum, x));
            }
            (index, updates) = (index + self.index.1.strides[1], updates + self.updates.1.strides[1]);
        }
    }

    /// All updates of lanes `from..to` of one `before`.
    fn lanes<T: Summed>(&self, job: &Job<'_>, row: usize, from: usize, to: usize) {
        let core = job.io.core.get().cast::<T::Sum>();
        let index = job.io.inputs[self.index.0].get().cast::<u32>().cast_const();
        let updates = job.io.inputs[self.updates.0].get().cast::<T>().cast_const();
        let out = |s: usize| {
            let start = core.wrapping_add((row * self.size + s) * self.after + from);
            // SAFETY: (also below) the core's place holds `before x size x after` sums, these lanes are this task's
            // alone; verified views give elements inside of the inputs.
            unsafe { std::slice::from_raw_parts_mut(start, to - from) }
        };
        (0..self.size).for_each(|s| out(s).fill(T::Sum::default()));
        let read = |j: usize, k: usize| {
            // SAFETY: as above.
            let s = self.index.1.at([row, j, k]).map_or(0, |at| unsafe { *index.offset(at) });
            let inside = (s as usize) < self.size && !(self.signed && (s as i32) < 0);
            inside.then_some(s as usize)
        };
        for j in 0..self.count {
            for k in from..to {
                let Some(s) = read(j, k) else { continue };
                let Some(at) = self.updates.1.at([row, j, k]) else { continue };
                let sum = &mut out(s)[k - from];
                // SAFETY: as above.
                *sum = T::add(*sum, unsafe { *updates.offset(at) });
            }
        }
    }
}
