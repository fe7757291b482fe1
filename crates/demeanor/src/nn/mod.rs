//! Forward passes only: no gradients, no framework.

pub mod spec;

pub use spec::{Conv, Dense, Layer, Norm, Recurrent};
