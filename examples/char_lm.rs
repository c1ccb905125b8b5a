//! A small GPT learns to write like the text it is given, one character after the other.
//!
//!     cargo run --release --example char_lm -- --data input.txt.gz
//!
//! Size and schedule are nanoGPT's for a CPU: 4 layers, 4 heads, 128 channels, blocks of 64, batches of 12, 2,000 steps.
//! `--data` names a text file, plain or gzip. With `--quick` and no data it takes a few lines that are inside of it.

use anygrad::prelude::*;

const BLOCK: usize = 64;
const BATCH: usize = 12;
const WIDTH: usize = 128;
const RATE: f64 = 1e-3;

/// Pre-norm: attention to the past, then two linear layers, each added to what comes in.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    attention: MultiHeadAttention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

#[derive(Module)]
struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    fn new(vocabulary: usize, device: &Device) -> Gpt {
        // Small embeddings, as GPT-2: the blocks' contributions count from the beginning.
        let embedding = |name, rows| {
            let weight = Var::new(name, &init::normal(&[rows, WIDTH], 0.0, 0.02, device));
            Embedding { weight, ..Embedding::new(rows, WIDTH, device) }
        };
        let block = |_| Block {
            norm1: LayerNorm::new(WIDTH, device),
            attention: MultiHeadAttention::new(WIDTH, 4, device).without_bias(),
            norm2: LayerNorm::new(WIDTH, device),
            up: Linear::new(WIDTH, 4 * WIDTH, device),
            down: Linear::new(4 * WIDTH, WIDTH, device),
        };
        Gpt {
            tokens: embedding("tokens", vocabulary),
            positions: embedding("positions", BLOCK),
            blocks: (0..4).map(block).collect(),
            norm: LayerNorm::new(WIDTH, device),
            head: Linear::without_bias(WIDTH, vocabulary, device),
        }
    }

    /// `x`: characters `[batch, BLOCK]`; result: scores of the next one `[batch, BLOCK, vocabulary]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = self.tokens.forward(x) + self.positions.weight.get();
        for block in &self.blocks {
            x = &x + block.attention.forward(&block.norm1.forward(&x), &Masks::causal());
            let wide = block.up.forward(&block.norm2.forward(&x)).gelu();
            x = &x + block.down.forward(&wide);
        }
        self.head.forward(&self.norm.forward(&x))
    }

    /// Mean loss over all positions; `x`, `y`: `[batch, BLOCK]`.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let scores = self.forward(x);
        scores.reshape([y.len(), scores.size(-1)]).cross_entropy(&y.flatten(0))
    }
}

fn text(options: &Options) -> Result<String> {
    match &options.data {
        Some(path) => anygrad::data::read::text(path, 1 << 30),
        None if options.quick => Ok(include_str!("char_lm.rs").repeat(4)),
        None => Err(Error::data("option --data", "it is missing: name a text file, plain or .gz; see --help")),
    }
}

fn main() -> Exit {
    let options = Options::from_args("char_lm: a small GPT on the characters of a text")?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let text = text(&options)?;
    let characters = Characters::of(&text);
    let tokens = characters.encode(&text)?;
    let (train, validation) = tokens.split_at(tokens.len() * 9 / 10);
    // An epoch is nanoGPT's 2,000 random batches.
    let steps = if options.quick { 20 } else { 2000 * options.epochs.unwrap_or(1) };

    let gpt = Gpt::new(characters.len(), &device);
    let parameters = gpt.parameters();
    let (betas, decay, clip_norm) = ((0.9, 0.99), Decay::Matrices(0.1), Some(1.0));
    let config = AdamConfig { lr: RATE, betas, decay, clip_norm, ..AdamConfig::default() };
    let adam = Adam::with(parameters.clone(), config)?;
    println!("device: {device}; {} characters, {} distinct", tokens.len(), characters.len());
    println!("{} parameters, {steps} steps", gpt.parameter_count());

    let mut step = Program::training(&device, |(x, y): (Tensor, Tensor)| -> Tensor {
        let loss = gpt.loss(&x, &y);
        adam.update(&loss.gradients(&parameters));
        loss
    });
    let mut evaluate = Program::inference(&device, |(x, y): (Tensor, Tensor)| -> Tensor { gpt.loss(&x, &y) });
    let mut next = Program::inference(&device, |x: Tensor| -> Tensor { gpt.forward(&x).softmax(-1) });

    let progress = Progress::new("train", steps);
    let mut draws = Draws::new(options.seed, 0);
    for done in 1..=steps {
        adam.set_learning_rate(warmup_cosine(done - 1, 100, steps, RATE, RATE / 10.0))?;
        let loss = step.run(random_blocks(train, BATCH, BLOCK, &mut draws, &device)?)?;
        progress.step();
        if done % 100 == 0 || done == steps {
            progress.line(format!("step {done}: loss {:.4}", loss.item()?));
        }
    }
    let time = progress.finish();
    println!("{:.1} steps/s", steps as f64 / time.as_secs_f64());
    if let Some(path) = &options.out {
        checkpoint::save(path, &gpt)?;
    }

    let mut loss = metrics::Mean::default();
    for _ in 0..if options.quick { 1 } else { 50 } {
        loss.add(evaluate.run(random_blocks(validation, 32, BLOCK, &mut draws, &device)?)?.item()?, 1);
    }

    // The model sees a window of BLOCK characters; what lies right of the last one is hidden from it.
    let mut written = characters.encode("\n")?;
    for _ in 0..if options.quick { 20 } else { 500 } {
        let start = written.len().saturating_sub(BLOCK);
        let (mut window, last) = (written[start..].to_vec(), written.len() - start - 1);
        window.resize(BLOCK, 0);
        let chances = next.run(Tensor::try_from_slice(&window, &[1, BLOCK], &device)?)?.to_vec::<f32>()?;
        let mut left = draws.uniform() as f32;
        let row = &chances[last * characters.len()..][..characters.len()];
        let drawn = |&p: &f32| {
            left -= p;
            left < 0.0
        };
        written.push(row.iter().position(drawn).unwrap_or(0) as i32);
    }
    println!("{}", characters.decode(&written));
    println!("validation loss {:.4}", loss.value());
    Ok(())
}
