//! Strange moments of a time series, found while it comes in: a score by statistics that forget, and a threshold that learns.
//!
//!     cargo run --release --example series_anomalies -- --data path/to/nab/realKnownCause/nyc_taxi.csv.gz --out taxi.svg
//!
//! `--data` names a series of the Numenta Anomaly Benchmark (columns `timestamp` and `value`); the windows in which it was
//! strange are read from `combined_windows.json`, two directories up. Without it a wave with three planted bumps is taken. The
//! first 15 % of the rows teach what is usual, as the benchmark allows; nothing looks ahead. The picture has the windows as
//! bars, and alarms as dots.
//!
//! Data: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms" (2015).

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use anygrad::data::{Draws, Table, TableOptions};
use anygrad::prelude::*;
use anygrad::unsupervised::{PeaksOverThreshold, StreamingScore};

/// Values, and the stretches of rows that are strange.
struct Series {
    values: Vec<f64>,
    windows: Vec<Range<usize>>,
}

impl Series {
    fn read(path: &Path) -> Result<Series> {
        let table = Table::open(path, &TableOptions::default())?;
        let (values, times) = (table.numbers("value")?, table.texts("timestamp")?);
        let [directory, name] = [path.parent(), Some(path)].map(|p| p.and_then(Path::file_name).unwrap_or_default());
        let key = format!("{}/{}", directory.to_string_lossy(), name.to_string_lossy().trim_end_matches(".gz"));
        let file = path.ancestors().nth(2).unwrap_or(path).join("combined_windows.json");
        let broken = |message: String| Error::data(file.display().to_string(), message);
        let text = std::fs::read_to_string(&file).map_err(|error| broken(error.to_string()))?;
        let all: serde_json::Value = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let list = all[&key].as_array().ok_or_else(|| broken(format!("it has no windows of '{key}'")))?;
        let windows = list
            .iter()
            .map(|window| {
                // Times are texts whose order is that of time; windows have fractions of a second.
                let place = |end: usize| {
                    let end = window[end].as_str().unwrap_or_default().split('.').next().unwrap_or_default();
                    times.partition_point(|time| time.as_str() < end)
                };
                place(0)..place(1) + 1
            })
            .collect();
        Ok(Series { values, windows })
    }

    /// A wave with noise, and three bumps in it.
    fn made_up(seed: u64) -> Series {
        let mut draws = Draws::new(seed, 0);
        let mut values: Vec<f64> =
            (0..4000).map(|i| (f64::from(i) * 0.13).sin() + 0.3 * (draws.uniform() - 0.5)).collect();
        let windows = vec![1500..1520, 2400..2420, 3300..3320];
        for window in &windows {
            values[window.clone()].iter_mut().for_each(|value| *value += 4.0);
        }
        Series { values, windows }
    }
}

fn main() -> Exit {
    let options = Options::from_args("series_anomalies: strange moments of a time series, found while it comes in")?;
    let series = match &options.data {
        Some(path) => Series::read(path)?,
        None => Series::made_up(options.seed),
    };
    let (count, learn) = (series.values.len(), series.values.len() * 15 / 100);
    println!("{count} rows, {} strange windows; {learn} rows to learn from", series.windows.len());

    // How far a row and its step from the row before are from what they were lately.
    let mut stream = StreamingScore::new(2, count as f64 / 20.0, 20)?;
    let mut before = series.values[0];
    let mut scores = Vec::with_capacity(count);
    for &value in &series.values {
        scores.push(stream.score(&[value, value - before])?);
        before = value;
    }
    let mut threshold = PeaksOverThreshold::default().stream(&scores[20..learn])?;
    println!("threshold {:.3} after the first rows", threshold.threshold());
    let mut alarms = Vec::new();
    for (row, &score) in scores.iter().enumerate().skip(learn) {
        if threshold.is_alarm(score)? {
            alarms.push(row);
        }
    }
    let found = series.windows.iter().filter(|window| alarms.iter().any(|row| window.contains(row))).count();
    let outside = alarms.iter().filter(|row| !series.windows.iter().any(|window| window.contains(row))).count();
    println!("threshold {:.3} at the end", threshold.threshold());
    println!("windows found {found} of {}", series.windows.len());
    println!("alarms {}, {outside} of them outside of windows", alarms.len());
    if let Some(path) = &options.out {
        checkpoint::write_whole(path, picture(&series, &alarms).as_bytes())?;
        println!("picture written to {}", path.display());
    }
    Ok(())
}

/// The series as a line, windows as bars behind it, alarms as dots.
fn picture(series: &Series, alarms: &[usize]) -> String {
    let count = series.values.len() as f64;
    let low = series.values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let x = |row: usize| 10.0 + 980.0 * row as f64 / count;
    let y = |value: f64| 290.0 - 280.0 * (value - low) / (high - low).max(f64::MIN_POSITIVE);
    let mut svg = String::from("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1000 300'>\n");
    svg.push_str("<rect width='1000' height='300' fill='white'/>\n");
    for window in &series.windows {
        let (left, width) = (x(window.start), x(window.end) - x(window.start));
        let _ = writeln!(svg, "<rect x='{left:.1}' y='0' width='{width:.1}' height='300' fill='#f6c7c7'/>");
    }
    let points: Vec<String> =
        series.values.iter().enumerate().map(|(row, &value)| format!("{:.1},{:.1}", x(row), y(value))).collect();
    let _ = writeln!(svg, "<polyline fill='none' stroke='#1f77b4' stroke-width='.7' points='{}'/>", points.join(" "));
    for &row in alarms {
        let (x, y) = (x(row), y(series.values[row]));
        let _ = writeln!(svg, "<circle cx='{x:.1}' cy='{y:.1}' r='3' fill='#d62728'/>");
    }
    svg.push_str("</svg>\n");
    svg
}
