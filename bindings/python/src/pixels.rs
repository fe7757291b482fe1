//! What Python holds as a picture, to the library's pixels. Everything is copied while the interpreter is held: nobody can
//! change a picture while it is read.

use std::path::PathBuf;

use demeanor::{Picture, PixelLayout};
use demeanor_media::picture::{MAX_MEMORY, Opened, on_white, open_within};
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::errors::{about, of, raise};

/// What was given to be read.
pub enum Given {
    /// One picture.
    One(Source),
    /// Many.
    Many(Vec<Source>),
}

/// A picture to be read.
pub enum Source {
    /// Pixels.
    Pixels(Picture),
    /// A file, opened when its turn comes.
    File(PathBuf),
}

impl Source {
    /// The pixels, and how many pixels of a file one of them is wide and high.
    pub fn open(self) -> Result<(Picture, u32), (Option<PathBuf>, demeanor::Error)> {
        match self {
            Source::Pixels(picture) => Ok((picture, 1)),
            Source::File(path) => match open_within(&path, MAX_MEMORY) {
                Ok(Opened { picture, reduced }) => Ok((picture, reduced)),
                Err(error) => Err((Some(path), error)),
            },
        }
    }
}

/// The exception for a picture that cannot be read.
pub fn exception(py: Python<'_>, (path, error): (Option<PathBuf>, demeanor::Error)) -> PyErr {
    about(py, path.map(|p| p.display().to_string()).as_deref(), &error)
}

/// The path in an object that is a `str` or has `__fspath__`.
pub fn path(object: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
        return object.extract().map(Some);
    }
    Ok(None)
}

/// Whether an object is of a class of a module, which is not imported for it.
fn is_of(object: &Bound<'_, PyAny>, module: &str, class: &str) -> PyResult<bool> {
    let modules = object.py().import("sys")?.getattr("modules")?;
    match modules.call_method1("get", (module,))? {
        module if module.is_none() => Ok(false),
        module => object.is_instance(&module.getattr(class)?),
    }
}

/// An array of NumPy that an object is or gives.
pub fn array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyUntypedArray>>> {
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        return Ok(Some(array.clone()));
    }
    if !(object.hasattr("__array__")? || object.hasattr("__array_interface__")?) {
        return Ok(None);
    }
    let array = object.py().import("numpy")?.call_method1("asarray", (object,))?;
    Ok(Some(array.cast_into::<PyUntypedArray>()?))
}

/// What an object holds: a path, an image of Pillow, an array of one picture or a batch, or a list of these.
pub fn given(object: &Bound<'_, PyAny>, bgr: bool) -> PyResult<Given> {
    let py = object.py();
    if let Some(path) = path(object)? {
        return Ok(Given::One(Source::File(path)));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let mut all = Vec::new();
        for (index, item) in object.try_iter()?.enumerate() {
            match given(&item?, bgr)? {
                Given::One(source) => all.push(source),
                Given::Many(_) => {
                    let message = format!(
                        "item {index} of the list is itself many pictures; expected one picture each: a path, an array \
                         (height, width, 3) or (height, width), or a Pillow image"
                    );
                    return Err(raise(py, "ShapeError", message));
                }
            }
        }
        return Ok(Given::Many(all));
    }
    if is_of(object, "PIL.Image", "Image")? {
        let given = py.import("demeanor._pillow")?.call_method1("pixels", (object,))?;
        let (pixels, transparent): (Bound<'_, PyUntypedArray>, bool) = given.extract()?;
        let Given::One(Source::Pixels(picture)) = from_array(&pixels, false)? else {
            return Err(raise(py, "InputError", "the image of Pillow holds no picture".to_owned()));
        };
        if !transparent {
            return Ok(Given::One(Source::Pixels(picture)));
        }
        let (width, height, layout) = (picture.width(), picture.height(), picture.layout());
        let mut pixels = picture.into_pixels();
        on_white(&mut pixels);
        let picture = Picture::new(pixels, width, height, layout).map_err(|e| of(py, &e))?;
        return Ok(Given::One(Source::Pixels(picture)));
    }
    match array(object)? {
        Some(array) => from_array(&array, bgr),
        None => Err(raise(
            py,
            "InputError",
            format!(
                "a picture is expected as a path, an array (height, width, 3) or (height, width), a Pillow image, or a list \
                 of these; got {}",
                object.get_type().name()?
            ),
        )),
    }
}

/// The pixels of an array of any shape, 8 bits deep and in order.
fn bytes(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<u8>> {
    let py = array.py();
    if let Ok(array) = array.cast::<PyArrayDyn<u8>>() {
        // a lock of NumPy's own stands in no other writer's way, so what is borrowed is copied at once
        let array = array.readonly();
        // a slice is also given of an array whose columns follow each other, in that order
        return Ok(match array.as_slice() {
            Ok(slice) if array.is_c_contiguous() => slice.to_vec(),
            _ => array.as_array().iter().copied().collect(),
        });
    }
    let dtype = array.getattr("dtype")?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    let range = |low: String, high: String, advice: &str| {
        raise(py, "RangeError", format!("{advice}; the values of this array go from {low} to {high}"))
    };
    match kind.as_str() {
        "f" => {
            let values = in_order::<f64>(array, "float64")?;
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for &value in &values {
                if !value.is_finite() {
                    let message = format!(
                        "the picture holds {value}; expected numbers from 0 to 1: replace it first, with numpy.nan_to_num"
                    );
                    return Err(raise(py, "NotFiniteError", message));
                }
                (low, high) = (low.min(value), high.max(value));
            }
            if low < -1e-3 || high > 1.001 {
                let advice = if low >= 0.0 && high <= 255.0 {
                    "floats of a picture are expected from 0 to 1; these look like 0 to 255: use array.astype(numpy.uint8), or \
                     divide by 255"
                } else {
                    "floats of a picture are expected from 0 to 1; scale them back, or cut what lies outside with numpy.clip"
                };
                return Err(range(low.to_string(), high.to_string(), advice));
            }
            Ok(values.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect())
        }
        "i" | "u" => {
            let values = in_order::<i64>(array, "int64")?;
            let (low, high) = values.iter().fold((i64::MAX, i64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            if !values.is_empty() && (low < 0 || high > 255) {
                let advice = "whole numbers of a picture are expected from 0 to 255; for 16 bits use (array >> \
                              8).astype(numpy.uint8)";
                return Err(range(low.to_string(), high.to_string(), advice));
            }
            Ok(values.iter().map(|&v| v as u8).collect())
        }
        _ => Err(raise(
            py,
            "InputError",
            format!(
                "a picture is expected as uint8 (0 to 255) or float (0 to 1); got an array of {}",
                dtype.str()?.to_cow()?
            ),
        )),
    }
}

/// The numbers of an array in order, as another type of number.
pub fn in_order<T: numpy::Element + Copy>(array: &Bound<'_, PyUntypedArray>, dtype: &str) -> PyResult<Vec<T>> {
    let array = array.call_method1("astype", (dtype, "C"))?;
    let array = array.cast_into::<PyArrayDyn<T>>()?;
    Ok(array.readonly().as_slice()?.to_vec())
}

/// One picture, (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), or a batch of the latter with an axis before.
fn from_array(array: &Bound<'_, PyUntypedArray>, bgr: bool) -> PyResult<Given> {
    let py = array.py();
    let shape = array.shape();
    let refuse = |advice: &str| {
        let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!(
            "a picture is expected as (height, width), (height, width, 3) or (height, width, 4), and a batch as (n, height, \
             width, 3); got an array of shape ({shape}){advice}"
        );
        Err(raise(py, "ShapeError", message))
    };
    let is_colour = |n: usize| matches!(n, 1 | 3 | 4);
    let (batch, height, width, channels) = match *shape {
        [height, width] => (None, height, width, 1),
        [height, width, channels] if is_colour(channels) => (None, height, width, channels),
        [count, height, width, channels] if is_colour(channels) => (Some(count), height, width, channels),
        [channels, _, _] if is_colour(channels) => {
            return refuse(": the channels stand first; use array.transpose(1, 2, 0)");
        }
        [_, channels, _, _] if is_colour(channels) => {
            return refuse(": the channels stand before the rows; use array.transpose(0, 2, 3, 1)");
        }
        [_, _, _] => return refuse("; for a batch of grey pictures use array[..., None]"),
        _ => return refuse(""),
    };
    if batch == Some(0) {
        return Ok(Given::Many(Vec::new()));
    }
    if height == 0 || width == 0 {
        return refuse(": it has no pixels");
    }
    let mut bytes = bytes(array)?;
    let layout = match (channels, bgr) {
        (1, _) => PixelLayout::Grey8,
        (3, false) => PixelLayout::Rgb8,
        (3, true) => PixelLayout::Bgr8,
        (_, false) => PixelLayout::Rgba8,
        (_, true) => {
            bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
            PixelLayout::Rgba8
        }
    };
    let picture =
        |bytes: Vec<u8>| Picture::new(bytes, width, height, layout).map(Source::Pixels).map_err(|error| of(py, &error));
    match batch {
        None => picture(bytes).map(Given::One),
        Some(_) => bytes
            .chunks(height * width * channels)
            .map(|b| picture(b.to_vec()))
            .collect::<PyResult<_>>()
            .map(Given::Many),
    }
}
