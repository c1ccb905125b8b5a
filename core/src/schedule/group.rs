//! Groups: stored values that one kernel computes, over one iteration space.
//!
//! Values are visited in topological order; each joins a group that computes one of its inputs, or reads the same
//! buffer, if (a) it can be said in the group's space with the group's values used only where they are computed,
//! (b) no other kernel would have to run in between, (c) the bindings suffice, (d) enough parallelism is left.

use std::cmp::Reverse;

use crate::backend::Limits;
use crate::graph::Graph;
use crate::hash::{Map, Set};
use crate::op::Op;
use crate::schedule::dependence::Dependence;
use crate::schedule::draft::{Context, Draft};
use crate::schedule::emit::{self, Emitted, NeedsBuffer};
use crate::schedule::heavy;
use crate::schedule::materialize::is_heavy;
use crate::schedule::merge::{Change, merge};
use crate::view::{View, contiguous_strides};

/// A row kernel with fewer rows than this, and more points than `SMALL`, would leave most of a GPU idle.
const ROWS: usize = 16;
/// A space with at most this many points may be one row.
const SMALL: usize = 4096;
/// Of the groups that read a buffer, as many of the last are looked at.
const BESIDE: usize = 4;
/// Axes of a kernel at most, before neighbours are joined again.
const MOST_AXES: usize = 12;
/// No group.
const NONE: usize = usize::MAX;
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

/// What a kernel runs over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Outer sizes. A value of level `Outer` has these, row-major, or a reshape of them.
    pub(crate) outer: Vec<usize>,
    /// Reduced sizes.
    pub(crate) inner: Vec<usize>,
    /// From `outer x inner` to row-major numbers of what is reduced.
    pub(crate) source: View,
}

/// Stored values of one kernel.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) space: Space,
    /// The node that a core computes.
    pub(crate) core: Option<usize>,
    /// What is computed and may be stored.
    pub(crate) stores: Vec<(usize, Level)>,
    /// Stores that are another store in another order of axes: which one, and where each point of `outer` goes.
    pub(crate) reordered: Map<usize, (usize, View)>,
    /// Its kernel so far, once another value was to join it.
    draft: Option<Box<Draft>>,
}

/// All groups, and for each stored node its group.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) list: Vec<Group>,
    /// `NONE` where a node is not stored or was not met yet.
    of: Vec<usize>,
    pub(crate) stored: Vec<bool>,
    /// Which of them read values of which.
    needs: Dependence,
}

impl Groups {
    /// The group that computes a node, if there is one by now.
    fn of(&self, node: usize) -> Option<usize> {
        Some(self.of[node]).filter(|&group| group != NONE)
    }
}

impl Group {
    pub(crate) fn alone(graph: &Graph, node: usize) -> Group {
        let n = &graph.nodes[node];
        let space = match &n.op {
            Op::Reduce(_, axes) => reduction_space(graph, n.inputs[0], axes),
            Op::ArgReduce(_, axis) => reduction_space(graph, n.inputs[0], &[*axis]),
            op => Space::rows(heavy::outer(op, &n.shape), Vec::new()),
        };
        Group {
            space,
            core: is_heavy(&n.op).then_some(node),
            stores: vec![(node, Level::Outer)],
            reordered: Map::default(),
            draft: None,
        }
    }

    /// Its kernel, with all its values stored.
    pub(crate) fn kernel(&mut self, from: &Context<'_>) -> Result<Emitted, NeedsBuffer> {
        let draft = match self.draft.take() {
            Some(draft) => *draft,
            None => Draft::over(&self.space, self, from)?,
        };
        draft.finish(self, from)
    }

    /// Lets the last of its stores join as `change` says, if one kernel can compute all of them.
    fn grow(&mut self, node: usize, change: Change, from: &Context<'_>) -> bool {
        let draft = self.draft.take().or_else(|| Draft::over(&self.space, self, from).ok().map(Box::new));
        let Some(mut draft) = draft else { return false };
        let space = change.space.filter(|space| *space != self.space);
        let levels: Vec<Level> = self.stores.iter().map(|store| store.1).collect();
        self.stores.push((node, change.level));
        self.reordered.extend(change.reordered.map(|reordered| (node, reordered)));
        let fits = match space {
            None => draft.add_last(self, from),
            Some(space) => {
                if change.others_in_rows {
                    self.stores[..levels.len()].iter_mut().for_each(|store| store.1 = Level::Full);
                }
                let before = std::mem::replace(&mut self.space, space);
                let new = Draft::over(&self.space, self, from).ok().filter(|new| new.binds(self, from));
                let fits = new.is_some();
                match new {
                    Some(new) => *draft = new,
                    None => self.space = before,
                }
                fits
            }
        };
        if !fits {
            self.stores.pop();
            self.stores.iter_mut().zip(levels).for_each(|(store, level)| store.1 = level);
            self.reordered.remove(&node);
        }
        self.draft = Some(draft);
        fits
    }
}

impl Space {
    /// Row-major order of what is reduced.
    pub(crate) fn rows(outer: Vec<usize>, inner: Vec<usize>) -> Space {
        let source = View::contiguous(&[&outer[..], &inner].concat());
        Space { outer, inner, source }
    }

    /// Whether `outer x inner` is the row-major order of what is reduced.
    pub(crate) fn is_rows(&self) -> bool {
        !self.inner.is_empty() && self.source.is_contiguous()
    }

    pub(crate) fn outer_len(&self) -> usize {
        self.outer.iter().product()
    }

    pub(crate) fn len(&self) -> usize {
        self.outer_len() * self.inner.iter().product::<usize>()
    }

    pub(crate) fn enough_rows(&self) -> bool {
        self.outer_len() >= ROWS || self.len() <= SMALL
    }

    /// The same with axes split: each `(axis, size)` becomes two, the second of that size.
    pub(crate) fn split(&self, axes: &[(usize, usize)]) -> Option<Space> {
        let most = self.outer.len() + self.inner.len() + axes.len();
        if axes.is_empty() || most > MOST_AXES {
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

fn reduction_space(graph: &Graph, input: usize, axes: &[usize]) -> Space {
    let shape = &graph.nodes[input].shape;
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let source = View::contiguous(shape).permute(&[&kept[..], axes].concat());
    Space { outer: kept.iter().map(|&a| shape[a]).collect(), inner: axes.iter().map(|&a| shape[a]).collect(), source }
}

/// Forms the groups of all stored nodes.
pub(crate) fn form(graph: &Graph, stored: Vec<bool>, limits: &Limits, fuse: bool) -> Groups {
    let mut groups =
        Groups { list: Vec::new(), of: vec![NONE; graph.nodes.len()], stored, needs: Dependence::default() };
    // Last groups that read a buffer: candidates to join side by side.
    let mut readers = vec![[NONE; BESIDE]; graph.nodes.len()];
    for node in 0..graph.nodes.len() {
        if !groups.stored[node] || matches!(graph.nodes[node].op, Op::Input(_) | Op::Concat) {
            continue;
        }
        let alone = Group::alone(graph, node);
        let reads = emit::reads(graph, &groups.stored, node);
        let producers = Producers::of(&reads, graph, &groups);
        let joined = if fuse && !is_heavy(&graph.nodes[node].op) {
            let from = Newcomer { node, alone: &alone.space, reads: &reads, producers: &producers };
            join(graph, &mut groups, &readers, &from, limits)
        } else {
            None
        };
        let number = joined.unwrap_or(groups.list.len());
        if joined.is_none() {
            groups.list.push(alone);
            groups.needs.push();
        }
        groups.needs.add(number, &producers.beside(number));
        groups.of[node] = number;
        for read in reads {
            if readers[read][0] != number {
                readers[read].rotate_right(1);
                readers[read][0] = number;
            }
        }
    }
    groups
}

/// The groups that compute stored nodes, and those that compute parts of concatenations among them.
struct Producers {
    whole: Vec<usize>,
    parts: Vec<usize>,
}

impl Producers {
    fn of(reads: &[usize], graph: &Graph, groups: &Groups) -> Producers {
        let (concats, values): (Vec<usize>, Vec<usize>) =
            reads.iter().partition(|&&read| graph.nodes[read].op == Op::Concat);
        Producers {
            whole: values.into_iter().filter_map(|read| groups.of(read)).collect(),
            parts: concats.into_iter().flat_map(|concat| concat_groups(graph, groups, concat)).collect(),
        }
    }

    /// All of them that a group does not compute itself. A concatenation is complete only after all of its parts: if some are
    /// this group's own, it depends on itself.
    fn beside(&self, group: usize) -> Vec<usize> {
        self.whole.iter().filter(|&&producer| producer != group).chain(&self.parts).copied().collect()
    }
}

/// The groups that compute the parts of a concatenation, at any depth.
pub(crate) fn concat_groups(graph: &Graph, groups: &Groups, concat: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut pending = vec![concat];
    let mut seen = Set::default();
    while let Some(node) = pending.pop() {
        if !seen.insert(node) {
            continue;
        }
        if groups.stored[node] && graph.nodes[node].op != Op::Concat {
            found.extend(groups.of(node));
        } else {
            pending.extend(&graph.nodes[node].inputs);
        }
    }
    found
}

/// A stored value that looks for a group.
struct Newcomer<'a> {
    node: usize,
    /// The space of a kernel that computes nothing else.
    alone: &'a Space,
    reads: &'a [usize],
    producers: &'a Producers,
}

/// The group that a value joins, changed so that it can.
fn join(
    graph: &Graph,
    groups: &mut Groups,
    readers: &[[usize; BESIDE]],
    newcomer: &Newcomer<'_>,
    limits: &Limits,
) -> Option<usize> {
    let &Newcomer { node, alone, reads, producers } = newcomer;
    let mut candidates: Vec<usize> = reads.iter().filter_map(|&read| groups.of(read)).collect();
    candidates.sort_unstable_by_key(|&group| Reverse(group));
    for &read in reads {
        candidates.extend(readers[read].iter().filter(|&&group| group != NONE));
    }
    for (number, &candidate) in candidates.iter().enumerate() {
        let group = &groups.list[candidate];
        if candidates[..number].contains(&candidate)
            || group.stores.len() >= STORES
            || graph.stage(node) != graph.stage(group.stores[0].0)
        {
            continue;
        }
        let Some(change) = merge(graph, group, node, alone, limits) else { continue };
        // Values of other groups that node needs must not depend on the candidate.
        if groups.needs.reaches(producers.beside(candidate), candidate) {
            continue;
        }
        let from = Context { graph, stored: &groups.stored, limits };
        if groups.list[candidate].grow(node, change, &from) {
            return Some(candidate);
        }
    }
    None
}
