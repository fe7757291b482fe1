//! How sure a model is, and what is gained by not answering.

use demeanor::Result;

use super::{column, section, share, words};
use crate::metrics::BINS;
use crate::predictions::Predictions;
use crate::report::tree::{Axis, Block, Cell, Chart, Form, Point, Section, Series, Table};
use crate::statistics::auroc;

pub(super) fn calibration(found: &Predictions) -> Result<Section> {
    let confusion = found.confusion()?;
    let point = |bin: &crate::metrics::ReliabilityBin| {
        Some(Point { x: bin.confidence?, y: bin.accuracy?, interval_95: None, examples: Some(bin.samples) })
    };
    let chart = Chart {
        id: "reliability".to_owned(),
        caption: format!(
            "Reliability: of the answers given with about this confidence, so many are right; {BINS} bins, larger dots for \
             more answers. On the dashed line confidence is accuracy; below it the model is too sure."
        ),
        x: share("Confidence (%)"),
        y: share("Right (%)"),
        diagonal: true,
        series: vec![Series {
            name: "answers".to_owned(),
            points: confusion.reliability().iter().filter_map(point).collect(),
            marked: true,
        }],
    };
    let pairs: Vec<(f64, bool)> = found.rows.iter().map(|r| (r.confidence(), r.is_right())).collect();
    let mut blocks = vec![Block::Chart(chart)];
    let mean = pairs.iter().map(|p| p.0).sum::<f64>() / pairs.len().max(1) as f64;
    let metrics = confusion.metrics();
    blocks.push(words(format!(
        "Mean confidence {:.1} %, accuracy {:.1} %, calibration error {:.1} %.{}",
        100.0 * mean,
        100.0 * metrics.accuracy,
        100.0 * metrics.ece,
        auroc(&pairs).map_or_else(String::new, |a| format!(
            " Confidence tells right answers from wrong ones with an AUROC of {a:.3} (0.5 is chance, 1 is always)."
        ))
    )));
    Ok(section("calibration", "Does it know how sure it is?", blocks))
}

/// Accuracy of the most confident part, for parts of all sizes: `(part answered, accuracy, lowest confidence)`.
pub fn coverage_curve(pairs: &[(f64, bool)]) -> Vec<(f64, f64, f64)> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut curve = Vec::new();
    let mut right = 0usize;
    for (i, (confidence, is_right)) in sorted.iter().enumerate() {
        right += usize::from(*is_right);
        // answers of the same confidence are given or withheld together
        if sorted.get(i + 1).is_none_or(|next| next.0 < *confidence) {
            let answered = i + 1;
            curve.push((answered as f64 / sorted.len() as f64, right as f64 / answered as f64, *confidence));
        }
    }
    curve
}

pub(super) fn coverage(found: &Predictions) -> Section {
    let pairs: Vec<(f64, bool)> = found.rows.iter().map(|r| (r.confidence(), r.is_right())).collect();
    let curve = coverage_curve(&pairs);
    // a line of some two hundred points says the same
    let step = curve.len().div_ceil(200).max(1);
    let last = curve.len().saturating_sub(1);
    let points = curve
        .iter()
        .enumerate()
        // the first few answers say nothing of a curve
        .filter(|(i, c)| (i % step == 0 || *i == last) && c.0 * pairs.len() as f64 >= 10.0)
        .map(|(_, &(x, y, _))| Point { x, y, interval_95: None, examples: None })
        .collect();
    let lowest = curve.iter().map(|c| c.1).fold(1.0, f64::min);
    let chart = Chart {
        id: "coverage".to_owned(),
        caption: "Accuracy when only the most confident part is answered and the rest is called unsure.".to_owned(),
        x: share("Answered (%)"),
        y: Axis { title: "Right of those (%)".to_owned(), range: [(lowest * 10.0).floor() / 10.0, 1.0], percent: true },
        diagonal: false,
        series: vec![Series { name: "answers".to_owned(), points, marked: false }],
    };
    let at = |part: f64| curve.iter().find(|c| c.0 >= part - 1e-12);
    let rows = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
        .into_iter()
        .filter_map(at)
        .map(|&(part, accuracy, lowest)| vec![Cell::value(part), Cell::value(accuracy), Cell::value(lowest)]);
    let table = Table {
        id: "coverage-table".to_owned(),
        caption: "The same at some parts, with the lowest confidence that is answered.".to_owned(),
        columns: vec![
            column("Answered", Form::Percent),
            column("Right of those", Form::Percent),
            column("Confidence from", Form::Number),
        ],
        rows: rows.collect(),
    };
    let ninety = curve.iter().rev().find(|c| c.1 >= 0.9);
    let said = match ninety {
        Some((part, _, lowest)) => {
            format!(
                "90 % of the answers are right where {:.1} % are answered (confidence {lowest:.2} or more).",
                100.0 * part
            )
        }
        None => "No part of the answers is 90 % right.".to_owned(),
    };
    section("coverage", "Answering less, erring less", vec![Block::Chart(chart), Block::Table(table), words(said)])
}
