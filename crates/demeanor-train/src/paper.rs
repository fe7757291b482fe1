//! The table of docs/paper.md: row by row what the paper says, and what was measured here, from files of metrics alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use demeanor::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::layout::Layout;
use crate::recipe::Recipe;
use crate::recipes;

/// The rows, as `docs/paper/rows.toml` has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    row: Vec<Row>,
    #[serde(default)]
    missing: Vec<Missing>,
}

/// What the paper says of something, and where the measurement of it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The part of the table.
    part: String,
    what: String,
    /// What the paper says, in its words.
    claimed: String,
    protocol: String,
    /// A recipe in the program, of which multiplications and weights are told.
    #[serde(default)]
    recipe: Option<String>,
    /// The file of metrics below the root of the project, and the JSON pointer of the object in it.
    metrics: String,
    #[serde(default)]
    at: String,
    /// What makes the figure, in order.
    commands: Vec<String>,
    /// What the paper leaves open, and how it was read.
    #[serde(default)]
    open: String,
}

/// What the paper names and nothing here measures yet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    what: String,
    claimed: String,
    why: String,
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Data, format!("{}: {why}", path.display()))
}

/// The text of docs/paper.md, from the files below the root of the project.
///
/// # Errors
/// [`ErrorKind::File`] and [`ErrorKind::Data`] when the rows or a file of metrics cannot be read, or a figure is not where its
/// row says.
pub fn document(root: &Path) -> Result<String> {
    let path = root.join("docs/paper/rows.toml");
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|e| Error::new(ErrorKind::File, format!("{} cannot be read: {e}", path.display())).with_source(e))
    };
    let rows: Rows = toml::from_str(&read(&path)?).map_err(|e| bad(&path, e))?;
    let mut out = String::from(
        "# The paper's table, measured\n\n\
         Kotkar, \"Real-Time Emotion Recognition with CNN and LSTM\" (preprint, 2025). Each figure is taken from the file that \
         its row names; `just paper` writes this page from them and a test finds it stale. Accuracy and UAR (the mean of the \
         emotions' recalls) in percent, with the standard deviation over runs where there are several.\n",
    );
    let mut parts: Vec<&str> = Vec::new();
    rows.row.iter().for_each(|row| {
        if !parts.contains(&row.part.as_str()) {
            parts.push(&row.part);
        }
    });
    for part in parts {
        let _ = writeln!(out, "\n## {part}\n");
        out.push_str("| | The paper says | Accuracy | UAR | Runs | Protocol | Weights | Multiplications | From |\n");
        out.push_str("|---|---|--:|--:|--:|---|--:|--:|---|\n");
        let of_part: Vec<&Row> = rows.row.iter().filter(|r| r.part == part).collect();
        for row in &of_part {
            let file = root.join(&row.metrics);
            let all: Value = serde_json::from_str(&read(&file)?).map_err(|e| bad(&file, e))?;
            let of = all.pointer(&row.at).ok_or_else(|| bad(&file, format!("nothing at {}", row.at)))?;
            let accuracy = figure(&of["accuracy"]).ok_or_else(|| bad(&file, "no accuracy"))?;
            let uar = figure(&of["uar"]).or_else(|| figure(&of["balanced_accuracy"])).unwrap_or_default();
            let runs = of["runs"].as_u64().unwrap_or(1);
            let (weights, products) = row.recipe.as_deref().map(cost).transpose()?.flatten().unwrap_or_default();
            let name = row.metrics.rsplit('/').take(2).collect::<Vec<_>>();
            let name = name.into_iter().rev().collect::<Vec<_>>().join("/");
            let _ = writeln!(
                out,
                "| {} | {} | {accuracy} | {uar} | {runs} | {} | {weights} | {products} | [{name}](../{}) |",
                row.what, row.claimed, row.protocol, row.metrics
            );
        }
        out.push('\n');
        for row in of_part {
            let _ = writeln!(out, "- **{}**: {}", row.what, row.open.trim());
            for command in &row.commands {
                let _ = writeln!(out, "  - `{command}`");
            }
        }
    }
    if !rows.missing.is_empty() {
        out.push_str("\n## Named by the paper, not measured here\n\n| | The paper says | Why not |\n|---|---|---|\n");
        for row in &rows.missing {
            let _ = writeln!(out, "| {} | {} | {} |", row.what, row.claimed, row.why);
        }
    }
    Ok(out)
}

/// A part of 1, or a mean with its deviation, in percent.
fn figure(value: &Value) -> Option<String> {
    let percent = |value: &Value| value.as_f64().map(|v| format!("{:.1}", 100.0 * v));
    match (percent(value), percent(&value["mean"]), percent(&value["sd"])) {
        (Some(single), ..) => Some(single),
        (_, Some(mean), Some(sd)) => Some(format!("{mean} ± {sd}")),
        _ => None,
    }
}

/// Weights and multiplications of a recipe's network, a face or 3 seconds of speech, as text; none of a baseline without a
/// network.
fn cost(recipe: &str) -> Result<Option<(String, String)>> {
    let text = recipes::named(recipe).ok_or_else(|| {
        Error::new(ErrorKind::Data, format!("no recipe {recipe} in the program ({})", recipes::names()))
    })?;
    let Ok(recipe) = Recipe::parse(text) else { return Ok(None) };
    let mut shape = recipe.input_shape();
    if let demeanor::model::InputRecipe::Speech(speech) = &recipe.input {
        shape[2] = 3 * speech.rate.0 as usize / speech.hop;
    }
    let layout = Layout::new(&recipe.network, shape)?;
    let views = recipe.views.len().max(1) as u64;
    Ok(Some((short(layout.parameters as u64), short(views * layout.multiplications))))
}

/// A number with its thousands or millions.
fn short(value: u64) -> String {
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => format!("{:.0} thousand", value as f64 / 1e3),
        _ => format!("{:.1} million", value as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn the_document_is_what_the_metrics_give() {
        let written = fs::read_to_string(root().join("docs/paper.md")).unwrap_or_default();
        assert!(written == document(root()).unwrap(), "docs/paper.md is stale: run `just paper`");
    }

    #[test]
    fn every_command_of_a_row_names_a_recipe_or_a_file_that_is_there() {
        let text = fs::read_to_string(root().join("docs/paper/rows.toml")).unwrap();
        let rows: Rows = toml::from_str(&text).unwrap();
        for command in rows.row.iter().flat_map(|row| &row.commands) {
            let words: Vec<&str> = command.split_whitespace().collect();
            assert_eq!(words[0], "demeanor", "{command}");
            for (option, value) in words.iter().zip(&words[1..]) {
                match *option {
                    "--recipe" => assert!(recipes::named(value).is_some(), "{command}"),
                    "--model" if value.starts_with("crates/") => assert!(root().join(value).exists(), "{command}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn figures_are_read_in_both_forms() {
        assert_eq!(figure(&serde_json::json!(0.5361)).as_deref(), Some("53.6"));
        assert_eq!(figure(&serde_json::json!({ "mean": 0.629, "sd": 0.023 })).as_deref(), Some("62.9 ± 2.3"));
        assert_eq!(figure(&Value::Null), None);
        assert_eq!(cost("face-paper").unwrap().unwrap(), ("4.8 million".to_owned(), "26.6 million".to_owned()));
        assert_eq!(cost("face-hog-svm").unwrap(), None);
    }
}
