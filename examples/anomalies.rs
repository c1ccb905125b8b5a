//! Strange rows in a table, found in four ways: by an autoencoder, an isolation forest, distances to neighbours, and a robust
//! Gaussian.
//!
//!     cargo run --release --example anomalies -- --data path/to/32_shuttle.npz
//!
//! `--data` names a file of ADBench: `X` (rows x features) and `y` (1: strange). Without it ones among the other digits are the
//! strange rows. The forest looks at all rows without knowing which are strange; the others learn from half of the normal
//! rows and are asked about the rest. Numbers printed: areas under the ROC curve and under the precision-recall curve.
//!
//! Data: Han and others, "ADBench: Anomaly detection benchmark" (2022).

use anygrad::data::{Unlabelled, numpy, shuffled};
use anygrad::prelude::*;
use anygrad::unsupervised::{
    Autoencoder, Components, EllipticEnvelope, IsolationForest, NearestNeighbors, Pca, scores,
};

/// Rows, and which of them are strange.
fn rows(options: &Options, device: &Device) -> Result<(Tensor, Vec<bool>)> {
    let Some(path) = &options.data else {
        let digits = LabelledImages::from_csv("digits.csv.gz", include_bytes!("data/digits.csv.gz"), [1, 8, 8], 16)?;
        // Of ten classes one, and of that a fifth, is about two in a hundred.
        let kept: Vec<usize> = (0..digits.len()).filter(|&row| digits.labels[row] != 1 || row % 5 == 0).collect();
        let pixels: Vec<f32> =
            kept.iter().flat_map(|row| &digits.pixels[row * 64..][..64]).map(|&p| f32::from(p)).collect();
        let strange = kept.iter().map(|&row| digits.labels[row] == 1).collect();
        return Ok((Tensor::try_from_slice(&pixels, &[kept.len(), 64], device)?, strange));
    };
    let mut arrays = numpy::read_npz(path)?;
    let mut take = |name: &str| {
        let missing = || Error::data(path.display().to_string(), format!("it has no array '{name}'"));
        arrays.remove(name).ok_or_else(missing)
    };
    let (x, y) = (take("X")?, take("y")?);
    Ok((x.cast::<f32>().tensor(device)?, y.to_vec::<i32>().iter().map(|&y| y != 0).collect()))
}

/// Rows with these numbers.
fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let index = Tensor::try_from_slice(rows, &[rows.len()], x.device())?;
    Ok(x.index_select(0, &index).realize()?.clone())
}

fn report(name: &str, strange: &[bool], found: &[f64]) -> Result<()> {
    let (roc, precision) = (scores::roc_auc(strange, found)?, scores::average_precision(strange, found)?);
    println!("{name:18} roc auc {roc:.4}  pr auc {precision:.4}");
    Ok(())
}

fn main() -> Exit {
    let options = Options::from_args("anomalies: find strange rows of a table in four ways")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    println!("device: {device}");
    let (x, strange) = rows(&options, &device)?;
    let count = strange.iter().filter(|&&s| s).count();
    println!("{} rows of {} features, {count} strange", x.shape()[0], x.shape()[1]);

    // Half of the normal rows to learn from; the others and all strange ones to be told apart.
    let order = shuffled(strange.len(), options.seed, 0);
    let (odd, normal): (Vec<u32>, Vec<u32>) = order.into_iter().partition(|&row| strange[row as usize]);
    let (learn, ask) = normal.split_at(normal.len() / 2);
    let ask: Vec<u32> = ask.iter().chain(&odd).copied().collect();
    let truth: Vec<bool> = ask.iter().map(|&row| strange[row as usize]).collect();
    let learn = select(&x, learn)?;
    // Features that never differ among normal rows are left at their size.
    let (mean, std) = (learn.mean(0), learn.std(0, 0));
    let std = std.gt(1e-6).select(&std, 1.0);
    let [learn, ask] = [learn, select(&x, &ask)?].map(|rows| (rows - &mean) / &std);
    let (learn, ask) = (learn.realize()?.clone(), ask.realize()?.clone());

    // Normal rows of such tables vary along few directions; wider or deeper models learn to give strange rows back, too. So a
    // tenth of the features, without layers between.
    let width = x.shape()[1];
    let narrow = (width / 10).max(1);
    let encoder = Sequential::new().add(Linear::new(width, narrow, &device));
    let decoder = Sequential::new().add(Linear::new(narrow, width, &device));
    let model = Autoencoder::new(encoder, decoder);
    let batch = (learn.shape()[0] / 16).clamp(8, 128);
    // Three thousand updates, whatever the table's size.
    let updates = if options.quick { 100 } else { 3000 };
    let epochs = options.epochs.unwrap_or((updates * batch).div_ceil(learn.shape()[0]));
    let data = Unlabelled(Resident::new(learn.clone(), learn.clone())?);
    let adam = Adam::with(model.parameters(), AdamConfig { lr: 1e-2, ..AdamConfig::default() })?;
    let steps = epochs * (learn.shape()[0] / batch);
    let trainer = model.trainer().epochs(epochs).batch(batch).optimizer(adam);
    let rate = Rate(move |step| warmup_cosine(step as usize, steps / 20, steps, 1e-2, 0.0));
    let _ = trainer.schedule(rate).quiet().fit_alone(&data)?;
    report("autoencoder", &truth, &model.score_rows(&ask)?)?;

    let forest = IsolationForest { seed: options.seed, ..Default::default() }.fit(&device, &x)?;
    report("isolation forest", &strange, &forest.score_rows(&x)?)?;
    let near = NearestNeighbors::default().fit(&device, &learn)?;
    report("nearest neighbours", &truth, &near.score_rows(&ask)?)?;
    // A covariance must not be singular: features that say nothing new are left out.
    let pca = Pca { components: Components::Variance(0.999), ..Default::default() };
    let pca = pca.fit(&device, &learn)?;
    let starts = if options.quick { 20 } else { 500 };
    let robust = EllipticEnvelope { seed: options.seed, starts, ..Default::default() };
    let robust = robust.fit(&device, &pca.transform(&learn)?)?;
    report("robust gaussian", &truth, &robust.score_rows(&pca.transform(&ask)?)?)?;
    Ok(())
}
