//! The loop of a run: epochs, batches, learning rates, checkpoints, and what is told to listeners.

use std::path::PathBuf;
use std::time::Instant;

use anygrad_core::nn::Layer;
use anygrad_core::{Error, Memory, Result, Var};

use super::config::{Config, Mode, NonFinite};
use super::feed::{Source, each_batch};
use super::report::{Epoch, Fit, Reason, Scores};
use super::state::{Exact, Row, State};
use super::step::{Batch, Programs, Tally};
use super::{Supervised, diagnose};
use crate::checkpoint::store::{Snapshot, Store};
use crate::data::Pass;
use crate::events::{Event, Flow, Listener, Record};
use crate::interrupt::{self, Watch};
use crate::optim::Schedule;
use crate::progress::Progress;

/// Those who listen, and whether one of them has had enough.
struct Teller<'r, 'a> {
    listeners: Vec<&'r mut (dyn Listener + 'a)>,
    stop: Option<Reason>,
}

impl Teller<'_, '_> {
    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        for listener in &mut self.listeners {
            if listener.on(event)? == Flow::Stop && self.stop.is_none() {
                self.stop = Some(Reason::Stopped);
            }
        }
        Ok(())
    }
}

/// How fast training alone is.
struct Pace {
    clock: Instant,
    seconds: f64,
    steps: u64,
}

/// A run while it goes on.
struct Run<'r, 'a, 'd> {
    config: Config,
    programs: &'r mut Programs<'a>,
    schedule: Option<&'r mut (dyn Schedule + 'a)>,
    teller: Teller<'r, 'a>,
    train: &'r Source<'d>,
    store: Option<Store>,
    state: State,
    /// The model's variables and everything else that a checkpoint holds.
    variables: Vec<(String, Var)>,
    /// The model's variables, and the copies that hold the best epoch's.
    best: Vec<(Var, Var)>,
    /// Names of loss and metrics.
    names: Vec<String>,
    /// The rate written last, so that equal ones are not written again.
    rate: Option<f32>,
    /// The optimizer's own rate.
    base_rate: f64,
    /// Sums at the last event.
    told: Tally,
    rolled_back: usize,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    memory: Option<Memory>,
    pace: Pace,
}

pub(super) fn fit<'a, M: Layer + 'a>(
    trainer: &mut Supervised<'a, M>,
    train: &Source<'_>,
    valid: Option<&Source<'_>>,
) -> Result<Fit> {
    let begin = Instant::now();
    trainer.programs()?;
    let config = trainer.config.clone();
    check_data(&config, train, valid)?;
    let mut bar = config.progress.then(|| Progress::new("train", 0));
    let Some(programs) = trainer.programs.as_mut() else { return Err(Error::Program("no programs".into())) };
    let parts = programs.parts.clone();
    let model = parts.model.named_variables();
    let mut variables = model.clone();
    variables.extend(parts.optimizer.state().into_iter().map(|var| (format!("optimizer/{}", var.name()), var)));
    variables.extend(parts.state());
    variables.push(("device/generator".to_string(), parts.device.generator()));
    let mut best = Vec::new();
    if config.early_stopping.as_ref().is_some_and(|stopping| stopping.restore_best) {
        for (name, var) in &model {
            let copy = Var::try_new(format!("best.{name}"), &var.get().zeros_like())?;
            variables.push((format!("best/{name}"), copy.clone()));
            best.push((var.clone(), copy));
        }
    }
    let mut known = std::collections::HashSet::new();
    if let Some((name, _)) = variables.iter().find(|(name, _)| !known.insert(name.clone())) {
        return Err(Error::data("supervised", format!("two variables of model or optimizer are named '{name}'")));
    }
    let mut listeners: Vec<&mut (dyn Listener + 'a)> = trainer.listeners.iter_mut().map(|l| &mut **l as _).collect();
    if let Some(bar) = &mut bar {
        listeners.insert(0, bar);
    }
    let base_rate = Var::read_all(std::slice::from_ref(parts.optimizer.learning_rate()))?.concat();
    let base_rate = <[u8; 4]>::try_from(&base_rate[..]).map_or(f64::NAN, |bytes| f64::from(f32::from_le_bytes(bytes)));
    let names = std::iter::once("loss".to_string()).chain(parts.metrics.iter().map(|(name, _)| name.clone())).collect();
    let store = match &config.checkpoints {
        Some(saving) => Some(Store::open(&saving.directory, "supervised", saving.keep_last)?),
        None => None,
    };
    let state = State { settings: settings(&config, train.len, trainer.schedule.is_some()), ..State::default() };
    let schedule = trainer.schedule.as_deref_mut();
    let run = Run {
        teller: Teller { listeners, stop: None },
        told: Tally::default(),
        memory: None,
        rate: None,
        rolled_back: 0,
        saved: None,
        pace: Pace { clock: Instant::now(), seconds: 0.0, steps: 0 },
        config,
        programs,
        schedule,
        train,
        store,
        state,
        variables,
        best,
        names,
        base_rate,
    };
    run.go(valid, begin)
}

/// An error for data that cannot be trained on.
fn check_data(config: &Config, train: &Source<'_>, valid: Option<&Source<'_>>) -> Result<()> {
    let fail = |what: &str, message: &str| Err(Error::data(format!("supervised: {what}"), message));
    if train.len == 0 {
        return fail("training data", "it has no rows");
    }
    if valid.is_some_and(|data| data.len == 0) {
        return fail("validation data", "it has no rows; without validation call `fit_alone`");
    }
    config.order.check(train.len)?;
    let rows = config.order.count(train.len);
    if config.batch > rows {
        let message = format!("batches of {} rows, but there are {rows} rows; use a smaller batch", config.batch);
        return fail("batch", &message);
    }
    Ok(())
}

/// What must be the same for a run to go on exactly.
fn settings(config: &Config, rows: usize, schedule: bool) -> Vec<(String, String)> {
    // Weights and labels of all rows are told apart by their checksum.
    let mut order = format!("{:?}", config.order);
    if order.len() > 100 {
        let mut sum = flate2::Crc::new();
        sum.update(order.as_bytes());
        order = format!("{}.. ({:08x})", order.split(' ').next().unwrap_or_default(), sum.sum());
    }
    let pairs = [
        ("rows of training data", rows.to_string()),
        ("batch", config.batch.to_string()),
        ("seed", config.seed.to_string()),
        ("accumulate", config.accumulate.to_string()),
        ("clip_value", format!("{:?}", config.clip_value)),
        ("ema", format!("{:?}", config.ema)),
        ("precision", format!("{:?}", config.precision)),
        ("a schedule", schedule.to_string()),
        ("order", order),
        ("batches", format!("{:?}", config.batches)),
    ];
    pairs.map(|(name, value)| (name.to_string(), value)).to_vec()
}

impl Run<'_, '_, '_> {
    fn go(mut self, valid: Option<&Source<'_>>, begin: Instant) -> Result<Fit> {
        let _watch = Watch::new(self.config.catch_interrupt);
        self.programs.parts.reset()?;
        self.resume()?;
        let batches = self.config.order.count(self.train.len) / self.config.batch;
        let batches = batches.min(self.config.batches.unwrap_or(batches));
        let steps = (self.config.epochs * batches.div_ceil(self.config.accumulate)) as u64;
        self.teller.tell(&Event::Begin { label: "train", step: self.state.step, steps: Some(steps) })?;
        self.pace.clock = Instant::now();
        let ended = self.state.ended;
        while self.teller.stop.is_none() && ended.is_none() && self.state.epoch < self.config.epochs {
            if self.state.batch < batches {
                self.steps(batches)?;
            } else {
                self.end_epoch(valid)?;
            }
        }
        self.finish(begin)
    }

    /// Takes the newest checkpoint, if there is one.
    fn resume(&mut self) -> Result<bool> {
        let Some(store) = &self.store else { return Ok(false) };
        let mut warnings = Vec::new();
        let newest = store.newest(&mut |message| warnings.push(message.to_string()))?;
        for message in &warnings {
            self.teller.tell(&Event::Warning(message))?;
        }
        let Some(saved) = newest else { return Ok(false) };
        let place = saved.path().display().to_string();
        let state = serde_json::from_value::<State>(saved.state.clone());
        let mut state = state.map_err(|error| Error::data(&*place, format!("its state cannot be read ({error})")))?;
        for ((name, now), (_, then)) in self.state.settings.iter().zip(&state.settings) {
            if now != then {
                let message = format!("this checkpoint was made with {name} {then}, now it is {now}");
                return Err(Error::data(
                    place,
                    format!("{message}; use the same, or name another directory to begin anew"),
                ));
            }
        }
        saved.restore(&self.variables)?;
        if let Some(schedule) = &mut self.schedule {
            schedule.restore(&state.schedule.iter().map(|value| value.0).collect::<Vec<_>>())?;
        }
        if state.ended != Some(Reason::StoppedEarly) {
            state.ended = None;
        }
        self.programs.parts.device.set_drawn(state.drawn);
        (self.saved, self.rate, self.told) = (Some(state.step), None, self.programs.parts.read_tally()?);
        self.state = state;
        Ok(true)
    }

    /// The batches of this epoch that are left, unless the run ends or goes back before.
    fn steps(&mut self, batches: usize) -> Result<()> {
        let (train, config) = (self.train, self.config.clone());
        let (pass, from) = (Pass { seed: config.seed, epoch: self.state.epoch }, self.state.batch);
        let mut rows = config.order.rows(train.len, pass.seed, pass.epoch);
        rows.truncate(batches * config.batch);
        train.batches(&config, (&rows, config.batch), (pass, from), |batch| {
            let at = self.state.batch;
            self.step(batch, batches)?;
            Ok(self.teller.stop.is_none() && (self.state.epoch, self.state.batch) == (pass.epoch, at + 1))
        })
    }

    /// One batch, and what follows from it.
    fn step(&mut self, batch: Batch, batches: usize) -> Result<()> {
        let (at, size, window) = (self.state.batch, self.config.batch, self.config.accumulate);
        let ends = (at + 1) % window == 0 || at + 1 == batches;
        if ends {
            self.write_rate()?;
        }
        let first = self.memory.is_none();
        if first {
            self.memory = Some(self.programs.memory(&batch)?);
        }
        self.programs.train(batch, ends.then(|| (at + 1 - at / window * window) * size))?;
        self.state.batch += 1;
        if !ends {
            return Ok(());
        }
        self.state.step += 1;
        if first {
            // Tracing and compiling are not the rate of training.
            self.programs.parts.read_tally()?;
            self.pace.clock = Instant::now();
        } else {
            self.pace.steps += 1;
        }
        if interrupt::requested() {
            self.teller.stop = Some(Reason::Interrupted);
        }
        let step = self.state.step;
        if self.config.report_every > 0 && step.is_multiple_of(self.config.report_every) {
            self.tell_step()?;
        }
        let every = self.config.checkpoints.as_ref().and_then(|saving| saving.every_steps);
        // The last step of an epoch is saved with its evaluation.
        if every.is_some_and(|every| step.is_multiple_of(every))
            && self.state.batch < batches
            && self.state.step == step
        {
            let tally = self.programs.parts.read_tally()?;
            if !self.look(&tally)? {
                self.save()?;
            }
        }
        Ok(())
    }

    /// The rate of an update; `None` if it is always the optimizer's own.
    fn scheduled(&self, step: u64) -> Option<f32> {
        let factor = self.state.factor.map(|factor| factor.0);
        match (&self.schedule, factor) {
            (Some(schedule), factor) => Some((schedule.rate(step) * factor.unwrap_or(1.0)) as f32),
            (None, factor) => factor.map(|factor| (self.base_rate * factor) as f32),
        }
    }

    fn write_rate(&mut self) -> Result<()> {
        let rate = self.scheduled(self.state.step);
        if let Some(rate) = rate
            && self.rate != Some(rate)
        {
            self.programs.parts.optimizer.set_learning_rate(f64::from(rate))?;
            self.rate = Some(rate);
        }
        Ok(())
    }

    /// The rate of the last update.
    fn last_rate(&self) -> f64 {
        self.scheduled(self.state.step.saturating_sub(1)).map_or(self.base_rate, f64::from)
    }

    /// Tells listeners of the updates since the last time.
    fn tell_step(&mut self) -> Result<()> {
        let tally = self.programs.parts.read_tally()?;
        if self.look(&tally)? {
            return Ok(());
        }
        let rows = tally.rows - self.told.rows;
        let loss = (tally.loss - self.told.loss) / rows;
        let old = self.told.metrics.iter().copied().chain(std::iter::repeat(0.0));
        let metrics = tally.metrics.iter().zip(old).map(|(new, old)| (new - old) / rows);
        let numbers = std::iter::once(loss).chain(metrics);
        let mut values: Vec<(&str, f64)> = self.names.iter().map(String::as_str).zip(numbers).collect();
        values.push(("learning_rate", self.last_rate()));
        let record = Record { epoch: self.state.epoch as u64 + 1, step: self.state.step, values: &values };
        self.teller.tell(&Event::Step(record))?;
        self.told = tally;
        Ok(())
    }

    /// Ends the run, or goes back, if an update was not finite; whether it went back.
    fn look(&mut self, tally: &Tally) -> Result<bool> {
        let Some(first) = tally.first else { return Ok(false) };
        let limit = match self.config.non_finite {
            NonFinite::Stop => 0,
            NonFinite::RollBack { attempts, .. } => attempts,
            NonFinite::Skip | NonFinite::Ignore => return Ok(false),
        };
        if self.rolled_back < limit && self.saved.is_some() {
            self.roll_back(first)?;
            return Ok(true);
        }
        Err(diagnose::error(self.programs, self.train, self.state.epoch, first, self.state.batch, self.rolled_back))
    }

    fn roll_back(&mut self, first: usize) -> Result<()> {
        let (epoch, step, old) = (self.state.epoch + 1, self.state.step, self.state.factor.map_or(1.0, |f| f.0));
        let NonFinite::RollBack { factor, .. } = self.config.non_finite else { return Ok(()) };
        self.finish_writing()?;
        self.resume()?;
        self.state.factor = Some(Exact(old * factor));
        self.rolled_back += 1;
        let back = step - self.state.step;
        let message = format!(
            "epoch {epoch}, batch {}: the loss or a gradient is not finite; went back {back} steps to the last checkpoint, \
             learning rates are multiplied by {} from there",
            first + 1,
            old * factor
        );
        self.teller.tell(&Event::Warning(&message))
    }

    fn end_epoch(&mut self, valid: Option<&Source<'_>>) -> Result<()> {
        let tally = self.programs.parts.read_tally()?;
        self.pace.seconds += self.pace.clock.elapsed().as_secs_f64();
        if self.look(&tally)? {
            self.pace.clock = Instant::now();
            return Ok(());
        }
        let (epoch, step) = (self.state.epoch + 1, self.state.step);
        if tally.bad > 0 {
            let first = tally.first.map_or(0, |first| first + 1);
            let message =
                format!("epoch {epoch}: {} updates were skipped, not finite; the first at batch {first}", tally.bad);
            self.teller.tell(&Event::Warning(&message))?;
        }
        if tally.rows == 0.0 {
            let at = tally.first.unwrap_or(0);
            return Err(diagnose::error(self.programs, self.train, self.state.epoch, at, self.state.batch, 0));
        }
        let sums = std::iter::once(&tally.loss).chain(&tally.metrics);
        let mut values: Vec<(String, f64)> = self.names.iter().cloned().zip(sums.map(|sum| sum / tally.rows)).collect();
        self.programs.exchange()?;
        if let Some(valid) = valid {
            let scores = evaluate(self.programs, valid)?;
            values.extend(scores.0.into_iter().map(|(name, value)| (format!("valid.{name}"), value)));
        }
        let rate = self.last_rate();
        let improved = self.judge(&values)?;
        if improved {
            copy(self.best.iter().map(|(var, copy)| (var, copy)))?;
        }
        self.programs.exchange()?;
        values.push(("learning_rate".into(), rate));
        if let Some(scale) = self.programs.parts.loss_scale()? {
            values.push(("loss_scale".into(), scale));
        }
        let row = Epoch { epoch, step, values };
        self.state.history.push(Row::from(&row));
        (self.state.epoch, self.state.batch, self.told) = (epoch, 0, Tally::default());
        self.programs.parts.clear_tally()?;
        if self.config.early_stopping.as_ref().is_some_and(|stopping| self.state.waited >= stopping.patience) {
            self.state.ended = Some(Reason::StoppedEarly);
            self.teller.stop = self.state.ended;
        }
        if let Some(saving) = &self.config.checkpoints
            && (epoch % saving.every_epochs == 0 || improved && saving.keep_best)
        {
            self.save()?;
        }
        let values: Vec<(&str, f64)> = row.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.teller.tell(&Event::Epoch(Record { epoch: epoch as u64, step, values: &values }))?;
        self.pace.clock = Instant::now();
        Ok(())
    }

    /// Whether these are the best numbers so far.
    fn judge(&mut self, values: &[(String, f64)]) -> Result<bool> {
        let monitor = &self.config.monitor;
        let get = |name: &str| values.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        let found = match monitor.name.as_str() {
            "" => get("valid.loss").or_else(|| get("loss")),
            name => get(name),
        };
        let Some(value) = found else {
            let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("there is no number of this name; there are {}", names.join(", "));
            return Err(Error::data(format!("supervised: monitor '{}'", monitor.name), message));
        };
        if let Some(schedule) = &mut self.schedule {
            schedule.observe(value);
        }
        let delta = self.config.early_stopping.as_ref().map_or(0.0, |stopping| stopping.min_delta);
        let worst = match monitor.mode {
            Mode::Min => f64::INFINITY,
            Mode::Max => f64::NEG_INFINITY,
        };
        let improved = monitor.mode.improves(value, self.state.best.map_or(worst, |best| best.2.0), delta);
        if improved {
            self.state.best = Some((self.state.epoch + 1, self.state.step, Exact(value)));
        }
        self.state.waited = if improved { 0 } else { self.state.waited + 1 };
        Ok(improved)
    }

    /// Hands the state to the thread that writes.
    fn save(&mut self) -> Result<()> {
        let (Some(store), Some(saving)) = (&mut self.store, &self.config.checkpoints) else { return Ok(()) };
        let state = &mut self.state;
        state.schedule = self.schedule.as_ref().map_or(Vec::new(), |s| s.state().into_iter().map(Exact).collect());
        state.drawn = self.programs.parts.device.drawn();
        let value = serde_json::to_value(&*state).map_err(|error| Error::Program(format!("a state: {error}")))?;
        let snapshot = Snapshot::take(state.step, &self.variables, value)?;
        let best = state.best.filter(|_| saving.keep_best).map(|best| best.1);
        let before = store.save(snapshot, best)?;
        self.saved = Some(state.step);
        self.tell_saved(before)
    }

    fn tell_saved(&mut self, path: Option<PathBuf>) -> Result<()> {
        path.map_or(Ok(()), |path| self.teller.tell(&Event::Saved { path: &path }))
    }

    fn finish_writing(&mut self) -> Result<()> {
        let path = self.store.as_mut().map_or(Ok(None), Store::finish)?;
        self.tell_saved(path)
    }

    fn finish(mut self, begin: Instant) -> Result<Fit> {
        // Sums are read once more: what was submitted has run, and a bad update is not saved.
        let tally = self.programs.parts.read_tally()?;
        if self.state.batch > 0 {
            self.pace.seconds += self.pace.clock.elapsed().as_secs_f64();
            self.look(&tally)?;
        }
        if self.saved != Some(self.state.step) {
            self.save()?;
        }
        self.finish_writing()?;
        self.programs.exchange()?;
        if self.state.best.is_some() {
            copy(self.best.iter().map(|(var, copy)| (copy, var)))?;
        }
        let reason = self.teller.stop.or(self.state.ended).unwrap_or(Reason::Done);
        self.teller.tell(&Event::End { step: self.state.step, reason: &reason.to_string() })?;
        let Pace { seconds, steps, .. } = self.pace;
        let rate = if steps > 0 { steps as f64 / seconds } else { 0.0 };
        Ok(Fit {
            history: self.state.history.iter().map(Epoch::from).collect(),
            best: self.state.best.map(|(epoch, _, value)| (epoch, value.0)),
            reason,
            steps: self.state.step,
            seconds: begin.elapsed().as_secs_f64(),
            steps_per_second: rate,
            samples_per_second: rate * (self.config.batch * self.config.accumulate) as f64,
            memory: self.memory.unwrap_or_default(),
        })
    }
}

/// Copies variables, from the first to the second of each pair.
fn copy<'v>(pairs: impl Iterator<Item = (&'v Var, &'v Var)>) -> Result<()> {
    let (from, to): (Vec<Var>, Vec<Var>) = pairs.map(|(from, to)| (from.clone(), to.clone())).unzip();
    Var::read_all(&from)?.iter().zip(&to).try_for_each(|(bytes, var)| var.write_bytes(bytes))
}

/// Means over all rows.
pub(super) fn evaluate(programs: &mut Programs<'_>, data: &Source<'_>) -> Result<Scores> {
    programs.clear_scores()?;
    let parts = programs.parts.clone();
    each_batch(&parts.config, data, |batch| programs.evaluate(batch))?;
    let names = std::iter::once("loss").chain(parts.metrics.iter().map(|(name, _)| name.as_str()));
    let names: Vec<String> = names.map(String::from).collect();
    Ok(Scores(names.into_iter().zip(programs.read_scores()?).collect()))
}
