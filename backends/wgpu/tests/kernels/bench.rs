//! The workbench: runs one kernel on the device between canaries, and compares it with the interpreter.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::OnceLock;

use anygrad_core::DType;
use anygrad_core::backend::{Backend, Binding, Buffer, Plan, Slot, Step};
use anygrad_core::interpret::interpret;
use anygrad_core::kernel::{Core, Inst, Kernel, Output, Slice};
use anygrad_core::view::{Layout, View};
use anygrad_kernels::Target;
use anygrad_wgpu::Gpu;
use half::f16;

/// The device, or `None` with a printed reason; with ANYGRAD_REQUIRE_GPU=1 its absence is a failure.
pub(crate) fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| match Gpu::open("gpu") {
        Ok(gpu) => {
            eprintln!("testing on {} {:?}", gpu.name(), gpu.info());
            Some(gpu)
        }
        Err(error) => {
            assert!(std::env::var_os("ANYGRAD_REQUIRE_GPU").is_none_or(|v| v == "0"), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    })
    .as_ref()
}

/// A stretch's bytes for values of a type.
pub(crate) fn encode(dtype: DType, values: &[f64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = values
        .iter()
        .flat_map(|&x| match dtype {
            DType::F32 => (x as f32).to_le_bytes().to_vec(),
            DType::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
            DType::F64 => x.to_le_bytes().to_vec(),
            DType::I32 => (x as i32).to_le_bytes().to_vec(),
            DType::U32 => (x as u32).to_le_bytes().to_vec(),
            DType::Bool => u32::from(x != 0.0).to_le_bytes().to_vec(),
        })
        .collect();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks_exact(dtype.size())
        .map(|c| match dtype {
            DType::F32 => f64::from(f32::from_le_bytes(c.try_into().unwrap())),
            DType::F16 => f16::from_le_bytes(c.try_into().unwrap()).to_f64(),
            DType::F64 => f64::from_le_bytes(c.try_into().unwrap()),
            DType::I32 => f64::from(i32::from_le_bytes(c.try_into().unwrap())),
            DType::U32 | DType::Bool => f64::from(u32::from_le_bytes(c.try_into().unwrap())),
        })
        .collect()
}

/// How far a result may be off: `relative` of its size plus `absolute`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

pub(crate) const EXACT: Tolerance = Tolerance { relative: 0.0, absolute: 0.0 };
/// Four units in the last place.
pub(crate) const CLOSE: Tolerance = Tolerance { relative: 4.0 * f32::EPSILON as f64, absolute: 1e-37 };

pub(crate) fn within(relative: f64, absolute: f64) -> Tolerance {
    Tolerance { relative, absolute }
}

/// Runs a kernel on the device for its own target.
pub(crate) fn check(kernel: &Kernel, inputs: &[Vec<f64>], tolerance: Tolerance) {
    if let Some(gpu) = gpu() {
        check_for(gpu, gpu.target(), kernel, inputs, tolerance);
    }
}

/// Targets that force the variants for real GPUs.
pub(crate) fn hardware(gpu: &Gpu) -> Target {
    Target { software: false, ..gpu.target().clone() }
}

/// Runs a kernel on the device for its own target, with the variants of real GPUs, and with those of software drivers whose
/// subgroups exchange nothing.
pub(crate) fn check_all(kernel: &Kernel, inputs: &[Vec<f64>], tolerance: Tolerance) {
    if let Some(gpu) = gpu() {
        check_for(gpu, gpu.target(), kernel, inputs, tolerance);
        if gpu.target().software && gpu.target().broadcasts {
            check_for(gpu, &Target { broadcasts: false, ..gpu.target().clone() }, kernel, inputs, tolerance);
        }
        check_for(gpu, &hardware(gpu), kernel, inputs, tolerance);
    }
}

pub(crate) fn check_for(gpu: &Gpu, target: &Target, kernel: &Kernel, inputs: &[Vec<f64>], tolerance: Tolerance) {
    kernel.verify().unwrap();
    let rounded: Vec<Vec<f64>> =
        kernel.inputs.iter().zip(inputs).map(|(s, v)| v.iter().map(|&x| s.dtype.round(x)).collect()).collect();
    let mut expected: Vec<Vec<f64>> = kernel.outputs.iter().map(|o| vec![SENTINEL; o.slice.len]).collect();
    interpret(kernel, &rounded, &mut expected);
    let (results, text) = run(gpu, target, kernel, inputs);
    for (o, (want, got)) in expected.iter().zip(&results).enumerate() {
        for (i, (&w, &g)) in want.iter().zip(got).enumerate() {
            let fine = if w.is_nan() || w.is_infinite() || g.is_infinite() {
                w == g || (w.is_nan() && g.is_nan())
            } else {
                (w - g).abs() <= tolerance.relative * w.abs() + tolerance.absolute
            };
            assert!(
                fine,
                "output {o}, element {i}: {g:?}, expected {w:?} (off by {:e}); inputs there {:?}\n{text}",
                (w - g).abs(),
                rounded.iter().map(|v| v.get(i)).collect::<Vec<_>>()
            );
        }
    }
}

const SENTINEL: f64 = 77.0;
/// Elements before and after an output that must stay as they are.
const MARGIN: usize = 64;

/// Runs a kernel with every input and output in its own external buffer; checks the canaries around outputs.
pub(crate) fn run(gpu: &Gpu, target: &Target, kernel: &Kernel, inputs: &[Vec<f64>]) -> (Vec<Vec<f64>>, String) {
    let (mut buffers, mut bindings) = (Vec::new(), Vec::new());
    let lead = gpu.limits().alignment.max(MARGIN * 8);
    for (slice, values) in kernel.inputs.iter().zip(inputs) {
        assert!(values.len() >= slice.len);
        let canary = encode(slice.dtype, &vec![SENTINEL; lead / slice.dtype.size()]);
        let bytes = [canary.clone(), encode(slice.dtype, values), canary].concat();
        let buffer = gpu.allocate(bytes.len()).unwrap();
        gpu.write(&buffer, 0, &bytes).unwrap();
        bindings.push(Binding {
            slot: Slot::External(buffers.len()),
            offset: lead,
            bytes: slice.len * slice.dtype.size(),
        });
        buffers.push(buffer);
    }
    for output in &kernel.outputs {
        let Slice { dtype, len } = output.slice;
        if let Some(input) = output.aliases {
            bindings.push(bindings[input]);
            continue;
        }
        let bytes = encode(dtype, &vec![SENTINEL; len + 2 * lead / dtype.size()]);
        let buffer = gpu.allocate(bytes.len()).unwrap();
        gpu.write(&buffer, 0, &bytes).unwrap();
        bindings.push(Binding { slot: Slot::External(buffers.len()), offset: lead, bytes: len * dtype.size() });
        buffers.push(buffer);
    }
    let step = Step { kernel: kernel.clone(), bindings: bindings.clone(), label: "test".to_string() };
    let plan = Plan { steps: vec![step], externals: buffers.len(), slabs: vec![] };
    let program = gpu.compile_for(plan.into(), target).unwrap();
    let text = program.explain(0);
    if let Err(error) = program.run(&buffers) {
        panic!("{error}\n{text}");
    }
    let mut results = Vec::new();
    for (output, binding) in kernel.outputs.iter().zip(&bindings[kernel.inputs.len()..]) {
        let Slot::External(slot) = binding.slot else { unreachable!() };
        let mut bytes = vec![0; buffers[slot].bytes()];
        gpu.read(&buffers[slot], 0, &mut bytes).unwrap();
        let all = decode(output.slice.dtype, &bytes);
        let skip = lead / output.slice.dtype.size();
        let (before, rest) = all.split_at(skip);
        let (values, after) = rest.split_at(output.slice.len);
        let odd = output.slice.dtype == DType::F16 && output.slice.len % 2 == 1;
        let sentinel = output.slice.dtype.round(SENTINEL);
        let after = if odd { &after[..after.len() - 1] } else { after };
        assert!(before.iter().chain(after).all(|&x| x == sentinel), "a canary died\n{text}");
        results.push(values.to_vec());
    }
    (results, text)
}

/// A kernel without a core over `[n]` with one output.
pub(crate) fn map(n: usize, inputs: &[DType], body: Vec<Inst>, result: DType) -> Kernel {
    rows(&[n], &[], inputs.iter().map(|&dtype| Slice { dtype, len: n }).collect(), body, result)
}

/// A kernel without a core; its last register is its only output, contiguous.
pub(crate) fn rows(outer: &[usize], inner: &[usize], inputs: Vec<Slice>, body: Vec<Inst>, result: DType) -> Kernel {
    let mut kernel =
        Kernel { core: Core::Map, outer: outer.to_vec(), inner: inner.to_vec(), inputs, body, outputs: vec![] };
    let value = kernel.body.len() - 1;
    let shape = if kernel.is_inner()[value] { [outer, inner].concat() } else { outer.to_vec() };
    let slice = Slice { dtype: result, len: shape.iter().product() };
    kernel.outputs = vec![Output { value, slice, view: View::contiguous(&shape), aliases: None }];
    kernel
}

/// A contiguous load.
pub(crate) fn load(input: usize, shape: &[usize]) -> Inst {
    Inst::Load { input, layout: Layout::contiguous(shape) }
}

pub(crate) fn f32s(len: usize) -> Slice {
    Slice { dtype: DType::F32, len }
}

/// Numbers between -1 and 1, the same for the same seed. Source of the constants: Numerical Recipes, "ranqd1".
pub(crate) fn noise(n: usize, seed: u32) -> Vec<f64> {
    let mut x = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(((x >> 8) as f32 / (1 << 23) as f32) - 1.0)
        })
        .collect()
}

/// A buffer with f32 values.
pub(crate) fn upload(gpu: &Gpu, values: &[f64]) -> Buffer {
    let bytes = encode(DType::F32, values);
    let buffer = gpu.allocate(bytes.len()).unwrap();
    gpu.write(&buffer, 0, &bytes).unwrap();
    buffer
}

/// A buffer's f32 values.
pub(crate) fn download(gpu: &Gpu, buffer: &Buffer) -> Vec<f64> {
    let mut bytes = vec![0; buffer.bytes()];
    gpu.read(buffer, 0, &mut bytes).unwrap();
    decode(DType::F32, &bytes)
}
