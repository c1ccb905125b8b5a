//! Runs of cheap operations become one that was assembled ([`crate::jit`]): their values need no tile registers, and what is stored
//! as it lies goes straight to its buffer.

use std::collections::HashMap;

use anygrad_core::DType;
use anygrad_core::scalar::{Binary, Unary};

use super::load::Access;
use super::select::reads;
use super::{Accumulator, Lane, Op, Register, What, math};
use crate::jit::{self, Body, Code, Comparison, Line, Two, Value};

/// An assembled run of operations.
#[derive(Clone, Debug)]
pub(super) struct Fused {
    pub(super) code: Code,
    /// Operations that it stands for.
    pub(super) operations: usize,
    pub(super) inputs: Vec<Register>,
    /// Registers that it writes, but for those that point into an output.
    pub(super) outputs: Vec<Register>,
}

/// A run on its way: the operations, and the stores behind them.
#[derive(Debug)]
struct Run {
    ops: Vec<Op>,
    /// Stores that it takes over.
    stores: Vec<Op>,
    /// Stores that follow it.
    left: Vec<Op>,
    /// Where it stands in its list.
    list: usize,
    at: usize,
}

/// Fuses what can be in every list of operations; `constants` keeps those that operations still read.
pub(super) fn fuse(
    lists: &mut [&mut Vec<Op>],
    constants: &mut Vec<(Register, u64, bool)>,
    accumulators: &[Accumulator],
    accesses: &[Access],
) {
    if !jit::is_here() {
        return;
    }
    let mut readers: HashMap<Register, usize> = HashMap::new();
    for op in lists.iter().flat_map(|list| list.iter()) {
        reads(op, accumulators).into_iter().for_each(|register| *readers.entry(register).or_default() += 1);
    }
    let known: HashMap<Register, u32> =
        constants.iter().filter(|(.., wide)| !wide).map(|&(register, bits, _)| (register, bits as u32)).collect();
    let mut runs = Vec::new();
    for (number, list) in lists.iter_mut().enumerate() {
        collect(list, number, &readers, accumulators, accesses, &mut runs);
    }
    let shape = |run: &Run| Shape::of(run, &readers, &known, accumulators);
    let mut shaped: Vec<(Run, Shape)> = Vec::new();
    while let Some(run) = runs.pop() {
        let shape = shape(&run);
        if run.ops.len() < 2 || jit::fits(&shape.body) {
            shaped.push((run, shape));
        } else {
            runs.extend(run.halves());
        }
    }
    let bodies: Vec<Body> = shaped.iter().map(|(_, shape)| shape.body.clone()).collect();
    let codes = jit::assemble(&bodies);
    // The last ones come first, so places stay true.
    for (number, (run, Shape { inputs, outputs, .. })) in shaped.into_iter().enumerate() {
        let mut ops: Vec<Op> = Vec::new();
        let Run { stores, left, list, at, .. } = run;
        match codes.as_ref().map(|codes| codes[number].clone()) {
            Some(code) => {
                let operations = run.ops.len() + stores.len();
                for store in stores {
                    if let What::Store { output, access, .. } = store.what {
                        ops.push(Op { what: What::Aim { output, access }, ..store });
                    }
                }
                let Op { inner, result, .. } = run.ops[0];
                ops.push(Op {
                    inner,
                    result,
                    what: What::Fused(Box::new(Fused { code, operations, inputs, outputs })),
                });
            }
            None => ops.extend(run.ops.into_iter().chain(stores)),
        }
        lists[list].splice(at..at, ops.into_iter().chain(left));
    }
    let read: Vec<Register> =
        lists.iter().flat_map(|list| list.iter()).flat_map(|op| reads(op, accumulators)).collect();
    constants.retain(|(register, ..)| read.contains(register));
}

impl Run {
    /// Two runs, the second of which may only take over stores of its own values: what the first one stored, it may still read.
    fn halves(mut self) -> [Run; 2] {
        let ops = self.ops.split_off(self.ops.len() / 2);
        let (stores, mut left): (Vec<Op>, Vec<Op>) =
            self.stores.into_iter().partition(|store| ops.iter().any(|op| op.result == store.result));
        left.append(&mut self.left);
        let (list, at) = (self.list, self.at);
        let first = Run { ops: self.ops, stores: Vec::new(), left: Vec::new(), list, at };
        [first, Run { ops, stores, left, list, at }]
    }
}

/// Takes runs out of a list. Operations that need nothing of a run move before it.
fn collect(
    list: &mut Vec<Op>,
    number: usize,
    readers: &HashMap<Register, usize>,
    accumulators: &[Accumulator],
    accesses: &[Access],
    runs: &mut Vec<Run>,
) {
    let mut rest: Vec<Op> = Vec::new();
    let mut run: Vec<Op> = Vec::new();
    let mut close = |run: &mut Vec<Op>, rest: &mut Vec<Op>, stores: Vec<Op>| {
        if run.len() + stores.len() > 1 {
            runs.push(Run { ops: std::mem::take(run), stores, left: Vec::new(), list: number, at: rest.len() });
        } else {
            rest.append(run);
        }
    };
    let ops = std::mem::take(list);
    // The stores at the end: what is stored nowhere else is not needed in a register.
    let end = ops.iter().rposition(|op| !matches!(op.what, What::Store { .. })).map_or(0, |last| last + 1);
    for op in &ops[..end] {
        if is_cheap(op) && run.first().is_none_or(|first| first.inner == op.inner) {
            run.push(op.clone());
            continue;
        }
        let depends = reads(op, accumulators).iter().any(|register| run.iter().any(|made| made.result == *register));
        if depends || is_cheap(op) {
            close(&mut run, &mut rest, Vec::new());
        }
        if is_cheap(op) { run.push(op.clone()) } else { rest.push(op.clone()) }
    }
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for store in &ops[end..] {
        let mut uses = run.iter().flat_map(|op| reads(op, accumulators)).filter(|register| *register == store.result);
        let inside = uses.by_ref().count();
        let ours = run.iter().any(|op| op.result == store.result && op.inner == store.inner);
        let alone = readers.get(&store.result).copied().unwrap_or(0) == inside + 1;
        let plain = matches!(store.what, What::Store { access, dtype, .. }
            if !matches!(dtype, DType::F16 | DType::F64) && accesses[access].is_plain());
        if ours && alone && plain { taken.push(store.clone()) } else { left.push(store.clone()) }
    }
    close(&mut run, &mut rest, taken);
    rest.append(&mut left);
    *list = rest;
}

/// Whether an operation is one of those that are assembled.
fn is_cheap(op: &Op) -> bool {
    match op.what {
        What::Unary(map, Lane::F32, _) => {
            use Unary::{Abs, Ceil, Erf, Exp, Floor, Neg, Recip, Round, Sqrt, Tanh, Trunc};
            matches!(map, Neg | Abs | Recip | Sqrt | Exp | Tanh | Erf | Floor | Ceil | Round | Trunc)
        }
        What::Binary(map, Lane::F32, ..) => {
            use Binary::{Add, Div, Equal, Less, LessEqual, Max, Min, Mul, Sub};
            matches!(map, Add | Sub | Mul | Div | Max | Min | Less | LessEqual | Equal)
        }
        What::Binary(Binary::And | Binary::Or | Binary::Xor, Lane::U32 | Lane::I32, ..) => true,
        What::Select { wide, .. } => !wide,
        _ => false,
    }
}

/// A run as a body, with the registers that it reads and writes.
struct Shape {
    body: Body,
    inputs: Vec<Register>,
    outputs: Vec<Register>,
}

impl Shape {
    fn of(
        run: &Run,
        readers: &HashMap<Register, usize>,
        known: &HashMap<Register, u32>,
        accumulators: &[Accumulator],
    ) -> Shape {
        let mut lines = Lines { body: Body::default(), values: HashMap::new(), masks: HashMap::new(), known };
        run.ops.iter().for_each(|op| lines.op(op));
        let mut inside: HashMap<Register, usize> = HashMap::new();
        for op in run.ops.iter().chain(&run.stores) {
            reads(op, accumulators).into_iter().for_each(|register| *inside.entry(register).or_default() += 1);
        }
        let mut outputs = Vec::new();
        for op in &run.ops {
            let count = |map: &HashMap<Register, usize>| map.get(&op.result).copied().unwrap_or(0);
            let aimed = run.stores.iter().any(|store| store.result == op.result);
            let kept = count(readers) > count(&inside);
            if aimed || kept {
                let value = lines.value(op.result);
                lines.body.stores.push((value, op.result));
            }
            if kept {
                outputs.push(op.result);
            }
        }
        let mut inputs: Vec<Register> =
            inside.into_keys().filter(|r| !run.ops.iter().any(|op| op.result == *r)).collect();
        inputs.retain(|register| !known.contains_key(register));
        inputs.sort_unstable();
        Shape { body: lines.body, inputs, outputs }
    }
}

struct Lines<'a> {
    body: Body,
    values: HashMap<Register, Value>,
    /// Conditions as masks; in registers they are 1 and 0.
    masks: HashMap<Register, Value>,
    known: &'a HashMap<Register, u32>,
}

impl Lines<'_> {
    fn value(&mut self, register: Register) -> Value {
        if let Some(&value) = self.values.get(&register) {
            return value;
        }
        let value = match (self.masks.get(&register), self.known.get(&register)) {
            (Some(&mask), _) => {
                let one = self.body.line(Line::Constant(1));
                self.body.two(Two::And, mask, one)
            }
            (_, Some(&bits)) => self.body.line(Line::Constant(bits)),
            _ => self.body.line(Line::Load(register)),
        };
        self.values.insert(register, value);
        value
    }

    /// All bits set where a condition does not hold.
    fn unless(&mut self, register: Register) -> Value {
        let (value, zero) = (self.value(register), self.body.line(Line::Constant(0)));
        self.body.line(Line::Same(value, zero))
    }

    fn op(&mut self, op: &Op) {
        let value = match op.what {
            What::Unary(map, _, x) => {
                let x = self.value(x);
                let sign = |this: &mut Self| this.body.line(Line::Constant(1 << 31));
                match map {
                    Unary::Neg => {
                        let sign = sign(self);
                        self.body.two(Two::Xor, x, sign)
                    }
                    Unary::Abs => {
                        let sign = sign(self);
                        self.body.two(Two::AndNot, sign, x)
                    }
                    Unary::Recip => {
                        let one = self.body.number(1.0);
                        self.body.two(Two::Divide, one, x)
                    }
                    Unary::Exp => self.body.trace(x, |x| math::exp(x)),
                    Unary::Tanh => self.body.trace(x, |x| math::tanh(x)),
                    Unary::Erf => self.body.trace(x, |x| math::erf(x)),
                    Unary::Floor => self.body.line(Line::Round(9, x)),
                    Unary::Ceil => self.body.line(Line::Round(10, x)),
                    Unary::Round => self.body.line(Line::Round(8, x)),
                    Unary::Trunc => self.body.line(Line::Round(11, x)),
                    _ => self.body.line(Line::Root(x)),
                }
            }
            What::Binary(map @ (Binary::Less | Binary::LessEqual | Binary::Equal), _, x, y) => {
                let how = match map {
                    Binary::Less => Comparison::Less,
                    Binary::LessEqual => Comparison::LessEqual,
                    _ => Comparison::Equal,
                };
                let (x, y) = (self.value(x), self.value(y));
                let mask = self.body.line(Line::Compare(how, x, y));
                self.masks.insert(op.result, mask);
                return;
            }
            What::Binary(map @ (Binary::And | Binary::Or | Binary::Xor), _, x, y) => {
                let how = match map {
                    Binary::And => Two::And,
                    Binary::Or => Two::Or,
                    _ => Two::Xor,
                };
                // `xor 1` is the logical not.
                let ones = self.known.get(&y) == Some(&1) && how == Two::Xor;
                if let (Some(&a), Some(b)) = (self.masks.get(&x), self.masks.get(&y).copied().or(ones.then_some(0))) {
                    let b = if ones { self.body.line(Line::Constant(u32::MAX)) } else { b };
                    let mask = self.body.two(how, a, b);
                    self.masks.insert(op.result, mask);
                    return;
                }
                let (x, y) = (self.value(x), self.value(y));
                self.body.two(how, x, y)
            }
            What::Binary(map, _, x, y) => {
                let (x, y) = (self.value(x), self.value(y));
                match map {
                    Binary::Add => self.body.two(Two::Add, x, y),
                    Binary::Sub => self.body.two(Two::Subtract, x, y),
                    Binary::Mul => self.body.two(Two::Multiply, x, y),
                    Binary::Div => self.body.two(Two::Divide, x, y),
                    // The first one if it is NaN, too.
                    _ => {
                        let how = if map == Binary::Max { Comparison::GreaterEqual } else { Comparison::LessEqual };
                        let first = self.body.line(Line::Compare(how, x, y));
                        let nan = self.body.line(Line::Compare(Comparison::Unordered, x, x));
                        let first = self.body.two(Two::Or, first, nan);
                        self.body.line(Line::Choose(first, x, y))
                    }
                }
            }
            What::Select { condition, yes, no, .. } => {
                let (yes, no) = (self.value(yes), self.value(no));
                match self.masks.get(&condition).copied() {
                    Some(mask) => self.body.line(Line::Choose(mask, yes, no)),
                    None => {
                        let unless = self.unless(condition);
                        self.body.line(Line::Choose(unless, no, yes))
                    }
                }
            }
            _ => return,
        };
        self.values.insert(op.result, value);
    }
}
