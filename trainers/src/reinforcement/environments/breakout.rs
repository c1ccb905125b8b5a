//! [`Breakout`]: bounce a ball off a paddle until all bricks are gone, as an image of ten by ten.

use anygrad_core::{DType, Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// Cells of a side.
const SIDE: i32 = 10;
/// Rows 1, 2 and 3 hold bricks.
const ROWS: i32 = 3;
const BRICKS: i32 = ROWS * SIDE;

/// Move a paddle on the lowest row (0 stay, 1 left, 2 right) so that the ball, which flies diagonally, comes back up and
/// breaks bricks: 1 reward each. When all are gone and the ball is on the lowest row, three new rows appear. The episode ends
/// when the ball is missed; it is cut off after 1,000 steps.
///
/// The observation is an image `[4, 10, 10]` of zeros and ones: paddle, ball, where the ball was before, bricks.
///
/// Source: Young and Tian, "MinAtar: an Atari-inspired testbed for thorough and reproducible reinforcement learning
/// experiments" (2019); the rules are its Breakout's without sticky actions, checked step for step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breakout;

/// Parts of the state: all i32 `[n]`, the directions -1 or 1; then the bricks, f32 `[n, 30]`.
const BALL: [usize; 2] = [0, 1];
const DIRECTION: [usize; 2] = [2, 3];
const BEFORE: [usize; 2] = [4, 5];
const PADDLE: usize = 6;
/// 1 after a brick was hit until the ball is free again: so long it breaks no other.
const STRUCK: usize = 7;
const WALL: usize = 8;

/// Where a cell's number is one of `0..count`, `[n, count]`.
fn at(cell: &Tensor, count: i32) -> Tensor {
    let numbers = Tensor::arange(0.0, f64::from(count), 1.0, cell.device()).cast(DType::I32);
    cell.unsqueeze(-1).eq(numbers.unsqueeze(0))
}

impl Environment for Breakout {
    fn name(&self) -> &str {
        "Breakout"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[4, SIDE as usize, SIDE as usize], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(3)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(1000)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let whole = |value: i32| Tensor::full(&[n], f64::from(value), DType::I32, device);
        // From the left edge to the right or the other way round.
        let left = Tensor::randint(&[n], 0, 2, device);
        let x = &left * (SIDE - 1);
        let right = &left * -2 + 1;
        let bricks = Tensor::ones(&[n, BRICKS as usize], device);
        vec![x.clone(), whole(3), right, whole(1), x, whole(3), whole(4), whole(0), bricks]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let n = state[PADDLE].size(0);
        let cell = |[x, y]: [usize; 2]| at(&(&state[y] * SIDE + &state[x]), SIDE * SIDE).cast(DType::F32);
        let paddle = at(&(&state[PADDLE] + SIDE * (SIDE - 1)), SIDE * SIDE).cast(DType::F32);
        let (above, below) = (SIDE as usize, (SIDE * (SIDE - 1)) as usize - BRICKS as usize);
        let bricks = state[WALL].cast(DType::F32).pad(&[(0, 0), (above, below)], 0.0);
        let planes = Tensor::stack(&[paddle, cell(BALL), cell(BEFORE), bricks], 1);
        planes.reshape([n, 4, SIDE as usize, SIDE as usize])
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let [ball_x, ball_y] = BALL.map(|i| &state[i]);
        let [right, down] = DIRECTION.map(|i| &state[i]);
        let bricks = &state[WALL];
        let moved = action.eq(2).cast(DType::I32) - action.eq(1).cast(DType::I32);
        let paddle = (&state[PADDLE] + moved).maximum(0).minimum(SIDE - 1);
        let (x, y) = (ball_x + right, ball_y + down);
        // The side walls, then one of: the ceiling, a brick, the lowest row.
        let beside = x.lt(0).logical_or(&x.ge(SIDE));
        let x = x.maximum(0).minimum(SIDE - 1);
        let ceiling = y.lt(0);
        let y = y.maximum(0);
        let here = at(&((&y - 1) * SIDE + &x), BRICKS);
        let brick = here.logical_and(&bricks.gt(0.5)).any(-1);
        let hit = brick.logical_and(&state[STRUCK].eq(0));
        let lowest = y.eq(SIDE - 1);
        let on = lowest.logical_and(&ball_x.eq(&paddle));
        let corner = lowest.logical_and(&x.eq(&paddle)).logical_and(&on.logical_not());
        let back = hit.logical_or(&on).logical_or(&corner);
        let turn = |flag: &Tensor, direction: &Tensor| flag.select(&(direction * -1), direction);
        let right = turn(&beside.logical_xor(&corner), right);
        let down = turn(&ceiling.logical_or(&back), down);
        let y = back.select(ball_y, &y);
        let rest = hit.unsqueeze(-1).logical_and(&here).select(0.0, bricks);
        // New rows come before the ball bounces or is missed.
        let cleared = lowest.logical_and(&rest.max(-1).lt(0.5));
        let rest = cleared.unsqueeze(-1).select(1.0, &rest);
        let next = vec![x, y, right, down, ball_x.clone(), ball_y.clone(), paddle, brick.cast(DType::I32), rest];
        let missed = lowest.logical_and(&back.logical_not());
        Step { state: next, reward: hit.cast(bricks.dtype()), terminated: missed }
    }
}
