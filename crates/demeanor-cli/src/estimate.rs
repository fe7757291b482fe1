//! An estimate as a line of JSON; the same for `video`, `live` and `demo`.

use std::time::Duration;

use demeanor::face::detect::Landmarks;
use demeanor::fuse::Fused;
use demeanor::pipeline::Estimate;
use demeanor::speech::listen::VoiceEstimate;
use demeanor::{Reading, Region, Scores};
use serde::Serialize;

/// Voices older than this are not told with a frame.
pub const VOICE_LASTS: Duration = Duration::from_millis(1500);

/// What was seen and heard at a time.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Seconds from the start.
    pub time_s: f64,
    /// Number of the frame, from 1; absent for sound alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// The faces in the frame.
    pub faces: Vec<FaceLine>,
    /// The voice, when one is listened to.
    pub voice: Option<VoiceLine>,
    /// The most prominent face and the voice together.
    pub fused: Option<FusedLine>,
}

/// A face.
#[derive(Debug, Serialize)]
pub struct FaceLine {
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
    pub emotion: Option<Reading>,
    /// The highest score.
    pub score: Option<f32>,
    /// All scores.
    pub scores: Option<Scores>,
}

/// The voice.
#[derive(Debug, Serialize)]
pub struct VoiceLine {
    /// Whether somebody speaks.
    pub speaking: bool,
    /// Level in dB under full scale.
    pub level_db: f32,
    /// What it reads as; null when nothing was spoken lately.
    pub emotion: Option<Reading>,
    /// The highest score.
    pub score: Option<f32>,
    /// All scores.
    pub scores: Option<Scores>,
}

/// Both together.
#[derive(Debug, Serialize)]
pub struct FusedLine {
    /// What they read as.
    pub emotion: Reading,
    /// The highest score.
    pub score: f32,
    /// All scores.
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

/// A region in pixels of the film, from one in pixels of the picture that was read, which is `scale` times smaller.
pub fn scaled(region: &Region, scale: f32) -> Region {
    Region { x: region.x * scale, y: region.y * scale, width: region.width * scale, height: region.height * scale }
}

impl Line {
    /// The line of an estimate. Scores under `min_score` are "unsure".
    pub fn new(estimate: &Estimate<'_>, time: Duration, frame: Option<u64>, scale: f32, min_score: f32) -> Line {
        let faces = estimate.faces.iter().map(|face| FaceLine {
            id: face.id,
            region: scaled(&face.region, scale),
            confidence: face.confidence,
            quality: face.quality,
            landmarks: face.landmarks.map(|all| all.map(|[x, y]| [x * scale, y * scale])),
            emotion: face.scores.map(|s| s.reading(min_score)),
            score: face.scores.map(|s| s.top().1),
            scores: face.scores,
        });
        let voice = estimate.voice.map(|voice| {
            let scores = fresh_voice(&voice, time);
            VoiceLine {
                speaking: voice.is_speaking,
                level_db: voice.level_db,
                emotion: scores.map(|s| s.reading(min_score)),
                score: scores.map(|s| s.top().1),
                scores,
            }
        });
        let fused = estimate.fused.map(|Fused { scores, face_weight, speech_weight }| FusedLine {
            emotion: scores.reading(min_score),
            score: scores.top().1,
            scores,
            face_weight,
            speech_weight,
        });
        Line { time_s: time.as_secs_f64(), frame, faces: faces.collect(), voice, fused }
    }
}
