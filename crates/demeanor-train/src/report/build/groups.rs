//! For whom a model is better or worse.

use std::collections::BTreeMap;

use demeanor::Result;

use super::{Part, RESAMPLES, SEED, clusters, counted, overall_columns, overall_row, section, words};
use crate::predictions::{self, Prediction, Predictions};
use crate::report::tree::{Block, Cell, Form, Section, Table};
use crate::statistics::bootstrap;

/// Values that an attribute may have to be shown as groups.
const MOST_GROUPS: usize = 100;

/// Accuracy and UAR by each attribute that makes groups.
pub(super) fn groups(found: &Predictions, none: &str) -> Result<Section> {
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
                // where a group is one person, the most that can be asked is how another choice of files would have come out
                let of_two = |row: &Prediction| value(row) == **best || value(row) == **worst;
                let (_, all) = clusters(found, &of_two);
                let members = match all.len() {
                    0..=2 => all.into_iter().flatten().map(|i| vec![i]).collect(),
                    _ => all,
                };
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
