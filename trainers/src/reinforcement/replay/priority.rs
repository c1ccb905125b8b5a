//! [`Priorities`]: steps that surprised are drawn more often.
//!
//! Drawing in proportion to numbers is a search in their running sum, on two levels: sums of about the square root of all
//! numbers at a time are taken anew for each draw (one pass, cheaper on a device than the upkeep of a tree), the place is
//! sought among these sums, then inside of one.

use anygrad_core::{DType, Device, Error, Result, Tensor, Var};

use super::overwrite;

/// Steps are drawn in proportion to a power of how wrong their value was last; new ones as if they were the worst so far.
///
/// Source: Schaul and others, "Prioritized experience replay" (2015), proportional variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priority {
    /// The power of errors, `alpha`; 0 draws uniformly; 0.6.
    pub exponent: f64,
    /// How much of the bias is corrected at the beginning and at the end, `beta`; 0.4, 1.
    pub correction: (f64, f64),
}

impl Default for Priority {
    fn default() -> Priority {
        Priority { exponent: 0.6, correction: (0.4, 1.0) }
    }
}

/// Added to errors, so that none is never drawn again.
const EPSILON: f64 = 1e-6;

#[derive(Clone, Debug)]
pub(super) struct Priorities {
    by: Priority,
    /// `[capacity, columns]`, powers of errors.
    ring: Var,
    /// The largest so far, `[1]`.
    largest: Var,
}

impl Priorities {
    pub(super) fn new(by: Priority, capacity: usize, columns: usize, device: &Device) -> Result<Priorities> {
        let (first, last) = by.correction;
        let all = [by.exponent, first, last];
        if all.iter().any(|x| !(0.0..=1.0).contains(x)) {
            return Err(Error::data("replay: priority", format!("{by:?}; all numbers must be in 0..=1")));
        }
        let ring = Var::try_new("replay.priority", &Tensor::zeros(&[capacity, columns], device))?;
        Ok(Priorities { by, ring, largest: Var::try_new("replay.largest", &Tensor::ones(&[1], device))? })
    }

    /// A new block counts as the most surprising one.
    pub(super) fn write(&self, written: &Tensor, block: usize) {
        let (capacity, columns) = (self.ring.shape()[0], self.ring.shape()[1]);
        let new = self.largest.get().unsqueeze(0).expand([block, columns]);
        let blocks = capacity / block;
        overwrite(&self.ring, &new, &(written % blocks as i32), blocks);
    }

    /// Steps, columns and weights `[seeds, batch]`; `count`: steps written so far, `[1]` i32.
    pub(super) fn draw(
        &self,
        (count, steps): (Tensor, usize),
        (seeds, batch): (usize, usize),
        progress: &Tensor,
    ) -> (Tensor, Tensor, Option<Tensor>) {
        let (capacity, n) = (self.ring.shape()[0], self.ring.shape()[1] / seeds);
        let device = self.ring.device();
        let numbers = |count: usize| Tensor::arange(0.0, count as f64, 1.0, &device).cast(DType::I32);
        // How many steps are newer than the one in each place.
        let age = (&count - 1 - numbers(capacity)).rem_euclid(capacity as i32);
        let begins = age.ge(steps as i32 - 1).logical_and(&age.lt(count.minimum(capacity as i32)));
        let known = begins.unsqueeze(-1).select(self.ring.get(), 0.0);
        let all = known.reshape([capacity, seeds, n]).movedim(1, 0);
        let total = capacity * n;
        let inner = (1..=total.isqrt()).rev().find(|part| total.is_multiple_of(*part)).unwrap_or(1);
        let outer = total / inner;
        let parts = all.reshape([seeds * outer, inner]);
        let sums = parts.sum(-1).reshape([seeds, outer]);
        let whole = sums.sum_keep(-1);
        // One draw from each of `batch` equal stretches, as in the paper's appendix B.2.1.
        let unit = Tensor::rand(&[seeds, batch], &device) + numbers(batch).cast(DType::F32);
        let target = unit / batch as f64 * &whole;
        let (part, before) = search(&sums.unsqueeze(1).expand([seeds, batch, outer]), &target);
        let row = &part + (numbers(seeds) * outer as i32).unsqueeze(-1);
        let inside = parts.index_select(0, &row.reshape([seeds * batch])).reshape([seeds, batch, inner]);
        let (place, _) = search(&inside, &(target - before));
        let chosen = (&inside * place.one_hot(inner).cast(DType::F32)).sum(-1);
        let flat = part * inner as i32 + place;
        let (slot, column) = (&flat / n as i32, &flat % n as i32);
        let step = &count - 1 - (&count - 1 - slot).rem_euclid(capacity as i32);
        let column = column + (numbers(seeds) * n as i32).unsqueeze(-1);
        // (count P)^-beta, scaled so that the largest is 1; the count falls out.
        let (first, last) = self.by.correction;
        let beta = progress * (last - first) + first;
        let weight = (chosen / whole).pow(beta * -1.0);
        let weight = &weight / weight.max_keep(-1);
        (step, column, Some(weight.detach()))
    }

    /// New errors `[seeds, batch]` of steps at these places; where a step was drawn twice, their mean.
    pub(super) fn revalue(&self, place: &Tensor, error: &Tensor) {
        let size = self.ring.len();
        let new = (error.detach().abs() + EPSILON).pow(self.by.exponent).flatten(0);
        let place = place.flatten(0);
        let times = new.ones_like().scatter_sum(0, &place, size).reshape(self.ring.shape());
        let sums = new.scatter_sum(0, &place, size).reshape(self.ring.shape());
        self.ring.assign(&times.gt(0.0).select(sums / times.maximum(1.0), self.ring.get()));
        self.largest.assign(&self.largest.get().maximum(new.max(..)));
    }

    pub(super) fn variables(&self) -> [Var; 2] {
        [self.ring.clone(), self.largest.clone()]
    }
}

/// Where the running sum of `[.., k]` passes `target` `[..]`, and the sum before that place. What is 0 is never found, however
/// sums are rounded.
fn search(list: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let sums = list.cumsum(-1);
    let beyond = sums.gt(target.unsqueeze(-1)).logical_and(&list.gt(0.0));
    let first = beyond.cast(DType::F32).argmax(-1);
    let place = beyond.any(-1).select(&first, list.argmax(-1));
    let here = place.one_hot(list.size(-1)).cast(DType::F32);
    let before = ((sums - list) * here).sum(-1);
    (place, before)
}
