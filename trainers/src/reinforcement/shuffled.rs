//! [`Shuffled`]: what was seen, taken in minibatches, each pass in an order of its own.

use anygrad_core::{DType, Tensor, Tensors, Var};

use super::on_policy::Portions;

/// A batch `[seeds, rows, ..]`, and the order in which each pass takes its rows, the same for all seeds.
#[derive(Clone, Debug)]
pub(super) struct Shuffled<B> {
    batch: B,
    /// i32 `[passes * blocks]`: which block of neighbouring rows is next.
    order: Tensor,
}

impl<B: Tensors> Tensors for Shuffled<B> {
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Shuffled<B> {
        Shuffled { batch: self.batch.map(f), order: f(&self.order) }
    }
}

impl<B: Tensors> Shuffled<B> {
    /// A new order for each pass.
    pub(super) fn new(batch: B, portions: &Portions) -> Shuffled<B> {
        let all = batch.list();
        let (rows, device) = (all[0].size(1), all[0].device());
        let blocks = rows / portions.block(rows);
        let order = Tensor::random_bits(&[portions.epochs, blocks], device).argsort(1, false);
        Shuffled { order: order.reshape([portions.epochs * blocks]), batch }
    }

    /// The next minibatch, and whether a pass ends with it (bool `[1]`).
    pub(super) fn part(&self, place: &Var, portions: &Portions) -> (B, Tensor) {
        let now = place.get();
        place.assign(&(&now + 1));
        let rows = self.batch.list()[0].size(1);
        let block = portions.block(rows);
        let count = rows / portions.minibatches / block;
        let numbers = Tensor::arange(0.0, count as f64, 1.0, now.device()).cast(DType::I32);
        let blocks = self.order.index_select(0, &(numbers + &now * count as i32));
        let part = self.batch.map(&mut |x| {
            let (seeds, rest) = (x.size(0), &x.shape()[2..]);
            let wide: usize = block * rest.iter().product::<usize>();
            let taken = x.reshape([seeds, rows / block, wide]).index_select(1, &blocks);
            taken.reshape([&[seeds, count * block][..], rest].concat().as_slice())
        });
        let minibatches = portions.minibatches as i32;
        (part, (now % minibatches).eq(minibatches - 1))
    }
}

impl Portions {
    /// Neighbouring rows that stay together when rows are shuffled. With thousands of environments these are steps that some
    /// environments, which do not see each other, made at the same time: about as random as single ones, and memory is read in stretches.
    pub(super) fn block(&self, rows: usize) -> usize {
        let fits = |block: &usize| {
            rows == self.environments * self.rollout
                && self.environments.is_multiple_of(*block)
                && self.environments >= 64 * block
                && (rows / self.minibatches).is_multiple_of(*block)
        };
        [32, 16, 8, 4, 2].into_iter().find(fits).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use anygrad_core::testing::device;
    use anygrad_core::{Program, Result};

    use super::*;

    /// The rows of all minibatches of all passes, as they come, and how many ended a pass.
    fn taken(portions: Portions, rows: usize) -> Result<(Vec<Vec<i32>>, usize)> {
        let device = device();
        device.seed(3)?;
        let place = Var::try_new("place", &Tensor::full(&[1], 0.0, DType::I32, &device))?;
        let numbers = Tensor::arange(0.0, rows as f64, 1.0, &device).cast(DType::I32).reshape([1, rows, 1]);
        let batch = [numbers.clone(), numbers.expand([2, rows, 3])];
        let mut shuffle = Program::inference(&device, |batch: [Tensor; 2]| Shuffled::new(batch, &portions));
        let mut part = Program::inference(&device, |all: Shuffled<[Tensor; 2]>| all.part(&place, &portions));
        let all = shuffle.run(batch)?;
        let (mut list, mut ends) = (Vec::new(), 0);
        for _ in 0..portions.epochs * portions.minibatches {
            let ([narrow, wide], last) = part.run(all.map(&mut Tensor::clone))?;
            let rows = narrow.to_vec::<i32>()?;
            assert_eq!(
                wide.to_vec::<i32>()?,
                [&rows[..], &rows].concat().iter().flat_map(|&x| [x; 3]).collect::<Vec<_>>()
            );
            ends += usize::from(last.to_vec::<bool>()?[0]);
            list.push(rows);
        }
        Ok((list, ends))
    }

    #[test]
    fn every_pass_takes_every_row_once_in_an_order_of_its_own() {
        let portions = Portions { seeds: 1, environments: 6, rollout: 10, steps: 60, epochs: 2, minibatches: 4 };
        let (list, ends) = taken(portions, 60).expect("rows");
        assert_eq!((list.len(), ends), (8, 2));
        let passes: Vec<Vec<i32>> = list.chunks(4).map(<[Vec<i32>]>::concat).collect();
        assert_ne!(passes[0], passes[1]);
        for pass in passes {
            let mut sorted = pass.clone();
            sorted.sort_unstable();
            assert_ne!(pass, sorted);
            assert_eq!(sorted, (0..60).collect::<Vec<i32>>());
        }
    }

    #[test]
    fn steps_of_many_environments_stay_together_in_blocks() {
        let portions = Portions { seeds: 1, environments: 256, rollout: 2, steps: 512, epochs: 1, minibatches: 4 };
        assert_eq!(portions.block(512), 4);
        assert_eq!(portions.block(256), 1, "rows that are not steps");
        let rows = taken(portions, 512).expect("rows").0.concat();
        assert!(rows.chunks(4).all(|block| block[0] % 4 == 0 && block.windows(2).all(|pair| pair[1] == pair[0] + 1)));
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        assert_ne!(rows, sorted);
        assert_eq!(sorted, (0..512).collect::<Vec<i32>>());
    }
}
