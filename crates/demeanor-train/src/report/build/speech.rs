//! The reports of speech models, and of both senses together.

use demeanor::{Emotion, Result};

use super::{Context, Part, overall, overall_columns, overall_row, report, words};
use crate::data::Split;
use crate::data::splits::Protocol;
use crate::evaluate::Conditions;
use crate::metrics::interval_95;
use crate::predictions::{self, Prediction, Predictions};
use crate::report::tree::{Block, Cell, Report, Table};
use crate::together::PairPredictions;

/// The report of speech models under a protocol; `random` are the predictions of the random protocol, where it was run.
///
/// # Errors
/// As [`Predictions::confusion`].
pub fn speech(
    model: &str,
    protocol: Option<Protocol>,
    conditions: &Conditions,
    found: &Predictions,
    random: Option<&Predictions>,
    context: &Context,
) -> Result<Report> {
    let all = |_: &Prediction| true;
    let unseen = |row: &Prediction| row.attribute(predictions::SEEN) == Some("no");
    let name = protocol.map_or("every clip".to_owned(), |p| format!("{p} protocol, {} runs", found.runs()));
    let mut parts = vec![Part { name, found, take: &all }];
    if let Some(random) = random {
        let name = format!("beside it: random protocol, {} runs, every speaker on both sides", random.runs());
        parts.push(Part { name, found: random, take: &all });
    }
    if found.rows.iter().any(|row| row.attribute(predictions::SEEN) == Some("yes")) && found.rows.iter().any(unseen) {
        parts.push(Part { name: "without files that the model was trained on".to_owned(), found, take: &unseen });
    }
    let lacks = found.labels.iter().any(|l| !found.rows.iter().any(|row| row.label == *l));
    let mut more = Vec::new();
    if lacks {
        let restricted = restricted(found)?;
        let name = "only the labels that the set has may be answered".to_owned();
        let row = overall_row(&Part { name, found: &restricted, take: &all })?;
        more.push(Block::Table(Table {
            id: "restricted".to_owned(),
            caption: "The same answers with the scores of labels that the set lacks left out.".to_owned(),
            columns: overall_columns("Clips"),
            rows: vec![row],
        }));
    }
    if found.runs() > 1 {
        more.push(over_runs(found)?);
    }
    let first = overall(&parts, "Clips", more)?;
    let mut blocks = Vec::new();
    match protocol {
        Some(protocol) => blocks.push(words(format!("{protocol}: {}.", protocol.describe()))),
        None => blocks.push(words(
            "One model reads every clip: the figures hold for people whom it has not heard only if it was not trained on any \
             of these speakers.",
        )),
    }
    match (protocol, random) {
        (Some(p), None) if p.holds_speakers_out() => blocks.push(words(
            "The random split was not run beside it: models of random0 to random4 are not where those of the folds are.",
        )),
        (Some(p), _) if !p.holds_speakers_out() && found.clusters().by_person => blocks.push(words(
            "Speakers are known here, and they are on both sides: a figure with speakers held out (--protocol speaker) is \
             what a new voice can expect; it was not run beside this one.",
        )),
        _ => {}
    }
    if let Some(noise) = &conditions.noise {
        let kind = format!("{:?}", noise.kind).to_lowercase();
        blocks.push(words(format!("Every clip has {kind} noise, {} dB under it (seed {}).", noise.snr_db, noise.seed)));
    }
    if let Some(seconds) = conditions.first_s {
        blocks.push(words(format!("Only the first {seconds} s of each voice are read.")));
    }
    let no_groups = "The set names no groups.";
    report(format!("{model} on recordings of speech"), found, first, blocks, no_groups, context)
}

/// The report of fusion on synthetic pairs.
///
/// # Errors
/// As [`Predictions::confusion`].
pub fn fusion(
    face_model: &str,
    speech_model: &str,
    split: Split,
    said: &PairPredictions,
    context: &Context,
) -> Result<Report> {
    let all = |_: &Prediction| true;
    let part = |name: &str, found| Part { name: name.to_owned(), found, take: &all };
    let parts = [part("both", &said.fused), part("the voice alone", &said.voice), part("the face alone", &said.face)];
    let first = overall(&parts, "Pairs", vec![over_runs(&said.fused)?])?;
    let protocol = vec![words(format!(
        "Synthetic pairs: each test clip of the five speaker folds ({speech_model}) with a picture of the same label (neutral \
         for calm) from the {split} split ({face_model}). The senses of such a pair err independently, which those of one \
         person in one moment do not: the figures are an upper bound of what fusion gives in use. What follows is of both \
         senses together.",
    ))];
    let title = format!("{face_model} and {speech_model}, fused, on synthetic pairs");
    report(title, &said.fused, first, protocol, "The set names no groups.", context)
}

/// The same answers with the scores of labels that no example has left out.
fn restricted(found: &Predictions) -> Result<Predictions> {
    let kept: Vec<Emotion> =
        found.labels.iter().copied().filter(|l| found.rows.iter().any(|row| row.label == *l)).collect();
    let mut rows = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        // a score of 0 for all that is kept says nothing
        let weights: Vec<(Emotion, f32)> = kept.iter().map(|&e| (e, row.scores.of(e).max(f32::MIN_POSITIVE))).collect();
        rows.push(Prediction { scores: demeanor::Scores::from_weights(&weights)?, ..row.clone() });
    }
    Ok(Predictions { labels: kept, rows, left_out: found.left_out.clone() })
}

/// Mean over runs with Student's interval, and each run.
fn over_runs(found: &Predictions) -> Result<Block> {
    let each = (0..found.runs())
        .map(|run| Ok(found.confusion_of(|row| row.run == run)?.metrics()))
        .collect::<Result<Vec<_>>>()?;
    let values = |pick: &dyn Fn(&crate::metrics::Metrics) -> f64| each.iter().map(pick).collect::<Vec<f64>>();
    let mean = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Cell::with(mean, interval_95(&values))
    };
    let mut rows = vec![vec![
        Cell::text("mean over runs"),
        Cell::Empty,
        mean(values(&|m| m.accuracy)),
        mean(values(&|m| m.balanced_accuracy)),
        mean(values(&|m| m.macro_f1)),
        mean(values(&|m| m.ece)),
    ]];
    for (run, m) in each.iter().enumerate() {
        rows.push(vec![
            Cell::text(format!("run {run}")),
            Cell::Count(m.samples),
            Cell::value(m.accuracy),
            Cell::value(m.balanced_accuracy),
            Cell::value(m.macro_f1),
            Cell::value(m.ece),
        ]);
    }
    Ok(Block::Table(Table {
        id: "runs".to_owned(),
        caption: "Over runs: the mean with its 95 % interval by Student's t, and each run.".to_owned(),
        columns: overall_columns("Clips"),
        rows,
    }))
}
