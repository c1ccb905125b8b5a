//! Drives tiles over a kernel's points: the loops of the three shapes, how they are shared by threads, and the two
//! phases of split stages.

use super::execute::{self, Tile};
use super::{Op, Program, Shape, What, reduce};
use crate::crew::{Crew, Shared};

/// The buffers of one kernel: first elements of its slices.
#[derive(Debug)]
pub(crate) struct Io<'a> {
    pub(crate) inputs: &'a [Shared<u8>],
    pub(crate) outputs: &'a [Shared<u8>],
    /// Where the core's value of outer point 0 lies (or would lie).
    pub(crate) core: Shared<u8>,
}

impl Program {
    /// Runs all points. False if a task panicked.
    pub(crate) fn run(&self, crew: &mut Crew, io: &Io<'_>) -> bool {
        if self.outer == 0 {
            return true;
        }
        if let Some(chunk) = self.chunk {
            return self.run_split(chunk, crew, io);
        }
        let tiles = self.outer.div_ceil(self.rows);
        // About 8 us of work per task, so that threads end together.
        let tasks = (self.nanoseconds / 8_000).clamp(1, tiles.min(64));
        let per_task = tiles.div_ceil(tasks) * self.rows;
        crew.run(self.outer.div_ceil(per_task), self.nanoseconds, |task, scratch| {
            let end = ((task + 1) * per_task).min(self.outer);
            self.run_range(io, scratch, task * per_task, end);
        })
    }

    /// Runs the outer points `start..end` on this thread.
    pub(crate) fn run_range(&self, io: &Io<'_>, scratch: *mut u8, start: usize, end: usize) {
        let mut tile = Tile::new(self, io, scratch);
        let mut at = start;
        while at < end {
            let n = self.rows.min(end - at);
            match self.shape {
                Shape::Rows => {
                    (tile.outer_start, tile.outer_lanes) = (at, n);
                    (tile.inner_start, tile.inner_lanes) = (at * self.inner, n * self.inner);
                    execute::run(&mut tile, &self.stages[0].before);
                }
                Shape::Long | Shape::Columns => {
                    self.outer_tile(&mut tile, at, n);
                    for (stage, code) in self.stages.iter().enumerate() {
                        execute::run(&mut tile, &code.before);
                        self.steps(&mut tile, stage, 0, self.inner);
                        let ended = self.accumulators.iter().filter(|a| a.stage == stage);
                        ended.for_each(|a| reduce::conclude_all(&tile, a));
                    }
                    execute::run(&mut tile, &self.after);
                }
            }
            at += n;
        }
    }

    fn outer_tile(&self, tile: &mut Tile<'_>, at: usize, n: usize) {
        (tile.outer_start, tile.outer_lanes) = (at, n);
        if self.shape == Shape::Long {
            tile.inner_fixed = at;
        } else {
            (tile.inner_start, tile.inner_lanes) = (at, n);
        }
    }

    /// The loop of a stage over `from..to` of `inner`.
    fn steps(&self, tile: &mut Tile<'_>, stage: usize, from: usize, to: usize) {
        let code: &[Op] = &self.stages[stage].each;
        if code.is_empty() {
            return;
        }
        self.accumulators.iter().filter(|a| a.stage == stage).for_each(|a| reduce::reset(tile, a));
        let mut at = from;
        tile.step = 0;
        if matches!(code, [Op { what: What::SumColumns { .. }, .. }, ..]) {
            (tile.inner_fixed, tile.steps) = (from, to - from);
            execute::run(tile, code);
            return;
        }
        while at < to {
            if self.shape == Shape::Long {
                let n = self.lanes.min(to - at);
                (tile.inner_start, tile.inner_lanes) = (at, n);
                at += n;
            } else {
                tile.inner_fixed = at;
                at += 1;
            }
            execute::run(tile, code);
            tile.step += 1;
        }
    }

    /// Every stage in tasks of one tile of `outer` and one chunk of `inner`; after each stage the chunks' partial results
    /// are joined in order. Results of reductions lie in the shared workspace: `[accumulator][chunks + 1][outer]`.
    fn run_split(&self, chunk: usize, crew: &mut Crew, io: &Io<'_>) -> bool {
        let (tiles, chunks) = (self.outer.div_ceil(self.rows), self.inner.div_ceil(chunk));
        let shared = Shared(crew.shared().get().cast::<(u64, i32)>());
        let outer = self.outer;
        let place = move |accumulator: usize, part: usize, point: usize| {
            shared.get().wrapping_add((accumulator * (chunks + 1) + part) * outer + point)
        };
        let cost = self.nanoseconds / self.stages.len().max(1);
        for stage in 0..self.stages.len() {
            if self.stages[stage].each.is_empty() {
                continue;
            }
            let ran = crew.run(tiles * chunks, cost, |task, scratch| {
                let (at, part) = (task / chunks * self.rows, task % chunks);
                let mut tile = Tile::new(self, io, scratch);
                self.outer_tile(&mut tile, at, self.rows.min(outer - at));
                self.replay(&mut tile, stage, |accumulator, point| place(accumulator, chunks, point));
                self.steps(&mut tile, stage, part * chunk, ((part + 1) * chunk).min(self.inner));
                for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == stage) {
                    reduce::settle(&tile, a);
                    for lane in 0..tile.outer_lanes {
                        put(place(number, part, at + lane), reduce::partial(&tile, a, lane));
                    }
                }
            });
            if !ran {
                return false;
            }
            for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == stage) {
                for point in 0..outer {
                    let parts = (1..chunks).map(|part| get(place(number, part, point)));
                    let joined = parts.fold(get(place(number, 0, point)), |sum, next| reduce::join(a, sum, next));
                    put(place(number, chunks, point), joined);
                }
            }
        }
        crew.run(tiles, 0, |task, scratch| {
            let at = task * self.rows;
            let mut tile = Tile::new(self, io, scratch);
            self.outer_tile(&mut tile, at, self.rows.min(outer - at));
            self.replay(&mut tile, self.stages.len() - 1, |accumulator, point| place(accumulator, chunks, point));
            execute::run(&mut tile, &self.after);
        })
    }

    /// Brings the outer registers of stages up to `stage` back, with the finished reductions of those before it.
    fn replay(&self, tile: &mut Tile<'_>, stage: usize, result: impl Fn(usize, usize) -> *mut (u64, i32)) {
        for (earlier, code) in self.stages.iter().enumerate().take(stage + 1) {
            execute::run(tile, &code.before);
            if earlier < stage {
                for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == earlier) {
                    for lane in 0..tile.outer_lanes {
                        reduce::conclude(tile, a, lane, get(result(number, tile.outer_start + lane)));
                    }
                }
            }
        }
    }
}

#[expect(unsafe_code, reason = "the workspace of partial results is raw memory")]
fn put(place: *mut (u64, i32), partial: (u64, i32)) {
    // SAFETY: `Program::shared` bytes were reserved for exactly these places, 16 bytes each, and one task writes each.
    unsafe { place.write(partial) };
}

#[expect(unsafe_code, reason = "the workspace of partial results is raw memory")]
fn get(place: *mut (u64, i32)) -> (u64, i32) {
    // SAFETY: as in `put`; written before, by a phase that has ended.
    unsafe { place.read() }
}

impl Program {
    /// In words, what was chosen.
    pub(crate) fn explain(&self) -> String {
        let count: usize = self.stages.iter().map(|s| s.before.len() + s.each.len()).sum();
        let split = self.chunk.map_or_else(String::new, |chunk| format!(", split by {chunk}"));
        let (shape, lanes, stages) = (self.shape, self.lanes, self.stages.len());
        format!("{shape:?} of {lanes} lanes, {stages} stages, {count} operations{split}, about {} ns", self.nanoseconds)
    }
}
