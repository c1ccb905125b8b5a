//! A hash for the planner's own maps: their keys are numbers, operations and layouts that nobody hostile chooses, so the standard
//! hasher's protection would only cost time (a third of the schedule's). Nothing here depends on the order of a map.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// A map with the fast hash.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;

/// A set with the fast hash.
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<Fast>>;

/// The fast hash of a value.
pub(crate) fn hash(value: &impl Hash) -> u64 {
    BuildHasherDefault::<Fast>::default().hash_one(value)
}

/// Words are added to a state that is multiplied by an odd number; the end brings the high bits, which are mixed best, down
/// to where tables look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fast(u64);

/// `2^64` over the golden ratio, odd. Source: Knuth, "The art of computer programming", volume 3, section 6.4.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fast {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(std::array::from_fn(|k| word[k])));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.add(rest.iter().rev().fold(rest.len() as u64, |all, &byte| all << 8 | u64::from(byte)));
        }
    }

    fn write_u8(&mut self, x: u8) {
        self.add(u64::from(x));
    }

    fn write_u32(&mut self, x: u32) {
        self.add(u64::from(x));
    }

    fn write_u64(&mut self, x: u64) {
        self.add(x);
    }

    fn write_usize(&mut self, x: usize) {
        self.add(x as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_fall_into_different_places() {
        let hash = BuildHasherDefault::<Fast>::default();
        // Of 4,096 boxes 63 % are hit by 4,096 balls thrown at random; a hash that drops the low bits would hit 1 / step.
        for step in [1usize, 8, 64, 4096] {
            let low: Set<u64> = (0..4096).map(|k| hash.hash_one(k * step) % 4096).collect();
            let high: Set<u64> = (0..4096).map(|k| hash.hash_one(k * step) >> 57).collect();
            assert!(low.len() > 4096 * 45 / 100 && high.len() == 128, "step {step}: {} {}", low.len(), high.len());
        }
    }
}
