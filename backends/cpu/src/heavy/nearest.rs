//! Products of whose rows only the number of the greatest or least element is asked for, once a number per column is added: the nearest
//! of some points. Rows become lanes, so their elements are compared while they are sums in registers, and are never stored.
//!
//! Of 4,096 rows of 32 numbers and 64 columns: 60 GFLOP/s on one thread with AVX2, the search and the turned rows included, of about 73 that products
//! reach.
#![expect(unsafe_code, reason = "matrices are raw memory, and vector extensions are chosen at run time")]

use anygrad_core::DType;
use anygrad_core::kernel::{Extremum, Inst, Kernel, Matmul};
use anygrad_core::scalar::Binary;

use super::Job;
use super::lanes::{self, Rows, Turns};
use super::panel::{self, LANES, left};
use super::real::Matrix;
use crate::crew::Crew;

/// Longest sums: a panel of them takes half of the first-level cache, and one sum loses few digits.
const LONGEST: usize = 256;

/// Nanoseconds of a task.
const TASK: usize = 20_000;

/// A prepared search.
#[derive(Debug)]
pub(crate) struct Nearest {
    p: Matmul,
    /// The input of numbers per column, the first one's place, and the step to the next.
    added: Option<(usize, isize, isize)>,
    /// Where the first row's number goes, and the step to the next.
    to: [isize; 2],
    turns: Turns,
    search: Search,
    nanoseconds: usize,
}

/// The signature of [`search`].
type Search = unsafe fn(&Columns, *const f32) -> [i32; LANES];

/// The right side: columns of `k` neighbours, `apart` elements from one to the next, and what is added to each one's product.
#[derive(Clone, Copy, Debug)]
struct Columns {
    start: *mut f32,
    apart: usize,
    count: usize,
    k: usize,
    added: *const f32,
}

/// What the body asks for, if it is nothing but that: the extremum, and the number of the instruction that is added.
fn asked(kernel: &Kernel) -> Option<(Extremum, Option<usize>)> {
    let [output] = &kernel.outputs[..] else { return None };
    let Inst::ArgReduce(which, x) = kernel.body[output.value] else { return None };
    match kernel.body[x] {
        Inst::Core => Some((which, None)),
        Inst::Binary(Binary::Add, x, y) if kernel.body[x] == Inst::Core => Some((which, Some(y))),
        Inst::Binary(Binary::Add, x, y) if kernel.body[y] == Inst::Core => Some((which, Some(x))),
        _ => None,
    }
}

impl Nearest {
    /// `None` where the product, its body or the machine is another one.
    pub(super) fn new(kernel: &Kernel, p: &Matmul) -> Option<Nearest> {
        let (which, added) = asked(kernel)?;
        let (search, least_columns) = choose(which)?;
        let f32s = [&p.a, &p.b].iter().all(|side| kernel.inputs[side.input].dtype == DType::F32);
        let beside = p.a.column_stride == 1 && p.b.row_stride == 1;
        let sizes = p.n >= least_columns && (1..=LONGEST).contains(&p.k) && p.batch.iter().all(|&size| size == 1);
        if !f32s || !beside || !sizes {
            return None;
        }
        let added = match added.map(|at| &kernel.body[at]) {
            None => None,
            Some(Inst::Load { input, layout }) if kernel.inputs[*input].dtype == DType::F32 => {
                let [view] = layout.views() else { return None };
                let (&along, rows) = view.strides.split_last()?;
                let same = rows.iter().zip(&view.shape).all(|(&stride, &size)| stride == 0 || size == 1);
                if view.mask.is_some() || !same || view.shape.len() != kernel.outer.len() + 1 {
                    return None;
                }
                Some((*input, view.offset, along))
            }
            Some(_) => return None,
        };
        let view = &kernel.outputs[0].view;
        let to = [view.offset, *view.strides.last()?];
        let nanoseconds = 2 * p.m * p.n * p.k / 70 + p.m * p.n / 4;
        Some(Nearest { p: p.clone(), added, to, turns: lanes::turns()?, search, nanoseconds })
    }

    /// Bytes per thread: a panel, and a copy of what is added.
    pub(super) fn scratch(&self) -> usize {
        (self.p.k * LANES + self.p.n) * 4
    }

    pub(super) fn explain(&self) -> String {
        format!("number of an extremum of matmul {}x{}x{}", self.p.m, self.p.n, self.p.k)
    }

    pub(super) fn run(&self, crew: &mut Crew, job: &Job<'_>) -> bool {
        let Matmul { m, n, k, ref a, ref b, .. } = self.p;
        let each = m.div_ceil((self.nanoseconds / TASK).max(1)).next_multiple_of(LANES).max(LANES);
        let numbers = job.io.outputs[0];
        crew.run(m.div_ceil(each), self.nanoseconds, |task, scratch| {
            let panel = scratch.wrapping_add(job.room).cast::<f32>();
            let added = panel.wrapping_add(k * LANES);
            for column in 0..n {
                let load = |(input, offset, along): (usize, isize, isize)| {
                    let place = job.io.inputs[input].get().cast::<f32>();
                    // SAFETY: a verified view over the columns.
                    unsafe { *place.offset(offset + column as isize * along) }
                };
                // SAFETY: the room behind the panel holds `n` numbers.
                unsafe { *added.add(column) = self.added.map_or(0.0, load) };
            }
            let [left, right] =
                [a, b].map(|side| job.io.inputs[side.input].get().cast::<f32>().wrapping_add(side.offset));
            let columns = Columns { start: right, apart: b.column_stride, count: n, k, added };
            for row in (task * each..((task + 1) * each).min(m)).step_by(LANES) {
                let rows = LANES.min(m - row);
                let from = Rows { start: left.wrapping_add(row * a.row_stride), apart: a.row_stride, rows, length: k };
                // SAFETY: verified operands; the panel is this thread's own; `turns` and `choose` asked for the extensions.
                let found = unsafe {
                    (self.turns.to_lanes)(from, panel);
                    (self.search)(&columns, panel)
                };
                for (lane, number) in found.into_iter().enumerate().take(rows) {
                    let place = self.to[0] + (row + lane) as isize * self.to[1];
                    // SAFETY: a verified view over the rows, each of which is one task's.
                    unsafe { *numbers.get().cast::<i32>().offset(place) = number };
                }
            }
        })
    }
}

/// The search for this machine, and how many columns there must be for it.
fn choose(which: Extremum) -> Option<(Search, usize)> {
    /// [`search`] for the greatest and the least with some extensions; so many columns are in registers at once.
    macro_rules! searches {
        ($columns:literal, $features:literal) => {{
            #[target_feature(enable = $features)]
            unsafe fn greatest(columns: &Columns, panel: *const f32) -> [i32; LANES] {
                // SAFETY: the caller's promise.
                unsafe { search::<$columns, false>(columns, panel) }
            }
            #[target_feature(enable = $features)]
            unsafe fn least(columns: &Columns, panel: *const f32) -> [i32; LANES] {
                // SAFETY: the caller's promise.
                unsafe { search::<$columns, true>(columns, panel) }
            }
            Some((if which == Extremum::Max { greatest as Search } else { least }, $columns))
        }};
    }
    #[cfg(target_arch = "x86_64")]
    return match crate::tile::level() {
        4 => searches!(12, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"),
        3 => searches!(6, "avx2,fma"),
        _ => None,
    };
    #[cfg(not(target_arch = "x86_64"))]
    return None;
}

/// For each lane of a panel the number of the first column whose product with it, plus what is added, is greatest (or least).
///
/// # Safety
/// All that `columns` describes and `columns.k` rows of the panel must be inside of memory that nobody writes; there are at least `R`
/// columns.
#[inline(always)]
unsafe fn search<const R: usize, const LEAST: bool>(columns: &Columns, panel: *const f32) -> [i32; LANES] {
    let mut best = [if LEAST { f32::INFINITY } else { f32::NEG_INFINITY }; LANES];
    let (mut numbers, mut odd) = ([0; LANES], [0.0; LANES]);
    for first in (0..columns.count).step_by(R) {
        // The last ones again, with some before them: what is equal to the best changes nothing.
        let first = first.min(columns.count - R);
        let left = Matrix { start: columns.start.wrapping_add(first * columns.apart), row: columns.apart, column: 1 };
        // SAFETY: the caller's promise.
        let sums = unsafe { panel::sums::<f32, R, { left::ROWS }, true>(columns.k, left, (panel, LANES)) };
        for (r, sum) in sums.iter().enumerate() {
            // SAFETY: as above.
            let added = unsafe { *columns.added.wrapping_add(first + r) };
            for lane in 0..LANES {
                let score = sum[lane] + added;
                let better = if LEAST { score < best[lane] } else { score > best[lane] };
                numbers[lane] = if better { (first + r) as i32 } else { numbers[lane] };
                best[lane] = if better { score } else { best[lane] };
                // NaN from the first score on that is infinite or NaN.
                odd[lane] = score.mul_add(0.0, odd[lane]);
            }
        }
    }
    for lane in (0..LANES).filter(|&lane| odd[lane].is_nan()) {
        // SAFETY: as above.
        numbers[lane] = unsafe { careful::<LEAST>(columns, panel.wrapping_add(lane)) };
    }
    numbers
}

/// As [`search`] for one lane, with scores that may be infinite or NaN, which is best.
///
/// # Safety
/// As for [`search`].
#[cold]
unsafe fn careful<const LEAST: bool>(columns: &Columns, lane: *const f32) -> i32 {
    let (mut number, mut best) = (0, 0.0_f32);
    for column in 0..columns.count {
        let start = columns.start.wrapping_add(column * columns.apart);
        // SAFETY: the caller's promise.
        let score = unsafe {
            let sum = (0..columns.k).fold(0.0, |sum, i| (*start.add(i)).mul_add(*lane.add(i * LANES), sum));
            sum + *columns.added.add(column)
        };
        let beats = score.is_nan() || if LEAST { score < best } else { score > best };
        if column == 0 || !best.is_nan() && beats {
            (number, best) = (column as i32, score);
        }
    }
    number
}
