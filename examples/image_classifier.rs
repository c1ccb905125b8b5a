//! A convolutional network learns MNIST, Fashion-MNIST or any images in their format.
//!
//!     cargo run --release --example image_classifier -- --data path/to/mnist --epochs 1
//!     cargo run --release --example image_classifier -- --data path/to/fashion-mnist --epochs 5 --out fashion.safetensors
//!
//! `--data` names a directory with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
//! `t10k-labels-idx1-ubyte`, each plain or `.gz`. With `--quick` and no data it takes the 8x8 digits.

use anygrad::prelude::*;

const BATCH: usize = 64;
const RATE: f64 = 5e-3;

/// Two convolutions and two linear layers: 105,866 parameters for 28x28 images of 10 classes.
#[derive(Module)]
struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

impl Net {
    fn new([channels, height, width]: [usize; 3], classes: usize, device: &Device) -> Net {
        Net {
            conv1: Conv2d::new(channels, 16, 3, device).padding(1),
            conv2: Conv2d::new(16, 32, 3, device).padding(1),
            hidden: Linear::new(32 * (height / 4) * (width / 4), 64, device),
            head: Linear::new(64, classes, device),
        }
    }

    /// `x`: `[batch, channels, height, width]`; result: scores `[batch, classes]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2);
        let x = self.hidden.forward(&x.flatten(1)).relu();
        self.head.forward(&x)
    }
}

fn data(options: &Options) -> Result<(LabelledImages, LabelledImages)> {
    match &options.data {
        Some(directory) => LabelledImages::open(directory),
        None if options.quick => {
            let digits = include_bytes!("data/digits.csv.gz");
            LabelledImages::from_csv("digits.csv.gz", digits, [1, 8, 8], 16)?.split(0.8, options.seed)
        }
        None => {
            Err(Error::data("option --data", "it is missing: name a directory with the files of MNIST; see --help"))
        }
    }
}

fn main() -> Exit {
    let options = Options::from_args("image_classifier: learn labelled images in the format of MNIST")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let (train, test) = data(&options)?;
    let classes = train.classes().max(test.classes());
    let epochs = options.epochs.unwrap_or(if options.quick { 1 } else { 5 });
    let per_epoch = if options.quick { 30 } else { train.len() / BATCH };
    let steps = epochs * per_epoch;

    let net = Net::new(train.shape, classes, &device);
    let parameters = net.parameters();
    let adam = Adam::new(parameters.clone(), RATE);
    println!("device: {device}; {} images {:?}, {classes} classes", train.len(), train.shape);
    println!("{} parameters, {steps} steps of {BATCH} images", net.parameter_count());

    // One step of training: traced at its first run, then replayed as a whole on the device.
    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let loss = net.forward(&x).cross_entropy(&y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let mut correct =
        Program::inference(&device, |(x, y): (Tensor, Tensor)| -> Tensor { metrics::correct(&net.forward(&x), &y) });

    let progress = Progress::new("train", steps);
    let mut done = 0;
    let mut accuracy = 0.0;
    for epoch in 0..epochs {
        let begin = progress.elapsed();
        for batch in train.shuffled_batches(BATCH, options.seed, epoch, &device).take(per_epoch) {
            adam.set_learning_rate(warmup_cosine(done, 100.min(steps / 10), steps, RATE, 0.0))?;
            let loss = step.run(batch?)?;
            done += 1;
            progress.step();
            // Reading the loss waits for the device, so not every step does.
            if done % 50 == 0 {
                progress.message(format!("loss {:.4}", loss.item()?));
            }
        }
        // All numbers are asked for first and read afterwards: the device is never idle in between.
        let counts = test.batches(500, &device).map(|batch| correct.run(batch?)).collect::<Result<Vec<_>>>()?;
        let right = counts.iter().map(Tensor::item).sum::<Result<f64>>()?;
        accuracy = right / test.len() as f64;
        let seconds = (progress.elapsed() - begin).as_secs_f64();
        progress.line(format!("epoch {}: test accuracy {accuracy:.4} ({seconds:.1} s)", epoch + 1));
    }
    let time = progress.finish();
    println!("{done} steps in {:.1} s", time.as_secs_f64());
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
        println!("weights saved to {}", path.display());
    }
    println!("test accuracy {accuracy:.4}");
    Ok(())
}
