//! Sound in time to a voice with scores: resampling, finding speech, preparation, network and smoothing in their order.
//!
//! Sound is worked on in steps of 50 ms, counted from its start, so that it does not matter how it is cut into pieces.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::input::{Audio, Hz};
use crate::smooth::Smoother;
use crate::speech::detect::{RATE, VoiceDetector, VoiceSettings};
use crate::speech::net::SpeechModel;
use crate::speech::read::SpeechReader;
use crate::speech::resample::Resampler;

/// Samples of a step at [`RATE`]: 50 ms.
const STEP: usize = 800;

/// A gap or jump in the times of the sound larger than this starts the sound anew.
const JUMP: Duration = Duration::from_millis(300);

/// The level of silence, in dB under full scale; nothing is reported to be quieter.
const SILENCE_DB: f32 = -90.0;

/// How the voice is listened to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListenSettings {
    /// What is taken for speech.
    pub detect: VoiceSettings,
    /// While somebody speaks, the last part of the utterance is read this often.
    pub read_every: Duration,
    /// How much of a going utterance is read, at most: its last part. A finished one is read whole.
    pub window: Duration,
    /// A going utterance is read once it has lasted this long; a shorter one when it has ended.
    pub least: Duration,
    /// From this length on a reading has its full weight in fusion.
    pub full: Duration,
    /// Time constant of the smoothing.
    pub smoothing: Duration,
    /// How strongly a resting voice corrects scores, 0 to 1.
    pub baseline_strength: f32,
}

impl Default for ListenSettings {
    fn default() -> Self {
        ListenSettings {
            detect: VoiceSettings::default(),
            read_every: Duration::from_millis(500),
            window: Duration::from_secs(3),
            least: Duration::from_secs(1),
            full: Duration::from_secs(2),
            smoothing: Duration::from_millis(800),
            baseline_strength: 1.0,
        }
    }
}

/// What is known of the voice. As JSON it goes from the pipeline that hears to one that sees:
/// [`Pipeline::take_voice`](crate::Pipeline::take_voice).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VoiceEstimate {
    /// Whether somebody is speaking.
    pub is_speaking: bool,
    /// Level of the last step, in dB under full scale (root mean square, without a constant offset).
    pub level_db: f32,
    /// Scores, smoothed and corrected by the baseline; `None` until something was read.
    pub scores: Option<Scores>,
    /// The end of what was last read.
    pub read_at: Duration,
    /// How much speech the last reading had, 0 to 1.
    pub quality: f32,
    /// Whether the scores are corrected by a baseline.
    pub has_baseline: bool,
}

/// A finished utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utterance {
    /// When it began.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// What the whole of it reads as, corrected by the baseline.
    pub scores: Scores,
}

/// What reads an utterance, and the baseline that corrects what it reads as.
struct Reader {
    reader: SpeechReader,
    baseline: Baseline,
    resting: Option<(Duration, Duration)>,
    strength: f32,
}

/// Scores as the network gave them, and corrected.
struct Corrected {
    scores: Scores,
    has_baseline: bool,
}

impl Reader {
    /// `None` when there is nothing but silence.
    fn read(&mut self, audio: &Audio<'_>, end: Duration) -> Result<Option<Corrected>> {
        let Some(raw) = self.reader.read(audio)? else { return Ok(None) };
        let Some((from, until)) = self.resting else { return Ok(Some(Corrected { scores: raw, has_baseline: false })) };
        if end >= from && end < until {
            self.baseline.learn(&raw);
        }
        let has_baseline = end >= until && self.baseline.count() > 0;
        let scores = if has_baseline { self.baseline.correct(&raw, self.strength) } else { raw };
        Ok(Some(Corrected { scores, has_baseline }))
    }
}

/// Listens to a stream of sound.
pub struct Listener {
    settings: ListenSettings,
    reader: Reader,
    detector: VoiceDetector,
    resampler: Option<(Hz, usize, Resampler)>,
    smoother: Smoother,
    /// The time of the first sample since the sound last began.
    origin: Duration,
    /// Samples per channel that came since then, at their own rate.
    taken: u64,
    /// Samples at [`RATE`] that were worked on since then.
    worked: u64,
    /// Samples at [`RATE`] that do not make a step yet.
    fresh: Vec<f32>,
    voice: Option<VoiceEstimate>,
    ended: Vec<Utterance>,
}

impl Listener {
    /// A listener that has heard nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn new(model: SpeechModel, settings: ListenSettings) -> Result<Listener> {
        if settings.window.is_zero()
            || settings.read_every.is_zero()
            || !(0.0..=1.0).contains(&settings.baseline_strength)
        {
            return Err(Error::new(
                ErrorKind::Setting,
                format!(
                    "window is {:?}, read_every {:?} (both more than 0) and baseline_strength {} (0 to 1)",
                    settings.window, settings.read_every, settings.baseline_strength
                ),
            ));
        }
        let reader = Reader {
            reader: SpeechReader::new(model)?,
            baseline: Baseline::new(),
            resting: None,
            strength: settings.baseline_strength,
        };
        Ok(Listener {
            reader,
            detector: VoiceDetector::new(settings.detect)?,
            resampler: None,
            smoother: Smoother::new(settings.smoothing),
            origin: Duration::ZERO,
            taken: 0,
            worked: 0,
            fresh: Vec::new(),
            voice: None,
            ended: Vec::new(),
            settings,
        })
    }

    /// The model that reads the voice.
    pub fn model(&self) -> &SpeechModel {
        self.reader.reader.model()
    }

    /// What is heard from `from` until `until` is the voice at rest; scores from then on are corrected for it.
    pub fn rest(&mut self, from: Duration, until: Duration) {
        self.reader.resting = Some((from, until));
        self.reader.baseline = Baseline::new();
    }

    /// Hears sound whose first sample is of `time`. Pieces that follow each other are taken as one sound even when their
    /// times are a little off; a gap, or another rate or channel count, begins a new one.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when the rate cannot be resampled, [`ErrorKind::NotFinite`] when a sample is not a number; the
    /// sound is then not taken.
    pub fn hear(&mut self, audio: &Audio<'_>, time: Duration) -> Result<()> {
        let (rate, channels) = (audio.rate(), audio.channels());
        let same = matches!(&self.resampler, Some((r, c, _)) if (*r, *c) == (rate, channels));
        let expected = self.origin + Duration::from_secs_f64(self.taken as f64 / f64::from(rate.0));
        if !same || time.abs_diff(expected) > JUMP {
            let resampler = Resampler::new(rate, channels, RATE)?;
            self.finish()?;
            self.resampler = Some((rate, channels, resampler));
            (self.origin, self.taken, self.worked) = (time, 0, 0);
        }
        let Some((_, _, resampler)) = &mut self.resampler else { return Ok(()) };
        resampler.push(audio, &mut self.fresh)?;
        self.taken += (audio.samples().len() / channels) as u64;
        self.work(false)
    }

    /// Ends the sound: an utterance that is still going on is read as it is.
    ///
    /// # Errors
    /// None that sound which was taken can bring about.
    pub fn finish(&mut self) -> Result<()> {
        if let Some((_, _, resampler)) = &mut self.resampler {
            resampler.finish(&mut self.fresh)?;
        }
        self.work(true)?;
        self.resampler = None;
        if let Some(voice) = &mut self.voice {
            voice.is_speaking = false;
        }
        Ok(())
    }

    /// The end of what was worked on.
    pub fn heard_until(&self) -> Duration {
        self.at(self.worked)
    }

    /// What is known of the voice; `None` before any sound.
    pub fn voice(&self) -> Option<VoiceEstimate> {
        self.voice
    }

    /// The utterances that ended since this was last asked, in order.
    pub fn utterances(&mut self) -> impl Iterator<Item = Utterance> + '_ {
        self.ended.drain(..)
    }

    /// The time of a sample since the sound began.
    fn at(&self, sample: u64) -> Duration {
        self.origin + Duration::from_nanos(sample * 1_000_000_000 / u64::from(RATE.0))
    }

    /// Works on whole steps; at the end also on what does not make one.
    fn work(&mut self, end: bool) -> Result<()> {
        let mut fresh = std::mem::take(&mut self.fresh);
        let mut done = 0;
        while fresh.len() - done >= STEP {
            self.step(&fresh[done..done + STEP])?;
            done += STEP;
        }
        if end {
            if done < fresh.len() {
                self.step(&fresh[done..])?;
                done = fresh.len();
            }
            self.utter(None)?;
        }
        fresh.drain(..done);
        self.fresh = fresh;
        Ok(())
    }

    fn step(&mut self, samples: &[f32]) -> Result<()> {
        self.utter(Some(samples))?;
        self.worked += samples.len() as u64;
        let now = self.at(self.worked);
        let mean = samples.iter().map(|s| f64::from(*s)).sum::<f64>() / samples.len() as f64;
        let power = samples.iter().map(|s| (f64::from(*s) - mean).powi(2)).sum::<f64>() / samples.len() as f64;
        let voice = self.voice.get_or_insert(VoiceEstimate {
            is_speaking: false,
            level_db: SILENCE_DB,
            scores: None,
            read_at: Duration::ZERO,
            quality: 0.0,
            has_baseline: false,
        });
        voice.level_db = ((10.0 * (power + 1e-12).log10()) as f32).clamp(SILENCE_DB, 20.0);
        voice.is_speaking = self.detector.is_speaking();
        let every = (self.settings.read_every.as_millis() as u64 / 50).max(1);
        if !voice.is_speaking || !(self.worked / STEP as u64).is_multiple_of(every) {
            return Ok(());
        }
        let Some(going) = self.detector.going_on() else { return Ok(()) };
        let going = going.samples();
        let seconds = going.len() as f32 / RATE.0 as f32;
        if seconds < self.settings.least.as_secs_f32() {
            return Ok(());
        }
        let window = samples_of(self.settings.window).min(going.len());
        let quality = (seconds / self.settings.full.as_secs_f32().max(1e-3)).min(1.0);
        if let Some(read) = self.reader.read(&Audio::mono(&going[going.len() - window..], RATE), now)? {
            take(voice, &mut self.smoother, &read, now, quality)?;
        }
        Ok(())
    }

    /// Gives samples (or the end of the sound) to the detector, and reads the utterances that end with them.
    fn utter(&mut self, samples: Option<&[f32]>) -> Result<()> {
        let Listener { settings, reader, detector, smoother, origin, voice, ended, .. } = self;
        let each = |utterance: crate::speech::detect::Utterance<'_>| -> Result<()> {
            let start = *origin + Duration::from_secs_f64(utterance.start_s());
            let end = *origin + Duration::from_secs_f64(utterance.end_s());
            let Some(Corrected { scores, .. }) = reader.read(&utterance.audio, end)? else { return Ok(()) };
            ended.push(Utterance { start, end, scores });
            // one that was too short to be read while it went on
            let seconds = utterance.audio.seconds() as f32;
            if let Some(voice) = voice
                && seconds < settings.least.as_secs_f32() + settings.read_every.as_secs_f32()
            {
                let quality = (seconds / settings.full.as_secs_f32().max(1e-3)).min(1.0);
                let read = Corrected { scores, has_baseline: voice.has_baseline };
                take(voice, smoother, &read, end, quality)?;
            }
            Ok(())
        };
        match samples {
            Some(samples) => detector.push(&Audio::mono(samples, RATE), each),
            None => detector.finish(each),
        }
    }
}

fn take(
    voice: &mut VoiceEstimate,
    smoother: &mut Smoother,
    read: &Corrected,
    time: Duration,
    quality: f32,
) -> Result<()> {
    if read.has_baseline && !voice.has_baseline {
        // what was smoothed so far was not corrected
        smoother.forget();
        voice.has_baseline = true;
    }
    voice.scores = Some(smoother.add(&read.scores, time));
    voice.read_at = voice.read_at.max(time);
    voice.quality = quality;
    Ok(())
}

fn samples_of(length: Duration) -> usize {
    (length.as_secs_f64() * f64::from(RATE.0)).ceil() as usize
}
