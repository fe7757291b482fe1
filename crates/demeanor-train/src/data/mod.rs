//! Labelled sets of pictures and recordings: loading, splits, checks, batches.

pub mod batches;
pub mod check;
pub mod corpora;
pub mod face_corpora;
pub mod face_files;
pub mod faces;
pub mod pixels;
pub mod speech;
pub mod splits;
pub mod table;
pub mod taught;
pub mod twins;
pub mod votes;

use std::fmt;
use std::str::FromStr;

use demeanor::{Emotion, Error, ErrorKind, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The part of a data set that an example belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What is learnt from; FER-2013 calls it `Training`.
    Train,
    /// What choices are made with (early stopping, calibration); FER-2013 calls it `PublicTest`.
    Validation,
    /// What only `eval` reads; FER-2013 calls it `PrivateTest`.
    Test,
}

impl Split {
    /// All parts, in order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The place in [`Split::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads a name or a usual synonym, in any case: `Training`, `val`, `PublicTest`, `PrivateTest` and so on.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the word names no split.
    fn from_str(word: &str) -> Result<Self> {
        match word.trim().to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
            "train" | "training" | "trainset" => Ok(Split::Train),
            "validation" | "valid" | "validate" | "val" | "dev" | "publictest" => Ok(Split::Validation),
            "test" | "testing" | "testset" | "privatetest" => Ok(Split::Test),
            _ => Err(Error::new(
                ErrorKind::Data,
                format!(
                    "\"{word}\" names no split; expected train, validation or test (or Training, PublicTest, PrivateTest)"
                ),
            )),
        }
    }
}

/// A random stream that depends on these numbers alone, so that results do not depend on threads or on the order of work.
pub fn stream(seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    // The finaliser of SplitMix64 (Steele et al. 2014) after each number keeps neighbouring streams apart.
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let step = 0x9e37_79b9_7f4a_7c15_u64;
    let mut state = seed;
    for part in [epoch, index] {
        state = mix(state.wrapping_add(step)).wrapping_add(part.wrapping_mul(step));
    }
    ChaCha8Rng::seed_from_u64(mix(state))
}

/// The place of an example's emotion among a network's outputs.
fn output(labels: &[Emotion], emotion: Emotion, name: &str) -> Result<usize> {
    labels
        .iter()
        .position(|&l| l == emotion)
        .ok_or_else(|| Error::new(ErrorKind::Label, format!("{name} is labelled {emotion}, which is no output")))
}
