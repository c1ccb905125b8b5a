//! [`Program`]: a closure over tensors and variables, traced once per shape, compiled, and replayed with one submission.
//!
//! Tensors read outside of programs are compiled through the same path, with a cache by the graph's structure.
//! Nothing here waits for the device.

use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{Buffer, Executable, Plan};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{External, Graph, Linear, linearize};
use crate::op::Op;
use crate::schedule::schedule;
use crate::shape;
use crate::tensor::Tensor;
pub use crate::tensors::Tensors;
use crate::trace;
use crate::var::Storage;

/// A compiled graph.
#[derive(Debug)]
pub(crate) struct Compiled {
    executable: Arc<dyn Executable>,
    plan: Plan,
    outputs: Vec<Returned>,
    written: Vec<usize>,
    memory: Memory,
}

/// Shape, type and reusable buffers of one result.
#[derive(Debug)]
struct Returned {
    shape: Vec<usize>,
    dtype: DType,
    bytes: usize,
    pool: Mutex<Vec<Buffer>>,
}

/// Bytes that a program needs while it runs; the same at every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Intermediate values, planned by their lifetimes.
    pub scratch: u64,
    /// Results of one run.
    pub results: u64,
    /// Arguments of one run.
    pub arguments: u64,
    /// Variables and captured tensors.
    pub state: u64,
}

impl Memory {
    /// All of it.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.scratch + self.results + self.arguments + self.state
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Memory { scratch, results, arguments, state } = self;
        let peak = self.peak();
        write!(
            f,
            "{peak} bytes: {state} of variables, {arguments} of arguments, {scratch} of scratch, {results} of results"
        )
    }
}

/// How many free buffers are kept per result: what a loop holds on to while the next step runs.
const POOLED: usize = 4;

impl Compiled {
    fn new(device: &Device, linear: &Linear, fuse: bool) -> Result<Compiled> {
        let graph = &linear.graph;
        debug_assert_eq!(crate::verify::verify(graph), Ok(()));
        let schedule = schedule(graph, &linear.places, device.limits(), fuse);
        let plan = schedule.plan;
        #[cfg(debug_assertions)]
        for step in &plan.steps {
            debug_assert_eq!(step.kernel.verify(), Ok(()), "{step:#?}");
        }
        let mut memory = Memory {
            scratch: plan.slabs.iter().map(|&b| b as u64).sum(),
            results: schedule.output_bytes.iter().map(|&b| b as u64).sum(),
            ..Memory::default()
        };
        for (k, external) in linear.externals.iter().enumerate() {
            let node = graph.nodes.iter().find(|n| n.op == Op::Input(k));
            let bytes = node.map_or(0, |n| (n.len() * n.dtype.size()) as u64);
            match external {
                External::Argument(_) => memory.arguments += bytes,
                External::State(_) | External::Data(_) => memory.state += bytes,
            }
        }
        let available = device.memory_budget();
        if memory.peak() > available {
            return Err(Error::Memory {
                what: format!("this program on {} ({memory})", device.name()),
                needed: memory.peak(),
                available,
                limit: "the memory budget".into(),
            });
        }
        let largest = plan.slabs.iter().chain(&schedule.output_bytes).copied().max().unwrap_or(0) as u64;
        if largest > device.limits().buffer_bytes {
            return Err(Error::Memory {
                what: format!("a value of this program on {}", device.name()),
                needed: largest,
                available: device.limits().buffer_bytes,
                limit: "the device's largest buffer".into(),
            });
        }
        let result = |(&node, &bytes): (&usize, &usize)| {
            let n = &graph.nodes[node];
            Returned { shape: n.shape.clone(), dtype: n.dtype, bytes, pool: Mutex::default() }
        };
        let outputs = graph.outputs.iter().zip(&schedule.output_bytes).map(result).collect();
        let executable = device.backend().compile(plan.clone())?;
        Ok(Compiled { executable, plan, outputs, written: schedule.written, memory })
    }

    /// Runs with these external buffers; the results get buffers that nobody else holds.
    fn run(&self, device: &Device, mut externals: Vec<Buffer>) -> Result<Vec<Buffer>> {
        let mut results = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let mut pool = output.pool.lock().unwrap_or_else(PoisonError::into_inner);
            let buffer = match pool.iter().find(|b| b.is_unique()) {
                Some(free) => free.clone(),
                None => {
                    let fresh = device.allocate(output.bytes)?;
                    if pool.len() < POOLED {
                        pool.push(fresh.clone());
                    }
                    fresh
                }
            };
            results.push(buffer);
        }
        externals.extend(results.iter().cloned());
        self.executable.run(&externals)?;
        Ok(results)
    }

    fn tensors(&self, device: &Device, buffers: Vec<Buffer>) -> Vec<Tensor> {
        let tensor = |(output, buffer): (&Returned, Buffer)| {
            Tensor::from_buffer(buffer, output.shape.clone(), output.dtype, device.clone())
        };
        self.outputs.iter().zip(buffers).map(tensor).collect()
    }
}

/// Buffers of a graph's external inputs, arguments from `arguments`.
fn bind(externals: &[External], written: &[usize], arguments: &[Tensor]) -> Result<Vec<Buffer>> {
    let realized = |tensor: &Tensor| match tensor.0.data.get() {
        Some(buffer) => Ok(buffer.clone()),
        None => tensor.device().allocate(0),
    };
    let buffer = |(k, external): (usize, &External)| match external {
        External::Argument(i) => realized(&arguments[*i]),
        External::Data(tensor) => realized(tensor),
        External::State(storage) if written.contains(&k) => storage.buffer_for_writing(),
        External::State(storage) => Ok(storage.buffer()),
    };
    externals.iter().enumerate().map(buffer).collect()
}

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
    let linear = linearize(&pending, &[]);
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
    let buffers = compiled.run(&device, bind(&linear.externals, &[], &[])?)?;
    for (tensor, buffer) in pending.iter().zip(buffers) {
        let _ = tensor.0.data.set(buffer);
    }
    Ok(())
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
    let linear = linearize(tensors, &[]);
    let compiled = Compiled::new(&device, &linear, fuse)?;
    let buffers = compiled.run(&device, bind(&linear.externals, &[], &[])?)?;
    Ok(compiled.tensors(&device, buffers))
}

/// A traced closure: called once per shape of its arguments, then replayed. Variables that it assigns are updated in
/// place, in the same submission as its results.
pub struct Program<'a, A, R> {
    device: Device,
    training: bool,
    closure: Box<dyn FnMut(A) -> R + 'a>,
    traced: Vec<Traced<R>>,
}

/// One traced form of the closure.
struct Traced<R> {
    arguments: Vec<(Vec<usize>, DType)>,
    externals: Vec<External>,
    compiled: Compiled,
    /// The results' structure, with small tensors in it.
    results: R,
    /// Where variables were when it was traced; an optimizer may have moved them since.
    generation: u64,
}

impl<'a, A: Tensors, R: Tensors> Program<'a, A, R> {
    /// A program that trains: Dropout drops, BatchNorm uses and updates batch statistics.
    pub fn training(device: &Device, closure: impl FnMut(A) -> R + 'a) -> Program<'a, A, R> {
        Program { device: device.clone(), training: true, closure: Box::new(closure), traced: Vec::new() }
    }

    /// A program that does not train.
    pub fn inference(device: &Device, closure: impl FnMut(A) -> R + 'a) -> Program<'a, A, R> {
        Program { device: device.clone(), training: false, closure: Box::new(closure), traced: Vec::new() }
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

    /// Runs `times` in a row with the same arguments, variables carried along; returns the last run's results.
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
        let mut buffers = Vec::new();
        for _ in 0..times {
            drop(std::mem::take(&mut buffers));
            let externals = bind(&traced.externals, &traced.compiled.written, &list)?;
            buffers = traced.compiled.run(&device, externals)?;
        }
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
        let same = |t: &Traced<R>| {
            t.generation == generation
                && t.arguments.len() == list.len()
                && t.arguments.iter().zip(list).all(|(a, t)| a.0 == t.shape() && a.1 == t.dtype())
        };
        if let Some(found) = self.traced.iter().position(same) {
            return Ok(&self.traced[found]);
        }
        self.traced.retain(|t| t.generation == generation);
        let traced = self.trace(arguments, list)?;
        self.traced.push(traced);
        Ok(&self.traced[self.traced.len() - 1])
    }

    #[track_caller]
    fn trace(&mut self, arguments: &A, list: &[Tensor]) -> Result<Traced<R>> {
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
        let linear = linearize(&outputs, &trace.assigned);
        let compiled = Compiled::new(&self.device, &linear, true)?;
        let results = results.map(&mut |_| Tensor::zeros(&[], &self.device));
        let arguments = list.iter().map(|t| (t.shape().to_vec(), t.dtype())).collect();
        let generation = crate::var::generation();
        Ok(Traced { arguments, externals: linear.externals, compiled, results, generation })
    }
}

/// Computes, once, tensors that were made before the trace and are used in it.
fn realize_captured(outputs: &[Tensor], assigned: &[(Arc<Storage>, Tensor)], start: u64) -> Result<()> {
    let mut captured = Vec::new();
    let mut pending: Vec<&Tensor> = outputs.iter().chain(assigned.iter().map(|a| &a.1)).collect();
    let mut seen = std::collections::HashSet::new();
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
    let mut found = std::collections::BTreeMap::new();
    let mut pending: Vec<Tensor> = tensors.to_vec();
    while let Some(tensor) = pending.pop() {
        if found.contains_key(&tensor.0.id) {
            continue;
        }
        if tensor.0.data.get().is_none() {
            pending.extend_from_slice(tensor.value_inputs());
        }
        found.insert(tensor.0.id, tensor);
    }
    let worth = |t: &&Tensor| t.dtype().is_float() && !t.is_empty() && !matches!(t.0.op, Op::Constant(_) | Op::Iota);
    let flags = |t: &Tensor| {
        let place = t.0.place;
        let label = format!("{} {:?} at {}:{}", t.0.op.name(), t.shape(), place.file(), place.line());
        (label, Tensor::stack(&[t.is_infinite().any(..), t.is_nan().any(..)], 0))
    };
    found.values().filter(worth).map(flags).unzip()
}

/// The graph of some tensors, for tests and tools.
#[must_use]
pub fn graph(tensors: &[Tensor]) -> Graph {
    linearize(tensors, &[]).graph
}
