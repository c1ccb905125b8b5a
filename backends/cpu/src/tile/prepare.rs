//! From a kernel's body to a [`Program`]: stages, operations, registers, prepared views. Runs once, when compiling.

use std::collections::HashMap;

use anygrad_core::DType;
use anygrad_core::kernel::{Core, Inst, Kernel, Reduction};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};

use super::blocks::blocked;
use super::fuse::fuse;
use super::load::Access;
use super::select::{self, Choice};
use super::{Accumulator, How, Lane, Op, Program, Register, Shape, Source, Stage, What};

/// Makes a body ready. `whole` is false where a heavy core calls it for ranges of `outer`: nothing is split then.
pub(crate) fn prepare(kernel: &Kernel, whole: bool) -> Program {
    let in_blocks = if whole { blocked(kernel) } else { None };
    let kernel = in_blocks.as_ref().unwrap_or(kernel);
    let choice = select::choose(kernel);
    let builder = Builder {
        kernel,
        types: kernel.dtypes(),
        inner: kernel.is_inner(),
        choice,
        accesses: Vec::new(),
        constants: Vec::new(),
        constant_of: HashMap::new(),
        registers: 0,
    };
    builder.build(whole)
}

struct Builder<'a> {
    kernel: &'a Kernel,
    types: Vec<DType>,
    inner: Vec<bool>,
    choice: Choice,
    accesses: Vec<Access>,
    constants: Vec<(Register, u64, bool)>,
    constant_of: HashMap<usize, Register>,
    registers: usize,
}

/// Which register holds which instruction's value, within one stage.
#[derive(Clone, Default)]
struct Names {
    value: HashMap<usize, Register>,
    expanded: HashMap<usize, Register>,
}

impl Builder<'_> {
    fn build(mut self, whole: bool) -> Program {
        let kernel = self.kernel;
        let needed = self.needed();
        let shape = self.choice.shape;
        let ready = self.ready();
        let last = (0..ready.len()).filter(|&i| needed[i]).map(|i| ready[i]).max().unwrap_or(0);
        let mut outer = Names::default();
        let (mut stages, mut accumulators) = (Vec::new(), Vec::new());
        if shape == Shape::Rows {
            let mut before = Vec::new();
            for i in (0..kernel.body.len()).filter(|&i| needed[i]) {
                self.emit(i, &mut outer, &mut before);
            }
            for number in 0..kernel.outputs.len() {
                self.store(number, &mut outer, &mut before);
            }
            stages.push(Stage { before, each: Vec::new() });
        } else {
            for stage in 0..=last {
                let mut before = Vec::new();
                for i in (0..kernel.body.len()).filter(|&i| needed[i] && ready[i] == stage) {
                    if !self.inner[i] && !matches!(kernel.body[i], Inst::Reduce(..) | Inst::ArgReduce(..)) {
                        self.emit(i, &mut outer, &mut before);
                    }
                }
                let each = self.stage(stage, stage == last, &ready, &needed, &mut outer, &mut accumulators);
                stages.push(Stage { before, each });
            }
        }
        let mut after = Vec::new();
        if shape != Shape::Rows {
            for number in 0..kernel.outputs.len() {
                if !self.inner[kernel.outputs[number].value] {
                    self.store(number, &mut outer, &mut after);
                }
            }
        }
        self.finish(whole, stages, accumulators, after)
    }

    /// The loop of one stage, and its accumulators.
    fn stage(
        &mut self,
        stage: usize,
        is_last: bool,
        ready: &[usize],
        needed: &[bool],
        outer: &mut Names,
        accumulators: &mut Vec<Accumulator>,
    ) -> Vec<Op> {
        let kernel = self.kernel;
        let mut each = Vec::new();
        let mut names = outer.clone();
        let mut wanted = vec![false; kernel.body.len()];
        let reductions: Vec<usize> = (0..kernel.body.len()).filter(|&i| needed[i] && ready[i] == stage + 1).collect();
        for &i in &reductions {
            if let Inst::Reduce(_, x) | Inst::ArgReduce(_, x) = kernel.body[i]
                && ready[x] == stage
            {
                wanted[x] = true;
            }
        }
        let inner_outputs: Vec<usize> =
            (0..kernel.outputs.len()).filter(|&o| is_last && self.inner[kernel.outputs[o].value]).collect();
        inner_outputs.iter().for_each(|&o| wanted[kernel.outputs[o].value] = true);
        for i in (0..kernel.body.len()).rev() {
            if wanted[i] && self.inner[i] {
                operands(&kernel.body[i]).for_each(|x| wanted[x] = true);
            }
        }
        for i in (0..kernel.body.len()).filter(|&i| wanted[i]) {
            if self.inner[i] {
                self.emit(i, &mut names, &mut each);
            }
        }
        for i in reductions {
            let (how, x) = match kernel.body[i] {
                Inst::Reduce(how, x) => (How::Reduce(how), x),
                Inst::ArgReduce(which, x) => (How::Arg(which), x),
                _ => continue,
            };
            let source = self.operand(x, true, &mut names, &mut each);
            let result = self.register();
            outer.value.insert(i, result);
            let (value, second) = (self.register(), self.register());
            let lane = Lane::of(self.types[x]);
            each.push(Op { inner: true, result: value, what: What::Accumulate(accumulators.len()) });
            accumulators.push(Accumulator { how, lane, stage, source, result, value, second });
        }
        inner_outputs.iter().for_each(|&o| self.store(o, &mut names, &mut each));
        self.column_sums(&each, accumulators).unwrap_or(each)
    }

    /// A loop that does nothing but add up columns of f32 as they lie in memory, as one operation for each input.
    fn column_sums(&self, each: &[Op], accumulators: &[Accumulator]) -> Option<Vec<Op>> {
        let (mut loads, mut sums) = (Vec::new(), Vec::new());
        for op in each {
            match op.what {
                What::Load { source: Source::Input(input), access, dtype: DType::F32, .. } => {
                    let view = &self.accesses[access];
                    let plain = view.inner && view.chain.is_empty() && view.lanes.uniform() == Some(1);
                    view.fixed.uniform().filter(|_| plain)?;
                    loads.push((op.result, input, access));
                }
                What::Accumulate(number) => {
                    let a = &accumulators[number];
                    let sum = a.how == How::Reduce(Reduction::Sum);
                    let &(_, input, access) = loads.iter().find(|load| sum && load.0 == a.source)?;
                    let what = What::SumColumns { accumulator: number, input, access };
                    sums.push(Op { inner: true, result: op.result, what });
                }
                _ => return None,
            }
        }
        (self.choice.shape == Shape::Columns && !sums.is_empty()).then_some(sums)
    }

    /// Instructions that some output needs.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.kernel.body.len()];
        self.kernel.outputs.iter().for_each(|output| needed[output.value] = true);
        for i in (0..needed.len()).rev() {
            if needed[i] {
                operands(&self.kernel.body[i]).for_each(|x| needed[x] = true);
            }
        }
        needed
    }

    /// The first stage in which each value can be known: one more than what it reduces.
    fn ready(&self) -> Vec<usize> {
        let mut ready: Vec<usize> = Vec::new();
        for inst in &self.kernel.body {
            let stage = operands(inst).map(|x| ready[x]).max().unwrap_or(0);
            ready.push(stage + usize::from(matches!(inst, Inst::Reduce(..) | Inst::ArgReduce(..))));
        }
        ready
    }

    fn register(&mut self) -> Register {
        self.registers += 1;
        self.registers - 1
    }

    /// The register of value `x` for use on the given level.
    fn operand(&mut self, x: usize, inner: bool, names: &mut Names, ops: &mut Vec<Op>) -> Register {
        if let Some(&register) = self.constant_of.get(&x) {
            return register;
        }
        let from = names.value[&x];
        if !inner || self.inner[x] || self.choice.shape == Shape::Columns {
            return from;
        }
        if let Some(&register) = names.expanded.get(&x) {
            return register;
        }
        let result = self.register();
        names.expanded.insert(x, result);
        ops.push(Op { inner: true, result, what: What::Expand { wide: self.wide(x), from } });
        result
    }

    fn wide(&self, x: usize) -> bool {
        self.types[x] == DType::F64
    }

    fn access(&mut self, layout: &Layout) -> (usize, bool) {
        let outer = self.kernel.outer.len();
        let inner = !self.kernel.inner.is_empty() && layout.shape().len() > outer;
        self.accesses.push(Access::new(layout, outer, inner, self.choice.split()));
        (self.accesses.len() - 1, inner)
    }

    /// The operation of instruction `i`.
    fn emit(&mut self, i: usize, names: &mut Names, ops: &mut Vec<Op>) {
        let kernel = self.kernel;
        let inner = self.inner[i];
        let lane = |x: usize| Lane::of(self.types[x]);
        let what = match kernel.body[i] {
            Inst::Constant { value, dtype } => {
                let register = self.register();
                self.constants.push((register, bits(value.0, dtype), dtype == DType::F64));
                self.constant_of.insert(i, register);
                names.value.insert(i, register);
                return;
            }
            Inst::Load { input, ref layout } => {
                // What is stored as it was loaded must not be a pointer into memory that another store changes.
                let copy = kernel.outputs.iter().any(|output| output.value == i);
                let (access, _) = self.access(layout);
                What::Load { source: Source::Input(input), access, dtype: self.types[i], copy }
            }
            Inst::Core => {
                let points = if inner { [&kernel.outer[..], &kernel.inner].concat() } else { kernel.outer.clone() };
                let (access, _) = self.access(&Layout::of(View::contiguous(&points)));
                let copy = kernel.outputs.iter().any(|output| output.value == i);
                What::Load { source: Source::Core, access, dtype: self.types[i], copy }
            }
            Inst::Gather { input, ref view, index, stride, size } => {
                let signed = self.types[index] == DType::I32;
                let index = self.operand(index, inner, names, ops);
                let (access, view_inner) = self.access(&Layout::of(view.clone()));
                // An outer view under an inner index: repeat its elements' numbers by widening the view.
                if inner && !view_inner {
                    let mut wide = view.clone();
                    wide.shape.extend(&kernel.inner);
                    wide.strides.extend(kernel.inner.iter().map(|_| 0));
                    if let Some(mask) = &mut wide.mask {
                        mask.extend(kernel.inner.iter().map(|&size| (0, size)));
                    }
                    self.accesses[access] = Access::of(&wide, kernel.outer.len(), true, self.choice.split());
                }
                What::Gather { input, access, index, signed, stride, size, dtype: self.types[i] }
            }
            Inst::Iota { ref layout, .. } => What::Iota { access: self.access(layout).0 },
            Inst::Inside { ref layout } => What::Inside { access: self.access(layout).0 },
            Inst::Random { state, stream, ref layout } => What::Random { state, stream, access: self.access(layout).0 },
            // Of a bool: 1 - x, for lanes that are 0 or 1.
            Inst::Unary(Unary::Not, x) if self.types[x] == DType::Bool => {
                let one = self.register();
                self.constants.push((one, 1, false));
                What::Binary(Binary::Xor, Lane::U32, self.operand(x, inner, names, ops), one)
            }
            Inst::Unary(op, x) => What::Unary(op, lane(x), self.operand(x, inner, names, ops)),
            Inst::Binary(op, x, y) => {
                let lane = lane(x);
                let x = self.operand(x, inner, names, ops);
                What::Binary(op, lane, x, self.operand(y, inner, names, ops))
            }
            Inst::Select(c, x, y) => {
                let wide = self.wide(x);
                let condition = self.operand(c, inner, names, ops);
                let yes = self.operand(x, inner, names, ops);
                What::Select { wide, condition, yes, no: self.operand(y, inner, names, ops) }
            }
            Inst::Cast(x, to) => What::Cast(lane(x), to, self.operand(x, inner, names, ops)),
            Inst::Bitcast(x, _) => What::Copy { wide: false, from: self.operand(x, inner, names, ops) },
            // Nothing reduced: the neutral element, which depends on the type and not only on its lanes.
            Inst::Reduce(how, x) if kernel.inner_len() == 0 => {
                let (register, dtype) = (self.register(), self.types[x]);
                self.constants.push((register, bits(how.neutral(dtype), dtype), dtype == DType::F64));
                names.value.insert(i, register);
                return;
            }
            Inst::Reduce(how, x) => {
                let lane = lane(x);
                What::Reduce(how, lane, self.operand(x, true, names, ops))
            }
            Inst::ArgReduce(which, x) => {
                let lane = lane(x);
                What::ArgReduce(which, lane, self.operand(x, true, names, ops))
            }
        };
        let result = self.register();
        names.value.insert(i, result);
        ops.push(Op { inner, result, what });
    }

    fn store(&mut self, number: usize, names: &mut Names, ops: &mut Vec<Op>) {
        let output = &self.kernel.outputs[number];
        let (access, inner) = self.access(&Layout::of(output.view.clone()));
        let result = self.operand(output.value, self.inner[output.value], names, ops);
        ops.push(Op { inner, result, what: What::Store { output: number, access, dtype: output.slice.dtype } });
    }

    fn finish(
        mut self,
        whole: bool,
        mut stages: Vec<Stage>,
        accumulators: Vec<Accumulator>,
        mut after: Vec<Op>,
    ) -> Program {
        let lists = stages.iter_mut().flat_map(|stage| [&mut stage.before, &mut stage.each]);
        let mut lists: Vec<&mut Vec<Op>> = lists.chain([&mut after]).collect();
        fuse(&mut lists, &mut self.constants, &accumulators, &self.accesses);
        let (outer, inner) = (self.kernel.outer_len(), self.kernel.inner_len());
        let shape = self.choice.shape;
        let (slots, count) =
            select::assign_slots(self.registers, &stages, &after, &self.constants, &accumulators, shape);
        let wide = self.types.contains(&DType::F64) || !accumulators.is_empty();
        let width = if wide { 8 } else { 4 };
        let lanes = select::lanes(shape, inner, outer, count * width);
        let rows = match shape {
            Shape::Rows => (lanes / inner.max(1)).max(1),
            Shape::Long => 1,
            Shape::Columns => lanes,
        };
        let slot_bytes = (lanes * width).next_multiple_of(64);
        let nanoseconds = select::cost(self.kernel, &stages, &self.accesses);
        let alone = !whole || self.kernel.core != Core::Map;
        let chunk = if alone { None } else { select::chunk(shape, outer, inner, rows, nanoseconds) };
        let head = (self.registers * 8).next_multiple_of(64) + (lanes * 8).next_multiple_of(64);
        let shared = chunk.map_or(0, |chunk| {
            let partials = accumulators.len() * outer * (inner.div_ceil(chunk) + 1);
            partials * 16
        });
        Program {
            shape,
            outer,
            inner,
            lanes,
            rows,
            chunk,
            accesses: self.accesses,
            constants: self.constants,
            stages,
            accumulators,
            after,
            slots,
            slot_bytes,
            scratch: head + count * slot_bytes,
            shared,
            nanoseconds,
        }
    }
}

/// Registers that an instruction uses.
pub(super) fn operands(inst: &Inst) -> impl Iterator<Item = usize> {
    let uses = match *inst {
        Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => [Some(x), None, None],
        Inst::Reduce(_, x) | Inst::ArgReduce(_, x) | Inst::Gather { index: x, .. } => [Some(x), None, None],
        Inst::Binary(_, x, y) => [Some(x), Some(y), None],
        Inst::Select(c, x, y) => [Some(c), Some(x), Some(y)],
        _ => [None; 3],
    };
    uses.into_iter().flatten()
}

/// A constant's lane, in the low bits.
fn bits(value: f64, dtype: DType) -> u64 {
    match dtype {
        DType::F64 => value.to_bits(),
        DType::F32 | DType::F16 => u64::from((dtype.round(value) as f32).to_bits()),
        DType::I32 => u64::from(value as i32 as u32),
        DType::U32 | DType::Bool => u64::from(dtype.round(value) as u32),
    }
}
