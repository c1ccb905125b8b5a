//! A progress bar while a terminal looks on; lines only when the output goes to a file.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anygrad_core::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::{Event, Flow, Listener};

/// Progress through a known number of steps, drawn on standard error at most ten times a second.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begin: Instant,
}

impl Progress {
    /// A bar of `steps` steps with a word before it.
    #[must_use]
    pub fn new(label: &str, steps: usize) -> Progress {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target).with_prefix(label.to_string());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {per_sec} {eta} {msg}") {
            bar.set_style(style);
        }
        Progress { bar, begin: Instant::now() }
    }

    /// One step more.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Words behind the bar, such as the loss. Reading a loss waits for the device: do so every few steps.
    pub fn message(&self, text: impl Display) {
        self.bar.set_message(text.to_string());
    }

    /// A line on standard output that stays, above the bar.
    pub fn line(&self, text: impl Display) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Takes the bar away and says how long it took.
    #[must_use]
    pub fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.begin.elapsed()
    }
}

/// The bar of a trainer's run, and a line for each epoch.
impl Listener for Progress {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Begin { label, step, steps } => {
                self.bar.set_prefix((*label).to_string());
                self.bar.set_length(steps.unwrap_or(0));
                self.bar.set_position(*step);
                self.begin = Instant::now();
                if *step > 0 {
                    self.line(format!("going on from step {step}"));
                }
            }
            Event::Step(record) => {
                self.bar.set_position(record.step);
                if let Some(loss) = record.get("loss") {
                    self.message(format!("loss {loss:.4}"));
                }
            }
            Event::Epoch(record) => {
                self.bar.set_position(record.step);
                let values: Vec<String> = record.values.iter().map(|(name, value)| figure(name, *value)).collect();
                let seconds = self.begin.elapsed().as_secs_f64();
                self.line(format!("epoch {}: {} ({seconds:.1} s)", record.epoch, values.join(", ")));
            }
            Event::Warning(message) => self.bar.suspend(|| eprintln!("warning: {message}")),
            Event::Saved { .. } => {}
            Event::End { .. } => self.bar.finish_and_clear(),
        }
        Ok(Flow::Continue)
    }
}

/// A name and its number: four places, small numbers with an exponent.
fn figure(name: &str, value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-2 { format!("{name} {value:.2e}") } else { format!("{name} {value:.4}") }
}
