//! How many cycles a jet engine has left, from its last 30 cycles of sensor readings (NASA C-MAPSS, FD001).
//!
//!     cargo run --release --example remaining_life -- --data path/to/cmapss-fd001 [--lstm]
//!
//! `--data` names a directory with `train_FD001.txt`, `test_FD001.txt` (plain or `.gz`) and `RUL_FD001.txt`. The remaining life is
//! capped at 125 cycles, as is usual: before, nothing is to be seen. The sensors are noisy: the network averages ten
//! cycles at a time, then one convolution sees the trend; with `--lstm` a recurrent network reads means of five cycles.
//! With `--quick` and no data it makes up a few engines. With `--checkpoints DIR` an ended run goes on.
//! Data: A. Saxena and others, "Damage propagation modeling for aircraft engine run-to-failure simulation" (2008).

use std::path::Path;

use anygrad::data::Encoder;
use anygrad::data::sequence::{Take, Windows};
use anygrad::prelude::*;

const WINDOW: usize = 30;
const CAP: f64 = 125.0;
const RATE: f64 = 2e-3;

#[derive(Module)]
struct Net {
    trend: Conv1d,
    hidden: Linear,
    head: Linear,
    dropout: Dropout,
}

impl Layer for Net {
    /// `x`: `[batch, WINDOW, sensors]`; result: remaining life over CAP, `[batch, 1]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.trend.forward(&x.transpose(1, 2).avg_pool1d(10)).relu().flatten(1);
        let x = self.hidden.forward(&self.dropout.forward(&x)).relu();
        self.head.forward(&self.dropout.forward(&x))
    }
}

#[derive(Module)]
struct Recurrent {
    lstm: Lstm,
    hidden: Linear,
    head: Linear,
    dropout: Dropout,
}

impl Layer for Recurrent {
    /// As [`Net`]'s.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (_, (last, _)) = self.lstm.forward(&x.transpose(1, 2).avg_pool1d(5).transpose(1, 2), None);
        let x = self.dropout.forward(&last.index_axis(0, 0));
        self.head.forward(&self.dropout.forward(&self.hidden.forward(&x).relu()))
    }
}

/// A table of numbers between blanks, without a header.
fn read(directory: &Path, file: &str) -> Result<Table> {
    let (plain, packed) = (directory.join(file), directory.join(format!("{file}.gz")));
    Table::open(if plain.exists() { &plain } else { &packed }, &how())
}

fn how() -> TableOptions {
    TableOptions { header: false, delimiter: b' ', ..TableOptions::default() }
}

/// Engines that run for 80 cycles, with three sensors that drift with wear, under noise; columns as in the files.
fn made_up(engines: usize, draws: &mut Draws) -> Result<Table> {
    let mut text = String::new();
    for row in 0..engines * 80 {
        let wear = ((row % 80) as f64 / 80.0).powi(2);
        let [a, b, c] = [1.0, 2.0, 3.0].map(|k| wear * k + 0.2 * draws.normal());
        text += &format!("{} {} 0 0 0 {a} {b} {c}\n", row / 80 + 1, row % 80 + 1);
    }
    Table::parse("made-up engines", text.as_bytes(), &how())
}

/// Training and test engines, and how long each of the latter still ran.
fn data(options: &Options) -> Result<(Table, Table, Vec<f64>)> {
    match &options.data {
        Some(directory) => {
            let after = read(directory, "RUL_FD001.txt")?.numbers("column 1")?;
            Ok((read(directory, "train_FD001.txt")?, read(directory, "test_FD001.txt")?, after))
        }
        None if options.quick => {
            println!("no --data: a few made-up engines");
            let mut draws = Draws::new(options.seed, 0);
            Ok((made_up(8, &mut draws)?, made_up(4, &mut draws)?, vec![0.0; 4]))
        }
        None => Err(Error::data("option --data", "it is missing: name a directory with train_FD001.txt; see --help")),
    }
}

/// Windows of standardised sensors; `after`: cycles that each engine still ran after its last row, none if it failed there.
fn windows(table: &Table, encoder: &Encoder, after: &[f64], take: Take) -> Result<Windows> {
    let units: Vec<u32> = table.numbers("column 1")?.iter().map(|&unit| unit as u32).collect();
    let mut left = Vec::new();
    for (engine, rows) in units.chunk_by(|a, b| a == b).enumerate() {
        let missing = || Error::data("remaining life", format!("none is given for engine {}", engine + 1));
        let end = if after.is_empty() { 0.0 } else { *after.get(engine).ok_or_else(missing)? };
        left.extend((0..rows.len()).rev().map(|row| ((end + row as f64).min(CAP) / CAP) as f32));
    }
    Windows::new(&encoder.inputs(table)?, &left, &units, WINDOW, take)
}

fn main() -> Exit {
    let flags = [CHECKPOINTS, ("--lstm", "a recurrent network instead of a convolution")];
    let options = Options::with_flags("remaining_life: how many cycles an engine has left", &flags)?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let (train, test, after) = data(&options)?;
    // Columns 1 to 5 are engine, cycle and settings. Means and deviations are those of the training engines.
    let encoder = Encoder::fit(&train.without(&["column 2", "column 3", "column 4", "column 5"])?, "column 1", false)?;
    let (train, test) =
        (windows(&train, &encoder, &[], Take::Every(1))?, windows(&test, &encoder, &after, Take::Last)?);
    let (batch, sensors) = (128, encoder.width());
    let epochs = options.epochs.unwrap_or(if options.quick { 2 } else { 12 });
    let steps = epochs * (train.len() / batch);

    let (hidden, head) = (Linear::new(128, 128, &device), Linear::new(128, 1, &device));
    let net: Box<dyn Layer> = if options.has("--lstm") {
        let lstm = Lstm::new(sensors, 128, RecurrentOptions::default(), &device);
        Box::new(Recurrent { lstm, hidden, head, dropout: Dropout::new(0.3) })
    } else {
        let trend = Conv1d::new(sensors, 128, 3, &device);
        Box::new(Net { trend, hidden, head, dropout: Dropout::new(0.3) })
    };
    println!("device: {device}; {} windows of {sensors} sensors", train.len());
    println!("{} parameters, {steps} steps, {} engines to test", net.parameter_count(), test.len());
    let mut trainer = Supervised::new(&*net, Tensor::mse_loss)
        .optimizer(Adam::decoupled(net.parameters(), RATE, 0.01))
        .schedule(Rate(|step| warmup_cosine(step as usize, steps * 3 / 10, steps, RATE, 0.0)))
        .metric("squared", |y_hat, y| ((y_hat.clamp(0.0, 1.0) - y) * CAP).powi(2).mean(..))
        .epochs(epochs)
        .batch(batch)
        .seed(options.seed)
        .checkpoints(options.checkpoints.map(Checkpoints::new));
    println!("{}", trainer.fit_alone(&train)?);
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    let squared = trainer.evaluate(&test)?.get("squared").unwrap_or(f64::NAN);
    println!("test RMSE {:.2} cycles", squared.sqrt());
    Ok(())
}
