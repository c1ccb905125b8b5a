//! Strange moments of time series, found while they come in: scores by statistics that forget, and thresholds that learn.
//!
//!     cargo run --release --example series_anomalies -- --data path/to/nab/realKnownCause/nyc_taxi.csv.gz --out taxi.svg
//!
//! `--data` names a series of the Numenta Anomaly Benchmark (columns `timestamp` and `value`) or a directory of them, with
//! `combined_windows.json` one directory above; without it a wave with three bumps is taken. The first 15 % of the rows teach what is
//! usual, as the benchmark allows; nothing looks ahead. Scores: how far a number is from those lately, and how wrong a
//! forecast (from the last four numbers, and those a day and a week ago) was on the mean of the last rows.
//!
//! Data: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms" (2015).

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anygrad::data::{Draws, Table, TableOptions};
use anygrad::prelude::*;
use anygrad::unsupervised::{Autoregression, PeaksOverThreshold, StreamingScore};

/// Values, and the stretches of rows that are strange.
struct Series {
    values: Vec<f64>,
    /// Rows until the same time of day comes again.
    day: Option<usize>,
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
        let text = std::fs::read_to_string(&file).map_err(|error| Error::io(&file, &error))?;
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
        let clock = |row: usize| times[row].split(' ').nth(1);
        let day = (1..times.len()).find(|&row| clock(row) == clock(0)).filter(|_| clock(0).is_some());
        Ok(Series { values, day, windows })
    }

    fn made_up(seed: u64) -> Series {
        let mut draws = Draws::new(seed, 0);
        let windows = vec![1500..1520, 2400..2420, 3300..3320];
        let bump = |i: i32| if windows.iter().any(|window| window.contains(&(i as usize))) { 4.0 } else { 0.0 };
        let value = |i: i32| (f64::from(i) * 0.13).sin() + 0.3 * (draws.uniform() - 0.5) + bump(i);
        let values = (0..4000).map(value).collect();
        Series { values, day: None, windows }
    }
}

/// Rows that begin an alarm: one score is over its threshold, and none was for a hundredth of the series.
fn alarms(series: &Series, learn: usize) -> Result<Vec<usize>> {
    let count = series.values.len();
    let usual = &series.values[..learn];
    let mean = usual.iter().sum::<f64>() / learn as f64;
    let deviation =
        (usual.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / learn as f64).sqrt().max(f64::MIN_POSITIVE);
    let rhythms = series.day.into_iter().flat_map(|day| [day, 7 * day]).filter(|lag| 2 * lag <= learn);
    let lags: Vec<usize> = (1..=4).chain(rhythms).collect();
    let mut forecast = Autoregression::new(&lags, count as f64 / 4.0)?;
    let mut far = StreamingScore::new(1, count as f64 / 20.0, 20)?;
    let mut wrong = StreamingScore::new(1, count as f64 / 10.0, 20)?;
    let (mut lately, share) = (0.0, 1.0 - (-1.0 / (count as f64 / 400.0).max(4.0)).exp2());
    let mut scores = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for value in &series.values {
        let value = (value - mean) / deviation;
        scores[0].push(far.score(&[value])?);
        lately += share * (forecast.error(value)? - lately);
        scores[1].push(wrong.score(&[lately])?);
    }
    let mut rows = Vec::new();
    for scores in &scores {
        let usual = &scores[30.min(learn / 2)..learn];
        let tail = PeaksOverThreshold { level: (1.0 - 12.0 / usual.len() as f64).clamp(0.5, 0.98), risk: 5e-4 };
        let mut threshold = tail.stream(usual)?;
        for (row, &score) in scores.iter().enumerate().skip(learn) {
            if threshold.is_alarm(score)? {
                rows.push(row);
            }
        }
    }
    rows.sort_unstable();
    let mut last = None;
    rows.retain(|&row| last.replace(row).is_none_or(|last| row - last > count / 100));
    Ok(rows)
}

fn main() -> Exit {
    let options = Options::from_args("series_anomalies: strange moments of time series, found while they come in")?;
    let mut files: Vec<Option<PathBuf>> = vec![options.data.clone()];
    if let Some(directory) = options.data.as_ref().filter(|path| path.is_dir()) {
        let list = std::fs::read_dir(directory).map_err(|error| Error::io(directory, &error))?;
        let named = |path: &PathBuf| path.to_string_lossy().contains(".csv");
        files = list.flatten().map(|entry| entry.path()).filter(named).map(Some).collect();
        files.sort();
    }
    for file in &files {
        let series = file.as_ref().map_or_else(|| Ok(Series::made_up(options.seed)), |path| Series::read(path))?;
        let count = series.values.len();
        let alarms = alarms(&series, count * 15 / 100)?;
        println!("{}", file.as_ref().map_or("made up".into(), |path| path.display().to_string()));
        let found = series.windows.iter().filter(|window| alarms.iter().any(|row| window.contains(row))).count();
        let outside = alarms.iter().filter(|row| !series.windows.iter().any(|window| window.contains(row))).count();
        println!("windows found {found} of {} in {count} rows", series.windows.len());
        println!("alarms {}, {outside} of them outside of windows", alarms.len());
        if let Some(path) = &options.out {
            checkpoint::write_whole(path, picture(&series, &alarms).as_bytes())?;
            println!("picture written to {}", path.display());
        }
    }
    Ok(())
}

/// The series as a line, windows as bars, alarms as dots.
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
