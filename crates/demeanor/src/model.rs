//! A model file: weights, recipe, labels, calibration and version in one.
//!
//! The container is safetensors; the key `demeanor` of its metadata holds a [`Header`] as JSON.

use serde::{Deserialize, Serialize};

use crate::emotion::Emotion;
use crate::face::prepare::FaceRecipe;
use crate::nn::spec::Layer;
use crate::speech::prepare::SpeechRecipe;

/// The version of the file format that this program writes and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Everything in a model file that is not weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file format.
    pub format: u32,
    /// Name and version of the model, such as `face-v1`.
    pub name: String,
    /// How inputs are prepared; decides which sense the model is for.
    pub input: InputRecipe,
    /// The emotion of each output, in order.
    pub labels: Vec<Emotion>,
    /// The layers, in order.
    pub network: Vec<Layer>,
    /// What logits are divided by before the softmax, so that scores are calibrated; more than 0.
    pub temperature: f32,
    /// The licence of the weights.
    pub licence: String,
    /// The training recipe (TOML) that made the weights.
    pub recipe: String,
    /// SHA-256, in hexadecimal, of the tensor data (each tensor's name, then its bytes, in order of name).
    pub sha256: String,
}

/// How the inputs of a model are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRecipe {
    /// Pictures of faces.
    Face(FaceRecipe),
    /// Stretches of speech.
    Speech(SpeechRecipe),
}
