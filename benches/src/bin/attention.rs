//! Attention as one operation against the same composed of products and a softmax, forward and backward, in turns:
//! `cargo run --release -p anygrad-benches --bin attention -- [device]`. The best of many turns counts, for a busy
//! machine only ever adds time.

use std::time::Instant;

use anygrad::prelude::*;

/// Seconds for each size.
const BUDGET: f64 = 4.0;

fn composed(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool) -> Tensor {
    let mut scores = q.matmul(&k.t()) * (1.0 / (q.size(-1) as f64).sqrt());
    if causal {
        let (t, s) = (q.size(-2), k.size(-2));
        let numbers = |n: usize| Tensor::arange(0.0, n as f64, 1.0, q.device());
        let later = numbers(s).gt(numbers(t).reshape([-1, 1]));
        scores = later.select(f64::NEG_INFINITY, &scores);
    }
    scores.softmax(-1).matmul(v)
}

fn main() -> Result<()> {
    let device = Device::open(&std::env::args().nth(1).unwrap_or_else(|| "cpu".to_string()))?;
    println!("device: {device}; milliseconds (best of turns) and MB of the program: one operation, composed");
    // Matrices (batch x heads), time, width of a head, causal, with gradients.
    for (count, time, width, causal, gradients) in [
        (64, 8, 32, true, true),
        (64, 16, 32, true, true),
        (64, 32, 32, true, true),
        (64, 64, 32, true, false),
        (64, 64, 32, true, true),
        (64, 64, 32, false, true),
        (16, 256, 64, true, true),
        (16, 256, 64, false, true),
        (8, 1024, 64, true, false),
        (8, 1024, 64, true, true),
        (8, 1024, 64, false, true),
    ] {
        let inputs: [Tensor; 3] = [(); 3].map(|()| Tensor::randn(&[count, time, width], &device));
        let program = |one: bool| {
            Program::inference(&device, move |x: Vec<Tensor>| {
                let y = match one {
                    true => x[0].scaled_dot_product_attention(&x[1], &x[2], None, causal),
                    false => composed(&x[0], &x[1], &x[2], causal),
                };
                if !gradients {
                    return vec![y];
                }
                let dy = &y * 0.5;
                y.gradients_with(&dy, &[x[0].clone(), x[1].clone(), x[2].clone()])
            })
        };
        let mut programs = [program(true), program(false)];
        let (mut best, mut megabytes) = ([f64::INFINITY; 2], [0.0; 2]);
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < BUDGET {
            for (k, program) in programs.iter_mut().enumerate() {
                megabytes[k] = program.memory(&inputs.to_vec())?.peak() as f64 / 1e6;
                let turn = Instant::now();
                let y = program.run(inputs.to_vec())?;
                y[0].flatten(0).slice(0, 0..1).item()?;
                best[k] = best[k].min(turn.elapsed().as_secs_f64() * 1e3);
            }
        }
        println!(
            "{count:3} x {time:4} x {width}, causal {causal:5}, gradients {gradients:5}: {:7.3} {:7.3} ms, ratio {:.2}; {:6.1} {:6.1} MB",
            best[0],
            best[1],
            best[1] / best[0],
            megabytes[0],
            megabytes[1]
        );
    }
    Ok(())
}
