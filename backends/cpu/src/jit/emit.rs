//! From a [`Body`] to instructions: which values are in which registers, and when.

use super::assembler::{self as asm, Assembler, General, LANES, Place, Vector};
use super::{Body, Comparison, Line, Pointer, Two, Value};

/// Registers that hold values; then three for operands on their way, and the mask of the last vector.
const HELD: usize = 12;
const ON_THE_WAY: [Vector; 3] = [12, 13, 14];
const MASK: Vector = 15;

/// Registers for pointers: the caller's own ones last.
const POINTERS: [General; 12] = [1, 2, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15];
const SAVED: usize = 6;

/// Appends the function of a body; `None`, and nothing, if it needs too many registers.
pub(super) fn emit(body: &Body, assembler: &mut Assembler) -> Option<usize> {
    let mut pointers: Vec<Pointer> = Vec::new();
    let loaded = body.lines.iter().filter_map(|line| match *line {
        Line::Load(pointer) => Some(pointer),
        _ => None,
    });
    for pointer in loaded.chain(body.stores.iter().map(|&(_, pointer)| pointer)) {
        if !pointers.contains(&pointer) {
            pointers.push(pointer);
        }
    }
    if pointers.len() > POINTERS.len() {
        return None;
    }
    // What is only loaded must not be stored: a store before it may have changed it.
    if body.stores.iter().any(|&(value, _)| is_fetched(&body.lines[value])) {
        return None;
    }
    let mut last = vec![0; body.lines.len()];
    for (at, line) in body.lines.iter().enumerate() {
        operands(line).for_each(|value| last[value] = at);
    }
    body.stores.iter().for_each(|&(value, _)| last[value] = usize::MAX);

    let entry = assembler.here();
    let saved: Vec<General> =
        POINTERS.iter().skip(POINTERS.len() - SAVED).take(pointers.len().saturating_sub(SAVED)).copied().collect();
    saved.iter().for_each(|&register| assembler.push(register));
    for (number, &pointer) in pointers.iter().enumerate() {
        assembler.pointer(POINTERS[number], pointer);
    }
    assembler.begin();
    let tail = assembler.skip_if_none();
    let start = assembler.here();
    Lanes::new(body, &pointers, &last, false, assembler).all()?;
    assembler.repeat(start);
    assembler.land(tail);
    let end = assembler.skip_if_whole();
    assembler.mask(MASK);
    Lanes::new(body, &pointers, &last, true, assembler).all()?;
    assembler.land(end);
    saved.iter().rev().for_each(|&register| assembler.pop(register));
    assembler.leave();
    Some(entry)
}

fn operands(line: &Line) -> impl Iterator<Item = Value> {
    let uses = match *line {
        Line::Load(_) | Line::Constant(_) => [None; 3],
        Line::Root(x) | Line::Round(_, x) | Line::ShiftLeft(_, x) | Line::ShiftRight(_, x) => [Some(x), None, None],
        Line::Two(_, x, y) | Line::Compare(_, x, y) | Line::Same(x, y) => [Some(x), Some(y), None],
        Line::Choose(x, y, z) | Line::MultiplyAdd(x, y, z) => [Some(x), Some(y), Some(z)],
    };
    uses.into_iter().flatten()
}

/// Whether a value is not computed, but can be brought to a register whenever it is needed.
fn is_fetched(line: &Line) -> bool {
    matches!(line, Line::Load(_) | Line::Constant(_))
}

/// One pass over the lines, for a whole vector or for what is left.
struct Lanes<'a> {
    body: &'a Body,
    pointers: &'a [Pointer],
    /// The line that uses each value last.
    last: &'a [usize],
    /// The present line.
    at: usize,
    masked: bool,
    assembler: &'a mut Assembler,
    /// What each register holds, and where each value is.
    holds: [Option<Value>; HELD],
    register: Vec<Option<Vector>>,
}

impl<'a> Lanes<'a> {
    fn new(
        body: &'a Body,
        pointers: &'a [Pointer],
        last: &'a [usize],
        masked: bool,
        assembler: &'a mut Assembler,
    ) -> Lanes<'a> {
        let register = vec![None; body.lines.len()];
        Lanes { body, pointers, last, at: 0, masked, assembler, holds: [None; HELD], register }
    }

    fn all(mut self) -> Option<()> {
        for at in 0..self.body.lines.len() {
            self.line(at)?;
        }
        for &(value, pointer) in &self.body.stores {
            let from = self.vector(value, ON_THE_WAY[0]);
            let to = Place::At(self.general(pointer));
            if self.masked {
                self.assembler.vector(asm::STORE_MASKED, from, MASK, to, None);
            } else {
                self.assembler.vector(asm::STORE, from, 0, to, None);
            }
        }
        Some(())
    }

    fn general(&self, pointer: Pointer) -> General {
        POINTERS[self.pointers.iter().position(|&known| known == pointer).unwrap_or(0)]
    }

    fn line(&mut self, at: usize) -> Option<()> {
        self.at = at;
        let line = self.body.lines[at];
        let two = |this: &mut Self, code, x, y, number, swaps: bool| {
            // Memory can only be the last operand.
            let (x, y) = if swaps && !this.is_held(x) && this.is_held(y) { (y, x) } else { (x, y) };
            let first = this.vector(x, ON_THE_WAY[0]);
            let second = this.place(y, ON_THE_WAY[1]);
            this.release(at);
            let to = this.take(at)?;
            this.assembler.vector(code, to, first, second, number);
            Some(())
        };
        match line {
            // Where they are first needed.
            Line::Load(_) | Line::Constant(_) => Some(()),
            Line::Two(how, x, y) => {
                let (code, swaps) = match how {
                    Two::Add => (asm::ADD, true),
                    Two::Subtract => (asm::SUBTRACT, false),
                    Two::Multiply => (asm::MULTIPLY, true),
                    Two::Divide => (asm::DIVIDE, false),
                    Two::And => (asm::AND, true),
                    Two::AndNot => (asm::AND_NOT, false),
                    Two::Or => (asm::OR, true),
                    Two::Xor => (asm::XOR, true),
                    Two::Largest => (asm::LARGEST, false),
                    Two::Smallest => (asm::SMALLEST, false),
                    Two::AddWhole => (asm::ADD_WHOLE, true),
                    Two::SubtractWhole => (asm::SUBTRACT_WHOLE, false),
                };
                two(self, code, x, y, None, swaps)
            }
            Line::Compare(how, x, y) => {
                let number = match how {
                    Comparison::Less => 0x11,
                    Comparison::LessEqual => 0x12,
                    Comparison::Equal => 0x00,
                    Comparison::GreaterEqual => 0x1d,
                    Comparison::Greater => 0x1e,
                    Comparison::Unordered => 0x03,
                };
                two(self, asm::COMPARE, x, y, Some(number), false)
            }
            Line::Same(x, y) => two(self, asm::EQUAL_BITS, x, y, None, true),
            Line::Root(x) | Line::Round(_, x) => {
                let from = self.place(x, ON_THE_WAY[0]);
                self.release(at);
                let to = self.take(at)?;
                match line {
                    Line::Round(how, _) => self.assembler.vector(asm::ROUND, to, 0, from, Some(how)),
                    _ => self.assembler.vector(asm::ROOT, to, 0, from, None),
                }
                Some(())
            }
            Line::ShiftLeft(bits, x) | Line::ShiftRight(bits, x) => {
                let from = self.vector(x, ON_THE_WAY[0]);
                self.release(at);
                let to = self.take(at)?;
                let kind = if matches!(line, Line::ShiftLeft(..)) { 6 } else { 4 };
                self.assembler.shift(kind, to, from, bits);
                Some(())
            }
            Line::Choose(mask, yes, no) => {
                let mask = self.vector(mask, ON_THE_WAY[0]);
                let no = self.vector(no, ON_THE_WAY[1]);
                let yes = self.place(yes, ON_THE_WAY[2]);
                self.release(at);
                let to = self.take(at)?;
                self.assembler.vector(asm::BLEND, to, no, yes, Some(mask << 4));
                Some(())
            }
            Line::MultiplyAdd(x, y, z) => self.multiply_add(at, x, y, z),
        }
    }

    /// The result takes the place of an operand, so this must be one that is not needed any more, or a copy.
    fn multiply_add(&mut self, at: usize, x: Value, y: Value, z: Value) -> Option<()> {
        let ends = |this: &Self, value: Value| this.is_held(value) && this.last[value] == at;
        let (x, y) = if self.is_held(x) { (x, y) } else { (y, x) };
        if ends(self, z) {
            let (to, second) = (self.vector(z, ON_THE_WAY[0]), self.vector(x, ON_THE_WAY[1]));
            let third = self.place(y, ON_THE_WAY[2]);
            self.assembler.vector(asm::MULTIPLY_ADD_231, to, second, third, None);
            self.release(at);
            self.hold(at, to);
            return Some(());
        }
        let (first, second) = (self.vector(x, ON_THE_WAY[0]), self.vector(y, ON_THE_WAY[1]));
        let third = self.place(z, ON_THE_WAY[2]);
        self.release(at);
        // That of a factor which ends here: nothing is moved then.
        let ended = [first, second].into_iter().find(|&v| self.holds.get(usize::from(v)).is_some_and(Option::is_none));
        let to = match ended {
            Some(register) => self.hold(at, register),
            None => self.take(at)?,
        };
        let (first, second) = if to == second { (second, first) } else { (first, second) };
        if to != first {
            self.assembler.vector(asm::LOAD, to, 0, Place::Vector(first), None);
        }
        self.assembler.vector(asm::MULTIPLY_ADD_213, to, second, third, None);
        Some(())
    }

    fn is_held(&self, value: Value) -> bool {
        self.register[value].is_some()
    }

    /// A value in a register: the one it has, or `otherwise`.
    fn vector(&mut self, value: Value, otherwise: Vector) -> Vector {
        if let Some(register) = self.register[value] {
            return register;
        }
        // What is needed later stays, if there is room. (What ends here does not: its register would be free for the result before
        // it is read.)
        let again = self.last[value] > self.at;
        let to = if again { self.room(value).unwrap_or(otherwise) } else { otherwise };
        self.fetch(value, to);
        to
    }

    /// A value as a last operand.
    fn place(&mut self, value: Value, otherwise: Vector) -> Place {
        if let Some(register) = self.register[value] {
            return Place::Vector(register);
        }
        match self.body.lines[value] {
            Line::Constant(bits) => Place::Pool(self.assembler.pooled([bits; LANES])),
            Line::Load(pointer) if !self.masked && self.last[value] == self.at => Place::At(self.general(pointer)),
            _ => Place::Vector(self.vector(value, otherwise)),
        }
    }

    /// Loads what is not computed.
    fn fetch(&mut self, value: Value, to: Vector) {
        match self.body.lines[value] {
            Line::Load(pointer) if self.masked => {
                let from = Place::At(self.general(pointer));
                self.assembler.vector(asm::LOAD_MASKED, to, MASK, from, None);
            }
            Line::Load(pointer) => self.assembler.vector(asm::LOAD, to, 0, Place::At(self.general(pointer)), None),
            Line::Constant(bits) => {
                let vector = self.assembler.pooled([bits; LANES]);
                self.assembler.vector(asm::LOAD, to, 0, Place::Pool(vector), None);
            }
            // Computed values are always held.
            _ => {}
        }
    }

    /// A free register for a fetched value, but one is left for results.
    fn room(&mut self, value: Value) -> Option<Vector> {
        let mut free = (0..HELD).filter(|&register| self.holds[register].is_none());
        let register = free.next()?;
        free.next()?;
        self.holds[register] = Some(value);
        self.register[value] = Some(register as Vector);
        Some(register as Vector)
    }

    /// Frees the registers of values whose last use is line `at`.
    fn release(&mut self, at: usize) {
        for register in 0..HELD {
            if let Some(value) = self.holds[register]
                && self.last[value] == at
            {
                self.holds[register] = None;
                self.register[value] = None;
            }
        }
    }

    /// A register for the result of line `at`: a free one, or that of a fetched value, which can be fetched again.
    fn take(&mut self, at: usize) -> Option<Vector> {
        let free = (0..HELD).find(|&register| self.holds[register].is_none());
        let register = free.or_else(|| {
            (0..HELD).find(|&register| {
                self.holds[register].is_some_and(|value| {
                    is_fetched(&self.body.lines[value]) && !operands(&self.body.lines[at]).any(|used| used == value)
                })
            })
        })?;
        if let Some(value) = self.holds[register] {
            self.register[value] = None;
        }
        Some(self.hold(at, register as Vector))
    }

    /// The result of line `at` goes there.
    fn hold(&mut self, at: usize, register: Vector) -> Vector {
        self.holds[usize::from(register)] = Some(at);
        self.register[at] = Some(register);
        register
    }
}
