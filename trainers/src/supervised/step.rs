//! The programs of a supervised run: one step with everything that belongs to it, evaluation, and the exchange of weights.
//!
//! All sums, counters, flags and the loss scale are variables on the device, so that a step is one submission from which the
//! host reads nothing. A step whose numbers are not finite takes itself back ([`trace::commit_if`]).

use std::rc::Rc;

use anygrad_core::nn::Layer;
use anygrad_core::{DType, Device, Memory, Program, Result, Tensor, Var, trace};

use super::config::{Config, NonFinite, Precision};
use crate::optim::Optimizer;

/// A function of predictions and targets.
pub(super) type Score<'a> = Rc<dyn Fn(&Tensor, &Tensor) -> Tensor + 'a>;
/// A change of inputs and targets.
pub(super) type Augment<'a> = Rc<dyn Fn(Tensor, Tensor) -> (Tensor, Tensor) + 'a>;

/// Places in the tally, before those of the metrics.
const LOSS: usize = 0;
const ROWS: usize = 1;
const BAD: usize = 2;
const FIRST: usize = 3;
const COUNT: usize = 4;
const OVERFLOWS: usize = 5;
const METRICS: usize = 6;

/// The shape of a number.
const NO_AXES: [isize; 0] = [];

/// What the programs are made of; their closures share it.
pub(super) struct Parts<'a> {
    pub(super) model: Rc<dyn Layer + 'a>,
    pub(super) loss: Score<'a>,
    pub(super) metrics: Vec<(String, Score<'a>)>,
    pub(super) augment: Option<Augment<'a>>,
    pub(super) optimizer: Rc<dyn Optimizer + 'a>,
    pub(super) parameters: Vec<Var>,
    pub(super) config: Config,
    pub(super) device: Device,
    /// Sums of this epoch: see the places above.
    tally: Var,
    /// Sums of an evaluation: loss, rows, metrics.
    scores: Var,
    pub(super) average: Option<Var>,
    /// Sum of gradients of the window so far.
    sum: Option<Var>,
    /// Loss scale, and updates since it changed.
    scale: Option<Var>,
}

/// Sums that were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) loss: f64,
    pub(super) rows: f64,
    /// Updates that were not finite.
    pub(super) bad: u64,
    /// Number of the first batch in the epoch that was not.
    pub(super) first: Option<usize>,
    pub(super) overflows: u64,
    pub(super) metrics: Vec<f64>,
}

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its gradient is an update.
    Whole,
    /// Its gradient is added to the window's.
    Part,
    /// It ends a window of so many rows.
    Last(usize),
}

impl<'a> Parts<'a> {
    pub(super) fn new(
        model: Rc<dyn Layer + 'a>,
        loss: Score<'a>,
        metrics: Vec<(String, Score<'a>)>,
        augment: Option<Augment<'a>>,
        optimizer: Rc<dyn Optimizer + 'a>,
        parameters: Vec<Var>,
        config: Config,
        device: Device,
    ) -> Result<Parts<'a>> {
        let zeros = |name: &str, len: usize| Var::try_new(name, &Tensor::zeros(&[len], &device));
        let total = optimizer.all().len();
        let sum = if config.accumulate > 1 { Some(zeros("sum", total)?) } else { None };
        let average = if config.ema.is_some() { Some(zeros("average", total)?) } else { None };
        let scale = match config.precision {
            Precision::Full => None,
            Precision::Mixed(_) => Some(zeros("scale", 2)?),
        };
        let (tally, scores) = (zeros("tally", METRICS + metrics.len())?, zeros("scores", 2 + metrics.len())?);
        Ok(Parts {
            model,
            loss,
            metrics,
            augment,
            optimizer,
            parameters,
            config,
            device,
            tally,
            scores,
            average,
            sum,
            scale,
        })
    }

    /// Variables of its own that a checkpoint holds, named.
    pub(super) fn state(&self) -> Vec<(String, Var)> {
        let own = [("tally", Some(&self.tally)), ("average", self.average.as_ref()), ("scale", self.scale.as_ref())];
        own.into_iter().filter_map(|(name, var)| Some((format!("trainer/{name}"), var?.clone()))).collect()
    }

    /// What they are at the beginning of a run.
    pub(super) fn reset(&self) -> Result<()> {
        self.clear_tally()?;
        if let Some(average) = &self.average {
            average.write_bytes(&Var::read_all(std::slice::from_ref(self.optimizer.all()))?.concat())?;
        }
        if let Some(sum) = &self.sum {
            sum.write(&vec![0.0f32; sum.len()])?;
        }
        if let (Some(scale), Precision::Mixed(first)) = (&self.scale, self.config.precision) {
            scale.write(&[first.initial as f32, 0.0])?;
        }
        Ok(())
    }

    /// Begins the sums of an epoch.
    pub(super) fn clear_tally(&self) -> Result<()> {
        let mut zeros = vec![0.0f32; self.tally.len()];
        zeros[FIRST] = -1.0;
        self.tally.write(&zeros)
    }

    /// Reads the sums; waits for the device.
    pub(super) fn read_tally(&self) -> Result<Tally> {
        let all = floats(&self.tally)?;
        Ok(Tally {
            loss: all[LOSS],
            rows: all[ROWS],
            bad: all[BAD] as u64,
            first: (all[FIRST] >= 0.0).then_some(all[FIRST] as usize),
            overflows: all[OVERFLOWS] as u64,
            metrics: all[METRICS..].to_vec(),
        })
    }

    /// The loss scale, if there is one.
    pub(super) fn loss_scale(&self) -> Result<Option<f64>> {
        self.scale.as_ref().map(|scale| Ok(floats(scale)?[0])).transpose()
    }

    /// Predictions and loss of a batch, and the gradients (of the scaled loss).
    fn differentiate(&self, x: Tensor, y: Tensor) -> (Tensor, Tensor, Tensor, Vec<Tensor>) {
        let (x, y) = match &self.augment {
            Some(augment) => augment(x, y),
            None => (x, y),
        };
        let forward = || {
            let output = self.model.forward(&x);
            let loss = (self.loss)(&output, &y);
            let scaled = match &self.scale {
                Some(scale) => &loss * scale.get().narrow(0, 0, 1).reshape(NO_AXES),
                None => loss.clone(),
            };
            let gradients = scaled.gradients(&self.parameters);
            (output, y.clone(), loss, gradients)
        };
        match self.config.precision {
            Precision::Full => forward(),
            Precision::Mixed(_) => trace::with_products_in(DType::F16, forward),
        }
    }

    /// One batch of training, traced.
    fn step(&self, x: Tensor, y: Tensor, role: Role) {
        let rows = x.shape().first().copied().unwrap_or(1);
        let (output, y, loss, gradients) = self.differentiate(x, y);
        let mut gradient = self.optimizer.flatten(&gradients);
        let scale = self.scale.as_ref().map(Var::get);
        if let Some(scale) = &scale {
            gradient = gradient * scale.narrow(0, 0, 1).recip();
        }
        if let Some(sum) = &self.sum
            && role != Role::Whole
        {
            gradient = sum.get() + gradient * rows as f64;
        }
        let old = self.tally.get();
        let looks = self.config.non_finite != NonFinite::Ignore;
        let loss_is_finite = loss.is_finite();
        // After the first bad update of an epoch nothing changes any more, until the host has read that.
        let free = match self.config.non_finite {
            NonFinite::Stop | NonFinite::RollBack { .. } => Some(old.narrow(0, BAD, 1).reshape(NO_AXES).eq(0.0)),
            NonFinite::Skip | NonFinite::Ignore => None,
        };
        let and_free = |ok: &Tensor| free.as_ref().map_or(ok.clone(), |free| ok.logical_and(free));
        if role == Role::Part {
            if looks {
                trace::commit_if(&and_free(&loss_is_finite));
                // Whatever the gradient is, this window must not become an update.
                gradient = loss_is_finite.select(&gradient, f64::NAN);
            }
            if let Some(sum) = &self.sum {
                sum.assign(&gradient);
            }
            let bad = looks.then(|| loss_is_finite.logical_not());
            self.count(&old, &loss_is_finite, [None, bad.as_ref(), None], &loss, &output, &y, rows);
            return;
        }
        if let Role::Last(all) = role {
            gradient = gradient * (1.0 / all as f64);
        }
        let finite = looks.then(|| gradient.is_finite().all(..));
        if let Some(limit) = self.config.clip_value {
            gradient = gradient.clamp(-limit, limit);
        }
        self.optimizer.apply(&gradient);
        if let (Some(average), Some(decay)) = (&self.average, self.config.ema) {
            let parameters = self.optimizer.all().get();
            let old = average.get();
            average.assign(&(&old + (parameters - &old) * (1.0 - decay)));
        }
        // Of mixed precision: gradients that the scale made too large, which is no fault of the model.
        let mut overflow = None;
        let mut bad = None;
        if let Some(finite) = &finite {
            let good = loss_is_finite.logical_and(finite);
            bad = Some(match &scale {
                None => good.logical_not(),
                Some(scale) => {
                    let lowest = scale.narrow(0, 0, 1).reshape(NO_AXES).le(1.0);
                    overflow =
                        Some(loss_is_finite.logical_and(&finite.logical_not()).logical_and(&lowest.logical_not()));
                    loss_is_finite.logical_not().logical_or(&finite.logical_not().logical_and(&lowest))
                }
            });
            trace::commit_if(&and_free(&good));
        }
        if let (Some(sum), Role::Last(_)) = (&self.sum, role) {
            sum.assign(&sum.get().zeros_like());
        }
        if let (Some(var), Some(scale), Some(finite), Precision::Mixed(settings)) =
            (&self.scale, &scale, &finite, self.config.precision)
        {
            let (factor, since) =
                (scale.narrow(0, 0, 1).reshape(NO_AXES), scale.narrow(0, 1, 1).reshape(NO_AXES) + 1.0);
            let due = since.ge(f64::from(settings.growth));
            let grown = due.select(&(&factor * 2.0), &factor);
            let next = finite.select(&grown, (&factor * 0.5).maximum(1.0));
            let since = finite.select(due.select(0.0, &since), 0.0);
            var.assign(&row(&[&next, &since], &self.device));
        }
        self.count(&old, &loss_is_finite, [bad.as_ref(), bad.as_ref(), overflow.as_ref()], &loss, &output, &y, rows);
    }

    /// Adds a batch to the tally; `flags`: whether the update is bad, whether the batch is, whether it overflowed.
    fn count(
        &self,
        old: &Tensor,
        finite: &Tensor,
        flags: [Option<&Tensor>; 3],
        loss: &Tensor,
        output: &Tensor,
        y: &Tensor,
        rows: usize,
    ) {
        let zero = Tensor::scalar(0.0, &self.device);
        let rows = rows as f64;
        let number = |flag: Option<&Tensor>| flag.map_or(zero.clone(), |flag| flag.cast(DType::F32).reshape(NO_AXES));
        let looks = self.config.non_finite != NonFinite::Ignore;
        let kept = |value: &Tensor| {
            let sum = value.cast(DType::F32).reshape(NO_AXES) * rows;
            if looks { finite.reshape(NO_AXES).select(&sum, 0.0) } else { sum }
        };
        let [update, batch, overflow] = flags;
        let first = match batch {
            Some(bad) => {
                let (old, count) = (old.narrow(0, FIRST, 1).reshape(NO_AXES), old.narrow(0, COUNT, 1).reshape(NO_AXES));
                let begins = bad.reshape(NO_AXES).logical_and(&old.lt(0.0));
                begins.select(&(count - &old), 0.0)
            }
            None => zero.clone(),
        };
        let mut gains = vec![
            kept(loss),
            kept(&Tensor::scalar(1.0, &self.device)),
            number(update),
            first,
            Tensor::scalar(1.0, &self.device),
            number(overflow),
        ];
        gains.extend(self.metrics.iter().map(|(_, metric)| kept(&metric(output, y))));
        self.tally.assign(&(old + row(&gains.iter().collect::<Vec<_>>(), &self.device)));
    }

    /// One batch of evaluation, traced.
    fn score(&self, x: &Tensor, y: &Tensor) {
        let rows = x.shape().first().copied().unwrap_or(1) as f64;
        let output = self.model.forward(x);
        let mut gains = vec![(self.loss)(&output, y), Tensor::scalar(1.0, &self.device)];
        gains.extend(self.metrics.iter().map(|(_, metric)| metric(&output, y)));
        let gains: Vec<Tensor> = gains.iter().map(|g| g.cast(DType::F32).reshape(NO_AXES) * rows).collect();
        self.scores.assign(&(self.scores.get() + row(&gains.iter().collect::<Vec<_>>(), &self.device)));
    }
}

/// Numbers without axes as `[n]`. One expression over all places: a concatenation would be a kernel for each.
fn row(values: &[&Tensor], device: &Device) -> Tensor {
    let places = Tensor::arange(0.0, values.len() as f64, 1.0, device);
    let mut all = Tensor::zeros(&[values.len()], device);
    for (place, value) in values.iter().enumerate() {
        all = places.eq(place as f64).select(value.reshape([1]), &all);
    }
    all
}

fn floats(var: &Var) -> Result<Vec<f64>> {
    let bytes = Var::read_all(std::slice::from_ref(var))?.concat();
    let number = |chunk: &[u8]| f64::from(<[u8; 4]>::try_from(chunk).map_or(f32::NAN, f32::from_le_bytes));
    Ok(bytes.chunks_exact(4).map(number).collect())
}

/// A step's arguments.
pub(super) type Batch = (Tensor, Tensor);

/// The compiled programs.
pub(super) struct Programs<'a> {
    pub(super) parts: Rc<Parts<'a>>,
    whole: Program<'a, Batch, ()>,
    part: Program<'a, Batch, ()>,
    /// By the rows of their window: full ones, and one at an epoch's end.
    last: Vec<(usize, Program<'a, Batch, ()>)>,
    evaluate: Program<'a, Batch, ()>,
    predict: Program<'a, Tensor, Tensor>,
    exchange: Program<'a, (), ()>,
}

impl<'a> Programs<'a> {
    pub(super) fn new(parts: Parts<'a>) -> Programs<'a> {
        let parts = Rc::new(parts);
        let (p, device) = (parts.clone(), &parts.device);
        let predict = Program::inference(device, move |x: Tensor| p.model.forward(&x));
        let p = parts.clone();
        let evaluate = Program::inference(device, move |(x, y): Batch| p.score(&x, &y));
        let p = parts.clone();
        let exchange = Program::inference(device, move |()| {
            if let Some(average) = &p.average {
                let (a, b) = (p.optimizer.all().get(), average.get());
                p.optimizer.all().assign(&b);
                average.assign(&a);
            }
        });
        let (whole, part) = (training(&parts, Role::Whole), training(&parts, Role::Part));
        Programs { whole, part, last: Vec::new(), evaluate, predict, exchange, parts: parts.clone() }
    }

    fn program(&mut self, part: bool, window: Option<usize>) -> &mut Program<'a, Batch, ()> {
        let Some(rows) = window else { return if part { &mut self.part } else { &mut self.whole } };
        let at = match self.last.iter().position(|(known, _)| *known == rows) {
            Some(at) => at,
            None => {
                self.last.push((rows, training(&self.parts, Role::Last(rows))));
                self.last.len() - 1
            }
        };
        &mut self.last[at].1
    }

    /// One batch; `ends`: how many rows the window has that it ends, `None` within a window.
    pub(super) fn train(&mut self, batch: Batch, ends: Option<usize>) -> Result<()> {
        match ends {
            Some(_) if self.parts.config.accumulate == 1 => self.whole.run(batch),
            ends => self.program(ends.is_none(), ends).run(batch),
        }
    }

    /// What an update needs.
    pub(super) fn memory(&mut self, batch: &Batch) -> Result<Memory> {
        let rows = batch.0.shape().first().copied().unwrap_or(1) * self.parts.config.accumulate;
        let window = (self.parts.config.accumulate > 1).then_some(rows);
        self.program(false, window).memory(batch)
    }

    /// Adds a batch to the scores.
    pub(super) fn evaluate(&mut self, batch: Batch) -> Result<()> {
        self.evaluate.run(batch)
    }

    pub(super) fn clear_scores(&self) -> Result<()> {
        self.parts.scores.write(&vec![0.0f32; self.parts.scores.len()])
    }

    /// Mean loss and metrics of the batches since the scores were cleared.
    pub(super) fn read_scores(&self) -> Result<Vec<f64>> {
        let all = floats(&self.parts.scores)?;
        Ok([&all[..1], &all[2..]].concat().into_iter().map(|sum| sum / all[1]).collect())
    }

    pub(super) fn predict(&mut self, x: Tensor) -> Result<Tensor> {
        self.predict.run(x)
    }

    /// Exchanges the parameters and their average, if there is one.
    pub(super) fn exchange(&mut self) -> Result<()> {
        if self.parts.average.is_some() { self.exchange.run(()) } else { Ok(()) }
    }

    /// The first operation of a batch's step that made an infinity, and the first that made a NaN. Changes random numbers
    /// and buffers of the model (running statistics) as a step does.
    pub(super) fn first_not_finite(&self, batch: Batch) -> Result<[Option<String>; 2]> {
        let mut labels = Vec::new();
        let parts = self.parts.clone();
        let mut program = Program::training(&self.parts.device, |(x, y): Batch| -> Vec<Tensor> {
            let (_, _, loss, gradients) = parts.differentiate(x, y);
            let (names, flags) = anygrad_core::program::not_finite(&[&[loss], &gradients[..]].concat());
            labels = names;
            flags
        });
        let flags = program.run(batch)?;
        drop(program);
        let read = flags.iter().map(Tensor::to_vec::<bool>).collect::<Result<Vec<_>>>()?;
        let first =
            |kind: usize| read.iter().position(|f| f.get(kind) == Some(&true)).and_then(|i| labels.get(i).cloned());
        Ok([first(0), first(1)])
    }
}

fn training<'a>(parts: &Rc<Parts<'a>>, role: Role) -> Program<'a, Batch, ()> {
    let p = parts.clone();
    let mut program = Program::training(&parts.device, move |(x, y): Batch| p.step(x, y, role));
    if let Some(bytes) = parts.config.memory_budget {
        program.set_memory_budget(bytes);
    }
    program
}
