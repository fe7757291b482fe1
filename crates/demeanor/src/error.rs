//! The one error type of the library.

use std::fmt;

/// The result of a fallible step.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A buffer, tensor or picture has another size than expected.
    Shape,
    /// A number is not finite where it must be.
    NotFinite,
    /// A word or number names no emotion.
    Label,
    /// A model file is truncated, altered, or no model file.
    Model,
    /// A model file or recipe is of a version that this program does not know.
    Version,
    /// An input was prepared by another recipe than the model's.
    Recipe,
    /// A detector's cascade is truncated or altered.
    Cascade,
    /// A setting is out of its range.
    Setting,
    /// There is too little sound, or none, to read.
    Sound,
    /// A file cannot be opened, read, decoded or written.
    File,
    /// A camera, a microphone, or the program that opens them, is not there or gives nothing.
    Device,
    /// A data set, table or list is malformed, or holds nothing to use.
    Data,
}

/// Why a step failed. The message says what was expected and what was found.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with a message that says expected and actual.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}
