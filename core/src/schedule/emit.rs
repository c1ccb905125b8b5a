//! From a group to a kernel: expressions are pulled from the stored values down to other groups' values; movement
//! operations compose into layouts on the way, equal instructions are emitted once, and what does not change along the
//! reduced axes is computed on the outer level.

use crate::backend::Limits;
use crate::graph::Graph;
use crate::hash::{Map, Set};
use crate::kernel::{Core, Inst, Kernel, Output, Reg, Slice};
use crate::op::Op;
use crate::schedule::group::{Group, Groups, Level};
use crate::schedule::heavy;
use crate::schedule::materialize::{is_heavy, is_reduction};
use crate::view::{Layout, View, contiguous_strides};

/// A value that cannot be said by index arithmetic inside of the kernel that wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeedsBuffer(pub(crate) usize);

/// Stored values that an expression reads.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) nodes: Vec<usize>,
}

/// A kernel and which nodes its inputs and outputs are.
#[derive(Clone, Debug)]
pub(crate) struct Emitted {
    pub(crate) kernel: Kernel,
    /// For each input: the node whose buffer it is, and the element of it where the input begins.
    pub(crate) sources: Vec<(usize, usize)>,
    /// For each output: the node.
    pub(crate) targets: Vec<usize>,
}

impl Emitted {
    /// How many buffers a device must bind.
    pub(crate) fn bindings(&self) -> usize {
        self.sources.len() + self.targets.len()
    }
}

/// The stored values that a group of one value reads.
pub(crate) fn reads(graph: &Graph, groups: &Groups, group: &Group) -> Reads {
    let mut nodes = Vec::new();
    let mut pending: Vec<usize> = graph.nodes[group.stores[0].0].inputs.clone();
    let mut seen = Set::default();
    while let Some(node) = pending.pop() {
        if !seen.insert(node) {
            continue;
        }
        if matches!(graph.nodes[node].op, Op::Constant(_)) {
            continue;
        }
        if groups.stored[node] {
            nodes.push(node);
        } else {
            pending.extend(&graph.nodes[node].inputs);
        }
    }
    nodes.sort_unstable();
    Reads { nodes }
}

/// The kernel of a group, with all its values stored. Axes are split where that makes chains of views single views:
/// pooling windows, their gradients.
pub(crate) fn kernel(graph: &Graph, groups: &Groups, group: &Group, limits: &Limits) -> Result<Emitted, NeedsBuffer> {
    let mut best = over_space(graph, groups, group, limits)?;
    let mut space = group.clone();
    while let Some(finer) = space.split(&carries(&best.kernel)) {
        let next = over_space(graph, groups, &finer, limits)?;
        if links(&next.kernel) >= links(&best.kernel) {
            break;
        }
        (best, space) = (next, finer);
    }
    Ok(best)
}

/// All layouts of a kernel's instructions.
fn layouts(kernel: &Kernel) -> impl Iterator<Item = &Layout> {
    kernel.body.iter().filter_map(|inst| match inst {
        Inst::Load { layout, .. } | Inst::Iota { layout, .. } => Some(layout),
        Inst::Inside { layout } | Inst::Random { layout, .. } => Some(layout),
        _ => None,
    })
}

/// How many views there are beyond one per layout.
fn links(kernel: &Kernel) -> usize {
    layouts(kernel).map(|layout| layout.views().len() - 1).sum()
}

/// Axes of the space that run over the end of an axis of a chain's second view, and the size of that: split there, the
/// axis carries no more and the two views can be one.
fn carries(kernel: &Kernel) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for layout in layouts(kernel) {
        let [first, second, ..] = layout.views() else { continue };
        let steps = contiguous_strides(&second.shape);
        for (axis, (&stride, &size)) in first.strides.iter().zip(&first.shape).enumerate() {
            let under = (0..steps.len()).find(|&t| steps[t] == stride.abs() && second.shape[t] > 1);
            let inner = under.map_or(size, |t| second.shape[t]);
            if inner < size && size % inner == 0 {
                found.push((axis, inner));
            }
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|split| split.0);
    found
}

/// The kernel over the group's space as it is.
fn over_space(graph: &Graph, groups: &Groups, group: &Group, limits: &Limits) -> Result<Emitted, NeedsBuffer> {
    let mut emitter = Emitter::new(graph, groups, group, limits);
    let core = match group.core {
        Some(node) => heavy::core(&mut emitter, node)?,
        None => Core::Map,
    };
    let mut outputs = Vec::new();
    let mut targets = Vec::new();
    for &(node, level) in &group.stores {
        let layout = group.layout(level);
        let value = emitter.stored_value(node, &layout, level)?;
        let slice = Slice { dtype: graph.nodes[node].dtype, len: graph.nodes[node].len() };
        let view = group.reordered.get(&node).map_or_else(|| layout.views()[0].clone(), |r| r.1.clone());
        outputs.push(Output { value, slice, view, aliases: None });
        targets.push(node);
    }
    let slice = |&(node, offset): &(usize, usize)| {
        let n = &graph.nodes[node];
        Slice { dtype: n.dtype, len: n.len() - offset }
    };
    let inputs = emitter.sources.iter().map(slice).collect();
    let (outer, inner) = (group.outer.clone(), group.inner.clone());
    let kernel = Kernel { core, outer, inner, inputs, body: emitter.body, outputs };
    Ok(Emitted { kernel, sources: emitter.sources, targets })
}

/// State of one kernel's emission.
pub(crate) struct Emitter<'a> {
    pub(crate) graph: &'a Graph,
    groups: &'a Groups,
    group: &'a Group,
    limits: &'a Limits,
    pub(crate) sources: Vec<(usize, usize)>,
    body: Vec<Inst>,
    is_full: Vec<bool>,
    known: Map<(usize, Layout), Reg>,
    equal: Map<Inst, Reg>,
}

impl<'a> Emitter<'a> {
    fn new(graph: &'a Graph, groups: &'a Groups, group: &'a Group, limits: &'a Limits) -> Emitter<'a> {
        let (sources, body) = (Vec::new(), Vec::new());
        Emitter {
            graph,
            groups,
            group,
            limits,
            sources,
            body,
            is_full: Vec::new(),
            known: Map::default(),
            equal: Map::default(),
        }
    }

    /// The number of the input that is this node's buffer from `offset` on.
    fn input(&mut self, node: usize, offset: usize) -> usize {
        match self.sources.iter().position(|&s| s == (node, offset)) {
            Some(number) => number,
            None => {
                self.sources.push((node, offset));
                self.sources.len() - 1
            }
        }
    }

    fn push(&mut self, inst: Inst) -> Reg {
        if let Some(&reg) = self.equal.get(&inst) {
            return reg;
        }
        let reg = self.body.len();
        let wide = |shape: &[usize]| shape.len() > self.group.outer.len();
        let full = match &inst {
            Inst::Load { layout, .. } | Inst::Iota { layout, .. } => wide(layout.shape()),
            Inst::Inside { layout } | Inst::Random { layout, .. } => wide(layout.shape()),
            Inst::Gather { view, index, .. } => wide(&view.shape) || self.is_full[*index],
            Inst::Reduce(..) | Inst::ArgReduce(..) => false,
            other => other.operands().into_iter().any(|r| self.is_full[r]),
        };
        self.is_full.push(full);
        self.equal.insert(inst.clone(), reg);
        self.body.push(inst);
        reg
    }

    fn in_group(&self, node: usize) -> Option<Level> {
        self.group.stores.iter().find(|s| s.0 == node).map(|s| s.1)
    }

    /// The register with a node's value at the points that `layout` maps to its row-major numbers.
    pub(crate) fn value(&mut self, node: usize, layout: Layout, level: Level) -> Result<Reg, NeedsBuffer> {
        if level == Level::Full
            && let Some(outer) = without_inner(&layout, self.group.outer.len())
        {
            return self.value(node, outer, Level::Outer);
        }
        let key = (node, layout);
        if let Some(&reg) = self.known.get(&key) {
            return Ok(reg);
        }
        let layout = key.1.clone();
        let reg = match self.in_group(node) {
            Some(_) if self.group.reordered.contains_key(&node) => return Err(NeedsBuffer(node)),
            Some(stored) => {
                let fits = stored == level && same_map(&layout, &self.group.layout(level));
                let spread = stored == Level::Outer
                    && level == Level::Full
                    && same_map(&layout, &Layout::of(self.group.broadcast()));
                if spread {
                    self.value(node, self.group.layout(Level::Outer), Level::Outer)?
                } else if fits {
                    self.compute(node, layout, level)?
                } else {
                    return Err(NeedsBuffer(node));
                }
            }
            // A constant that some core needs in a buffer is still a constant elsewhere.
            None if self.groups.stored[node] && !matches!(self.graph.nodes[node].op, Op::Constant(_)) => {
                let input = self.input(node, 0);
                self.push(Inst::Load { input, layout })
            }
            None => self.compute(node, layout, level)?,
        };
        self.known.insert(key, reg);
        Ok(reg)
    }

    /// The register of a value that is written on this level, also if it does not change along the reduced axes.
    fn stored_value(&mut self, node: usize, layout: &Layout, level: Level) -> Result<Reg, NeedsBuffer> {
        if let Some(&(same, _)) = self.group.reordered.get(&node) {
            return self.value(same, layout.clone(), level);
        }
        let value = self.value(node, layout.clone(), level)?;
        if level == Level::Outer || self.is_full[value] {
            return Ok(value);
        }
        let inside = self.push(Inst::Inside { layout: layout.clone() });
        Ok(self.push(Inst::Select(inside, value, value)))
    }

    fn compute(&mut self, node: usize, layout: Layout, level: Level) -> Result<Reg, NeedsBuffer> {
        let n = &self.graph.nodes[node];
        let (op, dtype) = (n.op.clone(), n.dtype);
        if let Some(view) = movement(self.graph, node) {
            return self.value(n.inputs[0], layout.then(&Layout::of(view)), level);
        }
        let inst = match op {
            Op::Constant(value) => Inst::Constant { value, dtype },
            Op::Iota => Inst::Iota { layout, dtype },
            Op::Random { stream } => {
                let state = self.dense(n.inputs[0])?;
                Inst::Random { state, stream, layout }
            }
            Op::Unary(op) => Inst::Unary(op, self.value(n.inputs[0], layout, level)?),
            Op::Binary(op) => {
                let x = self.value(n.inputs[0], layout.clone(), level)?;
                Inst::Binary(op, x, self.value(n.inputs[1], layout, level)?)
            }
            Op::Select => {
                let condition = self.value(n.inputs[0], layout.clone(), level)?;
                let x = self.value(n.inputs[1], layout.clone(), level)?;
                Inst::Select(condition, x, self.value(n.inputs[2], layout, level)?)
            }
            Op::Cast => Inst::Cast(self.value(n.inputs[0], layout, level)?, dtype),
            Op::Bitcast => Inst::Bitcast(self.value(n.inputs[0], layout, level)?, dtype),
            Op::Pad { padding, value } => {
                let input = n.inputs[0];
                let view = View::contiguous(&self.graph.nodes[input].shape).pad(&padding);
                let inside = layout.then(&Layout::of(view));
                let x = self.value(input, inside.clone(), level)?;
                if value.0 == 0.0 && matches!(self.body[x], Inst::Load { .. }) {
                    return Ok(x);
                }
                let inside = self.push(Inst::Inside { layout: inside });
                let fill = self.push(Inst::Constant { value, dtype });
                Inst::Select(inside, x, fill)
            }
            Op::Gather(axis) => self.gather(node, axis, &layout, level)?,
            Op::Reduce(op, _) => {
                let source = Layout::of(self.group.source.clone());
                Inst::Reduce(op, self.full_value(n.inputs[0], source)?)
            }
            Op::ArgReduce(op, _) => {
                let source = Layout::of(self.group.source.clone());
                Inst::ArgReduce(op, self.full_value(n.inputs[0], source)?)
            }
            op if is_heavy(&op) => {
                let core = self.push(Inst::Core);
                if dtype == crate::DType::F16 { Inst::Cast(core, dtype) } else { return Ok(core) }
            }
            _ => return Err(NeedsBuffer(node)),
        };
        debug_assert!(!is_reduction(&self.graph.nodes[node].op) || level == Level::Outer);
        Ok(self.push(inst))
    }

    /// The value that a reduction takes.
    fn full_value(&mut self, node: usize, layout: Layout) -> Result<Reg, NeedsBuffer> {
        self.value(node, layout, Level::Full)
    }

    fn gather(&mut self, node: usize, axis: usize, layout: &Layout, level: Level) -> Result<Inst, NeedsBuffer> {
        let [x, index] = self.graph.nodes[node].inputs[..] else { return Err(NeedsBuffer(node)) };
        let (source, found) = self.resolve(x)?;
        let Some(view) = found.single().filter(|v| v.mask.is_none()).cloned() else { return Err(NeedsBuffer(x)) };
        let (stride, size) = (view.strides[axis], view.shape[axis]);
        let mut start = View { shape: self.graph.nodes[node].shape.clone(), ..view };
        start.strides[axis] = 0;
        let start = layout.then(&Layout::of(start));
        let Some(view) = start.single().filter(|v| v.mask.is_none()).cloned() else { return Err(NeedsBuffer(node)) };
        let index = self.value(index, layout.clone(), level)?;
        let input = self.input(source, 0);
        Ok(Inst::Gather { input, view, index, stride, size })
    }

    /// The stored node that a value is a movement of, and where its elements lie in it.
    pub(crate) fn resolve(&self, node: usize) -> Result<(usize, Layout), NeedsBuffer> {
        let mut layout = Layout::contiguous(&self.graph.nodes[node].shape);
        let mut at = node;
        while !self.groups.stored[at] {
            let Some(view) = movement(self.graph, at) else { return Err(NeedsBuffer(at)) };
            layout = layout.then(&Layout::of(view));
            at = self.graph.nodes[at].inputs[0];
        }
        if self.in_group(at).is_some() { Err(NeedsBuffer(node)) } else { Ok((at, layout)) }
    }

    /// The input whose element 0 is the node's, row-major without gaps.
    pub(crate) fn dense(&mut self, node: usize) -> Result<usize, NeedsBuffer> {
        let (source, layout) = self.resolve(node)?;
        let start = layout.single().filter(|v| v.mask.is_none() && v.is_dense()).map(|v| v.offset as usize);
        let size = self.graph.nodes[source].dtype.size();
        match start {
            Some(offset) if (offset * size).is_multiple_of(self.limits.alignment) => Ok(self.input(source, offset)),
            _ => Err(NeedsBuffer(node)),
        }
    }

    /// The input and the one view without mask that `shape` (a reshape of the node's) has in it.
    pub(crate) fn strided(&mut self, node: usize, shape: &[usize]) -> Result<(usize, View), NeedsBuffer> {
        let (source, layout) = self.resolve(node)?;
        let layout = Layout::contiguous(shape).then(&layout);
        match layout.single() {
            Some(view) if view.mask.is_none() && view.strides.iter().all(|&s| s >= 0) => {
                Ok((self.input(source, 0), view.clone()))
            }
            _ => Err(NeedsBuffer(node)),
        }
    }
}

/// The view by which a movement operation finds its elements in its input.
fn movement(graph: &Graph, node: usize) -> Option<View> {
    let n = &graph.nodes[node];
    let x = View::contiguous(&graph.nodes[*n.inputs.first()?].shape);
    Some(match &n.op {
        Op::Reshape => View::contiguous(&n.shape),
        Op::Permute(axes) => x.permute(axes),
        Op::Expand => x.expand(&n.shape),
        Op::Slice(ranges) => x.slice(ranges),
        Op::Flip(axes) => x.flip(axes),
        Op::Windows { axis, size, stride, dilation } => x.windows(*axis, *size, *stride, *dilation)?,
        _ => return None,
    })
}

/// The layout over the outer axes only, if the inner axes change nothing.
fn without_inner(layout: &Layout, outer: usize) -> Option<Layout> {
    let first = &layout.views()[0];
    if first.shape.len() == outer || first.shape[outer..].contains(&0) {
        return None;
    }
    if first.strides[outer..].iter().zip(&first.shape[outer..]).any(|(&stride, &size)| stride != 0 && size != 1) {
        return None;
    }
    let mask = match &first.mask {
        None => None,
        Some(mask) if mask[outer..].iter().zip(&first.shape[outer..]).all(|(&m, &size)| m == (0, size)) => {
            Some(mask[..outer].to_vec())
        }
        Some(_) => return None,
    };
    let view = View {
        shape: first.shape[..outer].to_vec(),
        strides: first.strides[..outer].to_vec(),
        offset: first.offset,
        mask,
    };
    Some(layout.with_first(view))
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
