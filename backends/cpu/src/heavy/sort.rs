//! Argsort: each number becomes an unsigned key in the same order, is paired with its place, and pairs are sorted; equal
//! keys fall back to their places, which makes the sort stable and its result unique.
#![expect(unsafe_code, reason = "buffers are raw memory; bounds were verified when the kernel was compiled")]

use anygrad_core::DType;
use anygrad_core::kernel::Kernel;
use half::f16;

use super::Job;
use crate::crew::{Crew, Shared};

/// A prepared argsort.
#[derive(Debug)]
pub(crate) struct Sort {
    input: usize,
    dtype: DType,
    descending: bool,
    rows: usize,
    n: usize,
}

/// Rising with the float, both zeros equal, all NaN equal and above.
fn key(x: f64) -> u64 {
    if x.is_nan() {
        return u64::MAX;
    }
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

impl Sort {
    pub(super) fn new(kernel: &Kernel, input: usize, descending: bool) -> Sort {
        let dtype = kernel.inputs[input].dtype;
        Sort { input, dtype, descending, rows: kernel.outer[0], n: kernel.outer[1] }
    }

    pub(super) fn shared(&self) -> usize {
        self.rows * self.n * size_of::<(u64, u32)>()
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let n = self.n;
        let pairs = Shared(job.extra.get().cast::<(u64, u32)>());
        let input = job.io.inputs[self.input];
        let core = Shared(job.io.core.get().cast::<i32>());
        let ran = crew.run(self.rows, self.rows * n * 30, |row, _| {
            // SAFETY: the workspace holds `rows x n` pairs, the core's place as many numbers, the input as many elements
            // (verified); each task has its own row.
            let (pairs, out) = unsafe {
                let pairs = std::slice::from_raw_parts_mut(pairs.get().add(row * n), n);
                (pairs, std::slice::from_raw_parts_mut(core.get().add(row * n), n))
            };
            for (i, pair) in pairs.iter_mut().enumerate() {
                let at = row * n + i;
                // SAFETY: as above.
                let x = unsafe {
                    match self.dtype {
                        DType::F32 => f64::from(*input.get().cast::<f32>().add(at)),
                        DType::F16 => (*input.get().cast::<f16>().add(at)).to_f64(),
                        DType::F64 => *input.get().cast::<f64>().add(at),
                        DType::I32 => f64::from(*input.get().cast::<i32>().add(at)),
                        DType::U32 | DType::Bool => f64::from(*input.get().cast::<u32>().add(at)),
                    }
                };
                *pair = (if self.descending { !key(x) } else { key(x) }, i as u32);
            }
            pairs.sort_unstable();
            out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = pair.1 as i32);
        });
        ran && job.finish_all(crew)
    }
}
