//! A small GPT learns to write like the text it is given, one character after the other.
//!
//!     cargo run --release --example char_lm -- --data input.txt.gz
//!
//! Size and schedule are nanoGPT's for a CPU: 4 layers, 4 heads, 128 channels, blocks of 64, batches of 12, 2,000 steps
//! (4 epochs of 500 random batches). `--data` names a text file, plain or gzip. With `--quick` and no data it takes a few lines
//! that are inside of it. With `--checkpoints DIR` a run that was ended goes on when it is started again.

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
}

impl Layer for Gpt {
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
}

/// Mean loss over all positions; `scores`: `[batch, BLOCK, vocabulary]`, `y`: `[batch, BLOCK]`.
fn loss(scores: &Tensor, y: &Tensor) -> Tensor {
    scores.reshape([y.len(), scores.size(-1)]).cross_entropy(&y.flatten(0))
}

fn text(options: &Options) -> Result<String> {
    match &options.data {
        Some(path) => anygrad::data::read::text(path, 1 << 30),
        None if options.quick => Ok(include_str!("char_lm.rs").repeat(4)),
        None => Err(Error::data("option --data", "it is missing: name a text file, plain or .gz; see --help")),
    }
}

fn main() -> Exit {
    let options = Options::with_flags("char_lm: a small GPT on the characters of a text", &[CHECKPOINTS])?;
    let device = Device::open(options.device.as_deref().unwrap_or("best"))?;
    device.seed(options.seed)?;
    let text = text(&options)?;
    let characters = Characters::of(&text);
    let tokens = characters.encode(&text)?;
    let (train, validation) = tokens.split_at(tokens.len() * 9 / 10);
    let (train, validation) = (Blocks::new(train, BLOCK, 1)?, Blocks::new(validation, BLOCK, BLOCK)?);
    let (epochs, batches) = if options.quick { (1, 5) } else { (options.epochs.unwrap_or(4), 500) };
    let steps = epochs * batches;

    let gpt = Gpt::new(characters.len(), &device);
    let (betas, decay, clip_norm) = ((0.9, 0.99), Decay::Matrices(0.1), Some(1.0));
    let config = AdamConfig { lr: RATE, betas, decay, clip_norm, ..AdamConfig::default() };
    println!("device: {device}; {} characters, {} distinct", tokens.len(), characters.len());
    println!("{} parameters, {steps} steps", gpt.parameter_count());
    let mut trainer = Supervised::new(&gpt, loss)
        .optimizer(Adam::with(gpt.parameters(), config)?)
        .schedule(Rate(|step| warmup_cosine(step as usize, 100, steps, RATE, RATE / 10.0)))
        .epochs(epochs)
        .batches(batches)
        .batch(BATCH)
        .seed(options.seed)
        .checkpoints(options.checkpoints.map(Checkpoints::new));
    let report = trainer.fit(&train, &validation)?;
    println!("{report}");
    if let Some(path) = &options.out {
        checkpoint::save(path, &gpt)?;
    }

    // The model sees a window of BLOCK characters; what lies right of the last one is hidden from it.
    let mut draws = Draws::new(options.seed, 0);
    let mut written = characters.encode("\n")?;
    for _ in 0..if options.quick { 20 } else { 500 } {
        let start = written.len().saturating_sub(BLOCK);
        let (mut window, last) = (written[start..].to_vec(), written.len() - start - 1);
        window.resize(BLOCK, 0);
        let scores = trainer.predict(&Tensor::try_from_slice(&window, &[1, BLOCK], &device)?)?;
        let chances = scores.narrow(1, last, 1).flatten(0).softmax(0).to_vec::<f32>()?;
        let mut left = draws.uniform() as f32;
        let drawn = |&p: &f32| {
            left -= p;
            left < 0.0
        };
        written.push(chances.iter().position(drawn).unwrap_or(0) as i32);
    }
    println!("{}", characters.decode(&written));
    println!("validation loss {:.4}", report.last("valid.loss").unwrap_or(f64::NAN));
    Ok(())
}
