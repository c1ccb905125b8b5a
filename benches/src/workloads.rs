//! What every comparison runs, on random data that is already on the device: training steps W1 to W6 (forward, backward and
//! Adam, rate 1e-3), and single heavy operations (`single`). Names and sizes are those of `benches/README.md`.

mod larger;
mod single;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use anygrad::data::Pass;
use anygrad::prelude::*;

/// A training step that can be repeated: returns the loss, unread.
pub type Step = Box<dyn FnMut() -> Result<Tensor>>;

/// So many steps by the trainer; steps per second.
pub type Supervise = Box<dyn FnMut(usize) -> Result<f64>>;

/// One workload.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// `w1`, ...
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Floating-point operations of a step, where a single operation is measured.
    pub operations: Option<f64>,
    /// Builds model, optimizer, data and program.
    pub build: fn(&Device) -> Result<Built>,
}

/// A workload on a device.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Built {
    /// One step.
    pub step: Step,
    /// The plan in words.
    pub explain: Box<dyn FnMut() -> Result<String>>,
    /// The time of each kernel of a step, as a table.
    pub profile: Box<dyn FnMut() -> Result<anygrad::program::Profile>>,
    /// Lets a step use at most so many bytes, and says what it then needs.
    pub restrict: Box<dyn FnMut(u64) -> Result<anygrad::Memory>>,
    /// What one step needs.
    pub memory: anygrad::Memory,
    /// Kernels in one step.
    pub kernels: Vec<String>,
    /// The model's parameters, in the order of the PyTorch model's.
    pub parameters: Vec<Var>,
    /// Inputs and targets.
    pub data: (Tensor, Tensor),
    /// Seconds that the closure took when it was last traced.
    pub traced: Rc<Cell<f64>>,
    /// So many steps by [`Supervised`] on the same data, with all its defaults: steps per second. It takes the parameters over:
    /// after its first call the bare step is another model's.
    pub supervised: Option<Supervise>,
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

    fn read(&self, _: &[u32], _: Pass, _: &Device) -> Result<(Tensor, Tensor)> {
        Ok(self.data.clone())
    }
}

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "w1", operations: None, about: "batch 256, 784-512-256-10, ReLU, cross-entropy", build: w1 },
    Workload {
        name: "w2",
        operations: None,
        about: "batch 64, 1x28x28, two convolutions, two linear layers, cross-entropy",
        build: w2,
    },
    Workload {
        name: "w3",
        operations: None,
        about: "character transformer: batch 16 x 64, width 128, 4 layers",
        build: w3,
    },
    Workload { name: "w4", operations: None, about: "batch 64, 4-64-64-2, tanh, mean squared error", build: w4 },
    Workload {
        name: "w5",
        operations: None,
        about: "ResNet-18 for 3x32x32, batch 64, batch norm",
        build: larger::resnet,
    },
    Workload { name: "w6", operations: None, about: "LSTM, batch 64, 30 steps of 14, hidden 100", build: larger::lstm },
    single::product("m256", 256, single::matmul::<256>),
    single::product("m512", 512, single::matmul::<512>),
    single::product("m1024", 1024, single::matmul::<1024>),
    single::product("m2048", 2048, single::matmul::<2048>),
    single::product("m4096", 4096, single::matmul::<4096>),
    single::product("m8192", 8192, single::matmul::<8192>),
    single::product("m1024-at", 1024, single::left_transposed::<1024>),
    single::product("m1024-bt", 1024, single::right_transposed::<1024>),
    single::product("m1024-f16", 1024, single::half::<1024>),
    single::product("m4096-f16", 4096, single::half::<4096>),
    single::CONVOLUTION,
];

/// What is compared if nothing else is asked for.
pub const USUAL: &str = "w1,w2,w3,w4,w5,w6,m256,m512,m1024,m2048,m1024-at,m1024-bt,c";

/// A training step of a model with Adam.
///
/// # Errors
/// If the device fails.
pub fn train<M: Module + 'static>(
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
    let apply = move |model: &std::sync::Arc<M>, x: &Tensor| forward(model, x);
    let size = x.shape()[0];
    let mut trainer = Supervised::with(trained, apply, loss).batch(size).quiet();
    let supervised = move |steps: usize| {
        let data = Same { data: batch.clone(), rows: size * steps };
        Ok(trainer.fit_alone(&data)?.steps_per_second)
    };
    let traced = Rc::new(Cell::new(f64::NAN));
    let took = traced.clone();
    let program = Program::training(device, move |(x, y): (Tensor, Tensor)| {
        let begin = Instant::now();
        let value = loss(&forward(&model, &x), &y);
        adam.update(&value.gradients(&updated));
        took.set(begin.elapsed().as_secs_f64());
        value
    });
    let built = shared(program, (x, y), parameters, Some)?;
    Ok(Built { supervised: Some(Box::new(supervised)), traced, ..built })
}

/// A program and its data as the closures that a comparison calls; `first` picks what a step returns.
fn shared<R: anygrad::program::Tensors + 'static>(
    program: Program<'static, (Tensor, Tensor), R>,
    data: (Tensor, Tensor),
    parameters: Vec<Var>,
    first: fn(R) -> Option<Tensor>,
) -> Result<Built> {
    let program = Rc::new(RefCell::new(program));
    let memory = program.borrow_mut().memory(&data)?;
    let kernels = program.borrow_mut().kernels(&data)?;
    let each = || (program.clone(), data.clone());
    let (run, explain, restrict, profile) = (each(), each(), each(), each());
    let step = move || {
        let results = run.0.borrow_mut().run(run.1.clone())?;
        first(results).ok_or_else(|| Error::Program("the workload returns nothing".into()))
    };
    Ok(Built {
        step: Box::new(step),
        explain: Box::new(move || explain.0.borrow_mut().explain(&explain.1)),
        profile: Box::new(move || profile.0.borrow_mut().profile(&profile.1)),
        restrict: Box::new(move |bytes| {
            restrict.0.borrow_mut().set_memory_budget(bytes);
            restrict.0.borrow_mut().memory(&restrict.1)
        }),
        memory,
        kernels,
        parameters,
        data,
        traced: Rc::new(Cell::new(f64::NAN)),
        supervised: None,
    })
}

fn labels(count: usize, classes: usize, device: &Device) -> Tensor {
    Tensor::from_vec((0..count).map(|i| ((i * 7919) % classes) as i32).collect(), &[count], device)
}

/// Linear layers with ReLU between.
#[derive(Debug, Module)]
pub struct Mlp(Vec<Linear>);

impl Layer for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.flatten(1);
        for (i, layer) in self.0.iter().enumerate() {
            x = layer.forward(&if i == 0 { x } else { x.relu() });
        }
        x
    }
}

/// Layers of these sizes.
#[must_use]
pub fn mlp(sizes: &[usize], device: &Device) -> Mlp {
    Mlp(sizes.windows(2).map(|w| Linear::new(w[0], w[1], device)).collect())
}

fn w1(device: &Device) -> Result<Built> {
    let (x, y) = (Tensor::randn(&[256, 784], device), labels(256, 10, device));
    train(device, mlp(&[784, 512, 256, 10], device), x, y, |net, x| net.forward(x), Tensor::cross_entropy)
}

/// The model of W2.
#[derive(Debug, Module)]
pub struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    head: Linear,
}

impl Layer for Cnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2);
        self.head.forward(&self.hidden.forward(&x.flatten(1)).relu())
    }
}

/// The model of W2, new.
#[must_use]
pub fn cnn(device: &Device) -> Cnn {
    Cnn {
        conv1: Conv2d::new(1, 32, 3, device).padding(1),
        conv2: Conv2d::new(32, 64, 3, device).padding(1),
        hidden: Linear::new(64 * 7 * 7, 128, device),
        head: Linear::new(128, 10, device),
    }
}

fn w2(device: &Device) -> Result<Built> {
    let (x, y) = (Tensor::randn(&[64, 1, 28, 28], device), labels(64, 10, device));
    train(device, cnn(device), x, y, |net, x| net.forward(x), Tensor::cross_entropy)
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
    train(
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
    train(
        device,
        mlp(&[4, 64, 64, 2], device),
        x,
        y,
        |Mlp(l), x| l[2].forward(&l[1].forward(&l[0].forward(x).tanh()).tanh()),
        Tensor::mse_loss,
    )
}
