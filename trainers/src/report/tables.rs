//! Tables of a run's numbers for other programs: CSV and JSON lines. A resumed run goes on in the same file: rows of steps behind
//! the checkpoint, which will be done again, are taken out first.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anygrad_core::{Error, Result};
use serde_json::{Map, Value, json};

use crate::checkpoint::write_whole;
use crate::events::{Event, Flow, Listener, Record};

/// Text that was there before; none if there was no file.
pub(super) fn before(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::io(path, &error)),
    }
}

/// Adds a line at the end, in one write.
fn append(path: &Path, line: &str) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).map_err(|error| Error::io(path, &error))
}

/// One row per epoch (or per step event): `epoch,step,seconds` and a column per name, in the order of their first appearance. A
/// number that a row lacks is an empty field.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    steps: bool,
    columns: Vec<String>,
    begun: Instant,
}

const COLUMNS: [&str; 3] = ["epoch", "step", "seconds"];

impl Csv {
    /// A row per epoch. The file is made when the run begins.
    #[must_use]
    pub fn epochs(path: impl Into<PathBuf>) -> Csv {
        Csv { path: path.into(), steps: false, columns: Vec::new(), begun: Instant::now() }
    }

    /// A row per step event.
    #[must_use]
    pub fn steps(path: impl Into<PathBuf>) -> Csv {
        Csv { steps: true, ..Csv::epochs(path) }
    }

    fn begin(&mut self, step: u64) -> Result<()> {
        self.begun = Instant::now();
        let text = if step > 0 { before(&self.path)? } else { String::new() };
        let mut lines = text.lines();
        let header = lines.next().map(str::to_string).unwrap_or_else(|| COLUMNS.join(","));
        self.columns = header.split(',').skip(COLUMNS.len()).map(str::to_string).collect();
        let done = |line: &&str| line.split(',').nth(1).and_then(|s| s.parse().ok()).is_some_and(|s: u64| s <= step);
        self.rewrite(std::iter::once(header.as_str()).chain(lines.filter(done)))
    }

    fn rewrite<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<()> {
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        write_whole(&self.path, text.as_bytes())
    }

    fn row(&mut self, record: &Record<'_>) -> Result<()> {
        let known = self.columns.len();
        for (name, _) in record.values {
            let name = column(name);
            if !self.columns.contains(&name) {
                self.columns.push(name);
            }
        }
        if self.columns.len() > known {
            let (text, more) = (before(&self.path)?, ",".repeat(self.columns.len() - known));
            let header = COLUMNS.iter().copied().chain(self.columns.iter().map(String::as_str));
            let header = header.collect::<Vec<_>>().join(",");
            let old: Vec<String> = text.lines().skip(1).map(|line| format!("{line}{more}")).collect();
            self.rewrite(std::iter::once(header.as_str()).chain(old.iter().map(String::as_str)))?;
        }
        let mut line = format!("{},{},{:.3}", record.epoch, record.step, self.begun.elapsed().as_secs_f64());
        for name in &self.columns {
            let value = record.values.iter().find(|(known, _)| column(known) == *name);
            line.push(',');
            line.push_str(&value.map_or(String::new(), |(_, value)| value.to_string()));
        }
        append(&self.path, &line)
    }
}

/// A name that needs no quotes.
fn column(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

impl Listener for Csv {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Begin { step, .. } => self.begin(*step)?,
            Event::Step(record) if self.steps => self.row(record)?,
            Event::Epoch(record) if !self.steps => self.row(record)?,
            _ => {}
        }
        Ok(Flow::Continue)
    }
}

/// One JSON object per event: `{"event": "epoch", "epoch": 3, "step": 1200, "seconds": 4.2, "loss": 0.1}`; numbers that JSON lacks
/// (NaN, infinities) are strings.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    begun: Instant,
}

impl JsonLines {
    /// The file is made when the run begins.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> JsonLines {
        JsonLines { path: path.into(), begun: Instant::now() }
    }

    fn begin(&mut self, step: u64) -> Result<()> {
        self.begun = Instant::now();
        let text = if step > 0 { before(&self.path)? } else { String::new() };
        // A line that a crash cut in half is no JSON, and goes, too.
        let done = |line: &&str| {
            serde_json::from_str::<Value>(line).is_ok_and(|value| value["step"].as_u64().is_none_or(|s| s <= step))
        };
        let kept: String = text.lines().filter(done).flat_map(|line| [line, "\n"]).collect();
        write_whole(&self.path, kept.as_bytes())
    }

    fn write(&self, name: &str, fields: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        let seconds = (self.begun.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        let mut object = Map::from_iter([("event".into(), json!(name)), ("seconds".into(), json!(seconds))]);
        object.extend(fields);
        append(&self.path, &Value::Object(object).to_string())
    }

    fn record(&self, name: &str, record: &Record<'_>) -> Result<()> {
        let places = [("epoch".to_string(), json!(record.epoch)), ("step".to_string(), json!(record.step))];
        self.write(name, places.into_iter().chain(record.values.iter().map(|(n, x)| (n.to_string(), number(*x)))))
    }
}

/// NaN and infinities as strings.
pub(super) fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

impl Listener for JsonLines {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        let field = |name: &str, value: Value| (name.to_string(), value);
        match event {
            Event::Begin { label, step, steps } => {
                self.begin(*step)?;
                let fields = [field("label", json!(label)), field("step", json!(step)), field("steps", json!(steps))];
                self.write("begin", fields)?;
            }
            Event::Step(record) => self.record("step", record)?,
            Event::Epoch(record) => self.record("epoch", record)?,
            Event::Saved { path } => self.write("saved", [field("path", json!(path))])?,
            Event::Warning(text) => self.write("warning", [field("message", json!(text))])?,
            Event::End { step, reason } => {
                self.write("end", [field("step", json!(step)), field("reason", json!(reason))])?;
            }
        }
        Ok(Flow::Continue)
    }
}
