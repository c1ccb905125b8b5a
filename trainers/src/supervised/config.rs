//! What a supervised run does, as plain fields with defaults.

use std::path::PathBuf;

use anygrad_core::{Error, Result};

use crate::data::Order;

/// Settings of a run; every field has a method of its name on [`super::Supervised`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How often to go through the training data; 1.
    pub epochs: usize,
    /// Rows per batch; 64. Rows that do not fill a batch are left out of their epoch (another order, so other rows, in each).
    pub batch: usize,
    /// Which rows an epoch has, and in which order; shuffled. [`Order::balanced`] shows rare classes as often as others.
    pub order: Order,
    /// The most batches of an epoch; none. An epoch of a very long text, say, is as long as one likes.
    pub batches: Option<usize>,
    /// Threads that read batches ahead of the one that trains; 0: each is read when it is needed. (A GPU computes meanwhile
    /// anyway, so they pay where reading takes longer than a step: images that are decoded, changes on the host.)
    pub workers: usize,
    /// Decides the order of the rows; 0. Random numbers on the device follow [`anygrad_core::Device::seed`].
    pub seed: u64,
    /// Batches whose gradients are averaged for one update; 1. What is left at an epoch's end makes an update, too.
    pub accumulate: usize,
    /// Limits each number of the gradient to `-x..=x`; none. (Optimizers clip by the norm.)
    pub clip_value: Option<f64>,
    /// Keeps a moving average of the parameters, `average = decay average + (1 - decay) parameters` after each update, which
    /// evaluates during the run and is what the model holds at its end; none. 0.999 is usual.
    pub ema: Option<f64>,
    /// In which precision products are computed; f32.
    pub precision: Precision,
    /// The most bytes that a training step may take (`Memory::peak`); none. If it would take more, activations are computed
    /// again for the gradients instead of being kept; if that is not enough, an error before training says what is.
    pub memory_budget: Option<u64>,
    /// What to do when a loss or gradient is not finite; stop.
    pub non_finite: NonFinite,
    /// Whether the error about such a step names the first operation that was not finite (runs the step again); false.
    pub name_non_finite: bool,
    /// Which number decides what is best: early stopping, the best checkpoint, the report.
    pub monitor: Monitor,
    /// Ends the run when the monitored number gets no better; none.
    pub early_stopping: Option<EarlyStopping>,
    /// Where and when to save the whole state; nowhere. A run that finds checkpoints there goes on from the newest.
    pub checkpoints: Option<Checkpoints>,
    /// Listeners are told of the loss every so many updates (each time the host waits for the device once); 50. 0: never.
    pub report_every: u64,
    /// Rows per batch of evaluation and prediction; 256. Changes speed and memory only.
    pub evaluation_batch: usize,
    /// Shows a progress bar, or a line per epoch when nobody looks on; true.
    pub progress: bool,
    /// Takes Ctrl-C as a request to finish the step, save and return; true.
    pub catch_interrupt: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            epochs: 1,
            batch: 64,
            order: Order::Shuffled,
            batches: None,
            workers: 0,
            seed: 0,
            accumulate: 1,
            clip_value: None,
            ema: None,
            precision: Precision::Full,
            memory_budget: None,
            non_finite: NonFinite::Stop,
            name_non_finite: false,
            monitor: Monitor::default(),
            early_stopping: None,
            checkpoints: None,
            report_every: 50,
            evaluation_batch: 256,
            progress: true,
            catch_interrupt: true,
        }
    }
}

/// How products (linear layers, convolutions, attention) are computed; parameters and all else are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Precision {
    /// In f32.
    #[default]
    Full,
    /// Operands in f16, sums in f32, the loss scaled so that small gradients do not vanish.
    Mixed(LossScale),
}

/// Dynamic scaling of the loss, all of it on the device. Source: PyTorch's `torch.amp.GradScaler`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// The first factor; 65,536. It is halved when a gradient overflows (that update is skipped), down to 1.
    pub initial: f64,
    /// Doubled after so many updates without an overflow; 2,000.
    pub growth: u32,
}

impl Default for LossScale {
    fn default() -> LossScale {
        LossScale { initial: 65536.0, growth: 2000 }
    }
}

/// What to do when a loss or a gradient is NaN or infinite. But for `Ignore`, no parameter ever takes such a number: the
/// device itself skips the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum NonFinite {
    /// End with an error that names the step and, if that is the cause, the row of the data; parameters are those before it.
    #[default]
    Stop,
    /// Leave the update out and go on; the epoch's warning counts them.
    Skip,
    /// Go back to the last checkpoint with learning rates multiplied by `factor`; an error after `attempts` times.
    RollBack {
        /// Above 0 and below 1.
        factor: f64,
        /// How often in one run.
        attempts: usize,
    },
    /// Do not look.
    Ignore,
}

/// A number of each epoch, and whether less or more of it is better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// `valid.loss`, `loss`, `valid.` and a metric's name, ..; empty: `valid.loss`, without validation data `loss`.
    pub name: String,
    /// Which way is better.
    pub mode: Mode,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Less is.
    #[default]
    Min,
    /// More is.
    Max,
}

impl Default for Monitor {
    fn default() -> Monitor {
        Monitor { name: String::new(), mode: Mode::Min }
    }
}

impl Mode {
    /// Whether `new` is better than `best` by more than `delta`. NaN never is.
    pub(super) fn improves(self, new: f64, best: f64, delta: f64) -> bool {
        match self {
            Mode::Min => new < best - delta,
            Mode::Max => new > best + delta,
        }
    }
}

/// When to stop before the last epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// So many epochs in a row without a better number end the run; 5.
    pub patience: usize,
    /// Better by less than this is not better; 0.
    pub min_delta: f64,
    /// Whether the model has the best epoch's weights at the end; true. (It keeps a copy of them on the device.)
    pub restore_best: bool,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping { patience: 5, min_delta: 0.0, restore_best: true }
    }
}

/// Where and when to save the whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The directory; it is made if it is missing.
    pub directory: PathBuf,
    /// Save after every so many epochs; 1. The end of a run is always saved.
    pub every_epochs: usize,
    /// Save after every so many updates as well; none.
    pub every_steps: Option<u64>,
    /// How many of the last are kept; 2, so that one remains if the other is damaged.
    pub keep_last: usize,
    /// Whether the best epoch's is kept, however old; true.
    pub keep_best: bool,
}

impl Checkpoints {
    /// After each epoch, in this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints { directory: directory.into(), every_epochs: 1, every_steps: None, keep_last: 2, keep_best: true }
    }
}

impl Config {
    /// An error for the first setting that makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        let fail = |what: &str, message: String| Err(Error::data(format!("supervised: {what}"), message));
        for (what, number) in [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("batches", self.batches.unwrap_or(1)),
            ("accumulate", self.accumulate),
            ("evaluation_batch", self.evaluation_batch),
        ] {
            if number == 0 {
                return fail(what, "it is 0; it must be at least 1".into());
            }
        }
        if let Some(decay) = self.ema
            && !(0.0..1.0).contains(&decay)
        {
            return fail("ema", format!("the decay is {decay}; it must be at least 0 and below 1"));
        }
        if let Some(limit) = self.clip_value
            && (limit.is_nan() || limit <= 0.0)
        {
            return fail("clip_value", format!("it is {limit}; it must be above 0"));
        }
        if let Some(stopping) = &self.early_stopping
            && (stopping.patience == 0 || stopping.min_delta.is_nan() || stopping.min_delta < 0.0)
        {
            return fail("early_stopping", format!("{stopping:?}: patience is at least 1, min_delta not negative"));
        }
        if let Some(checkpoints) = &self.checkpoints
            && (checkpoints.every_epochs == 0 || checkpoints.every_steps == Some(0) || checkpoints.keep_last == 0)
        {
            return fail("checkpoints", format!("{checkpoints:?}: its numbers are at least 1"));
        }
        if let Precision::Mixed(scale) = self.precision {
            if !(scale.initial >= 1.0 && scale.initial.is_finite()) || scale.growth == 0 {
                return fail("precision", format!("{scale:?}: the factor is at least 1, so is growth"));
            }
            if self.non_finite == NonFinite::Ignore {
                return fail(
                    "non_finite",
                    "mixed precision must look for overflows; choose another than `Ignore`".into(),
                );
            }
        }
        if let NonFinite::RollBack { factor, .. } = self.non_finite {
            if !(factor > 0.0 && factor < 1.0) {
                return fail("non_finite", format!("the factor is {factor}; it must be above 0 and below 1"));
            }
            if self.checkpoints.is_none() {
                return fail("non_finite", "rolling back needs `checkpoints`; name a directory".into());
            }
        }
        Ok(())
    }
}
