//! [`Supervised`]: a trainer for models that map inputs to outputs which a loss compares with targets.
//!
//! ```
//! use anygrad_core::nn::Linear;
//! use anygrad_core::{Tensor, testing};
//! use anygrad_trainers::data::Resident;
//! use anygrad_trainers::supervised::Supervised;
//!
//! let device = testing::device();
//! let x = Tensor::randn(&[64, 3], &device);
//! let y = x.sum(1).reshape([64, 1]);
//! let (x, y) = (x.realize()?.clone(), y.realize()?.clone());
//! let data = Resident::new(x, y)?;
//! let net = Linear::new(3, 1, &device);
//! let report = Supervised::new(&net, Tensor::mse_loss).epochs(3).batch(16).fit(&data, &data)?;
//! assert!(report.history[2].get("loss") < report.history[0].get("loss"));
//! # Ok::<(), anygrad_core::Error>(())
//! ```
//!
//! A model is anything with [`Layer::forward`]; one with another function is given by [`Supervised::with`]. All that a step
//! does, from augmentation to the average of weights, is one program; the host reads nothing but sums, every
//! [`Config::report_every`] updates and at the end of epochs. With [`Supervised::checkpoints`] a run that was killed goes on
//! exactly: same device, same data, same bits.

mod config;
mod diagnose;
mod feed;
mod report;
mod run;
mod state;
mod step;

use std::rc::Rc;

use anygrad_core::nn::{Layer, Module, Visitor};
use anygrad_core::{Error, Program, Result, Tensor};

pub use config::{Checkpoints, Config, EarlyStopping, LossScale, Mode, Monitor, NonFinite, Precision};
pub use report::{Epoch, Fit, Reason, Scores};

use crate::data::{Dataset, Order, Pass};
use crate::events::Listener;
use crate::metrics::Metric;
use crate::optim::{Adam, Optimizer, Schedule};
use feed::Source;
use step::{Augment, Parts, Programs, Score};

/// Trains, evaluates and applies a model.
pub struct Supervised<'a, M> {
    /// The settings; the methods of the same names change them.
    pub config: Config,
    model: Rc<M>,
    loss: Score<'a>,
    metrics: Vec<(String, Score<'a>)>,
    augment: Option<Augment<'a>>,
    optimizer: Option<Rc<dyn Optimizer + 'a>>,
    schedule: Option<Box<dyn Schedule + 'a>>,
    listeners: Vec<Box<dyn Listener + 'a>>,
    programs: Option<Programs<'a>>,
}

/// A module with a function that applies it: made by [`Supervised::with`].
#[derive(Clone, Copy, Debug)]
pub struct Applied<M, F> {
    module: M,
    function: F,
}

impl<M: Module, F> Module for Applied<M, F> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.module.visit(visitor);
    }
}

impl<M: Module, F: Fn(&M, &Tensor) -> Tensor> Layer for Applied<M, F> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        (self.function)(&self.module, x)
    }
}

impl<'a, M: Module + 'a, F: Fn(&M, &Tensor) -> Tensor + 'a> Supervised<'a, Applied<M, F>> {
    /// A trainer for a module that `function` applies: `Supervised::with(&net, |net, x| net.forward(x), Tensor::cross_entropy)`.
    pub fn with(module: M, function: F, loss: impl Fn(&Tensor, &Tensor) -> Tensor + 'a) -> Self {
        Supervised::new(Applied { module, function }, loss)
    }
}

impl<'a, M: Layer + 'a> Supervised<'a, M> {
    /// A trainer for a model and a loss of `(output, target)`, one number, the mean over the batch: `Tensor::cross_entropy`,
    /// `Tensor::mse_loss`, a closure. The optimizer is Adam with rate 0.001 unless [`Supervised::optimizer`] names another.
    pub fn new(model: M, loss: impl Fn(&Tensor, &Tensor) -> Tensor + 'a) -> Self {
        Supervised {
            config: Config::default(),
            model: Rc::new(model),
            loss: Rc::new(loss),
            metrics: Vec::new(),
            augment: None,
            optimizer: None,
            schedule: None,
            listeners: Vec::new(),
            programs: None,
        }
    }

    /// All settings at once.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How often to go through the training data.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.epochs = epochs;
        self
    }

    /// Rows per batch.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.config.batch = batch;
        self
    }

    /// Which rows an epoch has, and in which order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.config.order = order;
        self
    }

    /// The most batches of an epoch.
    #[must_use]
    pub fn batches(mut self, most: usize) -> Self {
        self.config.batches = Some(most);
        self
    }

    /// Threads that read batches ahead; see [`Config::workers`].
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Self {
        self.config.workers = threads;
        self
    }

    /// Decides the order of the rows.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Batches whose gradients are averaged for one update.
    #[must_use]
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.config.accumulate = batches;
        self
    }

    /// Limits each number of the gradient to `-limit..=limit`.
    #[must_use]
    pub fn clip_value(mut self, limit: f64) -> Self {
        self.config.clip_value = Some(limit);
        self
    }

    /// Keeps a moving average of the parameters; see [`Config::ema`].
    #[must_use]
    pub fn ema(mut self, decay: f64) -> Self {
        self.config.ema = Some(decay);
        self
    }

    /// In which precision products are computed.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.config.precision = precision;
        self
    }

    /// The most bytes that a training step may take; see [`Config::memory_budget`].
    #[must_use]
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.config.memory_budget = Some(bytes);
        self
    }

    /// What to do when a loss or gradient is not finite.
    #[must_use]
    pub fn non_finite(mut self, action: NonFinite) -> Self {
        self.config.non_finite = action;
        self
    }

    /// The error about a step that is not finite names the first operation that was not.
    #[must_use]
    pub fn name_non_finite(mut self) -> Self {
        self.config.name_non_finite = true;
        self
    }

    /// Which number decides what is best: `valid.loss`, `valid.accuracy`, ..
    #[must_use]
    pub fn monitor(mut self, name: &str, mode: Mode) -> Self {
        self.config.monitor = Monitor { name: name.to_string(), mode };
        self
    }

    /// Ends the run when the monitored number gets no better.
    #[must_use]
    pub fn early_stopping(mut self, stopping: EarlyStopping) -> Self {
        self.config.early_stopping = Some(stopping);
        self
    }

    /// Saves the whole state there, and goes on from the newest state that is there; `None`: nowhere.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: impl Into<Option<Checkpoints>>) -> Self {
        self.config.checkpoints = checkpoints.into();
        self
    }

    /// Shows nothing.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.config.progress = false;
        self
    }

    /// The optimizer; made for this model's `parameters()`.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'a) -> Self {
        self.optimizer = Some(Rc::new(optimizer));
        self.programs = None;
        self
    }

    /// Learning rates by the number of the update; without one the optimizer's own rate stays.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'a) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// A number to be known of training and validation: a function of `(output, target)`, one number, the mean over the batch.
    #[must_use]
    pub fn metric(mut self, name: &str, metric: impl Fn(&Tensor, &Tensor) -> Tensor + 'a) -> Self {
        self.metrics.push((name.to_string(), Rc::new(metric)));
        self.programs = None;
        self
    }

    /// Changes inputs and targets of each training batch, on the device, as part of the step: flips, crops, noise, mixup.
    #[must_use]
    pub fn augment(mut self, augment: impl Fn(Tensor, Tensor) -> (Tensor, Tensor) + 'a) -> Self {
        self.augment = Some(Rc::new(augment));
        self.programs = None;
        self
    }

    /// Someone who is told what happens.
    #[must_use]
    pub fn listen(mut self, listener: impl Listener + 'a) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Trains, and evaluates on `valid` after each epoch. With checkpoints it goes on where the last run ended.
    ///
    /// # Errors
    /// If a setting makes no sense; a data set is empty, smaller than a batch, or holds numbers that make the loss NaN (the
    /// error names the row); a checkpoint does not fit or cannot be written; a listener or the device fails.
    pub fn fit(
        &mut self,
        train: &(impl Dataset + Sync + ?Sized),
        valid: &(impl Dataset + Sync + ?Sized),
    ) -> Result<Fit> {
        let device = self.programs()?.parts.device.clone();
        let read = |rows: &[u32], pass: Pass| train.read(rows, pass, &device);
        let read_valid = |rows: &[u32], pass: Pass| valid.read(rows, pass, &device);
        let valid = Source { len: valid.len(), read: &read_valid };
        run::fit(self, &Source { len: train.len(), read: &read }, Some(&valid))
    }

    /// Trains without validation.
    ///
    /// # Errors
    /// As [`Supervised::fit`].
    pub fn fit_alone(&mut self, train: &(impl Dataset + Sync + ?Sized)) -> Result<Fit> {
        let device = self.programs()?.parts.device.clone();
        let read = |rows: &[u32], pass: Pass| train.read(rows, pass, &device);
        run::fit(self, &Source { len: train.len(), read: &read }, None)
    }

    /// Mean loss and metrics over all rows, of the model as it is now.
    ///
    /// # Errors
    /// If there are no rows, or the device fails.
    pub fn evaluate(&mut self, data: &(impl Dataset + Sync + ?Sized)) -> Result<Scores> {
        let device = self.programs()?.parts.device.clone();
        let read = |rows: &[u32], pass: Pass| data.read(rows, pass, &device);
        run::evaluate(self.programs()?, &Source { len: data.len(), read: &read })
    }

    /// Adds the model's outputs for all rows to a metric, such as the confusion matrix of [`crate::metrics::Classification`].
    ///
    /// # Errors
    /// As [`Supervised::evaluate`].
    pub fn measure(&mut self, data: &(impl Dataset + Sync + ?Sized), metric: &dyn Metric) -> Result<()> {
        let programs = self.programs()?;
        let parts = programs.parts.clone();
        let mut update = Program::inference(&parts.device, |(x, y): (Tensor, Tensor)| {
            metric.update(&parts.model.forward(&x), &y);
        });
        let device = parts.device.clone();
        let read = |rows: &[u32], pass: Pass| data.read(rows, pass, &device);
        feed::each_batch(&parts.config, &Source { len: data.len(), read: &read }, |batch| update.run(batch))
    }

    /// The model's output for a batch of inputs.
    ///
    /// # Errors
    /// If the device fails.
    pub fn predict(&mut self, x: &Tensor) -> Result<Tensor> {
        self.programs()?.predict(x.clone())
    }

    /// The programs, made anew if the settings changed.
    fn programs(&mut self) -> Result<&mut Programs<'a>> {
        self.config.check()?;
        if self.programs.as_ref().is_some_and(|programs| programs.parts.config != self.config) {
            self.programs = None;
        }
        if self.programs.is_none() {
            let parameters = self.model.parameters();
            let Some(first) = parameters.first() else {
                return Err(Error::data("supervised", "the model has no parameters to train"));
            };
            let device = first.device();
            if self.config.precision != Precision::Full && !device.supports(anygrad_core::DType::F16) {
                return Err(Error::Unsupported {
                    what: "mixed precision (f16)".into(),
                    device: device.name(),
                    instead: "leave `precision` at `Full`".into(),
                });
            }
            let optimizer = match &self.optimizer {
                Some(optimizer) => optimizer.clone(),
                None => {
                    let adam: Rc<dyn Optimizer + 'a> = Rc::new(Adam::with(parameters.clone(), Default::default())?);
                    self.optimizer.insert(adam).clone()
                }
            };
            self.programs = Some(Programs::new(Parts::new(
                self.model.clone(),
                self.loss.clone(),
                self.metrics.clone(),
                self.augment.clone(),
                optimizer,
                parameters,
                self.config.clone(),
                device,
            )?));
        }
        self.programs.as_mut().ok_or_else(|| Error::Program("no programs".into()))
    }
}

impl<M> std::fmt::Debug for Supervised<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervised").field("config", &self.config).finish_non_exhaustive()
    }
}
