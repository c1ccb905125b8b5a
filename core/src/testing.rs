//! A device for tests that means what kernels mean: host memory, and plans run by [`crate::interpret`], slow and
//! obvious. Against it the schedule is checked without any backend.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, Binding, Buffer, Executable, Limits, Memory, Plan, Slot};
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::interpret::interpret;
use crate::kernel::Slice;

/// A device that interprets kernels in f64.
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
        Limits {
            buffer_bytes: 1 << 30,
            binding_bytes: 1 << 30,
            alignment: 32,
            bindings: 8,
            apart: true,
            product_row: 8,
            memory_bytes: None,
            attention: [16384, 2048],
        }
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

    fn compile(&self, plan: Arc<Plan>) -> Result<Arc<dyn Executable>> {
        for step in &plan.steps {
            let (reads, writes) = step.bindings.split_at(step.kernel.inputs.len());
            let shared =
                |w: &Binding| reads.iter().any(|r| r.slot == w.slot && r != w && matches!(r.slot, Slot::Slab(_)));
            if writes.iter().any(shared) {
                return Err(Error::Program(format!("'{}' reads and writes one slab", step.label)));
            }
        }
        let slabs = plan.slabs.iter().map(|&bytes| self.allocate(bytes)).collect::<Result<_>>()?;
        Ok(Arc::new(Interpreted { plan, slabs }))
    }
}

#[derive(Debug)]
struct Interpreted {
    plan: Arc<Plan>,
    slabs: Vec<Buffer>,
}

impl Interpreted {
    fn buffer<'a>(&'a self, binding: &Binding, external: &'a [Buffer]) -> &'a Buffer {
        match binding.slot {
            Slot::External(k) => &external[k],
            Slot::Slab(k) => &self.slabs[k],
        }
    }

    fn load(&self, slice: Slice, binding: &Binding, external: &[Buffer]) -> Result<Vec<f64>> {
        fn wide<T: Element>(bytes: &[u8]) -> Vec<f64> {
            T::load(bytes).into_iter().map(T::to_f64).collect()
        }
        let mut values = Vec::new();
        range(self.buffer(binding, external), binding.offset, slice.len * slice.dtype.size(), |bytes| {
            values = match slice.dtype {
                DType::F32 => wide::<f32>(bytes),
                DType::F16 => wide::<half::f16>(bytes),
                DType::F64 => wide::<f64>(bytes),
                DType::I32 => wide::<i32>(bytes),
                DType::U32 => wide::<u32>(bytes),
                DType::Bool => wide::<bool>(bytes),
            };
        })?;
        Ok(values)
    }

    fn store(&self, slice: Slice, values: &[f64], binding: &Binding, external: &[Buffer]) -> Result<()> {
        fn narrow<T: Element>(values: &[f64], out: &mut Vec<u8>) {
            let values: Vec<T> = values.iter().map(|&x| T::from_f64(x)).collect();
            T::store(&values, out);
        }
        let mut bytes = Vec::new();
        match slice.dtype {
            DType::F32 => narrow::<f32>(values, &mut bytes),
            DType::F16 => narrow::<half::f16>(values, &mut bytes),
            DType::F64 => narrow::<f64>(values, &mut bytes),
            DType::I32 => narrow::<i32>(values, &mut bytes),
            DType::U32 => narrow::<u32>(values, &mut bytes),
            DType::Bool => narrow::<bool>(values, &mut bytes),
        }
        range(self.buffer(binding, external), binding.offset, bytes.len(), |stretch| stretch.copy_from_slice(&bytes))
    }
}

impl Executable for Interpreted {
    fn run(&self, external: &[Buffer]) -> Result<()> {
        for step in &self.plan.steps {
            let kernel = &step.kernel;
            let (reads, writes) = step.bindings.split_at(kernel.inputs.len());
            let load = |(slice, binding): (&Slice, &Binding)| self.load(*slice, binding, external);
            let inputs: Vec<Vec<f64>> = kernel.inputs.iter().zip(reads).map(load).collect::<Result<_>>()?;
            let slices = kernel.outputs.iter().map(|o| &o.slice);
            let mut outputs: Vec<Vec<f64>> = slices.zip(writes).map(load).collect::<Result<_>>()?;
            interpret(kernel, &inputs, &mut outputs);
            for ((output, values), binding) in kernel.outputs.iter().zip(&outputs).zip(writes) {
                self.store(output.slice, values, binding, external)?;
            }
        }
        Ok(())
    }

    fn timed(&self, external: &[Buffer]) -> Result<Vec<Duration>> {
        let begin = Instant::now();
        self.run(external)?;
        let each = begin.elapsed() / self.plan.steps.len().max(1) as u32;
        Ok(vec![each; self.plan.steps.len()])
    }

    fn explain(&self, kernel: usize) -> String {
        format!("{:?}", self.plan.steps[kernel].kernel)
    }
}
