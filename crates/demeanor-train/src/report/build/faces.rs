//! The report of a face model.

use demeanor::{Emotion, Result};

use super::{Context, Part, RESAMPLES, SEED, column, overall, report, words};
use crate::data::Split;
use crate::metrics::BINS;
use crate::predictions::{self, Prediction, Predictions};
use crate::report::tree::{Block, Cell, Form, Report, Table};
use crate::statistics::bootstrap;

/// The report of a face model on a split, or on all pictures.
///
/// # Errors
/// As [`Predictions::confusion`].
pub fn faces(model: &str, split: Option<Split>, found: &Predictions, context: &Context) -> Result<Report> {
    let all = |_: &Prediction| true;
    let clean = |row: &Prediction| row.attribute(predictions::NEAR_DUPLICATE) == Some("no");
    let unseen = |row: &Prediction| row.attribute(predictions::SEEN) == Some("no");
    let of = split.map_or("set".to_owned(), |split| format!("{split} split"));
    let mut parts = vec![Part { name: format!("the whole {of}"), found, take: &all }];
    if found.rows.iter().any(|row| !clean(row)) && found.rows.iter().any(clean) {
        parts.push(Part { name: "without near-duplicates of training pictures".to_owned(), found, take: &clean });
    }
    if found.rows.iter().any(|row| row.attribute(predictions::SEEN) == Some("yes")) && found.rows.iter().any(unseen) {
        parts.push(Part { name: "without files that the model was trained on".to_owned(), found, take: &unseen });
    }
    let mut more = Vec::new();
    if let Some(table) = fer_plus(found) {
        more.push(Block::Table(table));
    }
    let first = overall(&parts, "Pictures", more)?;
    let mut protocol = vec![words(format!(
        "Each picture of the {of} is read once, as it is, by the preparation and the forward pass of use."
    ))];
    if split == Some(Split::Test) {
        protocol.push(words(
            "This program learns from the training split and chooses by the validation split; the test split is read by \
             evaluation alone.",
        ));
    }
    let no_groups = "The set names no groups, so nobody can say from it for whom the model is worse: FER-2013 says nothing of the \
                     age, sex or skin of the people in its pictures. A table path,group given with --groups is shown here.";
    report(format!("{model} on pictures of faces"), found, first, protocol, no_groups, context)
}

/// Figures against the FER+ votes: accuracy against the majority, calibration against the share of the votes.
fn fer_plus(found: &Predictions) -> Option<Table> {
    let majority = |row: &Prediction| row.attribute(predictions::VOTED).and_then(|w| w.parse::<Emotion>().ok());
    let rows: Vec<(&Prediction, Emotion)> = found.rows.iter().filter_map(|row| Some((row, majority(row)?))).collect();
    if rows.is_empty() {
        return None;
    }
    let row = |name: &str, take: &dyn Fn(Emotion) -> bool| {
        let of: Vec<&(&Prediction, Emotion)> = rows.iter().filter(|(_, voted)| take(*voted)).collect();
        let right = |p: &Prediction, voted: Emotion| f64::from(u8::from(p.predicted() == voted));
        let single: Vec<Vec<usize>> = (0..of.len()).map(|i| vec![i]).collect();
        let accuracy = |m: &[usize]| m.iter().map(|&i| right(of[i].0, of[i].1)).sum::<f64>() / m.len() as f64;
        let ece = |m: &[usize]| {
            let mut bins = [(0.0, 0.0); BINS];
            for (p, _) in m.iter().map(|&i| of[i]) {
                let bin = ((p.confidence() * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
                bins[bin].0 += p.confidence();
                bins[bin].1 += p.votes.map_or(0.0, |v| f64::from(v[p.predicted().index()]));
            }
            bins.iter().map(|(sum, share)| (sum - share).abs()).sum::<f64>() / m.len() as f64
        };
        let recalls = |m: &[usize]| {
            let mut met = [(0.0, 0.0); Emotion::COUNT];
            for (p, voted) in m.iter().map(|&i| of[i]) {
                met[voted.index()].0 += 1.0;
                met[voted.index()].1 += right(p, *voted);
            }
            let seen: Vec<f64> = met.iter().filter(|(n, _)| *n > 0.0).map(|(n, hit)| hit / n).collect();
            seen.iter().sum::<f64>() / seen.len() as f64
        };
        let [a, u, e] = bootstrap(&single, RESAMPLES, SEED, |m| [accuracy(m), recalls(m), ece(m)]);
        let all: Vec<usize> = (0..of.len()).collect();
        vec![
            Cell::text(name),
            Cell::Count(of.len() as u64),
            Cell::with(accuracy(&all), a),
            Cell::with(recalls(&all), u),
            Cell::with(ece(&all), e),
        ]
    };
    Some(Table {
        id: "fer-plus".to_owned(),
        caption:
            "Against the FER+ raters, on the pictures where more than half of ten agree. ECE is the difference between \
                  the confidence and the part of the raters who say the same."
                .to_owned(),
        columns: vec![
            column("", Form::Text),
            column("Pictures", Form::Count),
            column("Majority", Form::Percent),
            column("UAR", Form::Percent),
            column("ECE against the votes", Form::Percent),
        ],
        rows: vec![
            row("8 classes: contempt, which the model may lack, counts", &|_| true),
            row("the classes of the model", &|voted| found.labels.contains(&voted)),
        ],
    })
}
