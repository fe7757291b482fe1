//! Instruction sets.

mod isa;

pub use isa::Isa;
