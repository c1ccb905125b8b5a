//! From a group to a kernel: expressions are pulled from the stored values down to other groups' values; movement
//! operations compose into layouts on the way, equal instructions are emitted once, and what does not change along the
//! reduced axes is computed on the outer level.

use crate::graph::Graph;
use crate::hash::Set;
use crate::kernel::{Inst, Kernel, Reg};
use crate::op::Op;
use crate::schedule::draft::{Context, Draft};
use crate::schedule::group::{Group, Level, Space};
use crate::schedule::materialize::{is_heavy, is_reduction};
use crate::view::{Layout, View};

/// A value that cannot be said by index arithmetic inside of the kernel that wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeedsBuffer(pub(crate) usize);

/// A kernel and which nodes its inputs and outputs are.
#[derive(Clone, Debug)]
pub(crate) struct Emitted {
    pub(crate) kernel: Kernel,
    /// For each input: the node whose buffer it is, and the element of it where the input begins.
    pub(crate) sources: Vec<(usize, usize)>,
    /// For each output: the node.
    pub(crate) targets: Vec<usize>,
}

/// The stored values that a node's value is computed from, by rising number.
pub(crate) fn reads(graph: &Graph, stored: &[bool], node: usize) -> Vec<usize> {
    let mut nodes = Vec::new();
    let mut pending: Vec<usize> = graph.nodes[node].inputs.clone();
    let mut seen = Set::default();
    while let Some(node) = pending.pop() {
        if matches!(graph.nodes[node].op, Op::Constant(_)) || !seen.insert(node) {
            continue;
        }
        if stored[node] {
            nodes.push(node);
        } else {
            pending.extend(&graph.nodes[node].inputs);
        }
    }
    nodes.sort_unstable();
    nodes
}

/// Writes into a draft.
pub(crate) struct Emitter<'a> {
    draft: &'a mut Draft,
    space: &'a Space,
    group: &'a Group,
    pub(crate) from: &'a Context<'a>,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(draft: &'a mut Draft, space: &'a Space, group: &'a Group, from: &'a Context<'a>) -> Emitter<'a> {
        Emitter { draft, space, group, from }
    }

    fn push(&mut self, inst: Inst) -> Reg {
        self.draft.push(inst, self.space.outer.len())
    }

    fn number(&mut self, layout: Layout) -> usize {
        self.draft.number(layout, self.space.outer.len())
    }

    /// The layout from this level's points to row-major numbers of a value computed on it.
    pub(crate) fn points(&mut self, level: Level) -> usize {
        self.number(match level {
            Level::Outer => Layout::contiguous(&self.space.outer),
            Level::Full => Layout::contiguous(&[&self.space.outer[..], &self.space.inner].concat()),
        })
    }

    fn in_group(&self, node: usize) -> Option<Level> {
        self.group.stores.iter().find(|s| s.0 == node).map(|s| s.1)
    }

    /// The register with a node's value at the points that `layout` maps to its row-major numbers.
    fn value(&mut self, node: usize, layout: usize, level: Level) -> Result<Reg, NeedsBuffer> {
        if level == Level::Full
            && let Some(outer) = self.draft.over_outer(layout)
        {
            return self.value(node, outer, Level::Outer);
        }
        if let Some(reg) = self.draft.known(node, layout) {
            return Ok(reg);
        }
        let reg = match self.in_group(node) {
            Some(_) if self.group.reordered.contains_key(&node) => return Err(NeedsBuffer(node)),
            Some(stored) => {
                let points = self.points(stored);
                if stored == level && same_map(self.draft.layout(layout), self.draft.layout(points)) {
                    self.compute(node, layout, level)?
                } else if stored == Level::Outer
                    && level == Level::Full
                    && same_map(self.draft.layout(layout), &Layout::of(self.space.broadcast()))
                {
                    self.value(node, points, Level::Outer)?
                } else {
                    return Err(NeedsBuffer(node));
                }
            }
            // A constant that some core needs in a buffer is still a constant elsewhere.
            None if self.from.stored[node] && !matches!(self.from.graph.nodes[node].op, Op::Constant(_)) => {
                let input = self.draft.input(node, 0);
                let layout = self.draft.layout(layout).clone();
                self.push(Inst::Load { input, layout })
            }
            None => self.compute(node, layout, level)?,
        };
        self.draft.learn(node, layout, reg);
        Ok(reg)
    }

    /// The register of a value that is written on this level, also if it does not change along the reduced axes.
    pub(crate) fn stored_value(&mut self, node: usize, layout: usize, level: Level) -> Result<Reg, NeedsBuffer> {
        if let Some(&(same, _)) = self.group.reordered.get(&node) {
            return self.value(same, layout, level);
        }
        let value = self.value(node, layout, level)?;
        if level == Level::Outer || self.draft.is_full(value) {
            return Ok(value);
        }
        let layout = self.draft.layout(layout).clone();
        let inside = self.push(Inst::Inside { layout });
        Ok(self.push(Inst::Select(inside, value, value)))
    }

    /// The number of `layout` and then `view`.
    fn then(&mut self, layout: usize, view: &View) -> usize {
        let layout = self.draft.layout(layout).then_view(view);
        self.number(layout)
    }

    fn compute(&mut self, node: usize, layout: usize, level: Level) -> Result<Reg, NeedsBuffer> {
        let n = &self.from.graph.nodes[node];
        let dtype = n.dtype;
        let inst = match n.op {
            Op::Reshape => return self.value(n.inputs[0], layout, level),
            Op::Constant(value) => Inst::Constant { value, dtype },
            Op::Iota => Inst::Iota { layout: self.draft.layout(layout).clone(), dtype },
            Op::Random { stream } => {
                let state = self.dense(n.inputs[0])?;
                Inst::Random { state, stream, layout: self.draft.layout(layout).clone() }
            }
            Op::Unary(op) => Inst::Unary(op, self.value(n.inputs[0], layout, level)?),
            Op::Binary(op) => {
                let x = self.value(n.inputs[0], layout, level)?;
                Inst::Binary(op, x, self.value(n.inputs[1], layout, level)?)
            }
            Op::Select => {
                let condition = self.value(n.inputs[0], layout, level)?;
                let x = self.value(n.inputs[1], layout, level)?;
                Inst::Select(condition, x, self.value(n.inputs[2], layout, level)?)
            }
            Op::Cast => Inst::Cast(self.value(n.inputs[0], layout, level)?, dtype),
            Op::Bitcast => Inst::Bitcast(self.value(n.inputs[0], layout, level)?, dtype),
            Op::Pad { ref padding, value } => {
                let input = n.inputs[0];
                let inside = self.then(layout, &View::contiguous(&self.from.graph.nodes[input].shape).pad(padding));
                let x = self.value(input, inside, level)?;
                if value.0 == 0.0 && matches!(self.draft.inst(x), Inst::Load { .. }) {
                    return Ok(x);
                }
                let inside = Inst::Inside { layout: self.draft.layout(inside).clone() };
                let inside = self.push(inside);
                let fill = self.push(Inst::Constant { value, dtype });
                Inst::Select(inside, x, fill)
            }
            Op::Gather(axis) => self.gather(node, axis, layout, level)?,
            Op::Reduce(op, _) => Inst::Reduce(op, self.reduced(n.inputs[0])?),
            Op::ArgReduce(op, _) => Inst::ArgReduce(op, self.reduced(n.inputs[0])?),
            ref op if is_heavy(op) => {
                let core = self.push(Inst::Core);
                if dtype == crate::DType::F16 { Inst::Cast(core, dtype) } else { return Ok(core) }
            }
            _ => {
                let view = movement(self.from.graph, node).ok_or(NeedsBuffer(node))?;
                let layout = self.then(layout, &view);
                return self.value(n.inputs[0], layout, level);
            }
        };
        debug_assert!(!is_reduction(&n.op) || level == Level::Outer);
        Ok(self.push(inst))
    }

    /// The value that a reduction takes.
    fn reduced(&mut self, node: usize) -> Result<Reg, NeedsBuffer> {
        let source = self.number(Layout::of(self.space.source.clone()));
        self.value(node, source, Level::Full)
    }

    fn gather(&mut self, node: usize, axis: usize, layout: usize, level: Level) -> Result<Inst, NeedsBuffer> {
        let [x, index] = self.from.graph.nodes[node].inputs[..] else { return Err(NeedsBuffer(node)) };
        let (source, found) = self.resolve(x)?;
        let Some(view) = found.single().filter(|v| v.mask.is_none()).cloned() else { return Err(NeedsBuffer(x)) };
        let (stride, size) = (view.strides[axis], view.shape[axis]);
        let mut start = View { shape: self.from.graph.nodes[node].shape.clone(), ..view };
        start.strides[axis] = 0;
        let start = self.draft.layout(layout).then_view(&start);
        let Some(view) = start.single().filter(|v| v.mask.is_none()).cloned() else { return Err(NeedsBuffer(node)) };
        let index = self.value(index, layout, level)?;
        let input = self.draft.input(source, 0);
        Ok(Inst::Gather { input, view, index, stride, size })
    }

    /// The stored node that a value is a movement of, and where its elements lie in it.
    pub(crate) fn resolve(&self, node: usize) -> Result<(usize, Layout), NeedsBuffer> {
        let mut layout = Layout::contiguous(&self.from.graph.nodes[node].shape);
        let mut at = node;
        while !self.from.stored[at] {
            let Some(view) = movement(self.from.graph, at) else { return Err(NeedsBuffer(at)) };
            layout = layout.then_view(&view);
            at = self.from.graph.nodes[at].inputs[0];
        }
        if self.in_group(at).is_some() { Err(NeedsBuffer(node)) } else { Ok((at, layout)) }
    }

    /// The input whose element 0 is the node's, row-major without gaps.
    pub(crate) fn dense(&mut self, node: usize) -> Result<usize, NeedsBuffer> {
        let (source, layout) = self.resolve(node)?;
        let start = layout.single().filter(|v| v.mask.is_none() && v.is_dense()).map(|v| v.offset as usize);
        let size = self.from.graph.nodes[source].dtype.size();
        match start {
            Some(offset) if (offset * size).is_multiple_of(self.from.limits.alignment) => {
                Ok(self.draft.input(source, offset))
            }
            _ => Err(NeedsBuffer(node)),
        }
    }

    /// The input and the one view without mask that `shape` (a reshape of the node's) has in it.
    pub(crate) fn strided(&mut self, node: usize, shape: &[usize]) -> Result<(usize, View), NeedsBuffer> {
        let (source, layout) = self.resolve(node)?;
        let layout = Layout::contiguous(shape).then(&layout);
        match layout.single() {
            Some(view) if view.mask.is_none() && view.strides.iter().all(|&s| s >= 0) => {
                Ok((self.draft.input(source, 0), view.clone()))
            }
            _ => Err(NeedsBuffer(node)),
        }
    }
}

/// The view by which a movement operation finds its elements in its input.
fn movement(graph: &Graph, node: usize) -> Option<View> {
    let n = &graph.nodes[node];
    let x = || View::contiguous(&graph.nodes[n.inputs[0]].shape);
    Some(match &n.op {
        Op::Reshape => View::contiguous(&n.shape),
        Op::Permute(axes) => x().permute(axes),
        Op::Expand => x().expand(&n.shape),
        Op::Slice(ranges) => x().slice(ranges),
        Op::Flip(axes) => x().flip(axes),
        Op::Windows { axis, size, stride, dilation } => x().windows(*axis, *size, *stride, *dilation)?,
        _ => return None,
    })
}

/// Whether two unmasked single views map every point to the same number.
fn same_map(a: &Layout, b: &Layout) -> bool {
    let (Some(a), Some(b)) = (a.single(), b.single()) else { return false };
    let strides = |axis: usize| a.shape[axis] <= 1 || a.strides[axis] == b.strides[axis];
    a.mask.is_none()
        && b.mask.is_none()
        && a.offset == b.offset
        && a.shape == b.shape
        && (0..a.shape.len()).all(strides)
}
