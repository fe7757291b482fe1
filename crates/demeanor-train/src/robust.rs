//! What is left of a model in bad light, with covered faces, in noise, over a telephone: the test examples edited one way at
//! a time, each way at several strengths, and read as ever.

use std::f32::consts::{PI, TAU};

use demeanor::{Error, ErrorKind, Picture, PixelLayout, Result};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::augment::speech::{Noise, add_noise};
use crate::data::faces::FaceSet;
use crate::data::pixels::{PIXELS, Pixels, SIDE};
use crate::data::speech::{RATE, SpeechSet};
use crate::data::{Split, stream};

/// A way to spoil a picture of 48x48 grey values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaceEdit {
    /// Gaussian blur with this standard deviation in pixels.
    Blur(f32),
    /// Light falls to this part.
    Light(f32),
    /// Values over 255 to this power.
    Gamma(f32),
    /// Normal noise with this standard deviation, of 255.
    Noise(f32),
    /// JPEG of this quality.
    Jpeg(u8),
    /// Turned by so many degrees, half of the pictures each way.
    Rotation(f32),
    /// Made so many pixels small and 48 again.
    Small(usize),
    /// Covered by a grey bar.
    Covered(Cover),
    /// The box moved by this part of its side; the eight directions take turns.
    Shift(f32),
}

/// What a bar covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cover {
    /// The eyes, which lie at 39 % of the height of FER-2013's pictures.
    Eyes,
    /// The mouth, at 78 %.
    Mouth,
}

impl FaceEdit {
    /// The edits of the robustness test, the mildest of a kind first.
    pub const ALL: [FaceEdit; 27] = [
        FaceEdit::Blur(0.7),
        FaceEdit::Blur(1.0),
        FaceEdit::Blur(2.0),
        FaceEdit::Light(0.5),
        FaceEdit::Light(0.3),
        FaceEdit::Light(0.12),
        FaceEdit::Light(0.05),
        FaceEdit::Gamma(0.5),
        FaceEdit::Gamma(2.0),
        FaceEdit::Noise(8.0),
        FaceEdit::Noise(16.0),
        FaceEdit::Noise(32.0),
        FaceEdit::Jpeg(50),
        FaceEdit::Jpeg(20),
        FaceEdit::Jpeg(10),
        FaceEdit::Rotation(10.0),
        FaceEdit::Rotation(20.0),
        FaceEdit::Rotation(30.0),
        FaceEdit::Rotation(45.0),
        FaceEdit::Small(32),
        FaceEdit::Small(24),
        FaceEdit::Small(16),
        FaceEdit::Covered(Cover::Eyes),
        FaceEdit::Covered(Cover::Mouth),
        FaceEdit::Shift(0.05),
        FaceEdit::Shift(0.10),
        FaceEdit::Shift(0.15),
    ];

    /// What is done, and how strongly.
    pub fn describe(&self) -> (&'static str, String) {
        match *self {
            FaceEdit::Blur(sigma) => ("blur", format!("{sigma} px")),
            FaceEdit::Light(part) => ("low light", format!("x {part}")),
            FaceEdit::Gamma(gamma) => ("gamma", format!("{gamma}")),
            FaceEdit::Noise(deviation) => ("noise", format!("{deviation} of 255")),
            FaceEdit::Jpeg(quality) => ("JPEG", format!("quality {quality}")),
            FaceEdit::Rotation(degrees) => ("rotation", format!("{degrees} degrees")),
            FaceEdit::Small(side) => ("small", format!("{side} px")),
            FaceEdit::Covered(Cover::Eyes) => ("covered", "eyes".to_owned()),
            FaceEdit::Covered(Cover::Mouth) => ("covered", "mouth".to_owned()),
            FaceEdit::Shift(part) => ("box moved", format!("{:.0} % of its side", 100.0 * part)),
        }
    }

    /// The pictures of a split, each made 48x48 and edited; what is random is drawn from the place of a picture alone.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when a picture cannot be read any more or its JPEG cannot be made.
    pub fn apply(&self, set: &FaceSet, split: Split) -> Result<FaceSet> {
        let mut edited = FaceSet::default();
        for (place, i) in set.indices(split).into_iter().enumerate() {
            let Some(picture) = set.pictures.get(i) else { continue };
            let mut picture = picture.clone();
            let small = picture.pixels.thumbnail()?;
            let pixels = self.edit(&small, place as u64)?;
            picture.pixels = Picture::new(pixels, SIDE, SIDE, PixelLayout::Grey8)?.into();
            edited.pictures.push(picture);
        }
        Ok(edited)
    }

    fn edit(&self, from: &[u8; PIXELS], place: u64) -> Result<Vec<u8>> {
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        let each = |f: &dyn Fn(f32) -> f32| from.iter().map(|&p| byte(f(f32::from(p)))).collect::<Vec<u8>>();
        Ok(match *self {
            FaceEdit::Blur(sigma) => blur(from, sigma),
            FaceEdit::Light(part) => each(&|p| p * part),
            FaceEdit::Gamma(gamma) => each(&|p| 255.0 * (p / 255.0).powf(gamma)),
            FaceEdit::Noise(deviation) => {
                let mut random = stream(0, 0x726f_6275, place);
                let mut normal = || -> f32 { StandardNormal.sample(&mut random) };
                from.iter().map(|&p| byte(f32::from(p) + deviation * normal())).collect()
            }
            FaceEdit::Jpeg(quality) => jpeg(from, quality)?,
            FaceEdit::Rotation(degrees) => {
                let angle = if place.is_multiple_of(2) { degrees } else { -degrees }.to_radians();
                let (sin, cos) = angle.sin_cos();
                warped(from, |x, y| (cos * x - sin * y, sin * x + cos * y))
            }
            FaceEdit::Small(side) => small(from, side),
            FaceEdit::Covered(cover) => {
                let middle = if cover == Cover::Eyes { 0.39 } else { 0.78 };
                let mean = from.iter().map(|&p| u32::from(p)).sum::<u32>() / PIXELS as u32;
                let (first, end) = (((middle - 0.1) * SIDE as f32) as usize, ((middle + 0.1) * SIDE as f32) as usize);
                let mut pixels = from.to_vec();
                pixels[first * SIDE..end.min(SIDE) * SIDE].fill(mean as u8);
                pixels
            }
            FaceEdit::Shift(part) => {
                let angle = (place % 8) as f32 * PI / 4.0;
                let by = part * SIDE as f32;
                warped(from, |x, y| (x + by * angle.cos(), y + by * angle.sin()))
            }
        })
    }
}

/// The value between four pixels; beyond the edge its nearest pixel.
fn between(from: &[u8; PIXELS], x: f32, y: f32) -> f32 {
    let edge = (SIDE - 1) as f32;
    let (x, y) = (x.clamp(0.0, edge), y.clamp(0.0, edge));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(SIDE - 1), (top + 1).min(SIDE - 1));
    let (u, v) = (x - left as f32, y - top as f32);
    let at = |x: usize, y: usize| f32::from(from[y * SIDE + x]);
    (at(left, top) * (1.0 - u) + at(right, top) * u) * (1.0 - v)
        + (at(left, bottom) * (1.0 - u) + at(right, bottom) * u) * v
}

/// A picture whose pixels are taken from where `source` says; places are from the middle, in pixels.
fn warped(from: &[u8; PIXELS], source: impl Fn(f32, f32) -> (f32, f32)) -> Vec<u8> {
    let middle = (SIDE - 1) as f32 / 2.0;
    let pixel = |i: usize| {
        let (x, y) = source((i % SIDE) as f32 - middle, (i / SIDE) as f32 - middle);
        between(from, x + middle, y + middle).round() as u8
    };
    (0..PIXELS).map(pixel).collect()
}

fn blur(from: &[u8; PIXELS], sigma: f32) -> Vec<u8> {
    let radius = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f32> = (-radius..=radius).map(|d| (-((d * d) as f32) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    let edge = SIDE as isize - 1;
    let pass = |values: &[f32], across: bool| -> Vec<f32> {
        let at = |i: usize| {
            let (x, y) = ((i % SIDE) as isize, (i / SIDE) as isize);
            let taps = kernel.iter().zip(-radius..).map(|(k, d)| {
                let (x, y) = if across { ((x + d).clamp(0, edge), y) } else { (x, (y + d).clamp(0, edge)) };
                k * values[y as usize * SIDE + x as usize]
            });
            taps.sum::<f32>() / sum
        };
        (0..PIXELS).map(at).collect()
    };
    let values: Vec<f32> = from.iter().map(|&p| f32::from(p)).collect();
    pass(&pass(&values, true), false).into_iter().map(|v| v.round() as u8).collect()
}

/// Means of areas for the small picture, straight lines back.
fn small(from: &[u8; PIXELS], side: usize) -> Vec<u8> {
    let scale = SIDE as f32 / side as f32;
    let cover = |i: usize, p: usize| {
        let (low, high) = (i as f32 * scale, (i + 1) as f32 * scale);
        ((p + 1) as f32).min(high) - (p as f32).max(low)
    };
    let mut tiny = vec![0.0; side * side];
    for (i, value) in tiny.iter_mut().enumerate() {
        let (x, y) = (i % side, i / side);
        for py in 0..SIDE {
            let v = cover(y, py);
            if v <= 0.0 {
                continue;
            }
            for px in 0..SIDE {
                let u = cover(x, px);
                if u > 0.0 {
                    *value += u * v * f32::from(from[py * SIDE + px]);
                }
            }
        }
        *value /= scale * scale;
    }
    let at = |x: usize, y: usize| tiny[y.min(side - 1) * side + x.min(side - 1)];
    let pixel = |i: usize| {
        let place = |p: usize| ((p as f32 + 0.5) / scale - 0.5).clamp(0.0, (side - 1) as f32);
        let (x, y) = (place(i % SIDE), place(i / SIDE));
        let (left, top, u, v) = (x as usize, y as usize, x.fract(), y.fract());
        let upper = at(left, top) * (1.0 - u) + at(left + 1, top) * u;
        let lower = at(left, top + 1) * (1.0 - u) + at(left + 1, top + 1) * u;
        (upper * (1.0 - v) + lower * v).round() as u8
    };
    (0..PIXELS).map(pixel).collect()
}

fn jpeg(from: &[u8; PIXELS], quality: u8) -> Result<Vec<u8>> {
    let failed = |e: image::ImageError| Error::new(ErrorKind::File, format!("a picture cannot be made a JPEG: {e}"));
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.encode(&from[..], SIDE as u32, SIDE as u32, image::ExtendedColorType::L8).map_err(failed)?;
    // whatever layout it is read in
    Ok(Pixels::from(demeanor_media::picture::read(&bytes[..])?).thumbnail()?.to_vec())
}

/// A way to spoil a recording.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeechEdit {
    /// Noise, so many dB under the voice.
    Noise(Noise, f32),
    /// 50 Hz and its multiples, so many dB under the voice.
    Hum(f32),
    /// Wind: deep noise in gusts, so many dB under the voice.
    Wind(f32),
    /// 300 to 3,400 Hz alone.
    Telephone,
    /// A room in which sound falls by 60 dB in so many seconds.
    Room(f32),
    /// A constant added, full scale being 1.
    Offset(f32),
    /// Peaks cut at this part of the loudest.
    Clipping(f32),
}

impl SpeechEdit {
    /// The signal-to-noise ratios of the test, in dB.
    pub const LEVELS: [f32; 4] = [20.0, 10.0, 5.0, 0.0];

    /// The edits of the robustness test.
    pub fn all() -> Vec<SpeechEdit> {
        let mut all = Vec::new();
        for kind in [Noise::White, Noise::Pink, Noise::Babble, Noise::Music] {
            all.extend(Self::LEVELS.map(|db| SpeechEdit::Noise(kind, db)));
        }
        all.extend(Self::LEVELS.map(SpeechEdit::Hum));
        all.extend(Self::LEVELS.map(SpeechEdit::Wind));
        all.push(SpeechEdit::Telephone);
        all.extend([0.3, 0.6, 1.0].map(SpeechEdit::Room));
        all.extend([0.005, 0.02, 0.1].map(SpeechEdit::Offset));
        all.extend([0.5, 0.25, 0.1].map(SpeechEdit::Clipping));
        all
    }

    /// What is done, and how strongly.
    pub fn describe(&self) -> (String, String) {
        let db = |level: f32| format!("{level:.0} dB");
        match *self {
            SpeechEdit::Noise(kind, level) => (format!("{kind:?} noise").to_lowercase(), db(level)),
            SpeechEdit::Hum(level) => ("hum".to_owned(), db(level)),
            SpeechEdit::Wind(level) => ("wind".to_owned(), db(level)),
            SpeechEdit::Telephone => ("telephone band".to_owned(), "300 to 3,400 Hz".to_owned()),
            SpeechEdit::Room(seconds) => ("room".to_owned(), format!("{seconds} s")),
            SpeechEdit::Offset(offset) => ("constant offset".to_owned(), format!("{offset}")),
            SpeechEdit::Clipping(part) => ("clipping".to_owned(), format!("at {:.0} % of the peak", 100.0 * part)),
        }
    }

    /// The level in dB, of what has one.
    pub fn level_db(&self) -> Option<f32> {
        match *self {
            SpeechEdit::Noise(_, level) | SpeechEdit::Hum(level) | SpeechEdit::Wind(level) => Some(level),
            _ => None,
        }
    }

    /// A set with these clips edited, the others as they are; what is random is drawn from the place of a clip alone.
    /// `voices` are the clips that babble is made of.
    pub fn apply(&self, set: &SpeechSet, clips: &[usize], voices: &[usize]) -> SpeechSet {
        let mut edited = set.clone();
        let others: Vec<&[f32]> = voices.iter().filter_map(|&i| set.clips.get(i)).map(|c| &c.samples[..]).collect();
        for &i in clips {
            if let Some(clip) = edited.clips.get_mut(i) {
                self.edit(&mut clip.samples, &others, &mut stream(0, 0x7370_6f69, i as u64));
            }
        }
        edited
    }

    fn edit(&self, samples: &mut [f32], voices: &[&[f32]], random: &mut impl Rng) {
        let rate = RATE.0 as f32;
        match *self {
            SpeechEdit::Noise(kind, level) => add_noise(samples, kind, level, voices, random),
            SpeechEdit::Hum(level) => {
                let phases: [f32; 5] = std::array::from_fn(|_| random.random_range(0.0..TAU));
                let at = |t: usize| -> f32 {
                    let tone = |(k, phase): (usize, &f32)| {
                        (TAU * 50.0 * (k + 1) as f32 * t as f32 / rate + phase).sin() / (k + 1) as f32
                    };
                    phases.iter().enumerate().map(tone).sum()
                };
                let hum: Vec<f32> = (0..samples.len()).map(at).collect();
                add(samples, &hum, level);
            }
            SpeechEdit::Wind(level) => {
                // brown noise under 200 Hz whose strength comes and goes within a second or so
                let (mut low, mut lower, mut gust, mut gusts) = (0.0f32, 0.0f32, 0.0f32, Vec::new());
                let (a, b) = (1.0 - (-TAU * 200.0 / rate).exp(), 1.0 - (-TAU * 1.0 / rate).exp());
                for _ in 0..samples.len() {
                    let (white, slow): (f32, f32) = (StandardNormal.sample(random), StandardNormal.sample(random));
                    low += a * (white - low);
                    lower += a * (low - lower);
                    gust += b * (slow * 60.0 - gust);
                    gusts.push(lower * (0.3 + gust.abs()));
                }
                add(samples, &gusts, level);
            }
            SpeechEdit::Telephone => {
                // two second-order filters on each side (Butterworth)
                for _ in 0..2 {
                    filter(samples, 300.0, rate, true);
                    filter(samples, 3400.0, rate, false);
                }
            }
            SpeechEdit::Room(seconds) => {
                let length = (seconds * rate) as usize;
                let fall = 6.9 / length as f32;
                let echo: Vec<f32> = (0..length)
                    .map(|t| {
                        let noise: f32 = StandardNormal.sample(random);
                        noise * (-fall * t as f32).exp()
                    })
                    .collect();
                reverberate(samples, &echo);
            }
            SpeechEdit::Offset(offset) => samples.iter_mut().for_each(|s| *s += offset),
            SpeechEdit::Clipping(part) => {
                let most = part * samples.iter().fold(0.0f32, |most, s| most.max(s.abs()));
                samples.iter_mut().for_each(|s| *s = s.clamp(-most, most));
            }
        }
    }
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// Adds a sound so many dB under another.
fn add(samples: &mut [f32], other: &[f32], level_db: f32) {
    let (own, others) = (power(samples), power(other));
    if own > 0.0 && others > 0.0 {
        let gain = ((own / others).sqrt() * 10f64.powf(-f64::from(level_db) / 20.0)) as f32;
        samples.iter_mut().zip(other).for_each(|(s, o)| *s += gain * o);
    }
}

/// A second-order Butterworth filter (Bristow-Johnson's cookbook, Q = 1/sqrt(2)).
fn filter(samples: &mut [f32], hertz: f32, rate: f32, is_high_pass: bool) {
    let (sin, cos) = (TAU * hertz / rate).sin_cos();
    let alpha = sin / 2f32.sqrt();
    let sign = if is_high_pass { -1.0 } else { 1.0 };
    let middle = sign * (1.0 - sign * cos);
    let a0 = 1.0 + alpha;
    let (b0, b1) = ((1.0 - sign * cos) / 2.0 / a0, middle / a0);
    let (a1, a2) = (-2.0 * cos / a0, (1.0 - alpha) / a0);
    let (mut x1, mut x2, mut y1, mut y2) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
    for sample in samples {
        let x = *sample;
        let y = b0 * x + b1 * x1 + b0 * x2 - a1 * y1 - a2 * y2;
        (x2, x1, y2, y1) = (x1, x, y1, y);
        *sample = y;
    }
}

/// The sound itself and its echo, with as much power as the sound.
fn reverberate(samples: &mut [f32], echo: &[f32]) {
    let size = (samples.len() + echo.len()).next_power_of_two();
    let mut planner = realfft::RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let spectrum = |values: &[f32]| {
        let mut input = forward.make_input_vec();
        input.iter_mut().zip(values).for_each(|(i, v)| *i = *v);
        let mut output = forward.make_output_vec();
        forward.process(&mut input, &mut output).ok().map(|()| output)
    };
    let (Some(mut product), Some(other)) = (spectrum(samples), spectrum(echo)) else { return };
    product.iter_mut().zip(&other).for_each(|(a, b)| *a *= b);
    // the first and the last are real numbers
    if let Some(first) = product.first_mut() {
        first.im = 0.0;
    }
    if let Some(last) = product.last_mut() {
        last.im = 0.0;
    }
    let mut tail = inverse.make_output_vec();
    if inverse.process(&mut product, &mut tail).is_err() {
        return;
    }
    add(samples, &tail[..samples.len()], 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> [u8; PIXELS] {
        std::array::from_fn(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            (40 + 3 * x + y + if (x / 6 + y / 6) % 2 == 0 { 20 } else { 0 }) as u8
        })
    }

    fn distance(a: &[u8], b: &[u8]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (f32::from(*a) - f32::from(*b)).abs()).sum::<f32>() / a.len() as f32
    }

    #[test]
    fn stronger_edits_change_more_and_all_are_repeated() {
        let from = picture();
        for edit in FaceEdit::ALL {
            let edited = edit.edit(&from, 3).unwrap();
            assert_eq!(edited.len(), PIXELS, "{edit:?}");
            assert!(distance(&from, &edited) > 0.5, "{edit:?}");
            assert_eq!(edited, edit.edit(&from, 3).unwrap());
        }
        let change = |edit: FaceEdit| distance(&from, &edit.edit(&from, 0).unwrap());
        assert!(change(FaceEdit::Blur(2.0)) > change(FaceEdit::Blur(0.7)));
        assert!(change(FaceEdit::Jpeg(10)) > change(FaceEdit::Jpeg(50)));
        assert!(change(FaceEdit::Small(16)) > change(FaceEdit::Small(32)));
        assert!(change(FaceEdit::Shift(0.15)) > change(FaceEdit::Shift(0.05)));
        // nothing done is nothing changed
        assert_eq!(FaceEdit::Rotation(0.0).edit(&from, 0).unwrap(), from);
        assert_eq!(FaceEdit::Light(1.0).edit(&from, 0).unwrap(), from);
        let flat = [90; PIXELS];
        for edit in [FaceEdit::Blur(2.0), FaceEdit::Small(16), FaceEdit::Rotation(45.0)] {
            assert!(distance(&flat, &edit.edit(&flat, 0).unwrap()) < 0.01, "{edit:?}");
        }
    }

    fn tone(hertz: f32) -> Vec<f32> {
        (0..16_000).map(|t| 0.3 * (TAU * hertz * t as f32 / 16_000.0).sin()).collect()
    }

    #[test]
    fn levels_are_what_they_say() {
        let clean = tone(440.0);
        let voices = [tone(300.0), tone(700.0)];
        let voices: Vec<&[f32]> = voices.iter().map(Vec::as_slice).collect();
        for edit in SpeechEdit::all() {
            let edited = |place| {
                let mut samples = clean.clone();
                edit.edit(&mut samples, &voices, &mut stream(0, 1, place));
                samples
            };
            let samples = edited(0);
            assert_eq!((samples.len(), &samples), (clean.len(), &edited(0)), "{edit:?}");
            assert!(samples.iter().all(|s| s.is_finite()));
            if let Some(level) = edit.level_db() {
                let noise: Vec<f32> = samples.iter().zip(&clean).map(|(s, c)| s - c).collect();
                let found = 10.0 * (power(&clean) / power(&noise)).log10();
                assert!((found - f64::from(level)).abs() < 0.1, "{edit:?}: {found}");
            }
        }
    }

    #[test]
    fn a_telephone_passes_voices_and_neither_deep_nor_high_tones() {
        let passed = |hertz: f32| {
            let mut samples = tone(hertz);
            SpeechEdit::Telephone.edit(&mut samples, &[], &mut stream(0, 0, 0));
            10.0 * (power(&samples) / power(&tone(hertz))).log10()
        };
        assert!(
            passed(1000.0) > -1.0 && passed(100.0) < -30.0 && passed(6500.0) < -18.0,
            "{} {} {}",
            passed(1000.0),
            passed(100.0),
            passed(6500.0)
        );
        assert!((passed(300.0) + 6.0).abs() < 1.0, "two filters take 3 dB each at the edge: {}", passed(300.0));
    }
}
