//! Hand-made features: histograms of oriented gradients, local binary patterns, statistics of cepstral coefficients.

use demeanor::speech::prepare::{Features as Frames, Level, SpeechPreparer, SpeechRecipe};
use demeanor::{Audio, Error, ErrorKind, Hz, Result, training};
use serde::{Deserialize, Serialize};

use crate::data::faces::FaceSet;
use crate::data::pixels::{PIXELS, SIDE};
use crate::data::speech::RATE;

/// What is computed of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Of a picture of 48x48 grey values: histograms of oriented gradients (Dalal & Triggs 2005) in 9 directions, cells of 8x8
    /// pixels, blocks of 2x2 cells, L2-Hys; 900 numbers.
    Hog,
    /// Of such a picture: uniform local binary patterns of 8 neighbours at distance 1 (Ojala et al. 2002), counted in 6x6
    /// cells of 8x8 pixels, the root of each share; 2,124 numbers.
    Lbp,
    /// Of a recording: mean, standard deviation, least and most over time of 13 MFCC and of their first and second
    /// differences; 156 numbers.
    MfccStatistics,
}

const CELL: usize = 8;
const CELLS: usize = SIDE / CELL;
const DIRECTIONS: usize = 9;
/// Uniform patterns of 8 neighbours, and one bin for all others.
const PATTERNS: usize = 59;
const COEFFICIENTS: usize = 39;
const STATISTICS: usize = 4;

impl Features {
    /// Numbers of an example.
    pub const fn width(self) -> usize {
        match self {
            Features::Hog => (CELLS - 1) * (CELLS - 1) * 4 * DIRECTIONS,
            Features::Lbp => CELLS * CELLS * PATTERNS,
            Features::MfccStatistics => COEFFICIENTS * STATISTICS,
        }
    }

    /// Of a picture of a set, made 48x48 and grey.
    ///
    /// # Errors
    /// Those of reading the picture; [`ErrorKind::Setting`] for features of recordings.
    pub fn of_face(self, set: &FaceSet, place: usize) -> Result<Vec<f32>> {
        let picture = set.pictures.get(place).ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("there is no picture {place} in a set of {}", set.pictures.len()))
        })?;
        let pixels = picture.pixels.thumbnail()?;
        match self {
            Features::Hog => Ok(hog(&pixels)),
            Features::Lbp => Ok(lbp(&pixels)),
            Features::MfccStatistics => {
                Err(Error::new(ErrorKind::Setting, "the baseline is for recordings, not pictures"))
            }
        }
    }

    /// Of mono samples at [`RATE`].
    ///
    /// # Errors
    /// Those of the preparation; [`ErrorKind::Setting`] for features of pictures.
    pub fn of_voice(self, samples: &[f32]) -> Result<Vec<f32>> {
        if self != Features::MfccStatistics {
            return Err(Error::new(ErrorKind::Setting, "the baseline is for pictures, not recordings"));
        }
        let mut preparer = SpeechPreparer::new(&mfcc())?;
        let mut values = Vec::new();
        training::features(&mut preparer, &Audio::new(samples, 1, RATE)?, &mut values)?;
        let frames = values.len() / COEFFICIENTS;
        let of_row = |row: usize| {
            let each = || values.iter().skip(row).step_by(COEFFICIENTS).copied();
            let mean = each().sum::<f32>() / frames.max(1) as f32;
            let variance = each().map(|v| (v - mean) * (v - mean)).sum::<f32>() / frames.max(1) as f32;
            [mean, variance.sqrt(), each().fold(f32::MAX, f32::min), each().fold(f32::MIN, f32::max)]
        };
        Ok((0..COEFFICIENTS).flat_map(of_row).collect())
    }
}

/// The paper's features with both differences.
fn mfcc() -> SpeechRecipe {
    SpeechRecipe {
        rate: Hz(RATE.0),
        high_pass_hz: None,
        trim_db: Some(30.0),
        level: Level::Peak,
        frame: 400,
        hop: 160,
        fft: 512,
        features: Frames::Mfcc { bands: 40, coefficients: 13, deltas: 2 },
        max_frames: 600,
        mean: Vec::new(),
        deviation: Vec::new(),
    }
}

/// As `skimage.feature.hog` with 9 orientations, cells of 8x8 and blocks of 2x2: hard votes of the magnitude, L2-Hys.
fn hog(pixels: &[u8; PIXELS]) -> Vec<f32> {
    let at = |x: usize, y: usize| f32::from(pixels[y * SIDE + x]);
    let mut cells = vec![[0.0f32; DIRECTIONS]; CELLS * CELLS];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let across = if x == 0 || x == SIDE - 1 { 0.0 } else { at(x + 1, y) - at(x - 1, y) };
            let down = if y == 0 || y == SIDE - 1 { 0.0 } else { at(x, y + 1) - at(x, y - 1) };
            let degrees = down.atan2(across).to_degrees().rem_euclid(180.0);
            let bin = ((degrees / (180.0 / DIRECTIONS as f32)) as usize).min(DIRECTIONS - 1);
            cells[y / CELL * CELLS + x / CELL][bin] += across.hypot(down) / (CELL * CELL) as f32;
        }
    }
    let mut out = Vec::with_capacity(Features::Hog.width());
    for y in 0..CELLS - 1 {
        for x in 0..CELLS - 1 {
            let of = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| cells[y * CELLS + x]);
            let mut block = of.concat();
            let normalise = |block: &mut [f32]| {
                let norm = (block.iter().map(|v| v * v).sum::<f32>() + 1e-10).sqrt();
                block.iter_mut().for_each(|v| *v /= norm);
            };
            normalise(&mut block);
            block.iter_mut().for_each(|v| *v = v.min(0.2));
            normalise(&mut block);
            out.extend(block);
        }
    }
    out
}

/// The pattern of a pixel: a bit for each of 8 neighbours on a circle of radius 1 that is at least as bright, from the right
/// one on counter-clockwise, between pixels by straight lines; 0 beyond the edge. As `skimage.feature.local_binary_pattern`.
fn pattern(pixels: &[u8; PIXELS], x: usize, y: usize) -> u8 {
    let at = |x: isize, y: isize| {
        let inside = (0..SIDE as isize).contains(&x) && (0..SIDE as isize).contains(&y);
        if inside { f64::from(pixels[y as usize * SIDE + x as usize]) } else { 0.0 }
    };
    let centre = at(x as isize, y as isize);
    (0..8).fold(0, |bits, k| {
        let angle = std::f64::consts::TAU * f64::from(k) / 8.0;
        let round = |v: f64| (v * 1e5).round() / 1e5;
        let (u, v) = (x as f64 + round(angle.cos()), y as f64 + round(-angle.sin()));
        let (left, top) = (u.floor(), v.floor());
        let (right, bottom) = (u.ceil() as isize, v.ceil() as isize);
        let (du, dv) = (u - left, v - top);
        let (left, top) = (left as isize, top as isize);
        let upper = (1.0 - du) * at(left, top) + du * at(right, top);
        let lower = (1.0 - du) * at(left, bottom) + du * at(right, bottom);
        let value = (1.0 - dv) * upper + dv * lower;
        bits | (u8::from(value >= centre) << k)
    })
}

fn lbp(pixels: &[u8; PIXELS]) -> Vec<f32> {
    let is_uniform = |bits: u8| (bits ^ bits.rotate_right(1)).count_ones() <= 2;
    let mut bins = [PATTERNS - 1; 256];
    (0..=255u8).filter(|&bits| is_uniform(bits)).enumerate().for_each(|(bin, bits)| bins[bits as usize] = bin);
    let mut counts = vec![0.0f32; CELLS * CELLS * PATTERNS];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let cell = y / CELL * CELLS + x / CELL;
            counts[cell * PATTERNS + bins[pattern(pixels, x, y) as usize]] += 1.0;
        }
    }
    counts.iter().map(|n| (n / (CELL * CELL) as f32).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The picture of the goldens.
    fn picture() -> [u8; PIXELS] {
        std::array::from_fn(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            ((x * x + 3 * y * y + 7 * x * y + if (x / 5 + y / 7) % 2 == 0 { 90 } else { 0 }) % 251) as u8
        })
    }

    #[test]
    fn features_are_those_of_scikit_image() {
        let goldens: Value = serde_json::from_str(include_str!("../../../../testdata/classic/goldens.json")).unwrap();
        let numbers = |v: &Value| v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<f64>>();
        let (expected, found) = (numbers(&goldens["hog"]), hog(&picture()));
        assert_eq!((expected.len(), found.len()), (Features::Hog.width(), Features::Hog.width()));
        for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
            assert!((f64::from(*f) - e).abs() < 1e-4, "{i}: {f} is not {e}");
        }
        let patterns: Vec<f64> = (0..PIXELS).map(|i| f64::from(pattern(&picture(), i % SIDE, i / SIDE))).collect();
        assert_eq!(patterns, numbers(&goldens["lbp"]));
        let counts = lbp(&picture());
        assert_eq!(counts.len(), Features::Lbp.width());
        for cell in counts.chunks_exact(PATTERNS) {
            assert!((cell.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn a_voice_has_its_statistics() {
        let tone: Vec<f32> = (0..16_000).map(|t| 0.3 * (t as f32 * 0.17).sin() * (t as f32 * 0.0007).cos()).collect();
        let found = Features::MfccStatistics.of_voice(&tone).unwrap();
        assert_eq!(found.len(), Features::MfccStatistics.width());
        for row in found.chunks_exact(STATISTICS) {
            assert!(row[2] <= row[0] && row[0] <= row[3] && row[1] >= 0.0, "{row:?}");
        }
        assert_eq!(Features::Hog.of_voice(&tone).unwrap_err().kind(), ErrorKind::Setting);
    }
}
