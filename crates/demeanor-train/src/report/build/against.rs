//! Other programs beside ours.

use demeanor::{Emotion, Result};

use super::{RESAMPLES, SEED, clusters, column, over, section, words};
use crate::predictions::{Answers, Predictions};
use crate::report::tree::{Block, Cell, Form, Section, Table};
use crate::statistics::{McNemar, bootstrap, holm};

/// Whether each answer of one program is right, with the label, for the files that both have.
struct Judged {
    labels: Vec<Emotion>,
    right: Vec<bool>,
}

impl Judged {
    fn accuracy(&self) -> f64 {
        self.right.iter().filter(|r| **r).count() as f64 / self.right.len() as f64
    }

    /// Mean of the recalls of the labels that occur.
    fn uar(&self) -> f64 {
        let mut counts = [(0.0, 0.0); Emotion::COUNT];
        for (label, right) in self.labels.iter().zip(&self.right) {
            counts[label.index()].0 += 1.0;
            counts[label.index()].1 += f64::from(u8::from(*right));
        }
        let recalls: Vec<f64> = counts.iter().filter(|(n, _)| *n > 0.0).map(|(n, hit)| hit / n).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }
}

/// Our answers beside those of other programs for the same files.
pub(super) fn against(found: &Predictions, others: &[(String, Answers)]) -> Result<Section> {
    let (mut blocks, mut rows, mut tests) = (Vec::new(), Vec::new(), Vec::new());
    for (name, answers) in others {
        let answer: Vec<Option<Option<Emotion>>> = found.rows.iter().map(|row| answers.of(&row.path)).collect();
        let both: Vec<usize> = (0..found.rows.len()).filter(|&i| answer[i].is_some()).collect();
        if both.is_empty() {
            let text = format!("{name} has no answer for any of these files: are its paths those of the set?");
            blocks.push(words(text));
            continue;
        }
        let is_right = |i: usize| (found.rows[i].is_right(), answer[i].flatten() == Some(found.rows[i].label));
        let labels: Vec<Emotion> = both.iter().map(|&i| found.rows[i].label).collect();
        let ours = Judged { labels: labels.clone(), right: both.iter().map(|&i| is_right(i).0).collect() };
        let theirs = Judged { labels, right: both.iter().map(|&i| is_right(i).1).collect() };
        let count = |pick: (bool, bool)| both.iter().filter(|&&i| is_right(i) == pick).count() as u64;
        let test = McNemar::of(count((true, false)), count((false, true)))?;
        let (_, members) = clusters(found, &|row| answers.of(&row.path).is_some());
        let [difference] = bootstrap(&members, RESAMPLES, SEED, |m| {
            let of = |right: bool| f64::from(u8::from(right));
            [m.iter().map(|&i| of(is_right(i).0) - of(is_right(i).1)).sum::<f64>() / m.len() as f64]
        });
        let unanswered = both.iter().filter(|&&i| answer[i].flatten().is_none()).count();
        rows.push(vec![
            Cell::text(name),
            Cell::Count(both.len() as u64),
            Cell::Count(unanswered as u64),
            Cell::value(theirs.accuracy()),
            Cell::value(ours.accuracy()),
            Cell::with(ours.accuracy() - theirs.accuracy(), difference),
            Cell::value(theirs.uar()),
            Cell::value(ours.uar()),
            Cell::Count(test.second_only),
            Cell::Count(test.first_only),
            Cell::value(test.p),
        ]);
        tests.push(test.p);
    }
    for (row, p) in rows.iter_mut().zip(holm(&tests)) {
        row.push(Cell::value(p));
    }
    if !rows.is_empty() {
        blocks.push(Block::Table(Table {
            id: "against".to_owned(),
            caption: format!(
                "Each on the files that it has an answer for; no answer counts as wrong. The difference of the accuracies has \
                 a 95 % interval over {}; p is that of McNemar's exact test of the files that only one of the two reads \
                 right, and corrected for the number of programs by Holm's method.",
                over(found)
            ),
            columns: vec![
                column("Program", Form::Text),
                column("Files", Form::Count),
                column("Without an answer", Form::Count),
                column("Its accuracy", Form::Percent),
                column("This model's", Form::Percent),
                column("Difference", Form::Points),
                column("Its UAR", Form::Percent),
                column("This model's", Form::Percent),
                column("Right there only", Form::Count),
                column("Right here only", Form::Count),
                column("p", Form::Chance),
                column("p, corrected", Form::Chance),
            ],
            rows,
        }));
    }
    Ok(section("against", "Beside other programs", blocks))
}
