//! [`Graph`]: tensors as a list in topological order, with external buffers numbered, so that equal structures are equal
//! values (the cache's key). Built from tensors; simplified while it is built.
//!
//! Invariant: inputs of a node have smaller numbers; leaves are `Input(k)`, constants and iotas; there is no `Argument`,
//! `State` or `Detach` left. [`crate::verify`] checks it.

use std::panic::Location;
use std::sync::Arc;

use crate::dtype::DType;
use crate::hash::{Map, Set};
use crate::op::Op;
use crate::simplify::Builder;
use crate::tensor::Tensor;
use crate::var::Storage;

/// Operations in topological order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Graph {
    /// The operations.
    pub nodes: Vec<Node>,
    /// Nodes whose values are returned, each into a new buffer.
    pub outputs: Vec<usize>,
    /// External buffers that are overwritten at the end, and the nodes with their new values.
    pub updates: Vec<(usize, usize)>,
    /// Number of external buffers.
    pub externals: usize,
    /// For each node its stage, where values are computed again to save memory (nodes of different stages are never computed
    /// by one kernel); empty where that is not so.
    pub stages: Vec<u32>,
}

/// One operation of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Numbers of its inputs.
    pub inputs: Vec<usize>,
    /// Shape of its value.
    pub shape: Vec<usize>,
    /// Type of its value.
    pub dtype: DType,
}

impl Graph {
    /// The stage of a node.
    pub(crate) fn stage(&self, node: usize) -> u32 {
        self.stages.get(node).copied().unwrap_or_default()
    }
}

impl Node {
    /// Number of elements of its value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its value has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where an external buffer comes from.
#[derive(Clone, Debug)]
pub(crate) enum External {
    /// The program's argument of that number.
    Argument(usize),
    /// A variable's storage.
    State(Arc<Storage>),
    /// A tensor that was computed before.
    Data(Tensor),
}

/// A line of the user's code.
pub(crate) type Place = &'static Location<'static>;
/// For each node of a graph the line that made it.
pub(crate) type Places = [Option<Place>];

/// A graph, what its external buffers are, and where in the user's code its nodes come from.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) graph: Graph,
    pub(crate) externals: Vec<External>,
    pub(crate) places: Vec<Option<Place>>,
    /// Where the part of the graph ends that was made before `loss`'s gradients were asked for.
    pub(crate) boundary: usize,
}

/// The tensors that `roots` depend on, in the order in which the user's code made them: inputs first, and a layer's gradients
/// close to each other, so that values live as short as they can.
pub(crate) fn needed<'a>(roots: impl Iterator<Item = &'a Tensor>) -> Vec<&'a Tensor> {
    let mut found = Vec::new();
    let mut seen: Set<u64> = Set::default();
    let mut pending: Vec<&Tensor> = roots.collect();
    while let Some(tensor) = pending.pop() {
        if !seen.insert(tensor.0.id) {
            continue;
        }
        if tensor.0.data.get().is_none() {
            pending.extend(tensor.value_inputs());
        }
        found.push(tensor);
    }
    found.sort_unstable_by_key(|tensor| tensor.0.id);
    found
}

/// Lists what `outputs` and `updates` need; `loss` is the number of the tensor whose gradients were asked for, if any were.
pub(crate) fn linearize(outputs: &[Tensor], updates: &[(Arc<Storage>, Tensor)], loss: Option<u64>) -> Linear {
    let mut externals: Vec<External> = Vec::new();
    let mut storages: Map<u64, usize> = Map::default();
    let mut numbers: Map<u64, usize> = Map::default();
    let mut builder = Builder::default();
    let mut boundary = 0;
    for tensor in needed(outputs.iter().chain(updates.iter().map(|(_, t)| t))) {
        let mut external = |from: External| {
            externals.push(from);
            Op::Input(externals.len() - 1)
        };
        let (op, inputs) = if tensor.0.data.get().is_some() {
            (external(External::Data(tensor.clone())), Vec::new())
        } else {
            match &tensor.0.op {
                Op::Argument(k) => (external(External::Argument(*k)), Vec::new()),
                Op::State(storage) => {
                    let op = external(External::State(storage.clone()));
                    storages.insert(storage.id(), externals.len() - 1);
                    (op, Vec::new())
                }
                op => (op.clone(), tensor.value_inputs().iter().map(|t| numbers[&t.0.id]).collect()),
            }
        };
        let node = Node { op, inputs, shape: tensor.0.shape.clone(), dtype: tensor.0.dtype };
        numbers.insert(tensor.0.id, builder.push(node, Some(tensor.0.place)));
        if loss.is_some_and(|loss| tensor.0.id <= loss) {
            boundary = builder.len();
        }
    }
    let mut graph_updates = Vec::new();
    for (storage, value) in updates {
        let external = *storages.entry(storage.id()).or_insert_with(|| {
            externals.push(External::State(storage.clone()));
            externals.len() - 1
        });
        graph_updates.push((external, numbers[&value.0.id]));
    }
    let (nodes, places) = builder.finish();
    let outputs = outputs.iter().map(|t| numbers[&t.0.id]).collect();
    let graph = Graph { nodes, outputs, updates: graph_updates, externals: externals.len(), stages: Vec::new() };
    Linear { graph, externals, places, boundary }
}
