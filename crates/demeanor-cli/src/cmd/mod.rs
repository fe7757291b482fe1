//! The commands, one file each: `Args` and `run`.

pub mod bench;
#[cfg(feature = "train")]
pub mod data;
pub mod demo;
#[cfg(feature = "train")]
pub mod eval;
pub mod face;
pub mod live;
pub mod model;
#[cfg(feature = "serve")]
pub mod serve;
pub mod shell;
pub mod speech;
#[cfg(feature = "train")]
pub mod train;
pub mod video;
