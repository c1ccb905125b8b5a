//! A convolutional network learns MNIST, Fashion-MNIST or any images in their format.
//!
//!     cargo run --release --example image_classifier -- --data path/to/mnist --epochs 1
//!     cargo run --release --example image_classifier -- --data path/to/fashion-mnist --epochs 5 --out fashion.safetensors
//!
//! `--data` names a directory with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
//! `t10k-labels-idx1-ubyte`, each plain or `.gz`. With `--quick` and no data it takes the 8x8 digits. With
//! `--checkpoints DIR` a run that was ended in any way (Ctrl-C, kill -9, no power) goes on when it is started again.

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
}

impl Layer for Net {
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
    let about = "image_classifier: learn labelled images in the format of MNIST";
    let flags = [
        CHECKPOINTS,
        ("--augment", "shift images at random while training"),
        ("--mixed", "compute products in f16 while training"),
        ("--report", "write curves and confusion matrix to report.html"),
    ];
    let options = Options::with_flags(about, &flags)?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let (mut train, test) = data(&options)?;
    if options.quick {
        let some: Vec<u32> = (0..train.len().min(30 * BATCH) as u32).collect();
        train = train.select(&some)?;
    }
    let classes = train.classes().max(test.classes());
    let epochs = options.epochs.unwrap_or(if options.quick { 1 } else { 5 });
    let steps = epochs * (train.len() / BATCH);

    let net = Net::new(train.shape, classes, &device);
    println!("device: {device}; {} images {:?}, {classes} classes", train.len(), train.shape);
    println!("{} parameters, {steps} steps of {BATCH} images", net.parameter_count());

    let mut trainer = Supervised::new(&net, Tensor::cross_entropy)
        .optimizer(Adam::new(net.parameters(), RATE))
        .schedule(Rate(|step| warmup_cosine(step as usize, 100.min(steps / 10), steps, RATE, 0.0)))
        .metric("accuracy", metrics::accuracy)
        .epochs(epochs)
        .batch(BATCH)
        .seed(options.seed)
        .checkpoints(options.checkpoints.as_ref().map(Checkpoints::new));
    if options.has("--augment") {
        trainer = trainer.augment(|x, y| (augment::random_crop(&x, [x.size(-2), x.size(-1)], 1), y));
    }
    if options.has("--mixed") {
        trainer = trainer.precision(Precision::Mixed(LossScale::default()));
    }
    let html = report::Html::new("report.html");
    if options.has("--report") {
        trainer = trainer.listen(html.clone());
    }
    let report = trainer.fit(&train, &test)?;
    println!("{report}");
    if options.has("--report") {
        let matrix = metrics::Classification::new(classes, &device)?;
        trainer.measure(&test, &matrix)?;
        html.confusion(&[], matrix.confusion()?)?;
        println!("curves and confusion matrix in report.html");
    }
    if let Some(path) = &options.out {
        checkpoint::save(path, &net)?;
        println!("weights saved to {}", path.display());
    }
    println!("test accuracy {:.4}", report.last("valid.accuracy").unwrap_or(f64::NAN));
    Ok(())
}
