//! What all optimizers share: the parameters gathered into one storage, their gradients joined in the same order, groups,
//! clipping and decay.

use std::cmp::Reverse;
use std::ops::Range;

use anygrad_core::{DType, Error, Result, Tensor, Var};

use super::groups::{Decay, Group, Groups};

/// Parameters in one storage, the learning rate, and what is done to gradients before an optimizer's formula.
#[derive(Debug)]
pub struct Flat {
    name: &'static str,
    all: Var,
    rate: Var,
    groups: Groups,
    /// `order[i]`: which parameter lies at place `i` of the storage; frozen ones lie elsewhere.
    order: Vec<usize>,
    /// A factor of the learning rate for each element, if not all have the same.
    rates: Option<Tensor>,
    decay: Decay,
    /// `[1]` or, if not all elements have the same, `[total]`.
    strength: Option<Tensor>,
    clip_norm: Option<f64>,
    clip_value: Option<f64>,
}

/// One update as a formula sees it: everything flat.
#[derive(Clone, Debug)]
pub struct Step {
    /// `[total]`: clipped, and with [`Decay::Gradient`] added.
    pub gradient: Tensor,
    /// `[total]`: the values before the update.
    pub parameters: Tensor,
    /// The learning rate, `[1]`, or `[total]` if groups have factors.
    pub rate: Tensor,
    /// Strength of the decoupled decay, `[1]` or `[total]`; `None` if there is none.
    pub decay: Option<Tensor>,
}

impl Step {
    /// The parameters after decoupled decay, `p - p lr w`.
    ///
    /// Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as PyTorch orders it.
    pub fn decayed(&self) -> Tensor {
        match &self.decay {
            Some(strength) => &self.parameters - &self.parameters * (strength * &self.rate),
            None => self.parameters.clone(),
        }
    }
}

impl Flat {
    /// Gathers the parameters. Lengths that larger powers of two divide come first, so that each begins at a multiple of
    /// its own length's power of two and vector loads stay aligned. `name` begins the names of all its variables.
    ///
    /// # Errors
    /// If there are none to train, one is given twice, types or devices differ, a number is out of range, or memory cannot
    /// be had.
    pub fn new(name: &'static str, parameters: impl Into<Groups>, rate: f64) -> Result<Flat> {
        Flat::with_first(name, parameters.into(), rate, |_| false)
    }

    /// As [`Flat::new`]; parameters for which `first` holds lie before the others.
    pub(super) fn with_first(
        name: &'static str,
        groups: Groups,
        rate: f64,
        first: impl Fn(&Var) -> bool,
    ) -> Result<Flat> {
        let fail = |message: String| Error::data(name, message);
        let parameters = &groups.parameters;
        let Some(one) = parameters.first() else {
            return Err(fail("there are no parameters to train; give it `model.parameters()`".into()));
        };
        for (i, var) in parameters.iter().enumerate() {
            if var.dtype() != DType::F32 {
                return Err(fail(format!("parameter '{}' is {}; optimizers train f32", var.name(), var.dtype())));
            }
            if var.device() != one.device() {
                let places =
                    format!("'{}' is on {} and '{}' on {}", one.name(), one.device(), var.name(), var.device());
                return Err(fail(format!("{places}; make the whole model on one device")));
            }
            if parameters[..i].iter().any(|other| other.id() == var.id()) {
                return Err(fail(format!("parameter '{}' is given twice; give each variable once", var.name())));
            }
            not_negative(name, &format!("the rate factor of '{}'", var.name()), groups.treatment[i].rate)?;
        }
        not_negative(name, "the learning rate", rate)?;
        let mut order: Vec<usize> = (0..parameters.len()).filter(|&i| !groups.treatment[i].frozen).collect();
        if order.is_empty() {
            return Err(fail("all parameters are frozen; leave some to train".into()));
        }
        // Equal shapes lie together: what works on matrices takes them as one batch.
        order.sort_by_key(|&i| {
            let var = &parameters[i];
            (!first(var), Reverse(var.len().trailing_zeros()), var.shape().to_vec())
        });
        let sorted: Vec<Var> = order.iter().map(|&i| parameters[i].clone()).collect();
        let device = one.device();
        let all = Var::gather(format!("{name}.parameters"), &sorted)?;
        let rate = Var::try_new(format!("{name}.learning_rate"), &Tensor::full(&[1], rate, DType::F32, &device))?;
        let mut flat = Flat {
            name,
            all,
            rate,
            groups,
            order,
            rates: None,
            decay: Decay::None,
            strength: None,
            clip_norm: None,
            clip_value: None,
        };
        if flat.groups.treatment.iter().any(|group| group.rate != 1.0) {
            flat.rates = Some(flat.spread(|_, group| group.rate)?);
        }
        Ok(flat)
    }

    /// Pulls weights towards 0.
    ///
    /// # Errors
    /// If a strength is negative or not finite, or a group has a strength but `decay` does not say how to apply it.
    pub fn with_decay(mut self, decay: Decay) -> Result<Flat> {
        let own = self.groups.treatment.iter().any(|group| group.decay.is_some());
        let (Decay::Gradient(w) | Decay::All(w) | Decay::Matrices(w)) = decay else {
            let message = "a group has its own decay but the optimizer has none; say how it is applied, for example \
                           Decay::All(0.0)";
            return if own { Err(Error::data(self.name, message)) } else { Ok(self) };
        };
        not_negative(self.name, "weight decay", w)?;
        for group in &self.groups.treatment {
            not_negative(self.name, "the weight decay of a group", group.decay.unwrap_or(w))?;
        }
        let matrices = matches!(decay, Decay::Matrices(_));
        let of = |var: &Var, group: &Group| match group.decay {
            Some(own) => own,
            None if matrices && var.shape().len() < 2 => 0.0,
            None => w,
        };
        self.strength = match (own || matrices, w > 0.0) {
            (true, _) => Some(self.spread(of)?),
            (false, true) => Some(Tensor::full(&[1], w, DType::F32, &self.all.device())),
            (false, false) => None,
        };
        self.decay = decay;
        Ok(self)
    }

    /// Limits gradients: their norm over all parameters, each element, or both (elements first).
    ///
    /// # Errors
    /// If a limit is not above 0.
    pub fn with_clipping(mut self, norm: Option<f64>, value: Option<f64>) -> Result<Flat> {
        for (what, limit) in [("norm", norm), ("value", value)] {
            if limit.is_some_and(|limit| limit.is_nan() || limit <= 0.0) {
                let message = format!("gradients clipped to the {what} {limit:?}; it must be above 0");
                return Err(Error::data(self.name, message));
            }
        }
        (self.clip_norm, self.clip_value) = (norm, value);
        Ok(self)
    }

    /// All parameters that are trained, `[total]`.
    #[must_use]
    pub fn all(&self) -> &Var {
        &self.all
    }

    /// The learning rate, one f32.
    #[must_use]
    pub fn rate(&self) -> &Var {
        &self.rate
    }

    /// Parameters that are trained, and where each lies in [`Flat::all`].
    pub fn stretches(&self) -> impl Iterator<Item = (&Var, Range<usize>)> {
        let mut end = 0;
        self.order.iter().map(move |&i| {
            let var = &self.groups.parameters[i];
            let start = end;
            end += var.len();
            (var, start..end)
        })
    }

    /// A variable of zeros for moments, one number per trained element.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn zeros(&self, name: &str) -> Result<Var> {
        self.zeros_of(name, self.all.len())
    }

    pub(super) fn zeros_of(&self, name: &str, len: usize) -> Result<Var> {
        Var::try_new(format!("{}.{name}", self.name), &Tensor::zeros(&[len], &self.all.device()))
    }

    /// A constant per parameter, one number per element of the storage.
    fn spread(&self, value: impl Fn(&Var, &Group) -> f64) -> Result<Tensor> {
        let mut values = Vec::with_capacity(self.all.len());
        for &i in &self.order {
            let var = &self.groups.parameters[i];
            values.resize(values.len() + var.len(), value(var, &self.groups.treatment[i]) as f32);
        }
        Tensor::try_from_slice(&values, &[self.all.len()], &self.all.device())
    }

    /// All gradients but those of frozen parameters, `[total]`; see [`super::Optimizer::flatten`].
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters.
    #[track_caller]
    pub fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        let count = self.groups.parameters.len();
        assert!(gradients.len() == count, "update: {} gradients for {count} parameters", gradients.len());
        let mut parts = Vec::with_capacity(count);
        // A loop: inside of a closure the caller's line would be lost.
        for &i in &self.order {
            parts.push(flattened(&self.groups.parameters[i], &gradients[i]));
        }
        Tensor::cat(&parts, 0)
    }

    /// What an update begins with: the values, the gradient clipped and decayed as configured.
    ///
    /// # Panics
    /// If the gradient is not `[total]`.
    #[must_use]
    #[track_caller]
    pub fn begin(&self, gradient: &Tensor) -> Step {
        let (mut gradient, parameters) = (self.clipped(gradient), self.all.get());
        let mut decay = self.strength.clone();
        if let (Decay::Gradient(_), Some(strength)) = (self.decay, &decay) {
            gradient = gradient + &parameters * strength;
            decay = None;
        }
        let rate = self.rate.get();
        let rate = self.rates.as_ref().map_or(rate.clone(), |each| each * &rate);
        Step { gradient, parameters, rate, decay }
    }

    /// Clipping by norm multiplies by `min(1, norm / (|g| + 1e-6))`. Source: PyTorch's `clip_grad_norm_`, `clip_grad_value_`.
    fn clipped(&self, gradient: &Tensor) -> Tensor {
        let mut g = gradient.clone();
        if let Some(value) = self.clip_value {
            g = g.clamp(-value, value);
        }
        if let Some(norm) = self.clip_norm {
            let scale = (((&g * &g).sum(..).sqrt() + 1e-6).recip() * norm).clamp(0.0, 1.0);
            g = g * scale;
        }
        g
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
