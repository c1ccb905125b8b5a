//! Instructions as WGSL statements: `let r3 = ...;` for every register that somebody needs.
//!
//! Registers live on the outer or the inner level, and on a stage: a value that needs the result of a reduction comes
//! after that reduction's loop. The families (map, reduce, epilogues) place these statements into their own loops.

use std::collections::BTreeSet;
use std::fmt::Write;

use anygrad_core::DType;
use anygrad_core::kernel::{Inst, Kernel, Reg};
use anygrad_core::view::Layout;

use crate::buffers::Buffers;
use crate::index::{Group, Index, index};
use crate::words;

/// A kernel's body, analysed.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) types: Vec<DType>,
    /// On the inner level.
    pub(crate) inner: Vec<bool>,
    /// How many reductions, one after the other, must be done before.
    pub(crate) stage: Vec<usize>,
    /// Some output needs it.
    pub(crate) live: Vec<bool>,
}

/// The registers that an instruction reads.
pub(crate) fn operands(inst: &Inst) -> Vec<Reg> {
    match *inst {
        Inst::Gather { index, .. } => vec![index],
        Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) | Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => {
            vec![x]
        }
        Inst::Binary(_, x, y) => vec![x, y],
        Inst::Select(c, x, y) => vec![c, x, y],
        Inst::Load { .. }
        | Inst::Constant { .. }
        | Inst::Iota { .. }
        | Inst::Inside { .. }
        | Inst::Random { .. }
        | Inst::Core => Vec::new(),
    }
}

/// Whether the instruction takes inner values to an outer one.
pub(crate) fn is_reduction(inst: &Inst) -> bool {
    matches!(inst, Inst::Reduce(..) | Inst::ArgReduce(..))
}

impl<'a> Body<'a> {
    pub(crate) fn new(kernel: &'a Kernel) -> Body<'a> {
        let mut stage: Vec<usize> = Vec::new();
        for inst in &kernel.body {
            let before = operands(inst).into_iter().map(|r| stage[r]).max().unwrap_or(0);
            stage.push(before + usize::from(is_reduction(inst)));
        }
        let mut body = Body {
            kernel,
            types: kernel.dtypes(),
            inner: kernel.is_inner(),
            stage,
            live: vec![false; kernel.body.len()],
        };
        let live = body.closure(kernel.outputs.iter().map(|o| o.value), |_| true);
        for r in live {
            body.live[r] = true;
        }
        body
    }

    /// `roots` and all they need, as far as `enter` allows.
    pub(crate) fn closure(&self, roots: impl Iterator<Item = Reg>, enter: impl Fn(Reg) -> bool) -> BTreeSet<Reg> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Reg> = roots.filter(|&r| enter(r)).collect();
        while let Some(r) = open.pop() {
            if found.insert(r) {
                open.extend(operands(&self.kernel.body[r]).into_iter().filter(|&r| enter(r)));
            }
        }
        found
    }

    /// The index arithmetic of a layout of register `r`, at outer point `i` (and inner point `j`).
    fn locate(&self, r: Reg, layout: &Layout) -> Index {
        let outer = Group { name: "i", rank: self.kernel.outer.len() };
        let inner = Group { name: "j", rank: self.kernel.inner.len() };
        if layout.shape().len() > outer.rank {
            index(layout, &[outer, inner], &r.to_string())
        } else {
            index(layout, &[outer], &r.to_string())
        }
    }

    /// The statements of register `r`: those that can stand outside of the inner loop, and the rest.
    pub(crate) fn statement(&self, r: Reg, buffers: &mut Buffers<'_>) -> (String, String) {
        let types = &self.types;
        let name = |r: &Reg| format!("r{r}");
        let mut place = Index::default();
        let value = match &self.kernel.body[r] {
            Inst::Load { input, layout } => {
                place = self.locate(r, layout);
                self.guarded(r, &mut place, |at| buffers.element(*input, at), &words::literal(types[r], 0.0))
            }
            Inst::Gather { input, view, index, stride, size } => {
                place = self.locate(r, &Layout::of(view.clone()));
                let number = format!("bitcast<u32>(r{index})");
                let _ = writeln!(place.lets, "let valid_{r} = {number} < {size}u;");
                let start = format!("({} + {number} * {}u)", place.at, *stride as i32 as u32);
                let _ = writeln!(place.lets, "let start_{r} = select(0u, {start}, valid_{r});");
                let element = buffers.element(*input, &format!("start_{r}"));
                let outside = if types[r].is_float() { f64::NAN } else { 0.0 };
                let value = format!("select({}, {element}, valid_{r})", words::literal(types[r], outside));
                match &place.inside {
                    None => value,
                    Some(inside) => format!("select({}, {value}, {inside})", words::literal(types[r], 0.0)),
                }
            }
            Inst::Constant { value, dtype } => words::literal(*dtype, value.0),
            Inst::Iota { layout, dtype } => {
                place = self.locate(r, layout);
                let number = if *dtype == DType::I32 { format!("i32({})", place.at) } else { place.at.clone() };
                match &place.inside {
                    None => number,
                    Some(inside) => format!("select({}, {number}, {inside})", words::literal(*dtype, 0.0)),
                }
            }
            Inst::Inside { layout } => {
                place = self.locate(r, layout);
                place.inside.clone().unwrap_or_else(|| "true".to_string())
            }
            Inst::Random { state, stream, layout } => {
                place = self.locate(r, layout);
                let word = |w: u32, buffers: &mut Buffers<'_>| buffers.element(*state, &format!("{w}u"));
                let words = [word(0, buffers), word(1, buffers), word(2, buffers), word(3, buffers)].join(", ");
                let element = match &place.inside {
                    None => place.at.clone(),
                    Some(inside) => format!("select(0u, {}, {inside})", place.at),
                };
                format!("philox({element}, {stream}u, vec4<u32>({words}))")
            }
            Inst::Core => "core".to_string(),
            Inst::Unary(op, x) => words::unary(*op, types[*x], &name(x)),
            Inst::Binary(op, x, y) => words::binary(*op, types[*x], &name(x), &name(y)),
            Inst::Select(c, x, y) => format!("select(r{y}, r{x}, r{c})"),
            Inst::Cast(x, to) => words::cast(types[*x], *to, &name(x)),
            Inst::Bitcast(x, to) => format!("bitcast<{}>(r{x})", words::held(*to)),
            Inst::Reduce(_, x) | Inst::ArgReduce(_, x) if !self.inner[*x] && self.kernel.inner.is_empty() => {
                // Nothing is reduced: one value per point.
                if matches!(self.kernel.body[r], Inst::Reduce(..)) { name(x) } else { "0i".to_string() }
            }
            Inst::Reduce(..) | Inst::ArgReduce(..) => format!("result_{r}"),
        };
        let line = format!("{}let r{r} = {value};\n", place.lets);
        (place.hoisted, line)
    }

    /// An element behind masks: the index is made harmless first, for no driver should see a wild one.
    fn guarded(&self, r: Reg, place: &mut Index, element: impl FnOnce(&str) -> String, hidden: &str) -> String {
        match place.inside.take() {
            None => element(&place.at),
            Some(inside) => {
                let _ = writeln!(place.lets, "let seen_{r} = {inside};");
                let at = format!("select(0u, {}, seen_{r})", place.at);
                format!("select({hidden}, {}, seen_{r})", element(&at))
            }
        }
    }

    /// Statements of `registers` in order, hoisted ones first.
    pub(crate) fn statements(&self, registers: &BTreeSet<Reg>, buffers: &mut Buffers<'_>) -> (String, String) {
        let (mut hoisted, mut lines) = (String::new(), String::new());
        for &r in registers {
            let (outside, line) = self.statement(r, buffers);
            hoisted.push_str(&outside);
            lines.push_str(&line);
        }
        (hoisted, lines)
    }

    /// The statements that write the outputs `which`.
    pub(crate) fn stores(&self, which: impl Fn(Reg) -> bool, buffers: &mut Buffers<'_>) -> String {
        let mut text = String::new();
        for (o, output) in self.kernel.outputs.iter().enumerate() {
            if !which(output.value) {
                continue;
            }
            let layout = Layout::of(output.view.clone());
            let groups = [
                Group { name: "i", rank: self.kernel.outer.len() },
                Group { name: "j", rank: output.view.shape.len() - self.kernel.outer.len() },
            ];
            let groups = if self.inner[output.value] { &groups[..] } else { &groups[..1] };
            let place = index(&layout, groups, &format!("out{o}"));
            text.push_str(&place.hoisted);
            text.push_str(&place.lets);
            let _ = writeln!(text, "{}", buffers.store(o, &place.at, &format!("r{}", output.value)));
        }
        text
    }

    /// A function `epilogue(i, core)` that runs the whole body, which has no inner level, at one outer point.
    pub(crate) fn epilogue(&self, buffers: &mut Buffers<'_>) -> String {
        let live: BTreeSet<Reg> = (0..self.live.len()).filter(|&r| self.live[r]).collect();
        let (hoisted, lines) = self.statements(&live, buffers);
        let stores = self.stores(|_| true, buffers);
        let core = words::held(self.kernel.core_dtype());
        format!("fn epilogue(i: u32, core: {core}) {{\n{hoisted}{lines}{stores}}}\n")
    }
}
