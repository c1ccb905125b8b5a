//! Order and memory: kernels in topological order, values in blocks, blocks in slabs by their lifetimes, and the exact
//! stretch of each buffer that each kernel sees.
//!
//! Invariants: a kernel's inputs and outputs do not overlap unless it updates in place (where a device cannot tell parts of a
//! buffer from each other, they lie in different slabs); every reader of a
//! variable's old value runs before the kernel that overwrites it.

use crate::backend::{Binding, Limits, Plan, Slot, Step};
use crate::graph::{Graph, Places};
use crate::kernel::{Core, Inst, Kernel, Operand};
use crate::schedule::Schedule;
use crate::schedule::collapse;
use crate::schedule::emit::Emitted;
use crate::schedule::emit::NeedsBuffer;
use crate::schedule::group::Groups;
use crate::schedule::pack::{Life, pack};
use crate::schedule::place::{Block, Home, Placement, place};
use crate::schedule::slices::{self, Part};
use crate::view::{Layout, View};

/// Orders kernels, gives values memory, and binds.
pub(crate) fn plan(
    graph: &Graph,
    places: &Places,
    groups: &Groups,
    kernels: Vec<Emitted>,
    limits: &Limits,
) -> Result<Schedule, NeedsBuffer> {
    let placement = place(graph, groups, kernels, limits)?;
    let order = order(&placement);
    let (place_of, slabs) = slabs(graph, &placement, &order, limits);
    let steps = order.iter().flat_map(|&k| steps(graph, places, &placement, k, &place_of, limits)).collect();
    let output_bytes = graph.outputs.iter().map(|&node| bytes(graph, node)).collect();
    let externals = graph.externals + graph.outputs.len();
    let written = graph.updates.iter().map(|u| u.0).collect();
    Ok(Schedule { plan: Plan { steps, externals, slabs }, output_bytes, written })
}

/// Bytes of a node's buffer; that of an empty one has room for an element, which masked reads point at.
pub(crate) fn bytes(graph: &Graph, node: usize) -> usize {
    (graph.nodes[node].len().max(1) * graph.nodes[node].dtype.size()).next_multiple_of(4)
}

/// Kernels in the order of the user's code, each right after what it needs and what has not run before: copies and values
/// that are computed again come when they are asked for, not as soon as they could.
fn order(placement: &Placement) -> Vec<usize> {
    let count = placement.kernels.len();
    let mut order = Vec::with_capacity(count);
    // 0: not seen, 1: waits for what it needs, 2: in the order.
    let mut state = vec![0u8; count];
    for first in 0..count {
        let mut stack = vec![first];
        while let Some(&kernel) = stack.last() {
            if state[kernel] == 0 {
                state[kernel] = 1;
                let before = stack.len();
                stack.extend(placement.before[kernel].iter().filter(|&&b| state[b] < 2));
                let circle = stack[before..].iter().any(|&b| state[b] == 1);
                assert!(!circle, "schedule: kernels wait for each other in a circle: a defect of anygrad");
                stack[before..].reverse();
                continue;
            }
            stack.pop();
            if state[kernel] == 1 {
                state[kernel] = 2;
                order.push(kernel);
            }
        }
    }
    order
}

/// For each scratch block its slab and first byte, and the slabs' sizes.
fn slabs(
    graph: &Graph,
    placement: &Placement,
    order: &[usize],
    limits: &Limits,
) -> (Vec<Option<(usize, usize)>>, Vec<usize>) {
    let mut number = vec![None; placement.blocks.len()];
    let mut lives: Vec<Life> = Vec::new();
    for (position, &kernel) in order.iter().enumerate() {
        let k = &placement.kernels[kernel];
        let mut used = |block: usize| -> Option<usize> {
            let Block { home: Home::Scratch, bytes } = placement.blocks[block] else { return None };
            let life = *number[block].get_or_insert_with(|| {
                let bytes = bytes.next_multiple_of(limits.alignment);
                lives.push(Life { bytes, first: position, last: position, apart: Vec::new() });
                lives.len() - 1
            });
            lives[life].last = position;
            Some(life)
        };
        let sources: Vec<usize> =
            k.sources.iter().filter_map(|&(node, _)| used(placement.find(graph, node).0)).collect();
        let outputs = k.targets.iter().enumerate();
        let targets: Vec<usize> =
            outputs.filter_map(|(i, &node)| used(placement.target(graph, kernel, i, node).0)).collect();
        if limits.apart {
            for (&a, &b) in sources.iter().flat_map(|a| targets.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
                lives[a].apart.push(b);
                lives[b].apart.push(a);
            }
        }
    }
    let (places, sizes) = pack(&lives, usize::try_from(limits.buffer_bytes).unwrap_or(usize::MAX));
    (number.into_iter().map(|life| life.map(|life: usize| places[life])).collect(), sizes)
}

/// One kernel, in as many parts as it takes for every binding to be short enough for the device.
fn steps(
    graph: &Graph,
    places: &Places,
    placement: &Placement,
    number: usize,
    place_of: &[Option<(usize, usize)>],
    limits: &Limits,
) -> Vec<Step> {
    let bound = |part: &Part| step(graph, places, placement, number, part, place_of, limits);
    let longest = |step: &Step| step.bindings.iter().map(|b| b.bytes as u64).max().unwrap_or(0);
    let mut pending = vec![Part::whole(placement.kernels[number].kernel.clone())];
    let mut steps = Vec::new();
    while let Some(part) = pending.pop() {
        let whole = bound(&part);
        let halves = (longest(&whole) > limits.binding_bytes).then(|| {
            let cuts = slices::axes(&part.kernel).into_iter().filter_map(|axis| part.halves(axis, limits.alignment));
            cuts.min_by_key(|[first, _]| longest(&bound(first)))
        });
        match halves.flatten() {
            Some([first, second]) if longest(&bound(&first)) < longest(&whole) => pending.extend([second, first]),
            _ => steps.push(whole),
        }
    }
    steps
}

/// One kernel with its bindings, each the shortest aligned stretch that holds what it touches.
fn step(
    graph: &Graph,
    places: &Places,
    placement: &Placement,
    number: usize,
    part: &Part,
    place_of: &[Option<(usize, usize)>],
    limits: &Limits,
) -> Step {
    let emitted = &placement.kernels[number];
    let mut kernel = part.kernel.clone();
    let mut bindings = Vec::new();
    // The block's buffer, and where in it the block begins, in elements.
    let slot = |block: usize, size: usize| match (placement.blocks[block].home, place_of[block]) {
        (Home::External(k), _) => (Slot::External(k), 0),
        (Home::Output(i), _) => (Slot::External(graph.externals + i), 0),
        (Home::Scratch, place) => place.map_or((Slot::Slab(0), 0), |(slab, byte)| (Slot::Slab(slab), byte / size)),
    };
    for (input, &(node, offset)) in emitted.sources.iter().enumerate() {
        let (block, start) = placement.find(graph, node);
        let size = kernel.inputs[input].dtype.size();
        let (slot, begin) = slot(block, size);
        let start = begin + start + part.shifts[input];
        let range = touched(&kernel, input).unwrap_or((0, 0));
        let (first, len) = stretch(start + offset, range, size, limits.alignment);
        move_input(&mut kernel, input, (start + offset) as isize - first as isize);
        kernel.inputs[input].len = len;
        let bytes = (len * size).next_multiple_of(4);
        bindings.push(Binding { slot, offset: first * size, bytes });
    }
    for (output, &node) in emitted.targets.iter().enumerate() {
        let (block, start) = placement.target(graph, number, output, node);
        let out = &mut kernel.outputs[output];
        let size = out.slice.dtype.size();
        let (slot, begin) = slot(block, size);
        let start = begin + start;
        let range = view_range(&out.view).unwrap_or((0, 0));
        let (first, len) = stretch(start, range, size, limits.alignment);
        out.view.offset += start as isize - first as isize;
        out.slice.len = len;
        bindings.push(Binding { slot, offset: first * size, bytes: (len * size).next_multiple_of(4) });
    }
    for output in 0..kernel.outputs.len() {
        let own = bindings[kernel.inputs.len() + output];
        kernel.outputs[output].aliases = (0..kernel.inputs.len()).find(|&i| bindings[i] == own);
    }
    collapse::collapse(&mut kernel);
    let label = label(graph, places, &emitted.targets);
    Step { kernel, bindings, label }
}

/// First element (aligned) and number of elements of the stretch that holds `range`, counted from `start`.
fn stretch(start: usize, range: (isize, isize), size: usize, alignment: usize) -> (usize, usize) {
    let low = (start as isize + range.0).max(0) as usize;
    let high = (start as isize + range.1).max(0) as usize;
    let first = low * size / alignment * alignment / size;
    (first, high + 1 - first)
}

/// Lowest and highest element that a view reaches where it is not masked; `None` if nothing is visible.
fn view_range(view: &View) -> Option<(isize, isize)> {
    let (mut low, mut high) = (view.offset, view.offset);
    for axis in 0..view.shape.len() {
        let (first, end) = view.mask.as_ref().map_or((0, view.shape[axis]), |m| m[axis]);
        if first >= end {
            return None;
        }
        let (a, b) = (view.strides[axis] * first as isize, view.strides[axis] * (end as isize - 1));
        low += a.min(b);
        high += a.max(b);
    }
    Some((low, high))
}

fn layout_range(layout: &Layout) -> Option<(isize, isize)> {
    view_range(&layout.views()[layout.views().len() - 1])
}

fn operand_range(operand: &Operand, batch: &[usize], rows: usize, columns: usize) -> Option<(isize, isize)> {
    let shape = [batch, &[rows, columns]].concat();
    let strides: Vec<usize> = [&operand.batch_strides[..], &[operand.row_stride, operand.column_stride]].concat();
    let strides = strides.into_iter().map(|s| s as isize).collect();
    view_range(&View { shape, strides, offset: operand.offset as isize, mask: None })
}

/// Lowest and highest element of an input that a kernel may touch.
fn touched(kernel: &Kernel, input: usize) -> Option<(isize, isize)> {
    let mut ranges: Vec<Option<(isize, isize)>> = Vec::new();
    let whole = Some((0, kernel.inputs[input].len as isize - 1));
    for inst in &kernel.body {
        match inst {
            Inst::Load { input: i, layout } if *i == input => ranges.push(layout_range(layout)),
            Inst::Gather { input: i, view, stride, size, .. } if *i == input => {
                let reach = stride * (*size as isize - 1).max(0);
                ranges.push(view_range(view).map(|(low, high)| (low + reach.min(0), high + reach.max(0))));
            }
            Inst::Random { state, .. } if *state == input => ranges.push(Some((0, 3))),
            _ => {}
        }
    }
    match &kernel.core {
        Core::Map => {}
        Core::Matmul(p) => {
            if p.a.input == input {
                ranges.push(operand_range(&p.a, &p.batch, p.m, p.k));
            }
            if p.b.input == input {
                ranges.push(operand_range(&p.b, &p.batch, p.k, p.n));
            }
        }
        Core::Attention(p) => {
            for (o, [rows, columns]) in p.operands.iter().zip(p.geometry.operands(p.kind)) {
                if o.input == input {
                    ranges.push(operand_range(o, &p.batch, rows, columns));
                }
            }
        }
        Core::Conv(p) if p.a == input || p.b == input => ranges.push(whole),
        Core::Scatter(p) => {
            for (i, view) in [&p.index, &p.updates] {
                if *i == input {
                    ranges.push(view_range(view));
                }
            }
        }
        Core::Argsort { input: i, .. } | Core::CumulativeSum { input: i } if *i == input => ranges.push(whole),
        Core::Conv(_) | Core::Argsort { .. } | Core::CumulativeSum { .. } => {}
    }
    ranges.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// Moves all that a kernel says of an input by so many elements.
fn move_input(kernel: &mut Kernel, input: usize, by: isize) {
    let moved = |view: &View| View { offset: view.offset + by, ..view.clone() };
    for inst in &mut kernel.body {
        match inst {
            Inst::Load { input: i, layout } if *i == input => {
                let last = &layout.views()[layout.views().len() - 1];
                *layout = layout.with_last(moved(last));
            }
            Inst::Gather { input: i, view, .. } if *i == input => *view = moved(view),
            _ => {}
        }
    }
    let shift = |operand: &mut Operand| {
        if operand.input == input {
            operand.offset = (operand.offset as isize + by) as usize;
        }
    };
    match &mut kernel.core {
        Core::Matmul(p) => {
            shift(&mut p.a);
            shift(&mut p.b);
        }
        Core::Attention(p) => p.operands.iter_mut().for_each(shift),
        Core::Scatter(p) => {
            for (i, view) in [&mut p.index, &mut p.updates] {
                if *i == input {
                    *view = moved(view);
                }
            }
        }
        Core::Map | Core::Conv(_) | Core::Argsort { .. } | Core::CumulativeSum { .. } => {}
    }
}

/// What the kernel computes, and the user's line that asked for it.
fn label(graph: &Graph, places: &Places, targets: &[usize]) -> String {
    let names: Vec<String> = targets.iter().filter_map(|&t| graph.nodes.get(t)).map(|n| n.op.name()).collect();
    if names.is_empty() {
        return "copy".into();
    }
    match targets.last().and_then(|&t| places.get(t).copied().flatten()) {
        Some(place) => format!("{} at {}:{}", names.join(", "), place.file(), place.line()),
        None => names.join(", "),
    }
}
