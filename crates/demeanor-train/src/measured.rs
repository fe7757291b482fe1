//! What evaluation can measure: networks, and the old baselines.

use demeanor::face::net::FaceModel;
use demeanor::speech::net::SpeechModel;
use demeanor::speech::read::SpeechReader;
use demeanor::{Audio, Emotion, Result, Scores};

use crate::classic::ClassicModel;
use crate::data::speech::RATE;

/// What a model file says of itself, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its contents.
    pub sha256: String,
    /// Its labels, in order.
    pub labels: Vec<Emotion>,
}

impl Identity {
    /// Of a face model's bytes.
    ///
    /// # Errors
    /// Those of loading it.
    pub fn of_face(model: &[u8]) -> Result<Self> {
        if ClassicModel::is(model) {
            return Self::of_classic(model);
        }
        let header = FaceModel::load(model)?.header().clone();
        Ok(Identity { name: header.name, sha256: header.sha256, labels: header.labels })
    }

    /// Of a speech model's bytes.
    ///
    /// # Errors
    /// Those of loading it.
    pub fn of_voice(model: &[u8]) -> Result<Self> {
        if ClassicModel::is(model) {
            return Self::of_classic(model);
        }
        let header = SpeechModel::load(model)?.header().clone();
        Ok(Identity { name: header.name, sha256: header.sha256, labels: header.labels })
    }

    fn of_classic(model: &[u8]) -> Result<Self> {
        let ClassicModel { recipe, sha256, .. } = ClassicModel::from_bytes(model)?;
        Ok(Identity { name: recipe.name, sha256, labels: recipe.labels })
    }
}

/// What reads a whole recording.
pub(crate) enum VoiceReader {
    Network(Box<SpeechReader>),
    Classic(Box<ClassicModel>),
}

impl VoiceReader {
    pub(crate) fn load(model: &[u8]) -> Result<Self> {
        if ClassicModel::is(model) {
            return Ok(VoiceReader::Classic(Box::new(ClassicModel::from_bytes(model)?)));
        }
        Ok(VoiceReader::Network(Box::new(SpeechReader::new(SpeechModel::load(model)?)?)))
    }

    /// The scores of samples at [`RATE`]; none of silence.
    pub(crate) fn read(&mut self, samples: &[f32]) -> Result<Option<Scores>> {
        match self {
            VoiceReader::Network(reader) => reader.read(&Audio::new(samples, 1, RATE)?),
            VoiceReader::Classic(model) => model.read_voice(samples).map(Some),
        }
    }
}
