//! [`Graph`]: tensors as a list in topological order, with external buffers numbered, so that equal structures are equal
//! values (the cache's key). Built from tensors; simplified while it is built.
//!
//! Invariant: inputs of a node have smaller numbers; leaves are `Input(k)`, constants and iotas; there is no `Argument`,
//! `State` or `Detach` left. [`crate::verify`] checks it.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use crate::dtype::DType;
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

/// A graph, what its external buffers are, and where in the user's code its nodes come from.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) graph: Graph,
    pub(crate) externals: Vec<External>,
    pub(crate) places: Vec<Option<&'static Location<'static>>>,
}

/// Lists what `outputs` and `updates` need.
pub(crate) fn linearize(outputs: &[Tensor], updates: &[(Arc<Storage>, Tensor)]) -> Linear {
    let mut externals: Vec<External> = Vec::new();
    let mut storages: HashMap<u64, usize> = HashMap::new();
    let mut numbers: HashMap<u64, usize> = HashMap::new();
    let mut builder = Builder::default();
    let roots = outputs.iter().chain(updates.iter().map(|(_, t)| t));
    for root in roots {
        // Depth first without recursion: a node is numbered when all its inputs are.
        let mut stack = vec![root.clone()];
        while let Some(tensor) = stack.last().cloned() {
            if numbers.contains_key(&tensor.0.id) {
                stack.pop();
                continue;
            }
            let known = tensor.0.data.get().is_some();
            if !known {
                let before = stack.len();
                stack.extend(tensor.value_inputs().iter().filter(|t| !numbers.contains_key(&t.0.id)).cloned());
                if stack.len() > before {
                    continue;
                }
            }
            stack.pop();
            let mut external = |from: External| {
                externals.push(from);
                Op::Input(externals.len() - 1)
            };
            let (op, inputs) = if known {
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
    let graph = Graph { nodes, outputs, updates: graph_updates, externals: externals.len() };
    Linear { graph, externals, places }
}
