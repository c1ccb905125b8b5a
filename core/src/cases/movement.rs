//! Rows of operations that only change where elements are found.

use super::{Case, Input};
use crate::tensor::Tensor;

type One = fn(&Tensor) -> Tensor;

pub(super) fn cases() -> Vec<Case> {
    let rows: [(&str, &[usize], One); 58] = [
        ("reshape", &[2, 3, 4], |x| x.reshape([6, 4])),
        ("reshape with -1", &[2, 3, 4], |x| x.reshape([4, -1])),
        ("reshape to a number", &[1, 1], |x| x.reshape_to(&[])),
        ("reshape of nothing", &[0, 3], |x| x.reshape([3, 0, 2])),
        ("reshape of permuted", &[2, 3, 4], |x| x.permute([2, 0, 1]).reshape([4, 6])),
        ("reshape of sliced", &[4, 6], |x| x.slice(1, 1..5).reshape([2, 8])),
        ("flatten", &[2, 3, 4], |x| x.flatten(1)),
        ("unflatten", &[2, 12], |x| x.unflatten(1, [3, 4])),
        ("squeeze", &[2, 1, 3, 1], |x| x.squeeze(1)),
        ("squeeze all", &[2, 1, 3, 1], |x| x.squeeze(..)),
        ("unsqueeze", &[2, 3], |x| x.unsqueeze(-1)),
        ("expand", &[3, 1], |x| x.expand([2, 3, 4])),
        ("expand of nothing", &[1, 3], |x| x.expand([0, 3])),
        ("permute", &[2, 3, 4], |x| x.permute([2, 0, 1])),
        ("permute twice", &[2, 3, 4], |x| x.permute([2, 0, 1]).permute([2, 0, 1])),
        ("transpose", &[2, 3, 4], |x| x.transpose(0, 2)),
        ("t", &[3, 5], Tensor::t),
        ("movedim", &[2, 3, 4], |x| x.movedim(0, -1)),
        ("slice", &[5, 6], |x| x.slice(0, 1..4)),
        ("slice to the end", &[5, 6], |x| x.slice(1, 2..)),
        ("slice of nothing", &[5, 6], |x| x.slice(1, 2..2)),
        ("slice_step", &[5, 6], |x| x.slice_step(0, 0.., 2)),
        ("slice_step of a range", &[3, 11], |x| x.slice(1, 1..).slice_step(1, ..-1, 3)),
        ("slice_step past the end", &[4], |x| x.slice_step(0, 1.., 7)),
        ("slice_step of nothing", &[5, 6], |x| x.slice_step(1, 2..2, 2)),
        ("slice_step of both axes", &[5, 7], |x| x.slice_step(0, 0.., 2).slice_step(1, 1.., 3)),
        ("narrow", &[5, 6], |x| x.narrow(1, 2, 3)),
        ("index_axis", &[5, 6], |x| x.index_axis(0, -1)),
        ("diagonal", &[4, 4], Tensor::diagonal),
        ("diagonal of wide", &[3, 5], Tensor::diagonal),
        ("tril", &[4, 5], |x| x.tril(0)),
        ("tril above", &[4, 5], |x| x.tril(1)),
        ("triu", &[4, 5], |x| x.triu(0)),
        ("triu below", &[4, 5], |x| x.triu(-1)),
        ("roll", &[4, 5], |x| x.roll(2, 1)),
        ("roll backwards", &[4, 5], |x| x.roll(-1, 0)),
        ("pad", &[3, 4], |x| x.pad(&[(1, 2), (0, 3)], 0.5)),
        ("pad of nothing", &[0, 4], |x| x.pad(&[(1, 1), (0, 0)], -1.0)),
        ("pad then slice", &[4], |x| x.pad(&[(2, 2)], 1.0).slice(0, 1..5)),
        ("pad twice", &[3], |x| x.pad(&[(1, 0)], 1.0).pad(&[(0, 2)], 2.0)),
        ("pad of permuted then reshaped", &[3, 4], |x| x.t().pad(&[(0, 1), (1, 0)], 3.0).reshape([4, 5])),
        ("repeat", &[2, 3], |x| x.repeat(&[2, 2])),
        ("repeat_interleave", &[2, 3], |x| x.repeat_interleave(3, 1)),
        ("flip", &[3, 4], |x| x.flip(&[1])),
        ("flip all", &[3, 4], |x| x.flip(&[0, 1])),
        ("flip of padded", &[3], |x| x.pad(&[(2, 0)], 9.0).flip(&[0])),
        ("windows side by side", &[2, 9], |x| x.windows(1, 3, 3, 1)),
        ("windows with gaps", &[2, 9], |x| x.windows(1, 2, 3, 1)),
        ("windows overlapping", &[9, 2], |x| x.windows(0, 3, 1, 1)),
        ("windows overlapping, stride 2", &[9, 2], |x| x.windows(0, 3, 2, 1)),
        ("windows dilated", &[9, 2], |x| x.windows(0, 3, 1, 2)),
        ("windows dilated, stride 3", &[11, 2], |x| x.windows(0, 2, 3, 4)),
        ("windows of everything", &[5], |x| x.windows(0, 5, 1, 1)),
        ("windows that do not fit", &[2], |x| x.windows(0, 3, 1, 1)),
        ("windows of windows", &[6, 7], |x| x.windows(0, 2, 2, 1).windows(1, 3, 2, 1)),
        ("windows of padded", &[4], |x| x.pad(&[(1, 1)], 0.0).windows(0, 3, 1, 1)),
        ("windows, many", &[40], |x| x.windows(0, 20, 1, 1)),
        ("windows, many with stride", &[40], |x| x.windows(0, 20, 3, 1)),
    ];
    let floats = rows.map(|(name, shape, f)| {
        Case::new(format!("{name} {shape:?}"), [Input::floats(shape, -3.0, 3.0)], move |x| f(&x[0])).exact()
    });
    let mut all = Vec::from(floats);
    let three =
        || [Input::floats(&[2, 3], -3.0, 3.0), Input::floats(&[1, 3], -3.0, 3.0), Input::floats(&[4, 3], -3.0, 3.0)];
    let same = || [Input::floats(&[2, 3], -3.0, 3.0), Input::other(&[2, 3], -3.0, 3.0)];
    let empty = [Input::floats(&[0, 3], -3.0, 3.0), Input::floats(&[4, 3], -3.0, 3.0)];
    all.extend(
        [
            Case::new("cat", three(), |x| Tensor::cat(x, 0)),
            Case::new("cat along axis 1", same(), |x| Tensor::cat(x, 1)),
            Case::new("cat with nothing", empty, |x| Tensor::cat(x, 0)),
            Case::new("cat of one tensor twice", same(), |x| Tensor::cat(&[&x[0], &x[1], &x[0]], -1)),
            Case::new("stack", same(), |x| Tensor::stack(x, 0)),
            Case::new("stack at the end", same(), |x| Tensor::stack(x, -1)),
            Case::several("split", [Input::floats(&[2, 7], -3.0, 3.0)], |x| x[0].split(3, 1)),
            Case::several("chunk", [Input::floats(&[6, 2], -3.0, 3.0)], |x| x[0].chunk(3, 0)),
            Case::new("permute of i32", [Input::ints(&[3, 4], 9)], |x| x[0].t()).values_only(),
            Case::new("pad of bool", [Input::bools(&[3, 4])], |x| x[0].pad(&[(1, 0), (0, 1)], 1.0)).values_only(),
        ]
        .map(Case::exact),
    );
    all
}
