//! Where centres begin. k-means++ runs on the device: each step draws a few candidate rows with probability in
//! proportion to their squared distance from the centres so far, and keeps the one that lowers the sum of distances most.
//! k-means|| draws many rows at once in a few rounds, and lets k-means++ choose among them on the host.

use anygrad_core::{DType, Device, Program, Result, Tensor, Var};

use super::{Distance, KMeans, METHOD, nearest, unit};
use crate::data::Draws;
use crate::unsupervised::{by_tile, part, ranges, squared_distances, total, wrong};

/// Where centres begin.
#[derive(Clone, Debug, Default)]
pub enum Seeding {
    /// Greedy k-means++: `2 + ln(clusters)` candidates per centre.
    #[default]
    PlusPlus,
    /// k-means||: in each of five rounds twice as many rows as clusters are drawn in proportion to their squared distance from
    /// what was drawn before; then greedy k-means++ chooses among these, each weighted by the rows that are nearest to it. Fewer
    /// passes over the data than [`Seeding::PlusPlus`] where there are many clusters.
    /// Source: Bahmani and others, "Scalable k-means++" (2012), algorithm 2, with a fixed number of draws per round.
    Parallel,
    /// Different rows, all equally likely.
    Random,
    /// These: `[clusters, features]`.
    Given(Tensor),
}

/// Writes first centres of one table.
pub(super) struct Seeder {
    x: Tensor,
    given: Option<Vec<f32>>,
    plus: Option<PlusPlus>,
    parallel: Option<Parallel>,
}

impl Seeder {
    /// `shift`: what was taken off the rows of `x`.
    pub(super) fn new(x: &Tensor, config: &KMeans, shift: Option<&Tensor>) -> Result<Seeder> {
        let expected = [config.clusters, x.shape()[1]];
        let given = match &config.seeding {
            Seeding::Given(centers) => {
                if centers.shape() != expected {
                    let message = format!("the given centres are {:?}, not {expected:?}", centers.shape());
                    return Err(wrong(METHOD, message));
                }
                let mut centers = centers.cast(DType::F32).to_device(x.device())?;
                if config.metric == Distance::Spherical {
                    centers = unit(&centers);
                }
                if let Some(mean) = shift {
                    centers = centers - mean;
                }
                Some(centers.to_vec::<f32>()?)
            }
            _ => None,
        };
        let plus =
            matches!(config.seeding, Seeding::PlusPlus).then(|| PlusPlus::new(x, config.clusters)).transpose()?;
        let parallel =
            matches!(config.seeding, Seeding::Parallel).then(|| Parallel::new(x, config.clusters)).transpose()?;
        Ok(Seeder { x: x.clone(), given, plus, parallel })
    }

    /// Writes the first centres of a start.
    pub(super) fn seed(&mut self, centers: &Var, draws: &mut Draws) -> Result<()> {
        let (k, n) = (centers.shape()[0], self.x.shape()[0]);
        if let Some(values) = &self.given {
            return centers.write(values);
        }
        if let Some(plus) = &mut self.plus {
            return plus.seed(centers, draws);
        }
        if let Some(parallel) = &mut self.parallel {
            return parallel.seed(centers, draws);
        }
        // Floyd's sampling of k different numbers of n.
        let mut rows: Vec<u32> = Vec::with_capacity(k);
        for last in n - k..n {
            let row = draws.below(last as u64 + 1) as u32;
            rows.push(if rows.contains(&row) { last as u32 } else { row });
        }
        let index = Tensor::try_from_slice(&rows, &[k], self.x.device())?;
        centers.write(&self.x.index_select(0, &index).to_vec::<f32>()?)
    }
}

/// The state of k-means++ on the device.
struct PlusPlus {
    /// Squared distance of each row to the centres so far: `[rows]`.
    nearest: Var,
    /// Centres so far: `[clusters, features]`.
    chosen: Var,
    /// Number of the next centre: `[1]`.
    place: Var,
    /// Random numbers of each step: `[clusters, trials]`.
    uniforms: Var,
    first: Program<'static, Tensor, ()>,
    step: Program<'static, (), ()>,
}

impl PlusPlus {
    fn new(x: &Tensor, k: usize) -> Result<PlusPlus> {
        let ([n, d], device) = ([x.shape()[0], x.shape()[1]], x.device());
        let trials = trials(k);
        let nearest = Var::try_new("nearest", &Tensor::zeros(&[n], device))?;
        let chosen = Var::try_new("chosen", &Tensor::zeros(&[k, d], device))?;
        let place = Var::try_new("place", &Tensor::zeros(&[1], device).cast(DType::I32))?;
        let uniforms = Var::try_new("uniforms", &Tensor::zeros(&[k, trials], device))?;
        let first = {
            let (x, nearest, chosen, place) = (x.clone(), nearest.clone(), chosen.clone(), place.clone());
            Program::inference(device, move |row: Tensor| {
                let center = x.index_select(0, &row);
                nearest.assign(&(&x - &center).square().sum(1));
                chosen.assign(&put(&chosen.get(), &center, &place.get().full_like(0.0)));
                place.assign(&place.get().full_like(1.0));
            })
        };
        // |x|² once: then a step passes over the rows twice, each time by a product.
        let squares = x.square().sum(1).realize()?.clone();
        let step = {
            let (x, nearest, chosen) = (x.clone(), nearest.clone(), chosen.clone());
            let (place, uniforms) = (place.clone(), uniforms.clone());
            Program::inference(device, move |()| {
                let (before, at) = (nearest.get(), place.get());
                let rows = draw(&before, &uniforms.get().index_select(0, &at).reshape([trials as isize]));
                let candidates = x.index_select(0, &rows);
                // Squared distances `[points, tile]` of each tile's rows to these points, or what is known if it is less.
                let nearer = |points: &Tensor| -> Vec<Tensor> {
                    let (twice, own) = (points * -2.0, points.square().sum_keep(1));
                    let tile = |(start, end): (usize, usize)| {
                        let part_of = |x: &Tensor| x.narrow(0, start, end - start);
                        let found = twice.matmul(&part(&x, start, end).t()) + part_of(&squares) + &own;
                        found.maximum(0.0).minimum(part_of(&before))
                    };
                    ranges(n, trials.max(d)).into_iter().map(tile).collect()
                };
                // What the sum of distances would become with each candidate.
                let sums = total(nearer(&candidates).iter().map(|tile| tile.sum(1)));
                let sums = sums.unwrap_or_else(|| candidates.sum(1));
                let best = candidates.index_select(0, &sums.argmin(0).reshape([1]));
                nearest.assign(&Tensor::cat(&nearer(&best), 1).squeeze(0));
                chosen.assign(&put(&chosen.get(), &best, &at));
                place.assign(&(at + 1));
            })
        };
        Ok(PlusPlus { nearest, chosen, place, uniforms, first, step })
    }

    fn seed(&mut self, centers: &Var, draws: &mut Draws) -> Result<()> {
        let device: Device = self.nearest.device();
        let row = draws.below(self.nearest.len() as u64) as u32;
        let uniforms: Vec<f32> = (0..self.uniforms.len()).map(|_| draws.uniform() as f32).collect();
        self.uniforms.write(&uniforms)?;
        self.place.write(&[0i32])?;
        self.first.run(Tensor::try_from_slice(&[row], &[1], &device)?)?;
        if centers.shape()[0] > 1 {
            self.step.run_times(centers.shape()[0] - 1, ())?;
        }
        centers.write(&self.chosen.get().to_vec::<f32>()?)
    }
}

/// Rounds of k-means||: the paper finds little gain from more.
const ROUNDS: usize = 5;

/// The state of k-means|| on the device.
struct Parallel {
    x: Tensor,
    /// Rows drawn in a round.
    drawn: usize,
    /// Squared distance of each row to what was drawn so far: `[rows]`.
    nearest: Var,
    /// From uniform numbers `[drawn]` to the rows that they draw; distances are updated.
    round: Program<'static, Tensor, Tensor>,
}

impl Parallel {
    fn new(x: &Tensor, k: usize) -> Result<Parallel> {
        let (n, device) = (x.shape()[0], x.device());
        let drawn = 2 * k;
        let nearest = Var::try_new("nearest", &Tensor::zeros(&[n], device))?;
        let round = {
            let (x, nearest) = (x.clone(), nearest.clone());
            Program::inference(device, move |uniforms: Tensor| {
                let before = nearest.get();
                let rows = draw(&before, &uniforms);
                let candidates = x.index_select(0, &rows);
                let near: Vec<Tensor> = ranges(n, drawn.max(x.shape()[1]))
                    .into_iter()
                    .map(|(start, end)| {
                        let found = squared_distances(&part(&x, start, end), &candidates).min(1);
                        found.minimum(before.narrow(0, start, end - start))
                    })
                    .collect();
                nearest.assign(&Tensor::cat(&near, 0));
                rows
            })
        };
        Ok(Parallel { x: x.clone(), drawn, nearest, round })
    }

    fn seed(&mut self, centers: &Var, draws: &mut Draws) -> Result<()> {
        let ([k, d], device) = ([centers.shape()[0], centers.shape()[1]], self.x.device().clone());
        // Rounds begin from one row; distances are those to it.
        let mut rows = vec![draws.below(self.nearest.len() as u64) as i32];
        let first = self.candidates(&rows)?;
        self.nearest.assign(&by_tile(&self.x, d, |tile| (tile - &first).square().sum(1)));
        for _ in 0..ROUNDS {
            let uniforms: Vec<f32> = (0..self.drawn).map(|_| draws.uniform() as f32).collect();
            let found = self.round.run(Tensor::try_from_slice(&uniforms, &[self.drawn], &device)?)?;
            rows.extend(found.to_vec::<i32>()?);
        }
        rows.sort_unstable();
        rows.dedup();
        let candidates = self.candidates(&rows)?;
        let labels = by_tile(&self.x, rows.len().max(d), |tile| nearest(tile, &candidates)).to_vec::<i32>()?;
        let mut weights = vec![0.0; rows.len()];
        labels.iter().for_each(|&label| weights[label as usize] += 1.0);
        centers.write(&chosen(&candidates.to_vec::<f32>()?, &weights, [k, d], draws))
    }

    fn candidates(&self, rows: &[i32]) -> Result<Tensor> {
        let index = Tensor::try_from_slice(rows, &[rows.len()], self.x.device())?;
        Ok(self.x.index_select(0, &index).realize()?.clone())
    }
}

/// `k` of the weighted rows `[.., d]` by greedy k-means++; rows repeat if there are fewer.
fn chosen(rows: &[f32], weights: &[f64], [k, d]: [usize; 2], draws: &mut Draws) -> Vec<f32> {
    let count = weights.len();
    let mut distances = vec![1.0f64; count];
    let mut out = Vec::with_capacity(k * d);
    for place in 0..k {
        let total: f64 = weights.iter().zip(&distances).map(|(w, d)| w * d).sum();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..trials(k) {
            let mut rest = draws.uniform() * total;
            let drawn = |(w, d): (&f64, &f64)| {
                rest -= w * d;
                rest < 0.0
            };
            let pick = weights.iter().zip(&distances).position(drawn).unwrap_or(count - 1);
            let center = &rows[pick * d..(pick + 1) * d];
            let found = rows.chunks_exact(d).zip(&distances).map(|(row, known)| {
                let found: f64 = row.iter().zip(center).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                if place == 0 { found } else { known.min(found) }
            });
            let found: Vec<f64> = found.collect();
            let sum = weights.iter().zip(&found).map(|(w, d)| w * d).sum();
            if best.as_ref().is_none_or(|best| sum < best.0) {
                best = Some((sum, pick, found));
            }
        }
        if let Some((_, pick, found)) = best {
            distances = found;
            out.extend_from_slice(&rows[pick * d..(pick + 1) * d]);
        }
    }
    out
}

/// Candidates for each centre, as in scikit-learn.
fn trials(k: usize) -> usize {
    2 + (k as f64).ln() as usize
}

/// `table` with its row number `at: [1]` replaced by `row: [1, d]`.
fn put(table: &Tensor, row: &Tensor, at: &Tensor) -> Tensor {
    let numbers = Tensor::arange(0.0, table.shape()[0] as f64, 1.0, table.device()).cast(DType::I32);
    numbers.eq(at).unsqueeze(1).select(row, table)
}

/// Row numbers (i32 `[trials]`) drawn in proportion to `weights: [n]` by `uniforms: [trials]`: first a block of about `sqrt(n)`
/// rows by the running sum of the blocks' sums, then a row of it; so f32 sums stay exact enough and the work small.
fn draw(weights: &Tensor, uniforms: &Tensor) -> Tensor {
    let n = weights.len();
    let size = (n as f64).sqrt().ceil() as usize;
    let blocks = n.div_ceil(size);
    let padded = weights.pad(&[(0, blocks * size - n)], 0.0).reshape([blocks, size]);
    let sums = padded.sum(1);
    let running = sums.cumsum(0);
    let target = uniforms * running.narrow(0, blocks - 1, 1);
    let block = after(&running.unsqueeze(0), &target, blocks);
    let rest = target - (running.index_select(0, &block) - sums.index_select(0, &block));
    let inside = after(&padded.index_select(0, &block).cumsum(1), &rest, size);
    // Rounding may end in the padding.
    (block * size + inside).minimum(n - 1)
}

/// For each row of running sums `[rows or 1, size]` the number of those that are at most its target, below `size`.
fn after(running: &Tensor, target: &Tensor, size: usize) -> Tensor {
    running.le(target.unsqueeze(1)).cast(DType::I32).sum(1).minimum(size - 1)
}
