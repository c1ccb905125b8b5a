//! Iterations of many points of a plane by a tree, on the host: what is irregular (the tree's walks) and what reads points in no order
//! (the attraction) in one pass over the points, which then move.

use anygrad_core::{Device, Result, Tensor};

use super::attraction::Joint;
use super::descent::State;
use super::tree::{LANES, Tree};
use crate::unsupervised::by_threads;

/// Joint probabilities by rows: each row's list is padded with pairs of itself and probability 0.
pub(super) struct Lists {
    /// Where each row's list begins, in groups; and the end of the last.
    first: Vec<u32>,
    others: Vec<[u32; LANES]>,
    weights: Vec<[f32; LANES]>,
}

impl Lists {
    pub(super) fn new(joint: &Joint, n: usize) -> Lists {
        let (mut others, mut weights, mut first) = (Vec::new(), Vec::new(), vec![0; n + 1]);
        for list in joint.pairs.chunk_by(|a, b| a.0 == b.0) {
            let row = list[0].0;
            for group in list.chunks(LANES) {
                let pair = |lane: usize| group.get(lane).map_or((row, 0.0), |pair| (pair.1, pair.2 as f32));
                others.push(std::array::from_fn(|lane| pair(lane).0));
                weights.push(std::array::from_fn(|lane| pair(lane).1));
            }
            first[row as usize + 1] = others.len() as u32;
        }
        Lists { first, others, weights }
    }

    fn groups(&self, row: usize) -> impl Iterator<Item = (&[u32; LANES], &[f32; LANES])> {
        let range = self.first[row] as usize..self.first[row + 1] as usize;
        self.others[range.clone()].iter().zip(&self.weights[range])
    }

    /// `sum_j P[i, j] near (y_i - y_j)`, where `near = 1 / (1 + |y_i - y_j|²)`.
    pub(super) fn pull(&self, row: usize, points: &[[f32; 2]]) -> [f32; 2] {
        let [x, y] = points[row];
        let mut sums = [[0.0; LANES]; 2];
        for (others, weights) in self.groups(row) {
            let near = others.map(|other| points[other as usize]);
            for lane in 0..LANES {
                let (dx, dy) = (x - near[lane][0], y - near[lane][1]);
                let weight = weights[lane] / (1.0 + dx * dx + dy * dy);
                sums[0][lane] += weight * dx;
                sums[1][lane] += weight * dy;
            }
        }
        sums.map(|lanes| lanes.iter().sum())
    }

    /// `-sum_j P[i, j] ln near`.
    pub(super) fn apart(&self, row: usize, points: &[[f32; 2]]) -> f64 {
        let [x, y] = points[row];
        let far = |other: u32| {
            let [u, v] = points[other as usize];
            f64::from((x - u).powi(2) + (y - v).powi(2)).ln_1p()
        };
        let pairs = self.groups(row).flat_map(|(others, weights)| others.iter().zip(weights));
        pairs.map(|(&other, &weight)| f64::from(weight) * far(other)).sum()
    }
}

/// Points that move.
pub(super) struct Host {
    lists: Lists,
    angle: f32,
    rate: f32,
    points: Vec<[f32; 2]>,
    velocity: Vec<[f32; 2]>,
    gains: Vec<[f32; 2]>,
}

impl Host {
    pub(super) fn new(joint: &Joint, state: &State, angle: f64, rate: f64) -> Result<Host> {
        let read = |tensor: &Tensor| -> Result<Vec<[f32; 2]>> { Ok(tensor.to_vec::<f32>()?.as_chunks().0.to_vec()) };
        let points = read(&state.points)?;
        let lists = Lists::new(joint, points.len());
        let (velocity, gains) = (read(&state.velocity)?, read(&state.gains)?);
        Ok(Host { lists, angle: angle as f32, rate: rate as f32, points, velocity, gains })
    }

    /// As [`super::descent::Step::run`].
    pub(super) fn run(&mut self, times: usize, exaggeration: f64, momentum: f64) -> [f64; 2] {
        let mut looked = [0.0; 2];
        for left in (0..times).rev() {
            looked = self.iterate(exaggeration as f32, momentum as f32, left == 0);
        }
        looked
    }

    /// The length of the gradient, and (if it is asked for) the divergence less its constant part.
    fn iterate(&mut self, exaggeration: f32, momentum: f32, look: bool) -> [f64; 2] {
        let (n, points, lists) = (self.points.len(), &self.points, &self.lists);
        let tree = Tree::new(points);
        let forces: Vec<_> = by_threads(0..n.div_ceil(LANES), |groups| {
            let order = &tree.order()[groups.start * LANES..(groups.end * LANES).min(n)];
            let each = |group: &[(u32, u32)]| {
                let rows: [usize; LANES] = std::array::from_fn(|lane| group[lane.min(group.len() - 1)].1 as usize);
                let [x, y, mass] = tree.push(&rows.map(|row| points[row]), self.angle);
                let force = move |lane: usize| {
                    let row = rows[lane];
                    let apart = if look { lists.apart(row, points) } else { 0.0 };
                    (row, lists.pull(row, points), [x[lane], y[lane], mass[lane]], apart)
                };
                (0..group.len()).map(force)
            };
            order.chunks(LANES).flat_map(each).collect::<Vec<_>>()
        });
        let forces = || forces.iter().flatten();
        // In f64 and in the order of the tree, whatever the number of threads. A point is near to itself, which does not count.
        let mass = forces().map(|force| f64::from(force.2[2])).sum::<f64>() - n as f64;
        let divergence = mass.ln() + forces().map(|force| force.3).sum::<f64>();
        let (scale, mut length) = (1.0 / mass as f32, 0.0);
        for &(row, pull, push, _) in forces() {
            for axis in 0..2 {
                let gradient = 4.0 * (pull[axis] * exaggeration - push[axis] * scale);
                length += f64::from(gradient * gradient);
                let (speed, gain) = (&mut self.velocity[row][axis], &mut self.gains[row][axis]);
                *gain = if *speed * gradient < 0.0 { *gain + 0.2 } else { *gain * 0.8 }.max(0.01);
                *speed = *speed * momentum - gradient * *gain * self.rate;
            }
        }
        for (point, speed) in self.points.iter_mut().zip(&self.velocity) {
            *point = [point[0] + speed[0], point[1] + speed[1]];
        }
        [length.sqrt(), divergence]
    }

    pub(super) fn state(&self, device: &Device) -> Result<State> {
        let put = |values: &[[f32; 2]]| Tensor::try_from_slice(values.as_flattened(), &[values.len(), 2], device);
        Ok(State { points: put(&self.points)?, velocity: put(&self.velocity)?, gains: put(&self.gains)? })
    }
}
