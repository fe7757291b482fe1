//! `demeanor speech`: recordings in, what each utterance reads as out.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use demeanor::estimate::{MIN_SCORE, RecordingRecord, SegmentRecord, thousandths};
use demeanor::speech::detect::{RATE, Utterance, VoiceDetector, VoiceSettings};
use demeanor::speech::read::SpeechReader;
use demeanor::{Audio, Hz, Reading};
use demeanor_media::sound::{EXTENSIONS, Encoding, Raw, Recording};
use serde::Serialize;

use crate::claim::Claims;
use crate::sources::{self, FileName, Source};
use crate::terminal::{self, Outcome};

/// Reads the voices in recordings
///
/// Prints a line per utterance, or with --json a JSON object per recording:
///
/// {"file", "duration_s", "model", "segments": [{"start_s", "end_s", "emotion", "score", "scores": {...}}]}
///
/// Times are in seconds from the start; scores go from 0 to 1 and sum to 1; "emotion" is "unsure" when the highest score,
/// "score", is under --min-score. Silence, noise, typing and music get no estimate. With --window the estimate slides over
/// each utterance: a line per window, or with --json an object {"file", "window": {"start_s", "end_s", "emotion", "score",
/// "scores"}} per window, before that of the recording.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sound files (wav, flac, mp3, ogg, m4a, aac, aiff, caf; with ffmpeg any other), folders of them, patterns, or - for stdin
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// One JSON object per recording, and per window
    #[arg(long)]
    json: bool,
    /// Slide the estimate over each utterance, in windows of so many seconds
    #[arg(long, value_name = "S", value_parser = window)]
    window: Option<f64>,
    /// Step from window to window in seconds [default: half a window]
    #[arg(long, value_name = "S", value_parser = hop, requires = "window")]
    hop: Option<f64>,
    /// The input is raw samples, so many per second and channel
    #[arg(long, value_name = "HZ", requires = "format", value_parser = clap::value_parser!(u32).range(1_000..=1_536_000))]
    rate: Option<u32>,
    /// How raw samples are written: u8, or s16, s24, s32, f32, f64 followed by le or be, such as s16le
    #[arg(long, value_name = "F", requires = "rate")]
    format: Option<Encoding>,
    /// Channels of raw samples
    #[arg(long, value_name = "N", requires = "rate", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    channels: u16,
    /// Which track of sound, where there are several; by default the one that the file names, else the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    track: Option<u16>,
    /// The lowest score of a reading; below it a voice reads as unsure
    #[arg(long, value_name = "P", default_value_t = MIN_SCORE, value_parser = score)]
    min_score: f32,
    /// A model file, or the name of a built-in model [default: the newest built-in speech model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

fn score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn window(text: &str) -> Result<f64, String> {
    within(text, 0.2, 60.0)
}

fn hop(text: &str) -> Result<f64, String> {
    within(text, 0.02, 60.0)
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("expected {low} to {high} seconds")),
    }
}

/// A recording in JSON.
#[derive(Serialize)]
struct FileLine {
    #[serde(flatten)]
    file: FileName,
    #[serde(flatten)]
    recording: RecordingRecord,
}

/// A window in JSON.
#[derive(Serialize)]
struct WindowLine<'a> {
    #[serde(flatten)]
    file: FileName,
    window: &'a SegmentRecord,
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut reader = Reader::new(&args)?;
    let raw = args.rate.zip(args.format).map(|(rate, encoding)| Raw {
        rate: Hz(rate),
        channels: usize::from(args.channels),
        encoding,
    });
    let search = sources::search(&args.paths, EXTENSIONS, "sound files");
    let mut claims = Claims::default();
    for path in search.sources.iter().map(Source::path).chain(args.model.as_deref()) {
        claims.reads(path);
    }
    claims.writes(Path::new("-"))?;
    search.each(|source| match reader.read_recording(&args, source, raw) {
        Err(error) if terminal::is_closed_pipe(&error) => Err(error),
        found => Ok(found),
    })
}

/// What reads each utterance, and from which score on it is believed.
struct Reader {
    speech: SpeechReader,
    min_score: f32,
}

impl Reader {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let model = crate::model::speech(args.model.as_deref())?;
        Ok(Reader { speech: SpeechReader::new(model)?, min_score: args.min_score })
    }

    /// Reads one recording and writes what it reads as; whether there was a voice.
    fn read_recording(&mut self, args: &Args, source: &Source, raw: Option<Raw>) -> anyhow::Result<bool> {
        let name = source.shown();
        let recording = match source {
            Source::Stdin => Recording::stream(io::stdin())?,
            Source::File { path, .. } if path.is_dir() => bail!("it is a folder"),
            Source::File { path, .. } => Recording::open(path)?,
        };
        let recording = recording.with_track(args.track.map(usize::from));
        let mut out = terminal::out();
        let coloured = terminal::coloured();
        let mut detector = VoiceDetector::new(VoiceSettings::default())?;
        let mut segments = Vec::new();
        let mut found = false;
        let mut progress = Progress::new(&name);
        let bar = progress.shown;
        let mut each = |utterance: Utterance<'_>| -> anyhow::Result<()> {
            if bar {
                terminal::note_clear();
            }
            if let Some(length) = args.window {
                let hop = args.hop.unwrap_or(length / 2.0);
                for (start, samples) in windows(utterance.audio.samples(), length, hop) {
                    let audio = Audio::new(samples, 1, RATE)?;
                    let piece = Utterance { start: utterance.start + start as u64, audio };
                    if let Some(segment) = self.read(piece)? {
                        found = true;
                        if args.json {
                            serde_json::to_writer(
                                &mut out,
                                &WindowLine { file: FileName::of(source.path()), window: &segment },
                            )?;
                            writeln!(out)?;
                        } else {
                            writeln!(out, "{}", line(&name, &segment, coloured))?;
                        }
                    }
                }
            }
            if (args.json || args.window.is_none())
                && let Some(segment) = self.read(utterance)?
            {
                found = true;
                if args.json {
                    segments.push(segment);
                } else {
                    writeln!(out, "{}", line(&name, &segment, coloured))?;
                }
            }
            // utterance by utterance, so that a reader of a pipe need not wait
            out.flush()?;
            Ok(())
        };
        let heard = recording
            .hear(raw, RATE, &mut |done, of| progress.tell(done, of), &mut |piece| detector.push(piece, &mut each));
        let heard = match heard {
            Ok(heard) => {
                detector.finish(&mut each)?;
                heard
            }
            Err(error) => {
                progress.clear();
                return Err(error);
            }
        };
        progress.clear();
        for warning in &heard.warnings {
            terminal::warn(format_args!("{name}: {warning}"));
        }
        if args.json {
            let model = self.speech.model().header().name.clone();
            let recording = RecordingRecord { duration_s: thousandths(heard.seconds), model, segments };
            serde_json::to_writer(&mut out, &FileLine { file: FileName::of(source.path()), recording })?;
            writeln!(out)?;
            out.flush()?;
        }
        if !found {
            terminal::warn(format_args!("{name}: no voice found in {:.1} s of sound", heard.seconds));
        }
        Ok(found)
    }

    /// What a stretch of speech reads as; nothing where it is silent after all.
    fn read(&mut self, utterance: Utterance<'_>) -> anyhow::Result<Option<SegmentRecord>> {
        Ok(self.speech.segment(&utterance, self.min_score)?)
    }
}

/// Windows of `length` seconds every `hop` seconds, with their first sample; the last ends with the samples. One window
/// when there are fewer samples.
fn windows(samples: &[f32], length: f64, hop: f64) -> impl Iterator<Item = (usize, &[f32])> {
    let in_samples = |seconds: f64| ((seconds * f64::from(RATE.0)).round() as usize).max(1);
    let (length, hop) = (in_samples(length).min(samples.len()), in_samples(hop));
    let last = samples.len() - length;
    (0..=last.div_ceil(hop)).map(move |index| {
        let start = (index * hop).min(last);
        (start, &samples[start..start + length])
    })
}

fn line(file: &str, segment: &SegmentRecord, coloured: bool) -> String {
    let mut scores: Vec<_> = segment.scores.iter().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (top, rest) = match segment.emotion {
        Reading::Emotion(_) => (format!("{} {:.0} %", segment.emotion, 100.0 * segment.score), &scores[1..]),
        Reading::Unsure => ("unsure".to_owned(), &scores[..]),
    };
    let rest: Vec<_> = rest.iter().take(2).map(|(e, s)| format!("{e} {:.0} %", 100.0 * s)).collect();
    let (on, off) = if coloured { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("{file}: {:.2}-{:.2} s reads as {on}{top:<14}{off} {}", segment.start_s, segment.end_s, rest.join(", "))
}

/// How far a recording is read, on stderr when that is a terminal.
struct Progress<'a> {
    name: &'a str,
    shown: bool,
    told: Instant,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        Progress { name, shown: io::stderr().is_terminal(), told: Instant::now() }
    }

    fn tell(&mut self, done_s: f64, of_s: Option<f64>) {
        if !self.shown || self.told.elapsed() < Duration::from_millis(250) {
            return;
        }
        self.told = Instant::now();
        let part = of_s
            .filter(|of| *of > 0.0)
            .map_or(String::new(), |of| format!(" of {of:.0} s ({:.0} %)", (100.0 * done_s / of).min(100.0)));
        terminal::note_over(format_args!("{}: {done_s:.0} s{part} read", self.name));
    }

    fn clear(&self) {
        if self.shown {
            terminal::note_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use demeanor::training::trim;

    use super::*;

    #[test]
    fn windows_cover_an_utterance() {
        for (samples, length, hop, starts) in [
            (16_000, 2.0, 1.0, vec![0]),
            (48_000, 2.0, 1.0, vec![0, 16_000]),
            (50_000, 2.0, 1.0, vec![0, 16_000, 18_000]),
            (32_000, 2.0, 0.5, vec![0]),
            (0, 1.0, 1.0, vec![0]),
        ] {
            let sound = vec![0.0; samples];
            let found: Vec<_> = windows(&sound, length, hop).map(|(start, _)| start).collect();
            assert_eq!(found, starts, "{samples} samples");
        }
    }

    /// Noise of deviation 1: sums of numbers that look like chance.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> f32 {
            let mut sum = 0.0;
            for _ in 0..4 {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum += (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
            }
            sum * 3f32.sqrt()
        }
    }

    /// Clips of RAVDESS, every `step`th, mono at 16 kHz, each between 2 s of silence.
    fn clips(step: usize) -> Option<Vec<Vec<f32>>> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/ravdess");
        if !Path::new(root).is_dir() {
            return None;
        }
        let found = sources::find(Path::new(root), EXTENSIONS, "sound files").unwrap();
        let clips = found.sources.iter().step_by(step).map(|source| {
            let Source::File { path, .. } = source else { unreachable!() };
            let mut samples = vec![0.0; 32_000];
            let mut take = |piece: &Audio<'_>| {
                samples.extend_from_slice(piece.samples());
                anyhow::Ok(())
            };
            Recording::open(path).unwrap().hear(None, RATE, &mut |_, _| {}, &mut take).unwrap();
            samples.resize(samples.len() + 32_000, 0.0);
            samples
        });
        Some(clips.collect())
    }

    /// Misses and false alarms of voice detection on clips of RAVDESS, one behind the other with 4 s of silence between
    /// them, without noise and with white noise at a ratio to each clip's speech. What is speech is said by the trim of
    /// the clean clip (30 dB under the loudest frame); within 0.5 s of its ends nothing is counted as a false alarm.
    fn figures(step: usize) {
        let Some(clips) = clips(step) else {
            eprintln!("skipped: figures of voice detection, because ../shared is absent");
            return;
        };
        println!("{} clips; noise, speech missed, clips missed, other sound taken for speech", clips.len());
        for ratio in [None, Some(20.0), Some(10.0), Some(5.0)] {
            let mut noise = Noise(1);
            let mut sound = Vec::new();
            let mut truth = Vec::new();
            for clip in &clips {
                let (start, end) = trim(clip, 30.0);
                let power = clip[start..end].iter().map(|s| s * s).sum::<f32>() / (end - start) as f32;
                let level = ratio.map_or(0.0, |db: f32| (power / 10f32.powf(db / 10.0)).sqrt());
                truth.push((sound.len() + start, sound.len() + end));
                sound.extend(clip.iter().map(|s| s + level * noise.next()));
            }
            let mut found = Vec::new();
            let mut each = |u: Utterance<'_>| {
                found.push((u.start as usize, u.start as usize + u.audio.samples().len()));
                anyhow::Ok(())
            };
            let mut detector = VoiceDetector::new(VoiceSettings::default()).unwrap();
            detector.push(&Audio::new(&sound, 1, RATE).unwrap(), &mut each).unwrap();
            detector.finish(&mut each).unwrap();
            // In steps of 10 ms.
            let mark = |spans: &[(usize, usize)], margin: usize| {
                let mut marks = vec![false; sound.len() / 160 + 1];
                for (start, end) in spans {
                    let last = ((end + margin) / 160).min(marks.len() - 1);
                    marks[start.saturating_sub(margin) / 160..=last].fill(true);
                }
                marks
            };
            let (speech, near, heard) = (mark(&truth, 0), mark(&truth, 8_000), mark(&found, 0));
            let share = |of: &dyn Fn(usize) -> bool, what: &dyn Fn(usize) -> bool| {
                let all: Vec<_> = (0..heard.len()).filter(|&i| of(i)).collect();
                100.0 * all.iter().filter(|&&i| what(i)).count() as f64 / all.len() as f64
            };
            let missed = share(&|i| speech[i], &|i| !heard[i]);
            let alarms = share(&|i| !near[i], &|i| heard[i]);
            let clips_missed =
                truth.iter().filter(|(start, end)| !found.iter().any(|(s, e)| s < end && start < e)).count();
            let name = ratio.map_or("none".to_owned(), |db| format!("{db} dB"));
            println!("{name:>6} {missed:6.1} % {clips_missed:4} {alarms:6.1} %");
            assert!(missed < 12.0 && clips_missed * 50 <= clips.len() && alarms < 1.0, "{name}");
        }
    }

    #[test]
    fn voices_are_found_in_silence_and_noise() {
        figures(40);
    }

    /// `cargo test --release -p demeanor-cli voices_of_ravdess -- --ignored --nocapture`
    #[test]
    #[ignore = "minutes: all of RAVDESS"]
    fn voices_of_ravdess() {
        figures(1);
    }
}
