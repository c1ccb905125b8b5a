//! digits
use anygrad::prelude::*;
use anygrad::unsupervised::*;
static DIGITS: &[u8] = include_bytes!("data/digits.csv.gz");
fn main() -> Exit {
    let options = Options::from_args("digits_clusters")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    let digits = LabelledImages::from_csv("digits.csv.gz", DIGITS, [1, 8, 8], 16)?;
    let pixels: Vec<f32> = digits.pixels.iter().map(|&p| f32::from(p)).collect();
    let x = Tensor::from_vec(pixels, &[digits.len(), 64], &device);
    for seed in 0..20 {
        let begin = std::time::Instant::now();
        let model = KMeans { clusters: 10, seed, ..Default::default() }.fit(&device, &x)?;
        println!("{model} {:?} {}", begin.elapsed(), model.inertia / 1165127.5);
    }
    Ok(())
}
