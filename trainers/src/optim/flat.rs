//! What all optimizers share: the parameters gathered into one storage, their gradients joined in the same order.

use std::cmp::Reverse;

use anygrad_core::{DType, Error, Result, Tensor, Var};

/// Parameters in one storage, and the learning rate.
#[derive(Debug)]
pub(super) struct Flat {
    /// All parameters, `[total]`.
    pub(super) all: Var,
    /// One number.
    pub(super) rate: Var,
    parameters: Vec<Var>,
    /// `order[i]`: which parameter lies at place `i` of the storage.
    order: Vec<usize>,
    clip: Option<f64>,
}

impl Flat {
    /// Gathers the parameters. Lengths that larger powers of two divide come first, so that each begins at a multiple of
    /// its own length's power of two and vector loads stay aligned.
    ///
    /// # Errors
    /// If there are none, one is given twice, types or devices differ, a number is out of range, or memory cannot be had.
    pub(super) fn new(name: &str, parameters: Vec<Var>, rate: f64, clip: Option<f64>) -> Result<Flat> {
        let fail = |message: String| Error::data(name, message);
        let Some(first) = parameters.first() else {
            return Err(fail("there are no parameters to train; give it `model.parameters()`".into()));
        };
        for (i, var) in parameters.iter().enumerate() {
            if var.dtype() != DType::F32 {
                return Err(fail(format!("parameter '{}' is {}; optimizers train f32", var.name(), var.dtype())));
            }
            if var.device() != first.device() {
                let places =
                    format!("'{}' is on {} and '{}' on {}", first.name(), first.device(), var.name(), var.device());
                return Err(fail(format!("{places}; make the whole model on one device")));
            }
            if parameters[..i].iter().any(|other| other.id() == var.id()) {
                return Err(fail(format!("parameter '{}' is given twice; give each variable once", var.name())));
            }
        }
        if clip.is_some_and(|norm| norm.is_nan() || norm <= 0.0) {
            return Err(fail(format!("gradients clipped to the norm {clip:?}; it must be above 0")));
        }
        not_negative(name, "the learning rate", rate)?;
        let mut order: Vec<usize> = (0..parameters.len()).collect();
        order.sort_by_key(|&i| Reverse(parameters[i].len().trailing_zeros()));
        let sorted: Vec<Var> = order.iter().map(|&i| parameters[i].clone()).collect();
        let device = first.device();
        let all = Var::gather(format!("{name}.parameters"), &sorted)?;
        let rate = Var::try_new(format!("{name}.learning_rate"), &Tensor::full(&[1], rate, DType::F32, &device))?;
        Ok(Flat { all, rate, parameters, order, clip })
    }

    /// A variable of zeros, one number per parameter element.
    pub(super) fn zeros(&self, name: &str) -> Result<Var> {
        Var::try_new(name, &Tensor::zeros(&[self.all.len()], &self.all.device()))
    }

    /// A constant per parameter, one number per element of the storage.
    pub(super) fn spread(&self, value: impl Fn(&Var) -> f32) -> Result<Tensor> {
        let mut values = Vec::with_capacity(self.all.len());
        for &i in &self.order {
            let var = &self.parameters[i];
            values.resize(values.len() + var.len(), value(var));
        }
        Tensor::try_from_slice(&values, &[self.all.len()], &self.all.device())
    }

    /// All gradients, `[total]`.
    #[track_caller]
    pub(super) fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        let count = self.parameters.len();
        assert!(gradients.len() == count, "update: {} gradients for {count} parameters", gradients.len());
        let mut parts = Vec::with_capacity(count);
        // A loop: inside of a closure the caller's line would be lost.
        for &i in &self.order {
            parts.push(flattened(&self.parameters[i], &gradients[i]));
        }
        Tensor::cat(&parts, 0)
    }

    /// The gradient scaled down to the norm, if that was asked for.
    ///
    /// Clipping multiplies by `min(1, norm / (|g| + 1e-6))`. Source: PyTorch's `clip_grad_norm_`.
    pub(super) fn clipped(&self, g: &Tensor) -> Tensor {
        match self.clip {
            None => g.clone(),
            Some(norm) => {
                let scale = (((g * g).sum(..).sqrt() + 1e-6).recip() * norm).clamp(0.0, 1.0);
                g * scale
            }
        }
    }
}

#[track_caller]
fn flattened(parameter: &Var, gradient: &Tensor) -> Tensor {
    let (name, shapes) = (parameter.name(), (gradient.shape(), parameter.shape()));
    assert!(shapes.0 == shapes.1, "update: the gradient of '{name}' is {:?}, the parameter {:?}", shapes.0, shapes.1);
    gradient.cast(DType::F32).reshape([-1])
}

/// An error unless the number is finite and not negative.
pub(super) fn not_negative(name: &str, what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::data(name, format!("{what} is {value}; it must be finite and not negative")))
}

/// An error unless the number is in `0.0..1.0`.
pub(super) fn below_one(name: &str, what: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::data(name, format!("{what} is {value}; it must be at least 0 and below 1")))
}
