//! Lines of comma-separated tables, read in blocks so that the rows can be parsed on all cores.

use std::io::BufRead;

use demeanor::{Error, ErrorKind, Result};
use rayon::prelude::*;

/// Longest line that is read, in bytes; a row of FER-2013 has at most 9,300.
const LONGEST: usize = 1 << 20;

/// Rows that are held at a time.
const BLOCK: usize = 4096;

/// The columns of a table by name: blanks around names, quotes and letter case do not matter.
#[derive(Debug, Clone)]
pub struct Columns(Vec<String>);

impl Columns {
    /// The place of the first column that has one of these names (written in lower case).
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.0.iter().position(|c| c == name))
    }

    /// Names as they are written in the first line, in lower case.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// The cells of a line, without quotes and blanks around them. A comma within quotes does not end a cell; line breaks
/// within cells are not known.
pub fn cells(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let quoted = text.trim_start().starts_with('"');
        let end = if quoted {
            let open = text.find('"').map_or(0, |at| at + 1);
            let close = text[open..].find('"').map_or(text.len(), |at| open + at);
            text[close..].find(',').map(|at| close + at)
        } else {
            text.find(',')
        };
        let cell = match end {
            Some(end) => {
                rest = Some(&text[end + 1..]);
                &text[..end]
            }
            None => {
                rest = None;
                text
            }
        };
        let cell = cell.trim();
        Some(cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).map_or(cell, str::trim))
    })
}

/// Reads a table: the first line names the columns, each other line that is not empty is a row.
///
/// `begin` sees the columns once; `parse` turns a row into a value on any core, given its line number (from 1) and the
/// row's place among the rows (from 0); values and problems come back in order. A row that cannot be parsed is a problem
/// that names its line, and the rows after it are still read, until `most` problems have been found.
///
/// # Errors
/// Those of `begin`; [`ErrorKind::File`] when reading fails; [`ErrorKind::Data`] when there is no first line or a line is
/// longer than 1 MiB.
pub fn read<C: Sync, T: Send>(
    mut input: impl BufRead,
    most: usize,
    begin: impl FnOnce(&Columns) -> Result<C>,
    parse: impl Fn(&C, usize, &str) -> Result<T> + Sync,
) -> Result<(Vec<T>, Vec<Error>)> {
    let mut line = Vec::new();
    let mut number = 0;
    if !next_line(&mut input, &mut line, &mut number)? {
        return Err(Error::new(ErrorKind::Data, "the table is empty: expected a first line that names the columns"));
    }
    let first = String::from_utf8_lossy(&line);
    let first = first.trim_start_matches('\u{feff}');
    let columns = Columns(cells(first).map(str::to_ascii_lowercase).collect());
    let context = begin(&columns)?;

    let (mut values, mut problems) = (Vec::new(), Vec::new());
    let mut rows = 0;
    loop {
        let mut block: Vec<(usize, usize, Vec<u8>)> = Vec::new();
        while block.len() < BLOCK && next_line(&mut input, &mut line, &mut number)? {
            if !line.iter().all(u8::is_ascii_whitespace) {
                block.push((number, rows, std::mem::take(&mut line)));
                rows += 1;
            }
        }
        if block.is_empty() {
            return Ok((values, problems));
        }
        let parsed: Vec<Result<T>> = block
            .par_iter()
            .map(|(number, row, bytes)| {
                std::str::from_utf8(bytes)
                    .map_err(|_| Error::new(ErrorKind::Data, "the line is not UTF-8 text"))
                    .and_then(|text| parse(&context, *row, text))
                    .map_err(|e| Error::new(e.kind(), format!("line {number}: {e}")))
            })
            .collect();
        for value in parsed {
            match value {
                Ok(value) => values.push(value),
                Err(error) => problems.push(error),
            }
        }
        if problems.len() >= most {
            problems.truncate(most);
            return Ok((values, problems));
        }
    }
}

/// Reads the next line without its end; false at the end of the input.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: &mut usize) -> Result<bool> {
    line.clear();
    *number += 1;
    let failed =
        |e: std::io::Error| Error::new(ErrorKind::File, format!("line {number} cannot be read: {e}")).with_source(e);
    let read = std::io::Read::take(&mut *input, LONGEST as u64 + 1).read_until(b'\n', line).map_err(failed)?;
    if read > LONGEST {
        return Err(Error::new(ErrorKind::Data, format!("line {number} is longer than {LONGEST} bytes")));
    }
    while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(read > 0)
}
