//! What the trainer needs beside the front door, and nobody else: steps of the preparation one by one, because it edits
//! what lies between them, and networks over numbers that no preparer made. No promise is kept about it.

use crate::error::Result;
use crate::face::detect::{BlazeFace, Search};
use crate::input::{Audio, Frame};
use crate::speech::prepare::{self, SpeechPreparer, SpeechRecipe};

pub use crate::face::network::FaceNetwork;

/// The features of sound of any rate before the last step of its preparation, frame by frame, and the number of frames.
///
/// # Errors
/// As [`SpeechPreparer::prepare`].
pub fn features(preparer: &mut SpeechPreparer, audio: &Audio<'_>, values: &mut Vec<f32>) -> Result<usize> {
    preparer.features(audio, values)
}

/// The last step: each row of the features minus its mean, divided by its deviation.
pub fn standardise(recipe: &SpeechRecipe, values: &mut [f32]) {
    recipe.standardise(values);
}

/// Where sound begins and ends, in samples, as the preparation trims it `db` under the loudest frame.
pub fn trim(samples: &[f32], db: f32) -> (usize, usize) {
    prepare::trim(samples, db)
}

/// What the network of a detector sees of each candidate in a frame: `put` gets x and y of its middle and its side, in pixels of the
/// frame, and the numbers that a rejection is learnt from.
///
/// # Errors
/// As a search.
pub fn looks(
    detector: &mut BlazeFace,
    frame: &Frame<'_>,
    search: &Search,
    put: impl FnMut([f32; 3], &[f32]),
) -> Result<()> {
    detector.each_look(frame, search, put)
}
