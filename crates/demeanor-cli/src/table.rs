//! Tables that commands write: CSV line by line, and with the feature `parquet` Parquet in the end.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::exports::is_stdout;
use crate::output::Sink;
use crate::record::Record;
use crate::terminal;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// Numbers.
    Real,
    /// Counts.
    Whole,
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not known, or there is none.
    Empty,
    /// Words.
    Text(String),
    /// A number.
    Real(f64),
    /// A count.
    Whole(u64),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Empty, Into::into)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Cell::Real(number)
    }
}

impl From<f32> for Cell {
    fn from(number: f32) -> Self {
        Cell::Real(f64::from(number))
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Cell::Whole(count)
    }
}

impl Cell {
    /// As it stands in CSV: numbers to a ten-thousandth.
    fn words(&self) -> String {
        match self {
            Cell::Empty => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Real(number) => format!("{}", rounded(*number)),
            Cell::Whole(count) => count.to_string(),
        }
    }
}

fn rounded(number: f64) -> f64 {
    // a zero has no sign
    (number * 1e4).round() / 1e4 + 0.0
}

/// The names and kinds of columns.
pub type Columns = Vec<(String, Kind)>;

/// A row of it.
pub type Row = Vec<Cell>;

/// The row of what could not be read: its name in the first column, what was wrong in the last.
pub fn unread(columns: usize, file: &str, problem: Option<&str>) -> Row {
    let mut row = vec![Cell::Empty; columns];
    if let [first, .., last] = &mut row[..] {
        (*first, *last) = (file.into(), problem.into());
    }
    row
}

/// A table that is being written. What fails is said, and nothing else ends with it.
pub struct Table {
    columns: Columns,
    csv: Csv,
    #[cfg(feature = "parquet")]
    parquet: Option<Parquet>,
    failed: bool,
}

enum Csv {
    None,
    /// Under its own name, line by line.
    Record(Record),
    /// Stdout.
    Sink(Sink),
}

/// The files of a table.
#[derive(Debug, Clone, Default)]
pub struct TableFiles {
    /// CSV; `-` is stdout.
    pub csv: Option<PathBuf>,
    /// Parquet.
    pub parquet: Option<PathBuf>,
}

impl Table {
    /// Begins the files that are wanted, which have been claimed.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn create(columns: Columns, files: &TableFiles, overwrite: bool) -> Result<Table> {
        let csv = match &files.csv {
            None => Csv::None,
            Some(path) if is_stdout(path) => Csv::Sink(Sink::create(Some(Path::new("-")), false)?),
            Some(path) => Csv::Record(Record::create(path)?),
        };
        #[cfg(not(feature = "parquet"))]
        let _ = overwrite;
        let mut table = Table {
            #[cfg(feature = "parquet")]
            parquet: files.parquet.as_deref().map(|path| Parquet::create(path, overwrite)).transpose()?,
            columns,
            csv,
            failed: false,
        };
        let names: Vec<_> = table.columns.iter().map(|(name, _)| name.clone()).collect();
        table.line(&names);
        Ok(table)
    }

    /// Adds a row, with a field for each column.
    pub fn row(&mut self, row: Row) {
        debug_assert_eq!(row.len(), self.columns.len());
        let words: Vec<_> = row.iter().map(Cell::words).collect();
        self.line(&words);
        #[cfg(feature = "parquet")]
        if let Some(parquet) = &mut self.parquet {
            parquet.rows.push(row);
        }
    }

    fn line(&mut self, words: &[String]) {
        if matches!(self.csv, Csv::None) {
            return;
        }
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        // a buffer takes all
        let line = writer.write_record(words).ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
        match &mut self.csv {
            Csv::None => {}
            Csv::Record(record) => {
                if let Err(error) = record.line(&line) {
                    terminal::problem(terminal::whole(&error));
                    self.failed = true;
                }
            }
            Csv::Sink(sink) => {
                sink.write(|w| w.write_all(&line));
                sink.flush();
            }
        }
    }

    /// Completes the files; whether all went well.
    pub fn finish(mut self) -> bool {
        match std::mem::replace(&mut self.csv, Csv::None) {
            Csv::None => {}
            Csv::Record(record) => {
                if let Err(error) = record.finish() {
                    terminal::problem(terminal::whole(&error));
                    self.failed = true;
                }
            }
            Csv::Sink(mut sink) => {
                sink.finish();
                self.failed |= sink.has_failed();
            }
        }
        #[cfg(feature = "parquet")]
        if let Some(parquet) = self.parquet.take()
            && let Err(error) = parquet.finish(&self.columns)
        {
            terminal::problem(terminal::whole(&error));
            self.failed = true;
        }
        !self.failed
    }
}

#[cfg(feature = "parquet")]
use self::parquet_file::Parquet;

#[cfg(feature = "parquet")]
mod parquet_file {
    use std::path::Path;
    use std::sync::Arc;

    use anyhow::Result;
    use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;

    use super::{Cell, Columns, Kind, Row};
    use crate::output::Output;

    /// The rows of a table until it is complete.
    pub struct Parquet {
        output: Output,
        pub rows: Vec<Row>,
    }

    impl Parquet {
        pub fn create(path: &Path, overwrite: bool) -> Result<Parquet> {
            Ok(Parquet { output: Output::create(path, overwrite)?, rows: Vec::new() })
        }

        pub fn finish(self, columns: &Columns) -> Result<()> {
            let Parquet { mut output, rows } = self;
            let bytes = encode(columns, &rows)?;
            output.write(|w| w.write_all(&bytes))?;
            output.finish()
        }
    }

    fn encode(columns: &Columns, rows: &[Row]) -> Result<Vec<u8>> {
        let field = |(name, kind): &(String, Kind)| {
            let kind = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Real => DataType::Float64,
                Kind::Whole => DataType::UInt64,
            };
            Field::new(name, kind, true)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let arrays = columns.iter().enumerate().map(|(i, (_, kind))| -> ArrayRef {
            let cells = rows.iter().map(|row| &row[i]);
            match kind {
                Kind::Text => Arc::new(
                    cells
                        .map(|c| if let Cell::Text(text) = c { Some(text.as_str()) } else { None })
                        .collect::<StringArray>(),
                ),
                Kind::Real => Arc::new(
                    cells
                        .map(|c| if let Cell::Real(number) = c { Some(*number) } else { None })
                        .collect::<Float64Array>(),
                ),
                Kind::Whole => Arc::new(
                    cells
                        .map(|c| if let Cell::Whole(count) = c { Some(*count) } else { None })
                        .collect::<UInt64Array>(),
                ),
            }
        });
        let batch = RecordBatch::try_new(schema.clone(), arrays.collect())?;
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, None)?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_quotes_what_must_be_and_stands_there_line_by_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        let columns =
            vec![("file".to_owned(), Kind::Text), ("x".to_owned(), Kind::Real), ("n".to_owned(), Kind::Whole)];
        let files = TableFiles { csv: Some(path.clone()), parquet: None };
        let mut table = Table::create(columns, &files, false).expect("created");
        table.row(vec!["a, \"b\"\nc".into(), 0.123_456.into(), 7u64.into()]);
        let rows = "file,x,n\n\"a, \"\"b\"\"\nc\",0.1235,7\n";
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), rows);
        table.row(vec![Cell::Empty, (-0.000_01).into(), None::<u64>.into()]);
        assert!(table.finish());
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), format!("{rows},0,\n"));
    }
}
