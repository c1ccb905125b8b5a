//! Recomputation: a training graph that keeps few values of its forward part and computes the others again where the
//! gradients need them. More work for less memory.
//!
//! The forward part is cut into segments of about equal work, each cut where few bytes cross it. What crosses a cut is
//! kept; all else that the backward part reads of a segment (but the last) is read from a copy of its nodes, placed right
//! before the first use. Random numbers are counted, not drawn, so a copy has the same bits.
//!
//! Invariant: the graph's values are the same; nodes of different stages are never computed by one kernel.
//!
//! Source: Chen and others, "Training deep nets with sublinear memory cost" (2016), section 4.

use crate::graph::{Graph, Node};
use crate::op::Op;
use crate::schedule::materialize::{base, is_generated};

/// Numbers of segments that are tried, fewest first: more of them keep more and repeat less.
pub(crate) const SEGMENTS: [usize; 9] = [2, 3, 4, 5, 6, 8, 12, 16, 24];

/// How far from an even share of the work a cut may be moved to where fewer bytes cross, in shares.
const REACH: f64 = 0.45;

/// The graph with its forward part, nodes `0..boundary`, recomputed in `segments`, and for each of its nodes the one that it is or
/// copies; `None` if it is too short for that.
pub(crate) fn recompute(graph: &Graph, boundary: usize, segments: usize) -> Option<(Graph, Vec<usize>)> {
    let free = free(graph, boundary);
    let last = last_forward_uses(graph, boundary);
    let cuts = cuts(graph, &free, &last, segments)?;
    let segment: Vec<usize> = (0..boundary).map(|n| cuts.partition_point(|&cut| cut <= n)).collect();
    let kept = |n: usize| free[n] || segment[n] == cuts.len() || segment[last[n]] > segment[n];
    let mut copies = Copies {
        nodes: graph.nodes[..boundary].to_vec(),
        stages: vec![0; boundary],
        origins: (0..boundary).collect(),
        of: vec![None; boundary],
    };
    let mut moved: Vec<usize> = (0..boundary).collect();
    for (number, node) in graph.nodes.iter().enumerate().skip(boundary) {
        let mut node = node.clone();
        for input in &mut node.inputs {
            *input = match *input {
                n if n >= boundary => moved[n],
                n if kept(n) => n,
                n => copies.copy(graph, n, &kept, &segment),
            };
        }
        moved.push(copies.nodes.len());
        copies.nodes.push(node);
        copies.stages.push(u32::MAX);
        copies.origins.push(number);
    }
    let outputs = graph.outputs.iter().map(|&n| moved[n]).collect();
    let updates = graph.updates.iter().map(|&(external, n)| (external, moved[n])).collect();
    let graph = Graph { nodes: copies.nodes, outputs, updates, externals: graph.externals, stages: copies.stages };
    Some((graph, copies.origins))
}

/// The new list of nodes, and which are copies of which.
struct Copies {
    nodes: Vec<Node>,
    stages: Vec<u32>,
    origins: Vec<usize>,
    of: Vec<Option<usize>>,
}

impl Copies {
    /// The copy of node `wanted`, made now with all that it needs and that is not kept.
    fn copy(&mut self, graph: &Graph, wanted: usize, kept: &dyn Fn(usize) -> bool, segment: &[usize]) -> usize {
        let mut stack = vec![wanted];
        while let Some(&n) = stack.last() {
            let waits = graph.nodes[n].inputs.iter().filter(|&&i| !kept(i) && self.of[i].is_none());
            let before = stack.len();
            let waits: Vec<usize> = waits.copied().collect();
            stack.extend(waits);
            if stack.len() > before {
                continue;
            }
            stack.pop();
            if self.of[n].is_none() {
                let mut node = graph.nodes[n].clone();
                node.inputs.iter_mut().for_each(|i| *i = if kept(*i) { *i } else { self.of[*i].unwrap_or(*i) });
                self.of[n] = Some(self.nodes.len());
                self.nodes.push(node);
                self.stages.push(1 + segment[n] as u32);
                self.origins.push(n);
            }
        }
        self.of[wanted].unwrap_or(wanted)
    }
}

/// Which forward nodes take neither memory nor time: inputs, generated values, and other views of them.
fn free(graph: &Graph, boundary: usize) -> Vec<bool> {
    let source = |n: usize| &graph.nodes[base(graph, n)].op;
    (0..boundary).map(|n| matches!(source(n), Op::Input(_)) || is_generated(source(n))).collect()
}

/// For each forward node the last forward node that uses it or a view of it; itself if there is none.
fn last_forward_uses(graph: &Graph, boundary: usize) -> Vec<usize> {
    let mut last: Vec<usize> = (0..boundary).collect();
    for n in (0..boundary).rev() {
        let reaches = if graph.nodes[n].op.is_movement() { last[n] } else { n };
        for &input in &graph.nodes[n].inputs {
            last[input] = last[input].max(reaches);
        }
    }
    last
}

/// Where the segments after the first begin.
fn cuts(graph: &Graph, free: &[bool], last: &[usize], segments: usize) -> Option<Vec<usize>> {
    let boundary = free.len();
    // Bytes that cross from before a node to it or a later one.
    let mut crossing = vec![0i64; boundary + 1];
    let mut done = vec![0.0; boundary + 1];
    for n in 0..boundary {
        let node = &graph.nodes[n];
        if !free[n] && !node.op.is_movement() {
            let bytes = (node.len() * node.dtype.size()) as i64;
            crossing[n + 1] += bytes;
            crossing[last[n] + 1] -= bytes;
        }
        done[n + 1] = done[n] + work(graph, n);
    }
    (0..boundary).for_each(|n| crossing[n + 1] += crossing[n]);
    let share = done[boundary] / segments as f64;
    let mut cuts: Vec<usize> = Vec::new();
    for number in 1..segments {
        let (low, high) = (share * (number as f64 - REACH), share * (number as f64 + REACH));
        let first = cuts.last().map_or(1, |&cut: &usize| cut + 1);
        let near = (first..boundary).filter(|&n| done[n] >= low && done[n] <= high);
        cuts.push(near.min_by_key(|&n| crossing[n])?);
    }
    Some(cuts)
}

/// About how many operations a node takes.
fn work(graph: &Graph, number: usize) -> f64 {
    let node = &graph.nodes[number];
    let size = |input: usize| &graph.nodes[node.inputs[input]].shape;
    match &node.op {
        op if op.is_movement() || is_generated(op) || matches!(op, Op::Input(_)) => 0.0,
        Op::Matmul => 2.0 * node.len() as f64 * size(0).last().copied().unwrap_or(1) as f64,
        Op::Conv(_, geometry) => {
            let taps: usize = geometry.taps.iter().product();
            2.0 * node.len() as f64 * (taps * geometry.c_in / geometry.groups.max(1)) as f64
        }
        Op::Attention(kind, geometry) => {
            let matrices = node.len() / geometry.length(*kind).max(1);
            matrices as f64 * geometry.operations(*kind) as f64
        }
        Op::Reduce(..) | Op::ArgReduce(..) => size(0).iter().product::<usize>() as f64,
        _ => node.len() as f64,
    }
}
