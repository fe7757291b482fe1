//! Which recordings are learnt from, which choices are made with, and which only `eval` reads. Decided here and nowhere
//! else.
//!
//! The splits of RAVDESS are committed in `splits/ravdess.json`; [`draw`] made them, and a test draws them again. Other
//! sets are drawn by the same rules when they are loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use demeanor::{Emotion, Error, ErrorKind, Result};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::speech::{Sex, SpeechSet};
use super::stream;

/// Runs of the random protocol, and folds of the speaker protocol.
pub const RUNS: usize = 5;

/// The committed splits of RAVDESS.
const RAVDESS: &str = include_str!("../../splits/ravdess.json");

/// The part of the clips that is for test in the random protocol, as in the paper.
const TEST_PART: f64 = 0.2;

/// The part of the training clips that is set apart for validation in the random protocol.
const VALIDATION_PART: f64 = 0.1;

/// Speakers of each sex that are set apart for validation in the speaker protocol.
const VALIDATION_SPEAKERS: usize = 2;

/// How a set is divided for test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The paper's: a random fifth of the clips, of every emotion alike; every speaker is on both sides.
    Random,
    /// Whole speakers are held out: five folds, both sexes in each.
    Speaker,
}

impl Protocol {
    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Random => "random",
            Protocol::Speaker => "speaker",
        }
    }

    /// What the model of a run is called after its recipe: `random0`, `fold0` and so on.
    pub fn run_name(self, run: usize) -> String {
        match self {
            Protocol::Random => format!("random{run}"),
            Protocol::Speaker => format!("fold{run}"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    /// Reads `random` or `speaker`.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for another word.
    fn from_str(word: &str) -> Result<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "random" => Ok(Protocol::Random),
            "speaker" => Ok(Protocol::Speaker),
            _ => Err(Error::new(ErrorKind::Setting, format!("\"{word}\" is no protocol; expected random or speaker"))),
        }
    }
}

/// Places of clips in their set, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fold {
    /// What is learnt from.
    pub train: Vec<usize>,
    /// What choices are made with: early stopping, calibration. Taken from the training side.
    pub validation: Vec<usize>,
    /// What only `eval` reads.
    pub test: Vec<usize>,
}

impl Fold {
    /// Training and validation clips together: for recipes that make no choice on the way.
    pub fn train_and_validation(&self) -> Vec<usize> {
        let mut all = [self.train.as_slice(), &self.validation].concat();
        all.sort_unstable();
        all
    }
}

/// All splits of a set, by name of clip or speaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// The random protocol, seeds 0 to 4: clips, by file name without ending.
    pub random: Vec<Parts>,
    /// The speaker protocol: speakers.
    pub speaker: Vec<Parts>,
}

/// One split; what is not named is for training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// For test.
    pub test: Vec<String>,
    /// For validation.
    pub validation: Vec<String>,
}

impl SpeechSet {
    /// The clips of a run: `run` is the seed (0 to 4) of the random protocol, or the fold (0 to 4) of the speaker
    /// protocol. RAVDESS has committed splits; other sets are drawn by the same rules.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when there is no such run; [`ErrorKind::Data`] when the speaker protocol is asked of a set
    /// with fewer than five known speakers, or the set lacks clips that the committed test part names.
    pub fn fold(&self, protocol: Protocol, run: usize) -> Result<Fold> {
        if run >= RUNS {
            return Err(Error::new(ErrorKind::Setting, format!("there is no run {run}; expected 0 to {}", RUNS - 1)));
        }
        let splits = if self.is_ravdess { committed()? } else { draw(self, protocol)? };
        let parts = match protocol {
            Protocol::Random => splits.random.into_iter().nth(run),
            Protocol::Speaker => splits.speaker.into_iter().nth(run),
        };
        let parts =
            parts.ok_or_else(|| Error::new(ErrorKind::Data, format!("the {protocol} splits have no run {run}")))?;
        let mut fold = Fold::default();
        for (i, clip) in self.clips.iter().enumerate() {
            let key = match protocol {
                Protocol::Random if self.is_ravdess => clip.stem(),
                Protocol::Random => &clip.name,
                Protocol::Speaker => clip.speaker.as_deref().unwrap_or_default(),
            };
            let is_in = |names: &[String]| names.binary_search_by(|n| n.as_str().cmp(key)).is_ok();
            if is_in(&parts.test) {
                fold.test.push(i);
            } else if is_in(&parts.validation) {
                fold.validation.push(i);
            } else {
                fold.train.push(i);
            }
        }
        if fold.test.is_empty() || fold.train.is_empty() {
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "run {run} of the {protocol} protocol has {} clips for training and {} for test; is the set whole?",
                    fold.train.len(),
                    fold.test.len()
                ),
            ));
        }
        Ok(fold)
    }

    /// A fold that learns from every clip, for the final fit of a recipe whose figures come from the folds.
    pub fn everything(&self) -> Fold {
        Fold { train: (0..self.clips.len()).collect(), ..Fold::default() }
    }
}

/// The committed splits of RAVDESS.
///
/// # Errors
/// [`ErrorKind::Data`] when the list in this build is broken.
pub fn committed() -> Result<Splits> {
    serde_json::from_str(RAVDESS).map_err(|e| {
        Error::new(ErrorKind::Data, format!("the committed splits of RAVDESS are broken: {e}")).with_source(e)
    })
}

/// Draws the splits of a set; those of the other protocol are empty. They depend on names, labels, speakers and sexes
/// alone. Recordings that are the same (RAVDESS has a pair) stay on one side.
///
/// # Errors
/// [`ErrorKind::Data`] for the speaker protocol with fewer than five known speakers.
pub fn draw(set: &SpeechSet, protocol: Protocol) -> Result<Splits> {
    let mut splits = Splits { random: Vec::new(), speaker: Vec::new() };
    match protocol {
        Protocol::Random => splits.random = (0..RUNS as u64).map(|seed| draw_clips(set, seed)).collect(),
        Protocol::Speaker => splits.speaker = draw_speakers(set)?,
    }
    Ok(splits)
}

/// Stratified: each emotion gives its share, rounded down; what is missing to the share of the whole comes from the
/// emotions with the largest remainders.
fn draw_clips(set: &SpeechSet, seed: u64) -> Parts {
    let key = |i: usize| if set.is_ravdess { set.clips[i].stem().to_string() } else { set.clips[i].name.clone() };
    let mut groups: BTreeMap<Emotion, Vec<usize>> = BTreeMap::new();
    for (i, clip) in set.clips.iter().enumerate() {
        groups.entry(clip.emotion).or_default().push(i);
    }
    for (emotion, group) in &mut groups {
        group.sort_by_key(|&i| key(i));
        group.shuffle(&mut stream(seed, 0x7370_6c69, emotion.index() as u64));
        // A repeated recording follows its twin, so that no cut falls between them (but for the last of a group).
        let repeats: Vec<usize> = group.iter().copied().filter(|&i| set.clips[i].same_as.is_some()).collect();
        for repeat in repeats {
            if let Some(twin) = set.clips[repeat].same_as
                && group.contains(&twin)
            {
                group.retain(|&i| i != repeat);
                let at = group.iter().position(|&i| i == twin).unwrap_or_default();
                group.insert(at, repeat);
            }
        }
    }
    let shares = |total: f64, groups: &BTreeMap<Emotion, Vec<usize>>| -> BTreeMap<Emotion, usize> {
        let all: usize = groups.values().map(Vec::len).sum();
        let exact: Vec<(Emotion, f64)> =
            groups.iter().map(|(&e, g)| (e, total * g.len() as f64 / all.max(1) as f64)).collect();
        let mut counts: BTreeMap<Emotion, usize> = exact.iter().map(|&(e, x)| (e, x as usize)).collect();
        let mut order = exact;
        order.shuffle(&mut stream(seed, 0x7368_6172, 0));
        order.sort_by(|a, b| b.1.fract().total_cmp(&a.1.fract()));
        let missing = (total.round() as usize).saturating_sub(counts.values().sum());
        for (emotion, _) in order.into_iter().take(missing) {
            *counts.entry(emotion).or_default() += 1;
        }
        counts
    };
    let mut take = |part: f64| {
        let total = groups.values().map(Vec::len).sum::<usize>() as f64 * part;
        let counts = shares(total.round(), &groups);
        let mut taken = Vec::new();
        for (emotion, group) in &mut groups {
            let mut count = counts.get(emotion).copied().unwrap_or_default().min(group.len());
            // Never between a recording and its repetition: exchange the repetition's pair with what stands behind.
            let splits_pair = |group: &[usize], at: usize| {
                at > 0 && at < group.len() && set.clips[group[at - 1]].same_as == Some(group[at])
            };
            if splits_pair(group, count) {
                let pair = count - 1;
                if group.len() > count + 1 {
                    group[pair..].rotate_left(2);
                } else {
                    count -= 1;
                }
            }
            taken.extend(group.drain(..count).map(key));
        }
        taken.sort();
        taken
    };
    let test = take(TEST_PART);
    let validation = take(VALIDATION_PART);
    Parts { test, validation }
}

/// Deals the speakers of each sex to five folds in turn, women from the first fold on and men from the last backwards, so
/// that both sexes and the number of speakers are as even as they can be.
fn draw_speakers(set: &SpeechSet) -> Result<Vec<Parts>> {
    let speakers = set.speakers();
    if speakers.len() < RUNS {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "the set has {} known speakers; expected at least {RUNS} to hold speakers out (RAVDESS file names, folders \
                 of speakers, or a table with a column \"speaker\" name them)",
                speakers.len()
            ),
        ));
    }
    let mut by_sex: BTreeMap<Option<Sex>, Vec<String>> = BTreeMap::new();
    for (name, (sex, _)) in &speakers {
        by_sex.entry(*sex).or_default().push(name.clone());
    }
    for (i, group) in by_sex.values_mut().enumerate() {
        group.shuffle(&mut stream(0, 0x666f_6c64, i as u64));
    }
    let mut folds: Vec<Vec<String>> = vec![Vec::new(); RUNS];
    for (i, group) in by_sex.values().enumerate() {
        for (k, name) in group.iter().enumerate() {
            let fold = if i % 2 == 0 { k % RUNS } else { RUNS - 1 - k % RUNS };
            folds[fold].push(name.clone());
        }
    }
    let mut parts = Vec::new();
    for (f, test) in folds.iter().enumerate() {
        let mut validation = Vec::new();
        for (i, group) in by_sex.values().enumerate() {
            let mut rest: Vec<&String> = group.iter().filter(|name| !test.contains(name)).collect();
            rest.shuffle(&mut stream(1 + f as u64, 0x666f_6c64, i as u64));
            // A small set keeps at least half of its training speakers.
            let count = VALIDATION_SPEAKERS.min(rest.len() / 4);
            validation.extend(rest.into_iter().take(count).cloned());
        }
        let mut test = test.clone();
        test.sort();
        validation.sort();
        parts.push(Parts { test, validation });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::speech::SpeechClip;
    use crate::data::speech::tests::ravdess;

    /// RAVDESS's names without its sound.
    fn names() -> SpeechSet {
        let mut set = SpeechSet { is_ravdess: true, ..SpeechSet::default() };
        for actor in 1..=24 {
            for emotion in 1..=8 {
                for intensity in 1..=if emotion == 1 { 1 } else { 2 } {
                    for (sentence, repetition) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                        let stem =
                            format!("03-01-{emotion:02}-{intensity:02}-{sentence:02}-{repetition:02}-{actor:02}");
                        set.clips.push(SpeechClip {
                            samples: Vec::new(),
                            emotion: Emotion::RAVDESS[emotion - 1],
                            speaker: Some(format!("{actor:02}")),
                            sex: Some(if actor % 2 == 1 { Sex::Male } else { Sex::Female }),
                            same_as: (stem == "03-01-03-01-02-02-07").then(|| set.clips.len() - 1),
                            name: format!("Actor_{actor:02}/{stem}.wav"),
                        });
                    }
                }
            }
        }
        set
    }

    #[test]
    fn the_committed_splits_are_the_drawn_ones() {
        let set = names();
        let drawn = Splits {
            random: draw(&set, Protocol::Random).unwrap().random,
            speaker: draw(&set, Protocol::Speaker).unwrap().speaker,
        };
        if std::env::var_os("WRITE_SPLITS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/splits/ravdess.json");
            std::fs::write(path, serde_json::to_string_pretty(&drawn).unwrap() + "\n").unwrap();
        } else {
            assert_eq!(drawn, committed().unwrap());
        }
    }

    #[test]
    fn random_splits_are_the_papers_and_stratified() {
        let set = names();
        assert_eq!(set.clips.len(), 1440);
        for seed in 0..RUNS {
            let fold = set.fold(Protocol::Random, seed).unwrap();
            assert_eq!((fold.train_and_validation().len(), fold.test.len()), (1152, 288));
            assert_eq!(fold.validation.len(), 115);
            for emotion in Emotion::RAVDESS {
                let count = fold.test.iter().filter(|&&i| set.clips[i].emotion == emotion).count();
                assert!(if emotion == Emotion::Neutral { count == 19 } else { (38..=39).contains(&count) }, "{count}");
            }
            let side = |stem: &str| fold.test.iter().any(|&i| set.clips[i].stem() == stem);
            assert_eq!(side("03-01-03-01-02-01-07"), side("03-01-03-01-02-02-07"));
        }
    }

    #[test]
    fn speaker_folds_hold_each_actor_out_once_and_share_none() {
        let set = names();
        let mut held_out = Vec::new();
        for k in 0..RUNS {
            let fold = set.fold(Protocol::Speaker, k).unwrap();
            let actors = |indices: &[usize]| {
                let mut actors: Vec<_> = indices.iter().filter_map(|&i| set.clips[i].speaker.clone()).collect();
                actors.sort();
                actors.dedup();
                actors
            };
            let (train, validation, test) = (actors(&fold.train), actors(&fold.validation), actors(&fold.test));
            assert!(train.iter().all(|a| !test.contains(a) && !validation.contains(a)));
            assert!(validation.iter().all(|a| !test.contains(a)));
            assert_eq!(validation.len(), 4);
            let women = test.iter().filter(|a| a.parse::<u32>().unwrap() % 2 == 0).count();
            assert!((2..=3).contains(&women) && (2..=3).contains(&(test.len() - women)), "{test:?}");
            held_out.extend(test);
        }
        held_out.sort();
        held_out.dedup();
        assert_eq!(held_out.len(), 24);
    }

    #[test]
    fn sets_without_speakers_and_runs_that_do_not_exist_are_refused() {
        let mut set = names();
        assert_eq!(set.fold(Protocol::Random, 5).unwrap_err().kind(), ErrorKind::Setting);
        set.is_ravdess = false;
        assert_eq!(set.fold(Protocol::Random, 0).unwrap().test.len(), 288);
        assert_eq!(set.fold(Protocol::Speaker, 4).unwrap().validation.len(), 240);
        set.clips.iter_mut().for_each(|c| c.speaker = None);
        let error = set.fold(Protocol::Speaker, 0).unwrap_err().to_string();
        assert!(error.contains("0 known speakers"), "{error}");
    }

    #[test]
    fn the_committed_names_are_those_of_the_files() {
        let Some(path) = ravdess() else { return };
        let splits = committed().unwrap();
        let mut stems = Vec::new();
        for actor in std::fs::read_dir(path).unwrap() {
            for file in std::fs::read_dir(actor.unwrap().path()).unwrap() {
                stems.push(file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        stems.sort();
        for parts in &splits.random {
            assert!(parts.test.iter().chain(&parts.validation).all(|n| stems.binary_search(n).is_ok()));
        }
    }
}
