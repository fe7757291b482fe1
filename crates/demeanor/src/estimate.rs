//! What is told of a picture, a recording, or a moment of a film or live session: the same records for the command line, the
//! server, Python and the page. Each is an object of JSON by `serde`; with the feature `schema` also one of an OpenAPI.
//!
//! Regions and landmarks are in pixels, times in seconds, scores go from 0 to 1 and sum to 1 over a model's labels.

use std::time::Duration;

use serde::Serialize;

use crate::emotion::{Reading, Scores};
use crate::face::detect::Landmarks;
use crate::face::read::Face;
use crate::fuse::Fused;
use crate::input::{Frame, Region};
use crate::pipeline::Estimate;
use crate::speech::detect::Utterance;
use crate::speech::listen::VoiceEstimate;

/// The lowest score of a reading of a picture or a recording, unless one is chosen: more than twice what pure chance gives
/// each of seven emotions. Below it an expression reads as unsure.
pub const MIN_SCORE: f32 = 0.3;

/// The lowest score of a reading of a film or a live session, unless one is chosen.
pub const MIN_SCORE_LIVE: f32 = 0.4;

/// Voices older than this are not told with a frame.
pub const VOICE_LASTS: Duration = Duration::from_millis(1500);

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PictureRecord {
    /// Width in pixels, upright.
    pub width: usize,
    /// Height in pixels, upright.
    pub height: usize,
    /// Its faces, the largest first.
    pub faces: Vec<FaceRecord>,
}

impl PictureRecord {
    /// The record of a picture that was read when it was `reduced` times smaller than its file.
    pub fn new(frame: &Frame<'_>, faces: &[Face], reduced: u32, min_score: f32) -> Self {
        let scale = reduced as f32;
        PictureRecord {
            width: frame.width() * reduced as usize,
            height: frame.height() * reduced as usize,
            faces: faces.iter().map(|face| FaceRecord::new(face, min_score).scaled(scale)).collect(),
        }
    }
}

/// A face of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FaceRecord {
    /// Box in pixels of the picture.
    pub region: Region,
    /// How sure the detector is, 0 to 1; null where the picture was read whole.
    pub confidence: Option<f32>,
    /// Eyes, nose, mouth and ears in pixels of the picture; null where the detector knows none.
    pub landmarks: Option<Landmarks>,
    /// How much there was to be read, 0 to 1: less for faces that are dim, blurred or small.
    pub quality: f32,
    /// What it reads as.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub emotion: Reading,
    /// The highest score.
    pub score: f32,
    /// All scores.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, f32>))]
    pub scores: Scores,
}

impl FaceRecord {
    /// The record of a face. It reads as unsure where its highest score is under `min_score`.
    pub fn new(face: &Face, min_score: f32) -> Self {
        let Face { region, confidence, landmarks, quality, scores } = *face;
        let (emotion, (_, score)) = (scores.reading(min_score), scores.top());
        FaceRecord { region, confidence, landmarks, quality, emotion, score, scores }
    }

    /// The same in pixels of a picture that is `scale` times larger.
    #[must_use]
    pub fn scaled(mut self, scale: f32) -> Self {
        self.region = self.region.scaled(scale);
        self.landmarks = self.landmarks.map(|all| all.map(|[x, y]| [x * scale, y * scale]));
        self
    }
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RecordingRecord {
    /// How long it is, in seconds, to a thousandth.
    pub duration_s: f64,
    /// The model that read it.
    pub model: String,
    /// Its utterances, in order.
    pub segments: Vec<SegmentRecord>,
}

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SegmentRecord {
    /// Where it starts, in seconds, to a thousandth.
    pub start_s: f64,
    /// Where it ends, in seconds, to a thousandth.
    pub end_s: f64,
    /// What it reads as.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub emotion: Reading,
    /// The highest score.
    pub score: f32,
    /// All scores.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, f32>))]
    pub scores: Scores,
}

impl SegmentRecord {
    /// The record of an utterance with these scores. It reads as unsure where the highest is under `min_score`.
    pub fn new(utterance: &Utterance<'_>, scores: Scores, min_score: f32) -> Self {
        SegmentRecord {
            start_s: thousandths(utterance.start_s()),
            end_s: thousandths(utterance.end_s()),
            emotion: scores.reading(min_score),
            score: scores.top().1,
            scores,
        }
    }
}

/// Seconds as records tell them.
pub fn thousandths(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What was seen and heard at a moment of a film or live session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EstimateRecord {
    /// Seconds from the start.
    pub time_s: f64,
    /// Number of the frame, from 1; absent for sound alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// The faces in the frame.
    pub faces: Vec<SeenRecord>,
    /// The voice, when one is listened to.
    pub voice: Option<VoiceRecord>,
    /// The most prominent face and the voice together.
    pub fused: Option<FusedRecord>,
}

/// A face that is followed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SeenRecord {
    /// Number of the face, from 1.
    pub id: u32,
    /// Box in pixels of the film.
    pub region: Region,
    /// How reliably the face is found, 0 to 1.
    pub confidence: f32,
    /// Eyes, nose, mouth and ears in pixels of the film; null where the detector knows none.
    pub landmarks: Option<Landmarks>,
    /// How much there was to be read, 0 to 1: less for faces that are dim, blurred or small.
    pub quality: f32,
    /// What it reads as; null until it was read.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub emotion: Option<Reading>,
    /// The highest score.
    pub score: Option<f32>,
    /// All scores.
    #[cfg_attr(feature = "schema", schema(value_type = Option<std::collections::BTreeMap<String, f32>>))]
    pub scores: Option<Scores>,
}

/// The voice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VoiceRecord {
    /// Whether somebody speaks.
    pub speaking: bool,
    /// Level in dB under full scale.
    pub level_db: f32,
    /// What it reads as; null when nothing was spoken lately.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub emotion: Option<Reading>,
    /// The highest score.
    pub score: Option<f32>,
    /// All scores.
    #[cfg_attr(feature = "schema", schema(value_type = Option<std::collections::BTreeMap<String, f32>>))]
    pub scores: Option<Scores>,
}

/// Both together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FusedRecord {
    /// What they read as.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub emotion: Reading,
    /// The highest score.
    pub score: f32,
    /// All scores.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, f32>))]
    pub scores: Scores,
    /// What the face counted, 0 to 1.
    pub face_weight: f32,
    /// What the voice counted, 0 to 1.
    pub speech_weight: f32,
}

/// The scores of a voice that are young enough to stand for `time`.
pub fn fresh_voice(voice: &VoiceEstimate, time: Duration) -> Option<Scores> {
    voice.scores.filter(|_| time.saturating_sub(voice.read_at) <= VOICE_LASTS)
}

impl EstimateRecord {
    /// The record of an estimate at a time. Frames were `scale` times smaller than what they were made of; scores under
    /// `min_score` are "unsure".
    pub fn new(estimate: &Estimate<'_>, time: Duration, frame: Option<u64>, scale: f32, min_score: f32) -> Self {
        let faces = estimate.faces.iter().map(|face| SeenRecord {
            id: face.id,
            region: face.region.scaled(scale),
            confidence: face.confidence,
            quality: face.quality,
            landmarks: face.landmarks.map(|all| all.map(|[x, y]| [x * scale, y * scale])),
            emotion: face.scores.map(|s| s.reading(min_score)),
            score: face.scores.map(|s| s.top().1),
            scores: face.scores,
        });
        let voice = estimate.voice.map(|voice| {
            let scores = fresh_voice(&voice, time);
            VoiceRecord {
                speaking: voice.is_speaking,
                level_db: voice.level_db,
                emotion: scores.map(|s| s.reading(min_score)),
                score: scores.map(|s| s.top().1),
                scores,
            }
        });
        let fused = estimate.fused.map(|Fused { scores, face_weight, speech_weight }| FusedRecord {
            emotion: scores.reading(min_score),
            score: scores.top().1,
            scores,
            face_weight,
            speech_weight,
        });
        EstimateRecord { time_s: time.as_secs_f64(), frame, faces: faces.collect(), voice, fused }
    }
}
