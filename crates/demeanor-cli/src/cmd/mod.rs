//! The commands, one file each: `Args` and `run`.

pub mod bench;
#[cfg(feature = "train")]
pub mod data;
#[cfg(feature = "train")]
pub mod eval;
pub mod face;
pub mod demo;
pub mod live;
pub mod model;
pub mod shell;
pub mod speech;
#[cfg(feature = "train")]
pub mod train;
pub mod video;
