//! The one error type: everything that depends on the world. Mistakes in model code panic instead (see `shape`).

/// What can go wrong outside of the model's code; each message says what, where, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device was asked for that is not there or cannot be opened.
    #[error("device '{name}': {reason}")]
    Device {
        /// The name asked for.
        name: String,
        /// What is wrong and what there is instead.
        reason: String,
    },
    /// The device went away (driver reset, unplugged); saved checkpoints are intact.
    #[error("device '{name}' was lost: {reason}; open the device again and resume from the last checkpoint")]
    DeviceLost {
        /// The device's name.
        name: String,
        /// What the driver said.
        reason: String,
    },
    /// A program or tensor needs more memory than there is or than the budget allows.
    #[error(
        "{what} needs {needed} bytes and {available} are available ({limit}); use a smaller batch, accumulate gradients \
         over several batches, or raise the budget"
    )]
    Memory {
        /// What needs the memory.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
        /// Which limit that is.
        limit: String,
    },
    /// The device has no arithmetic or storage for this.
    #[error("{what} is not supported on {device}: {instead}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The device's name.
        device: String,
        /// What to do instead.
        instead: String,
    },
    /// The backend or its driver failed: a defect of anygrad or of the driver.
    #[error("{device}: {what}: {message}")]
    Backend {
        /// The device's name.
        device: String,
        /// What was being done.
        what: String,
        /// What the driver or compiler said.
        message: String,
    },
    /// The inputs of a program do not fit it.
    #[error("program: {0}")]
    Program(String),
    /// Data from outside does not have the promised form.
    #[error("{what}: {message}")]
    Data {
        /// Which data (a file and place in it, an argument).
        what: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {message}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        message: String,
    },
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] for `path`.
    #[must_use]
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Error {
        Error::Io { path: path.display().to_string(), message: error.to_string() }
    }

    /// An [`Error::Data`].
    #[must_use]
    pub fn data(what: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Data { what: what.into(), message: message.into() }
    }
}
