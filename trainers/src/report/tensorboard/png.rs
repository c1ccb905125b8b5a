//! PNG files of grey and RGB bytes: four chunks around what `flate2` compresses.
//!
//! Source: the PNG specification (third edition), sections 5.3 to 5.5 and 11.2.

use std::io::{Result, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// `pixels`: `[height, width, channels]`, 1 (grey) or 3 (RGB) channels.
pub(super) fn encode(pixels: &[u8], width: usize, height: usize, channels: usize) -> Result<Vec<u8>> {
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
