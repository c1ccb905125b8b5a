//! A forest that grows by leaves, and asks in logarithmic time whether one node lies above another.
//!
//! Source: Myers, "An applicative random-access stack" (1983): every node also knows an ancestor further up.

/// Nodes by the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    depth: u32,
    /// The node above; itself at the top.
    parent: usize,
    /// That or one further up.
    jump: usize,
}

impl Forest {
    /// Adds a node below the deepest of these, or at the top if there are none.
    pub(crate) fn push(&mut self, below: &[usize]) {
        let new = self.nodes.len();
        let node = match below.iter().copied().max_by_key(|&node| self.nodes[node].depth) {
            None => Node { depth: 0, parent: new, jump: new },
            Some(parent) => {
                let Node { depth, jump, .. } = self.nodes[parent];
                let (near, far) = (self.nodes[jump].depth, self.nodes[self.nodes[jump].jump].depth);
                let jump = if depth - near == near - far { self.nodes[jump].jump } else { parent };
                Node { depth: depth + 1, parent, jump }
            }
        };
        self.nodes.push(node);
    }

    /// Whether `node` is `above`, or lies below it.
    pub(crate) fn is_below(&self, mut node: usize, above: usize) -> bool {
        let depth = self.nodes[above].depth;
        while self.nodes[node].depth > depth {
            let Node { parent, jump, .. } = self.nodes[node];
            node = if self.nodes[jump].depth >= depth { jump } else { parent };
        }
        node == above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_what_going_up_step_by_step_finds() {
        let (mut forest, mut parents, mut state) = (Forest::default(), Vec::<Option<usize>>::new(), 1_u64);
        for node in 0..500_usize {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Mostly long branches; a new tree now and then.
            let back = 1 + (state >> 60) as usize;
            let parent = if node % 97 == 0 { None } else { Some(node - back.min(node)) };
            forest.push(&parent.into_iter().collect::<Vec<_>>());
            parents.push(parent);
            let mut above = vec![node];
            while let Some(parent) = parents[above[above.len() - 1]] {
                above.push(parent);
            }
            assert!((0..=node).all(|other| forest.is_below(node, other) == above.contains(&other)), "{node}");
        }
    }
}
