//! What the supervised trainer costs, in one run, in turns with what it is compared with:
//! `cargo run --release -p anygrad-benches --bin supervised -- [--device cpu] [--blocks 9] [w2 w4 loader saving]`.
//!
//! 1. `w2`, `w4`: its steps against those of the bare program, in percent and microseconds per step, by the clock and by the
//!    time that the calling thread was running (Linux; on a busy machine only this one tells something);
//! 2. `loader`: batches of a data set of MNIST's size that are read from bytes on the host, by the thread that trains and by a worker,
//!    against rows that lie on the device (percent of the latter's steps/s);
//! 3. `saving`: a checkpoint after every epoch, W2: milliseconds each, and percent of an epoch of MNIST.

use std::time::Instant;

use anygrad::prelude::*;
use anygrad_benches::measure::{Running, Spread};
use anygrad_benches::workloads::{Supervise, WORKLOADS, cnn, mlp};

/// Seconds of a block.
const BLOCK: f64 = 0.5;
/// Steps of a block, at least.
const STEPS: f64 = 30.0;
/// Images of MNIST.
const IMAGES: usize = 60_000;

fn main() -> Result<()> {
    let (mut device, mut blocks, mut names) = ("best".to_string(), 9, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--device" => device = value(),
            "--blocks" => blocks = value().parse().unwrap_or(blocks),
            "w2" | "w4" | "loader" | "saving" => names.push(argument),
            other => {
                return Err(Error::data(format!("option {other}"), "there are --device, --blocks and names of parts"));
            }
        }
    }
    let device = Device::open(&device)?;
    println!("device: {device}; medians (least–greatest) of {blocks} pairs\n");
    println!("| what | figure | to reach |\n|---|---|---|");
    let wanted = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    for name in ["w2", "w4"].into_iter().filter(|name| wanted(name)) {
        overhead(name, &device, blocks)?;
    }
    if wanted("loader") {
        loaders("multilayer perceptron, batch 256", 256, mlp(&[784, 512, 256, 10], &device), &device, blocks)?;
        loaders("convolutional network, batch 64", 64, cnn(&device), &device, blocks)?;
    }
    if wanted("saving") {
        checkpoints(&device, blocks)?;
    }
    Ok(())
}

/// Seconds that this thread was running; NaN where that is not told.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).map_or(f64::NAN, |nanoseconds| nanoseconds / 1e9)
}

fn spread(numbers: impl Iterator<Item = f64>) -> String {
    Spread::of(&numbers.collect::<Vec<_>>()).map_or("none".into(), |spread| spread.to_string())
}

/// Steps of the trainer and of the bare program on the same data.
fn overhead(name: &str, device: &Device, blocks: usize) -> Result<()> {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name);
    let workload = workload.ok_or_else(|| Error::data(name, "there is no such workload"))?;
    let missing = || Error::data(name, "it has no trainer");
    let mut train: Supervise = (workload.build)(device)?.supervised.ok_or_else(missing)?;
    train(3)?;
    let mut running = Running::warm((workload.build)(device)?, BLOCK)?;
    let (mut pairs, mut bare) = (Vec::new(), running.block(BLOCK)?);
    for _ in 0..blocks {
        let begin = busy();
        // On a busy machine a block takes longer, so that a run's begin and end are not the steps' cost.
        bare = running.block(BLOCK.max(STEPS / bare))?;
        let middle = busy();
        // The clock of the trainer leaves its first step out.
        let (steps, trained) = (running.steps as f64, train(running.steps + 1)?);
        pairs.push([1.0 / bare, 1.0 / trained, (middle - begin) / steps, (busy() - middle) / (steps + 1.0)]);
    }
    let reach = if name == "w2" { "3 %" } else { "30 us" };
    for (how, at) in [("by the clock", 0), ("running", 2)] {
        let share = spread(pairs.iter().map(|p| (p[at + 1] / p[at] - 1.0) * 100.0));
        let time = spread(pairs.iter().map(|p| (p[at + 1] - p[at]) * 1e6));
        println!("| {name}: trainer over bare program, {how} | {share} %, {time} us per step | <= {reach} |");
    }
    Ok(())
}

/// The same model and number of steps by data sets that are read in different ways.
fn loaders<M: Layer>(what: &str, batch: usize, net: M, device: &Device, blocks: usize) -> Result<()> {
    let mut draws = Draws::new(0, 0);
    let pixels = (0..IMAGES * 784 / 8).flat_map(|_| draws.bits().to_le_bytes()).collect();
    let labels = (0..IMAGES).map(|i| (i % 10) as u8).collect();
    let images = LabelledImages { pixels, shape: [1, 28, 28], brightest: 255, labels };
    let resident = Resident::of(&images, device)?;
    let trainer = |workers: usize| {
        let adam = Adam::new(net.parameters(), 1e-3);
        Supervised::new(&net, Tensor::cross_entropy).optimizer(adam).batch(batch).workers(workers).quiet()
    };
    let mut trainers = [trainer(0), trainer(0), trainer(1)];
    let mut steps = 2;
    let mut rates = Vec::new();
    for _ in 0..blocks + 2 {
        let mut row = [0.0; 3];
        for (kind, trainer) in trainers.iter_mut().enumerate() {
            trainer.config.batches = Some(steps);
            let fit = if kind == 0 { trainer.fit_alone(&resident)? } else { trainer.fit_alone(&images)? };
            row[kind] = fit.steps_per_second;
        }
        // The first rows only tell how many steps a block has.
        steps = ((row[0] * BLOCK).ceil() as usize).clamp(2, IMAGES / batch);
        rates.push(row);
    }
    for (kind, how) in [(1, "no worker"), (2, "one worker")] {
        let share = spread(rates[2..].iter().map(|row| row[kind] / row[0] * 100.0));
        println!("| {what}: from bytes, {how}, over resident | {share} % | >= 95 % |");
    }
    Ok(())
}

/// Short epochs with and without a checkpoint after each; the cost is told as a part of an epoch of MNIST.
fn checkpoints(device: &Device, blocks: usize) -> Result<()> {
    const EPOCHS: usize = 3;
    let directory = std::env::temp_dir().join(format!("anygrad-bench-{}", std::process::id()));
    let net = cnn(device);
    let (x, y) = (Tensor::randn(&[64, 1, 28, 28], device), Tensor::zeros(&[64], device).cast(DType::I32));
    let data = Resident::new(x, y)?;
    let rows = IMAGES / 64;
    let order = || Order::Weighted { weights: vec![1.0; 64], count: Some(64 * 20) };
    let trainer = |saving: Option<Checkpoints>| {
        let adam = Adam::new(net.parameters(), 1e-3);
        let trainer = Supervised::new(&net, Tensor::cross_entropy).optimizer(adam).order(order());
        trainer.epochs(EPOCHS).checkpoints(saving).quiet()
    };
    let mut costs = Vec::new();
    let (mut plain, mut saving) = (trainer(None), trainer(Some(Checkpoints::new(&directory))));
    for block in 0..=blocks {
        let mut seconds = [0.0; 2];
        let mut step = f64::NAN;
        for (trainer, seconds) in [&mut plain, &mut saving].into_iter().zip(&mut seconds) {
            let _ = std::fs::remove_dir_all(&directory);
            let begin = Instant::now();
            step = 1.0 / trainer.fit_alone(&data)?.steps_per_second;
            *seconds = begin.elapsed().as_secs_f64();
        }
        // The first pair also traces and compiles.
        if block > 0 {
            costs.push(((seconds[1] - seconds[0]) / EPOCHS as f64, step));
        }
    }
    let _ = std::fs::remove_dir_all(&directory);
    let each = spread(costs.iter().map(|cost| cost.0 * 1e3));
    let share = spread(costs.iter().map(|cost| cost.0 / (cost.1 * rows as f64) * 100.0));
    println!("| w2: checkpoint after every epoch of MNIST | {each} ms, {share} % of the epoch | <= 1 % |");
    Ok(())
}
