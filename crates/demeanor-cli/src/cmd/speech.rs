//! `demeanor speech`: recordings in, what each utterance reads as out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use demeanor::estimate::{MIN_SCORE, RecordingRecord, SegmentRecord, thousandths};
use demeanor::speech::detect::{RATE, Utterance, VoiceDetector, VoiceSettings};
use demeanor::speech::read::SpeechReader;
use demeanor::{Audio, Emotion, Hz};
use demeanor_media::sound::{EXTENSIONS, Encoding, Raw, Recording};
use serde::Serialize;

use super::face::{in_words, score};
use crate::claim::{Claims, OverwriteArgs};
use crate::exports::{self, ExportArgs, Exports, Files, is_stdout};
use crate::film::AlreadySaid;
use crate::interrupt;
use crate::output::Results;
use crate::progress::{Progress, share_and_left};
use crate::sources::{self, FileName, Source};
use crate::spread::{self, Said, Tell, ThreadArgs, spread};
use crate::summary::Summary;
use crate::table::{self, Cell, Kind, Row, Table, TableFiles};
use crate::terminal::{self, Outcome};
use crate::timeline::account::Account;

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
///
/// Timelines for ELAN, Praat, players and as a picture are written for one recording by their options; for any number with
/// --out DIR, where summary.csv has a row for each recording: seconds of speech, utterances, changes, the share of time of each
/// reading, the mean of each score, and what was wrong with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sound files (wav, flac, mp3, ogg, m4a, aac, aiff, caf; with ffmpeg any other), folders of them, patterns, or - for stdin
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// One JSON object per recording, and per window
    #[arg(long)]
    json: bool,
    /// Write a row for each utterance, or each window, as CSV: file, start_s, end_s, emotion, score, the scores, problem; without
    /// FILE to stdout, in place of the lines; with --out a table for each recording
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    exports: ExportArgs,
    /// Write the same table as Parquet; with --out and without FILE the table of all recordings
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    parquet: Option<PathBuf>,
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
    /// Say nothing but warnings and errors on stderr
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
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

/// What is told of a recording.
enum Told {
    /// Bytes for stdout.
    Out(Vec<u8>),
    /// A row of the table of utterances.
    Row(Row),
    /// What it was in the end, and what was wrong with it.
    Account(Box<Account>, Option<String>),
}

/// The files of a call.
struct Outputs {
    /// Those of each recording.
    files: Vec<Files>,
    /// The table of the utterances of all.
    table: TableFiles,
    /// The table of all recordings.
    summary: TableFiles,
    /// Whether utterances are printed; something else may be on stdout instead.
    prints: bool,
    /// Whether anything but stdout is written.
    writes: bool,
}

impl Outputs {
    fn claim(args: &Args, sources: &[Source]) -> anyhow::Result<Outputs> {
        let mut claims = Claims::new(args.overwrite);
        for path in sources.iter().map(Source::path).chain(args.model.as_deref()) {
            claims.reads(path);
        }
        let ExportArgs { eaf, textgrid, vtt, plot, out } = args.exports.clone();
        let mut wanted = Files { eaf, textgrid, vtt, plot, ..Files::default() };
        let (mut table, mut summary) = (TableFiles::default(), TableFiles::default());
        #[cfg(feature = "parquet")]
        let parquet = args.parquet.clone();
        #[cfg(not(feature = "parquet"))]
        let parquet: Option<PathBuf> = None;
        match &out {
            Some(folder) => {
                wanted.csv = args.csv.clone();
                summary = exports::summary(folder, parquet);
            }
            None => {
                table.csv = args.csv.clone();
                table.parquet = parquet;
                if table.parquet.as_deref().is_some_and(is_stdout) {
                    bail!("--parquet needs a file, or a folder with --out DIR");
                }
            }
        }
        let named = wanted.paths().chain(table.csv.as_deref()).filter(|path| is_stdout(path)).count();
        let to_stdout = if out.is_some() { 0 } else { named } + usize::from(args.json);
        if to_stdout > 1 {
            bail!("only one output can go to stdout; give the others a file: --csv FILE");
        }
        let files = exports::files(&wanted, &args.exports, sources, &mut claims)?;
        for path in [&table.csv, &table.parquet, &summary.csv, &summary.parquet].into_iter().flatten() {
            claims.writes(path)?;
        }
        let prints = args.json || to_stdout == 0;
        if prints {
            claims.writes(Path::new("-"))?;
        }
        let tables = [&table.csv, &table.parquet].into_iter().flatten().any(|path| !is_stdout(path));
        let writes = out.is_some() || tables || files.iter().flat_map(Files::paths).any(|path| !is_stdout(path));
        Ok(Outputs { files, table, summary, prints, writes })
    }
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let found = sources::search(&args.paths, EXTENSIONS, "sound files");
    let sources = &found.sources;
    let outputs = Outputs::claim(&args, sources)?;
    let model = crate::model::speech(args.model.as_deref())?;
    let labels = model.header().labels.clone();
    let overwrite = args.overwrite.overwrite;
    let columns = Columns::new(&labels);
    let summary = Summary::new(&[], &labels);
    let raw = args.rate.zip(args.format).map(|(rate, encoding)| Raw {
        rate: Hz(rate),
        channels: usize::from(args.channels),
        encoding,
    });
    if outputs.writes {
        interrupt::listen();
    }
    let mut teller = Teller {
        sources,
        out: Results::create(!outputs.writes)?,
        prints: outputs.prints,
        progress: Progress::new(args.quiet),
        table: Table::create(columns.columns(), &outputs.table, overwrite)?,
        all: Table::create(summary.columns(), &outputs.summary, overwrite)?,
        columns: &columns,
        summary,
    };
    let make = || Ok(Reader { speech: SpeechReader::new(model.clone())?, min_score: args.min_score });
    let threads = args.threads.count(sources.len());
    let came = spread(
        sources.len(),
        threads,
        make,
        |reader, number, told| {
            let recording = OneRecording { args: &args, source: &sources[number], columns: &columns, teller: told };
            recording.read(reader, raw, &outputs.files[number])
        },
        &mut teller,
    )?;
    let Teller { out, table, all, .. } = teller;
    let (table, all) = (table.finish(), all.finish());
    let well = table && all && !out.has_failed() && !found.failed;
    came.end(sources.len(), "recordings were read", !well)
}

/// Prints and writes what is told of the recordings.
struct Teller<'a> {
    sources: &'a [Source],
    out: Results,
    prints: bool,
    progress: Progress,
    table: Table,
    all: Table,
    columns: &'a Columns,
    summary: Summary,
}

impl Tell<Told> for Teller<'_> {
    fn tell(&mut self, source: usize, told: Told) -> anyhow::Result<()> {
        match told {
            Told::Out(text) if self.prints => self.out.write(&text)?,
            Told::Out(_) => {}
            Told::Row(row) => self.table.row(row),
            Told::Account(account, problem) => {
                let file = self.sources[source].path().to_string_lossy();
                for row in self.summary.rows(&file, &account, problem.as_deref()) {
                    self.all.row(row);
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, source: usize, error: &anyhow::Error) -> anyhow::Result<()> {
        if error.is::<AlreadySaid>() {
            return Ok(());
        }
        let (text, source) = (terminal::whole(error), &self.sources[source]);
        terminal::problem(format_args!("{}: {text}", source.shown()));
        let file = source.path().to_string_lossy();
        self.table.row(self.columns.without(&file, Some(&text)));
        self.all.row(self.summary.failed(&file, &text));
        Ok(())
    }

    fn progress(&mut self, read: f64, ended: usize) {
        let count = self.sources.len();
        self.progress.tell(|took| {
            let left = share_and_left(read / count.max(1) as f64, took);
            if count == 1 { left } else { format!("{ended} of {count} recordings read; {left}") }
        });
    }

    fn clear(&mut self) {
        self.progress.clear();
    }
}

/// The columns of the table: a row for each utterance or window, and one for a recording without.
struct Columns {
    labels: Vec<Emotion>,
}

impl Columns {
    fn new(labels: &[Emotion]) -> Columns {
        Columns { labels: Emotion::ALL.into_iter().filter(|e| labels.contains(e)).collect() }
    }

    fn columns(&self) -> table::Columns {
        let mut columns = vec![("file".to_owned(), Kind::Text)];
        let mut add = |name: &str, kind| columns.push((name.to_owned(), kind));
        for (name, kind) in
            [("start_s", Kind::Real), ("end_s", Kind::Real), ("emotion", Kind::Text), ("score", Kind::Real)]
        {
            add(name, kind);
        }
        self.labels.iter().for_each(|emotion| add(emotion.name(), Kind::Real));
        add("problem", Kind::Text);
        columns
    }

    fn row(&self, file: &str, segment: &SegmentRecord) -> Row {
        let SegmentRecord { start_s, end_s, emotion, score, scores } = segment;
        let mut row: Row =
            vec![file.into(), (*start_s).into(), (*end_s).into(), emotion.to_string().into(), (*score).into()];
        row.extend(self.labels.iter().map(|emotion| Cell::from(scores.of(*emotion))));
        row.push(Cell::Empty);
        row
    }

    /// The row of a recording without a voice, or that could not be read.
    fn without(&self, file: &str, problem: Option<&str>) -> Row {
        table::unread(self.columns().len(), file, problem)
    }
}

/// What reads each utterance, and from which score on it is believed.
struct Reader {
    speech: SpeechReader,
    min_score: f32,
}

impl Reader {
    /// What a stretch of speech reads as; nothing where it is silent after all.
    fn read(&mut self, utterance: &Utterance<'_>) -> anyhow::Result<Option<SegmentRecord>> {
        Ok(self.speech.segment(utterance, self.min_score)?)
    }
}

/// Why the reading of a recording ends early: Ctrl-C.
#[derive(Debug, Clone, Copy)]
struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted: what was read until then is complete")
    }
}

impl std::error::Error for Stopped {}

/// A recording to read.
struct OneRecording<'a> {
    args: &'a Args,
    source: &'a Source,
    columns: &'a Columns,
    teller: &'a spread::Teller<'a, Told>,
}

impl OneRecording<'_> {
    /// Reads it and writes its files; whether there was a voice.
    fn read(&self, reader: &mut Reader, raw: Option<Raw>, files: &Files) -> anyhow::Result<bool> {
        let Self { args, source, columns, teller } = self;
        let name = source.shown();
        let recording = match source {
            Source::Stdin => Recording::stream(io::stdin())?,
            Source::File { path, .. } if path.is_dir() => bail!("it is a folder"),
            Source::File { path, .. } => Recording::open(path)?,
        };
        let recording = recording.with_track(args.track.map(usize::from));
        let mut detector = VoiceDetector::new(VoiceSettings::default())?;
        let mut segments = Vec::new();
        let mut account = Account::new(Duration::ZERO, args.min_score, None);
        let file = source.path().to_string_lossy();
        let (mut rows, mut reached) = (Vec::new(), 0.0f64);
        let mut each = |utterance: Utterance<'_>| -> anyhow::Result<()> {
            let mut text = Vec::new();
            let mut read = Vec::new();
            if let Some(length) = args.window {
                let windows = windows_of(reader, &utterance, length, args.hop.unwrap_or(length / 2.0))?;
                if !windows.is_empty() {
                    account.count_utterance();
                }
                for Window { segment, from, until } in windows {
                    account.voice(from, until, &segment.scores);
                    if args.json {
                        let line = WindowLine { file: FileName::of(source.path()), window: &segment };
                        serde_json::to_writer(&mut text, &line)?;
                        writeln!(text)?;
                    } else {
                        writeln!(text, "{}", line(&name, &segment, terminal::coloured()))?;
                    }
                    read.push(segment);
                }
            }
            if (args.json || args.window.is_none())
                && let Some(segment) = reader.read(&utterance)?
            {
                if args.window.is_none() {
                    account.segment(&segment);
                    read.push(segment.clone());
                }
                if args.json {
                    segments.push(segment);
                } else {
                    writeln!(text, "{}", line(&name, &segment, terminal::coloured()))?;
                }
            }
            // utterance by utterance, so that a reader of a pipe need not wait
            if !text.is_empty() {
                teller.say(Said::Told(Told::Out(text)))?;
            }
            for segment in &read {
                let row = columns.row(&file, segment);
                if files.csv.is_some() {
                    rows.push(row.clone());
                }
                teller.say(Said::Told(Told::Row(row)))?;
            }
            Ok(())
        };
        let mut progress = |done: f64, of: Option<f64>| {
            reached = done;
            if let Some(of) = of.filter(|of| *of > 0.0) {
                teller.read(done / of);
            }
        };
        let heard = recording.hear(raw, RATE, &mut progress, &mut |piece| {
            if teller.is_stopped() {
                return Err(Stopped.into());
            }
            detector.push(piece, &mut each)
        });
        let (seconds, warnings) = match heard {
            Ok(heard) => (Some(heard.seconds), heard.warnings),
            Err(error) if error.is::<Stopped>() => (None, vec![Stopped.to_string()]),
            Err(error) => return Err(error),
        };
        detector.finish(&mut each)?;
        let seconds = seconds.unwrap_or(reached);
        account.reaches(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        account.finish();
        for warning in &warnings {
            teller.say(Said::Warning(format!("{name}: {warning}")))?;
        }
        if args.json {
            let model = reader.speech.model().header().name.clone();
            let recording = RecordingRecord { duration_s: thousandths(seconds), model, segments };
            let mut text = serde_json::to_vec(&FileLine { file: FileName::of(source.path()), recording })?;
            writeln!(text)?;
            teller.say(Said::Told(Told::Out(text)))?;
        }
        let found = account.found();
        if !found {
            teller.say(Said::Warning(format!("{name}: no voice found in {seconds:.1} s of sound")))?;
            teller.say(Said::Told(Told::Row(columns.without(&file, warnings.first().map(String::as_str)))))?;
        }
        let well = self.write(files, rows, &account)?;
        teller.say(Said::Told(Told::Account(Box::new(account), warnings.into_iter().next())))?;
        // what failed has been said
        if well { Ok(found) } else { Err(AlreadySaid.into()) }
    }

    /// Writes the files of the recording; whether all went well.
    fn write(&self, files: &Files, rows: Vec<Row>, account: &Account) -> anyhow::Result<bool> {
        let overwrite = self.args.overwrite.overwrite;
        let mut csv =
            Table::create(self.columns.columns(), &TableFiles { csv: files.csv.clone(), parquet: None }, overwrite)?;
        rows.into_iter().for_each(|row| csv.row(row));
        let exports = Exports::create(files, overwrite)?;
        let well = exports.finish(account.timeline(), self.source.path().as_os_str());
        Ok(csv.finish() && well)
    }
}

/// What a window reads as, and the stretch of time that it stands for.
struct Window {
    segment: SegmentRecord,
    from: Duration,
    until: Duration,
}

/// What the windows of an utterance read as. Where they overlap each stands for the time around its middle.
fn windows_of(reader: &mut Reader, utterance: &Utterance<'_>, length: f64, hop: f64) -> anyhow::Result<Vec<Window>> {
    let samples = utterance.audio.samples();
    let all: Vec<_> = windows(samples, length, hop).collect();
    let middles: Vec<_> = all.iter().map(|(start, window)| 2 * start + window.len()).collect();
    let at = |half_samples: usize| {
        let seconds = utterance.start as f64 + half_samples as f64 / 2.0;
        Duration::try_from_secs_f64(seconds / f64::from(RATE.0)).unwrap_or_default()
    };
    let mut read = Vec::new();
    for (i, &(start, window)) in all.iter().enumerate() {
        let piece = Utterance { start: utterance.start + start as u64, audio: Audio::new(window, 1, RATE)? };
        if let Some(segment) = reader.read(&piece)? {
            let between = |i: usize| (middles[i] + middles[i + 1]) / 2;
            let from = if i == 0 { 0 } else { between(i - 1) };
            let until = if i + 1 == all.len() { 2 * samples.len() } else { between(i) };
            read.push(Window { segment, from: at(from), until: at(until) });
        }
    }
    Ok(read)
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
    let (top, rest) = in_words(segment.emotion, segment.score, &segment.scores);
    let (on, off) = if coloured { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("{file}: {:.2}-{:.2} s reads as {on}{top:<14}{off} {rest}", segment.start_s, segment.end_s)
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
