//! A group's kernel while it is written: what was emitted so far, to which another stored value can be added, and taken back
//! if that one cannot be said or needs too many buffers. So a group that grows is not emitted anew.

use crate::backend::Limits;
use crate::graph::Graph;
use crate::hash::{Map, hash};
use crate::kernel::{Core, Inst, Kernel, Output, Reg, Slice};
use crate::schedule::emit::{Emitted, Emitter, NeedsBuffer};
use crate::schedule::group::{Group, Level, Space};
use crate::schedule::heavy;
use crate::view::{Layout, View};

/// What every kernel of a plan is written from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) graph: &'a Graph,
    /// For every node, whether it has a buffer.
    pub(crate) stored: &'a [bool],
    pub(crate) limits: &'a Limits,
}

/// What is emitted over one space.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    core: Option<Core>,
    core_is_full: bool,
    sources: Vec<(usize, usize)>,
    body: Vec<Inst>,
    is_full: Vec<bool>,
    outputs: Vec<Output>,
    targets: Vec<usize>,
    layouts: Layouts,
    /// Registers of nodes at the points of a layout.
    known: Map<(usize, usize), Reg>,
    /// The keys of `known` in the order in which they came.
    learned: Vec<(usize, usize)>,
    /// Registers of instructions by their hash; where the body has another one there, it does not count.
    equal: Map<u64, Reg>,
}

/// The layouts of a draft, by number: equal ones have one.
#[derive(Debug, Default)]
struct Layouts {
    /// Each with the number of the one over the outer axes only, if the inner axes change nothing.
    list: Vec<(Layout, Option<usize>)>,
    numbers: Map<Layout, usize>,
}

impl Draft {
    /// Everything that a group stores, over this space.
    pub(crate) fn over(space: &Space, group: &Group, from: &Context<'_>) -> Result<Draft, NeedsBuffer> {
        let mut draft = Draft { core_is_full: !space.inner.is_empty(), ..Draft::default() };
        if let Some(node) = group.core {
            draft.core = Some(heavy::core(&mut Emitter::new(&mut draft, space, group, from), node)?);
        }
        for &store in &group.stores {
            draft.store(store, space, group, from)?;
        }
        Ok(draft)
    }

    /// Adds the group's last stored value; if that is not possible, nothing changes.
    pub(crate) fn add_last(&mut self, group: &Group, from: &Context<'_>) -> bool {
        let before = [self.sources.len(), self.body.len(), self.outputs.len(), self.learned.len()];
        let last = group.stores[group.stores.len() - 1];
        let fits = self.store(last, &group.space, group, from).is_ok() && self.binds(group, from);
        if !fits {
            let [sources, body, outputs, learned] = before;
            self.sources.truncate(sources);
            self.body.truncate(body);
            self.is_full.truncate(body);
            self.outputs.truncate(outputs);
            self.targets.truncate(outputs);
            for key in self.learned.drain(learned..) {
                self.known.remove(&key);
            }
        }
        fits
    }

    fn store(
        &mut self,
        (node, level): (usize, Level),
        space: &Space,
        group: &Group,
        from: &Context<'_>,
    ) -> Result<(), NeedsBuffer> {
        let mut emitter = Emitter::new(self, space, group, from);
        let layout = emitter.points(level);
        let value = emitter.stored_value(node, layout, level)?;
        let n = &from.graph.nodes[node];
        let slice = Slice { dtype: n.dtype, len: n.len() };
        let view = group.reordered.get(&node).map_or(&self.layout(layout).views()[0], |(_, view)| view).clone();
        self.outputs.push(Output { value, slice, view, aliases: None });
        self.targets.push(node);
        Ok(())
    }

    /// Whether a device can bind all of its buffers.
    pub(crate) fn binds(&self, group: &Group, from: &Context<'_>) -> bool {
        let bindings = |draft: &Draft| draft.sources.len() + draft.targets.len();
        self.split(group, from)
            .is_ok_and(|split| bindings(split.as_ref().map_or(self, |s| &s.1)) <= from.limits.bindings)
    }

    /// The kernel.
    pub(crate) fn finish(self, group: &Group, from: &Context<'_>) -> Result<Emitted, NeedsBuffer> {
        let (Space { outer, inner, .. }, draft) = match self.split(group, from)? {
            Some(split) => split,
            None => (group.space.clone(), self),
        };
        let slice = |&(node, offset): &(usize, usize)| {
            let n = &from.graph.nodes[node];
            Slice { dtype: n.dtype, len: n.len() - offset }
        };
        let inputs = draft.sources.iter().map(slice).collect();
        let core = draft.core.unwrap_or(Core::Map);
        let kernel = Kernel { core, outer, inner, inputs, body: draft.body, outputs: draft.outputs };
        Ok(Emitted { kernel, sources: draft.sources, targets: draft.targets })
    }

    /// The same over a space with split axes, where that makes chains of views single views: pooling windows, their gradients.
    fn split(&self, group: &Group, from: &Context<'_>) -> Result<Option<(Space, Draft)>, NeedsBuffer> {
        let mut best: Option<(Space, Draft)> = None;
        loop {
            let (space, draft) = best.as_ref().map_or((&group.space, self), |(space, draft)| (space, draft));
            if draft.core.is_some() {
                return Ok(best);
            }
            let Some(finer) = space.split(&draft.carries()) else { return Ok(best) };
            let next = Draft::over(&finer, group, from)?;
            if next.links() >= draft.links() {
                return Ok(best);
            }
            best = Some((finer, next));
        }
    }

    /// All layouts of the instructions.
    fn used_layouts(&self) -> impl Iterator<Item = &Layout> {
        self.body.iter().filter_map(|inst| match inst {
            Inst::Load { layout, .. } | Inst::Iota { layout, .. } => Some(layout),
            Inst::Inside { layout } | Inst::Random { layout, .. } => Some(layout),
            _ => None,
        })
    }

    /// How many views there are beyond one per layout.
    fn links(&self) -> usize {
        self.used_layouts().map(|layout| layout.views().len() - 1).sum()
    }

    /// Where the space must be split for chains of views to become one.
    fn carries(&self) -> Vec<(usize, usize)> {
        let mut found: Vec<_> = self.used_layouts().flat_map(Layout::carries).collect();
        found.sort_unstable();
        found.dedup_by_key(|split| split.0);
        found
    }

    /// The number of the input that is this node's buffer from `offset` on.
    pub(super) fn input(&mut self, node: usize, offset: usize) -> usize {
        let known = self.sources.iter().position(|&s| s == (node, offset));
        known.unwrap_or_else(|| {
            self.sources.push((node, offset));
            self.sources.len() - 1
        })
    }

    /// The register of an instruction, which is new or known.
    pub(super) fn push(&mut self, inst: Inst, outer_rank: usize) -> Reg {
        let new = self.body.len();
        let hash = hash(&inst);
        if let Some(&reg) = self.equal.get(&hash)
            && self.body.get(reg) == Some(&inst)
        {
            return reg;
        }
        let wide = |shape: &[usize]| shape.len() > outer_rank;
        let full = match &inst {
            Inst::Load { layout, .. } | Inst::Iota { layout, .. } => wide(layout.shape()),
            Inst::Inside { layout } | Inst::Random { layout, .. } => wide(layout.shape()),
            Inst::Gather { view, index, .. } => wide(&view.shape) || self.is_full[*index],
            Inst::Reduce(..) | Inst::ArgReduce(..) => false,
            Inst::Core => self.core_is_full,
            other => other.operands().any(|r| self.is_full[r]),
        };
        self.is_full.push(full);
        self.equal.insert(hash, new);
        self.body.push(inst);
        new
    }

    pub(super) fn inst(&self, reg: Reg) -> &Inst {
        &self.body[reg]
    }

    /// Whether a register has one value per point of `outer x inner`.
    pub(super) fn is_full(&self, reg: Reg) -> bool {
        self.is_full[reg]
    }

    /// The register of a node at the points of a layout, if it was emitted.
    pub(super) fn known(&self, node: usize, layout: usize) -> Option<Reg> {
        self.known.get(&(node, layout)).copied()
    }

    pub(super) fn learn(&mut self, node: usize, layout: usize, reg: Reg) {
        self.known.insert((node, layout), reg);
        self.learned.push((node, layout));
    }

    pub(super) fn layout(&self, number: usize) -> &Layout {
        &self.layouts.list[number].0
    }

    /// The number of the layout over the outer axes only, if the inner axes change nothing.
    pub(super) fn over_outer(&self, number: usize) -> Option<usize> {
        self.layouts.list[number].1
    }

    /// The number of a layout, which is new or known.
    pub(super) fn number(&mut self, layout: Layout, outer_rank: usize) -> usize {
        if let Some(&number) = self.layouts.numbers.get(&layout) {
            return number;
        }
        let over_outer = without_inner(&layout, outer_rank).map(|over_outer| self.number(over_outer, outer_rank));
        let number = self.layouts.list.len();
        self.layouts.numbers.insert(layout.clone(), number);
        self.layouts.list.push((layout, over_outer));
        number
    }
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
