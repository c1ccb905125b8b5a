//! The trace of a program's closure on this thread: what variables were read, what was assigned, how many random
//! tensors were drawn. Assignments are functional here (a later read sees the assigned tensor); the program's end
//! turns the last value of each storage into an update in place.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::device::Device;
use crate::dtype::DType;
use crate::hash::Map;
use crate::tensor::{Tensor, next_id};
use crate::var::{Position, Storage, Var};

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
    /// See [`with_products_in`].
    static PRODUCTS: Cell<Option<DType>> = const { Cell::new(None) };
}

/// What a traced closure did besides building tensors.
#[derive(Debug)]
pub(crate) struct Trace {
    training: bool,
    device: Device,
    /// Nodes with smaller numbers were made before the trace began.
    pub(crate) start: u64,
    /// Per variable: its storage and the tensor that was handed out.
    reads: Map<usize, (u64, Tensor)>,
    /// Per storage: its state at the run's beginning.
    states: Map<u64, Tensor>,
    /// Storages in the order of their first assignment, with their latest value, flat.
    pub(crate) assigned: Vec<(Arc<Storage>, Tensor)>,
    streams: u32,
    /// Variables that were read or assigned, by number, and where they were.
    pub(crate) variables: Map<usize, (Var, Position)>,
    /// The first tensor whose gradients were asked for.
    pub(crate) loss: Option<u64>,
}

impl Trace {
    fn state(&mut self, storage: &Arc<Storage>) -> Tensor {
        if let Some((_, value)) = self.assigned.iter().find(|(s, _)| s.id() == storage.id()) {
            return value.clone();
        }
        self.states.entry(storage.id()).or_insert_with(|| storage.state()).clone()
    }

    fn assign(&mut self, storage: &Arc<Storage>, offset: usize, value: &Tensor) {
        let flat = value.reshape_to(&[value.len()]);
        let whole = if value.len() == storage.len() {
            flat
        } else {
            let old = self.state(storage);
            let (before, after) =
                (old.slice_to(&[(0, offset)]), old.slice_to(&[(offset + value.len(), storage.len())]));
            let parts: Vec<Tensor> = [before, flat, after].into_iter().filter(|t| !t.is_empty()).collect();
            Tensor::concat(&parts)
        };
        self.reads.retain(|_, (id, _)| *id != storage.id());
        match self.assigned.iter_mut().find(|(s, _)| s.id() == storage.id()) {
            Some((_, old)) => *old = whole,
            None => self.assigned.push((storage.clone(), whole)),
        }
    }
}

/// Ends the trace when it is dropped, also if the closure panics.
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        TRACE.with_borrow_mut(|trace| *trace = None);
    }
}

/// Begins a trace on this thread.
pub(crate) fn begin(device: &Device, training: bool) -> Guard {
    let _ = device.generator();
    let trace = Trace {
        training,
        device: device.clone(),
        start: next_id(),
        reads: Map::default(),
        states: Map::default(),
        assigned: Vec::new(),
        streams: 0,
        variables: Map::default(),
        loss: None,
    };
    TRACE.with_borrow_mut(|slot| *slot = Some(trace));
    Guard
}

/// Takes the trace at the closure's end; the generator moves on if it was used.
pub(crate) fn finish(guard: Guard) -> Option<Trace> {
    let trace = TRACE.with_borrow_mut(Option::take);
    drop(guard);
    let mut trace = trace?;
    if trace.streams > 0 {
        let storage = trace.device.generator().storage();
        let state = trace.state(&storage);
        let one = Tensor::full(&[1], 1.0, DType::U32, &trace.device).pad_to(&[(2, 1)], 0.0);
        let next = state.binary(crate::scalar::Binary::Add, &one);
        trace.assign(&storage, 0, &next);
    }
    Some(trace)
}

/// Whether this thread is tracing a program.
pub(crate) fn active() -> bool {
    TRACE.with_borrow(Option::is_some)
}

/// Whether this thread is tracing a training program: Dropout and BatchNorm ask this. Outside of programs: false.
#[must_use]
pub fn is_training() -> bool {
    TRACE.with_borrow(|trace| trace.as_ref().is_some_and(|t| t.training))
}

/// Notes that gradients of this tensor were asked for.
pub(crate) fn differentiated(id: u64) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.loss.get_or_insert(id);
        }
    });
}

/// A variable's value at this point of the trace.
pub(crate) fn read(var: &Var, storage: &Arc<Storage>, offset: usize) -> Tensor {
    let (number, shape) = (var.id(), var.shape());
    with(|trace| {
        trace.variables.entry(number).or_insert_with(|| (var.clone(), (storage.id(), offset)));
        if let Some((id, tensor)) = trace.reads.get(&number)
            && *id == storage.id()
        {
            return tensor.clone();
        }
        let len: usize = shape.iter().product();
        let tensor = trace.state(storage).slice_to(&[(offset, offset + len)]).reshape_to(shape);
        trace.reads.insert(number, (storage.id(), tensor.clone()));
        tensor
    })
}

/// Records a variable's new value.
pub(crate) fn assign(var: &Var, storage: &Arc<Storage>, offset: usize, value: &Tensor) {
    with(|trace| {
        trace.variables.entry(var.id()).or_insert_with(|| (var.clone(), (storage.id(), offset)));
        trace.assign(storage, offset, value);
    });
}

/// Makes all assignments of this trace so far conditional: where `ok` (one bool) is false when the program runs, the variables
/// keep the values that they had when it began. Later assignments are not concerned, and neither are random numbers.
///
/// Trainers skip a step this way whose gradients are not finite, without asking the host.
///
/// # Panics
/// Outside of a trace, or if `ok` is not one bool.
#[track_caller]
pub fn commit_if(ok: &Tensor) {
    if ok.dtype() != DType::Bool || ok.len() != 1 {
        crate::shape::fail("commit_if", format!("the condition is {:?} of {}, not one bool", ok.shape(), ok.dtype()));
    }
    let ok = ok.reshape_to(&[1]);
    with(|trace| {
        for at in 0..trace.assigned.len() {
            let (storage, new) = trace.assigned[at].clone();
            let old = trace.states.entry(storage.id()).or_insert_with(|| storage.state()).clone();
            trace.reads.retain(|_, (id, _)| *id != storage.id());
            trace.assigned[at].1 = ok.choose(&new, &old);
        }
    });
}

/// Computes matrix products and convolutions of f32 tensors in `dtype` within `scope`: their operands are cast to it, their
/// results back, sums are kept in f32. All else stays as it is. With f16 this is mixed precision.
///
/// Source: Micikevicius and others, "Mixed precision training" (2018), section 3; PyTorch's `torch.autocast`.
#[track_caller]
pub fn with_products_in<T>(dtype: DType, scope: impl FnOnce() -> T) -> T {
    struct Restore(Option<DType>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRODUCTS.set(self.0);
        }
    }
    let _restore = Restore(PRODUCTS.replace(Some(dtype)));
    scope()
}

/// The type that products of `dtype` are computed in here, if it is another one.
pub(crate) fn product_type(dtype: DType) -> Option<DType> {
    PRODUCTS.get().filter(|&wanted| dtype == DType::F32 && wanted != dtype)
}

/// The generator's state for the next random tensor, and that tensor's number.
pub(crate) fn random_state(device: &Device) -> (Tensor, u32) {
    if !active() {
        return (Tensor::from_vec(device.next_words().to_vec(), &[4], device), 0);
    }
    let storage = device.generator().storage();
    with(|trace| {
        let state = trace.state(&storage);
        trace.streams += 1;
        (state, trace.streams - 1)
    })
}

/// Runs `f` on the active trace. Nodes are made inside of `f`, so it must not ask whether a trace is active.
fn with<T>(f: impl FnOnce(&mut Trace) -> T) -> T {
    TRACE.with_borrow_mut(|trace| match trace {
        Some(trace) => f(trace),
        None => crate::shape::fail("program", "no closure is being traced on this thread"),
    })
}
