//! [`Device`]: where tensors live: a backend, its random generator, and the cache of what was compiled for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::backend::{Backend, Buffer, Limits};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::program::Compiled;
use crate::var::Var;

/// A place where tensors live and programs run. Cheap to clone; equal if it is the same opened device.
#[derive(Clone)]
pub struct Device(Arc<Inside>);

struct Inside {
    backend: Arc<dyn Backend>,
    name: String,
    limits: Limits,
    /// The generator's four words: seed (2), programs run so far, 0.
    generator: OnceLock<Var>,
    seed: AtomicU64,
    /// Random tensors made outside of programs so far.
    drawn: AtomicU64,
    budget: AtomicU64,
    compiled: Mutex<HashMap<Graph, Arc<Compiled>>>,
}

impl Device {
    /// A device on any backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Device {
        Device(Arc::new(Inside {
            name: backend.name(),
            limits: backend.limits(),
            backend,
            generator: OnceLock::new(),
            seed: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            compiled: Mutex::default(),
        }))
    }

    /// The backend's name for it.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name.clone()
    }

    /// What programs on it must respect.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// Whether tensors of this type can live there.
    #[must_use]
    pub fn supports(&self, dtype: DType) -> bool {
        self.0.backend.supports(dtype)
    }

    /// Starts the random numbers anew: the same seed gives the same numbers on every backend.
    ///
    /// # Errors
    /// If the device fails.
    pub fn seed(&self, seed: u64) -> Result<()> {
        self.0.seed.store(seed, Ordering::SeqCst);
        self.0.drawn.store(0, Ordering::SeqCst);
        self.generator().write(&Device::words(seed, 0))
    }

    fn words(seed: u64, count: u32) -> [u32; 4] {
        [seed as u32, (seed >> 32) as u32, count, 0]
    }

    /// The state of the generator that programs draw from: `[4]` u32; a checkpoint saves it like a parameter.
    #[must_use]
    pub fn generator(&self) -> Var {
        let first = || Var::from_slice("generator", &Device::words(self.0.seed.load(Ordering::SeqCst), 0), &[4], self);
        self.0.generator.get_or_init(first).clone()
    }

    /// The state for the next random tensor outside of programs; its last word keeps it apart from those inside.
    pub(crate) fn next_words(&self) -> [u32; 4] {
        let count = self.0.drawn.fetch_add(1, Ordering::SeqCst);
        let seed = self.0.seed.load(Ordering::SeqCst);
        [seed as u32, (seed >> 32) as u32, count as u32, 0x8000_0000 | (count >> 32) as u32]
    }

    /// The seed, and how many random tensors were made outside of programs: with [`Device::generator`]'s numbers all that
    /// random numbers depend on.
    #[must_use]
    pub fn drawn(&self) -> (u64, u64) {
        (self.0.seed.load(Ordering::SeqCst), self.0.drawn.load(Ordering::SeqCst))
    }

    /// Takes back what [`Device::drawn`] gave; the generator's numbers are written on their own.
    pub fn set_drawn(&self, (seed, drawn): (u64, u64)) {
        self.0.seed.store(seed, Ordering::SeqCst);
        self.0.drawn.store(drawn, Ordering::SeqCst);
    }

    /// Limits the memory that one program may plan for, in bytes; a larger one is an error before it runs.
    pub fn set_memory_budget(&self, bytes: u64) {
        self.0.budget.store(bytes, Ordering::SeqCst);
    }

    /// The memory that one program may plan for, in bytes.
    #[must_use]
    pub fn memory_budget(&self) -> u64 {
        self.0.budget.load(Ordering::SeqCst).min(self.0.limits.memory_bytes.unwrap_or(u64::MAX))
    }

    /// A zeroed buffer, checked against the device's limits.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<Buffer> {
        let available = self.0.limits.buffer_bytes;
        if bytes as u64 > available {
            return Err(Error::Memory {
                what: format!("a buffer on {}", self.0.name),
                needed: bytes as u64,
                available,
                limit: "the device's largest buffer".into(),
            });
        }
        // An empty tensor's buffer has room for one element of any type.
        self.0.backend.allocate(bytes.max(8).next_multiple_of(4))
    }

    /// What was compiled for graphs of tensors outside of programs, by their structure.
    pub(crate) fn compiled(&self) -> &Mutex<HashMap<Graph, Arc<Compiled>>> {
        &self.0.compiled
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Device {}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.0.name)
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.name)
    }
}
