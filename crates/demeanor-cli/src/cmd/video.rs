//! `demeanor video`: films to timelines.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use demeanor_media::capture;
use demeanor_media::film::EXTENSIONS;

use crate::claim::{Claims, OverwriteArgs};
use crate::exports::{self, ExportArgs, Files, is_stdout};
use crate::film::{self, AlreadySaid, Settings, Told};
use crate::interrupt;
use crate::output::Sink;
use crate::progress::{Progress, share_and_left};
use crate::senses::SenseArgs;
use crate::sources::{self, Source};
use crate::spread::{Tell, ThreadArgs, spread};
use crate::summary::Summary;
use crate::table::{Table, TableFiles};
use crate::terminal::{self, Outcome};

/// Read films: faces and voice over time
///
/// Any file or URL that the ffmpeg program reads, which must be installed; - is stdin. Folders are searched for films, with all
/// below. Without an option that writes to stdout a summary is printed: for each face, the voice, and both together, the share of
/// time per emotion and the number of changes. An option given FILE writes there; without FILE, or with -, to stdout; with
/// --out DIR, for any number of films, into that folder. Ctrl-C ends the reading early and completes all files. JSON: a line per
/// frame, {"time_s", "frame", "faces": [{"id", "region", "confidence", "landmarks", "quality", "emotion", "score", "scores"}], "voice":
/// {"speaking", "level_db", "emotion", "score", "scores"}, "fused": {"emotion", "score", "scores", "face_weight",
/// "speech_weight"}}, and of several films first "file".
///
/// summary.csv, which --out writes, has a row for each film and face (face_id 0 where there is none): when the face was seen and
/// for how long, its changes, the share of time of each reading, the mean of each score, the same of the voice, and what was
/// wrong with the film.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The films: files, folders, patterns, URLs, or - for stdin
    #[arg(value_name = "PATH|URL")]
    films: Vec<PathBuf>,
    /// Print a line of JSON for each frame
    #[arg(long)]
    json: bool,
    /// Write a row for each frame and face: frame, face_id, timestamp, confidence, success, then the scores
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    exports: ExportArgs,
    /// Write the table of all films as Parquet too
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    parquet: Option<PathBuf>,
    /// Write the film with boxes, labels and bars on it; its sound is kept
    #[arg(long, value_name = "FILE.mp4", num_args = 0..=1, default_missing_value = "-")]
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
    threads: ThreadArgs,
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
    /// The files that were asked for, of a film.
    fn wanted(&self) -> Files {
        let ExportArgs { eaf, textgrid, vtt, plot, .. } = self.exports.clone();
        Files { csv: self.csv.clone(), eaf, textgrid, vtt, plot, annotate: self.annotate.clone() }
    }

    /// How many outputs go to stdout.
    fn to_stdout(&self) -> usize {
        let named = if self.exports.out.is_some() { 0 } else { self.wanted().paths().filter(|p| is_stdout(p)).count() };
        named + usize::from(self.json)
    }

    /// The files of the table of all.
    fn summary(&self) -> TableFiles {
        #[cfg(feature = "parquet")]
        let parquet = self.parquet.clone();
        #[cfg(not(feature = "parquet"))]
        let parquet = None;
        match &self.exports.out {
            Some(folder) => exports::summary(folder, parquet),
            None => TableFiles { csv: None, parquet },
        }
    }
}

/// The films that were named.
fn films(args: &Args) -> Result<sources::Search> {
    if args.films.is_empty() {
        let csv = [("csv", &args.csv)].into_iter().chain(args.exports.named()).chain([("annotate", &args.annotate)]);
        for (option, value) in csv {
            // `--csv FILM` takes the film for the option's file, which is said rather than only "missing"
            if let Some(value) = value
                && value.is_file()
            {
                bail!(
                    "no film was named: --{option} took {0} for its file; write: demeanor video {0} --{option}",
                    terminal::shown(value)
                );
            }
        }
        bail!("no film was named; write: demeanor video PATH");
    }
    let mut found = sources::Search::default();
    for film in &args.films {
        match film.to_str().filter(|text| capture::is_url(text)) {
            Some(url) => found.sources.push(of_url(url)),
            None => found.add(sources::search(std::slice::from_ref(film), EXTENSIONS, "films")),
        }
    }
    Ok(found)
}

/// A film of the net, known by the last part of its path.
fn of_url(url: &str) -> Source {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name: String = last.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    let name = name.trim_start_matches('.').to_owned();
    Source::File { path: url.into(), below: if name.is_empty() { "film".into() } else { name.into() } }
}

/// Reads the films and writes what was asked for.
pub fn run(args: Args) -> Result<Outcome> {
    let found = films(&args)?;
    let sources = &found.sources;
    let (start, folder) = (args.start.unwrap_or_default(), args.exports.out.is_some());
    if args.to.is_some_and(|to| to <= start) {
        bail!("--to must lie behind --start");
    }
    if args.annotate.is_some() {
        if !start.is_zero() {
            bail!("--annotate takes the sound of the whole film, so it cannot be used with --start");
        }
        if !folder && args.annotate.as_deref().is_some_and(is_stdout) {
            bail!("an annotated film is an MP4, which is written back and forth and cannot go to stdout; name a file");
        }
        let ending = args.annotate.as_deref().and_then(Path::extension).map(|e| e.to_ascii_lowercase());
        if ending.as_ref().is_some_and(|e| !["mp4", "m4v", "mov"].iter().any(|known| e == known)) {
            bail!("an annotated film is an MP4; name a file that says so, such as FILE.mp4");
        }
        if sources.contains(&Source::Stdin) {
            bail!("--annotate reads the film's sound a second time, which stdin cannot give; name a file");
        }
    }
    let to_stdout = args.to_stdout();
    if to_stdout > 1 {
        bail!("only one output can go to stdout; give the others a file: --csv FILE");
    }
    #[cfg(feature = "parquet")]
    if !folder && args.parquet.as_deref().is_some_and(is_stdout) {
        bail!("--parquet needs a file, or a folder with --out DIR");
    }
    let mut claims = Claims::new(args.overwrite);
    for path in sources.iter().map(Source::path).chain(args.senses.models()) {
        claims.reads(path);
    }
    let wanted = args.wanted();
    let files = exports::files(&wanted, &args.exports, sources, &mut claims)?;
    let summary_files = args.summary();
    for path in [&summary_files.csv, &summary_files.parquet].into_iter().flatten() {
        claims.writes(path)?;
    }
    // the summary too must not be written over a film
    if folder || !wanted.paths().any(is_stdout) {
        claims.writes(Path::new("-"))?;
    }
    if sources.is_empty() {
        return Ok(Outcome::Failed);
    }
    interrupt::listen();
    let senses = args.senses.film();
    let models = senses.load(true, true)?;
    // what is wrong with the settings is said before anything is written
    senses.pipeline_of(models.clone())?;
    let face = models.face.as_ref().map(|m| m.header().labels.clone()).unwrap_or_default();
    let voice = models.speech.as_ref().map(|m| m.header().labels.clone()).unwrap_or_default();
    let summary = Summary::new(&face, &voice);
    let table = Table::create(summary.columns(), &summary_files, args.overwrite.overwrite)?;
    let settings = Settings {
        min_score: args.senses.min_score,
        min_span: args.min_span,
        start,
        to: args.to,
        fps: args.fps,
        track: args.track.map(usize::from),
        baseline: args.senses.baseline,
        json: args.json,
        named: sources.len() > 1,
        summary: to_stdout == 0 && !args.quiet,
        quiet: args.quiet,
        stats: args.stats,
        overwrite: args.overwrite.overwrite,
        only_stdout: to_stdout > 0 && files.iter().flat_map(Files::paths).all(is_stdout) && !folder,
    };
    let deaf = AtomicBool::new(false);
    let threads = args.threads.count(sources.len());
    let mut teller = Teller {
        sources,
        out: Sink::create(Some(Path::new("-")), false)?,
        deaf: &deaf,
        progress: Progress::new(args.quiet),
        line: None,
        summary,
        table,
    };
    let came = spread(
        sources.len(),
        threads,
        || Ok(()),
        |(), number, told| {
            let pipeline = senses.pipeline_of(models.clone())?;
            let is_deaf = || deaf.load(Ordering::Relaxed);
            film::read(pipeline, &sources[number], &files[number], &settings, told, &is_deaf)
        },
        &mut teller,
    )?;
    let Teller { mut out, table, .. } = teller;
    out.finish();
    let well = table.finish() && !out.has_failed() && !found.failed;
    came.end(sources.len(), "films were read; their files are complete", !well)
}

/// Prints and writes what is told of the films.
struct Teller<'a> {
    sources: &'a [Source],
    out: Sink,
    deaf: &'a AtomicBool,
    progress: Progress,
    /// How far a film alone is.
    line: Option<String>,
    summary: Summary,
    table: Table,
}

impl Tell<Told> for Teller<'_> {
    fn tell(&mut self, source: usize, told: Told) -> Result<()> {
        match told {
            Told::Out(bytes) => {
                self.out.write(|w| w.write_all(&bytes));
                self.out.flush();
                self.deaf.store(!self.out.is_open(), Ordering::Relaxed);
            }
            Told::Line(line) => self.line = Some(line),
            Told::Account(account, problem) => {
                let file = name(self.sources[source].path().as_os_str());
                for row in self.summary.rows(&file, &account, problem.as_deref()) {
                    self.table.row(row);
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, source: usize, error: &anyhow::Error) -> Result<()> {
        if error.is::<AlreadySaid>() {
            return Ok(());
        }
        let (text, shown) = (terminal::whole(error), self.sources[source].shown());
        self.table.row(self.summary.failed(&name(self.sources[source].path().as_os_str()), &text));
        if text.contains(&shown) {
            terminal::problem(text);
        } else {
            terminal::problem(format_args!("{shown}: {text}"));
        }
        Ok(())
    }

    fn progress(&mut self, read: f64, ended: usize) {
        let count = self.sources.len();
        let line = self.line.clone();
        self.progress.tell(|took| match line {
            Some(line) if count == 1 => line,
            _ => format!("{ended} of {count} films read; {}", share_and_left(read / count as f64, took)),
        });
    }

    fn clear(&mut self) {
        self.progress.clear();
    }
}

/// A path in a table.
fn name(path: &OsStr) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_of_the_net_have_names() {
        for (url, below) in [
            ("https://a.b/c/d.mp4?x=1/2#t", "d.mp4"),
            ("rtsp://camera/", "camera"),
            ("http://a.b/%2e%2e", "2e2e"),
            ("http://a.b/..", "a.b"),
        ] {
            let Source::File { path, below: found } = of_url(url) else { panic!("{url}") };
            assert_eq!(path, Path::new(url));
            assert!(found == Path::new(below) || url.ends_with(".."), "{url}: {found:?}");
            assert!(found.components().count() == 1 && found.file_name().is_some(), "{url}: {found:?}");
        }
    }

    #[test]
    fn moments_are_read() {
        for (text, seconds) in
            [("90", Some(90.0)), ("1:30", Some(90.0)), ("0:01:30.5", Some(90.5)), ("1:60", None), ("-1", None)]
        {
            assert_eq!(moment(text).ok().map(|m| m.as_secs_f64()), seconds, "{text}");
        }
    }
}
