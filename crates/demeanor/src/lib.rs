//! Reads the emotion that a face and a voice express: pixels and samples in, estimates out.
//!
//! The library opens no device and no file, reads no clock and downloads nothing: time and random seeds are arguments,
//! so a recorded film gives exactly the estimates that the live camera gave.
//!
//! The modules stand in the order in which data flows.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod emotion;
pub mod input;

pub mod face;
pub mod speech;

pub mod model;
pub mod nn;

pub mod baseline;
pub mod fuse;
pub mod pipeline;
pub mod smooth;

pub mod error;

#[doc(hidden)]
pub mod training;

pub use emotion::{Emotion, Reading, Scores};
pub use error::{Error, ErrorKind, Result};
pub use input::{Audio, Frame, Hz, Picture, PixelLayout, Region};

/// The example of the README is compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
