//! Worlds to learn in. The classic controls follow Gymnasium's dynamics, limits, rewards and time limits exactly.

mod acrobot;
mod cart_pole;
mod mountain_car;
mod pendulum;

pub use acrobot::Acrobot;
pub use cart_pole::CartPole;
pub use mountain_car::{MountainCar, MountainCarContinuous};
pub use pendulum::Pendulum;
