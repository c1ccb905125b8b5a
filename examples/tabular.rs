//! A network learns one column of a table from the others: a number (regression) or a class (classification).
//!
//!     cargo run --release --example tabular -- --data houses.csv --target price
//!
//! `--data` names a CSV file with a header, plain or `.gz`; `--target` the column to predict (the last, if not given). Column
//! types are inferred; rows that do not fit are left out and counted. Numbers are standardised and categories become
//! one-hot, by what the training rows say; a fifth of the rows is kept for testing. With `--quick` and no data it makes
//! up 200 flats.

use anygrad::data::table::BadRows;
use anygrad::data::{Encoder, Target};
use anygrad::prelude::*;

const RATE: f64 = 2e-3;
const HIDDEN: usize = 64;

#[derive(Module)]
struct Net {
    layers: [Linear; 2],
    head: Linear,
    dropout: Dropout,
}

impl Net {
    /// `x`: `[batch, columns]`; result: `[batch, 1]` for a number, `[batch, classes]` for a class.
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = self.dropout.forward(&layer.forward(&x).relu());
        }
        self.head.forward(&x)
    }
}

/// Flats whose rent follows area, floor and city, under noise; some floors are missing.
fn made_up(seed: u64) -> String {
    let mut draws = Draws::new(seed, 1);
    let mut text = String::from("area,floor,city,rent\n");
    for _ in 0..200 {
        let (area, floor) = (20.0 + 100.0 * draws.uniform(), draws.below(9));
        let (city, factor) = [("Ulm", 11.0), ("Bonn", 13.0), ("Kiel", 9.0)][draws.below(3) as usize];
        let rent = area * factor + 10.0 * floor as f64 + 30.0 * draws.normal();
        let floor = if draws.below(10) == 0 { String::from("NA") } else { floor.to_string() };
        text += &format!("{area:.1},{floor},{city},{rent:.2}\n");
    }
    text
}

fn data(options: &Options) -> Result<Table> {
    let how = TableOptions { bad_rows: BadRows::Skip, ..TableOptions::default() };
    match &options.data {
        Some(path) => Table::open(path, &how),
        None if options.quick => {
            println!("no --data: 200 made-up flats");
            Table::parse("flats", made_up(options.seed).as_bytes(), &how)
        }
        None => Err(Error::data("option --data", "it is missing: name a CSV file; see --help")),
    }
}

fn main() -> Exit {
    let options = Options::from_args("tabular: learn one column of a CSV file from the others")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let table = data(&options)?;
    for bad in table.skipped.iter().take(5) {
        println!("left out: line {}: {}", bad.line, bad.reason);
    }
    let last = table.columns().last().map(|column| column.name.clone()).unwrap_or_default();
    let target = options.target.clone().unwrap_or(last);
    // A few distinct whole numbers are classes.
    let whole = table.column(&target)?.values.kind() == anygrad::data::table::Kind::Integer;
    let mut values = table.texts(&target)?;
    values.sort();
    values.dedup();
    let parts = split::split(table.rows(), &[0.8, 0.2], options.seed)?;
    let (train, test) = (table.select(&parts[0])?, table.select(&parts[1])?);
    let encoder = Encoder::fit(&train, &target, whole && values.len() <= 20)?;
    let (train, test) = (encoder.data(&train)?, encoder.data(&test)?);
    let (outputs, deviation) = match encoder.target() {
        Target::Number { deviation, .. } => (1, *deviation),
        Target::Class(names) => (names.len(), 1.0),
    };
    let classifies = matches!(encoder.target(), Target::Class(_));

    let batch = 32.min(train.len());
    let loader = Loader::new(train, LoaderConfig { batch, seed: options.seed, ..LoaderConfig::default() }, &device)?;
    let epochs = options.epochs.unwrap_or(if options.quick { 5 } else { 60 });
    let steps = epochs * loader.batches_per_epoch();
    let net = Net {
        layers: [Linear::new(encoder.width(), HIDDEN, &device), Linear::new(HIDDEN, HIDDEN, &device)],
        head: Linear::new(HIDDEN, outputs, &device),
        dropout: Dropout::new(0.1),
    };
    let parameters = net.parameters();
    let adam = Adam::decoupled(parameters.clone(), RATE, 0.01);
    println!("device: {device}; {} rows, {} left out, {} inputs", table.rows(), table.skipped.len(), encoder.width());
    println!("{} parameters, {steps} steps", net.parameter_count());
    let loss = |x: &Tensor, y: &Tensor| match classifies {
        true => net.forward(x).cross_entropy(y),
        false => net.forward(x).mse_loss(y),
    };
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let loss = loss(&x, &y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    // The sum of what is right, or of squared errors.
    let mut score = Program::inference(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let y_hat = net.forward(&x);
        if classifies { metrics::correct(&y_hat, &y) } else { (y_hat - y).powi(2).sum(..) }
    });
    let progress = Progress::new("train", steps);
    let mut done = 0;
    for epoch in 0..epochs {
        for batch in loader.epoch(epoch) {
            adam.set_learning_rate(warmup_cosine(done, steps / 10, steps, RATE, 0.0))?;
            let loss = step.run(batch?)?;
            done += 1;
            progress.step();
            if done % 200 == 0 {
                progress.message(format!("loss {:.4}", loss.item()?));
            }
        }
    }
    println!("{done} steps in {:.1} s", progress.finish().as_secs_f64());
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    let sum = test.batches(500, &device).map(|batch| score.run(batch?)?.item()).sum::<Result<f64>>()?;
    let mean = sum / test.len() as f64;
    match classifies {
        true => println!("test accuracy {mean:.4}"),
        false => {
            // Of a network that says the mean of the test rows.
            let y = test.targets().to_vec::<f64>();
            let middle = y.iter().sum::<f64>() / y.len() as f64;
            let spread = y.iter().map(|y| (y - middle).powi(2)).sum::<f64>() / y.len() as f64;
            println!("test RMSE {:.4}, R2 {:.4}", mean.sqrt() * deviation, 1.0 - mean / spread);
        }
    }
    Ok(())
}
