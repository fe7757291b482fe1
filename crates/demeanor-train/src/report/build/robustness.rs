//! What is left when files are spoilt.

use demeanor::Result;

use super::{Part, column, overall_columns, overall_row, section, share, words};
use crate::predictions::{Prediction, Predictions};
use crate::report::tree::{Axis, Block, Cell, Chart, Form, Point, Section, Series, Table};
use crate::robust::{Spoilt, Strength};

/// What the paper claims of its LSTM: accuracy on clips as they are, and the points that white noise at 10 dB takes of it.
const PAPER: (f64, f64) = (0.785, 0.18);

/// Accuracy and calibration error with their intervals, at a place of an axis.
type Measured = (f32, Cell, Cell);

pub(super) fn robustness(clean: &Predictions, spoilt: &[Spoilt], not_run: &[String]) -> Result<Section> {
    let all = |_: &Prediction| true;
    // [name, files, accuracy, UAR, macro F1, ECE]
    let whole = overall_row(&Part { name: "as they are".to_owned(), found: clean, take: &all })?;
    let accuracy = |row: &[Cell]| row.get(2).and_then(Cell::number).unwrap_or(f64::NAN);
    let measured = |at: f32, row: &[Cell]| Some((at, row.get(2)?.clone(), row.get(5)?.clone()));
    let mut rows = vec![written(&whole, None)];
    let mut curves: Vec<(&str, Strength, Vec<Measured>)> = Vec::new();
    for one in spoilt {
        let name = format!("{}, {}", one.kind, one.level);
        let row = overall_row(&Part { name, found: &one.found, take: &all })?;
        if let Some(strength) = one.strength {
            let at = curves.iter().position(|(kind, ..)| *kind == one.kind).unwrap_or_else(|| {
                let untouched = strength.untouched.and_then(|at| measured(at, &whole));
                curves.push((&one.kind, strength, untouched.into_iter().collect()));
                curves.len() - 1
            });
            curves[at].2.extend(measured(strength.value, &row));
        }
        rows.push(written(&row, Some(accuracy(&row) - accuracy(&whole))));
    }
    let mut blocks = vec![words(format!(
        "The same files, each spoilt one way before it is read. As they are, {:.1} % are read right. What is random is drawn \
         from each file's place, seed 0.",
        100.0 * accuracy(&whole)
    ))];
    let charts: Vec<Chart> = curves.into_iter().filter(|(.., points)| points.len() > 1).map(curve).collect();
    if !charts.is_empty() {
        blocks.push(Block::Charts {
            id: "robustness-curves".to_owned(),
            caption:
                "How much is left as files get worse; bands are 95 % intervals. Each figure is in the table below."
                    .to_owned(),
            charts,
        });
    }
    if let Some(white) = spoilt.iter().find(|s| is_papers(&s.kind, s.strength.map_or(f32::NAN, |s| s.value))) {
        let change = Cell::value(white.found.confusion()?.metrics().accuracy - accuracy(&whole));
        blocks.push(words(format!(
            "White noise at 10 dB changes the accuracy by {} points here; the paper says that it costs its network {:.0} (of \
             {:.1} %, on a random split; the dot in the chart).",
            change.written(Form::Points).0,
            100.0 * PAPER.1,
            100.0 * PAPER.0
        )));
    }
    let mut columns = overall_columns("");
    columns.remove(1);
    columns.insert(2, column("Change of accuracy", Form::Points));
    blocks.push(Block::Table(Table {
        id: "robustness".to_owned(),
        caption: "Each way and strength, with 95 % intervals.".to_owned(),
        columns,
        rows,
    }));
    blocks.extend(not_run.iter().map(|why| words(format!("Not run: {why}"))));
    Ok(section("robustness", "Spoilt files", blocks))
}

/// The row of one way in the table: without the number of files, with the change.
fn written(row: &[Cell], change: Option<f64>) -> Vec<Cell> {
    let mut row = row.to_vec();
    row.remove(1);
    row.insert(2, change.map_or(Cell::Empty, Cell::value));
    row
}

fn is_papers(kind: &str, level: f32) -> bool {
    kind == "white noise" && level == 10.0
}

/// The chart of a kind of edit.
fn curve((kind, strength, mut points): (&str, Strength, Vec<Measured>)) -> Chart {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let series = |name: &str, pick: fn(&Measured) -> &Cell| {
        let point = |one: &Measured| match pick(one) {
            // a single-precision number as it is written, not as its nearest double
            Cell::Value { value, interval_95 } => Some(Point {
                x: one.0.to_string().parse().unwrap_or_default(),
                y: *value,
                interval_95: *interval_95,
                examples: None,
            }),
            _ => None,
        };
        Series { name: name.to_owned(), points: points.iter().filter_map(point).collect(), marked: true }
    };
    let mut lines = vec![series("accuracy", |one| &one.1), series("calibration error", |one| &one.2)];
    if points.iter().any(|one| is_papers(kind, one.0)) {
        let point = Point { x: 10.0, y: PAPER.0 - PAPER.1, interval_95: None, examples: None };
        lines.push(Series { name: "the paper's claim".to_owned(), points: vec![point], marked: true });
    }
    let ends = |pick: fn(f64, f64) -> f64| lines[0].points.iter().map(|p| p.x).reduce(pick).unwrap_or_default();
    Chart {
        id: format!("robustness-{}", kind.replace(' ', "-")),
        caption: kind.to_owned(),
        x: Axis { title: strength.axis.to_owned(), range: [ends(f64::min), ends(f64::max)], percent: false },
        y: share("%"),
        diagonal: false,
        series: lines,
    }
}
