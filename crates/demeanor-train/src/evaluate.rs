//! What a model is worth on a set: read exactly as in use, through the library's own preparation and forward pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use demeanor::face::net::FaceModel;
use demeanor::face::prepare::{FaceInput, FacePreparer};
use demeanor::model::{self, InputRecipe};
use demeanor::nn::Precision;
use demeanor::{Emotion, Error, ErrorKind, Result, Scores};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::augment::speech::{Noise, add_noise, first};
use crate::classic::ClassicModel;
use crate::data::Split;
use crate::data::faces::{FER_PLUS, FaceSet, Votes};
use crate::data::speech::{RATE, RavdessName, Sex, SpeechSet};
use crate::data::splits::{Fold, Protocol};
use crate::data::stream;
use crate::measured::{Identity, VoiceReader};
use crate::metrics::{Metrics, RunMetrics};
use crate::predictions::{self, Prediction, Predictions};
use crate::robust::SpeechEdit;
use crate::seen::Overlap;

/// What a face model is worth on a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceReport {
    /// Name of the model.
    pub model: String,
    /// The split that was read, or `all`.
    pub split: String,
    /// On the whole split.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Without the pictures that have a twin on the other side; absent when no twins were searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<CleanReport>,
    /// Against the majority of the FER+ votes, where there are votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voted: Option<Voted>,
    /// Pictures labelled with an emotion that the model does not have; they are not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Whether the model was trained on some of the pictures.
    #[serde(default)]
    pub training_files: Overlap,
    /// Without the pictures that it was trained on, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Metrics>,
}

/// The metrics of what was not trained on, where something was.
fn unseen(found: &Predictions, overlap: Overlap) -> Result<Option<Metrics>> {
    if overlap.seen == 0 {
        return Ok(None);
    }
    Ok(Some(found.confusion_of(|row| row.attribute(predictions::SEEN) != Some("yes"))?.metrics()))
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The same on the part of a split that has no twin on the other side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanReport {
    /// Name of the model.
    pub model: String,
    /// The split, or `all`.
    pub split: String,
    /// On the part.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Accuracy against the FER+ label by majority ([`crate::data::faces::FacePicture::voted`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Voted {
    /// Pictures with a majority for an emotion that the model has.
    pub samples: u64,
    /// The part of them that is read as the majority did.
    pub accuracy: f64,
}

/// Reads pictures with a model, on all cores; a pass for each picture alone, as in use. Scores are in the order of
/// `indices`, multiplied as `precision` says.
///
/// # Errors
/// Those of loading the model and of preparing and reading a picture; [`ErrorKind::Data`] for a place that the set does
/// not have.
pub fn face_scores(model: &[u8], precision: Precision, set: &FaceSet, indices: &[usize]) -> Result<Vec<Scores>> {
    read_faces(model, precision, set, indices, FaceModel::read)
}

/// The logits of pictures, before prior and temperature, one row for each of `indices`; else as [`face_scores`].
///
/// # Errors
/// As [`face_scores`].
pub(crate) fn face_logits(
    model: &[u8],
    precision: Precision,
    set: &FaceSet,
    indices: &[usize],
) -> Result<Vec<Vec<f32>>> {
    read_faces(model, precision, set, indices, |model, input| model.logits(input).map(<[f32]>::to_vec))
}

fn read_faces<T: Send>(
    model: &[u8],
    precision: Precision,
    set: &FaceSet,
    indices: &[usize],
    read: impl Fn(&mut FaceModel, &FaceInput) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let piece = indices.len().div_ceil(rayon::current_num_threads()).max(1);
    let parts = indices
        .par_chunks(piece)
        .map(|part| {
            let mut model = FaceModel::load_as(model, precision)?;
            let mut preparer = FacePreparer::new(model.recipe())?;
            part.iter()
                .map(|&i| {
                    let picture = set.pictures.get(i).ok_or_else(|| {
                        Error::new(
                            ErrorKind::Data,
                            format!("there is no picture {i} in a set of {}", set.pictures.len()),
                        )
                    })?;
                    read(&mut model, preparer.prepare(&picture.pixels.picture()?.frame(), None)?)
                })
                .collect::<Result<Vec<T>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// A split's name; `all` where every picture is read.
pub fn split_name(split: Option<Split>) -> &'static str {
    split.map_or("all", Split::name)
}

/// Reads the pictures of a split (or all) that are labelled with an emotion of the model. [`FaceSet::mark_twins`] first where
/// `twins_marked` says so: each prediction then tells whether training has a near-duplicate.
///
/// # Errors
/// As [`face_scores`]; [`ErrorKind::Data`] when the split holds no picture with a label of the model.
pub fn face_predictions(
    model: &[u8],
    precision: Precision,
    set: &FaceSet,
    split: Option<Split>,
    twins_marked: bool,
) -> Result<Predictions> {
    let header = Identity::of_face(model)?;
    let all = split.map_or_else(|| (0..set.pictures.len()).collect(), |split| set.indices(split));
    let (indices, others): (Vec<usize>, Vec<usize>) =
        all.iter().partition(|&&i| header.labels.contains(&set.pictures[i].emotion));
    if indices.is_empty() {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "{} has {} pictures, and none has a label of {}",
                split.map_or("the set".to_owned(), |split| format!("the {split} split")),
                all.len(),
                header.name
            ),
        ));
    }
    let scores = match ClassicModel::is(model) {
        true => ClassicModel::from_bytes(model)?.read_faces(set, &indices)?,
        false => face_scores(model, precision, set, &indices)?,
    };
    let clean = split.map(|split| set.clean_indices(split));
    let row = |(&i, scores): (&usize, Scores)| {
        let picture = &set.pictures[i];
        let mut attributes = picture.about.clone();
        if let Some(clean) = clean.as_ref().filter(|_| twins_marked) {
            let near = if clean.binary_search(&i).is_ok() { "no" } else { "yes" };
            attributes.insert(predictions::NEAR_DUPLICATE.to_owned(), near.to_owned());
        }
        if let Some(emotion) = picture.voted() {
            attributes.insert(predictions::VOTED.to_owned(), emotion.name().to_owned());
        }
        Prediction {
            path: picture.name.clone(),
            run: 0,
            label: picture.emotion,
            scores,
            hash: picture.hash(),
            attributes,
            votes: picture.votes.as_ref().map(vote_shares),
        }
    };
    Ok(Predictions {
        rows: indices.iter().zip(scores).map(row).collect(),
        left_out: counted(others.iter().map(|&i| set.pictures[i].emotion)),
        labels: header.labels,
    })
}

/// The part of all votes (those for no emotion and for no face too) that each emotion has.
fn vote_shares(votes: &Votes) -> [f32; Emotion::COUNT] {
    let total: f32 = votes.iter().map(|&v| f32::from(v)).sum();
    let mut shares = [0.0; Emotion::COUNT];
    for (emotion, &votes) in FER_PLUS.iter().zip(votes) {
        shares[emotion.index()] = f32::from(votes) / total.max(1.0);
    }
    shares
}

fn counted(emotions: impl Iterator<Item = Emotion>) -> BTreeMap<Emotion, usize> {
    let mut counts = BTreeMap::new();
    emotions.for_each(|emotion| *counts.entry(emotion).or_default() += 1);
    counts
}

impl FaceReport {
    /// The report of a model's predictions for a split.
    ///
    /// # Errors
    /// As [`Predictions::confusion`].
    pub fn of(model: &str, split: Option<Split>, found: &Predictions, overlap: Overlap) -> Result<Self> {
        let split = split_name(split).to_owned();
        let marked = found.rows.iter().any(|row| row.attributes.contains_key(predictions::NEAR_DUPLICATE));
        let clean = found.confusion_of(|row| row.attribute(predictions::NEAR_DUPLICATE) == Some("no"))?;
        let mut voted = Voted { samples: 0, accuracy: 0.0 };
        for row in &found.rows {
            let majority = row.attribute(predictions::VOTED).and_then(|word| word.parse().ok());
            if let Some(emotion) = majority.filter(|e| found.labels.contains(e)) {
                voted.samples += 1;
                voted.accuracy += f64::from(u8::from(row.predicted() == emotion));
            }
        }
        voted.accuracy /= voted.samples.max(1) as f64;
        Ok(FaceReport {
            clean: marked.then(|| CleanReport {
                model: model.to_owned(),
                split: split.clone(),
                metrics: clean.metrics(),
            }),
            voted: (voted.samples > 0).then_some(voted),
            left_out: found.left_out(),
            model: model.to_owned(),
            split,
            metrics: found.confusion()?.metrics(),
            training_files: overlap,
            unseen: unseen(found, overlap)?,
        })
    }
}

/// Evaluates a face model on a split, as [`face_predictions`] reads it.
///
/// # Errors
/// As [`face_predictions`].
pub fn faces(
    model: &[u8],
    precision: Precision,
    set: &FaceSet,
    split: Split,
    twins_marked: bool,
) -> Result<FaceReport> {
    let found = face_predictions(model, precision, set, Some(split), twins_marked)?;
    FaceReport::of(&Identity::of_face(model)?.name, Some(split), &found, Overlap::default())
}

/// Noise that is added to every recording before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseTest {
    /// Its kind; babble is made of the training clips of the run.
    pub kind: Noise,
    /// Signal-to-noise ratio in dB: mean power of the whole recording over that of the noise.
    pub snr_db: f32,
    /// Seed of the noise.
    pub seed: u64,
}

impl NoiseTest {
    /// Noise of another kind at a ratio in dB, with seed 0.
    pub fn of(kind: Noise, snr_db: f32) -> Self {
        NoiseTest { kind, snr_db, seed: 0 }
    }
}

/// What is done to every recording before it is read; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Noise that is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseTest>,
    /// Only so many seconds are read, from where the voice begins (30 dB under the loudest frame).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_s: Option<f32>,
}

/// What speech models are worth under a protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechReport {
    /// Name of the model.
    pub model: String,
    /// `random` or `speaker`, or `all` for one model on every clip.
    pub protocol: String,
    /// Over the runs.
    #[serde(flatten)]
    pub metrics: RunMetrics,
    /// What was done to the recordings.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Accuracy on the clips of women and of men, where the set tells the sex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy_by_sex: BTreeMap<Sex, f64>,
    /// Clips labelled with an emotion that the model does not have; they are not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Whether models were trained on some of the clips that they are tested on.
    #[serde(default)]
    pub training_files: Overlap,
    /// Without the clips that were trained on, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Metrics>,
}

/// Reads recordings with a model, on all cores; each whole clip is one stretch of speech. Scores are in the order of
/// `indices`. `voices` are the clips that babble is made of.
///
/// # Errors
/// Those of loading the model and of preparing and reading a clip (with its name); [`ErrorKind::Data`] for a place that
/// the set does not have.
pub fn speech_scores(
    model: &[u8],
    set: &SpeechSet,
    indices: &[usize],
    conditions: &Conditions,
    voices: &[usize],
) -> Result<Vec<Scores>> {
    let voices: Vec<&[f32]> = voices.iter().filter_map(|&i| set.clips.get(i)).map(|c| c.samples.as_slice()).collect();
    let piece = indices.len().div_ceil(4 * rayon::current_num_threads()).max(1);
    let parts = indices
        .par_chunks(piece)
        .map(|part| {
            let mut reader = VoiceReader::load(model)?;
            part.iter()
                .map(|&i| {
                    let clip = set.clips.get(i).ok_or_else(|| {
                        Error::new(ErrorKind::Data, format!("there is no clip {i} in a set of {}", set.clips.len()))
                    })?;
                    let named = |e: Error| Error::new(e.kind(), format!("{}: {e}", clip.name)).with_source(e);
                    let mut samples = clip.samples.clone();
                    if let Some(seconds) = conditions.first_s {
                        first(&mut samples, (seconds * RATE.0 as f32) as usize);
                    }
                    if let Some(noise) = &conditions.noise {
                        let mut random = stream(noise.seed, 0x6e6f_6973, i as u64);
                        add_noise(&mut samples, noise.kind, noise.snr_db, &voices, &mut random);
                    }
                    let read = reader.read(&samples).map_err(named)?;
                    read.ok_or_else(|| named(Error::new(ErrorKind::Sound, "it is silent; expected a voice")))
                })
                .collect::<Result<Vec<Scores>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// Reads recordings with the models of a protocol: `models[k]` is the one that was trained on run `k`, and reads its test
/// clips. Without a protocol, one model reads every clip.
///
/// # Errors
/// As [`speech_scores`] and [`SpeechSet::fold`]; [`ErrorKind::Data`] when there are not as many models as runs, their labels
/// differ, or no clip has a label of theirs.
pub fn speech_predictions(
    models: &[Vec<u8>],
    set: &SpeechSet,
    protocol: Option<Protocol>,
    conditions: &Conditions,
) -> Result<Predictions> {
    speech_read(models, set, protocol, conditions, None)
}

/// As [`speech_predictions`], of clips that are spoilt before all else.
///
/// # Errors
/// As [`speech_predictions`].
pub fn speech_spoilt(
    models: &[Vec<u8>],
    set: &SpeechSet,
    protocol: Option<Protocol>,
    conditions: &Conditions,
    edit: SpeechEdit,
) -> Result<Predictions> {
    speech_read(models, set, protocol, conditions, Some(edit))
}

fn speech_read(
    models: &[Vec<u8>],
    set: &SpeechSet,
    protocol: Option<Protocol>,
    conditions: &Conditions,
    edit: Option<SpeechEdit>,
) -> Result<Predictions> {
    let mut found = Predictions::default();
    let mut name = String::new();
    match protocol {
        Some(protocol) => expect_runs(models, protocol, set)?,
        None if models.len() == 1 => {}
        None => return Err(Error::new(ErrorKind::Data, format!("{} models for one reading", models.len()))),
    }
    for (run, model) in models.iter().enumerate() {
        let fold = match protocol {
            Some(protocol) => set.fold(protocol, run)?,
            None => {
                let all: Vec<usize> = (0..set.clips.len()).collect();
                Fold { train: all.clone(), validation: Vec::new(), test: all }
            }
        };
        let spoilt = edit.map(|edit| edit.apply(set, &fold.test, &fold.train)).transpose()?;
        let set = spoilt.as_ref().unwrap_or(set);
        let (header, known) = known_scores(model, set, &fold.test, conditions, &fold.train)?;
        if run > 0 && header.labels != found.labels {
            return Err(Error::new(ErrorKind::Shape, format!("the models of runs 0 and {run} have different labels")));
        }
        let others = fold.test.iter().map(|&i| set.clips[i].emotion).filter(|e| !header.labels.contains(e));
        counted(others).into_iter().for_each(|(e, n)| *found.left_out.entry(e).or_default() += n);
        found.rows.extend(known.into_iter().map(|(i, scores)| clip_prediction(set, i, run, scores)));
        (found.labels, name) = (header.labels, header.name);
    }
    if found.rows.is_empty() {
        return Err(Error::new(ErrorKind::Data, format!("no clip has a label of {name}")));
    }
    Ok(found)
}

/// What is known of a clip, with what was said of it.
pub(crate) fn clip_prediction(set: &SpeechSet, i: usize, run: usize, scores: Scores) -> Prediction {
    let clip = &set.clips[i];
    let mut attributes = BTreeMap::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value);
        }
    };
    add(predictions::SPEAKER, clip.speaker.clone());
    add("sex", clip.sex.map(|sex| sex.name().to_owned()));
    add("sentence", clip.sentence.clone());
    if set.corpora().len() > 1 {
        add("corpus", set.corpora().get(clip.corpus).map(|c| c.name.clone()));
    }
    let intensity = RavdessName::read(clip.stem()).map(|n| if n.intensity == 2 { "strong" } else { "normal" });
    add("intensity", intensity.map(str::to_owned));
    Prediction { path: clip.name.clone(), run, label: clip.emotion, scores, hash: clip.hash, attributes, votes: None }
}

impl SpeechReport {
    /// The report of the predictions of all runs.
    ///
    /// # Errors
    /// As [`Predictions::confusion`] and [`RunMetrics::of`].
    pub fn of(
        model: &str,
        protocol: Option<Protocol>,
        conditions: &Conditions,
        found: &Predictions,
        overlap: Overlap,
    ) -> Result<Self> {
        let runs = (0..found.runs()).map(|run| found.confusion_of(|row| row.run == run)).collect::<Result<Vec<_>>>()?;
        let mut by_sex: BTreeMap<Sex, (u64, u64)> = BTreeMap::new();
        for row in &found.rows {
            if let Some(sex) = row.attribute("sex").and_then(Sex::read) {
                let count = by_sex.entry(sex).or_default();
                count.0 += 1;
                count.1 += u64::from(row.is_right());
            }
        }
        Ok(SpeechReport {
            model: model.to_owned(),
            protocol: protocol.map_or("all", Protocol::name).to_owned(),
            metrics: RunMetrics::of(&runs)?,
            conditions: *conditions,
            accuracy_by_sex: by_sex.into_iter().map(|(s, (n, right))| (s, right as f64 / n as f64)).collect(),
            left_out: found.left_out(),
            training_files: overlap,
            unseen: unseen(found, overlap)?,
        })
    }
}

/// The name of the first of these models.
fn name_of(models: &[Vec<u8>]) -> Result<String> {
    models.first().map_or_else(|| Ok(String::new()), |model| Ok(Identity::of_voice(model)?.name))
}

/// Evaluates the models of a protocol, as [`speech_predictions`] reads.
///
/// # Errors
/// As [`speech_predictions`].
pub fn speech(
    models: &[Vec<u8>],
    set: &SpeechSet,
    protocol: Protocol,
    conditions: &Conditions,
) -> Result<SpeechReport> {
    let found = speech_predictions(models, set, Some(protocol), conditions)?;
    SpeechReport::of(&name_of(models)?, Some(protocol), conditions, &found, Overlap::default())
}

/// Refuses another number of models than a protocol has runs.
pub(crate) fn expect_runs(models: &[Vec<u8>], protocol: Protocol, set: &SpeechSet) -> Result<()> {
    let runs = protocol.runs(set)?;
    if models.len() == runs {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("{} models for the {runs} runs of the {protocol} protocol", models.len())))
}

/// What a model says of itself, and its scores of those clips that are labelled with an emotion that it has, each with its place.
pub(crate) fn known_scores(
    model: &[u8],
    set: &SpeechSet,
    clips: &[usize],
    conditions: &Conditions,
    voices: &[usize],
) -> Result<(Identity, Vec<(usize, Scores)>)> {
    let header = Identity::of_voice(model)?;
    let known: Vec<usize> = clips.iter().copied().filter(|&i| header.labels.contains(&set.clips[i].emotion)).collect();
    let scores = speech_scores(model, set, &known, conditions, voices)?;
    Ok((header, known.into_iter().zip(scores).collect()))
}

/// Evaluates one model on every clip of a set: for recordings that it was not trained on.
///
/// # Errors
/// As [`speech_predictions`].
pub fn speech_all(model: &[u8], set: &SpeechSet, conditions: &Conditions) -> Result<SpeechReport> {
    let models = [model.to_vec()];
    let found = speech_predictions(&models, set, None, conditions)?;
    SpeechReport::of(&name_of(&models)?, None, conditions, &found, Overlap::default())
}

/// Reads the models of the `runs` runs of a protocol: `BASE-fold0.safetensors` or `BASE/fold0/model.safetensors` and so on
/// (`random0` for the random protocol).
///
/// # Errors
/// [`ErrorKind::File`] when one is missing or cannot be read, with the names that were looked for.
pub fn run_models(base: &Path, protocol: Protocol, runs: usize) -> Result<Vec<Vec<u8>>> {
    (0..runs)
        .map(|run| {
            let path = run_path(base, protocol, run);
            fs::read(&path).map_err(|e| {
                let [nested, flat] = run_paths(base, protocol, run);
                Error::new(
                    ErrorKind::File,
                    format!(
                        "the model of run {run} of the {protocol} protocol cannot be read ({e}): expected {} or {}. The \
                         models of the runs are not in the program: those of the released models are in its repository, in \
                         crates/demeanor-models/NAME, others are made by training the recipe on each run; name their \
                         folder with --models DIR",
                        flat.display(),
                        nested.display()
                    ),
                )
                .with_source(e)
            })
        })
        .collect()
}

/// Where the model of a run may lie: in a folder of its own, or beside the others.
fn run_paths(base: &Path, protocol: Protocol, run: usize) -> [PathBuf; 2] {
    let name = protocol.run_name(run);
    let mut flat = base.as_os_str().to_owned();
    flat.push(format!("-{name}.safetensors"));
    [base.join(&name).join("model.safetensors"), PathBuf::from(flat)]
}

/// Where the model of a run lies.
pub fn run_path(base: &Path, protocol: Protocol, run: usize) -> PathBuf {
    let [nested, flat] = run_paths(base, protocol, run);
    if nested.is_file() { nested } else { flat }
}

/// Whether a model file is for faces (else it is for speech).
///
/// # Errors
/// Those of reading a model file.
pub fn is_for_faces(bytes: &[u8]) -> Result<bool> {
    Ok(matches!(model::read(bytes)?.0.input, InputRecipe::Face(_)))
}

/// The part of pictures or clips that the most frequent label would get right: the floor that any model must beat.
pub fn floor(labels: &[Emotion]) -> f64 {
    let most = Emotion::ALL.iter().map(|e| labels.iter().filter(|l| *l == e).count()).max().unwrap_or_default();
    most as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::faces::FacePicture;
    use crate::data::speech::SpeechClip;
    use crate::data::splits::RUNS;
    use demeanor::Hz;
    use demeanor::face::prepare::{FaceRecipe, Scaling};
    use demeanor::model::{Header, Tensors};
    use demeanor::nn::{Dense, Layer};
    use demeanor::speech::prepare::{Features, Level, SpeechRecipe};

    /// A model that says the label at `favourite` of whatever it reads.
    fn model(input: InputRecipe, labels: &[Emotion], favourite: usize) -> Vec<u8> {
        let network = vec![Layer::GlobalAverage, Layer::Dense(Dense { units: labels.len(), relu: false })];
        let header = Header::new("constant", input, labels.to_vec(), network);
        let mut bias = vec![0.0; labels.len()];
        bias[favourite] = 3.0;
        let mut tensors = Tensors::new();
        tensors.insert("1.weight", &[labels.len(), 1], vec![0.0; labels.len()]).unwrap();
        tensors.insert("1.bias", &[labels.len()], bias).unwrap();
        demeanor::model::write(&header, &tensors).unwrap()
    }

    fn faces_set() -> FaceSet {
        let picture = |i: usize| FacePicture {
            pixels: crate::data::pixels::tests::grey(|p| ((p * (i + 3)) % 251) as u8),
            emotion: if i == 9 { Emotion::Contempt } else { Emotion::FER[i % 7] },
            votes: Some([0, 8, 0, 0, 0, 0, 0, 0, 2, 0]),
            split: if i < 2 { Split::Train } else { Split::Test },
            name: format!("{i}"),
            row: None,
            twin_in: [i == 3, false, false],
            about: Default::default(),
        };
        FaceSet { pictures: (0..12).map(picture).collect(), notes: Vec::new() }
    }

    #[test]
    fn a_face_report_has_the_fields_that_are_promised() {
        let recipe = FaceRecipe { size: 48, scaling: Scaling::Unit, margin: 0.0 };
        let bytes = model(InputRecipe::Face(recipe), &Emotion::FER, 3);
        let report = faces(&bytes, Precision::Fast, &faces_set(), Split::Test, true).unwrap();
        assert_eq!((report.metrics.samples, report.left_out), (9, 1));
        assert_eq!(report.clean.as_ref().unwrap().metrics.samples, 8);
        assert_eq!(report.voted.unwrap(), Voted { samples: 9, accuracy: 1.0 });
        let json = serde_json::to_value(&report).unwrap();
        for object in [&json, &json["clean"]] {
            for field in ["accuracy", "balanced_accuracy", "macro_f1", "ece"] {
                assert!(object[field].is_number(), "{field}");
            }
            assert_eq!((object["model"].as_str(), object["split"].as_str()), (Some("constant"), Some("test")));
            assert!(object["samples"].is_u64() && object["confusion"][6][6].is_u64());
            for field in ["precision", "recall", "f1", "support"] {
                assert!(object["per_class"][6][field].is_number(), "{field}");
            }
            assert_eq!(object["per_class"][3]["emotion"], "happy");
        }
        let back: FaceReport = serde_json::from_value(json).unwrap();
        assert_eq!(back, report);
        assert!(crate::report::faces(&report).contains("without twins"));
        assert_eq!(
            faces(&bytes, Precision::Fast, &faces_set(), Split::Validation, false).unwrap_err().kind(),
            ErrorKind::Data
        );
        assert!(faces(b"no model", Precision::Fast, &faces_set(), Split::Test, false).is_err());
    }

    fn speech_set() -> SpeechSet {
        let clip = |i: usize| SpeechClip {
            samples: (0..4000 + 100 * i).map(|t| ((t * (i + 7)) as f32 * 0.01).sin()).collect(),
            emotion: Emotion::RAVDESS[i % 8],
            speaker: Some(format!("{:02}", i / 8)),
            sex: Some(if (i / 8).is_multiple_of(2) { Sex::Female } else { Sex::Male }),
            name: format!("{i:02}.wav"),
            sentence: None,
            corpus: 0,
            same_as: None,
            hash: [0; 8],
        };
        SpeechSet { clips: (0..80).map(clip).collect(), ..SpeechSet::default() }
    }

    #[test]
    fn a_speech_report_has_the_fields_that_are_promised() {
        let recipe = SpeechRecipe {
            rate: Hz(16_000),
            high_pass_hz: None,
            trim_db: Some(30.0),
            level: Level::Peak,
            frame: 400,
            hop: 160,
            fft: 512,
            features: Features::LogMel { bands: 20, floor: 1e-4 },
            max_frames: 300,
            mean: Vec::new(),
            deviation: Vec::new(),
        };
        let bytes = model(InputRecipe::Speech(recipe), &Emotion::RAVDESS, 2);
        let (set, models) = (speech_set(), vec![bytes.clone(); RUNS]);
        let changed = Conditions { noise: Some(NoiseTest::of(Noise::Babble, 10.0)), first_s: Some(0.1) };
        for (protocol, conditions) in [(Protocol::Speaker, Conditions::default()), (Protocol::Random, changed)] {
            let report = speech(&models, &set, protocol, &conditions).unwrap();
            assert_eq!((report.metrics.runs, report.metrics.samples), (5, 80));
            assert_eq!(report.metrics.per_class[2].recall, 1.0);
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["protocol"], protocol.name());
            for field in ["accuracy", "uar", "macro_f1"] {
                assert!(json[field]["mean"].is_number() && json[field]["sd"].is_number(), "{field}");
            }
            assert!(json["ece"].is_number() && json["runs"].is_u64() && json["samples"].is_u64());
            assert!(json["per_class"][7]["f1"].is_number() && json["confusion"][7][7].is_u64());
            let back: SpeechReport = serde_json::from_value(json).unwrap();
            assert_eq!(back, report);
            assert!(crate::report::speech(&report).contains("5 runs, 80 clips"));
        }
        assert_eq!(speech_all(&bytes, &set, &Conditions::default()).unwrap().metrics.samples, 80);
        assert_eq!(
            speech(&models[..2], &set, Protocol::Random, &Conditions::default()).unwrap_err().kind(),
            ErrorKind::Data
        );
        let error = run_models(Path::new("nowhere"), Protocol::Speaker, RUNS).unwrap_err().to_string();
        assert!(error.contains("nowhere-fold0.safetensors"), "{error}");
    }

    #[test]
    fn model_files_say_their_sense_and_labels_their_floor() {
        let recipe = FaceRecipe { size: 48, scaling: Scaling::Unit, margin: 0.0 };
        let bytes = model(InputRecipe::Face(recipe), &Emotion::FER, 0);
        assert!(is_for_faces(&bytes).unwrap());
        assert_eq!(floor(&[Emotion::Sad, Emotion::Sad, Emotion::Happy, Emotion::Fear]), 0.5);
        assert_eq!(floor(&[]), 0.0);
    }
}
