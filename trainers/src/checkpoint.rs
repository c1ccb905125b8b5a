//! Weights in safetensors files, by their dotted names: what PyTorch and its kin write is read, and the reverse.
//!
//! Saving never leaves half a file: all is written beside the target, forced to the disk, and then renamed over it.
//! Loading checks everything (form, names, shapes) before the first variable is changed.

mod names;
mod numbers;
pub mod store;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anygrad_core::nn::Module;
use anygrad_core::{DType, Error, Result, Var};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

pub use names::NameMap;
pub(crate) use numbers::convert;

/// Saves a module's variables (parameters and buffers).
///
/// # Errors
/// If the file cannot be written or the device fails; the file that was there before is intact then.
pub fn save(path: impl AsRef<Path>, module: &impl Module) -> Result<()> {
    save_named(path, &module.named_variables())
}

/// Saves variables under these names.
///
/// # Errors
/// As [`save`]; if two have one name.
pub fn save_named(path: impl AsRef<Path>, variables: &[(String, Var)]) -> Result<()> {
    let path = path.as_ref();
    let place = path.display().to_string();
    let mut names = HashSet::new();
    if let Some((name, _)) = variables.iter().find(|(name, _)| !names.insert(name)) {
        return Err(Error::data(place, format!("two variables are named '{name}'; give each its own field")));
    }
    let vars: Vec<Var> = variables.iter().map(|(_, var)| var.clone()).collect();
    let tensor =
        |((name, var), bytes): (&(String, Var), Vec<u8>)| (name.clone(), var.dtype(), var.shape().to_vec(), bytes);
    let tensors = variables.iter().zip(Var::read_all(&vars)?).map(tensor).collect();
    write_whole(path, &serialize(&place, tensors)?)
}

/// Names, types, shapes and stored bytes as a safetensors file.
fn serialize(place: &str, tensors: Vec<(String, DType, Vec<usize>, Vec<u8>)>) -> Result<Vec<u8>> {
    // A bool is four bytes on the device and one in the file.
    let packed = |(name, dtype, shape, bytes): (String, DType, Vec<usize>, Vec<u8>)| match dtype {
        DType::Bool => (name, Dtype::BOOL, shape, bytes.into_iter().step_by(4).collect()),
        DType::F32 => (name, Dtype::F32, shape, bytes),
        DType::F16 => (name, Dtype::F16, shape, bytes),
        DType::F64 => (name, Dtype::F64, shape, bytes),
        DType::I32 => (name, Dtype::I32, shape, bytes),
        DType::U32 => (name, Dtype::U32, shape, bytes),
    };
    let tensors: Vec<_> = tensors.into_iter().map(packed).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| malformed(place, &error))?;
        views.push((name, view));
    }
    // PyTorch's loaders ask for this entry.
    let about = [("format".to_string(), "pt".to_string())].into_iter().collect();
    safetensors::serialize(views, Some(about)).map_err(|error| malformed(place, &error))
}

/// Replaces a file as a whole: readers see the old or the new one, also after a power cut.
///
/// # Errors
/// If the disk or the rights do not allow it; the old file is intact then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Error::data(path.display().to_string(), "this is not a file's name"))?;
    let temporary = directory.join(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name lies in the directory; only Unix lets one force that to the disk.
        if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io(path, &error)
    })
}

/// What a file and a model do not have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "tells which variables were not loaded"]
pub struct Report {
    /// Names that were loaded.
    pub loaded: Vec<String>,
    /// Names in the model that the file lacks.
    pub missing: Vec<String>,
    /// Names in the file that the model lacks.
    pub unexpected: Vec<String>,
    /// Names with another shape or kind of number: what the model and the file say.
    pub misfits: Vec<String>,
}

impl Report {
    /// Whether file and model have exactly the same variables.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misfits.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tensors fit", self.loaded.len())?;
        let groups = [
            ("missing in the file", &self.missing),
            ("not in the model", &self.unexpected),
            ("misfits", &self.misfits),
        ];
        for (what, names) in groups {
            if !names.is_empty() {
                // A message stays readable: ten of each are named.
                let more = if names.len() > 10 { format!(" and {} more", names.len() - 10) } else { String::new() };
                write!(f, "; {} {what}: {}{more}", names.len(), names[..names.len().min(10)].join(", "))?;
            }
        }
        Ok(())
    }
}

/// Loads a module's variables; file and module must have exactly the same names and shapes. Numbers are converted
/// (f16, bf16, f32, f64; integers among each other).
///
/// # Errors
/// If the file is missing or damaged or does not fit (the message lists what); the module is unchanged then.
pub fn load(path: impl AsRef<Path>, module: &impl Module) -> Result<()> {
    load_named(path, &module.named_variables())
}

/// Loads what fits into a module by name and shape, and says what did not.
///
/// # Errors
/// If the file is missing or damaged.
pub fn load_partial(path: impl AsRef<Path>, module: &impl Module) -> Result<Report> {
    read(path.as_ref(), &module.named_variables(), &NameMap::default(), false)
}

/// Loads what fits after the map changed the file's names and layouts: files of Hugging Face, burn and others.
///
/// # Errors
/// If the file is missing or damaged, or the map does not fit it.
pub fn load_mapped(path: impl AsRef<Path>, module: &impl Module, map: &NameMap) -> Result<Report> {
    read(path.as_ref(), &module.named_variables(), map, false)
}

/// Loads exactly these variables under these names.
///
/// # Errors
/// As [`load`].
pub fn load_named(path: impl AsRef<Path>, variables: &[(String, Var)]) -> Result<()> {
    read(path.as_ref(), variables, &NameMap::default(), true).map(|_| ())
}

fn read(path: &Path, variables: &[(String, Var)], map: &NameMap, strict: bool) -> Result<Report> {
    let place = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Io { path: place.clone(), message: "there is no such file; check the path of the weights".into() }
        }
        _ => Error::io(path, &error),
    })?;
    let misfit = |report: &Report| {
        let help = "load it into the model that wrote it, or use `load_partial` to take what fits";
        Error::data(&*place, format!("{report}; {help}"))
    };
    put(&place, &bytes, variables, map, if strict { Some(&misfit) } else { None })
}

/// Gives variables the numbers of a safetensors file; with `misfit` all must fit exactly, else that is the error.
fn put(
    place: &str,
    bytes: &[u8],
    variables: &[(String, Var)],
    map: &NameMap,
    misfit: Option<&dyn Fn(&Report) -> Error>,
) -> Result<Report> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(place, &error))?;
    let mut found = map.apply(place, &file)?;
    let (mut report, mut changes) = (Report::default(), Vec::new());
    for (name, var) in variables {
        let Some(view) = found.remove(name) else {
            report.missing.push(name.clone());
            continue;
        };
        if view.shape != var.shape() {
            report.misfits.push(format!("{name} (the model has {:?}, the file {:?})", var.shape(), view.shape));
        } else if let Some(bytes) = numbers::convert(view.dtype, &view.bytes, var.dtype()) {
            changes.push((var, bytes));
            report.loaded.push(name.clone());
        } else {
            report.misfits.push(format!("{name} (the model has {}, the file {})", var.dtype(), view.dtype));
        }
    }
    report.unexpected = found.into_keys().collect();
    if let Some(misfit) = misfit
        && !report.is_exact()
    {
        return Err(misfit(&report));
    }
    for (var, bytes) in changes {
        var.write_bytes(&bytes)?;
    }
    Ok(report)
}

pub(crate) fn malformed(place: &str, error: &SafeTensorError) -> Error {
    let what = match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            "it is cut off before the end of its header, or is not a safetensors file"
        }
        SafeTensorError::HeaderTooLarge => "its header would be larger than 100 MB: it is not a safetensors file",
        SafeTensorError::InvalidHeader(_) | SafeTensorError::InvalidHeaderDeserialization(_) => {
            "its header is not that of a safetensors file"
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            "its length is not the one that its header promises: it is cut off, or something was appended"
        }
        SafeTensorError::ValidationOverflow
        | SafeTensorError::TensorInvalidInfo
        | SafeTensorError::InvalidOffset(_) => "its header contradicts itself",
        _ => "it cannot be read as safetensors",
    };
    Error::data(place, format!("{what} ({error}); fetch or save it again"))
}
