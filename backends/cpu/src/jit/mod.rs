//! Straight runs of cheap operations on lanes, as machine code of this process: values stay in vector registers, where an
//! interpreter sends each through the first-level cache (Adam on 536,000 parameters took 770 us, now 205).
//!
//! [`Body`] says what is computed per lane, [`assemble`] makes code of several bodies, [`Code::run`] runs one over lanes. Every
//! operation rounds like the interpreter's loops, so results are the same bits. Only x86-64 with AVX2 and FMA has it, and only where
//! the system allows memory to be executable; elsewhere [`assemble`] gives nothing and loops are interpreted.
#![expect(unsafe_code, reason = "calls what was assembled")]

mod assembler;
mod emit;
#[cfg(test)]
mod tests;
mod traced;

use std::sync::Arc;

/// Number of a [`Line`].
pub(crate) type Value = usize;

/// Number of a pointer in the table that [`Code::run`] gets.
pub(crate) type Pointer = usize;

/// What is computed per lane; values are lines before this one. Masks have all bits set or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    /// The lanes at a pointer.
    Load(Pointer),
    /// These bits in all lanes.
    Constant(u32),
    Two(Two, Value, Value),
    Root(Value),
    /// 8: to nearest, halves to even; 9: down; 10: up; 11: towards 0.
    Round(u8, Value),
    /// To a mask.
    Compare(Comparison, Value, Value),
    /// To a mask: equal bits.
    Same(Value, Value),
    /// Lanes of the second value where the mask is set, of the third elsewhere.
    Choose(Value, Value, Value),
    /// `x * y + z`, rounded once.
    MultiplyAdd(Value, Value, Value),
    /// Whole numbers, shifted to the left.
    ShiftLeft(u8, Value),
    /// Whole numbers with signs, shifted to the right.
    ShiftRight(u8, Value),
}

/// Operations on two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Two {
    Add,
    Subtract,
    Multiply,
    Divide,
    And,
    /// Not the first, and the second.
    AndNot,
    Or,
    Xor,
    /// The second if either is NaN.
    Largest,
    /// The second if either is NaN.
    Smallest,
    AddWhole,
    SubtractWhole,
}

/// False where either side is NaN, but for `Unordered`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Comparison {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
    Unordered,
}

/// Lines and what is kept of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) lines: Vec<Line>,
    /// Values, and the pointers that they are stored at.
    pub(crate) stores: Vec<(Value, Pointer)>,
}

impl Body {
    /// Appends a line, or finds an equal one.
    pub(crate) fn line(&mut self, line: Line) -> Value {
        // Equal lines stand near each other: constants and masks of one function.
        self.lines.iter().position(|&known| known == line).unwrap_or_else(|| {
            self.lines.push(line);
            self.lines.len() - 1
        })
    }

    /// A constant of f32.
    pub(crate) fn number(&mut self, x: f32) -> Value {
        self.line(Line::Constant(x.to_bits()))
    }

    /// A line of two values.
    pub(crate) fn two(&mut self, how: Two, x: Value, y: Value) -> Value {
        self.line(Line::Two(how, x, y))
    }
}

/// Assembled bodies.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    memory: Arc<memmap2::Mmap>,
    entry: usize,
}

/// Code for each body; `None` if one does not [fit](`fits`) or the system allows no code.
pub(crate) fn assemble(bodies: &[Body]) -> Option<Vec<Code>> {
    let mut assembler = assembler::Assembler::default();
    let entries: Vec<usize> = bodies.iter().map(|body| emit::emit(body, &mut assembler)).collect::<Option<_>>()?;
    let bytes = assembler.finish();
    let mut memory = memmap2::MmapMut::map_anon(bytes.len()).ok()?;
    memory.copy_from_slice(&bytes);
    let memory = Arc::new(memory.make_exec().ok()?);
    Some(entries.into_iter().map(|entry| Code { memory: Arc::clone(&memory), entry }).collect())
}

/// Whether there are registers enough for a body.
pub(crate) fn fits(body: &Body) -> bool {
    emit::emit(body, &mut assembler::Assembler::default()).is_some()
}

/// Whether this machine runs what is assembled.
pub(crate) fn is_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::tile::level() >= 3;
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Code {
    /// Runs over `lanes` lanes.
    ///
    /// # Safety
    /// The table must hold the pointers of the body, each to `lanes` lanes of 4 bytes that this thread may use, and stores alone.
    /// What is stored may be loaded by the same body, of the same lane.
    pub(crate) unsafe fn run(&self, table: *const *mut u8, lanes: usize) {
        #[cfg(target_arch = "x86_64")]
        type Entry = unsafe extern "sysv64" fn(*const *mut u8, usize);
        // Never made, see `is_here`.
        #[cfg(not(target_arch = "x86_64"))]
        type Entry = unsafe extern "C" fn(*const *mut u8, usize);
        // SAFETY: `assemble` put a function of this signature at `entry`.
        unsafe {
            let entry: Entry = std::mem::transmute(self.memory.as_ptr().add(self.entry));
            entry(table, 4 * lanes);
        }
    }
}
