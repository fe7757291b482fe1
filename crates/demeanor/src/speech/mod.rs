//! Speech: where it is, and what it reads as.

pub mod net;
pub mod prepare;
