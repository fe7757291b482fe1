//! `demeanor eval`: what a model is worth on labelled data.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use demeanor::fuse::FuseSettings;
use demeanor::nn::Precision;
use demeanor_models::Sense;
use demeanor_train::augment::speech::Noise;
use demeanor_train::data::Split;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use demeanor_train::data::splits::Protocol;
use demeanor_train::evaluate::{self, Conditions, NoiseTest};
use demeanor_train::{report, together};
use serde::Serialize;

use crate::claim::{Claims, OverwriteArgs};
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

/// Measures speech models on recordings, over the five runs of a protocol
///
/// Each run has a model of its own, which was not trained on the clips that it is tested with. With --json one object:
/// {"model", "protocol", "runs", "samples", "accuracy": {"mean", "sd"}, "uar": {"mean", "sd"}, "macro_f1": {"mean", "sd"},
/// "ece", "per_class": [{"emotion", "precision", "recall", "f1", "support"}], "confusion"}, and "noise" and "first_s" where
/// they are asked for.
#[derive(Debug, clap::Args)]
struct Speech {
    /// A folder of recordings, or a table of them
    #[arg(value_name = "DIR|FILE")]
    data: PathBuf,
    /// random: the paper's random fifth of the clips; speaker: whole speakers held out
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
    claim(args.overwrite, &args.data, args.model.as_deref(), args.plot.as_deref())?;
    // the model first: loading the pictures takes longer
    let bytes = model::bytes(args.model.as_deref(), Sense::Face)?;
    model::face(args.model.as_deref())?;
    let options = LoadOptions { votes: args.votes, ..LoadOptions::default() };
    let mut set = FaceSet::load(&args.data, &options)?;
    for note in &set.notes {
        terminal::warn(note);
    }
    set.mark_twins()?;
    let found = evaluate::faces(&bytes, args.precision, &set, args.split, true)?;
    let labels: Vec<_> = found.metrics.per_class.iter().map(|c| c.emotion).collect();
    let title = format!("{}, {} split", found.model, found.split);
    let svg = || report::confusion_svg(&title, &labels, &found.metrics.confusion);
    let plotted = plot(args.plot.as_deref(), args.overwrite, svg);
    let printed = print(&found, args.json, || report::faces(&found))?;
    // a picture that cannot be written takes no figures with it
    plotted.map(|()| printed)
}

fn speech(args: Speech) -> anyhow::Result<Outcome> {
    claim(args.overwrite, &args.data, Some(&args.model), args.plot.as_deref())?;
    let single = args.model.is_file() || args.model.to_str().is_some_and(|m| demeanor_models::named(m).is_some());
    let models = if single {
        vec![model::named_bytes(&args.model)?.into_owned()]
    } else {
        evaluate::run_models(&args.model, args.protocol)?
    };
    let set = SpeechSet::load(&args.data)?;
    let conditions = Conditions { noise: args.noise.map(|db| NoiseTest::of(args.noise_kind, db)), first_s: args.first };
    let found = match models.as_slice() {
        [model] => evaluate::speech_all(model, &set, &conditions)?,
        models => evaluate::speech(models, &set, args.protocol, &conditions)?,
    };
    let labels: Vec<_> = found.metrics.per_class.iter().map(|c| c.emotion).collect();
    let title = format!("{}, {} protocol", found.model, found.protocol);
    let svg = || report::confusion_svg(&title, &labels, &found.metrics.confusion);
    let plotted = plot(args.plot.as_deref(), args.overwrite, svg);
    let printed = print(&found, args.json, || report::speech(&found))?;
    // a picture that cannot be written takes no figures with it
    plotted.map(|()| printed)
}

fn fusion(args: Fusion) -> anyhow::Result<Outcome> {
    let face = model::bytes(args.face_model.as_deref(), Sense::Face)?;
    model::face(args.face_model.as_deref())?;
    let speech = evaluate::run_models(&args.speech_models, Protocol::Speaker)?;
    let clips = SpeechSet::load(&args.recordings)?;
    let pictures = FaceSet::load(&args.pictures, &LoadOptions::default())?;
    let settings = FuseSettings::default();
    let found = together::fusion(&face, &pictures, args.split, &speech, &clips, &settings, args.seed)?;
    print(&found, args.json, || report::fusion(&found))
}

fn baseline(args: Baseline) -> anyhow::Result<Outcome> {
    let models = evaluate::run_models(&args.model, Protocol::Speaker)?;
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

/// Claims what is read and written, before the long work.
fn claim(overwrite: OverwriteArgs, data: &Path, model: Option<&Path>, plot: Option<&Path>) -> anyhow::Result<()> {
    let mut claims = Claims::new(overwrite);
    claims.reads(data);
    if let Some(model) = model {
        claims.reads(model);
    }
    claims.writes(Path::new("-"))?;
    plot.map_or(Ok(()), |plot| claims.writes(plot))
}

fn plot(path: Option<&Path>, overwrite: OverwriteArgs, svg: impl FnOnce() -> String) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    crate::write::write_whole(path, overwrite.overwrite, |file| file.write_all(svg().as_bytes()))
}
