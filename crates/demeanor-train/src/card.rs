//! Model cards: words that people wrote (`about.toml`) around figures that were measured (`metrics.json` and, where there is one,
//! the report of `demeanor eval --report`, `report.json`). No figure of a card is typed by hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use demeanor::model::{self, Header, InputRecipe};
use demeanor::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::report::markdown;
use crate::report::tree::{Block, Report, Section};

/// The words of a card. Measured figures do not belong in them: they come from the files beside it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What it reads, in a sentence or two.
    pub summary: String,
    /// What it is for.
    pub intended: Vec<String>,
    /// What it must not be used for.
    pub forbidden: Vec<String>,
    /// What it learnt from.
    pub data: Vec<String>,
    /// How it was made, beside the command and the recipe.
    pub training: Vec<String>,
    /// What the data know of groups of people, where no figures by group were measured.
    pub groups: String,
    /// Where it is known to fail, or was not tested.
    pub limits: Vec<String>,
    /// What its licence asks.
    pub licence: String,
}

/// The files of a model's folder that a card is made from and written to.
const ABOUT: &str = "about.toml";
const METRICS: &str = "metrics.json";
const REPORT: &str = "report.json";
const MODEL: &str = "model.safetensors";
/// The card.
pub const CARD: &str = "card.md";

/// The card of a model's folder, from its `about.toml`, `metrics.json`, `model.safetensors` and, where there is one,
/// `report.json`.
///
/// # Errors
/// [`ErrorKind::File`] when one of them cannot be read, [`ErrorKind::Data`] when it is malformed, the model has another name
/// than its metrics or its report say, or the words hold a measured figure; those of reading model files.
pub fn of_folder(folder: &Path) -> Result<String> {
    let path = |name: &str| folder.join(name);
    let text = |name: &str| fs::read_to_string(path(name)).map_err(|e| unreadable(&path(name), e));
    let about: About = toml::from_str(&text(ABOUT)?).map_err(|e| malformed(&path(ABOUT), e))?;
    about.check().map_err(|e| malformed(&path(ABOUT), e))?;
    let metrics: Value = serde_json::from_str(&text(METRICS)?).map_err(|e| malformed(&path(METRICS), e))?;
    let bytes = fs::read(path(MODEL)).map_err(|e| unreadable(&path(MODEL), e))?;
    let report = match path(REPORT).is_file() {
        true => Some(serde_json::from_str(&text(REPORT)?).map_err(|e| malformed(&path(REPORT), e))?),
        false => None,
    };
    card(&about, &metrics, &bytes, report.as_ref())
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    Error::new(ErrorKind::File, format!("{} cannot be read: {e}", path.display())).with_source(e)
}

fn malformed(path: &Path, e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Data, format!("{}: {e}", path.display()))
}

impl About {
    /// Refuses words with a percentage or a decimal fraction: those are measured figures.
    fn check(&self) -> Result<()> {
        let lists = [&self.intended, &self.forbidden, &self.data, &self.training, &self.limits];
        for text in lists.into_iter().flatten().chain([&self.summary, &self.groups]) {
            let words =
                text.split_whitespace().map(|w| w.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '%'));
            if let Some(word) = words.clone().find(|w| w.contains('%') || w.parse::<f64>().is_ok() && w.contains('.')) {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!(
                        "\"{word}\" in \"{text}\": a measured figure belongs in {METRICS}, from which the card takes it"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The card, in Markdown.
///
/// # Errors
/// [`ErrorKind::Data`] when the model has another name than its metrics or its report say; those of reading model files.
pub fn card(about: &About, metrics: &Value, bytes: &[u8], report: Option<&Report>) -> Result<String> {
    let (header, tensors) = model::read(bytes)?;
    let of_metrics = metrics["model"].as_str().unwrap_or_default();
    let of_report = report.map(|r| r.source.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>());
    if of_metrics != header.name || of_report.is_some_and(|names| names.iter().any(|name| *name != header.name)) {
        let why = format!("the model is {}, its metrics or its report are those of another", header.name);
        return Err(Error::new(ErrorKind::Data, why));
    }
    let weights: usize = tensors.iter().map(|(_, t)| t.shape().iter().product::<usize>()).sum();
    let mut out = format!("# {}\n\n{}\n\n", header.name, about.summary.trim());
    out += "<!-- Made by `demeanor model card` from about.toml, metrics.json and report.json: edit those. -->\n\n";
    list(&mut out, "For", &about.intended);
    list(&mut out, "Not for", &about.forbidden);
    let _ = writeln!(out, "## What it is\n");
    for line in what(&header, weights, bytes.len()) {
        let _ = writeln!(out, "- {line}");
    }
    out.push('\n');
    list(&mut out, "Data", &about.data);
    training(&mut out, &about.training, metrics);
    figures(&mut out, metrics);
    section(&mut out, "Groups", report, "groups", |out| without_groups(out, about, metrics));
    section(&mut out, "Robustness", report, "robustness", |out| without_robustness(out, metrics));
    list(&mut out, "Limits", &about.limits);
    let _ = writeln!(out, "## How to get these figures\n");
    for command in [metrics["command"].as_str(), report.map(|r| r.source.command.as_str())].into_iter().flatten() {
        let _ = writeln!(out, "    {command}");
    }
    if let Some(source) = report.map(|r| &r.source) {
        let data: Vec<_> =
            source.data.iter().map(|d| format!("SHA-256 {} of {} files", d.sha256, d.examples)).collect();
        let _ = writeln!(
            out,
            "\nThe report was made by {}, {}, kernels {}; data: {}.",
            source.program,
            source.system,
            source.instruction_set,
            data.join(", ")
        );
    }
    let _ = writeln!(out, "\n## Licence\n\n{}: {}", header.licence, about.licence.trim());
    Ok(out)
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    let _ = writeln!(out, "## {title}\n");
    lines.iter().for_each(|line| {
        let _ = writeln!(out, "- {}", line.trim());
    });
    out.push('\n');
}

/// What the model file says of itself.
fn what(header: &Header, weights: usize, bytes: usize) -> Vec<String> {
    let labels: Vec<&str> = header.labels.iter().map(|l| l.name()).collect();
    let input = match &header.input {
        InputRecipe::Face(r) => {
            format!("a face as {0}x{0} grey values, a detector's box with a margin of {1}", r.size, r.margin)
        }
        InputRecipe::Speech(r) => {
            let second = |samples: usize| 1000.0 * samples as f64 / f64::from(r.rate.0);
            format!(
                "speech at {} Hz, at most {:.1} s, frames of {:.1} ms every {:.1} ms",
                r.rate.0,
                second(r.max_frames * r.hop) / 1000.0,
                second(r.frame),
                second(r.hop)
            )
        }
    };
    vec![
        format!("Reads: {input}."),
        format!("Answers: {}.", labels.join(", ")),
        format!("{weights} weights, {:.1} MB; temperature {:.3}.", bytes as f64 / 1e6, header.temperature),
        format!("SHA-256 of its contents: `{}`.", header.sha256),
    ]
}

fn training(out: &mut String, lines: &[String], metrics: &Value) {
    let training = &metrics["training"];
    let _ = writeln!(out, "## Training\n");
    lines.iter().for_each(|line| {
        let _ = writeln!(out, "- {}", line.trim());
    });
    if let Some(command) = training["command"].as_str() {
        let _ = writeln!(out, "- Command: `{command}`");
    }
    let known = ["seed", "runs", "epochs", "temperature", "power"];
    let numbers = known.iter().filter_map(|name| Some(format!("{name} {}", training.get(*name)?)));
    let _ = writeln!(out, "- {}; `recipe.toml` has the rest.", numbers.collect::<Vec<_>>().join(", "));
    match metrics["training_files"].as_array() {
        Some(files) => {
            let _ = writeln!(out, "- {} training files are recorded, by which `eval` knows them again.", files.len());
        }
        None => out.push_str("- Which files it was trained on was not recorded.\n"),
    }
    out.push('\n');
    if let Some(tried) = training["tried_on_validation"].as_array() {
        out.push_str("Tried on the validation split:\n\n| Power | Accuracy (%) | UAR (%) |\n|---|--:|--:|\n");
        for row in tried {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                row["power"],
                part(&row["accuracy"]),
                part(&row["balanced_accuracy"])
            );
        }
        out.push('\n');
    }
}

/// A part of 1 in percent.
fn part(value: &Value) -> String {
    value.as_f64().map_or("–".to_owned(), |v| format!("{:.1}", 100.0 * v))
}

/// A mean with its standard deviation, in percent.
fn spread(value: &Value) -> String {
    format!("{} ± {}", part(&value["mean"]), part(&value["sd"]))
}

/// The protocols that metrics hold, clips or pictures as they are.
fn figures(out: &mut String, metrics: &Value) {
    let _ = writeln!(out, "## Figures\n");
    let each = metrics.as_object().into_iter().flatten();
    if metrics["test"].is_object() {
        out.push_str("UAR is the mean of the emotions' recalls, ECE the calibration error over 15 bins.\n\n");
        out.push_str(
            "| Pictures | Number | Accuracy (%) | UAR (%) | Macro F1 (%) | ECE (%) |\n|---|--:|--:|--:|--:|--:|\n",
        );
        for (name, of) in each.filter(|(_, of)| of["split"].is_string()) {
            for (what, of) in [("", of), (" without near-duplicates of training pictures", &of["clean"])] {
                if of.is_object() {
                    let numbers = ["accuracy", "balanced_accuracy", "macro_f1", "ece"].map(|key| part(&of[key]));
                    let _ = writeln!(out, "| {name}{what} | {} | {} |", of["samples"], numbers.join(" | "));
                }
            }
        }
        let voted = &metrics["test"]["voted"];
        if voted.is_object() {
            let _ = writeln!(
                out,
                "\nOf the {} test pictures where more than half of the FER+ raters agree, {} % are read as they say.",
                voted["samples"],
                part(&voted["accuracy"])
            );
        }
        emotions(out, "On the test split", &metrics["test"]);
        return;
    }
    out.push_str(
        "Mean and standard deviation over the runs of a protocol, each run's model trained without its test clips; the 95 % \
         interval is Student's. UAR is the mean of the emotions' recalls, ECE the calibration error over 15 bins.\n\n",
    );
    out.push_str("| Protocol | Runs | Accuracy (%) | 95 % interval | UAR (%) | Macro F1 (%) | ECE (%) |\n|---|--:|--:|--:|--:|--:|--:|\n");
    let mut protocols: Vec<_> = each.filter(|(_, of)| of["protocol"].is_string() && !is_changed(of)).collect();
    protocols.sort_by_key(|(name, _)| *name != "speaker");
    for (name, of) in protocols {
        let interval = &of["accuracy_interval_95"];
        let what = match name.as_str() {
            "speaker" => "speakers held out",
            "random" => "random: every speaker is on both sides",
            other => other,
        };
        let _ = writeln!(
            out,
            "| {what} | {} | {} | {} to {} | {} | {} | {} |",
            of["runs"],
            spread(&of["accuracy"]),
            part(&interval[0]),
            part(&interval[1]),
            spread(&of["uar"]),
            spread(&of["macro_f1"]),
            part(&of["ece"])
        );
    }
    out.push_str("\nNobody who uses the model is among its speakers: the figures with speakers held out are the ones to expect.\n");
    emotions(out, "With speakers held out", &metrics["speaker"]);
}

/// Whether these are figures of clips with noise, or of their beginnings.
fn is_changed(of: &Value) -> bool {
    of["noise"].is_object() || of["first_s"].is_number()
}

fn emotions(out: &mut String, what: &str, of: &Value) {
    let _ = writeln!(
        out,
        "\n{what}:\n\n| Emotion | Precision (%) | Recall (%) | F1 (%) | Labelled |\n|---|--:|--:|--:|--:|"
    );
    for class in of["per_class"].as_array().into_iter().flatten() {
        let [precision, recall, f1] = ["precision", "recall", "f1"].map(|key| part(&class[key]));
        let name = class["emotion"].as_str().unwrap_or_default();
        let _ = writeln!(out, "| {name} | {precision} | {recall} | {f1} | {} |", class["support"]);
    }
    out.push('\n');
}

/// A section of the report, or what stands in its place.
fn section(out: &mut String, title: &str, report: Option<&Report>, id: &str, otherwise: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "## {title}\n");
    match report.and_then(|r| r.sections.iter().find(|s| s.id == id)) {
        Some(Section { blocks, .. }) => {
            // a row for each speaker, and the gap that is told after it, are for the report
            let mut of_persons = false;
            for block in blocks {
                match block {
                    Block::Table(t) => of_persons = t.id == "group-speaker" || t.id == "group-person",
                    Block::Text { .. } => {}
                    _ => of_persons = false,
                }
                if !of_persons {
                    markdown::block(out, block);
                }
            }
        }
        None => otherwise(out),
    }
}

fn without_groups(out: &mut String, about: &About, metrics: &Value) {
    let by_sex = metrics["speaker"]["accuracy_by_sex"].as_object();
    match by_sex {
        Some(by_sex) => {
            out.push_str("With speakers held out:\n\n| Voices | Accuracy (%) |\n|---|--:|\n");
            for (sex, accuracy) in by_sex {
                let _ = writeln!(out, "| {sex} | {} |", part(accuracy));
            }
            out.push('\n');
        }
        None => {
            let _ = writeln!(out, "{}\n", about.groups.trim());
        }
    }
}

fn without_robustness(out: &mut String, metrics: &Value) {
    let mut rows: Vec<(&String, &Value)> =
        metrics.as_object().into_iter().flatten().filter(|(_, of)| is_changed(of)).collect();
    if rows.is_empty() {
        out.push_str("Not measured for this model.\n\n");
        return;
    }
    rows.sort_by_key(|(_, of)| of["protocol"] != "speaker");
    out.push_str("| Protocol | Clips | Accuracy (%) | UAR (%) | ECE (%) |\n|---|---|--:|--:|--:|\n");
    for (_, of) in rows {
        let what = match (of["noise"]["kind"].as_str(), of["noise"]["snr_db"].as_f64(), of["first_s"].as_f64()) {
            (Some(kind), Some(db), _) => format!("{kind} noise at {db} dB"),
            (_, _, Some(seconds)) => format!("the first {seconds:.1} s of each voice"),
            _ => continue,
        };
        let protocol = of["protocol"].as_str().unwrap_or_default();
        let (accuracy, uar, ece) = (spread(&of["accuracy"]), spread(&of["uar"]), part(&of["ece"]));
        let _ = writeln!(out, "| {protocol} | {what} | {accuracy} | {uar} | {ece} |");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// The models' folders.
    fn models() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../demeanor-models")
    }

    #[test]
    fn the_card_of_every_model_is_made_from_its_metrics() {
        let mut seen = 0;
        for entry in fs::read_dir(models()).unwrap() {
            let folder = entry.unwrap().path();
            if !folder.join(METRICS).is_file() {
                continue;
            }
            let expected = of_folder(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
            let written = fs::read_to_string(folder.join(CARD)).unwrap_or_default();
            assert!(
                written == expected,
                "{} is not what its metrics say: run `demeanor model card {}`",
                folder.join(CARD).display(),
                folder.display()
            );
            seen += 1;
        }
        assert!(seen >= 6, "{seen} models have metrics");
    }

    #[test]
    fn other_figures_make_another_card_and_typed_ones_are_refused() {
        let folder = models().join("face-v2");
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let about: About = toml::from_str(&text(ABOUT)).unwrap();
        let mut metrics: Value = serde_json::from_str(&text(METRICS)).unwrap();
        let bytes = fs::read(folder.join(MODEL)).unwrap();
        metrics["test"]["accuracy"] = 0.123_456.into();
        assert!(card(&about, &metrics, &bytes, None).unwrap().contains("| test | 3589 | 12.3 |"));
        metrics["model"] = "face-v9".into();
        assert_eq!(card(&about, &metrics, &bytes, None).unwrap_err().kind(), ErrorKind::Data);
        for typed in ["right in 72.4 % of cases", "a UAR of 0.67,", "about 70% of faces"] {
            let about = About { limits: vec![typed.to_owned()], ..about.clone() };
            assert!(about.check().unwrap_err().to_string().contains("metrics.json"), "{typed}");
        }
    }
}
