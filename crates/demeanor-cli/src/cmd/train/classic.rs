//! `demeanor train` with the recipe of an old baseline: hand-made features and a linear SVM.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use demeanor_train::classic::{self, ClassicMetrics, ClassicModel, ClassicRecipe, Examples};
use demeanor_train::data::Split;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use demeanor_train::produce::{METRICS, MODEL, RECIPE};
use demeanor_train::seen::TrainingFiles;
use serde_json::json;

use super::{Common, FaceArgs, SpeechArgs};
use crate::claim::Claims;
use crate::terminal::{Outcome, note};

/// The recipe, where it is one of a baseline.
pub(super) fn recipe(args: &Common) -> Result<Option<(ClassicRecipe, String)>> {
    let text = args.recipe_text()?;
    let recipe = ClassicRecipe::parse(&text).with_context(|| args.recipe.display().to_string())?;
    let Some(recipe) = recipe else { return Ok(None) };
    let unused = [
        (args.resume, "--resume"),
        (args.search, "--search"),
        (args.epochs.is_some(), "--epochs"),
        (args.seeds.is_some(), "--seeds"),
        (!args.teachers.is_empty(), "--teachers"),
        (!args.from.is_empty(), "--from"),
    ];
    for (given, option) in unused {
        ensure!(!given, "{option} is for networks; {} is a baseline", recipe.name);
    }
    if let Some(threads) = args.threads {
        ensure!(threads >= 1, "--threads is 0; expected 1 or more");
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("threads cannot be started")?;
    }
    Ok(Some((recipe, text)))
}

pub(super) fn face((recipe, text): &(ClassicRecipe, String), args: &FaceArgs) -> Result<Outcome> {
    ensure!(recipe.is_for_faces(), "{} is for recordings: use `demeanor train speech`", recipe.name);
    let out = &args.common.out;
    claim(&args.common, std::slice::from_ref(&args.data), std::slice::from_ref(out))?;
    let mut set = FaceSet::load(&args.data, &LoadOptions { votes: args.votes.clone(), ..LoadOptions::default() })?;
    set.notes.iter().for_each(note);
    set.mark_twins()?;
    let train = classic::faces(recipe, &set, Split::Train)?;
    let validation = classic::faces(recipe, &set, Split::Validation)?;
    let files = set.clean_indices(Split::Train).into_iter().map(|i| set.pictures[i].hash());
    one(recipe, text, &train, &validation, TrainingFiles::new(files), &args.common, out, 0)?;
    Ok(Outcome::Read)
}

pub(super) fn speech((recipe, text): &(ClassicRecipe, String), args: &SpeechArgs) -> Result<Outcome> {
    ensure!(!recipe.is_for_faces(), "{} is for pictures: use `demeanor train face`", recipe.name);
    ensure!(!args.all, "--all is for networks; {} is a baseline", recipe.name);
    let set = SpeechSet::load_all(&args.data)?;
    set.notes.iter().for_each(note);
    let runs: Vec<usize> = match args.run {
        Some(run) => vec![run],
        None => (0..args.protocol.runs(&set)?).collect(),
    };
    let out = &args.common.out;
    let folder = |run: usize| if args.run.is_some() { out.clone() } else { out.join(args.protocol.run_name(run)) };
    let folders: Vec<PathBuf> = runs.iter().map(|&run| folder(run)).collect();
    claim(&args.common, &args.data, &folders)?;
    for run in runs {
        let fold = set.fold(args.protocol, run)?;
        let train = classic::voices(recipe, &set, &fold.train)?;
        let validation = classic::voices(recipe, &set, &fold.validation)?;
        let files = TrainingFiles::new(fold.train.iter().map(|&i| set.clips[i].hash));
        one(recipe, text, &train, &validation, files, &args.common, &folder(run), run)?;
    }
    Ok(Outcome::Read)
}

/// Sees to it that nothing that is read is written over, nor an earlier model unasked.
fn claim(args: &Common, data: &[PathBuf], folders: &[PathBuf]) -> Result<()> {
    let mut claims = Claims::new(args.overwrite);
    data.iter().chain([&args.recipe]).for_each(|path| claims.reads(path));
    for folder in folders {
        for name in [MODEL, METRICS, RECIPE] {
            claims.writes(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Trains one and writes its folder.
#[allow(clippy::too_many_arguments)]
fn one(
    recipe: &ClassicRecipe,
    text: &str,
    train: &Examples,
    validation: &Examples,
    training_files: TrainingFiles,
    args: &Common,
    out: &Path,
    run: usize,
) -> Result<()> {
    let seed = args.seed.unwrap_or(0) + run as u64;
    let (model, found) = ClassicModel::train(recipe, train, validation, seed)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let training = [
        ("seed", json!(seed)),
        ("examples", json!(train.classes.len())),
        ("strength", json!(model.strength)),
        ("temperature", json!(model.temperature)),
    ];
    let line = format!(
        "wrote {}: strength {}, validation accuracy {:.2} %, UAR {:.2} %, calibration error {:.3}",
        out.join(MODEL).display(),
        model.strength,
        100.0 * found.accuracy,
        100.0 * found.balanced_accuracy,
        found.ece
    );
    let metrics = ClassicMetrics {
        model: recipe.name.clone(),
        training: training.map(|(name, value)| (name.to_owned(), value)).into(),
        validation: found,
        training_files,
    };
    let metrics = serde_json::to_string_pretty(&metrics)? + "\n";
    let bytes = model.to_bytes()?;
    for (name, bytes) in [(MODEL, bytes.as_slice()), (METRICS, metrics.as_bytes()), (RECIPE, text.as_bytes())] {
        crate::write::write_whole(&out.join(name), args.overwrite.overwrite, |file| file.write_all(bytes))?;
    }
    note(line);
    Ok(())
}
