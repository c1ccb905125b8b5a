//! How each row of `make.py`'s losses is computed here.

use anygrad_core::Tensor;
use anygrad_core::nn::{CrossEntropy, Reduce};

use crate::harness::OpRow;

fn with(x: &[Tensor], options: CrossEntropy) -> Vec<Tensor> {
    let class_weights = x.get(2).map(Tensor::detach);
    vec![CrossEntropy { class_weights, ..options }.of(&x[0], &x[1])]
}

fn smooth(label_smoothing: f64) -> CrossEntropy {
    CrossEntropy { label_smoothing, ..CrossEntropy::default() }
}

fn reduced(reduction: Reduce) -> CrossEntropy {
    CrossEntropy { reduction, ..CrossEntropy::default() }
}

/// Losses, in `make.py`'s order.
pub(crate) const LOSSES: &[OpRow] = &[
    ("cross_entropy", |x| vec![x[0].cross_entropy(&x[1])]),
    ("cross_entropy_large", |x| vec![x[0].cross_entropy(&x[1])]),
    ("cross_entropy_sum", |x| with(x, reduced(Reduce::Sum))),
    ("cross_entropy_none", |x| with(x, reduced(Reduce::None))),
    ("cross_entropy_smooth", |x| with(x, smooth(0.2))),
    ("cross_entropy_weights", |x| with(x, CrossEntropy::default())),
    ("cross_entropy_weights_smooth", |x| with(x, smooth(0.1))),
    ("cross_entropy_ignore", |x| with(x, CrossEntropy { ignore: Some(3), ..CrossEntropy::default() })),
    ("cross_entropy_ignore_negative_smooth", |x| with(x, CrossEntropy { ignore: Some(-100), ..smooth(0.1) })),
    ("cross_entropy_positions", |x| vec![x[0].cross_entropy(&x[1])]),
    ("cross_entropy_one", |x| vec![x[0].cross_entropy(&Tensor::from_vec(vec![2u32], &[], x[0].device()))]),
    ("cross_entropy_probabilities", |x| vec![x[0].cross_entropy(&x[1].softmax(1))]),
    ("cross_entropy_probabilities_smooth_weights", |x| {
        with(&[x[0].clone(), x[1].softmax(1), x[2].clone()], smooth(0.1))
    }),
    ("nll", |x| vec![x[0].nll_loss(&x[1], Reduce::Mean)]),
    ("mse", |x| vec![x[0].mse_loss(&x[1])]),
    ("l1", |x| vec![x[0].l1_loss(&x[1])]),
    ("huber", |x| vec![x[0].huber_loss(&x[1], 0.7)]),
    ("smooth_l1", |x| vec![x[0].smooth_l1_loss(&x[1], 0.5)]),
    ("bce", |x| vec![x[0].binary_cross_entropy(&x[1])]),
    ("bce_logits", |x| vec![x[0].binary_cross_entropy_with_logits(&x[1])]),
    ("bce_logits_weighted", |x| vec![x[0].binary_cross_entropy_with_weighted_logits(&x[1], &x[2].detach())]),
    ("kl_div", |x| vec![x[0].log_softmax(1).kl_div(&x[1].softmax(1).detach())]),
    ("kl_div_zero", |x| {
        let target = Tensor::from_vec(vec![0.0f32, 1.0], &[1, 2], x[0].device()).cast(x[0].dtype());
        vec![x[0].kl_div(&target)]
    }),
    ("cosine_similarity", |x| vec![x[0].cosine_similarity(&x[1], 1)]),
    ("cosine_embedding", |x| vec![x[0].cosine_embedding_loss(&x[1], &x[2], 0.1)]),
    ("triplet_margin", |x| vec![x[0].triplet_margin_loss(&x[1], &x[2], 1.5)]),
];
