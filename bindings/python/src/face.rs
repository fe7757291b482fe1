//! `FaceReader`: pictures to faces.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use demeanor::FaceModel;
use demeanor::estimate::{FaceRecord, MIN_SCORE, PictureRecord};
use demeanor::face::detect::HaarSettings;
use demeanor_models::Sense;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors::{of, raise};
use crate::models::{self, Finder, Origin};
use crate::pixels::{self, Given, Source};

type Failed = (Option<PathBuf>, demeanor::Error);

/// Finds the faces of pictures and says what each reads as.
///
/// model: a model file, or the name of a built-in model; by default the newest built-in face model.
/// detector: what finds the faces: "blazeface" (tilted, turned, dim and small ones too, with landmarks) or "haar" (upright
///     ones in good light).
/// min_face: the smallest face to look for, in pixels; by default 32 (with "haar" 30), in large pictures a 40th of the
///     shorter side.
/// any_rotation: looks for heads that lie on their side or stand on their top too; takes longer.
/// min_score: below this score, 0 to 1, a face reads as "unsure".
/// threads: how many pictures of a batch are read at once.
///
/// Raises SettingError for an option out of its range, ModelError for a model that cannot be used.
///
/// One reader can be used by several threads at once. It is pickled by the name and hash of its model, and can be used after
/// a fork.
#[pyclass(frozen, module = "demeanor")]
pub struct FaceReader {
    kit: Mutex<Kit>,
    origin: Origin,
    detector: String,
    min_face: Option<u32>,
    any_rotation: bool,
    min_score: f32,
    threads: usize,
}

/// What readers are made of, and those that nobody uses. It is locked only while the interpreter is held, so no fork can
/// come between.
struct Kit {
    model: FaceModel,
    finder: Finder,
    free: Vec<demeanor::FaceReader>,
}

#[pymethods]
impl FaceReader {
    #[new]
    #[pyo3(signature = (model=None, *, detector="blazeface", min_face=None, any_rotation=false, min_score=MIN_SCORE, threads=1))]
    fn new(
        py: Python<'_>,
        model: Option<PathBuf>,
        detector: &str,
        min_face: Option<u32>,
        any_rotation: bool,
        min_score: f32,
        threads: usize,
    ) -> PyResult<Self> {
        models::check_min_score(py, min_score)?;
        if !(1..=1024).contains(&threads) {
            return Err(raise(py, "SettingError", format!("threads is {threads}; expected 1 to 1024")));
        }
        if min_face == Some(0) {
            return Err(raise(py, "SettingError", "min_face is 0; expected 1 pixel or more".to_owned()));
        }
        if any_rotation && detector == "haar" {
            let message = "detector=\"haar\" cannot find turned heads; leave out any_rotation".to_owned();
            return Err(raise(py, "SettingError", message));
        }
        let finder = Finder::named(py, detector, HaarSettings::default())?;
        let (model, origin) = models::load(py, Sense::Face, model, FaceModel::load)?;
        let kit = Mutex::new(Kit { model, finder, free: Vec::new() });
        Ok(FaceReader { kit, origin, detector: detector.to_owned(), min_face, any_rotation, min_score, threads })
    }

    /// The faces of a picture, the largest first; or for many pictures, a list of such lists.
    ///
    /// image: one picture: an array (height, width, 3), (height, width, 4) whose fourth channel is left out, or grey (height,
    ///     width); a Pillow image; or a path. Many pictures: an array (n, height, width, 3), or a list of any of these. Arrays
    ///     hold uint8 from 0 to 255, other whole numbers of that range, or floats from 0 to 1; any strides. They are copied
    ///     before anything is read. Files and Pillow images are read upright.
    /// bgr: the channels of arrays are blue, green, red, as OpenCV has them.
    /// whole: the pictures are faces already: nothing is looked for.
    ///
    /// Returns a list of Face. Raises ShapeError, RangeError, NotFiniteError or InputError for what is no picture, FileError
    /// for a file that cannot be read.
    #[pyo3(signature = (image, *, bgr=false, whole=false))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        bgr: bool,
        whole: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        match pixels::given(image, bgr)? {
            Given::One(source) => {
                let mut reader = self.take(py)?;
                let (found, reader) = py.detach(|| {
                    let found = read(&mut reader, source, whole, self.min_score);
                    (found, reader)
                });
                self.give_back(reader);
                list(py, &found.map_err(|failed| pixels::exception(py, failed))?)
            }
            Given::Many(sources) => {
                let all = self.read_many(py, sources, whole)?;
                let lists = all.iter().map(|faces| list(py, faces)).collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, lists)
            }
        }
    }

    /// The name of the model, or the path of its file.
    #[getter]
    fn model(&self) -> &str {
        &self.origin.name
    }

    /// How many pictures of a batch are read at once.
    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }

    fn __repr__(&self) -> String {
        format!("FaceReader(model={:?}, detector={:?}, threads={})", self.origin.name, self.detector, self.threads)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>, String))> {
        let options = PyDict::new(py);
        options.set_item("model", &self.origin.name)?;
        options.set_item("detector", &self.detector)?;
        options.set_item("min_face", self.min_face)?;
        options.set_item("any_rotation", self.any_rotation)?;
        options.set_item("min_score", self.min_score)?;
        options.set_item("threads", self.threads)?;
        let restore = py.import("demeanor._demeanor")?.getattr("_restore_face_reader")?;
        Ok((restore, (options, self.origin.hash())))
    }
}

impl FaceReader {
    fn kit(&self) -> std::sync::MutexGuard<'_, Kit> {
        self.kit.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&self, py: Python<'_>) -> PyResult<demeanor::FaceReader> {
        let mut kit = self.kit();
        if let Some(reader) = kit.free.pop() {
            return Ok(reader);
        }
        let made = kit.finder.detector().and_then(|detector| {
            let mut reader = demeanor::FaceReader::new(kit.model.clone())?.with_detector(detector);
            if let Some(pixels) = self.min_face {
                reader = reader.with_min_face(pixels);
            }
            Ok(reader.with_any_rotation(self.any_rotation))
        });
        made.map_err(|e| of(py, &e))
    }

    fn give_back(&self, reader: demeanor::FaceReader) {
        let mut kit = self.kit();
        // as many as were used at once, within reason
        if kit.free.len() < self.threads.max(8) {
            kit.free.push(reader);
        }
    }

    fn read_many(&self, py: Python<'_>, sources: Vec<Source>, whole: bool) -> PyResult<Vec<Vec<FaceRecord>>> {
        let count = self.threads.min(sources.len());
        let mut readers = (0..count).map(|_| self.take(py)).collect::<PyResult<Vec<_>>>()?;
        let found = py.detach(|| read_all(&mut readers, sources, whole, self.min_score));
        readers.into_iter().for_each(|reader| self.give_back(reader));
        found.map_err(|failed| pixels::exception(py, failed))
    }
}

fn read(
    reader: &mut demeanor::FaceReader,
    source: Source,
    whole: bool,
    min_score: f32,
) -> Result<Vec<FaceRecord>, Failed> {
    let (picture, reduced) = source.open()?;
    let frame = picture.frame();
    let faces = if whole { reader.read_whole(&frame).map(|face| vec![face]) } else { reader.read(&frame) };
    Ok(PictureRecord::new(&frame, &faces.map_err(|e| (None, e))?, reduced, min_score).faces)
}

/// The faces of all pictures, with one thread for each reader; the error is that of the first picture that fails.
fn read_all(
    readers: &mut [demeanor::FaceReader],
    sources: Vec<Source>,
    whole: bool,
    min_score: f32,
) -> Result<Vec<Vec<FaceRecord>>, Failed> {
    if let [reader] = readers {
        return sources.into_iter().map(|source| read(reader, source, whole, min_score)).collect();
    }
    let next = AtomicUsize::new(0);
    let tasks: Vec<_> = sources.into_iter().map(|source| Mutex::new((Some(source), None))).collect();
    std::thread::scope(|scope| {
        for reader in readers {
            let (next, tasks) = (&next, &tasks);
            scope.spawn(move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // each task is taken once
                    let Ok(mut task) = task.lock() else { continue };
                    let Some(source) = task.0.take() else { continue };
                    let found = read(reader, source, whole, min_score);
                    if found.is_err() {
                        // those before it are under way; those behind it need not begin
                        next.fetch_max(tasks.len(), Ordering::Relaxed);
                    }
                    task.1 = Some(found);
                }
            });
        }
    });
    let done = tasks.into_iter().map(|task| task.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1);
    done.flatten().collect()
}

fn list<'py>(py: Python<'py>, faces: &[FaceRecord]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, faces.iter().map(|face| crate::results::face(py, face)).collect::<PyResult<Vec<_>>>()?)
}

/// The reader that was pickled.
#[pyfunction]
#[pyo3(name = "_restore_face_reader")]
pub fn restore(py: Python<'_>, options: &Bound<'_, PyDict>, hash: &str) -> PyResult<Py<PyAny>> {
    let reader = py.get_type::<FaceReader>().call((), Some(options))?;
    models::check_same(py, &reader.cast::<FaceReader>()?.get().origin, hash)?;
    Ok(reader.unbind())
}
