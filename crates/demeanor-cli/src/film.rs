//! One film to its files: records as they come, timelines and an account in the end.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use demeanor::Pipeline;
use demeanor::estimate::EstimateRecord;
use demeanor::table::Columns;
use demeanor_media::capture::{About, Inputs};
use demeanor_media::film::{Film, Step, Took, Whole};
use serde::Serialize;

use crate::annotate::Annotator;
use crate::exports::{Exports, Files};
use crate::interrupt;
use crate::latency::{Latency, ms};
use crate::output::Sink;
use crate::progress::share_and_left;
use crate::sources::{FileName, Source};
use crate::spread::{Said, Teller};
use crate::terminal;
use crate::timeline::account::Account;
use crate::timeline::clock;

/// A film whose own clock begins later than this is said to: streams begin with a second or two.
const OWN_CLOCK: Duration = Duration::from_secs(10);

/// What is told of a film.
#[derive(Debug)]
pub enum Told {
    /// Bytes for stdout.
    Out(Vec<u8>),
    /// How far it is, for a film alone.
    Line(String),
    /// What it was in the end, and what was wrong with it.
    Account(Box<Account>, Option<String>),
}

/// How films are read, the same for all.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The lowest score of a reading.
    pub min_score: f32,
    /// The shortest span of a reading.
    pub min_span: Duration,
    /// The first and the last moment that is read.
    pub start: Duration,
    pub to: Option<Duration>,
    /// The most pictures that are read of a second.
    pub fps: Option<f64>,
    /// Which track of sound.
    pub track: Option<usize>,
    /// The stretch at rest.
    pub baseline: Option<(Duration, Duration)>,
    /// A line of JSON is printed for each frame.
    pub json: bool,
    /// Lines of JSON say of which film they are.
    pub named: bool,
    /// An account is printed in the end.
    pub summary: bool,
    /// Notes are left out.
    pub quiet: bool,
    /// How fast it went is said.
    pub stats: bool,
    /// Files that are there are replaced.
    pub overwrite: bool,
    /// Nothing is written but to stdout.
    pub only_stdout: bool,
}

/// A record of one film of several.
#[derive(Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    file: FileName,
    #[serde(flatten)]
    record: &'a EstimateRecord,
}

/// Reads a film and writes its files; whether a face or a voice was read. `is_deaf` says whether stdout takes nothing more.
///
/// # Errors
/// When nothing of it could be read.
pub fn read(
    pipeline: Pipeline,
    source: &Source,
    files: &Files,
    settings: &Settings,
    teller: &Teller<'_, Told>,
    is_deaf: &dyn Fn() -> bool,
) -> Result<bool> {
    let film = source.path().as_os_str();
    let Settings { start, to, fps, track, min_score, .. } = *settings;
    let inputs = Inputs { start, to, rate: fps, track, ..Inputs::film(film, false) };
    let mut outputs = Outputs::create(files, Columns::of(&pipeline), source, settings)?;
    let mut account = Account::new(settings.min_span, min_score, None);
    let with_voice = pipeline.speech_model().is_some();
    let open = if files.annotate.is_some() { Film::open_to_draw } else { Film::open };
    let mut reading = Reading { film: open(&inputs, pipeline, min_score)?, annotator: None, stats: Stats::default() };
    let began = Instant::now();
    let (mut interrupted, mut unread, mut failed) = (false, false, false);
    let mut annotates = files.annotate.as_deref();
    let mut told = began;
    loop {
        if interrupt::asked() || teller.is_stopped() {
            interrupted = true;
            break;
        }
        // nobody reads any more what could still be said
        if settings.only_stdout && annotates.is_none() && (is_deaf() || !(settings.json || outputs.any_open())) {
            unread = true;
            break;
        }
        match reading.film.next_within(Duration::from_millis(200))? {
            Step::Seen(record) => {
                account.see(&record, reading.film.has_sound());
                outputs.record(&record, teller)?;
                reading.stats.see(reading.film.took());
            }
            Step::Picture(picture) => {
                if let Some(path) = annotates
                    && let Err(error) = reading.draw(picture, path, film, min_score)
                {
                    // the encoder is dead: the rest is written without it
                    teller.say(Said::Problem(terminal::whole(&error)))?;
                    (reading.annotator, annotates, failed) = (None, None, true);
                }
            }
            Step::Heard(record) => {
                reading.stats.hearing.add(reading.film.took().hearing);
                if let Some(record) = record {
                    outputs.record(&record, teller)?;
                }
            }
            Step::Waiting => {}
            Step::Ended => break,
        }
        if told.elapsed() >= Duration::from_millis(200) {
            told = Instant::now();
            progress(&reading.film, settings, began.elapsed(), teller)?;
        }
    }
    let Reading { film: read, annotator, stats } = reading;
    let about = read.about();
    let (frames, with_sound) = (read.frames(), read.has_sound());
    let end = if interrupted || unread { read.stop()? } else { read.finish()? };
    if let Some(record) = &end.record {
        outputs.record(record, teller)?;
    }
    end.segments.iter().for_each(|segment| account.segment(segment));
    account.reaches(Duration::try_from_secs_f64(end.seconds).unwrap_or_default());
    account.finish();
    let took = began.elapsed();
    if let Some(annotator) = annotator {
        if let Err(error) = annotator.finish(settings.overwrite) {
            teller.say(Said::Problem(terminal::whole(&error)))?;
            failed = true;
        }
    } else if let Some(path) = annotates.filter(|_| !interrupted) {
        let path = terminal::shown(path);
        teller.say(Said::Warning(format!("there are no pictures, so {path} was not written")))?;
    }
    failed |= !outputs.finish(&account, source);
    if unread {
        return if failed { Err(AlreadySaid.into()) } else { Ok(true) };
    }
    if let Some(problem) = &end.problem {
        failed = true;
        teller.say(Said::Problem(problem.clone()))?;
    }
    let mut warnings = end.warnings;
    if interrupted {
        warnings.push("interrupted: what was read until then is complete".to_owned());
    }
    let shown = source.shown();
    let length = account.timeline().end();
    if warnings.is_empty() && !failed {
        warnings.extend(cut_off(&about, to, length, &shown));
    }
    let problem = end.problem.or_else(|| warnings.first().cloned());
    for warning in warnings {
        teller.say(Said::Warning(warning))?;
    }
    for note in notes(&about, frames, with_sound, with_voice, &shown).into_iter().filter(|_| !settings.quiet) {
        teller.say(Said::Note(note))?;
    }
    if let Some((_, until)) = settings.baseline.filter(|(_, until)| length < *until) {
        teller.say(Said::Warning(format!(
            "{shown} ends after {}, before the stretch at rest does ({}): nothing was corrected by it",
            clock(length),
            clock(until)
        )))?;
    }
    if settings.summary {
        let mut text = Vec::new();
        account.write(&mut text, &shown)?;
        teller.say(Said::Told(Told::Out(text)))?;
    }
    if settings.stats {
        for line in stats.lines(frames, length, took) {
            teller.say(Said::Note(line))?;
        }
    }
    let found = account.found();
    if !found && !settings.quiet {
        teller.say(Said::Note(format!(
            "no face and no voice was found in {shown}; --min-face finds smaller faces, --any-rotation heads on their side"
        )))?;
    }
    teller.say(Said::Told(Told::Account(Box::new(account), problem)))?;
    // what failed has been said
    if failed { Err(AlreadySaid.into()) } else { Ok(found) }
}

/// A failure that has been said where it happened.
#[derive(Debug)]
pub struct AlreadySaid;

impl std::fmt::Display for AlreadySaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an output failed")
    }
}

impl std::error::Error for AlreadySaid {}

/// A film, and what is made of its pictures.
struct Reading {
    film: Film,
    annotator: Option<Annotator>,
    stats: Stats,
}

impl Reading {
    /// Draws what was read on a picture of the film, and has it encoded.
    fn draw(&mut self, picture: Whole, path: &Path, film: &std::ffi::OsStr, min_score: f32) -> Result<()> {
        let Whole { width, height, data, time } = picture;
        let annotator = match &mut self.annotator {
            Some(annotator) => annotator,
            none => none.insert(Annotator::start(path, film, &self.film.about(), width, height)?),
        };
        let spare = annotator.add(data, time, &self.film.pipeline().estimate(), self.film.scale(), min_score)?;
        if let Some(data) = spare {
            self.film.recycle(data);
        }
        Ok(())
    }
}

/// How far a film is.
fn progress(film: &Film, settings: &Settings, took: Duration, teller: &Teller<'_, Told>) -> Result<()> {
    let time = film.time();
    let done = time.saturating_sub(settings.start);
    let whole = length(&film.about(), settings.to).map(|whole| whole.saturating_sub(settings.start));
    let share = whole.filter(|whole| !whole.is_zero()).map(|whole| done.as_secs_f64() / whole.as_secs_f64());
    if let Some(share) = share {
        teller.read(share);
    }
    if settings.named {
        return Ok(());
    }
    let speed = done.as_secs_f64() / took.as_secs_f64().max(1e-9);
    let line = format!("{} read, {speed:.1} times as fast as it plays", clock(time));
    let line = share.map_or(line.clone(), |share| format!("{}; {line}", share_and_left(share, took)));
    teller.say(Said::Told(Told::Line(line)))
}

/// Where a film ends by its own account; some containers count from the beginning of their own clock.
fn length(about: &About, to: Option<Duration>) -> Option<Duration> {
    let whole = about.duration?;
    let whole = whole.checked_sub(about.start).filter(|l| !l.is_zero()).unwrap_or(whole);
    Some(to.map_or(whole, |to| to.min(whole)))
}

fn cut_off(about: &About, to: Option<Duration>, read: Duration, shown: &str) -> Option<String> {
    let claimed = length(about, to)?;
    (read.as_secs_f64() < claimed.as_secs_f64() * 0.9 - 1.0).then(|| {
        format!("{shown} says that it lasts {}, but ends after {}: it is cut off", clock(claimed), clock(read))
    })
}

fn notes(about: &About, frames: u64, with_sound: bool, with_voice: bool, shown: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if about.start > OWN_CLOCK {
        let start = clock(about.start);
        notes.push(format!("the clock of {shown} begins at {start}; times are counted from its beginning"));
    }
    if frames == 0 && with_sound {
        notes.push(format!("{shown} has no pictures; only its sound was read"));
    } else if with_voice && !with_sound {
        notes.push(format!("{shown} has no sound; only its pictures were read"));
    }
    notes
}

/// All files that were asked for. One that fails says so and takes none of the others with it.
struct Outputs<'a> {
    csv: Sink,
    columns: Columns,
    exports: Exports,
    source: &'a Source,
    json: bool,
    named: bool,
}

impl<'a> Outputs<'a> {
    fn create(files: &Files, columns: Columns, source: &'a Source, settings: &Settings) -> Result<Self> {
        let mut csv = Sink::create(files.csv.as_deref(), settings.overwrite)?;
        csv.write(|w| columns.write_header(w));
        let exports = Exports::create(files, settings.overwrite)?;
        Ok(Outputs { csv, columns, exports, source, json: settings.json, named: settings.named })
    }

    fn any_open(&mut self) -> bool {
        self.csv.is_open() || self.exports.any_open()
    }

    fn record(&mut self, record: &EstimateRecord, teller: &Teller<'_, Told>) -> Result<()> {
        self.csv.write(|w| self.columns.write_rows(w, record));
        if self.json {
            let mut line = Vec::new();
            if self.named {
                serde_json::to_writer(&mut line, &Named { file: FileName::of(self.source.path()), record })
            } else {
                serde_json::to_writer(&mut line, record)
            }
            .map_err(io::Error::from)?;
            writeln!(line)?;
            teller.say(Said::Told(Told::Out(line)))?;
        }
        Ok(())
    }

    /// Completes them; whether all went well.
    fn finish(mut self, account: &Account, source: &Source) -> bool {
        self.csv.finish();
        let well = self.exports.finish(account.timeline(), source.path().as_os_str());
        well && !self.csv.has_failed()
    }
}

/// How long the stages took.
#[derive(Default)]
struct Stats {
    finding: Latency,
    reading: Latency,
    hearing: Latency,
}

impl Stats {
    fn see(&mut self, took: Took) {
        self.finding.add(took.finding);
        self.reading.add(took.reading);
    }

    fn lines(&self, frames: u64, plays: Duration, took: Duration) -> Vec<String> {
        let (plays, took) = (plays.as_secs_f64(), took.as_secs_f64());
        let mut lines = vec![format!(
            "{frames} frames, {plays:.1} s of film in {took:.2} s: {:.1} times as fast as it plays, {:.0} frames/s",
            plays / took.max(1e-9),
            frames as f64 / took.max(1e-9)
        )];
        for (name, latency) in
            [("finding faces", &self.finding), ("reading faces", &self.reading), ("hearing", &self.hearing)]
        {
            if latency.count() > 0 {
                lines.push(format!(
                    "{name}: median {} ms, p95 {} ms, longest {} ms",
                    ms(latency.quantile(0.5)),
                    ms(latency.quantile(0.95)),
                    ms(latency.longest())
                ));
            }
        }
        lines
    }
}
