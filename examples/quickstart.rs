//! A small convolutional network learns to read 8x8 handwritten digits; the data is inside of the program.
//!
//!     cargo run --release --example quickstart
//!     cargo run --release --example quickstart -- --device gpu --epochs 20
//!
//! Data: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository (1998).

use anygrad::prelude::*;

static DIGITS: &[u8] = include_bytes!("data/digits.csv.gz");
const BATCH: usize = 32;

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

    /// `x`: `[batch, 1, 8, 8]`; result: scores `[batch, 10]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu();
        let x = self.conv2.forward(&x).relu().max_pool2d(2);
        let x = self.hidden.forward(&x.flatten(1)).relu();
        self.head.forward(&x)
    }
}

fn main() -> Exit {
    let options = Options::from_args("quickstart: learn to read 8x8 digits")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    println!("device: {device}");

    let digits = LabelledImages::from_csv("digits.csv.gz", DIGITS, [1, 8, 8], 16)?;
    let (train, test) = digits.split(0.8, options.seed)?;
    let epochs = options.epochs.unwrap_or(if options.quick { 1 } else { 15 });
    let steps = epochs * (train.len() / BATCH);

    let net = Net::new(&device);
    let parameters = net.parameters();
    let adam = Adam::new(parameters.clone(), 3e-3);

    // One step of training: traced at its first run, then replayed as a whole on the device.
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let loss = net.forward(&x).cross_entropy(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let mut score =
        Program::inference(&device, |(x, y): (Tensor, Tensor)| -> Tensor { metrics::accuracy(&net.forward(&x), &y) });

    let progress = Progress::new("digits", steps);
    let mut done = 0;
    for epoch in 0..epochs {
        let mut loss = None;
        for batch in train.shuffled_batches(BATCH, options.seed, epoch, &device) {
            adam.set_learning_rate(warmup_cosine(done, 20, steps, 3e-3, 0.0))?;
            loss = Some(step.run(batch?)?);
            done += 1;
            progress.step();
        }
        // Nothing waits for the device until a number is read.
        if let Some(loss) = loss {
            progress.line(format!("epoch {}: loss {:.4}", epoch + 1, loss.item()?));
        }
    }
    let time = progress.finish();
    println!("{} parameters, {done} steps in {:.1} s", net.parameter_count(), time.as_secs_f64());
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
    }

    let everything: Vec<u32> = (0..test.len() as u32).collect();
    let accuracy = score.run(test.batch(&everything, &device)?)?;
    println!("test accuracy {:.4}", accuracy.item()?);
    Ok(())
}
