//! What a model is worth on a set: read exactly as in use, through the library's own preparation and forward pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use demeanor::face::net::FaceModel;
use demeanor::face::read::FaceReader;
use demeanor::model::{self, Header, InputRecipe};
use demeanor::nn::Precision;
use demeanor::speech::net::SpeechModel;
use demeanor::speech::read::SpeechReader;
use demeanor::{Audio, Emotion, Error, ErrorKind, Result, Scores};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::augment::speech::{Noise, add_noise, first};
use crate::data::Split;
use crate::data::faces::FaceSet;
use crate::data::speech::{RATE, Sex, SpeechSet};
use crate::data::splits::{Protocol, RUNS};
use crate::data::stream;
use crate::metrics::{Confusion, Metrics, RunMetrics};

/// What a face model is worth on a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceReport {
    /// Name of the model.
    pub model: String,
    /// The split that was read.
    pub split: Split,
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
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The same on the part of a split that has no twin on the other side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanReport {
    /// Name of the model.
    pub model: String,
    /// The split.
    pub split: Split,
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
    let piece = indices.len().div_ceil(rayon::current_num_threads()).max(1);
    let parts = indices
        .par_chunks(piece)
        .map(|part| {
            let mut reader = FaceReader::new(FaceModel::load_as(model, precision)?)?;
            part.iter()
                .map(|&i| {
                    let picture = set.pictures.get(i).ok_or_else(|| {
                        Error::new(
                            ErrorKind::Data,
                            format!("there is no picture {i} in a set of {}", set.pictures.len()),
                        )
                    })?;
                    reader.read_whole(&picture.pixels.picture()?.frame()).map(|face| face.scores)
                })
                .collect::<Result<Vec<Scores>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// Evaluates a face model on a split. For the clean figures, [`FaceSet::mark_twins`] first and say so by `twins_marked`.
///
/// # Errors
/// As [`face_scores`]; [`ErrorKind::Data`] when the split holds no picture with a label of the model.
pub fn faces(
    model: &[u8],
    precision: Precision,
    set: &FaceSet,
    split: Split,
    twins_marked: bool,
) -> Result<FaceReport> {
    let header = FaceModel::load(model)?.header().clone();
    let all = set.indices(split);
    let indices: Vec<usize> =
        all.iter().copied().filter(|&i| header.labels.contains(&set.pictures[i].emotion)).collect();
    if indices.is_empty() {
        return Err(Error::new(
            ErrorKind::Data,
            format!("the {split} split has {} pictures, and none has a label of {}", all.len(), header.name),
        ));
    }
    let scores = face_scores(model, precision, set, &indices)?;
    let clean = set.clean_indices(split);
    let (mut whole, mut part) = (Confusion::new(&header.labels), Confusion::new(&header.labels));
    let mut voted = Voted { samples: 0, accuracy: 0.0 };
    for (&i, scores) in indices.iter().zip(&scores) {
        let picture = &set.pictures[i];
        whole.add_scores(picture.emotion, scores)?;
        if clean.binary_search(&i).is_ok() {
            part.add_scores(picture.emotion, scores)?;
        }
        if let Some(emotion) = picture.voted().filter(|e| header.labels.contains(e)) {
            voted.samples += 1;
            voted.accuracy += f64::from(u8::from(scores.top().0 == emotion));
        }
    }
    voted.accuracy /= voted.samples.max(1) as f64;
    Ok(FaceReport {
        clean: twins_marked.then(|| CleanReport { model: header.name.clone(), split, metrics: part.metrics() }),
        voted: (voted.samples > 0).then_some(voted),
        left_out: all.len() - indices.len(),
        model: header.name,
        split,
        metrics: whole.metrics(),
    })
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
            let mut reader = SpeechReader::new(SpeechModel::load(model)?)?;
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
                    let read = Audio::new(&samples, 1, RATE).and_then(|audio| reader.read(&audio)).map_err(named)?;
                    read.ok_or_else(|| named(Error::new(ErrorKind::Sound, "it is silent; expected a voice")))
                })
                .collect::<Result<Vec<Scores>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// Evaluates the models of a protocol: `models[k]` is the one that was trained on run `k`, and reads its test clips.
///
/// # Errors
/// As [`speech_scores`] and [`SpeechSet::fold`]; [`ErrorKind::Data`] when there are not five models, or their labels
/// differ.
pub fn speech(
    models: &[Vec<u8>],
    set: &SpeechSet,
    protocol: Protocol,
    conditions: &Conditions,
) -> Result<SpeechReport> {
    expect_runs(models, protocol)?;
    let mut tally = Tally::default();
    for (run, model) in models.iter().enumerate() {
        let fold = set.fold(protocol, run)?;
        tally.run(model, set, &fold.test, conditions, &fold.train)?;
    }
    tally.report(protocol.name(), conditions)
}

/// Refuses another number of models than a protocol has runs.
pub(crate) fn expect_runs(models: &[Vec<u8>], protocol: Protocol) -> Result<()> {
    if models.len() == RUNS {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("{} models for the {RUNS} runs of the {protocol} protocol", models.len())))
}

/// A model's header, and its scores of those clips that are labelled with an emotion that it has, each with its place.
pub(crate) fn known_scores(
    model: &[u8],
    set: &SpeechSet,
    clips: &[usize],
    conditions: &Conditions,
    voices: &[usize],
) -> Result<(Header, Vec<(usize, Scores)>)> {
    let header = SpeechModel::load(model)?.header().clone();
    let known: Vec<usize> = clips.iter().copied().filter(|&i| header.labels.contains(&set.clips[i].emotion)).collect();
    let scores = speech_scores(model, set, &known, conditions, voices)?;
    Ok((header, known.into_iter().zip(scores).collect()))
}

/// Evaluates one model on every clip of a set: for recordings that it was not trained on.
///
/// # Errors
/// As [`speech_scores`]; [`ErrorKind::Data`] when no clip has a label of the model.
pub fn speech_all(model: &[u8], set: &SpeechSet, conditions: &Conditions) -> Result<SpeechReport> {
    let all: Vec<usize> = (0..set.clips.len()).collect();
    let mut tally = Tally::default();
    tally.run(model, set, &all, conditions, &all)?;
    tally.report("all", conditions)
}

/// Runs as they are read.
#[derive(Default)]
struct Tally {
    name: String,
    runs: Vec<Confusion>,
    by_sex: BTreeMap<Sex, (u64, u64)>,
    left_out: usize,
}

impl Tally {
    fn run(
        &mut self,
        model: &[u8],
        set: &SpeechSet,
        test: &[usize],
        conditions: &Conditions,
        voices: &[usize],
    ) -> Result<()> {
        let (header, known) = known_scores(model, set, test, conditions, voices)?;
        self.left_out += test.len() - known.len();
        let mut confusion = Confusion::new(&header.labels);
        for (i, scores) in &known {
            let clip = &set.clips[*i];
            confusion.add_scores(clip.emotion, scores)?;
            if let Some(sex) = clip.sex {
                let count = self.by_sex.entry(sex).or_default();
                count.0 += 1;
                count.1 += u64::from(scores.top().0 == clip.emotion);
            }
        }
        if self.name.is_empty() {
            self.name = header.name;
        }
        self.runs.push(confusion);
        Ok(())
    }

    fn report(self, protocol: &str, conditions: &Conditions) -> Result<SpeechReport> {
        let metrics = RunMetrics::of(&self.runs)?;
        if metrics.samples == 0 {
            return Err(Error::new(ErrorKind::Data, format!("no clip has a label of {}", self.name)));
        }
        Ok(SpeechReport {
            model: self.name,
            protocol: protocol.to_string(),
            metrics,
            conditions: *conditions,
            accuracy_by_sex: self.by_sex.into_iter().map(|(s, (n, right))| (s, right as f64 / n as f64)).collect(),
            left_out: self.left_out,
        })
    }
}

/// Reads the models of a protocol's runs: `BASE-fold0.safetensors` or `BASE/fold0/model.safetensors` and so on
/// (`random0` for the random protocol).
///
/// # Errors
/// [`ErrorKind::File`] when one is missing or cannot be read, with the names that were looked for.
pub fn run_models(base: &Path, protocol: Protocol) -> Result<Vec<Vec<u8>>> {
    (0..RUNS)
        .map(|run| {
            let name = protocol.run_name(run);
            let mut flat = base.as_os_str().to_owned();
            flat.push(format!("-{name}.safetensors"));
            let flat = std::path::PathBuf::from(flat);
            let nested = base.join(&name).join("model.safetensors");
            let path = if nested.is_file() { &nested } else { &flat };
            fs::read(path).map_err(|e| {
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
    use demeanor::Hz;
    use demeanor::face::prepare::{FaceRecipe, Scaling};
    use demeanor::model::Tensors;
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
            same_as: None,
        };
        SpeechSet { clips: (0..80).map(clip).collect(), ..SpeechSet::default() }
    }

    #[test]
    fn a_speech_report_has_the_fields_that_are_promised() {
        let recipe = SpeechRecipe {
            rate: Hz(16_000),
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
        let error = run_models(Path::new("nowhere"), Protocol::Speaker).unwrap_err().to_string();
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
