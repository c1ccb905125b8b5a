//! What must hold of a [`Kernel`] before a backend may trust it: registers, types, shapes, and that no view leaves its
//! buffer. Backends call this once when they compile; bounds that hold here need no check in their loops.

use super::{Attention, Conv, ConvKind, Core, Inst, Kernel, Operand, Output, Reduction, Slice};
use crate::dtype::DType;
use crate::view::{Layout, View};

/// `Err` with the text unless `right`.
fn ensure(right: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(text()) }
}

impl Reduction {
    /// The value that changes nothing, of type `dtype`: what an empty reduction gives.
    #[must_use]
    pub fn neutral(self, dtype: DType) -> f64 {
        match (self, dtype) {
            (Reduction::Sum, _) => 0.0,
            (Reduction::Prod, _) => 1.0,
            (Reduction::Max, DType::I32) => f64::from(i32::MIN),
            (Reduction::Max, DType::U32 | DType::Bool) => 0.0,
            (Reduction::Max, _) => f64::NEG_INFINITY,
            (Reduction::Min, DType::I32) => f64::from(i32::MAX),
            (Reduction::Min, DType::U32) => f64::from(u32::MAX),
            (Reduction::Min, DType::Bool) => 1.0,
            (Reduction::Min, _) => f64::INFINITY,
        }
    }
}

impl Kernel {
    /// Checks the invariants of this module's head.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn verify(&self) -> Result<(), String> {
        for (i, inst) in self.body.iter().enumerate() {
            self.verify_registers(i, inst).map_err(|text| format!("instruction {i}, {inst:?}: {text}"))?;
        }
        self.verify_core()?;
        let (types, inner) = (self.dtypes(), self.is_inner());
        for (i, inst) in self.body.iter().enumerate() {
            self.verify_types(inst, &types).map_err(|text| format!("instruction {i}, {inst:?}: {text}"))?;
        }
        for (o, output) in self.outputs.iter().enumerate() {
            self.verify_output(output, &types, &inner).map_err(|text| format!("output {o}: {text}"))?;
        }
        Ok(())
    }

    fn full(&self) -> Vec<usize> {
        self.outer.iter().chain(&self.inner).copied().collect()
    }

    fn verify_registers(&self, i: usize, inst: &Inst) -> Result<(), String> {
        let uses = match *inst {
            Inst::Unary(_, x) | Inst::Cast(x, _) | Inst::Bitcast(x, _) => vec![x],
            Inst::Reduce(_, x) | Inst::ArgReduce(_, x) => vec![x],
            Inst::Gather { index, .. } => vec![index],
            Inst::Binary(_, x, y) => vec![x, y],
            Inst::Select(c, x, y) => vec![c, x, y],
            _ => vec![],
        };
        for register in uses {
            ensure(register < i, || format!("uses register {register}, which is not defined before it"))?;
        }
        match *inst {
            Inst::Load { input, .. } | Inst::Gather { input, .. } | Inst::Random { state: input, .. } => {
                ensure(input < self.inputs.len(), || format!("there is no input {input}"))
            }
            _ => Ok(()),
        }
    }

    /// A layout must have the shape of a level, stay inside of each next view, and inside of the buffer (if any).
    fn verify_layout(&self, layout: &Layout, buffer: Option<Slice>) -> Result<(), String> {
        self.verify_level(layout.shape())?;
        let views = layout.views();
        for (i, view) in views.iter().enumerate() {
            let limit = match (views.get(i + 1), buffer) {
                (Some(next), _) => next.len(),
                (None, Some(buffer)) => buffer.len,
                (None, None) => u32::MAX as usize,
            };
            verify_bounds(view, 0, limit)?;
        }
        Ok(())
    }

    fn verify_level(&self, shape: &[usize]) -> Result<(), String> {
        ensure(shape == self.outer || shape == self.full(), || {
            format!("shape {shape:?} is neither outer {:?} nor outer x inner {:?}", self.outer, self.full())
        })
    }

    fn verify_types(&self, inst: &Inst, types: &[DType]) -> Result<(), String> {
        match inst {
            Inst::Load { input, layout } => self.verify_layout(layout, Some(self.inputs[*input])),
            Inst::Gather { input, view, index, stride, size } => {
                self.verify_level(&view.shape)?;
                ensure(types[*index].is_int(), || "an index must be i32 or u32".into())?;
                let reach = (*size as isize - 1) * stride;
                if *size == 0 { Ok(()) } else { verify_bounds(view, reach, self.inputs[*input].len) }
            }
            Inst::Constant { value, dtype } => {
                ensure(value.0.is_nan() || dtype.round(value.0) == value.0, || format!("{dtype} cannot hold it"))
            }
            Inst::Iota { layout, dtype } => {
                ensure(dtype.is_int(), || "iota is i32 or u32".into())?;
                self.verify_layout(layout, None)
            }
            Inst::Inside { layout } => self.verify_layout(layout, None),
            Inst::Random { state, layout, .. } => {
                let state = self.inputs[*state];
                ensure(state.dtype == DType::U32 && state.len >= 4, || "the state must be four u32".into())?;
                self.verify_layout(layout, None)
            }
            Inst::Core => ensure(self.core != Core::Map, || "a map has no core".into()),
            Inst::Unary(op, x) => ensure(op.takes(types[*x]), || format!("{op:?} takes no {}", types[*x])),
            Inst::Binary(op, x, y) => {
                ensure(types[*x] == types[*y], || format!("sides are {} and {}", types[*x], types[*y]))?;
                ensure(op.takes(types[*x]), || format!("{op:?} takes no {}", types[*x]))
            }
            Inst::Select(c, x, y) => {
                ensure(types[*c] == DType::Bool, || "the condition is no bool".into())?;
                ensure(types[*x] == types[*y], || format!("sides are {} and {}", types[*x], types[*y]))
            }
            Inst::Cast(..) | Inst::ArgReduce(..) => Ok(()),
            Inst::Bitcast(x, to) => {
                let fits = |t: DType| t == DType::F32 || t.is_int();
                ensure(fits(types[*x]) && fits(*to), || "only f32, i32 and u32 share bits".into())
            }
            Inst::Reduce(how, x) => {
                let order = matches!(how, Reduction::Max | Reduction::Min);
                ensure(types[*x] != DType::Bool || order, || format!("{how:?} takes no bool"))
            }
        }
    }

    fn verify_output(&self, output: &Output, types: &[DType], inner: &[bool]) -> Result<(), String> {
        let value = output.value;
        ensure(value < self.body.len(), || format!("there is no register {value}"))?;
        ensure(types[value] == output.slice.dtype, || format!("{} into {}", types[value], output.slice.dtype))?;
        let shape = if inner[value] { self.full() } else { self.outer.clone() };
        ensure(output.view.shape == shape, || format!("shape {:?}, not {shape:?}", output.view.shape))?;
        ensure(output.view.mask.is_none(), || "an output has no mask".into())?;
        verify_bounds(&output.view, 0, output.slice.len)?;
        ensure(is_injective(&output.view), || "two points at one element".into())?;
        let Some(alias) = output.aliases else { return Ok(()) };
        ensure(self.inputs.get(alias) == Some(&output.slice), || format!("is not the same stretch as input {alias}"))?;
        for inst in &self.body {
            let fits = match inst {
                Inst::Load { input, layout } if *input == alias => {
                    layout.single().is_some_and(|v| same(v, &output.view))
                }
                Inst::Gather { input, .. } | Inst::Random { state: input, .. } => *input != alias,
                _ => true,
            };
            ensure(fits, || format!("{inst:?} reads the aliased input elsewhere than where it is written"))?;
        }
        let read = match &self.core {
            Core::Map => vec![],
            Core::Matmul(p) => vec![p.a.input, p.b.input],
            Core::Conv(p) => vec![p.a, p.b],
            Core::Attention(p) => p.operands.iter().map(|o| o.input).collect(),
            Core::Scatter(p) => vec![p.index.0, p.updates.0],
            Core::Argsort { input, .. } | Core::CumulativeSum { input } => vec![*input],
        };
        ensure(!read.contains(&alias), || format!("the core reads the aliased input {alias}"))
    }

    fn verify_core(&self) -> Result<(), String> {
        let input = |i: usize| self.inputs.get(i).copied().ok_or_else(|| format!("core: there is no input {i}"));
        let whole = |i: usize, len: usize| {
            let have = input(i)?.len;
            ensure(have >= len, || format!("core: input {i} has {have} elements, not {len}"))
        };
        let alone = self.inner.is_empty() || matches!(self.core, Core::Map | Core::Matmul(_));
        ensure(alone, || "core: only a product has inner points".into())?;
        match &self.core {
            Core::Map => Ok(()),
            Core::Matmul(p) => {
                let (a, b) = (input(p.a.input)?, input(p.b.input)?);
                ensure(a.dtype == b.dtype && a.dtype.is_float(), || {
                    "core: operands must be floats of one type".into()
                })?;
                let mut shape = p.batch.clone();
                shape.extend([p.m, p.n]);
                let rows = self.inner.is_empty() || self.inner == [p.n];
                ensure(rows && self.full() == shape, || {
                    format!("core: outer and inner are {:?} and {:?}, not {shape:?}", self.outer, self.inner)
                })?;
                verify_operand(&p.batch, &p.a, [p.m, p.k], a.len)?;
                verify_operand(&p.batch, &p.b, [p.k, p.n], b.len)
            }
            Core::Conv(p) => {
                let types = (input(p.a)?.dtype, input(p.b)?.dtype);
                ensure(types.0 == types.1 && types.0.is_float(), || {
                    "core: operands must be floats of one type".into()
                })?;
                let [a, b, result] = conv_shapes(p)?;
                whole(p.a, a.iter().product())?;
                whole(p.b, b.iter().product())?;
                ensure(self.outer == result, || format!("core: outer is {:?}, not {result:?}", self.outer))
            }
            Core::Attention(p) => self.verify_attention(p),
            Core::Scatter(p) => {
                let index = input(p.index.0)?;
                ensure(index.dtype.is_int(), || "core: indices must be i32 or u32".into())?;
                ensure(input(p.updates.0)?.dtype != DType::Bool, || "core: bools have no sum".into())?;
                let [before, _, after] = self.outer[..] else { return Err("core: outer must have three axes".into()) };
                let fits = |s: &[usize]| matches!(*s, [b, _, a] if b == before && a == after);
                let (i, u) = (&p.index.1, &p.updates.1);
                ensure(fits(&i.shape) && i.shape == u.shape, || "core: shapes of indices and updates differ".into())?;
                verify_bounds(i, 0, index.len)?;
                verify_bounds(u, 0, input(p.updates.0)?.len)
            }
            Core::Argsort { input, .. } => {
                ensure(self.outer.len() == 2, || "core: outer must have two axes".into())?;
                whole(*input, self.outer_len())
            }
            Core::CumulativeSum { input: i } => {
                ensure(input(*i)?.dtype != DType::Bool, || "core: bools have no sum".into())?;
                ensure(self.outer.len() == 3, || "core: outer must have three axes".into())?;
                whole(*i, self.outer_len())
            }
        }
    }
}

impl Kernel {
    fn verify_attention(&self, p: &Attention) -> Result<(), String> {
        let sizes = p.geometry.operands(p.kind);
        let found = p.operands.len();
        ensure(found == sizes.len(), || format!("core: {found} operands, not {}", sizes.len()))?;
        ensure(p.geometry.keys > 0, || "core: there is no key".into())?;
        let length = p.geometry.length(p.kind);
        let fits = self.outer.strip_prefix(&p.batch[..]).is_some_and(|rest| rest.iter().product::<usize>() == length);
        ensure(fits, || format!("core: outer is {:?}, not {:?} and axes of {length} numbers", self.outer, p.batch))?;
        let mut types = Vec::new();
        for (operand, size) in p.operands.iter().zip(sizes) {
            let slice = self.inputs.get(operand.input).ok_or("core: an operand is not among the inputs")?;
            verify_operand(&p.batch, operand, size, slice.len)?;
            types.push(slice.dtype);
        }
        let fits = types.iter().all(|&t| t == types[0] && matches!(t, DType::F32 | DType::F64));
        ensure(fits, || format!("core: operands are {types:?}, not all f32 or all f64"))
    }
}

/// Every point that is not masked, moved by anything between 0 and `reach`, lies in `0..len`.
fn verify_bounds(view: &View, reach: isize, len: usize) -> Result<(), String> {
    ensure(view.strides.len() == view.shape.len(), || "shape and strides differ in rank".into())?;
    let (mut low, mut high) = (view.offset + reach.min(0), view.offset + reach.max(0));
    for axis in 0..view.shape.len() {
        let (first, end) = view.mask.as_ref().map_or((0, view.shape[axis]), |mask| mask[axis]);
        if first >= end {
            return Ok(());
        }
        ensure(end <= view.shape[axis], || format!("the mask of axis {axis} is longer than the axis"))?;
        let (a, b) = (first as isize * view.strides[axis], (end as isize - 1) * view.strides[axis]);
        low += a.min(b);
        high += a.max(b);
    }
    ensure(low >= 0 && high < len as isize, || format!("elements {low}..={high} of {len} are addressed"))
}

fn verify_operand(batch: &[usize], o: &Operand, sizes: [usize; 2], len: usize) -> Result<(), String> {
    ensure(o.batch_strides.len() == batch.len(), || "core: batch strides and batch axes differ in number".into())?;
    let shape: Vec<usize> = batch.iter().copied().chain(sizes).collect();
    let strides = o.batch_strides.iter().copied().chain([o.row_stride, o.column_stride]).map(|s| s as isize).collect();
    verify_bounds(&View { shape, strides, offset: o.offset as isize, mask: None }, 0, len)
}

/// Shapes of both operands and of the result, after checking that the geometry is whole.
fn conv_shapes(p: &Conv) -> Result<[Vec<usize>; 3], String> {
    let g = &p.geometry;
    let rank = g.input.len();
    let ranks = [g.taps.len(), g.output.len(), g.stride.len(), g.padding.len(), g.dilation.len()];
    ensure((1..=3).contains(&rank) && ranks.iter().all(|&r| r == rank), || "core: 1 to 3 spatial axes".into())?;
    let divides = g.groups > 0 && g.c_in.is_multiple_of(g.groups) && g.c_out.is_multiple_of(g.groups);
    ensure(divides, || format!("core: {} groups do not divide {} and {} channels", g.groups, g.c_in, g.c_out))?;
    let positive = g.stride.iter().chain(&g.dilation).all(|&s| s > 0);
    ensure(positive, || "core: stride and dilation must be positive".into())?;
    let join = |first: usize, second: usize, rest: &[usize]| [&[first, second], rest].concat();
    let x = join(g.batch, g.c_in, &g.input);
    let w = join(g.c_out, g.c_in / g.groups, &g.taps);
    let y = join(g.batch, g.c_out, &g.output);
    Ok(match p.kind {
        ConvKind::Forward => [x, w, y],
        ConvKind::InputGradient => [y, w, x],
        ConvKind::WeightGradient => [x, y, w],
    })
}

/// Whether no two points share an element: at once if each stride clears what the smaller ones reach, else by counting.
fn is_injective(view: &View) -> bool {
    if view.is_empty() {
        return true;
    }
    let mut axes: Vec<(usize, usize)> = view.strides.iter().map(|s| s.unsigned_abs()).zip(view.shape.clone()).collect();
    axes.retain(|&(_, size)| size > 1);
    axes.sort_unstable();
    let mut reach = 0;
    let clear = axes.iter().all(|&(stride, size)| {
        let fits = stride > reach;
        reach += stride * (size - 1);
        fits
    });
    if clear || axes.first().is_some_and(|&(stride, _)| stride == 0) {
        return clear;
    }
    let mut elements = vec![0];
    for (stride, size) in axes {
        elements = elements.iter().flat_map(|e| (0..size).map(move |c| e + c * stride)).collect();
    }
    elements.sort_unstable();
    elements.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether two views give the same element at every point (strides of size-1 axes do not count).
fn same(a: &View, b: &View) -> bool {
    let strides =
        |v: &View| v.strides.iter().zip(&v.shape).filter(|&(_, &n)| n != 1).map(|(&s, _)| s).collect::<Vec<_>>();
    a.shape == b.shape && (a.is_empty() || a.offset == b.offset && a.mask == b.mask && strides(a) == strides(b))
}
