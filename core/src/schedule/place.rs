//! Where values live: external buffers, output buffers or scratch blocks; parts of a concatenation directly inside of
//! it; new values of variables directly in place where that is safe, by a copy at the end where it is not.

use crate::backend::Limits;
use crate::graph::Graph;
use crate::hash::{Map, Set};
use crate::kernel::{Core, Inst, Kernel, Output, Slice};
use crate::op::Op;
use crate::schedule::draft::Context;
use crate::schedule::emit::{Emitted, NeedsBuffer};
use crate::schedule::group::{Group, Groups};
use crate::schedule::materialize::unreshaped;
use crate::schedule::memory::bytes;
use crate::view::{Layout, View};

/// What holds a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The graph's external buffer of that number.
    External(usize),
    /// The buffer of that output.
    Output(usize),
    /// The plan's scratch memory.
    Scratch,
}

/// A stretch of memory for one value or one concatenation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) home: Home,
    pub(crate) bytes: usize,
}

/// Kernels, which must run before which, and where values live.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) kernels: Vec<Emitted>,
    /// For each kernel, those that must run before it, by rising number.
    pub(crate) before: Vec<Vec<usize>>,
    pub(crate) blocks: Vec<Block>,
    /// For copies: the block and element that replace the only target's own place.
    pub(crate) extra_targets: Vec<Option<(usize, usize)>>,
    block_of: Map<usize, usize>,
    /// Parts of concatenations: the concatenation and the element where the part begins.
    inside: Map<usize, (usize, usize)>,
}

impl Placement {
    /// A stored node's block and first element.
    pub(crate) fn find(&self, graph: &Graph, node: usize) -> (usize, usize) {
        let (mut at, mut offset) = (node, 0);
        while let Some(&(concat, start)) = self.inside.get(&at) {
            offset += start;
            at = concat;
        }
        debug_assert!(self.block_of.contains_key(&at), "{:?} has no place", graph.nodes[at].op);
        (self.block_of[&at], offset)
    }

    /// The block and first element that a kernel's output goes to.
    pub(crate) fn target(&self, graph: &Graph, kernel: usize, output: usize, node: usize) -> (usize, usize) {
        match self.extra_targets[kernel] {
            Some(place) if output == 0 => place,
            _ => self.find(graph, node),
        }
    }

    fn block(&mut self, home: Home, bytes: usize) -> usize {
        self.blocks.push(Block { home, bytes });
        self.blocks.len() - 1
    }

    /// Whether any of `kernels` is, or must run after, `other`: one walk for all of them, as an optimizer's kernel has as many
    /// readers before it as there are layers.
    fn any_after(&self, kernels: &[usize], other: usize) -> bool {
        let (mut pending, mut seen) = (kernels.to_vec(), vec![false; self.before.len()]);
        while let Some(k) = pending.pop() {
            if k == other {
                return true;
            }
            if !std::mem::replace(&mut seen[k], true) {
                pending.extend(&self.before[k]);
            }
        }
        false
    }
}

/// Removes what nobody reads, then gives every stored value its place.
pub(crate) fn place(
    graph: &Graph,
    groups: &Groups,
    kernels: Vec<Emitted>,
    limits: &Limits,
) -> Result<Placement, NeedsBuffer> {
    let kernels = sweep(graph, groups, kernels);
    let count = kernels.len();
    let mut placement = Placement {
        kernels,
        before: vec![Vec::new(); count],
        blocks: Vec::new(),
        extra_targets: vec![None; count],
        block_of: Map::default(),
        inside: Map::default(),
    };
    let mut producer: Map<usize, usize> = Map::default();
    for (k, kernel) in placement.kernels.iter().enumerate() {
        kernel.targets.iter().for_each(|&t| {
            producer.insert(t, k);
        });
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        if let Op::Input(k) = node.op {
            let block = placement.block(Home::External(k), bytes(graph, number));
            placement.block_of.insert(number, block);
        }
    }
    let writers = concatenations(graph, groups, &mut placement, &producer, limits)?;
    let written_by = |node: usize| -> Vec<usize> {
        writers.get(&node).cloned().unwrap_or_else(|| producer.get(&node).copied().into_iter().collect())
    };
    for (kernel, emitted) in placement.kernels.iter().enumerate() {
        let needs = emitted.sources.iter().flat_map(|&(node, _)| written_by(node));
        placement.before[kernel].extend(needs.filter(|&k| k != kernel));
    }
    for (index, &node) in graph.outputs.iter().enumerate() {
        let placed = placement.block_of.contains_key(&node) || placement.inside.contains_key(&node);
        let block = placement.block(Home::Output(index), bytes(graph, node));
        if placed {
            copy(graph, &mut placement, node, (block, 0), &written_by(node));
        } else {
            placement.block_of.insert(node, block);
        }
    }
    for (index, &(external, node)) in graph.updates.iter().enumerate() {
        let first = graph.updates[..index].iter().all(|u| u.1 != node) && !graph.outputs.contains(&node);
        let writer = producer.get(&node).copied().filter(|_| first && !placement.inside.contains_key(&node));
        if let Some(writer) = writer {
            update_in_place(graph, &mut placement, writer, node, external);
        }
    }
    for node in 0..graph.nodes.len() {
        let known = placement.block_of.contains_key(&node) || placement.inside.contains_key(&node);
        if groups.stored[node] && !known {
            let block = placement.block(Home::Scratch, bytes(graph, node));
            placement.block_of.insert(node, block);
        }
    }
    copied_updates(graph, &mut placement, &written_by);
    for before in &mut placement.before {
        before.sort_unstable();
        before.dedup();
    }
    Ok(placement)
}

/// Drops outputs that no kernel and no result reads, instructions and inputs that are then unused, and empty kernels.
fn sweep(graph: &Graph, groups: &Groups, mut kernels: Vec<Emitted>) -> Vec<Emitted> {
    loop {
        let mut needed = vec![false; graph.nodes.len()];
        let results = graph.outputs.iter().chain(graph.updates.iter().map(|u| &u.1));
        let sources = kernels.iter().flat_map(|k| k.sources.iter().map(|s| &s.0));
        let mut pending: Vec<usize> = results.chain(sources).copied().collect();
        while let Some(node) = pending.pop() {
            if !std::mem::replace(&mut needed[node], true) && graph.nodes[node].op == Op::Concat {
                // Unstored parts are read by a copy: all that they are made of counts.
                let parts = graph.nodes[node].inputs.iter();
                pending.extend(parts.flat_map(|&part| stored_leaves(graph, groups, part)));
            }
        }
        let mut swept = false;
        for kernel in &mut kernels {
            let keep: Vec<bool> = kernel.targets.iter().map(|&t| needed[t] && !graph.nodes[t].is_empty()).collect();
            if keep.contains(&false) {
                swept = true;
                let mut flags = keep.iter();
                kernel.targets.retain(|_| *flags.next().unwrap_or(&true));
                let mut flags = keep.iter();
                kernel.kernel.outputs.retain(|_| *flags.next().unwrap_or(&true));
                drop_unused(kernel);
            }
        }
        if !swept {
            return kernels;
        }
        kernels.retain(|k| !k.targets.is_empty());
    }
}

/// Removes instructions that no output uses and inputs that no instruction uses.
fn drop_unused(emitted: &mut Emitted) {
    let kernel = &mut emitted.kernel;
    let mut used = vec![false; kernel.body.len()];
    kernel.outputs.iter().for_each(|o| used[o.value] = true);
    for reg in (0..kernel.body.len()).rev() {
        if used[reg] {
            kernel.body[reg].operands().for_each(|r| used[r] = true);
        }
    }
    let mut renumber = vec![0; used.len()];
    let mut next = 0;
    for reg in 0..used.len() {
        renumber[reg] = next;
        next += usize::from(used[reg]);
    }
    let mut flags = used.iter();
    kernel.body.retain(|_| *flags.next().unwrap_or(&true));
    kernel.body.iter_mut().for_each(|inst| inst.map_operands(|r| renumber[r]));
    kernel.outputs.iter_mut().for_each(|o| o.value = renumber[o.value]);
    let mut seen = vec![false; kernel.inputs.len()];
    kernel.each_input(|i| seen[*i] = true);
    if seen.iter().all(|&s| s) {
        return;
    }
    let mut numbers = vec![0; seen.len()];
    let mut next = 0;
    for input in 0..seen.len() {
        numbers[input] = next;
        next += usize::from(seen[input]);
    }
    kernel.each_input(|i| *i = numbers[*i]);
    let mut flags = seen.iter();
    kernel.inputs.retain(|_| *flags.next().unwrap_or(&true));
    let mut flags = seen.iter();
    emitted.sources.retain(|_| *flags.next().unwrap_or(&true));
}

/// Puts parts of concatenations inside of them, or copies them there. Returns the kernels that write each concatenation.
fn concatenations(
    graph: &Graph,
    groups: &Groups,
    placement: &mut Placement,
    producer: &Map<usize, usize>,
    limits: &Limits,
) -> Result<Map<usize, Vec<usize>>, NeedsBuffer> {
    let mut writers: Map<usize, Vec<usize>> = Map::default();
    let mut readers: Map<usize, Vec<usize>> = Map::default();
    for (k, kernel) in placement.kernels.iter().enumerate() {
        kernel.sources.iter().for_each(|s| readers.entry(s.0).or_default().push(k));
    }
    let results: Set<usize> = graph.outputs.iter().chain(graph.updates.iter().map(|u| &u.1)).copied().collect();
    // For each concatenation all values that live inside of it, at any depth.
    let mut contents: Map<usize, Set<usize>> = Map::default();
    for concat in 0..graph.nodes.len() {
        if graph.nodes[concat].op != Op::Concat || !groups.stored[concat] {
            continue;
        }
        let row: usize = graph.nodes[concat].shape[1..].iter().product();
        let mut here: Set<usize> = Set::default();
        let (mut parts, mut sources) = (Vec::new(), Set::default());
        // What copies will read must not live in the block that they write.
        let mut copied: Set<usize> = Set::default();
        let mut offset = 0;
        for &part in &graph.nodes[concat].inputs {
            let source = unreshaped(graph, &groups.stored, part);
            let len = graph.nodes[part].shape[0] * row;
            let aligned = (offset * graph.nodes[concat].dtype.size()).is_multiple_of(limits.alignment);
            let free = groups.stored[source]
                && (producer.contains_key(&source) || writers.contains_key(&source))
                && !results.contains(&source)
                && !placement.inside.contains_key(&source)
                && !sources.contains(&source)
                && (aligned || readers.get(&source).is_none_or(Vec::is_empty));
            if !free {
                copied.extend(stored_leaves(graph, groups, part));
            }
            if len > 0 {
                sources.insert(source);
                parts.push((part, source, offset, free, aligned));
            }
            offset += len;
        }
        for (part, source, offset, free, aligned) in parts {
            let mut bundle = contents.get(&source).cloned().unwrap_or_default();
            bundle.insert(source);
            let block = |node: &usize| here.contains(node) || bundle.contains(node);
            // A kernel must not read one part and write another of the same block.
            let reads = |k: usize| placement.kernels[k].sources.iter().any(|s| block(&s.0));
            let writes = |k: usize| placement.kernels[k].targets.iter().any(block);
            let own: Vec<usize> =
                producer.get(&source).into_iter().chain(writers.get(&source).into_iter().flatten()).copied().collect();
            let mixes = own.iter().any(|&k| reads(k))
                || bundle.iter().filter_map(|n| readers.get(n)).flatten().any(|&k| writes(k));
            // The binding of a part that begins between two aligned places reaches down to the lower one: the same kernel must
            // not write there, too.
            let several = |k: usize| placement.kernels[k].targets.iter().filter(|t| block(t)).count() > 1;
            let crowded = !aligned && own.iter().any(|&k| several(k));
            if free && !mixes && !crowded && bundle.is_disjoint(&copied) {
                placement.inside.insert(source, (concat, offset));
                here.extend(bundle);
                writers.entry(concat).or_default().extend(own);
            } else {
                let kernel = part_copy(graph, groups, part, limits)?;
                let k = placement.kernels.len();
                kernel.sources.iter().for_each(|s| readers.entry(s.0).or_default().push(k));
                placement.kernels.push(kernel);
                placement.before.push(Vec::new());
                placement.extra_targets.push(None);
                // The copy's target is the stretch of the concatenation; its block is known once all have one.
                placement.inside.insert(usize::MAX - k, (concat, offset));
                placement.kernels[k].targets = vec![usize::MAX - k];
                here.insert(usize::MAX - k);
                writers.entry(concat).or_default().push(k);
            }
        }
        contents.insert(concat, here);
    }
    Ok(writers)
}

/// The stored nodes that a value is made of.
fn stored_leaves(graph: &Graph, groups: &Groups, node: usize) -> Vec<usize> {
    let (mut leaves, mut pending, mut seen) = (Vec::new(), vec![node], Set::default());
    while let Some(n) = pending.pop() {
        if !seen.insert(n) {
            continue;
        }
        if groups.stored[n] {
            leaves.push(n);
        } else {
            pending.extend(&graph.nodes[n].inputs);
        }
    }
    leaves
}

/// A kernel that copies (or computes) one part.
fn part_copy(graph: &Graph, groups: &Groups, part: usize, limits: &Limits) -> Result<Emitted, NeedsBuffer> {
    if groups.stored[part] {
        return Ok(load_store(graph, part));
    }
    Group::alone(graph, part).kernel(&Context { graph, stored: &groups.stored, limits })
}

/// A kernel that reads a stored node and writes it.
fn load_store(graph: &Graph, node: usize) -> Emitted {
    let n = &graph.nodes[node];
    let slice = Slice { dtype: n.dtype, len: n.len() };
    let outer = vec![n.len()];
    let body = vec![Inst::Load { input: 0, layout: Layout::contiguous(&outer) }];
    let outputs = vec![Output { value: 0, slice, view: View::contiguous(&outer), aliases: None }];
    let kernel = Kernel { core: Core::Map, outer, inner: Vec::new(), inputs: vec![slice], body, outputs };
    Emitted { kernel, sources: vec![(node, 0)], targets: vec![node] }
}

/// Adds a kernel that copies a stored node to a place, after `after`; returns its number.
fn copy(graph: &Graph, placement: &mut Placement, node: usize, to: (usize, usize), after: &[usize]) -> Option<usize> {
    if graph.nodes[node].is_empty() {
        return None;
    }
    placement.kernels.push(load_store(graph, node));
    placement.before.push(after.to_vec());
    placement.extra_targets.push(Some(to));
    Some(placement.kernels.len() - 1)
}

/// Lets `writer` overwrite the variable's buffer with `node`, if all other readers of the old value can run before.
/// Otherwise nothing changes, and a copy at the end will do it.
fn update_in_place(graph: &Graph, placement: &mut Placement, writer: usize, node: usize, external: usize) {
    let old = graph.nodes.iter().position(|n| n.op == Op::Input(external));
    let Some(old) = old else {
        let block = placement.block(Home::External(external), bytes(graph, node));
        placement.block_of.insert(node, block);
        return;
    };
    let emitted = &placement.kernels[writer];
    let Some(output) = emitted.targets.iter().position(|&t| t == node) else { return };
    let view = &emitted.kernel.outputs[output].view;
    for (input, source) in emitted.sources.iter().enumerate() {
        if source.0 == old && !reads_only_at(&emitted.kernel, input, view) {
            return;
        }
    }
    let readers: Vec<usize> = (0..placement.kernels.len())
        .filter(|&k| k != writer && placement.kernels[k].sources.iter().any(|s| s.0 == old))
        .collect();
    if placement.any_after(&readers, writer) {
        return;
    }
    placement.before[writer].extend(readers);
    placement.block_of.insert(node, placement.block_of[&old]);
}

/// Whether a kernel reads an input only at the points that it writes through `view`.
fn reads_only_at(kernel: &Kernel, input: usize, view: &View) -> bool {
    let same = |inst: &Inst| match inst {
        Inst::Load { input: i, layout } if *i == input => layout.single() == Some(view),
        Inst::Gather { input: i, .. } => *i != input,
        Inst::Random { state, .. } => *state != input,
        _ => true,
    };
    let core = match &kernel.core {
        Core::Map => true,
        Core::Matmul(p) => p.a.input != input && p.b.input != input,
        Core::Conv(p) => p.a != input && p.b != input,
        Core::Attention(p) => p.operands.iter().all(|o| o.input != input),
        Core::Scatter(p) => p.index.0 != input && p.updates.0 != input,
        Core::Argsort { input: i, .. } | Core::CumulativeSum { input: i } => *i != input,
    };
    core && kernel.body.iter().all(same)
}

/// Copies new values that could not be written in place, when nobody reads the old ones any more.
fn copied_updates(graph: &Graph, placement: &mut Placement, written_by: &dyn Fn(usize) -> Vec<usize>) {
    let home = |placement: &Placement, node: usize| placement.blocks[placement.find(graph, node).0].home;
    let open: Vec<(usize, usize)> = graph
        .updates
        .iter()
        .copied()
        .filter(|&(external, node)| home(placement, node) != Home::External(external))
        .collect();
    // A value that lies in a buffer which is itself overwritten is saved first.
    let mut saved = Vec::new();
    for &(external, node) in &open {
        let overwritten = |k| graph.updates.iter().any(|u| u.0 == k);
        let place = match home(placement, node) {
            Home::External(k) if overwritten(k) && matches!(graph.nodes[node].op, Op::Input(_)) => {
                let block = placement.block(Home::Scratch, bytes(graph, node));
                let saving = copy(graph, placement, node, (block, 0), &[]);
                let at = placement.block_of[&node];
                for k in 0..placement.kernels.len() {
                    let overwrites = placement.extra_targets[k].is_none()
                        && placement.kernels[k].targets.iter().any(|t| placement.block_of.get(t) == Some(&at));
                    if overwrites {
                        placement.before[k].extend(saving);
                    }
                }
                saving.map(|k| (k, block))
            }
            _ => None,
        };
        saved.push((external, node, place));
    }
    for (external, node, place) in saved {
        let old = graph.nodes.iter().position(|n| n.op == Op::Input(external));
        let mut after: Vec<usize> = written_by(node);
        after.extend(
            (0..placement.kernels.len())
                .filter(|&k| old.is_some_and(|old| placement.kernels[k].sources.iter().any(|s| s.0 == old))),
        );
        after.extend(place.map(|p| p.0));
        let block = placement.block(Home::External(external), bytes(graph, node));
        let copied = copy(graph, placement, node, (block, 0), &after);
        if let (Some(k), Some((_, from))) = (copied, place) {
            // Read the saved block instead of the node's own.
            let stand_in = usize::MAX - k;
            placement.block_of.insert(stand_in, from);
            placement.kernels[k].sources = vec![(stand_in, 0)];
        }
    }
}
