//! Runs operations on one tile. The one big match is compiled three times, for AVX-512, AVX2 and the baseline of the
//! target; everything it calls is inlined into it, so that plain loops over lanes become the vector code of each.
#![expect(unsafe_code, reason = "tile registers are raw memory, and vector extensions are chosen at run time")]

use std::sync::OnceLock;

use super::drive::Io;
use super::{Op, Program, Register, What, accumulate, maps, moves, reduce};

/// Where a tile stands and its registers.
pub(super) struct Tile<'a> {
    pub(super) program: &'a Program,
    pub(super) io: &'a Io<'a>,
    /// Address of each register's lanes.
    registers: *mut *mut u8,
    /// Room for element numbers.
    numbers: *mut isize,
    slots: *mut u8,
    /// First outer point and how many.
    pub(super) outer_start: usize,
    pub(super) outer_lanes: usize,
    /// First lane of inner views, how many, and what stands still for them.
    pub(super) inner_start: usize,
    pub(super) inner_lanes: usize,
    pub(super) inner_fixed: usize,
    /// Steps since the accumulators were reset.
    pub(super) step: usize,
    /// Steps that an operation over many of them takes.
    pub(super) steps: usize,
}

impl<'a> Tile<'a> {
    /// A tile whose registers live in `scratch`, which has `program.scratch` bytes and is this thread's alone.
    pub(super) fn new(program: &'a Program, io: &'a Io<'a>, scratch: *mut u8) -> Tile<'a> {
        let table = (program.slots.len() * 8).next_multiple_of(64);
        let numbers = scratch.wrapping_add(table);
        let slots = numbers.wrapping_add((program.lanes * 8).next_multiple_of(64));
        let mut tile = Tile {
            program,
            io,
            registers: scratch.cast(),
            numbers: numbers.cast(),
            slots,
            outer_start: 0,
            outer_lanes: 0,
            inner_start: 0,
            inner_lanes: 0,
            inner_fixed: 0,
            step: 0,
            steps: 0,
        };
        for register in 0..program.slots.len() {
            tile.home(register);
        }
        for &(register, bits, wide) in &program.constants {
            let n = program.lanes.min(program.outer * program.inner.max(1));
            match wide {
                true => tile.write::<u64>(register, n).fill(bits),
                false => tile.write::<u32>(register, n).fill(bits as u32),
            }
        }
        tile
    }

    /// Points a register at its slot.
    #[inline(always)]
    pub(super) fn home(&mut self, register: Register) {
        let at = self.slots.wrapping_add(self.program.slots[register] * self.program.slot_bytes);
        self.point(register, at);
    }

    /// Points a register at lanes elsewhere.
    #[inline(always)]
    pub(super) fn point(&mut self, register: Register, at: *mut u8) {
        // SAFETY: the table has one entry per register and lies in this thread's scratch.
        unsafe { *self.registers.add(register) = at };
    }

    #[inline(always)]
    pub(super) fn address(&self, register: Register) -> *mut u8 {
        // SAFETY: the table has one entry per register, all set by `new`.
        unsafe { *self.registers.add(register) }
    }

    /// The first `n` lanes of a register that an earlier operation wrote.
    #[inline(always)]
    pub(super) fn read<T>(&self, register: Register, n: usize) -> &'a [T] {
        debug_assert!(n <= self.program.lanes);
        // SAFETY: slots hold `lanes` lanes of any lane type; loads that point elsewhere point at `n` elements that
        // `Kernel::verify` found inside of the buffer. No operation reads a slot that it writes.
        unsafe { std::slice::from_raw_parts(self.address(register).cast(), n) }
    }

    /// The first `n` lanes of a register, to be written.
    #[inline(always)]
    pub(super) fn write<T>(&self, register: Register, n: usize) -> &'a mut [T] {
        debug_assert!(n <= self.program.lanes);
        // SAFETY: as in `read`; `prepare` gives no two live registers one slot, and only loads point elsewhere,
        // which are never written.
        unsafe { std::slice::from_raw_parts_mut(self.address(register).cast(), n) }
    }

    /// Room for `n` element numbers.
    #[inline(always)]
    pub(super) fn numbers(&self, n: usize) -> &'a mut [isize] {
        debug_assert!(n <= self.program.lanes);
        // SAFETY: the room is `lanes` long and each operation takes it at most once.
        unsafe { std::slice::from_raw_parts_mut(self.numbers, n) }
    }

    /// Lanes of a level.
    #[inline(always)]
    pub(super) fn lanes(&self, inner: bool) -> usize {
        if inner { self.inner_lanes } else { self.outer_lanes }
    }
}

type Run = unsafe fn(&mut Tile<'_>, &[Op]);

/// The variant for this machine.
pub(super) fn run(tile: &mut Tile<'_>, ops: &[Op]) {
    static VARIANT: OnceLock<Run> = OnceLock::new();
    let variant = *VARIANT.get_or_init(choose);
    // SAFETY: `choose` gives a variant whose extensions this machine has.
    unsafe { variant(tile, ops) };
}

#[cfg(target_arch = "x86_64")]
fn choose() -> Run {
    match level() {
        4 => run_v4,
        3 => run_v3,
        _ => run_plain,
    }
}

/// The level of x86-64 (its name for sets of extensions) that loops are compiled for: 4, 3 or 1.
#[cfg(target_arch = "x86_64")]
pub(crate) fn level() -> u32 {
    let has_v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let has_v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    match (has_v4 && has_v3, has_v3) {
        (true, _) => 4,
        (_, true) => 3,
        _ => 1,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn choose() -> Run {
    run_plain
}

/// A set of vector extensions that loops are compiled for.
pub(super) trait Level {
    /// The level of what is seldom run: AVX-512 is not worth the time to compile it.
    type Seldom: Level;

    /// Runs `body` in a function of its own that is compiled for this level: the compiler's time grows faster than a
    /// function's length. Closures must be `inline(always)`, see [`apart!`].
    fn apart(body: impl FnOnce());
}

/// A level, and the variant of [`run`] for it; whether multiply-add is one instruction there.
macro_rules! level {
    ($name:ident, $seldom:ident, $run:ident, $fused:expr $(, $features:literal)?) => {
        pub(super) struct $name;
        impl Level for $name {
            type Seldom = $seldom;

            #[inline(always)]
            fn apart(body: impl FnOnce()) {
                #[inline(never)]
                $(#[target_feature(enable = $features)])?
                unsafe fn here(body: impl FnOnce()) {
                    body();
                }
                // SAFETY: called in this variant (or a higher one) alone, which `choose` gives to machines that have the extensions.
                unsafe { here(body) };
            }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn $run(tile: &mut Tile<'_>, ops: &[Op]) {
            run_all::<$name, { $fused }>(tile, ops);
        }
    };
}

#[cfg(target_arch = "x86_64")]
level!(V4, V3, run_v4, true, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(V3, V3, run_v3, true, "avx2,fma");
// The baseline; every 64-bit Arm has fused multiply-add, old x86 has not.
level!(Plain, Plain, run_plain, cfg!(target_arch = "aarch64"));

/// [`Level::apart`] with an expression.
macro_rules! apart {
    ($level:ty, $body:expr) => {
        <$level>::apart(
            #[inline(always)]
            || $body,
        )
    };
}
pub(super) use apart;

#[inline(always)]
fn run_all<L: Level, const FUSED: bool>(tile: &mut Tile<'_>, ops: &[Op]) {
    for op in ops {
        let (n, result) = (tile.lanes(op.inner), op.result);
        match op.what {
            What::Load { source, access, dtype, copy } => {
                apart!(L, moves::load(tile, op, source, access, dtype, copy));
            }
            What::Gather { .. } => apart!(L::Seldom, moves::gather(tile, op)),
            What::Iota { access } => apart!(L::Seldom, moves::iota(tile, result, access)),
            What::Inside { access } => apart!(L::Seldom, moves::inside(tile, result, access)),
            What::Random { state, stream, access } => {
                apart!(L::Seldom, moves::random(tile, result, state, stream, access));
            }
            What::Unary(map, lane, x) => maps::unary::<L, FUSED>(tile, map, lane, x, result, n),
            What::Binary(map, lane, x, y) => maps::binary::<L>(tile, map, lane, [x, y], result, n),
            What::Select { wide: false, condition, yes, no } => {
                let (yes, no): (&[u32], &[u32]) = (tile.read(yes, n), tile.read(no, n));
                maps::select(tile.read(condition, n), yes, no, tile.write(result, n));
            }
            What::Select { wide: true, condition, yes, no } => {
                let (yes, no): (&[u64], &[u64]) = (tile.read(yes, n), tile.read(no, n));
                maps::select(tile.read(condition, n), yes, no, tile.write(result, n));
            }
            What::Cast(from, to, x) => apart!(L::Seldom, maps::cast(tile, from, to, x, result, n)),
            What::Copy { wide: false, from } => tile.write::<u32>(result, n).copy_from_slice(tile.read(from, n)),
            What::Copy { wide: true, from } => tile.write::<u64>(result, n).copy_from_slice(tile.read(from, n)),
            What::Expand { wide: false, from } => reduce::expand::<u32>(tile, from, result),
            What::Expand { wide: true, from } => reduce::expand::<u64>(tile, from, result),
            What::Reduce(how, lane, x) => reduce::rows::<L>(tile, how, lane, x, result),
            What::ArgReduce(which, lane, x) => apart!(L, reduce::arg_rows::<L>(tile, which, lane, x, result)),
            What::Accumulate(number) => apart!(L, accumulate::step::<L>(tile, number)),
            What::SumColumns { accumulator, input, access } => {
                apart!(L, accumulate::columns(tile, accumulator, input, access));
            }
            What::Aim { output, access } => moves::aim(tile, result, output, access),
            What::Fused(ref fused) => {
                // SAFETY: the table has an entry per register; `Kernel::verify` and `read` say why the lanes are there. No
                // register of an output is one that others read at the same time, see `fuse`.
                unsafe { fused.code.run(tile.registers.cast_const(), n) };
            }
            What::Store { output, access, dtype } => apart!(L, moves::store(tile, op, output, access, dtype)),
        }
    }
}
