//! Which files a model was trained on, so that evaluation notices when it is asked about one of them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::predictions::{Predictions, SEEN, hexadecimal};

/// The files that a model was trained on, in its metrics: the first 8 bytes of the SHA-256 of each recording's file, or of
/// each picture's grey values, as hexadecimal digits, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrainingFiles(Vec<String>);

/// What is known of files that were both trained on and tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overlap {
    /// Whether the training files of every model are recorded.
    pub recorded: bool,
    /// Tested files that were trained on, where they are recorded.
    pub seen: u64,
}

/// The first 8 bytes of the SHA-256 of some bytes.
pub fn hash(bytes: &[u8]) -> [u8; 8] {
    let whole = Sha256::digest(bytes);
    std::array::from_fn(|i| whole[i])
}

impl TrainingFiles {
    /// Of these hashes, in any order.
    pub fn new(hashes: impl IntoIterator<Item = [u8; 8]>) -> Self {
        let mut all: Vec<String> = hashes.into_iter().map(|hash| hexadecimal(&hash)).collect();
        all.sort();
        all.dedup();
        TrainingFiles(all)
    }

    /// Those in the text of a metrics file; none where it records none.
    pub fn of_metrics(metrics: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Metrics {
            training_files: Option<TrainingFiles>,
        }
        serde_json::from_str::<Metrics>(metrics).ok()?.training_files.filter(|files| !files.0.is_empty())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Overlap {
    /// Marks the predictions of each run by the training files of its model (`files[run]`; none where they are not
    /// recorded), and counts what was trained on.
    pub fn mark(found: &mut Predictions, files: &[Option<TrainingFiles>]) -> Self {
        let known: Vec<Option<HashSet<&str>>> =
            files.iter().map(|f| f.as_ref().map(|f| f.0.iter().map(String::as_str).collect())).collect();
        let mut overlap = Overlap { recorded: !known.is_empty() && known.iter().all(Option::is_some), seen: 0 };
        for row in &mut found.rows {
            if let Some(Some(trained_on)) = known.get(row.run) {
                let seen = trained_on.contains(hexadecimal(&row.hash).as_str());
                overlap.seen += u64::from(seen);
                row.attributes.insert(SEEN.to_owned(), if seen { "yes" } else { "no" }.to_owned());
            }
        }
        overlap
    }

    /// The same in a sentence.
    pub fn describe(&self, tested: usize) -> String {
        match (self.recorded, self.seen) {
            (false, 0) => {
                "Training files not recorded: whether the model has seen some of these files is not known.".to_owned()
            }
            (true, 0) => format!("None of the {tested} tested files was trained on (by their SHA-256)."),
            (_, seen) => format!("{seen} of the {tested} tested files were trained on (by their SHA-256)."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::Prediction;
    use demeanor::{Emotion, Scores};

    #[test]
    fn files_that_were_trained_on_are_found_run_by_run() {
        let row = |byte: u8, run| Prediction {
            path: format!("{byte}"),
            run,
            label: Emotion::Sad,
            scores: Scores::from_weights(&[(Emotion::Sad, 1.0)]).unwrap(),
            hash: [byte; 8],
            attributes: Default::default(),
            votes: None,
        };
        let mut found = Predictions {
            labels: vec![Emotion::Sad],
            rows: vec![row(1, 0), row(2, 0), row(1, 1)],
            ..Default::default()
        };
        let files = TrainingFiles::new([[2; 8], [3; 8], [2; 8]]);
        let json = serde_json::json!({ "model": "x", "training_files": files }).to_string();
        assert!(json.contains("[\"0202020202020202\",\"0303030303030303\"]"), "{json}");
        let files = TrainingFiles::of_metrics(&json);
        assert_eq!(Overlap::mark(&mut found, &[files.clone(), files.clone()]), Overlap { recorded: true, seen: 1 });
        assert_eq!(found.rows.iter().map(|r| r.attribute(SEEN).unwrap()).collect::<Vec<_>>(), ["no", "yes", "no"]);
        assert_eq!(Overlap::mark(&mut found, &[files, None]), Overlap { recorded: false, seen: 1 });
        for metrics in ["", "{}", "{\"training_files\": []}", "{\"training_files\": 3}"] {
            assert_eq!(TrainingFiles::of_metrics(metrics), None, "{metrics}");
        }
        assert!(Overlap::mark(&mut found, &[None, None]).describe(3).contains("not recorded"));
    }
}
