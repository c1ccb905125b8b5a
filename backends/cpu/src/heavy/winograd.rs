//! Convolutions of 3 x 3 taps and steps of 1 by Winograd's minimal filtering F(2x2, 3x3): 16 multiplications per tile of 2 x 2
//! results instead of 36.
//!
//! `y = A^T [sum over channels of (G g G^T) * (B^T d B)] A` for each tile, where `d` is a tile of 4 x 4 pixels: for each of
//! the 16 positions a matrix product over channels. The input gradient is the same with turned weights; the weight
//! gradient is `G^T [sum over tiles of (A dy A^T) * (B^T d B)] G`, products over tiles.
//!
//! A block of tiles is brought into pixels of [`LANES`] channels (one transposition), so that every transform is vector code
//! without shuffles and its results are operands that need no packing. A number that is not finite spoils
//! the results of its tiles, also those whose taps do not touch it.
//!
//! Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016), sections 4.1 and 4.3.
#![expect(unsafe_code, reason = "images and scratch are raw memory")]

mod forward;
mod transform;
mod weights;

use super::geometry::Geometry;
use super::lanes::Rows;
use super::panel::LANES;
pub(super) use forward::Winograd;
use transform::{Pixels, Tiles, Transforms};
pub(super) use weights::WinogradWeights;

/// Cycles of 16 tiles: per pair of channels what is saved, per channel of input and output what transforms cost. Counted
/// from the instructions of AVX2, with half of the costs added for safety.
const SAVED: usize = 20;
const COST: [usize; 2] = [165, 135];

/// Whether the shape is one of these and transforms cost less than they save.
fn suits(g: &Geometry) -> bool {
    let shape = g.groups == 1 && g.taps == [1, 3, 3] && g.stride == [1; 3] && g.dilation == [1; 3];
    let flat = g.input[0] == 1 && g.output[0] == 1 && g.padding[0] == 0;
    let any = g.batch * g.output[1] * g.output[2] * g.input[1] * g.input[2] > 0;
    // Tiles at the edges of odd sizes are partly wasted.
    let tiles = 4 * g.output[1].div_ceil(2) * g.output[2].div_ceil(2);
    let useful = SAVED * g.c_in * g.c_out * g.output[1] * g.output[2] / tiles.max(1);
    shape && flat && any && useful > COST[0] * padded(g.c_in) + COST[1] * padded(g.c_out)
}

/// Channels in whole blocks of lanes.
fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// How tiles are cut into blocks: some whole images, or some rows of one.
#[derive(Debug)]
struct Cut {
    images: usize,
    rows: usize,
    /// Blocks of an image.
    bands: usize,
    /// Tiles of a row.
    across: usize,
}

impl Cut {
    /// Blocks of at most `most` tiles (but at least one row), all of about the same size.
    fn new(g: &Geometry, most: usize) -> Cut {
        let (down, across) = (g.output[1].div_ceil(2), g.output[2].div_ceil(2));
        let bands = down.div_ceil((most / across).clamp(1, down));
        let images = if bands == 1 { (most / (down * across)).clamp(1, g.batch) } else { 1 };
        let images = g.batch.div_ceil(g.batch.div_ceil(images));
        Cut { images, rows: down.div_ceil(bands), bands, across }
    }

    fn tiles(&self) -> usize {
        self.images * self.rows * self.across
    }

    /// Rows of tiles in a band.
    fn rows_of(&self, band: usize, g: &Geometry) -> usize {
        self.rows.min(g.output[1].div_ceil(2) - band * self.rows)
    }

    /// Elements of the pixels of a band, with the edge that tiles share.
    fn pixels(&self) -> usize {
        (2 * self.rows + 2) * self.line()
    }

    /// Elements of a line of pixels.
    fn line(&self) -> usize {
        (2 * self.across + 2) * LANES
    }
}

/// Planes of an image or of its gradient: rows, columns, and zeros before them.
#[derive(Clone, Copy, Debug)]
struct Plane {
    size: [usize; 2],
    padding: [usize; 2],
}

/// Brings lines `from..from + lines` of the padded planes to pixels, `line` elements per line.
///
/// # Safety
/// `planes` are whole planes of `plane`, `to` is this thread's room for them.
unsafe fn bring(t: &Transforms, plane: Plane, planes: Rows<f32>, [from, lines, line]: [usize; 3], to: *mut f32) {
    let [height, width] = plane.size;
    let first = plane.padding[1].min(line / LANES);
    let count = width.min(line / LANES - first);
    for number in 0..lines {
        let at = (from + number).wrapping_sub(plane.padding[0]);
        // SAFETY: a line of this thread's room.
        let out = unsafe { std::slice::from_raw_parts_mut(to.add(number * line), line) };
        if at >= height {
            out.fill(0.0);
            continue;
        }
        out[..first * LANES].fill(0.0);
        out[(first + count) * LANES..].fill(0.0);
        let planes = Rows { start: planes.start.wrapping_add(at * width), length: count, ..planes };
        // SAFETY: a line of the planes, and its place in the room.
        unsafe { (t.turns.to_lanes)(planes, out.as_mut_ptr().add(first * LANES)) };
    }
}

/// Tiles `[position][tile][channel]` of a block of images of `x`, whose images lie `apart` elements apart: positions of
/// `channels` channels from `first` on, `width` elements per tile.
///
/// # Safety
/// The images are inside of `x`; `pixels` and `to` are this thread's rooms.
unsafe fn transform_input(
    t: &Transforms,
    g: &Geometry,
    cut: &Cut,
    band: usize,
    (x, images): (*mut f32, usize),
    (first, channels): (usize, usize),
    pixels: *mut f32,
    (to, width, apart): (*mut f32, usize, usize),
) {
    let plane = Plane { size: [g.input[1], g.input[2]], padding: [g.padding[1], g.padding[2]] };
    let rows = cut.rows_of(band, g);
    for block in (0..channels).step_by(LANES) {
        for image in 0..images {
            let planes = Rows {
                start: x.wrapping_add((image * g.c_in + first + block) * g.x_size()),
                apart: g.x_size(),
                rows: LANES.min(channels - block),
                length: 0,
            };
            let lines = [2 * band * cut.rows, 2 * rows + 2, cut.line()];
            // SAFETY: the caller's promise.
            unsafe { bring(t, plane, planes, lines, pixels) };
            for row in 0..rows {
                let from = Pixels { start: pixels.wrapping_add(2 * row * cut.line()), line: cut.line() };
                let tile = (image * rows + row) * cut.across;
                let to = Tiles { start: to.wrapping_add(tile * width + block), step: width, apart };
                // SAFETY: as above.
                unsafe { (t.input)(from, cut.across, to) };
            }
        }
    }
}
