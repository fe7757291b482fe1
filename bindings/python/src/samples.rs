//! What Python holds as sound, to the library's samples.

use demeanor::Hz;
use demeanor::speech::resample::LARGEST_SAMPLE;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::raise;
use crate::pixels::{array, in_order};

/// Floats beyond this are no sound with its full scale at 1: whole numbers that became floats, for example.
const LOUDEST: f64 = 10.0;

/// An array with more columns than this is one with a row for each channel.
const MOST_CHANNELS: usize = 256;

/// Samples, interleaved, and the number of channels. They are copied.
pub struct Sound {
    /// Full scale at -1 and 1.
    pub samples: Vec<f32>,
    /// At least 1.
    pub channels: usize,
    /// Samples per second and channel.
    pub rate: Hz,
}

/// The sound in an array of samples, (n) or (n, channels).
pub fn sound(samples: &Bound<'_, PyAny>, rate: &Bound<'_, PyAny>) -> PyResult<Sound> {
    let py = samples.py();
    let Some(array) = array(samples)? else {
        let message = format!(
            "sound is expected as an array of samples, (n) or (n, channels); got {}",
            samples.get_type().name()?
        );
        return Err(raise(py, "InputError", message));
    };
    let rate = hertz(rate)?;
    let shape = array.shape();
    let refuse = |advice: &str| {
        let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("sound is expected as (n) or (n, channels); got an array of shape ({shape}){advice}");
        Err(raise(py, "ShapeError", message))
    };
    let channels = match *shape {
        [_] => 1,
        [_, 0] => return refuse(": it has no channel"),
        [n, channels] if channels > MOST_CHANNELS || (n < channels && n > 0) => {
            return refuse(": the channels stand first; use array.T");
        }
        [_, channels] => channels,
        _ => return refuse(""),
    };
    Ok(Sound { samples: floats(&array)?, channels, rate })
}

/// Samples per second.
fn hertz(rate: &Bound<'_, PyAny>) -> PyResult<Hz> {
    let py = rate.py();
    let number = rate.extract::<f64>().ok().filter(|r| r.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(r));
    match number {
        Some(number) => Ok(Hz(number as u32)),
        None => {
            let message =
                format!("rate is {}; expected samples per second, a whole number such as 16000", rate.repr()?);
            Err(raise(py, "SoundError", message))
        }
    }
}

fn floats(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<f32>> {
    let py = array.py();
    let dtype = array.getattr("dtype")?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    let size: usize = dtype.getattr("itemsize")?.extract()?;
    match (kind.as_str(), size) {
        ("f", _) => {
            let values = in_order::<f64>(array, "float64")?;
            let mut loudest = 0.0;
            for &value in &values {
                if !value.is_finite() {
                    let message = format!(
                        "the sound holds {value}; expected samples from -1 to 1: replace it first, with numpy.nan_to_num"
                    );
                    return Err(raise(py, "NotFiniteError", message));
                }
                loudest = f64::max(loudest, value.abs());
            }
            if loudest > LOUDEST.min(f64::from(LARGEST_SAMPLE)) {
                let message = format!(
                    "floats of sound are expected from -1 to 1, and the largest here is {loudest}; samples of 16 bits as \
                     floats are divided by 32768, or given as int16"
                );
                return Err(raise(py, "RangeError", message));
            }
            Ok(values.iter().map(|&v| v as f32).collect())
        }
        // 128 is silence
        ("u", 1) => Ok(in_order::<u8>(array, "uint8")?.iter().map(|&v| (f32::from(v) - 128.0) / 128.0).collect()),
        ("i", 1 | 2 | 4) => {
            let full = 2f64.powi(8 * size as i32 - 1);
            Ok(in_order::<i64>(array, "int64")?.iter().map(|&v| (v as f64 / full) as f32).collect())
        }
        _ => {
            let message = format!(
                "samples are expected as float (-1 to 1), int8, int16, int32, or uint8 (128 is silence); got {}",
                dtype.str()?.to_cow()?
            );
            Err(raise(py, "InputError", message))
        }
    }
}
