//! Scatter-add: updates are taken in rising order, so sums have one order whatever the threads do. Lanes along `before`
//! and `after` are independent and shared by threads; many updates of few places are cut into parts instead, by the shape alone, each
//! with sums of its own, which are added up in order: so each thread reads whole rows.
#![expect(unsafe_code, reason = "buffers are raw memory; bounds were verified when the kernel was compiled")]

use std::ops::Range;

use anygrad_core::DType;
use anygrad_core::kernel::{Kernel, Scatter};
use anygrad_core::view::View;
use half::f16;

use super::Job;
use crate::crew::{Crew, Shared};

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
    fn join(a: Self::Sum, b: Self::Sum) -> Self::Sum;
}

macro_rules! summed {
    ($stored:ty, $sum:ty, |$a:ident, $x:ident| $body:expr) => {
        impl Summed for $stored {
            type Sum = $sum;
            #[inline(always)]
            fn add($a: $sum, $x: $stored) -> $sum {
                $body
            }
            #[inline(always)]
            fn join(a: $sum, b: $sum) -> $sum {
                <$sum as Summed>::add(a, b)
            }
        }
    };
}

summed!(f32, f32, |a, x| a + x);
summed!(f16, f32, |a, x| a + x.to_f32());
summed!(f64, f64, |a, x| a + x);
summed!(i32, i32, |a, x| a.wrapping_add(x));
summed!(u32, u32, |a, x| a.wrapping_add(x));

/// Updates of a part at least.
const PART: usize = 1024;

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
        let cost = self.before * self.after * (self.size / 8 + self.count / 2);
        let core = Shared(job.io.core.get().cast::<T::Sum>());
        let parts = self.parts();
        if parts > 1 {
            let sums = Shared(job.extra.get().cast::<T::Sum>());
            let (places, each) = (self.size * self.after, self.count.div_ceil(parts));
            let ran = crew.run(parts, cost, |part, _| {
                let updates = part * each..((part + 1) * each).min(self.count);
                self.plain_lanes::<T>(job, sums.get().wrapping_add(part * places), (0, 0, self.after), updates);
            });
            for place in 0..places {
                // SAFETY: the workspace holds the sums of all parts, which are finished; the core's place is ours alone.
                unsafe {
                    let all = (1..parts).map(|part| *sums.get().add(part * places + place));
                    *core.get().add(place) = all.fold(*sums.get().add(place), T::join);
                }
            }
            return ran;
        }
        // Tasks along `after` write whole cache lines.
        let width = if self.before >= 8 { self.after } else { self.after.div_ceil(8).next_multiple_of(16) };
        let columns = self.after.div_ceil(width);
        let plain = self.is_plain();
        crew.run(self.before * columns, cost, |task, _| {
            let (row, from) = (task / columns, task % columns * width);
            let to = (from + width).min(self.after);
            if plain {
                let core = core.get().wrapping_add(row * self.size * self.after);
                self.plain_lanes::<T>(job, core, (row, from, to), 0..self.count);
            } else {
                self.lanes::<T>(job, row, from, to);
            }
        })
    }

    /// Parts that updates are cut into; 1 where these are too few beside the places, or there are rows enough to share.
    fn parts(&self) -> usize {
        let few = self.size * 8 <= self.count && self.before == 1 && self.after <= 1024;
        if few && self.is_plain() { (self.count / PART).clamp(1, 8) } else { 1 }
    }

    /// Bytes of shared workspace: the sums of parts.
    pub(super) fn shared(&self) -> usize {
        let size = if self.dtype == DType::F64 { 8 } else { 4 };
        if self.parts() > 1 { self.parts() * self.size * self.after * size } else { 0 }
    }

    /// Whether whole rows along `after` go to one place each and nothing is masked: then addresses are steps.
    fn is_plain(&self) -> bool {
        let [index, updates] = [&self.index.1, &self.updates.1];
        let full = |view: &Box3| view.low == [0; 3] && view.high == [self.before, self.count, self.after];
        let beside = self.after == 1 || index.strides[2] == 0 && updates.strides[2] == 1;
        full(index) && full(updates) && beside && i32::try_from(self.size).is_ok()
    }

    /// As [`Sums::lanes`], where addresses are steps: some of the updates of lanes `from..to`, to sums `[size, after]`.
    fn plain_lanes<T: Summed>(&self, job: &Job<'_>, to: *mut T::Sum, lanes: (usize, usize, usize), some: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            unsafe fn v3<T: Summed>(
                sums: &Sums,
                job: &Job<'_>,
                to: *mut T::Sum,
                lanes: (usize, usize, usize),
                some: Range<usize>,
            ) {
                sums.steps::<T>(job, to, lanes, some);
            }
            if crate::tile::level() >= 3 {
                // SAFETY: the machine has these extensions.
                return unsafe { v3::<T>(self, job, to, lanes, some) };
            }
        }
        self.steps::<T>(job, to, lanes, some);
    }

    #[inline(always)]
    fn steps<T: Summed>(
        &self,
        job: &Job<'_>,
        to: *mut T::Sum,
        (row, from, end): (usize, usize, usize),
        some: Range<usize>,
    ) {
        /// Lanes added at once.
        const SIDE: usize = 16;
        let core = to.wrapping_add(from);
        let start = |view: &Box3, k: usize| {
            let [before, count, after] = view.strides;
            view.offset + row as isize * before + some.start as isize * count + k as isize * after
        };
        let [mut index, mut updates] = [(&self.index, 0), (&self.updates, from)].map(|((_, view), k)| start(view, k));
        let steps = [self.index.1.strides[1], self.updates.1.strides[1]];
        let (numbers, values) =
            (job.io.inputs[self.index.0].get().cast::<u32>(), job.io.inputs[self.updates.0].get().cast::<T>());
        let (size, after, lanes) = (self.size, self.after, end - from);
        for s in 0..size {
            // SAFETY: (also below) there is room for `size x after` sums, these lanes are this task's alone; verified views give
            // elements inside of the inputs.
            unsafe { std::slice::from_raw_parts_mut(core.wrapping_add(s * after), lanes) }.fill(T::Sum::default());
        }
        for _ in some {
            // SAFETY: as above. A negative number is a large one without its sign.
            let s = unsafe { *numbers.offset(index) } as usize;
            if s < size {
                let (sums, x) = (core.wrapping_add(s * after), values.wrapping_offset(updates));
                let mut lane = 0;
                while lane + SIDE <= lanes {
                    // SAFETY: as above.
                    unsafe {
                        let (to, x) = (sums.add(lane).cast::<[T::Sum; SIDE]>(), x.add(lane).cast::<[T; SIDE]>());
                        let (mut sum, x) = (to.read_unaligned(), x.read_unaligned());
                        (0..SIDE).for_each(|i| sum[i] = T::add(sum[i], x[i]));
                        to.write_unaligned(sum);
                    }
                    lane += SIDE;
                }
                while lane < lanes {
                    // SAFETY: as above.
                    unsafe { *sums.add(lane) = T::add(*sums.add(lane), *x.add(lane)) };
                    lane += 1;
                }
            }
            (index, updates) = (index + steps[0], updates + steps[1]);
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
