//! The supervised trainer against loops written out by hand, and against bad input.

// What `#[derive(Module)]` writes names the facade's paths.
extern crate anygrad_core as anygrad;

use std::cell::{Cell, RefCell};
use std::sync::Mutex;

use anygrad_core::nn::{Dropout, Layer, Linear, Module};
use anygrad_core::testing::device;
use anygrad_core::{Device, Program, Result, Tensor, Var};
use anygrad_trainers::data::{Dataset, Order, Pass, Resident, shuffled};
use anygrad_trainers::events::{Event, Flow};
use anygrad_trainers::metrics;
use anygrad_trainers::optim::{Adam, Optimizer, Rate, Sgd, SgdConfig};
use anygrad_trainers::supervised::{Config, EarlyStopping, LossScale, Mode, NonFinite, Precision, Reason, Supervised};

#[derive(Module)]
struct Net {
    first: Linear,
    second: Linear,
}

impl Net {
    fn new(outputs: usize, device: &Device) -> Net {
        Net { first: Linear::new(4, 8, device), second: Linear::new(8, outputs, device) }
    }
}

impl Layer for Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.first.forward(x).tanh())
    }
}

fn net(device: &Device) -> Net {
    device.seed(3).expect("seeded");
    Net::new(2, device)
}

/// `rows` random inputs, and targets that a small model can learn.
fn regression(rows: usize, device: &Device) -> Resident {
    device.seed(1).expect("seeded");
    let x = Tensor::randn(&[rows, 4], device);
    x.realize().expect("numbers");
    let y = Tensor::stack(&[x.sum(1), x.slice(1, ..2).sum(1).sin()], 1);
    Resident::new(x, y).expect("rows")
}

/// Three classes by the sign and size of a sum.
fn classes(rows: usize, device: &Device) -> Resident {
    device.seed(2).expect("seeded");
    let x = Tensor::randn(&[rows, 4], device);
    x.realize().expect("numbers");
    let sum = x.sum(1);
    let y = sum.gt(0.0).cast(anygrad_core::DType::I32) + sum.gt(2.0).cast(anygrad_core::DType::I32);
    Resident::new(x, y).expect("rows")
}

fn weights(module: &impl Module) -> Vec<f32> {
    module.parameters().iter().flat_map(|var| var.get().to_vec::<f32>().expect("numbers")).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let message = match result {
        Ok(value) => panic!("an error with {words:?} was expected, not {value:?}"),
        Err(error) => error.to_string(),
    };
    assert!(words.iter().all(|word| message.contains(word)), "{message}\nlacks one of {words:?}");
}

/// The batches of an epoch as the trainer takes them.
fn batches(data: &Resident, size: usize, seed: u64, epoch: usize, device: &Device) -> Vec<(Tensor, Tensor)> {
    let order = shuffled(data.len(), seed, epoch);
    order.chunks_exact(size).map(|rows| data.batch(rows, device).expect("a batch")).collect()
}

#[test]
fn it_is_the_loop_that_one_would_write() {
    let d = device();
    let data = regression(70, &d);
    let (by_hand, by_trainer) = (net(&d), net(&d));
    let parameters = by_hand.parameters();
    let adam = Adam::new(parameters.clone(), 0.01);
    let mut step = Program::training(&d, |(x, y): (Tensor, Tensor)| {
        let loss = by_hand.forward(&x).mse_loss(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let mut sums = Vec::new();
    for epoch in 0..2 {
        let mut sum = 0.0;
        for (done, batch) in batches(&data, 16, 5, epoch, &d).into_iter().enumerate() {
            adam.set_learning_rate(0.01 / (1.0 + (epoch * 4 + done) as f64)).expect("written");
            sum += step.run(batch).expect("runs").item().expect("a number");
        }
        sums.push(sum / 4.0);
    }
    let adam = Adam::new(by_trainer.parameters(), 1.0);
    let mut trainer = Supervised::new(&by_trainer, Tensor::mse_loss).epochs(2).batch(16).seed(5).quiet();
    trainer = trainer.optimizer(adam).schedule(Rate(|step| 0.01 / (1.0 + step as f64)));
    let report = trainer.fit_alone(&data).expect("trained");
    // This device rounds where values are stored, and the guard stores others: the last bit may differ.
    assert!(largest_difference(&weights(&by_hand), &weights(&by_trainer)) < 1e-6);
    for (epoch, sum) in report.history.iter().zip(sums) {
        // Sums of 4 f32 numbers, divided: a few roundings.
        assert!((epoch.get("loss").expect("a loss") - sum).abs() < 1e-6 * sum, "{epoch:?} {sum}");
    }
    assert_eq!((report.steps, report.reason, report.history.len()), (8, Reason::Done, 2));
    assert!(report.memory.peak() > 0 && report.seconds > 0.0);
    assert!((report.last("learning_rate").expect("a rate") - 0.01 / 8.0).abs() < 1e-8);
}

#[test]
fn metrics_and_evaluation_are_means_over_rows() {
    let d = device();
    let data = classes(50, &d);
    d.seed(4).expect("seeded");
    let net = Net::new(3, &d);
    let all: Vec<u32> = (0..50).collect();
    let (x, y) = data.batch(&all, &d).expect("all rows");
    let (loss, right) = (net.forward(&x).cross_entropy(&y), metrics::accuracy(&net.forward(&x), &y));
    let expected = (loss.item().expect("a loss"), right.item().expect("a share"));
    let mut trainer = Supervised::new(&net, Tensor::cross_entropy).metric("accuracy", metrics::accuracy).quiet();
    // 50 rows in batches of 16: the last has 2.
    trainer.config.evaluation_batch = 16;
    let scores = trainer.evaluate(&data).expect("scores");
    assert!(
        (scores.loss() - expected.0).abs() < 1e-6 && (scores.get("accuracy").expect("one") - expected.1).abs() < 1e-6
    );
    assert_eq!(trainer.predict(&x).expect("scores").shape(), [50, 3]);
    let report = trainer.batch(10).epochs(12).optimizer(Adam::new(net.parameters(), 0.05)).fit(&data, &data);
    let report = report.expect("trained");
    assert!(report.last("valid.accuracy").expect("one") > 0.9, "{report}: {:?}", report.history);
    assert!(report.last("accuracy").expect("one") > 0.8);
    assert_eq!(
        report.best.expect("one").0,
        12 - report
            .history
            .iter()
            .rev()
            .position(|e| e.get("valid.loss") == Some(report.best.expect("one").1))
            .expect("it")
    );
}

#[test]
fn accumulated_batches_are_the_large_batch() {
    let d = device();
    let data = regression(64 + 16 + 3, &d);
    let train = |batch: usize, accumulate: usize| {
        let net = net(&d);
        let config = SgdConfig { lr: 0.1, momentum: 0.9, ..SgdConfig::default() };
        let steps = RefCell::new(Vec::new());
        let rate = Rate(|step| {
            steps.borrow_mut().push(step);
            0.1 / (1.0 + step as f64)
        });
        let sgd = Sgd::with(net.parameters(), config).expect("valid");
        let trainer = Supervised::new(&net, Tensor::mse_loss).batch(batch).accumulate(accumulate).quiet();
        let report = trainer.optimizer(sgd).schedule(rate).fit_alone(&data).expect("trained");
        let mut steps = steps.into_inner();
        // Asked again for the epoch's record.
        steps.dedup();
        (weights(&net), report.steps, steps, report.last("loss").expect("a loss"))
    };
    // 83 rows: five batches of 16, the last a window of its own.
    let (small, steps, rates, _) = train(16, 4);
    assert_eq!((steps, rates), (2, vec![0, 1]), "one rate per update");
    // By hand: 64 rows and then 16.
    let net = net(&d);
    let parameters = net.parameters();
    let sgd =
        Sgd::with(parameters.clone(), SgdConfig { lr: 0.1, momentum: 0.9, ..SgdConfig::default() }).expect("valid");
    let mut step = Program::training(&d, |(x, y): (Tensor, Tensor)| {
        sgd.update(&net.forward(&x).mse_loss(&y).gradients(&parameters));
    });
    let order = shuffled(83, 0, 0);
    step.run(data.batch(&order[..64], &d).expect("rows")).expect("runs");
    sgd.set_learning_rate(0.05).expect("written");
    step.run(data.batch(&order[64..80], &d).expect("rows")).expect("runs");
    // Sums of 64 numbers in another order, f32.
    let difference = largest_difference(&small, &weights(&net));
    assert!(difference < 2e-6, "{difference}");
    let (large, steps, ..) = train(64, 1);
    assert_eq!(steps, 1);
    assert!(largest_difference(&small, &large) > 1e-3, "the window at the end counts");
}

#[test]
fn the_average_of_weights_follows_its_formula_and_is_what_remains() {
    let d = device();
    let data = regression(64, &d);
    let net = net(&d);
    let mut expected: Vec<f64> = weights(&net).iter().map(|&w| f64::from(w)).collect();
    let copy = Net::new(2, &d);
    for (to, from) in copy.parameters().iter().zip(net.parameters()) {
        to.assign(&from.get());
    }
    let parameters = copy.parameters();
    let adam = Adam::new(parameters.clone(), 1e-3);
    let mut step = Program::training(&d, |(x, y): (Tensor, Tensor)| {
        adam.update(&copy.forward(&x).mse_loss(&y).gradients(&parameters));
    });
    for epoch in 0..3 {
        for batch in batches(&data, 16, 0, epoch, &d) {
            step.run(batch).expect("runs");
            for (average, now) in expected.iter_mut().zip(weights(&copy)) {
                *average += (f64::from(now) - *average) * 0.1;
            }
        }
    }
    let mut trainer = Supervised::new(&net, Tensor::mse_loss).batch(16).epochs(3).ema(0.9).quiet();
    let report = trainer.fit(&data, &data).expect("trained");
    let expected: Vec<f32> = expected.into_iter().map(|w| w as f32).collect();
    assert!(largest_difference(&weights(&net), &expected) < 1e-6);
    assert!(largest_difference(&weights(&copy), &expected) > 1e-4, "the average lags behind");
    let after = trainer.evaluate(&data).expect("scores").loss();
    assert!((report.last("valid.loss").expect("one") - after).abs() < 1e-9, "it evaluates with the average");
}

#[test]
fn gradients_are_limited_by_value() {
    let d = device();
    let data = regression(16, &d);
    let net = net(&d);
    let before = weights(&net);
    let mut trainer = Supervised::new(&net, |x, y| x.mse_loss(y) * 1e3).batch(16).clip_value(0.01).quiet();
    trainer = trainer.optimizer(Sgd::new(net.parameters(), 1.0));
    let _ = trainer.fit_alone(&data).expect("trained");
    let moved = largest_difference(&weights(&net), &before);
    assert!((moved - 0.01).abs() < 1e-6, "{moved}");
}

#[test]
fn augmentation_and_dropout_happen_in_training_only() {
    let d = device();
    let data = regression(32, &d);
    let module = (net(&d), Dropout::new(0.5));
    let calls = Cell::new(0);
    let forward = |(net, drop): &(Net, Dropout), x: &Tensor| net.second.forward(&drop.forward(&net.first.forward(x)));
    let trainer = Supervised::with(&module, |m: &&(Net, Dropout), x: &Tensor| forward(m, x), Tensor::mse_loss);
    let mut trainer = trainer.batch(8).quiet().augment(|x, y| {
        calls.set(calls.get() + 1);
        (&x + Tensor::randn(x.shape(), x.device()) * 0.1, y)
    });
    let report = trainer.fit(&data, &data).expect("trained");
    assert_eq!(calls.get(), 1, "traced once, for training");
    assert_eq!(trainer.evaluate(&data).expect("scores").loss(), report.last("valid.loss").expect("one"));
}

/// Rows of which one has a number replaced.
struct Spoiled<'a> {
    good: &'a Resident,
    row: u32,
    value: f32,
}

impl Dataset for Spoiled<'_> {
    fn len(&self) -> usize {
        self.good.len()
    }

    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        let (x, y) = self.good.read(rows, pass, device)?;
        let bad: Vec<f32> = rows.iter().map(|&row| if row == self.row { self.value } else { 0.0 }).collect();
        Ok((x + Tensor::try_from_slice(&bad, &[rows.len(), 1], device)?, y))
    }
}

#[test]
fn numbers_that_are_not_finite_stop_the_run_before_they_do_harm() {
    let d = device();
    let good = regression(64, &d);
    // A row of the sixth batch.
    let (place, row) = (5, shuffled(64, 0, 0)[43]);
    let data = Spoiled { good: &good, row, value: f32::NAN };
    // Undisturbed up to the batch before.
    let (short, long) = (net(&d), net(&d));
    let adam = Adam::new(short.parameters(), 1e-3);
    let parameters = short.parameters();
    let mut step = Program::training(&d, |(x, y): (Tensor, Tensor)| {
        adam.update(&short.forward(&x).mse_loss(&y).gradients(&parameters));
    });
    for batch in batches(&good, 8, 0, 0, &d).into_iter().take(place) {
        step.run(batch).expect("runs");
    }
    let mut trainer = Supervised::new(&long, Tensor::mse_loss).batch(8).quiet();
    let batch = format!("batch {}:", place + 1);
    fails(
        trainer.fit_alone(&data),
        &["epoch 1", &batch, &format!("inputs of row {row} of the data hold NaN"), "before this step"],
    );
    let difference = largest_difference(&weights(&short), &weights(&long));
    assert!(difference < 1e-6, "parameters are those before the bad step: {difference}");
    // Skipped: all other batches count.
    let skipping = net(&d);
    let warnings = RefCell::new(Vec::new());
    let trainer = Supervised::new(&skipping, Tensor::mse_loss).batch(8).quiet().non_finite(NonFinite::Skip);
    let mut trainer = trainer.listen(|event: &Event<'_>| {
        if let Event::Warning(message) = event {
            warnings.borrow_mut().push(message.to_string());
        }
        Ok(Flow::Continue)
    });
    let report = trainer.fit_alone(&data).expect("trained");
    drop(trainer);
    assert!(report.last("loss").expect("one").is_finite() && weights(&skipping).iter().all(|w| w.is_finite()));
    assert!(warnings.borrow()[0].contains("1 updates were skipped"), "{warnings:?}");
    let mut ignoring = Supervised::new(net(&d), Tensor::mse_loss).batch(8).quiet().non_finite(NonFinite::Ignore);
    assert!(ignoring.fit_alone(&data).expect("trained").last("loss").expect("one").is_nan());
    // The same within a window of accumulation.
    let mut trainer = Supervised::new(net(&d), Tensor::mse_loss).batch(8).accumulate(4).quiet();
    fails(trainer.fit_alone(&data), &[&batch, &format!("row {row} ")]);
}

#[test]
fn labels_that_no_class_has_are_named() {
    let d = device();
    let x = Tensor::ones(&[12, 4], &d);
    let labels = |wrong: i32| {
        let mut all = vec![1i32; 12];
        all[9] = wrong;
        Resident::new(x.clone(), Tensor::from_vec(all, &[12], &d)).expect("rows")
    };
    for wrong in [3, -1] {
        let mut trainer = Supervised::new(Net::new(3, &d), Tensor::cross_entropy).batch(4).quiet();
        fails(trainer.fit_alone(&labels(wrong)), &["row 9", &format!("is {wrong}"), "3 classes"]);
    }
    assert!(Supervised::new(Net::new(3, &d), Tensor::cross_entropy).batch(4).quiet().fit_alone(&labels(2)).is_ok());
}

#[test]
fn the_operation_that_was_not_finite_is_named_on_request() {
    let d = device();
    let data = regression(8, &d);
    let forward = |net: &Net, x: &Tensor| net.forward(x).exp().exp().exp().exp().ln() * 1e30;
    let trainer = Supervised::with(net(&d), forward, Tensor::mse_loss).batch(8).quiet();
    fails(
        trainer.name_non_finite().fit_alone(&data),
        &["the first infinity: ", "supervised.rs", "inputs and targets are finite"],
    );
    let trainer = Supervised::with(net(&d), forward, Tensor::mse_loss).batch(8).quiet();
    fails({ trainer }.fit_alone(&data), &["`name_non_finite` names the operation"]);
}

#[test]
fn the_loss_scale_falls_at_overflows_and_rises_after_good_steps() {
    let d = device();
    let data = regression(64, &d);
    let full = net(&d);
    let exact = Supervised::new(&full, Tensor::mse_loss).batch(8).epochs(4).quiet().fit_alone(&data).expect("trained");
    let mixed = net(&d);
    // 2^24 times these gradients is above 65504: some of the first updates are left out.
    let scale = LossScale { initial: f64::from(1 << 24), growth: 10 };
    let mut trainer = Supervised::new(&mixed, Tensor::mse_loss).batch(8).epochs(4).quiet();
    trainer = trainer.precision(Precision::Mixed(scale));
    let report = trainer.fit_alone(&data).expect("trained");
    let scales: Vec<f64> = report.history.iter().map(|epoch| epoch.get("loss_scale").expect("a scale")).collect();
    assert!(scales[0] < f64::from(1 << 24) && scales[0] >= 1.0 && scales[0].log2().fract() == 0.0, "{scales:?}");
    // f16 has 11 bits: losses agree to a part in 100, but for the updates left out.
    let (a, b) = (exact.last("loss").expect("one"), report.last("loss").expect("one"));
    assert!(b.is_finite() && (a - b).abs() < 0.1 * a, "{a} {b}");
    let calm = Supervised::new(net(&d), Tensor::mse_loss).batch(8).epochs(4).quiet();
    let calm =
        calm.precision(Precision::Mixed(LossScale { initial: 8.0, growth: 10 })).fit_alone(&data).expect("trained");
    // 32 good steps: doubled three times.
    assert_eq!(calm.last("loss_scale"), Some(64.0));
    assert!((a - calm.last("loss").expect("one")).abs() < 0.01 * a);
}

#[test]
fn it_stops_early_and_keeps_the_best() {
    let d = device();
    let data = regression(32, &d);
    let net = net(&d);
    // Rates that rise: after some epochs the loss rises, too.
    let sgd = Sgd::new(net.parameters(), 0.1);
    let stopping = EarlyStopping { patience: 3, ..EarlyStopping::default() };
    let trainer = Supervised::new(&net, Tensor::mse_loss).batch(32).epochs(200).quiet().early_stopping(stopping);
    let mut trainer = trainer.optimizer(sgd).schedule(Rate(|step| 0.1 * 1.5f64.powi(step as i32)));
    let report = trainer.fit(&data, &data).expect("trained");
    let (best, value) = report.best.expect("one");
    assert_eq!((report.reason, report.history.len()), (Reason::StoppedEarly, best + 3));
    assert_eq!(report.history[best - 1].get("valid.loss"), Some(value));
    assert_eq!(trainer.evaluate(&data).expect("scores").loss(), value, "the best weights are back");
    let mut trainer = Supervised::new(&net, Tensor::mse_loss).batch(32).quiet().monitor("valid.acuracy", Mode::Max);
    fails(trainer.fit(&data, &data), &["monitor 'valid.acuracy'", "there are loss, valid.loss"]);
}

#[test]
fn listeners_hear_all_and_may_stop_it() {
    let d = device();
    let data = regression(40, &d);
    let heard = RefCell::new(Vec::new());
    let listener = |event: &Event<'_>| {
        let (text, flow) = match event {
            Event::Begin { step, steps, .. } => (format!("begin {step} {steps:?}"), Flow::Continue),
            Event::Step(record) => (format!("step {} {}", record.epoch, record.step), Flow::Continue),
            Event::Epoch(record) if record.epoch == 2 => ("epoch 2".into(), Flow::Stop),
            Event::Epoch(record) => (format!("epoch {}", record.epoch), Flow::Continue),
            Event::End { step, reason } => (format!("end {step} {reason}"), Flow::Continue),
            _ => ("other".into(), Flow::Continue),
        };
        heard.borrow_mut().push(text);
        Ok(flow)
    };
    let config = Config { epochs: 5, batch: 10, report_every: 3, progress: false, ..Config::default() };
    let report =
        Supervised::new(net(&d), Tensor::mse_loss).config(config).listen(listener).fit_alone(&data).expect("ok");
    let expected = ["begin 0 Some(20)", "step 1 3", "epoch 1", "step 2 6", "epoch 2", "end 8 stopped by a listener"];
    assert_eq!(*heard.borrow(), expected);
    assert_eq!(report.reason, Reason::Stopped);
}

/// Rows whose input is their number, and which of them were read in each pass.
struct Seen(Mutex<Vec<(usize, u32)>>);

impl Dataset for Seen {
    fn len(&self) -> usize {
        10
    }

    fn read(&self, rows: &[u32], pass: Pass, device: &Device) -> Result<(Tensor, Tensor)> {
        self.0.lock().expect("the lock").extend(rows.iter().map(|&row| (pass.epoch, row)));
        assert!(!rows.contains(&7), "row 7 is broken");
        let x: Vec<f32> = rows.iter().flat_map(|&row| [row as f32; 4]).collect();
        let x = Tensor::from_vec(x, &[rows.len(), 4], device);
        let y = x.slice(1, ..2);
        Ok((x, y))
    }
}

#[test]
fn epochs_have_the_rows_that_order_and_length_say() {
    let d = device();
    let read = |order: Order, batches: Option<usize>, workers: usize| {
        let (seen, config) = (Seen(Mutex::default()), Config::default());
        let config = Config { order, batches, workers, batch: 2, epochs: 2, seed: 5, progress: false, ..config };
        let fit = Supervised::new(net(&d), Tensor::mse_loss).config(config).fit_alone(&seen);
        let mut seen = seen.0.into_inner().expect("the lock");
        seen.sort_by_key(|(epoch, _)| *epoch);
        fit.map(|fit| (fit.steps, seen))
    };
    let pairs = |epoch: usize, rows: &[u32]| rows.iter().map(|&row| (epoch, row)).collect::<Vec<_>>();
    let (steps, seen) = read(Order::Sequential, Some(3), 0).expect("trained");
    assert_eq!((steps, seen), (6, [pairs(0, &[0, 1, 2, 3, 4, 5]), pairs(1, &[0, 1, 2, 3, 4, 5])].concat()));
    // Rows without weight are never read; one more epoch than rows have weight is fine.
    let weights = (0..10).map(|row| f64::from(u8::from(row < 3))).collect();
    let (steps, seen) = read(Order::Weighted { weights, count: Some(30) }, None, 2).expect("trained");
    assert!(steps == 30 && seen.len() == 60 && seen.iter().all(|(_, row)| *row < 3), "{seen:?}");
    // A panic in a data set is an error with its place, on this thread and on others.
    for workers in [0, 1, 3] {
        fails(read(Order::Sequential, None, workers), &["epoch 0, batch 3", "row 7 is broken"]);
    }
    fails(read(Order::Stratified { labels: vec![0; 9] }, None, 0), &["9 labels", "10 rows"]);
    fails(read(Order::Sequential, Some(0), 0), &["batches", "at least 1"]);
}

#[test]
fn a_metric_measures_all_rows() {
    let d = device();
    let data = classes(50, &d);
    d.seed(4).expect("seeded");
    let mut trainer = Supervised::new(Net::new(3, &d), Tensor::cross_entropy).metric("accuracy", metrics::accuracy);
    trainer.config.evaluation_batch = 16;
    let matrix = metrics::Classification::new(3, &d).expect("a metric");
    trainer.measure(&data, &matrix).expect("measured");
    let confusion = matrix.confusion().expect("counts");
    let accuracy = trainer.evaluate(&data).expect("scores").get("accuracy").expect("one");
    assert!(confusion.total() == 50 && (confusion.accuracy() - accuracy).abs() < 1e-6, "{confusion:?} {accuracy}");
}

#[test]
fn what_makes_no_sense_is_an_error_before_the_first_step() {
    let d = device();
    let data = regression(10, &d);
    let empty = Resident::new(Tensor::zeros(&[0, 4], &d), Tensor::zeros(&[0, 2], &d)).expect("no rows");
    let trainer = || Supervised::new(net(&d), Tensor::mse_loss).batch(5).quiet();
    fails(trainer().fit_alone(&empty), &["training data", "no rows"]);
    fails(trainer().fit(&data, &empty), &["validation data", "no rows", "fit_alone"]);
    fails(trainer().evaluate(&empty), &["evaluation", "no rows"]);
    fails(trainer().batch(11).fit_alone(&data), &["batches of 11 rows", "10 rows", "smaller batch"]);
    fails(trainer().batch(0).fit_alone(&data), &["batch", "at least 1"]);
    fails(trainer().epochs(0).fit_alone(&data), &["epochs", "at least 1"]);
    fails(trainer().ema(1.0).fit_alone(&data), &["ema", "below 1"]);
    fails(trainer().clip_value(-1.0).fit_alone(&data), &["clip_value", "above 0"]);
    let back = NonFinite::RollBack { factor: 0.5, attempts: 1 };
    fails(trainer().non_finite(back).fit_alone(&data), &["rolling back", "checkpoints"]);
    let mixed = Precision::Mixed(LossScale::default());
    fails(trainer().precision(mixed).non_finite(NonFinite::Ignore).fit_alone(&data), &["overflows"]);
    fails(Supervised::new(Dropout::new(0.1), Tensor::mse_loss).quiet().fit_alone(&data), &["no parameters"]);
    let lengths = Resident::new(Tensor::zeros(&[3, 4], &d), Tensor::zeros(&[2, 2], &d));
    fails(lengths, &["[3, 4]", "[2, 2]", "same number of rows"]);
    let _: Vec<Var> = net(&d).parameters();
}
