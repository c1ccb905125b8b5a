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
    let mut placement = place(graph, groups, kernels, limits)?;
    let order = order(&placement);
    let (place_of, slabs) = slabs(graph, &placement, &order, limits);
    let mut steps = Vec::with_capacity(order.len());
    let mut kernels: Vec<Option<Emitted>> = std::mem::take(&mut placement.kernels).into_iter().map(Some).collect();
    for &number in &order {
        let binder = Binder { graph, places, placement: &placement, place_of: &place_of, limits, number };
        kernels[number].take().into_iter().for_each(|emitted| binder.steps(emitted, &mut steps));
    }
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

/// What a kernel's values are bound to.
struct Binder<'a> {
    graph: &'a Graph,
    places: &'a Places,
    placement: &'a Placement,
    /// For each scratch block its slab and first byte.
    place_of: &'a [Option<(usize, usize)>],
    limits: &'a Limits,
    /// The kernel.
    number: usize,
}

impl Binder<'_> {
    /// One kernel, in as many parts as it takes for every binding to be short enough for the device.
    fn steps(&self, emitted: Emitted, steps: &mut Vec<Step>) {
        let Emitted { kernel, sources, targets } = emitted;
        let stretches = |part: &Part| self.stretches(part, &sources, &targets);
        let longest = |part: &Part| stretches(part).iter().map(|s| s.bytes() as u64).max().unwrap_or(0);
        let mut pending = vec![Part::whole(kernel)];
        while let Some(part) = pending.pop() {
            let bound = stretches(&part);
            let length = bound.iter().map(|s| s.bytes() as u64).max().unwrap_or(0);
            let halves = (length > self.limits.binding_bytes).then(|| {
                let axes = slices::axes(&part.kernel).into_iter();
                let cuts = axes.filter_map(|axis| part.halves(axis, self.limits.alignment));
                cuts.min_by_key(|[first, _]| longest(first))
            });
            match halves.flatten() {
                Some([first, second]) if longest(&first) < length => pending.extend([second, first]),
                _ => {
                    let label = label(self.graph, self.places, &part.kernel.core, &targets);
                    steps.push(Step { label, ..bind(part.kernel, bound) });
                }
            }
        }
    }

    /// The shortest aligned stretch for each input and then each output that holds what the kernel touches.
    fn stretches(&self, part: &Part, sources: &[(usize, usize)], targets: &[usize]) -> Vec<Stretch> {
        let kernel = &part.kernel;
        let mut all = Vec::with_capacity(sources.len() + targets.len());
        for (input, &(node, offset)) in sources.iter().enumerate() {
            let size = kernel.inputs[input].dtype.size();
            let start = part.shifts[input] + offset;
            let place = self.placement.find(self.graph, node);
            all.push(self.stretch(place, start, touched(kernel, input), size));
        }
        for (output, &node) in targets.iter().enumerate() {
            let out = &kernel.outputs[output];
            let place = self.placement.target(self.graph, self.number, output, node);
            all.push(self.stretch(place, 0, view_range(&out.view), out.slice.dtype.size()));
        }
        all
    }

    /// The stretch that holds `range`, counted from `start` elements after a place.
    fn stretch(&self, place: (usize, usize), start: usize, range: Option<(isize, isize)>, size: usize) -> Stretch {
        let (block, at) = place;
        let (slot, begin) = match (self.placement.blocks[block].home, self.place_of[block]) {
            (Home::External(k), _) => (Slot::External(k), 0),
            (Home::Output(i), _) => (Slot::External(self.graph.externals + i), 0),
            (Home::Scratch, place) => place.map_or((Slot::Slab(0), 0), |(slab, byte)| (Slot::Slab(slab), byte / size)),
        };
        let (start, range) = (begin + at + start, range.unwrap_or((0, 0)));
        let low = (start as isize + range.0).max(0) as usize;
        let high = (start as isize + range.1).max(0) as usize;
        let first = low * size / self.limits.alignment * self.limits.alignment / size;
        Stretch { slot, first, len: high + 1 - first, size, moved: start as isize - first as isize }
    }
}

/// What a kernel sees of a buffer.
struct Stretch {
    slot: Slot,
    /// Its first element and number of elements, of `size` bytes each.
    first: usize,
    len: usize,
    size: usize,
    /// Where the kernel's element 0 lies in it.
    moved: isize,
}

impl Stretch {
    fn bytes(&self) -> usize {
        (self.len * self.size).next_multiple_of(4)
    }
}

/// The kernel on these stretches, one for each input and then each output; without a label.
fn bind(mut kernel: Kernel, stretches: Vec<Stretch>) -> Step {
    let (inputs, outputs) = stretches.split_at(kernel.inputs.len());
    for (input, stretch) in inputs.iter().enumerate() {
        move_input(&mut kernel, input, stretch.moved);
        kernel.inputs[input].len = stretch.len;
    }
    for (output, stretch) in kernel.outputs.iter_mut().zip(outputs) {
        output.view.offset += stretch.moved;
        output.slice.len = stretch.len;
    }
    let binding = |s: &Stretch| Binding { slot: s.slot, offset: s.first * s.size, bytes: s.bytes() };
    let bindings: Vec<Binding> = stretches.iter().map(binding).collect();
    let (inputs, outputs) = bindings.split_at(kernel.inputs.len());
    for (output, own) in kernel.outputs.iter_mut().zip(outputs) {
        output.aliases = inputs.iter().position(|input| input == own);
    }
    collapse::collapse(&mut kernel);
    Step { kernel, bindings, label: String::new() }
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
    if by == 0 {
        return;
    }
    for inst in &mut kernel.body {
        match inst {
            Inst::Load { input: i, layout } if *i == input => layout.last_mut().offset += by,
            Inst::Gather { input: i, view, .. } if *i == input => view.offset += by,
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
                    view.offset += by;
                }
            }
        }
        Core::Map | Core::Conv(_) | Core::Argsort { .. } | Core::CumulativeSum { .. } => {}
    }
}

/// What the kernel computes, and the user's line that asked for it.
fn label(graph: &Graph, places: &Places, core: &Core, targets: &[usize]) -> String {
    let mut names: Vec<&str> = targets.iter().filter_map(|&t| graph.nodes.get(t)).map(|n| n.op.name()).collect();
    if let Some(core) = core.name().filter(|core| !names.contains(core)) {
        names.insert(0, core);
    }
    if names.is_empty() {
        return "copy".into();
    }
    match targets.last().and_then(|&t| places.get(t).copied().flatten()) {
        Some(place) => format!("{} at {}:{}", names.join(", "), place.file(), place.line()),
        None => names.join(", "),
    }
}
