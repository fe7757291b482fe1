//! `SpeechReader`: recordings to utterances.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use demeanor::estimate::MIN_SCORE;
use demeanor::{Audio, SpeechModel};
use demeanor_media::Recording;
use demeanor_models::Sense;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{Stop, of, raise};
use crate::models::{self, Origin};
use crate::pixels::path;
use crate::{results, samples};

/// Finds the utterances of recordings and says what each reads as.
///
/// model: a model file, or the name of a built-in model; by default the newest built-in speech model, whose weights are
///     CC BY-NC-SA 4.0: for non-commercial use.
/// min_score: below this score, 0 to 1, an utterance reads as "unsure".
///
/// Raises SettingError for an option out of its range, ModelError for a model that cannot be used.
///
/// One reader can be used by several threads at once. It is pickled by the name and hash of its model, and can be used after
/// a fork.
#[pyclass(frozen, module = "demeanor")]
pub struct SpeechReader {
    kit: Mutex<Kit>,
    origin: Origin,
    min_score: f32,
}

/// As that of faces: locked only while the interpreter is held.
struct Kit {
    model: SpeechModel,
    free: Vec<demeanor::SpeechReader>,
}

#[pymethods]
impl SpeechReader {
    #[new]
    #[pyo3(signature = (model=None, *, min_score=MIN_SCORE))]
    fn new(py: Python<'_>, model: Option<PathBuf>, min_score: f32) -> PyResult<Self> {
        models::check_min_score(py, min_score)?;
        let (model, origin) = models::load(py, Sense::Speech, model, SpeechModel::load)?;
        Ok(SpeechReader { kit: Mutex::new(Kit { model, free: Vec::new() }), origin, min_score })
    }

    /// What a recording reads as, utterance by utterance.
    ///
    /// samples: an array (n) or (n, channels): floats with full scale at -1 and 1, int8, int16, int32, or uint8 with silence
    ///     at 128; any strides. Or the path of a file; what cannot be decoded here is handed to the program ffmpeg.
    /// rate: samples per second and channel; of arrays only.
    ///
    /// Returns a Recording. Raises ShapeError, RangeError, NotFiniteError or InputError for what is no sound, SoundError for a
    /// rate that cannot be read, FileError for a file that cannot be read. Ctrl-C ends the reading of a file.
    #[pyo3(signature = (samples, rate=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        samples: &Bound<'py, PyAny>,
        rate: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(path) = path(samples)? {
            if rate.is_some() {
                let message = "a file says its own rate; leave out rate".to_owned();
                return Err(raise(py, "SoundError", message));
            }
            let mut reader = self.take(py)?;
            let (found, reader) = py.detach(|| (self.read_file(&mut reader, &path), reader));
            self.give_back(reader);
            let (told, warnings) = found.map_err(|stop| stop.about(py, &path.display().to_string()))?;
            return results::recording(py, &told, warnings);
        }
        let Some(rate) = rate else {
            let message = "rate is missing; expected samples per second: read(samples, 16000)".to_owned();
            return Err(raise(py, "SoundError", message));
        };
        let sound = samples::sound(samples, rate)?;
        let mut reader = self.take(py)?;
        let (found, reader) = py.detach(|| {
            let audio = Audio::new(&sound.samples, sound.channels, sound.rate);
            (audio.and_then(|audio| reader.record(&audio, self.min_score)), reader)
        });
        self.give_back(reader);
        results::recording(py, &found.map_err(|e| of(py, &e))?, Vec::new())
    }

    /// The name of the model, or the path of its file.
    #[getter]
    fn model(&self) -> &str {
        &self.origin.name
    }

    fn __repr__(&self) -> String {
        format!("SpeechReader(model={:?})", self.origin.name)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>, String))> {
        let options = PyDict::new(py);
        options.set_item("model", &self.origin.name)?;
        options.set_item("min_score", self.min_score)?;
        let restore = py.import("demeanor._demeanor")?.getattr("_restore_speech_reader")?;
        Ok((restore, (options, self.origin.hash())))
    }
}

impl SpeechReader {
    fn kit(&self) -> MutexGuard<'_, Kit> {
        self.kit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, py: Python<'_>) -> PyResult<demeanor::SpeechReader> {
        let mut kit = self.kit();
        match kit.free.pop() {
            Some(reader) => Ok(reader),
            None => demeanor::SpeechReader::new(kit.model.clone()).map_err(|e| of(py, &e)),
        }
    }

    fn give_back(&self, reader: demeanor::SpeechReader) {
        let mut kit = self.kit();
        if kit.free.len() < 8 {
            kit.free.push(reader);
        }
    }

    fn read_file(
        &self,
        reader: &mut demeanor::SpeechReader,
        path: &std::path::Path,
    ) -> Result<(demeanor::estimate::RecordingRecord, Vec<String>), Stop> {
        let mut going = |_, _| Ok(Python::attach(|py| py.check_signals())?);
        Recording::open(path)?.record_while(reader, self.min_score, &mut going)
    }
}

/// The reader that was pickled.
#[pyfunction]
#[pyo3(name = "_restore_speech_reader")]
pub fn restore(py: Python<'_>, options: &Bound<'_, PyDict>, hash: &str) -> PyResult<Py<PyAny>> {
    let reader = py.get_type::<SpeechReader>().call((), Some(options))?;
    models::check_same(py, &reader.cast::<SpeechReader>()?.get().origin, hash)?;
    Ok(reader.unbind())
}
