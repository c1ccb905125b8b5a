//! Groups: stored values that one kernel computes, over one iteration space.
//!
//! Values are visited in topological order; each joins a group that computes one of its inputs, or reads the same
//! buffer, if (a) it can be said in the group's space with the group's values used only where they are computed,
//! (b) no other kernel would have to run in between, (c) the bindings suffice, (d) enough parallelism is left.

use std::collections::BTreeSet;

use crate::backend::Limits;
use crate::graph::Graph;
use crate::hash::Map;
use crate::op::Op;
use crate::schedule::emit::{self, Reads};
use crate::schedule::heavy;
use crate::schedule::materialize::{is_heavy, is_reduction};
use crate::view::{Layout, View, contiguous_strides};

/// A row kernel with fewer rows than this, and more points than `SMALL`, would leave most of a GPU idle.
const ROWS: usize = 16;
/// A space with at most this many points may be one row.
const SMALL: usize = 4096;
/// How many groups are looked at before a cycle is feared.
const REACH: usize = 512;
/// Axes of a kernel at most, before neighbours are joined again.
const MOST_AXES: usize = 12;
/// Stored values of one group at most: kernels stay readable, compile times bounded.
const STORES: usize = 12;

/// On which level of the space a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// One value per point of `outer`.
    Outer,
    /// One value per point of `outer x inner`.
    Full,
}

/// Stored values of one kernel.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Outer sizes. A value of level `Outer` has these, row-major, or a reshape of them.
    pub(crate) outer: Vec<usize>,
    /// Reduced sizes.
    pub(crate) inner: Vec<usize>,
    /// From `outer x inner` to row-major numbers of what is reduced.
    pub(crate) source: View,
    /// The node that a core computes.
    pub(crate) core: Option<usize>,
    /// What is computed and may be stored.
    pub(crate) stores: Vec<(usize, Level)>,
    /// Stores that are another store in another order of axes: which one, and where each point of `outer` goes.
    pub(crate) reordered: Map<usize, (usize, View)>,
    /// Groups whose values this one reads.
    needs: BTreeSet<usize>,
}

/// All groups, and for each stored node its group.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) list: Vec<Group>,
    pub(crate) of: Map<usize, usize>,
    pub(crate) stored: Vec<bool>,
    /// For each group the last walk that came by, and the number of the present one: see [`depends`].
    seen: Vec<u32>,
    walk: u32,
}

impl Group {
    pub(crate) fn alone(graph: &Graph, node: usize) -> Group {
        let n = &graph.nodes[node];
        let (outer, inner, source, level) = match &n.op {
            Op::Reduce(_, axes) => reduction_space(graph, n.inputs[0], axes),
            Op::ArgReduce(_, axis) => reduction_space(graph, n.inputs[0], &[*axis]),
            op => {
                let outer = heavy::outer(op, &n.shape);
                (outer.clone(), Vec::new(), View::contiguous(&outer), Level::Outer)
            }
        };
        let core = is_heavy(&n.op).then_some(node);
        Group {
            outer,
            inner,
            source,
            core,
            stores: vec![(node, level)],
            reordered: Map::default(),
            needs: BTreeSet::new(),
        }
    }

    /// Whether `outer x inner` is the row-major order of what is reduced.
    fn is_rows(&self) -> bool {
        !self.inner.is_empty() && self.source.is_contiguous()
    }

    fn outer_len(&self) -> usize {
        self.outer.iter().product()
    }

    fn len(&self) -> usize {
        self.outer_len() * self.inner.iter().product::<usize>()
    }

    /// The layout from this level's points to row-major numbers of a value computed on it.
    pub(crate) fn layout(&self, level: Level) -> Layout {
        match level {
            Level::Outer => Layout::contiguous(&self.outer),
            Level::Full => Layout::contiguous(&[&self.outer[..], &self.inner].concat()),
        }
    }

    /// The same group with axes of its space split: each `(axis, size)` becomes two, the second of that size.
    pub(crate) fn split(&self, axes: &[(usize, usize)]) -> Option<Group> {
        let most = self.outer.len() + self.inner.len() + axes.len();
        if self.core.is_some() || axes.is_empty() || most > MOST_AXES {
            return None;
        }
        let mut finer = self.clone();
        for &(axis, size) in axes.iter().rev() {
            let outer = self.outer.len();
            let (part, at) = if axis < outer { (&mut finer.outer, axis) } else { (&mut finer.inner, axis - outer) };
            part[at] /= size;
            part.insert(at + 1, size);
        }
        finer.source = View::contiguous(&[&finer.outer[..], &finer.inner].concat()).then(&self.source)?;
        Some(finer)
    }

    /// How an outer value is found from a point of `outer x inner`.
    pub(crate) fn broadcast(&self) -> View {
        let mut strides = contiguous_strides(&self.outer);
        strides.extend(vec![0; self.inner.len()]);
        View { shape: [&self.outer[..], &self.inner].concat(), strides, offset: 0, mask: None }
    }
}

fn reduction_space(graph: &Graph, input: usize, axes: &[usize]) -> (Vec<usize>, Vec<usize>, View, Level) {
    let shape = &graph.nodes[input].shape;
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let order = [&kept[..], axes].concat();
    let source = View::contiguous(shape).permute(&order);
    (kept.iter().map(|&a| shape[a]).collect(), axes.iter().map(|&a| shape[a]).collect(), source, Level::Outer)
}

/// Splits axes of `a` and `b` (same length, row-major) so that both are reshapes of the result; `None` if they do not nest.
fn refine(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let suffixes = |shape: &[usize]| {
        let mut all = vec![1];
        shape.iter().rev().for_each(|&s| all.push(all[all.len() - 1] * s));
        all
    };
    let mut ends: Vec<usize> = [suffixes(a), suffixes(b)].concat();
    if ends.contains(&0) {
        return (a == b).then(|| a.to_vec());
    }
    ends.sort_unstable();
    ends.dedup();
    let mut shape = Vec::new();
    for pair in ends.windows(2).rev() {
        if pair[1] % pair[0] != 0 {
            return None;
        }
        shape.push(pair[1] / pair[0]);
    }
    Some(shape)
}

/// Forms the groups of all stored nodes.
pub(crate) fn form(graph: &Graph, stored: &[bool], limits: &Limits, fuse: bool) -> Groups {
    let mut groups =
        Groups { list: Vec::new(), of: Map::default(), stored: stored.to_vec(), seen: Vec::new(), walk: 0 };
    // Last groups that read a buffer: candidates to join side by side.
    let mut readers: Map<usize, Vec<usize>> = Map::default();
    for (node, &is_stored) in stored.iter().enumerate() {
        if !is_stored || matches!(graph.nodes[node].op, Op::Input(_) | Op::Concat) {
            continue;
        }
        let alone = Group::alone(graph, node);
        let reads = emit::reads(graph, &groups, &alone);
        let joined = if fuse && !is_heavy(&graph.nodes[node].op) {
            join(graph, &mut groups, &readers, node, &alone, &reads, limits)
        } else {
            None
        };
        let number = joined.unwrap_or_else(|| {
            groups.list.push(alone);
            groups.list.len() - 1
        });
        groups.of.insert(node, number);
        for &read in &reads.nodes {
            add_read(graph, &mut groups, number, read);
            let list = readers.entry(read).or_default();
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
    }
    groups
}

/// Notes that a group reads a stored node; a concatenation stands for its parts.
fn add_read(graph: &Graph, groups: &mut Groups, group: usize, read: usize) {
    match &graph.nodes[read].op {
        Op::Input(_) => {}
        Op::Concat => {
            for producer in concat_groups(graph, groups, read) {
                if producer != group {
                    groups.list[group].needs.insert(producer);
                }
            }
        }
        _ => {
            if let Some(&producer) = groups.of.get(&read)
                && producer != group
            {
                groups.list[group].needs.insert(producer);
            }
        }
    }
}

/// The groups that compute the parts of a concatenation, at any depth.
pub(crate) fn concat_groups(graph: &Graph, groups: &Groups, concat: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut pending = vec![concat];
    let mut seen = BTreeSet::new();
    while let Some(node) = pending.pop() {
        if !seen.insert(node) {
            continue;
        }
        if groups.stored[node] && graph.nodes[node].op != Op::Concat {
            found.extend(groups.of.get(&node));
        } else {
            pending.extend(&graph.nodes[node].inputs);
        }
    }
    found
}

/// The group that `node` joins, changed so that it can.
fn join(
    graph: &Graph,
    groups: &mut Groups,
    readers: &Map<usize, Vec<usize>>,
    node: usize,
    alone: &Group,
    reads: &Reads,
    limits: &Limits,
) -> Option<usize> {
    let mut candidates: Vec<usize> = reads.nodes.iter().filter_map(|read| groups.of.get(read).copied()).collect();
    candidates.sort_unstable();
    candidates.dedup();
    candidates.reverse();
    for read in &reads.nodes {
        let beside = readers.get(read).into_iter().flatten().rev().take(4);
        beside.for_each(|&g| candidates.push(g));
    }
    let mut tried = BTreeSet::new();
    for candidate in candidates {
        let other = &groups.list[candidate];
        if !tried.insert(candidate)
            || other.stores.len() >= STORES
            || graph.stage(node) != graph.stage(other.stores[0].0)
        {
            continue;
        }
        let Some(merged) = merge(graph, &groups.list[candidate], node, alone) else { continue };
        // Values of other groups that node needs must not depend on the candidate.
        let needs = producers(graph, groups, reads, candidate);
        if depends(groups, &needs, candidate) {
            continue;
        }
        let before = groups.list[candidate].clone();
        groups.list[candidate] = merged;
        groups.of.insert(node, candidate);
        let bound = emit::kernel(graph, groups, &groups.list[candidate], limits);
        if bound.is_ok_and(|emitted| emitted.bindings() <= limits.bindings) {
            return Some(candidate);
        }
        groups.of.remove(&node);
        groups.list[candidate] = before;
    }
    None
}

/// The group with `node` in it, if its space can be shared.
fn merge(graph: &Graph, group: &Group, node: usize, alone: &Group) -> Option<Group> {
    let reduction = is_reduction(&graph.nodes[node].op);
    let mut merged = group.clone();
    if reduction {
        if group.core.is_some() {
            return None;
        }
        if group.inner.is_empty() {
            // A map before a reduction of its values: the map moves into the rows.
            if !alone.is_rows() || alone.len() != group.outer_len() || !enough_rows(alone) {
                return None;
            }
            let shape = refine(&group.outer, &[&alone.outer[..], &alone.inner].concat())?;
            let split = split(&shape, alone.outer_len())?;
            (merged.outer, merged.inner) = (shape[..split].to_vec(), shape[split..].to_vec());
            merged.source = View::contiguous(&shape);
            merged.stores.iter_mut().for_each(|store| store.1 = Level::Full);
        } else if group.is_rows() && alone.is_rows() {
            if group.outer_len() != alone.outer_len() || group.len() != alone.len() {
                return None;
            }
            merged.outer = refine(&group.outer, &alone.outer)?;
            merged.inner = refine(&group.inner, &alone.inner)?;
            merged.source = View::contiguous(&[&merged.outer[..], &merged.inner].concat());
        } else if group.outer != alone.outer || group.inner != alone.inner || group.source != alone.source {
            return None;
        }
        merged.stores.push((node, Level::Outer));
        return Some(merged);
    }
    let shape = &graph.nodes[node].shape;
    let len: usize = shape.iter().product();
    if group.core.is_some()
        && let Some(reordered) = reordered(graph, group, node)
    {
        merged.reordered.insert(node, reordered);
        merged.stores.push((node, Level::Outer));
        return Some(merged);
    }
    if len == group.outer_len() {
        if group.core.is_none() && (group.inner.is_empty() || group.is_rows()) {
            merged.outer = refine(&group.outer, shape)?;
            merged.source = View::contiguous(&[&merged.outer[..], &merged.inner].concat());
        }
        merged.stores.push((node, Level::Outer));
        return Some(merged);
    }
    if group.is_rows() && group.core.is_none() && len == group.len() && enough_rows(group) {
        let whole = refine(&[&group.outer[..], &group.inner].concat(), shape)?;
        let split = split(&whole, group.outer_len())?;
        (merged.outer, merged.inner) = (whole[..split].to_vec(), whole[split..].to_vec());
        merged.source = View::contiguous(&whole);
        merged.stores.push((node, Level::Full));
        return Some(merged);
    }
    None
}

/// The store of `group` that `node` is with its axes in another order, and the view that writes it so: attention's heads
/// go back to their places while the product's result is in registers.
fn reordered(graph: &Graph, group: &Group, node: usize) -> Option<(usize, View)> {
    let mut at = node;
    let input = |at: usize| graph.nodes[at].inputs.first().copied();
    while graph.nodes[at].op == Op::Reshape {
        at = input(at)?;
    }
    let shape = graph.nodes[at].shape.clone();
    let mut layout = Layout::contiguous(&shape);
    let found = loop {
        layout = match &graph.nodes[at].op {
            _ if group.stores.iter().any(|s| s.0 == at) => break at,
            Op::Reshape => layout,
            Op::Permute(axes) => {
                let x = View::contiguous(&graph.nodes[input(at)?].shape);
                layout.then(&Layout::of(x.permute(axes)))
            }
            _ => return None,
        };
        at = input(at)?;
    };
    let view = layout.single()?;
    if group.reordered.contains_key(&found) || view.is_contiguous() || view.is_empty() {
        return None;
    }
    // The view says where each of the node's elements lies in the store; its axes sorted by stride say the reverse.
    let target = contiguous_strides(&shape);
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.sort_by_key(|&a| std::cmp::Reverse(view.strides[a]));
    let back = View {
        shape: axes.iter().map(|&a| shape[a]).collect(),
        strides: axes.iter().map(|&a| target[a]).collect(),
        offset: 0,
        mask: None,
    };
    Some((found, View::contiguous(&group.outer).then(&back)?))
}

fn enough_rows(group: &Group) -> bool {
    group.outer_len() >= ROWS || group.len() <= SMALL
}

/// How many leading axes of `shape` make `len` elements; the rest must not be empty.
fn split(shape: &[usize], len: usize) -> Option<usize> {
    let mut product = 1;
    for (axis, &size) in shape.iter().enumerate() {
        if product == len {
            return Some(axis);
        }
        product *= size;
    }
    None
}

/// Groups other than `candidate` whose values are read.
fn producers(graph: &Graph, groups: &Groups, reads: &Reads, candidate: usize) -> Vec<usize> {
    let mut needs = Vec::new();
    for &read in &reads.nodes {
        if graph.nodes[read].op == Op::Concat {
            // A concatenation with a part from the candidate is complete only after the candidate: that is a dependence.
            needs.extend(concat_groups(graph, groups, read));
        } else if let Some(&producer) = groups.of.get(&read)
            && producer != candidate
        {
            needs.push(producer);
        }
    }
    needs
}

/// Whether any of `from` is, or needs, `target` (or too many groups would have to be asked). This is asked for every value and
/// neighbour, so no set is built: a group that this walk has seen carries its number.
fn depends(groups: &mut Groups, from: &[usize], target: usize) -> bool {
    groups.walk += 1;
    groups.seen.resize(groups.list.len(), 0);
    let (mut pending, mut asked) = (from.to_vec(), 0);
    while let Some(group) = pending.pop() {
        if group == target || asked > REACH {
            return true;
        }
        if std::mem::replace(&mut groups.seen[group], groups.walk) != groups.walk {
            asked += 1;
            pending.extend(&groups.list[group].needs);
        }
    }
    false
}
