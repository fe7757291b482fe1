//! Forward passes only: no gradients, no framework.

pub mod spec;

mod network;
mod plain;

pub use network::Network;
pub use spec::{Conv, Dense, Layer, Norm, Recurrent, Shape};
