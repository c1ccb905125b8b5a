//! [`Tensor`]: a lazy value. Shape, type and device are known at once, numbers when they are read.
//!
//! A tensor is a node of a graph that is shared by reference counting; methods only add nodes. Reading
//! (`to_vec`, `item`, `Display`) compiles what is pending and runs it; inside of a [`crate::Program`] nothing is run until
//! the whole closure was traced.

mod activation;
pub mod arguments;
mod attention;
mod compare;
pub mod conv;
mod create;
mod display;
mod einsum;
mod index;
mod interpolate;
mod join;
mod linalg;
mod math;
mod movement;
mod operators;
mod pairs;
pub mod pool;
mod primitive;
mod random;
mod reduce;
#[cfg(test)]
mod tests;

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::backend::Buffer;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::shape;

/// A lazy array of numbers with a shape, an element type and a device. Cheap to clone.
#[must_use = "a tensor is lazy: it does nothing until its numbers are read"]
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Node>);

/// What a tensor shares with its clones.
pub(crate) struct Node {
    /// Rises with every node made, so inputs always have smaller numbers.
    pub(crate) id: u64,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
    /// The user's line that made it.
    pub(crate) place: &'static Location<'static>,
    /// The numbers, row-major, once computed.
    pub(crate) data: OnceLock<Buffer>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// The number that the next node will get.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

impl Tensor {
    /// A new node; shapes and types were checked by the caller.
    #[track_caller]
    pub(crate) fn node(op: Op, inputs: Vec<Tensor>, shape: Vec<usize>, dtype: DType, device: Device) -> Tensor {
        if shape.len() > shape::MAX_RANK {
            shape::fail(op.name(), format!("the result {shape:?} has {} axes; at most 8 are supported", shape.len()));
        }
        if !device.supports(dtype) {
            let help = if dtype == DType::F64 { "f64 exists on the CPU only" } else { "use f32 there" };
            shape::fail(op.name(), format!("elements of type {dtype} are not supported on {}: {help}", device.name()));
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let data = OnceLock::new();
        Tensor(Arc::new(Node { id, op, inputs, shape, dtype, device, place: Location::caller(), data }))
    }

    /// A tensor whose numbers lie in `buffer`.
    #[track_caller]
    pub(crate) fn from_buffer(buffer: Buffer, shape: Vec<usize>, dtype: DType, device: Device) -> Tensor {
        let tensor = Tensor::node(Op::Input(0), Vec::new(), shape, dtype, device);
        let _ = tensor.0.data.set(buffer);
        tensor
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Size of one axis; negative numbers count from the end.
    ///
    /// # Panics
    /// If there is no such axis.
    #[must_use]
    #[track_caller]
    pub fn size(&self, axis: isize) -> usize {
        self.0.shape[shape::axis("size", axis, self.shape())]
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where it lives.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Computes it now and keeps the numbers; what is built from it later starts from there.
    ///
    /// # Errors
    /// If the device fails or memory cannot be had.
    pub fn realize(&self) -> Result<&Tensor> {
        Tensor::realize_all(std::slice::from_ref(self))?;
        Ok(self)
    }

    /// Computes several tensors of one device in one submission.
    ///
    /// # Errors
    /// As [`Tensor::realize`].
    pub fn realize_all(tensors: &[Tensor]) -> Result<()> {
        crate::program::realize(tensors)
    }

    /// All numbers, row-major. `T` must be the element type; use [`Tensor::cast`] first to convert.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If `T` is not the element type, or inside of a traced program.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            shape::fail("to_vec", format!("elements are {}, asked for {}; cast first", self.dtype(), T::DTYPE));
        }
        Ok(T::load(&self.to_bytes()?))
    }

    /// All numbers as f64, row-major, from any element type.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// Inside of a traced program.
    #[track_caller]
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        fn wide<T: Element>(bytes: &[u8]) -> Vec<f64> {
            T::load(bytes).into_iter().map(T::to_f64).collect()
        }
        let bytes = self.to_bytes()?;
        Ok(match self.dtype() {
            DType::F32 => wide::<f32>(&bytes),
            DType::F16 => wide::<half::f16>(&bytes),
            DType::F64 => wide::<f64>(&bytes),
            DType::I32 => wide::<i32>(&bytes),
            DType::U32 => wide::<u32>(&bytes),
            DType::Bool => wide::<bool>(&bytes),
        })
    }

    /// The only number of a tensor with one element. Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there is not exactly one element, or inside of a traced program.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        if self.len() != 1 {
            shape::fail("item", format!("{:?} has {} elements, not one", self.shape(), self.len()));
        }
        Ok(self.to_f64()?[0])
    }

    /// All bytes as stored (see [`DType`]), row-major.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// Inside of a traced program.
    #[track_caller]
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        if crate::trace::active() && self.0.data.get().is_none() {
            shape::fail(
                "reading a tensor",
                "inside of a program there are no numbers yet; return the tensor from the closure and read it there",
            );
        }
        if self.is_empty() {
            return Ok(Vec::new());
        }
        self.realize()?;
        let Some(buffer) = self.0.data.get() else {
            return Err(Error::Program("a realized tensor has no buffer".into()));
        };
        let size = self.len() * self.dtype().size();
        let mut bytes = vec![0; size.next_multiple_of(4)];
        self.device().backend().read(buffer, 0, &mut bytes)?;
        bytes.truncate(size);
        Ok(bytes)
    }

    /// The inputs that its value is computed from: a rule's value is its first input's.
    pub(crate) fn value_inputs(&self) -> &[Tensor] {
        if matches!(self.0.op, Op::Rule(_)) { &self.0.inputs[..1] } else { &self.0.inputs }
    }

    /// This value, whose gradient for `inputs` is `gradient(dy, y)` instead of what its composition says.
    #[track_caller]
    pub(crate) fn with_gradient(
        &self,
        name: &'static str,
        inputs: &[&Tensor],
        gradient: impl Fn(&Tensor, &Tensor) -> Vec<Tensor> + Send + Sync + 'static,
    ) -> Tensor {
        let rule = crate::op::Rule { name, gradient: Arc::new(gradient) };
        let all = std::iter::once(self).chain(inputs.iter().copied()).cloned().collect();
        Tensor::node(Op::Rule(rule), all, self.shape().to_vec(), self.dtype(), self.device().clone())
    }

    /// A weak handle, for caches.
    pub(crate) fn downgrade(&self) -> Weak<Node> {
        Arc::downgrade(&self.0)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} {:?} {} on {})", self.0.op.name(), self.0.shape, self.0.dtype, self.0.device.name())
    }
}

impl Drop for Node {
    /// Long chains are taken apart in a loop: the default drop would recurse once per node.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.inputs);
        while let Some(Tensor(node)) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                pending.append(&mut node.inputs);
            }
        }
    }
}
