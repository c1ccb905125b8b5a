//! The workloads W1 to W4 that every comparison runs: forward, backward and Adam (rate 1e-3) on random data that is
//! already on the device. Names and sizes are those of `benches/README.md`.

use anygrad::prelude::*;

/// A training step that can be repeated: returns the loss, unread.
pub type Step = Box<dyn FnMut() -> Result<Tensor>>;

/// One workload.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// `w1`, ...
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Builds model, optimizer, data and program.
    pub build: fn(&Device) -> Result<Built>,
}

/// A workload on a device.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Built {
    /// One training step.
    pub step: Step,
    /// The plan in words.
    pub explain: Box<dyn FnMut() -> Result<String>>,
    /// What one step needs.
    pub memory: anygrad::Memory,
    /// Kernels in one step.
    pub kernels: Vec<String>,
    /// The model's parameters, in the order of the PyTorch model's.
    pub parameters: Vec<Var>,
    /// Inputs and targets.
    pub data: (Tensor, Tensor),
    /// So many steps by [`Supervised`] on the same data, with all its defaults: steps per second.
    pub supervised: Box<dyn FnMut(usize) -> Result<f64>>,
}

/// The same batch again and again, so that nothing is measured but the trainer.
struct Same {
    data: (Tensor, Tensor),
    rows: usize,
}

impl Dataset for Same {
    fn len(&self) -> usize {
        self.rows
    }

    fn batch(&self, _: &[u32], _: &Device) -> Result<(Tensor, Tensor)> {
        Ok(self.data.clone())
    }
}

/// All workloads.
pub const WORKLOADS: [Workload; 4] = [
    Workload { name: "w1", about: "batch 256, 784-512-256-10, ReLU, cross-entropy", build: w1 },
    Workload { name: "w2", about: "batch 64, 1x28x28, two convolutions, two linear layers, cross-entropy", build: w2 },
    Workload { name: "w3", about: "character transformer: batch 16 x 64, width 128, 4 layers", build: w3 },
    Workload { name: "w4", about: "batch 64, 4-64-64-2, tanh, mean squared error", build: w4 },
];

fn built<M: Module + 'static>(
    device: &Device,
    model: M,
    x: Tensor,
    y: Tensor,
    forward: fn(&M, &Tensor) -> Tensor,
    loss: fn(&Tensor, &Tensor) -> Tensor,
) -> Result<Built> {
    let parameters = model.parameters();
    let adam = Adam::new(parameters.clone(), 1e-3);
    let updated = parameters.clone();
    let model = std::sync::Arc::new(model);
    let (trained, batch) = (model.clone(), (x.clone(), y.clone()));
    let supervised = move |steps: usize| {
        let size = batch.0.shape()[0];
        let data = Same { data: batch.clone(), rows: size * steps };
        let apply = |model: &std::sync::Arc<M>, x: &Tensor| forward(model, x);
        let mut trainer = Supervised::with(trained.clone(), apply, loss).batch(size).quiet();
        Ok(trainer.fit_alone(&data)?.steps_per_second)
    };
    let program = Program::training(device, move |(x, y): (Tensor, Tensor)| {
        let value = loss(&forward(&model, &x), &y);
        adam.update(&value.gradients(&updated));
        value
    });
    let program = std::rc::Rc::new(std::cell::RefCell::new(program));
    let data = (x, y);
    let memory = program.borrow_mut().memory(&data)?;
    let kernels = program.borrow_mut().kernels(&data)?;
    let (other, same, again) = (program.clone(), data.clone(), data.clone());
    Ok(Built {
        step: Box::new(move || program.borrow_mut().run(data.clone())),
        explain: Box::new(move || other.borrow_mut().explain(&same)),
        memory,
        kernels,
        parameters,
        data: again,
        supervised: Box::new(supervised),
    })
}

fn labels(count: usize, classes: usize, device: &Device) -> Tensor {
    Tensor::from_vec((0..count).map(|i| ((i * 7919) % classes) as i32).collect(), &[count], device)
}

#[derive(Module)]
struct Mlp(Vec<Linear>);

fn mlp(sizes: &[usize], device: &Device) -> Mlp {
    Mlp(sizes.windows(2).map(|w| Linear::new(w[0], w[1], device)).collect())
}

fn w1(device: &Device) -> Result<Built> {
    let (x, y) = (Tensor::randn(&[256, 784], device), labels(256, 10, device));
    built(
        device,
        mlp(&[784, 512, 256, 10], device),
        x,
        y,
        |Mlp(l), x| l[2].forward(&l[1].forward(&l[0].forward(x).relu()).relu()),
        Tensor::cross_entropy,
    )
}

#[derive(Module)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

fn w2(device: &Device) -> Result<Built> {
    let net = Cnn {
        conv1: Conv2d::new(1, 32, 3, device).padding(1),
        conv2: Conv2d::new(32, 64, 3, device).padding(1),
        hidden: Linear::new(64 * 7 * 7, 128, device),
        head: Linear::new(128, 10, device),
    };
    let (x, y) = (Tensor::randn(&[64, 1, 28, 28], device), labels(64, 10, device));
    built(
        device,
        net,
        x,
        y,
        |net, x| {
            let x = net.conv1.forward(x).relu().max_pool2d(2);
            let x = net.conv2.forward(&x).relu().max_pool2d(2);
            net.head.forward(&net.hidden.forward(&x.flatten(1)).relu())
        },
        Tensor::cross_entropy,
    )
}

#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    attention: MultiHeadAttention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

#[derive(Module)]
struct Transformer {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

fn w3(device: &Device) -> Result<Built> {
    let (batch, time, vocabulary, width) = (16, 64, 96, 128);
    let block = |_| Block {
        norm1: LayerNorm::new(width, device),
        attention: MultiHeadAttention::new(width, 4, device),
        norm2: LayerNorm::new(width, device),
        up: Linear::new(width, 4 * width, device),
        down: Linear::new(4 * width, width, device),
    };
    let net = Transformer {
        tokens: Embedding::new(vocabulary, width, device),
        positions: Embedding::new(time, width, device),
        blocks: (0..4).map(block).collect(),
        norm: LayerNorm::new(width, device),
        head: Linear::new(width, vocabulary, device),
    };
    let x = labels(batch * time, vocabulary, device).reshape([batch as isize, time as isize]);
    let y = labels(batch * time + 1, vocabulary, device).slice(0, 1..);
    built(
        device,
        net,
        x.realize()?.clone(),
        y.realize()?.clone(),
        |net, x| {
            let mut x = net.tokens.forward(x) + net.positions.weight.get();
            for block in &net.blocks {
                x = &x + block.attention.forward(&block.norm1.forward(&x), &Masks::causal());
                x = &x + block.down.forward(&block.up.forward(&block.norm2.forward(&x)).gelu());
            }
            net.head.forward(&net.norm.forward(&x))
        },
        |scores, y| scores.reshape([y.len() as isize, -1]).cross_entropy(y),
    )
}

fn w4(device: &Device) -> Result<Built> {
    let (x, y) = (Tensor::randn(&[64, 4], device), Tensor::randn(&[64, 2], device));
    built(
        device,
        mlp(&[4, 64, 64, 2], device),
        x,
        y,
        |Mlp(l), x| l[2].forward(&l[1].forward(&l[0].forward(x).tanh()).tanh()),
        Tensor::mse_loss,
    )
}
