//! Distributions over actions: samples, log-probabilities and entropies that stay finite in f32.
//!
//! All work on any leading axes; the last axis of the parameters belongs to one action. Log-probabilities and entropies
//! have gradients with respect to the parameters; samples have none (but see [`SquashedGaussian`]).

use std::f64::consts::{LN_2, PI};

use anygrad_core::{DType, Tensor};

/// `ln sqrt(2 pi)`.
fn half_log_tau() -> f64 {
    0.5 * (2.0 * PI).ln()
}

/// What a policy says of the next action.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// One of several choices.
    Categorical(Categorical),
    /// Several choices at once.
    MultiCategorical(MultiCategorical),
    /// Real numbers, each with its own mean and deviation.
    Gaussian(DiagonalGaussian),
}

impl Distribution {
    /// A random action.
    pub fn sample(&self) -> Tensor {
        match self {
            Distribution::Categorical(d) => d.sample(),
            Distribution::MultiCategorical(d) => d.sample(),
            Distribution::Gaussian(d) => d.sample(),
        }
    }

    /// The likeliest action.
    pub fn mode(&self) -> Tensor {
        match self {
            Distribution::Categorical(d) => d.mode(),
            Distribution::MultiCategorical(d) => d.mode(),
            Distribution::Gaussian(d) => d.mean.clone(),
        }
    }

    /// `ln p(action)`, without the action's axis.
    #[track_caller]
    pub fn log_probability(&self, action: &Tensor) -> Tensor {
        match self {
            Distribution::Categorical(d) => d.log_probability(action),
            Distribution::MultiCategorical(d) => d.log_probability(action),
            Distribution::Gaussian(d) => d.log_probability(action),
        }
    }

    /// `-E ln p`, without the action's axis.
    pub fn entropy(&self) -> Tensor {
        match self {
            Distribution::Categorical(d) => d.entropy(),
            Distribution::MultiCategorical(d) => d.entropy(),
            Distribution::Gaussian(d) => d.entropy(),
        }
    }
}

/// One of `k` choices, by scores `[.., k]`: `p = softmax(scores)`.
#[derive(Clone, Debug)]
pub struct Categorical {
    scores: Tensor,
}

impl Categorical {
    /// From scores (logits) `[.., k]`.
    #[must_use]
    pub fn new(scores: &Tensor) -> Categorical {
        Categorical { scores: scores.clone() }
    }

    /// Only choices where `allowed` (bool `[.., k]`) is true can happen; at least one must be.
    ///
    /// Forbidden scores become -1e8, whose probability is 0 in f32 while every product stays finite.
    /// Source: Huang and Ontañón, "A closer look at invalid action masking in policy gradient algorithms" (2020).
    #[must_use]
    #[track_caller]
    pub fn masked(scores: &Tensor, allowed: &Tensor) -> Categorical {
        Categorical { scores: allowed.select(scores, -1e8) }
    }

    /// `[.., k]`.
    pub fn log_probabilities(&self) -> Tensor {
        self.scores.log_softmax(-1)
    }

    /// i32 `[..]`, by the largest of scores plus Gumbel noise `-ln(-ln u)`: no normalisation is needed.
    /// Source: Maddison, Tarlow and Minka, "A* sampling" (2014).
    pub fn sample(&self) -> Tensor {
        // Between 2^-25 and 1 - 2^-25, so that both logarithms are finite.
        let half = 2f64.powi(-25);
        let u = Tensor::rand(self.scores.shape(), self.scores.device()).clamp(half, 1.0 - half);
        (&self.scores.detach() - (u.ln() * -1.0).ln()).argmax(-1)
    }

    /// The likeliest choice, i32 `[..]`; the first of equals.
    pub fn mode(&self) -> Tensor {
        self.scores.argmax(-1)
    }

    /// `ln p(action)` for choices `[..]` (integers).
    #[track_caller]
    pub fn log_probability(&self, action: &Tensor) -> Tensor {
        let k = self.scores.size(-1);
        let chosen = action.one_hot(k).cast(DType::F32);
        (self.log_probabilities() * chosen).sum(-1)
    }

    /// `-sum p ln p`, `[..]`; a choice of probability 0 adds 0.
    pub fn entropy(&self) -> Tensor {
        let log = self.log_probabilities();
        (log.exp() * log).sum(-1) * -1.0
    }
}

/// Several independent choices, each with its own number of values: probabilities are multiplied.
#[derive(Clone, Debug)]
pub struct MultiCategorical {
    parts: Vec<Categorical>,
}

impl MultiCategorical {
    /// From the scores of all choices one after the other, `[.., sum of choices]`.
    ///
    /// # Panics
    /// If there is another number of scores, or there are no choices.
    #[must_use]
    #[track_caller]
    pub fn new(scores: &Tensor, choices: &[usize]) -> MultiCategorical {
        let total: usize = choices.iter().sum();
        assert!(total > 0 && scores.size(-1) == total, "{} scores for choices {choices:?}", scores.size(-1));
        let starts = choices.iter().scan(0, |end, k| Some(std::mem::replace(end, *end + k)));
        let part = |(start, &k): (usize, &usize)| Categorical::new(&scores.narrow(-1, start, k));
        MultiCategorical { parts: starts.zip(choices).map(part).collect() }
    }

    /// i32 `[.., choices]`.
    pub fn sample(&self) -> Tensor {
        Tensor::stack(&self.parts.iter().map(Categorical::sample).collect::<Vec<_>>(), -1)
    }

    /// The likeliest ones, i32 `[.., choices]`.
    pub fn mode(&self) -> Tensor {
        Tensor::stack(&self.parts.iter().map(Categorical::mode).collect::<Vec<_>>(), -1)
    }

    /// Sum of `ln p` over the choices `[.., choices]` (integers): `[..]`.
    #[track_caller]
    pub fn log_probability(&self, action: &Tensor) -> Tensor {
        let part = |(i, part): (usize, &Categorical)| part.log_probability(&action.index_axis(-1, i as isize));
        MultiCategorical::total(self.parts.iter().enumerate().map(part).collect())
    }

    /// Sum of the entropies, `[..]`.
    pub fn entropy(&self) -> Tensor {
        MultiCategorical::total(self.parts.iter().map(Categorical::entropy).collect())
    }

    fn total(parts: Vec<Tensor>) -> Tensor {
        parts.into_iter().reduce(|sum, part| sum + part).expect("there are choices")
    }
}

/// Independent normal numbers: `mean [.., k]`, `log_std` broadcast to it.
#[derive(Clone, Debug)]
pub struct DiagonalGaussian {
    /// `[.., k]`.
    pub mean: Tensor,
    /// Logarithm of the standard deviation, `[.., k]`.
    pub log_std: Tensor,
}

impl DiagonalGaussian {
    /// From means `[.., k]` and logarithms of deviations that broadcast to them.
    ///
    /// # Panics
    /// If `log_std` does not broadcast to the means.
    #[must_use]
    #[track_caller]
    pub fn new(mean: &Tensor, log_std: &Tensor) -> DiagonalGaussian {
        DiagonalGaussian { mean: mean.clone(), log_std: log_std.expand(mean.shape()) }
    }

    /// `mean + std * noise`, `[.., k]`; gradients pass to both (reparametrised).
    pub fn sample(&self) -> Tensor {
        let noise = Tensor::randn(self.mean.shape(), self.mean.device());
        &self.mean + self.log_std.exp() * noise
    }

    /// `sum -((x - mean) / std)² / 2 - ln std - ln sqrt(2 pi)`, `[..]`.
    #[track_caller]
    pub fn log_probability(&self, action: &Tensor) -> Tensor {
        let z = (action - &self.mean) * (&self.log_std * -1.0).exp();
        (z.square() * -0.5 - &self.log_std - half_log_tau()).sum(-1)
    }

    /// `sum 1/2 + ln sqrt(2 pi) + ln std`, `[..]`.
    pub fn entropy(&self) -> Tensor {
        (&self.log_std + (0.5 + half_log_tau())).sum(-1)
    }
}

/// A Gaussian through `tanh`: actions in `-1..1`.
///
/// Source: Haarnoja and others, "Soft actor-critic algorithms and applications" (2018), appendix C.
#[derive(Clone, Debug)]
pub struct SquashedGaussian {
    /// Before `tanh`.
    pub gaussian: DiagonalGaussian,
}

impl SquashedGaussian {
    /// From means `[.., k]` and logarithms of deviations of the number before `tanh`.
    ///
    /// # Panics
    /// If `log_std` does not broadcast to the means.
    #[must_use]
    #[track_caller]
    pub fn new(mean: &Tensor, log_std: &Tensor) -> SquashedGaussian {
        SquashedGaussian { gaussian: DiagonalGaussian::new(mean, log_std) }
    }

    /// `tanh(mean)`.
    pub fn mode(&self) -> Tensor {
        self.gaussian.mean.tanh()
    }

    /// An action `[.., k]` and its log-probability `[..]`; gradients pass through both.
    pub fn sample(&self) -> (Tensor, Tensor) {
        let u = self.gaussian.sample();
        (u.tanh(), self.log_probability_before(&u))
    }

    /// `ln p(tanh(u))` from the number before `tanh`: `ln N(u) - sum ln(1 - tanh²(u))`.
    ///
    /// `ln(1 - tanh²(u)) = 2 (ln 2 - u - softplus(-2u))` loses no digits where `tanh` has saturated.
    #[track_caller]
    pub fn log_probability_before(&self, u: &Tensor) -> Tensor {
        let shrink = (((u * -2.0).softplus() + u) * -1.0 + LN_2) * 2.0;
        self.gaussian.log_probability(u) - shrink.sum(-1)
    }
}
