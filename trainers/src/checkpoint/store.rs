//! [`Store`]: a directory of checkpoints of a whole run, any of which can be the last one if the process dies.
//!
//! A checkpoint is two files: `step-N.safetensors` with all tensors (the model's under their own names, so that it is a file
//! of weights too) and `step-N.json`, the manifest: versions, checksums, and the trainer's state. The tensors are written
//! first, the manifest last, each beside its place, forced to the disk and renamed: a checkpoint without a manifest is none,
//! and one whose checksums are wrong is left for the one before it. Writing happens on a thread of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anygrad_core::{DType, Error, Result, Var};
use serde_json::{Value, json};

use super::{NameMap, Report, put, serialize, write_whole};

/// The manifest's version; larger ones were written by newer releases.
const VERSION: u64 = 1;
const FORMAT: &str = "anygrad checkpoint";

/// A run at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Updates done.
    pub step: u64,
    /// Name, shape and stored bytes of each variable.
    pub tensors: Vec<(String, DType, Vec<usize>, Vec<u8>)>,
    /// What is not tensors: positions, history, settings.
    pub state: Value,
}

impl Snapshot {
    /// Reads the variables from the device; waits for what was submitted before.
    ///
    /// # Errors
    /// If the device fails.
    pub fn take(step: u64, variables: &[(String, Var)], state: Value) -> Result<Snapshot> {
        let vars: Vec<Var> = variables.iter().map(|(_, var)| var.clone()).collect();
        let tensor =
            |((name, var), bytes): (&(String, Var), Vec<u8>)| (name.clone(), var.dtype(), var.shape().to_vec(), bytes);
        Ok(Snapshot { step, tensors: variables.iter().zip(Var::read_all(&vars)?).map(tensor).collect(), state })
    }
}

/// A checkpoint read from the disk, its checksums right.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Updates done.
    pub step: u64,
    /// What is not tensors.
    pub state: Value,
    path: PathBuf,
    tensors: Vec<u8>,
}

impl Saved {
    /// The file of tensors.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the variables their saved numbers; names, shapes and types must be the same.
    ///
    /// # Errors
    /// If they are not (nothing is changed then), or the device fails.
    pub fn restore(&self, variables: &[(String, Var)]) -> Result<()> {
        let place = self.path.display().to_string();
        let misfit = |report: &Report| {
            let help = "continue with the model, optimizer and options that wrote it, or name another directory";
            Error::data(&*place, format!("this checkpoint is of another model or optimizer: {report}; {help}"))
        };
        put(&place, &self.tensors, variables, &NameMap::default(), Some(&misfit)).map(|_| ())
    }
}

/// A directory of checkpoints.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    trainer: String,
    keep: usize,
    writing: Option<JoinHandle<Result<PathBuf>>>,
}

/// Why a checkpoint cannot be used.
enum Unusable {
    /// The one before may be.
    Damaged(String),
    /// None would be.
    Fatal(Error),
}

impl Store {
    /// The checkpoints of a kind of trainer in a directory, which is made if it is missing. The last `keep` are kept, at least one.
    ///
    /// # Errors
    /// If the directory cannot be made or written to.
    pub fn open(directory: impl Into<PathBuf>, trainer: &str, keep: usize) -> Result<Store> {
        let directory = directory.into();
        let unwritable = |error: std::io::Error| Error::Io {
            path: directory.display().to_string(),
            message: format!("checkpoints cannot be written there: {error}; name a directory that can be written to"),
        };
        fs::create_dir_all(&directory).map_err(unwritable)?;
        // What a killed process left half written; a name of this process' own proves that files can be made.
        for entry in fs::read_dir(&directory).map_err(unwritable)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".step-") && name.ends_with(".part") {
                let _ = fs::remove_file(entry.path());
            }
        }
        let probe = directory.join(format!(".probe.{}", std::process::id()));
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unwritable)?;
        Ok(Store { directory, trainer: trainer.to_string(), keep: keep.max(1), writing: None })
    }

    fn file(&self, step: u64, kind: &str) -> PathBuf {
        self.directory.join(format!("step-{step:09}.{kind}"))
    }

    /// The newest checkpoint whose checksums are right; `warn` is told of those that were passed over. `None` if there are none.
    ///
    /// # Errors
    /// If there are checkpoints but all are damaged, or the newest is of another trainer or of a newer release.
    pub fn newest(&self, warn: &mut dyn FnMut(&str)) -> Result<Option<Saved>> {
        let mut damage = None;
        for step in steps(&self.directory).into_iter().rev() {
            match self.read(step) {
                Ok(saved) => return Ok(Some(saved)),
                Err(Unusable::Fatal(error)) => return Err(error),
                Err(Unusable::Damaged(what)) => {
                    let message =
                        format!("{}: {what}; the checkpoint before it is used", self.file(step, "json").display());
                    warn(&message);
                    damage = Some(what);
                }
            }
        }
        match damage {
            None => Ok(None),
            Some(what) => {
                let message = format!("all checkpoints are damaged (the oldest: {what}); remove them to begin anew");
                Err(Error::data(self.directory.display().to_string(), message))
            }
        }
    }

    fn read(&self, step: u64) -> std::result::Result<Saved, Unusable> {
        let (path, tensors) = (self.file(step, "json"), self.file(step, "safetensors"));
        let damaged = |what: &str| Unusable::Damaged(what.to_string());
        let text = fs::read_to_string(&path).map_err(|error| Unusable::Damaged(error.to_string()))?;
        let mut manifest: Value = serde_json::from_str(&text)
            .map_err(|error| Unusable::Damaged(format!("its manifest is cut off or damaged ({error})")))?;
        let sum = manifest.as_object_mut().and_then(|fields| fields.remove("checksum"));
        if sum != Some(checksum(manifest.to_string().as_bytes()).into()) {
            return Err(damaged("its manifest's checksum is wrong"));
        }
        let fatal = |message: String| Unusable::Fatal(Error::data(path.display().to_string(), message));
        let version = manifest["version"].as_u64().unwrap_or(0);
        if manifest["format"] != FORMAT || version == 0 {
            return Err(fatal("this is not a checkpoint of anygrad; name another directory".into()));
        }
        if version > VERSION {
            let by = &manifest["anygrad"];
            let message =
                format!("it has version {version}, written by anygrad {by}; this release reads up to {VERSION}");
            return Err(fatal(format!("{message}: update anygrad")));
        }
        if manifest["trainer"] != *self.trainer {
            let message = format!("it is of a {} trainer, not of {}", manifest["trainer"], self.trainer);
            return Err(fatal(format!("{message}; name another directory")));
        }
        let bytes =
            fs::read(&tensors).map_err(|error| Unusable::Damaged(format!("its tensors cannot be read: {error}")))?;
        if manifest["tensors"]["bytes"] != bytes.len() {
            let (has, expected) = (bytes.len(), &manifest["tensors"]["bytes"]);
            return Err(damaged(&format!(
                "its file of tensors has {has} bytes, not {expected}: it is cut off or was changed"
            )));
        }
        if manifest["tensors"]["checksum"] != *checksum(&bytes) {
            return Err(damaged("its tensors' checksum is wrong"));
        }
        Ok(Saved { step, state: manifest["state"].take(), path: tensors, tensors: bytes })
    }

    /// Writes a snapshot in the background. `best`: the step of one that is kept whatever its age. Waits for the write
    /// before, if that still goes on, and returns its path.
    ///
    /// # Errors
    /// If the write before failed, or no thread can be had.
    pub fn save(&mut self, snapshot: Snapshot, best: Option<u64>) -> Result<Option<PathBuf>> {
        let before = self.finish()?;
        let (tensors, manifest) = (self.file(snapshot.step, "safetensors"), self.file(snapshot.step, "json"));
        let mut keep = vec![snapshot.step];
        keep.extend(best);
        let older: Vec<u64> = steps(&self.directory).into_iter().filter(|&step| step != snapshot.step).collect();
        keep.extend(older.iter().rev().take(self.keep - 1));
        let old = older.into_iter().filter(|step| !keep.contains(step));
        let old: Vec<[PathBuf; 2]> =
            old.map(|step| ["json", "safetensors"].map(|kind| self.file(step, kind))).collect();
        let trainer = self.trainer.clone();
        let write = move || {
            write(&trainer, snapshot, &tensors, &manifest)?;
            // The manifest goes first: what has none is no checkpoint.
            for path in old.iter().flatten() {
                fs::remove_file(path).or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(Error::io(path, &error)),
                })?;
            }
            Ok(tensors)
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(write);
        self.writing = Some(thread.map_err(|error| Error::io(&self.directory, &error))?);
        Ok(before)
    }

    /// Waits until all is on the disk; the path of the last checkpoint if it was not told yet.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn finish(&mut self) -> Result<Option<PathBuf>> {
        let Some(thread) = self.writing.take() else { return Ok(None) };
        let lost = |_| Error::Program("the thread that writes checkpoints panicked".into());
        thread.join().map_err(lost)?.map(Some)
    }

    /// The path of a checkpoint that is on the disk now and was not told yet; does not wait.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn poll(&mut self) -> Result<Option<PathBuf>> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.finish() } else { Ok(None) }
    }
}

/// Whether a directory holds a checkpoint.
#[must_use]
pub fn exists(directory: &Path) -> bool {
    !steps(directory).is_empty()
}

/// The steps of all checkpoints that have a manifest, rising.
fn steps(directory: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let step = |name: &str| name.strip_prefix("step-")?.strip_suffix(".json")?.parse().ok();
    let mut steps: Vec<u64> = entries.flatten().filter_map(|e| step(&e.file_name().to_string_lossy())).collect();
    steps.sort_unstable();
    steps
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn write(trainer: &str, snapshot: Snapshot, tensors: &Path, manifest: &Path) -> Result<()> {
    let bytes = serialize(&tensors.display().to_string(), snapshot.tensors)?;
    let mut fields = json!({
        "format": FORMAT,
        "version": VERSION,
        "anygrad": env!("CARGO_PKG_VERSION"),
        "trainer": trainer,
        "step": snapshot.step,
        "tensors": { "bytes": bytes.len(), "checksum": checksum(&bytes) },
        "state": snapshot.state,
    });
    fields["checksum"] = checksum(fields.to_string().as_bytes()).into();
    // A manifest that is already there would belong to other tensors for a moment.
    if manifest.exists() {
        fs::remove_file(manifest).map_err(|error| Error::io(manifest, &error))?;
    }
    let whole = |path: &Path, bytes: &[u8]| {
        write_whole(path, bytes).map_err(|error| match error {
            Error::Io { path, message } => {
                let help = "the checkpoint before it is whole: make room there and start again";
                Error::Io { path, message: format!("{message}; {help}") }
            }
            other => other,
        })
    };
    whole(tensors, &bytes)?;
    whole(manifest, fields.to_string().as_bytes())
}

/// CRC-32 (IEEE 802.3) in hexadecimal digits.
fn checksum(bytes: &[u8]) -> String {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    format!("{:08x}", sum.sum())
}
