//! What is left of a model in bad light, with covered faces, in noise, over a telephone: the test examples edited one way at
//! a time, each way at several strengths, and read as ever.

mod faces;
mod mp3;
mod speech;

pub use faces::{Cover, FaceEdit};
pub use speech::SpeechEdit;

use crate::predictions::Predictions;

/// How strongly examples are edited: a place on the axis of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength {
    /// The place.
    pub value: f32,
    /// What the axis shows, with its unit.
    pub axis: &'static str,
    /// The place of examples that are left as they are; none where the axis has none, as that of signal-to-noise ratios.
    pub untouched: Option<f32>,
}

/// Predictions for the same files, spoilt one way.
#[derive(Debug, Clone)]
pub struct Spoilt {
    /// What was done.
    pub kind: String,
    /// How strongly, in words.
    pub level: String,
    /// How strongly, as a number, where it is one.
    pub strength: Option<Strength>,
    /// What was said.
    pub found: Predictions,
}
