//! Rates of single operations and of the machinery around a step, by criterion: `cargo bench -p anygrad-benches`, another
//! device by `ANYGRAD_DEVICE`. Throughput is elements of the result, or multiply-adds for products and convolutions.

use std::hint::black_box;

use anygrad::prelude::*;
use anygrad::tensor::conv::ConvOptions;
use anygrad_benches::workloads::WORKLOADS;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};

/// Times one operation as a program, its result's first number read at the end of each run.
fn operation(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: usize,
    inputs: Vec<Tensor>,
    f: impl Fn(&[Tensor]) -> Tensor,
) {
    let device = inputs[0].device().clone();
    let mut program = Program::inference(&device, move |inputs: Vec<Tensor>| {
        let y = f(&inputs);
        let first = y.flatten(0).slice(0, 0..1);
        (y, first)
    });
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| program.run(inputs.clone()).and_then(|(_, first)| first.item()).expect("the program runs"));
    });
}

fn products(criterion: &mut Criterion) {
    let device = Device::best();
    let mut group = criterion.benchmark_group("product");
    for n in [256, 512, 1024] {
        let square = || Tensor::randn(&[n, n], &device);
        operation(&mut group, &format!("a b, {n}"), n * n * n, vec![square(), square()], |t| t[0].matmul(&t[1]));
        operation(&mut group, &format!("aT b, {n}"), n * n * n, vec![square(), square()], |t| t[0].t().matmul(&t[1]));
    }
    let (x, w) = (Tensor::randn(&[16, 64, 56, 56], &device), Tensor::randn(&[64, 64, 3, 3], &device));
    let options = ConvOptions { padding: [(1, 1); 2], ..ConvOptions::default() };
    operation(&mut group, "conv 3x3, 64 -> 64, 56x56, batch 16", 16 * 64 * 64 * 9 * 56 * 56, vec![x, w], move |t| {
        t[0].conv2d(&t[1], &options)
    });
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let device = Device::best();
    let mut group = criterion.benchmark_group("memory");
    let (x, y) = (Tensor::randn(&[4096, 512], &device), Tensor::randn(&[4096, 512], &device));
    let both = || vec![x.clone(), y.clone()];
    operation(&mut group, "add", x.len(), both(), |t| &t[0] + &t[1]);
    operation(&mut group, "gelu", x.len(), both(), |t| t[0].gelu());
    operation(&mut group, "softmax of rows", x.len(), both(), |t| t[0].softmax(-1));
    operation(&mut group, "sum of rows", x.len(), both(), |t| t[0].sum(-1));
    operation(&mut group, "sum of columns", x.len(), both(), |t| t[0].sum(0));
    let norm = LayerNorm::new(512, &device);
    operation(&mut group, "layer norm", x.len(), both(), move |t| norm.forward(&t[0]));
    group.finish();
}

fn machinery(criterion: &mut Criterion) {
    let device = Device::best();
    let mut group = criterion.benchmark_group("machinery");
    for workload in WORKLOADS {
        group.bench_function(format!("build, trace and compile {}", workload.name), |bencher| {
            bencher.iter(|| black_box((workload.build)(&device).expect("it compiles").kernels.len()));
        });
        let mut built = (workload.build)(&device).expect("it compiles");
        group.bench_function(format!("one step of {}", workload.name), |bencher| {
            bencher.iter(|| (built.step)().and_then(|loss| loss.item()).expect("it runs"));
        });
    }
    let image = vec![0.5f32; 64 * 28 * 28];
    group.bench_function("upload a batch of 64 images", |bencher| {
        bencher.iter(|| black_box(Tensor::from_vec(image.clone(), &[64, 1, 28, 28], &device)));
    });
    let layer = Linear::new(1024, 1024, &device);
    let path = std::env::temp_dir().join("anygrad-bench.safetensors");
    group.bench_function("write a checkpoint of 4 MB", |bencher| {
        bencher.iter(|| checkpoint::save(&path, &layer).expect("the directory can be written"));
    });
    group.finish();
}

criterion_group! {
    name = operations;
    config = Criterion::default().sample_size(10);
    targets = products, rows, machinery
}
criterion_main!(operations);
