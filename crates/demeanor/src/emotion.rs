//! The emotions, their order, and scores over them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// An emotion that an expression can read as.
///
/// The order of the variants is the class order everywhere; it begins with the seven classes of FER-2013 in the order of
/// the official file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emotion {
    /// FER-2013 class 0.
    Angry,
    /// FER-2013 class 1.
    Disgust,
    /// FER-2013 class 2.
    Fear,
    /// FER-2013 class 3.
    Happy,
    /// FER-2013 class 4.
    Sad,
    /// FER-2013 class 5.
    Surprise,
    /// FER-2013 class 6.
    Neutral,
    /// Only in RAVDESS.
    Calm,
    /// Only in FER+.
    Contempt,
}

impl Emotion {
    /// How many emotions there are.
    pub const COUNT: usize = 9;

    /// All emotions, in class order.
    pub const ALL: [Emotion; Self::COUNT] = [
        Emotion::Angry,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Surprise,
        Emotion::Neutral,
        Emotion::Calm,
        Emotion::Contempt,
    ];

    /// The classes of FER-2013, in the order of its labels 0 to 6.
    pub const FER: [Emotion; 7] = [
        Emotion::Angry,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Surprise,
        Emotion::Neutral,
    ];

    /// The classes of RAVDESS, in the order of its labels 01 to 08.
    pub const RAVDESS: [Emotion; 8] = [
        Emotion::Neutral,
        Emotion::Calm,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Angry,
        Emotion::Fear,
        Emotion::Disgust,
        Emotion::Surprise,
    ];

    /// The place in [`Emotion::ALL`], 0 to 8.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The canonical name, as FER-2013 writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Emotion::Angry => "angry",
            Emotion::Disgust => "disgust",
            Emotion::Fear => "fear",
            Emotion::Happy => "happy",
            Emotion::Sad => "sad",
            Emotion::Surprise => "surprise",
            Emotion::Neutral => "neutral",
            Emotion::Calm => "calm",
            Emotion::Contempt => "contempt",
        }
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Emotion {
    type Err = Error;

    /// Reads a name or a usual synonym, in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Label`] when the word names no emotion.
    fn from_str(word: &str) -> Result<Self> {
        let emotion = match word.trim().to_ascii_lowercase().as_str() {
            "angry" | "anger" => Emotion::Angry,
            "disgust" | "disgusted" => Emotion::Disgust,
            "fear" | "fearful" | "afraid" | "scared" => Emotion::Fear,
            "happy" | "happiness" | "joy" | "joyful" => Emotion::Happy,
            "sad" | "sadness" => Emotion::Sad,
            "surprise" | "surprised" => Emotion::Surprise,
            "neutral" => Emotion::Neutral,
            "calm" => Emotion::Calm,
            "contempt" | "contemptuous" => Emotion::Contempt,
            _ => {
                let names: Vec<_> = Emotion::ALL.iter().map(|e| e.name()).collect();
                return Err(Error::new(
                    ErrorKind::Label,
                    format!("\"{word}\" names no emotion; expected one of {}", names.join(", ")),
                ));
            }
        };
        Ok(emotion)
    }
}

/// A probability for each emotion of a label set; the scores of emotions outside the set are 0. They sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    values: [f32; Emotion::COUNT],
    labels: u16,
}

impl Scores {
    /// Scores from one logit per label: softmax of `logits / temperature`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the lengths differ or are 0, [`ErrorKind::NotFinite`] when a logit is not a number.
    pub fn from_logits(labels: &[Emotion], logits: &[f32], temperature: f32) -> Result<Self> {
        if labels.is_empty() || labels.len() != logits.len() {
            return Err(Error::new(ErrorKind::Shape, format!("{} logits for {} labels", logits.len(), labels.len())));
        }
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut pairs = [(Emotion::Angry, 0.0); Emotion::COUNT];
        for ((pair, &label), &logit) in pairs.iter_mut().zip(labels).zip(logits) {
            *pair = (label, ((logit - top) / temperature).exp());
        }
        Self::from_weights(&pairs[..labels.len().min(Emotion::COUNT)])
    }

    /// Scores in proportion to weights (0 or more, not all 0) for the labels named.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] when a weight is negative or not finite, or all are 0.
    pub fn from_weights(weights: &[(Emotion, f32)]) -> Result<Self> {
        let mut scores = Scores { values: [0.0; Emotion::COUNT], labels: 0 };
        let mut sum = 0.0;
        for &(emotion, weight) in weights {
            if !weight.is_finite() || weight < 0.0 {
                return Err(Error::new(ErrorKind::NotFinite, format!("the weight of {emotion} is {weight}")));
            }
            scores.values[emotion.index()] += weight;
            scores.labels |= 1 << emotion.index();
            sum += weight;
        }
        if sum <= 0.0 || !sum.is_finite() {
            return Err(Error::new(ErrorKind::NotFinite, format!("the weights sum to {sum}")));
        }
        for value in &mut scores.values {
            *value /= sum;
        }
        Ok(scores)
    }

    /// The score of an emotion, 0 to 1; 0 when it is not in the label set.
    pub fn of(&self, emotion: Emotion) -> f32 {
        self.values[emotion.index()]
    }

    /// Whether the label set holds this emotion.
    pub fn has(&self, emotion: Emotion) -> bool {
        self.labels & (1 << emotion.index()) != 0
    }

    /// The emotions of the label set with their scores, in class order.
    pub fn iter(&self) -> impl Iterator<Item = (Emotion, f32)> + '_ {
        Emotion::ALL.into_iter().filter(|&e| self.has(e)).map(|e| (e, self.of(e)))
    }

    /// The emotion with the highest score, and that score; the first in class order when equal.
    pub fn top(&self) -> (Emotion, f32) {
        let mut best = (Emotion::Neutral, f32::NEG_INFINITY);
        for (emotion, score) in self.iter() {
            if score > best.1 {
                best = (emotion, score);
            }
        }
        best
    }

    /// What the scores read as when a reading needs at least `min_score`.
    pub fn reading(&self, min_score: f32) -> Reading {
        let (emotion, score) = self.top();
        if score >= min_score { Reading::Emotion(emotion) } else { Reading::Unsure }
    }
}

/// What an expression reads as: an emotion, or nothing clear enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// The emotion with the highest score.
    Emotion(Emotion),
    /// No score reaches the threshold.
    Unsure,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reading::Emotion(emotion) => emotion.fmt(f),
            Reading::Unsure => f.pad("unsure"),
        }
    }
}

impl Serialize for Reading {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Scores {
    /// An object `{emotion: score}` over the label set, in class order.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scores {
    /// Reads the object that scores are written as.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let weights: Vec<_> =
            std::collections::BTreeMap::<Emotion, f32>::deserialize(deserializer)?.into_iter().collect();
        Self::from_weights(&weights).map_err(serde::de::Error::custom)
    }
}
