//! `Pipeline`: frames and sound in time.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use demeanor::estimate::{EstimateRecord, MIN_SCORE_LIVE};
use demeanor::face::detect::HaarSettings;
use demeanor::face::watch::WatchSettings;
use demeanor::{Audio, FaceModel, Settings, SpeechModel};
use demeanor_models::Sense;
use pyo3::prelude::*;

use crate::errors::{of, raise};
use crate::models::{self, Finder};
use crate::pixels::{self, Given};
use crate::{results, samples};

/// What a pipeline of Python is made of; the defaults are those of the command line.
pub struct Options {
    pub face: bool,
    pub speech: bool,
    pub face_model: Option<PathBuf>,
    pub speech_model: Option<PathBuf>,
    pub detector: String,
    pub min_face: Option<u32>,
    pub any_rotation: bool,
    pub smooth_s: f64,
    pub min_score: f32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            face: true,
            speech: true,
            face_model: None,
            speech_model: None,
            detector: "blazeface".to_owned(),
            min_face: None,
            any_rotation: false,
            smooth_s: 0.4,
            min_score: MIN_SCORE_LIVE,
        }
    }
}

impl Options {
    /// The pipeline.
    pub fn pipeline(&self, py: Python<'_>) -> PyResult<demeanor::Pipeline> {
        models::check_min_score(py, self.min_score)?;
        if !self.face && !self.speech {
            let message = "face and speech are both False; expected one of them at least".to_owned();
            return Err(raise(py, "SettingError", message));
        }
        if !(0.0..=60.0).contains(&self.smooth_s) {
            let message = format!("smooth_s is {}; expected 0 to 60 seconds", self.smooth_s);
            return Err(raise(py, "SettingError", message));
        }
        if self.min_face.is_some_and(|pixels| pixels < 24) {
            return Err(raise(py, "SettingError", "min_face is too small; expected 24 pixels or more".to_owned()));
        }
        if self.any_rotation && self.detector == "haar" {
            let message = "detector=\"haar\" cannot find turned heads; leave out any_rotation".to_owned();
            return Err(raise(py, "SettingError", message));
        }
        let mut settings = Settings::default();
        if self.detector == "blazeface" {
            settings.watch = WatchSettings::blazeface();
        }
        settings.watch.search.min_face_px = self.min_face.unwrap_or(60);
        settings.watch.search.any_rotation = self.any_rotation;
        settings.watch.smoothing = Duration::from_secs_f64(self.smooth_s);
        settings.listen.smoothing = Duration::from_secs_f64(2.0 * self.smooth_s);
        let finder = self.face.then(|| Finder::named(py, &self.detector, HaarSettings::live())).transpose()?;
        let face = self.face.then(|| models::load(py, Sense::Face, self.face_model.clone(), FaceModel::load));
        let speech = self.speech.then(|| models::load(py, Sense::Speech, self.speech_model.clone(), SpeechModel::load));
        let (face, speech) = (face.transpose()?.map(|(model, _)| model), speech.transpose()?.map(|(model, _)| model));
        let built = demeanor::Pipeline::new(face, speech, settings).and_then(|mut pipeline| {
            if let Some(finder) = finder {
                pipeline.set_detector(finder.detector()?);
            }
            Ok(pipeline)
        });
        built.map_err(|e| of(py, &e))
    }
}

/// Sees frames and hears sound in time, follows faces, and estimates: a live session.
///
/// face, speech: whether faces are read, and the voice.
/// face_model, speech_model: model files, or names of built-in models; by default the newest built-in ones.
/// detector: "blazeface" or "haar".
/// min_face: the smallest face to look for, in pixels of a picture with 480 rows; by default 60.
/// any_rotation: looks for heads that lie on their side or stand on their top too.
/// smooth_s: time constant of the smoothing in seconds; that of the voice is twice as long. 0 for none.
/// min_score: below this score, 0 to 1, an expression reads as "unsure".
///
/// The clock is yours: the same frames and samples with the same times give the same estimates. Raises SettingError for an
/// option out of its range, ModelError for a model that cannot be used. What was seen so far cannot be pickled.
#[pyclass(frozen, module = "demeanor")]
pub struct Pipeline {
    pipeline: Mutex<demeanor::Pipeline>,
    min_score: f32,
    process: u32,
}

#[pymethods]
impl Pipeline {
    #[new]
    #[pyo3(signature = (*, face=true, speech=true, face_model=None, speech_model=None, detector="blazeface", min_face=None, any_rotation=false, smooth_s=0.4, min_score=MIN_SCORE_LIVE))]
    #[expect(clippy::too_many_arguments, reason = "the keywords of Python")]
    fn new(
        py: Python<'_>,
        face: bool,
        speech: bool,
        face_model: Option<PathBuf>,
        speech_model: Option<PathBuf>,
        detector: &str,
        min_face: Option<u32>,
        any_rotation: bool,
        smooth_s: f64,
        min_score: f32,
    ) -> PyResult<Self> {
        let detector = detector.to_owned();
        let options =
            Options { face, speech, face_model, speech_model, detector, min_face, any_rotation, smooth_s, min_score };
        Ok(Pipeline { pipeline: Mutex::new(options.pipeline(py)?), min_score, process: std::process::id() })
    }

    /// Sees a frame.
    ///
    /// frame: one picture, as FaceReader.read takes it.
    /// time_s: its time in seconds; not before that of the last frame.
    /// bgr: the channels of an array are blue, green, red.
    ///
    /// Raises as FaceReader.read, and SettingError for a time before the last one.
    #[pyo3(signature = (frame, time_s, *, bgr=false))]
    fn see(&self, py: Python<'_>, frame: &Bound<'_, PyAny>, time_s: f64, bgr: bool) -> PyResult<()> {
        let time = time(py, time_s)?;
        let Given::One(source) = pixels::given(frame, bgr)? else {
            let message = "see takes one frame at a time; got many".to_owned();
            return Err(raise(py, "ShapeError", message));
        };
        let (picture, _) = source.open().map_err(|failed| pixels::exception(py, failed))?;
        self.with(py, |pipeline| pipeline.see(&picture.frame(), time))
    }

    /// Hears sound.
    ///
    /// samples, rate: as SpeechReader.read takes an array.
    /// time_s: the time of its first sample in seconds.
    ///
    /// Raises as SpeechReader.read.
    fn hear(&self, py: Python<'_>, samples: &Bound<'_, PyAny>, rate: &Bound<'_, PyAny>, time_s: f64) -> PyResult<()> {
        let time = time(py, time_s)?;
        let sound = samples::sound(samples, rate)?;
        self.with(py, |pipeline| pipeline.hear(&Audio::new(&sound.samples, sound.channels, sound.rate)?, time))
    }

    /// What is estimated now: an Estimate, with the faces in view, the voice, and both together.
    fn estimate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let min_score = self.min_score;
        let record = self.with(py, |pipeline| {
            let estimate = pipeline.estimate();
            Ok(EstimateRecord::new(&estimate, estimate.time, None, 1.0, min_score))
        })?;
        results::estimate(py, &record)
    }
}

impl Pipeline {
    /// Does something with the pipeline when no other thread uses it, without the interpreter.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut demeanor::Pipeline) -> demeanor::Result<T> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| self.lock().map(|mut pipeline| work(&mut pipeline)));
        let Some(done) = done else {
            let message = "another thread used this pipeline when the process was forked; make a new Pipeline here";
            return Err(raise(py, "Error", message.to_owned()));
        };
        done.map_err(|e| of(py, &e))
    }

    /// Waits for the pipeline. In a process that was forked while it was used, nobody would ever give it back.
    fn lock(&self) -> Option<MutexGuard<'_, demeanor::Pipeline>> {
        if std::process::id() == self.process {
            return Some(self.pipeline.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.pipeline.try_lock() {
            Ok(pipeline) => Some(pipeline),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

fn time(py: Python<'_>, time_s: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(time_s).map_err(|_| {
        raise(py, "SettingError", format!("time_s is {time_s}; expected seconds from the start, 0 or more"))
    })
}
