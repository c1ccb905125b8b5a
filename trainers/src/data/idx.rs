//! The idx format of MNIST and its kin: two zero bytes, a type byte, the number of axes, each axis as a big-endian u32,
//! then the numbers row-major. Bytes (type 0x08) alone are read here; the files may be gzip.
//!
//! Source: Y. LeCun, "The MNIST database", section "File formats for the MNIST database".

use std::io::Read;
use std::path::Path;

use anygrad_core::{Error, Result};

use super::read;

/// An array of bytes with its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Sizes of the axes; the first counts the rows.
    pub shape: Vec<usize>,
    /// The bytes, row-major: as many as the shape's product.
    pub values: Vec<u8>,
}

/// Reads an idx file, plain or gzip.
///
/// # Errors
/// If the file is missing or damaged, is not idx, holds other numbers than bytes, or is shorter or longer than it says.
pub fn read(path: &Path) -> Result<Idx> {
    parse(&path.display().to_string(), read::open(path)?)
}

/// Reads idx from a stream of unpacked bytes; `name` is for messages.
///
/// # Errors
/// As [`read()`].
pub fn parse(name: &str, mut source: impl Read) -> Result<Idx> {
    let mut word = |what: &str| -> Result<[u8; 4]> {
        let mut bytes = [0; 4];
        source.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::data(name, format!("the file ends inside of its {what}; fetch it again"))
            }
            _ => read::broken(name, &error),
        })?;
        Ok(bytes)
    };
    let magic = word("first four bytes")?;
    let [0, 0, kind, rank] = magic else {
        let found = u32::from_be_bytes(magic);
        let message =
            format!("begins with 0x{found:08x}, which is not idx (0x00000801 for labels, 0x00000803 for images)");
        return Err(Error::data(name, format!("{message}; check that it is the right file")));
    };
    if kind != 0x08 {
        return Err(Error::data(name, format!("idx elements of type 0x{kind:02x}; only bytes (0x08) are read")));
    }
    if !(1..=8).contains(&rank) {
        return Err(Error::data(name, format!("idx with {rank} axes; 1 to 8 are read")));
    }
    let shape = (0..rank).map(|_| Ok(u32::from_be_bytes(word("axis sizes")?) as usize)).collect::<Result<Vec<_>>>()?;
    let len =
        shape.iter().try_fold(1usize, |len, &size| len.checked_mul(size)).filter(|&len| len < isize::MAX as usize);
    let Some(len) = len else {
        return Err(Error::data(name, format!("its header asks for {shape:?} bytes, more than any machine holds")));
    };
    // The header is not believed: memory grows with what is really there.
    let mut values = Vec::new();
    let found = source.take(len as u64 + 1).read_to_end(&mut values).map_err(|error| read::broken(name, &error))?;
    match found {
        n if n < len => Err(Error::data(
            name,
            format!(
                "its header promises {shape:?} = {len} bytes, but only {n} follow; the file is cut off, fetch it again"
            ),
        )),
        n if n > len => Err(Error::data(
            name,
            format!(
                "more bytes follow than the {len} of {shape:?} that its header promises; it is not this file's end"
            ),
        )),
        _ => Ok(Idx { shape, values }),
    }
}
