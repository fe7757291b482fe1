//! Files, cameras and microphones to the pixels and samples that the library `demeanor` reads.
//!
//! The one reader: the program, the trainer, and whatever else reads a file go through it, so that a picture that is
//! trained on or measured has the very pixels that it has in use.
//!
//! Pictures and sound files are decoded here, in Rust alone. Films, cameras, microphones and streams are opened by the
//! program `ffmpeg` as a child process.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod picture;
pub mod sound;

mod edits;
mod tiff;
mod wave;

pub mod capture;
pub mod devices;
pub mod film;
pub mod nut;

pub use sound::{Encoding, Heard, Raw, Recording};
