//! Optimizers. All parameters lie flat in one storage, and so do gradients and moments, in the same order: an update is
//! a handful of kernels over all of them, whatever their number.
//!
//! An optimizer works on the trace: `update` reads and assigns variables, which takes effect when the program runs.
//! Formulas are PyTorch's where it has them; the learning rate is a variable, so that a schedule changes it between steps
//! without a new trace. What all share (groups, frozen parameters, decay, clipping) is in [`Flat`]; a new optimizer is a
//! formula over three tensors.

mod adagrad;
mod adam;
mod adan;
mod clock;
mod finder;
mod flat;
mod groups;
mod lamb;
mod lion;
mod muon;
mod rmsprop;
pub mod schedule;
mod sgd;

pub use adagrad::{Adagrad, AdagradConfig};
pub use adam::{Adam, AdamConfig};
pub use adan::{Adan, AdanConfig};
pub use finder::{RateFinder, Sweep};
pub use flat::{Flat, Step};
pub use groups::{Decay, Group, Groups};
pub use lamb::{Lamb, LambConfig};
pub use lion::{Lion, LionConfig};
pub use muon::{Muon, MuonConfig, MuonScale};
pub use rmsprop::{RmsProp, RmsPropConfig};
pub use schedule::{Rate, Schedule, warmup_cosine};
pub use sgd::{Sgd, SgdConfig};

use anygrad_core::{Result, Tensor, Var};

/// Moves parameters against their gradients.
///
/// [`Optimizer::update`] is all that a simple loop needs. It is [`Optimizer::flatten`] and [`Optimizer::apply`]; between the two
/// a trainer may average gradients of several batches, unscale them, or look whether they are finite.
///
/// An optimizer of your own is a [`Flat`], its moments, and one formula:
///
/// ```
/// # use anygrad_core::{Result, Tensor, Var};
/// use anygrad_trainers::optim::{Flat, Optimizer};
///
/// struct SignDescent(Flat);
///
/// impl Optimizer for SignDescent {
///     fn flat(&self) -> &Flat {
///         &self.0
///     }
///     fn apply(&self, gradient: &Tensor) {
///         let step = self.0.begin(gradient);
///         self.0.all().assign(&(step.decayed() - step.gradient.sign() * &step.rate));
///     }
///     fn moments(&self) -> Vec<Var> {
///         Vec::new()
///     }
/// }
/// ```
pub trait Optimizer {
    /// The parameters, flat, and the learning rate.
    fn flat(&self) -> &Flat;

    /// Assigns all parameters and moments their next values; `gradient`: `[total]`, clipped here if that was asked for.
    #[track_caller]
    fn apply(&self, gradient: &Tensor);

    /// All that must be saved to resume, beside parameters and learning rate: moments, step counters. Names are stable.
    fn moments(&self) -> Vec<Var>;

    /// All gradients as one tensor `[total]`, in the order in which the parameters lie in [`Optimizer::all`]; those of frozen
    /// parameters are left out (and, as nobody reads them, not computed).
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters given to the constructor.
    #[track_caller]
    fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        self.flat().flatten(gradients)
    }

    /// Assigns each parameter its next value; `gradients` in the order of the parameters given to the constructor.
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters.
    #[track_caller]
    fn update(&self, gradients: &[Tensor]) {
        self.apply(&self.flatten(gradients));
    }

    /// All parameters that are not frozen, `[total]`.
    fn all(&self) -> &Var {
        self.flat().all()
    }

    /// The learning rate's variable, one f32.
    fn learning_rate(&self) -> &Var {
        self.flat().rate()
    }

    /// All that must be saved to resume, beside the parameters: moments, step counter, learning rate. Names are stable.
    fn state(&self) -> Vec<Var> {
        let mut state = self.moments();
        state.push(self.learning_rate().clone());
        state
    }

    /// Another learning rate, from the next run on.
    ///
    /// # Errors
    /// If the device fails.
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        self.learning_rate().write(&[rate as f32])
    }
}

/// What a constructor without configuration does with an error.
#[track_caller]
fn expect<T>(made: Result<T>) -> T {
    match made {
        Ok(made) => made,
        Err(error) => panic!("{error}"),
    }
}
