//! Scratch blocks in slabs: which slab and which byte, so that blocks that live at one time do not overlap.
//!
//! The largest choose first, each the place where the slabs grow least. The small ones of very large programs, for which that
//! would take too long, get whole slabs, one after the other.
//!
//! Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference" (2020), section 5 (greedy by size).

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// As many blocks choose their place: the time grows with the square.
const CHOOSING: usize = 2048;

/// A scratch block: the first and last position in the order of kernels at which it is in use.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Numbers of blocks of the same time that must not be in the same slab.
    pub(crate) apart: Vec<usize>,
}

/// For each block its slab and first byte, and the slabs' sizes; no slab is larger than `most` bytes, unless a block is.
pub(crate) fn pack(lives: &[Life], most: usize) -> (Vec<(usize, usize)>, Vec<usize>) {
    let mut by_size: Vec<usize> = (0..lives.len()).collect();
    by_size.sort_by_key(|&b| Reverse(lives[b].bytes));
    let rest = by_size.split_off(CHOOSING.min(lives.len()));
    let mut places = vec![(usize::MAX, 0); lives.len()];
    let mut slabs: Vec<Slab> = Vec::new();
    for block in by_size {
        let life = &lives[block];
        let mut best = (life.bytes, slabs.len(), 0);
        for (number, slab) in slabs.iter().enumerate() {
            if life.apart.iter().any(|&other| places[other].0 == number) {
                continue;
            }
            let start = slab.gap(life);
            let growth = (start + life.bytes).saturating_sub(slab.bytes);
            // A slab more only where it is smaller than what an old one grows by.
            if growth < best.0 + usize::from(best.1 == slabs.len()) && (growth == 0 || start + life.bytes <= most) {
                best = (growth, number, start);
            }
        }
        let (growth, number, start) = best;
        if number == slabs.len() {
            slabs.push(Slab::default());
        }
        slabs[number].bytes += growth;
        slabs[number].take(start, life);
        places[block] = (number, start);
    }
    let mut sizes = slabs.into_iter().map(|slab| slab.bytes).collect();
    one_after_the_other(lives, rest, &mut places, &mut sizes);
    (places, sizes)
}

/// A slab whose blocks are chosen places in.
#[derive(Debug, Default)]
struct Slab {
    bytes: usize,
    /// By their first bytes.
    taken: Vec<Taken>,
}

/// The stretch of a slab that a block takes while it lives.
#[derive(Clone, Copy, Debug)]
struct Taken {
    start: usize,
    end: usize,
    first: usize,
    last: usize,
}

impl Slab {
    /// The start of the smallest gap that holds a block for as long as it lives; else the end of all that it meets.
    fn gap(&self, life: &Life) -> usize {
        let (mut end, mut best) = (0, None);
        for other in self.taken.iter().filter(|other| life.first <= other.last && other.first <= life.last) {
            if other.start >= end + life.bytes && best.is_none_or(|(room, _)| other.start - end < room) {
                best = Some((other.start - end, end));
            }
            end = end.max(other.end);
        }
        best.map_or(end, |(_, start)| start)
    }

    fn take(&mut self, start: usize, life: &Life) {
        let at = self.taken.partition_point(|other| other.start < start);
        self.taken.insert(at, Taken { start, end: start + life.bytes, first: life.first, last: life.last });
    }
}

/// Whole new slabs for these blocks; a free slab is taken by the block that fits it best.
fn one_after_the_other(lives: &[Life], mut blocks: Vec<usize>, places: &mut [(usize, usize)], sizes: &mut Vec<usize>) {
    // At one position, large blocks choose first.
    blocks.sort_by_key(|&b| (lives[b].first, Reverse(lives[b].bytes)));
    let mut free: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut busy: BTreeSet<(usize, usize)> = BTreeSet::new();
    for block in blocks {
        let life = &lives[block];
        while let Some(&(last, slab)) = busy.first().filter(|slab| slab.0 < life.first) {
            busy.remove(&(last, slab));
            free.insert((sizes[slab], slab));
        }
        let best = free.range((life.bytes, 0)..).next().or_else(|| free.iter().next_back()).copied();
        let slab = best.map_or(sizes.len(), |(size, slab)| {
            free.remove(&(size, slab));
            slab
        });
        if slab == sizes.len() {
            sizes.push(0);
        }
        sizes[slab] = sizes[slab].max(life.bytes);
        places[block] = (slab, 0);
        busy.insert((life.last, slab));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Life {
        fn meets(&self, other: &Life) -> bool {
            self.first <= other.last && other.first <= self.last
        }
    }

    fn life(bytes: usize, first: usize, last: usize) -> Life {
        Life { bytes, first, last, apart: Vec::new() }
    }

    /// No two blocks that live at one time overlap, all are inside of their slabs, and those apart are apart.
    fn check(lives: &[Life], places: &[(usize, usize)], slabs: &[usize]) {
        for (a, x) in lives.iter().enumerate() {
            assert!(places[a].1 + x.bytes <= slabs[places[a].0]);
            assert!(x.apart.iter().all(|&b| places[b].0 != places[a].0), "{a} is not apart");
            for (b, y) in lives.iter().enumerate().skip(a + 1).filter(|(_, y)| y.meets(x)) {
                let overlap = places[a].0 == places[b].0
                    && places[a].1 < places[b].1 + y.bytes
                    && places[b].1 < places[a].1 + x.bytes;
                assert!(!overlap, "{a} and {b} overlap");
            }
        }
    }

    #[test]
    fn small_blocks_share_the_place_of_a_large_one() {
        let lives = [life(128, 0, 3), life(64, 4, 9), life(64, 5, 9), life(192, 10, 11)];
        let (places, slabs) = pack(&lives, usize::MAX);
        check(&lives, &places, &slabs);
        assert_eq!(slabs, [192]);
    }

    #[test]
    fn slabs_have_a_largest_size() {
        let lives = [life(128, 0, 3), life(64, 0, 3), life(64, 0, 3), life(512, 0, 3)];
        let (places, slabs) = pack(&lives, 192);
        check(&lives, &places, &slabs);
        assert_eq!(slabs, [512, 192, 64]);
    }

    #[test]
    fn random_lives_never_meet() {
        let mut state = 7_u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for count in [1, 10, 300, CHOOSING + 500] {
            let mut lives: Vec<Life> = Vec::new();
            for i in 0..count {
                let first = random(count);
                lives.push(life(64 * (1 + random(50)), first, first + random(9)));
                let other = random(i + 1);
                if other != i && lives[i].meets(&lives[other]) {
                    lives[i].apart.push(other);
                    lives[other].apart.push(i);
                }
            }
            let (places, slabs) = pack(&lives, usize::MAX);
            check(&lives, &places, &slabs);
        }
    }
}
