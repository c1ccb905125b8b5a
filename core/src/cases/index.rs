//! Rows of gather, scatter and sort.

use super::{Case, Input};
use crate::tensor::Tensor;

pub(super) fn cases() -> Vec<Case> {
    let table = || Input::floats(&[5, 3], -2.0, 2.0);
    let outside = || Input::int_list(&[0, 4, -1, 2, 7, 4, 4, 1, 0]).shaped(&[3, 3]);
    let mut all = vec![
        Case::new("gather axis 0", [table(), Input::ints(&[4, 3], 5)], |x| x[0].gather(0, &x[1])).exact(),
        Case::new("gather axis 1", [table(), Input::ints(&[5, 7], 3)], |x| x[0].gather(1, &x[1])).exact(),
        Case::new("gather nothing", [table(), Input::ints(&[0, 3], 5)], |x| x[0].gather(0, &x[1])).exact(),
        Case::new("gather outside", [table(), outside()], |x| x[0].gather(0, &x[1])).exact().values_only(),
        Case::new("gather of i32", [Input::ints(&[5, 3], 90), outside()], |x| x[0].gather(0, &x[1]))
            .exact()
            .values_only(),
        Case::new("index_select", [table(), Input::ints(&[6], 5)], |x| x[0].index_select(0, &x[1])).exact(),
        Case::new("index_select axis 1", [table(), Input::ints(&[4], 3)], |x| x[0].index_select(1, &x[1])).exact(),
        // Rows long enough to be copied whole, between rows of neighbours and outside.
        Case::new(
            "index_select of long rows",
            [Input::floats(&[5, 37], -2.0, 2.0), Input::int_list(&[3, 3, 0, 4, 1])],
            |x| x[0].index_select(0, &x[1]),
        )
        .exact(),
        Case::new(
            "index_select of long rows, outside",
            [Input::ints(&[2, 3, 9], 90), Input::int_list(&[2, -1, 0, 3])],
            |x| x[0].index_select(1, &x[1]),
        )
        .exact()
        .values_only(),
        Case::new("gather of long rows", [Input::floats(&[5, 37], -2.0, 2.0), Input::ints(&[4, 37], 5)], |x| {
            x[0].gather(0, &x[1])
        })
        .exact(),
        Case::new("embedding", [table(), Input::ints(&[2, 4], 5)], |x| x[0].embedding(&x[1])).exact(),
        Case::new("one_hot", [Input::ints(&[7], 4)], |x| x[0].one_hot(4)).exact().values_only(),
        Case::new("scatter_sum axis 0", [table(), Input::ints(&[5, 3], 4)], |x| x[0].scatter_sum(0, &x[1], 4))
            .sum_of(5),
        Case::new("scatter_sum axis 1", [table(), Input::ints(&[5, 3], 2)], |x| x[0].scatter_sum(1, &x[1], 6))
            .sum_of(3),
        Case::new("scatter_sum of nothing", [Input::floats(&[0, 3], 0.0, 1.0), Input::ints(&[0, 3], 4)], |x| {
            x[0].scatter_sum(0, &x[1], 4)
        }),
        Case::new("scatter_sum outside", [Input::floats(&[3, 3], -2.0, 2.0), outside()], |x| {
            x[0].scatter_sum(0, &x[1], 5)
        })
        .sum_of(3),
        Case::new("scatter_sum of many", [Input::floats(&[1025], -2.0, 2.0), Input::ints(&[1025], 7)], |x| {
            x[0].scatter_sum(0, &x[1], 9)
        })
        .sum_of(200),
    ];
    let masked = || [Input::floats(&[3, 4], -2.0, 2.0), Input::bools(&[3, 4])];
    let source = || Input::other(&[2, 6], -2.0, 2.0);
    let [x, mask] = masked();
    all.extend([
        Case::several("nonzero", [mask.clone()], |x| <[Tensor; 2]>::from(x[0].nonzero(8)).into()).exact().values_only(),
        Case::several("nonzero without room", [mask.clone()], |x| vec![x[0].nonzero(2).0]).exact().values_only(),
        Case::new("masked_select", masked(), |x| x[0].masked_select(&x[1], 12, 0.5)).exact(),
        Case::new("masked_select without room", masked(), |x| x[0].masked_select(&x[1], 3, 0.5)).exact(),
        Case::new("masked_select of rows", [x.clone(), Input::bools(&[3, 1])], |x| x[0].masked_select(&x[1], 12, 0.0))
            .exact(),
        Case::new("masked_scatter", [x, mask, source()], |x| x[0].masked_scatter(&x[1], &x[2])).exact(),
    ]);
    for (shape, axis) in [(&[7][..], 0), (&[1], 0), (&[3, 65], 1), (&[6, 4], 0)] {
        for descending in [false, true] {
            let named = |name: &str| format!("{name} {shape:?} {axis} {descending}");
            let x = || [Input::floats(shape, -2.0, 2.0)];
            all.push(
                Case::several(named("sort"), x(), move |x| <[Tensor; 2]>::from(x[0].sort(axis, descending)).into())
                    .exact(),
            );
            all.push(
                Case::new(named("argsort of ties"), [Input::ints(shape, 3)], move |x| x[0].argsort(axis, descending))
                    .exact()
                    .values_only(),
            );
        }
    }
    let odd = Input::list(&[1.0, f64::NAN, f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY, 1.0, f64::NAN]);
    for descending in [false, true] {
        let name = format!("argsort of NaN and infinities {descending}");
        all.push(Case::new(name, [odd.clone()], move |x| x[0].argsort(0, descending)).exact().values_only());
    }
    all.push(
        Case::several("topk", [Input::floats(&[3, 8], -2.0, 2.0)], |x| <[Tensor; 2]>::from(x[0].topk(3, -1)).into())
            .exact(),
    );
    all.push(Case::new("median", [Input::floats(&[3, 7], -2.0, 2.0)], |x| x[0].median(1)).exact());
    all
}
