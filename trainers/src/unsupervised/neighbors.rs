//! Nearest rows by brute force on the device, a tile of distances at a time.

use anygrad_core::{DType, Result, Tensor};

use super::{part, ranges, squared_distances};

/// Up to so many neighbours are found by repeated argmin, which reads a tile once per neighbour; more by sorting it.
const PASSES: usize = 32;

/// Squared distances (f32) and numbers (i32) of the `k` rows of `x` nearest to each row of `queries`, nearest first: each
/// `[queries, k]`. `same`: the queries are the rows themselves, and none is its own neighbour. `k` is at most the number of
/// rows (without itself).
pub(crate) fn nearest_rows(x: &Tensor, queries: &Tensor, k: usize, same: bool) -> Result<(Tensor, Tensor)> {
    let (n, device) = (x.shape()[0], x.device());
    let columns = Tensor::arange(0.0, n as f64, 1.0, device).cast(DType::I32);
    let (mut near, mut numbers) = (Vec::new(), Vec::new());
    for (start, end) in ranges(queries.shape()[0], n) {
        let mut distances = squared_distances(&part(queries, start, end), x);
        if same {
            let own = (Tensor::arange(0.0, (end - start) as f64, 1.0, device).cast(DType::I32) + start).unsqueeze(1);
            distances = columns.eq(&own).select(f64::INFINITY, distances);
        }
        let (values, index) = if k > PASSES {
            let index = distances.argsort(1, false).narrow(1, 0, k);
            (distances.gather(1, &index), index)
        } else {
            let (mut values, mut index) = (Vec::new(), Vec::new());
            for _ in 0..k {
                let at = distances.argmin(1).unsqueeze(1);
                values.push(distances.gather(1, &at));
                distances = columns.eq(&at).select(f64::INFINITY, &distances);
                index.push(at);
            }
            (Tensor::cat(&values, 1), Tensor::cat(&index, 1))
        };
        Tensor::realize_all(&[values.clone(), index.clone()])?;
        near.push(values);
        numbers.push(index);
    }
    Ok((Tensor::cat(&near, 0), Tensor::cat(&numbers, 0)))
}
