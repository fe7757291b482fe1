//! Batches whose targets are in part what other models, the teachers, say of the very same edited inputs (Hinton et al.
//! 2015): a network learns from several at once, and is then as good as most of them together at the cost of one.

use std::fmt;
use std::sync::Mutex;

use demeanor::model::{self, Header, InputRecipe, Tensors};
use demeanor::nn::{Network, Precision};
use demeanor::training::FaceNetwork;
use demeanor::{Emotion, Error, ErrorKind, Result};
use rayon::prelude::*;

use super::batches::{LabelledBatch, Place, Source};
use crate::loss::softmax;
use crate::recipe::{Recipe, Teachers};

/// A source of batches with teachers.
pub struct Taught {
    source: Box<dyn Source>,
    teachers: Vec<(Header, Tensors)>,
    settings: Teachers,
    /// Teachers ready to run, one of each, for as many threads as have needed them at a time.
    idle: Mutex<Vec<Vec<Teacher>>>,
}

/// A teacher ready to run.
enum Teacher {
    Face(FaceNetwork),
    Speech(Network),
}

impl Teacher {
    fn new(header: &Header, tensors: &Tensors) -> Result<Self> {
        Ok(match header.input {
            InputRecipe::Face(_) => Teacher::Face(FaceNetwork::new(header, tensors, Precision::Fast)?),
            InputRecipe::Speech(_) => Teacher::Speech(Network::new(&header.network, header.input.shape(), tensors)?),
        })
    }

    fn logits(&mut self, input: &[f32], width: usize) -> Result<&[f32]> {
        match self {
            Teacher::Face(network) => network.logits(input),
            Teacher::Speech(network) => network.run(input, width),
        }
    }
}

impl fmt::Debug for Taught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.teachers.iter().map(|(header, _)| &header.name).collect();
        f.debug_struct("Taught").field("teachers", &names).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Taught {
    /// The batches of a source, with these model files as teachers. `recipe` is the student's, completed by what was
    /// measured on the training examples.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when a teacher prepares its inputs in another way or has other labels than the student;
    /// [`ErrorKind::Setting`] when there is none, or the recipe does not learn from teachers; those of reading a model.
    pub fn new(source: Box<dyn Source>, recipe: &Recipe, files: &[Vec<u8>]) -> Result<Self> {
        let settings = recipe.train.teachers.ok_or_else(|| {
            Error::new(ErrorKind::Setting, "the recipe does not learn from teachers: expected [train.teachers]")
        })?;
        if files.is_empty() {
            return Err(Error::new(
                ErrorKind::Setting,
                "the recipe learns from teachers ([train.teachers]), and there are none; give their models with --teachers",
            ));
        }
        let teachers = files.iter().map(|file| model::read(file)).collect::<Result<Vec<_>>>()?;
        for (header, _) in &teachers {
            let unlike = if header.labels != recipe.labels {
                Some("labels")
            } else if header.input != recipe.input {
                Some("preparation of inputs (that of the training examples included)")
            } else {
                None
            };
            if let Some(what) = unlike {
                return Err(Error::new(
                    ErrorKind::Recipe,
                    format!(
                        "the teacher {} has another {what} than {}: train it by a recipe with the same input on the same \
                         examples",
                        header.name, recipe.name
                    ),
                ));
            }
        }
        Ok(Taught { source, teachers, settings, idle: Mutex::default() })
    }

    fn networks(&self) -> Result<Vec<Teacher>> {
        let kept = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        match kept {
            Some(networks) => Ok(networks),
            None => self.teachers.iter().map(|(header, tensors)| Teacher::new(header, tensors)).collect(),
        }
    }

    /// Mixes what the teachers say of an input `[height, width]` into its target.
    fn teach(&self, networks: &mut [Teacher], input: &[f32], width: usize, target: &mut [f32]) -> Result<()> {
        target.iter_mut().for_each(|t| *t *= 1.0 - self.settings.share);
        let part = self.settings.share / networks.len() as f32;
        let mut said = Vec::with_capacity(target.len());
        for (network, (header, _)) in networks.iter_mut().zip(&self.teachers) {
            let soft = header.temperature * self.settings.temperature;
            let logits: Vec<f32> = network.logits(input, width)?.iter().map(|z| z / soft).collect();
            softmax(&logits, &mut said);
            target.iter_mut().zip(&said).for_each(|(t, p)| *t += part * p);
        }
        Ok(())
    }
}

impl Source for Taught {
    fn labels(&self) -> &[Emotion] {
        self.source.labels()
    }

    fn order(&self, indices: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
        self.source.order(indices, seed, epoch)
    }

    fn batch(&self, indices: &[usize], place: Place) -> Result<LabelledBatch> {
        let mut made = self.source.batch(indices, place)?;
        let LabelledBatch { batch, targets, .. } = &mut made;
        let (height, widest) = (batch.height, batch.width);
        let labels = self.labels().len();
        // in as many parts as there are threads, so that few sets of teachers are made
        let part = batch.count.div_ceil(rayon::current_num_threads()).max(1);
        batch
            .values
            .par_chunks(part * height * widest)
            .zip(targets.par_chunks_mut(part * labels))
            .enumerate()
            .try_for_each(|(n, (values, targets))| {
                let mut networks = self.networks()?;
                let examples = values.chunks_exact(height * widest).zip(targets.chunks_exact_mut(labels));
                for (i, (values, target)) in examples.enumerate() {
                    let width = batch.widths.get(n * part + i).copied().unwrap_or(widest);
                    // without what pads it to the longest of the batch
                    let own: Vec<f32> = values.chunks_exact(widest).flat_map(|row| &row[..width]).copied().collect();
                    self.teach(&mut networks, &own, width, target)?;
                }
                self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(networks);
                Ok::<(), Error>(())
            })?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Batch;
    use demeanor::nn::spec;

    const RECIPE: &str = r#"
        name = "student"
        labels = ["happy", "sad"]
        [input.speech]
        rate = 16000
        level = "peak"
        frame = 400
        hop = 160
        fft = 512
        features = { log_mel = { bands = 4, floor = 1e-4 } }
        max_frames = 9
        [[network]]
        layer = "mean_max"
        [[network]]
        layer = "dense"
        units = 2
        [train]
        epochs = 1
        batch = 2
        optimiser = { kind = "adam", rate = 0.01 }
        export = "last"
        teachers = { share = 0.75, temperature = 2.0 }
    "#;

    /// A teacher whose outputs are its mean of the first row, times `gain`, and 0.
    fn teacher(recipe: &Recipe, gain: f32) -> Vec<u8> {
        let mut tensors = Tensors::new();
        for (name, shape) in spec::tensors(&recipe.network, recipe.input_shape()).unwrap() {
            let mut values = vec![0.0; shape.iter().product()];
            if name == "1.weight" {
                values[0] = gain;
            }
            tensors.insert(name, &shape, values).unwrap();
        }
        let bare = Header::new("teacher", recipe.input.clone(), recipe.labels.clone(), recipe.network.clone());
        let header = Header { temperature: 1.5, ..bare };
        model::write(&header, &tensors).unwrap()
    }

    /// Two clips of 3 and of 2 frames; what lies beyond the second is no part of it.
    struct Two;

    impl Source for Two {
        fn labels(&self) -> &[Emotion] {
            &[Emotion::Happy, Emotion::Sad]
        }

        fn batch(&self, indices: &[usize], _: Place) -> Result<LabelledBatch> {
            let mut values = vec![0.0; 2 * 4 * 3];
            values[..3].copy_from_slice(&[1.0, 2.0, 3.0]);
            values[12..15].copy_from_slice(&[-1.0, -2.0, 99.0]);
            let batch = Batch { count: 2, height: 4, width: 3, values, widths: vec![3, 2] };
            Ok(LabelledBatch {
                batch,
                targets: vec![1.0, 0.0, 0.0, 1.0],
                masked: Vec::new(),
                indices: indices.to_vec(),
            })
        }
    }

    #[test]
    fn targets_are_labels_and_what_teachers_say() {
        let recipe = Recipe::parse(RECIPE).unwrap();
        let files = [teacher(&recipe, 3.0), teacher(&recipe, 0.0)];
        let taught = Taught::new(Box::new(Two), &recipe, &files).unwrap();
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        // a teacher's temperature times the recipe's is 3; the second teacher knows nothing
        let happy = [0.25 + 0.375 * (sigmoid(2.0) + 0.5), 0.375 * (sigmoid(-1.5) + 0.5)];
        for _ in 0..2 {
            let made = taught.batch(&[0, 1], Place { seed: 0, epoch: 0, first: 0 }).unwrap();
            for (row, happy) in made.targets.chunks_exact(2).zip(happy) {
                assert!((row[0] - happy).abs() < 1e-5 && (row[0] + row[1] - 1.0).abs() < 1e-5, "{row:?}, {happy}");
            }
        }
    }

    #[test]
    fn teachers_of_another_kind_are_refused() {
        let recipe = Recipe::parse(RECIPE).unwrap();
        let kind = |recipe: &Recipe, files: &[Vec<u8>]| Taught::new(Box::new(Two), recipe, files).unwrap_err().kind();
        assert_eq!(kind(&recipe, &[]), ErrorKind::Setting);
        let alone = Recipe::parse(&RECIPE.replace("teachers =", "# ")).unwrap();
        assert_eq!(kind(&alone, &[teacher(&recipe, 1.0)]), ErrorKind::Setting);
        for (from, to) in [("\"happy\", \"sad\"", "\"sad\", \"happy\""), ("hop = 160", "hop = 200")] {
            let other = Recipe::parse(&RECIPE.replace(from, to)).unwrap();
            assert_eq!(kind(&recipe, &[teacher(&other, 1.0)]), ErrorKind::Recipe, "{to}");
        }
        assert_eq!(kind(&recipe, &[b"no model".to_vec()]), ErrorKind::Model);
    }
}
