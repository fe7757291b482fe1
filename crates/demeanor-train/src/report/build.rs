//! From predictions to a report.

mod against;
mod calibration;
mod faces;
mod groups;
mod robustness;
mod speech;

pub use calibration::coverage_curve;
pub use faces::faces;
pub use speech::{fusion, speech};

use demeanor::{Emotion, Result};
use sha2::{Digest, Sha256};

use super::tree::{Axis, Block, Cell, Column, DataSource, Form, Report, SCHEMA, Section, Source, Table};
use crate::metrics::{BINS, Confusion, anova};
use crate::predictions::{Answers, Prediction, Predictions, hexadecimal};
use crate::robust::Spoilt;
use crate::statistics::{TTest, bootstrap, holm};

/// Resamples of the bootstrap.
pub const RESAMPLES: usize = 2000;
/// Seed of the bootstrap.
pub const SEED: u64 = 0;
/// Mistakes that are listed.
const MISTAKES: usize = 30;

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
    /// Other programs' answers for the same files, each with its name.
    pub against: Vec<(String, Answers)>,
    /// The same files spoilt in several ways.
    pub robustness: Vec<Spoilt>,
    /// Ways to spoil files that could not be tried, with the reason, in sentences.
    pub not_run: Vec<String>,
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
    if kept.len() < 2 && all.by_person {
        // one person: the most that can be asked is how another choice of files would have come out
        return (false, kept.into_iter().flatten().map(|i| vec![i]).collect());
    }
    (all.by_person, kept)
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
    found.clusters().of
}

fn overall(parts: &[Part<'_>], what: &str, more: Vec<Block>) -> Result<Section> {
    let rows = parts.iter().map(overall_row).collect::<Result<Vec<_>>>()?;
    let over = parts.first().map_or("files", |p| over(p.found));
    let caption = format!(
        "With 95 % intervals: percentile bootstrap over {over}, {RESAMPLES} resamples, seed {SEED}. UAR is the mean of the \
         emotions' recalls (balanced accuracy); ECE the calibration error over {BINS} bins, which resampling raises: its \
         interval lies high."
    );
    let table = Table { id: "overall".to_owned(), caption, columns: overall_columns(what), rows };
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(more);
    blocks.extend(parts.first().and_then(|part| floor(part.found)));
    Ok(section("overall", "Overall", blocks))
}

/// What one would reach without reading anything.
fn floor(found: &Predictions) -> Option<Block> {
    let count = |emotion: Emotion| found.rows.iter().filter(|row| row.label == emotion).count();
    let most = found.labels.iter().copied().max_by_key(|&label| count(label))?;
    let part = count(most) as f64 / found.rows.len().max(1) as f64;
    let occur = found.labels.iter().filter(|&&label| count(label) > 0).count();
    Some(words(format!(
        "To compare: always answering {most} has an accuracy of {:.1} % here, and a UAR of {:.1} %.",
        100.0 * part,
        100.0 / occur.max(1) as f64
    )))
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

/// Recalls of each label by speaker or person: `[label][person]`, none where a person has no example of it.
fn recalls_by_person(found: &Predictions) -> Vec<Vec<Option<f64>>> {
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
    let (by_person, of) = (found.clusters().by_person, over(found));
    let counted = counted(found);
    let speakers = if by_person { recalls_by_person(found) } else { Vec::new() };
    let groups: Vec<Vec<f64>> = if by_person {
        speakers.iter().map(|recalls| recalls.iter().copied().flatten().collect()).collect()
    } else {
        let right =
            |label: usize| counted.iter().filter(move |c| c.0 == label).map(|c| f64::from(u8::from(c.0 == c.1)));
        (0..found.labels.len()).map(|label| right(label).collect()).collect()
    };
    let unit = if by_person {
        format!("the recalls of each of the {}", over(found))
    } else {
        "files, each 1 if read right and 0 if not".to_owned()
    };
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
        if by_person {
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
        let kind =
            if by_person { format!("Paired t-tests over {of}") } else { "Welch's t-tests over files".to_owned() };
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
    if !context.against.is_empty() {
        sections.push(against::against(found, &context.against)?);
    }
    sections.extend([emotions(found)?, confusion(found)?, tests(found)]);
    sections.extend([calibration::calibration(found)?, calibration::coverage(found)]);
    if !context.robustness.is_empty() {
        sections.push(robustness::robustness(found, &context.robustness, &context.not_run)?);
    }
    sections.extend([groups::groups(found, no_groups)?, mistakes(found), source(&source_of)]);
    Ok(Report { schema: SCHEMA, title, warnings: context.warnings.clone(), source: source_of, sections })
}

fn words_of(text: &String) -> Block {
    words(text)
}

#[cfg(test)]
mod tests;
