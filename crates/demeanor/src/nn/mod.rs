//! Forward passes only: no gradients, no framework.
//!
//! [`Network`] runs a whole input, [`Stream`] a sequence as it comes. Kernels are written once, over blocks of 16
//! numbers, and compiled for plain arrays, for AVX2 with FMA, and for AVX-512; the best form that the processor has is
//! chosen when a network is made. The convolutions of [`Network::of_pictures`] run on matrix tiles where there are some.

// loops over lanes and tiles count through several arrays at once, and the compiler unrolls them by their constant ends
#![allow(clippy::needless_range_loop)]

pub mod spec;

mod conv;
mod dense;
mod gather;
pub(crate) mod lanes;
mod map;
mod network;
mod recurrent;
pub mod tile;
mod trunk;

#[cfg(test)]
mod plain;
#[cfg(test)]
mod tests;

pub use network::{Network, Precision};
pub use recurrent::Stream;
pub use spec::{Conv, Dense, Layer, Norm, Recurrent, Shape};
