//! A small convolutional network learns to read 8x8 handwritten digits; the data is inside of the program.
//!
//!     cargo run --release --example quickstart
//!     cargo run --release --example quickstart -- --device gpu --epochs 20
//!
//! Data: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository (1998).

use anygrad::prelude::*;

static DIGITS: &[u8] = include_bytes!("data/digits.csv.gz");
const BATCH: usize = 32;
const RATE: f64 = 3e-3;

#[derive(Module)]
struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        Net {
            conv1: Conv2d::new(1, 16, 3, device).padding(1),
            conv2: Conv2d::new(16, 32, 3, device).padding(1),
            hidden: Linear::new(32 * 4 * 4, 64, device),
            head: Linear::new(64, 10, device),
        }
    }
}

impl Layer for Net {
    /// `x`: `[batch, 1, 8, 8]`; result: scores `[batch, 10]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu();
        let x = self.conv2.forward(&x).relu().max_pool2d(2);
        let x = self.hidden.forward(&x.flatten(1)).relu();
        self.head.forward(&x)
    }
}

fn main() -> Exit {
    let options = Options::with_flags("quickstart: learn to read 8x8 digits", &[CHECKPOINTS])?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    println!("device: {device}");

    let digits = LabelledImages::from_csv("digits.csv.gz", DIGITS, [1, 8, 8], 16)?;
    let (train, test) = digits.split(0.8, options.seed)?;
    let epochs = options.epochs.unwrap_or(if options.quick { 1 } else { 15 });
    let steps = epochs * (train.len() / BATCH);

    let net = Net::new(&device);
    println!("{} parameters", net.parameter_count());
    let report = Supervised::new(&net, Tensor::cross_entropy)
        .optimizer(Adam::new(net.parameters(), RATE))
        .schedule(Rate(|step| warmup_cosine(step as usize, 20, steps, RATE, 0.0)))
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
