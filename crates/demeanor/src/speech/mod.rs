//! Speech: where it is, and what it reads as.

pub mod prepare;
