//! Where in a stream of sound somebody speaks: utterances with their start and end. What is not speech gets no estimate.
//!
//! A constant offset of the sound, as cheap sound cards have one, is taken off first: a first-order high-pass at 10 Hz,
//! which a voice does not notice. The samples of utterances are given as they came.
//!
//! Every 16 ms four questions are asked:
//! 1. Is there a voice? earshot, a small network, answers (0 to 1). It hears the sound at a steady level: a gain brings
//!    the loudest sample of the last seconds to 0.2, because what it says of noise and of quiet voices depends on level.
//! 2. Is it music? Instruments hold their notes, so the peaks of their spectrum stand still; the harmonics of a voice
//!    glide. The steadiness of a frame is the part of its energy between 300 and 4000 Hz that lies in peaks which keep
//!    their bin (15.6 Hz wide) for 176 ms: 0.05 to 0.45 for speech, 0.6 to 0.95 for instruments. Where its mean over half
//!    a second is above a threshold, there is no voice, whatever the network says. Singing of held notes is music too.
//! 3. Is it noise? The spectrum of white noise is flat: the geometric mean of the power between 300 and 4000 Hz is 0.56 of
//!    the arithmetic mean (the power of a bin is exponentially distributed: e to the minus Euler's constant); a voice's is
//!    0.3 at most over half a second, for its energy is in harmonics. Above a threshold there is no voice.
//! 4. Is it a tone? A whistle, a ring or a hum puts nearly all of its energy between 80 and 4000 Hz into one peak; a voice
//!    has harmonics, and holds a vowel that is nearly a sine for moments only. Where one peak has more than 0.97 of the
//!    energy over half a second, there is no voice.
//!
//! An utterance begins where the score reaches `begin` and ends where it stays under `hold` for `pause`. Time is counted
//! in samples, the buffers have a fixed size, and utterances do not depend on the pieces in which samples arrive.

use std::collections::VecDeque;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::{Error, ErrorKind, Result};
use crate::input::{Audio, Hz};
use crate::speech::resample::check_samples;

/// The rate that the detector reads.
pub const RATE: Hz = Hz(16_000);

/// Samples of a step; what earshot reads at a time.
const STEP: usize = 256;
/// Points of the transform that finds peaks: 64 ms.
const FFT: usize = 1024;
/// The bins of 300 to 4000 Hz.
const BINS: std::ops::Range<usize> = 19..257;
/// The bins of 80 to 4000 Hz, among which a tone is looked for.
const WIDE: std::ops::Range<usize> = 5..257;
/// Bins on each side of a tone's peak that its window spreads it to, glides included.
const SPREAD: usize = 3;
/// The part of the energy above which one peak is a tone.
const LONE: f32 = 0.97;
/// A peak has at least this many times the median power of the bins.
const PEAK: f32 = 4.0;
/// Steps for which a peak must stand still.
const STILL: u8 = 11;
/// Steps on each side over which steadiness is averaged.
const REACH: usize = 16;
/// Steps by which an answer is later than its sound.
const DELAY: usize = STILL as usize / 2 + REACH;
/// How much of the difference to the slow part of the sound is followed with each sample: 1 - exp(-2 pi 10 / 16000).
const FOLLOW: f32 = 0.003_919_3;
/// The loudest sample after the gain.
const TARGET_PEAK: f32 = 0.2;
/// The most that quiet sound is amplified: 40 dB.
const MAX_GAIN: f32 = 100.0;
/// How fast the loudest sample is forgotten: half in 8 s.
const PEAK_HALF_LIFE_S: f32 = 8.0;

/// When a voice is taken for an utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct VoiceSettings {
    /// The score at which an utterance begins, 0 to 1.
    pub begin: f32,
    /// The score that holds an utterance, 0 to `begin`.
    pub hold: f32,
    /// The steadiness above which sound is music, 0 to 1.
    pub steady: f32,
    /// The flatness of the spectrum above which sound is noise, 0 to 1.
    pub flat: f32,
    /// A voice shorter than this is no utterance, in seconds.
    pub shortest_s: f32,
    /// A pause longer than this ends an utterance, in seconds; at most 5.
    pub pause_s: f32,
    /// What is added to an utterance on both sides, in seconds; at most 1.
    pub margin_s: f32,
    /// An utterance longer than this is cut, in seconds; at most 120.
    pub longest_s: f32,
}

impl Default for VoiceSettings {
    fn default() -> Self {
        VoiceSettings {
            begin: 0.5,
            hold: 0.4,
            steady: 0.5,
            flat: 0.45,
            shortest_s: 0.25,
            pause_s: 0.5,
            margin_s: 0.15,
            longest_s: 20.0,
        }
    }
}

/// A stretch in which somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utterance<'a> {
    /// Its first sample, counted from the start of the stream.
    pub start: u64,
    /// Its sound: mono, at [`RATE`].
    pub audio: Audio<'a>,
}

impl Utterance<'_> {
    /// Where it starts, in seconds from the start of the stream.
    pub fn start_s(&self) -> f64 {
        self.start as f64 / f64::from(RATE.0)
    }

    /// Where it ends, in seconds from the start of the stream.
    pub fn end_s(&self) -> f64 {
        (self.start + self.audio.samples().len() as u64) as f64 / f64::from(RATE.0)
    }
}

/// Finds utterances in a stream of mono sound at [`RATE`].
pub struct VoiceDetector {
    settings: VoiceSettings,
    voice: Box<earshot::Detector>,
    /// The slow part of the sound; none before there is any.
    slow: Option<f32>,
    peak: f32,
    peaks: Peaks,
    /// Sound from the sample `kept_from` on.
    kept: Vec<f32>,
    kept_from: u64,
    /// Whole steps that were heard.
    steps: u64,
    /// Score and spectrum of the last steps; the newest spectrum is `STILL / 2` steps older than the newest score.
    scores: VecDeque<f32>,
    shapes: VecDeque<Shape>,
    /// The score of the newest step that is decided; 0 where there is music.
    score: f32,
    current: Option<Current>,
    /// The end of the last utterance, in samples.
    last_end: u64,
}

/// An utterance that has begun, in steps.
struct Current {
    start: u64,
    last_voiced: u64,
    voiced: u64,
}

impl VoiceDetector {
    /// A detector at the start of a stream.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn new(settings: VoiceSettings) -> Result<Self> {
        let VoiceSettings { begin, hold, steady, flat, shortest_s, pause_s, margin_s, longest_s } = settings;
        for (name, value, low, high) in [
            ("begin", begin, 0.0, 1.0),
            ("hold", hold, 0.0, begin),
            ("steady", steady, 0.0, 1.0),
            ("flat", flat, 0.0, 1.0),
            ("shortest_s", shortest_s, 0.0, longest_s),
            ("pause_s", pause_s, 0.0, 5.0),
            ("margin_s", margin_s, 0.0, 1.0),
            ("longest_s", longest_s, 0.1, 120.0),
        ] {
            if !(value >= low && value <= high) {
                return Err(Error::new(
                    ErrorKind::Setting,
                    format!("voice detection: {name} is {value}; expected {low} to {high}"),
                ));
            }
        }
        Ok(VoiceDetector {
            settings,
            voice: earshot::Detector::default_boxed(),
            slow: None,
            peak: 0.0,
            peaks: Peaks::new(),
            kept: Vec::new(),
            kept_from: 0,
            steps: 0,
            scores: VecDeque::with_capacity(2 * DELAY),
            shapes: VecDeque::with_capacity(2 * DELAY),
            score: 0.0,
            current: None,
            last_end: 0,
        })
    }

    /// Whether a voice is heard; about 0.35 s late.
    pub fn is_speaking(&self) -> bool {
        self.score >= self.settings.hold && self.current.is_some()
    }

    /// What was heard so far of the utterance that is going on, with its margin; `None` when there is none.
    pub fn going_on(&self) -> Option<Audio<'_>> {
        let current = self.current.as_ref()?;
        let margin = (self.settings.margin_s * RATE.0 as f32) as u64;
        let start = (current.start * STEP as u64).saturating_sub(margin).max(self.last_end).max(self.kept_from);
        self.kept.get((start - self.kept_from) as usize..).map(|samples| Audio::mono(samples, RATE))
    }

    /// Hears the next piece, and gives each utterance that ends within it to `each`.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when it is not mono at [`RATE`], [`ErrorKind::NotFinite`] when a sample is not a number: the
    /// piece is then not taken; and what `each` gives.
    pub fn push<E: From<Error>>(
        &mut self,
        piece: &Audio<'_>,
        mut each: impl FnMut(Utterance<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if piece.rate() != RATE || piece.channels() != 1 {
            let (channels, rate) = (piece.channels(), piece.rate().0);
            let message = format!("expected 1 channel at {} Hz, found {channels} at {rate} Hz", RATE.0);
            return Err(Error::new(ErrorKind::Sound, message).into());
        }
        check_samples(piece.samples())?;
        // In pieces, so that what is kept stays small however much arrives at once.
        for piece in piece.samples().chunks(STEP) {
            self.kept.extend_from_slice(piece);
            while (self.steps + 1) * STEP as u64 <= self.kept_from + self.kept.len() as u64 {
                self.hear(u64::MAX, &mut each)?;
            }
        }
        Ok(())
    }

    /// Ends the stream: gives the utterance that was going on. The detector is then ready for another stream.
    ///
    /// # Errors
    /// What `each` gives.
    pub fn finish<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(Utterance<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let end = self.kept_from + self.kept.len() as u64;
        let needed = end.div_ceil(STEP as u64) + DELAY as u64;
        while self.steps < needed {
            let missing = (self.steps + 1) * STEP as u64;
            let there = self.kept_from + self.kept.len() as u64;
            // silence, on the offset that the sound has
            let silence = self.slow.unwrap_or(0.0);
            self.kept.resize(self.kept.len() + missing.saturating_sub(there) as usize, silence);
            self.hear(end, &mut each)?;
        }
        if let Some(current) = self.current.take() {
            self.give(&current, current.last_voiced + 1, end, &mut each)?;
        }
        *self = VoiceDetector::new(self.settings)?;
        Ok(())
    }

    /// Hears one step. Nothing ends after the sample `limit`.
    fn hear<E: From<Error>>(
        &mut self,
        limit: u64,
        each: &mut impl FnMut(Utterance<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let at = (self.steps * STEP as u64 - self.kept_from) as usize;
        let mut step = [0f32; STEP];
        step.copy_from_slice(&self.kept[at..at + STEP]);
        self.steps += 1;
        let mut slow = self.slow.unwrap_or_else(|| step.iter().sum::<f32>() / STEP as f32);
        for sample in &mut step {
            *sample -= slow;
            slow += FOLLOW * *sample;
        }
        self.slow = Some(slow);
        let shape = self.peaks.hear(&step)?;
        let loudest = step.iter().fold(0f32, |top, s| top.max(s.abs()));
        let forgotten = 0.5f32.powf(STEP as f32 / RATE.0 as f32 / PEAK_HALF_LIFE_S);
        self.peak = (self.peak * forgotten).max(loudest).max(TARGET_PEAK / MAX_GAIN);
        step.iter_mut().for_each(|s| *s *= TARGET_PEAK / self.peak);
        self.scores.push_back(self.voice.predict_f32(&step));
        // The first answers are of steps before the stream.
        if self.steps > u64::from(STILL) / 2 {
            self.shapes.push_back(shape);
        }
        if self.steps <= DELAY as u64 {
            return Ok(());
        }

        // The step that can be decided now, and what lies around it.
        let now = self.steps - 1 - DELAY as u64;
        let before = REACH.min(now as usize);
        let (mut steadiness, mut flatness, mut lone, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (score, shape) in self.scores.iter().zip(&self.shapes).take(before + 1 + REACH) {
            if *score >= self.settings.hold {
                steadiness += shape.steadiness;
                flatness += shape.log_flatness;
                lone += shape.lone;
                count += 1.0;
            }
        }
        let music = count > 0.0 && steadiness / count > self.settings.steady;
        let noise = count > 0.0 && (flatness / count).exp() > self.settings.flat;
        let tone = count > 0.0 && lone / count > LONE;
        self.score = if music || noise || tone { 0.0 } else { self.scores.get(before).copied().unwrap_or(0.0) };
        if before == REACH {
            self.scores.pop_front();
            self.shapes.pop_front();
        }

        let steps = |seconds: f32| (seconds * RATE.0 as f32 / STEP as f32) as u64;
        match &mut self.current {
            None if self.score >= self.settings.begin => {
                self.current = Some(Current { start: now, last_voiced: now, voiced: 1 });
            }
            None => {}
            Some(current) => {
                if self.score >= self.settings.hold {
                    current.last_voiced = now;
                    current.voiced += 1;
                }
                let paused = now - current.last_voiced > steps(self.settings.pause_s);
                let long = now + 1 - current.start >= steps(self.settings.longest_s).max(1);
                if (paused || long)
                    && let Some(current) = self.current.take()
                {
                    self.give(&current, current.last_voiced + 1, limit, each)?;
                }
            }
        }
        self.forget(now);
        Ok(())
    }

    /// Gives an utterance, if it is long enough, with its margins.
    fn give<E: From<Error>>(
        &mut self,
        current: &Current,
        end: u64,
        limit: u64,
        each: &mut impl FnMut(Utterance<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let seconds = |steps: u64| steps as f32 * STEP as f32 / RATE.0 as f32;
        if seconds(current.voiced) < self.settings.shortest_s {
            return Ok(());
        }
        let margin = (self.settings.margin_s * RATE.0 as f32) as u64;
        let start = (current.start * STEP as u64).saturating_sub(margin).max(self.last_end).max(self.kept_from);
        let heard = self.kept_from + self.kept.len() as u64;
        let end = (end * STEP as u64 + margin).min(limit).min(heard);
        if end <= start {
            return Ok(());
        }
        self.last_end = end;
        let samples = &self.kept[(start - self.kept_from) as usize..(end - self.kept_from) as usize];
        each(Utterance { start, audio: Audio::mono(samples, RATE) })
    }

    /// Drops sound that no utterance can need, a second at a time.
    fn forget(&mut self, now: u64) {
        let margin = (self.settings.margin_s * RATE.0 as f32) as u64 + STEP as u64;
        let from = self.current.as_ref().map_or(now, |c| c.start);
        let needed = (from * STEP as u64).saturating_sub(margin);
        if needed > self.kept_from + u64::from(RATE.0) {
            self.kept.drain(..(needed - self.kept_from) as usize);
            self.kept_from = needed;
        }
    }
}

/// What the spectrum of a step is like.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// The part of its energy in spectral peaks that stand still.
    steadiness: f32,
    /// The logarithm of the geometric over the arithmetic mean of its power; 0 for a flat spectrum.
    log_flatness: f32,
    /// The part of its energy in the highest peak.
    lone: f32,
}

/// Follows the peaks of the spectrum.
struct Peaks {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    sound: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    sorted: Vec<f32>,
    /// For how many steps each bin has been within one bin of a peak.
    still: Vec<u8>,
    /// Power and peaks of the last steps, and the part of the energy in the highest peak, oldest first.
    past: VecDeque<(Vec<f32>, Vec<bool>, f32)>,
}

impl Peaks {
    fn new() -> Self {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(FFT);
        let step = std::f32::consts::TAU / FFT as f32;
        let past =
            (0..=usize::from(STILL) / 2).map(|_| (vec![0.0; BINS.len()], vec![false; BINS.len()], 0.0)).collect();
        Peaks {
            window: (0..FFT).map(|n| 0.5 - 0.5 * (n as f32 * step).cos()).collect(),
            sound: vec![0.0; FFT],
            frame: vec![0.0; FFT],
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            sorted: vec![0.0; BINS.len()],
            still: vec![0; BINS.len()],
            past,
            fft,
        }
    }

    /// Hears a step; gives the shape of the step `STILL / 2` steps ago.
    fn hear(&mut self, step: &[f32; STEP]) -> Result<Shape> {
        self.sound.copy_within(STEP.., 0);
        self.sound[FFT - STEP..].copy_from_slice(step);
        for ((out, sample), weight) in self.frame.iter_mut().zip(&self.sound).zip(&self.window) {
            *out = sample * weight;
        }
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .map_err(|e| Error::new(ErrorKind::Shape, "a transform of 1024 points failed").with_source(e))?;
        let Some((mut power, mut peaks, _)) = self.past.pop_front() else { return Ok(Shape::default()) };
        for (power, bin) in power.iter_mut().zip(&self.spectrum[BINS]) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
        self.sorted.copy_from_slice(&power);
        let middle = self.sorted.len() / 2;
        let median = *self.sorted.select_nth_unstable_by(middle, f32::total_cmp).1;
        peaks.fill(false);
        for k in 1..power.len() - 1 {
            peaks[k] = power[k] > power[k - 1] && power[k] >= power[k + 1] && power[k] > PEAK * median;
        }
        for (k, still) in self.still.iter_mut().enumerate() {
            let near = peaks[k.saturating_sub(1)..(k + 2).min(peaks.len())].contains(&true);
            *still = if near { still.saturating_add(1) } else { 0 };
        }
        self.past.push_back((power, peaks, lone(&self.spectrum[WIDE])));
        let Some((power, peaks, lone)) = self.past.front() else { return Ok(Shape::default()) };
        let steady = |k: usize| peaks[k] && self.still[k] >= STILL;
        let (mut held, mut whole, mut logs) = (0.0, 0.0, 0.0);
        for (k, p) in power.iter().enumerate() {
            whole += p;
            logs += p.max(f32::MIN_POSITIVE).ln();
            if steady(k) || (k > 0 && steady(k - 1)) || (k + 1 < power.len() && steady(k + 1)) {
                held += p;
            }
        }
        if whole <= 0.0 {
            return Ok(Shape::default());
        }
        let count = power.len() as f32;
        Ok(Shape { steadiness: held / whole, log_flatness: logs / count - (whole / count).ln(), lone: *lone })
    }
}

/// The part of the energy that lies in the highest peak; 0 for silence.
fn lone(spectrum: &[Complex<f32>]) -> f32 {
    let power = |bin: &Complex<f32>| bin.re * bin.re + bin.im * bin.im;
    let (mut top, mut most, mut whole) = (0, 0.0, 0.0);
    for (k, bin) in spectrum.iter().enumerate() {
        let power = power(bin);
        whole += power;
        if power > most {
            (top, most) = (k, power);
        }
    }
    let peak: f32 =
        spectrum[top.saturating_sub(SPREAD)..(top + SPREAD + 1).min(spectrum.len())].iter().map(power).sum();
    if whole > 0.0 { peak / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound(name: &str) -> Vec<f32> {
        let path = format!("{}/../../testdata/speech/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
        bytes[at..].as_chunks::<2>().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect()
    }

    /// Start and end of each utterance in samples.
    fn utterances(sound: &[f32], cuts: &[usize]) -> Vec<(u64, u64)> {
        let mut detector = VoiceDetector::new(VoiceSettings::default()).unwrap();
        let mut found = Vec::new();
        // The second round checks that `finish` leaves nothing behind.
        for _ in 0..2 {
            found.clear();
            let mut rest = sound;
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                let each = |u: Utterance<'_>| {
                    let end = u.start as usize + u.audio.samples().len();
                    assert!(u.audio.samples() == &sound[u.start as usize..end]);
                    found.push((u.start, end as u64));
                    Ok::<_, Error>(())
                };
                detector.push(&Audio::mono(piece, RATE), each).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let each = |u: Utterance<'_>| {
                found.push((u.start, u.start + u.audio.samples().len() as u64));
                Ok::<_, Error>(())
            };
            detector.finish(each).unwrap();
        }
        found
    }

    fn noise(samples: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..samples).map(|_| next()).collect()
    }

    /// Chords that decay, with beats of noise.
    fn music(seconds: usize) -> Vec<f32> {
        let noise = noise(8_000);
        (0..seconds * 16_000)
            .map(|n| {
                let (note, t) = (n / 8_000, (n % 8_000) as f32 / 16_000.0);
                let root = [220.0, 196.0, 174.6, 164.8][note / 4 % 4];
                let chord: f32 = [1.0f32, 1.26, 1.5]
                    .iter()
                    .flat_map(|third| (1..7).map(move |h| (third * h as f32, 1.0 / h as f32)))
                    .map(|(of, level)| level * (std::f32::consts::TAU * root * of * t).sin())
                    .sum();
                0.05 * (chord * (-2.0 * t).exp() + noise[n % 8_000] * (-100.0 * t).exp())
            })
            .collect()
    }

    #[test]
    fn two_voices_are_two_utterances() {
        let sound = sound("two_voices.wav");
        let found = utterances(&sound, &[1_000]);
        let seconds: Vec<_> = found.iter().map(|(s, e)| (*s as f32 / 16_000.0, *e as f32 / 16_000.0)).collect();
        assert_eq!(found.len(), 2, "{seconds:?}");
        // They speak from 0.5 to about 4.1 s and from 5.6 to about 8.0 s.
        assert!((0.3..0.7).contains(&seconds[0].0) && (3.6..4.8).contains(&seconds[0].1), "{seconds:?}");
        assert!((5.0..6.2).contains(&seconds[1].0) && (7.5..8.5).contains(&seconds[1].1), "{seconds:?}");
    }

    #[test]
    fn quiet_and_loud_voices_are_found_alike() {
        let sound = sound("two_voices.wav");
        for gain in [0.01, 0.1, 4.0] {
            let other: Vec<f32> = sound.iter().map(|s| s * gain).collect();
            assert_eq!(utterances(&other, &[1_000]).len(), 2, "gain {gain}");
        }
    }

    #[test]
    fn what_is_no_voice_is_not_found() {
        let noise = noise(320_000);
        let at = |level: f32| noise.iter().map(|s| s * level).collect::<Vec<_>>();
        let typing: Vec<f32> = (0..320_000)
            .map(|n| 0.3 * noise[n] * (-((n % 2_777) as f32) / 60.0).exp() + 0.002 * noise[320_000 - 1 - n])
            .collect();
        let tone: Vec<f32> = (0..320_000).map(|n| 0.3 * (n as f32 * 0.17).sin()).collect();
        for (name, sound) in [
            ("nothing", vec![]),
            ("one sample", vec![0.5]),
            ("zeros", vec![0.0; 320_000]),
            ("loud noise", at(0.5)),
            ("quiet noise", at(0.002)),
            ("typing", typing),
            ("a tone", tone),
            ("music", music(20)),
        ] {
            let found = utterances(&sound, &[5_000]);
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_tone_of_any_pitch_is_not_found() {
        let noise = noise(80_000);
        for hz in [90.0, 120.0, 180.0, 250.0, 300.0, 310.0, 440.0, 700.0, 1_000.0, 2_500.0f32] {
            for glide in [0.0, 0.02] {
                let tone: Vec<f32> = (0..80_000)
                    .map(|n| {
                        let t = n as f32 / 16_000.0;
                        // five times a second a little higher and lower
                        let phase = std::f32::consts::TAU * hz * t + glide * hz / 5.0 * (31.4 * t).sin();
                        0.3 * phase.sin() + 0.001 * noise[n]
                    })
                    .collect();
                let found = utterances(&tone, &[5_000]);
                assert!(found.is_empty(), "{hz} Hz, glide {glide}: {found:?}");
            }
        }
    }

    #[test]
    fn a_voice_over_music_is_found() {
        let voice = sound("two_voices.wav");
        let bed = music(voice.len() / 16_000 + 1);
        let both: Vec<f32> = voice.iter().zip(&bed).map(|(v, m)| v + 0.2 * m).collect();
        assert!(!utterances(&both, &[1_000]).is_empty());
    }

    #[test]
    fn long_speech_is_cut() {
        let voice = sound("two_voices.wav");
        let long: Vec<f32> = voice[9_000..60_000].iter().copied().cycle().take(1_600_000).collect();
        let found = utterances(&long, &[16_000]);
        assert!(found.len() >= 4, "{found:?}");
        for pair in found.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{found:?}");
        }
        assert!(found.iter().all(|(s, e)| e - s <= 21 * 16_000), "{found:?}");
    }

    #[test]
    fn refuses_bad_settings_and_samples() {
        let good = VoiceSettings::default();
        for bad in [
            VoiceSettings { begin: 1.1, ..good },
            VoiceSettings { hold: 0.9, ..good },
            VoiceSettings { steady: f32::NAN, ..good },
            VoiceSettings { pause_s: 6.0, ..good },
            VoiceSettings { longest_s: 0.0, ..good },
            VoiceSettings { margin_s: -1.0, ..good },
        ] {
            assert_eq!(VoiceDetector::new(bad).err().unwrap().kind(), ErrorKind::Setting, "{bad:?}");
        }
        let mut detector = VoiceDetector::new(good).unwrap();
        let error = detector.push(&Audio::mono(&[f32::NAN], RATE), |_| Ok::<_, Error>(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        for other in [Audio::mono(&[0.0; 4], Hz(8_000)), Audio::new(&[0.0; 4], 2, RATE).unwrap()] {
            let error = detector.push(&other, |_| Ok::<_, Error>(())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Sound);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(1usize..20_000, 1..8)) {
            let sound = sound("two_voices.wav");
            prop_assert_eq!(utterances(&sound, &cuts), utterances(&sound, &[sound.len()]));
        }
    }
}
