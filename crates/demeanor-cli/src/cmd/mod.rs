//! The commands, one file each: `Args` and `run`.

pub mod bench;
pub mod face;
pub mod model;
pub mod shell;
pub mod speech;
