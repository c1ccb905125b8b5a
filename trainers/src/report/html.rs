//! A report in one HTML file: numbers, curves, a confusion matrix and the configuration, without scripts or links.

mod chart;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anygrad_core::{Error, Result};
use serde_json::{Value, json};

use super::{short, tables, time};
use crate::checkpoint::write_whole;
use crate::events::{Event, Flow, Listener, Record};
use crate::metrics::Confusion;
use chart::{Curve, curves, escape, matrix};

/// Writes the report after every epoch and at the end; the file is whole at any moment. Clones write to the same file.
///
/// The numbers lie in the file as JSON, too: a resumed run reads them from there and goes on.
///
/// Names are grouped by their last part: `loss` and `valid.loss` share a chart. `return.low` and `return.high` are the edges of
/// a band around the curve `return`.
#[derive(Clone, Debug)]
pub struct Html(Arc<Mutex<Report>>);

#[derive(Debug)]
struct Report {
    path: PathBuf,
    title: String,
    status: String,
    begun: Instant,
    /// Seconds of earlier lives of the run.
    earlier: f64,
    place: (u64, u64),
    /// Per name: what epochs and what steps said, each (step, value).
    epochs: BTreeMap<String, Vec<[f64; 2]>>,
    steps: BTreeMap<String, Vec<[f64; 2]>>,
    hyperparameters: Vec<(String, String)>,
    confusion: Option<(Vec<String>, Confusion)>,
}

/// Points of a curve of steps that are kept: more than a screen shows. Then neighbours become their mean.
const POINTS: usize = 2048;
/// Points of a curve above which a noisy one is drawn with its running mean.
const MANY: usize = 200;
/// What the numbers lie between, in the file.
const DATA: [&str; 2] = ["<script type='application/json' id='data'>", "</script>"];

impl Html {
    /// A report to be written there when the run begins.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Html {
        Html(Arc::new(Mutex::new(Report {
            path: path.into(),
            title: String::new(),
            status: "not begun".into(),
            begun: Instant::now(),
            earlier: 0.0,
            place: (0, 0),
            epochs: BTreeMap::new(),
            steps: BTreeMap::new(),
            hyperparameters: Vec::new(),
            confusion: None,
        })))
    }

    /// The heading; else it is the run's label.
    #[must_use]
    pub fn titled(self, title: impl Into<String>) -> Html {
        self.lock().title = title.into();
        self
    }

    /// What the run was configured with, as a table. In the file from the next time on that it is written.
    pub fn hyperparameters(&self, values: &[(&str, String)]) {
        self.lock().hyperparameters = values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    }

    /// A confusion matrix, with the classes' names (numbers where they are missing), and the file written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn confusion(&self, names: &[String], confusion: Confusion) -> Result<()> {
        let mut report = self.lock();
        report.confusion = Some((names.to_vec(), confusion));
        report.write()
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn begin(&mut self, label: &str, step: u64) -> Result<()> {
        if self.title.is_empty() {
            self.title = label.to_string();
        }
        (self.begun, self.status, self.earlier) = (Instant::now(), "running".into(), 0.0);
        (self.epochs, self.steps) = Default::default();
        if step > 0 {
            self.read(step)?;
        }
        self.write()
    }

    /// Takes the numbers up to `step` from the file of the run's earlier life.
    fn read(&mut self, step: u64) -> Result<()> {
        let text = tables::before(&self.path)?;
        let inside = text.split_once(DATA[0]).and_then(|(_, rest)| rest.split_once(DATA[1]));
        // Another file of that name, or none: the curves begin here.
        let Some((inside, _)) = inside else { return Ok(()) };
        let data: Value = serde_json::from_str(inside)
            .map_err(|error| Error::data(self.path.display().to_string(), format!("its data are damaged: {error}")))?;
        self.earlier = data["seconds"].as_f64().unwrap_or(0.0);
        for (name, all) in [("epochs", &mut self.epochs), ("steps", &mut self.steps)] {
            for (name, points) in data[name].as_object().into_iter().flatten() {
                let point = |point: &Value| {
                    let number = |x: &Value| x.as_f64().or_else(|| x.as_str().and_then(|text| text.parse().ok()));
                    Some([number(&point[0])?, number(&point[1])?])
                };
                let points = points.as_array().into_iter().flatten().filter_map(point);
                all.insert(name.clone(), points.filter(|point| point[0] <= step as f64).collect());
            }
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.earlier + self.begun.elapsed().as_secs_f64()
    }

    fn add(&mut self, record: &Record<'_>, of_step: bool) {
        self.place = (record.epoch, record.step);
        for (name, value) in record.values {
            let all = if of_step { &mut self.steps } else { &mut self.epochs };
            let points = all.entry(name.to_string()).or_default();
            points.push([record.step as f64, *value]);
            if of_step && points.len() >= POINTS {
                *points = points.chunks(2).map(|pair| [pair[pair.len() - 1][0], mean(pair)]).collect();
            }
        }
    }

    fn write(&self) -> Result<()> {
        write_whole(&self.path, self.page().as_bytes())
    }

    fn page(&self) -> String {
        let title = escape(&self.title);
        let mut page = format!(
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>\
             <title>{title}</title><style>{}</style></head><body><main><h1>{title}</h1>",
            include_str!("html/style.css")
        );
        let (epoch, step) = self.place;
        let duration = time(self.seconds());
        let _ = write!(page, "<p>{} · epoch {epoch} · step {step} · {duration}</p>", escape(&self.status));
        page.push_str("<div class='tiles'>");
        for (name, points) in self.epochs.iter().filter(|(name, _)| edge_of(name).is_none()) {
            let last = points.last().map_or(f64::NAN, |point| point[1]);
            let _ = write!(page, "<div class='tile'><span>{}</span><b>{}</b></div>", escape(name), short(last));
        }
        page.push_str("</div><div class='cards'>");
        self.charts(&mut page);
        page.push_str("</div><div class='cards'>");
        if let Some((names, confusion)) = &self.confusion {
            let (matrix, classes) = (matrix(names, confusion), classes(names, confusion));
            let _ =
                write!(page, "<div class='card'><h2>confusion (rows are true, columns predicted)</h2>{matrix}</div>");
            let _ = write!(page, "<div class='card'><h2>classes</h2>{classes}</div>");
        }
        if !self.hyperparameters.is_empty() {
            page.push_str("<div class='card wide'><h2>configuration</h2><dl>");
            for (name, value) in &self.hyperparameters {
                let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
            }
            page.push_str("</dl></div>");
        }
        let _ = writeln!(page, "</div></main>{}{}{}</body></html>", DATA[0], self.data(), DATA[1]);
        page
    }

    /// One chart per last part of the names: losses first, then what epochs say, then what only steps say.
    fn charts(&self, page: &mut String) {
        let mut charts: BTreeMap<(u8, &str), Vec<Curve<'_>>> = BTreeMap::new();
        for (all, of_step) in [(&self.steps, true), (&self.epochs, false)] {
            for (name, points) in all.iter().filter(|(name, _)| edge_of(name).is_none_or(|of| !all.contains_key(of))) {
                let title = last(name);
                let by_epoch = self.epochs.keys().any(|other| last(other) == title);
                let rank = if title.contains("loss") { 0 } else { 2 - u8::from(by_epoch) };
                let chart = charts.entry((rank, title)).or_default();
                let same = chart.iter().find(|curve| curve.name == name.as_str()).map(|curve| curve.color);
                let color = same.unwrap_or_else(|| chart.iter().map(|curve| curve.color + 1).max().unwrap_or(0));
                let points = Cow::Borrowed(points.as_slice());
                // Steps stay behind what epochs say, or behind their own running mean if they are noisy.
                let (behind, many) = (of_step && self.epochs.contains_key(name), of_step && noisy(&points));
                if many && !behind {
                    let points = smoothed(&points);
                    chart.push(Curve { name: name.as_str(), points, band: None, color, faint: false });
                }
                let edge = |which: &str| all.get(&format!("{name}{which}")).map(Vec::as_slice);
                let band = edge(EDGES[0]).zip(edge(EDGES[1]));
                chart.push(Curve { name: name.as_str(), points, band, color, faint: behind || many });
            }
        }
        for ((_, title), chart) in charts {
            page.push_str("<div class='card'><div class='legend'>");
            for curve in chart.iter().filter(|curve| !curve.faint && chart.iter().any(|other| other.name != curve.name))
            {
                let _ = write!(page, "<i style='background:var(--c{})'></i>{}", curve.color % 6, escape(curve.name));
            }
            let _ = write!(page, "</div><h2>{}</h2>{}</div>", escape(title), curves(&chart));
        }
    }

    /// The numbers as JSON; `</` cannot end the script early.
    fn data(&self) -> String {
        let list = |all: &BTreeMap<String, Vec<[f64; 2]>>| {
            let points = |points: &Vec<[f64; 2]>| points.iter().map(|p| json!([p[0], tables::number(p[1])])).collect();
            Value::Object(all.iter().map(|(name, p)| (name.clone(), Value::Array(points(p)))).collect())
        };
        let data = json!({"seconds": self.seconds(), "epochs": list(&self.epochs), "steps": list(&self.steps)});
        data.to_string().replace("</", "<\\/")
    }
}

/// How names of a band's edges end.
const EDGES: [&str; 2] = [".low", ".high"];

/// The curve whose band has this edge.
fn edge_of(name: &str) -> Option<&str> {
    EDGES.iter().find_map(|edge| name.strip_suffix(edge))
}

/// The part of a name behind its last dot.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether a long curve goes up and down many times: a loss does, a learning rate does not.
fn noisy(points: &[[f64; 2]]) -> bool {
    let values = || points.iter().map(|point| point[1]).filter(|value| value.is_finite());
    let range = values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min);
    let way: f64 = values().zip(values().skip(1)).map(|(a, b)| (a - b).abs()).sum();
    // Four cycles up and down; fewer are a schedule with restarts.
    points.len() > MANY && way > 8.0 * range
}

/// A running mean over about a fortieth of the curve, without what is not finite; exact at the beginning, as Adam's.
fn smoothed(points: &[[f64; 2]]) -> Cow<'static, [[f64; 2]]> {
    let keep = 1.0 - 40.0 / points.len() as f64;
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|point| point[1].is_finite());
    let point = |&[step, value]: &[f64; 2]| {
        (sum, weight) = (keep * sum + (1.0 - keep) * value, keep * weight + (1.0 - keep));
        [step, sum / weight]
    };
    finite.map(point).collect()
}

fn mean(points: &[[f64; 2]]) -> f64 {
    points.iter().map(|point| point[1]).sum::<f64>() / points.len() as f64
}

/// Precision, recall and F1 of each class.
fn classes(names: &[String], confusion: &Confusion) -> String {
    let mut table =
        "<table><tr><th>class</th><th>rows</th><th>precision</th><th>recall</th><th>F1</th></tr>".to_string();
    for (i, scores) in confusion.per_class().iter().enumerate() {
        let name = names.get(i).map_or(i.to_string(), |name| escape(name));
        let _ = write!(table, "<tr><td>{name}</td><td>{}</td>", confusion.counts[i].iter().sum::<u64>());
        for score in scores {
            let _ = write!(table, "<td>{score:.4}</td>");
        }
        table.push_str("</tr>");
    }
    table + "</table>"
}

impl Listener for Html {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        let mut report = self.lock();
        match event {
            Event::Begin { label, step, .. } => report.begin(label, *step)?,
            Event::Step(record) => report.add(record, true),
            Event::Epoch(record) => {
                report.add(record, false);
                report.write()?;
            }
            Event::End { reason, .. } => {
                report.status = reason.to_string();
                report.write()?;
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }
}
