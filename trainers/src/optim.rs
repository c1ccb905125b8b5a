//! Optimizers. All parameters lie flat in one storage, and so do gradients and moments, in the same order: an update is
//! one elementwise expression over all of them, whatever their number.
//!
//! An optimizer works on the trace: `update` reads and assigns variables, which takes effect when the program runs.
//! Formulas are PyTorch's; the learning rate is a variable, so that a schedule changes it between steps without a new trace.

mod adam;
mod flat;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamConfig, Decay};
pub use schedule::{Rate, Schedule, warmup_cosine};
pub use sgd::{Sgd, SgdConfig};

use anygrad_core::{Result, Tensor, Var};

/// Moves parameters against their gradients.
///
/// [`Optimizer::update`] is all that a simple loop needs. It is [`Optimizer::flatten`] and [`Optimizer::apply`]; between the two
/// a trainer may average gradients of several batches, unscale them, or look whether they are finite.
pub trait Optimizer {
    /// All gradients as one tensor `[total]`, in the order in which the parameters lie in [`Optimizer::all`].
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters given to the constructor.
    #[track_caller]
    fn flatten(&self, gradients: &[Tensor]) -> Tensor;

    /// Assigns all parameters and moments their next values; `gradient`: `[total]`, clipped here if that was asked for.
    #[track_caller]
    fn apply(&self, gradient: &Tensor);

    /// Assigns each parameter its next value; `gradients` in the order of the parameters given to the constructor.
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters.
    #[track_caller]
    fn update(&self, gradients: &[Tensor]) {
        self.apply(&self.flatten(gradients));
    }

    /// All parameters, `[total]`.
    fn all(&self) -> &Var;

    /// The learning rate's variable, one f32.
    fn learning_rate(&self) -> &Var;

    /// All that must be saved to resume, beside the parameters: moments, step counter, learning rate. Names are stable.
    fn state(&self) -> Vec<Var>;

    /// Another learning rate, from the next run on.
    ///
    /// # Errors
    /// If the device fails.
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        self.learning_rate().write(&[rate as f32])
    }
}
