//! What fusing the senses and knowing a person's resting voice are worth.
//!
//! No corpus here has faces and voices of the same moment with clear rights, so fusion is measured on **synthetic pairs**: a
//! clip of a speaker whom the speech model has not heard, with a picture of the same label that the face model has not
//! seen. The senses of such a pair err independently, which those of one person in one moment do not: the figure is an
//! upper bound of what fusion gives in use.

use std::collections::BTreeMap;
use std::time::Duration;

use demeanor::baseline::Baseline;
use demeanor::face::net::FaceModel;
use demeanor::fuse::{Evidence, FuseSettings, fuse, nearest};
use demeanor::nn::Precision;
use demeanor::{Emotion, Error, ErrorKind, Result, Scores};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::data::faces::FaceSet;
use crate::data::speech::SpeechSet;
use crate::data::splits::Protocol;
use crate::data::{Split, stream};
use crate::evaluate::{Conditions, clip_prediction, expect_runs, face_scores, known_scores};
use crate::measured::Identity;
use crate::metrics::{Confusion, RunMetrics, Spread};
use crate::predictions::{Prediction, Predictions};

/// Clips of each speaker that no baseline is tested on: the most that a baseline is made of.
const POOL: usize = 8;

/// The numbers of clips that baselines are made of.
const COUNTS: [usize; 4] = [1, 2, 4, POOL];

/// What each sense, and both, are worth on synthetic pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FusionReport {
    /// What the pairs are: always "synthetic pairs".
    pub pairs: String,
    /// The face model.
    pub face_model: String,
    /// The speech model.
    pub speech_model: String,
    /// The split that the pictures come from.
    pub split: Split,
    /// Seed of the pairing.
    pub seed: u64,
    /// The face alone; what it has no label for counts as its nearest label.
    pub face: RunMetrics,
    /// The voice alone.
    pub speech: RunMetrics,
    /// Both fused.
    pub fused: RunMetrics,
}

/// What a baseline of some clips is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineRow {
    /// `resting`: neutral and calm clips; `mixed`: clips of any emotion, their labels unknown.
    pub of: String,
    /// Clips that the baseline is made of.
    pub clips: usize,
    /// Their mean length together, in seconds of sound.
    pub seconds: f64,
    /// Unweighted average recall over the runs, without a baseline.
    pub without: Spread,
    /// With it.
    pub with: Spread,
    /// The difference, run by run.
    pub gain: Spread,
}

/// What per-speaker baselines are worth, with speakers held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineReport {
    /// The speech model.
    pub model: String,
    /// Seed of the choice of clips.
    pub seed: u64,
    /// How strongly scores were corrected, 0 to 1.
    pub strength: f32,
    /// Each kind and length of baseline.
    pub rows: Vec<BaselineRow>,
}

/// What was said of each synthetic pair, in the same order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairPredictions {
    /// By the face alone; what it has no label for counts as its nearest label.
    pub face: Predictions,
    /// By the voice alone.
    pub voice: Predictions,
    /// By both; the picture is an attribute.
    pub fused: Predictions,
}

/// Evaluates fusion on synthetic pairs: every test clip of each speaker fold with a picture of the same label (neutral for
/// calm), drawn from a split. `speech[k]` is the model of fold `k`.
///
/// # Errors
/// Those of loading, preparing and reading; [`ErrorKind::Data`] when there are not five speech models, or the split has no
/// picture of a label that a clip has.
pub fn fusion(
    face: &[u8],
    pictures: &FaceSet,
    split: Split,
    speech: &[Vec<u8>],
    clips: &SpeechSet,
    settings: &FuseSettings,
    seed: u64,
) -> Result<(FusionReport, PairPredictions)> {
    let mut said = PairPredictions::default();
    expect_runs(speech, Protocol::Speaker, clips)?;
    let face_model = FaceModel::load(face)?.header().clone();
    let mut by_label: BTreeMap<Emotion, Vec<usize>> = BTreeMap::new();
    for i in pictures.indices(split) {
        by_label.entry(pictures.pictures[i].emotion).or_default().push(i);
    }
    let of_face = |e: Emotion| if face_model.labels.contains(&e) { Some(e) } else { nearest(e) };
    let mut parts: [Vec<Confusion>; 3] = Default::default();
    let mut name = String::new();
    for (run, model) in speech.iter().enumerate() {
        let fold = clips.fold(Protocol::Speaker, run)?;
        let (header, voices) = known_scores(model, clips, &fold.test, &Conditions::default(), &[])?;
        let labels = header.labels;
        if run == 0 {
            name = header.name;
        }
        let mut random = stream(seed, 0x7061_6972, run as u64);
        let mut chosen = Vec::with_capacity(voices.len());
        for (i, _) in &voices {
            let emotion = clips.clips[*i].emotion;
            let of_label = of_face(emotion).and_then(|e| by_label.get(&e)).filter(|p| !p.is_empty());
            let Some(of_label) = of_label else {
                return Err(Error::new(ErrorKind::Data, format!("the {split} split has no picture for {emotion}")));
            };
            chosen.push(of_label[random.random_range(0..of_label.len())]);
        }
        let seen = face_scores(face, Precision::default(), pictures, &chosen)?;
        let mut confusions = [(); 3].map(|()| Confusion::new(&labels));
        for (((i, voice), seen), picture) in voices.iter().zip(&seen).zip(&chosen) {
            let truth = clips.clips[*i].emotion;
            let now = |scores: Scores| Evidence { scores, age: Duration::ZERO, quality: 1.0 };
            let fused = fuse(Some(&now(*seen)), Some(&now(*voice)), settings)?
                .ok_or_else(|| Error::new(ErrorKind::Data, "nothing was fused"))?;
            let voiced = clip_prediction(clips, *i, run, *voice);
            let with = |label: Emotion, scores: Scores| Prediction { label, scores, ..voiced.clone() };
            let face = with(of_face(truth).unwrap_or(truth), over(seen, &labels)?);
            let mut both = with(truth, over(&fused.scores, &labels)?);
            let picture = pictures.pictures.get(*picture).map(|p| p.name.clone()).unwrap_or_default();
            both.attributes.insert("picture".to_owned(), picture);
            for (confusion, row) in confusions.iter_mut().zip([&face, &voiced, &both]) {
                confusion.add_scores(row.label, &row.scores)?;
            }
            said.face.rows.push(face);
            said.voice.rows.push(voiced);
            said.fused.rows.push(both);
        }
        for part in [&mut said.face, &mut said.voice, &mut said.fused] {
            part.labels.clone_from(&labels);
        }
        for (part, confusion) in parts.iter_mut().zip(confusions) {
            part.push(confusion);
        }
    }
    let [face, speech, fused] = &parts;
    let report = FusionReport {
        pairs: "synthetic pairs".to_owned(),
        face_model: face_model.name,
        speech_model: name,
        split,
        seed,
        face: RunMetrics::of(face)?,
        speech: RunMetrics::of(speech)?,
        fused: RunMetrics::of(fused)?,
    };
    Ok((report, said))
}

/// The scores over some labels; those that the scores do not have get nothing.
fn over(scores: &Scores, labels: &[Emotion]) -> Result<Scores> {
    let pairs: Vec<_> = labels.iter().map(|&e| (e, if scores.has(e) { scores.of(e) } else { 0.0 })).collect();
    Scores::from_weights(&pairs)
}

/// Evaluates per-speaker baselines on the speaker folds: each held-out speaker's first clips (in a seeded order) make a
/// baseline, and the scores of their other clips are corrected by it. All rows of a kind are tested on the same clips.
///
/// # Errors
/// Those of reading; [`ErrorKind::Data`] when there are not five models or speakers have too few clips.
pub fn baseline(models: &[Vec<u8>], set: &SpeechSet, strength: f32, seed: u64) -> Result<BaselineReport> {
    expect_runs(models, Protocol::Speaker, set)?;
    let mut header = None;
    // scores of each clip by the model that has not heard its speaker
    let mut folds: Vec<BTreeMap<String, Clips>> = Vec::new();
    for (run, model) in models.iter().enumerate() {
        let (of_run, scores) =
            known_scores(model, set, &set.fold(Protocol::Speaker, run)?.test, &Conditions::default(), &[])?;
        let mut speakers: BTreeMap<String, Clips> = BTreeMap::new();
        for (i, scores) in scores {
            let speaker = set.clips[i].speaker.clone().unwrap_or_default();
            speakers.entry(speaker).or_default().push((i, scores));
        }
        folds.push(speakers);
        header.get_or_insert(of_run);
    }
    let Some(Identity { labels, name, .. }) = header else {
        return Err(Error::new(ErrorKind::Data, "there are no models"));
    };
    let mut rows = Vec::new();
    for of in ["resting", "mixed"] {
        let resting = of == "resting";
        // (without, with) for each fold, and seconds, for each count
        let mut recalls: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); COUNTS.len()];
        let mut seconds = vec![Vec::new(); COUNTS.len()];
        for (run, speakers) in folds.iter().enumerate() {
            let mut plain = Confusion::new(&labels);
            let mut corrected = vec![Confusion::new(&labels); COUNTS.len()];
            for (s, clips) in speakers.values().enumerate() {
                let mut random = stream(seed, 0x6261_7365 + run as u64, s as u64);
                let (pool, tested) = divide(set, clips, resting, &mut random)?;
                for (i, scores) in &tested {
                    plain.add_scores(set.clips[*i].emotion, scores)?;
                }
                for ((&count, corrected), seconds) in COUNTS.iter().zip(&mut corrected).zip(&mut seconds) {
                    let mut person = Baseline::new();
                    let mut samples = 0;
                    for (i, scores) in &pool[..count] {
                        person.learn(scores);
                        samples += set.clips[*i].samples.len();
                    }
                    seconds.push(samples as f64 / f64::from(crate::data::speech::RATE.0));
                    for (i, scores) in &tested {
                        let scores =
                            if resting { person.correct(scores, strength) } else { person.level(scores, strength) };
                        corrected.add_scores(set.clips[*i].emotion, &scores)?;
                    }
                }
            }
            let without = plain.metrics().balanced_accuracy;
            for (recalls, corrected) in recalls.iter_mut().zip(&corrected) {
                recalls.0.push(without);
                recalls.1.push(corrected.metrics().balanced_accuracy);
            }
        }
        for ((&clips, recalls), seconds) in COUNTS.iter().zip(&recalls).zip(&seconds) {
            let (without, with) = recalls;
            let gain: Vec<f64> = with.iter().zip(without).map(|(a, b)| a - b).collect();
            rows.push(BaselineRow {
                of: of.to_owned(),
                clips,
                seconds: Spread::of(seconds).mean,
                without: Spread::of(without),
                with: Spread::of(with),
                gain: Spread::of(&gain),
            });
        }
    }
    Ok(BaselineReport { model: name, seed, strength, rows })
}

/// A speaker's clips and their scores.
type Clips = Vec<(usize, Scores)>;

/// A speaker's clips for baselines, and those to test on.
fn divide(set: &SpeechSet, clips: &Clips, resting: bool, random: &mut impl Rng) -> Result<(Clips, Clips)> {
    let is_rest = |i: usize| matches!(set.clips[i].emotion, Emotion::Neutral | Emotion::Calm);
    let mut order: Clips = clips.clone();
    order.shuffle(random);
    let (mut pool, mut tested) = (Clips::new(), Clips::new());
    for clip in order {
        if pool.len() < POOL && (!resting || is_rest(clip.0)) { pool.push(clip) } else { tested.push(clip) }
    }
    if pool.len() < POOL || tested.is_empty() {
        return Err(Error::new(
            ErrorKind::Data,
            format!("a speaker has {} clips for a baseline, expected {POOL} and others to test on", pool.len()),
        ));
    }
    Ok((pool, tested))
}
