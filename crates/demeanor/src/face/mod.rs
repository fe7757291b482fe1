//! Faces: where they are, and what they read as.

pub mod detect;
pub mod grey;
mod sample;
pub mod track;

pub mod prepare;

pub mod view;

pub mod net;
pub(crate) mod network;

pub mod read;

pub mod watch;
