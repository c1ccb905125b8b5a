//! [`Space`]: what observations and actions look like.

use anygrad_core::{DType, Device, Error, Result, Tensor};

/// The values that an observation or an action may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// One of `0..n`; a batch is `[batch]` of i32.
    Discrete(usize),
    /// Several choices at once, each `0..n`; a batch is `[batch, choices]` of i32.
    MultiDiscrete(Vec<usize>),
    /// Real numbers; a batch is `[batch, shape..]` of f32.
    Box {
        /// Sizes of the axes.
        shape: Vec<usize>,
        /// Least values, row-major.
        low: Vec<f64>,
        /// Largest values, row-major.
        high: Vec<f64>,
    },
}

impl Space {
    /// Real numbers of this shape, all within `low..=high`.
    #[must_use]
    pub fn uniform(shape: &[usize], low: f64, high: f64) -> Space {
        let len = shape.iter().product();
        Space::Box { shape: shape.to_vec(), low: vec![low; len], high: vec![high; len] }
    }

    /// A vector within `-high..=high`.
    #[must_use]
    pub fn symmetric(high: &[f64]) -> Space {
        Space::Box { shape: vec![high.len()], low: high.iter().map(|h| -h).collect(), high: high.to_vec() }
    }

    /// Sizes of one element's axes: none for a single choice.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Space::Discrete(_) => Vec::new(),
            Space::MultiDiscrete(choices) => vec![choices.len()],
            Space::Box { shape, .. } => shape.clone(),
        }
    }

    /// Numbers in one element.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether an element has no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        if matches!(self, Space::Box { .. }) { DType::F32 } else { DType::I32 }
    }

    /// An error unless the space can be used: no empty choices, bounds in order.
    ///
    /// # Errors
    /// If a choice has no values, the numbers of bounds do not fit the shape, or a lower bound is not below the upper one.
    pub fn validate(&self, what: &str) -> Result<()> {
        let fail = |message: String| Err(Error::data(what, message));
        match self {
            Space::Discrete(0) => fail("a discrete space has no values; give it at least one".into()),
            Space::MultiDiscrete(choices) if choices.is_empty() || choices.contains(&0) => {
                fail(format!("choices {choices:?}; each needs at least one value"))
            }
            Space::Box { shape, low, high } => {
                let len: usize = shape.iter().product();
                if len == 0 || low.len() != len || high.len() != len {
                    return fail(format!("shape {shape:?} has {} lower and {} upper bounds", low.len(), high.len()));
                }
                match low.iter().zip(high).position(|(l, h)| l.is_nan() || h.is_nan() || l >= h) {
                    Some(i) => fail(format!("element {i}: lower bound {} is not below {}", low[i], high[i])),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// `n` elements drawn uniformly, `[n, ..]`; of choices among those `allowed`, bool `[n, choices]`, if not all are.
    pub(super) fn random(&self, allowed: Option<&Tensor>, n: usize, device: &Device) -> Tensor {
        if let Some(allowed) = allowed {
            // The largest of as many random numbers as there are choices; those that are not allowed are below all others.
            return allowed.select(Tensor::rand(allowed.shape(), device), -1.0).argmax(-1);
        }
        match self {
            Space::Discrete(k) => Tensor::randint(&[n], 0, *k as i32, device),
            Space::MultiDiscrete(choices) => {
                let each: Vec<Tensor> = choices.iter().map(|k| Tensor::randint(&[n], 0, *k as i32, device)).collect();
                Tensor::stack(&each, -1)
            }
            Space::Box { shape, .. } => self.scaled(&(Tensor::rand(&[&[n][..], shape].concat(), device) * 2.0 - 1.0)),
        }
    }

    /// Elements `[seeds, batch, numbers]` as environments take them: `[seeds * batch, ..]`.
    #[track_caller]
    pub(super) fn for_environment(&self, x: &Tensor) -> Tensor {
        x.reshape([&[x.size(0) * x.size(1)][..], &self.shape()].concat().as_slice())
    }

    /// From `-1..1` to the bounds of real numbers.
    pub(super) fn scaled(&self, unit: &Tensor) -> Tensor {
        let bounds = |f: &dyn Fn(f64, f64) -> f64| self.of_bounds(f, unit.device());
        unit * bounds(&|low, high| (high - low) / 2.0) + bounds(&|low, high| (high + low) / 2.0)
    }

    /// The inverse of [`Space::scaled`].
    pub(super) fn unscaled(&self, x: &Tensor) -> Tensor {
        let bounds = |f: &dyn Fn(f64, f64) -> f64| self.of_bounds(f, x.device());
        (x - bounds(&|low, high| (high + low) / 2.0)) * bounds(&|low, high| 2.0 / (high - low))
    }

    /// Real numbers cut off at their bounds; choices as they are.
    pub(super) fn clamped(&self, x: &Tensor) -> Tensor {
        if !matches!(self, Space::Box { .. }) {
            return x.clone();
        }
        let bound = |f: &dyn Fn(f64, f64) -> f64| self.of_bounds(f, x.device());
        x.maximum(bound(&|low, _| low)).minimum(bound(&|_, high| high))
    }

    /// A function of the lower and the upper bound of each real number, in the space's shape.
    fn of_bounds(&self, f: &dyn Fn(f64, f64) -> f64, device: &Device) -> Tensor {
        let Space::Box { shape, low, high } = self else { unreachable!("choices have no bounds") };
        let values: Vec<f32> = low.iter().zip(high).map(|(&low, &high)| f(low, high) as f32).collect();
        Tensor::from_vec(values, shape, device)
    }
}

/// Values of choices `[.., choices]`, those that are not `allowed` (as many bools) below all others: for the largest one.
pub(super) fn allowed_values(values: Tensor, allowed: Option<&Tensor>) -> Tensor {
    match allowed {
        Some(mask) => mask.reshape(values.shape()).select(&values, f64::from(f32::MIN)),
        None => values,
    }
}
