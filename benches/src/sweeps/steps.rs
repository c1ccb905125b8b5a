//! The time of a training step (Adam) against sizes: median of five blocks.

use std::time::Instant;

use anygrad::prelude::*;

use super::Sweep;
use crate::measure::{Running, Spread, read};
use crate::workloads::{Built, WORKLOADS, mlp, train};

/// Seconds of a block, and how many there are.
const BLOCK: f64 = 0.1;
const BLOCKS: usize = 5;

/// Seconds per step, and from before the model is built to the end of its first step.
fn step(build: impl FnOnce() -> Result<Built>) -> Result<(f64, f64, usize)> {
    let begin = Instant::now();
    let mut built = build()?;
    read(&(built.step)()?)?;
    let first = begin.elapsed().as_secs_f64();
    let kernels = built.kernels.len();
    let mut running = Running::warm(built, BLOCK)?;
    let rates = (0..BLOCKS).map(|_| running.block(BLOCK)).collect::<Result<Vec<_>>>()?;
    Ok((1.0 / Spread::of(&rates).map_or(f64::NAN, |spread| spread.median), first, kernels))
}

/// A perceptron with tanh and mean squared error, `[rows, sizes[0]] -> [rows, sizes.last()]`.
fn perceptron(device: &Device, rows: usize, sizes: &[usize]) -> Result<Built> {
    let (x, y) = (Tensor::randn(&[rows, sizes[0]], device), Tensor::randn(&[rows, sizes[sizes.len() - 1]], device));
    train(device, mlp(sizes, device), x, y, |net, x| net.forward(x), Tensor::mse_loss)
}

/// `2^from ..= 2^to`.
fn powers(from: u32, to: u32) -> impl Iterator<Item = usize> {
    (from..=to).map(|power| 1 << power)
}

pub(super) fn batch(device: &Device, seconds: f64) -> Result<Sweep> {
    let columns = ["batch", "step, us", "row, us", "GFLOP/s"];
    let mut sweep = Sweep::new("batch", "perceptron 784-512-256-10", &columns);
    sweep.plotted = vec![1, 2];
    let weights = (784 * 512 + 512 * 256 + 256 * 10) as f64;
    for rows in powers(0, 12) {
        let (step, ..) = step(|| perceptron(device, rows, &[784, 512, 256, 10]))?;
        // Forward, and the gradients of weights and inputs (the first layer's inputs have none).
        let operations = 2.0 * rows as f64 * (3.0 * weights - 784.0 * 512.0);
        sweep.rows.push(vec![rows as f64, step * 1e6, step * 1e6 / rows as f64, operations / step / 1e9]);
        if step > seconds {
            break;
        }
    }
    Ok(sweep)
}

pub(super) fn width(device: &Device, seconds: f64) -> Result<Sweep> {
    let columns = ["width", "step, us", "GFLOP/s"];
    let mut sweep = Sweep::new("width", "perceptron of four layers of equal width, batch 64", &columns);
    sweep.plotted = vec![1];
    for width in powers(2, 11) {
        let (step, ..) = step(|| perceptron(device, 64, &[width; 5]))?;
        let operations = 2.0 * 64.0 * (width * width) as f64 * (3.0 * 4.0 - 1.0);
        sweep.rows.push(vec![width as f64, step * 1e6, operations / step / 1e9]);
        if step > seconds {
            break;
        }
    }
    Ok(sweep)
}

pub(super) fn depth(device: &Device, seconds: f64) -> Result<Sweep> {
    let columns = ["layers", "kernels", "step, us", "step per layer, us", "first step after, ms"];
    let mut sweep = Sweep::new("depth", "perceptron of layers 64 x 64, batch 64", &columns);
    sweep.plotted = vec![2, 3];
    for layers in powers(0, 9) {
        let (step, first, kernels) = step(|| perceptron(device, 64, &vec![64; layers + 1]))?;
        sweep.rows.push(vec![layers as f64, kernels as f64, step * 1e6, step * 1e6 / layers as f64, first * 1e3]);
        if step.max(first) > seconds {
            break;
        }
    }
    Ok(sweep)
}

/// A sum of products with so many vectors.
#[derive(Module)]
struct Vectors(Vec<Var>);

pub(super) fn tensors(device: &Device, seconds: f64) -> Result<Sweep> {
    let columns = ["tensors", "kernels", "step, us", "step per tensor, us", "first step after, ms"];
    let about =
        "one million parameters in so many vectors: (x p).tanh() of all of them side by side, mean squared error";
    let mut sweep = Sweep::new("tensors", about, &columns);
    sweep.plotted = vec![2, 3];
    let total = 1 << 20;
    for count in [1, 10, 100, 1_000, 10_000] {
        let (step, first, kernels) = step(|| {
            let size = total / count;
            let vector = |k: usize| Var::new(format!("p{k}"), &Tensor::ones(&[size], device));
            let (x, y) = (Tensor::randn(&[size * count], device), Tensor::randn(&[size * count], device));
            let forward = |net: &Vectors, x: &Tensor| {
                let all: Vec<Tensor> = net.0.iter().map(Var::get).collect();
                (x * Tensor::cat(&all, 0)).tanh()
            };
            train(device, Vectors((0..count).map(vector).collect()), x, y, forward, Tensor::mse_loss)
        })?;
        sweep.rows.push(vec![count as f64, kernels as f64, step * 1e6, step * 1e6 / count as f64, first * 1e3]);
        if step.max(first) > seconds {
            sweep.notes.push(format!("More tensors were left out: the first step came after {first:.1} s."));
            break;
        }
    }
    Ok(sweep)
}

pub(super) fn threads(device: &Device, _: f64) -> Result<Sweep> {
    let columns = ["threads", "w1, us", "w2, us", "w3, us", "w4, us", "w6, us"];
    let mut sweep = Sweep::new("threads", "a step of the workloads", &columns);
    sweep.plotted = vec![1, 2, 3, 4, 5];
    #[cfg(feature = "cpu")]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut counts: Vec<usize> = powers(0, 10).take_while(|&n| n < cores).collect();
        counts.push(cores);
        for threads in counts {
            let device = Device::new(std::sync::Arc::new(anygrad::cpu::Cpu::with_threads(threads)?));
            let mut row = vec![threads as f64];
            for name in ["w1", "w2", "w3", "w4", "w6"] {
                let workload = WORKLOADS.iter().find(|w| w.name == name);
                let Some(workload) = workload else { continue };
                row.push(step(|| (workload.build)(&device))?.0 * 1e6);
            }
            sweep.rows.push(row);
        }
    }
    sweep.notes.push(format!("CPU, whatever the device of the other sweeps ({device})."));
    Ok(sweep)
}
