//! A graph with its plan, compiled by a backend: what it needs, and one run of it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{Buffer, Executable, Plan};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{External, Graph, Linear, Places};
use crate::op::Op;
use crate::program::profile;
use crate::schedule::recompute::{SEGMENTS, recompute};
use crate::schedule::{Schedule, schedule};
use crate::tensor::Tensor;

/// A compiled graph.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(super) executable: Arc<dyn Executable>,
    pub(super) plan: Arc<Plan>,
    outputs: Vec<Returned>,
    pub(super) written: Vec<usize>,
    pub(super) memory: Memory,
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

/// A plan before anything is asked of the device.
struct Planned {
    schedule: Schedule,
    memory: Memory,
}

impl Planned {
    fn new(device: &Device, externals: &[External], graph: &Graph, places: &Places, fuse: bool) -> Planned {
        debug_assert_eq!(crate::verify::verify(graph), Ok(()));
        let schedule = schedule(graph, places, device.limits(), fuse);
        #[cfg(debug_assertions)]
        for step in &schedule.plan.steps {
            debug_assert_eq!(step.kernel.verify(), Ok(()), "{step:#?}");
        }
        let mut memory = Memory {
            scratch: schedule.plan.slabs.iter().map(|&b| b as u64).sum(),
            results: schedule.output_bytes.iter().map(|&b| b as u64).sum(),
            ..Memory::default()
        };
        let mut bytes = vec![0; externals.len()];
        for node in &graph.nodes {
            if let Op::Input(k) = node.op {
                bytes[k] = (node.len() * node.dtype.size()) as u64;
            }
        }
        for (external, bytes) in externals.iter().zip(bytes) {
            match external {
                External::Argument(_) => memory.arguments += bytes,
                External::State(_) | External::Data(_) => memory.state += bytes,
            }
        }
        Planned { schedule, memory }
    }

    /// An error if it needs more than `available` bytes, or a single buffer larger than the device has.
    fn check(&self, device: &Device, available: u64, limit: &str) -> Result<()> {
        let memory = &self.memory;
        if memory.peak() > available {
            return Err(Error::Memory {
                what: format!("this program on {} ({memory})", device.name()),
                needed: memory.peak(),
                available,
                limit: limit.into(),
            });
        }
        let largest = self.schedule.plan.slabs.iter().chain(&self.schedule.output_bytes).copied().max();
        let largest = largest.unwrap_or(0) as u64;
        if largest > device.limits().buffer_bytes {
            return Err(Error::Memory {
                what: format!("a value of this program on {}", device.name()),
                needed: largest,
                available: device.limits().buffer_bytes,
                limit: "the device's largest buffer".into(),
            });
        }
        Ok(())
    }

    /// `graph` is the one that was planned, or the one that it computes again parts of: their results are alike.
    fn compile(self, device: &Device, graph: &Graph) -> Result<Compiled> {
        let Planned { schedule, memory } = self;
        let result = |(&node, &bytes): (&usize, &usize)| {
            let n = &graph.nodes[node];
            Returned { shape: n.shape.clone(), dtype: n.dtype, bytes, pool: Mutex::default() }
        };
        let outputs = graph.outputs.iter().zip(&schedule.output_bytes).map(result).collect();
        let plan = Arc::new(schedule.plan);
        let executable = device.backend().compile(plan.clone())?;
        Ok(Compiled { executable, plan, outputs, written: schedule.written, memory })
    }
}

/// How many free buffers are kept per result: what a loop holds on to while the next step runs.
const POOLED: usize = 4;

impl Compiled {
    pub(super) fn new(device: &Device, linear: &Linear, fuse: bool) -> Result<Compiled> {
        let planned = Planned::new(device, &linear.externals, &linear.graph, &linear.places, fuse);
        planned.check(device, device.memory_budget(), "the memory budget")?;
        planned.compile(device, &linear.graph)
    }

    /// A program that needs at most `budget` bytes: values are computed again if keeping all of them takes more.
    pub(super) fn within(device: &Device, linear: &Linear, budget: u64) -> Result<Compiled> {
        let budget = budget.min(device.memory_budget());
        let mut least = Planned::new(device, &linear.externals, &linear.graph, &linear.places, true);
        for segments in SEGMENTS {
            if least.memory.peak() <= budget {
                break;
            }
            let Some((graph, origins)) = recompute(&linear.graph, linear.boundary, segments) else { continue };
            let places: Vec<_> = origins.iter().map(|&n| linear.places[n]).collect();
            let planned = Planned::new(device, &linear.externals, &graph, &places, true);
            if planned.memory.peak() < least.memory.peak() {
                least = planned;
            }
        }
        least.check(device, budget, "the program's memory budget")?;
        least.compile(device, &linear.graph)
    }

    /// Runs so many times with these external buffers; the results get buffers that nobody else holds.
    pub(super) fn run(&self, device: &Device, externals: Vec<Buffer>, times: usize) -> Result<Vec<Buffer>> {
        let mut externals = self.externals(device, externals)?;
        match profile::trace() {
            Some(trace) => (0..times).try_for_each(|_| trace.run(self, &externals))?,
            None => self.executable.run_times(&externals, times)?,
        }
        Ok(externals.split_off(externals.len() - self.outputs.len()))
    }

    /// These external buffers and then one per result, which nobody else holds.
    pub(super) fn externals(&self, device: &Device, mut externals: Vec<Buffer>) -> Result<Vec<Buffer>> {
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
        externals.append(&mut results);
        Ok(externals)
    }

    pub(super) fn tensors(&self, device: &Device, buffers: Vec<Buffer>) -> Vec<Tensor> {
        let tensor = |(output, buffer): (&Returned, Buffer)| {
            Tensor::from_buffer(buffer, output.shape.clone(), output.dtype, device.clone())
        };
        self.outputs.iter().zip(buffers).map(tensor).collect()
    }
}

/// Buffers of a graph's external inputs, arguments from `arguments`.
pub(super) fn bind(externals: &[External], written: &[usize], arguments: &[Tensor]) -> Result<Vec<Buffer>> {
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
