//! [`Space`]: what observations and actions look like.

use anygrad_core::{DType, Error, Result};

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
}
