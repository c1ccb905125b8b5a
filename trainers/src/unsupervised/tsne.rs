//! t-SNE: rows as points of a plane such that neighbours stay neighbours.
//!
//! The attraction runs over lists of pairs of near rows, the repulsion over all pairs, which one fused row reduction computes
//! without storing them: one iteration is one program; the host looks every fifty. For many rows the host computes the
//! repulsion with a tree between programs.

mod attraction;
mod tree;

use std::fmt::{Display, Formatter};
use std::sync::Arc;

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::neighbors::nearest_rows;
use super::pca::{Components, Pca};
use super::{Rows, Run, ranges, rows, silent, total, wrong};
use crate::events::Listener;
use attraction::Attraction;

const METHOD: &str = "t-sne";

/// Iterations between looks at the gradient and the divergence.
const LOOK: usize = 50;

/// Rows from which the tree is faster than all pairs on two cores (1,797 digits: 8 s of processor time instead of 18, the latter
/// on a busy machine).
const MANY: usize = 1_000;

/// How to embed rows into a plane.
///
/// Sources: van der Maaten and Hinton, "Visualizing data using t-SNE" (2008); van der Maaten, "Accelerating t-SNE using
/// tree-based algorithms" (2014) for the neighbour lists of three times the perplexity. Defaults, start (principal components)
/// and step rule are scikit-learn's.
#[derive(Clone, Debug, PartialEq)]
pub struct Tsne {
    /// Axes of the embedding; 2.
    pub dimensions: usize,
    /// About how many neighbours a row has; 30.
    pub perplexity: f64,
    /// How much stronger the attraction is during the first 250 iterations; 12.
    pub exaggeration: f64,
    /// Step size; `None` is `rows / exaggeration / 4`, at least 50.
    pub learning_rate: Option<f64>,
    /// Iterations at most; 1000.
    pub max_iterations: usize,
    /// It ends when the gradient is shorter; 1e-7.
    pub least_gradient: f64,
    /// How the repulsion is computed; `Auto`.
    pub repulsion: Repulsion,
}

/// How the repulsion of all pairs of rows is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Repulsion {
    /// `Exact` below 1,000 rows and where there are not two dimensions, else `Tree { angle: 0.5 }`.
    #[default]
    Auto,
    /// All pairs, on the device; time grows with the square of the number of rows.
    Exact,
    /// Far groups of points count as one (Barnes and Hut), on the host; only in two dimensions.
    Tree {
        /// A group is far if its width is less than this times its distance; 0.5 is usual.
        angle: f64,
    },
}

impl Default for Tsne {
    fn default() -> Tsne {
        Tsne {
            dimensions: 2,
            perplexity: 30.0,
            exaggeration: 12.0,
            learning_rate: None,
            max_iterations: 1000,
            least_gradient: 1e-7,
            repulsion: Repulsion::Auto,
        }
    }
}

/// An embedding. There is none of new rows.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `[rows, dimensions]`.
    pub points: Tensor,
    /// Kullback-Leibler divergence of the neighbourhoods in the plane from those of the data.
    pub divergence: f64,
    /// Iterations done.
    pub iterations: usize,
}

impl Tsne {
    /// Embeds the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are not more than `perplexity` rows, a number is NaN or infinite, or the
    /// device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<Embedding> {
        self.fit_with(device, data, &mut silent)
    }

    /// As [`Tsne::fit`], telling a listener `divergence` every fifty iterations; if it stops the run, the embedding is as far as
    /// it got.
    ///
    /// # Errors
    /// As [`Tsne::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<Embedding> {
        let x = rows::load(METHOD, data, device)?;
        let (n, m) = (x.shape()[0], self.dimensions);
        self.check(n, x.shape()[1])?;
        let x = (&x - x.mean(0)).realize()?.clone();
        let mut run = Run::begin(listener, METHOD, Some(self.max_iterations as u64))?;

        let k = ((3.0 * self.perplexity) as usize + 1).min(n - 1);
        let (distances, index) = nearest_rows(&x, &x, k, true)?;
        let conditional = perplexed(&distances.to_f64()?, k, self.perplexity);
        let attraction = Arc::new(Attraction::new(&conditional, &index.to_vec::<i32>()?, k, device)?);

        let start = Pca { components: Components::Count(m), ..Pca::default() }.fit(device, &x)?.transform(&x)?;
        // A thousandth of a unit apart, or the tails of the Student distribution would not let them move.
        let spread = start.narrow(1, 0, 1).std((), 0);
        let points = Var::try_new("points", &(start / spread.maximum(f64::MIN_POSITIVE) * 1e-4))?;
        let flow = Flow::new(device, n, m)?;
        let mut step = flow.step(&points, &attraction, self.rate(n), self.angle(n));
        let (mut divergence, mut done) = (f64::INFINITY, 0);
        while done < self.max_iterations {
            let early = done < 250;
            flow.settings.write(&if early { [self.exaggeration as f32, 0.5] } else { [1.0, 0.8] })?;
            let times = LOOK.min(self.max_iterations - done);
            let looked = step.run(times)?;
            done += times;
            divergence = attraction.entropy + looked[1];
            if run.iteration(done as u64, &[("divergence", divergence), ("gradient", looked[0])])? {
                break;
            }
            if !early && looked[0] <= self.least_gradient {
                break;
            }
        }
        run.end("done")?;
        if !divergence.is_finite() {
            return Err(wrong(METHOD, "the embedding diverged; lower the learning rate"));
        }
        let points = Tensor::try_from_slice(&points.get().to_vec::<f32>()?, &[n, m], device)?;
        Ok(Embedding { points, divergence, iterations: done })
    }

    /// The angle of the tree, if there is one.
    fn angle(&self, n: usize) -> Option<f64> {
        match self.repulsion {
            Repulsion::Auto => (n >= MANY && self.dimensions == 2).then_some(0.5),
            Repulsion::Exact => None,
            Repulsion::Tree { angle } => Some(angle),
        }
    }

    fn rate(&self, n: usize) -> f64 {
        self.learning_rate.unwrap_or_else(|| (n as f64 / self.exaggeration / 4.0).max(50.0))
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        if !(self.perplexity >= 1.0 && self.perplexity < n as f64) {
            let message = format!("perplexity {} with {n} rows; give at least 1 and less than rows", self.perplexity);
            return Err(wrong(METHOD, message));
        }
        if self.dimensions == 0 || self.dimensions > n.min(d) {
            return Err(wrong(METHOD, format!("{} dimensions of {n} rows and {d} features", self.dimensions)));
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let rate = self.learning_rate.is_none_or(positive);
        if !positive(self.exaggeration) || self.exaggeration < 1.0 || !rate || self.max_iterations == 0 {
            let message = "exaggeration must be at least 1, learning rate and iterations positive";
            return Err(wrong(METHOD, message));
        }
        if let Repulsion::Tree { angle } = self.repulsion
            && (self.dimensions != 2 || !(0.0..1.0).contains(&angle))
        {
            let message = format!("a tree with angle {angle} in {} dimensions", self.dimensions);
            return Err(wrong(
                METHOD,
                format!("{message}; it needs two dimensions and an angle from 0 to less than 1"),
            ));
        }
        Ok(())
    }
}

/// Iterations by one of the two ways.
enum Step {
    Exact(Program<'static, (), Tensor>),
    Tree { points: Var, angle: f64, program: Program<'static, (Tensor, Tensor), Tensor> },
}

impl Step {
    /// The length of the last gradient, and the divergence less its constant part.
    fn run(&mut self, times: usize) -> Result<Vec<f64>> {
        match self {
            Step::Exact(program) => program.run_times(times, ())?.to_f64(),
            Step::Tree { points, angle, program } => {
                let mut looked = Vec::new();
                for last in (0..times).rev() {
                    let (push, mass) = tree::repulsion(&points.get().to_vec::<f32>()?, *angle);
                    let push = Tensor::try_from_slice(&push, points.shape(), &points.device())?;
                    let mass = Tensor::try_from_slice(&[mass as f32], &[], &points.device())?;
                    let found = program.run((push, mass))?;
                    if last == 0 {
                        looked = found.to_f64()?;
                    }
                }
                Ok(looked)
            }
        }
    }
}

/// The state of the descent.
#[derive(Clone)]
struct Flow {
    velocity: Var,
    gains: Var,
    /// Exaggeration and momentum.
    settings: Var,
}

impl Flow {
    fn new(device: &Device, n: usize, m: usize) -> Result<Flow> {
        Ok(Flow {
            velocity: Var::try_new("velocity", &Tensor::zeros(&[n, m], device))?,
            gains: Var::try_new("gains", &Tensor::ones(&[n, m], device))?,
            settings: Var::try_new("settings", &Tensor::zeros(&[2], device))?,
        })
    }

    fn step(&self, points: &Var, attraction: &Arc<Attraction>, rate: f64, angle: Option<f64>) -> Step {
        let device = points.device();
        let (flow, y, attraction) = (self.clone(), points.clone(), attraction.clone());
        match angle {
            None => Step::Exact(Program::inference(&device, move |()| {
                let (push, mass) = all_pairs(&y.get());
                flow.descend(&y, &attraction, rate, &push, &mass)
            })),
            Some(angle) => {
                let program = Program::inference(&device, move |(push, mass): (Tensor, Tensor)| {
                    flow.descend(&y, &attraction, rate, &push, &mass)
                });
                Step::Tree { points: points.clone(), angle, program }
            }
        }
    }

    /// One iteration, with the repulsion's sums of all points and of all pairs: gives the length of the gradient, and the
    /// divergence less its constant part.
    fn descend(&self, points: &Var, attraction: &Attraction, rate: f64, push: &Tensor, mass: &Tensor) -> Tensor {
        let y = points.get();
        let (exaggeration, momentum) = (self.settings.get().narrow(0, 0, 1), self.settings.get().narrow(0, 1, 1));
        let (pull, apart) = attraction.of(&y);
        // A row and itself are 0 apart, which only the sum must not count.
        let mass = mass - y.shape()[0] as f64;
        let gradient = (pull * exaggeration - push / &mass) * 4.0;
        let (speed, gain) = (self.velocity.get(), self.gains.get());
        let gain = (&speed * &gradient).lt(0.0).select(&gain + 0.2, &gain * 0.8).maximum(0.01);
        let speed = speed * momentum - &gradient * &gain * rate;
        points.assign(&(&y + &speed));
        self.velocity.assign(&speed);
        self.gains.assign(&gain);
        let divergence = mass.ln() + apart;
        Tensor::stack(&[gradient.square().sum(()).sqrt(), divergence], 0)
    }
}

/// The repulsion of all pairs of points `[n, m]`: `sum_j near² (y_i - y_j)`, and the sum of `near` over all pairs.
fn all_pairs(y: &Tensor) -> (Tensor, Tensor) {
    let (n, m) = (y.shape()[0], y.shape()[1]);
    let with_ones = Tensor::cat(&[y.clone(), Tensor::ones(&[n, 1], y.device())], 1);
    let (mut push, mut mass) = (Vec::new(), Vec::new());
    for (start, end) in ranges(n, n) {
        let apart: Vec<Tensor> = (0..m)
            .map(|axis| {
                let column = y.narrow(1, axis, 1);
                column.narrow(0, start, end - start) - column.t()
            })
            .collect();
        let Some(squares) = total(apart.iter().map(Tensor::square)) else { continue };
        // sum_j w (y_i - y_j) = y_i sum_j w - sum_j w y_j: one product with w = near².
        let near = (squares + 1.0).recip();
        let sums = near.square().matmul(&with_ones);
        let own = y.narrow(0, start, end - start) * sums.narrow(1, m, 1);
        push.push(own - sums.narrow(1, 0, m));
        mass.push(near.sum(1).sum(()));
    }
    (Tensor::cat(&push, 0), total(mass).unwrap_or_else(|| y.sum(())))
}

/// For each row the probabilities of its `k` neighbours: Gaussian in the distance, as wide as makes their perplexity (two to
/// the entropy) the wished one, found by bisection.
fn perplexed(squares: &[f64], k: usize, perplexity: f64) -> Vec<f64> {
    let wished = perplexity.min(k as f64).ln();
    let row = |squares: &[f64]| {
        let least = squares[0];
        let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0 / squares[k - 1].max(1e-12));
        let mut out = vec![0.0; k];
        // Each halves the interval: 100 are more than f64 can tell apart.
        for _ in 0..100 {
            out.iter_mut().zip(squares).for_each(|(p, d)| *p = (-beta * (d - least)).exp());
            let sum: f64 = out.iter().sum();
            let mean: f64 = out.iter().zip(squares).map(|(p, d)| p * (d - least)).sum::<f64>() / sum;
            out.iter_mut().for_each(|p| *p /= sum);
            let error = sum.ln() + beta * mean - wished;
            if error.abs() < 1e-5 {
                break;
            }
            if error > 0.0 {
                low = beta;
                beta = if high.is_finite() { (low + high) / 2.0 } else { beta * 2.0 };
            } else {
                high = beta;
                beta = (low + high) / 2.0;
            }
        }
        out
    };
    squares.chunks_exact(k).flat_map(row).collect()
}

impl Display for Embedding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let [n, m] = [self.points.shape()[0], self.points.shape()[1]];
        write!(
            f,
            "embedding: {n} rows in {m} dimensions, divergence {:.4} after {} iterations",
            self.divergence, self.iterations
        )
    }
}
