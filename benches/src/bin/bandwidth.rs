//! Operations that only move memory, beside a copy on the same device:
//! `cargo run --release -p anygrad-benches --bin bandwidth -- [--device gpu] [--elements 67108864]`.
//!
//! Bytes are those that must move: each input read once, each result written once. The time is that of the program's kernels,
//! by the device's own clock where it has one (the median of five runs). 80 % of the copy is what a GPU should reach;
//! sizes are far over its caches (268 MB per tensor by default).

use anygrad::prelude::*;

/// Columns of what is normalised or reduced by rows.
const COLUMNS: usize = 1024;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.iter().position(|w| w == name).and_then(|at| words.get(at + 1));
    let device = Device::open(value("--device").map_or("best", String::as_str))?;
    let elements: usize = value("--elements").and_then(|n| n.parse().ok()).unwrap_or(1 << 26);
    let (columns, rows) = (COLUMNS, (elements / COLUMNS).max(1));
    println!("device: {device}; {rows} x {columns} f32");
    let x = Tensor::uniform(&[rows, columns], -1.0, 1.0, &device);
    let y = Tensor::uniform(&[rows, columns], -1.0, 1.0, &device);
    Tensor::realize_all(&[x.clone(), y.clone()])?;
    let bytes = (rows * columns * 4) as f64;
    // A copy that no planner sees through: numbers turned round in sign.
    let copy = rate(&device, "copy", f64::INFINITY, 2.0 * bytes, &x, |x| vec![-x])?;
    let z = y.clone();
    rate(&device, "sum of two", copy, 3.0 * bytes, &x, move |x| vec![x + &z])?;
    rate(&device, "gelu", copy, 2.0 * bytes, &x, |x| vec![x.gelu()])?;
    rate(&device, "softmax", copy, 2.0 * bytes, &x, |x| vec![x.softmax(-1)])?;
    let norm = LayerNorm::new(columns, &device);
    rate(&device, "layer norm", copy, 2.0 * bytes, &x, move |x| vec![norm.forward(x)])?;
    rate(&device, "sum of rows", copy, bytes, &x, |x| vec![x.sum(-1)])?;
    rate(&device, "sum of columns", copy, bytes, &x, |x| vec![x.sum(0)])?;
    // Reads the gradient, reads and writes the parameter and both moments.
    let parameter = Var::new("parameter", &y);
    let adam = Adam::new(vec![parameter.clone()], 1e-3);
    drop(y);
    rate(&device, "Adam", copy, 7.0 * bytes, &x, move |x| {
        adam.update(std::slice::from_ref(x));
        Vec::new()
    })?;
    Ok(())
}

/// Prints and returns the bytes per second of a program over `x` that must move `bytes` bytes.
fn rate(
    device: &Device,
    name: &str,
    copy: f64,
    bytes: f64,
    x: &Tensor,
    f: impl Fn(&Tensor) -> Vec<Tensor> + 'static,
) -> Result<f64> {
    let mut program = Program::training(device, move |x: Tensor| f(&x));
    let profile = program.profile(x)?;
    let rate = bytes / profile.seconds();
    let share = if copy.is_finite() { format!(", {:.0} % of the copy", 100.0 * rate / copy) } else { String::new() };
    println!("{name}: {:.1} GB/s{share} ({} kernels)", rate / 1e9, profile.kernels.len());
    Ok(rate)
}
