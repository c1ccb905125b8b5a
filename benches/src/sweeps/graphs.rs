//! The graph's size from 10 to 100,000 nodes: microseconds per node of tracing (the closure with its gradients), of the schedule
//! (from the graph to the plan of kernels) and of the backend's compilation. Times are the best of some runs, for a busy
//! machine only ever adds.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use anygrad::prelude::*;
use anygrad::program::graph;

use super::Sweep;
use crate::metered::Metered;

/// A traced closure from the number of repetitions: its argument's shape, and what it does to it. It returns what the program
/// does and, apart from it, all that the graph's nodes are counted from.
type Family = fn(&Device, usize) -> (Vec<usize>, Box<dyn Fn(&Tensor) -> Traced>);

/// The tensors whose graph is counted; the first is the program's result.
type Traced = Vec<Tensor>;

/// Nodes that are asked for.
const SIZES: [usize; 9] = [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];

/// Maps in a row, no gradients.
pub(super) fn chain(device: &Device, seconds: f64) -> Result<Sweep> {
    sweep("graph-chain", "maps in a row over 64 numbers", device, seconds, |_, repeats| {
        let run = move |x: &Tensor| {
            let mut x = x.clone();
            for k in 0..repeats {
                x = match k % 4 {
                    0 => &x * 1.01,
                    1 => &x + 0.1,
                    2 => x.tanh(),
                    _ => x.abs(),
                };
            }
            vec![x]
        };
        (vec![64], Box::new(run))
    })
}

/// A perceptron with its gradients and Adam.
pub(super) fn layers(device: &Device, seconds: f64) -> Result<Sweep> {
    let about = "a training step (gradients, Adam) of linear layers 8 x 8 with tanh, batch 8";
    sweep("graph-layers", about, device, seconds, |device, repeats| {
        let net: Vec<Linear> = (0..repeats).map(|_| Linear::new(8, 8, device)).collect();
        let adam = Adam::new(net.parameters(), 1e-3);
        let run = move |x: &Tensor| {
            let y = net.iter().fold(x.clone(), |x, layer| layer.forward(&x).tanh());
            learned(&y, &net.parameters(), &adam)
        };
        (vec![8, 8], Box::new(run))
    })
}

/// One cell, again and again: the weights' gradients are long sums.
pub(super) fn recurrent(device: &Device, seconds: f64) -> Result<Sweep> {
    let about = "a training step (gradients, Adam) of a plain recurrent cell, 8 wide, batch 8, unrolled";
    sweep("graph-recurrent", about, device, seconds, |device, repeats| {
        let cell = Linear::new(8, 8, device);
        let adam = Adam::new(cell.parameters(), 1e-3);
        let run = move |x: &Tensor| {
            let y = (0..repeats).fold(x.clone(), |h, _| (cell.forward(&h) + x).tanh());
            learned(&y, &cell.parameters(), &adam)
        };
        (vec![8, 8], Box::new(run))
    })
}

/// The loss `mean(y^2)` and its gradients, from which Adam learns.
fn learned(y: &Tensor, parameters: &[Var], adam: &Adam) -> Traced {
    let loss = y.square().mean(..);
    let gradients = loss.gradients(parameters);
    adam.update(&gradients);
    [vec![loss], gradients].concat()
}

/// Many sums over one input, each a result of its own that the last one adds up.
pub(super) fn branches(device: &Device, seconds: f64) -> Result<Sweep> {
    sweep("graph-branches", "branches from one input, each summed up, and all added", device, seconds, |_, repeats| {
        let run = move |x: &Tensor| {
            let branch = |k: usize| (x * (1.0 + k as f64)).sin().sum(..);
            let first = branch(0);
            vec![(1..repeats.max(1)).fold(first, |sum, k| sum + branch(k))]
        };
        (vec![64], Box::new(run))
    })
}

/// What one program took.
#[derive(Clone, Copy)]
struct Cost {
    trace: f64,
    schedule: f64,
    compile: f64,
    kernels: u64,
}

fn sweep(name: &'static str, about: &'static str, device: &Device, seconds: f64, family: Family) -> Result<Sweep> {
    let columns =
        ["nodes", "kernels", "trace, us/node", "schedule, us/node", "compile, us/node", "trace + schedule, us/node"];
    let mut sweep = Sweep { plotted: vec![2, 3, 4, 5], unit: "us per node", ..Sweep::new(name, about, &columns) };
    sweep.bound = Some(5.0);
    // How many nodes a repetition has: from two sizes, as the ends have nodes of their own.
    let [few, many] = [4, 20].map(|repeats| nodes(device, family, repeats));
    let (few, many) = (few?, many?);
    let each = ((many - few) as f64 / 16.0).max(1.0);
    let ends = few as f64 - 4.0 * each;
    let mut done = 0;
    for size in SIZES {
        let repeats = (((size as f64 - ends) / each).round() as usize).max(1);
        let count = nodes(device, family, repeats)?;
        if count == done {
            continue;
        }
        done = count;
        let begin = Instant::now();
        let mut best = cost(device, family, repeats)?;
        while begin.elapsed().as_secs_f64() < 0.3 {
            let next = cost(device, family, repeats)?;
            best.trace = best.trace.min(next.trace);
            best.schedule = best.schedule.min(next.schedule);
            best.compile = best.compile.min(next.compile);
        }
        let [trace, schedule, compile] = [best.trace, best.schedule, best.compile].map(|s| s * 1e6 / count as f64);
        sweep.rows.push(vec![count as f64, best.kernels as f64, trace, schedule, compile, trace + schedule]);
        let all = best.trace + best.schedule + best.compile;
        if all > seconds {
            sweep.notes.push(format!("Larger graphs were left out: this one took {all:.1} s."));
            break;
        }
    }
    Ok(sweep)
}

fn nodes(device: &Device, family: Family, repeats: usize) -> Result<usize> {
    let count = Rc::new(Cell::new(0));
    let (shape, run) = family(device, repeats);
    let found = count.clone();
    let mut program = Program::training(device, move |x: Tensor| {
        let traced = run(&x);
        found.set(graph(&traced).nodes.len());
        x
    });
    program.memory(&Tensor::zeros(&shape, device))?;
    Ok(count.get())
}

fn cost(device: &Device, family: Family, repeats: usize) -> Result<Cost> {
    let (device, meter) = Metered::over(device);
    let (shape, run) = family(&device, repeats);
    let x = Tensor::zeros(&shape, &device).realize()?.clone();
    let tracing = Rc::new(Cell::new(0.0));
    let traced = tracing.clone();
    let mut program = Program::training(&device, move |x: Tensor| {
        let begin = Instant::now();
        let result = run(&x).swap_remove(0);
        traced.set(begin.elapsed().as_secs_f64());
        result
    });
    meter.take();
    let begin = Instant::now();
    program.memory(&x)?;
    let all = begin.elapsed().as_secs_f64();
    let (compile, kernels) = meter.take();
    let (trace, compile) = (tracing.get(), compile.as_secs_f64());
    Ok(Cost { trace, schedule: all - trace - compile, compile, kernels })
}
