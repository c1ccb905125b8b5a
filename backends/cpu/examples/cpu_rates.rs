//! Prints what the backend reaches: GFLOP/s of products and convolutions, GB/s of maps and rows, time per tiny kernel.
//!
//! Each figure is the best of several blocks of runs, because the machines this is measured on are shared.
#![allow(missing_docs, reason = "an example")]

use std::time::Instant;

use anygrad_core::backend::{Backend, Binding, Plan, Slot, Step};
use anygrad_core::dtype::Scalar;
use anygrad_core::kernel::{
    Conv, ConvGeometry, ConvKind, Core, Inst, Kernel, Matmul, Operand, Output, Reduction, Slice,
};
use anygrad_core::scalar::{Binary, Unary};
use anygrad_core::view::{Layout, View};
use anygrad_core::{DType, Result};
use anygrad_cpu::Cpu;

fn slice(len: usize) -> Slice {
    Slice { dtype: DType::F32, len }
}

fn output(value: usize, shape: &[usize]) -> Output {
    Output { value, slice: slice(shape.iter().product()), view: View::contiguous(shape), aliases: None }
}

/// Best microseconds of one run of `repeat` copies of the kernel, per copy.
fn time(cpu: &Cpu, kernel: &Kernel, repeat: usize) -> Result<f64> {
    let slices: Vec<Slice> = kernel.inputs.iter().copied().chain(kernel.outputs.iter().map(|o| o.slice)).collect();
    let buffers = slices.iter().map(|s| cpu.allocate(s.len * 4)).collect::<Result<Vec<_>>>()?;
    for buffer in &buffers[..kernel.inputs.len()] {
        let values: Vec<u8> = (0..buffer.bytes() / 4).flat_map(|i| ((i % 97) as f32 / 97.0).to_le_bytes()).collect();
        cpu.write(buffer, 0, &values)?;
    }
    let bind = |i: usize| {
        let at = (i >= kernel.inputs.len()).then(|| kernel.outputs[i - kernel.inputs.len()].aliases).flatten();
        Binding { slot: Slot::External(at.unwrap_or(i)), offset: 0, bytes: slices[i].len * 4 }
    };
    let bindings: Vec<Binding> = (0..slices.len()).map(bind).collect();
    let step = Step { kernel: kernel.clone(), bindings, label: String::new() };
    let program = cpu.compile(Plan { steps: vec![step; repeat], externals: buffers.len(), slabs: vec![] }.into())?;
    program.run(&buffers)?;
    let mut best = f64::INFINITY;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.15 {
        let begun = Instant::now();
        program.run(&buffers)?;
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / repeat as f64);
    }
    Ok(best)
}

fn map(outer: &[usize], inner: &[usize], inputs: Vec<Slice>, body: Vec<Inst>, outputs: Vec<Output>) -> Kernel {
    Kernel { core: Core::Map, outer: outer.to_vec(), inner: inner.to_vec(), inputs, body, outputs }
}

fn dense(input: usize, shape: &[usize]) -> Inst {
    Inst::Load { input, layout: Layout::contiguous(shape) }
}

fn matmul(m: usize, n: usize, k: usize, swap: [bool; 2]) -> Kernel {
    let side = |input: usize, rows: usize, columns: usize, swapped: bool| Operand {
        input,
        offset: 0,
        batch_strides: vec![],
        row_stride: if swapped { 1 } else { columns },
        column_stride: if swapped { rows } else { 1 },
    };
    let core = Core::Matmul(Matmul { batch: vec![], m, n, k, a: side(0, m, k, swap[0]), b: side(1, k, n, swap[1]) });
    let body = vec![Inst::Core];
    let inputs = vec![slice(m * k), slice(k * n)];
    Kernel { core, outer: vec![m, n], inner: vec![], inputs, body, outputs: vec![output(0, &[m, n])] }
}

fn conv(kind: ConvKind, batch: usize, c_in: usize, c_out: usize, size: usize, groups: usize) -> Kernel {
    let two = |x: usize| vec![x; 2];
    let geometry = ConvGeometry {
        batch,
        c_in,
        c_out,
        groups,
        input: two(size),
        taps: two(3),
        output: two(size),
        stride: two(1),
        padding: two(1),
        dilation: two(1),
    };
    let (x, w) = (vec![batch, c_in, size, size], vec![c_out, c_in / groups, 3, 3]);
    let y = vec![batch, c_out, size, size];
    let (a, b, outer) = match kind {
        ConvKind::Forward => (x, w, y),
        ConvKind::InputGradient => (y, w, x),
        ConvKind::WeightGradient => (x, y, w),
    };
    let core = Core::Conv(Conv { kind, a: 0, b: 1, geometry });
    let inputs = [a, b].map(|s| slice(s.iter().product())).to_vec();
    Kernel { core, outputs: vec![output(0, &outer)], outer, inner: vec![], inputs, body: vec![Inst::Core] }
}

fn softmax(rows: usize, n: usize) -> Kernel {
    let full = [rows, n];
    let body = vec![
        dense(0, &full),
        Inst::Reduce(Reduction::Max, 0),
        Inst::Binary(Binary::Sub, 0, 1),
        Inst::Unary(Unary::Exp, 2),
        Inst::Reduce(Reduction::Sum, 3),
        Inst::Binary(Binary::Div, 3, 4),
    ];
    map(&[rows], &[n], vec![slice(rows * n)], body, vec![output(5, &full)])
}

fn layer_norm(rows: usize, n: usize) -> Kernel {
    let full = [rows, n];
    let constant = |x: f64| Inst::Constant { value: Scalar(f64::from(x as f32)), dtype: DType::F32 };
    let row = |input: usize| Inst::Load { input, layout: Layout::of(View::contiguous(&[1, n]).expand(&full)) };
    let body = vec![
        dense(0, &full),
        Inst::Reduce(Reduction::Sum, 0),
        constant(1.0 / n as f64),
        Inst::Binary(Binary::Mul, 1, 2),
        Inst::Binary(Binary::Sub, 0, 3),
        Inst::Binary(Binary::Mul, 4, 4),
        Inst::Reduce(Reduction::Sum, 5),
        Inst::Binary(Binary::Mul, 6, 2),
        constant(1e-5),
        Inst::Binary(Binary::Add, 7, 8),
        Inst::Unary(Unary::Sqrt, 9),
        Inst::Binary(Binary::Div, 4, 10),
        row(1),
        row(2),
        Inst::Binary(Binary::Mul, 11, 12),
        Inst::Binary(Binary::Add, 14, 13),
    ];
    map(&[rows], &[n], vec![slice(rows * n), slice(n), slice(n)], body, vec![output(15, &full)])
}

/// Parameter, gradient and two moments, three of them updated in place.
fn adam(n: usize) -> Kernel {
    let constant = |x: f64| Inst::Constant { value: Scalar(f64::from(x as f32)), dtype: DType::F32 };
    let mut body: Vec<Inst> = (0..4).map(|i| dense(i, &[n])).collect();
    body.extend([0.9, 0.1, 0.999, 0.001, 1e-3, 1e-8].map(constant));
    body.extend([
        Inst::Binary(Binary::Mul, 2, 4),
        Inst::Binary(Binary::Mul, 1, 5),
        Inst::Binary(Binary::Add, 10, 11),
        Inst::Binary(Binary::Mul, 3, 6),
        Inst::Binary(Binary::Mul, 1, 1),
        Inst::Binary(Binary::Mul, 14, 7),
        Inst::Binary(Binary::Add, 13, 15),
        Inst::Unary(Unary::Sqrt, 16),
        Inst::Binary(Binary::Add, 17, 9),
        Inst::Binary(Binary::Div, 12, 18),
        Inst::Binary(Binary::Mul, 19, 8),
        Inst::Binary(Binary::Sub, 0, 20),
    ]);
    let outputs =
        [(21, 0), (12, 2), (16, 3)].map(|(value, input)| Output { aliases: Some(input), ..output(value, &[n]) });
    map(&[n], &[], vec![slice(n); 4], body, outputs.to_vec())
}

fn main() -> Result<()> {
    let machines = [Cpu::with_threads(1)?, Cpu::new()?];
    let row = |name: &str, unit: &str, amount: f64, kernel: &Kernel, repeat: usize| -> Result<()> {
        print!("{name:34}");
        for cpu in &machines {
            let us = time(cpu, kernel, repeat)?;
            print!(" {:9.1} us {:7.1} {unit}", us, amount / us / 1e3);
        }
        println!();
        Ok(())
    };
    println!("{:34} {:>26} {:>26}", "", "1 thread", format!("{} threads", machines[1].threads()));
    let products = [
        ("W1 fwd1 256x512x784", 256, 512, 784, [false, false]),
        ("W1 dW1 784x512x256, a^T", 784, 512, 256, [true, false]),
        ("W1 fwd2 256x256x512", 256, 256, 512, [false, false]),
        ("W1 dX2 256x512x256, b^T", 256, 512, 256, [false, true]),
        ("W1 fwd3 256x10x256", 256, 10, 256, [false, false]),
        ("W4 64x64x64", 64, 64, 64, [false, false]),
        ("W4 64x64x4", 64, 64, 4, [false, false]),
        ("W4 64x2x64", 64, 2, 64, [false, false]),
        ("W3 projection 1024x128x128", 1024, 128, 128, [false, false]),
        ("W3 qkv 1024x384x128", 1024, 384, 128, [false, false]),
        ("W3 MLP 1024x512x128", 1024, 512, 128, [false, false]),
        ("W3 dW 128x512x1024, a^T", 128, 512, 1024, [true, false]),
        ("W2 conv2 dW 288x64x12544, a^T", 288, 64, 12544, [true, false]),
        ("W2 fc1 64x128x3136", 64, 128, 3136, [false, false]),
        ("M 1024", 1024, 1024, 1024, [false, false]),
        ("M 2048", 2048, 2048, 2048, [false, false]),
    ];
    for (name, m, n, k, swap) in products {
        row(name, "GF/s", 2.0 * (m * n * k) as f64, &matmul(m, n, k, swap), 1)?;
    }
    for (name, batch, c_in, c_out, size) in [
        ("C 64->64 56x56 b16", 16, 64, 64, 56),
        ("W2 conv1 1->32 28x28 b64", 64, 1, 32, 28),
        ("W2 conv2 32->64 14x14 b64", 64, 32, 64, 14),
    ] {
        for kind in [ConvKind::Forward, ConvKind::InputGradient, ConvKind::WeightGradient] {
            let flops = 2.0 * (batch * c_in * c_out * size * size * 9) as f64;
            row(&format!("{name} {kind:?}"), "GF/s", flops, &conv(kind, batch, c_in, c_out, size, 1), 1)?;
        }
    }
    let flops = 2.0 * (16 * 64 * 56 * 56 * 9) as f64;
    row("depthwise 64 56x56 b16", "GF/s", flops, &conv(ConvKind::Forward, 16, 64, 64, 56, 64), 1)?;
    let big = 1 << 22;
    let add = |n: usize, op: Inst| {
        map(&[n], &[], vec![slice(n); 2], vec![dense(0, &[n]), dense(1, &[n]), op], vec![output(2, &[n])])
    };
    row("a + b, 16 MiB each", "GB/s", (big * 12) as f64, &add(big, Inst::Binary(Binary::Add, 0, 1)), 1)?;
    row("adam 1M parameters", "GB/s", (7 << 22) as f64, &adam(1 << 20), 1)?;
    for op in [Unary::Exp, Unary::Tanh, Unary::Erf, Unary::Ln, Unary::Sin] {
        let n = 1 << 16;
        let kernel = add(n, Inst::Unary(op, 0));
        row(&format!("{op:?}, 64 Ki elements"), "G/s", n as f64, &kernel, 1)?;
    }
    for (rows, n) in [(4096, 64), (1024, 128), (1024, 1024), (64, 50_000)] {
        row(&format!("softmax {rows}x{n}"), "GB/s", (rows * n * 8) as f64, &softmax(rows, n), 1)?;
        row(&format!("layer norm {rows}x{n}"), "GB/s", (rows * n * 8) as f64, &layer_norm(rows, n), 1)?;
    }
    let sum = |outer: &[usize], inner: &[usize], layout: Layout, len: usize| {
        let body = vec![Inst::Load { input: 0, layout }, Inst::Reduce(Reduction::Sum, 0)];
        map(outer, inner, vec![slice(len)], body, vec![output(1, outer)])
    };
    row("sum of 4 Mi", "GB/s", (big * 4) as f64, &sum(&[], &[big], Layout::contiguous(&[big]), big), 1)?;
    let columns = Layout::of(View::contiguous(&[8192, 512]).permute(&[1, 0]));
    row("column sums 8192x512", "GB/s", (big * 4) as f64, &sum(&[512], &[8192], columns, big), 1)?;
    let bias = Layout::of(View::contiguous(&[64, 64, 196]).permute(&[1, 0, 2]));
    row(
        "channel sums 64x64x14x14",
        "GB/s",
        (64 * 64 * 196 * 4) as f64,
        &sum(&[64], &[64, 196], bias, 64 * 64 * 196),
        1,
    )?;
    let image = View::contiguous(&[64, 32, 28, 28]);
    let windows = image.windows(2, 2, 2, 1).and_then(|v| v.windows(3, 2, 2, 1)).unwrap_or(image);
    let pool = map(
        &[64, 32, 14, 14],
        &[2, 2],
        vec![slice(64 * 32 * 784)],
        vec![Inst::Load { input: 0, layout: Layout::of(windows) }, Inst::Reduce(Reduction::Max, 0)],
        vec![output(1, &[64, 32, 14, 14])],
    );
    row("max pool 2x2 64x32x28x28", "GB/s", (64.0 * 32.0 * 784.0) * 5.0, &pool, 1)?;
    let transposed = Layout::of(View::contiguous(&[1024, 1024]).permute(&[1, 0]));
    let body = vec![Inst::Load { input: 0, layout: transposed }];
    let transpose = map(&[1024, 1024], &[], vec![slice(1 << 20)], body, vec![output(0, &[1024, 1024])]);
    row("transpose 1024x1024", "GB/s", (8 << 20) as f64, &transpose, 1)?;
    row("tiny: 16 additions", "G/s", 16.0, &add(16, Inst::Binary(Binary::Add, 0, 1)), 100)?;
    row("tiny: tanh of 64x64", "G/s", 4096.0, &add(4096, Inst::Unary(Unary::Tanh, 0)), 100)?;
    row("tiny: softmax 64x2", "G/s", 128.0, &softmax(64, 2), 100)?;
    Ok(())
}
