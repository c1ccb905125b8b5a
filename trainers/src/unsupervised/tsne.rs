//! t-SNE: rows as points of a plane such that neighbours stay neighbours.
//!
//! The attraction runs over lists of pairs of near rows, the repulsion over all pairs, which one fused row reduction computes
//! without storing them: one iteration is one program; the host looks every fifty. For many rows the host does it all, with a tree:
//! 1,797 digits take it 1.5 s of processor time, where the tree alone on the host, and the rest on the device, took 4 to 7.

mod attraction;
mod descent;
mod host;
mod tree;

use std::fmt::{Display, Formatter};
use std::ops::Range;

use anygrad_core::{Device, Result, Tensor};

use super::neighbors::nearest_rows;
use super::pca::{Components, Pca};
use super::resume::{STATE, Unfinished, check, state};
use super::store::{Model, Parts};
use super::{Rows, Run, by_threads, rows, wrong};
use crate::events::Listener;
use attraction::Joint;
use descent::{State, Step};

const METHOD: &str = "t-sne";

/// Iterations between looks at the gradient and the divergence.
const LOOK: usize = 50;

/// Rows from which the host with a tree is faster than all pairs on two cores: the digits, 1,797 rows, take it 1.5 s of processor time;
/// all pairs took 18, on a busy machine. Between those nothing was measured.
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
    unfinished: Unfinished,
}

impl Tsne {
    /// Embeds the rows of `data`.
    ///
    /// # Errors
    /// If the configuration is out of range, there are not more than `perplexity` rows, a number is NaN or infinite, or the
    /// device fails.
    pub fn fit(&self, device: &Device, data: &(impl Rows + ?Sized)) -> Result<Embedding> {
        self.go(device, data, None, None)
    }

    /// As [`Tsne::fit`], telling a listener `divergence` every fifty iterations; if it stops the run, the embedding is as far as
    /// it got, and [`Tsne::resume`] goes on.
    ///
    /// # Errors
    /// As [`Tsne::fit`], and what the listener returns.
    pub fn fit_with(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        listener: &mut dyn Listener,
    ) -> Result<Embedding> {
        self.go(device, data, None, Some(listener))
    }

    /// Goes on with a fit that was stopped, with the same `data`: the result is that of a fit that was not. A finished model is given
    /// back as it is.
    ///
    /// # Errors
    /// As [`Tsne::fit_with`]; if the model was made by another configuration or from a table of another size.
    pub fn resume(
        &self,
        data: &(impl Rows + ?Sized),
        model: &Embedding,
        listener: &mut dyn Listener,
    ) -> Result<Embedding> {
        let Some(state) = model.unfinished.as_deref() else { return Ok(model.clone()) };
        self.go(model.points.device(), data, Some((model, state)), Some(listener))
    }

    fn go(
        &self,
        device: &Device,
        data: &(impl Rows + ?Sized),
        from: Option<(&Embedding, &Parts)>,
        listener: Option<&mut dyn Listener>,
    ) -> Result<Embedding> {
        let x = rows::load(METHOD, data, device)?;
        let (n, m) = (x.shape()[0], self.dimensions);
        self.check(n, x.shape()[1])?;
        let x = (&x - x.mean(0)).realize()?.clone();
        let sizes = [("rows", n), ("features", x.shape()[1]), ("dimensions", m)];
        let mut done = from.map_or(0, |(model, _)| model.iterations);
        let mut run = Run::begin(listener, METHOD, done as u64, Some(self.max_iterations as u64))?;

        let k = ((3.0 * self.perplexity) as usize + 1).min(n - 1);
        let (distances, index) = nearest_rows(&x, &x, k, true)?;
        let conditional = perplexed(&distances.to_f64()?, k, self.perplexity);
        let joint = Joint::new(&conditional, &index.to_vec::<i32>()?, k);
        let begun = match from {
            Some((model, from)) => {
                check(from, METHOD, &sizes)?;
                let mut from = from.clone();
                let (velocity, gains) = (from.take("velocity")?, from.take("gains")?);
                State { points: model.points.clone(), velocity, gains }
            }
            None => {
                let start =
                    Pca { components: Components::Count(m), ..Pca::default() }.fit(device, &x)?.transform(&x)?;
                // A thousandth of a unit apart, or the tails of the Student distribution would not let them move.
                let spread = start.narrow(1, 0, 1).std((), 0);
                let points = start / spread.maximum(f64::MIN_POSITIVE) * 1e-4;
                State { points, velocity: Tensor::zeros(&[n, m], device), gains: Tensor::ones(&[n, m], device) }
            }
        };
        let mut step = Step::new(&joint, &begun, self.rate(n), self.angle(n))?;
        let mut divergence = from.map_or(f64::INFINITY, |(model, _)| model.divergence);
        let mut stands = false;
        while done < self.max_iterations && !stands {
            let early = done < 250;
            let (exaggeration, momentum) = if early { (self.exaggeration, 0.5) } else { (1.0, 0.8) };
            let times = (LOOK - done % LOOK).min(self.max_iterations - done);
            let looked = step.run(times, exaggeration, momentum)?;
            done += times;
            divergence = joint.entropy + looked[1];
            stands = !early && looked[0] <= self.least_gradient;
            if run.iteration(done as u64, &[("divergence", divergence), ("gradient", looked[0])])? {
                break;
            }
        }
        run.done()?;
        if !divergence.is_finite() {
            return Err(wrong(METHOD, "the embedding diverged; lower the learning rate"));
        }
        let State { points, velocity, gains } = step.state(device)?;
        let at = || state(device, METHOD, &sizes).tensor("velocity", &velocity).tensor("gains", &gains);
        let unfinished = (done < self.max_iterations && !stands).then(|| Box::new(at()));
        Ok(Embedding { points, divergence, iterations: done, unfinished })
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
    let rows = |part: Range<usize>| -> Vec<f64> {
        squares[part.start * k..part.end * k].chunks_exact(k).flat_map(row).collect()
    };
    by_threads(0..squares.len() / k, rows).concat()
}

impl Model for Embedding {
    const KIND: &'static str = "t-sne";

    fn parts(&self) -> Parts {
        let parts = Parts::default().tensor("points", &self.points).set("divergence", self.divergence);
        parts.set("iterations", self.iterations).within(STATE, self.unfinished.as_deref().cloned())
    }

    fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    fn from_parts(mut parts: Parts) -> Result<Embedding> {
        Ok(Embedding {
            points: parts.take("points")?,
            divergence: parts.number("divergence")?,
            iterations: parts.count("iterations")?,
            unfinished: parts.take_within(STATE).map(Box::new),
        })
    }
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
