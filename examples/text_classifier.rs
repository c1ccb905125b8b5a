//! A network learns what bank customers want from how they ask (BANKING77), or any texts with a class each.
//!
//!     cargo run --release --example text_classifier -- --data path/to/banking77
//!
//! `--data` names a directory with `train.csv` and `test.csv` (plain or `.gz`), columns `text` and `category`. Texts become
//! hashed words, pairs of words and stretches of characters with TF-IDF weights; two linear layers do the rest.
//! With `--quick` and no data it takes eight sentences that are inside of it. With `--checkpoints DIR` an ended run goes on.
//! Data: Casanueva and others, "Efficient intent detection with dual sentence encoders" (2020), CC BY 4.0.

use std::path::Path;

use anygrad::data::{Array, Arrays, HashedNgrams};
use anygrad::nn::loss::CrossEntropy;
use anygrad::prelude::*;

const BUCKETS: usize = 8192;
const HIDDEN: usize = 256;
const RATE: f64 = 3e-3;

/// Too few to learn from: they show that everything runs.
const SENTENCES: &str = "text,category
where is my card,card
my card has not arrived,card
when will the card come,card
\"the card, please\",card
what is the rate,rate
which exchange rate do I get,rate
is the rate good today,rate
tell me the rate,rate
";

#[derive(Module)]
struct Net {
    hidden: Linear,
    head: Linear,
    thin: Dropout,
    thick: Dropout,
}

impl Layer for Net {
    /// `x`: weights `[batch, BUCKETS]`, each row of norm 1; result: scores `[batch, classes]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        // Weights are near 1/10: 16 times as much is what the layer's initialisation expects.
        let x = self.hidden.forward(&self.thin.forward(&(x * 16.0))).relu();
        self.head.forward(&self.thick.forward(&x))
    }
}

fn open(directory: &Path, part: &str) -> Result<Table> {
    let plain = directory.join(format!("{part}.csv"));
    let path = if plain.exists() { plain } else { directory.join(format!("{part}.csv.gz")) };
    Table::open(&path, &TableOptions::default())
}

fn data(options: &Options) -> Result<(Table, Table)> {
    match &options.data {
        Some(directory) => Ok((open(directory, "train")?, open(directory, "test")?)),
        None if options.quick => {
            println!("no --data: eight sentences of the program's own, trained and tested on");
            let table = Table::parse("sentences", SENTENCES.as_bytes(), &TableOptions::default())?;
            Ok((table.clone(), table))
        }
        None => Err(Error::data("option --data", "it is missing: name a directory with train.csv and test.csv")),
    }
}

fn main() -> Exit {
    let options = Options::with_flags("text_classifier: learn the class of short texts", &[CHECKPOINTS])?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let (train, test) = data(&options)?;

    let mut classes = train.texts("category")?;
    classes.sort();
    classes.dedup();
    let grams = HashedNgrams::fit(&train.texts("text")?, BUCKETS)?;
    let arrays = |table: &Table| -> Result<Arrays> {
        let number = |name: &String| {
            let unknown = |_| Error::data(table.name(), format!("category '{name}' does not occur in training"));
            classes.binary_search(name).map(|number| number as i32).map_err(unknown)
        };
        let labels = table.texts("category")?.iter().map(number).collect::<Result<Vec<i32>>>()?;
        Arrays::new(grams.encode(&table.texts("text")?)?, Array::new(&labels, &[labels.len()])?)
    };
    let (train, test) = (arrays(&train)?, arrays(&test)?);
    let batch = 64.min(train.len());
    let epochs = options.epochs.unwrap_or(if options.quick { 1 } else { 15 });
    let batches = (train.len() / batch).min(if options.quick { 20 } else { usize::MAX });
    let steps = epochs * batches;

    let net = Net {
        hidden: Linear::new(BUCKETS, HIDDEN, &device),
        head: Linear::new(HIDDEN, classes.len(), &device),
        thin: Dropout::new(0.3),
        thick: Dropout::new(0.5),
    };
    println!("device: {device}; {} texts, {} classes", train.len(), classes.len());
    println!("{} parameters, {steps} steps of {batch} texts", net.parameter_count());
    let smooth = CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() };
    let report = Supervised::new(&net, |scores: &Tensor, y: &Tensor| smooth.of(scores, y))
        .optimizer(Adam::decoupled(net.parameters(), RATE, 0.01))
        .schedule(Rate(|step| warmup_cosine(step as usize, steps * 3 / 10, steps, RATE, 0.0)))
        .metric("accuracy", metrics::accuracy)
        .epochs(epochs)
        .batch(batch)
        .batches(batches)
        .seed(options.seed)
        .workers(1)
        .checkpoints(options.checkpoints.map(Checkpoints::new))
        .fit(&train, &test)?;
    println!("{report}");
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    println!("test accuracy {:.4}", report.last("valid.accuracy").unwrap_or(f64::NAN));
    Ok(())
}
