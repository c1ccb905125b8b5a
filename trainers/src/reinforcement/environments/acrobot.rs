//! [`Acrobot`]: swing a double pendulum above a line.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use anygrad_core::{Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

const GRAVITY: f64 = 9.8;
/// Length of the first link; both weigh 1 kg with a moment of inertia of 1.
const LENGTH: f64 = 1.0;
/// From a link's joint to its centre of mass.
const CENTRE: f64 = 0.5;
/// Seconds per step.
const STEP: f64 = 0.2;
const SPEEDS: [f64; 2] = [4.0 * PI, 9.0 * PI];

/// Swing the end of two links above a line with a torque of -1, 0 or 1 N m (actions 0, 1, 2) at the joint between them. State:
/// both angles and their velocities; observation: cosines, sines, velocities. Reward -1 per step until the goal, where the
/// episode ends; it is cut off after 500 steps.
///
/// Sources: Sutton, "Generalization in reinforcement learning: successful examples using sparse coarse coding" (1996), with
/// the equations of Sutton and Barto's book; numbers are those of Gymnasium's `Acrobot-v1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acrobot;

/// Time derivatives of angles and velocities under a torque.
fn derivatives(state: &[Tensor; 4], torque: &Tensor) -> [Tensor; 4] {
    let [a, b, da, db] = state;
    let (cos, sin) = (b.cos(), b.sin());
    let d1 = &cos * (2.0 * LENGTH * CENTRE) + (CENTRE * CENTRE + LENGTH * LENGTH + CENTRE * CENTRE + 2.0);
    let d2 = cos * (LENGTH * CENTRE) + (CENTRE * CENTRE + 1.0);
    let phi2 = (a + b - FRAC_PI_2).cos() * (CENTRE * GRAVITY);
    let both = LENGTH * CENTRE;
    let phi1 = &phi2 + (a - FRAC_PI_2).cos() * ((CENTRE + LENGTH) * GRAVITY)
        - db.square() * &sin * both
        - db * da * &sin * (2.0 * both);
    let ratio = &d2 / &d1;
    let pull = torque + &ratio * &phi1 - da.square() * sin * both - phi2;
    let ddb = pull / (&d2 * ratio * -1.0 + (CENTRE * CENTRE + 1.0));
    let dda = (d2 * &ddb + phi1) / d1 * -1.0;
    [da.clone(), db.clone(), dda, ddb]
}

/// One step of the classic Runge-Kutta method.
fn integrate(state: &[Tensor; 4], torque: &Tensor) -> [Tensor; 4] {
    let moved = |by: &[Tensor; 4], time: f64| std::array::from_fn(|i| &state[i] + &by[i] * time);
    let k1 = derivatives(state, torque);
    let k2 = derivatives(&moved(&k1, STEP / 2.0), torque);
    let k3 = derivatives(&moved(&k2, STEP / 2.0), torque);
    let k4 = derivatives(&moved(&k3, STEP), torque);
    std::array::from_fn(|i| &state[i] + (&k1[i] + (&k2[i] + &k3[i]) * 2.0 + &k4[i]) * (STEP / 6.0))
}

impl Environment for Acrobot {
    fn name(&self) -> &str {
        "Acrobot"
    }

    fn observation_space(&self) -> Space {
        Space::symmetric(&[1.0, 1.0, 1.0, 1.0, SPEEDS[0], SPEEDS[1]])
    }

    fn action_space(&self) -> Space {
        Space::Discrete(3)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(500)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let all = Tensor::uniform(&[4, n], -0.1, 0.1, device);
        (0..4).map(|i| all.index_axis(0, i)).collect()
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let (a, b) = (&state[0], &state[1]);
        Tensor::stack(&[a.cos(), a.sin(), b.cos(), b.sin(), state[2].clone(), state[3].clone()], -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let torque = action.cast(state[0].dtype()) - 1.0;
        let [a, b, da, db] = integrate(&std::array::from_fn(|i| state[i].clone()), &torque);
        // Faster than one turn per step is impossible, so one correction is enough.
        let wrap = |x: Tensor| {
            let x = x.gt(PI).select(&x - TAU, &x);
            x.lt(-PI).select(&x + TAU, &x)
        };
        let (a, b) = (wrap(a), wrap(b));
        let (da, db) = (da.clamp(-SPEEDS[0], SPEEDS[0]), db.clamp(-SPEEDS[1], SPEEDS[1]));
        let terminated = (a.cos() * -1.0 - (&a + &b).cos()).gt(1.0);
        let reward = terminated.select(a.full_like(0.0), a.full_like(-1.0));
        Step { state: vec![a, b, da, db], reward, terminated }
    }
}
