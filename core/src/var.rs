//! [`Var`]: state that lives across steps. A variable is a stretch of a [`Storage`]; an optimizer gathers the
//! parameters' stretches into one storage, so that its update, clipping and checkpoints are single operations.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::backend::Buffer;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::shape;
use crate::tensor::{Node, Tensor};
use crate::trace;

/// Flat device memory that variables share; compared by identity.
#[derive(Debug)]
pub struct Storage {
    id: u64,
    dtype: DType,
    len: usize,
    device: Device,
    buffer: Mutex<Buffer>,
}

/// State that lives across steps: a parameter, a moment, a running mean, a counter. Clones share it.
#[derive(Clone)]
pub struct Var(Arc<Inside>);

struct Inside {
    name: Mutex<String>,
    shape: Vec<usize>,
    place: Mutex<Place>,
}

/// Where a variable's numbers are, and the tensor that stands for them outside of programs.
struct Place {
    storage: Arc<Storage>,
    offset: usize,
    read: Option<(usize, Weak<Node>)>,
}

/// The number of a variable's storage, and its first element there.
pub(crate) type Position = (u64, usize);

/// How often variables were moved to another storage; programs then look whether their own were, and are traced again.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// See [`GENERATION`].
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::SeqCst)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartialEq for Storage {
    fn eq(&self, other: &Storage) -> bool {
        self.id == other.id
    }
}

impl Eq for Storage {}

impl std::hash::Hash for Storage {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Storage {
    fn new(buffer: Buffer, dtype: DType, len: usize, device: Device) -> Arc<Storage> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Storage { id, dtype, len, device, buffer: Mutex::new(buffer) })
    }

    /// A number that no other storage of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Element type.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The buffer as it is now.
    pub(crate) fn buffer(&self) -> Buffer {
        lock(&self.buffer).clone()
    }

    /// The buffer for writing in place: copied first if a tensor outside still shows the present numbers.
    pub(crate) fn buffer_for_writing(&self) -> Result<Buffer> {
        let mut buffer = lock(&self.buffer);
        if !buffer.is_unique() {
            let fresh = self.device.allocate(buffer.bytes())?;
            let mut bytes = vec![0; buffer.bytes()];
            self.device.backend().read(&buffer, 0, &mut bytes)?;
            self.device.backend().write(&fresh, 0, &bytes)?;
            *buffer = fresh;
        }
        Ok(buffer.clone())
    }

    /// The tensor that stands for the whole storage at the beginning of a traced program's run.
    pub(crate) fn state(self: &Arc<Storage>) -> Tensor {
        Tensor::node(Op::State(self.clone()), Vec::new(), vec![self.len], self.dtype, self.device.clone())
    }
}

impl Var {
    /// A variable with the numbers that `initial` has now. The name is dotted (`layers.0.weight`) and used in checkpoints.
    ///
    /// # Errors
    /// If the numbers cannot be computed or memory cannot be had.
    ///
    /// # Panics
    /// Inside of a traced program: variables live longer than a step, make them before.
    #[track_caller]
    pub fn try_new(name: impl Into<String>, initial: &Tensor) -> Result<Var> {
        if trace::active() {
            shape::fail("Var::new", "inside of a traced program; variables outlive a step, make them before");
        }
        if initial.0.data.get().is_none() {
            initial.realize()?;
        }
        let device = initial.device().clone();
        let buffer = match initial.0.data.get() {
            Some(buffer) => buffer.clone(),
            None => device.allocate(0)?,
        };
        let storage = Storage::new(buffer, initial.dtype(), initial.len(), device);
        let place = Mutex::new(Place { storage, offset: 0, read: None });
        Ok(Var(Arc::new(Inside { name: Mutex::new(name.into()), shape: initial.shape().to_vec(), place })))
    }

    /// As [`Var::try_new`].
    ///
    /// # Panics
    /// If the numbers cannot be computed or memory cannot be had, or inside of a traced program.
    #[must_use]
    #[track_caller]
    pub fn new(name: impl Into<String>, initial: &Tensor) -> Var {
        match Var::try_new(name, initial) {
            Ok(var) => var,
            Err(error) => shape::fail("Var::new", error),
        }
    }

    #[track_caller]
    pub(crate) fn from_slice<T: Element>(name: &str, values: &[T], shape: &[usize], device: &Device) -> Var {
        Var::new(name, &Tensor::from_vec(values.to_vec(), shape, device))
    }

    /// The dotted name.
    #[must_use]
    pub fn name(&self) -> String {
        lock(&self.0.name).clone()
    }

    /// Gives it another name; modules do so when they are put inside of others.
    pub fn set_name(&self, name: impl Into<String>) {
        *lock(&self.0.name) = name.into();
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
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
        lock(&self.0.place).storage.dtype
    }

    /// Where it lives.
    #[must_use]
    pub fn device(&self) -> Device {
        lock(&self.0.place).storage.device.clone()
    }

    /// A number that clones share and no other variable has.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Its value as a tensor: inside of a program the latest assigned one, else the numbers at this moment.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        let mut place = lock(&self.0.place);
        if trace::active() {
            return trace::read(self, &place.storage, place.offset);
        }
        let buffer = place.storage.buffer();
        if let Some((id, weak)) = &place.read
            && *id == buffer.id()
            && let Some(node) = weak.upgrade()
        {
            return Tensor(node);
        }
        let (dtype, device) = (place.storage.dtype, place.storage.device.clone());
        let id = buffer.id();
        let whole = Tensor::from_buffer(buffer, vec![place.storage.len], dtype, device);
        let end = place.offset + self.len();
        let tensor = whole.slice_to(&[(place.offset, end)]).reshape_to(&self.0.shape);
        place.read = Some((id, tensor.downgrade()));
        tensor
    }

    /// Gives it a new value: inside of a program when the step runs, in place; else now.
    ///
    /// # Panics
    /// If shape, type or device differ, or (outside of programs) if the device fails.
    #[track_caller]
    pub fn assign(&self, value: &Tensor) {
        if value.shape() != self.shape() || value.dtype() != self.dtype() || *value.device() != self.device() {
            let message = format!("variable '{}' is {:?} {}", self.name(), self.shape(), self.dtype());
            shape::fail("assign", format!("{message} on {}, the value is {value:?}", self.device()));
        }
        if trace::active() {
            let place = lock(&self.0.place);
            trace::assign(self, &place.storage, place.offset, value);
        } else if let Err(error) = self.assign_now(value) {
            shape::fail("assign", error);
        }
    }

    fn assign_now(&self, value: &Tensor) -> Result<()> {
        let bytes = value.to_bytes()?;
        self.write_bytes(&bytes)
    }

    /// Overwrites it with host numbers in row-major order.
    ///
    /// # Errors
    /// If the length or type does not fit or the device fails.
    pub fn write<T: Element>(&self, values: &[T]) -> Result<()> {
        if T::DTYPE != self.dtype() {
            let message = format!("it holds {}, not {}", self.dtype(), T::DTYPE);
            return Err(Error::data(format!("variable '{}'", self.name()), message));
        }
        let mut bytes = Vec::new();
        T::store(values, &mut bytes);
        self.write_bytes(&bytes)
    }

    /// Overwrites it with stored bytes (see [`DType`]) in row-major order.
    ///
    /// # Errors
    /// If the length does not fit or the device fails.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        let expected = self.len() * self.dtype().size();
        if bytes.len() != expected {
            let message = format!("{} bytes were given, {:?} takes {expected}", bytes.len(), self.shape());
            return Err(Error::data(format!("variable '{}'", self.name()), message));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let place = lock(&self.0.place);
        let (start, device) = (place.offset * place.storage.dtype.size(), &place.storage.device);
        let buffer = place.storage.buffer_for_writing()?;
        // Whole words are written: f16 stretches may begin or end inside of one.
        let (low, high) = (start / 4 * 4, (start + bytes.len()).next_multiple_of(4));
        if (low, high) == (start, start + bytes.len()) {
            return device.backend().write(&buffer, start, bytes);
        }
        let mut words = vec![0; high - low];
        device.backend().read(&buffer, low, &mut words)?;
        words[start - low..start - low + bytes.len()].copy_from_slice(bytes);
        device.backend().write(&buffer, low, &words)
    }

    /// The stored bytes (see [`DType`]) of several variables, at one moment. Each storage is read once, and nothing is compiled.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_all(vars: &[Var]) -> Result<Vec<Vec<u8>>> {
        let mut storages: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut all = Vec::with_capacity(vars.len());
        for var in vars {
            let (storage, offset) = {
                let place = lock(&var.0.place);
                (place.storage.clone(), place.offset)
            };
            let bytes = match storages.entry(storage.id) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => {
                    let mut bytes = vec![0; (storage.len * storage.dtype.size()).next_multiple_of(4)];
                    if !bytes.is_empty() {
                        storage.device.backend().read(&storage.buffer(), 0, &mut bytes)?;
                    }
                    unread.insert(bytes)
                }
            };
            let size = storage.dtype.size();
            all.push(bytes[offset * size..(offset + var.len()) * size].to_vec());
        }
        Ok(all)
    }

    /// Gives it another float type; its numbers are rounded to that. It leaves the storage that it shared, and programs
    /// traced before are traced again at their next run.
    ///
    /// # Errors
    /// If either type is not a float, the device lacks it, or memory cannot be had.
    pub fn convert(&self, dtype: DType) -> Result<()> {
        let from = self.dtype();
        if !from.is_float() || !dtype.is_float() {
            let message = format!("{from} cannot become {dtype}: only floats are converted");
            return Err(Error::data(format!("variable '{}'", self.name()), message));
        }
        if from == dtype {
            return Ok(());
        }
        let mut place = lock(&self.0.place);
        let device = place.storage.device.clone();
        // Whole words are read: f16 stretches may begin or end inside of one.
        let (start, end) = (place.offset * from.size(), (place.offset + self.len()) * from.size());
        let mut words = vec![0; end.next_multiple_of(4) - start / 4 * 4];
        if !words.is_empty() {
            device.backend().read(&place.storage.buffer(), start / 4 * 4, &mut words)?;
        }
        let bytes = convert(from, dtype, &words[start % 4..start % 4 + end - start]);
        let tensor = Tensor::try_from_bytes(bytes, dtype, &[self.len()], &device)?;
        let buffer = match tensor.0.data.get() {
            Some(buffer) => buffer.clone(),
            None => device.allocate(0)?,
        };
        *place = Place { storage: Storage::new(buffer, dtype, self.len(), device), offset: 0, read: None };
        GENERATION.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Moves variables of one type and device into one storage, in the given order, and returns the variable that is all of
    /// it, flat. Programs traced before are traced again at their next run.
    ///
    /// # Errors
    /// If memory cannot be had.
    ///
    /// # Panics
    /// If the list is empty or types or devices differ.
    #[track_caller]
    pub fn gather(name: impl Into<String>, vars: &[Var]) -> Result<Var> {
        let Some(one) = vars.first() else { shape::fail("Var::gather", "there are no variables") };
        let (dtype, device) = (one.dtype(), one.device());
        if let Some(other) = vars.iter().find(|v| v.dtype() != dtype || v.device() != device) {
            shape::fail("Var::gather", format!("{one:?} and {other:?} differ in type or device"));
        }
        // By way of the host: copying kernels, one per length, would have to be compiled first.
        let bytes = Var::read_all(vars)?.concat();
        let length = bytes.len() / dtype.size();
        let all = Var::try_new(name, &Tensor::try_from_bytes(bytes, dtype, &[length], &device)?)?;
        let storage = all.storage();
        let mut offset = 0;
        GENERATION.fetch_add(1, Ordering::SeqCst);
        for var in vars {
            *lock(&var.0.place) = Place { storage: storage.clone(), offset, read: None };
            offset += var.len();
        }
        Ok(all)
    }

    /// Where it is at present.
    pub(crate) fn position(&self) -> Position {
        let place = lock(&self.0.place);
        (place.storage.id, place.offset)
    }

    /// Its storage at present; programs compare it with the one they were traced with.
    pub(crate) fn storage(&self) -> Arc<Storage> {
        lock(&self.0.place).storage.clone()
    }
}

/// Stored floats of one type as stored floats of another.
fn convert(from: DType, to: DType, bytes: &[u8]) -> Vec<u8> {
    fn wide<T: Element>(bytes: &[u8]) -> Vec<f64> {
        T::load(bytes).into_iter().map(T::to_f64).collect()
    }
    fn narrow<T: Element>(values: &[f64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        T::store(&values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>(), &mut bytes);
        bytes
    }
    let values = match from {
        DType::F16 => wide::<half::f16>(bytes),
        DType::F64 => wide::<f64>(bytes),
        _ => wide::<f32>(bytes),
    };
    match to {
        DType::F16 => narrow::<half::f16>(&values),
        DType::F64 => narrow::<f64>(&values),
        _ => narrow::<f32>(&values),
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Var('{}' {:?} {})", self.name(), self.shape(), self.dtype())
    }
}
