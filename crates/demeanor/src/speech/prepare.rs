//! A stretch of sound to the input of a speech network. The only producer of [`SpeechInput`].
//!
//! Sound of another rate or of several channels is first brought to mono at the recipe's rate
//! ([`resample`](crate::speech::resample)), and the mean of all samples is taken off: cheap sound cards add a constant
//! offset, which nobody hears and which the steps below would take for sound. Then, in this order, as librosa 0.11 does each
//! step:
//! 0. where the recipe asks for it, hum and rumble are removed: a Butterworth high-pass of the fourth order, run forward and
//!    then backward, so that nothing moves in time (as `scipy.signal.sosfiltfilt` does, with longer ends);
//! 1. trim (`librosa.effects.trim`): frames of 2048 samples every 512, centred and padded with zeros; what lies before
//!    the first and after the last frame whose power is within `trim_db` of the loudest is cut off; librosa's floor of
//!    -100 dB is left out, so that quieter sound is cut alike;
//! 2. level: the gain of [`Level`], measured on what is left;
//! 3. frames, as `librosa.stft(center=True, pad_mode="constant")`: `1 + samples / hop` of them, frame `t` centred on
//!    sample `t * hop`, zeros beyond both ends; no more than `max_frames`, the rest is cut off before features are
//!    computed; periodic Hamming window, centred in the transform; power spectrum;
//! 4. mel filter bank from 0 Hz to half the rate on Slaney's scale with Slaney's area norm (`librosa.filters.mel`);
//! 5. for MFCC: `10 log10(max(power, 1e-10))`, no lower than 80 dB under the highest value of the clip, orthonormal
//!    DCT-II; deltas by the slope and the curvature of a line and a parabola through 9 frames (`librosa.feature.delta`;
//!    the first and last 4 frames have the value of the nearest whole window; a clip of fewer than 9 frames is padded
//!    with its first and last frame);
//! 6. each row: minus `mean`, divided by `deviation`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::input::{Audio, Hz};
use crate::speech::mel::MelPowers;
use crate::speech::resample::{ToMono, check_samples};

/// How speech is prepared; a part of every speech model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechRecipe {
    /// Rate the sound is brought to.
    pub rate: Hz,
    /// What is lower than this many Hz, such as the hum of the mains, is removed before everything else; nothing is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_pass_hz: Option<f32>,
    /// Silence at both ends is cut off where it is this far under the loudest frame, in dB; none when absent.
    pub trim_db: Option<f32>,
    /// How the level is made equal.
    pub level: Level,
    /// Length of an analysis frame (a Hamming window), in samples.
    pub frame: usize,
    /// Step between frames, in samples.
    pub hop: usize,
    /// Points of the Fourier transform.
    pub fft: usize,
    /// What is computed of each frame.
    pub features: Features,
    /// Longest input, in frames; what is longer is cut at the end.
    pub max_frames: usize,
    /// What is taken off each coefficient and what it is then divided by, from the training clips; empty for none.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// See `mean`.
    #[serde(default)]
    pub deviation: Vec<f32>,
}

/// How the level is made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Left as it is.
    Keep,
    /// Largest absolute sample becomes 1.
    Peak,
    /// Root mean square becomes 0.1.
    Rms,
}

/// What is computed of each frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Mel-frequency cepstral coefficients, as librosa computes them.
    Mfcc {
        /// Bands of the mel filter bank.
        bands: usize,
        /// How many coefficients, from the zeroth.
        coefficients: usize,
        /// 0: none; 1: first differences are added; 2: second ones too.
        deltas: usize,
    },
    /// `log10(power + floor)` per mel band.
    LogMel {
        /// Bands of the mel filter bank.
        bands: usize,
        /// What is added to the power before the logarithm.
        floor: f32,
    },
}

impl SpeechRecipe {
    /// Numbers per frame.
    pub fn rows(&self) -> usize {
        match self.features {
            Features::Mfcc { coefficients, deltas, .. } => coefficients.saturating_mul(deltas.saturating_add(1)),
            Features::LogMel { bands, .. } => bands,
        }
    }

    /// The longest sound that is prepared whole, in samples at the recipe's rate; what is longer is cut at the end.
    pub(crate) fn longest(&self) -> usize {
        self.max_frames.saturating_mul(self.hop).saturating_sub(1).max(1)
    }

    /// Each row minus its mean, divided by its deviation: the last step of the preparation.
    pub(crate) fn standardise(&self, values: &mut [f32]) {
        if self.mean.is_empty() {
            return;
        }
        for frame in values.chunks_exact_mut(self.rows()) {
            for ((value, mean), deviation) in frame.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *value = (*value - mean) / deviation;
            }
        }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`], with the name of the setting.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: usize, low: usize, high: usize| {
            if value < low || value > high {
                let message = format!("speech recipe: {name} is {value}; expected {low} to {high}");
                return Err(Error::new(ErrorKind::Setting, message));
            }
            Ok(())
        };
        within("rate", self.rate.0 as usize, 1_000, 1_536_000)?;
        within("fft", self.fft, 16, 65_536)?;
        within("fft modulo 2", self.fft % 2, 0, 0)?;
        within("frame", self.frame, 2, self.fft)?;
        within("hop", self.hop, 1, 65_536)?;
        within("max_frames", self.max_frames, 1, 1_000_000)?;
        match self.features {
            Features::Mfcc { bands, coefficients, deltas } => {
                within("bands", bands, 1, 1024)?;
                within("coefficients", coefficients, 1, bands)?;
                within("deltas", deltas, 0, 2)?;
            }
            Features::LogMel { bands, floor } => {
                within("bands", bands, 1, 1024)?;
                if !(floor > 0.0 && floor.is_finite()) {
                    let message = format!("speech recipe: floor is {floor}; expected more than 0");
                    return Err(Error::new(ErrorKind::Setting, message));
                }
            }
        }
        let highest = self.rate.0 as f32 / 4.0;
        if let Some(hz) = self.high_pass_hz.filter(|hz| !(10.0..=highest).contains(hz)) {
            let message =
                format!("speech recipe: high_pass_hz is {hz}; expected 10 to {highest}, a quarter of the rate");
            return Err(Error::new(ErrorKind::Setting, message));
        }
        if let Some(trim) = self.trim_db.filter(|t| !(*t > 0.0 && t.is_finite())) {
            let message = format!("speech recipe: trim_db is {trim}; expected more than 0");
            return Err(Error::new(ErrorKind::Setting, message));
        }
        for (name, values) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            if !values.is_empty() {
                within(&format!("the length of {name}"), values.len(), self.rows(), self.rows())?;
            }
        }
        let fine = self.mean.iter().all(|m| m.is_finite()) && self.deviation.iter().all(|d| *d > 0.0 && d.is_finite());
        if !fine || self.mean.len() != self.deviation.len() {
            let message = "speech recipe: expected as many means as deviations, finite, and deviations more than 0";
            return Err(Error::new(ErrorKind::Setting, message));
        }
        Ok(())
    }
}

/// Prepared speech: `frames x rows` numbers, frame by frame.
#[derive(Debug, Clone)]
pub struct SpeechInput {
    recipe: SpeechRecipe,
    frames: usize,
    values: Vec<f32>,
}

impl SpeechInput {
    /// The recipe that prepared it.
    pub fn recipe(&self) -> &SpeechRecipe {
        &self.recipe
    }

    /// Frames, at least 1.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// `frames x rows` numbers, frame by frame.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Frame of the trim, in samples: librosa's default.
const TRIM_FRAME: usize = 2048;
/// Step of the trim's frames, in samples: librosa's default.
const TRIM_HOP: usize = 512;
/// The least power before the logarithm of MFCC: librosa's `power_to_db`.
const LEAST_POWER: f32 = 1e-10;
/// How far below the highest value of a clip the lowest may lie, in dB: librosa's `power_to_db`.
const DYNAMIC_DB: f32 = 80.0;
/// Frames on each side in the window of a delta: librosa's width of 9.
const DELTA_REACH: usize = 4;
/// A clip that is never louder than this (full scale is 1) has no level that could be made equal.
const LEAST_PEAK: f32 = 1e-9;

/// Prepares stretches of sound, one after the other; holds tables and buffers, so that after the first nothing is allocated.
pub struct SpeechPreparer {
    /// The last one; seen by others only once it is filled.
    input: SpeechInput,
    features: FeatureMaker,
    to_mono: ToMono,
}

impl SpeechPreparer {
    /// Tables and buffers for a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting of the recipe is out of its range.
    pub fn new(recipe: &SpeechRecipe) -> Result<Self> {
        let features = FeatureMaker::new(recipe)?;
        let values = Vec::with_capacity(recipe.rows().saturating_mul(recipe.max_frames.min(3_000)));
        let input = SpeechInput { recipe: recipe.clone(), frames: 0, values };
        Ok(SpeechPreparer { input, features, to_mono: ToMono::new(recipe.rate) })
    }

    /// The recipe.
    pub fn recipe(&self) -> &SpeechRecipe {
        &self.input.recipe
    }

    /// Prepares sound of any rate and channel count.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when there are no samples, only zeros and the recipe makes levels equal, or the rate cannot be
    /// resampled; [`ErrorKind::NotFinite`] when a sample is not a number.
    pub fn prepare(&mut self, audio: &Audio<'_>) -> Result<&SpeechInput> {
        let SpeechInput { recipe, frames, values } = &mut self.input;
        *frames = self.features.run(recipe, &self.to_mono.convert(audio)?, values)?;
        recipe.standardise(values);
        Ok(&self.input)
    }

    /// Where there is something in mono sound at the recipe's rate, in samples (the end is exclusive): what the preparation of
    /// the whole would not trim.
    pub(crate) fn voiced(&mut self, samples: &[f32]) -> (usize, usize) {
        let Some(db) = self.input.recipe.trim_db else { return (0, samples.len()) };
        self.features.centre(samples);
        let FeatureMaker { centred, blocks, .. } = &mut self.features;
        trim_with(centred, db, blocks)
    }

    /// The features before the last step, from which training computes mean and deviation: fills `values` with
    /// `frames x rows` numbers, frame by frame, and gives the number of frames.
    pub(crate) fn features(&mut self, audio: &Audio<'_>, values: &mut Vec<f32>) -> Result<usize> {
        self.features.run(&self.input.recipe, &self.to_mono.convert(audio)?, values)
    }
}

/// Tables and buffers of the features.
struct FeatureMaker {
    mel: MelPowers,
    /// `bands x coefficients`; empty for log-mel.
    cosines: Vec<f32>,
    high_pass: Option<HighPass>,
    /// The samples of one clip without their mean, and without what is too low.
    centred: Vec<f32>,
    /// `frames x bands`, of one clip.
    bands: Vec<f32>,
    blocks: Vec<f64>,
}

impl FeatureMaker {
    fn new(recipe: &SpeechRecipe) -> Result<Self> {
        recipe.check()?;
        let (bands, coefficients) = match recipe.features {
            Features::Mfcc { bands, coefficients, .. } => (bands, coefficients),
            Features::LogMel { bands, .. } => (bands, 0),
        };
        Ok(FeatureMaker {
            mel: MelPowers::new(recipe.rate, recipe.fft, recipe.frame, recipe.hop, bands),
            cosines: dct(bands, coefficients),
            high_pass: recipe.high_pass_hz.map(|hz| HighPass::new(hz, recipe.rate)),
            centred: Vec::new(),
            bands: Vec::new(),
            blocks: Vec::new(),
        })
    }

    /// Steps 1 to 5 on mono sound at the recipe's rate.
    fn run(&mut self, recipe: &SpeechRecipe, audio: &Audio<'_>, values: &mut Vec<f32>) -> Result<usize> {
        let samples = audio.samples();
        if samples.is_empty() {
            return Err(Error::new(ErrorKind::Sound, "no samples; expected at least 1"));
        }
        check_samples(samples)?;
        self.centre(samples);
        let centred = std::mem::take(&mut self.centred);
        let frames = self.centred_features(recipe, &centred, values);
        self.centred = centred;
        frames
    }

    /// Fills `centred`.
    fn centre(&mut self, samples: &[f32]) {
        let mean = if samples.is_empty() { 0.0 } else { mean(samples) };
        self.centred.clear();
        self.centred.extend(samples.iter().map(|s| s - mean));
        if let Some(high_pass) = &self.high_pass {
            high_pass.run(&mut self.centred);
        }
    }

    fn centred_features(&mut self, recipe: &SpeechRecipe, samples: &[f32], values: &mut Vec<f32>) -> Result<usize> {
        let (start, end) = match recipe.trim_db {
            Some(db) => trim_with(samples, db, &mut self.blocks),
            None => (0, samples.len()),
        };
        let samples = &samples[start..end];
        let gain = gain(samples, recipe.level)?;
        let frames = (1 + samples.len() / recipe.hop).min(recipe.max_frames);
        values.clear();
        match recipe.features {
            Features::LogMel { bands, floor } => {
                values.resize(frames * bands, 0.0);
                self.mel.run(samples, gain, values);
                self.mel.logarithms(values, 0.0, floor, 1.0);
            }
            Features::Mfcc { bands, coefficients, deltas } => {
                let mut decibels = std::mem::take(&mut self.bands);
                decibels.clear();
                decibels.resize(frames * bands, 0.0);
                self.mel.run(samples, gain, &mut decibels);
                self.mel.logarithms(&mut decibels, LEAST_POWER, 0.0, 10.0);
                let floor = decibels.iter().copied().fold(f32::NEG_INFINITY, f32::max) - DYNAMIC_DB;
                let rows = recipe.rows();
                values.resize(frames * rows, 0.0);
                for (row, decibels) in values.chunks_exact_mut(rows).zip(decibels.chunks_exact(bands)) {
                    let row = &mut row[..coefficients];
                    for (decibel, cosines) in decibels.iter().zip(self.cosines.chunks_exact(coefficients)) {
                        let decibel = decibel.max(floor);
                        for (value, cosine) in row.iter_mut().zip(cosines) {
                            *value += decibel * cosine;
                        }
                    }
                }
                self.bands = decibels;
                for order in 1..=deltas {
                    add_delta(values, frames, rows, coefficients, order);
                }
            }
        }
        Ok(frames)
    }
}

/// Prepares one stretch of sound of any rate and channel count. [`SpeechPreparer`] does many.
///
/// # Errors
/// As [`SpeechPreparer::new`] and [`SpeechPreparer::prepare`].
pub fn prepare(audio: &Audio<'_>, recipe: &SpeechRecipe) -> Result<SpeechInput> {
    let mut preparer = SpeechPreparer::new(recipe)?;
    preparer.prepare(audio)?;
    Ok(preparer.input)
}

/// Where sound begins and ends, in samples (the end is exclusive): the first and last frame of 2048 samples every 512
/// whose power is less than `db` under that of the loudest. The whole when all samples are 0.
pub(crate) fn trim(samples: &[f32], db: f32) -> (usize, usize) {
    trim_with(samples, db, &mut Vec::new())
}

fn trim_with(samples: &[f32], db: f32, blocks: &mut Vec<f64>) -> (usize, usize) {
    // A frame is centred on a multiple of the hop, so it is 4 whole blocks, the first two of them before its centre.
    blocks.clear();
    blocks.extend(samples.chunks(TRIM_HOP).map(energy));
    let reach = TRIM_FRAME / TRIM_HOP / 2;
    let frames = 1 + samples.len() / TRIM_HOP;
    let power = |t: usize| -> f64 { blocks[t.saturating_sub(reach)..(t + reach).min(blocks.len())].iter().sum() };
    let loudest = (0..frames).map(power).fold(0.0, f64::max);
    let threshold = loudest * 10f64.powf(f64::from(-db) / 10.0);
    let sounds = |t: &usize| power(*t) > threshold;
    match ((0..frames).find(sounds), (0..frames).rfind(sounds)) {
        (Some(first), Some(last)) => (first * TRIM_HOP, ((last + 1) * TRIM_HOP).min(samples.len())),
        _ => (0, samples.len()),
    }
}

/// A Butterworth high-pass of the fourth order: two sections of the second.
#[derive(Debug, Clone, Copy)]
struct HighPass {
    sections: [Section; 2],
    /// After so many samples nothing is left of what went in.
    rings: usize,
}

/// A filter of the second order, by its coefficients (Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter
/// coefficients", high-pass), all divided by `a0`.
#[derive(Debug, Clone, Copy)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
}

impl HighPass {
    fn new(hz: f32, rate: Hz) -> HighPass {
        // the qualities of the pole pairs: 1 / (2 cos(pi / 8)) and 1 / (2 cos(3 pi / 8))
        let sections = [1.0, 3.0].map(|k| {
            let quality = 0.5 / (k * std::f64::consts::PI / 8.0).cos();
            let (sin, cos) = (std::f64::consts::TAU * f64::from(hz) / f64::from(rate.0)).sin_cos();
            let alpha = sin / (2.0 * quality);
            let a0 = 1.0 + alpha;
            let b = (1.0 + cos) / 2.0 / a0;
            Section { b: [b, -2.0 * b, b], a: [-2.0 * cos / a0, (1.0 - alpha) / a0] }
        });
        // four periods: ten time constants of the slower pair
        HighPass { sections, rings: (4.0 * rate.0 as f32 / hz) as usize }
    }

    /// Filters forward and then backward, so that nothing moves in time. Hum does not begin where a recording does: both ends are
    /// turned about their last sample and put before and behind it, for as long as the filter rings.
    fn run(&self, samples: &mut Vec<f32>) {
        let (Some(&first), Some(&last), count) = (samples.first(), samples.last(), samples.len()) else { return };
        let more = self.rings.min(count - 1);
        samples.resize(count + 2 * more, 0.0);
        samples.copy_within(..count, more);
        for i in 0..more {
            samples[more - 1 - i] = 2.0 * first - samples[more + 1 + i];
            samples[more + count + i] = 2.0 * last - samples[more + count - 2 - i];
        }
        for _ in 0..2 {
            for Section { b: [b0, b1, b2], a: [a1, a2] } in self.sections {
                let (mut one, mut two) = (0.0, 0.0);
                for sample in samples.iter_mut() {
                    let x = f64::from(*sample);
                    let y = b0 * x + one;
                    (one, two) = (b1 * x - a1 * y + two, b2 * x - a2 * y);
                    *sample = y as f32;
                }
            }
            samples.reverse();
        }
        samples.copy_within(more..more + count, 0);
        samples.truncate(count);
    }
}

/// The mean; exactly that of a constant, so that nothing is left of one.
fn mean(samples: &[f32]) -> f32 {
    let mut lanes = [0f64; 8];
    let (chunks, rest) = samples.as_chunks::<8>();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*sample);
        }
    }
    let sum = lanes.iter().sum::<f64>() + rest.iter().map(|&s| f64::from(s)).sum::<f64>();
    (sum / samples.len() as f64) as f32
}

/// The sum of squares.
fn energy(samples: &[f32]) -> f64 {
    let mut lanes = [0f32; 16];
    let (chunks, rest) = samples.as_chunks::<16>();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane += sample * sample;
        }
    }
    lanes.iter().map(|&l| f64::from(l)).sum::<f64>() + rest.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>()
}

/// What samples are multiplied with.
fn gain(samples: &[f32], level: Level) -> Result<f32> {
    let (measured, wanted) = match level {
        Level::Keep => return Ok(1.0),
        Level::Peak => (samples.iter().fold(0f32, |peak, s| peak.max(s.abs())), 1.0),
        Level::Rms => {
            let sum: f64 = samples.chunks(TRIM_HOP).map(energy).sum();
            ((sum / samples.len() as f64).sqrt() as f32, 0.1)
        }
    };
    if measured < LEAST_PEAK {
        return Err(Error::new(
            ErrorKind::Sound,
            format!("{} samples of silence; expected sound whose level can be made equal", samples.len()),
        ));
    }
    Ok(wanted / measured)
}

/// `bands x coefficients`: the orthonormal DCT-II, as `scipy.fft.dct(norm="ortho")`.
fn dct(bands: usize, coefficients: usize) -> Vec<f32> {
    let n = bands as f64;
    let mut table = Vec::with_capacity(bands * coefficients);
    for band in 0..bands {
        for k in 0..coefficients {
            let scale = if k == 0 { 1.0 / n } else { 2.0 / n };
            let angle = std::f64::consts::PI * k as f64 * (2.0 * band as f64 + 1.0) / (2.0 * n);
            table.push((scale.sqrt() * angle.cos()) as f32);
        }
    }
    table
}

/// Fills the `order`th block of coefficients with slopes (1) or curvatures (2) of the zeroth.
fn add_delta(values: &mut [f32], frames: usize, rows: usize, coefficients: usize, order: usize) {
    // Least squares over -4..=4: sum of k x / 60, and of (28 7 -8 -17 -20 -17 -8 7 28) x / 462 (Savitzky and Golay 1964).
    const SLOPE: [f32; 9] = [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0];
    const CURVATURE: [f32; 9] = [28.0, 7.0, -8.0, -17.0, -20.0, -17.0, -8.0, 7.0, 28.0];
    let (weights, divisor) = if order == 1 { (SLOPE, 60.0) } else { (CURVATURE, 462.0) };
    let whole = frames > 2 * DELTA_REACH;
    for t in 0..frames {
        let centre = if whole { t.clamp(DELTA_REACH, frames - 1 - DELTA_REACH) } else { t };
        for c in 0..coefficients {
            let mut sum = 0.0;
            for (k, weight) in weights.iter().enumerate() {
                let at = (centre + k).saturating_sub(DELTA_REACH).min(frames - 1);
                sum += weight * values[at * rows + c];
            }
            values[t * rows + order * coefficients + c] = sum / divisor;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;

    fn recipe(features: Features) -> SpeechRecipe {
        SpeechRecipe {
            rate: Hz(16_000),
            high_pass_hz: None,
            trim_db: Some(30.0),
            level: Level::Peak,
            frame: 400,
            hop: 160,
            fft: 512,
            features,
            max_frames: 2_000,
            mean: Vec::new(),
            deviation: Vec::new(),
        }
    }

    /// Prepares mono samples at the recipe's rate.
    fn prepared(samples: &[f32], recipe: &SpeechRecipe) -> Result<SpeechInput> {
        prepare(&Audio::mono(samples, recipe.rate), recipe)
    }

    const MFCC: Features = Features::Mfcc { bands: 40, coefficients: 13, deltas: 0 };
    const LOG_MEL: Features = Features::LogMel { bands: 64, floor: 1e-4 };

    fn testdata(name: &str) -> Vec<u8> {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/speech")).join(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn floats(goldens: &SafeTensors<'_>, name: &str) -> Vec<f32> {
        goldens.tensor(name).unwrap().data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    fn bounds(goldens: &SafeTensors<'_>, name: &str) -> (usize, usize) {
        let data = goldens.tensor(name).unwrap();
        let numbers: Vec<_> = data.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as usize).collect();
        (numbers[0], numbers[1])
    }

    /// The 16-bit samples behind a 44-byte header, or behind ffmpeg's longer one.
    fn voice() -> Vec<f32> {
        let bytes = testdata("voice.wav");
        let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
        bytes[at..].as_chunks::<2>().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect()
    }

    /// The largest difference, relative to the number or, where that is smaller, to 1 % of the largest number.
    fn difference(found: &[f32], wanted: &[f32]) -> f32 {
        assert_eq!(found.len(), wanted.len());
        let top = wanted.iter().fold(0f32, |top, w| top.max(w.abs()));
        found.iter().zip(wanted).map(|(f, w)| (f - w).abs() / w.abs().max(0.01 * top)).fold(0.0, f32::max)
    }

    /// Trim bounds, MFCC with deltas and log-mel of one sound against librosa's.
    fn compare(goldens: &SafeTensors<'_>, name: &str, samples: &[f32]) {
        // In a quiet clip librosa's floor of -100 dB, which is left out here, would decide at 60 dB.
        let loud = samples.iter().any(|s| s.abs() > 0.2);
        let steps: &[i32] = if loud { &[30, 60] } else { &[30] };
        for &db in steps {
            assert_eq!(trim(samples, db as f32), bounds(goldens, &format!("{name}/trim{db}")), "{name}, {db} dB");
        }
        let mfcc = floats(goldens, &format!("{name}/mfcc"));
        let log_mel = floats(goldens, &format!("{name}/log_mel"));
        let deltas = if mfcc.len() / 13 == log_mel.len() / 64 { 0 } else { 2 };
        let features = Features::Mfcc { bands: 40, coefficients: 13, deltas };
        for (features, wanted) in [(features, mfcc), (LOG_MEL, log_mel)] {
            // librosa takes no mean off, so the steps behind that are compared
            let (recipe, mut found) = (recipe(features), Vec::new());
            FeatureMaker::new(&recipe).unwrap().centred_features(&recipe, samples, &mut found).unwrap();
            let worst = difference(&found, &wanted);
            assert!(worst < 1e-3, "{name}, {features:?}: relative difference {worst}");
        }
    }

    #[test]
    fn hum_is_removed_where_the_recipe_asks_for_it() {
        let voice = voice();
        let quiet: Vec<f32> = voice.iter().map(|s| 0.1 * s).collect();
        let tone = |hz: f32, level: f32| {
            let step = std::f32::consts::TAU * hz / 16_000.0;
            (0..quiet.len()).map(move |i| level * (step * i as f32).sin())
        };
        let mean_difference = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
        };
        for (features, hz) in [(MFCC, 50.0), (LOG_MEL, 50.0), (LOG_MEL, 25.0)] {
            let plain = SpeechRecipe { trim_db: None, ..recipe(features) };
            let passed = SpeechRecipe { high_pass_hz: Some(80.0), ..plain.clone() };
            let humming: Vec<f32> = quiet.iter().zip(tone(hz, 0.02)).map(|(s, hum)| s + hum).collect();
            let [with, without] = [&passed, &plain].map(|recipe| {
                let (clean, humming) = (prepared(&quiet, recipe).unwrap(), prepared(&humming, recipe).unwrap());
                mean_difference(clean.values(), humming.values())
            });
            assert!(with < 0.35 * without, "{features:?}, {hz} Hz: {with}, without the filter {without}");
        }
        // silence at the ends is still cut off
        let silence = vec![0.0; 16_000];
        let spoken = [&silence[..], &quiet, &silence].concat();
        let hum: Vec<f32> =
            (0..spoken.len()).map(|i| 0.02 * (std::f32::consts::TAU * 50.0 / 16_000.0 * i as f32).sin()).collect();
        let humming: Vec<f32> = spoken.iter().zip(hum).map(|(s, hum)| s + hum).collect();
        let voiced = |high_pass_hz, samples: &[f32]| {
            SpeechPreparer::new(&SpeechRecipe { high_pass_hz, ..recipe(LOG_MEL) }).unwrap().voiced(samples)
        };
        let (clean, passed, plain) = (voiced(None, &spoken), voiced(Some(80.0), &humming), voiced(None, &humming));
        assert!(passed.0.abs_diff(clean.0) <= 2048 && passed.1.abs_diff(clean.1) <= 2048, "{clean:?} {passed:?}");
        assert!(plain.0 < 4_096, "{plain:?}: without the filter hum is taken for sound");
        // what is in the voice stays
        let high_pass = HighPass::new(80.0, Hz(16_000));
        let level = |hz: f32| {
            let mut samples: Vec<f32> = tone(hz, 0.5).take(32_000).collect();
            high_pass.run(&mut samples);
            let middle = &samples[8_000..24_000];
            20.0 * (middle.iter().fold(0f32, |m, s| m.max(s.abs())) / 0.5).log10()
        };
        for (hz, low, high) in [(50.0, -40.0, -30.0), (80.0, -6.2, -5.8), (160.0, -0.2, 0.05), (1000.0, -0.05, 0.05)] {
            assert!((low..high).contains(&level(hz)), "{hz} Hz: {} dB", level(hz));
        }
        for wrong in [0.0, 9.0, f32::NAN, 4_001.0] {
            assert!(SpeechRecipe { high_pass_hz: Some(wrong), ..recipe(MFCC) }.check().is_err(), "{wrong}");
        }
        // recipes without it are written as they were
        assert!(!serde_json::to_string(&recipe(MFCC)).unwrap().contains("high_pass"));
    }

    #[test]
    fn what_is_voiced_does_not_depend_on_an_offset() {
        let voice = voice();
        let silence = vec![0.0; 16_000];
        let long: Vec<f32> =
            [&silence[..], &voice, &voice, &voice, &silence].concat().iter().map(|s| 0.1 * s).collect();
        let mut preparer = SpeechPreparer::new(&recipe(LOG_MEL)).unwrap();
        let wanted = preparer.voiced(&long);
        assert!(wanted.0 > 8_000 && wanted.1 < long.len() - 8_000, "{wanted:?}");
        for offset in [0.001, 0.01, -0.05] {
            let moved: Vec<f32> = long.iter().map(|s| s + offset).collect();
            assert_eq!(preparer.voiced(&moved), wanted, "{offset}");
        }
    }

    #[test]
    fn a_constant_offset_changes_nothing() {
        let voice = voice();
        let quiet: Vec<f32> = voice.iter().map(|s| 0.1 * s).collect();
        for features in [MFCC, LOG_MEL] {
            for level in [Level::Peak, Level::Rms, Level::Keep] {
                let recipe = SpeechRecipe { level, ..recipe(features) };
                let wanted = prepared(&quiet, &recipe).unwrap();
                for offset in [0.001, 0.01, -0.05, 0.3] {
                    let moved: Vec<f32> = quiet.iter().map(|s| s + offset).collect();
                    let found = prepared(&moved, &recipe).unwrap();
                    assert_eq!(found.frames(), wanted.frames());
                    let worst = difference(found.values(), wanted.values());
                    assert!(worst < 1e-2, "{features:?}, {level:?}, offset {offset}: {worst}");
                }
            }
        }
        // a constant is silence
        for length in [1, 7, 16_000] {
            assert!(prepared(&vec![0.02; length], &recipe(MFCC)).is_err());
        }
    }

    #[test]
    fn features_equal_librosa() {
        let bytes = testdata("goldens.safetensors");
        let goldens = SafeTensors::deserialize(&bytes).unwrap();
        let voice = voice();
        compare(&goldens, "voice", &voice);
        compare(&goldens, "short", &voice[9000..9700]);
    }

    /// `python testdata/speech/librosa_goldens.py ../shared/data/ravdess ../ravdess.safetensors` makes the file.
    #[test]
    fn features_of_ravdess_equal_librosa() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../ravdess.safetensors");
        let Ok(bytes) = std::fs::read(path) else {
            eprintln!("skipped: features of RAVDESS against librosa's, because {path} is absent");
            return;
        };
        let goldens = SafeTensors::deserialize(&bytes).unwrap();
        let names: Vec<_> = goldens.names().iter().filter_map(|n| n.strip_suffix("/samples")).collect();
        assert!(names.len() >= 40);
        for name in names {
            compare(&goldens, name, &floats(&goldens, &format!("{name}/samples")));
        }
    }

    #[test]
    fn lengths() {
        let voice = voice();
        for (samples, max_frames, frames) in
            [(2, 10, 1), (159, 10, 1), (160, 10, 2), (16_000, 1000, 101), (16_000, 50, 50)]
        {
            let recipe = SpeechRecipe { trim_db: None, max_frames, ..recipe(MFCC) };
            let input = prepared(&voice[9_000..9_000 + samples], &recipe).unwrap();
            assert_eq!((input.frames(), input.values().len()), (frames, frames * 13), "{samples} samples");
        }
        // What is cut off changes nothing of what is kept.
        let cut = SpeechRecipe { max_frames: 50, trim_db: None, level: Level::Keep, ..recipe(LOG_MEL) };
        let whole = SpeechRecipe { max_frames: 5_000, ..cut.clone() };
        let (cut, whole) = (prepared(&voice, &cut).unwrap(), prepared(&voice, &whole).unwrap());
        assert!(cut.values() == &whole.values()[..cut.values().len()]);
    }

    #[test]
    fn mean_and_deviation() {
        let plain = recipe(LOG_MEL);
        let scored = SpeechRecipe {
            mean: (0..64).map(|r| r as f32 * 0.1).collect(),
            deviation: (0..64).map(|r| 1.0 + r as f32).collect(),
            ..plain.clone()
        };
        let (plain, scored) = (prepared(&voice(), &plain).unwrap(), prepared(&voice(), &scored).unwrap());
        for (i, (p, s)) in plain.values().iter().zip(scored.values()).enumerate() {
            let row = (i % 64) as f32;
            assert!(((p - row * 0.1) / (1.0 + row) - s).abs() < 1e-6);
        }
    }

    #[test]
    fn silence_and_broken_samples() {
        for (samples, kind) in [
            (vec![], ErrorKind::Sound),
            (vec![0.0; 5_000], ErrorKind::Sound),
            (vec![1e-20; 5_000], ErrorKind::Sound),
            (vec![0.1, f32::NAN], ErrorKind::NotFinite),
            (vec![0.1, f32::NEG_INFINITY], ErrorKind::NotFinite),
        ] {
            assert_eq!(prepared(&samples, &recipe(MFCC)).unwrap_err().kind(), kind);
        }
        // Where the level is kept, silence has features, and all samples are within bounds.
        for features in [MFCC, LOG_MEL] {
            for sample in [0.0, 1e-20, 1e9] {
                let keep = SpeechRecipe { level: Level::Keep, ..recipe(features) };
                let input = prepared(&vec![sample; 5_000], &keep).unwrap();
                assert!(input.values().iter().all(|v| v.is_finite()), "{sample}, {features:?}");
            }
        }
    }

    #[test]
    fn settings_out_of_range() {
        let good = recipe(MFCC);
        for bad in [
            SpeechRecipe { fft: 511, ..good.clone() },
            SpeechRecipe { fft: 0, ..good.clone() },
            SpeechRecipe { frame: 513, ..good.clone() },
            SpeechRecipe { hop: 0, ..good.clone() },
            SpeechRecipe { rate: Hz(0), ..good.clone() },
            SpeechRecipe { max_frames: 0, ..good.clone() },
            SpeechRecipe { trim_db: Some(f32::NAN), ..good.clone() },
            SpeechRecipe { mean: vec![0.0; 12], deviation: vec![1.0; 12], ..good.clone() },
            SpeechRecipe { mean: vec![0.0; 13], ..good.clone() },
            SpeechRecipe { mean: vec![0.0; 13], deviation: vec![0.0; 13], ..good.clone() },
            SpeechRecipe { features: Features::Mfcc { bands: 10, coefficients: 13, deltas: 0 }, ..good.clone() },
            SpeechRecipe { features: Features::Mfcc { bands: 40, coefficients: 13, deltas: 3 }, ..good.clone() },
            SpeechRecipe { features: Features::LogMel { bands: 64, floor: 0.0 }, ..good.clone() },
        ] {
            assert_eq!(prepared(&[0.5; 1000], &bad).unwrap_err().kind(), ErrorKind::Setting, "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gain_changes_nothing(gain in 1e-3f32..100.0, mfcc: bool, rms: bool, start in 0usize..20_000) {
            let level = if rms { Level::Rms } else { Level::Peak };
            let recipe = SpeechRecipe { level, ..recipe(if mfcc { MFCC } else { LOG_MEL }) };
            let voice = &voice()[start..];
            let louder: Vec<f32> = voice.iter().map(|s| s * gain).collect();
            let (plain, louder) = (prepared(voice, &recipe).unwrap(), prepared(&louder, &recipe).unwrap());
            prop_assert_eq!(plain.frames(), louder.frames());
            let worst = plain.values().iter().zip(louder.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            prop_assert!(worst < 2e-3, "{}", worst);
        }

        #[test]
        fn pieces_and_earlier_clips_do_not_matter(cuts in proptest::collection::vec(1usize..9_000, 1..9), first in 1usize..40_000) {
            use crate::speech::resample::Resampler;
            let voice = voice();
            let recipe = recipe(MFCC);
            let whole = prepare(&Audio::new(&voice, 1, Hz(44_100)).unwrap(), &recipe);
            let mut preparer = SpeechPreparer::new(&recipe).unwrap();
            preparer.prepare(&Audio::mono(&voice[..first.max(2_000)], Hz(16_000))).unwrap();
            let mut resampler = Resampler::new(Hz(44_100), 1, Hz(16_000)).unwrap();
            let (mut out, mut rest, mut cuts) = (Vec::new(), &voice[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                resampler.push(&Audio::new(piece, 1, Hz(44_100)).unwrap(), &mut out).unwrap();
                rest = later;
            }
            resampler.finish(&mut out).unwrap();
            let input = preparer.prepare(&Audio::mono(&out, Hz(16_000))).unwrap();
            prop_assert!(input.values() == whole.unwrap().values());
        }
    }
}
