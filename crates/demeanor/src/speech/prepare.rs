//! A window of 16 kHz sound to the input of a speech network. The only producer of [`SpeechInput`].

use serde::{Deserialize, Serialize};

use crate::input::Hz;

/// How speech is prepared; a part of every speech model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechRecipe {
    /// Rate the sound is brought to.
    pub rate: Hz,
    /// Silence at both ends is cut off where it is this far under the loudest frame, in dB; none when absent.
    pub trim_db: Option<f32>,
    /// How the level is made equal.
    pub level: Level,
    /// Length of an analysis frame (a Hamming window), in samples.
    pub frame: usize,
    /// Step between frames, in samples.
    pub hop: usize,
    /// Points of the Fourier transform.
    pub fft: usize,
    /// What is computed of each frame.
    pub features: Features,
    /// Longest input, in frames; what is longer is cut at the end.
    pub max_frames: usize,
    /// What is taken off each coefficient and what it is then divided by, from the training clips; empty for none.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// See `mean`.
    #[serde(default)]
    pub deviation: Vec<f32>,
}

/// How the level is made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Left as it is.
    Keep,
    /// Largest absolute sample becomes 1.
    Peak,
    /// Root mean square becomes 0.1.
    Rms,
}

/// What is computed of each frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Mel-frequency cepstral coefficients, as librosa computes them.
    Mfcc {
        /// Bands of the mel filter bank.
        bands: usize,
        /// How many coefficients, from the zeroth.
        coefficients: usize,
        /// 0: none; 1: first differences are added; 2: second ones too.
        deltas: usize,
    },
    /// `log10(power + floor)` per mel band.
    LogMel {
        /// Bands of the mel filter bank.
        bands: usize,
        /// What is added to the power before the logarithm.
        floor: f32,
    },
}

/// Prepared speech: `frames x rows` numbers, frame by frame.
#[derive(Debug, Clone)]
pub struct SpeechInput {
    recipe: SpeechRecipe,
    frames: usize,
    values: Vec<f32>,
}

impl SpeechInput {
    /// The recipe that prepared it.
    pub fn recipe(&self) -> &SpeechRecipe {
        &self.recipe
    }

    /// Frames, at least 1.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// `frames x rows` numbers, frame by frame.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}
