//! A frame and a region to the input of a face network. The only producer of [`FaceInput`].

use serde::{Deserialize, Serialize};

/// How a face is prepared; a part of every face model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceRecipe {
    /// Side of the square that the network sees, in pixels.
    pub size: usize,
    /// How grey values become numbers.
    pub scaling: Scaling,
    /// By how much a detector's box is widened on each side before it is cropped, as a part of its side; may be negative.
    /// A picture that is already cropped enters as a whole frame and is not widened.
    pub margin: f32,
}

/// How grey values (0 to 255) become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// `v / 255`.
    Unit,
    /// `(v - min) / (max - min)` of the picture.
    MinMax,
    /// `(v - mean) / max(deviation, 1)` of the picture, v in 0 to 255.
    Standardise,
}

/// A prepared face: `size x size` numbers, rows from the top.
#[derive(Debug, Clone)]
pub struct FaceInput {
    recipe: FaceRecipe,
    values: Vec<f32>,
}

impl FaceInput {
    /// The recipe that prepared it.
    pub fn recipe(&self) -> &FaceRecipe {
        &self.recipe
    }

    /// `size x size` numbers, rows from the top.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}
