//! Edits that make more of the training examples, before they are prepared.

pub mod faces;
pub mod speech;
pub mod warp;
