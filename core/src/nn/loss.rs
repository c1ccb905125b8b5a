//! Losses: methods on predictions, each with PyTorch's formula and reduction.
//!
//! The short form (`logits.cross_entropy(&labels)`) takes the mean; the long form is a struct with public fields,
//! [`Default`] and `of(&x, &target)`, or a method that takes a [`Reduce`].
//! Cross entropy compares class numbers with the labels instead of gathering: its gradient is then
//! `softmax - (number == label)` in one kernel over the row.

use crate::dtype::DType;
use crate::kernel::Reduction;
use crate::shape::fail;
use crate::tensor::Tensor;

/// What becomes of the losses of the single elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// One number: their mean (of cross entropy with class weights: the weighted mean).
    #[default]
    Mean,
    /// One number: their sum.
    Sum,
    /// All of them.
    None,
}

impl Reduce {
    /// Mean, sum, or `losses` itself.
    #[track_caller]
    pub fn apply(self, losses: &Tensor) -> Tensor {
        let axes: Vec<usize> = (0..losses.rank()).collect();
        match self {
            Reduce::None => losses.clone(),
            Reduce::Sum => losses.reduce(Reduction::Sum, &axes),
            Reduce::Mean => losses.reduce(Reduction::Sum, &axes) * (1.0 / losses.len() as f64),
        }
    }
}

/// Options of cross entropy between logits and labels.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    /// Share of the target that is spread evenly over all classes, `0..=1`.
    pub label_smoothing: f64,
    /// A weight per class, `[classes]`.
    pub class_weights: Option<Tensor>,
    /// Labels of this number count for nothing (PyTorch's `ignore_index`, whose default there is -100; here none is).
    pub ignore: Option<i32>,
    /// Mean, sum or all.
    pub reduction: Reduce,
}

impl CrossEntropy {
    /// The loss of logits `[batch, classes, ..]` (or `[classes]`).
    ///
    /// `target` holds class numbers (i32 or u32, the logits' shape without the class axis) or probabilities (floats, the
    /// logits' shape). A class number that does not exist makes its loss NaN.
    ///
    /// # Panics
    /// If the shapes do not fit, or `ignore` is combined with probabilities.
    #[track_caller]
    pub fn of(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        if logits.rank() == 0 {
            fail("cross_entropy", "logits must have a class axis: [batch, classes, ..] or [classes]");
        }
        let axis = logits.rank().min(2) - 1;
        if let Some(weights) = &self.class_weights
            && weights.shape() != &logits.shape()[axis..=axis]
        {
            let message = format!("class weights are {:?}, the classes of {:?} are", weights.shape(), logits.shape());
            fail("cross_entropy", format!("{message} {} on axis {axis}", logits.shape()[axis]));
        }
        let log_p = log_softmax(logits, axis);
        if target.dtype().is_float() {
            self.of_probabilities(&log_p, target, axis)
        } else {
            self.of_labels(&log_p, target, axis)
        }
    }

    /// Class weights along `axis`, to be multiplied with log probabilities.
    fn weighted(&self, log_p: &Tensor, axis: usize) -> Tensor {
        match &self.class_weights {
            Some(weights) => log_p * &along(weights, axis, log_p.rank()),
            None => log_p.clone(),
        }
    }

    #[track_caller]
    fn of_probabilities(&self, log_p: &Tensor, target: &Tensor, axis: usize) -> Tensor {
        if target.shape() != log_p.shape() {
            let shapes = (log_p.shape(), target.shape());
            fail(
                "cross_entropy",
                format!("logits {:?} and probabilities {:?} must have one shape", shapes.0, shapes.1),
            );
        }
        if self.ignore.is_some() {
            fail("cross_entropy", "`ignore` names a label; the target holds probabilities");
        }
        let classes = log_p.shape()[axis] as f64;
        let target = if self.label_smoothing > 0.0 {
            target * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        } else {
            target.clone()
        };
        let losses = -(&self.weighted(log_p, axis) * &target).reduce(Reduction::Sum, &[axis]);
        match self.reduction {
            // PyTorch divides by the number of predictions here, weighted or not.
            Reduce::Mean => Reduce::Sum.apply(&losses) * (1.0 / losses.len() as f64),
            other => other.apply(&losses),
        }
    }

    #[track_caller]
    fn of_labels(&self, log_p: &Tensor, labels: &Tensor, axis: usize) -> Tensor {
        let mut expected = log_p.shape().to_vec();
        let classes = expected.remove(axis);
        if labels.shape() != expected || !labels.dtype().is_int() {
            let message = format!("logits {:?} take labels {expected:?} of i32 or u32", log_p.shape());
            fail("cross_entropy", format!("{message}, these are {:?} of {}", labels.shape(), labels.dtype()));
        }
        let at_label = is_label(log_p.shape(), labels, axis);
        let zero = log_p.full_like(0.0);
        let weighted = self.weighted(log_p, axis);
        let sum = |x: &Tensor| x.reduce(Reduction::Sum, &[axis]);
        let mut losses = -sum(&at_label.choose(&weighted, &zero));
        if self.label_smoothing > 0.0 {
            let even = sum(&weighted) * (self.label_smoothing / classes as f64);
            losses = losses * (1.0 - self.label_smoothing) - even;
        }
        // Negative labels are large as u32.
        let exists = labels.bitcast(DType::U32).lt(classes as f64);
        losses = exists.choose(&losses, &losses.full_like(f64::NAN));
        // What each loss counts in the mean, where that is not 1.
        let mut counts = self.class_weights.as_ref().map(|weights| {
            let weights = along(weights, axis, log_p.rank()).broadcast_to(log_p.shape());
            sum(&at_label.choose(&weights, &zero))
        });
        if let Some(ignored) = self.ignore {
            let ignored = labels.bitcast(DType::I32).eq(f64::from(ignored));
            let nothing = losses.full_like(0.0);
            let count = counts.unwrap_or_else(|| losses.full_like(1.0));
            losses = ignored.choose(&nothing, &losses);
            counts = Some(ignored.choose(&nothing, &count));
        }
        match (self.reduction, counts) {
            (Reduce::Mean, Some(counts)) => Reduce::Sum.apply(&losses) / Reduce::Sum.apply(&counts),
            (reduction, _) => reduction.apply(&losses),
        }
    }
}

/// Whether each class number along `axis` is the label there.
#[track_caller]
fn is_label(shape: &[usize], labels: &Tensor, axis: usize) -> Tensor {
    let mut kept = shape.to_vec();
    kept[axis] = 1;
    let numbers = along(&Tensor::iota(&[shape[axis]], labels.device()), axis, shape.len());
    let labels = labels.bitcast(DType::I32).reshape_to(&kept);
    numbers.eq(&labels)
}

/// `[n]` with axes of size 1 around it, so that it lies along `axis` of a tensor of this rank.
fn along(x: &Tensor, axis: usize, rank: usize) -> Tensor {
    let mut shape = vec![1; rank];
    shape[axis] = x.len();
    x.reshape_to(&shape)
}

/// `x - max - ln(sum(exp(x - max)))`: exact for large numbers, finite for any.
fn log_softmax(x: &Tensor, axis: usize) -> Tensor {
    x.log_softmax(axis as isize)
}

#[track_caller]
fn same_shape(op: &str, x: &Tensor, target: &Tensor) {
    if x.shape() != target.shape() {
        fail(
            op,
            format!("the prediction is {:?} and the target {:?}; they must have one shape", x.shape(), target.shape()),
        );
    }
}

impl Tensor {
    /// The mean cross entropy of logits `[batch, classes, ..]` and class numbers (or probabilities); see [`CrossEntropy`].
    ///
    /// Sequences `[batch, time, classes]` are reshaped to `[batch * time, classes]` first.
    ///
    /// # Panics
    /// As [`CrossEntropy::of`].
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor) -> Tensor {
        CrossEntropy::default().of(self, target)
    }

    /// The negative log likelihood of log probabilities `[batch, classes, ..]` and class numbers.
    ///
    /// # Panics
    /// If the shapes do not fit or labels are not integers.
    #[track_caller]
    pub fn nll_loss(&self, labels: &Tensor, reduction: Reduce) -> Tensor {
        if self.rank() == 0 {
            fail("nll_loss", "log probabilities must have a class axis: [batch, classes, ..] or [classes]");
        }
        CrossEntropy { reduction, ..CrossEntropy::default() }.of_labels(self, labels, self.rank().min(2) - 1)
    }

    /// `mean((x - target)²)`.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor) -> Tensor {
        same_shape("mse_loss", self, target);
        let difference = self - target;
        Reduce::Mean.apply(&(&difference * &difference))
    }

    /// `mean(|x - target|)`.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor) -> Tensor {
        same_shape("l1_loss", self, target);
        Reduce::Mean.apply(&(self - target).abs())
    }

    /// The mean of `d²/2` where `|d| <= delta`, else `delta * (|d| - delta/2)`, with `d = x - target`.
    ///
    /// # Panics
    /// If the shapes differ or `delta` is not positive.
    #[track_caller]
    pub fn huber_loss(&self, target: &Tensor, delta: f64) -> Tensor {
        same_shape("huber_loss", self, target);
        if delta.is_nan() || delta <= 0.0 {
            fail("huber_loss", format!("delta {delta} must be positive"));
        }
        let size = (self - target).abs();
        let near = &size * &size * 0.5;
        let far = (&size - 0.5 * delta) * delta;
        Reduce::Mean.apply(&size.le(delta).choose(&near, &far))
    }

    /// Huber's loss divided by `beta`; with `beta = 0` the absolute difference.
    ///
    /// # Panics
    /// If the shapes differ or `beta` is negative.
    #[track_caller]
    pub fn smooth_l1_loss(&self, target: &Tensor, beta: f64) -> Tensor {
        if beta == 0.0 { self.l1_loss(target) } else { self.huber_loss(target, beta) * (1.0 / beta) }
    }

    /// The mean binary cross entropy of probabilities, logarithms cut off at -100 as in PyTorch.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn binary_cross_entropy(&self, target: &Tensor) -> Tensor {
        same_shape("binary_cross_entropy", self, target);
        let log = |x: &Tensor| x.ln().maximum(-100.0);
        let one_less = 1.0 - target;
        Reduce::Mean.apply(&-(target * &log(self) + &one_less * &log(&(1.0 - self))))
    }

    /// The mean binary cross entropy of `sigmoid(x)`: `(1 - t) x + ln(1 + exp(-x))`, exact for large `|x|`.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(&self, target: &Tensor) -> Tensor {
        same_shape("binary_cross_entropy_with_logits", self, target);
        Reduce::Mean.apply(&((1.0 - target) * self + softplus(&-self)))
    }

    /// As [`Tensor::binary_cross_entropy_with_logits`], positive targets counted `positive_weight` times (it broadcasts).
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn binary_cross_entropy_with_weighted_logits(&self, target: &Tensor, positive_weight: &Tensor) -> Tensor {
        same_shape("binary_cross_entropy_with_weighted_logits", self, target);
        let factor = target * &(positive_weight - 1.0) + 1.0;
        Reduce::Mean.apply(&((1.0 - target) * self + factor * softplus(&-self)))
    }

    /// The mean over the first axis of `sum(target * (ln(target) - x))`, `x` being log probabilities `[batch, ..]`
    /// (PyTorch's `reduction = "batchmean"`, the divergence's definition). Zero targets count zero.
    ///
    /// # Panics
    /// If the shapes differ or there is no batch axis.
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor) -> Tensor {
        same_shape("kl_div", self, target);
        if self.rank() == 0 {
            fail("kl_div", "log probabilities must have a batch axis");
        }
        let positive = target.gt(0.0);
        let safe = positive.choose(target, &target.full_like(1.0));
        let losses = target * &(safe.ln() - self);
        Reduce::Sum.apply(&losses) * (1.0 / self.shape()[0] as f64)
    }

    /// `x·y / max(|x| |y|, 1e-8)` along an axis, which vanishes.
    ///
    /// # Panics
    /// If the shapes do not broadcast or the axis does not exist.
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, axis: isize) -> Tensor {
        let shape = crate::shape::broadcast("cosine_similarity", self.shape(), other.shape());
        let axis = crate::shape::axis("cosine_similarity", axis, &shape);
        let (x, y) = (self.broadcast_to(&shape), other.broadcast_to(&shape));
        let sum = |t: Tensor| t.reduce(Reduction::Sum, &[axis]);
        // PyTorch limits each norm by 1e-8 on its own.
        let norm = |t: &Tensor| sum(t * t).sqrt().maximum(1e-8);
        sum(&x * &y) / (norm(&x) * norm(&y))
    }

    /// The mean over pairs of `1 - cos` where `same` is 1 and `max(0, cos - margin)` where it is -1; `[batch, width]` both.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn cosine_embedding_loss(&self, other: &Tensor, same: &Tensor, margin: f64) -> Tensor {
        same_shape("cosine_embedding_loss", self, other);
        let cosine = self.cosine_similarity(other, -1);
        same_shape("cosine_embedding_loss", &cosine, same);
        Reduce::Mean.apply(&same.gt(0.0).choose(&(1.0 - &cosine), &(&cosine - margin).relu()))
    }

    /// The mean of `max(0, |a - p| - |a - n| + margin)` for an anchor, a positive and a negative, `[batch, width]`; as in
    /// PyTorch 1e-6 is added to each difference.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn triplet_margin_loss(&self, positive: &Tensor, negative: &Tensor, margin: f64) -> Tensor {
        same_shape("triplet_margin_loss", self, positive);
        same_shape("triplet_margin_loss", self, negative);
        let last = crate::shape::axis("triplet_margin_loss", -1, self.shape());
        let distance = |other: &Tensor| {
            let d = self - other + 1e-6;
            (&d * &d).reduce(Reduction::Sum, &[last]).sqrt()
        };
        Reduce::Mean.apply(&(distance(positive) - distance(negative) + margin).relu())
    }
}

/// `ln(1 + exp(x))`, exact for large `|x|`.
fn softplus(x: &Tensor) -> Tensor {
    x.relu() + (-x.abs()).exp().ln_1p()
}
