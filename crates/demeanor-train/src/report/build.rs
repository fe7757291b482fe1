//! From predictions to a report.

use std::collections::BTreeMap;

use demeanor::{Emotion, Result};
use sha2::{Digest, Sha256};

use super::tree::{
    Axis, Block, Cell, Chart, Column, DataSource, Form, Point, Report, SCHEMA, Section, Series, Source, Table,
};
use crate::data::Split;
use crate::data::splits::Protocol;
use crate::evaluate::Conditions;
use crate::metrics::{BINS, Confusion, anova, interval_95};
use crate::predictions::{self, Answers, Prediction, Predictions, hexadecimal};
use crate::statistics::{McNemar, TTest, auroc, bootstrap, holm};
use crate::together::PairPredictions;

/// Resamples of the bootstrap.
pub const RESAMPLES: usize = 2000;
/// Seed of the bootstrap.
pub const SEED: u64 = 0;
/// Mistakes that are listed.
const MISTAKES: usize = 30;
/// Values that an attribute may have to be shown as groups.
const MOST_GROUPS: usize = 100;

/// A part of the predictions that has a row of its own.
pub struct Part<'a> {
    /// What it is.
    pub name: String,
    /// Its predictions.
    pub found: &'a Predictions,
    /// Which of them.
    pub take: &'a dyn Fn(&Prediction) -> bool,
}

/// What a report is made of, beside the predictions.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// How to get the same figures. The sets and the seed of the bootstrap are added here.
    pub source: Source,
    /// Whether training saw what is tested, in sentences.
    pub leaks: Vec<String>,
    /// What must stand before every figure.
    pub warnings: Vec<String>,
    /// Another program's answers for the same files, with its name.
    pub against: Option<(String, Answers)>,
    /// The same files spoilt in several ways.
    pub robustness: Vec<Spoilt>,
}

/// Predictions for the same files, spoilt one way.
#[derive(Debug, Clone)]
pub struct Spoilt {
    /// What was done.
    pub kind: String,
    /// How strongly.
    pub level: String,
    /// The same as a signal-to-noise ratio in dB, where it is one.
    pub level_db: Option<f32>,
    /// What was said.
    pub found: Predictions,
}

/// The place of the label and of the answer among the labels, and the confidence.
struct Counted(usize, usize, f64);

fn counted(found: &Predictions) -> Vec<Counted> {
    let place = |e: Emotion| found.labels.iter().position(|&l| l == e).unwrap_or_default();
    found.rows.iter().map(|r| Counted(place(r.label), place(r.predicted()), r.confidence())).collect()
}

/// Clusters of those predictions that `take` says yes to.
fn clusters(found: &Predictions, take: &dyn Fn(&Prediction) -> bool) -> (bool, Vec<Vec<usize>>) {
    let all = found.clusters();
    let keep = |members: &Vec<usize>| members.iter().copied().filter(|&i| take(&found.rows[i])).collect::<Vec<usize>>();
    let kept: Vec<Vec<usize>> = all.members.iter().map(keep).filter(|m| !m.is_empty()).collect();
    if kept.len() < 2 && all.by_speaker {
        // one person: the most that can be asked is how another choice of files would have come out
        return (false, kept.into_iter().flatten().map(|i| vec![i]).collect());
    }
    (all.by_speaker, kept)
}

fn tally(labels: &[Emotion], counted: &[Counted], members: &[usize]) -> Confusion {
    let mut confusion = Confusion::new(labels);
    for Counted(truth, predicted, confidence) in members.iter().map(|&i| &counted[i]) {
        confusion.count(*truth, *predicted, *confidence);
    }
    confusion
}

fn column(title: &str, form: Form) -> Column {
    Column { title: title.to_owned(), form }
}

fn words(text: impl Into<String>) -> Block {
    Block::Text { text: text.into() }
}

fn section(id: &str, title: &str, blocks: Vec<Block>) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), blocks }
}

/// The row of a part in the first table.
fn overall_row(part: &Part<'_>) -> Result<Vec<Cell>> {
    let confusion = part.found.confusion_of(part.take)?;
    let metrics = confusion.metrics();
    let counted = counted(part.found);
    let (_, clusters) = clusters(part.found, part.take);
    let labels = &part.found.labels;
    let [accuracy, uar, f1, ece] = bootstrap(&clusters, RESAMPLES, SEED, |members| {
        let m = tally(labels, &counted, members).metrics();
        [m.accuracy, m.balanced_accuracy, m.macro_f1, m.ece]
    });
    Ok(vec![
        Cell::text(&part.name),
        Cell::Count(metrics.samples),
        Cell::with(metrics.accuracy, accuracy),
        Cell::with(metrics.balanced_accuracy, uar),
        Cell::with(metrics.macro_f1, f1),
        Cell::with(metrics.ece, ece),
    ])
}

fn overall_columns(what: &str) -> Vec<Column> {
    vec![
        column("", Form::Text),
        column(what, Form::Count),
        column("Accuracy", Form::Percent),
        column("UAR", Form::Percent),
        column("Macro F1", Form::Percent),
        column("ECE", Form::Percent),
    ]
}

fn over(found: &Predictions) -> &'static str {
    if found.clusters().by_speaker { "speakers" } else { "files" }
}

fn overall(parts: &[Part<'_>], what: &str, more: Vec<Block>) -> Result<Section> {
    let rows = parts.iter().map(overall_row).collect::<Result<Vec<_>>>()?;
    let over = parts.first().map_or("files", |p| over(p.found));
    let caption = format!(
        "With 95 % intervals: percentile bootstrap over {over}, {RESAMPLES} resamples, seed {SEED}. UAR is the mean of the \
         emotions' recalls (balanced accuracy); ECE the calibration error over {BINS} bins."
    );
    let table = Table { id: "overall".to_owned(), caption, columns: overall_columns(what), rows };
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(more);
    Ok(section("overall", "Overall", blocks))
}

/// Precision, recall and F1 of each emotion.
fn emotions(found: &Predictions) -> Result<Section> {
    const N: usize = 3 * Emotion::COUNT;
    let counted = counted(found);
    let labels = &found.labels;
    let intervals: [Option<[f64; 2]>; N] = bootstrap(&clusters(found, &|_| true).1, RESAMPLES, SEED, |members| {
        let mut all = [f64::NAN; N];
        for (i, class) in tally(labels, &counted, members).metrics().per_class.iter().enumerate() {
            if class.support > 0 {
                all[3 * i..3 * i + 3].copy_from_slice(&[class.precision, class.recall, class.f1]);
            }
        }
        all
    });
    let metrics = found.confusion()?.metrics();
    let rows = metrics.per_class.iter().enumerate().map(|(i, class)| {
        let value = |value: f64, at: usize| {
            if class.support == 0 { Cell::Empty } else { Cell::with(value, intervals[3 * i + at]) }
        };
        vec![
            Cell::text(class.emotion.name()),
            Cell::Count(class.support),
            value(class.precision, 0),
            value(class.recall, 1),
            value(class.f1, 2),
        ]
    });
    let table = Table {
        id: "emotions".to_owned(),
        caption: format!("Each emotion by itself, with 95 % intervals over {}.", over(found)),
        columns: vec![
            column("Emotion", Form::Text),
            column("Labelled", Form::Count),
            column("Precision", Form::Percent),
            column("Recall", Form::Percent),
            column("F1", Form::Percent),
        ],
        rows: rows.collect(),
    };
    Ok(section("emotions", "Each emotion", vec![Block::Table(table)]))
}

/// Recalls of each label by speaker: `[label][speaker]`, none where a speaker has no example of it.
fn recalls_by_speaker(found: &Predictions) -> Vec<Vec<Option<f64>>> {
    let counted = counted(found);
    let members = found.clusters().members;
    let recall = |label: usize, members: &[usize]| {
        let of: Vec<&Counted> = members.iter().map(|&i| &counted[i]).filter(|c| c.0 == label).collect();
        (!of.is_empty()).then(|| of.iter().filter(|c| c.1 == label).count() as f64 / of.len() as f64)
    };
    (0..found.labels.len()).map(|label| members.iter().map(|m| recall(label, m)).collect()).collect()
}

/// Whether emotions differ by more than chance.
fn tests(found: &Predictions) -> Section {
    let by_speaker = found.clusters().by_speaker;
    let counted = counted(found);
    let speakers = if by_speaker { recalls_by_speaker(found) } else { Vec::new() };
    let groups: Vec<Vec<f64>> = if by_speaker {
        speakers.iter().map(|recalls| recalls.iter().copied().flatten().collect()).collect()
    } else {
        let right =
            |label: usize| counted.iter().filter(move |c| c.0 == label).map(|c| f64::from(u8::from(c.0 == c.1)));
        (0..found.labels.len()).map(|label| right(label).collect()).collect()
    };
    let unit = if by_speaker { "the recalls of each speaker" } else { "files, each 1 if read right and 0 if not" };
    let mut blocks = vec![match anova(&groups) {
        Some(a) => words(format!(
            "One-way ANOVA of the recall over emotions, of {unit}: F({}, {}) = {:.2}, p = {}. {}",
            a.between,
            a.within,
            a.f,
            Cell::value(a.p).written(Form::Chance).0,
            if a.p < 0.05 { "The emotions are not read equally well." } else { "No difference is shown." }
        )),
        None => words("Too few examples, or none that differ, for an analysis of variance."),
    }];
    let labels = &found.labels;
    let pairs: Vec<(usize, usize)> =
        (0..labels.len()).flat_map(|a| (a + 1..labels.len()).map(move |b| (a, b))).collect();
    let test = |&(a, b): &(usize, usize)| {
        if by_speaker {
            let both: Vec<(f64, f64)> =
                speakers[a].iter().zip(&speakers[b]).filter_map(|(x, y)| Some(((*x)?, (*y)?))).collect();
            TTest::paired(&both)
        } else {
            TTest::welch(&groups[a], &groups[b])
        }
    };
    let found: Vec<((usize, usize), TTest)> = pairs.iter().filter_map(|pair| Some((*pair, test(pair)?))).collect();
    if !found.is_empty() {
        let corrected = holm(&found.iter().map(|(_, t)| t.p).collect::<Vec<_>>());
        let mut rows: Vec<(f64, Vec<Cell>)> = found
            .iter()
            .zip(corrected)
            .map(|(((a, b), t), p)| {
                let cells = vec![
                    Cell::text(format!("{} – {}", labels[*a], labels[*b])),
                    Cell::value(t.difference),
                    Cell::value(t.t),
                    Cell::value(t.df),
                    Cell::value(t.p),
                    Cell::value(p),
                ];
                (t.p, cells)
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let kind = if by_speaker { "Paired t-tests over speakers" } else { "Welch's t-tests over files" };
        blocks.push(Block::Table(Table {
            id: "pairs".to_owned(),
            caption: format!(
                "{kind} of each two emotions' recalls, the clearest difference first; corrected for their number by \
                 Holm's method."
            ),
            columns: vec![
                column("Emotions", Form::Text),
                column("Difference of recall", Form::Points),
                column("t", Form::Number),
                column("Degrees of freedom", Form::Number),
                column("p", Form::Chance),
                column("p, corrected", Form::Chance),
            ],
            rows: rows.into_iter().map(|(_, cells)| cells).collect(),
        }));
    }
    section("tests", "Do emotions differ?", blocks)
}

fn confusion(found: &Predictions) -> Result<Section> {
    let metrics = found.confusion()?.metrics();
    let mut worst: Vec<(f64, String)> = Vec::new();
    for (class, row) in metrics.per_class.iter().zip(&metrics.confusion) {
        for (other, &count) in metrics.per_class.iter().zip(row) {
            if class.emotion != other.emotion && class.support > 0 {
                let part = count as f64 / class.support as f64;
                worst.push((part, format!("{} as {} ({:.0} %)", class.emotion, other.emotion, 100.0 * part)));
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most: Vec<String> = worst.into_iter().take(4).filter(|(part, _)| *part > 0.0).map(|(_, text)| text).collect();
    let mut blocks = vec![Block::Confusion {
        id: "confusion".to_owned(),
        caption: "Rows: labelled; columns: read as; percent of the row.".to_owned(),
        labels: found.labels.clone(),
        counts: metrics.confusion,
    }];
    if !most.is_empty() {
        blocks.push(words(format!("Most often mistaken: {}.", most.join(", "))));
    }
    Ok(section("confusion", "What is taken for what", blocks))
}

fn share(title: &str) -> Axis {
    Axis { title: title.to_owned(), range: [0.0, 1.0], percent: true }
}

fn calibration(found: &Predictions) -> Result<Section> {
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

fn coverage(found: &Predictions) -> Section {
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

fn mistakes(found: &Predictions) -> Section {
    let mut wrong: Vec<&Prediction> = found.rows.iter().filter(|r| !r.is_right()).collect();
    wrong.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()).then_with(|| a.path.cmp(&b.path)));
    let rows = wrong.iter().take(MISTAKES).map(|r| {
        vec![
            Cell::text(&r.path),
            Cell::text(r.label.name()),
            Cell::text(r.predicted().name()),
            Cell::value(r.confidence()),
            Cell::value(f64::from(r.scores.of(r.label))),
        ]
    });
    let table = Table {
        id: "mistakes".to_owned(),
        caption: format!(
            "The {} most confident of {} wrong answers, by file. A label may be wrong too: look before you judge.",
            wrong.len().min(MISTAKES),
            wrong.len()
        ),
        columns: vec![
            column("File", Form::File),
            column("Labelled", Form::Text),
            column("Read as", Form::Text),
            column("Confidence", Form::Percent),
            column("Score of the label", Form::Percent),
        ],
        rows: rows.collect(),
    };
    section("mistakes", "Hardest mistakes", vec![Block::Table(table)])
}

/// Accuracy and UAR by each attribute that makes groups.
fn groups(found: &Predictions, none: &str) -> Result<Section> {
    let apart = [predictions::NEAR_DUPLICATE, predictions::VOTED, predictions::SEEN, "picture"];
    let mut blocks = Vec::new();
    let counted = counted(found);
    for name in found.attributes().into_iter().filter(|name| !apart.contains(name)) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &found.rows {
            *counts.entry(row.attribute(name).unwrap_or("not known")).or_default() += 1;
        }
        if !(2..=MOST_GROUPS).contains(&counts.len()) {
            continue;
        }
        let value = |row: &Prediction| row.attribute(name).unwrap_or("not known").to_owned();
        let mut rows = Vec::new();
        for &group in counts.keys() {
            let take = |row: &Prediction| value(row) == group;
            rows.push(overall_row(&Part { name: group.to_owned(), found, take: &take })?);
        }
        let accuracy = |row: &Vec<Cell>| match row.get(2) {
            Some(Cell::Value { value, .. }) => *value,
            _ => 0.0,
        };
        let ends = |better: fn(f64, f64) -> bool| {
            rows.iter().zip(counts.keys()).reduce(|a, b| if better(accuracy(b.0), accuracy(a.0)) { b } else { a })
        };
        let (best, worst) = (ends(|a, b| a > b), ends(|a, b| a < b));
        let said = match (best, worst) {
            (Some((high, best)), Some((low, worst))) if best != worst => {
                let group: Vec<u8> = found
                    .rows
                    .iter()
                    .map(|row| if value(row) == **best { 1 } else { u8::from(value(row) == **worst) * 2 })
                    .collect();
                let rate = |members: &[usize], of: u8| {
                    let of: Vec<_> = members.iter().filter(|&&i| group[i] == of).map(|&i| &counted[i]).collect();
                    of.iter().filter(|c| c.0 == c.1).count() as f64 / of.len() as f64
                };
                let (_, members) = clusters(found, &|_| true);
                let [interval] = bootstrap(&members, RESAMPLES, SEED, |m| [rate(m, 1) - rate(m, 2)]);
                let gap = Cell::with(accuracy(high) - accuracy(low), interval).written(Form::Points);
                let interval = gap.1.map_or_else(String::new, |i| format!(" (95 % interval {i})"));
                let chosen = if counts.len() > 2 {
                    " The two were chosen for being furthest apart, so some of the gap is chance."
                } else {
                    ""
                };
                format!("Gap between {best} and {worst}: {} points of accuracy{interval}.{chosen}", gap.0)
            }
            _ => "No gap.".to_owned(),
        };
        let mut columns = overall_columns("Files");
        columns[0].title = name.to_owned();
        blocks.push(Block::Table(Table { id: format!("group-{name}"), caption: format!("By {name}."), columns, rows }));
        blocks.push(words(said));
    }
    if blocks.is_empty() {
        blocks.push(words(none));
    }
    Ok(section("groups", "Groups", blocks))
}

/// Whether a prediction, or another program's answer beside it, is right.
type Judge<'a> = dyn Fn(&(&Prediction, Option<Emotion>)) -> bool + 'a;

/// Our answers beside another program's for the same files.
fn against(found: &Predictions, name: &str, answers: &Answers) -> Result<Section> {
    let both: Vec<(&Prediction, Option<Emotion>)> =
        found.rows.iter().filter_map(|row| Some((row, answers.of(&row.path)?))).collect();
    if both.is_empty() {
        let text = format!("{name} has no answer for any of these files: are its paths those of the set?");
        return Ok(section("against", "Beside another program", vec![words(text)]));
    }
    let labels = &found.labels;
    let recall = |right: &Judge<'_>| {
        let of = |label: Emotion| {
            let of: Vec<_> = both.iter().filter(|b| b.0.label == label).collect();
            (!of.is_empty()).then(|| of.iter().filter(|b| right(b)).count() as f64 / of.len() as f64)
        };
        let all: Vec<f64> = labels.iter().filter_map(|&l| of(l)).collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    };
    let ours = |b: &(&Prediction, Option<Emotion>)| b.0.is_right();
    let theirs = |b: &(&Prediction, Option<Emotion>)| b.1 == Some(b.0.label);
    let part = |right: &Judge<'_>| both.iter().filter(|b| right(b)).count() as f64 / both.len() as f64;
    let found_only = both.iter().filter(|b| ours(b) && !theirs(b)).count() as u64;
    let other_only = both.iter().filter(|b| !ours(b) && theirs(b)).count() as u64;
    let test = McNemar::of(found_only, other_only)?;
    let unanswered = both.iter().filter(|b| b.1.is_none()).count();
    let row = |name: &str, right: &Judge<'_>| {
        vec![Cell::text(name), Cell::Count(both.len() as u64), Cell::value(part(right)), Cell::value(recall(right))]
    };
    let table = Table {
        id: "against".to_owned(),
        caption: format!(
            "On the {} of {} files that both have; no answer counts as wrong ({unanswered} of {name}).",
            both.len(),
            found.rows.len()
        ),
        columns: vec![
            column("", Form::Text),
            column("Files", Form::Count),
            column("Accuracy", Form::Percent),
            column("UAR", Form::Percent),
        ],
        rows: vec![row("this model", &ours), row(name, &theirs)],
    };
    let said = format!(
        "Right here only: {found_only}; right there only: {other_only}. McNemar's exact test: p = {}. {}",
        Cell::value(test.p).written(Form::Chance).0,
        if test.p < 0.05 { "The difference is more than chance." } else { "No difference is shown." }
    );
    Ok(section("against", "Beside another program", vec![Block::Table(table), words(said)]))
}

/// What is left when files are spoilt.
fn robustness(clean: &Predictions, spoilt: &[Spoilt]) -> Result<Section> {
    let accuracy = |found: &Predictions| Ok::<f64, demeanor::Error>(found.confusion()?.metrics().accuracy);
    let whole = accuracy(clean)?;
    let mut rows = Vec::with_capacity(spoilt.len());
    let mut lines: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for one in spoilt {
        let part = Part { name: format!("{}, {}", one.kind, one.level), found: &one.found, take: &|_| true };
        let mut row = overall_row(&part)?;
        // the number of files is that of the clean ones
        row.remove(1);
        if let (Some(level), Some(Cell::Value { value, interval_95 })) = (one.level_db, row.get(2)) {
            let point = Point { x: f64::from(level), y: *value, interval_95: *interval_95, examples: None };
            lines.entry(&one.kind).or_default().push(point);
        }
        row.insert(2, Cell::value(accuracy(&one.found)? - whole));
        rows.push(row);
    }
    let mut columns = overall_columns("");
    columns.remove(1);
    columns.insert(2, column("Change of accuracy", Form::Points));
    let mut blocks = Vec::new();
    if !lines.is_empty() {
        let series = lines.into_iter().map(|(name, mut points)| {
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            Series { name: name.to_owned(), points, marked: true }
        });
        blocks.push(Block::Chart(Chart {
            id: "noise".to_owned(),
            caption: "UAR in noise of several kinds; bands are 95 % intervals.".to_owned(),
            x: Axis { title: "Signal-to-noise ratio (dB)".to_owned(), range: [0.0, 20.0], percent: false },
            y: share("UAR (%)"),
            diagonal: false,
            series: series.collect(),
        }));
        let white = spoilt.iter().find(|s| s.kind == "white noise" && s.level_db == Some(10.0));
        if let Some(white) = white {
            blocks.push(words(format!(
                "White noise at 10 dB changes the accuracy by {} points here; the paper says that it costs its network 18.",
                Cell::value(accuracy(&white.found)? - whole).written(Form::Points).0
            )));
        }
    }
    blocks.push(Block::Table(Table {
        id: "robustness".to_owned(),
        caption: format!(
            "The same files, each spoilt one way before it is read; accuracy as they are: {:.1} %. What is random is drawn \
             from each file's place, seed 0.",
            100.0 * whole
        ),
        columns,
        rows,
    }));
    Ok(section("robustness", "Spoilt files", blocks))
}

/// How to get the same figures.
fn source(source: &Source) -> Section {
    let mut rows = vec![
        ("command", source.command.clone()),
        ("program", source.program.clone()),
        ("system", source.system.clone()),
        ("instruction set", source.instruction_set.clone()),
    ];
    rows.extend(source.precision.iter().map(|p| ("precision", p.clone())));
    rows.extend(source.seeds.iter().map(|(what, seed)| ("seed", format!("{what} {seed}"))));
    rows.extend(source.models.iter().map(|m| ("model", format!("{} ({}), SHA-256 {}", m.name, m.path, m.sha256))));
    rows.extend(
        source.data.iter().map(|d| ("data", format!("{}, {} files, SHA-256 {}", d.path, d.examples, d.sha256))),
    );
    let table = Table {
        id: "source".to_owned(),
        caption:
            "The hash of a model is that in its file, of its contents; the hash of the data is of the sorted 8-byte \
                  SHA-256 hashes in predictions.csv, each once."
                .to_owned(),
        columns: vec![column("", Form::Text), column("", Form::File)],
        rows: rows.into_iter().map(|(name, value)| vec![Cell::text(name), Cell::text(value)]).collect(),
    };
    section("source", "How to get these figures", vec![Block::Table(table)])
}

/// The hash of the examples of some predictions.
pub fn data_source(path: String, found: &Predictions) -> DataSource {
    let mut hashes: Vec<[u8; 8]> = found.rows.iter().map(|row| row.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    DataSource { path, examples: found.rows.len(), sha256: hexadecimal(&Sha256::digest(hashes.concat())) }
}

/// The sections that every report has, around the first.
fn report(
    title: String,
    found: &Predictions,
    first: Section,
    protocol: Vec<Block>,
    no_groups: &str,
    context: &Context,
) -> Result<Report> {
    let mut source_of = context.source.clone();
    source_of.seeds.push(("of the bootstrap".to_owned(), SEED));
    let mut protocol = protocol;
    protocol.extend(context.leaks.iter().map(words_of));
    if found.left_out() > 0 {
        let each: Vec<String> = found.left_out.iter().map(|(emotion, n)| format!("{n} {emotion}")).collect();
        protocol.push(words(format!("Not in any figure, because the model has no such label: {}.", each.join(", "))));
    }
    let never: Vec<&str> =
        found.labels.iter().filter(|l| !found.rows.iter().any(|row| row.label == **l)).map(|l| l.name()).collect();
    if !never.is_empty() {
        protocol.push(words(format!(
            "Labels of the model that no file here has, so that each answer of them is a mistake: {}.",
            never.join(", ")
        )));
    }
    let mut sections = vec![first, section("protocol", "Protocol", protocol)];
    if let Some((name, answers)) = &context.against {
        sections.push(against(found, name, answers)?);
    }
    sections.extend([emotions(found)?, confusion(found)?, tests(found), calibration(found)?, coverage(found)]);
    if !context.robustness.is_empty() {
        sections.push(robustness(found, &context.robustness)?);
    }
    sections.extend([groups(found, no_groups)?, mistakes(found), source(&source_of)]);
    Ok(Report { schema: SCHEMA, title, warnings: context.warnings.clone(), source: source_of, sections })
}

fn words_of(text: &String) -> Block {
    words(text)
}

/// The report of a face model on a split.
///
/// # Errors
/// As [`Predictions::confusion`].
pub fn faces(model: &str, split: Split, found: &Predictions, context: &Context) -> Result<Report> {
    let all = |_: &Prediction| true;
    let clean = |row: &Prediction| row.attribute(predictions::NEAR_DUPLICATE) == Some("no");
    let unseen = |row: &Prediction| row.attribute(predictions::SEEN) == Some("no");
    let mut parts = vec![Part { name: format!("the whole {split} split"), found, take: &all }];
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
        "Each picture of the {split} split is read once, as it is, by the preparation and the forward pass of use."
    ))];
    if split == Split::Test {
        protocol.push(words(
            "Training and all choices used the training and validation splits; the test split is read by evaluation alone.",
        ));
    }
    let no_groups = "The set names no groups: FER-2013 says nothing of the age, sex or skin of the people in its pictures, so \
                     nobody can say from it for whom the model is worse. A table path,group given with --groups is shown here.";
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
        (Some(p), _) if !p.holds_speakers_out() && found.clusters().by_speaker => blocks.push(words(
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

#[cfg(test)]
mod tests;
