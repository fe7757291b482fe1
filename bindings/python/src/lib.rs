//! The library `demeanor` for Python. Nothing is estimated here: arrays are checked and copied, the library reads, and its
//! records become objects.

mod errors;
mod face;
mod files;
mod film;
mod models;
mod pipeline;
mod pixels;
mod results;
mod samples;
mod speech;
mod tables;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line with its arguments, the first of which is its own name, and returns the exit status.
#[pyfunction]
fn _main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| demeanor_cli::run(arguments))
}

#[pymodule]
fn _demeanor(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<face::FaceReader>()?;
    module.add_class::<speech::SpeechReader>()?;
    module.add_class::<pipeline::Pipeline>()?;
    module.add_class::<film::Video>()?;
    module.add_class::<tables::Table>()?;
    module.add_class::<files::FileReader>()?;
    module.add_function(wrap_pyfunction!(files::restore, module)?)?;
    module.add_function(wrap_pyfunction!(film::read_video, module)?)?;
    module.add_function(wrap_pyfunction!(face::restore, module)?)?;
    module.add_function(wrap_pyfunction!(speech::restore, module)?)?;
    module.add_function(wrap_pyfunction!(_main, module)?)
}
