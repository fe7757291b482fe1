//! Edits of recordings for training: of the waveform before `demeanor::speech::prepare`, and of the features after it.
//!
//! Everything that a microphone or a room could have done (noise, gain, speed, pitch, reverberation) edits the samples,
//! so training goes through the library's own preparation. Four edits have no cheap form on samples and edit the prepared
//! features instead, in training only: the mel axis warp (another vocal tract), the time stretch (tempo without pitch),
//! the smooth equaliser (another microphone), and the masks of SpecAugment. This is the one deliberate exception to the
//! rule that augmentation comes before preparation; nothing in use or in evaluation touches features.

use std::cell::RefCell;

use demeanor::training::trim;
use demeanor::{Error, ErrorKind, Result};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution, StandardNormal};
use realfft::RealFftPlanner;
use serde::{Deserialize, Serialize};

/// Samples per second of the recordings that are edited.
const RATE: f32 = 16_000.0;

/// What may be done to a training recording, and how strongly; all off by default. Amounts are drawn evenly from their
/// ranges for each recording of each epoch, from a stream that depends on seed, epoch and place alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechAugment {
    /// The chance that the speed (tempo and pitch together) is changed, 0 to 1.
    pub speed_chance: f32,
    /// Slowest and fastest speed, 0.5 to 2.
    pub speed: [f32; 2],
    /// The chance that the pitch is shifted and the tempo kept, 0 to 1.
    pub pitch_chance: f32,
    /// Largest shift either way, in semitones, 0 to 12.
    pub pitch_semitones: f32,
    /// The chance that a room's echo is added, 0 to 1.
    pub reverb_chance: f32,
    /// Shortest and longest time in which the echo falls by 60 dB, in seconds, 0.02 to 3.
    pub reverb_s: [f32; 2],
    /// Least and greatest level of the direct sound over the echo, in dB, -20 to 40.
    pub reverb_direct_db: [f32; 2],
    /// The chance that noise is added, 0 to 1.
    pub noise_chance: f32,
    /// Least and greatest signal-to-noise ratio, in dB, over the whole recording, -20 to 80.
    pub noise_db: [f32; 2],
    /// The kinds of noise, chosen evenly.
    pub noise_kinds: Vec<Noise>,
    /// Louder or softer by up to this many dB, 0 to 60. Without effect where the recipe makes levels equal.
    pub gain_db: f32,
    /// The chance that only a part of the recording is used, 0 to 1: for models that must read short windows.
    pub crop_chance: f32,
    /// Shortest and longest part, in seconds, 0.1 to 60.
    pub crop_s: [f32; 2],
    /// The chance that such a part is the beginning of the voice, not some part of it, 0 to 1: for models that must read
    /// an utterance while it goes on.
    pub crop_first: f32,
    /// Alpha of mixup's beta distribution (Zhang et al. 2018): two voices at once, and their targets. 0 for none.
    pub mixup: f32,
    /// The chance that a recording is mixed at all, where `mixup` is more than 0; 0 to 1.
    pub mix_chance: f32,
    /// Features: the mel axis is stretched by a factor between `1 - mel_warp` and `1 + mel_warp`, 0 to 0.5.
    pub mel_warp: f32,
    /// Features: time is stretched by a factor between `1 - stretch` and `1 + stretch`, 0 to 0.5.
    pub stretch: f32,
    /// Features: standard deviation of a smooth change of level over the bands, in dB, 0 to 20. For log-mel only.
    pub equalise_db: f32,
    /// Features: how many masks of bands, 0 to 10.
    pub band_masks: usize,
    /// Widest mask, in bands.
    pub band_mask: usize,
    /// Features: how many masks of frames, 0 to 10.
    pub time_masks: usize,
    /// Widest mask, in frames; never more than a fifth of the recording.
    pub time_mask: usize,
}

impl Default for SpeechAugment {
    fn default() -> Self {
        SpeechAugment {
            speed_chance: 0.0,
            speed: [0.9, 1.11],
            pitch_chance: 0.0,
            pitch_semitones: 2.0,
            reverb_chance: 0.0,
            reverb_s: [0.1, 0.6],
            reverb_direct_db: [0.0, 15.0],
            noise_chance: 0.0,
            noise_db: [3.0, 30.0],
            noise_kinds: vec![Noise::White, Noise::Pink, Noise::Brown],
            gain_db: 0.0,
            crop_chance: 0.0,
            crop_s: [1.5, 3.0],
            crop_first: 0.0,
            mixup: 0.0,
            mix_chance: 1.0,
            mel_warp: 0.0,
            stretch: 0.0,
            equalise_db: 0.0,
            band_masks: 0,
            band_mask: 8,
            time_masks: 0,
            time_mask: 15,
        }
    }
}

/// A kind of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// Even power at all frequencies.
    White,
    /// Power falls by 3 dB an octave.
    Pink,
    /// Power falls by 6 dB an octave.
    Brown,
    /// Several other voices at once, taken from training recordings; pink noise where there are none.
    Babble,
    /// Chords of decaying tones, like music.
    Music,
}

impl std::str::FromStr for Noise {
    type Err = Error;

    /// Reads the name of a kind: white, pink, brown, babble or music.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for another word.
    fn from_str(word: &str) -> Result<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" => Ok(Noise::White),
            "pink" => Ok(Noise::Pink),
            "brown" => Ok(Noise::Brown),
            "babble" => Ok(Noise::Babble),
            "music" => Ok(Noise::Music),
            _ => Err(Error::new(
                ErrorKind::Setting,
                format!("\"{word}\" is no kind of noise; expected white, pink, brown, babble or music"),
            )),
        }
    }
}

impl SpeechAugment {
    /// Refuses settings that are out of their ranges.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`], with the name of the setting and its range.
    pub fn check(&self) -> Result<()> {
        let chances = [
            ("speed_chance", self.speed_chance),
            ("pitch_chance", self.pitch_chance),
            ("reverb_chance", self.reverb_chance),
            ("noise_chance", self.noise_chance),
            ("crop_chance", self.crop_chance),
            ("crop_first", self.crop_first),
            ("mix_chance", self.mix_chance),
        ];
        let amounts = [
            ("pitch_semitones", self.pitch_semitones, 12.0),
            ("gain_db", self.gain_db, 60.0),
            ("mixup", self.mixup, 100.0),
            ("mel_warp", self.mel_warp, 0.5),
            ("stretch", self.stretch, 0.5),
            ("equalise_db", self.equalise_db, 20.0),
            ("band_masks", self.band_masks as f32, 10.0),
            ("time_masks", self.time_masks as f32, 10.0),
        ];
        let ranges = [
            ("speed", self.speed, 0.5, 2.0),
            ("reverb_s", self.reverb_s, 0.02, 3.0),
            ("reverb_direct_db", self.reverb_direct_db, -20.0, 40.0),
            ("noise_db", self.noise_db, -20.0, 80.0),
            ("crop_s", self.crop_s, 0.1, 60.0),
        ];
        let single = chances.into_iter().map(|(n, v)| (n, v, 0.0, 1.0)).chain(amounts.map(|(n, v, m)| (n, v, 0.0, m)));
        let first = ranges.into_iter().map(|(n, v, low, high)| (n, v[0], low, high));
        let second = ranges.into_iter().map(|(n, v, _, high)| (n, v[1], v[0], high));
        for (name, value, low, high) in single.chain(first).chain(second) {
            if !(low..=high).contains(&value) {
                return Err(Error::new(
                    ErrorKind::Setting,
                    format!("the augmentation's {name} is {value}; expected {low} to {high}"),
                ));
            }
        }
        if self.noise_chance > 0.0 && self.noise_kinds.is_empty() {
            return Err(Error::new(ErrorKind::Setting, "the augmentation adds noise, but noise_kinds names no kind"));
        }
        Ok(())
    }

    /// Edits samples at 16 kHz, in the order of nature: the voice (speed, pitch), the room (echo), the surroundings
    /// (noise), the microphone (gain), and the moment that is cut out. `others` are training recordings for babble.
    /// Gives whether anything was changed; draws are made in a fixed order.
    pub fn apply(&self, samples: &mut Vec<f32>, others: &[&[f32]], random: &mut impl Rng) -> bool {
        let mut changed = false;
        let between = |range: [f32; 2], random: &mut dyn FnMut() -> f32| range[0] + (range[1] - range[0]) * random();
        let mut draw = |random: &mut _, chance: f32| {
            let hit = RngExt::random::<f32>(random) < chance;
            changed |= hit;
            hit
        };
        if draw(random, self.speed_chance) {
            let factor = between(self.speed, &mut || random.random());
            *samples = change_speed(samples, factor);
        }
        if draw(random, self.pitch_chance) {
            let semitones = between([-self.pitch_semitones, self.pitch_semitones], &mut || random.random());
            *samples = shift_pitch(samples, semitones);
        }
        if draw(random, self.reverb_chance) {
            let seconds = between(self.reverb_s, &mut || random.random());
            let direct = between(self.reverb_direct_db, &mut || random.random());
            reverberate(samples, seconds, direct, random);
        }
        if draw(random, self.noise_chance) {
            let db = between(self.noise_db, &mut || random.random());
            if let Some(&kind) = self.noise_kinds.choose(random) {
                add_noise(samples, kind, db, others, random);
            }
        }
        if draw(random, if self.gain_db > 0.0 { 1.0 } else { 0.0 }) {
            let gain = 10_f32.powf(between([-self.gain_db, self.gain_db], &mut || random.random()) / 20.0);
            samples.iter_mut().for_each(|s| *s *= gain);
        }
        if draw(random, self.crop_chance) {
            let length = (between(self.crop_s, &mut || random.random()) * RATE) as usize;
            if random.random::<f32>() < self.crop_first {
                first(samples, length);
            } else {
                crop(samples, length, random);
            }
        }
        changed
    }

    /// Draws whether a recording is mixed with another; gives the weight of its own target, 0 to 1.
    pub fn mix(&self, random: &mut impl Rng) -> Option<f32> {
        if self.mixup <= 0.0 || random.random::<f32>() >= self.mix_chance {
            return None;
        }
        let keep = Beta::new(self.mixup, self.mixup).ok()?.sample(random);
        keep.is_finite().then_some(keep)
    }

    /// Whether [`SpeechAugment::apply_to_features`] may change anything.
    pub fn edits_features(&self) -> bool {
        self.mel_warp > 0.0
            || self.stretch > 0.0
            || self.equalise_db > 0.0
            || (self.band_masks > 0 && self.band_mask > 0)
            || (self.time_masks > 0 && self.time_mask > 0)
    }

    /// Edits features (`frames x rows`, frame by frame, before means and deviations are applied); gives the number of
    /// frames, at most `most`. `log_mel` says whether rows are `log10` of mel powers: only these can be equalised and
    /// warped. What is masked becomes `fill`, one value per row (the mean of the training clips), or the mean of the
    /// clip where `fill` is empty.
    pub fn apply_to_features(
        &self,
        values: &mut Vec<f32>,
        rows: usize,
        most: usize,
        log_mel: bool,
        fill: &[f32],
        random: &mut impl Rng,
    ) -> usize {
        if rows == 0 || values.len() < rows {
            return 0;
        }
        let mut spread = |amount: f32| amount * (2.0 * random.random::<f32>() - 1.0);
        let (warp, stretch) = (1.0 + spread(self.mel_warp), 1.0 + spread(self.stretch));
        let frames = values.len() / rows;
        let wanted = ((frames as f32 * stretch).round() as usize).clamp(1, most.max(1));
        let warps = log_mel && warp != 1.0;
        if warps || wanted != frames {
            *values = warped(values, rows, wanted, stretch, if warps { warp } else { 1.0 });
        }
        if log_mel && self.equalise_db > 0.0 {
            equalise(values, rows, self.equalise_db, random);
        }
        let mean: Vec<f32> = if fill.len() == rows {
            fill.to_vec()
        } else {
            (0..rows).map(|r| values.iter().skip(r).step_by(rows).sum::<f32>() / wanted as f32).collect()
        };
        for _ in 0..self.band_masks {
            let width = random.random_range(0..=self.band_mask.min(rows));
            let first = random.random_range(0..=rows - width);
            for row in values.chunks_exact_mut(rows) {
                row[first..first + width].copy_from_slice(&mean[first..first + width]);
            }
        }
        for _ in 0..self.time_masks {
            let width = random.random_range(0..=self.time_mask.min(wanted / 5));
            let first = random.random_range(0..=wanted - width);
            for row in values[first * rows..(first + width) * rows].chunks_exact_mut(rows) {
                row.copy_from_slice(&mean);
            }
        }
        wanted
    }
}

/// Mixes a second voice into the first: both at equal level, then in the ratio `keep` to `1 - keep`; as long as the
/// longer of the two.
pub fn mix_voices(samples: &mut Vec<f32>, other: &[f32], keep: f32) {
    let (own, theirs) = (level(samples), level(other));
    if own <= 0.0 || theirs <= 0.0 {
        return;
    }
    if other.len() > samples.len() {
        samples.resize(other.len(), 0.0);
    }
    let gain = (1.0 - keep) * own / theirs;
    samples.iter_mut().for_each(|s| *s *= keep);
    for (sample, &o) in samples.iter_mut().zip(other) {
        *sample += gain * o;
    }
}

/// Adds noise of a kind at a signal-to-noise ratio in dB: mean power of the whole recording over that of the noise.
/// `others` are recordings at 16 kHz that babble is made of. Nothing happens to silence.
pub fn add_noise(samples: &mut [f32], kind: Noise, snr_db: f32, others: &[&[f32]], random: &mut impl Rng) {
    let signal = level(samples);
    let noise = match kind {
        Noise::Babble if !others.is_empty() => babble(samples.len(), others, random),
        Noise::Babble => coloured(samples.len(), Noise::Pink, random),
        Noise::Music => music(samples.len(), random),
        _ => coloured(samples.len(), kind, random),
    };
    let own = level(&noise);
    if signal <= 0.0 || own <= 0.0 {
        return;
    }
    let gain = signal / own * 10_f32.powf(-snr_db / 20.0);
    for (sample, n) in samples.iter_mut().zip(&noise) {
        *sample += gain * n;
    }
}

/// Root mean square.
fn level(samples: &[f32]) -> f32 {
    (power(samples) / samples.len().max(1) as f64).sqrt() as f32
}

/// Sum of squares: in short pieces in single precision, for the sake of speed, and these in double precision.
fn power(samples: &[f32]) -> f64 {
    let piece = |piece: &[f32]| {
        let mut lanes = [0.0_f32; 16];
        let (whole, rest) = piece.as_chunks::<16>();
        for chunk in whole {
            for (lane, s) in lanes.iter_mut().zip(chunk) {
                *lane += s * s;
            }
        }
        f64::from(lanes.iter().sum::<f32>() + rest.iter().map(|s| s * s).sum::<f32>())
    };
    samples.chunks(1024).map(piece).sum()
}

fn normal(random: &mut impl Rng) -> f32 {
    StandardNormal.sample(random)
}

fn coloured(count: usize, kind: Noise, random: &mut impl Rng) -> Vec<f32> {
    // The poles, zeros and gains are Paul Kellet's refined pink filter (musicdsp.org, "Pink noise filter"), within 0.05 dB
    // of -3 dB an octave above 9.2 Hz at 44.1 kHz, and close to it at 16 kHz.
    const PINK: [[f32; 2]; 6] = [
        [0.998_86, 0.055_517_9],
        [0.993_32, 0.075_075_9],
        [0.969_00, 0.153_852],
        [0.866_50, 0.310_485_6],
        [0.550_00, 0.532_952_2],
        [-0.761_6, -0.016_898],
    ];
    let mut state = [0.0_f32; 7];
    (0..count)
        .map(|_| {
            let white = normal(random);
            match kind {
                Noise::Pink => {
                    let mut sum = state[6] + white * 0.536_2;
                    for (s, [pole, gain]) in state.iter_mut().zip(PINK) {
                        *s = pole * *s + gain * white;
                        sum += *s;
                    }
                    state[6] = white * 0.115_926;
                    sum
                }
                Noise::Brown => {
                    // A leak at 13 Hz keeps the walk from drifting away.
                    state[0] = 0.995 * state[0] + white;
                    state[0]
                }
                _ => white,
            }
        })
        .collect()
}

/// Three to seven other voices at equal level, each from an even place on, repeated to the end.
fn babble(count: usize, others: &[&[f32]], random: &mut impl Rng) -> Vec<f32> {
    let mut sum = vec![0.0; count];
    for _ in 0..random.random_range(3..=7) {
        let Some(voice) = others.choose(random).filter(|v| level(v) > 0.0) else { continue };
        let gain = 1.0 / level(voice);
        let from = random.random_range(0..voice.len());
        for (out, &v) in sum.iter_mut().zip(voice.iter().cycle().skip(from)) {
            *out += gain * v;
        }
    }
    sum
}

/// Chords of three notes with five harmonics each, struck anew every quarter to whole second and dying away.
fn music(count: usize, random: &mut impl Rng) -> Vec<f32> {
    let mut sum = vec![0.0_f32; count];
    let mut start = 0;
    while start < count {
        let length = (random.random_range(0.25..1.0) * RATE) as usize;
        let root = 110.0 * 2_f32.powf(random.random_range(0..24) as f32 / 12.0);
        let third = if random.random::<bool>() { 4.0 } else { 3.0 };
        let decay = random.random_range(1.0..6.0_f32);
        for semitones in [0.0, third, 7.0_f32] {
            for harmonic in 1..=5 {
                let hertz = root * 2_f32.powf(semitones / 12.0) * harmonic as f32;
                if hertz > 0.45 * RATE {
                    break;
                }
                // A rotating pointer: no sine per sample.
                let (sin, cos) = (std::f32::consts::TAU * hertz / RATE).sin_cos();
                let fade = (-decay / RATE).exp();
                let phase = std::f32::consts::TAU * random.random::<f32>();
                let (mut im, mut re) = phase.sin_cos();
                let strength = 1.0 / harmonic as f32;
                for out in sum.iter_mut().skip(start).take(length) {
                    *out += strength * im;
                    (re, im) = (fade * (re * cos - im * sin), fade * (re * sin + im * cos));
                }
            }
        }
        start += length;
    }
    sum
}

/// Plays faster by `factor`: shorter and higher. Interpolates with eight points of a windowed sinc.
fn change_speed(samples: &[f32], factor: f32) -> Vec<f32> {
    const HALF: usize = 4;
    const STEPS: usize = 256;
    // Weights for each of 256 places between two samples; a Hann window over the eight points.
    let table: Vec<[f32; 2 * HALF]> = (0..=STEPS)
        .map(|s| {
            let at = s as f32 / STEPS as f32;
            let mut weights: [f32; 2 * HALF] = std::array::from_fn(|k| {
                let x = (k as f32 - (HALF as f32 - 1.0) - at) * std::f32::consts::PI;
                let window = 0.5 * (1.0 + (x / HALF as f32).clamp(-std::f32::consts::PI, std::f32::consts::PI).cos());
                if x.abs() < 1e-6 { 1.0 } else { x.sin() / x * window }
            });
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            weights
        })
        .collect();
    let mut padded = vec![0.0; HALF - 1];
    padded.extend_from_slice(samples);
    padded.extend([0.0; HALF + 1]);
    let count = (samples.len() as f64 / f64::from(factor)) as usize;
    (0..count)
        .map(|i| {
            let at = i as f64 * f64::from(factor);
            let whole = at as usize;
            let weights = &table[((at - whole as f64) * STEPS as f64 + 0.5) as usize];
            // Sample `whole` stands at `whole + HALF - 1` in the padded row.
            padded[whole..whole + 2 * HALF].iter().zip(weights).map(|(s, w)| s * w).sum()
        })
        .collect()
}

/// Shifts the pitch and keeps the tempo: changes the speed, then stretches time back by overlapping pieces that are
/// placed where they fit best (WSOLA; Verhelst and Roelands 1993).
fn shift_pitch(samples: &[f32], semitones: f32) -> Vec<f32> {
    let factor = 2_f32.powf(semitones / 12.0);
    let moved = change_speed(samples, factor);
    stretch_time(&moved, samples.len())
}

/// Stretches or shortens to a number of samples without changing the pitch.
fn stretch_time(samples: &[f32], count: usize) -> Vec<f32> {
    // Pieces of 32 ms, half overlapping, found within 8 ms of where they should be taken.
    const PIECE: usize = 512;
    const HOP: usize = PIECE / 2;
    const REACH: usize = 128;
    if samples.len() < 2 * PIECE || count < PIECE {
        let mut out = samples.to_vec();
        out.resize(count, 0.0);
        return out;
    }
    let window: Vec<f32> =
        (0..PIECE).map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / PIECE as f32).cos()).collect();
    let mut out = vec![0.0; count + PIECE];
    let last = samples.len() - PIECE;
    let rate = last as f64 / count.saturating_sub(PIECE).max(1) as f64;
    let mut natural = 0;
    for start in (0..count).step_by(HOP) {
        let ideal = ((start as f64 * rate) as usize).min(last);
        let mut best = ideal;
        if start > 0 {
            // The piece that goes on most like what would have followed the piece before; every fourth sample will do.
            let wanted = &samples[natural.min(last)..][..PIECE];
            let likeness = |at: usize| -> f32 {
                wanted.iter().step_by(4).zip(samples[at..].iter().step_by(4)).map(|(a, b)| a * b).sum()
            };
            let mut top = f32::NEG_INFINITY;
            for at in (ideal.saturating_sub(REACH)..=(ideal + REACH).min(last)).step_by(2) {
                let value = likeness(at);
                if value > top {
                    (best, top) = (at, value);
                }
            }
        }
        for ((o, s), w) in out[start..].iter_mut().zip(&samples[best..]).zip(&window) {
            *o += s * w;
        }
        natural = best + HOP;
    }
    out.truncate(count);
    out
}

/// Adds a room's echo: noise that dies away by 60 dB in `seconds`, from 2 ms to 20 ms after the direct sound on, and
/// `direct_db` under it. The length is kept, so the echo of the end is cut off.
fn reverberate(samples: &mut [f32], seconds: f32, direct_db: f32, random: &mut impl Rng) {
    let begin = (random.random_range(0.002..0.02_f32) * RATE) as usize;
    let length = ((seconds * RATE) as usize).max(1);
    // ln(1000): 60 dB in amplitude.
    let fall = (-6.907_755 / length as f32).exp();
    let mut strength = 1.0;
    let mut tail: Vec<f32> = (0..length)
        .map(|_| {
            strength *= fall;
            strength * normal(random)
        })
        .collect();
    let energy: f32 = tail.iter().map(|v| v * v).sum();
    let gain = 10_f32.powf(-direct_db / 20.0) / energy.max(1e-12).sqrt();
    tail.iter_mut().for_each(|v| *v *= gain);
    let echo = convolve(samples, &tail);
    for (sample, e) in samples.iter_mut().skip(begin).zip(echo) {
        *sample += e;
    }
}

/// The first `a.len()` samples of the convolution of two signals; nothing when a transform fails.
fn convolve(a: &[f32], b: &[f32]) -> Vec<f32> {
    thread_local! {
        // keeps its tables, which take longer to compute than a transform
        static PLANNER: RefCell<RealFftPlanner<f32>> = RefCell::new(RealFftPlanner::new());
    }
    let size = (a.len() + b.len()).next_power_of_two();
    let (forward, inverse) =
        PLANNER.with_borrow_mut(|planner| (planner.plan_fft_forward(size), planner.plan_fft_inverse(size)));
    let spectrum = |signal: &[f32]| {
        let mut padded = signal.to_vec();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).map(|()| spectrum)
    };
    let (Ok(mut product), Ok(other)) = (spectrum(a), spectrum(b)) else { return Vec::new() };
    product.iter_mut().zip(&other).for_each(|(x, y)| *x *= y);
    let mut out = inverse.make_output_vec();
    if inverse.process(&mut product, &mut out).is_err() {
        return Vec::new();
    }
    out.truncate(a.len());
    out.iter_mut().for_each(|v| *v /= size as f32);
    out
}

/// Keeps the first `length` samples from where the voice begins: 30 dB under the loudest frame.
pub fn first(samples: &mut Vec<f32>, length: usize) {
    let (begin, _) = trim(samples, 30.0);
    samples.drain(..begin);
    samples.truncate(length.max(1));
}

/// Keeps `length` samples; where there is a choice, only parts that hold at least a fifth of an even share of the power,
/// so that no part is mere silence.
fn crop(samples: &mut Vec<f32>, length: usize, random: &mut impl Rng) {
    if length == 0 || samples.len() <= length {
        return;
    }
    let share = power(samples) * length as f64 / samples.len() as f64;
    for _ in 0..8 {
        let first = random.random_range(0..=samples.len() - length);
        if power(&samples[first..first + length]) >= 0.2 * share {
            samples.drain(..first);
            samples.truncate(length);
            return;
        }
    }
}

/// Stretches time (frames) and the mel axis (rows) by linear interpolation; edges are repeated.
fn warped(values: &[f32], rows: usize, wanted: usize, stretch: f32, warp: f32) -> Vec<f32> {
    let frames = values.len() / rows;
    let place = |at: f32, count: usize| {
        let at = at.clamp(0.0, (count - 1) as f32);
        let whole = (at as usize).min(count.saturating_sub(2));
        (whole, (whole + 1).min(count - 1), at - whole as f32)
    };
    let bands: Vec<(usize, usize, f32)> = (0..rows).map(|r| place(r as f32 / warp, rows)).collect();
    let mut out = vec![0.0; wanted * rows];
    for (t, row) in out.chunks_exact_mut(rows).enumerate() {
        let (before, after, part) = place(t as f32 / stretch, frames);
        let (before, after) = (&values[before * rows..][..rows], &values[after * rows..][..rows]);
        let at = |r: usize| before[r] + part * (after[r] - before[r]);
        for (value, &(low, high, part)) in row.iter_mut().zip(&bands) {
            *value = if part == 0.0 { at(low) } else { at(low) + part * (at(high) - at(low)) };
        }
    }
    out
}

/// Adds a smooth curve over the bands, the same in every frame: normal values of the given deviation at every eighth
/// band, linear between.
fn equalise(values: &mut [f32], rows: usize, deviation_db: f32, random: &mut impl Rng) {
    const APART: usize = 8;
    let knots: Vec<f32> = (0..rows.div_ceil(APART) + 1).map(|_| normal(random) * deviation_db / 10.0).collect();
    let curve: Vec<f32> = (0..rows)
        .map(|r| {
            let part = (r % APART) as f32 / APART as f32;
            knots[r / APART] * (1.0 - part) + knots[r / APART + 1] * part
        })
        .collect();
    for row in values.chunks_exact_mut(rows) {
        row.iter_mut().zip(&curve).for_each(|(v, c)| *v += c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream;

    fn tone(hertz: f32, seconds: f32) -> Vec<f32> {
        let count = (RATE * seconds) as usize;
        (0..count).map(|i| 0.5 * (std::f32::consts::TAU * hertz * i as f32 / RATE).sin()).collect()
    }

    /// The frequency by counting upward crossings of zero, away from the ends.
    fn hertz(samples: &[f32]) -> f32 {
        let middle = &samples[2000..samples.len() - 2000];
        let crossings = middle.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count();
        crossings as f32 * RATE / middle.len() as f32
    }

    fn everything() -> SpeechAugment {
        SpeechAugment {
            speed_chance: 0.5,
            pitch_chance: 0.5,
            reverb_chance: 0.5,
            noise_chance: 0.8,
            noise_kinds: vec![Noise::White, Noise::Pink, Noise::Brown, Noise::Babble, Noise::Music],
            gain_db: 6.0,
            crop_chance: 0.3,
            mixup: 0.3,
            mel_warp: 0.1,
            stretch: 0.15,
            equalise_db: 1.0,
            band_masks: 2,
            time_masks: 2,
            ..SpeechAugment::default()
        }
    }

    #[test]
    fn nothing_changes_by_default() {
        let mut samples = tone(200.0, 1.0);
        assert!(!SpeechAugment::default().apply(&mut samples, &[], &mut stream(0, 0, 0)));
        assert_eq!(samples, tone(200.0, 1.0));
        let mut values: Vec<f32> = (0..640).map(|v| v as f32).collect();
        let before = values.clone();
        let frames = SpeechAugment::default().apply_to_features(&mut values, 64, 300, true, &[], &mut stream(0, 0, 0));
        assert_eq!((frames, values), (10, before));
        assert!(!SpeechAugment::default().edits_features());
    }

    #[test]
    fn noise_has_the_ratio_that_was_asked() {
        let voice = tone(333.0, 1.0);
        for kind in [Noise::White, Noise::Pink, Noise::Brown, Noise::Babble, Noise::Music] {
            for db in [0.0, 10.0, 30.0] {
                let mut samples = tone(200.0, 2.0);
                add_noise(&mut samples, kind, db, &[&voice], &mut stream(1, 0, 0));
                let noise: Vec<f32> = samples.iter().zip(tone(200.0, 2.0)).map(|(a, b)| a - b).collect();
                let found = 20.0 * (level(&tone(200.0, 2.0)) / level(&noise)).log10();
                assert!((found - db).abs() < 0.1, "{kind:?} {db}: {found}");
            }
        }
        let mut silence = vec![0.0; 100];
        add_noise(&mut silence, Noise::White, 10.0, &[], &mut stream(1, 0, 0));
        assert_eq!(silence, vec![0.0; 100]);
    }

    #[test]
    fn colours_fall_as_they_should() {
        // Power of differences over power: near 2 for white, less the more low frequencies there are.
        let slope = |kind| {
            let noise = coloured(200_000, kind, &mut stream(3, 0, 0));
            let steps: Vec<f32> = noise.windows(2).map(|w| w[1] - w[0]).collect();
            (level(&steps) / level(&noise)).powi(2)
        };
        let (white, pink, brown) = (slope(Noise::White), slope(Noise::Pink), slope(Noise::Brown));
        assert!((white - 2.0).abs() < 0.05 && (0.1..0.8).contains(&pink) && brown < 0.02, "{white} {pink} {brown}");
    }

    #[test]
    fn speed_changes_length_and_pitch_together_and_pitch_shift_keeps_the_length() {
        let samples = tone(400.0, 2.0);
        let fast = change_speed(&samples, 1.1);
        assert_eq!(fast.len(), (32_000.0_f64 / f64::from(1.1_f32)) as usize);
        assert!((hertz(&fast) - 440.0).abs() < 2.0, "{}", hertz(&fast));
        assert!((level(&fast) / level(&samples) - 1.0).abs() < 0.01);
        let high = shift_pitch(&samples, 2.0);
        assert_eq!(high.len(), samples.len());
        assert!((hertz(&high) - 400.0 * 2_f32.powf(2.0 / 12.0)).abs() < 5.0, "{}", hertz(&high));
        assert!((level(&high) / level(&samples) - 1.0).abs() < 0.15, "{}", level(&high) / level(&samples));
        let same = change_speed(&samples, 1.0);
        assert!(same.iter().zip(&samples).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn echo_comes_after_the_sound_and_dies_away() {
        let mut samples = vec![0.0; 16_000];
        samples[1000] = 1.0;
        reverberate(&mut samples, 0.3, 6.0, &mut stream(0, 1, 2));
        assert!(samples[..1000].iter().all(|s| s.abs() < 1e-5));
        assert!((samples[1000] - 1.0).abs() < 0.1);
        let echo: f32 = samples[1001..].iter().map(|s| s * s).sum();
        assert!((10.0 * (1.0 / echo).log10() - 6.0).abs() < 0.3, "{echo}");
        assert!(level(&samples[1400..2200]) > 5.0 * level(&samples[4600..5400]));
        assert!(samples[6200..].iter().all(|s| s.abs() < 1e-5));
    }

    #[test]
    fn features_are_masked_and_stretched_within_bounds() {
        let augment = everything();
        for i in 0..50 {
            let mut values: Vec<f32> = (0..64 * 290).map(|v| (v % 64) as f32).collect();
            let frames = augment.apply_to_features(&mut values, 64, 300, true, &[-1.0; 64], &mut stream(0, 0, i));
            assert_eq!(values.len(), frames * 64);
            assert!((246..=300).contains(&frames), "{frames}");
            assert!(values.iter().all(|v| v.is_finite()));
        }
        let mut one = vec![1.0; 13];
        assert_eq!(augment.apply_to_features(&mut one, 13, 300, false, &[], &mut stream(0, 0, 0)), 1);
        assert_eq!(augment.apply_to_features(&mut Vec::new(), 13, 300, false, &[], &mut stream(0, 0, 0)), 0);
        // A warp moves a peak at band 30 to band 33.
        let mut peak = vec![0.0; 64];
        peak[30] = 1.0;
        let moved = warped(&peak, 64, 1, 1.0, 1.1);
        assert!(moved[33] > 0.9, "{moved:?}");
    }

    #[test]
    fn the_same_numbers_give_the_same_sound_whatever_its_length() {
        let augment = everything();
        let voice = tone(300.0, 1.5);
        for (i, seconds) in [3.0, 0.5, 0.02, 0.0001].into_iter().enumerate() {
            let run = || {
                let mut samples = tone(220.0, seconds);
                augment.apply(&mut samples, &[&voice], &mut stream(7, 1, i as u64));
                samples
            };
            assert_eq!(run(), run());
            assert!(run().iter().all(|s| s.is_finite()));
        }
        assert!((0..200).filter_map(|i| augment.mix(&mut stream(0, 0, i))).all(|k| (0.0..=1.0).contains(&k)));
    }

    #[test]
    fn two_voices_are_mixed_at_equal_level() {
        let (mut a, b) = (tone(200.0, 1.0), tone(300.0, 2.0).iter().map(|s| s * 0.01).collect::<Vec<_>>());
        mix_voices(&mut a, &b, 0.5);
        assert_eq!(a.len(), b.len());
        assert!((level(&a[16_000..]) / level(&tone(300.0, 1.0)) - 0.5).abs() < 0.01);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = SpeechAugment { speed: [0.9, 3.0], ..SpeechAugment::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "the augmentation's speed is 3; expected 0.9 to 2");
        let error = SpeechAugment { noise_kinds: vec![], noise_chance: 0.5, ..SpeechAugment::default() }.check();
        assert!(error.unwrap_err().to_string().contains("noise_kinds"));
        assert!(everything().check().is_ok());
    }
}
