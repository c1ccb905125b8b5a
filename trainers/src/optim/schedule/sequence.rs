//! Schedules one after the other.

use anygrad_core::{Error, Result};

use super::Schedule;

/// Each schedule for a number of steps, which it counts from 0; the last one stays. PyTorch's `SequentialLR`.
///
/// ```
/// use anygrad_trainers::optim::schedule::{Linear, Restarts, Schedule, Sequence};
///
/// let restarts = Restarts { lr: 0.1, lowest: 0.0, first: 200, growth: 2 };
/// let warm = Sequence::new(Linear { start: 0.0, end: 0.1, steps: 100 }).then(100, restarts);
/// assert_eq!(warm.rate(50), 0.05);
/// assert_eq!(warm.rate(100), 0.1);
/// ```
#[derive(Debug)]
pub struct Sequence {
    /// At which step each begins.
    parts: Vec<(u64, Box<dyn Schedule>)>,
}

impl Sequence {
    /// Begins with this.
    #[must_use]
    pub fn new(first: impl Schedule + 'static) -> Sequence {
        Sequence { parts: vec![(0, Box::new(first))] }
    }

    /// After the one before was used for `steps`, this.
    #[must_use]
    pub fn then(mut self, steps: u64, next: impl Schedule + 'static) -> Sequence {
        let begin = self.parts.last().map_or(0, |part| part.0) + steps;
        self.parts.push((begin, Box::new(next)));
        self
    }
}

impl Schedule for Sequence {
    fn rate(&self, step: u64) -> f64 {
        let part = self.parts.iter().rev().find(|part| part.0 <= step);
        part.map_or(0.0, |(begin, schedule)| schedule.rate(step - begin))
    }

    /// All parts see it, also those whose time has not come.
    fn observe(&mut self, value: f64) {
        self.parts.iter_mut().for_each(|part| part.1.observe(value));
    }

    /// The length of each part's state and then that.
    fn state(&self) -> Vec<f64> {
        let parts = self.parts.iter().map(|part| part.1.state());
        parts.flat_map(|state| std::iter::once(state.len() as f64).chain(state)).collect()
    }

    fn restore(&mut self, mut state: &[f64]) -> Result<()> {
        let wrong = || Error::data("sequence of schedules", "the saved run used others; use the same to resume");
        for (_, part) in &mut self.parts {
            let (len, rest) = state.split_first().ok_or_else(wrong)?;
            let (own, after) = rest.split_at_checked(*len as usize).ok_or_else(wrong)?;
            part.restore(own)?;
            state = after;
        }
        if state.is_empty() { Ok(()) } else { Err(wrong()) }
    }
}
