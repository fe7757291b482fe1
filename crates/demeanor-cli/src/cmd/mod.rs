//! The commands, one file each: `Args` and `run`.

pub mod model;
pub mod shell;
pub mod speech;
