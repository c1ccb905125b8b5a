//! PNG files of grey and RGB bytes: four chunks around what `flate2` compresses.
//!
//! Source: the PNG specification (third edition), sections 5.3 to 5.5 and 11.2.

use std::io::Write;

use anygrad_core::{DType, Error, Result, Tensor};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// A PNG file of an image `[height, width]`, `[1, height, width]` or `[3, height, width]`: floats from 0 to 1 (cut off outside,
/// NaN is black), or integers from 0 to 255.
///
/// # Errors
/// If the shape is another one, or the device fails.
pub fn png(image: &Tensor) -> Result<Vec<u8>> {
    let [channels, height, width] = dimensions(image)?;
    let factor = if image.dtype().is_float() || image.dtype() == DType::Bool { 255.0 } else { 1.0 };
    let values = image.to_f64()?;
    // Rounded to the nearest; NaN becomes 0.
    let byte = |i: usize| (values[i] * factor).round().clamp(0.0, 255.0) as u8;
    let pixels = (0..height * width).flat_map(|at| (0..channels).map(move |c| c * height * width + at));
    encode(&pixels.map(byte).collect::<Vec<u8>>(), width, height, channels)
        .map_err(|error| Error::data("image", format!("it cannot be packed: {error}")))
}

/// Channels, height and width.
pub(super) fn dimensions(image: &Tensor) -> Result<[usize; 3]> {
    match *image.shape() {
        [height, width] => Ok([1, height, width]),
        [channels @ (1 | 3), height, width] => Ok([channels, height, width]),
        _ => {
            let message = format!("{:?} is no image; give [height, width] or [1 or 3, height, width]", image.shape());
            Err(Error::data("image", message))
        }
    }
}

/// `pixels`: `[height, width, channels]`, 1 (grey) or 3 (RGB) channels.
fn encode(pixels: &[u8], width: usize, height: usize, channels: usize) -> std::io::Result<Vec<u8>> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let color = if channels == 3 { 2 } else { 0 };
    let sizes = [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()].concat();
    // Eight bits, color type, deflate, filters per row, not interlaced.
    chunk(&mut file, b"IHDR", &[&sizes[..], &[8, color, 0, 0, 0]].concat());
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks((width * channels).max(1)) {
        // Filter 0: as they are.
        encoder.write_all(&[0])?;
        encoder.write_all(row)?;
    }
    chunk(&mut file, b"IDAT", &encoder.finish()?);
    chunk(&mut file, b"IEND", &[]);
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(data);
    file.extend(crc.sum().to_be_bytes());
}
