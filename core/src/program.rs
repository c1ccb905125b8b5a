//! [`Program`]: a closure over tensors and variables, traced once per shape, compiled, and replayed with one submission.
//!
//! Tensors read outside of programs are compiled through the same path, with a cache by the graph's structure.
//! Nothing here waits for the device.

mod compiled;
mod profile;

use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::Buffer;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::{External, Graph, linearize, needed};
use crate::hash::Set;
use crate::op::Op;
use crate::shape;
use crate::tensor::Tensor;
pub use crate::tensors::Tensors;
use crate::trace;
use crate::var::{Position, Storage, Var};
pub(crate) use compiled::Compiled;
pub use compiled::Memory;
use compiled::bind;
pub use profile::{Profile, Timed};

/// Computes tensors outside of programs and keeps their numbers.
#[track_caller]
pub(crate) fn realize(tensors: &[Tensor]) -> Result<()> {
    let mut pending: Vec<Tensor> =
        tensors.iter().filter(|t| t.0.data.get().is_none() && !t.is_empty()).cloned().collect();
    pending.sort_by_key(|t| t.0.id);
    pending.dedup_by_key(|t| t.0.id);
    let Some(first) = pending.first() else { return Ok(()) };
    if trace::active() {
        shape::fail("realize", "inside of a program there are no numbers yet; return the tensor and read it outside");
    }
    let device = first.device().clone();
    if let Some(other) = pending.iter().find(|t| *t.device() != device) {
        shape::fail("realize_all", format!("tensors of {} and {} at once", device.name(), other.device().name()));
    }
    for tensor in &pending {
        if let Op::Constant(value) = &tensor.0.op
            && let Some(buffer) = constant(&device, value.0, tensor.dtype(), tensor.len())?
        {
            let _ = tensor.0.data.set(buffer);
        }
    }
    pending.retain(|t| t.0.data.get().is_none());
    if pending.is_empty() {
        return Ok(());
    }
    let linear = linearize(&pending, &[], None);
    let known = lock(device.compiled()).get(&linear.graph).cloned();
    let compiled = match known {
        Some(compiled) => compiled,
        None => {
            let compiled = Arc::new(Compiled::new(&device, &linear, true)?);
            let mut cache = lock(device.compiled());
            if cache.len() >= CACHED {
                cache.clear();
            }
            cache.insert(linear.graph.clone(), compiled.clone());
            compiled
        }
    };
    let buffers = compiled.run(&device, bind(&linear.externals, &[], &[])?, 1)?;
    for (tensor, buffer) in pending.iter().zip(buffers) {
        let _ = tensor.0.data.set(buffer);
    }
    Ok(())
}

/// A buffer of equal numbers without a kernel, which would have to be compiled first: zeros of any length, since fresh memory
/// holds them, and others up to 64 KiB, which are written.
fn constant(device: &Device, value: f64, dtype: DType, len: usize) -> Result<Option<Buffer>> {
    let zero = value == 0.0 && value.is_sign_positive();
    if !zero && len * dtype.size() > 64 << 10 || !device.supports(dtype) {
        return Ok(None);
    }
    let buffer = device.allocate(len * dtype.size())?;
    if !zero {
        let mut bytes = stored(dtype, value, len);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        device.backend().write(&buffer, 0, &bytes)?;
    }
    Ok(Some(buffer))
}

/// So many times one number, as it is stored.
fn stored(dtype: DType, value: f64, len: usize) -> Vec<u8> {
    fn of<T: Element>(value: f64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        T::store(&vec![T::from_f64(value); len], &mut bytes);
        bytes
    }
    match dtype {
        DType::F16 => of::<half::f16>(value, len),
        DType::F32 => of::<f32>(value, len),
        DType::F64 => of::<f64>(value, len),
        DType::I32 => of::<i32>(value, len),
        DType::U32 => of::<u32>(value, len),
        DType::Bool => of::<bool>(value, len),
    }
}

/// How many graphs are kept for tensors outside of programs before the cache starts anew.
const CACHED: usize = 1024;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Computes tensors without keeping their numbers in them; `fuse: false` gives every operation its own kernel. For
/// checking fusion; programs and `realize` always fuse.
///
/// # Errors
/// If the device fails or memory cannot be had.
pub fn compute(tensors: &[Tensor], fuse: bool) -> Result<Vec<Tensor>> {
    let Some(first) = tensors.first() else { return Ok(Vec::new()) };
    let device = first.device().clone();
    let linear = linearize(tensors, &[], None);
    let compiled = Compiled::new(&device, &linear, fuse)?;
    let buffers = compiled.run(&device, bind(&linear.externals, &[], &[])?, 1)?;
    Ok(compiled.tensors(&device, buffers))
}

/// A traced closure: called once per shape of its arguments, then replayed. Variables that it assigns are updated in
/// place, in the same submission as its results.
pub struct Program<'a, A, R> {
    device: Device,
    training: bool,
    closure: Box<dyn FnMut(A) -> R + 'a>,
    traced: Vec<Traced<R>>,
    budget: Option<u64>,
}

/// One traced form of the closure.
struct Traced<R> {
    arguments: Vec<(Vec<usize>, DType)>,
    externals: Vec<External>,
    compiled: Compiled,
    /// The results' structure, with small tensors in it.
    results: R,
    /// The variables that it reads or writes, and where they were; an optimizer may have moved them since.
    variables: Vec<(Var, Position)>,
    /// The generation at which they were last found there.
    generation: u64,
}

impl<'a, A: Tensors, R: Tensors> Program<'a, A, R> {
    /// A program that trains: Dropout drops, BatchNorm uses and updates batch statistics.
    pub fn training(device: &Device, closure: impl FnMut(A) -> R + 'a) -> Program<'a, A, R> {
        Program { device: device.clone(), training: true, closure: Box::new(closure), traced: Vec::new(), budget: None }
    }

    /// A program that does not train.
    pub fn inference(device: &Device, closure: impl FnMut(A) -> R + 'a) -> Program<'a, A, R> {
        Program {
            device: device.clone(),
            training: false,
            closure: Box::new(closure),
            traced: Vec::new(),
            budget: None,
        }
    }

    /// Lets it use at most so many bytes ([`Memory::peak`]): if it would need more, values of the forward part are computed
    /// again for the gradients instead of being kept (activation checkpointing). The numbers are the same but for rounding
    /// (other values may share a kernel). If it cannot be made to fit, running it is an error that says what it needs at least.
    pub fn set_memory_budget(&mut self, bytes: u64) {
        self.budget = Some(bytes);
        self.traced.clear();
    }

    /// Runs once; returns without waiting for the device. New argument shapes are traced and compiled first.
    /// Inside of another program's closure it is traced as part of that.
    ///
    /// # Errors
    /// If memory is over the budget or the device fails.
    ///
    /// # Panics
    /// If an argument lives on another device, or the closure's model code panics.
    #[track_caller]
    pub fn run(&mut self, arguments: A) -> Result<R> {
        self.run_times(1, arguments)
    }

    /// Runs `times` in a row with the same arguments, variables carried along, in one submission (or few, if it is much work);
    /// returns the last run's results.
    ///
    /// # Errors
    /// If memory is over the budget or the device fails.
    ///
    /// # Panics
    /// If `times` is 0, an argument lives on another device, or the closure's model code panics.
    #[track_caller]
    pub fn run_times(&mut self, times: usize, arguments: A) -> Result<R> {
        if times == 0 {
            shape::fail("run_times", "a program must run at least once to have results");
        }
        if trace::active() {
            let mut arguments = Some(arguments);
            let mut last = None;
            for _ in 0..times {
                let copy = arguments.as_ref().map(|a| a.map(&mut Tensor::clone));
                last = copy.map(|a| (self.closure)(a));
            }
            arguments.take();
            return last.ok_or_else(|| Error::Program("no run".into()));
        }
        let list = arguments.list();
        if let Some(other) = list.iter().find(|t| *t.device() != self.device) {
            shape::fail("run", format!("an argument is on {}, the program on {}", other.device(), self.device));
        }
        realize(&list)?;
        let device = self.device.clone();
        let traced = self.traced(&arguments, &list)?;
        let externals = bind(&traced.externals, &traced.compiled.written, &list)?;
        let buffers = traced.compiled.run(&device, externals, times)?;
        let mut tensors = traced.compiled.tensors(&device, buffers).into_iter();
        Ok(traced.results.map(&mut |old| tensors.next().unwrap_or_else(|| old.clone())))
    }

    /// The memory that a run with such arguments needs, without running it.
    ///
    /// # Errors
    /// If memory is over the budget or the device cannot compile it.
    ///
    /// # Panics
    /// If the closure's model code panics.
    #[track_caller]
    pub fn memory(&mut self, arguments: &A) -> Result<Memory> {
        let list = arguments.list();
        Ok(self.traced(arguments, &list)?.compiled.memory)
    }

    /// The kernels of a run with such arguments: one line each, what it computes and where in the code that was asked for.
    ///
    /// # Errors
    /// If memory is over the budget or the device cannot compile it.
    ///
    /// # Panics
    /// If the closure's model code panics.
    #[track_caller]
    pub fn kernels(&mut self, arguments: &A) -> Result<Vec<String>> {
        let list = arguments.list();
        let steps = &self.traced(arguments, &list)?.compiled.plan.steps;
        Ok(steps.iter().map(|step| step.label.clone()).collect())
    }

    /// Runs a few times with these arguments (variables are updated as in any run) and says what each kernel took, of what
    /// the device can do.
    ///
    /// # Errors
    /// If memory is over the budget, the device fails or has no clock for its kernels.
    ///
    /// # Panics
    /// As [`Program::run`].
    #[track_caller]
    pub fn profile(&mut self, arguments: &A) -> Result<Profile> {
        let list = arguments.list();
        realize(&list)?;
        let device = self.device.clone();
        let traced = self.traced(arguments, &list)?;
        let externals = bind(&traced.externals, &traced.compiled.written, &list)?;
        Profile::of(&device, &traced.compiled, &traced.compiled.externals(&device, externals)?)
    }

    /// The plan in words: every kernel, its memory and what the backend says of it (shader text on GPUs).
    ///
    /// # Errors
    /// If memory is over the budget or the device cannot compile it.
    ///
    /// # Panics
    /// If the closure's model code panics.
    #[track_caller]
    pub fn explain(&mut self, arguments: &A) -> Result<String> {
        use std::fmt::Write;
        let list = arguments.list();
        let compiled = &self.traced(arguments, &list)?.compiled;
        let mut text = format!("{} kernels; {}\n", compiled.plan.steps.len(), compiled.memory);
        for (i, step) in compiled.plan.steps.iter().enumerate() {
            let k = &step.kernel;
            let _ = writeln!(text, "{i}: {} over {:?} x {:?}", step.label, k.outer, k.inner);
            for (binding, what) in step.bindings.iter().enumerate().map(|(b, x)| (x, b < k.inputs.len())) {
                let _ = writeln!(text, "    {} {binding:?}", if what { "reads" } else { "writes" });
            }
            let _ = writeln!(text, "{}", compiled.executable.explain(i));
        }
        Ok(text)
    }

    #[track_caller]
    fn traced(&mut self, arguments: &A, list: &[Tensor]) -> Result<&Traced<R>> {
        let generation = crate::var::generation();
        if self.traced.iter().any(|t| t.generation != generation) {
            self.traced.retain(|t| t.variables.iter().all(|(var, position)| var.position() == *position));
            self.traced.iter_mut().for_each(|t| t.generation = generation);
        }
        let same = |t: &Traced<R>| {
            t.arguments.len() == list.len()
                && t.arguments.iter().zip(list).all(|(a, t)| a.0 == t.shape() && a.1 == t.dtype())
        };
        if let Some(found) = self.traced.iter().position(same) {
            return Ok(&self.traced[found]);
        }
        let traced = self.trace(arguments, list)?;
        self.traced.push(traced);
        Ok(&self.traced[self.traced.len() - 1])
    }

    #[track_caller]
    fn trace(&mut self, arguments: &A, list: &[Tensor]) -> Result<Traced<R>> {
        let generation = crate::var::generation();
        let guard = trace::begin(&self.device, self.training);
        let mut number = 0;
        let symbols = arguments.map(&mut |t| {
            number += 1;
            Tensor::node(Op::Argument(number - 1), Vec::new(), t.shape().to_vec(), t.dtype(), self.device.clone())
        });
        let results = (self.closure)(symbols);
        let Some(trace) = trace::finish(guard) else { return Err(Error::Program("the trace was lost".into())) };
        let outputs = results.list();
        realize_captured(&outputs, &trace.assigned, trace.start)?;
        let linear = linearize(&outputs, &trace.assigned, trace.loss);
        let compiled = match self.budget {
            Some(budget) => Compiled::within(&self.device, &linear, budget)?,
            None => Compiled::new(&self.device, &linear, true)?,
        };
        let results = results.map(&mut |_| Tensor::zeros(&[], &self.device));
        let arguments = list.iter().map(|t| (t.shape().to_vec(), t.dtype())).collect();
        let variables = trace.variables.into_values().collect();
        Ok(Traced { arguments, externals: linear.externals, compiled, results, variables, generation })
    }
}

/// Computes, once, tensors that were made before the trace and are used in it.
fn realize_captured(outputs: &[Tensor], assigned: &[(Arc<Storage>, Tensor)], start: u64) -> Result<()> {
    let mut captured = Vec::new();
    let mut pending: Vec<&Tensor> = outputs.iter().chain(assigned.iter().map(|a| &a.1)).collect();
    let mut seen = Set::default();
    while let Some(tensor) = pending.pop() {
        if !seen.insert(tensor.0.id) || tensor.0.data.get().is_some() {
            continue;
        }
        if tensor.0.id < start && !matches!(tensor.0.op, Op::Constant(_) | Op::Iota) {
            captured.push(tensor.clone());
        } else {
            pending.extend(tensor.value_inputs());
        }
    }
    realize(&captured)
}

impl<A, R> std::fmt::Debug for Program<'_, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program(training: {}, {} traced forms on {})", self.training, self.traced.len(), self.device)
    }
}

/// For every float value that `tensors` are computed from, in the order in which they were made: the operation with the line
/// of code that asked for it, and two bools `[2]`, whether it holds an infinity and whether it holds a NaN. Inside of a
/// program's closure it looks at what that computes; return the flags to read them. For finding where a NaN comes from.
pub fn not_finite(tensors: &[Tensor]) -> (Vec<String>, Vec<Tensor>) {
    let worth = |t: &Tensor| t.dtype().is_float() && !t.is_empty() && !matches!(t.0.op, Op::Constant(_) | Op::Iota);
    let flags = |t: &Tensor| {
        let place = t.0.place;
        let label = format!("{} {:?} at {}:{}", t.0.op.name(), t.shape(), place.file(), place.line());
        (label, Tensor::stack(&[t.is_infinite().any(..), t.is_nan().any(..)], 0))
    };
    needed(tensors.iter()).into_iter().filter(|t| worth(t)).map(flags).unzip()
}

/// The graph of some tensors, for tests and tools.
#[must_use]
pub fn graph(tensors: &[Tensor]) -> Graph {
    linearize(tensors, &[], None).graph
}
