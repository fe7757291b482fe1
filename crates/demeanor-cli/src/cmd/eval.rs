//! `demeanor eval`: what a model is worth on labelled data.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use demeanor::fuse::FuseSettings;
use demeanor::nn::Precision;
use demeanor::simd::Isa;
use demeanor_models::Sense;
use demeanor_train::augment::speech::Noise;
use demeanor_train::data::Split;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use demeanor_train::data::splits::{Protocol, RUNS};
use demeanor_train::evaluate::{self, Conditions, FaceReport, NoiseTest, SpeechReport};
use demeanor_train::predictions::{self, Answers, Groups, Predictions};
use demeanor_train::report::build::Spoilt;
use demeanor_train::report::tree::{ModelSource, Report, Source};
use demeanor_train::report::{build, html, markdown};
use demeanor_train::robust::{FaceEdit, SpeechEdit};
use demeanor_train::seen::{Overlap, TrainingFiles};
use demeanor_train::{report, together};
use serde::Serialize;

use crate::claim::{Claims, OverwriteArgs};
use crate::model;
use crate::terminal::{self, Outcome};
use crate::write::write_whole;

/// Measures a model on labelled data
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Face(Face),
    Speech(Speech),
    Fusion(Fusion),
    Baseline(Baseline),
}

/// What an evaluation is written to, and what it is compared with.
#[derive(Debug, clap::Args)]
struct Outputs {
    /// Write a whole report into this folder: report.html, report.md and report.json with intervals, tests, charts, groups
    /// and mistakes, and predictions.csv, from which every figure can be computed again
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write what was said of each example as a table: file, speaker and what else is known, label, answer, scores
    #[arg(long, value_name = "FILE.csv")]
    predictions: Option<PathBuf>,
    /// Groups of files, as a table path,group (other columns are groupings too), for the report and the predictions
    #[arg(long, value_name = "FILE.csv")]
    groups: Option<PathBuf>,
    /// Another program's answers for the same files, as a table path,predicted: beside ours in the report, with McNemar's
    /// test
    #[arg(long, value_name = "FILE.csv", requires = "report")]
    against: Option<PathBuf>,
    /// Read the files spoilt in many ways too (blur, low light, noise, rotation, covered parts; noise, hum, wind, rooms,
    /// telephone, clipping), for the report: 27 times as long for faces, 34 times for speech
    #[arg(long, requires = "report")]
    robust: bool,
    /// Go on where the model was trained on some of the files, and give the figures with and without them
    #[arg(long)]
    allow_seen: bool,
}

/// Measures a face model on a split of pictures, with and without twins
///
/// With --json one object: {"model", "split", "samples", "accuracy", "balanced_accuracy", "macro_f1", "ece",
/// "per_class": [{"emotion", "precision", "recall", "f1", "support"}], "confusion", "clean": {...}}. Rows of "confusion"
/// are true emotions, columns read ones, in the order of "per_class"; "ece" is the calibration error over 15 bins; "clean"
/// has the same fields without the pictures that have a twin in train (the same photograph, perhaps mirrored or edited).
#[derive(Debug, clap::Args)]
struct Face {
    /// fer2013.csv, icml_face_data.csv, or a folder SPLIT/EMOTION/*.png
    #[arg(value_name = "DIR|FILE")]
    data: PathBuf,
    /// The split: train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// A model file, or the name of a built-in model [default: the newest built-in face model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How the network multiplies: single (precision), or fast: rounded as in training, where the processor has matrix tiles
    #[arg(long, value_name = "PRECISION", default_value = "fast")]
    precision: Precision,
    /// A table of FER+ votes [default: fer2013plus.csv beside the set, if it is there]
    #[arg(long, value_name = "FILE")]
    votes: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    /// Write the confusion matrix as a picture too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// The models of the runs of the newest built-in speech model, seen from the root of the project.
const SPEECH_RUNS: &str = "crates/demeanor-models/speech-v2";

/// Measures speech models on recordings, over the runs of a protocol
///
/// Each run has a model of its own, which was not trained on the clips that it is tested with. With --json one object:
/// {"model", "protocol", "runs", "samples", "accuracy": {"mean", "sd"}, "uar": {"mean", "sd"}, "macro_f1": {"mean", "sd"},
/// "ece", "per_class": [{"emotion", "precision", "recall", "f1", "support"}], "confusion"}, and "noise" and "first_s" where
/// they are asked for.
#[derive(Debug, clap::Args)]
struct Speech {
    /// Folders of recordings, or tables of them
    #[arg(value_name = "DIR|FILE", required = true)]
    data: Vec<PathBuf>,
    /// speaker: whole speakers held out, five folds; random: the paper's random fifth of the clips; emobox: the six folds of
    /// EmoBox; sentence: sentences held out; corpus: one of several corpora held out
    #[arg(long, default_value = "speaker")]
    protocol: Protocol,
    /// The models of the runs: BASE/fold0/model.safetensors or BASE-fold0.safetensors and so on (random0 for the random
    /// protocol); or one model file, which reads every clip and must not have been trained on any
    #[arg(long, visible_alias = "models", value_name = "BASE|FILE", default_value = SPEECH_RUNS)]
    model: PathBuf,
    /// Add noise to each clip, so many dB under it
    #[arg(long, value_name = "SNR_DB", allow_negative_numbers = true, value_parser = decibels)]
    noise: Option<f32>,
    /// The kind of noise: white, pink, brown, babble (other voices of the run's training clips) or music
    #[arg(long, value_name = "KIND", default_value = "white", requires = "noise")]
    noise_kind: Noise,
    /// Read only so many seconds of each clip, from where the voice begins
    #[arg(long, value_name = "SECONDS", value_parser = beginning)]
    first: Option<f32>,
    #[command(flatten)]
    outputs: Outputs,
    /// Write the confusion matrix as a picture too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Measures fusion on synthetic pairs: clips of held-out speakers with pictures of the same label
///
/// No recordings of faces and voices together are read: the pairs are synthetic, their senses err independently, and the
/// figure is an upper bound of what fusion gives in use. With --json one object: {"pairs": "synthetic pairs",
/// "face_model", "speech_model", "split", "seed", "face", "speech", "fused"}, the last three as in `eval speech`.
#[derive(Debug, clap::Args)]
struct Fusion {
    /// Pictures: fer2013.csv, icml_face_data.csv, or a folder SPLIT/EMOTION/*.png
    #[arg(value_name = "PICTURES")]
    pictures: PathBuf,
    /// Recordings: a folder of RAVDESS, or a table with speakers
    #[arg(value_name = "RECORDINGS")]
    recordings: PathBuf,
    /// The split that pictures are drawn from: validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// A face model file, or the name of a built-in model [default: the newest built-in face model]
    #[arg(long, value_name = "FILE")]
    face_model: Option<PathBuf>,
    /// The speech models of the five speaker folds, as in `eval speech`
    #[arg(long, visible_alias = "models", value_name = "BASE", default_value = SPEECH_RUNS)]
    speech_models: PathBuf,
    /// Seed of the pairing
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Measures what a speaker's own baseline is worth, with speakers held out
///
/// Some clips of each held-out speaker make a baseline (neutral and calm ones, or any); the scores of the other clips are
/// corrected by it. With --json one object: {"model", "seed", "strength", "rows": [{"of", "clips", "seconds", "without",
/// "with", "gain"}]}, the last three as {"mean", "sd"} of the unweighted average recall over the folds.
#[derive(Debug, clap::Args)]
struct Baseline {
    /// A folder of RAVDESS, or a table with speakers
    #[arg(value_name = "RECORDINGS")]
    recordings: PathBuf,
    /// The speech models of the five speaker folds, as in `eval speech`
    #[arg(long, visible_alias = "models", value_name = "BASE", default_value = SPEECH_RUNS)]
    model: PathBuf,
    /// How strongly scores are corrected, 0 to 1
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = part)]
    strength: f32,
    /// Seed of the choice of clips
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

fn part(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn beginning(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.05..=600.0).contains(&value) => Ok(value),
        _ => Err("expected a number of seconds from 0.05 to 600".to_owned()),
    }
}

fn decibels(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (-60.0..=120.0).contains(&value) => Ok(value),
        _ => Err("expected a number from -60 to 120".to_owned()),
    }
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Face(args) => face(args),
        Command::Speech(args) => speech(args),
        Command::Fusion(args) => fusion(args),
        Command::Baseline(args) => baseline(args),
    }
}

fn face(args: Face) -> anyhow::Result<Outcome> {
    let data = std::slice::from_ref(&args.data);
    claim(args.overwrite, data, args.model.as_deref(), args.plot.as_deref(), &args.outputs)?;
    // the model first: loading the pictures takes longer
    let bytes = model::bytes(args.model.as_deref(), Sense::Face)?;
    let header = model::face(args.model.as_deref())?.header().clone();
    let options = LoadOptions { votes: args.votes, ..LoadOptions::default() };
    let mut set = FaceSet::load(&args.data, &options)?;
    for note in &set.notes {
        terminal::warn(note);
    }
    set.mark_twins()?;
    let mut read = evaluate::face_predictions(&bytes, args.precision, &set, args.split, true)?;
    let metrics = metrics_of(args.model.as_deref().unwrap_or(Path::new(&header.name)));
    // 288 pictures of FER-2013's test split are in its training split too: every figure of it has them, and the one without
    // near-duplicates stands beside it
    let allow = args.outputs.allow_seen || set.is_fer2013() || args.split == Split::Train;
    let overlap = overlap(&mut read, &[metrics], allow)?;
    args.outputs.add_groups(&mut read)?;
    args.outputs.table(&read, args.overwrite)?;
    let found = FaceReport::of(&header.name, args.split, &read, overlap)?;
    if let Some(folder) = &args.outputs.report {
        let model = ModelSource {
            name: header.name.clone(),
            sha256: header.sha256.clone(),
            path: args.model.as_ref().map_or_else(|| "built in".to_owned(), |p| p.display().to_string()),
        };
        let mut context = args.outputs.context(vec![model], overlap, read.rows.len())?;
        context.source.precision = Some(format!("{:?}", args.precision).to_lowercase());
        context.source.data.push(build::data_source(args.data.display().to_string(), &read));
        for edit in FaceEdit::ALL.into_iter().filter(|_| args.outputs.robust) {
            let (kind, level) = edit.describe();
            let spoilt = edit.apply(&set, args.split)?;
            let found = evaluate::face_predictions(&bytes, args.precision, &spoilt, args.split, false)?;
            context.robustness.push(Spoilt { kind: kind.to_owned(), level, level_db: None, found });
        }
        write_report(folder, &build::faces(&header.name, args.split, &read, &context)?, &read, args.overwrite)?;
    }
    let labels: Vec<_> = found.metrics.per_class.iter().map(|c| c.emotion).collect();
    let title = format!("{}, {} split", found.model, found.split);
    let svg = || report::confusion_svg(&title, &labels, &found.metrics.confusion);
    let plotted = plot(args.plot.as_deref(), args.overwrite, svg);
    let printed = print(&found, args.json, || report::faces(&found))?;
    // a picture that cannot be written takes no figures with it
    plotted.map(|()| printed)
}

fn speech(args: Speech) -> anyhow::Result<Outcome> {
    claim(args.overwrite, &args.data, Some(&args.model), args.plot.as_deref(), &args.outputs)?;
    let single = args.model.is_file() || args.model.to_str().is_some_and(|m| demeanor_models::named(m).is_some());
    if !single {
        // the models first: loading the recordings takes longer
        evaluate::run_models(&args.model, args.protocol, 1)?;
    }
    let set = SpeechSet::load_all(&args.data)?;
    let models = if single {
        vec![model::named_bytes(&args.model)?.into_owned()]
    } else {
        evaluate::run_models(&args.model, args.protocol, args.protocol.runs(&set)?)?
    };
    let conditions = Conditions { noise: args.noise.map(|db| NoiseTest::of(args.noise_kind, db)), first_s: args.first };
    let protocol = (!single).then_some(args.protocol);
    let mut read = evaluate::speech_predictions(&models, &set, protocol, &conditions)?;
    let paths: Vec<PathBuf> = match protocol {
        None => vec![args.model.clone()],
        Some(protocol) => (0..models.len()).map(|run| evaluate::run_path(&args.model, protocol, run)).collect(),
    };
    let metrics: Vec<_> = paths.iter().map(|path| metrics_of(path)).collect();
    let overlap = overlap(&mut read, &metrics, args.outputs.allow_seen)?;
    args.outputs.add_groups(&mut read)?;
    args.outputs.table(&read, args.overwrite)?;
    let headers = models.iter().map(|m| Ok(demeanor::model::read(m)?.0)).collect::<anyhow::Result<Vec<_>>>()?;
    let name = headers.first().map_or_else(String::new, |h| h.name.clone());
    let found = SpeechReport::of(&name, protocol, &conditions, &read, overlap)?;
    if let Some(folder) = &args.outputs.report {
        let sources = headers.iter().zip(&paths).map(|(h, path)| ModelSource {
            name: h.name.clone(),
            sha256: h.sha256.clone(),
            path: path.display().to_string(),
        });
        let mut context = args.outputs.context(sources.collect(), overlap, read.rows.len())?;
        let names: Vec<_> = args.data.iter().map(|d| d.display().to_string()).collect();
        context.source.data.push(build::data_source(names.join(", "), &read));
        if let Some(noise) = &conditions.noise {
            context.source.seeds.push(("of the noise".to_owned(), noise.seed));
        }
        for edit in SpeechEdit::all().into_iter().filter(|_| args.outputs.robust) {
            let (kind, level) = edit.describe();
            let found = evaluate::speech_spoilt(&models, &set, protocol, &conditions, edit)?;
            context.robustness.push(Spoilt { kind, level, level_db: edit.level_db(), found });
        }
        // the random split stands beside held-out speakers where its models do
        let random = match protocol {
            Some(p) if p.holds_speakers_out() => {
                let models = evaluate::run_models(&args.model, Protocol::Random, RUNS).ok();
                let read =
                    |m: Vec<Vec<u8>>| evaluate::speech_predictions(&m, &set, Some(Protocol::Random), &conditions);
                models.map(read).transpose()?
            }
            _ => None,
        };
        let report = build::speech(&name, protocol, &conditions, &read, random.as_ref(), &context)?;
        write_report(folder, &report, &read, args.overwrite)?;
    }
    let labels: Vec<_> = found.metrics.per_class.iter().map(|c| c.emotion).collect();
    let title = format!("{}, {} protocol", found.model, found.protocol);
    let svg = || report::confusion_svg(&title, &labels, &found.metrics.confusion);
    let plotted = plot(args.plot.as_deref(), args.overwrite, svg);
    let printed = print(&found, args.json, || report::speech(&found))?;
    // a picture that cannot be written takes no figures with it
    plotted.map(|()| printed)
}

fn fusion(args: Fusion) -> anyhow::Result<Outcome> {
    let data = [args.pictures.clone(), args.recordings.clone()];
    claim(args.overwrite, &data, args.face_model.as_deref(), None, &args.outputs)?;
    let face = model::bytes(args.face_model.as_deref(), Sense::Face)?;
    model::face(args.face_model.as_deref())?;
    let speech = evaluate::run_models(&args.speech_models, Protocol::Speaker, RUNS)?;
    let clips = SpeechSet::load(&args.recordings)?;
    let pictures = FaceSet::load(&args.pictures, &LoadOptions::default())?;
    let settings = FuseSettings::default();
    let (found, mut said) = together::fusion(&face, &pictures, args.split, &speech, &clips, &settings, args.seed)?;
    let paths: Vec<_> =
        (0..speech.len()).map(|run| evaluate::run_path(&args.speech_models, Protocol::Speaker, run)).collect();
    let metrics: Vec<_> = paths.iter().map(|path| metrics_of(path)).collect();
    let overlap = overlap(&mut said.fused, &metrics, args.outputs.allow_seen)?;
    args.outputs.add_groups(&mut said.fused)?;
    args.outputs.table(&said.fused, args.overwrite)?;
    if let Some(folder) = &args.outputs.report {
        let mut sources = Vec::new();
        let built_in = || PathBuf::from("built in");
        let all = std::iter::once((face.as_ref(), args.face_model.clone().unwrap_or_else(built_in)))
            .chain(speech.iter().map(Vec::as_slice).zip(paths));
        for (bytes, path) in all {
            let (header, _) = demeanor::model::read(bytes)?;
            sources.push(ModelSource { name: header.name, sha256: header.sha256, path: path.display().to_string() });
        }
        let mut context = args.outputs.context(sources, overlap, said.fused.rows.len())?;
        context.source.seeds.push(("of the pairs".to_owned(), args.seed));
        let data = args.recordings.display().to_string();
        context.source.data.push(build::data_source(data, &said.fused));
        let report = build::fusion(&found.face_model, &found.speech_model, args.split, &said, &context)?;
        write_report(folder, &report, &said.fused, args.overwrite)?;
    }
    print(&found, args.json, || report::fusion(&found))
}

fn baseline(args: Baseline) -> anyhow::Result<Outcome> {
    let models = evaluate::run_models(&args.model, Protocol::Speaker, RUNS)?;
    let set = SpeechSet::load(&args.recordings)?;
    let found = together::baseline(&models, &set, args.strength, args.seed)?;
    print(&found, args.json, || report::baselines(&found))
}

fn print(found: &impl Serialize, json: bool, text: impl FnOnce() -> String) -> anyhow::Result<Outcome> {
    let mut out = terminal::out();
    if json {
        serde_json::to_writer(&mut out, found)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", text().trim_end())?;
    }
    out.flush()?;
    Ok(Outcome::Read)
}

impl Outputs {
    /// Adds the groups of a table to the attributes of predictions.
    fn add_groups(&self, read: &mut Predictions) -> anyhow::Result<()> {
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
    fn table(&self, read: &Predictions, overwrite: OverwriteArgs) -> anyhow::Result<()> {
        let Some(path) = &self.predictions else { return Ok(()) };
        write_whole(path, overwrite.overwrite, |file| read.write_csv(file).map_err(std::io::Error::other))
    }

    /// What a report says beside the figures.
    fn context(&self, models: Vec<ModelSource>, overlap: Overlap, tested: usize) -> anyhow::Result<build::Context> {
        let against = match &self.against {
            None => None,
            Some(path) => {
                let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                let answers = Answers::read(file).with_context(|| path.display().to_string())?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Some((name, answers))
            }
        };
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
        Ok(build::Context { source, leaks: vec![said], warnings, against, robustness: Vec::new() })
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
fn metrics_of(model: &Path) -> Option<TrainingFiles> {
    let built_in = model.to_str().and_then(demeanor_models::named).filter(|_| !model.exists());
    match built_in {
        Some(model) => TrainingFiles::of_metrics(model.metrics),
        None => TrainingFiles::of_metrics(&std::fs::read_to_string(model.with_file_name("metrics.json")).ok()?),
    }
}

/// Marks what was trained on; stops where something was, unless that is allowed.
fn overlap(read: &mut Predictions, files: &[Option<TrainingFiles>], allow: bool) -> anyhow::Result<Overlap> {
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
fn write_report(
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
fn claim(
    overwrite: OverwriteArgs,
    data: &[PathBuf],
    model: Option<&Path>,
    plot: Option<&Path>,
    outputs: &Outputs,
) -> anyhow::Result<()> {
    let mut claims = Claims::new(overwrite);
    let tables = [&outputs.groups, &outputs.against];
    for path in data.iter().map(PathBuf::as_path).chain(model).chain(tables.into_iter().flatten().map(PathBuf::as_path))
    {
        claims.reads(path);
    }
    claims.writes(Path::new("-"))?;
    let report = outputs.report.iter().flat_map(|folder| REPORT.map(|name| folder.join(name)));
    for path in plot.map(Path::to_path_buf).into_iter().chain(outputs.predictions.clone()).chain(report) {
        claims.writes(&path)?;
    }
    Ok(())
}

fn plot(path: Option<&Path>, overwrite: OverwriteArgs, svg: impl FnOnce() -> String) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    crate::write::write_whole(path, overwrite.overwrite, |file| file.write_all(svg().as_bytes()))
}
