//! candle on the CPU. Its `LayerNorm` module and `softmax_last_dim` have no gradient, so those are composed here.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, BatchNorm, Conv2d, Conv2dConfig, LSTMConfig, Linear, Module, ModuleT, Optimizer, ParamsAdamW, RNN};
use candle_nn::{VarBuilder, VarMap, loss, ops};

use crate::{RATE, Step, labels};

/// A workload on the CPU.
pub fn build(workload: &str) -> std::result::Result<Step, String> {
    match workload {
        "w1" => w1(),
        "w2" => w2(),
        "w3" => w3(),
        "w4" => w4(),
        "w5" => w5(),
        "w6" => w6(),
        "c" => c(),
        other => match other.strip_prefix('m').map(|size| size.split_once('-').unwrap_or((size, ""))) {
            Some((size, form @ ("" | "at" | "bt"))) if size.parse::<usize>().is_ok() => {
                product(size.parse().unwrap_or(1), form)
            }
            _ => return Err(format!("no workload {other}")),
        },
    }
    .map_err(|error| error.to_string())
}

fn step(variables: Vec<Var>, value: impl Fn() -> Result<Tensor> + 'static) -> Result<Step> {
    let mut adam = AdamW::new(variables, ParamsAdamW { lr: RATE, weight_decay: 0.0, ..ParamsAdamW::default() })?;
    Ok(Box::new(move |read| {
        let mut once = || -> Result<f32> {
            let loss = value()?;
            adam.backward_step(&loss)?;
            if read { loss.to_scalar() } else { Ok(0.0) }
        };
        once().map_err(|error| error.to_string())
    }))
}

/// A step that reads one number of its result if it is asked to.
fn single(run: impl Fn() -> Result<Tensor> + 'static) -> Result<Step> {
    Ok(Box::new(move |read| {
        let once = || -> Result<f32> {
            let y = run()?;
            if read { y.flatten_all()?.get(0)?.to_scalar() } else { Ok(0.0) }
        };
        once().map_err(|error| error.to_string())
    }))
}

/// A product of square matrices.
fn product(n: usize, form: &str) -> Result<Step> {
    let random = || Tensor::randn(0f32, 1.0, (n, n), &Device::Cpu);
    let (a, b) = (random()?, random()?);
    let a = if form == "at" { a.t()? } else { a };
    let b = if form == "bt" { b.t()? } else { b };
    single(move || a.matmul(&b))
}

/// The convolution with both gradients.
fn c() -> Result<Step> {
    let x = Var::randn(0f32, 1.0, (16, 64, 56, 56), &Device::Cpu)?;
    let w = Var::randn(0f32, 1.0, (64, 64, 3, 3), &Device::Cpu)?;
    single(move || {
        let gradients = x.conv2d(w.as_tensor(), 1, 1, 1, 1)?.backward()?;
        let missing = || candle_core::Error::Msg("no gradient".into());
        let _ = gradients.get(&x).ok_or_else(missing)?;
        gradients.get(&w).cloned().ok_or_else(missing)
    })
}

fn start() -> (VarMap, Device) {
    (VarMap::new(), Device::Cpu)
}

fn classes(count: usize, classes: usize) -> Result<Tensor> {
    Tensor::from_vec(labels(count, classes), count, &Device::Cpu)
}

fn mlp(sizes: &[usize], vb: &VarBuilder) -> Result<Vec<Linear>> {
    sizes.windows(2).enumerate().map(|(i, w)| candle_nn::linear(w[0], w[1], vb.pp(i.to_string()))).collect()
}

fn w1() -> Result<Step> {
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let l = mlp(&[784, 512, 256, 10], &vb)?;
    let (x, y) = (Tensor::randn(0f32, 1.0, (256, 784), &device)?, classes(256, 10)?);
    step(map.all_vars(), move || {
        let h = l[1].forward(&l[0].forward(&x)?.relu()?)?.relu()?;
        loss::cross_entropy(&l[2].forward(&h)?, &y)
    })
}

fn w2() -> Result<Step> {
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let conv1: Conv2d = candle_nn::conv2d(1, 32, 3, config, vb.pp("conv1"))?;
    let conv2: Conv2d = candle_nn::conv2d(32, 64, 3, config, vb.pp("conv2"))?;
    let hidden = candle_nn::linear(64 * 7 * 7, 128, vb.pp("hidden"))?;
    let head = candle_nn::linear(128, 10, vb.pp("head"))?;
    let (x, y) = (Tensor::randn(0f32, 1.0, (64, 1, 28, 28), &device)?, classes(64, 10)?);
    step(map.all_vars(), move || {
        let x = conv1.forward(&x)?.relu()?.max_pool2d(2)?;
        let x = conv2.forward(&x)?.relu()?.max_pool2d(2)?;
        let h = hidden.forward(&x.flatten_from(1)?)?.relu()?;
        loss::cross_entropy(&head.forward(&h)?, &y)
    })
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(width: usize, vb: VarBuilder) -> Result<Norm> {
        let weight = vb.get_with_hints(width, "weight", candle_nn::Init::Const(1.0))?;
        Ok(Norm { weight, bias: vb.get_with_hints(width, "bias", candle_nn::Init::Const(0.0))? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm_slow(x, &self.weight, &self.bias, 1e-5)
    }
}

struct Block {
    norm1: Norm,
    qkv: Linear,
    out: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
}

fn w3() -> Result<Step> {
    let (batch, time, vocabulary, width, heads) = (16, 64, 96, 128, 4);
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let tokens = candle_nn::embedding(vocabulary, width, vb.pp("tokens"))?;
    let positions = candle_nn::embedding(time, width, vb.pp("positions"))?;
    let block = |i: usize| -> Result<Block> {
        let vb = vb.pp(format!("blocks.{i}"));
        Ok(Block {
            norm1: Norm::new(width, vb.pp("norm1"))?,
            qkv: candle_nn::linear(width, 3 * width, vb.pp("qkv"))?,
            out: candle_nn::linear(width, width, vb.pp("out"))?,
            norm2: Norm::new(width, vb.pp("norm2"))?,
            up: candle_nn::linear(width, 4 * width, vb.pp("up"))?,
            down: candle_nn::linear(4 * width, width, vb.pp("down"))?,
        })
    };
    let blocks = (0..4).map(block).collect::<Result<Vec<_>>>()?;
    let norm = Norm::new(width, vb.pp("norm"))?;
    let head = candle_nn::linear(width, vocabulary, vb.pp("head"))?;
    let x = classes(batch * time, vocabulary)?.reshape((batch, time))?;
    let y = classes(batch * time + 1, vocabulary)?.narrow(0, 1, batch * time)?.contiguous()?;
    let hidden: Vec<f32> =
        (0..time * time).map(|i| if i % time > i / time { f32::NEG_INFINITY } else { 0.0 }).collect();
    let mask = Tensor::from_vec(hidden, (1, 1, time, time), &device)?;
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    step(map.all_vars(), move || {
        let mut x = tokens.forward(&x)?.broadcast_add(positions.embeddings())?;
        for block in &blocks {
            let qkv = block.qkv.forward(&block.norm1.forward(&x)?)?;
            let qkv = qkv.reshape((batch, time, 3, heads, width / heads))?.permute((2, 0, 3, 1, 4))?;
            let part = |i: usize| qkv.get(i)?.contiguous();
            let scores = (part(0)?.matmul(&part(1)?.t()?)? * scale)?.broadcast_add(&mask)?;
            let seen = ops::softmax(&scores, D::Minus1)?.matmul(&part(2)?)?;
            let seen = seen.transpose(1, 2)?.reshape((batch, time, width))?;
            x = (x + block.out.forward(&seen)?)?;
            let inner = block.up.forward(&block.norm2.forward(&x)?)?.gelu_erf()?;
            x = (x + block.down.forward(&inner)?)?;
        }
        let scores = head.forward(&norm.forward(&x)?)?;
        loss::cross_entropy(&scores.reshape((batch * time, vocabulary))?, &y)
    })
}

fn w4() -> Result<Step> {
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let l = mlp(&[4, 64, 64, 2], &vb)?;
    let (x, y) = (Tensor::randn(0f32, 1.0, (64, 4), &device)?, Tensor::randn(0f32, 1.0, (64, 2), &device)?);
    step(map.all_vars(), move || {
        let h = l[1].forward(&l[0].forward(&x)?.tanh()?)?.tanh()?;
        loss::mse(&l[2].forward(&h)?, &y)
    })
}

struct Residual {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    shortcut: Option<(Conv2d, BatchNorm)>,
}

fn w5() -> Result<Step> {
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let conv = |from, to, taps: usize, stride, vb: VarBuilder| {
        candle_nn::conv2d_no_bias(from, to, taps, Conv2dConfig { padding: taps / 2, stride, ..Conv2dConfig::default() }, vb)
    };
    let norm = |channels, vb: VarBuilder| candle_nn::batch_norm(channels, 1e-5, vb);
    let (stem, first) = (conv(3, 64, 3, 1, vb.pp("stem"))?, norm(64, vb.pp("norm"))?);
    let mut blocks = Vec::new();
    let mut from = 64;
    for (i, (to, stride)) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)].into_iter().enumerate() {
        let vb = vb.pp(format!("blocks.{i}"));
        let projects = stride != 1 || from != to;
        blocks.push(Residual {
            conv1: conv(from, to, 3, stride, vb.pp("conv1"))?,
            norm1: norm(to, vb.pp("norm1"))?,
            conv2: conv(to, to, 3, 1, vb.pp("conv2"))?,
            norm2: norm(to, vb.pp("norm2"))?,
            shortcut: if projects {
                Some((conv(from, to, 1, stride, vb.pp("shortcut"))?, norm(to, vb.pp("shortcut_norm"))?))
            } else {
                None
            },
        });
        from = to;
    }
    let head = candle_nn::linear(512, 10, vb.pp("head"))?;
    let (x, y) = (Tensor::randn(0f32, 1.0, (64, 3, 32, 32), &device)?, classes(64, 10)?);
    step(map.all_vars(), move || {
        let mut x = first.forward_t(&stem.forward(&x)?, true)?.relu()?;
        for block in &blocks {
            let y = block.norm1.forward_t(&block.conv1.forward(&x)?, true)?.relu()?;
            let y = block.norm2.forward_t(&block.conv2.forward(&y)?, true)?;
            let beside = match &block.shortcut {
                Some((conv, norm)) => norm.forward_t(&conv.forward(&x)?, true)?,
                None => x,
            };
            x = (y + beside)?.relu()?;
        }
        let h = x.mean(D::Minus1)?.mean(D::Minus1)?;
        loss::cross_entropy(&head.forward(&h)?, &y)
    })
}

fn w6() -> Result<Step> {
    let (map, device) = start();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let lstm = candle_nn::lstm(14, 100, LSTMConfig::default(), vb.pp("lstm"))?;
    let head = candle_nn::linear(100, 1, vb.pp("head"))?;
    let (x, y) = (Tensor::randn(0f32, 1.0, (64, 30, 14), &device)?, Tensor::randn(0f32, 1.0, (64, 1), &device)?);
    step(map.all_vars(), move || {
        let states = lstm.seq(&x)?;
        let last = states.last().ok_or_else(|| candle_core::Error::Msg("no states".into()))?;
        loss::mse(&head.forward(last.h())?, &y)
    })
}
