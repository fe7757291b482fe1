//! Records of the library as the classes of `demeanor._results`.

use demeanor::estimate::{
    EstimateRecord, FaceRecord, FusedRecord, RecordingRecord, SeenRecord, SegmentRecord, VoiceRecord,
};
use demeanor::table::places;
use demeanor::{Landmarks, Region, Scores};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

struct Classes {
    face: Py<PyAny>,
    tracked: Py<PyAny>,
    segment: Py<PyAny>,
    recording: Py<PyAny>,
    voice: Py<PyAny>,
    fused: Py<PyAny>,
    estimate: Py<PyAny>,
    region: Py<PyAny>,
    landmarks: Py<PyAny>,
    point: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    CLASSES.get_or_try_init(py, || {
        let module = py.import("demeanor._results")?;
        let class = |name: &str| module.getattr(name).map(Bound::unbind);
        Ok(Classes {
            face: class("Face")?,
            tracked: class("TrackedFace")?,
            segment: class("Segment")?,
            recording: class("Recording")?,
            voice: class("Voice")?,
            fused: class("Fused")?,
            estimate: class("Estimate")?,
            region: class("Box")?,
            landmarks: class("Landmarks")?,
            point: class("Point")?,
        })
    })
}

/// The number that JSON shows: the shortest that is the same in 32 bits.
pub fn number(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn scores<'py>(py: Python<'py>, scores: &Scores) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (emotion, score) in scores.iter() {
        dict.set_item(emotion.name(), number(score))?;
    }
    Ok(dict)
}

fn region<'py>(py: Python<'py>, region: &Region) -> PyResult<Bound<'py, PyAny>> {
    let sides = [region.x, region.y, region.width, region.height].map(number);
    classes(py)?.region.bind(py).call1((sides[0], sides[1], sides[2], sides[3]))
}

fn landmarks<'py>(py: Python<'py>, landmarks: Option<&Landmarks>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(landmarks) = landmarks else { return Ok(None) };
    let all = classes(py)?;
    let points = places(landmarks).map(|[x, y]| all.point.bind(py).call1((number(x), number(y))));
    let points = points.into_iter().collect::<PyResult<Vec<_>>>()?;
    Ok(Some(all.landmarks.bind(py).call1(PyTuple::new(py, points)?)?))
}

/// A face of a picture.
pub fn face<'py>(py: Python<'py>, face: &FaceRecord) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.face.bind(py).call1((
        face.emotion.to_string(),
        number(face.score),
        scores(py, &face.scores)?,
        region(py, &face.region)?,
        landmarks(py, face.landmarks.as_ref())?,
        face.confidence.map(number),
        number(face.quality),
    ))
}

fn tracked<'py>(py: Python<'py>, face: &SeenRecord) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.tracked.bind(py).call1((
        face.id,
        face.emotion.map(|e| e.to_string()),
        face.score.map(number),
        face.scores.map(|s| scores(py, &s)).transpose()?,
        region(py, &face.region)?,
        landmarks(py, face.landmarks.as_ref())?,
        number(face.confidence),
        number(face.quality),
    ))
}

/// A stretch of speech.
pub fn segment<'py>(py: Python<'py>, segment: &SegmentRecord) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.segment.bind(py).call1((
        segment.start_s,
        segment.end_s,
        segment.emotion.to_string(),
        number(segment.score),
        scores(py, &segment.scores)?,
    ))
}

/// Stretches of speech, as a tuple.
pub fn segments<'py>(py: Python<'py>, segments: &[SegmentRecord]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, segments.iter().map(|s| segment(py, s)).collect::<PyResult<Vec<_>>>()?)
}

/// A recording, with what is wrong with it.
pub fn recording<'py>(py: Python<'py>, told: &RecordingRecord, warnings: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
    let segments = segments(py, &told.segments)?;
    classes(py)?.recording.bind(py).call1((told.duration_s, &told.model, segments, PyTuple::new(py, warnings)?))
}

fn voice<'py>(py: Python<'py>, voice: &VoiceRecord) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.voice.bind(py).call1((
        voice.speaking,
        number(voice.level_db),
        voice.emotion.map(|e| e.to_string()),
        voice.score.map(number),
        voice.scores.map(|s| scores(py, &s)).transpose()?,
    ))
}

fn fused<'py>(py: Python<'py>, fused: &FusedRecord) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.fused.bind(py).call1((
        fused.emotion.to_string(),
        number(fused.score),
        scores(py, &fused.scores)?,
        number(fused.face_weight),
        number(fused.speech_weight),
    ))
}

/// A moment of a film or live session.
pub fn estimate<'py>(py: Python<'py>, told: &EstimateRecord) -> PyResult<Bound<'py, PyAny>> {
    let faces = told.faces.iter().map(|f| tracked(py, f)).collect::<PyResult<Vec<_>>>()?;
    classes(py)?.estimate.bind(py).call1((
        told.time_s,
        told.frame,
        PyTuple::new(py, faces)?,
        told.voice.as_ref().map(|v| voice(py, v)).transpose()?,
        told.fused.as_ref().map(|f| fused(py, f)).transpose()?,
    ))
}
