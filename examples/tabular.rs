//! A network learns one column of a table from the others: a number (regression) or a class (classification).
//!
//!     cargo run --release --example tabular -- --data houses.csv --target price
//!
//! `--data` names a CSV file with a header, plain or `.gz`; `--target` the column to predict (the last, if not given). Column
//! types are inferred; rows that do not fit are left out and counted. Numbers are standardised and categories become
//! one-hot, by what the training rows say; a fifth of the rows is kept for testing. With `--quick` and no data it makes
//! up 200 flats. With `--checkpoints DIR` a run that was ended goes on when it is started again.

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

impl Layer for Net {
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
    let options = Options::with_flags("tabular: learn one column of a CSV file from the others", &[CHECKPOINTS])?;
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
    let epochs = options.epochs.unwrap_or(if options.quick { 5 } else { 60 });
    let steps = epochs * (train.len() / batch);
    let net = Net {
        layers: [Linear::new(encoder.width(), HIDDEN, &device), Linear::new(HIDDEN, HIDDEN, &device)],
        head: Linear::new(HIDDEN, outputs, &device),
        dropout: Dropout::new(0.1),
    };
    println!("device: {device}; {} rows, {} left out, {} inputs", table.rows(), table.skipped.len(), encoder.width());
    println!("{} parameters, {steps} steps", net.parameter_count());
    let trainer = match classifies {
        true => Supervised::new(&net, Tensor::cross_entropy).metric("accuracy", metrics::accuracy),
        false => Supervised::new(&net, Tensor::mse_loss),
    };
    let mut trainer = trainer
        .optimizer(Adam::decoupled(net.parameters(), RATE, 0.01))
        .schedule(Rate(|step| warmup_cosine(step as usize, steps / 10, steps, RATE, 0.0)))
        .epochs(epochs)
        .batch(batch)
        .seed(options.seed)
        .checkpoints(options.checkpoints.map(Checkpoints::new));
    let report = trainer.fit_alone(&train)?;
    println!("{report}");
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    if classifies {
        println!("test accuracy {:.4}", trainer.evaluate(&test)?.get("accuracy").unwrap_or(f64::NAN));
    } else {
        let scores = metrics::Regression::new(1, &device)?;
        trainer.measure(&test, &scores)?;
        for (name, value) in scores.values()? {
            // Targets are standardised; MAE and RMSE are in their unit.
            let unit = if name == "r2" { 1.0 } else { deviation };
            println!("test {name} {:.4}", value * unit);
        }
    }
    Ok(())
}
