//! [`Lander`]: land a craft softly on its pad, with physics of its own.

use anygrad_core::{DType, Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// Lunar gravity, m/s².
const GRAVITY: f64 = 1.62;
/// Acceleration by the main engine, along the craft's axis.
const MAIN: f64 = 4.0;
/// Sideways and angular acceleration by a side engine, m/s² and rad/s².
const SIDE: f64 = 0.3;
const TURN: f64 = 1.0;
/// Seconds per step.
const STEP: f64 = 0.05;
/// Metres and m/s per unit of an observation.
const METRES: f64 = 10.0;
const SPEED: f64 = 5.0;
/// What each step costs, so that hovering does not pay.
const TIME: f64 = 0.2;
/// Touching the ground is a landing below these: m/s along and across, radians, metres from the middle.
const SOFT: f64 = 1.5;
const UPRIGHT: f64 = 0.25;
const PAD: f64 = 3.0;

/// Land a craft on a pad. A rigid body in a plane without air: the state is position (0, 0 is the pad's middle), velocity, angle
/// (0 is upright, positive leans left) and angular velocity. Actions: 0 nothing, 1 the left engine (turns right), 2 the main
/// engine, 3 the right engine (turns left). It starts 14 m above the pad with random velocities and is integrated by
/// semi-implicit Euler steps of 50 ms:
///
/// `v += (-sin a, cos a) main + (cos a, sin a) side - (0, g)`, `x += v`, `spin += turn`, `a += spin`.
///
/// Reward: the change of `-100 (|x| + |v|) - 100 |a|` (position in units of 10 m, velocity of 5 m/s), less 0.2 per step, 0.3
/// more for the main engine and 0.03 more for a side engine. The episode ends on the ground: +120 if slower than 1.5 m/s both ways, within 0.25 rad
/// and 3 m of the middle, else -100; or farther than 10 m to a side, 20 m up or a half turn: -100. It is cut off after 500 steps.
/// Hovering gives about 0, a good landing more than 200.
///
/// The reward's form follows Gymnasium's `LunarLander`; the physics do not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lander;

/// What the reward is the change of.
fn potential(state: &[Tensor]) -> Tensor {
    let [x, y, dx, dy, angle] = [0, 1, 2, 3, 4].map(|i| &state[i]);
    let place = (x.square() + y.square()).sqrt() / METRES;
    let speed = (dx.square() + dy.square()).sqrt() / SPEED;
    (place + speed + angle.abs()) * -100.0
}

impl Environment for Lander {
    fn name(&self) -> &str {
        "Lander"
    }

    fn observation_space(&self) -> Space {
        Space::symmetric(&[f64::INFINITY; 6])
    }

    fn action_space(&self) -> Space {
        Space::Discrete(4)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(500)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let random = Tensor::uniform(&[5, n], -1.0, 1.0, device);
        let part = |i: isize, scale: f64| random.index_axis(0, i) * scale;
        let height = Tensor::full(&[n], 14.0, DType::F32, device);
        vec![part(0, 2.0), height, part(1, 2.0), part(2, 1.0) - 1.0, part(3, 0.2), part(4, 0.2)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let scales = [METRES, METRES, SPEED, SPEED, 1.0, 1.0];
        let parts: Vec<Tensor> = state.iter().zip(scales).map(|(part, scale)| part / scale).collect();
        Tensor::stack(&parts, -1)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let [x, y, dx, dy, angle, spin] = [0, 1, 2, 3, 4, 5].map(|i| &state[i]);
        let on = |number: i32| action.eq(number).cast(x.dtype());
        let (left, main, right) = (on(1), on(2), on(3));
        let (sin, cos) = (angle.sin(), angle.cos());
        let (up, side) = (&main * (MAIN * STEP), (&left - &right) * (SIDE * STEP));
        let dx = dx - &sin * &up + &cos * &side;
        let dy = dy + cos * up + sin * side - GRAVITY * STEP;
        let spin = spin + (&right - &left) * (TURN * STEP);
        let next = vec![x + &dx * STEP, y + &dy * STEP, dx, dy, angle + &spin * STEP, spin];
        let ground = next[1].le(0.0);
        let calm = next[2].abs().lt(SOFT).logical_and(&next[3].abs().lt(SOFT));
        let good = calm.logical_and(&next[4].abs().lt(UPRIGHT)).logical_and(&next[0].abs().lt(PAD));
        let lost = next[0].abs().gt(METRES).logical_or(&next[1].gt(2.0 * METRES));
        let lost = lost.logical_or(&next[4].abs().gt(std::f64::consts::PI));
        let landed = ground.logical_and(&good);
        let terminated = ground.logical_or(&lost);
        let end = landed.select(x.full_like(120.0), terminated.select(x.full_like(-100.0), x.full_like(0.0)));
        let fuel = main * 0.3 + (left + right) * 0.03 + TIME;
        let reward = potential(&next) - potential(state) + end - fuel;
        Step { state: next, reward, terminated }
    }
}
