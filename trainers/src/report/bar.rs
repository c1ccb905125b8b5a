//! A progress bar, or lines.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use anygrad_core::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{short, time};
use crate::events::{Event, Flow, Listener, Record};

/// Shows a run: on a terminal a bar on standard error with the latest numbers, steps per second and time left; everywhere one line
/// per epoch on standard output, and warnings on standard error.
pub struct Bar {
    bar: ProgressBar,
    lines: Box<dyn Write>,
    begun: Instant,
    first: u64,
    /// When the last epoch ended, and the steps then.
    epoch: (Instant, u64),
}

impl Default for Bar {
    fn default() -> Bar {
        Bar::to(std::io::stdout())
    }
}

impl Bar {
    /// Lines go to standard output.
    #[must_use]
    pub fn new() -> Bar {
        Bar::default()
    }

    /// Lines go there.
    #[must_use]
    pub fn to(lines: impl Write + 'static) -> Bar {
        let now = Instant::now();
        Bar { bar: ProgressBar::hidden(), lines: Box::new(lines), begun: now, first: 0, epoch: (now, 0) }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        let lines = &mut self.lines;
        let written = self.bar.suspend(|| writeln!(lines, "{text}").and_then(|()| lines.flush()));
        match written {
            // Who reads the lines may leave (`| head`); the run goes on.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::data("progress lines", error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, label: &str, step: u64, steps: Option<u64>) {
        self.bar.finish_and_clear();
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        self.bar = ProgressBar::with_draw_target(steps, target).with_prefix(label.to_string()).with_position(step);
        let style = match steps {
            Some(_) => "{prefix} {wide_bar:.cyan/dim} {pos}/{len} {msg} {per_sec} {eta} left",
            None => "{prefix} {spinner} {pos} {msg} {per_sec} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style.progress_chars("━━─"));
        }
        // What an earlier life of the run did is not speed of this one.
        self.bar.reset_eta();
        let now = Instant::now();
        (self.begun, self.first, self.epoch) = (now, step, (now, step));
    }

    fn epoch(&mut self, record: &Record<'_>) -> Result<()> {
        let seconds = self.epoch.0.elapsed().as_secs_f64();
        let speed = record.step.saturating_sub(self.epoch.1) as f64 / seconds.max(1e-9);
        self.epoch = (Instant::now(), record.step);
        self.bar.set_position(record.step);
        let mut text = format!("epoch {}  step {}", record.epoch, record.step);
        for (name, value) in record.values {
            let _ = write!(text, "  {name} {}", short(*value));
        }
        let _ = write!(text, "  {}  {} steps/s", time(seconds), short(speed));
        self.line(&text)
    }
}

impl Listener for Bar {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Begin { label, step, steps } => self.begin(label, *step, *steps),
            Event::Step(record) => {
                self.bar.set_position(record.step);
                let words = record.values.iter().map(|(name, value)| format!("{name} {}", short(*value)));
                self.bar.set_message(words.collect::<Vec<_>>().join(" "));
            }
            Event::Epoch(record) => self.epoch(record)?,
            Event::Warning(text) => self.bar.suspend(|| eprintln!("warning: {text}")),
            Event::End { step, reason } => {
                self.bar.finish_and_clear();
                let seconds = self.begun.elapsed().as_secs_f64();
                let speed = short(step.saturating_sub(self.first) as f64 / seconds.max(1e-9));
                self.line(&format!("{reason}: step {step} after {}, {speed} steps/s", time(seconds)))?;
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }
}

impl std::fmt::Debug for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bar(step {})", self.bar.position())
    }
}
