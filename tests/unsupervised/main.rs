//! Unsupervised methods on the CPU and on a GPU: reference figures of the digits, scikit-learn's scores, closed forms, and what
//! wrong input gives.

mod bad_input;
mod cluster;
mod decompose;
mod density;
mod factors;
mod mixture;
mod representation;
mod resume;
mod scores;

use anygrad::data::LabelledImages;
use anygrad::prelude::*;

/// The CPU, and a GPU if there is one.
fn devices() -> Vec<Device> {
    let mut all = vec![Device::cpu()];
    match Device::gpu() {
        Ok(gpu) => all.push(gpu),
        Err(error) if std::env::var_os("ANYGRAD_REQUIRE_GPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("no GPU, its half is skipped: {error}"),
    }
    all
}

/// The 1797 digits: pixels `[1797, 64]` from 0 to 16, and classes.
fn digits(device: &Device) -> (Tensor, Vec<i32>) {
    let bytes = include_bytes!("../../examples/data/digits.csv.gz");
    let images = LabelledImages::from_csv("digits", bytes, [1, 8, 8], 16).expect("embedded");
    let pixels = images.pixels.iter().map(|&p| f32::from(p)).collect();
    let labels = images.labels.iter().map(|&l| i32::from(l)).collect();
    (Tensor::from_vec(pixels, &[images.len(), 64], device), labels)
}
