//! [`Snake`]: eat, grow, and do not bite yourself, as an image of ten by ten.

use anygrad_core::{DType, Device, Tensor};

use crate::reinforcement::{Environment, Space, Step};

/// Cells of a side, and of all.
const SIDE: i32 = 10;
const CELLS: i32 = SIDE * SIDE;
/// Where the head begins, and how long the snake is then: it lies to the left of its head.
const START: i32 = 5 * SIDE + 4;
const LENGTH: i32 = 3;

/// Lead a snake (0 up, 1 right, 2 down, 3 left; the opposite of where it goes counts as straight on). It moves one cell per
/// step and grows by one with each bite of food: reward 1, and new food somewhere free. A wall or its own body ends the episode
/// with -1; the tail's cell is free by the time that the head arrives. A board without a free cell ends it, too. It is
/// cut off after 500 steps.
///
/// The observation is an image `[3, 10, 10]`: the head, the body (each cell by how long it stays, as a share of the length; the
/// head's is 1), the food.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snake;

/// Parts of the state, i32: head's cell, direction and food's cell `[n]`; for how many steps each cell stays, `[n, 100]`.
const HEAD: usize = 0;
const DIRECTION: usize = 1;
const FOOD: usize = 2;
const BODY: usize = 3;

/// Where a cell's number is, `[n, 100]`.
fn at(cell: &Tensor) -> Tensor {
    let numbers = Tensor::arange(0.0, f64::from(CELLS), 1.0, cell.device()).cast(DType::I32);
    cell.unsqueeze(-1).eq(numbers.unsqueeze(0))
}

impl Environment for Snake {
    fn name(&self) -> &str {
        "Snake"
    }

    fn observation_space(&self) -> Space {
        Space::uniform(&[3, SIDE as usize, SIDE as usize], 0.0, 1.0)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(4)
    }

    fn time_limit(&self) -> Option<usize> {
        Some(500)
    }

    fn reset(&self, n: usize, device: &Device) -> Vec<Tensor> {
        let whole = |value: i32| Tensor::full(&[n], f64::from(value), DType::I32, device);
        // Any cell but the snake's: those from its tail on are pushed behind its head.
        let food = Tensor::randint(&[n], 0, CELLS - LENGTH, device);
        let food = food.gt(START - LENGTH).select(&(&food + LENGTH), &food);
        let body = (0..CELLS).map(|cell| (cell - (START - LENGTH)).clamp(0, LENGTH) * i32::from(cell <= START));
        let body = Tensor::from_vec(body.collect(), &[1, CELLS as usize], device);
        vec![whole(START), whole(1), food, body.expand([n, CELLS as usize])]
    }

    fn observe(&self, state: &[Tensor]) -> Tensor {
        let body = state[BODY].cast(DType::F32);
        let share = &body / body.max_keep(-1);
        let planes = [at(&state[HEAD]).cast(DType::F32), share, at(&state[FOOD]).cast(DType::F32)];
        let side = SIDE as usize;
        Tensor::stack(&planes, 1).reshape([state[HEAD].size(0), planes.len(), side, side])
    }

    fn step(&self, state: &[Tensor], action: &Tensor) -> Step {
        let [head, direction, food, body] = [HEAD, DIRECTION, FOOD, BODY].map(|i| &state[i]);
        let back = (action - direction).abs().eq(2);
        let direction = back.select(direction, action);
        let is = |number: i32| direction.eq(number).cast(DType::I32);
        let row = head / SIDE + is(2) - is(0);
        let column = head % SIDE + is(1) - is(3);
        let outside = |x: &Tensor| x.lt(0).logical_or(&x.ge(SIDE));
        let wall = outside(&row).logical_or(&outside(&column));
        let inside = |x: &Tensor| x.maximum(0).minimum(SIDE - 1);
        let next = inside(&row) * SIDE + inside(&column);
        let here = at(&next);
        let eats = next.eq(food);
        // Without food the tail moves on before the head does.
        let length = body.max(-1) + eats.cast(DType::I32);
        let rest = eats.unsqueeze(-1).select(body, (body - 1).maximum(0));
        let bites = here.logical_and(&rest.gt(0)).any(-1);
        let dead = wall.logical_or(&bites);
        let eats = eats.logical_and(&dead.logical_not());
        let grown = here.select(length.unsqueeze(-1), &rest);
        let full = length.ge(CELLS);
        // New food on the free cell with the largest random number.
        let luck = Tensor::rand(body.shape(), body.device());
        let place = grown.gt(0).select(-1.0, &luck).argmax(-1);
        let food = eats.select(&place, food);
        let reward = eats.cast(DType::F32) - dead.cast(DType::F32);
        Step { state: vec![next, direction, food, grown], reward, terminated: dead.logical_or(&full) }
    }
}
