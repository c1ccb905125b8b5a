//! Rows of reductions, scans, and what normalizes by them.

use super::{Case, Input};
use crate::tensor::Tensor;

type Along = fn(&Tensor, &[isize]) -> Tensor;
type Chain = fn(&[Tensor]) -> Tensor;

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let reductions: [(&str, Along); 14] = [
        ("sum", |x, axes| x.sum(axes)),
        ("sum_keep", |x, axes| x.sum_keep(axes)),
        ("mean", |x, axes| x.mean(axes)),
        ("mean_keep", |x, axes| x.mean_keep(axes)),
        ("var", |x, axes| x.var(axes, 0)),
        ("var_keep", |x, axes| x.var_keep(axes, 0)),
        ("std", |x, axes| x.std(axes, 0)),
        ("prod", |x, axes| x.prod(axes)),
        ("logsumexp", |x, axes| x.logsumexp(axes)),
        ("norm", |x, axes| x.norm(axes)),
        ("norm_keep", |x, axes| x.norm_keep(axes)),
        ("max", |x, axes| x.max(axes)),
        ("min", |x, axes| x.min(axes)),
        ("max_keep", |x, axes| x.max_keep(axes)),
    ];
    let shapes: [(&[usize], &[isize]); 12] = [
        (&[5], &[0]),
        (&[17], &[0]),
        (&[1], &[0]),
        (&[3, 4], &[0]),
        (&[3, 4], &[-1]),
        (&[3, 4], &[0, 1]),
        (&[2, 3, 4], &[1]),
        (&[2, 3, 4], &[0, 2]),
        (&[2, 1, 3], &[1]),
        (&[3, 129], &[1]),
        (&[129, 3], &[0]),
        (&[2, 3, 2, 2], &[1, 2]),
    ];
    for (name, f) in reductions {
        for (shape, axes) in shapes {
            // A deviation of one number is 0, where a root has no derivative.
            let terms: usize = axes.iter().map(|&a| shape[a.rem_euclid(shape.len() as isize) as usize]).product();
            let x = Input::floats(shape, 0.6, 1.5);
            let case = Case::new(format!("{name} {shape:?} {axes:?}"), [x], move |x| f(&x[0], axes)).sum_of(terms);
            all.push(if name == "std" && terms == 1 { case.values_only() } else { case });
        }
    }
    // 2^k + 1 elements, more than one workgroup can hold.
    for len in [257, 4097, 70_001] {
        let sums: [(&str, Along); 3] = [("sum", |x, a| x.sum(a)), ("max", |x, a| x.max(a)), ("mean", |x, a| x.mean(a))];
        for (name, f) in sums {
            let x = Input::floats(&[len], -1.0, 1.0);
            all.push(Case::new(format!("{name} of {len}"), [x], move |x| f(&x[0], &[0])).sum_of(len));
        }
    }
    for (shape, axes) in [(&[0, 3][..], &[0][..]), (&[2, 0], &[1]), (&[0], &[0])] {
        let none = || [Input::floats(shape, 0.0, 1.0)];
        all.push(Case::new(format!("sum of nothing {shape:?}"), none(), move |x| x[0].sum(axes)).exact());
        all.push(Case::new(format!("prod of nothing {shape:?}"), none(), move |x| x[0].prod(axes)).exact());
    }
    for zeros in [&[1][..], &[1, 4], &[1, 2], &[0, 1, 2, 3, 4, 5]] {
        let mut x = Input::floats(&[2, 3], 0.5, 1.5);
        zeros.iter().for_each(|&i| x.values[i] = 0.0);
        all.push(Case::new(format!("prod with zeros {zeros:?}"), [x.clone()], |x| x[0].prod(1)).sum_of(3));
        all.push(Case::new(format!("prod of all with zeros {zeros:?}"), [x], |x| x[0].prod(..)).sum_of(6));
    }
    for (shape, axis) in [(&[7][..], 0), (&[3, 5], 0), (&[3, 5], 1), (&[2, 3, 4], 1), (&[1, 129], 1), (&[3, 1], 1)] {
        let x = || [Input::floats(shape, -2.0, 2.0)];
        let named = |name: &str| format!("{name} {shape:?} {axis}");
        all.push(Case::new(named("cumsum"), x(), move |x| x[0].cumsum(axis)).sum_of(shape[axis as usize]));
        all.push(Case::new(named("softmax"), x(), move |x| x[0].softmax(axis)).sum_of(shape[axis as usize]));
        all.push(Case::new(named("log_softmax"), x(), move |x| x[0].log_softmax(axis)).sum_of(shape[axis as usize]));
        all.push(Case::new(named("argmax"), x(), move |x| x[0].argmax(axis)).exact().values_only());
        all.push(Case::new(named("argmin"), x(), move |x| x[0].argmin(axis)).exact().values_only());
    }
    let chains: [(&str, Chain); 3] = [
        ("layer norm by hand", |x| {
            let x = &x[0];
            (x - x.mean_keep(-1)) / (x.var_keep(-1, 0) + 1e-5).sqrt()
        }),
        ("softmax of a softmax", |x| x[0].softmax(-1).softmax(0)),
        ("reduction of a reduction", |x| (x[0].sum_keep(1) * &x[0]).max(0)),
    ];
    for (name, f) in chains {
        all.push(Case::new(name, [Input::floats(&[5, 9], -2.0, 2.0)], f).sum_of(45));
    }
    let ints = || [Input::ints(&[4, 5], 11)];
    all.push(Case::new("sum of i32", ints(), |x| x[0].sum(1)).exact().values_only());
    all.push(Case::new("prod of i32", ints(), |x| x[0].prod(0)).exact().values_only());
    all.push(Case::new("max of i32", ints(), |x| x[0].max(..)).exact().values_only());
    all.push(Case::new("cumsum of i32", ints(), |x| x[0].cumsum(0)).exact().values_only());
    all.push(Case::new("count_nonzero", ints(), |x| x[0].count_nonzero(1)).exact().values_only());
    all
}
