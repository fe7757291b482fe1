//! `demeanor eval`: what a model is worth on labelled data.

mod outputs;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::Subcommand;
use demeanor::fuse::FuseSettings;
use demeanor::nn::Precision;
use demeanor_models::Sense;
use demeanor_train::augment::speech::Noise;
use demeanor_train::data::Split;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use demeanor_train::data::splits::{Protocol, RUNS};
use demeanor_train::evaluate::{self, Conditions, FaceReport, NoiseTest, SpeechReport};
use demeanor_train::measured::Identity;
use demeanor_train::report::build;
use demeanor_train::report::tree::ModelSource;
use demeanor_train::robust::{FaceEdit, SpeechEdit, Spoilt};
use demeanor_train::{report, together};
use serde::Serialize;

use self::outputs::{Outputs, claim, metrics_of, overlap, plot, write_report};
use crate::claim::OverwriteArgs;
use crate::model;
use crate::terminal::{self, Outcome};

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

/// Measures a face model on a split of pictures, with and without twins
///
/// With --json one object: {"model", "split", "samples", "accuracy", "balanced_accuracy", "macro_f1", "ece",
/// "per_class": [{"emotion", "precision", "recall", "f1", "support"}], "confusion", "clean": {...}}. Rows of "confusion"
/// are true emotions, columns read ones, in the order of "per_class"; "ece" is the calibration error over 15 bins; "clean"
/// has the same fields without the pictures that have a twin in train (the same photograph, perhaps mirrored or edited).
#[derive(Debug, clap::Args)]
struct Face {
    /// fer2013.csv, icml_face_data.csv, a folder SPLIT/EMOTION/*.png or EMOTION/*.png, a table path,emotion, or a folder with
    /// the file names of JAFFE, KDEF, CK+, FACES, RaFD, NimStim, CFD or RAF-DB
    #[arg(value_name = "DIR|FILE")]
    data: PathBuf,
    /// The split: train, validation or test; or all, for a set that the model was not trained on
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    split: Portion,
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

/// The pictures that are read: those of a split, or all.
#[derive(Debug, Clone, Copy)]
struct Portion(Option<Split>);

impl FromStr for Portion {
    type Err = demeanor::Error;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if word.eq_ignore_ascii_case("all") { Ok(Portion(None)) } else { word.parse().map(|s| Portion(Some(s))) }
    }
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
    let header = Identity::of_face(&bytes).with_context(|| match &args.model {
        Some(path) => format!("cannot use the model {}", path.display()),
        None => "cannot use the built-in face model".to_owned(),
    })?;
    let options = LoadOptions { votes: args.votes, ..LoadOptions::default() };
    let mut set = FaceSet::load(&args.data, &options)?;
    for note in &set.notes {
        terminal::warn(note);
    }
    let split = args.split.0;
    if split.is_some() {
        set.mark_twins()?;
    }
    let mut read = evaluate::face_predictions(&bytes, args.precision, &set, split, split.is_some())?;
    let metrics = metrics_of(args.model.as_deref().unwrap_or(Path::new(&header.name)));
    // 288 pictures of FER-2013's test split are in its training split too: every figure of it has them, and the one without
    // near-duplicates stands beside it
    let allow = args.outputs.allow_seen || set.is_fer2013() || split == Some(Split::Train);
    let overlap = overlap(&mut read, &[metrics], allow)?;
    args.outputs.add_groups(&mut read)?;
    args.outputs.table(&read, args.overwrite)?;
    let found = FaceReport::of(&header.name, split, &read, overlap)?;
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
            let spoilt = edit.apply(&set, split)?;
            let found = evaluate::face_predictions(&bytes, args.precision, &spoilt, split, false)?;
            context.robustness.push(Spoilt { kind: kind.to_owned(), level, strength: edit.strength(), found });
        }
        write_report(folder, &build::faces(&header.name, split, &read, &context)?, &read, args.overwrite)?;
    }
    let labels: Vec<_> = found.metrics.per_class.iter().map(|c| c.emotion).collect();
    let title = format!("{}, {}", found.model, report::pictures(&found.split));
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
    let headers = models.iter().map(|m| Identity::of_voice(m)).collect::<Result<Vec<_>, _>>()?;
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
            if let Err(error) = edit.check() {
                let why = format!("{kind} at {level}: {error}");
                terminal::warn(format_args!("not run: {why}"));
                context.not_run.push(why);
                continue;
            }
            let found = evaluate::speech_spoilt(&models, &set, protocol, &conditions, edit)?;
            context.robustness.push(Spoilt { kind, level, strength: edit.strength(), found });
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
