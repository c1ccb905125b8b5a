//! A device for tests that only stores: buffers are host memory, nothing can be compiled. With it the reference can run
//! where there is no backend.

use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{Backend, Buffer, Executable, Limits, Memory, Plan};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A device that stores and cannot compute.
#[must_use]
pub fn device() -> Device {
    Device::new(Arc::new(Store))
}

/// What `build` makes inside of a training trace on `device`; assigned variables read as assigned there, and keep their
/// numbers.
pub fn training<R>(device: &Device, build: impl FnOnce() -> R) -> R {
    let guard = crate::trace::begin(device, true);
    let result = build();
    let _ = crate::trace::finish(guard);
    result
}

#[derive(Debug)]
struct Store;

#[derive(Debug)]
struct Bytes(Mutex<Vec<u8>>);

impl Memory for Bytes {
    fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Runs `f` on the bytes of a buffer's range.
fn range(buffer: &Buffer, offset: usize, len: usize, f: impl FnOnce(&mut [u8])) -> Result<()> {
    let Some(Bytes(bytes)) = buffer.downcast() else {
        return Err(Error::Program("a buffer of another backend".into()));
    };
    match bytes.lock().unwrap_or_else(PoisonError::into_inner).get_mut(offset..offset + len) {
        Some(stretch) => {
            f(stretch);
            Ok(())
        }
        None => Err(Error::Program(format!("{len} bytes at {offset} are outside of the buffer"))),
    }
}

impl Backend for Store {
    fn name(&self) -> String {
        "store".into()
    }

    fn limits(&self) -> Limits {
        Limits { buffer_bytes: 1 << 30, binding_bytes: 1 << 30, alignment: 4, bindings: 8, memory_bytes: None }
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    fn allocate(&self, bytes: usize) -> Result<Buffer> {
        Ok(Buffer::new(Arc::new(Bytes(Mutex::new(vec![0; bytes])))))
    }

    fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        range(buffer, offset, bytes.len(), |stretch| stretch.copy_from_slice(bytes))
    }

    fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()> {
        range(buffer, offset, bytes.len(), |stretch| bytes.copy_from_slice(stretch))
    }

    fn compile(&self, _: Plan) -> Result<Arc<dyn Executable>> {
        let (what, instead) = ("running kernels".into(), "use another device".into());
        Err(Error::Unsupported { what, device: self.name(), instead })
    }
}
