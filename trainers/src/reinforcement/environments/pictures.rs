//! What the environments look like.

use super::{Acrobot, Breakout, CartPole, Lander, MountainCar, Pendulum, Snake};
use crate::reinforcement::film::{Color, Draw, Picture};

/// From the middle of the picture: a length at an angle from straight down, counter-clockwise.
fn hanging(from: [f64; 2], angle: f64, length: f64) -> [f64; 2] {
    [from[0] + length * angle.sin(), from[1] - length * angle.cos()]
}

impl Draw for CartPole {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        // The track is 4.8 m wide; angles are from straight up, clockwise.
        let (x, angle) = (0.5 + state[0][0] / 4.8, state[2][0]);
        picture.rectangle(Color::Grey, [0.0, 1.0], [0.38, 0.39]);
        picture.rectangle(Color::Ink, [x - 0.06, x + 0.06], [0.36, 0.42]);
        picture.line(Color::Blue, [x, 0.42], [x + 0.35 * angle.sin(), 0.42 + 0.35 * angle.cos()], 0.025);
        picture.disc(Color::Red, [x, 0.42], 0.018);
    }
}

impl Draw for Pendulum {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        // From straight up, counter-clockwise.
        let angle = state[0][0];
        let end = [0.5 - 0.4 * angle.sin(), 0.5 + 0.4 * angle.cos()];
        picture.line(Color::Blue, [0.5, 0.5], end, 0.07);
        picture.disc(Color::Ink, [0.5, 0.5], 0.025);
    }
}

impl Draw for Acrobot {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        // Both links are 1 m long, a fifth of the picture; the line to pass is 1 m above the middle.
        let elbow = hanging([0.5, 0.5], state[0][0], 0.2);
        let end = hanging(elbow, state[0][0] + state[1][0], 0.2);
        picture.rectangle(Color::Green, [0.0, 1.0], [0.7, 0.707]);
        picture.line(Color::Ink, [0.5, 0.5], elbow, 0.03);
        picture.line(Color::Blue, elbow, end, 0.03);
        picture.disc(Color::Red, elbow, 0.02);
    }
}

impl Draw for MountainCar {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        // The way is from -1.2 to 0.6, its height sin(3 x); the flag stands at 0.5.
        let place = |x: f64| [(x + 1.2) / 1.8, 0.5 + 0.3 * (3.0 * x).sin()];
        for i in 0..60 {
            let [from, to] = [i, i + 1].map(|i| place(-1.2 + 1.8 * f64::from(i) / 60.0));
            picture.line(Color::Grey, from, to, 0.01);
        }
        let [x, y] = place(0.5);
        picture.line(Color::Green, [x, y], [x, y + 0.12], 0.015);
        let [x, y] = place(state[0][0]);
        picture.disc(Color::Blue, [x, y + 0.03], 0.035);
    }
}

impl Draw for Lander {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        // 20 m wide and high; the pad is 6 m wide.
        let [x, y, angle] = [0, 1, 4].map(|i| state[i][0]);
        let at = |x: f64, y: f64| [0.5 + x / 20.0, 0.05 + y / 20.0];
        picture.rectangle(Color::Grey, [0.0, 1.0], [0.0, 0.05]);
        picture.rectangle(Color::Green, [0.35, 0.65], [0.035, 0.05]);
        let turned = |right: f64, up: f64| {
            at(x + right * angle.cos() - up * angle.sin(), y + right * angle.sin() + up * angle.cos())
        };
        for side in [-0.9, 0.9] {
            picture.line(Color::Ink, turned(side * 0.6, 0.8), turned(side, 0.0), 0.012);
        }
        picture.line(Color::Blue, turned(0.0, 0.8), turned(0.0, 1.7), 0.06);
    }
}

impl Draw for Breakout {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        let mut cells = vec![None; 100];
        for (i, brick) in state[8].iter().enumerate() {
            cells[10 + i] = (*brick > 0.5).then_some([Color::Red, Color::Grey][(i + i / 10) % 2]);
        }
        let whole = |i: usize| state[i][0] as usize;
        cells[90 + whole(6)] = Some(Color::Blue);
        cells[whole(1) * 10 + whole(0)] = Some(Color::Ink);
        picture.cells(10, &cells);
    }
}

impl Draw for Snake {
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture) {
        let mut cells: Vec<_> = state[3].iter().map(|stays| (*stays > 0.0).then_some(Color::Blue)).collect();
        cells[state[2][0] as usize] = Some(Color::Green);
        cells[state[0][0] as usize] = Some(Color::Ink);
        picture.cells(10, &cells);
    }
}
