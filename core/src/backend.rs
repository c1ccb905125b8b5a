//! The open door to devices: eight methods that a backend implements, in this workspace or in another crate.
//!
//! A backend compiles a [`Plan`] (kernels in order, and which stretch of which buffer each reads and writes) into an
//! [`Executable`], and runs it any number of times with one submission each. It never sees tensors or graphs.

use std::any::Any;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::Kernel;

/// A device that can hold buffers and run plans.
pub trait Backend: Send + Sync + Debug + 'static {
    /// A short name with the hardware's own: `cpu`, `gpu:0 NVIDIA H200`.
    fn name(&self) -> String;

    /// What plans for this device must respect.
    fn limits(&self) -> Limits;

    /// Whether kernels may read and write elements of `dtype`.
    fn supports(&self, dtype: DType) -> bool;

    /// A new buffer of at least `bytes` bytes, zeroed.
    ///
    /// # Errors
    /// If the size is over the device's limits or the memory cannot be had.
    fn allocate(&self, bytes: usize) -> Result<Buffer>;

    /// Copies host bytes into a buffer, in order with the plans that run. `offset` and length are multiples of 4.
    ///
    /// # Errors
    /// If the device was lost or the range does not fit.
    fn write(&self, buffer: &Buffer, offset: usize, bytes: &[u8]) -> Result<()>;

    /// Copies a buffer's bytes to the host, after all that was submitted before. `offset` and length are multiples of 4.
    ///
    /// # Errors
    /// If the device was lost, a submitted kernel failed, or the range does not fit.
    fn read(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<()>;

    /// Prepares a plan: pipelines, scratch memory, everything that does not depend on the external buffers.
    ///
    /// # Errors
    /// If a kernel cannot be compiled or memory cannot be had.
    fn compile(&self, plan: Arc<Plan>) -> Result<Arc<dyn Executable>>;
}

/// A compiled plan.
pub trait Executable: Send + Sync + Debug {
    /// Runs all kernels in order with `external[i]` bound as [`Slot::External`]`(i)`; returns without waiting.
    ///
    /// # Errors
    /// If the device was lost or refused the work.
    fn run(&self, external: &[Buffer]) -> Result<()>;

    /// As [`Executable::run`], `times` in a row: GPUs get many runs in one submission.
    ///
    /// # Errors
    /// As [`Executable::run`].
    fn run_times(&self, external: &[Buffer], times: usize) -> Result<()> {
        (0..times).try_for_each(|_| self.run(external))
    }

    /// Runs once, waits, and says how long each kernel of the plan took.
    ///
    /// # Errors
    /// As [`Executable::run`]; if the device has no clock for that.
    fn timed(&self, external: &[Buffer]) -> Result<Vec<Duration>>;

    /// What would be printed to explain kernel `i`: shader text, chosen variant; empty if there is nothing to say.
    fn explain(&self, kernel: usize) -> String;
}

/// What plans for a device must respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest buffer, in bytes.
    pub buffer_bytes: u64,
    /// Largest stretch of a buffer that one kernel can see, in bytes.
    pub binding_bytes: u64,
    /// A binding's offset must be a multiple of this many bytes.
    pub alignment: usize,
    /// How many buffers one kernel can see (inputs and outputs together).
    pub bindings: usize,
    /// Whether what a kernel reads and what it writes must lie in different buffers, unless it is an update in place.
    pub apart: bool,
    /// Longest row of a product over which the product's own kernel can reduce ([`Kernel::inner`]); 0 if it cannot.
    pub product_row: usize,
    /// All memory that may be used, in bytes, if that is known.
    pub memory_bytes: Option<u64>,
    /// Pairs of a query and a key from which attention is better one operation than products and a softmax: where all keys
    /// are seen, and where only those before the query are.
    pub attention: [usize; 2],
}

/// A stretch of device memory; clones share it. The backend alone knows what is inside.
#[derive(Clone, Debug)]
pub struct Buffer {
    inside: Arc<dyn Memory>,
}

/// What a backend keeps behind a [`Buffer`].
pub trait Memory: Any + Send + Sync + Debug {
    /// Size in bytes.
    fn bytes(&self) -> usize;
}

impl Buffer {
    /// Wraps a backend's memory.
    #[must_use]
    pub fn new(memory: Arc<dyn Memory>) -> Buffer {
        Buffer { inside: memory }
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inside.bytes()
    }

    /// The memory, if it is a `T`; backends call this with their own type.
    #[must_use]
    pub fn downcast<T: Memory>(&self) -> Option<&T> {
        (&*self.inside as &dyn Any).downcast_ref()
    }

    /// A number that tells this buffer from all others alive: the address of its memory.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.inside).cast::<()>() as usize
    }

    /// Whether nobody else holds this buffer, so that it may be reused.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.inside) == 1
    }
}

/// Kernels in order, and the memory they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kernels, each with one binding per input and then one per output.
    pub steps: Vec<Step>,
    /// Number of external buffers.
    pub externals: usize,
    /// Sizes in bytes of the plan's own scratch buffers ("slabs").
    pub slabs: Vec<usize>,
}

/// A kernel and its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub kernel: Kernel,
    /// One per input, then one per output.
    pub bindings: Vec<Binding>,
    /// Which operation of the user's code this came from, for people.
    pub label: String,
}

impl Step {
    /// Bytes of all stretches that it sees, each counted once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let distinct: HashSet<&Binding> = self.bindings.iter().collect();
        distinct.into_iter().map(|binding| binding.bytes as u64).sum()
    }
}

/// A stretch of a buffer. The kernel's element 0 lies at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Which buffer.
    pub slot: Slot,
    /// First byte, a multiple of [`Limits::alignment`].
    pub offset: usize,
    /// Number of bytes.
    pub bytes: usize,
}

/// Where a buffer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// Given at each run.
    External(usize),
    /// The plan's own scratch.
    Slab(usize),
}
