//! Every metric against scikit-learn's on random data in three batches inside of a program (goldens/metrics.py).

use std::collections::BTreeMap;

use anygrad_core::{Device, Program, Tensor};
use anygrad_trainers::metrics::{Averaging, Calibration, Classification, MeanOf, Metric, Ranking, Regression};
use serde_json::{Value, from_value};

const CLASSES: usize = 5;
/// Of 150 rows; the last batch is smaller.
const BATCHES: [(usize, usize); 3] = [(0, 64), (64, 128), (128, 150)];

fn device() -> Device {
    anygrad_core::testing::device()
}

fn golden(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("goldens/metrics.json")).expect("goldens");
    all[name].clone()
}

/// Rows of a table of numbers, as f32 or as i32.
fn rows(name: &str, columns: usize, (from, to): (usize, usize), device: &Device) -> Tensor {
    let shape: &[usize] = if columns == 1 { &[to - from] } else { &[to - from, columns] };
    match name {
        "labels" | "binary" => {
            Tensor::from_vec(from_value::<Vec<i32>>(golden(name)).expect(name)[from..to].to_vec(), shape, device)
        }
        _ => {
            let all: Vec<f32> = from_value(golden(name)).expect(name);
            Tensor::from_vec(all[from * columns..to * columns].to_vec(), shape, device)
        }
    }
}

/// Feeds all batches through a program, twice with a reset in between.
fn feed(
    metric: &dyn Metric,
    output: (&str, usize),
    target: (&str, usize),
    device: &Device,
) -> BTreeMap<&'static str, f64> {
    let mut program = Program::inference(device, |(x, y): (Tensor, Tensor)| metric.update(&x, &y));
    let mut values = BTreeMap::new();
    for _ in 0..2 {
        metric.reset().expect("a reset");
        for range in BATCHES {
            let batch = (rows(output.0, output.1, range, device), rows(target.0, target.1, range, device));
            program.run(batch).expect("a batch");
        }
        values = metric.values().expect("values").into_iter().collect();
    }
    values
}

fn close(name: &str, found: f64, tolerance: f64) {
    let expected = golden("values")[name].as_f64().expect(name);
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{name}: {found} instead of {expected}");
}

/// Counts and quotients of them in f64.
const EXACT: f64 = 4.0 * f64::EPSILON;
/// Sums of 64 f32 numbers per batch, each of a few roundings.
const ROUNDED: f64 = 64.0 * f32::EPSILON as f64;

#[test]
fn classification_is_scikit_learns() {
    let device = device();
    for (name, averaging) in
        [("micro", Averaging::Micro), ("macro", Averaging::Macro), ("weighted", Averaging::Weighted)]
    {
        let metric = Classification::new(CLASSES, &device).expect("a metric").averaged(averaging);
        let values = feed(&metric, ("logits", CLASSES), ("labels", 1), &device);
        close("accuracy", values["accuracy"], EXACT);
        for score in ["precision", "recall", "f1"] {
            close(&format!("{name}.{score}"), values[score], 16.0 * EXACT);
        }
        let confusion = metric.confusion().expect("a matrix");
        assert_eq!(confusion.counts, from_value::<Vec<Vec<u64>>>(golden("confusion")).expect("a matrix"));
        let expected: Vec<[f64; 3]> = from_value(golden("per_class")).expect("a table");
        for (found, expected) in confusion.per_class().iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() <= EXACT, "{found} instead of {expected}");
        }
    }
}

#[test]
fn means_are_scikit_learns() {
    let device = device();
    let feed = |metric: &MeanOf| feed(metric, ("logits", CLASSES), ("labels", 1), &device);
    close("accuracy", feed(&MeanOf::accuracy(&device).expect("a metric"))["accuracy"], ROUNDED);
    close("top_2", feed(&MeanOf::top_k(2, &device).expect("a metric"))["top_k"], ROUNDED);
    close("perplexity", feed(&MeanOf::perplexity(&device).expect("a metric"))["perplexity"], ROUNDED);
}

#[test]
fn areas_under_curves_are_scikit_learns_with_equal_scores() {
    let device = device();
    let metric = Ranking::new(150, &device).expect("a metric");
    let values = feed(&metric, ("scores", 1), ("binary", 1), &device);
    close("roc_auc", values["roc_auc"], 150.0 * EXACT);
    close("pr_auc", values["pr_auc"], 150.0 * EXACT);
    let roc = metric.roc().expect("a curve");
    assert_eq!((roc[0], roc[roc.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
    assert_eq!(metric.precision_recall().expect("a curve").last().expect("an end")[0], 1.0);
    let small = Ranking::new(149, &device).expect("a metric");
    for range in BATCHES {
        small.update(&rows("scores", 1, range, &device), &rows("binary", 1, range, &device));
    }
    let message = small.values().expect_err("no room").to_string();
    assert!(message.contains("150 rows were added, there is room for 149"), "{message}");
}

#[test]
fn errors_of_regression_are_scikit_learns() {
    let device = device();
    let values = feed(&Regression::new(2, &device).expect("a metric"), ("guess", 2), ("truth", 2), &device);
    // The targets lie near 100 with a spread of 1, in f32: 100 roundings of each number are 1 of an error.
    close("mae", values["mae"], 100.0 * ROUNDED);
    close("rmse", values["rmse"], 100.0 * ROUNDED);
    close("r2", values["r2"], 100.0 * ROUNDED);
}

#[test]
fn the_calibration_error_is_scikit_learns() {
    let device = device();
    let values = feed(&Calibration::new(10, &device).expect("a metric"), ("logits", CLASSES), ("labels", 1), &device);
    // A sum of differences of numbers ten times as large.
    close("calibration_error", values["calibration_error"], 10.0 * ROUNDED);
}

#[test]
fn edges() {
    let device = device();
    let list = |values: &[f32]| Tensor::from_vec(values.to_vec(), &[values.len()], &device);
    let labels = |values: &[i32]| Tensor::from_vec(values.to_vec(), &[values.len()], &device);
    // Nothing was added.
    let empty: [Box<dyn Metric>; 5] = [
        Box::new(Classification::new(3, &device).expect("a metric")),
        Box::new(Ranking::new(9, &device).expect("a metric")),
        Box::new(Regression::new(1, &device).expect("a metric")),
        Box::new(Calibration::new(9, &device).expect("a metric")),
        Box::new(MeanOf::accuracy(&device).expect("a metric")),
    ];
    for metric in &empty {
        assert!(metric.values().expect("values").iter().all(|(_, value)| value.is_nan()), "{metric:?}");
    }
    // Labels that do not exist count for nothing; one logit per row is enough for two classes.
    let two = Classification::new(2, &device).expect("a metric");
    two.update(&list(&[0.3, -2.0, 1.0, 5.0]), &labels(&[1, 0, 0, 7]));
    assert_eq!(two.confusion().expect("a matrix").counts, [[1, 1], [0, 1]]);
    two.update(&labels(&[1, 9]), &labels(&[1, 1]));
    assert_eq!(two.confusion().expect("a matrix").counts, [[1, 1], [0, 2]]);
    let top = MeanOf::top_k(2, &device).expect("a metric");
    top.update(&Tensor::from_vec(vec![1.0f32, 1.0, 1.0, 0.0, 0.0, 0.0], &[2, 3], &device), &labels(&[2, 8]));
    assert_eq!(top.values().expect("values")[0].1, 0.0);
    // A target that never changes.
    let flat = Regression::new(1, &device).expect("a metric");
    flat.update(&list(&[2.0, 2.0]), &list(&[2.0, 2.0]));
    assert_eq!(flat.values().expect("values")[2].1, 1.0);
    flat.update(&list(&[2.5]), &list(&[2.0]));
    assert_eq!(flat.values().expect("values")[2].1, 0.0);
}
