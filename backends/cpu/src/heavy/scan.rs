//! Cumulative sums along the middle axis of `[before, n, after]`: lanes along the others are independent. f32 and f16 are
//! summed in f64, so that the error does not grow along the axis.
#![expect(unsafe_code, reason = "buffers are raw memory; bounds were verified when the kernel was compiled")]

use anygrad_core::DType;
use anygrad_core::kernel::Kernel;
use half::f16;

use super::Job;
use crate::crew::Crew;

/// Lanes summed side by side.
const WIDTH: usize = 64;

/// A prepared scan.
#[derive(Debug)]
pub(crate) struct Scan {
    input: usize,
    dtype: DType,
    shape: [usize; 3],
}

impl Scan {
    pub(super) fn new(kernel: &Kernel, input: usize) -> Scan {
        let shape = [kernel.outer[0], kernel.outer[1], kernel.outer[2]];
        Scan { input, dtype: kernel.inputs[input].dtype, shape }
    }

    /// A scan of no elements.
    pub(super) fn nothing() -> Scan {
        Scan { input: 0, dtype: DType::F32, shape: [0; 3] }
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let ran = match self.dtype {
            DType::F32 => self.scan::<f32, f64, f32>(crew, job, |s, x| s + f64::from(x), |s| s as f32),
            DType::F16 => self.scan::<f16, f64, f32>(crew, job, |s, x| s + x.to_f64(), |s| s as f32),
            DType::F64 => self.scan::<f64, f64, f64>(crew, job, |s, x| s + x, |s| s),
            DType::I32 | DType::U32 | DType::Bool => {
                self.scan::<u32, u32, u32>(crew, job, |s, x| s.wrapping_add(x), |s| s)
            }
        };
        ran && job.finish_all(crew)
    }

    fn scan<T: Copy, S: Copy + Default, R: Copy>(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        add: impl Fn(S, T) -> S + Sync,
        round: impl Fn(S) -> R + Sync,
    ) -> bool {
        let [before, n, after] = self.shape;
        let columns = after.div_ceil(WIDTH);
        let input = job.io.inputs[self.input];
        let core = job.io.core;
        crew.run(before * columns, before * n * after / 2, |task, _| {
            let (row, from) = (task / columns, task % columns * WIDTH);
            let width = WIDTH.min(after - from);
            let mut sums = [S::default(); WIDTH];
            for i in 0..n {
                let at = (row * n + i) * after + from;
                // SAFETY: input and core's place hold `before x n x after` elements (verified); these lanes of the result
                // are this task's alone.
                let (x, out) = unsafe {
                    let x = std::slice::from_raw_parts(input.get().cast::<T>().add(at).cast_const(), width);
                    (x, std::slice::from_raw_parts_mut(core.get().cast::<R>().add(at), width))
                };
                for ((sum, out), &x) in sums.iter_mut().zip(out).zip(x) {
                    *sum = add(*sum, x);
                    *out = round(*sum);
                }
            }
        })
    }
}
