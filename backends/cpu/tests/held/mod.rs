//! Runs a kernel on the CPU backend and by its meaning (`anygrad_core::interpret`), and compares.
#![allow(dead_code, reason = "each test binary uses a part")]

use anygrad_core::DType;
use anygrad_core::backend::{Backend, Binding, Plan, Slot, Step};
use anygrad_core::interpret::interpret;
use anygrad_core::kernel::{Core, Inst, Kernel, Output, Slice};
use anygrad_core::view::{Layout, View};
use anygrad_cpu::Cpu;
use half::f16;

/// Numbers as stored bytes.
pub(crate) fn store(dtype: DType, values: &[f64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = values
        .iter()
        .flat_map(|&x| match dtype {
            DType::F32 => (x as f32).to_le_bytes().to_vec(),
            DType::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
            DType::F64 => x.to_le_bytes().to_vec(),
            DType::I32 => (x as i32).to_le_bytes().to_vec(),
            DType::U32 | DType::Bool => (x as u32).to_le_bytes().to_vec(),
        })
        .collect();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Stored bytes as numbers.
pub(crate) fn load(dtype: DType, bytes: &[u8], len: usize) -> Vec<f64> {
    let chunks = bytes.chunks_exact(dtype.size()).take(len);
    chunks
        .map(|c| match dtype {
            DType::F32 => f64::from(f32::from_le_bytes([c[0], c[1], c[2], c[3]])),
            DType::F16 => f16::from_le_bytes([c[0], c[1]]).to_f64(),
            DType::F64 => f64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]),
            DType::I32 => f64::from(i32::from_le_bytes([c[0], c[1], c[2], c[3]])),
            DType::U32 | DType::Bool => f64::from(u32::from_le_bytes([c[0], c[1], c[2], c[3]])),
        })
        .collect()
}

/// What outputs hold before a run, so that elements nobody writes are seen.
pub(crate) const CANARY: f64 = 77.0;

/// Runs `kernel` on `cpu`; inputs are rounded to their types.
pub(crate) fn run(cpu: &Cpu, kernel: &Kernel, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let slot =
        |i: usize, slice: Slice| Binding { slot: Slot::External(i), offset: 0, bytes: slice.len * slice.dtype.size() };
    let mut bindings: Vec<Binding> = kernel.inputs.iter().enumerate().map(|(i, &s)| slot(i, s)).collect();
    let mut buffers = Vec::new();
    for (slice, values) in kernel.inputs.iter().zip(inputs) {
        let bytes = store(slice.dtype, values);
        let buffer = cpu.allocate(bytes.len()).expect("memory");
        cpu.write(&buffer, 0, &bytes).expect("write");
        buffers.push(buffer);
    }
    for output in &kernel.outputs {
        let at = output.aliases.unwrap_or(buffers.len());
        bindings.push(slot(at, output.slice));
        if at == buffers.len() {
            let bytes = store(output.slice.dtype, &vec![CANARY; output.slice.len]);
            let buffer = cpu.allocate(bytes.len()).expect("memory");
            cpu.write(&buffer, 0, &bytes).expect("write");
            buffers.push(buffer);
        }
    }
    let step = Step { kernel: kernel.clone(), bindings: bindings.clone(), label: "test".into() };
    let plan = Plan { steps: vec![step], externals: buffers.len(), slabs: vec![] };
    cpu.compile(plan.into()).expect("compiles").run(&buffers).expect("runs");
    let read = |(output, binding): (&Output, &Binding)| {
        let Slot::External(at) = binding.slot else { unreachable!("only externals here") };
        let mut bytes = vec![0; buffers[at].bytes()];
        cpu.read(&buffers[at], 0, &mut bytes).expect("read");
        load(output.slice.dtype, &bytes, output.slice.len)
    };
    kernel.outputs.iter().zip(&bindings[kernel.inputs.len()..]).map(read).collect()
}

/// Holds the backend against the meaning: `|ours - exact| <= tolerance * max(1, |exact|)`; infinities and NaN equal.
pub(crate) fn check(kernel: &Kernel, inputs: &[Vec<f64>], tolerance: f64) {
    kernel.verify().expect("a kernel that verifies");
    let rounded: Vec<Vec<f64>> =
        kernel.inputs.iter().zip(inputs).map(|(s, v)| v.iter().map(|&x| s.dtype.round(x)).collect()).collect();
    let mut exact: Vec<Vec<f64>> =
        kernel.outputs.iter().map(|o| vec![o.slice.dtype.round(CANARY); o.slice.len]).collect();
    interpret(kernel, &rounded, &mut exact);
    let mut bits: Option<Vec<Vec<u64>>> = None;
    for threads in [1, 3] {
        let cpu = Cpu::with_threads(threads).expect("a CPU");
        let ours = run(&cpu, kernel, &rounded);
        for (number, (ours, exact)) in ours.iter().zip(&exact).enumerate() {
            for (i, (&x, &y)) in ours.iter().zip(exact).enumerate() {
                let near = x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= tolerance * y.abs().max(1.0);
                assert!(near, "output {number}, element {i}: {x}, not {y} ({threads} threads)\n{kernel:#?}");
            }
        }
        let now: Vec<Vec<u64>> = ours.iter().map(|v| v.iter().map(|x| x.to_bits()).collect()).collect();
        // Products may be cut differently for other numbers of threads; everything else gives the same bits.
        if !matches!(kernel.core, Core::Matmul(_) | Core::Conv(_)) {
            assert!(bits.as_ref().is_none_or(|bits| *bits == now), "bits depend on threads: {kernel:#?}");
        }
        bits = Some(now);
    }
}

/// Numbers between -2 and 2 that look random but are the same in every run.
pub(crate) fn numbers(n: usize, seed: u32) -> Vec<f64> {
    let word = |i: usize| anygrad_core::scalar::philox([i as u32, 0, 0, 0], [seed, 1])[0];
    (0..n).map(|i| f64::from((f64::from(word(i)) / f64::from(u32::MAX) * 4.0 - 2.0) as f32)).collect()
}

pub(crate) fn slice(dtype: DType, len: usize) -> Slice {
    Slice { dtype, len }
}

pub(crate) fn dense(input: usize, shape: &[usize]) -> Inst {
    Inst::Load { input, layout: Layout::contiguous(shape) }
}

pub(crate) fn output(value: usize, dtype: DType, shape: &[usize]) -> Output {
    let slice = slice(dtype, shape.iter().product());
    Output { value, slice, view: View::contiguous(shape), aliases: None }
}

pub(crate) fn map(
    outer: &[usize],
    inner: &[usize],
    inputs: Vec<Slice>,
    body: Vec<Inst>,
    outputs: Vec<Output>,
) -> Kernel {
    Kernel { core: Core::Map, outer: outer.to_vec(), inner: inner.to_vec(), inputs, body, outputs }
}
