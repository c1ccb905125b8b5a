//! The storage buffers of one shader: which are bound, how they are declared, and the functions that read and write
//! single elements (`input_0(i)`, `four_0(i)`, `store_0(i, x)`), so that the rest of a text does not care about
//! storage types, vector width or updates in place.

use std::fmt::Write;

use anygrad_core::DType;
use anygrad_core::kernel::{Kernel, Slice};

use crate::shader::{Bound, Place, Refusal};
use crate::target::Target;
use crate::words;

/// A kernel and where its inputs and outputs are.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The kernel; its inputs and outputs are numbered as `inputs` and `outputs` here.
    pub(crate) kernel: Kernel,
    /// Place of each input.
    pub(crate) inputs: Vec<Place>,
    /// Place of each output.
    pub(crate) outputs: Vec<Place>,
}

/// One declared buffer.
#[derive(Clone, Debug)]
struct Declared {
    bound: Bound,
    name: String,
    dtype: DType,
    /// Declared as vectors of four.
    wide: bool,
}

/// The buffers of one shader, declared as they are asked for.
#[derive(Debug)]
pub(crate) struct Buffers<'a> {
    job: &'a Job,
    shared: &'a [usize],
    declared: Vec<Declared>,
    /// For inputs and outputs, which declared buffer they are.
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Which inputs are read four at a time, and which one at a time.
    fours: Vec<bool>,
    ones: Vec<bool>,
}

impl<'a> Buffers<'a> {
    /// No buffers yet. Inputs in `shared` lie in a buffer that the same dispatch writes.
    pub(crate) fn new(job: &'a Job, shared: &'a [usize]) -> Buffers<'a> {
        let (inputs, outputs) = (job.kernel.inputs.len(), job.kernel.outputs.len());
        Buffers {
            job,
            shared,
            declared: Vec::new(),
            inputs: vec![None; inputs],
            outputs: vec![None; outputs],
            fours: vec![false; inputs],
            ones: vec![false; inputs],
        }
    }

    fn declare(&mut self, place: Place, dtype: DType, writes: bool) -> usize {
        let number = self.declared.len();
        let name = format!("buffer_{number}");
        self.declared.push(Declared { bound: Bound { place, writes }, name, dtype, wide: false });
        number
    }

    fn bind_input(&mut self, input: usize) {
        if self.inputs[input].is_none() {
            let place = self.job.inputs[input];
            let writes = matches!(place, Place::Input(n) if self.shared.contains(&n));
            let number = self.declare(place, self.job.kernel.inputs[input].dtype, writes);
            self.inputs[input] = Some(number);
        }
    }

    /// The element type of an input.
    pub(crate) fn dtype(&self, input: usize) -> DType {
        self.job.kernel.inputs[input].dtype
    }

    /// Element `at` of an input, as a value.
    pub(crate) fn element(&mut self, input: usize, at: &str) -> String {
        self.bind_input(input);
        self.ones[input] = true;
        format!("input_{input}({at})")
    }

    /// Elements `4 * at .. 4 * at + 4` of an input of floats, as a `vec4<f32>`.
    pub(crate) fn four(&mut self, input: usize, at: &str) -> String {
        self.bind_input(input);
        self.fours[input] = true;
        format!("four_{input}({at})")
    }

    /// A statement that writes `value` as element `at` of an output.
    pub(crate) fn store(&mut self, output: usize, at: &str, value: &str) -> String {
        if self.outputs[output].is_none() {
            let Slice { dtype, .. } = self.job.kernel.outputs[output].slice;
            let number = match self.job.kernel.outputs[output].aliases {
                Some(input) => {
                    self.bind_input(input);
                    self.inputs[input].unwrap_or_default()
                }
                None => self.declare(self.job.outputs[output], dtype, true),
            };
            self.declared[number].bound.writes = true;
            self.outputs[output] = Some(number);
        }
        format!("store_{output}({at}, {value});")
    }

    /// A read-write buffer of raw `scalar`s that is not an input or output of the kernel; returns its name.
    pub(crate) fn raw(&mut self, place: Place, dtype: DType, writes: bool) -> String {
        let number = self.declare(place, dtype, writes);
        self.declared[number].name = format!("raw_{number}");
        self.declared[number].name.clone()
    }

    /// The declarations and access functions, and the list of what to bind.
    pub(crate) fn finish(mut self, target: &Target) -> Result<(String, Vec<Bound>), Refusal> {
        let written: Vec<usize> = self.outputs.iter().flatten().copied().collect();
        for (input, number) in self.inputs.iter().enumerate() {
            if let Some(number) = *number {
                self.declared[number].wide = self.fours[input] && !written.contains(&number);
            }
        }
        if self.declared.len() > target.bindings as usize {
            return Err(Refusal::TooLarge(format!(
                "a kernel sees {} buffers and the device allows {}",
                self.declared.len(),
                target.bindings
            )));
        }
        let words = |dtype: DType| target.words && dtype == DType::F32;
        let mut text = String::new();
        if self.declared.iter().any(|d| d.dtype == DType::F16) {
            text.push_str("enable f16;\n");
        }
        for (number, d) in self.declared.iter().enumerate() {
            if d.dtype == DType::F64 || (d.dtype == DType::F16 && !target.f16) {
                let instead = if d.dtype == DType::F64 { "use the CPU" } else { "use f32 on this device" };
                return Err(Refusal::Unsupported(format!("{} in GPU memory", d.dtype), instead.to_string()));
            }
            let access = if d.bound.writes { "read_write" } else { "read" };
            let scalar = words::stored(d.dtype);
            let element = match d.wide {
                true if words(d.dtype) => "vec2<u64>".to_string(),
                true => format!("vec4<{scalar}>"),
                false => scalar.to_string(),
            };
            let name = &d.name;
            let _ = writeln!(text, "@group(0) @binding({number}) var<storage, {access}> {name}: array<{element}>;");
        }
        for input in 0..self.inputs.len() {
            let Some(number) = self.inputs[input] else { continue };
            let Declared { name, dtype, wide, .. } = &self.declared[number];
            let held = words::held(*dtype);
            if self.ones[input] {
                let raw = match wide {
                    true if words(*dtype) => {
                        format!("bitcast<f32>(u32({name}[i / 4u][i / 2u % 2u] >> (i % 2u * 32u)))")
                    }
                    true => format!("{name}[i / 4u][i % 4u]"),
                    false => format!("{name}[i]"),
                };
                let value = match dtype {
                    DType::F16 => format!("f32({raw})"),
                    DType::Bool => format!("({raw} != 0u)"),
                    _ => raw,
                };
                let _ = writeln!(text, "fn input_{input}(i: u32) -> {held} {{ return {value}; }}");
            }
            if self.fours[input] {
                let value = match (wide, dtype) {
                    (true, dtype) if words(*dtype) => format!("four_floats({name}[i])"),
                    (true, DType::F16) => format!("vec4<f32>({name}[i])"),
                    (true, _) => format!("{name}[i]"),
                    (false, DType::F16) => {
                        let lane = |l: usize| format!("f32({name}[4u * i + {l}u])");
                        format!("vec4<f32>({}, {}, {}, {})", lane(0), lane(1), lane(2), lane(3))
                    }
                    (false, _) => {
                        let lane = |l: usize| format!("{name}[4u * i + {l}u]");
                        format!("vec4<f32>({}, {}, {}, {})", lane(0), lane(1), lane(2), lane(3))
                    }
                };
                let _ = writeln!(text, "fn four_{input}(i: u32) -> vec4<f32> {{ return {value}; }}");
            }
        }
        for output in 0..self.outputs.len() {
            let Some(number) = self.outputs[output] else { continue };
            let Declared { name, dtype, .. } = &self.declared[number];
            let held = words::held(*dtype);
            let value = match dtype {
                DType::F16 => "f16(x)",
                DType::Bool => "select(0u, 1u, x)",
                _ => "x",
            };
            let _ = writeln!(text, "fn store_{output}(i: u32, x: {held}) {{ {name}[i] = {value}; }}");
        }
        Ok((text, self.declared.iter().map(|d| d.bound).collect()))
    }
}
