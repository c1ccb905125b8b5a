//! [`film`]: one episode with the likeliest actions, as pictures; [`Film::gif`] makes a file of them.

use std::path::Path;
use std::sync::Arc;

use anygrad_core::{Device, Error, Program, Result, Tensor, Var};

use super::environment::{Environment, VectorEnvironment};
use super::evaluate::Actor;
use crate::checkpoint;

/// The colors of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// The background.
    White,
    /// Ground, axes.
    Grey,
    /// What is moved.
    Ink,
    /// What acts.
    Blue,
    /// What is to be watched.
    Red,
    /// What is wanted.
    Green,
}

/// Red, green and blue of each [`Color`].
const PALETTE: [[u8; 3]; 6] =
    [[250, 250, 247], [200, 200, 196], [50, 52, 56], [52, 104, 192], [208, 72, 60], [76, 150, 84]];

/// A picture of numbered colors, with coordinates as in mathematics: y grows upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// Row-major from the top.
    pixels: Vec<u8>,
}

/// Pixels of a side of all pictures.
const SIDE: usize = 200;

impl Default for Picture {
    /// White.
    fn default() -> Picture {
        Picture { width: SIDE, height: SIDE, pixels: vec![Color::White as u8; SIDE * SIDE] }
    }
}

impl Picture {
    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    /// The color at a place, both from 0 to 1 over the picture.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> Option<Color> {
        let all = [Color::White, Color::Grey, Color::Ink, Color::Blue, Color::Red, Color::Green];
        let pixel = |part: f64, size: usize| ((part * size as f64) as usize).min(size - 1);
        let index = pixel(1.0 - y, self.height) * self.width + pixel(x, self.width);
        self.pixels.get(index).and_then(|&number| all.get(usize::from(number)).copied())
    }

    /// Colors all pixels whose middle (both from 0 to 1) is inside.
    fn fill(&mut self, color: Color, inside: impl Fn(f64, f64) -> bool) {
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = ((i % self.width) as f64 + 0.5, (i / self.width) as f64 + 0.5);
            if inside(x / self.width as f64, 1.0 - y / self.height as f64) {
                *pixel = color as u8;
            }
        }
    }

    /// A rectangle with sides along the axes; places and lengths are shares of the picture, here and below.
    pub fn rectangle(&mut self, color: Color, [left, right]: [f64; 2], [bottom, top]: [f64; 2]) {
        self.fill(color, |x, y| (left..right).contains(&x) && (bottom..top).contains(&y));
    }

    /// A disc.
    pub fn disc(&mut self, color: Color, [cx, cy]: [f64; 2], radius: f64) {
        self.fill(color, |x, y| (x - cx).hypot(y - cy) <= radius);
    }

    /// A line with round ends.
    pub fn line(&mut self, color: Color, from: [f64; 2], to: [f64; 2], width: f64) {
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let squared = (dx * dx + dy * dy).max(1e-12);
        self.fill(color, |x, y| {
            let along = (((x - from[0]) * dx + (y - from[1]) * dy) / squared).clamp(0.0, 1.0);
            (x - from[0] - along * dx).hypot(y - from[1] - along * dy) <= width / 2.0
        });
    }

    /// A grid of square cells, row-major from the top; `None` stays as it is.
    pub fn cells(&mut self, columns: usize, cells: &[Option<Color>]) {
        let side = 1.0 / columns as f64;
        for (i, color) in cells.iter().enumerate() {
            let (x, y) = ((i % columns) as f64 * side, 1.0 - ((i / columns) as f64 + 1.0) * side);
            if let Some(color) = color {
                self.rectangle(*color, [x, x + side], [y, y + side]);
            }
        }
    }
}

/// An environment that can be drawn.
pub trait Draw: Environment {
    /// Draws a state of one world: each part's numbers.
    fn draw(&self, state: &[Vec<f64>], picture: &mut Picture);
}

/// The pictures of an episode.
#[derive(Clone, Debug)]
pub struct Film {
    /// One per step, before it is made.
    pub pictures: Vec<Picture>,
    /// The sum of the rewards.
    pub total: f64,
}

/// An episode of the first agent, of at most `limit` steps. Waits for the device at each step.
///
/// # Errors
/// If the environment and the policy do not fit or the device fails.
pub fn film<E: Draw + Clone + 'static>(
    actor: &impl Actor,
    environment: E,
    limit: usize,
    device: &Device,
) -> Result<Film> {
    let worlds = VectorEnvironment::new(Arc::new(environment.clone()), actor.seeds(), device)?;
    let memory = actor.memory(actor.seeds(), device)?;
    let mut step = Program::inference(device, |()| {
        // What is drawn is read before the step changes it.
        let mut told: Vec<Tensor> = worlds.state().iter().map(Var::get).collect();
        let step = worlds.step(&actor.act(&worlds.observe(), worlds.allowed().as_ref(), &memory));
        let done = step.done();
        told.extend([step.reward, done]);
        told
    });
    let mut film = Film { pictures: Vec::new(), total: 0.0 };
    for _ in 0..limit {
        let told = step.run(())?;
        let first = |tensor: &Tensor| -> Result<Vec<f64>> { tensor.narrow(0, 0, 1).to_f64() };
        let mut numbers = told.iter().map(first).collect::<Result<Vec<_>>>()?;
        let ended = numbers.pop().is_some_and(|done| done[0] != 0.0);
        film.total += numbers.pop().map_or(0.0, |reward| reward[0]);
        let mut picture = Picture::default();
        environment.draw(&numbers, &mut picture);
        film.pictures.push(picture);
        if ended {
            break;
        }
    }
    Ok(film)
}

impl Film {
    /// Writes an animation that repeats, with `pause` hundredths of a second between pictures (browsers want at least 2).
    ///
    /// # Errors
    /// If there are no pictures, or the file cannot be written.
    pub fn gif(&self, path: impl AsRef<Path>, pause: u16) -> Result<()> {
        let path = path.as_ref();
        let fail = |message: String| Error::data(path.display().to_string(), message);
        let Some(first) = self.pictures.first() else {
            return Err(fail("a film without pictures; give it at least one step".into()));
        };
        let packed = |error: gif::EncodingError| fail(format!("it cannot be packed: {error}"));
        let [width, height] = first.size().map(|size| size as u16);
        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, width, height, PALETTE.as_flattened()).map_err(packed)?;
        encoder.set_repeat(gif::Repeat::Infinite).map_err(packed)?;
        for picture in &self.pictures {
            let mut frame = gif::Frame::from_indexed_pixels(width, height, picture.pixels.as_slice(), None);
            frame.delay = pause;
            encoder.write_frame(&frame).map_err(packed)?;
        }
        drop(encoder);
        checkpoint::write_whole(path, &bytes)
    }
}
