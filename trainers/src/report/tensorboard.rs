//! TensorBoard event files: what `tensorboard --logdir` shows, live or later.

mod encode;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anygrad_core::{Error, Result, Tensor, Var};

use crate::events::{Event, Flow, Listener, Record};
use crate::report::png::{dimensions, png};
use encode::{Message, record};

/// Writes an event file: scalars of all steps (`step/loss`) and epochs (`epoch/loss`) that it hears of, and what it is told. Clones
/// write to the same file.
///
/// A resumed run writes a further file into the same directory; TensorBoard joins them and drops steps that were done twice.
///
/// ```
/// # use anygrad_core::{Tensor, Var};
/// # let device = anygrad_core::testing::device();
/// # let directory = std::env::temp_dir().join(format!("anygrad-doc-{}", std::process::id()));
/// use anygrad_trainers::report::TensorBoard;
///
/// # let weight = Var::new("weight", &Tensor::zeros(&[2, 2], &device));
/// let board = TensorBoard::create(&directory)?.with_histograms(vec![weight], 5);
/// board.hyperparameters(&[("learning rate", "0.001".to_string())])?;
/// board.image("input", 0, &Tensor::zeros(&[1, 28, 28], &device))?;
/// // Listeners: [.., Box::new(board.clone())]
/// # std::fs::remove_dir_all(&directory).unwrap();
/// # Ok::<(), anygrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorBoard {
    file: Arc<Mutex<BufWriter<File>>>,
    path: PathBuf,
    watched: Vec<Var>,
    every: u64,
}

impl TensorBoard {
    /// A new event file in `directory`, which is made if it is missing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(directory: impl AsRef<Path>) -> Result<TensorBoard> {
        let directory = directory.as_ref();
        fs::create_dir_all(directory).map_err(|error| Error::io(directory, &error))?;
        let (now, process) = (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), std::process::id());
        let mut number = 0;
        let (path, file) = loop {
            // TensorBoard reads files in the order of their names and wants `tfevents` and seconds in them.
            let name = format!("events.out.tfevents.{:010}.anygrad.{process}.{number}", now.as_secs());
            let path = directory.join(name);
            match File::create_new(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Error::io(&path, &error)),
            }
        };
        let board =
            TensorBoard { file: Arc::new(Mutex::new(BufWriter::new(file))), path, watched: Vec::new(), every: 1 };
        board.event(&|event| event.text(3, "brain.Event:2"))?;
        board.flush()?;
        Ok(board)
    }

    /// Histograms of these variables' numbers after every so many epochs (0 counts as 1).
    #[must_use]
    pub fn with_histograms(mut self, variables: Vec<Var>, epochs: u64) -> TensorBoard {
        (self.watched, self.every) = (variables, epochs.max(1));
        self
    }

    /// The event file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One number.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalar(&self, tag: &str, step: u64, value: f64) -> Result<()> {
        self.value(tag, step, &|message| message.float(2, value as f32))
    }

    /// How a tensor's numbers are spread: 64 buckets of equal width between the smallest and the largest; what is not finite is left
    /// out. For gradients return them from the program. Waits for the device.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub fn histogram(&self, tag: &str, step: u64, values: &Tensor) -> Result<()> {
        let values: Vec<f64> = values.to_f64()?.into_iter().filter(|value| value.is_finite()).collect();
        let (limits, counts) = buckets(&values);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.value(tag, step, &|message| {
            message.inside(5, &|histogram| {
                let (sum, squares) = (values.iter().sum(), values.iter().map(|x| x * x).sum());
                let (low, high) = if values.is_empty() { (0.0, 0.0) } else { (low, high) };
                for (number, value) in (1..).zip([low, high, values.len() as f64, sum, squares]) {
                    histogram.double(number, value);
                }
                histogram.doubles(6, &limits);
                histogram.doubles(7, &counts);
            });
        })
    }

    /// An image `[height, width]`, `[1, height, width]` or `[3, height, width]`: floats from 0 to 1, or integers from 0 to 255.
    ///
    /// # Errors
    /// If the shape is another one, the device fails, or the file cannot be written.
    pub fn image(&self, tag: &str, step: u64, image: &Tensor) -> Result<()> {
        let [channels, height, width] = dimensions(image)?;
        let file = png(image)?;
        self.value(tag, step, &|message| {
            message.inside(4, &|inside| {
                for (number, size) in (1..).zip([height, width, channels]) {
                    inside.number(number, size as u64);
                }
                inside.bytes(4, &file);
            });
        })
    }

    /// A text, as Markdown.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn text(&self, tag: &str, step: u64, text: &str) -> Result<()> {
        /// `DT_STRING` of TensorFlow's types.proto.
        const STRING: u64 = 7;
        self.value(&format!("{tag}/text_summary"), step, &|message| {
            message.inside(9, &|metadata| metadata.inside(1, &|plugin| plugin.text(1, "text")));
            message.inside(8, &|tensor| {
                tensor.number(1, STRING);
                tensor.inside(2, &|shape| shape.inside(2, &|axis| axis.number(1, 1)));
                tensor.bytes(8, text.as_bytes());
            });
        })
    }

    /// What the run was configured with, as a table.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn hyperparameters(&self, values: &[(&str, String)]) -> Result<()> {
        let rows = values.iter().map(|(name, value)| format!("| {name} | {value} |\n"));
        let table: String = std::iter::once("| name | value |\n|---|---|\n".to_string()).chain(rows).collect();
        self.text("hyperparameters", 0, &table)
    }

    /// Gives all that was written to the system, so that TensorBoard sees it. Happens by itself after each event of a run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&self) -> Result<()> {
        self.lock().flush().map_err(|error| Error::io(&self.path, &error))
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, tag: &str, step: u64, fill: &dyn Fn(&mut Message)) -> Result<()> {
        self.event(&|event| {
            event.number(2, step);
            event.inside(5, &|summary| {
                summary.inside(1, &|value| {
                    value.text(1, tag);
                    fill(value);
                });
            });
        })
    }

    fn event(&self, fill: &dyn Fn(&mut Message)) -> Result<()> {
        let mut event = Message::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        event.double(1, now.as_secs_f64());
        fill(&mut event);
        self.lock().write_all(&record(&event.0)).map_err(|error| Error::io(&self.path, &error))
    }

    fn scalars(&self, kind: &str, record: &Record<'_>) -> Result<()> {
        record.values.iter().try_for_each(|(name, value)| self.scalar(&format!("{kind}/{name}"), record.step, *value))
    }
}

impl Listener for TensorBoard {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Step(record) => self.scalars("step", record)?,
            Event::Epoch(record) => {
                self.scalars("epoch", record)?;
                if record.epoch.is_multiple_of(self.every) {
                    for var in &self.watched {
                        self.histogram(&var.name().replace('.', "/"), record.step, &var.get())?;
                    }
                }
            }
            _ => {}
        }
        self.flush()?;
        Ok(Flow::Continue)
    }
}

/// Upper limits and counts of buckets of equal width.
fn buckets(values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    const BUCKETS: usize = 64;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() || low == high {
        let middle = if values.is_empty() { 0.0 } else { low };
        // An empty bucket below, so that the one that counts has a lower limit.
        return (vec![middle - 0.5, middle + 0.5], vec![0.0, values.len() as f64]);
    }
    let width = (high - low) / BUCKETS as f64;
    let limits: Vec<f64> = (0..=BUCKETS).map(|i| low + width * i as f64).collect();
    let mut counts = vec![0.0; BUCKETS + 1];
    for value in values {
        counts[1 + (((value - low) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    (limits, counts)
}
