//! The class frequencies of a training set taken out of a model's answers, by biases in its file (logit adjustment, Menon
//! et al. 2021): a camera does not show the emotions as often as the web pictures of a contest did.

use demeanor::face::net::FaceModel;
use demeanor::model;
use demeanor::nn::Precision;
use demeanor::{Emotion, Error, ErrorKind, Result};
use serde::Serialize;

use crate::calibrate;
use crate::data::Split;
use crate::data::faces::FaceSet;
use crate::evaluate::face_logits;
use crate::metrics::{Confusion, Metrics};
use crate::recipe::Recipe;

/// Steps of the grid of powers from 0 to 1.
const STEPS: usize = 20;

/// A power that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// The power of the frequencies that scores are divided by.
    pub power: f64,
    /// Accuracy on the validation pictures.
    pub accuracy: f64,
    /// Balanced accuracy on them.
    pub balanced_accuracy: f64,
}

/// What was fitted, and what it is worth on the validation pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PriorFit {
    /// Name of the model that the prior was fitted to.
    pub model: String,
    /// The labels, in the order of the model.
    pub labels: Vec<Emotion>,
    /// The part of the training pictures that has each label.
    pub frequencies: Vec<f64>,
    /// The power that was chosen (or given).
    pub power: f64,
    /// Whether it was chosen here, by the highest mean of accuracy and balanced accuracy on the validation pictures.
    pub chosen: bool,
    /// The biases, by label.
    pub prior: Vec<f32>,
    /// The temperature, fitted again.
    pub temperature: f32,
    /// Every power that was tried.
    pub tried: Vec<Tried>,
    /// On the validation pictures, without the biases.
    pub before: Metrics,
    /// On the validation pictures, with them.
    pub validation: Metrics,
}

/// The biases that take `frequencies` to a power out of the scores of a model of this temperature.
pub fn biases(frequencies: &[f64], power: f64, temperature: f32) -> Vec<f32> {
    frequencies.iter().map(|f| (-power * f64::from(temperature) * f.ln()) as f32).collect()
}

/// Takes the class frequencies of the training pictures out of a face model: gives its file with the biases, a
/// temperature fitted again, and the name `name`. The power is chosen on the validation pictures where none is given.
/// Pictures that the model's recipe left out of training are not counted.
///
/// # Errors
/// [`ErrorKind::Data`] when a label of the model has no training picture, or there is no validation picture;
/// [`ErrorKind::Setting`] for a power outside 0 to 1, or a model that has a prior; those of reading models and pictures.
pub fn fit(bytes: &[u8], set: &mut FaceSet, power: Option<f64>, name: &str) -> Result<(Vec<u8>, PriorFit)> {
    if power.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
        return Err(Error::new(ErrorKind::Setting, "the power of a prior is a number from 0 to 1"));
    }
    let (mut header, tensors) = model::read(bytes)?;
    FaceModel::load(bytes)?;
    if !header.prior.is_empty() {
        return Err(Error::new(
            ErrorKind::Setting,
            format!("{} has a prior already: fit it to the model as it was trained", header.name),
        ));
    }
    let data = Recipe::parse(&header.recipe).map(|recipe| recipe.data).ok();
    let training = if data.as_ref().is_some_and(|d| d.without_twins) {
        set.mark_twins()?;
        set.clean_indices(Split::Train)
    } else {
        set.indices(Split::Train)
    };
    let blanks_too = !data.is_some_and(|d| d.without_blanks);
    let pictures = || training.iter().map(|&i| &set.pictures[i]).filter(|p| blanks_too || !p.pixels.is_blank());
    let counts: Vec<usize> =
        header.labels.iter().map(|&label| pictures().filter(|p| p.emotion == label).count()).collect();
    if let Some((label, _)) = header.labels.iter().zip(&counts).find(|(_, count)| **count == 0) {
        return Err(Error::new(
            ErrorKind::Data,
            format!("no training picture is labelled {label}: give the set that {} was trained on", header.name),
        ));
    }
    let total: usize = counts.iter().sum();
    let frequencies: Vec<f64> = counts.iter().map(|&n| n as f64 / total as f64).collect();

    let known = |i: &usize| header.labels.contains(&set.pictures[*i].emotion);
    let indices: Vec<usize> = set.indices(Split::Validation).into_iter().filter(known).collect();
    if indices.is_empty() {
        return Err(Error::new(ErrorKind::Data, "the set has no validation picture to choose the power with"));
    }
    let logits = face_logits(bytes, Precision::default(), set, &indices)?;
    let measure = |prior: &[f32], temperature: f32| -> Result<Metrics> {
        let header = model::Header { prior: prior.to_vec(), temperature, ..header.clone() };
        let mut confusion = Confusion::new(&header.labels);
        for (&i, row) in indices.iter().zip(&logits) {
            confusion.add_scores(set.pictures[i].emotion, &header.scores(row)?)?;
        }
        Ok(confusion.metrics())
    };
    let before = measure(&[], header.temperature)?;
    let mut tried = Vec::with_capacity(STEPS + 1);
    for step in 0..=STEPS {
        let power = step as f64 / STEPS as f64;
        let found = measure(&biases(&frequencies, power, header.temperature), header.temperature)?;
        tried.push(Tried { power, accuracy: found.accuracy, balanced_accuracy: found.balanced_accuracy });
    }
    let worth = |t: &Tried| t.accuracy + t.balanced_accuracy;
    // of equals the smallest: it changes least
    let best = tried.iter().copied().reduce(|best, t| if worth(&t) > worth(&best) { t } else { best });
    let chosen = power.or(best.map(|t| t.power)).unwrap_or_default();
    let prior = biases(&frequencies, chosen, header.temperature);

    let mut rows = Vec::with_capacity(logits.len() * header.labels.len());
    let mut classes = Vec::with_capacity(logits.len());
    let adjusted = model::Header { prior: prior.clone(), ..header.clone() };
    for (&i, row) in indices.iter().zip(&logits) {
        rows.extend(adjusted.adjusted(row));
        classes.extend(header.labels.iter().position(|&l| l == set.pictures[i].emotion));
    }
    let temperature = calibrate::temperature(&rows, &classes, header.labels.len());
    let validation = measure(&prior, temperature)?;
    let found = PriorFit {
        model: header.name.clone(),
        labels: header.labels.clone(),
        frequencies,
        power: chosen,
        chosen: power.is_none(),
        prior: prior.clone(),
        temperature,
        tried,
        before,
        validation,
    };
    header.recipe = format!(
        "# The weights of {}, with the training prior taken out by `demeanor train prior` (power {chosen}); its recipe:\n{}",
        header.name, header.recipe
    );
    header.name = name.to_owned();
    (header.prior, header.temperature) = (prior, temperature);
    Ok((model::write(&header, &tensors)?, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::faces::FacePicture;
    use crate::data::pixels::tests::grey;
    use demeanor::face::prepare::{FaceRecipe, Scaling};
    use demeanor::model::{Header, InputRecipe, Tensors};
    use demeanor::nn::{Dense, Layer};

    #[test]
    fn biases_divide_scores_by_the_frequencies() {
        let labels = [Emotion::Happy, Emotion::Disgust];
        let header = Header {
            prior: biases(&[0.8, 0.2], 1.0, 0.5),
            temperature: 0.5,
            ..Header::new("t", InputRecipe::Face(recipe()), labels.to_vec(), Vec::new())
        };
        // scores of 0.8 and 0.2, which say no more than the frequencies
        let logits = [0.5 * 0.8f32.ln(), 0.5 * 0.2f32.ln()];
        let scores = header.scores(&logits).unwrap();
        assert!((scores.of(Emotion::Happy) - 0.5).abs() < 1e-6, "{scores:?}");
    }

    fn recipe() -> FaceRecipe {
        FaceRecipe { size: 48, scaling: Scaling::Unit, margin: 0.0 }
    }

    /// A model that tells brightness alone: the brighter, the happier.
    fn model() -> Vec<u8> {
        let network = vec![Layer::GlobalAverage, Layer::Dense(Dense { units: 2, relu: false })];
        let labels = vec![Emotion::Happy, Emotion::Sad];
        let mut tensors = Tensors::new();
        tensors.insert("1.weight", &[2, 1], vec![8.0, -8.0]).unwrap();
        // learnt from many happy pictures and few sad ones
        tensors.insert("1.bias", &[2], vec![-2.5, 2.5]).unwrap();
        model::write(&Header::new("bright", InputRecipe::Face(recipe()), labels, network), &tensors).unwrap()
    }

    fn set() -> FaceSet {
        let picture = |i: usize| {
            let emotion = if i.is_multiple_of(9) { Emotion::Sad } else { Emotion::Happy };
            let (low, high) = if emotion == Emotion::Sad { (40, 110) } else { (70, 220) };
            let value = low + (i * 37 % (high - low)) as u8 as usize;
            FacePicture {
                pixels: grey(|p| (value + p % 2) as u8),
                emotion,
                votes: None,
                split: if i.is_multiple_of(2) { Split::Train } else { Split::Validation },
                name: format!("{i}"),
                row: None,
                twin_in: [false; 3],
                about: Default::default(),
            }
        };
        FaceSet { pictures: (0..360).map(picture).collect(), notes: Vec::new() }
    }

    #[test]
    fn the_power_is_chosen_on_validation_and_the_file_says_so() {
        let (bytes, found) = fit(&model(), &mut set(), None, "bright-2").unwrap();
        assert_eq!(found.tried.len(), STEPS + 1);
        let worth = |t: &Tried| t.accuracy + t.balanced_accuracy;
        let chosen = found.tried.iter().find(|t| t.power == found.power).unwrap();
        assert!(found.tried.iter().all(|t| worth(t) <= worth(chosen)));
        assert_eq!(found.before.accuracy, found.tried[0].accuracy);
        let (header, _) = model::read(&bytes).unwrap();
        assert_eq!((header.name.as_str(), &header.prior), ("bright-2", &found.prior));
        assert!(header.recipe.contains("train prior"));
        // what was measured is what the written file gives
        let mut set = set();
        for (power, wanted) in [(Some(0.0), found.before.accuracy), (None, found.validation.accuracy)] {
            let (bytes, _) = fit(&model(), &mut set, power, "again").unwrap();
            let report = crate::evaluate::faces(&bytes, Precision::default(), &set, Split::Validation, false).unwrap();
            assert_eq!(report.metrics.accuracy, wanted);
        }
        let error = fit(&bytes, &mut set, None, "bright-3").unwrap_err();
        assert!(error.to_string().contains("has a prior already"), "{error}");
        assert!(fit(&model(), &mut set, Some(1.5), "x").is_err());
        set.pictures.retain(|p| p.emotion != Emotion::Sad);
        assert!(fit(&model(), &mut set, None, "x").unwrap_err().to_string().contains("labelled sad"));
    }
}
