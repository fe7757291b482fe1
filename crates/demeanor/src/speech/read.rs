//! An utterance to scores: the one way, for recordings, films, live sound and evaluation.
//!
//! 1. The sound is brought to mono at the rate of the model's recipe, and what is silent at its ends, on whatever constant
//!    offset it has, is left out as the recipe says.
//! 2. What the network takes whole is prepared and read at once, as in training.
//! 3. What is longer is read in windows of the longest input, each beginning at most half a window after the one before,
//!    the last ending with the utterance; their scores are averaged. Silent windows are left out.

use crate::emotion::{Emotion, Scores};
use crate::error::{Error, ErrorKind, Result};
use crate::estimate::{RecordingRecord, SegmentRecord, thousandths};
use crate::input::Audio;
use crate::speech::detect::{RATE, Utterance, VoiceDetector, VoiceSettings};
use crate::speech::net::SpeechModel;
use crate::speech::prepare::SpeechPreparer;
use crate::speech::resample::ToMono;

/// Two windows of a long utterance begin at most this part of a window apart.
const STEP: f64 = 0.5;

/// Reads utterances, one after the other, with a model.
pub struct SpeechReader {
    model: SpeechModel,
    preparer: SpeechPreparer,
    to_mono: ToMono,
}

impl SpeechReader {
    /// A reader with a model.
    ///
    /// # Errors
    /// [`Setting`](ErrorKind::Setting) when a setting of the model's recipe is out of its range.
    pub fn new(model: SpeechModel) -> Result<Self> {
        let preparer = SpeechPreparer::new(model.recipe())?;
        let to_mono = ToMono::new(model.recipe().rate);
        Ok(SpeechReader { model, preparer, to_mono })
    }

    /// The model.
    pub fn model(&self) -> &SpeechModel {
        &self.model
    }

    /// What is told of a recording of any rate and channel count: its utterances are found, and each is read. One reads as
    /// unsure where its highest score is under `min_score`.
    ///
    /// # Errors
    /// As [`SpeechReader::read`].
    pub fn record(&mut self, audio: &Audio<'_>, min_score: f32) -> Result<RecordingRecord> {
        let mut detector = VoiceDetector::new(VoiceSettings::default())?;
        let mut segments = Vec::new();
        let mut each = |utterance: Utterance<'_>| -> Result<()> {
            segments.extend(self.segment(&utterance, min_score)?);
            Ok(())
        };
        let mut to_mono = ToMono::new(RATE);
        detector.push::<Error>(&to_mono.convert(audio)?, &mut each)?;
        detector.finish::<Error>(&mut each)?;
        let model = self.model.header().name.clone();
        Ok(RecordingRecord { duration_s: thousandths(audio.seconds()), model, segments })
    }

    /// What is told of a stretch of speech; `None` where it is silent after all.
    ///
    /// # Errors
    /// As [`SpeechReader::read`].
    pub fn segment(&mut self, utterance: &Utterance<'_>, min_score: f32) -> Result<Option<SegmentRecord>> {
        Ok(self.read(&utterance.audio)?.map(|scores| SegmentRecord::new(utterance, scores, min_score)))
    }

    /// What an utterance of any length, rate and channel count reads as; `None` where it is silent.
    ///
    /// # Errors
    /// [`Sound`](ErrorKind::Sound) when its rate cannot be resampled, [`NotFinite`](ErrorKind::NotFinite) when a sample is
    /// not a number.
    pub fn read(&mut self, audio: &Audio<'_>) -> Result<Option<Scores>> {
        let SpeechReader { model, preparer, to_mono } = self;
        let recipe = model.recipe();
        let (rate, longest) = (recipe.rate, recipe.longest());
        let mono = to_mono.convert(audio)?;
        let samples = mono.samples();
        let (start, end) = preparer.voiced(samples);
        let mut window = |samples: &[f32]| match preparer.prepare(&Audio::mono(samples, rate)) {
            Ok(input) => model.read(input).map(Some),
            Err(error) if error.kind() == ErrorKind::Sound => Ok(None),
            Err(error) => Err(error),
        };
        if end - start <= longest {
            return window(samples);
        }
        let voiced = &samples[start..end];
        let last = voiced.len() - longest;
        let steps = (last as f64 / (longest as f64 * STEP)).ceil() as usize;
        let mut sums = [0.0; Emotion::COUNT];
        let mut labels = None;
        for step in 0..=steps {
            let Some(scores) = window(&voiced[last * step / steps..][..longest])? else { continue };
            scores.iter().for_each(|(emotion, score)| sums[emotion.index()] += score);
            labels = Some(scores);
        }
        let Some(labels) = labels else { return Ok(None) };
        let mut weights = [(Emotion::Angry, 0.0); Emotion::COUNT];
        let mut count = 0;
        for (weight, (emotion, _)) in weights.iter_mut().zip(labels.iter()) {
            *weight = (emotion, sums[emotion.index()]);
            count += 1;
        }
        Scores::from_weights(&weights[..count]).map(Some)
    }
}
