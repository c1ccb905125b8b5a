//! [`GridWorld`]: find the way on a map.

use anygrad_core::{DType, Device, Error, Result, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// A map of cells: `.` free, `#` wall, `S` start, `G` goal (reward 1, ends), `H` hole (reward -1, ends). Actions: up, right,
/// down, left; a move into a wall or over the edge stays. Each step costs 0.01. The observation is the cell, one-hot; episodes
/// are cut off after 4 steps per cell.
#[derive(Clone, Debug, PartialEq)]
pub struct GridWorld {
    cells: usize,
    start: i32,
    /// Where each action leads, `[cells * 4]`.
    leads: Vec<i32>,
    /// 0, 1 or -1 per cell.
    prize: Vec<f32>,
}

impl GridWorld {
    /// From lines of equal length.
    ///
    /// # Errors
    /// If the lines differ in length, hold other characters, or there is not one start and at least one goal.
    pub fn new(map: &[&str]) -> Result<GridWorld> {
        let fail = |message: String| Err(Error::data("grid world", message));
        let width = map.first().map_or(0, |line| line.len());
        if width == 0 || map.iter().any(|line| line.len() != width) {
            return fail("the map's lines must be of one length, at least 1".into());
        }
        let tiles: Vec<u8> = map.concat().into_bytes();
        if let Some(&other) = tiles.iter().find(|tile| !b".#SGH".contains(tile)) {
            return fail(format!("'{}' is not a tile; use . # S G H", char::from(other)));
        }
        let starts: Vec<usize> = (0..tiles.len()).filter(|&i| tiles[i] == b'S').collect();
        let [start] = starts[..] else { return fail(format!("{} starts; one S is needed", starts.len())) };
        if !tiles.contains(&b'G') {
            return fail("there is no goal; put a G on the map".into());
        }
        let (height, width) = (map.len() as i32, width as i32);
        let mut leads = Vec::with_capacity(tiles.len() * 4);
        for cell in 0..tiles.len() as i32 {
            for (down, right) in [(-1, 0), (0, 1), (1, 0), (0, -1)] {
                let (y, x) = (cell / width + down, cell % width + right);
                let inside = (0..height).contains(&y) && (0..width).contains(&x);
                let free = inside && tiles[(y * width + x) as usize] != b'#';
                leads.push(if free { y * width + x } else { cell });
            }
        }
        let prize = |tile: &u8| {
            if *tile == b'G' {
                1.0
            } else if *tile == b'H' {
                -1.0
            } else {
                0.0
            }
        };
        Ok(GridWorld { cells: tiles.len(), start: start as i32, leads, prize: tiles.iter().map(prize).collect() })
    }
}

impl Environment for GridWorld {
    fn name(&self) -> &str {
        "GridWorld"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[self.cells], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(4)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(4 * self.cells)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        vec![Tensor::full(&[n], f64::from(self.start), DType::I32, device)]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        state[0].one_hot(self.cells).cast(DType::F32)
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let device = action.device();
        let leads = Tensor::from_vec(self.leads.clone(), &[self.leads.len()], device);
        let prizes = Tensor::from_vec(self.prize.clone(), &[self.cells], device);
        let cell = leads.index_select(0, &(&state[0] * 4 + action));
        let prize = prizes.index_select(0, &cell);
        Step { terminated: prize.ne(0.0), reward: prize - 0.01, state: vec![cell] }
    }
}
