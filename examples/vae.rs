//! A variational autoencoder draws images that it has never seen.
//!
//!     cargo run --release --example vae -- --data path/to/fashion-mnist --epochs 10 --out fashion.png
//!
//! `--data` names a directory with the four files of MNIST or Fashion-MNIST, plain or `.gz`; without it the embedded 8x8 digits
//! are taken. The picture: eight rows of drawn images, then four rows on straight lines between two images of the test set.

use anygrad::data::Unlabelled;
use anygrad::prelude::*;
use anygrad::unsupervised::{Vae, VaeConfig};

const LATENT: usize = 16;
/// Images in a row of the picture.
const ROW: usize = 12;

type Model = Vae<Sequential, Sequential>;

fn model([channels, height, width]: [usize; 3], device: &Device) -> Result<Model> {
    let (small, pixels) = (height / 4 * (width / 4), channels * height * width);
    let encoder = Sequential::new()
        .add(Conv2d::new(channels, 16, 3, device).padding(1).stride(2))
        .map(Tensor::relu)
        .add(Conv2d::new(16, 32, 3, device).padding(1).stride(2))
        .map(|x| x.relu().flatten(1))
        .add(Linear::new(32 * small, 2 * LATENT, device));
    let decoder = Sequential::new()
        .add(Linear::new(LATENT, 256, device))
        .map(Tensor::relu)
        .add(Linear::new(256, pixels, device))
        .map(move |x| x.reshape([x.size(0), channels, height, width]));
    Vae::new(encoder, decoder, VaeConfig::default())
}

/// Images `[rows x ROW, channels, height, width]` side by side: `[channels, .., ..]`.
fn grid(images: &Tensor) -> Tensor {
    let [count, channels, height, width] = [0, 1, 2, 3].map(|axis| images.size(axis));
    let rows = count / ROW;
    let apart = images.reshape([rows, ROW, channels, height, width]).permute([2, 0, 3, 1, 4]);
    apart.reshape([channels, rows * height, ROW * width])
}

/// Latent numbers on lines from each of `from` to each of `to`: `[rows x ROW, LATENT]`.
fn lines(from: &Tensor, to: &Tensor) -> Tensor {
    let part = (Tensor::arange(0.0, ROW as f64, 1.0, from.device()) * (1.0 / (ROW - 1) as f64)).reshape([1, ROW, 1]);
    let (from, to) = (from.unsqueeze(1), to.unsqueeze(1));
    (&from + (to - &from) * part).reshape([from.size(0) * ROW, LATENT])
}

fn main() -> Exit {
    let options = Options::with_flags("vae: learn to draw images in the format of MNIST", &[CHECKPOINTS])?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    println!("device: {device}");
    let (train, test) = match &options.data {
        Some(directory) => LabelledImages::open(directory)?,
        None => LabelledImages::from_csv("digits.csv.gz", include_bytes!("data/digits.csv.gz"), [1, 8, 8], 16)?
            .split(0.8, options.seed)?,
    };
    let vae = model(train.shape, &device)?;
    println!("{} images {:?}, {} parameters", train.len(), train.shape, vae.parameter_count());
    let epochs = options.epochs.unwrap_or(if options.quick { 2 } else { 20 });
    let adam = Adam::with(vae.parameters(), AdamConfig { lr: 1e-3, ..AdamConfig::default() })?;
    let mut trainer = vae.trainer().epochs(epochs).batch(128).seed(options.seed).optimizer(adam);
    if let Some(directory) = &options.checkpoints {
        trainer = trainer.checkpoints(Checkpoints::new(directory));
    }
    let (train, test) = (Resident::of(&train, &device)?, Resident::of(&test, &device)?);
    let fit = trainer.fit(&Unlabelled(train), &Unlabelled(test.clone()))?;
    if let Some(last) = fit.history.last() {
        for name in ["loss", "reconstruction", "divergence"] {
            println!("test {name} {:.3}", last.get(&format!("valid.{name}")).unwrap_or(f64::NAN));
        }
    }

    let drawn = vae.decode(&Tensor::randn(&[8 * ROW, LATENT], &device));
    let (ends, _) = vae.posterior(&test.inputs().narrow(0, 0, 8));
    let between = vae.decode(&lines(&ends.narrow(0, 0, 4), &ends.narrow(0, 4, 4)));
    let picture = grid(&Tensor::cat(&[drawn, between], 0));
    println!("brightness {:.3} of {:.3}", picture.mean(()).item()?, test.inputs().mean(()).item()?);
    if let Some(path) = &options.out {
        checkpoint::write_whole(path, &report::png(&picture)?)?;
        println!("picture written to {}", path.display());
    }
    Ok(())
}
