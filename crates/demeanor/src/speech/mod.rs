//! Speech: where it is, and what it reads as.

pub mod resample;

pub mod detect;

mod mel;
pub mod prepare;

pub mod net;

pub mod read;

pub mod listen;
