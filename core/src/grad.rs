//! Gradients: reverse mode on the same graph, so that what comes out is ordinary tensors, fused and planned like the rest.
//!
//! A node's number is larger than its inputs', so going through the nodes by falling numbers meets each one after all
//! of its users: no recursion, no sorting. Only nodes between a target and the result are visited. The rule of each
//! primitive stands in `rules`, those of scalar maps in `maps`. Pieces that reach a tensor through slices are joined by
//! one concatenation where they do not overlap, so taking a sequence apart costs linear time backwards too.
//!
//! Invariant: a target that the result does not depend on is a panic at the caller's line, never a silent zero.

mod maps;
mod rules;

use crate::hash::{Map, Set};
use crate::op::Op;
use crate::shape::fail;
use crate::tensor::Tensor;
use crate::var::Var;

/// What a gradient can be asked for: a [`Tensor`] or a [`Var`] (its present value).
pub trait Differentiable {
    /// The tensor with regard to which is differentiated.
    fn tensor(&self) -> Tensor;

    /// How messages call it.
    fn describe(&self) -> String {
        let tensor = self.tensor();
        format!("tensor {:?} {}", tensor.shape(), tensor.dtype())
    }
}

impl Differentiable for Tensor {
    fn tensor(&self) -> Tensor {
        self.clone()
    }
}

impl Differentiable for Var {
    fn tensor(&self) -> Tensor {
        self.get()
    }

    fn describe(&self) -> String {
        format!("parameter '{}'", self.name())
    }
}

impl<T: Differentiable> Differentiable for &T {
    fn tensor(&self) -> Tensor {
        T::tensor(self)
    }

    fn describe(&self) -> String {
        T::describe(self)
    }
}

/// The incoming gradient of a node while it is collected.
#[derive(Default)]
struct Incoming {
    whole: Option<Tensor>,
    /// Gradients of parts of it: ranges of every axis, and the part's gradient.
    slices: Vec<(Vec<(usize, usize)>, Tensor)>,
}

impl Incoming {
    #[track_caller]
    fn add(&mut self, gradient: Tensor) {
        self.whole = Some(match self.whole.take() {
            Some(sum) => rules::add(&sum, &gradient),
            None => gradient,
        });
    }

    /// Everything added up, in the shape of `node`.
    #[track_caller]
    fn total(mut self, node: &Tensor) -> Option<Tensor> {
        if let Some(joined) = rules::join(node.shape(), &mut self.slices) {
            self.add(joined);
        } else {
            for (ranges, part) in std::mem::take(&mut self.slices) {
                self.add(rules::unslice(node.shape(), &ranges, &part));
            }
        }
        self.whole
    }
}

impl Tensor {
    /// `d self / d target` for each target, for a `self` of one element (a loss).
    ///
    /// ```ignore
    /// let gradients = loss.gradients(&[&weight, &bias]);
    /// ```
    ///
    /// Where a function has no derivative, the choice is PyTorch's: 0 for `abs` at 0 and for `floor`; half to each side
    /// of a tie of `max`; infinity for `sqrt` at 0.
    ///
    /// # Panics
    /// If this is not one float, or does not depend on a target by a path that has gradients.
    #[must_use]
    #[track_caller]
    pub fn gradients<T: Differentiable>(&self, targets: &[T]) -> Vec<Tensor> {
        if self.len() != 1 || !self.dtype().is_float() {
            let found = format!("this is {:?} {}", self.shape(), self.dtype());
            fail(
                "gradients",
                format!("only one float can be differentiated, {found}; sum it, or use `gradients_with`"),
            );
        }
        self.gradients_with(&self.full_like(1.0), targets)
    }

    /// `d sum(dy * self) / d target` for each target, for a `self` of any shape; `dy` has that shape.
    ///
    /// # Panics
    /// If `dy` has another shape or type, this is not float, or it does not depend on a target by a path that has gradients.
    #[must_use]
    #[track_caller]
    pub fn gradients_with<T: Differentiable>(&self, dy: &Tensor, targets: &[T]) -> Vec<Tensor> {
        if dy.shape() != self.shape() || dy.dtype() != self.dtype() || !self.dtype().is_float() {
            let found = format!("{:?} {}, dy {:?} {}", self.shape(), self.dtype(), dy.shape(), dy.dtype());
            fail(
                "gradients_with",
                format!("the result and dy must be floats of one shape and type; the result is {found}"),
            );
        }
        crate::trace::differentiated(self.0.id);
        let wanted: Vec<Tensor> = targets.iter().map(Differentiable::tensor).collect();
        let ids: Set<u64> = wanted.iter().map(|t| t.0.id).collect();
        let (between, on_the_way) = between(self, &ids);
        for (target, tensor) in targets.iter().zip(&wanted) {
            if !on_the_way.contains(&tensor.0.id) {
                fail("gradients", explain(self, tensor, &target.describe()));
            }
        }
        let mut incoming: Map<u64, Incoming> = Map::default();
        incoming.entry(self.0.id).or_default().add(dy.clone());
        let mut found: Map<u64, Tensor> = Map::default();
        for &node in between.iter().rev() {
            let id = &node.0.id;
            let Some(dy) = incoming.remove(id).unwrap_or_default().total(node) else { continue };
            if ids.contains(id) {
                found.insert(*id, dy.clone());
            }
            let wants: Vec<bool> = node
                .0
                .inputs
                .iter()
                .enumerate()
                .map(|(k, i)| passes(node, k) && on_the_way.contains(&i.0.id))
                .collect();
            if !wants.contains(&true) {
                continue;
            }
            if let Some((ranges, input)) = rules::as_slice(node) {
                incoming.entry(input.0.id).or_default().slices.push((ranges, dy));
                continue;
            }
            for (input, gradient) in rules::inputs(node, &dy, &wants, &ids) {
                debug_assert_eq!((input.shape(), input.dtype()), (gradient.shape(), gradient.dtype()), "{node:?}");
                incoming.entry(input.0.id).or_default().add(gradient);
            }
        }
        let mut gradients = Vec::with_capacity(wanted.len());
        for (target, tensor) in targets.iter().zip(&wanted) {
            match found.get(&tensor.0.id) {
                Some(gradient) => gradients.push(gradient.clone()),
                None => fail("gradients", format!("no rule led to {}", target.describe())),
            }
        }
        gradients
    }
}

/// Whether a gradient passes from `node` to its input `k`: both hold floats, and nobody detached it.
fn passes(node: &Tensor, k: usize) -> bool {
    let cut = match &node.0.op {
        Op::Detach => true,
        // The composition whose gradient the rule replaces.
        Op::Rule(_) => k == 0,
        _ => false,
    };
    !cut && node.dtype().is_float() && node.0.inputs[k].dtype().is_float()
}

/// Every node that `root` depends on by edges that `follow`, and that is not older than all of `ids`, by rising number.
fn reachable<'a>(root: &'a Tensor, ids: &Set<u64>, follow: fn(&Tensor, usize) -> bool) -> Vec<&'a Tensor> {
    let oldest = ids.iter().min().copied().unwrap_or(u64::MAX);
    let (mut nodes, mut seen) = (Vec::new(), Set::default());
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        if node.0.id >= oldest && seen.insert(node.0.id) {
            let inputs = node.0.inputs.iter().enumerate();
            stack.extend(inputs.filter(|(k, input)| input.0.id >= oldest && follow(node, *k)).map(|(_, input)| input));
            nodes.push(node);
        }
    }
    nodes.sort_unstable_by_key(|node| node.0.id);
    nodes
}

/// The nodes through which gradients flow from `root` to the targets, both included: by rising number, and their numbers.
fn between<'a>(root: &'a Tensor, ids: &Set<u64>) -> (Vec<&'a Tensor>, Set<u64>) {
    let (mut nodes, mut numbers): (Vec<&Tensor>, Set<u64>) = (Vec::new(), Set::default());
    for node in reachable(root, ids, passes) {
        let leads = node.0.inputs.iter().enumerate().any(|(k, i)| numbers.contains(&i.0.id) && passes(node, k));
        if leads || (ids.contains(&node.0.id) && node.dtype().is_float()) {
            nodes.push(node);
            numbers.insert(node.0.id);
        }
    }
    (nodes, numbers)
}

/// Why there is no gradient for `target`.
fn explain(root: &Tensor, target: &Tensor, name: &str) -> String {
    if !target.dtype().is_float() {
        return format!("{name} holds {}; only floats have gradients", target.dtype());
    }
    // For each node that depends on the target at all, the operation that cut the path, if one did.
    let mut cuts: Map<u64, Option<&Tensor>> = Map::default();
    cuts.insert(target.0.id, None);
    for node in reachable(root, &[target.0.id].into_iter().collect(), |_, _| true) {
        for (k, input) in node.0.inputs.iter().enumerate() {
            if let Some(cut) = cuts.get(&input.0.id).cloned() {
                cuts.insert(node.0.id, if passes(node, k) { cut } else { cut.or(Some(node)) });
            }
        }
    }
    match cuts.get(&root.0.id) {
        Some(Some(cut)) => {
            let (op, place) = (cut.0.op.name(), cut.0.place);
            format!("the loss depends on {name} only through '{op}' ({place}), which has no gradient")
        }
        _ => format!("the loss does not depend on {name}"),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod ties;
