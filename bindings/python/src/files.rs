//! `FileReader`: many files to one table, for clusters.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, StringArray, UInt32Array};
use arrow_schema::{DataType, Field};
use demeanor::estimate::{FaceRecord, MIN_SCORE, MIN_SCORE_LIVE, PictureRecord};
use demeanor::face::detect::HaarSettings;
use demeanor::{Emotion, FaceModel, Reading, Region, Scores, SpeechModel};
use demeanor_media::capture::Inputs;
use demeanor_media::film::{Film, Step};
use demeanor_media::picture::{self, MAX_MEMORY, Opened};
use demeanor_media::{Recording, sound};
use demeanor_models::Sense;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;
use pyo3_arrow::input::AnyRecordBatch;

use crate::errors::{Stop, raise};
use crate::models::{self, Finder};
use crate::pipeline::Options;
use crate::tables::{Table, column};

/// A row of what was read of a file.
#[derive(Default)]
struct Row {
    path: String,
    kind: Option<&'static str>,
    start_s: Option<f64>,
    end_s: Option<f64>,
    face_id: Option<u32>,
    emotion: Option<String>,
    score: Option<f32>,
    region: Option<Region>,
    confidence: Option<f32>,
    quality: Option<f32>,
    scores: Option<Scores>,
    error: Option<String>,
}

/// The columns before and behind the scores.
fn table(py: Python<'_>, rows: &[Row]) -> PyResult<Table> {
    fn words<'a>(name: &str, rows: &'a [Row], of: impl Fn(&'a Row) -> Option<&'a str>) -> (Field, ArrayRef) {
        column(name, rows.iter().map(of).collect::<StringArray>())
    }
    fn numbers(name: &str, rows: &[Row], of: impl Fn(&Row) -> Option<f32>) -> (Field, ArrayRef) {
        column(name, rows.iter().map(of).collect::<Float32Array>())
    }
    let mut columns = vec![
        words("path", rows, |row| Some(&row.path)),
        words("kind", rows, |row| row.kind),
        column("start_s", rows.iter().map(|row| row.start_s).collect::<Float64Array>()),
        column("end_s", rows.iter().map(|row| row.end_s).collect::<Float64Array>()),
        column("face_id", rows.iter().map(|row| row.face_id).collect::<UInt32Array>()),
        words("emotion", rows, |row| row.emotion.as_deref()),
        numbers("score", rows, |row| row.score),
        numbers("x", rows, |row| row.region.map(|r| r.x)),
        numbers("y", rows, |row| row.region.map(|r| r.y)),
        numbers("width", rows, |row| row.region.map(|r| r.width)),
        numbers("height", rows, |row| row.region.map(|r| r.height)),
        numbers("confidence", rows, |row| row.confidence),
        numbers("quality", rows, |row| row.quality),
    ];
    for emotion in Emotion::ALL {
        let of = |row: &Row| row.scores.filter(|s| s.has(emotion)).map(|s| s.of(emotion));
        columns.push(numbers(emotion.name(), rows, of));
    }
    columns.push(words("error", rows, |row| row.error.as_deref()));
    Table::new(py, columns)
}

/// Reads files of any kind, many at a time: a column of paths in, a table of rows out.
///
/// read(batch) takes a record batch or table of Arrow (pyarrow, polars, Daft, Ray ...) with a column `path` of text, and returns
/// a Table with these columns; what does not apply or is not known is null:
///
///     path        the file, as it was given
///     kind        "picture", "recording" or "film"; by its ending
///     start_s     when it is: of a film the time of the picture, of speech the begin of the utterance; in seconds
///     end_s       when the utterance ends
///     face_id     of a picture 1 for its largest face, and so on; of a film the number that a face keeps; null for a voice
///     emotion     what the face or the voice reads as, or "unsure"
///     score       the highest score, 0 to 1
///     x, y, width, height    the face's box in pixels
///     confidence, quality    of the face, 0 to 1
///     angry, disgust, fear, happy, sad, surprise, neutral, calm, contempt    all scores; null where the model has no such label
///     error       why the file could not be read
///
/// A picture has a row for each face, a recording one for each utterance, a film one for each face of each picture that is
/// read and one for each utterance. A file in which nothing is found has one row without emotion and error; a file that cannot
/// be read one row with its error, and the others are read all the same.
///
/// fps: at most so many pictures of a second of film are read.
/// min_score: below this score an expression reads as "unsure"; by default 0.3, and 0.4 for films.
///
/// One file is read after the other, by one thread. Ctrl-C ends the reading.
#[pyclass(frozen, module = "demeanor")]
pub struct FileReader {
    fps: Option<f64>,
    min_score: Option<f32>,
    readers: Mutex<Readers>,
}

/// What reads pictures and recordings, once it was needed.
#[derive(Default)]
struct Readers {
    face: Option<demeanor::FaceReader>,
    speech: Option<demeanor::SpeechReader>,
}

#[pymethods]
impl FileReader {
    #[new]
    #[pyo3(signature = (*, fps=None, min_score=None))]
    fn new(py: Python<'_>, fps: Option<f64>, min_score: Option<f32>) -> PyResult<Self> {
        models::check_min_score(py, min_score.unwrap_or(MIN_SCORE))?;
        if let Some(fps) = fps.filter(|fps| !(0.01..=1000.0).contains(fps)) {
            let message = format!("fps is {fps}; expected 0.01 to 1000 pictures a second");
            return Err(raise(py, "SettingError", message));
        }
        Ok(FileReader { fps, min_score, readers: Mutex::default() })
    }

    /// The rows of all files of a batch. Raises DataError when it has no column `path` of text.
    fn read(&self, py: Python<'_>, batch: AnyRecordBatch) -> PyResult<Table> {
        let mut rows = Vec::new();
        for path in paths(py, batch.into_table()?)? {
            match path {
                Some(path) => self.read_one(py, path, &mut rows)?,
                None => rows.push(Row { error: Some("the path is null".to_owned()), ..Row::default() }),
            }
        }
        table(py, &rows)
    }

    fn __repr__(&self) -> String {
        format!("FileReader(fps={:?}, min_score={:?})", self.fps, self.min_score)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Option<f64>, Option<f32>))> {
        let restore = py.import("demeanor._demeanor")?.getattr("_restore_file_reader")?;
        Ok((restore, (self.fps, self.min_score)))
    }
}

/// The reader that was pickled.
#[pyfunction]
#[pyo3(name = "_restore_file_reader")]
pub fn restore(py: Python<'_>, fps: Option<f64>, min_score: Option<f32>) -> PyResult<FileReader> {
    FileReader::new(py, fps, min_score)
}

/// The column `path`.
fn paths(py: Python<'_>, table: PyTable) -> PyResult<Vec<Option<String>>> {
    let (batches, schema) = table.into_inner();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let Ok(index) = schema.index_of("path") else {
        let message = format!("a column \"path\" of text is expected; the columns are {}", names.join(", "));
        return Err(raise(py, "DataError", message));
    };
    let mut paths = Vec::new();
    for batch in &batches {
        let column = batch.column(index);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match column.data_type() {
            DataType::Utf8 => paths.extend(column.as_string::<i32>().iter().map(owned)),
            DataType::LargeUtf8 => paths.extend(column.as_string::<i64>().iter().map(owned)),
            DataType::Utf8View => paths.extend(column.as_string_view().iter().map(owned)),
            DataType::Null => paths.extend((0..column.len()).map(|_| None)),
            other => {
                let message = format!("the column \"path\" is expected to hold text; it holds {other}");
                return Err(raise(py, "DataError", message));
            }
        }
    }
    Ok(paths)
}

impl FileReader {
    /// The rows of a file. Only what Python raises, such as KeyboardInterrupt, is an error.
    fn read_one(&self, py: Python<'_>, path: String, rows: &mut Vec<Row>) -> PyResult<()> {
        py.check_signals()?;
        let is_of = |endings: &[&str]| {
            let ending = Path::new(&path).extension().and_then(OsStr::to_str).map(str::to_lowercase);
            ending.is_some_and(|ending| endings.contains(&ending.as_str()))
        };
        let (kind, found) = if is_of(picture::EXTENSIONS) {
            ("picture", self.picture(py, &path))
        } else if is_of(sound::EXTENSIONS) {
            ("recording", self.recording(py, &path))
        } else {
            ("film", self.film(py, &path))
        };
        let mut found = match found {
            Ok(found) if found.is_empty() => vec![Row::default()],
            Ok(found) => found,
            Err(Stop::Library(error)) => vec![Row { error: Some(error.to_string()), ..Row::default() }],
            Err(Stop::Python(error)) => return Err(error),
        };
        for row in &mut found {
            (row.path, row.kind) = (path.clone(), Some(kind));
        }
        rows.append(&mut found);
        Ok(())
    }

    /// What reads, taken out; nobody else waits for it.
    fn readers(&self) -> std::sync::MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn picture(&self, py: Python<'_>, path: &str) -> Result<Vec<Row>, Stop> {
        let taken = self.readers().face.take();
        let mut reader = match taken {
            Some(reader) => reader,
            None => {
                let (model, _) = models::load(py, Sense::Face, None, FaceModel::load)?;
                let detector = Finder::named(py, "blazeface", HaarSettings::default())?.detector()?;
                demeanor::FaceReader::new(model)?.with_detector(detector)
            }
        };
        let min_score = self.min_score.unwrap_or(MIN_SCORE);
        let (told, reader) = py.detach(|| {
            let told = picture::open_within(path.as_ref(), MAX_MEMORY).and_then(|Opened { picture, reduced }| {
                let faces = reader.read(&picture.frame())?;
                Ok(PictureRecord::new(&picture.frame(), &faces, reduced, min_score))
            });
            (told, reader)
        });
        self.readers().face = Some(reader);
        let row = |(index, face): (usize, FaceRecord)| Row {
            face_id: Some(index as u32 + 1),
            confidence: face.confidence,
            ..Row::of_face(Some(face.emotion), Some(face.scores), face.region, face.quality)
        };
        Ok(told?.faces.into_iter().enumerate().map(row).collect())
    }

    fn recording(&self, py: Python<'_>, path: &str) -> Result<Vec<Row>, Stop> {
        let taken = self.readers().speech.take();
        let mut reader = match taken {
            Some(reader) => reader,
            None => demeanor::SpeechReader::new(models::load(py, Sense::Speech, None, SpeechModel::load)?.0)?,
        };
        let min_score = self.min_score.unwrap_or(MIN_SCORE);
        let (told, reader) = py.detach(|| {
            let mut going = |_, _| Ok::<_, Stop>(Python::attach(|py| py.check_signals())?);
            let told = Recording::open(path.as_ref())
                .map_err(Stop::from)
                .and_then(|recording| recording.record_while(&mut reader, min_score, &mut going));
            (told, reader)
        });
        self.readers().speech = Some(reader);
        let (told, _) = told?;
        Ok(told.segments.into_iter().map(|s| Row::of_voice(s.start_s, s.end_s, s.emotion, s.scores)).collect())
    }

    fn film(&self, py: Python<'_>, path: &str) -> Result<Vec<Row>, Stop> {
        let min_score = self.min_score.unwrap_or(MIN_SCORE_LIVE);
        let options = Options { min_score, min_face: Some(32), ..Options::default() };
        let pipeline = options.pipeline(py)?;
        py.detach(|| {
            let inputs = Inputs { rate: self.fps, ..Inputs::film(path.as_ref(), false) };
            let mut film = Film::open(&inputs, pipeline, min_score)?;
            let mut rows = Vec::new();
            loop {
                Python::attach(|py| py.check_signals())?;
                match film.next_within(Duration::from_millis(50))? {
                    Step::Seen(record) => rows.extend(record.faces.into_iter().map(|face| Row {
                        start_s: Some(record.time_s),
                        face_id: Some(face.id),
                        confidence: Some(face.confidence),
                        ..Row::of_face(face.emotion, face.scores, face.region, face.quality)
                    })),
                    Step::Heard(_) | Step::Picture(_) | Step::Waiting => {}
                    Step::Ended => break,
                }
            }
            let said = film.finish()?.segments.into_iter();
            rows.extend(said.map(|s| Row::of_voice(s.start_s, s.end_s, s.emotion, s.scores)));
            Ok(rows)
        })
    }
}

impl Row {
    fn of_face(emotion: Option<Reading>, scores: Option<Scores>, region: Region, quality: f32) -> Row {
        let emotion = emotion.map(|e| e.to_string());
        let score = scores.map(|s| s.top().1);
        Row { emotion, score, region: Some(region), quality: Some(quality), scores, ..Row::default() }
    }

    fn of_voice(start_s: f64, end_s: f64, emotion: Reading, scores: Scores) -> Row {
        Row {
            start_s: Some(start_s),
            end_s: Some(end_s),
            emotion: Some(emotion.to_string()),
            score: Some(scores.top().1),
            scores: Some(scores),
            ..Row::default()
        }
    }
}
