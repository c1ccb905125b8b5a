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
pub use schedule::warmup_cosine;
pub use sgd::{Sgd, SgdConfig};

use anygrad_core::{Result, Tensor, Var};

/// Moves parameters against their gradients.
pub trait Optimizer {
    /// Assigns each parameter its next value; `gradients` in the order of the parameters given to the constructor.
    ///
    /// # Panics
    /// If number or shapes of the gradients are not those of the parameters.
    fn update(&self, gradients: &[Tensor]);

    /// The learning rate's variable, one f32.
    fn learning_rate(&self) -> &Var;

    /// All that must be saved to resume: moments, step counter, learning rate.
    fn state(&self) -> Vec<Var>;

    /// Another learning rate, from the next run on.
    ///
    /// # Errors
    /// If the device fails.
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        self.learning_rate().write(&[rate as f32])
    }
}
