//! How many cycles a jet engine has left, from its last 30 cycles of sensor readings (NASA C-MAPSS, FD001).
//!
//!     cargo run --release --example remaining_life -- --data path/to/cmapss-fd001
//!
//! `--data` names a directory with `train_FD001.txt`, `test_FD001.txt` (plain or `.gz`) and `RUL_FD001.txt`. The remaining life is
//! capped at 125 cycles, as is usual: before, nothing is to be seen. The sensors are noisy: the network averages ten
//! cycles at a time, then one convolution sees the trend. With `--quick` and no data it makes up a few engines.
//! Data: A. Saxena and others, "Damage propagation modeling for aircraft engine run-to-failure simulation" (2008).

use std::path::Path;

use anygrad::data::Array;
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

impl Net {
    /// `x`: `[batch, WINDOW, sensors]`; result: remaining life over CAP, `[batch, 1]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.trend.forward(&x.transpose(1, 2).avg_pool1d(10)).relu().flatten(1);
        let x = self.hidden.forward(&self.dropout.forward(&x)).relu();
        self.head.forward(&self.dropout.forward(&x))
    }
}

/// Readings of many engines: the engine of each row, the sensors' columns, cycles left after each row.
struct Engines {
    units: Vec<u32>,
    sensors: Vec<Vec<f64>>,
    left: Vec<f32>,
}

impl Engines {
    /// `after[k]`: what the k-th engine still ran after its last row; nothing for engines that ran to failure.
    fn new(units: Vec<u32>, sensors: Vec<Vec<f64>>, after: &[f64]) -> Result<Engines> {
        let mut left = Vec::new();
        for (engine, rows) in units.chunk_by(|a, b| a == b).enumerate() {
            let missing = Error::data("remaining life", format!("none is given for engine {}", engine + 1));
            let end = if after.is_empty() { 0.0 } else { *after.get(engine).ok_or(missing)? };
            left.extend((0..rows.len()).rev().map(|row| (end + row as f64).min(CAP) / CAP).map(|x| x as f32));
        }
        Ok(Engines { units, sensors, left })
    }

    fn open(path: &Path, after: &[f64]) -> Result<Engines> {
        let table = read(path)?;
        let units = table.numbers("column 1")?.iter().map(|&unit| unit as u32).collect();
        // Columns 1 to 5 are engine, cycle and settings.
        let sensors = (6..=26).map(|k| table.numbers(&format!("column {k}"))).collect::<Result<_>>()?;
        Engines::new(units, sensors, after)
    }

    /// Three sensors that drift with wear, under noise.
    fn made_up(count: u32, draws: &mut Draws) -> Result<Engines> {
        let units = (0..count * 80).map(|row| row / 80).collect();
        let wear = |row: u32| (f64::from(row % 80) / 80.0).powi(2);
        let mut sensor = |k: u8| (0..count * 80).map(|row| wear(row) * f64::from(k) + 0.2 * draws.normal()).collect();
        let sensors = vec![sensor(1), sensor(2), sensor(3)];
        Engines::new(units, sensors, &[])
    }

    /// Windows of the chosen sensors, `(x - mean) / deviation`.
    fn windows(&self, scales: &[(usize, f64, f64)], take: Take) -> Result<Windows> {
        let value = |row: usize| scales.iter().map(move |&(k, mean, std)| ((self.sensors[k][row] - mean) / std) as f32);
        let values: Vec<f32> = (0..self.units.len()).flat_map(value).collect();
        Windows::new(&Array::new(&values, &[self.left.len(), scales.len()])?, &self.left, &self.units, WINDOW, take)
    }
}

/// A table of numbers between blanks, without a header.
fn read(path: &Path) -> Result<Table> {
    let packed = path.with_extension("txt.gz");
    let path = if path.exists() { path } else { &packed };
    Table::open(path, &TableOptions { header: false, delimiter: b' ', ..TableOptions::default() })
}

fn data(options: &Options) -> Result<(Engines, Engines)> {
    match &options.data {
        Some(directory) => {
            let left = read(&directory.join("RUL_FD001.txt"))?.numbers("column 1")?;
            let [train, test] = ["train", "test"].map(|part| directory.join(format!("{part}_FD001.txt")));
            Ok((Engines::open(&train, &[])?, Engines::open(&test, &left)?))
        }
        None if options.quick => {
            println!("no --data: a few made-up engines");
            let mut draws = Draws::new(options.seed, 0);
            Ok((Engines::made_up(8, &mut draws)?, Engines::made_up(4, &mut draws)?))
        }
        None => Err(Error::data("option --data", "it is missing: name a directory with train_FD001.txt; see --help")),
    }
}

fn main() -> Exit {
    let options = Options::from_args("remaining_life: how many cycles an engine has left")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let (train, test) = data(&options)?;
    // Mean and deviation of the training engines; sensors with one or two values tell nothing.
    let scale = |(k, values): (usize, &Vec<f64>)| {
        let (a, b) = (values[0], values.iter().copied().find(|&x| x != values[0])?);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        values.iter().any(|&x| x != a && x != b).then(|| (k, mean, variance.sqrt()))
    };
    let scales: Vec<_> = train.sensors.iter().enumerate().filter_map(scale).collect();
    let (train, test) = (train.windows(&scales, Take::Every(1))?, test.windows(&scales, Take::Last)?);
    let config = LoaderConfig { batch: 128, seed: options.seed, ..LoaderConfig::default() };
    let loader = Loader::new(train, config, &device)?;
    let steps = options.epochs.unwrap_or(if options.quick { 2 } else { 12 }) * loader.batches_per_epoch();

    let net = Net {
        trend: Conv1d::new(scales.len(), 128, 3, &device),
        hidden: Linear::new(128, 128, &device),
        head: Linear::new(128, 1, &device),
        dropout: Dropout::new(0.3),
    };
    let parameters = net.parameters();
    let adam = Adam::decoupled(parameters.clone(), RATE, 0.01);
    println!("device: {device}; {} windows of {} sensors", loader.data().len(), scales.len());
    println!("{} parameters, {steps} steps, {} engines to test", net.parameter_count(), test.len());
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let loss = net.forward(&x).mse_loss(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let mut errors = Program::inference(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        ((net.forward(&x).clamp(0.0, 1.0) - y) * CAP).powi(2).mean(..).sqrt()
    });
    let progress = Progress::new("train", steps);
    let batches = (0..).flat_map(|epoch| loader.epoch(epoch)).take(steps);
    for (done, batch) in batches.enumerate() {
        adam.set_learning_rate(warmup_cosine(done, steps * 3 / 10, steps, RATE, 0.0))?;
        let loss = step.run(batch?)?;
        progress.step();
        if done % 200 == 199 {
            progress.line(format!("step {}: training RMSE {:.2} cycles", done + 1, loss.item()?.sqrt() * CAP));
        }
    }
    println!("{steps} steps in {:.1} s", progress.finish().as_secs_f64());
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    let all = Resident::of(&test, &device)?;
    println!("test RMSE {:.2} cycles", errors.run((all.inputs().clone(), all.targets().clone()))?.item()?);
    Ok(())
}
