//! What the device does per second: matrix products, convolutions, elementwise maps, and the host's cost per dispatch.
//!
//! On software drivers "busy" is the rate if both of two cores were free: it counts the process' CPU time, which other
//! programs disturb less than the wall clock.
//!
//! `cargo run --release -p anygrad-wgpu --example gpu_rates [device]`; ANYGRAD_RATES=small leaves the large sizes out.

use std::time::Instant;

use anygrad_core::DType;
use anygrad_core::backend::{Backend, Binding, Buffer, Plan, Slot, Step};
use anygrad_core::kernel::{
    Conv, ConvGeometry, ConvKind, Core, Inst, Kernel, Matmul, Operand, Output, Reduction, Slice,
};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use anygrad_wgpu::Gpu;

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let gpu = Gpu::open(&std::env::args().nth(1).unwrap_or_else(|| "gpu".to_string()))?;
    println!("{} {:?}", gpu.name(), gpu.info());
    let small = std::env::var("ANYGRAD_RATES").is_ok_and(|v| v == "small");
    for n in [256, 512, 1024] {
        if n == 1024 && small {
            continue;
        }
        for (name, ta, tb) in [("a b", false, false), ("a' b", true, false), ("a b'", false, true)] {
            let seconds = time(&gpu, &[matmul(n, ta, tb, DType::F32)])?;
            println!("matmul {n} {name}: {} GFLOP/s", seconds.rate(2.0 * (n * n * n) as f64));
        }
        if gpu.supports(DType::F16) {
            let seconds = time(&gpu, &[matmul(n, false, false, DType::F16)])?;
            println!("matmul {n} f16: {} GFLOP/s", seconds.rate(2.0 * (n * n * n) as f64));
        }
    }
    // The two convolutions of a small image classifier (28 x 28, batch 64), forward and both gradients.
    for (channels, size) in [([1, 32], 28), ([32, 64], 14)] {
        for kind in [ConvKind::Forward, ConvKind::InputGradient, ConvKind::WeightGradient] {
            let (kernel, flops) = conv(kind, 64, channels, size);
            let seconds = time(&gpu, &[kernel])?;
            println!("conv {kind:?} {channels:?} {size}x{size} batch 64: {} GFLOP/s", seconds.rate(flops));
        }
    }
    let n = if small { 1 << 20 } else { 1 << 24 };
    let seconds = time(&gpu, &[map(n, false)])?;
    println!("add of {n}: {} GB/s", seconds.rate(12.0 * n as f64));
    let seconds = time(&gpu, &[map(n, true)])?;
    println!("gelu-like of {n}: {} GB/s", seconds.rate(12.0 * n as f64));
    for (name, outer, inner, columns) in
        [("rows of 1024", n / 1024, 1024, false), ("columns of 1024", n / 1024, 1024, true), ("whole", 1, n, false)]
    {
        let seconds = time(&gpu, &[sum(outer, inner, columns)])?;
        println!("sum of {name}: {} GB/s", seconds.rate(4.0 * n as f64));
    }
    let tiny = vec![map(64, false); 1000];
    let seconds = submit_only(&gpu, &tiny)?;
    println!("host: {:.2} us per dispatch in a program of 1000", seconds * 1e6 / 1000.0);
    Ok(())
}

/// A plan of kernels, each with buffers of its own, and those buffers.
fn plan(gpu: &Gpu, kernels: &[Kernel]) -> Result<(Plan, Vec<Buffer>), Box<dyn std::error::Error>> {
    let (mut steps, mut buffers) = (Vec::new(), Vec::new());
    for kernel in kernels {
        let mut bindings = Vec::new();
        for slice in kernel.inputs.iter().chain(kernel.outputs.iter().map(|o| &o.slice)) {
            let bytes = slice.len * slice.dtype.size();
            bindings.push(Binding { slot: Slot::External(buffers.len()), offset: 0, bytes });
            buffers.push(gpu.allocate(bytes)?);
        }
        steps.push(Step { kernel: kernel.clone(), bindings, label: "rate".to_string() });
    }
    Ok((Plan { steps, externals: buffers.len(), slabs: vec![] }, buffers))
}

/// Seconds that one run takes.
struct Seconds {
    /// The best of several by the wall clock.
    wall: f64,
    /// CPU time on average, divided by two cores.
    busy: f64,
}

impl Seconds {
    /// A rate in 1e9 per second.
    fn rate(&self, amount: f64) -> String {
        format!("{:.1} (busy {:.1})", amount / self.wall / 1e9, amount / self.busy / 1e9)
    }
}

/// CPU time of this process so far, where Linux tells it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split(' ').filter_map(|f| f.parse().ok()).collect();
    // utime and stime, in hundredths; the state letter before them is no number.
    fields.get(10).unwrap_or(&0.0) / 100.0 + fields.get(11).unwrap_or(&0.0) / 100.0
}

/// Measures runs for a while, after one to compile.
fn time(gpu: &Gpu, kernels: &[Kernel]) -> Result<Seconds, Box<dyn std::error::Error>> {
    let (plan, buffers) = plan(gpu, kernels)?;
    let program = gpu.compile(plan.into())?;
    for _ in 0..2 {
        program.run(&buffers)?;
        gpu.wait()?;
    }
    let (mut best, mut runs, started, cpu) = (f64::INFINITY, 0, Instant::now(), cpu_seconds());
    while started.elapsed().as_secs_f64() < 0.8 {
        let start = Instant::now();
        program.run(&buffers)?;
        gpu.wait()?;
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(Seconds { wall: best, busy: (cpu_seconds() - cpu) / 2.0 / f64::from(runs) })
}

fn submit_only(gpu: &Gpu, kernels: &[Kernel]) -> Result<f64, Box<dyn std::error::Error>> {
    let (plan, buffers) = plan(gpu, kernels)?;
    let program = gpu.compile(plan.into())?;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        program.run(&buffers)?;
        best = best.min(start.elapsed().as_secs_f64());
        gpu.wait()?;
    }
    Ok(best)
}

fn slice(dtype: DType, len: usize) -> Slice {
    Slice { dtype, len }
}

fn kernel(core: Core, outer: &[usize], inner: &[usize], inputs: Vec<Slice>, body: Vec<Inst>) -> Kernel {
    let view = View::contiguous(outer);
    let output = Output { value: body.len() - 1, slice: slice(DType::F32, view.len()), view, aliases: None };
    Kernel { core, outer: outer.to_vec(), inner: inner.to_vec(), inputs, body, outputs: vec![output] }
}

fn matmul(n: usize, ta: bool, tb: bool, dtype: DType) -> Kernel {
    let operand = |input: usize, transposed: bool| {
        let (row_stride, column_stride) = if transposed { (1, n) } else { (n, 1) };
        Operand { input, offset: 0, batch_strides: vec![], row_stride, column_stride }
    };
    let core = Core::Matmul(Matmul { batch: vec![], m: n, n, k: n, a: operand(0, ta), b: operand(1, tb) });
    kernel(core, &[n, n], &[], vec![slice(dtype, n * n); 2], vec![Inst::Core])
}

fn conv(kind: ConvKind, batch: usize, [c_in, c_out]: [usize; 2], size: usize) -> (Kernel, f64) {
    let geometry = ConvGeometry {
        batch,
        c_in,
        c_out,
        groups: 1,
        input: vec![size, size],
        taps: vec![3, 3],
        output: vec![size, size],
        stride: vec![1, 1],
        padding: vec![1, 1],
        dilation: vec![1, 1],
    };
    let (x, w, y) = ([batch, c_in, size, size], [c_out, c_in, 3, 3], [batch, c_out, size, size]);
    let f32s = |shape: [usize; 4]| slice(DType::F32, shape.iter().product());
    let (outer, inputs) = match kind {
        ConvKind::Forward => (y, vec![f32s(x), f32s(w)]),
        ConvKind::InputGradient => (x, vec![f32s(y), f32s(w)]),
        ConvKind::WeightGradient => (w, vec![f32s(x), f32s(y)]),
    };
    let core = Core::Conv(Conv { kind, a: 0, b: 1, geometry });
    let flops = 2.0 * (batch * c_in * c_out * size * size * 9) as f64;
    (kernel(core, &outer, &[], inputs, vec![Inst::Core]), flops)
}

fn map(n: usize, heavy: bool) -> Kernel {
    let load = |input| Inst::Load { input, layout: Layout::contiguous(&[n]) };
    let mut body = vec![load(0), load(1), Inst::Binary(Binary::Add, 0, 1)];
    if heavy {
        body.extend([Inst::Unary(Unary::Erf, 2), Inst::Binary(Binary::Mul, 3, 2)]);
    }
    kernel(Core::Map, &[n], &[], vec![slice(DType::F32, n); 2], body)
}

fn sum(outer: usize, inner: usize, columns: bool) -> Kernel {
    let strides = if columns { vec![1, outer as isize] } else { vec![inner as isize, 1] };
    let layout = Layout::of(View { shape: vec![outer, inner], strides, offset: 0, mask: None });
    let body = vec![Inst::Load { input: 0, layout }, Inst::Reduce(Reduction::Sum, 0)];
    kernel(Core::Map, &[outer], &[inner], vec![slice(DType::F32, outer * inner)], body)
}
