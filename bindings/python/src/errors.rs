//! The library's errors as exceptions, by kind.

use demeanor::ErrorKind;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An exception of `demeanor._errors`.
pub fn raise(py: Python<'_>, class: &str, message: String) -> PyErr {
    let class = py.import("demeanor._errors").and_then(|m| m.getattr(class)).and_then(|c| Ok(c.cast_into::<PyType>()?));
    match class {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}

/// A library error as an exception of its kind.
pub fn of(py: Python<'_>, error: &demeanor::Error) -> PyErr {
    about(py, None, error)
}

/// A library error as an exception of its kind; the message begins with what it is about.
pub fn about(py: Python<'_>, what: Option<&str>, error: &demeanor::Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Shape => "ShapeError",
        ErrorKind::NotFinite => "NotFiniteError",
        ErrorKind::Label => "LabelError",
        ErrorKind::Model | ErrorKind::Version | ErrorKind::Recipe | ErrorKind::Cascade => "ModelError",
        ErrorKind::Setting => "SettingError",
        ErrorKind::Sound => "SoundError",
        ErrorKind::File => "FileError",
        ErrorKind::Device => "DeviceError",
        ErrorKind::Data => "DataError",
        _ => "Error",
    };
    let message = match what {
        Some(what) => format!("{what}: {error}"),
        None => error.to_string(),
    };
    raise(py, class, message)
}

/// What stops a step that also asks Python: an error of the library, or an exception such as KeyboardInterrupt.
pub enum Stop {
    /// Of the library.
    Library(demeanor::Error),
    /// Of Python.
    Python(PyErr),
}

impl From<demeanor::Error> for Stop {
    fn from(error: demeanor::Error) -> Self {
        Stop::Library(error)
    }
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Stop::Python(error)
    }
}

impl Stop {
    /// The exception, about something.
    pub fn about(self, py: Python<'_>, what: &str) -> PyErr {
        match self {
            Stop::Library(error) => about(py, Some(what), &error),
            Stop::Python(error) => error,
        }
    }
}
