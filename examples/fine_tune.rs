//! Features that PyTorch learned on MNIST, frozen, under a new head that learns another set of digits from few examples.
//!
//!     cargo run --release --example fine_tune
//!     cargo run --release --example fine_tune -- --data weights.safetensors --thaw
//!
//! `--data` names a safetensors file that PyTorch wrote, with `features.0` and `features.2` (convolutions 1 -> 16 -> 32, 3x3); without it
//! one is taken that `examples/data/mnist_features.py` made. Only the head is trained: the convolutions have no moments
//! and no gradients. With `--thaw` they are trained, too, at a tenth of the head's rate; with `--scratch` from random weights.
//! Data: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository (1998).

use std::path::PathBuf;

use anygrad::prelude::*;

const RATE: f64 = 3e-3;
const BATCH: usize = 10;
/// Digits to learn from, of 1,797.
const FEW: f64 = 100.0 / 1797.0;

/// Names and shapes of the PyTorch model, but for the head.
#[derive(Module)]
struct Net {
    features: Sequential,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let features = Sequential::new()
            .add(Conv2d::new(1, 16, 3, device).padding(1))
            .add(Activation::Relu)
            .add(Conv2d::new(16, 32, 3, device).padding(1))
            .add(Activation::Relu);
        Net { features, head: Linear::new(32 * 4 * 4, 10, device) }
    }
}

impl Layer for Net {
    /// `x`: `[batch, 1, 8, 8]`; result: scores `[batch, 10]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.features.forward(x).max_pool2d(2).flatten(1))
    }
}

fn main() -> Exit {
    let flags = [
        CHECKPOINTS,
        ("--thaw", "train the convolutions, too, at a tenth of the rate"),
        ("--scratch", "train all from random weights, to compare"),
    ];
    let options = Options::with_flags("fine_tune: a new head on frozen features of PyTorch", &flags)?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let digits = LabelledImages::from_csv("digits", include_bytes!("data/digits.csv.gz"), [1, 8, 8], 16)?;
    let (train, test) = digits.split(FEW, options.seed)?;
    let epochs = options.epochs.unwrap_or(if options.quick { 5 } else { 30 });
    let steps = epochs * (train.len() / BATCH);

    let net = Net::new(&device);
    println!("device: {device}; {} digits to learn from, {} to test", train.len(), test.len());
    let is_feature = |var: &Var| var.name().starts_with("features.");
    let mut groups = Groups::new(net.parameters());
    if !options.has("--scratch") {
        let own = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist_features.safetensors"));
        let path = options.data.clone().unwrap_or_else(own);
        let loaded = checkpoint::load_partial(&path, &net)?;
        println!("{}: {loaded}", path.display());
        if !loaded.loaded.iter().any(|name| name.starts_with("features.")) {
            return Err(Error::data(path.display().to_string(), "no weights of `features` are in it").into());
        }
        groups = match options.has("--thaw") {
            true => groups.group(is_feature, Group { rate: 0.1, ..Group::default() }),
            false => groups.freeze(is_feature),
        };
    }
    let report = Supervised::new(&net, Tensor::cross_entropy)
        .optimizer(Adam::new(groups, RATE))
        .schedule(Rate(|step| warmup_cosine(step as usize, steps / 10, steps, RATE, 0.0)))
        .metric("accuracy", metrics::accuracy)
        .epochs(epochs)
        .batch(BATCH)
        .seed(options.seed)
        .checkpoints(options.checkpoints.map(Checkpoints::new))
        .fit(&train, &test)?;
    println!("{report}");
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }
    println!("test accuracy {:.4}", report.last("valid.accuracy").unwrap_or(f64::NAN));
    Ok(())
}
