//! NumPy's files: `.npy` (one array) and `.npz` (several by name, in a zip archive), read and written.
//!
//! Floats of 2, 4 and 8 bytes keep their type, bool too; integers of 1 to 8 bytes become i32 (u32 if unsigned with 4 bytes or
//! more), and one that does not fit is an error. Big-endian and Fortran-ordered arrays are turned round.
//! Source: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays"; PKWARE, ".ZIP file format specification".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anygrad_core::{DType, Element, Error, Result};
use flate2::read::DeflateDecoder;

use super::{Array, read};

/// Reads an `.npy` file, plain or gzip.
///
/// # Errors
/// If it is missing, damaged, no `.npy` file, or holds numbers that no tensor can.
pub fn read_npy(path: &Path) -> Result<Array> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    read::open(path)?.read_to_end(&mut bytes).map_err(|error| read::broken(&name, &error))?;
    parse_npy(&name, &bytes)
}

/// Reads all arrays of an `.npz` file, plain or compressed.
///
/// # Errors
/// If it is missing, damaged, no `.npz` file, or an array holds numbers that no tensor can.
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, Array>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    let array = |(file, content): (String, Vec<u8>)| {
        let array = parse_npy(&format!("{name}, array '{file}'"), &content)?;
        Ok((file.trim_end_matches(".npy").to_string(), array))
    };
    unzip(&name, &bytes)?.into_iter().map(array).collect()
}

/// Writes an `.npy` file.
///
/// # Errors
/// If it cannot be written.
pub fn write_npy(path: &Path, array: &Array) -> Result<()> {
    std::fs::write(path, npy(array)).map_err(|error| Error::io(path, &error))
}

/// Writes an `.npz` file, without compression (NumPy's `savez`).
///
/// # Errors
/// If it cannot be written, or is 4 GB or larger.
pub fn write_npz(path: &Path, arrays: &BTreeMap<String, Array>) -> Result<()> {
    let files: Vec<(String, Vec<u8>)> =
        arrays.iter().map(|(name, array)| (format!("{name}.npy"), npy(array))).collect();
    if files.iter().map(|(name, bytes)| name.len() * 2 + bytes.len() + 76).sum::<usize>() > u32::MAX as usize - 22 {
        return Err(Error::data(path.display().to_string(), "over 4 GB; write several files"));
    }
    std::fs::write(path, zip(&files)).map_err(|error| Error::io(path, &error))
}

/// The bytes of an `.npy` file.
#[must_use]
pub fn npy(array: &Array) -> Vec<u8> {
    let (descr, content) = match array.dtype() {
        DType::F32 => ("<f4", array.bytes().to_vec()),
        DType::F16 => ("<f2", array.bytes().to_vec()),
        DType::F64 => ("<f8", array.bytes().to_vec()),
        DType::I32 => ("<i4", array.bytes().to_vec()),
        DType::U32 => ("<u4", array.bytes().to_vec()),
        DType::Bool => ("|b1", bool::load(array.bytes()).into_iter().map(u8::from).collect()),
    };
    let sizes: String = array.shape().iter().map(|size| format!("{size},")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The header's end is a multiple of 64 bytes: 10 before it, a line end after.
    header.extend(std::iter::repeat_n(' ', (11 + header.len()).next_multiple_of(64) - 11 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    bytes.extend(content);
    bytes
}

/// What stands before the numbers.
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
    /// Bytes until the numbers begin.
    length: usize,
}

/// Reads the beginning of an `.npy` file.
fn header(name: &str, bytes: &[u8]) -> Result<Header> {
    let wrong = |message: &str| Error::data(name, message.to_string());
    let version = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', version @ 1..=3, _, ..] => *version,
        _ => return Err(wrong("does not begin as .npy files do; check that it is the right file")),
    };
    let cut = || wrong("the file ends inside of its header; fetch it again");
    let (length, start) = match version {
        1 => (bytes.get(8..10).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8), 10usize),
        _ => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
    };
    let header = length.and_then(|length| bytes.get(start..start.checked_add(length)?)).ok_or_else(cut)?;
    let length = start + header.len();
    let header = std::str::from_utf8(header).map_err(|_| wrong("its header is not text"))?;
    let after = |key: &str| -> Result<&str> {
        let found = header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        found.ok_or_else(|| Error::data(name, format!("its header lacks '{key}': {header}")))
    };
    let descr = after("descr")?.split('\'').nth(1).filter(|_| after("descr").is_ok_and(|d| d.starts_with('\'')));
    let descr = descr.ok_or_else(|| wrong("it holds records; save each field as an array of its own"))?;
    let inside = after("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(sizes, _)| sizes);
    let sizes = inside.unwrap_or("?").split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape =
        sizes.map(|size| size.trim_end_matches('L').parse::<usize>()).collect::<std::result::Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| Error::data(name, format!("its header has no readable shape: {header}")))?;
    Ok(Header { descr: descr.to_string(), fortran: after("fortran_order")?.starts_with("True"), shape, length })
}

/// An `.npy` file of f32 rows on disk, of which only what is asked for is read: a table larger than memory.
#[derive(Debug)]
pub struct NpyRows {
    name: String,
    file: Mutex<File>,
    rows: usize,
    features: usize,
    start: u64,
}

impl NpyRows {
    /// Opens a file `[rows, features]` of little-endian f32, uncompressed, not in Fortran's order.
    ///
    /// # Errors
    /// If it is missing, no `.npy` file, holds another type or shape, or is cut off.
    pub fn open(path: &Path) -> Result<NpyRows> {
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let mut bytes = Vec::new();
        // Headers have at most 2^16 bytes in version 1; those of NumPy have about 120.
        file.by_ref().take(1 << 16).read_to_end(&mut bytes).map_err(|error| Error::io(path, &error))?;
        let found = header(&name, &bytes)?;
        let [rows, features] = found.shape[..] else {
            return Err(Error::data(name, format!("it holds {:?}, not [rows, features]; reshape it", found.shape)));
        };
        if found.descr != "<f4" || found.fortran {
            let order = if found.fortran { " in Fortran's order" } else { "" };
            let message = format!("it holds '{}'{order}; save it as np.ascontiguousarray(x, 'float32')", found.descr);
            return Err(Error::data(name, message));
        }
        let length = file.metadata().map_err(|error| Error::io(path, &error))?.len();
        let start = found.length as u64;
        if length != start + (rows * features * 4) as u64 {
            let message = format!("{length} bytes are not those of {:?}; it is cut off or damaged", found.shape);
            return Err(Error::data(name, message));
        }
        Ok(NpyRows { name, file: Mutex::new(file), rows, features, start })
    }

    /// Number of rows and of features.
    #[must_use]
    pub fn dimensions(&self) -> (usize, usize) {
        (self.rows, self.features)
    }

    /// The numbers of rows `start..start + len`.
    ///
    /// # Errors
    /// If there are fewer rows or they cannot be read.
    pub fn read(&self, start: usize, len: usize) -> Result<Vec<f32>> {
        if start + len > self.rows {
            let message = format!("rows {start}..{} were asked for, there are {}", start + len, self.rows);
            return Err(Error::data(&self.name, message));
        }
        let mut bytes = vec![0; len * self.features * 4];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let at = SeekFrom::Start(self.start + (start * self.features * 4) as u64);
        file.seek(at)
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| Error::data(&self.name, format!("rows from {start} on cannot be read: {error}")))?;
        Ok(f32::load(&bytes))
    }
}

/// Reads the bytes of an `.npy` file; `name` is for messages.
///
/// # Errors
/// As [`read_npy`].
pub fn parse_npy(name: &str, bytes: &[u8]) -> Result<Array> {
    let Header { descr, fortran, shape, length } = header(name, bytes)?;
    let (content, descr) = (&bytes[length..], descr.as_str());

    let (order, kind) = descr.split_at(descr.len().min(1));
    let unknown =
        || Error::data(name, format!("numbers of type '{descr}'; bool, integers and floats are read: cast them"));
    let size: usize =
        kind.get(1..).and_then(|size| size.parse().ok()).filter(|s| [1, 2, 4, 8].contains(s)).ok_or_else(unknown)?;
    let length = shape.iter().try_fold(size, |len, &axis| len.checked_mul(axis));
    if length != Some(content.len()) {
        let message = format!("{} bytes of numbers, {shape:?} of '{descr}' needs {length:?}", content.len());
        return Err(Error::data(name, format!("{message}; it is cut off or damaged, fetch it again")));
    }
    let mut content = content.to_vec();
    if order == ">" {
        content.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    if fortran && shape.len() > 1 {
        content = row_major(&content, &shape, size);
    }
    let array = |dtype, bytes| Array::from_bytes(bytes, dtype, &shape);
    match (&kind[..1], size) {
        ("f", 4) => array(DType::F32, content),
        ("f", 2) => array(DType::F16, content),
        ("f", 8) => array(DType::F64, content),
        ("b", 1) => Array::new(&content.iter().map(|&b| b != 0).collect::<Vec<bool>>(), &shape),
        ("i", 4) => array(DType::I32, content),
        ("u", 4) => array(DType::U32, content),
        ("i" | "u", _) => {
            let value = |bytes: &[u8]| -> i128 {
                // Little-endian; the sign is in the last byte.
                let negative = kind.starts_with('i') && bytes[bytes.len() - 1] >= 0x80;
                let unsigned = bytes.iter().rev().fold(0i128, |x, &byte| x << 8 | i128::from(byte));
                if negative { unsigned - (1 << (8 * bytes.len())) } else { unsigned }
            };
            let values = content.chunks_exact(size).map(value);
            let far =
                |x: i128| Error::data(name, format!("the number {x} does not fit into 32 bits; save it as a float"));
            match kind == "u8" {
                true => {
                    let values = values.map(|x| u32::try_from(x).map_err(|_| far(x))).collect::<Result<Vec<u32>>>()?;
                    Array::new(&values, &shape)
                }
                false => {
                    let values = values.map(|x| i32::try_from(x).map_err(|_| far(x))).collect::<Result<Vec<i32>>>()?;
                    Array::new(&values, &shape)
                }
            }
        }
        _ => Err(unknown()),
    }
}

/// First axis fastest to last axis fastest.
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = vec![0; shape.len()];
    for _ in 0..bytes.len() / size {
        let at = place.iter().zip(shape).rev().fold(0, |at, (&i, &axis)| at * axis + i);
        out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    out
}

/// The files of a zip archive by its directory at the end, their checksums verified.
fn unzip(name: &str, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let damaged = || Error::data(name, "it is no zip archive, or is cut off or damaged; fetch it again");
    let short = |at: usize| -> Result<usize> {
        bytes.get(at..at + 2).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8).ok_or_else(damaged)
    };
    let long = |at: usize| Ok::<usize, Error>(short(at)? | short(at + 2)? << 16);
    // The last record has 22 bytes, and a comment of at most 65,535 after it.
    let last = bytes.len().checked_sub(22).ok_or_else(damaged)?;
    let end = (last.saturating_sub(0xffff)..=last).rev().find(|&at| bytes[at..].starts_with(b"PK\x05\x06"));
    let end = end.ok_or_else(damaged)?;
    let (count, mut entry) = (short(end + 10)?, long(end + 16)?);
    let mut files = Vec::new();
    for _ in 0..count {
        if !bytes.get(entry..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
            return Err(damaged());
        }
        let (flags, method, checksum) = (short(entry + 8)?, short(entry + 10)?, long(entry + 16)?);
        let (packed, size, start) = (long(entry + 20)?, long(entry + 24)?, long(entry + 42)?);
        let label = bytes.get(entry + 46..entry + 46 + short(entry + 28)?).ok_or_else(damaged)?;
        let label = String::from_utf8_lossy(label).into_owned();
        if [packed, size, start].contains(&0xffff_ffff) || flags & 1 != 0 {
            return Err(Error::data(name, format!("'{label}' is over 4 GB or encrypted; save it as .npy")));
        }
        let begin = start + 30 + short(start + 26)? + short(start + 28)?;
        let content = bytes.get(begin..begin + packed).ok_or_else(damaged)?;
        let mut unpacked = Vec::new();
        match method {
            0 => unpacked.extend_from_slice(content),
            8 => {
                // One more byte than promised would be seen, and no more memory than that is taken.
                let mut source = DeflateDecoder::new(content).take(size as u64 + 1);
                source.read_to_end(&mut unpacked).map_err(|error| read::broken(name, &error))?;
            }
            _ => return Err(Error::data(name, format!("'{label}' is packed by method {method}; save it with NumPy"))),
        }
        let mut sum = flate2::Crc::new();
        sum.update(&unpacked);
        if unpacked.len() != size || sum.sum() as usize != checksum {
            return Err(Error::data(name, format!("'{label}' does not have its checksum: damaged; fetch it again")));
        }
        files.push((label, unpacked));
        entry += 46 + short(entry + 28)? + short(entry + 30)? + short(entry + 32)?;
    }
    Ok(files)
}

/// A zip archive of stored files.
fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let start = out.len() as u32;
        // Version 2.0, no flags, stored, the first day that the format knows.
        let mut about = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for x in [sum.sum(), bytes.len() as u32, bytes.len() as u32] {
            about.extend(x.to_le_bytes());
        }
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&about);
        out.extend(name.as_bytes());
        out.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&about);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (out.len() as u32, (files.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
