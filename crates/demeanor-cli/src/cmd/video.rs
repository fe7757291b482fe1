//! `demeanor video`: a film to a timeline.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use demeanor::estimate::EstimateRecord;
use demeanor::face::watch::{FaceEstimate, Stage};
use demeanor::pipeline::Pipeline;
use demeanor::table::Columns;
use demeanor::{Audio, Frame, Hz, PixelLayout, Scores};
use demeanor_media::capture::{Capture, Ended, Event, Inputs, Picture};
use demeanor_media::sound::silence_damage;

use crate::annotate::Annotator;
use crate::claim::{Claims, OverwriteArgs};
use crate::interrupt;
use crate::latency::{Latency, ms};
use crate::output::Sink;
use crate::senses::SenseArgs;
use crate::terminal::{self, Outcome};
use crate::timeline::{Timeline, Who, clock, eaf, plot, textgrid, vtt};

/// Read a film: faces and voice over time
///
/// Any file or URL that the ffmpeg program reads, which must be installed; - is stdin. Without an option that writes to
/// stdout a summary is printed: for each face, the voice, and both together, the share of time per emotion and the number
/// of changes. An option given FILE writes there; without FILE, or with -, to stdout. Ctrl-C ends the reading early and
/// completes all files. JSON: a line per frame, {"time_s", "frame", "faces": [{"id", "region", "confidence", "landmarks",
/// "quality", "emotion", "score", "scores"}], "voice": {"speaking", "level_db", "emotion", "score", "scores"}, "fused": {"emotion", "score",
/// "scores", "face_weight", "speech_weight"}}.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The film: a file, a URL, or - for stdin
    #[arg(value_name = "PATH|URL")]
    film: Option<OsString>,
    /// Print a line of JSON for each frame
    #[arg(long)]
    json: bool,
    /// Write a row for each frame and face: frame, face_id, timestamp, confidence, success, then the scores
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    csv: Option<PathBuf>,
    /// Write annotation tiers for ELAN
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    eaf: Option<PathBuf>,
    /// Write interval tiers for Praat
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    textgrid: Option<PathBuf>,
    /// Write WebVTT subtitles
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    vtt: Option<PathBuf>,
    /// Write the timeline as an SVG picture
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, default_missing_value = "-")]
    plot: Option<PathBuf>,
    /// Write the film with boxes, labels and bars on it; its sound is kept
    #[arg(long, value_name = "FILE.mp4")]
    annotate: Option<PathBuf>,
    /// Say at the end how fast it went, and how long each stage took
    #[arg(long)]
    stats: bool,
    /// Begin so many seconds into the film; also as MINUTES:SECONDS or HOURS:MINUTES:SECONDS
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Duration>,
    /// End so many seconds into the film
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Duration>,
    /// Read at most so many pictures a second
    #[arg(long, value_name = "N", value_parser = rate)]
    fps: Option<f64>,
    /// Which track of sound, where there are several; by default the one that the film names, else the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    track: Option<u16>,
    /// Say nothing but warnings and errors on stderr, and no summary on stdout
    #[arg(long)]
    quiet: bool,
    /// Readings of a face that last less than so many seconds belong to what was before them
    #[arg(long, value_name = "SECONDS", default_value = "0.25", value_parser = least)]
    min_span: Duration,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    #[command(flatten)]
    senses: SenseArgs,
}

/// `90`, `1:30` or `0:01:30.5`.
fn moment(text: &str) -> Result<Duration, String> {
    let parts: Option<Vec<f64>> = text.split(':').map(|part| part.trim().parse().ok()).collect();
    let parts = parts.filter(|p| p.len() <= 3 && p.iter().all(|v| *v >= 0.0) && p[1..].iter().all(|v| *v < 60.0));
    let seconds = parts.map(|p| p.iter().fold(0.0, |sum, v| 60.0 * sum + v));
    seconds
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| "expected seconds, MINUTES:SECONDS or HOURS:MINUTES:SECONDS".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("expected 0.01 to 1000 pictures a second".to_owned()),
    }
}

fn least(text: &str) -> Result<Duration, String> {
    let length = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    length.filter(|l| *l <= Duration::from_secs(60)).ok_or_else(|| "expected 0 to 60 seconds".to_owned())
}

impl Args {
    /// The files that are written while the film is read, and after it.
    fn outputs(&self) -> impl Iterator<Item = &Path> {
        [&self.csv, &self.eaf, &self.textgrid, &self.vtt, &self.plot].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Claims everything that is read and written.
    fn claim(&self, film: &OsStr) -> Result<()> {
        let mut claims = Claims::new(self.overwrite);
        claims.reads(film.as_ref());
        for model in self.senses.models() {
            claims.reads(model);
        }
        let outputs: Vec<_> = self.outputs().chain(self.annotate.as_deref()).collect();
        let to_stdout = self.to_stdout();
        if to_stdout > 1 {
            bail!("only one output can go to stdout; give the others a file: --csv FILE");
        }
        for path in outputs {
            claims.writes(path)?;
        }
        // the summary too must not be written over a film
        if !self.outputs().any(is_stdout) {
            claims.writes(Path::new("-"))?;
        }
        Ok(())
    }

    /// How many outputs go to stdout.
    fn to_stdout(&self) -> usize {
        self.outputs().filter(|path| is_stdout(path)).count() + usize::from(self.json)
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A film whose own clock begins later than this is said to: streams begin with a second or two.
const OWN_CLOCK: Duration = Duration::from_secs(10);

/// Reads the film and writes what was asked for.
pub fn run(args: Args) -> Result<Outcome> {
    let film = film(&args)?;
    if args.annotate.as_deref().is_some_and(is_stdout) {
        bail!("an annotated film is an MP4, which is written back and forth and cannot go to stdout; name a file");
    }
    args.claim(&film)?;
    let to_stdout = args.to_stdout();
    if film == "-" && args.annotate.is_some() {
        bail!("--annotate reads the film's sound a second time, which stdin cannot give; name a file");
    }
    interrupt::listen();
    let pipeline = args.senses.film().pipeline(true, true)?;
    let mut outputs = Outputs::create(&args)?;
    let mut reading = Reading::new(pipeline, &args);
    outputs.header(&reading);

    let start = args.start.unwrap_or_default();
    if args.to.is_some_and(|to| to <= start) {
        bail!("--to must lie behind --start");
    }
    if args.annotate.is_some() && !start.is_zero() {
        bail!("--annotate takes the sound of the whole film, so it cannot be used with --start");
    }
    let track = args.track.map(usize::from);
    let inputs = Inputs { start, to: args.to, rate: args.fps, track, ..Inputs::film(&film, false) };
    let mut capture = Capture::start(&inputs, args.annotate.is_some())?;
    let began = Instant::now();
    let mut progress = Progress::new(args.quiet);
    let (mut interrupted, mut unread) = (false, false);
    let mut annotator: Option<Annotator> = None;
    let (mut annotates, mut failed) = (args.annotate.as_deref(), false);
    loop {
        if interrupt::asked() {
            interrupted = true;
            break;
        }
        // nobody reads any more what could still be said
        if to_stdout > 0 && annotates.is_none() && !outputs.any_open() {
            unread = true;
            break;
        }
        let event = match capture.next_within(Duration::from_millis(200)) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(Ended) => break,
        };
        match event {
            Event::Picture { what: Picture::Grey, width, height, data, time, .. } => {
                reading.scale_to(&capture, width, height);
                let frame = Frame::new(&data, width, height, PixelLayout::Grey8)?;
                reading.see(&frame, time, &mut outputs)?;
                capture.recycle(data);
                progress.show(time, &capture, began);
            }
            Event::Picture { what: Picture::Whole, width, height, data, time, .. } => {
                let Some(path) = annotates else { continue };
                let drawn = annotate(&mut annotator, path, &film, &capture, &mut reading, (data, width, height), time);
                match drawn {
                    Ok(Some(data)) => capture.recycle(data),
                    Ok(None) => {}
                    // the encoder is dead: the rest is written without it
                    Err(error) => {
                        progress.clear();
                        terminal::problem(terminal::whole(&error));
                        (annotator, annotates, failed) = (None, None, true);
                    }
                }
            }
            Event::Sound { rate, channels, samples, time } => {
                reading.hear(samples, channels, rate, time, &mut outputs)?;
                if reading.frames == 0 {
                    progress.show(time, &capture, began);
                }
            }
        }
    }
    progress.clear();
    let about = capture.about();
    let warning = if unread {
        drop(capture);
        None
    } else if interrupted {
        drop(capture);
        Some("interrupted: what was read until then is complete".to_owned())
    } else {
        match capture.finish() {
            Ok(warning) => warning,
            Err(error) if !reading.any() => return Err(error.into()),
            Err(error) => {
                terminal::problem(format_args!(
                    "{}; what was read until then is complete",
                    terminal::whole(&error.into())
                ));
                failed = true;
                None
            }
        }
    };
    reading.end(&mut outputs)?;
    let read_for = began.elapsed();
    if let Some(annotator) = annotator {
        if let Err(error) = annotator.finish(args.overwrite.overwrite) {
            terminal::problem(terminal::whole(&error));
            failed = true;
        }
    } else if let Some(path) = annotates {
        terminal::warn(format_args!("there are no pictures, so {} was not written", terminal::shown(path)));
    }
    failed |= !outputs.finish(&reading, &film, args.eaf.as_deref());
    if unread {
        return Ok(if failed { Outcome::Failed } else { Outcome::Read });
    }
    let length = reading.timeline.end();
    let shown = terminal::shown(&film);
    // some containers count their length from the beginning of their own clock
    let claimed = about.duration.map(|whole| whole.checked_sub(about.start).filter(|l| !l.is_zero()).unwrap_or(whole));
    let claimed = claimed.map(|whole| args.to.map_or(whole, |to| to.min(whole)));
    match (&warning, claimed) {
        (Some(warning), _) => terminal::warn(warning),
        (None, Some(claimed)) if !failed && length.as_secs_f64() < claimed.as_secs_f64() * 0.9 - 1.0 => {
            terminal::warn(format_args!(
                "{shown} says that it lasts {}, but ends after {}: it is cut off",
                clock(claimed),
                clock(length)
            ))
        }
        _ => {}
    }
    let note = |text: std::fmt::Arguments<'_>| {
        if !args.quiet {
            terminal::note(text);
        }
    };
    if about.start > OWN_CLOCK {
        note(format_args!(
            "the clock of {shown} begins at {}; times are counted from its beginning",
            clock(about.start)
        ));
    }
    if reading.frames == 0 && reading.any_sound {
        note(format_args!("{shown} has no pictures; only its sound was read"));
    } else if reading.pipeline.speech_model().is_some() && !reading.any_sound {
        note(format_args!("{shown} has no sound; only its pictures were read"));
    }
    if let Some((_, until)) = args.senses.baseline.filter(|(_, until)| length < *until) {
        terminal::warn(format_args!(
            "{shown} ends after {}, before the stretch at rest does ({}): nothing was corrected by it",
            clock(length),
            clock(until)
        ));
    }
    if to_stdout == 0 && !args.quiet {
        let mut out = terminal::out();
        summary(&mut out, &reading, &shown)?;
        out.flush()?;
    }
    if args.stats {
        reading.stats(read_for);
    }
    if !reading.found {
        note(format_args!(
            "no face and no voice was found in {shown}; --min-face finds smaller faces, --any-rotation heads on their side"
        ));
    }
    Ok(match (failed, reading.found) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Read,
        (false, false) => Outcome::Nothing,
    })
}

/// Draws what was read on a picture of the film, and has it encoded. Gives back the bytes of a picture that is done with.
fn annotate(
    annotator: &mut Option<Annotator>,
    path: &Path,
    film: &OsStr,
    capture: &Capture,
    reading: &mut Reading,
    (data, width, height): (Vec<u8>, usize, usize),
    time: Duration,
) -> Result<Option<Vec<u8>>> {
    let annotator = match annotator {
        Some(annotator) => annotator,
        none => none.insert(Annotator::start(path, film, &capture.about(), width, height)?),
    };
    let (scale, min_score) = (reading.scale, reading.min_score);
    annotator.add(data, time, &reading.pipeline.estimate(), scale, min_score)
}

/// The film that was named. `--csv FILM` takes the film for the option's file, which is said rather than only "missing".
fn film(args: &Args) -> Result<OsString> {
    if let Some(film) = &args.film {
        return Ok(film.clone());
    }
    let options = [
        ("csv", &args.csv),
        ("eaf", &args.eaf),
        ("textgrid", &args.textgrid),
        ("vtt", &args.vtt),
        ("plot", &args.plot),
    ];
    for (option, value) in options {
        if let Some(value) = value
            && value.is_file()
        {
            bail!(
                "no film was named: --{option} took {0} for its file; write: demeanor video {0} --{option}",
                value.display()
            );
        }
    }
    bail!("no film was named; write: demeanor video PATH")
}

/// All files that were asked for. One that fails says so and takes none of the others with it.
struct Outputs {
    json: Sink,
    csv: Sink,
    eaf: Sink,
    textgrid: Sink,
    vtt: Sink,
    plot: Sink,
}

impl Outputs {
    fn create(args: &Args) -> Result<Outputs> {
        let create = |path: &Option<PathBuf>| Sink::create(path.as_deref(), args.overwrite.overwrite);
        Ok(Outputs {
            json: Sink::create(args.json.then_some(Path::new("-")), false)?,
            csv: create(&args.csv)?,
            eaf: create(&args.eaf)?,
            textgrid: create(&args.textgrid)?,
            vtt: create(&args.vtt)?,
            plot: create(&args.plot)?,
        })
    }

    fn all(&mut self) -> [&mut Sink; 6] {
        let Outputs { json, csv, eaf, textgrid, vtt, plot } = self;
        [json, csv, eaf, textgrid, vtt, plot]
    }

    fn any_open(&mut self) -> bool {
        self.all().iter().any(|sink| sink.is_open())
    }

    fn header(&mut self, reading: &Reading) {
        self.csv.write(|w| reading.columns.write_header(w));
    }

    /// Completes them; whether all went well.
    fn finish(mut self, reading: &Reading, film: &OsStr, eaf: Option<&Path>) -> bool {
        let name = &*film.to_string_lossy();
        let document = eaf::Document { media: film, path: eaf.unwrap_or(Path::new("-")), written: SystemTime::now() };
        self.eaf.write(|w| eaf::write(w, &reading.timeline, &document));
        self.textgrid.write(|w| textgrid::write(w, &reading.timeline));
        self.vtt.write(|w| vtt::write(w, &reading.timeline));
        self.plot.write(|w| plot::write(w, &reading.timeline, name));
        self.all().iter_mut().fold(true, |well, sink| {
            sink.finish();
            well && !sink.has_failed()
        })
    }
}

/// A frame whose end, the time of the next one, is not known yet.
struct Shown {
    time: Duration,
    faces: Vec<FaceEstimate>,
    fused: Option<Scores>,
}

/// The film as far as it was read.
struct Reading {
    pipeline: Pipeline,
    timeline: Timeline,
    min_score: f32,
    columns: Columns,
    shown: Option<Shown>,
    frames: u64,
    last_frame: Duration,
    usual_frame: Duration,
    last_length: Option<Duration>,
    scale: f32,
    any_sound: bool,
    last_sound_line: Option<Duration>,
    utterances: u32,
    found: bool,
    ids: u32,
    more_faces: bool,
    finding: Latency,
    reading: Latency,
    hearing: Latency,
    bad_samples: u64,
}

impl Reading {
    fn new(pipeline: Pipeline, args: &Args) -> Reading {
        Reading {
            columns: Columns::of(&pipeline),
            pipeline,
            timeline: Timeline::new(args.min_span),
            min_score: args.senses.min_score,
            shown: None,
            frames: 0,
            last_frame: Duration::ZERO,
            usual_frame: Duration::from_millis(40),
            last_length: None,
            scale: 1.0,
            any_sound: false,
            last_sound_line: None,
            utterances: 0,
            found: false,
            ids: 0,
            more_faces: false,
            finding: Latency::default(),
            reading: Latency::default(),
            hearing: Latency::default(),
            bad_samples: 0,
        }
    }

    /// Whether anything of the film was read.
    fn any(&self) -> bool {
        self.frames > 0 || self.any_sound
    }

    /// Learns by how much the pictures were made smaller.
    fn scale_to(&mut self, capture: &Capture, width: usize, height: usize) {
        if self.frames > 0 {
            return;
        }
        if let Some((w, h)) = capture.size_of_film() {
            // a turned film has its sides exchanged
            self.scale = (w.max(h) as f32 / width.max(height) as f32).max(1.0);
        }
    }

    fn see(&mut self, frame: &Frame<'_>, time: Duration, outputs: &mut Outputs) -> Result<()> {
        // a film may repeat or turn back its times where it was cut together
        let time = if self.frames > 0 { time.max(self.last_frame + Duration::from_micros(1)) } else { time };
        self.close(time);
        if self.frames > 0 {
            let length = time - self.last_frame;
            self.usual_frame = self.last_length.map_or(length, |last| last.min(length));
            self.last_length = Some(length);
        }
        self.frames += 1;
        self.last_frame = time;
        let start = Instant::now();
        let mut found = start;
        let mut read = start;
        self.pipeline.see_staged(frame, time, &mut |stage| match stage {
            Stage::Found => found = Instant::now(),
            Stage::Read => read = Instant::now(),
        })?;
        self.finding.add(found - start);
        self.reading.add(read - found);
        self.more_faces |= self.pipeline.has_more_faces();
        let estimate = self.pipeline.estimate();
        self.found |= estimate.faces.iter().any(|f| f.scores.is_some());
        self.ids = estimate.faces.iter().map(|f| f.id).fold(self.ids, u32::max);
        if outputs.json.is_open() || outputs.csv.is_open() {
            let record = EstimateRecord::new(&estimate, time, Some(self.frames), self.scale, self.min_score);
            outputs.json.write(|w| write_json(w, &record));
            outputs.csv.write(|w| self.columns.write_rows(w, &record));
        }
        // both together only says something new where there is sound
        let fused = estimate.fused.filter(|_| self.any_sound).map(|f| f.scores);
        self.shown = Some(Shown { time, faces: estimate.faces.to_vec(), fused });
        Ok(())
    }

    /// Gives the last frame its end.
    fn close(&mut self, end: Duration) {
        let Some(shown) = self.shown.take() else { return };
        // a picture stands until the next one, however long that is in coming
        for face in &shown.faces {
            if let Some(scores) = &face.scores {
                self.timeline.add(Who::Face(face.id), shown.time, end, scores, self.min_score);
            }
        }
        if let Some(scores) = &shown.fused {
            self.timeline.add(Who::Together, shown.time, end, scores, self.min_score);
        }
        self.timeline.reaches(end);
    }

    fn hear(
        &mut self,
        mut samples: Vec<f32>,
        channels: usize,
        rate: u32,
        time: Duration,
        outputs: &mut Outputs,
    ) -> Result<()> {
        if samples.is_empty() || channels == 0 || rate == 0 {
            return Ok(());
        }
        self.any_sound = true;
        self.bad_samples += silence_damage(&mut samples);
        let start = Instant::now();
        self.pipeline.hear(&Audio::new(&samples, channels, Hz(rate))?, time)?;
        self.hearing.add(start.elapsed());
        let end = time + Duration::from_secs_f64((samples.len() / channels) as f64 / f64::from(rate));
        self.timeline.reaches(end);
        self.take_utterances();
        // sound alone gets a line twice a second; a picture that begins a little later than the sound is no such film
        if self.frames == 0 && end >= self.last_sound_line.unwrap_or_default() + Duration::from_millis(500) {
            self.sound_line(end, outputs)?;
        }
        Ok(())
    }

    fn sound_line(&mut self, time: Duration, outputs: &mut Outputs) -> Result<()> {
        self.last_sound_line = Some(time);
        if outputs.json.is_open() {
            let line = EstimateRecord::new(&self.pipeline.estimate(), time, None, 1.0, self.min_score);
            outputs.json.write(|w| write_json(w, &line));
        }
        Ok(())
    }

    fn take_utterances(&mut self) {
        for utterance in self.pipeline.utterances() {
            self.found = true;
            self.utterances += 1;
            self.timeline.add(Who::Voice, utterance.start, utterance.end, &utterance.scores, self.min_score);
        }
    }

    fn end(&mut self, outputs: &mut Outputs) -> Result<()> {
        if let Some(shown) = &self.shown {
            let end = shown.time + self.usual_frame;
            self.close(end);
        }
        self.pipeline.end_of_sound()?;
        self.take_utterances();
        if self.frames == 0 && self.any_sound && self.last_sound_line != Some(self.timeline.end()) {
            self.sound_line(self.timeline.end(), outputs)?;
        }
        self.timeline.finish();
        if self.more_faces {
            terminal::warn("there were more faces at once than are followed; only some of them were read");
        }
        if self.bad_samples > 0 {
            terminal::warn(format_args!("{} samples of the sound are no numbers; taken for silence", self.bad_samples));
        }
        outputs.json.flush();
        Ok(())
    }

    fn stats(&self, took: Duration) {
        let plays = self.timeline.end().as_secs_f64();
        terminal::note(format_args!(
            "{} frames, {:.1} s of film in {:.2} s: {:.1} times as fast as it plays, {:.0} frames/s",
            self.frames,
            plays,
            took.as_secs_f64(),
            plays / took.as_secs_f64().max(1e-9),
            self.frames as f64 / took.as_secs_f64().max(1e-9)
        ));
        for (name, latency) in
            [("finding faces", &self.finding), ("reading faces", &self.reading), ("hearing", &self.hearing)]
        {
            if latency.count() > 0 {
                terminal::note(format_args!(
                    "{name}: median {} ms, p95 {} ms, longest {} ms",
                    ms(latency.quantile(0.5)),
                    ms(latency.quantile(0.95)),
                    ms(latency.longest())
                ));
            }
        }
    }
}

fn write_json(out: &mut dyn Write, line: &EstimateRecord) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(io::Error::from)?;
    writeln!(out)
}

/// The readable account: for each lane the share of time of each reading.
fn summary(out: &mut dyn Write, reading: &Reading, name: &str) -> io::Result<()> {
    let timeline = &reading.timeline;
    let faces = match reading.ids {
        0 => "no face".to_owned(),
        1 => "1 face".to_owned(),
        n => format!("{n} faces"),
    };
    writeln!(out, "{name}: {}, {} frames, {faces}", clock(timeline.end()), reading.frames)?;
    for (who, lane) in timeline.lanes() {
        let shares: Vec<_> = lane.shares().iter().map(|(r, share)| format!("{r} {:.0} %", share * 100.0)).collect();
        let spans = lane.spans();
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
        write!(out, "{who:<9} {} to {}", clock(first.start), clock(last.end))?;
        if who == Who::Voice {
            write!(out, ", {:.1} s of speech in {} utterances", lane.length().as_secs_f64(), reading.utterances)?;
        } else {
            write!(out, ", seen for {:.1} s", lane.length().as_secs_f64())?;
        }
        let changes = timeline.changes(who);
        let changes = if changes == 1 { "1 change".to_owned() } else { format!("{changes} changes") };
        writeln!(out, ": reads as {}; {changes}", shares.join(", "))?;
    }
    Ok(())
}

/// How far it is, on a terminal.
struct Progress {
    shown: Option<Instant>,
    wanted: bool,
}

impl Progress {
    fn new(quiet: bool) -> Progress {
        Progress { shown: None, wanted: io::stderr().is_terminal() && !quiet }
    }

    fn show(&mut self, time: Duration, capture: &Capture, began: Instant) {
        if !self.wanted || self.shown.is_some_and(|at| at.elapsed() < Duration::from_millis(250)) {
            return;
        }
        self.shown = Some(Instant::now());
        let took = began.elapsed().as_secs_f64();
        let speed = time.as_secs_f64() / took.max(1e-9);
        let mut line = format!("{} read, {speed:.1} times as fast as it plays", clock(time));
        if let Some(whole) = capture.about().duration
            && whole >= time
            && speed > 0.0
        {
            let left = Duration::from_secs_f64((whole - time).as_secs_f64() / speed);
            line = format!("{:3.0} %, {line}, {} left", 100.0 * time.as_secs_f64() / whole.as_secs_f64(), clock(left));
        }
        let _ = write!(io::stderr(), "\r\x1b[2K{line}");
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
