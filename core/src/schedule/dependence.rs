//! Which group needs which, directly or by way of others, while groups come and grow.
//!
//! This is asked for every value and neighbour. Each group has a level above those of all that it needs, so the search never
//! looks below the level of what it is after; mostly that says no at once. One of a group's needs is also its place in a forest,
//! in which one group is found above another in logarithmic time; mostly that says yes at once.
//!
//! Source of the forest's jumps: Myers, "An applicative random-access stack" (1983).

/// How many groups one question looks at before a dependence is feared.
const REACH: usize = 512;

/// Groups by number, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Dependence {
    groups: Vec<Node>,
    /// For each group the last walk that came by, and the number of the present one.
    seen: Vec<u32>,
    walk: u32,
}

#[derive(Debug)]
struct Node {
    needs: Vec<usize>,
    needed_by: Vec<usize>,
    level: u32,
    /// Steps to the top of the forest.
    depth: u32,
    /// The group above; itself at the top.
    parent: usize,
    /// That or one further up.
    jump: usize,
}

impl Dependence {
    /// Adds a group that needs nothing yet.
    pub(crate) fn push(&mut self) {
        let new = self.groups.len();
        let (needs, needed_by) = (Vec::new(), Vec::new());
        self.groups.push(Node { needs, needed_by, level: 0, depth: 0, parent: new, jump: new });
        self.seen.push(0);
    }

    /// Notes that a group, which none of these needs, needs them too.
    pub(crate) fn add(&mut self, group: usize, needs: &[usize]) {
        // What nobody needs can still get a place in the forest.
        let Node { needed_by, depth, .. } = &self.groups[group];
        if *depth == 0 && needed_by.is_empty() {
            self.hang(group, needs);
        }
        for &need in needs {
            // The shorter of two lists knows as well.
            let (needs, needed_by) = (&self.groups[group].needs, &self.groups[need].needed_by);
            let known = if needs.len() < needed_by.len() { needs.contains(&need) } else { needed_by.contains(&group) };
            if need != group && !known {
                self.groups[group].needs.push(need);
                self.groups[need].needed_by.push(group);
                self.raise(group, self.groups[need].level + 1);
            }
        }
    }

    /// Puts a group below the deepest of those that it needs.
    fn hang(&mut self, group: usize, needs: &[usize]) {
        let others = needs.iter().copied().filter(|&need| need != group);
        let Some(deepest) = others.max_by_key(|&need| self.groups[need].depth) else { return };
        let above = &self.groups[deepest];
        let near = &self.groups[above.jump];
        let far = &self.groups[near.jump];
        let even = above.depth - near.depth == near.depth - far.depth;
        let (depth, jump) = (above.depth + 1, if even { near.jump } else { deepest });
        (self.groups[group].depth, self.groups[group].parent, self.groups[group].jump) = (depth, deepest, jump);
    }

    /// Lifts a group to at least a level, and what needs it above that.
    fn raise(&mut self, group: usize, level: u32) {
        let mut pending = vec![(group, level)];
        while let Some((group, level)) = pending.pop() {
            if self.groups[group].level < level {
                self.groups[group].level = level;
                pending.extend(self.groups[group].needed_by.iter().map(|&other| (other, level + 1)));
            }
        }
    }

    /// Whether any of `pending` is, or needs, `target`; also true if too many groups would have to be asked.
    pub(crate) fn reaches(&mut self, mut pending: Vec<usize>, target: usize) -> bool {
        if pending.iter().any(|&group| self.is_below(group, target)) {
            return true;
        }
        self.walk += 1;
        let (level, mut asked) = (self.groups[target].level, 0);
        while let Some(group) = pending.pop() {
            if group == target || asked > REACH {
                return true;
            }
            let higher = self.groups[group].level > level;
            if higher && std::mem::replace(&mut self.seen[group], self.walk) != self.walk {
                asked += 1;
                pending.extend(&self.groups[group].needs);
            }
        }
        false
    }

    /// Whether a group is `above`, or lies below it in the forest.
    fn is_below(&self, mut group: usize, above: usize) -> bool {
        let depth = self.groups[above].depth;
        while self.groups[group].depth > depth {
            let Node { parent, jump, .. } = self.groups[group];
            group = if self.groups[jump].depth >= depth { jump } else { parent };
        }
        group == above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_all_paths() {
        let (mut asked, mut all, mut state) = (Dependence::default(), Vec::<Vec<bool>>::new(), 1_u64);
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        // all[a][b]: whether a is, or needs, b.
        for new in 0..300_usize {
            let needs: Vec<usize> = (0..random(3).min(new)).map(|_| new - 1 - random(new.min(20))).collect();
            asked.push();
            asked.add(new, &needs);
            all.iter_mut().for_each(|row| row.push(false));
            let mut row = vec![false; new];
            needs.iter().for_each(|&need| row.iter_mut().zip(&all[need]).for_each(|(mine, its)| *mine |= its));
            row.push(true);
            all.push(row);
            // A group that is there already needs another one, as far as that closes no circle.
            let (old, other) = (random(new + 1), random(new + 1));
            assert_eq!(asked.reaches(vec![other], old), all[other][old], "{other} to {old} of {new}");
            if !all[other][old] {
                asked.add(old, &[other]);
                let its = all[other].clone();
                for row in all.iter_mut().filter(|row| row[old]) {
                    row.iter_mut().zip(&its).for_each(|(mine, its)| *mine |= its);
                }
            }
            assert!((0..=new).all(|target| asked.reaches(vec![new], target) == all[new][target]), "{new}");
        }
    }
}
