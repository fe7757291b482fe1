//! A training run on disk: everything that it needs to go on exactly as if it had never stopped.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use demeanor::{Error, ErrorKind, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::optimise::OptimiserState;
use crate::recipe::Figure;

/// The state of a training run between two steps. All randomness follows from the seed, the epoch and the step, so no
/// generator needs to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Counters and figures.
    pub place: Place,
    /// The parameters.
    pub parameters: Vec<f32>,
    /// Running statistics of the norms.
    pub statistics: Vec<f32>,
    /// The optimiser's memory.
    pub optimiser: OptimiserState,
    /// Running average of the parameters, then of the statistics; none before it begins.
    pub average: Option<(Vec<f32>, Vec<f32>)>,
    /// Parameters and statistics of the best epoch.
    pub best: Option<(Vec<f32>, Vec<f32>)>,
}

/// Where a run is, and what it has measured so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// What the run was started with; a checkpoint goes on only with the same.
    pub run: String,
    /// Epochs of the earlier runs that it began from, whose orders and edits this one does not repeat.
    #[serde(default)]
    pub earlier: usize,
    /// Steps done since the first epoch.
    pub step: usize,
    /// Sum of the training loss over the examples of the epoch that is under way.
    pub loss_sum: f64,
    /// How many of them were read rightly.
    pub right: usize,
    /// How many there were.
    pub seen: usize,
    /// Seconds spent on the epoch that is under way.
    pub seconds: f64,
    /// Whole epochs, as in the log.
    pub history: Vec<EpochRecord>,
    /// The best epoch (from 1) and its validation figure.
    pub best: Option<(usize, f64)>,
    /// The best watched figure for early stopping, and the epochs since.
    pub watched: Option<(f64, usize)>,
    /// Whether the run has come to its end.
    pub finished: bool,
    /// The instruction set that its last steps were computed with; empty in checkpoints that do not say. A run goes on bit by
    /// bit on the same one only.
    #[serde(default)]
    pub isa: String,
}

/// A line of the metrics log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean loss over the training examples, as they were met (varied, mixed, weighted).
    pub train_loss: f64,
    /// Part of them read rightly, 0 to 1.
    pub train_accuracy: f64,
    /// Cross-entropy on the validation examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Part of them read rightly, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Unweighted average recall on them, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_uar: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub rate: f32,
    /// Seconds that the epoch took, validation included.
    pub seconds: f64,
}

impl EpochRecord {
    /// A validation figure of the epoch.
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::Loss => self.validation_loss,
            Figure::Accuracy => self.validation_accuracy,
            Figure::Uar => self.validation_uar,
        }
    }
}

const KEY: &str = "demeanor_checkpoint";

impl Checkpoint {
    /// Writes the checkpoint; an older one is replaced only when this one is whole.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let place = serde_json::to_string(&(&self.place, self.optimiser.steps))
            .map_err(|e| file_error(path, "its counters cannot be written", e))?;
        let mut tensors: Vec<(&str, &[f32])> = vec![
            ("parameters", &self.parameters),
            ("statistics", &self.statistics),
            ("first", &self.optimiser.first),
            ("second", &self.optimiser.second),
        ];
        if let Some((parameters, statistics)) = &self.average {
            tensors.extend([("average.parameters", &parameters[..]), ("average.statistics", &statistics[..])]);
        }
        if let Some((parameters, statistics)) = &self.best {
            tensors.extend([("best.parameters", &parameters[..]), ("best.statistics", &statistics[..])]);
        }
        let bytes: Vec<(&str, usize, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, values)| (name, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let mut views = Vec::with_capacity(bytes.len());
        for (name, length, data) in &bytes {
            let view = TensorView::new(Dtype::F32, vec![*length], data)
                .map_err(|e| file_error(path, "a tensor cannot be written", e))?;
            views.push((*name, view));
        }
        let data = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), place)])))
            .map_err(|e| file_error(path, "it cannot be put together", e))?;
        replace(path, &data)
    }

    /// The parameters and statistics that a later run may begin with: the average of the weights where there is one, or
    /// the best epoch's, or the last ones.
    pub fn weights(&self) -> (&[f32], &[f32]) {
        match self.average.as_ref().or(self.best.as_ref()) {
            Some((parameters, statistics)) => (parameters, statistics),
            None => (&self.parameters, &self.statistics),
        }
    }

    /// Reads a checkpoint; none where there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when the file cannot be read, is truncated, or is no checkpoint.
    pub fn read(path: &Path) -> Result<Option<Checkpoint>> {
        let data = match fs::read(path) {
            Ok(data) => data,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(file_error(path, "it cannot be read", e)),
        };
        let (_, metadata) =
            SafeTensors::read_metadata(&data).map_err(|e| file_error(path, "it is no whole checkpoint", e))?;
        let place = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| file_error(path, "it is no checkpoint", format!("no \"{KEY}\" in its header")))?;
        let (place, steps): (Place, u64) =
            serde_json::from_str(place).map_err(|e| file_error(path, "its counters cannot be read", e))?;
        let tensors = SafeTensors::deserialize(&data).map_err(|e| file_error(path, "it is no whole checkpoint", e))?;
        let vector = |name: &str| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| file_error(path, "a part is missing", e))?;
            if view.dtype() != Dtype::F32 {
                return Err(file_error(path, "a part has the wrong type", format!("{name} is {:?}", view.dtype())));
            }
            Ok(view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        };
        let pair = |name: &str| -> Result<Option<(Vec<f32>, Vec<f32>)>> {
            let (parameters, statistics) = (format!("{name}.parameters"), format!("{name}.statistics"));
            if tensors.tensor(&parameters).is_err() {
                return Ok(None);
            }
            Ok(Some((vector(&parameters)?, vector(&statistics)?)))
        };
        let checkpoint = Checkpoint {
            place,
            parameters: vector("parameters")?,
            statistics: vector("statistics")?,
            optimiser: OptimiserState { first: vector("first")?, second: vector("second")?, steps },
            average: pair("average")?,
            best: pair("best")?,
        };
        Ok(Some(checkpoint))
    }
}

/// Writes a file under a temporary name beside it and then renames it, so that it is never seen half written.
///
/// # Errors
/// [`ErrorKind::File`] when it cannot be written.
pub fn replace(path: &Path, data: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = fs::File::create(&part).and_then(|mut file| {
        file.write_all(data)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&part, path)).map_err(|e| {
        let _ = fs::remove_file(&part);
        file_error(path, "it cannot be written", e)
    })
}

pub(crate) fn file_error(
    path: &Path,
    what: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let source = source.into();
    Error::new(ErrorKind::File, format!("{}: {what}: {source}", path.display())).with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            place: Place {
                run: "abc".into(),
                earlier: 4,
                step: 17,
                loss_sum: 0.1 + 0.2,
                right: 3,
                seen: 5,
                seconds: 1.5,
                history: vec![EpochRecord {
                    epoch: 1,
                    train_loss: 1.0 / 3.0,
                    train_accuracy: 0.5,
                    validation_loss: Some(2.0 / 3.0),
                    validation_accuracy: None,
                    validation_uar: None,
                    rate: 1e-3,
                    seconds: 0.1,
                }],
                best: Some((1, 2.0 / 3.0)),
                watched: Some((2.0 / 3.0, 2)),
                finished: false,
                isa: "avx2".into(),
            },
            parameters: vec![1.0, -2.5e-8, f32::MIN_POSITIVE],
            statistics: vec![],
            optimiser: OptimiserState { first: vec![1.0, 2.0, 3.0], second: vec![], steps: 9 },
            average: Some((vec![0.1, 0.2, 0.3], vec![])),
            best: None,
        }
    }

    #[test]
    fn comes_back_bit_for_bit() {
        let folder = std::env::temp_dir().join(format!("demeanor-checkpoint-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("checkpoint.safetensors");
        assert!(Checkpoint::read(&path).unwrap().is_none());
        checkpoint().write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap().unwrap(), checkpoint());
        // truncated and foreign files are refused
        let whole = fs::read(&path).unwrap();
        for length in [0, 4, 40, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(Checkpoint::read(&path).unwrap_err().kind(), ErrorKind::File, "{length} bytes");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
