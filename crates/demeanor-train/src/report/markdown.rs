//! A report as Markdown.

use std::fmt::Write as _;

use super::tree::{Block, Cell, Chart, Form, Report, Table};

/// A text whose marks are not read as Markdown's.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A text as code, whatever backticks it holds.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let blank = if longest > 0 { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

fn row(out: &mut String, cells: impl Iterator<Item = String>) {
    let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "{}\n", escaped(&table.caption));
    let heading = |title: &str, form: Form| match form {
        Form::Percent => format!("{} (%)", escaped(title)),
        Form::Points => format!("{} (points)", escaped(title)),
        _ => escaped(title),
    };
    row(out, table.columns.iter().map(|c| heading(&c.title, c.form)));
    let is_text = |form| matches!(form, Form::Text | Form::File);
    row(out, table.columns.iter().map(|c| if is_text(c.form) { "---" } else { "--:" }.to_owned()));
    for cells in &table.rows {
        let written = |(cell, form): (&Cell, Form)| match (cell.written(form), form) {
            // a bar would end the cell, in code too
            ((text, _), Form::File) => code(&text).replace('|', "\\|"),
            ((text, None), _) => escaped(&text),
            ((text, Some(interval)), _) => format!("{text} ({interval})"),
        };
        row(out, cells.iter().zip(&table.columns).map(|(cell, column)| written((cell, column.form))));
    }
    out.push('\n');
}

fn chart(out: &mut String, chart: &Chart) {
    let _ = writeln!(out, "{}\n", escaped(&chart.caption));
    let number = |value: f64, percent: bool| if percent { format!("{:.1}", 100.0 * value) } else { format!("{value}") };
    row(out, ["", &chart.x.title, &chart.y.title, "examples"].into_iter().map(escaped));
    row(out, ["---", "--:", "--:", "--:"].into_iter().map(str::to_owned));
    for series in &chart.series {
        for point in &series.points {
            let mut y = number(point.y, chart.y.percent);
            if let Some([low, high]) = point.interval_95 {
                let _ = write!(y, " ({} to {})", number(low, chart.y.percent), number(high, chart.y.percent));
            }
            let examples = point.examples.map_or_else(String::new, |n| n.to_string());
            row(out, [escaped(&series.name), number(point.x, chart.x.percent), y, examples].into_iter());
        }
    }
    out.push('\n');
}

/// A piece of a report as Markdown. Charts become tables of their points; small ones are left out, whose points are in the
/// table that follows them.
pub(crate) fn block(out: &mut String, block: &Block) {
    match block {
        Block::Text { text } => {
            let _ = writeln!(out, "{}\n", escaped(text));
        }
        Block::Table(found) => table(out, found),
        Block::Chart(found) => chart(out, found),
        Block::Charts { .. } => {}
        Block::Confusion { caption, labels, counts, .. } => {
            let _ = writeln!(out, "{}\n", escaped(caption));
            row(out, std::iter::once(String::new()).chain(labels.iter().map(|l| l.name().to_owned())));
            row(out, std::iter::once("---").chain(labels.iter().map(|_| "--:")).map(str::to_owned));
            for (label, counts) in labels.iter().zip(counts) {
                let cells = counts.iter().map(u64::to_string);
                row(out, std::iter::once(label.name().to_owned()).chain(cells));
            }
            out.push('\n');
        }
    }
}

/// The report as Markdown: its pieces under their headings.
pub fn markdown(report: &Report) -> String {
    let mut out = format!("# {}\n\n", escaped(&report.title));
    for warning in &report.warnings {
        let _ = writeln!(out, "> **Read first:** {}\n", escaped(warning));
    }
    for section in &report.sections {
        let _ = writeln!(out, "## {}\n", escaped(&section.title));
        section.blocks.iter().for_each(|found| block(&mut out, found));
    }
    out
}
