//! The field's way before networks: hand-made features and a linear support vector machine. Kept as baselines that train and
//! are measured by the same commands, on the same splits, as everything else.

mod features;
mod smote;
mod svm;

use std::collections::BTreeMap;

use demeanor::{Emotion, Error, ErrorKind, Result, Scores};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use features::Features;
pub use smote::smote;
pub use svm::Svm;

use crate::calibrate::temperature;
use crate::data::Split;
use crate::data::faces::FaceSet;
use crate::data::speech::SpeechSet;
use crate::metrics::{Confusion, Metrics};
use crate::predictions::hexadecimal;
use crate::recipe::ClassWeights;

/// A recipe of such a baseline, as a TOML file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassicRecipe {
    /// Name of the model.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// The emotions that it tells apart.
    pub labels: Vec<Emotion>,
    /// What is computed of a picture or a recording.
    pub features: Features,
    /// Strengths of the errors against the margin (`C`): the one with the best validation UAR is kept.
    pub strengths: Vec<f64>,
    /// How an error is weighted by its class.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Whether rare classes are filled up with examples made by SMOTE, from so many neighbours; not when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smote: Option<usize>,
}

impl ClassicRecipe {
    /// Reads a recipe; none where the text is one of a network (it has a table `network` or `train`).
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when it is neither, or a value is out of its range.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let bad =
            |e: &dyn std::fmt::Display| Error::new(ErrorKind::Setting, format!("the recipe is no baseline's: {e}"));
        let table: toml::Table = toml::from_str(text).map_err(|e| bad(&e))?;
        if !table.contains_key("strengths") {
            return Ok(None);
        }
        let recipe: ClassicRecipe = toml::from_str(text).map_err(|e| bad(&e))?;
        let positive = recipe.strengths.iter().all(|c| c.is_finite() && *c > 0.0);
        if recipe.strengths.is_empty() || !positive {
            return Err(bad(&"strengths: expected one or more numbers above 0"));
        }
        if recipe.labels.len() < 2 || recipe.smote == Some(0) {
            return Err(bad(&"expected two labels or more, and one neighbour or more for SMOTE"));
        }
        Ok(Some(recipe))
    }

    /// Whether it is for pictures of faces.
    pub fn is_for_faces(&self) -> bool {
        matches!(self.features, Features::Hog | Features::Lbp)
    }
}

/// Feature vectors with the place of their label.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// One after another, each as long as the others.
    pub values: Vec<f32>,
    /// The place of each one's label among the recipe's.
    pub classes: Vec<usize>,
}

impl Examples {
    /// Numbers of an example.
    pub fn width(&self) -> usize {
        self.values.len() / self.classes.len().max(1)
    }
}

/// A baseline, trained.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassicModel {
    /// What made it.
    pub recipe: ClassicRecipe,
    /// What margins are divided by before the softmax: fitted to the validation examples.
    pub temperature: f32,
    /// The strength that was kept.
    pub strength: f64,
    /// SHA-256 of its numbers.
    pub sha256: String,
    mean: Vec<f32>,
    scale: Vec<f32>,
    svm: Svm,
}

/// The key of the header in the metadata of a model file.
const HEADER: &str = "demeanor-classic";

/// What a model file says beside its numbers.
#[derive(Serialize, Deserialize)]
struct FileHeader {
    recipe: ClassicRecipe,
    temperature: f32,
    strength: f64,
}

impl ClassicModel {
    /// Whether the bytes of a model file are of such a baseline.
    pub fn is(bytes: &[u8]) -> bool {
        SafeTensors::read_metadata(bytes)
            .is_ok_and(|(_, meta)| meta.metadata().as_ref().is_some_and(|m| m.contains_key(HEADER)))
    }

    /// Trains one: features are brought to mean 0 and deviation 1 over the training examples, an SVM is fitted for each
    /// strength, and the one with the best UAR on the validation examples is kept, with the temperature that fits them.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] without training or validation examples.
    pub fn train(
        recipe: &ClassicRecipe,
        train: &Examples,
        validation: &Examples,
        seed: u64,
    ) -> Result<(Self, Metrics)> {
        if train.classes.is_empty() || validation.classes.is_empty() {
            return Err(Error::new(ErrorKind::Data, "a baseline needs training and validation examples"));
        }
        let (mean, scale) = spread(train);
        let mut scaled = train.clone();
        standardise(&mut scaled.values, &mean, &scale);
        if let Some(neighbours) = recipe.smote {
            smote(&mut scaled, recipe.labels.len(), neighbours, seed);
        }
        let mut held_out = validation.values.clone();
        standardise(&mut held_out, &mean, &scale);
        let labels = recipe.labels.len();
        let mut counts = vec![0; labels];
        scaled.classes.iter().for_each(|&class| counts[class] += 1);
        let weights = recipe.class_weights.of(&counts);
        let mut best: Option<(f64, ClassicModel, Metrics)> = None;
        for &strength in &recipe.strengths {
            let svm = Svm::fit(&scaled, labels, strength, &weights, seed);
            let margins: Vec<f32> = held_out.par_chunks(scaled.width()).flat_map_iter(|x| svm.margins(x)).collect();
            let temperature = temperature(&margins, &validation.classes, labels);
            let mut confusion = Confusion::new(&recipe.labels);
            for (margins, &class) in margins.chunks_exact(labels).zip(&validation.classes) {
                confusion.add_logits(class, margins, temperature)?;
            }
            let metrics = confusion.metrics();
            let uar = metrics.balanced_accuracy;
            if best.as_ref().is_none_or(|(other, ..)| uar > *other) {
                let (mean, scale) = (mean.clone(), scale.clone());
                let mut model = ClassicModel {
                    recipe: recipe.clone(),
                    temperature,
                    strength,
                    sha256: String::new(),
                    mean,
                    scale,
                    svm,
                };
                model.sha256 = hexadecimal(&Sha256::digest(model.numbers()));
                best = Some((uar, model, metrics));
            }
        }
        best.map(|(_, model, metrics)| (model, metrics))
            .ok_or_else(|| Error::new(ErrorKind::Setting, "the recipe names no strength"))
    }

    fn numbers(&self) -> Vec<u8> {
        let all = self.mean.iter().chain(&self.scale).chain(&self.svm.weights);
        all.flat_map(|v| v.to_le_bytes()).collect()
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed =
            |e: &dyn std::fmt::Display| Error::new(ErrorKind::Model, format!("the baseline cannot be written: {e}"));
        let header = FileHeader { recipe: self.recipe.clone(), temperature: self.temperature, strength: self.strength };
        let header = serde_json::to_string(&header).map_err(|e| failed(&e))?;
        let bytes = self.numbers();
        let width = self.mean.len();
        let (mean, rest) = bytes.split_at(4 * width);
        let (scale, weights) = rest.split_at(4 * width);
        let view = |shape: Vec<usize>, data| TensorView::new(Dtype::F32, shape, data).map_err(|e| failed(&e));
        let tensors = [
            ("mean", view(vec![width], mean)?),
            ("scale", view(vec![width], scale)?),
            ("weights", view(vec![self.recipe.labels.len(), width + 1], weights)?),
        ];
        safetensors::serialize(tensors, Some([(HEADER.to_owned(), header)].into())).map_err(|e| failed(&e))
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when they are no such baseline's, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad =
            |why: &dyn std::fmt::Display| Error::new(ErrorKind::Model, format!("the file is no baseline's: {why}"));
        let (_, meta) = SafeTensors::read_metadata(bytes).map_err(|e| bad(&e))?;
        let header = meta.metadata().as_ref().and_then(|m| m.get(HEADER)).ok_or_else(|| bad(&"it has no header"))?;
        let FileHeader { recipe, temperature, strength } = serde_json::from_str(header).map_err(|e| bad(&e))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(&e))?;
        let read = |name: &str, count: usize| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| bad(&e))?;
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let whole = view.dtype() == Dtype::F32 && values.len() == count && values.iter().all(|v| v.is_finite());
            if whole { Ok(values) } else { Err(bad(&format!("{name} is damaged"))) }
        };
        let (width, labels) = (recipe.features.width(), recipe.labels.len());
        let svm = Svm { width, weights: read("weights", labels * (width + 1))? };
        let (mean, scale) = (read("mean", width)?, read("scale", width)?);
        let mut model = ClassicModel { recipe, temperature, strength, sha256: String::new(), mean, scale, svm };
        model.sha256 = hexadecimal(&Sha256::digest(model.numbers()));
        Ok(model)
    }

    /// The scores of an example by its features.
    ///
    /// # Errors
    /// Those of [`Scores::from_logits`].
    pub fn scores(&self, features: &[f32]) -> Result<Scores> {
        let mut values = features.to_vec();
        standardise(&mut values, &self.mean, &self.scale);
        let margins: Vec<f32> = self.svm.margins(&values).collect();
        Scores::from_logits(&self.recipe.labels, &margins, self.temperature)
    }

    /// The scores of pictures, on all cores, in the order of `indices`.
    ///
    /// # Errors
    /// Those of reading a picture; [`ErrorKind::Setting`] when the baseline is for recordings.
    pub fn read_faces(&self, set: &FaceSet, indices: &[usize]) -> Result<Vec<Scores>> {
        indices.par_iter().map(|&i| self.scores(&self.recipe.features.of_face(set, i)?)).collect()
    }

    /// The scores of recordings, on all cores, in the order of `clips`, whose samples are given.
    ///
    /// # Errors
    /// Those of preparing a recording; [`ErrorKind::Setting`] when the baseline is for pictures.
    pub fn read_voice(&self, samples: &[f32]) -> Result<Scores> {
        self.scores(&self.recipe.features.of_voice(samples)?)
    }
}

/// Mean of each feature, and 1 over its standard deviation (0 where it does not vary).
fn spread(examples: &Examples) -> (Vec<f32>, Vec<f32>) {
    let (width, count) = (examples.width(), examples.classes.len() as f64);
    let mut sums = vec![(0.0f64, 0.0f64); width];
    for row in examples.values.chunks_exact(width.max(1)) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            sum.0 += f64::from(value);
            sum.1 += f64::from(value) * f64::from(value);
        }
    }
    let mean = sums.iter().map(|s| (s.0 / count) as f32).collect();
    let scale = sums.iter().map(|s| {
        let variance = s.1 / count - (s.0 / count).powi(2);
        if variance > 1e-12 { (1.0 / variance.sqrt()) as f32 } else { 0.0 }
    });
    (mean, scale.collect())
}

fn standardise(values: &mut [f32], mean: &[f32], scale: &[f32]) {
    for row in values.chunks_exact_mut(mean.len().max(1)) {
        for ((value, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
            *value = (*value - mean) * scale;
        }
    }
}

/// The examples of a split of pictures that have one of the recipe's labels.
///
/// # Errors
/// Those of reading a picture.
pub fn faces(recipe: &ClassicRecipe, set: &FaceSet, split: Split) -> Result<Examples> {
    let place = |emotion: Emotion| recipe.labels.iter().position(|&l| l == emotion);
    // as for networks: no training picture that has a twin in validation or test
    let indices = if split == Split::Train { set.clean_indices(split) } else { set.indices(split) };
    let known: Vec<(usize, usize)> =
        indices.into_iter().filter_map(|i| Some((i, place(set.pictures[i].emotion)?))).collect();
    let values = known.par_iter().map(|&(i, _)| recipe.features.of_face(set, i)).collect::<Result<Vec<_>>>()?;
    Ok(Examples { values: values.concat(), classes: known.into_iter().map(|(_, class)| class).collect() })
}

/// The examples among some recordings that have one of the recipe's labels.
///
/// # Errors
/// Those of preparing a recording.
pub fn voices(recipe: &ClassicRecipe, set: &SpeechSet, clips: &[usize]) -> Result<Examples> {
    let place = |emotion: Emotion| recipe.labels.iter().position(|&l| l == emotion);
    let known: Vec<(usize, usize)> = clips.iter().filter_map(|&i| Some((i, place(set.clips[i].emotion)?))).collect();
    let values =
        known.par_iter().map(|&(i, _)| recipe.features.of_voice(&set.clips[i].samples)).collect::<Result<Vec<_>>>()?;
    Ok(Examples { values: values.concat(), classes: known.into_iter().map(|(_, class)| class).collect() })
}

/// What training writes beside the model: its figures on the validation examples, and what it learnt from.
#[derive(Debug, Clone, Serialize)]
pub struct ClassicMetrics {
    /// Name of the model.
    pub model: String,
    /// The command that made it.
    pub training: BTreeMap<String, serde_json::Value>,
    /// On the validation examples.
    pub validation: Metrics,
    /// What was learnt from.
    pub training_files: crate::seen::TrainingFiles,
}
