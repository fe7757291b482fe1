//! `read_video`: a film to a table.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use arrow_array::{Float32Array, Float64Array, StringArray, UInt8Array, UInt32Array, UInt64Array};
use demeanor::estimate::{EstimateRecord, MIN_SCORE_LIVE, SeenRecord, SegmentRecord};
use demeanor::table::{Columns, LANDMARKS, places};
use demeanor::{Emotion, Scores};
use demeanor_media::capture::Inputs;
use demeanor_media::film::{Film, Step};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::errors::{Stop, of, raise};
use crate::pipeline::Options;
use crate::pixels::path;
use crate::results;
use crate::tables::{Table, column};

/// How long nobody looks whether Ctrl-C was pressed.
const WAIT: Duration = Duration::from_millis(50);

/// What a film reads as: a row for each frame and face, and one for a frame without a face; the same as `demeanor video
/// --csv`. pandas, polars, pyarrow and DuckDB read it as a table.
#[pyclass(frozen, module = "demeanor", name = "Video")]
pub struct Video {
    records: Vec<EstimateRecord>,
    columns: Columns,
    duration_s: f64,
    segments: Vec<SegmentRecord>,
    warnings: Vec<String>,
}

/// A frame with one of its faces, or none.
type Row<'a> = (&'a EstimateRecord, Option<&'a SeenRecord>);

impl Video {
    fn pairs(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().filter(|record| record.frame.is_some()).flat_map(|record| {
            let none = record.faces.is_empty().then_some((record, None));
            record.faces.iter().map(move |face| (record, Some(face))).chain(none)
        })
    }

    fn csv(&self) -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.columns.write_header(&mut text)?;
        self.records.iter().try_for_each(|record| self.columns.write_rows(&mut text, record))?;
        Ok(text)
    }

    fn scores(
        &self,
        prefix: &str,
        labels: &[Emotion],
        of: impl Fn(Row<'_>) -> Option<Scores>,
    ) -> Vec<(arrow_schema::Field, arrow_array::ArrayRef)> {
        let column_of = |emotion: &Emotion| {
            let values: Float32Array = self.pairs().map(|row| of(row).map(|s| s.of(*emotion))).collect();
            column(&format!("{prefix}{emotion}"), values)
        };
        labels.iter().map(column_of).collect()
    }
}

#[pymethods]
impl Video {
    /// How many seconds of the film were read.
    #[getter]
    fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// How many pictures were read.
    #[getter]
    fn frames(&self) -> u64 {
        self.records.last().and_then(|record| record.frame).unwrap_or(0)
    }

    /// What was said, as a tuple of Segment.
    #[getter]
    fn segments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        results::segments(py, &self.segments)
    }

    /// What is wrong with the film, short of an error.
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.warnings)
    }

    /// What was seen and heard at each picture, as a list of Estimate; the same as `demeanor video --json`.
    #[getter]
    fn estimates<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.records.iter().map(|r| results::estimate(py, r)).collect::<PyResult<Vec<_>>>()?)
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.columns.names()
    }

    /// The rows, as a list of dicts; what is not known is None.
    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = self.pairs().map(|row| self.row(py, row)).collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, rows)
    }

    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.pairs().count()
    }

    /// The rows as CSV, byte for byte that of `demeanor video --csv`. Returns the text, or writes it to a file where a path
    /// is given. Raises FileError when the file cannot be written.
    #[pyo3(signature = (path=None))]
    fn to_csv(&self, py: Python<'_>, path: Option<PathBuf>) -> PyResult<Option<String>> {
        let text = self.csv()?;
        let Some(path) = path else { return Ok(Some(String::from_utf8(text)?)) };
        match std::fs::write(&path, text) {
            Ok(()) => Ok(None),
            Err(error) => Err(raise(py, "FileError", format!("cannot write {}: {error}", path.display()))),
        }
    }

    /// The rows as a Table.
    fn to_table(&self, py: Python<'_>) -> PyResult<Table> {
        let face_scores = |row: Row<'_>| row.1.and_then(|face| face.scores);
        let mut columns = vec![
            column("frame", self.pairs().map(|(r, _)| r.frame).collect::<UInt64Array>()),
            column("face_id", self.pairs().map(|(_, f)| Some(f.map_or(0, |f| f.id))).collect::<UInt32Array>()),
            column("timestamp", self.pairs().map(|(r, _)| Some(r.time_s)).collect::<Float64Array>()),
            column(
                "confidence",
                self.pairs().map(|(_, f)| Some(f.map_or(0.0, |f| f.confidence))).collect::<Float32Array>(),
            ),
            column(
                "success",
                self.pairs().map(|row| Some(u8::from(face_scores(row).is_some()))).collect::<UInt8Array>(),
            ),
        ];
        columns.extend(self.scores("", &self.columns.face, face_scores));
        let words = self.pairs().map(|(_, f)| f.and_then(|f| f.emotion).map(|e| e.to_string()));
        columns.push(column("emotion", words.collect::<StringArray>()));
        type Side = fn(&SeenRecord) -> f32;
        let sides: [(&str, Side); 4] = [
            ("x", |f| f.region.x),
            ("y", |f| f.region.y),
            ("width", |f| f.region.width),
            ("height", |f| f.region.height),
        ];
        for (name, side) in sides {
            columns.push(column(name, self.pairs().map(|(_, f)| f.map(side)).collect::<Float32Array>()));
        }
        if !self.columns.voice.is_empty() {
            let words = self.pairs().map(|(r, _)| r.voice.as_ref()?.emotion.map(|e| e.to_string()));
            columns.push(column("voice_emotion", words.collect::<StringArray>()));
            columns.extend(self.scores("voice_", &self.columns.voice, |(r, _)| r.voice.as_ref()?.scores));
            let words = self.pairs().map(|(r, _)| r.fused.as_ref().map(|f| f.emotion.to_string()));
            columns.push(column("fused_emotion", words.collect::<StringArray>()));
            columns.extend(self.scores("fused_", &self.columns.fused, |(r, _)| r.fused.as_ref().map(|f| f.scores)));
        }
        for (index, name) in LANDMARKS.iter().enumerate() {
            for (axis, letter) in ["x", "y"].iter().enumerate() {
                let of = |f: &SeenRecord| f.landmarks.map(|all| places(&all)[index][axis]);
                let values = self.pairs().map(|(_, f)| f.and_then(of)).collect::<Float32Array>();
                columns.push(column(&format!("{name}_{letter}"), values));
            }
        }
        Table::new(py, columns)
    }

    /// The rows as a stream of Arrow, for the library that asks for it.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, pyo3::types::PyCapsule>>,
    ) -> PyResult<Bound<'py, pyo3::types::PyCapsule>> {
        self.to_table(py)?.__arrow_c_stream__(py, requested_schema)
    }

    fn __repr__(&self) -> String {
        format!("Video({} s, {} frames, {} rows)", self.duration_s, self.frames(), self.__len__())
    }
}

impl Video {
    fn row<'py>(&self, py: Python<'py>, (record, face): Row<'_>) -> PyResult<Bound<'py, PyDict>> {
        let row = PyDict::new(py);
        let number = results::number;
        let scores = |row: &Bound<'py, PyDict>, prefix: &str, labels: &[Emotion], scores: Option<Scores>| {
            labels.iter().try_for_each(|e| row.set_item(format!("{prefix}{e}"), scores.map(|s| number(s.of(*e)))))
        };
        let read = face.and_then(|f| f.scores);
        row.set_item("frame", record.frame)?;
        row.set_item("face_id", face.map_or(0, |f| f.id))?;
        row.set_item("timestamp", record.time_s)?;
        row.set_item("confidence", face.map_or(0.0, |f| number(f.confidence)))?;
        row.set_item("success", u8::from(read.is_some()))?;
        scores(&row, "", &self.columns.face, read)?;
        row.set_item("emotion", face.and_then(|f| f.emotion).map(|e| e.to_string()))?;
        row.set_item("x", face.map(|f| number(f.region.x)))?;
        row.set_item("y", face.map(|f| number(f.region.y)))?;
        row.set_item("width", face.map(|f| number(f.region.width)))?;
        row.set_item("height", face.map(|f| number(f.region.height)))?;
        if !self.columns.voice.is_empty() {
            let (voice, fused) = (record.voice.as_ref(), record.fused.as_ref());
            row.set_item("voice_emotion", voice.and_then(|v| v.emotion).map(|e| e.to_string()))?;
            scores(&row, "voice_", &self.columns.voice, voice.and_then(|v| v.scores))?;
            row.set_item("fused_emotion", fused.map(|f| f.emotion.to_string()))?;
            scores(&row, "fused_", &self.columns.fused, fused.map(|f| f.scores))?;
        }
        let landmarks = face.and_then(|f| f.landmarks).map(|all| places(&all));
        for (index, name) in LANDMARKS.iter().enumerate() {
            row.set_item(format!("{name}_x"), landmarks.map(|all| number(all[index][0])))?;
            row.set_item(format!("{name}_y"), landmarks.map(|all| number(all[index][1])))?;
        }
        Ok(row)
    }
}

/// Reads a film: faces and voice over time. It is opened with the program ffmpeg, which must be installed.
///
/// path: a file or URL.
/// progress: is called with the seconds that are read and the seconds that the film lasts (None where it does not say), a
///     few times a second; what it raises ends the reading.
/// start_s, to_s: the part that is read, in seconds of the film.
/// fps: at most so many pictures a second are read.
/// track: which track of sound, from 1.
/// face, speech, face_model, speech_model, detector, any_rotation, smooth_s, min_score: as those of Pipeline.
/// min_face: the smallest face to look for, in pixels of a picture with 480 rows; by default 32, with "haar" 60.
///
/// Returns a Video. Raises DeviceError where ffmpeg is missing, FileError for a film that cannot be read. Ctrl-C ends it with
/// KeyboardInterrupt.
#[pyfunction]
#[pyo3(signature = (path, *, progress=None, start_s=0.0, to_s=None, fps=None, track=None, face=true, speech=true, face_model=None, speech_model=None, detector="blazeface", min_face=None, any_rotation=false, smooth_s=0.4, min_score=MIN_SCORE_LIVE))]
#[expect(clippy::too_many_arguments, reason = "the keywords of Python")]
pub fn read_video(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    progress: Option<Py<PyAny>>,
    start_s: f64,
    to_s: Option<f64>,
    fps: Option<f64>,
    track: Option<usize>,
    face: bool,
    speech: bool,
    face_model: Option<PathBuf>,
    speech_model: Option<PathBuf>,
    detector: &str,
    min_face: Option<u32>,
    any_rotation: bool,
    smooth_s: f64,
    min_score: f32,
) -> PyResult<Video> {
    let Some(film) = self::path(path)? else {
        let message = format!("a film is expected as a path or URL; got {}", path.get_type().name()?);
        return Err(raise(py, "InputError", message));
    };
    let setting = |message: String| raise(py, "SettingError", message);
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|_| setting(format!("{name} is {value}; expected 0 seconds or more")))
    };
    let start = seconds("start_s", start_s)?;
    let to = to_s.map(|to| seconds("to_s", to)).transpose()?;
    if to.is_some_and(|to| to <= start) {
        return Err(setting("to_s must lie behind start_s".to_owned()));
    }
    if let Some(fps) = fps.filter(|fps| !(0.01..=1000.0).contains(fps)) {
        return Err(setting(format!("fps is {fps}; expected 0.01 to 1000 pictures a second")));
    }
    if track == Some(0) {
        return Err(setting("track is 0; tracks are counted from 1".to_owned()));
    }
    let min_face = min_face.or((detector == "blazeface").then_some(32));
    let detector = detector.to_owned();
    let options =
        Options { face, speech, face_model, speech_model, detector, min_face, any_rotation, smooth_s, min_score };
    let pipeline = options.pipeline(py)?;
    let shown = film.display().to_string();
    let read = py.detach(|| {
        let film = OsString::from(film);
        let inputs = Inputs { start, to, rate: fps, track, ..Inputs::film(&film, false) };
        read(Film::open(&inputs, pipeline, min_score)?, progress)
    });
    // the messages of films name them
    read.map_err(|stop| match stop {
        Stop::Library(error) if error.to_string().contains(&shown) => of(py, &error),
        stop => stop.about(py, &shown),
    })
}

fn read(mut film: Film, progress: Option<Py<PyAny>>) -> Result<Video, Stop> {
    let columns = Columns::of(film.pipeline());
    let mut records = Vec::new();
    let mut looked = std::time::Instant::now();
    loop {
        match film.next_within(WAIT)? {
            Step::Seen(record) => records.push(record),
            Step::Heard(_) | Step::Picture(_) | Step::Waiting => {}
            Step::Ended => break,
        }
        if looked.elapsed() >= WAIT {
            looked = std::time::Instant::now();
            tell(&film, progress.as_ref())?;
        }
    }
    tell(&film, progress.as_ref())?;
    let end = film.finish()?;
    Ok(Video {
        records,
        columns,
        duration_s: end.seconds,
        segments: end.segments,
        warnings: end.problem.into_iter().chain(end.warnings).collect(),
    })
}

/// Tells Python how far it is; it may end the reading with an exception.
fn tell(film: &Film, progress: Option<&Py<PyAny>>) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1(py, (film.time().as_secs_f64(), film.length().map(|l| l.as_secs_f64())))?;
        }
        Ok(())
    })
}
