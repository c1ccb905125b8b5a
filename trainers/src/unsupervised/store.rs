//! Saving and loading of fitted models: one safetensors file; its header carries the model's kind and settings as JSON under
//! the key `anygrad`. Arrays can be read by any safetensors reader.

use std::collections::BTreeMap;
use std::path::Path;

use anygrad_core::{DType, Device, Error, Result, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value};

use crate::checkpoint::write_whole;

/// The key of the JSON text in the file's header.
const KEY: &str = "anygrad";

/// What a fitted model is made of, to be written or just read.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// f32 or i32 arrays by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// f64 lists by name, which stay on the host.
    pub lists: BTreeMap<String, Vec<f64>>,
    /// Everything else.
    pub settings: Map<String, Value>,
    /// Where it was read from, for messages.
    place: String,
    device: Option<Device>,
}

impl Parts {
    /// The device that the model lives on.
    ///
    /// # Errors
    /// If the parts were not read for a device.
    pub fn device(&self) -> Result<Device> {
        self.device.clone().ok_or_else(|| self.missing("device"))
    }

    /// Adds an array.
    #[must_use]
    pub fn tensor(mut self, name: &str, tensor: &Tensor) -> Parts {
        self.tensors.insert(name.to_string(), tensor.clone());
        self
    }

    /// Adds a list of f64, kept to the last bit.
    #[must_use]
    pub fn list(mut self, name: &str, values: &[f64]) -> Parts {
        self.lists.insert(name.to_string(), values.to_vec());
        self
    }

    /// Adds other parts, if there are any, whose arrays are then called `name.array`.
    #[must_use]
    pub fn within(mut self, name: &str, inner: Option<Parts>) -> Parts {
        let Some(inner) = inner else { return self };
        self.tensors.extend(inner.tensors.into_iter().map(|(own, tensor)| (format!("{name}.{own}"), tensor)));
        self.lists.extend(inner.lists.into_iter().map(|(own, list)| (format!("{name}.{own}"), list)));
        self.set(name, inner.settings)
    }

    /// Takes out what [`Parts::within`] added; `None` if nothing was.
    #[must_use]
    pub fn take_within(&mut self, name: &str) -> Option<Parts> {
        let Some(Value::Object(settings)) = self.settings.remove(name) else { return None };
        let start = format!("{name}.");
        let mut inner = Parts { settings, place: self.place.clone(), device: self.device.clone(), ..Parts::default() };
        inner.tensors.extend(taken(&mut self.tensors, &start));
        inner.lists.extend(taken(&mut self.lists, &start));
        Some(inner)
    }

    /// Parts of something that lives on this device.
    #[must_use]
    pub fn on(device: &Device) -> Parts {
        Parts { device: Some(device.clone()), ..Parts::default() }
    }

    /// Adds a setting: a number, a text, a list.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Parts {
        self.settings.insert(name.to_string(), value.into());
        self
    }

    /// Takes an array out.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        self.tensors.remove(name).ok_or_else(|| self.missing(name))
    }

    /// Takes a list of `N` numbers out.
    ///
    /// # Errors
    /// If the file has none of that name and length.
    pub fn take_list<const N: usize>(&mut self, name: &str) -> Result<[f64; N]> {
        self.lists.remove(name).and_then(|list| list.try_into().ok()).ok_or_else(|| self.missing(name))
    }

    /// A number.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.settings.get(name).and_then(Value::as_f64).ok_or_else(|| self.missing(name))
    }

    /// A whole number.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn count(&self, name: &str) -> Result<usize> {
        self.settings.get(name).and_then(Value::as_u64).map(|n| n as usize).ok_or_else(|| self.missing(name))
    }

    /// True or false.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.settings.get(name).and_then(Value::as_bool).ok_or_else(|| self.missing(name))
    }

    /// A text.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn text(&self, name: &str) -> Result<String> {
        self.settings.get(name).and_then(Value::as_str).map(String::from).ok_or_else(|| self.missing(name))
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// If the file has none of that name.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let list = self.settings.get(name).and_then(Value::as_array).ok_or_else(|| self.missing(name))?;
        list.iter().map(|v| v.as_f64().ok_or_else(|| self.missing(name))).collect()
    }

    /// A list of texts; empty if there is none.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        let list = self.settings.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(String::from)).collect()
    }

    /// The error for something that the file should have.
    #[must_use]
    pub fn missing(&self, name: &str) -> Error {
        Error::data(
            &self.place,
            format!("'{name}' is missing or of another kind; the file is damaged or of another version"),
        )
    }
}

/// What begins with `start`, without that.
fn taken<T>(all: &mut BTreeMap<String, T>, start: &str) -> Vec<(String, T)> {
    let names: Vec<String> = all.keys().filter(|name| name.starts_with(start)).cloned().collect();
    names.into_iter().filter_map(|name| Some((name[start.len()..].to_string(), all.remove(&name)?))).collect()
}

/// A fitted model that can be saved and loaded.
pub trait Model: Sized {
    /// The word that a file is known by, such as `k-means`.
    const KIND: &'static str;

    /// What it is made of.
    fn parts(&self) -> Parts;

    /// Whether the fit can go on: it was stopped, or ended by the number of iterations before it converged (raise that). The
    /// configuration's `resume` does so.
    fn is_unfinished(&self) -> bool {
        false
    }

    /// A model of these parts.
    ///
    /// # Errors
    /// If something is missing or of a wrong form.
    fn from_parts(parts: Parts) -> Result<Self>;

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written or the device fails.
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut parts = self.parts().set("kind", Self::KIND).set("version", 1);
        let mut contents = Vec::new();
        for (name, tensor) in &parts.tensors {
            let dtype = match tensor.dtype() {
                DType::F32 => Dtype::F32,
                DType::I32 => Dtype::I32,
                other => return Err(Error::data(name, format!("arrays of {other} are not stored"))),
            };
            contents.push((name.clone(), dtype, tensor.shape().to_vec(), tensor.to_bytes()?));
        }
        let malformed = |error| Error::data(path.display().to_string(), format!("{error}"));
        for (name, list) in &parts.lists {
            let bytes = list.iter().flat_map(|x| x.to_le_bytes()).collect();
            contents.push((name.clone(), Dtype::F64, vec![list.len()], bytes));
        }
        let mut views = Vec::new();
        for (name, dtype, shape, bytes) in &contents {
            views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(malformed)?));
        }
        let text = Value::Object(std::mem::take(&mut parts.settings)).to_string();
        let about = [(KEY.to_string(), text)].into_iter().collect();
        let bytes = safetensors::serialize(views, Some(about)).map_err(malformed)?;
        write_whole(path, &bytes)
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// If the file is missing, damaged or of another kind of model, or the device fails.
    fn load(device: &Device, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
        let malformed = |error| Error::data(&place, format!("it is not a safetensors file or is cut off ({error})"));
        let file = SafeTensors::deserialize(&bytes).map_err(malformed)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(malformed)?;
        let text = header.metadata().as_ref().and_then(|about| about.get(KEY));
        let Some(Ok(Value::Object(settings))) = text.map(|text| serde_json::from_str(text)) else {
            return Err(Error::data(
                &place,
                "its header does not describe a fitted model; save one with `Model::save`",
            ));
        };
        let mut parts = Parts { settings, place: place.clone(), ..Parts::on(device) };
        let kind = parts.text("kind")?;
        if kind != Self::KIND {
            return Err(Error::data(&place, format!("it holds a model of kind '{kind}', not '{}'", Self::KIND)));
        }
        for (name, view) in file.tensors() {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::I32 => DType::I32,
                Dtype::F64 => {
                    let numbers = view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
                    parts.lists.insert(name, numbers.collect());
                    continue;
                }
                other => return Err(Error::data(&place, format!("'{name}' is of type {other}, not F32, F64 or I32"))),
            };
            let tensor = Tensor::try_from_bytes(view.data().to_vec(), dtype, view.shape(), device)?;
            parts.tensors.insert(name, tensor);
        }
        Self::from_parts(parts)
    }
}
