//! Worlds to learn in. The classic controls follow Gymnasium's dynamics, limits, rewards and time limits exactly,
//! Breakout the rules of MinAtar's.

mod acrobot;
mod bandit;
mod breakout;
mod cart_pole;
mod grid_world;
mod identity;
mod lander;
mod mountain_car;
mod pendulum;
mod pictures;
mod snake;

pub use acrobot::Acrobot;
pub use bandit::Bandit;
pub use breakout::Breakout;
pub use cart_pole::CartPole;
pub use grid_world::GridWorld;
pub use identity::{Identity, IdentityBox, Recall};
pub use lander::Lander;
pub use mountain_car::{MountainCar, MountainCarContinuous};
pub use pendulum::Pendulum;
pub use snake::Snake;
