//! `demeanor model`: what models there are, what they hold, whether they are whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use demeanor::face::detect::BlazeFaceModel;
use demeanor::face::view::View;
use demeanor::model::{Header, InputRecipe, Tensors};
use demeanor_models::BuiltIn;
use serde_json::{Value, json};

use crate::model::named_bytes;
use crate::terminal::{self, Outcome};

/// Lists, shows and verifies models
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the built-in models
    List {
        /// One JSON object per model
        #[arg(long)]
        json: bool,
    },
    /// Shows what a model is: recipe, labels, network, calibration, licence, card
    Show {
        /// A built-in model's name, or a model file
        #[arg(value_name = "NAME|FILE")]
        model: PathBuf,
        /// One JSON object, the header of the file
        #[arg(long)]
        json: bool,
    },
    /// Writes the card of a model's folder from about.toml (words), metrics.json and report.json (figures)
    #[cfg(feature = "train")]
    Card {
        /// The folder: model.safetensors, about.toml, metrics.json and perhaps report.json, as `eval --report` writes it
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
        /// Write nothing: say whether each card is what the files give (an error where it is not)
        #[arg(long)]
        check: bool,
    },
    /// Checks that models are whole and unaltered: all built-in ones when none is named
    Verify {
        /// Built-in models' names, or model files
        #[arg(value_name = "NAME|FILE")]
        models: Vec<PathBuf>,
    },
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Command::List { json } => list(json),
        Command::Show { model, json } => show(&model, json),
        #[cfg(feature = "train")]
        Command::Card { folders, check } => card(&folders, check),
        Command::Verify { models } => verify(models),
    }
}

fn list(json: bool) -> anyhow::Result<Outcome> {
    let mut out = terminal::out();
    for model in demeanor_models::all() {
        let (header, _) = demeanor::model::read(model.bytes).with_context(|| format!("the built-in {}", model.name))?;
        let metrics = metrics(model);
        // of a held-out split, or the mean over folds of held-out speakers
        let accuracy = metrics["test"]["accuracy"].as_f64().or(metrics["speaker"]["accuracy"]["mean"].as_f64());
        if json {
            let line = json!({
                "name": model.name, "sense": model.sense.name(), "bytes": model.bytes.len(), "labels": header.labels,
                "licence": header.licence, "accuracy": accuracy,
            });
            writeln!(out, "{line}")?;
        } else {
            let accuracy = accuracy.map_or(String::new(), |a| format!("accuracy {:.1} %", 100.0 * a));
            writeln!(
                out,
                "{:<16} {:<7} {:>5.1} MB  {:>2} emotions  {accuracy:<16}  {}",
                model.name,
                model.sense.name(),
                model.bytes.len() as f64 / 1e6,
                header.labels.len(),
                header.licence,
            )?;
        }
    }
    if let Some(model) = demeanor_models::detector() {
        let header = BlazeFaceModel::load(model.bytes)?.header().clone();
        if json {
            let line = json!({
                "name": model.name, "sense": "face detector", "bytes": model.bytes.len(), "labels": [],
                "licence": header.licence, "accuracy": null,
            });
            writeln!(out, "{line}")?;
        } else {
            let (name, size) = (model.name, model.bytes.len() as f64 / 1e6);
            writeln!(out, "{name:<16} finds   {size:>5.1} MB  faces                         {}", header.licence)?;
        }
    }
    out.flush()?;
    if demeanor_models::all().is_empty() {
        terminal::note("no model is built in; build with --features face or --features speech");
    }
    Ok(Outcome::Read)
}

/// Writes or checks cards; a folder that is wrong does not hide the others.
#[cfg(feature = "train")]
fn card(folders: &[PathBuf], check: bool) -> anyhow::Result<Outcome> {
    let mut wrong = 0;
    for folder in folders {
        let path = folder.join(demeanor_train::card::CARD);
        let done = demeanor_train::card::of_folder(folder).map_err(anyhow::Error::from).and_then(|card| {
            if std::fs::read_to_string(&path).is_ok_and(|written| written == card) {
                terminal::note(format_args!("{} is what the metrics give", path.display()));
                return Ok(());
            }
            if check {
                anyhow::bail!(
                    "{} is not what its metrics give: run demeanor model card {}",
                    path.display(),
                    folder.display()
                );
            }
            crate::write::write_whole(&path, true, |file| file.write_all(card.as_bytes()))?;
            terminal::note(format_args!("wrote {}", path.display()));
            Ok(())
        });
        if let Err(error) = done {
            wrong += 1;
            terminal::warn(format_args!("{error:#}"));
        }
    }
    anyhow::ensure!(wrong == 0, "{wrong} of {} cards", folders.len());
    Ok(Outcome::Read)
}

fn metrics(model: &BuiltIn) -> Value {
    serde_json::from_str(model.metrics).unwrap_or_default()
}

fn read(path: &Path) -> anyhow::Result<(Header, Tensors, usize)> {
    let bytes = named_bytes(path)?;
    let (header, tensors) = demeanor::model::read(&bytes).with_context(|| path.display().to_string())?;
    Ok((header, tensors, bytes.len()))
}

fn show(path: &Path, json: bool) -> anyhow::Result<Outcome> {
    if let Ok(model) = BlazeFaceModel::load(&named_bytes(path)?) {
        return show_detector(&model, json);
    }
    let (header, tensors, bytes) = read(path)?;
    let mut out = terminal::out();
    if json {
        serde_json::to_writer(&mut out, &header)?;
        writeln!(out)?;
        out.flush()?;
        return Ok(Outcome::Read);
    }
    let numbers: usize = tensors.iter().map(|(_, t)| t.shape().iter().product::<usize>()).sum();
    let labels: Vec<_> = header.labels.iter().map(|l| l.name()).collect();
    writeln!(out, "name         {}", header.name)?;
    writeln!(out, "format       {}", header.format)?;
    writeln!(out, "size         {:.1} MB, {numbers} weights", bytes as f64 / 1e6)?;
    writeln!(out, "labels       {}", labels.join(" "))?;
    match &header.input {
        InputRecipe::Face(recipe) => {
            let scaling = serde_json::to_value(recipe.scaling)?;
            writeln!(
                out,
                "input        face, {size} x {size} grey, scaling {}, margin {}{}",
                scaling.as_str().unwrap_or_default(),
                recipe.margin,
                views(&header.views),
                size = recipe.size,
            )?;
        }
        InputRecipe::Speech(recipe) => {
            writeln!(
                out,
                "input        speech, {} Hz, at most {} frames of {} samples every {}, {}",
                recipe.rate.0,
                recipe.max_frames,
                recipe.frame,
                recipe.hop,
                serde_json::to_string(&recipe.features)?,
            )?;
        }
    }
    writeln!(out, "temperature  {}", header.temperature)?;
    if !header.prior.is_empty() {
        let biases: Vec<_> = header.labels.iter().zip(&header.prior).map(|(l, b)| format!("{l} {b:+.3}")).collect();
        writeln!(out, "prior        {}", biases.join(", "))?;
    }
    writeln!(out, "licence      {}", header.licence)?;
    writeln!(out, "sha256       {}", header.sha256)?;
    writeln!(out, "network")?;
    for (index, layer) in header.network.iter().enumerate() {
        writeln!(out, "  {index:>2}  {}", serde_json::to_string(layer)?)?;
    }
    if let Some(model) = demeanor_models::named(&header.name) {
        writeln!(out, "\n{}", model.card.trim_end())?;
    }
    out.flush()?;
    Ok(Outcome::Read)
}

/// What a model that finds faces is.
fn show_detector(model: &BlazeFaceModel, json: bool) -> anyhow::Result<Outcome> {
    let mut out = terminal::out();
    let header = model.header();
    if json {
        serde_json::to_writer(&mut out, header)?;
        writeln!(out)?;
        out.flush()?;
        return Ok(Outcome::Read);
    }
    writeln!(out, "name         {}", header.name)?;
    writeln!(out, "format       {}", header.format)?;
    writeln!(out, "finds        faces, in pictures of {size} x {size} and larger", size = header.layout.size)?;
    writeln!(out, "licence      {}", header.licence)?;
    writeln!(out, "source       {}", header.source)?;
    writeln!(out, "sha256       {}", header.sha256)?;
    if let Some(built_in) = demeanor_models::detector().filter(|built_in| built_in.name == header.name) {
        writeln!(out, "\n{}\n\n{}", built_in.card.trim_end(), built_in.notice.trim_end())?;
    }
    out.flush()?;
    Ok(Outcome::Read)
}

/// The views of a face in words; nothing where there is the face as it is alone.
fn views(views: &[View]) -> String {
    if View::are_only(views) {
        return String::new();
    }
    let one = |view: &View| match (view.part, view.mirror) {
        (1.0, false) => "the whole".to_owned(),
        (1.0, true) => "the mirror image".to_owned(),
        (part, false) => format!("the middle {:.0} %", 100.0 * part),
        (part, true) => format!("the mirror image of the middle {:.0} %", 100.0 * part),
    };
    format!("; seen as {}", views.iter().map(one).collect::<Vec<_>>().join(" and "))
}

fn verify(mut models: Vec<PathBuf>) -> anyhow::Result<Outcome> {
    if models.is_empty() {
        models = demeanor_models::all().iter().map(|m| PathBuf::from(m.name)).collect();
        models.extend(demeanor_models::detector().map(|m| PathBuf::from(m.name)));
    }
    let mut outcome = Outcome::Read;
    let mut out = terminal::out();
    for path in models {
        let detector = named_bytes(&path).ok().and_then(|bytes| BlazeFaceModel::load(&bytes).ok());
        let whole = match &detector {
            Some(model) => Ok((model.header().name.clone(), model.header().sha256.clone())),
            None => read(&path).map(|(header, ..)| (header.name, header.sha256)),
        };
        match whole {
            Ok((name, sha256)) => writeln!(out, "{}: whole, {name}, sha256 {sha256}", path.display())?,
            Err(error) => {
                out.flush()?;
                terminal::problem(terminal::whole(&error));
                outcome = Outcome::Failed;
            }
        }
    }
    out.flush()?;
    Ok(outcome)
}
