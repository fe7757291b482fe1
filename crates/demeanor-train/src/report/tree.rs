//! A report as data: what JSON, Markdown and HTML are all written from.

use std::io::Write;

use demeanor::{Emotion, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The version of the form of [`Report`] as JSON.
pub const SCHEMA: u32 = 1;

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// What was measured, on what.
    pub title: String,
    /// What a reader must know before any figure: that test files were seen in training, that no person is held out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was measured, by what, on what, in which way.
    pub source: Source,
    /// The parts, in order.
    pub sections: Vec<Section>,
}

/// Everything that one needs to get the same figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Source {
    /// The command, as it was given.
    pub command: String,
    /// Program and version.
    pub program: String,
    /// The system and the processor's family, such as `linux x86_64`.
    pub system: String,
    /// The instruction set of the kernels, and what else the processor has.
    pub instruction_set: String,
    /// How the network multiplied, where that can be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Seeds: of the bootstrap, of noise, of pairs.
    pub seeds: Vec<(String, u64)>,
    /// The models, run by run.
    pub models: Vec<ModelSource>,
    /// The sets.
    pub data: Vec<DataSource>,
}

/// A model that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSource {
    /// Its name.
    pub name: String,
    /// The SHA-256 in its header, of its contents.
    pub sha256: String,
    /// Where it was read.
    pub path: String,
}

/// A set that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// Where it was read.
    pub path: String,
    /// The examples that figures are made of.
    pub examples: usize,
    /// SHA-256 of the sorted 8-byte hashes of these examples, each once: the same for the same files, whatever their names.
    pub sha256: String,
}

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// A word for it that does not change.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What it holds, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text {
        /// The words.
        text: String,
    },
    /// A table.
    Table(Table),
    /// A confusion matrix.
    Confusion {
        /// A word for it that does not change.
        id: String,
        /// What it shows.
        caption: String,
        /// The labels, in the order of rows and columns.
        labels: Vec<Emotion>,
        /// `[labelled][read as]`.
        counts: Vec<Vec<u64>>,
    },
    /// A chart of lines.
    Chart(Chart),
    /// Small charts side by side, all with the same lines.
    Charts {
        /// A word for them that does not change.
        id: String,
        /// What they show.
        caption: String,
        /// The charts.
        charts: Vec<Chart>,
    },
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// A word for it that does not change.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// How its values are written.
    pub form: Form,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Words.
    Text,
    /// A file's name.
    File,
    /// A whole number.
    Count,
    /// A part of 1, written in percent with one digit.
    Percent,
    /// A difference of two parts of 1, written in points with one digit and a sign.
    Points,
    /// A number with three digits.
    Number,
    /// The chance of a test.
    Chance,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A whole number.
    Count(u64),
    /// A value, with its 95 % interval where there is one.
    Value {
        /// The value, unrounded.
        value: f64,
        /// Low and high end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval_95: Option<[f64; 2]>,
    },
    /// Words.
    Text(String),
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }

    /// A value with its interval.
    pub fn with(value: f64, interval_95: Option<[f64; 2]>) -> Self {
        if value.is_finite() { Cell::Value { value, interval_95 } } else { Cell::Empty }
    }

    /// A value.
    pub fn value(value: f64) -> Self {
        Self::with(value, None)
    }

    /// Its number; none where it is words or empty.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Value { value, .. } => Some(*value),
            Cell::Count(count) => Some(*count as f64),
            Cell::Empty | Cell::Text(_) => None,
        }
    }

    /// The cell as people read it, without its interval; and the interval.
    pub fn written(&self, form: Form) -> (String, Option<String>) {
        let number = |value: f64| match form {
            Form::Percent => format!("{:.1}", 100.0 * value),
            Form::Points => format!("{:+.1}", 100.0 * value),
            Form::Chance if value < 1e-4 => format!("{value:.1e}"),
            Form::Chance => format!("{value:.4}"),
            Form::Count => format!("{value:.0}"),
            Form::Number | Form::Text | Form::File => format!("{value:.3}"),
        };
        match self {
            Cell::Empty => ("–".to_owned(), None),
            Cell::Text(text) => (text.clone(), None),
            Cell::Count(count) => (count.to_string(), None),
            Cell::Value { value, interval_95 } => {
                (number(*value), interval_95.map(|[low, high]| format!("{} to {}", number(low), number(high))))
            }
        }
    }
}

/// A chart of lines over two axes from 0 to 1 (or what `x` says).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// A word for it that does not change.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Whether the line of equal values is drawn.
    pub diagonal: bool,
    /// The lines.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    /// Its two ends.
    pub range: [f64; 2],
    /// Whether values are parts of 1 that are written in percent.
    pub percent: bool,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
    /// Whether the points are marked, larger for more examples.
    pub marked: bool,
}

/// A point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Place on the horizontal axis.
    pub x: f64,
    /// Place on the vertical axis.
    pub y: f64,
    /// 95 % interval of `y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_95: Option<[f64; 2]>,
    /// How many examples it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<u64>,
}

impl Report {
    /// Writes the report as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when writing fails.
    pub fn write_json(&self, mut out: impl Write) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::File, format!("the report cannot be written as JSON: {e}"))
        };
        serde_json::to_writer_pretty(&mut out, self).map_err(|e| failed(&e))?;
        out.write_all(b"\n").map_err(|e| failed(&e))
    }
}
