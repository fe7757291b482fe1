//! See, hear, estimate: frames and sound in, what a face and a voice read as out.
//!
//! The pipeline is deterministic: the same frames and samples with the same times give the same estimates, however fast they
//! come and however the sound is cut into pieces. Seeing a frame allocates nothing once as many faces as are in view have
//! been seen.

use std::time::Duration;

use crate::emotion::Scores;
use crate::error::Result;
use crate::face::detect::{Detector, DetectorKind};
use crate::face::net::FaceModel;
use crate::face::watch::{FaceEstimate, Stage, WatchSettings, Watcher};
use crate::fuse::{Evidence, FuseSettings, Fused, fuse};
use crate::input::{Audio, Frame};
use crate::speech::listen::{ListenSettings, Listener, Utterance, VoiceEstimate};
use crate::speech::net::SpeechModel;

/// How a pipeline works.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How faces are watched.
    pub watch: WatchSettings,
    /// How the voice is listened to.
    pub listen: ListenSettings,
    /// How both are fused.
    pub fuse: FuseSettings,
    /// From when until when the person is at rest: what is seen and heard then is the baseline that later scores are
    /// corrected by. None for no correction.
    pub baseline: Option<(Duration, Duration)>,
}

/// What was made of all that was seen and heard so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate<'a> {
    /// The time of the last frame or the end of the last sound, whichever is later.
    pub time: Duration,
    /// The faces seen in the last frame, in order of appearance.
    pub faces: &'a [FaceEstimate],
    /// The voice; `None` without a speech model, or before any sound.
    pub voice: Option<VoiceEstimate>,
    /// The most prominent face and the voice together. `None` when neither is known or fresh.
    pub fused: Option<Fused>,
}

/// What a [`Pipeline`] is built of: a model for each sense that it shall have, and settings.
#[derive(Debug, Default)]
pub struct PipelineBuilder {
    face: Option<FaceModel>,
    speech: Option<SpeechModel>,
    settings: Settings,
    detector: Option<Detector>,
}

impl PipelineBuilder {
    /// Reads faces with this model.
    #[must_use]
    pub fn face(mut self, model: FaceModel) -> Self {
        self.face = Some(model);
        self
    }

    /// Reads voices with this model.
    #[must_use]
    pub fn speech(mut self, model: SpeechModel) -> Self {
        self.speech = Some(model);
        self
    }

    /// Works as these settings say.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Finds faces with this detector instead of the cascade. Unless the settings say otherwise, faces are watched as suits it.
    #[must_use]
    pub fn detector(mut self, detector: Detector) -> Self {
        if detector.kind() == DetectorKind::BlazeFace && self.settings.watch == WatchSettings::default() {
            self.settings.watch = WatchSettings::blazeface();
        }
        self.detector = Some(detector);
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// [`Setting`](crate::ErrorKind::Setting) when a setting is out of its range.
    pub fn build(self) -> Result<Pipeline> {
        let mut pipeline = Pipeline::new(self.face, self.speech, self.settings)?;
        if let Some(detector) = self.detector {
            pipeline.set_detector(detector);
        }
        Ok(pipeline)
    }
}

/// Sees frames, hears sound, and estimates.
pub struct Pipeline {
    settings: Settings,
    watcher: Option<Watcher>,
    listener: Option<Listener>,
    /// The voice that another pipeline heard, with the same clock.
    taken: Option<VoiceEstimate>,
    /// The most prominent face's last scores, kept while it is out of sight.
    face: Option<(u32, Scores, Duration, f32)>,
    time: Duration,
}

impl Pipeline {
    /// A pipeline to be built: `Pipeline::builder().face(model).build()`.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// A pipeline with the models for the senses that it shall have.
    ///
    /// # Errors
    /// [`Setting`](crate::ErrorKind::Setting) when a setting is out of its range.
    pub fn new(face: Option<FaceModel>, speech: Option<SpeechModel>, settings: Settings) -> Result<Pipeline> {
        // refuses settings that no later call could use
        fuse(None, None, &settings.fuse)?;
        let mut watcher = face.map(|model| Watcher::new(model, settings.watch.clone())).transpose()?;
        let mut listener = speech.map(|model| Listener::new(model, settings.listen.clone())).transpose()?;
        if let Some((from, until)) = settings.baseline {
            if let Some(watcher) = &mut watcher {
                watcher.rest(from, until);
            }
            if let Some(listener) = &mut listener {
                listener.rest(from, until);
            }
        }
        Ok(Pipeline { settings, watcher, listener, taken: None, face: None, time: Duration::ZERO })
    }

    /// Finds faces with another detector than the cascade from now on. Does nothing without a face model.
    pub fn set_detector(&mut self, detector: Detector) {
        if let Some(watcher) = &mut self.watcher {
            watcher.set_detector(detector);
        }
    }

    /// Whether the last search of a whole frame found more faces than are followed.
    pub fn has_more_faces(&self) -> bool {
        self.watcher.as_ref().is_some_and(Watcher::has_more_faces)
    }

    /// The model that reads faces, if there is one.
    pub fn face_model(&self) -> Option<&FaceModel> {
        self.watcher.as_ref().map(Watcher::model)
    }

    /// The model that reads voices, if there is one.
    pub fn speech_model(&self) -> Option<&SpeechModel> {
        self.listener.as_ref().map(Listener::model)
    }

    /// Sees a frame of a time. Without a face model it does nothing.
    ///
    /// # Errors
    /// [`Setting`](crate::ErrorKind::Setting) when the time is before that of the last frame.
    pub fn see(&mut self, frame: &Frame<'_>, time: Duration) -> Result<()> {
        self.see_staged(frame, time, &mut |_| {})
    }

    /// As [`Pipeline::see`]; `stage` is told when a stage is done, for those who measure.
    ///
    /// # Errors
    /// As [`Pipeline::see`].
    pub fn see_staged(&mut self, frame: &Frame<'_>, time: Duration, stage: &mut dyn FnMut(Stage)) -> Result<()> {
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        watcher.see(frame, time, stage)?;
        self.time = self.time.max(time);
        // the largest face speaks; it stays the one while it is about as large as the largest
        let area = |f: &FaceEstimate| f.region.width * f.region.height;
        let largest = watcher.faces().iter().filter(|f| f.scores.is_some()).max_by(|a, b| area(a).total_cmp(&area(b)));
        if let Some(largest) = largest {
            let before = self.face.and_then(|(id, ..)| watcher.faces().iter().find(|f| f.id == id));
            let face = before.filter(|f| f.scores.is_some() && area(f) * 1.5 >= area(largest)).unwrap_or(largest);
            if let Some(scores) = face.scores {
                self.face = Some((face.id, scores, time, face.confidence * face.quality));
            }
        }
        Ok(())
    }

    /// Hears sound whose first sample is of a time. Without a speech model it does nothing.
    ///
    /// # Errors
    /// [`Sound`](crate::ErrorKind::Sound) when its rate cannot be resampled, [`NotFinite`](crate::ErrorKind::NotFinite)
    /// when a sample is not a number; the sound is then not taken.
    pub fn hear(&mut self, audio: &Audio<'_>, time: Duration) -> Result<()> {
        let Some(listener) = &mut self.listener else { return Ok(()) };
        listener.hear(audio, time)?;
        self.time = self.time.max(listener.heard_until());
        Ok(())
    }

    /// Takes the voice that another pipeline heard, with the same clock: faces and voices can be read by two threads and still
    /// be fused. With a speech model of its own it does nothing.
    pub fn take_voice(&mut self, voice: Option<VoiceEstimate>) {
        self.taken = voice;
    }

    /// Ends the sound: an utterance that is still going on is read as it is.
    ///
    /// # Errors
    /// As [`Pipeline::hear`].
    pub fn end_of_sound(&mut self) -> Result<()> {
        self.listener.as_mut().map_or(Ok(()), Listener::finish)
    }

    /// Frames will come so far apart. Where that is long, as in films of key frames, a face is reported from its first frame.
    pub fn expect_frames(&mut self, between: Duration) {
        if let Some(watcher) = &mut self.watcher {
            watcher.expect(between);
        }
    }

    /// The faces seen in the last frame, in order of appearance.
    pub fn faces(&self) -> &[FaceEstimate] {
        self.watcher.as_ref().map_or(&[], Watcher::faces)
    }

    /// The utterances that have ended since this was last asked, in order.
    pub fn utterances(&mut self) -> impl Iterator<Item = Utterance> + '_ {
        self.listener.as_mut().into_iter().flat_map(Listener::utterances)
    }

    /// What is estimated now.
    pub fn estimate(&self) -> Estimate<'_> {
        let voice = self.listener.as_ref().map_or(self.taken, Listener::voice);
        let face = self.face.map(|(_, scores, seen, quality)| Evidence {
            scores,
            age: self.time.saturating_sub(seen),
            quality: quality.clamp(0.0, 1.0),
        });
        let speech = voice.and_then(|v| {
            v.scores.map(|scores| Evidence {
                scores,
                age: self.time.saturating_sub(v.read_at),
                quality: v.quality.clamp(0.0, 1.0),
            })
        });
        // settings out of their range were refused when the pipeline was made
        let fused = fuse(face.as_ref(), speech.as_ref(), &self.settings.fuse).unwrap_or_default();
        Estimate { time: self.time, faces: self.faces(), voice, fused }
    }

    /// What is seen and heard from `from` until `until` is the new baseline.
    pub fn rest(&mut self, from: Duration, until: Duration) {
        if let Some(watcher) = &mut self.watcher {
            watcher.rest(from, until);
        }
        if let Some(listener) = &mut self.listener {
            listener.rest(from, until);
        }
    }
}
