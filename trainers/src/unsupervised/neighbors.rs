//! Nearest rows by brute force on the device, a tile of distances at a time; where many are wanted, the host selects them.

use anygrad_core::{DType, Device, Result, Tensor};

use super::{by_threads, part, ranges, squared_distances};

/// Up to so many neighbours are found by repeated argmin, which reads a tile once per neighbour. More are selected by the host,
/// in linear time, where the device would sort whole rows.
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
            selected(&distances.to_vec::<f32>()?, n, k, device)?
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

/// The `k` least of each row of distances `[rows, n]` (none below 0) and their columns, nearest first.
fn selected(distances: &[f32], n: usize, k: usize, device: &Device) -> Result<(Tensor, Tensor)> {
    let rows = distances.len() / n;
    let least = by_threads(0..rows, |rows| {
        let mut least = Vec::with_capacity(rows.len() * k);
        let mut keys: Vec<u64> = Vec::with_capacity(n);
        for row in distances[rows.start * n..rows.end * n].chunks_exact(n) {
            keys.clear();
            // Numbers that are not negative rise with their bits; -0 becomes 0. Equal ones are taken from the left.
            keys.extend((0..).zip(row).map(|(at, x)| u64::from((x + 0.0).to_bits()) << 32 | at));
            if k < n {
                keys.select_nth_unstable(k);
            }
            keys[..k].sort_unstable();
            least.extend_from_slice(&keys[..k]);
        }
        least
    })
    .concat();
    let values: Vec<f32> = least.iter().map(|key| f32::from_bits((key >> 32) as u32)).collect();
    let index: Vec<i32> = least.iter().map(|&key| key as u32 as i32).collect();
    Ok((Tensor::try_from_slice(&values, &[rows, k], device)?, Tensor::try_from_slice(&index, &[rows, k], device)?))
}
