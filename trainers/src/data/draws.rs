//! Random numbers for the host, as functions of seed and stream: the same on every machine, no state to save.

use anygrad_core::scalar::philox;

/// The numbers `0..len` in an order that depends on `seed` and `epoch` alone: a Fisher-Yates shuffle whose draws come from
/// Philox, so that it is the same on every machine and needs no state to resume.
#[must_use]
pub fn shuffled(len: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    Draws::new(seed, epoch as u64).shuffle(&mut order);
    order
}

/// Random numbers for the host: Philox words of a seed and a stream, in order.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    stream: u64,
    used: u64,
}

impl Draws {
    /// The generator of this seed and stream, at its beginning.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Draws {
        Draws { key: [seed as u32, (seed >> 32) as u32], stream, used: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let counter = [self.used as u32, (self.used >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        self.used += 1;
        let [a, b, ..] = philox(counter, self.key);
        u64::from(a) << 32 | u64::from(b)
    }

    /// A number in `0..end`, all equally likely to within 2^-32 (multiply and shift); 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A normal number with mean 0 and variance 1.
    /// Source: Box and Muller, "A note on the generation of random normal deviates" (1958).
    pub fn normal(&mut self) -> f64 {
        // 1 - u is in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Puts the items into random order, all orders equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_that_seed_and_epoch_decide() {
        for len in [0, 1, 2, 1797] {
            let order = shuffled(len, 7, 3);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..len as u32).collect::<Vec<_>>());
            assert_eq!(order, shuffled(len, 7, 3));
        }
        assert_ne!(shuffled(100, 7, 3), shuffled(100, 7, 4));
        assert_ne!(shuffled(100, 7, 3), shuffled(100, 8, 3));
    }

    #[test]
    fn all_orders_of_three_come_equally_often() {
        let mut counts = std::collections::HashMap::new();
        for epoch in 0..6000 {
            *counts.entry(shuffled(3, 1, epoch)).or_insert(0) += 1;
        }
        // 1000 expected, standard deviation 29: five of them.
        assert!(counts.len() == 6 && counts.values().all(|n| (855..1145).contains(n)), "{counts:?}");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut draws = Draws::new(3, 9);
        let values: Vec<f64> = (0..10_000).map(|_| draws.normal()).collect();
        let mean = values.iter().sum::<f64>() / 1e4;
        let square = values.iter().map(|x| x * x).sum::<f64>() / 1e4;
        // Standard errors 0.01 and sqrt(2)/100: five of each.
        assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.071, "{mean} {square}");
    }
}
