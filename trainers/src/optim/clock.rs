//! The number of updates so far and what moments that began at 0 are divided by.

use anygrad_core::{Result, Tensor, Var};

use super::flat::Flat;

/// `[lr, t, c1, c2, ..]`: learning rate, updates so far, a correction per beta; one buffer, so that Adam's update binds eight
/// in all, which every driver has.
///
/// `c = 1 - b^t` follows from `c' = b c + (1 - b)`, which loses no digits, unlike `1 - b^t` in f32 (1 - 0.999 would be wrong
/// in the fifth).
#[derive(Debug)]
pub(super) struct Clock {
    scalars: Var,
    /// `scalars` but for the learning rate.
    clock: Var,
    betas: Vec<f64>,
    /// `scalars' = scalars * scale + shift`.
    scale: Tensor,
    shift: Tensor,
}

impl Clock {
    pub(super) fn new(name: &str, flat: &Flat, betas: &[f64]) -> Result<Clock> {
        let device = flat.all().device();
        let list = |first: [f32; 2], rest: &dyn Fn(&f64) -> f64| {
            let values: Vec<f32> = first.into_iter().chain(betas.iter().map(|b| rest(b) as f32)).collect();
            Tensor::try_from_slice(&values, &[values.len()], &device)
        };
        let clock = Var::try_new(format!("{name}.clock"), &Tensor::zeros(&[betas.len() + 1], &device))?;
        let scalars = Var::gather(format!("{name}.scalars"), &[flat.rate().clone(), clock.clone()])?;
        let (scale, shift) = (list([1.0, 1.0], &|b| *b)?, list([0.0, 1.0], &|b| 1.0 - b)?);
        Ok(Clock { scalars, clock, betas: betas.to_vec(), scale, shift })
    }

    /// One update more: the number of updates before this one, `[1]`, and `1 - b^t` of each beta, `[1]` each.
    pub(super) fn tick(&self) -> (Tensor, Vec<Tensor>) {
        let scalars = self.scalars.get();
        self.scalars.assign(&(&scalars * &self.scale + &self.shift));
        // The same as in `scalars'`, from constants: three cheap operations each, done again for every element.
        let correction = |(i, b): (usize, &f64)| scalars.narrow(0, 2 + i, 1) * *b + (1.0 - b);
        (scalars.narrow(0, 1, 1), self.betas.iter().enumerate().map(correction).collect())
    }

    /// What must be saved: `[t, c1, c2, ..]`.
    pub(super) fn var(&self) -> &Var {
        &self.clock
    }
}
