//! The descent of t-SNE: as programs of the device with the repulsion of all pairs, or on the host with a tree.

use anygrad_core::{Device, Program, Result, Tensor, Var};

use super::attraction::{Attraction, Joint};
use super::host::Host;
use crate::unsupervised::resume::copied;
use crate::unsupervised::{ranges, total};

/// What a descent is at, each `[rows, dimensions]`.
pub(super) struct State {
    pub(super) points: Tensor,
    pub(super) velocity: Tensor,
    pub(super) gains: Tensor,
}

/// Iterations by one of the two ways.
pub(super) enum Step {
    Exact(Flow, Program<'static, (), Tensor>),
    Tree(Host),
}

impl Step {
    pub(super) fn new(joint: &Joint, state: &State, rate: f64, angle: Option<f64>) -> Result<Step> {
        if let Some(angle) = angle {
            return Ok(Step::Tree(Host::new(joint, state, angle, rate)?));
        }
        let device = state.points.device();
        let attraction = Attraction::new(joint, state.points.shape()[0], device)?;
        let flow = Flow::new(state)?;
        let step = flow.clone();
        let program = Program::inference(device, move |()| {
            let (push, mass) = all_pairs(&step.points.get());
            step.descend(&attraction, rate, &push, &mass)
        });
        Ok(Step::Exact(flow, program))
    }

    /// Iterates; the length of the last gradient, and the divergence before it, less its constant part.
    pub(super) fn run(&mut self, times: usize, exaggeration: f64, momentum: f64) -> Result<[f64; 2]> {
        match self {
            Step::Exact(flow, program) => {
                flow.settings.write(&[exaggeration as f32, momentum as f32])?;
                let looked = program.run_times(times, ())?.to_f64()?;
                Ok([looked[0], looked[1]])
            }
            Step::Tree(host) => Ok(host.run(times, exaggeration, momentum)),
        }
    }

    pub(super) fn state(&self, device: &Device) -> Result<State> {
        match self {
            Step::Exact(flow, _) => Ok(State {
                points: copied(&flow.points.get())?,
                velocity: copied(&flow.velocity.get())?,
                gains: copied(&flow.gains.get())?,
            }),
            Step::Tree(host) => host.state(device),
        }
    }
}

/// The state of the descent on the device.
#[derive(Clone)]
pub(super) struct Flow {
    points: Var,
    velocity: Var,
    gains: Var,
    /// Exaggeration and momentum.
    settings: Var,
}

impl Flow {
    fn new(state: &State) -> Result<Flow> {
        Ok(Flow {
            points: Var::try_new("points", &state.points)?,
            velocity: Var::try_new("velocity", &state.velocity)?,
            gains: Var::try_new("gains", &state.gains)?,
            settings: Var::try_new("settings", &Tensor::zeros(&[2], state.points.device()))?,
        })
    }

    /// One iteration, with the repulsion's sums of all points and of all pairs: gives the length of the gradient, and the
    /// divergence less its constant part.
    fn descend(&self, attraction: &Attraction, rate: f64, push: &Tensor, mass: &Tensor) -> Tensor {
        let y = self.points.get();
        let (exaggeration, momentum) = (self.settings.get().narrow(0, 0, 1), self.settings.get().narrow(0, 1, 1));
        let (pull, apart) = attraction.of(&y);
        // A row and itself are 0 apart, which only the sum must not count.
        let mass = mass - y.shape()[0] as f64;
        let gradient = (pull * exaggeration - push / &mass) * 4.0;
        let (speed, gain) = (self.velocity.get(), self.gains.get());
        let gain = (&speed * &gradient).lt(0.0).select(&gain + 0.2, &gain * 0.8).maximum(0.01);
        let speed = speed * momentum - &gradient * &gain * rate;
        self.points.assign(&(&y + &speed));
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
