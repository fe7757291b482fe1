//! What evaluations are written to: reports, predictions, pictures; and what stands in each report beside the figures.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use demeanor::simd::Isa;
use demeanor_train::predictions::{self, Answers, Groups, Predictions};
use demeanor_train::report::tree::{ModelSource, Report, Source};
use demeanor_train::report::{build, html, markdown};
use demeanor_train::seen::{Overlap, TrainingFiles};

use crate::claim::{Claims, OverwriteArgs};
use crate::terminal;
use crate::write::write_whole;

/// What an evaluation is written to, and what it is compared with.
#[derive(Debug, clap::Args)]
pub(super) struct Outputs {
    /// Write a whole report into this folder: report.html, report.md and report.json with intervals, tests, charts, groups
    /// and mistakes, and predictions.csv, from which every figure can be computed again
    #[arg(long, value_name = "DIR")]
    pub(super) report: Option<PathBuf>,
    /// Write what was said of each example as a table: file, speaker and what else is known, label, answer, scores
    #[arg(long, value_name = "FILE.csv")]
    pub(super) predictions: Option<PathBuf>,
    /// Groups of files, as a table path,group (other columns are groupings too), for the report and the predictions
    #[arg(long, value_name = "FILE.csv")]
    pub(super) groups: Option<PathBuf>,
    /// Another program's answers for the same files, as a table path,predicted: beside ours in the report, with McNemar's
    /// test; may be given several times
    #[arg(long, value_name = "FILE.csv", requires = "report")]
    pub(super) against: Vec<PathBuf>,
    /// Read the files spoilt in many ways too (blur, low light, noise, rotation, covered parts; noise, hum, wind, rooms,
    /// telephone, clipping, MP3), for the report: 28 times as long for faces, 36 times for speech
    #[arg(long, requires = "report")]
    pub(super) robust: bool,
    /// Go on where the model was trained on some of the files, and give the figures with and without them
    #[arg(long)]
    pub(super) allow_seen: bool,
}

impl Outputs {
    /// Adds the groups of a table to the attributes of predictions.
    pub(super) fn add_groups(&self, read: &mut Predictions) -> anyhow::Result<()> {
        let Some(path) = &self.groups else { return Ok(()) };
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let groups = Groups::read(file).with_context(|| path.display().to_string())?;
        let found = groups.add(read);
        if found < read.rows.len() {
            let all = read.rows.len();
            terminal::warn(format_args!("{} has groups for {found} of the {all} files", path.display()));
        }
        Ok(())
    }

    /// Writes the table of predictions, where one is asked for.
    pub(super) fn table(&self, read: &Predictions, overwrite: OverwriteArgs) -> anyhow::Result<()> {
        let Some(path) = &self.predictions else { return Ok(()) };
        write_whole(path, overwrite.overwrite, |file| read.write_csv(file).map_err(std::io::Error::other))
    }

    /// What a report says beside the figures.
    pub(super) fn context(
        &self,
        models: Vec<ModelSource>,
        overlap: Overlap,
        tested: usize,
    ) -> anyhow::Result<build::Context> {
        let mut against = Vec::with_capacity(self.against.len());
        for path in &self.against {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let answers = Answers::read(file).with_context(|| path.display().to_string())?;
            against.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), answers));
        }
        let said = overlap.describe(tested);
        let warnings = if overlap.seen > 0 { vec![said.clone()] } else { Vec::new() };
        let source = Source {
            command: command(),
            program: format!("demeanor {}", env!("CARGO_PKG_VERSION")),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            instruction_set: instruction_set(),
            models,
            ..Source::default()
        };
        Ok(build::Context { source, leaks: vec![said], warnings, against, ..build::Context::default() })
    }
}

/// The command as it was given, in a form that a shell reads.
fn command() -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("demeanor".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The instruction set of all kernels in this run, and what else the processor has.
fn instruction_set() -> String {
    let active = Isa::active();
    let others: Vec<&str> = Isa::available().filter(|isa| *isa != active).map(Isa::name).collect();
    if others.is_empty() { active.name().to_owned() } else { format!("{} (of {})", active.name(), others.join(", ")) }
}

/// The training files in the metrics beside a model file, or in those of the built-in model of that name.
pub(super) fn metrics_of(model: &Path) -> Option<TrainingFiles> {
    let built_in = model.to_str().and_then(demeanor_models::named).filter(|_| !model.exists());
    match built_in {
        Some(model) => TrainingFiles::of_metrics(model.metrics),
        None => TrainingFiles::of_metrics(&std::fs::read_to_string(model.with_file_name("metrics.json")).ok()?),
    }
}

/// Marks what was trained on; stops where something was, unless that is allowed.
pub(super) fn overlap(read: &mut Predictions, files: &[Option<TrainingFiles>], allow: bool) -> anyhow::Result<Overlap> {
    let found = Overlap::mark(read, files);
    if found.seen > 0 && !allow {
        let first = read.rows.iter().find(|row| row.attribute(predictions::SEEN) == Some("yes"));
        bail!(
            "{} of the {} files were trained on, such as {}: figures of them say nothing of others; take them out of the \
             set, or see the figures with and without them by --allow-seen",
            found.seen,
            read.rows.len(),
            first.map_or("", |row| &row.path)
        );
    }
    Ok(found)
}

/// The files of a report.
const REPORT: [&str; 4] = ["report.html", "report.md", "report.json", "predictions.csv"];

/// Writes a report into a folder, in all its forms.
pub(super) fn write_report(
    folder: &Path,
    report: &Report,
    read: &Predictions,
    OverwriteArgs { overwrite, .. }: OverwriteArgs,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let [html, markdown, json, table] = REPORT.map(|name| folder.join(name));
    write_whole(&html, overwrite, |file| file.write_all(html::html(report).as_bytes()))?;
    write_whole(&markdown, overwrite, |file| file.write_all(markdown::markdown(report).as_bytes()))?;
    write_whole(&json, overwrite, |file| report.write_json(file).map_err(std::io::Error::other))?;
    write_whole(&table, overwrite, |file| read.write_csv(file).map_err(std::io::Error::other))?;
    terminal::note(format_args!("wrote {}", html.display()));
    Ok(())
}

/// Claims what is read and written, before the long work.
pub(super) fn claim(
    overwrite: OverwriteArgs,
    data: &[PathBuf],
    model: Option<&Path>,
    plot: Option<&Path>,
    outputs: &Outputs,
) -> anyhow::Result<()> {
    let mut claims = Claims::new(overwrite);
    let tables = outputs.groups.iter().chain(&outputs.against).map(PathBuf::as_path);
    for path in data.iter().map(PathBuf::as_path).chain(model).chain(tables) {
        claims.reads(path);
    }
    claims.writes(Path::new("-"))?;
    let report = outputs.report.iter().flat_map(|folder| REPORT.map(|name| folder.join(name)));
    for path in plot.map(Path::to_path_buf).into_iter().chain(outputs.predictions.clone()).chain(report) {
        claims.writes(&path)?;
    }
    Ok(())
}

pub(super) fn plot(path: Option<&Path>, overwrite: OverwriteArgs, svg: impl FnOnce() -> String) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    crate::write::write_whole(path, overwrite.overwrite, |file| file.write_all(svg().as_bytes()))
}
