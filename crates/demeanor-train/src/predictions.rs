//! What a model said of each example: the one source of all figures, and a table that anyone can recompute them from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write};

use demeanor::{Emotion, Error, ErrorKind, Result, Scores};

pub use crate::data::face_corpora::PERSON;
use crate::metrics::Confusion;

/// The attribute that says who speaks.
pub const SPEAKER: &str = "speaker";
/// The attribute that says whether training has a near-duplicate of a picture: `yes` or `no`.
pub const NEAR_DUPLICATE: &str = "near_duplicate_in_train";
/// The attribute that says what most raters of FER+ voted for.
pub const VOTED: &str = "fer_plus_majority";
/// The attribute that says whether the model was trained on the very file: `yes` or `no`.
pub const SEEN: &str = "seen_in_training";

/// An example as a model read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The file below the set's folder.
    pub path: String,
    /// The run of the protocol.
    pub run: usize,
    /// What it is labelled.
    pub label: Emotion,
    /// What the model said; its labels are the model's.
    pub scores: Scores,
    /// The first 8 bytes of the SHA-256 of what was read: the file of a recording, the grey values of a picture.
    pub hash: [u8; 8],
    /// What else is known of it, by name: speaker, sex, whether it has a near-duplicate in training.
    pub attributes: BTreeMap<String, String>,
    /// The part of the FER+ raters that voted for each emotion, by [`Emotion::index`], where there are votes.
    pub votes: Option<[f32; Emotion::COUNT]>,
}

impl Prediction {
    /// The emotion with the highest score.
    pub fn predicted(&self) -> Emotion {
        self.scores.top().0
    }

    /// The highest score.
    pub fn confidence(&self) -> f64 {
        f64::from(self.scores.top().1)
    }

    /// Whether it was read as it is labelled.
    pub fn is_right(&self) -> bool {
        self.predicted() == self.label
    }

    /// An attribute, where it is known.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// All examples of an evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// The labels of the model (or of the models of all runs), in its order.
    pub labels: Vec<Emotion>,
    /// The examples, in the order of the set, run after run.
    pub rows: Vec<Prediction>,
    /// Examples that are labelled with an emotion that the model does not have, by emotion: they are in no figure.
    pub left_out: BTreeMap<Emotion, usize>,
}

impl Predictions {
    /// Counts of all examples.
    ///
    /// # Errors
    /// [`ErrorKind::Label`] when an example is labelled with none of the labels.
    pub fn confusion(&self) -> Result<Confusion> {
        self.confusion_of(|_| true)
    }

    /// Counts of those examples that `take` says yes to.
    ///
    /// # Errors
    /// As [`Predictions::confusion`].
    pub fn confusion_of(&self, take: impl Fn(&Prediction) -> bool) -> Result<Confusion> {
        let mut confusion = Confusion::new(&self.labels);
        for row in self.rows.iter().filter(|row| take(row)) {
            confusion.add_scores(row.label, &row.scores)?;
        }
        Ok(confusion)
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.rows.iter().map(|row| row.run + 1).max().unwrap_or(0)
    }

    /// Examples left out, in all.
    pub fn left_out(&self) -> usize {
        self.left_out.values().sum()
    }

    /// The names of all attributes.
    pub fn attributes(&self) -> BTreeSet<&str> {
        self.rows.iter().flat_map(|row| row.attributes.keys().map(String::as_str)).collect()
    }

    /// The examples that belong together when one asks how a figure would have come out with other people: by the speaker
    /// or the person of a picture, where all are known, else each file by itself.
    pub fn clusters(&self) -> Clusters {
        let known = |name: &&str| !self.rows.is_empty() && self.rows.iter().all(|row| row.attribute(name).is_some());
        let person = [SPEAKER, PERSON].into_iter().find(known);
        let mut members: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (i, row) in self.rows.iter().enumerate() {
            let corpus = row.attribute("corpus").unwrap_or_default();
            let key = match person {
                Some(name) => (corpus, row.attribute(name).unwrap_or_default()),
                None => ("", &*row.path),
            };
            members.entry(key).or_default().push(i);
        }
        let of = match person {
            Some(SPEAKER) => "speakers",
            Some(_) => "persons",
            None => "files",
        };
        Clusters { by_person: person.is_some(), of, members: members.into_values().collect() }
    }

    /// Writes the table: a line for each example with `path`, `run`, `sha256_8`, every attribute, `label`, `predicted`,
    /// `correct` (1 or 0) and the score of each label. Scores are written so that they are read back bit for bit.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when writing fails.
    pub fn write_csv(&self, out: impl Write) -> Result<()> {
        let failed = |e: csv::Error| Error::new(ErrorKind::File, format!("the predictions cannot be written: {e}"));
        let attributes = self.attributes();
        let mut table = csv::Writer::from_writer(out);
        let mut head: Vec<String> = ["path", "run", "sha256_8"].map(String::from).to_vec();
        head.extend(attributes.iter().map(|&name| name.to_owned()));
        head.extend(["label", "predicted", "correct"].map(String::from));
        head.extend(self.labels.iter().map(|label| format!("score_{label}")));
        table.write_record(&head).map_err(failed)?;
        for row in &self.rows {
            let mut cells = vec![row.path.clone(), row.run.to_string(), hexadecimal(&row.hash)];
            cells.extend(attributes.iter().map(|name| row.attribute(name).unwrap_or_default().to_owned()));
            let right = if row.is_right() { "1" } else { "0" };
            cells.extend([row.label.name(), row.predicted().name(), right].map(String::from));
            let score = |&label: &Emotion| {
                if row.scores.has(label) { row.scores.of(label).to_string() } else { String::new() }
            };
            cells.extend(self.labels.iter().map(score));
            table.write_record(&cells).map_err(failed)?;
        }
        table
            .flush()
            .map_err(|e| Error::new(ErrorKind::File, format!("the predictions cannot be written: {e}")).with_source(e))
    }
}

/// Examples in clusters, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// Whether a cluster is a speaker or a person; else it is a file.
    pub by_person: bool,
    /// What the clusters are: `speakers`, `persons` or `files`.
    pub of: &'static str,
    /// The places of each cluster's examples.
    pub members: Vec<Vec<usize>>,
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Another program's answers for files: from a table with the columns `path` (or `file`) and `predicted` (or `emotion` or
/// `label`). An empty answer, or one of no emotion that is known here (`none`, `no face`), is no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<String, Option<Emotion>>);

impl Answers {
    /// Reads the table.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a column is missing, a row is malformed, or a file stands twice with different answers.
    pub fn read(input: impl Read) -> Result<Self> {
        let table = ByPath::read(input)?;
        let answer = table.column(&["predicted", "emotion", "label"])?;
        let mut answers = BTreeMap::new();
        for (path, cells) in &table.rows {
            let emotion = cells.get(answer).and_then(|word| word.parse().ok());
            if answers.insert(path.clone(), emotion).is_some_and(|earlier| earlier != emotion) {
                return Err(Error::new(ErrorKind::Data, format!("{path} stands twice, with different answers")));
            }
        }
        Ok(Answers(answers))
    }

    /// The answer for a file: none where there is no row for it. Whole paths first, then the only path of the table that
    /// ends with it or that it ends with.
    pub fn of(&self, path: &str) -> Option<Option<Emotion>> {
        by_path(&self.0, path).copied()
    }

    /// How many files it has answers for.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What belongs to a path: of the very path, or of the only other one that ends with it or that it ends with.
fn by_path<'a, T>(all: &'a BTreeMap<String, T>, path: &str) -> Option<&'a T> {
    let tail = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('/'));
    all.get(path).or_else(|| {
        let mut fitting = all.iter().filter(|(other, _)| tail(other, path) || tail(path, other));
        match (fitting.next(), fitting.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    })
}

/// A table whose rows belong to files.
struct ByPath {
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl ByPath {
    fn read(input: impl Read) -> Result<Self> {
        let bad = |e: csv::Error| Error::new(ErrorKind::Data, format!("it is no table: {e}"));
        let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
        let columns: Vec<String> = table
            .headers()
            .map_err(bad)?
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim_matches('"').to_ascii_lowercase())
            .collect();
        let mut whole = ByPath { columns, rows: Vec::new() };
        let path = whole.column(&["path", "file", "filename"])?;
        for row in table.records() {
            let row = row.map_err(bad)?;
            let cells: Vec<String> = row.iter().map(str::to_owned).collect();
            if let Some(path) = cells.get(path).filter(|p| !p.is_empty()) {
                whole.rows.push((path.clone(), cells.clone()));
            }
        }
        Ok(whole)
    }

    /// The place of the first column with one of these names.
    fn column(&self, names: &[&str]) -> Result<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|c| c == name)).ok_or_else(|| {
            let found = self.columns.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            Error::new(ErrorKind::Data, format!("no column \"{}\"; found {found}", names[0]))
        })
    }
}

/// Groups of files, from a table with the column `path` (or `file`) and a column for each way to group them, such as
/// `group`. Columns named `emotion`, `label` and `predicted` group nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(BTreeMap<String, Vec<(String, String)>>);

impl Groups {
    /// Reads the table.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when there is no column of paths or none of groups, or a row is malformed.
    pub fn read(input: impl Read) -> Result<Self> {
        let table = ByPath::read(input)?;
        let others = ["path", "file", "filename", "emotion", "label", "predicted"];
        let columns: Vec<usize> =
            (0..table.columns.len()).filter(|&i| !others.contains(&table.columns[i].as_str())).collect();
        if columns.is_empty() {
            return Err(Error::new(ErrorKind::Data, "no column \"group\": expected path and at least one grouping"));
        }
        let row = |(path, cells): (String, Vec<String>)| {
            let groups = columns.iter().filter_map(|&i| {
                let value = cells.get(i).filter(|v| !v.is_empty())?;
                Some((table.columns[i].clone(), value.clone()))
            });
            (path, groups.collect())
        };
        Ok(Groups(table.rows.clone().into_iter().map(row).collect()))
    }

    /// Adds the groups to the attributes of predictions, and gives how many have some.
    pub fn add(&self, found: &mut Predictions) -> usize {
        let mut count = 0;
        for row in &mut found.rows {
            if let Some(groups) = by_path(&self.0, &row.path).filter(|g| !g.is_empty()) {
                row.attributes.extend(groups.iter().cloned());
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn prediction(path: &str, label: Emotion, logits: [f32; 3], speaker: &str) -> Prediction {
        let labels = [Emotion::Happy, Emotion::Sad, Emotion::Neutral];
        Prediction {
            path: path.to_owned(),
            run: 0,
            label,
            scores: Scores::from_logits(&labels, &logits, 1.0).unwrap(),
            hash: [0xab; 8],
            attributes: [(SPEAKER.to_owned(), speaker.to_owned())].into(),
            votes: None,
        }
    }

    fn predictions() -> Predictions {
        Predictions {
            labels: vec![Emotion::Happy, Emotion::Sad, Emotion::Neutral],
            rows: vec![
                prediction("a/1.wav", Emotion::Happy, [1.0, 0.3, 0.2], "ann"),
                prediction("b, \"c\"/2.wav", Emotion::Sad, [1.0, 0.3, 0.2], "ben"),
                prediction("a/3.wav", Emotion::Neutral, [0.1, 0.3, 2.2], "ann"),
            ],
            left_out: BTreeMap::new(),
        }
    }

    #[test]
    fn the_table_holds_what_the_figures_are_made_of() {
        let found = predictions();
        let mut bytes = Vec::new();
        found.write_csv(&mut bytes).unwrap();
        let mut table = csv::Reader::from_reader(&bytes[..]);
        let head = table.headers().unwrap().clone();
        assert_eq!(
            head.iter().collect::<Vec<_>>().join(","),
            "path,run,sha256_8,speaker,label,predicted,correct,score_happy,score_sad,score_neutral"
        );
        let rows: Vec<csv::StringRecord> = table.records().map(|row| row.unwrap()).collect();
        for (row, expected) in rows.iter().zip(&found.rows) {
            assert_eq!(
                (&row[0], &row[2], &row[3]),
                (&*expected.path, "abababababababab", &expected.attributes[SPEAKER][..])
            );
            for (cell, label) in (7..).zip(&found.labels) {
                assert_eq!(row[cell].parse::<f32>().unwrap().to_bits(), expected.scores.of(*label).to_bits());
            }
        }
        assert_eq!((&rows[0][6], &rows[1][6], &rows[1][5]), ("1", "0", "happy"));
        let right = rows.iter().filter(|row| &row[6] == "1").count() as f64;
        assert_eq!(found.confusion().unwrap().metrics().accuracy, right / 3.0);
    }

    #[test]
    fn clusters_are_speakers_where_all_are_known() {
        let mut found = predictions();
        assert_eq!(found.clusters(), Clusters { by_person: true, of: "speakers", members: vec![vec![0, 2], vec![1]] });
        found.rows[1].attributes.clear();
        assert_eq!(
            found.clusters(),
            Clusters { by_person: false, of: "files", members: vec![vec![0], vec![2], vec![1]] }
        );
    }

    #[test]
    fn answers_of_others_are_found_by_path() {
        let table = "\u{feff}File,Predicted\n/data/a/1.wav,happiness\nb/2.wav,no face\nx/3.wav,sad\ny/3.wav,angry\n";
        let answers = Answers::read(table.as_bytes()).unwrap();
        assert_eq!(answers.of("a/1.wav"), Some(Some(Emotion::Happy)));
        assert_eq!(answers.of("b/2.wav"), Some(None));
        assert_eq!(answers.of("sets/b/2.wav"), Some(None));
        assert_eq!(answers.of("3.wav"), None, "two files end so");
        assert_eq!(answers.of("4.wav"), None);
        assert_eq!(answers.len(), 4);
        assert!(Answers::read("path,x\n".as_bytes()).unwrap_err().to_string().contains("no column \"predicted\""));
        let groups =
            Groups::read("path,emotion,group,skin\n1.wav,sad,old,\nb/2.wav,sad,young,dark\n".as_bytes()).unwrap();
        let mut found = predictions();
        assert_eq!(groups.add(&mut found), 1, "a/1.wav alone: b, \"c\"/2.wav is another file");
        assert_eq!(found.rows[0].attribute("group"), Some("old"));
        assert!(Groups::read("path,emotion\n".as_bytes()).is_err());
        let twice = Answers::read("path,predicted\na,sad\na,happy\n".as_bytes()).unwrap_err().to_string();
        assert!(twice.contains("stands twice"), "{twice}");
    }
}
