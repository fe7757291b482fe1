//! Forward passes only: no gradients, no framework.
//!
//! [`Network`] runs a whole input, [`Stream`] a sequence as it comes. Their kernels stand in [`simd`](crate::simd), compiled
//! for each instruction set; the active one is chosen when a network is made. The convolutions of
//! [`Network::of_pictures`] run on matrix tiles where there are some.

// loops over lanes and tiles count through several arrays at once, and the compiler unrolls them by their constant ends
#![allow(clippy::needless_range_loop)]

pub mod spec;

pub(crate) mod conv;
pub(crate) mod dense;
mod gather;
pub(crate) mod map;
mod network;
mod recurrent;
mod trunk;

#[cfg(test)]
mod plain;
#[cfg(test)]
mod tests;

pub use network::{Network, Precision};
pub use recurrent::Stream;
pub use spec::{Conv, Dense, Layer, Norm, Recurrent, Shape};
