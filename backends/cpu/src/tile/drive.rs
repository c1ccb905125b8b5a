//! Drives tiles over a kernel's points: the loops of the three shapes, how they are shared by threads, and the two
//! phases of split stages.

use super::execute::{self, Tile};
use super::{Op, Program, Shape, Source, What, accumulate};
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
                        ended.for_each(|a| accumulate::conclude_all(&tile, a));
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
        self.accumulators.iter().filter(|a| a.stage == stage).for_each(|a| accumulate::reset(tile, a));
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
    /// are joined in order.
    fn run_split(&self, chunk: usize, crew: &mut Crew, io: &Io<'_>) -> bool {
        let (tiles, chunks) = (self.outer.div_ceil(self.rows), self.inner.div_ceil(chunk));
        let partials = self.partials(crew.shared());
        let cost = self.nanoseconds / self.stages.len().max(1);
        for stage in 0..self.stages.len() {
            if self.stages[stage].each.is_empty() {
                continue;
            }
            let ran = crew.run(tiles * chunks, cost, |task, scratch| {
                self.part(io, scratch, partials, (stage, task / chunks * self.rows, task % chunks));
            });
            if !ran {
                return false;
            }
            self.join(partials, stage);
        }
        self.conclude(crew, io, partials)
    }

    /// Partial results in memory that has room for them.
    fn partials(&self, memory: Shared<u8>) -> Partials {
        let chunks = self.chunk.map_or(1, |chunk| self.inner.div_ceil(chunk));
        Partials { start: Shared(memory.get().cast()), chunks, outer: self.outer }
    }

    /// One chunk of a stage, for the tile of `outer` that begins at `at`.
    fn part(&self, io: &Io<'_>, scratch: *mut u8, partials: Partials, (stage, at, part): (usize, usize, usize)) {
        let chunk = self.chunk.unwrap_or(self.inner);
        let mut tile = Tile::new(self, io, scratch);
        self.outer_tile(&mut tile, at, self.rows.min(self.outer - at));
        self.replay(&mut tile, stage, partials);
        self.steps(&mut tile, stage, part * chunk, ((part + 1) * chunk).min(self.inner));
        for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == stage) {
            accumulate::settle(&tile, a);
            accumulate::partial(&tile, a, partials.row(number, part, at, tile.outer_lanes));
        }
    }

    /// Joins the partial results of a stage.
    fn join(&self, partials: Partials, stage: usize) {
        for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == stage) {
            let row = |part: usize| partials.row(number, part, 0, self.outer);
            let joined = row(partials.chunks);
            joined.copy_from_slice(row(0));
            (1..partials.chunks).for_each(|part| accumulate::join(a, joined, row(part)));
        }
    }

    /// What follows the last stage.
    fn conclude(&self, crew: &mut Crew, io: &Io<'_>, partials: Partials) -> bool {
        crew.run(self.outer.div_ceil(self.rows), 0, |task, scratch| {
            let at = task * self.rows;
            let mut tile = Tile::new(self, io, scratch);
            self.outer_tile(&mut tile, at, self.rows.min(self.outer - at));
            self.replay(&mut tile, self.stages.len() - 1, partials);
            execute::run(&mut tile, &self.after);
        })
    }

    /// Brings the outer registers of stages up to `stage` back, with the finished reductions of those before it.
    fn replay(&self, tile: &mut Tile<'_>, stage: usize, partials: Partials) {
        for (earlier, code) in self.stages.iter().enumerate().take(stage + 1) {
            execute::run(tile, &code.before);
            if earlier < stage {
                for (number, a) in self.accumulators.iter().enumerate().filter(|(_, a)| a.stage == earlier) {
                    let joined = partials.row(number, partials.chunks, tile.outer_start, tile.outer_lanes);
                    accumulate::conclude(tile, a, joined);
                }
            }
        }
    }
}

/// Results of reductions, chunk by chunk and then joined: `[accumulator][chunks + 1][outer]`.
#[derive(Clone, Copy, Debug)]
struct Partials {
    start: Shared<(u64, i32)>,
    chunks: usize,
    outer: usize,
}

impl Partials {
    /// Those of `n` points of `outer` from `at` on, of a chunk, or joined (behind the last chunk). Nobody holds a row twice: one task
    /// writes it, and it is read after that.
    #[expect(unsafe_code, reason = "the workspace of partial results is raw memory")]
    fn row<'a>(self, accumulator: usize, part: usize, at: usize, n: usize) -> &'a mut [(u64, i32)] {
        let start = self.start.get().wrapping_add((accumulator * (self.chunks + 1) + part) * self.outer + at);
        // SAFETY: `Program::shared` bytes were reserved for exactly these places, 16 bytes each, all of them plain numbers.
        unsafe { std::slice::from_raw_parts_mut(start, n) }
    }
}

/// Sums over rows that the kernel which computes the rows takes on while they are in cache.
impl Program {
    /// The rows of a part, if this reduces rows of a table part by part and nothing else.
    pub(crate) fn parts(&self) -> Option<usize> {
        let loops = self.stages.iter().filter(|stage| !stage.each.is_empty()).count();
        let alone = self.shape == Shape::Columns && loops == 1;
        self.chunk.filter(|_| alone && !self.stages[0].each.is_empty())
    }

    /// Rows and columns of the table.
    pub(crate) fn table(&self) -> [usize; 2] {
        [self.inner, self.outer]
    }

    /// Whether an input is read as that table, row `i` in step `i`, or not at all.
    pub(crate) fn reads_rows(&self, input: usize) -> bool {
        let plain = |access: usize| {
            let access = &self.accesses[access];
            access.inner
                && access.is_plain()
                && access.offset == 0
                && access.fixed.uniform() == Some(self.outer as isize)
        };
        let reads = |op: &Op| match op.what {
            What::Load { source: Source::Input(i), access, .. } | What::SumColumns { input: i, access, .. } => {
                i != input || plain(access)
            }
            What::Gather { input: i, .. } | What::Random { state: i, .. } => i != input,
            _ => true,
        };
        let elsewhere = self.stages.iter().flat_map(|stage| &stage.before).chain(&self.after);
        let untouched =
            |op: &Op| !matches!(op.what, What::Load { source: Source::Input(i), .. } if i == input) && reads(op);
        self.stages.iter().flat_map(|stage| &stage.each).all(reads) && elsewhere.into_iter().all(untouched)
    }

    /// Sums up the parts of rows `from..to`, which begin with a part and end with one or with the table.
    pub(crate) fn sum_parts(&self, io: &Io<'_>, scratch: *mut u8, memory: Shared<u8>, from: usize, to: usize) {
        let chunk = self.chunk.unwrap_or(self.inner);
        for part in from / chunk..to.div_ceil(chunk) {
            for at in (0..self.outer).step_by(self.rows) {
                self.part(io, scratch, self.partials(memory), (0, at, part));
            }
        }
    }

    /// The rest, when all parts are summed up. False if a task panicked.
    pub(crate) fn join_parts(&self, crew: &mut Crew, io: &Io<'_>, memory: Shared<u8>) -> bool {
        self.join(self.partials(memory), 0);
        self.conclude(crew, io, self.partials(memory))
    }
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
