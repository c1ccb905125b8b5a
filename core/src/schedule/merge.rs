//! Whether a stored value can be computed in a group's space, and how that must change for it.

use crate::backend::Limits;
use crate::graph::Graph;
use crate::op::Op;
use crate::schedule::group::{Group, Level, Space};
use crate::schedule::materialize::is_reduction;
use crate::view::{Layout, View, contiguous_strides};

/// Products with fewer rows, or longer sums, are cut in other ways than by rows.
const PRODUCT_ROWS: usize = 64;
const PRODUCT_TERMS: usize = 2048;

/// How a group must change for a value to join it.
pub(crate) struct Change {
    /// The level of that value.
    pub(crate) level: Level,
    /// The space, if it becomes another one.
    pub(crate) space: Option<Space>,
    /// Whether all other values move into its rows.
    pub(crate) others_in_rows: bool,
    /// Of which store it is another order of axes, see [`Group::reordered`].
    pub(crate) reordered: Option<(usize, View)>,
}

impl Change {
    fn to(level: Level, space: Option<Space>) -> Change {
        Change { level, space, others_in_rows: false, reordered: None }
    }
}

/// What lets `node`, which alone would run over the space `alone`, join the group: if its space can be shared.
pub(crate) fn merge(graph: &Graph, group: &Group, node: usize, alone: &Space, limits: &Limits) -> Option<Change> {
    let space = &group.space;
    if is_reduction(&graph.nodes[node].op) {
        if let Some(core) = group.core {
            return rows_of_product(graph, group, core, alone, limits);
        }
        if space.inner.is_empty() {
            // A map before a reduction of its values: the map moves into the rows.
            if !alone.is_rows() || alone.len() != space.outer_len() || !alone.enough_rows() {
                return None;
            }
            let shape = refine(&space.outer, &[&alone.outer[..], &alone.inner].concat())?;
            let split = split(&shape, alone.outer_len())?;
            let rows = Space::rows(shape[..split].to_vec(), shape[split..].to_vec());
            return Some(Change { others_in_rows: true, ..Change::to(Level::Outer, Some(rows)) });
        }
        if space.is_rows() && alone.is_rows() {
            if space.outer_len() != alone.outer_len() || space.len() != alone.len() {
                return None;
            }
            let rows = Space::rows(refine(&space.outer, &alone.outer)?, refine(&space.inner, &alone.inner)?);
            return Some(Change::to(Level::Outer, Some(rows)));
        }
        return (space == alone).then(|| Change::to(Level::Outer, None));
    }
    let shape = &graph.nodes[node].shape;
    let len: usize = shape.iter().product();
    if group.core.is_some()
        && let Some((of, level, space, view)) = reordered(graph, group, node)
    {
        return Some(Change { reordered: Some((of, view)), ..Change::to(level, space) });
    }
    if len == space.outer_len() {
        let reshaped = group.core.is_none() && (space.inner.is_empty() || space.is_rows());
        let rows = if reshaped { Some(Space::rows(refine(&space.outer, shape)?, space.inner.clone())) } else { None };
        return Some(Change::to(Level::Outer, rows));
    }
    if space.is_rows() && len == space.len() && group.core.is_some() {
        return Some(Change::to(Level::Full, None));
    }
    if space.is_rows() && len == space.len() && space.enough_rows() {
        let whole = refine(&[&space.outer[..], &space.inner].concat(), shape)?;
        let split = split(&whole, space.outer_len())?;
        return Some(Change::to(Level::Full, Some(Space::rows(whole[..split].to_vec(), whole[split..].to_vec()))));
    }
    None
}

/// What lets a reduction of a product's rows join it: then the product is computed a few rows at a time, and nobody has to keep it.
fn rows_of_product(graph: &Graph, group: &Group, core: usize, alone: &Space, limits: &Limits) -> Option<Change> {
    let node = &graph.nodes[core];
    let (&n, rows) = node.shape.split_last()?;
    let terms = graph.nodes[*node.inputs.first()?].shape.last().copied()?;
    let many = rows.iter().product::<usize>() >= PRODUCT_ROWS && terms < PRODUCT_TERMS;
    let fits = alone.is_rows() && alone.len() == node.len() && alone.inner.iter().product::<usize>() == n;
    if node.op != Op::Matmul || !many || !fits || !(1..=limits.product_row).contains(&n) {
        return None;
    }
    let space = Space::rows(rows.to_vec(), vec![n]);
    let others_in_rows = group.space != space;
    Some(Change { others_in_rows, ..Change::to(Level::Outer, Some(space)) })
}

/// The store of `group` that `node` is with its axes in another order, its level, the space in which that can be said, if it is another
/// one, and the view that writes it so: attention's heads go back to their places while results are in registers or in cache.
fn reordered(graph: &Graph, group: &Group, node: usize) -> Option<(usize, Level, Option<Space>, View)> {
    let mut at = node;
    let input = |at: usize| graph.nodes[at].inputs.first().copied();
    let mut layout = Layout::contiguous(&graph.nodes[node].shape);
    let (found, level) = loop {
        if let Some(&store) = group.stores.iter().find(|s| s.0 == at) {
            break store;
        }
        layout = match &graph.nodes[at].op {
            Op::Reshape => layout,
            Op::Permute(axes) => layout.then_view(&View::contiguous(&graph.nodes[input(at)?].shape).permute(axes)),
            _ => return None,
        };
        at = input(at)?;
    };
    let view = layout.split()?;
    if group.reordered.contains_key(&found) || view.is_contiguous() || view.is_empty() {
        return None;
    }
    // The view says where each of the node's elements lies in the store; its axes sorted by stride say the reverse.
    let target = contiguous_strides(&view.shape);
    let mut axes: Vec<usize> = (0..view.shape.len()).collect();
    axes.sort_by_key(|&a| std::cmp::Reverse(view.strides[a]));
    let back = View {
        shape: axes.iter().map(|&a| view.shape[a]).collect(),
        strides: axes.iter().map(|&a| target[a]).collect(),
        offset: 0,
        mask: None,
    };
    let space = &group.space;
    let inner: &[usize] = if level == Level::Full { &space.inner } else { &[] };
    if let Some(view) = View::contiguous(&[&space.outer[..], inner].concat()).then(&back) {
        return Some((found, level, None, view));
    }
    // Only the numbers of attention, parts and matrices in one axis, may be several axes.
    let Op::Attention(..) = graph.nodes[found].op else { return None };
    let finer = refine(&space.outer, &back.shape)?;
    let batch = graph.nodes[found].shape.len() - 1;
    let fits = finer.starts_with(&graph.nodes[found].shape[..batch]) && group.reordered.is_empty();
    let view = View::contiguous(&finer).then(&back).filter(|_| fits)?;
    Some((found, level, Some(Space::rows(finer, Vec::new())), view))
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
