//! Files, plain or gzip, as streams. What was packed is told by the first two bytes, not by the name.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anygrad_core::{Error, Result};
use flate2::bufread::MultiGzDecoder;

/// The unpacked bytes of a stream that may be gzip.
///
/// # Errors
/// If its first bytes cannot be read.
pub fn unpacked<'a>(mut source: impl BufRead + 'a) -> std::io::Result<Box<dyn Read + 'a>> {
    let gzip = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzip { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}

/// Opens a file, plain or gzip, for reading its unpacked bytes.
///
/// # Errors
/// If it is not there or cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Io {
            path: path.display().to_string(),
            message: "there is no such file; check the path (`--data`), or download the file there".into(),
        },
        _ => Error::io(path, &error),
    })?;
    unpacked(BufReader::new(file)).map_err(|error| Error::io(path, &error))
}

/// The error for a stream that broke while its content was being read: damaged gzip, or the disk.
#[must_use]
pub fn broken(name: &str, error: &std::io::Error) -> Error {
    let message = format!("{error}: the file is damaged or its download was cut off; fetch it again");
    Error::data(name, message)
}

/// All of a text file, plain or gzip.
///
/// # Errors
/// If it is not there, is damaged, is over `limit` bytes, or is not UTF-8.
pub fn text(path: &Path, limit: u64) -> Result<String> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| broken(&name, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::data(name, format!("more than {limit} bytes unpacked; give a smaller file")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::data(name, format!("not UTF-8 text (byte {at} is wrong); give a text file, plain or gzip"))
    })
}
