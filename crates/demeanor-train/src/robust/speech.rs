//! Recordings of voices, spoilt.

use std::f32::consts::TAU;

use demeanor::Result;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Strength, mp3};
use crate::augment::speech::{Noise, add_noise};
use crate::data::speech::{RATE, SpeechSet};
use crate::data::stream;

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
    /// Made an MP3 of so many kbit/s and decoded; needs the program `ffmpeg`.
    Mp3(u32),
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
        all.push(SpeechEdit::Mp3(32));
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
            SpeechEdit::Mp3(kbit) => ("MP3".to_owned(), format!("{kbit} kbit/s")),
        }
    }

    /// How strongly, as a number, where it is one.
    pub fn strength(&self) -> Option<Strength> {
        let (value, axis, untouched) = match *self {
            SpeechEdit::Noise(_, level) | SpeechEdit::Hum(level) | SpeechEdit::Wind(level) => {
                (level, "signal-to-noise ratio (dB)", None)
            }
            SpeechEdit::Room(seconds) => (seconds, "seconds to fall by 60 dB", Some(0.0)),
            SpeechEdit::Offset(offset) => (offset, "constant (of full scale)", Some(0.0)),
            SpeechEdit::Clipping(part) => (part, "part of the peak that is left", Some(1.0)),
            SpeechEdit::Telephone | SpeechEdit::Mp3(_) => return None,
        };
        Some(Strength { value, axis, untouched })
    }

    /// Whether it can be done here.
    ///
    /// # Errors
    /// Why not: [`Device`](demeanor::ErrorKind::Device) or [`Sound`](demeanor::ErrorKind::Sound), when there is no `ffmpeg`
    /// with an MP3 encoder.
    pub fn check(&self) -> Result<()> {
        match *self {
            SpeechEdit::Mp3(kbit) => mp3::through(&[0.0; 4_000], kbit).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// A set with these clips edited, the others as they are; what is random is drawn from the place of a clip alone.
    /// `voices` are the clips that babble is made of. On all cores.
    ///
    /// # Errors
    /// As [`SpeechEdit::check`].
    pub fn apply(&self, set: &SpeechSet, clips: &[usize], voices: &[usize]) -> Result<SpeechSet> {
        let mut edited = set.clone();
        let others: Vec<&[f32]> = voices.iter().filter_map(|&i| set.clips.get(i)).map(|c| &c.samples[..]).collect();
        let spoilt = clips.par_iter().filter_map(|&i| {
            let mut samples = set.clips.get(i)?.samples.clone();
            let done = self.edit(&mut samples, &others, &mut stream(0, 0x7370_6f69, i as u64));
            Some(done.map(|()| (i, samples)))
        });
        for (i, samples) in spoilt.collect::<Result<Vec<_>>>()? {
            if let Some(clip) = edited.clips.get_mut(i) {
                clip.samples = samples;
            }
        }
        Ok(edited)
    }

    fn edit(&self, samples: &mut Vec<f32>, voices: &[&[f32]], random: &mut impl Rng) -> Result<()> {
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
            SpeechEdit::Mp3(kbit) => *samples = mp3::through(samples, kbit)?,
        }
        Ok(())
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

    fn tone(hertz: f32) -> Vec<f32> {
        (0..16_000).map(|t| 0.3 * (TAU * hertz * t as f32 / 16_000.0).sin()).collect()
    }

    #[test]
    fn levels_are_what_they_say() {
        let clean = tone(440.0);
        let voices = [tone(300.0), tone(700.0)];
        let voices: Vec<&[f32]> = voices.iter().map(Vec::as_slice).collect();
        for edit in SpeechEdit::all() {
            if let Err(error) = edit.check() {
                println!("skipped {edit:?}: {error}");
                continue;
            }
            let edited = |place| {
                let mut samples = clean.clone();
                edit.edit(&mut samples, &voices, &mut stream(0, 1, place)).unwrap();
                samples
            };
            let samples = edited(0);
            assert_eq!(samples, edited(0), "{edit:?}");
            // an encoder puts silence before what it is given, and fills its last frame
            let more = if matches!(edit, SpeechEdit::Mp3(_)) { 4_000 } else { 0 };
            assert!((clean.len()..=clean.len() + more).contains(&samples.len()), "{edit:?}: {}", samples.len());
            assert!(samples.iter().all(|s| s.is_finite()));
            if let (SpeechEdit::Mp3(_), own) = (edit, power(&clean)) {
                assert!((power(&samples) / own - 1.0).abs() < 0.2, "a tone is left of an MP3");
            }
            if let Some(Strength { value: level, untouched: None, .. }) = edit.strength() {
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
            SpeechEdit::Telephone.edit(&mut samples, &[], &mut stream(0, 0, 0)).unwrap();
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
